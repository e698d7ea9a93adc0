"""Tracing is configured by OpenTelemetry's own variables, is off without them, and refuses what it can't follow."""

from pathlib import Path

import pytest

from monitors.mesh.config import BadSetting, TracingSettings, load_settings
from monitors.mesh.exporting import provider_for, sampler_of
from tests.canaries import canary

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
ON = {ENDPOINT: "http://collector:4318"}
SHARE = "0 to 1"


def settings_of(**variables: str) -> TracingSettings:
    found = load_settings({**ON, **variables}).tracing
    assert found is not None
    return found


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_TRACES_SAMPLER": "always_on"},
        {**ON, "OTEL_SDK_DISABLED": "true"},
        {**ON, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_exported_unless_an_endpoint_is_named_and_nobody_turned_it_off(variables: dict[str, str]) -> None:
    assert load_settings(variables).tracing is None


def test_one_trace_in_twenty_is_followed_and_every_one_whose_parent_is() -> None:
    settings = settings_of()
    assert (settings.endpoint, settings.ratio) == ("http://collector:4318/v1/traces", 0.05)
    assert sampler_of(settings).get_description().startswith("ParentBased{root:TraceIdRatioBased{0.05}")


@pytest.mark.parametrize(
    ("variables", "description"),
    [
        ({"OTEL_TRACES_SAMPLER_ARG": "0.5"}, "ParentBased{root:TraceIdRatioBased{0.5}"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, "TraceIdRatioBased{0.0}"),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}, "ParentBased{root:TraceIdRatioBased{1.0}"),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, "ParentBased{root:AlwaysOffSampler"),
        ({"OTEL_TRACES_SAMPLER": "always_on", "OTEL_TRACES_SAMPLER_ARG": "ignored"}, "AlwaysOnSampler"),
    ],
)
def test_a_sampler_is_what_the_specification_says_of_it(variables: dict[str, str], description: str) -> None:
    assert sampler_of(settings_of(**variables)).get_description().startswith(description)


def test_what_is_said_of_traces_alone_goes_before_what_is_said_of_all_signals() -> None:
    settings = settings_of(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="https://traces.test/take", OTEL_SERVICE_NAME="mesh")
    assert settings.endpoint == "https://traces.test/take"
    provider = provider_for(settings, "monitors-rules")
    assert provider.resource.attributes["service.name"] == "mesh"
    provider.shutdown()


def test_a_process_is_called_by_its_service_and_placed_by_the_resources_attributes() -> None:
    provider = provider_for(settings_of(OTEL_RESOURCE_ATTRIBUTES="service.namespace=prod,host.name=a%2Cb"), "monitors")
    found = provider.resource.attributes
    provider.shutdown()
    assert (found["service.name"], found["service.namespace"], found["host.name"]) == ("monitors", "prod", "a,b")


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        (ENDPOINT, "collector:4318", "http or https URL"),
        (ENDPOINT, "http://:4318", "http or https URL"),
        (ENDPOINT, "http://collector:port", "http or https URL"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector", "http or https URL"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf.*4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Bearer hunter2", "name=value between commas"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip", "gzip or none"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file.pem", "there is no file /no/such/file.pem"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "0.05 to 3600"),
        ("OTEL_RESOURCE_ATTRIBUTES", "prod", "name=value between commas"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp, or none"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "5%", SHARE),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5", SHARE),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "1 to 100000000"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "1 to 100000000"),
        ("MONITORS_LOG_FORMAT", "xml", "text, json"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_accepted(variable: str, value: str, accepted: str) -> None:
    with pytest.raises(BadSetting, match=f"{variable}.*{accepted}") as refused:
        load_settings({**ON, variable: value})
    assert "hunter2" not in str(refused.value)


def test_what_opens_the_collector_is_shown_nowhere(tmp_path: Path) -> None:
    secret = canary("collector")
    settings = settings_of(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"https://ann:{secret}@collector.test", OTEL_EXPORTER_OTLP_HEADERS=f"X-Key={secret}"
    )
    assert secret not in f"{settings!r} {settings}"
    assert [(name, value.reveal()) for name, value in settings.headers] == [("x-key", secret)]
