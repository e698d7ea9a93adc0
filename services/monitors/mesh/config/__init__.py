"""Settings from environment variables, as frozen dataclasses. A wrong value is refused at start with its name."""

from monitors.mesh.config.evaluator import EvaluatorSettings, PollSettings
from monitors.mesh.config.metrics import MetricsSettings
from monitors.mesh.config.notifier import Mailer, NotifierSettings, PageSettings, SendGridSettings, SmtpSettings
from monitors.mesh.config.redis import RedisSettings
from monitors.mesh.config.rules import POLL_SECONDS, RulesSettings
from monitors.mesh.config.settings import BadSetting, FrozenEnv, Settings, load_settings
from monitors.mesh.config.tls import TlsSettings
from monitors.mesh.config.tracing import TracingSettings
from monitors.mesh.config.values import LOCAL_TENANT, TENANT

__all__ = [
    "LOCAL_TENANT",
    "POLL_SECONDS",
    "TENANT",
    "BadSetting",
    "EvaluatorSettings",
    "FrozenEnv",
    "Mailer",
    "MetricsSettings",
    "NotifierSettings",
    "PageSettings",
    "PollSettings",
    "RedisSettings",
    "RulesSettings",
    "SendGridSettings",
    "Settings",
    "SmtpSettings",
    "TlsSettings",
    "TracingSettings",
    "load_settings",
]
