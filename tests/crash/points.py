"""All that the launcher knows of all services: the points to die at, and what can be left out."""

from tests.crash.launched import evaluator, notifier, rules

_LAUNCHED = {"rules": rules, "evaluator": evaluator, "notifier": notifier}
SERVICE_OF = {point: service for service, launched in _LAUNCHED.items() for point in launched.POINTS}
BREAKS = [name for launched in _LAUNCHED.values() for name in launched.BREAKS]
