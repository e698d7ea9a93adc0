"""Where statements may concern several tenants: a list that is kept by hand, since each place could be a leak."""

import ast
from pathlib import Path

SERVICES = Path(__file__).parents[2] / "services" / "monitors"
# The file, and the function in which it stands or which it decorates.
KNOWN = {
    ("evaluator/store/catalogue.py", "add_series"),
    ("evaluator/store/catalogue.py", "all_series"),
    ("mesh/audit_table.py", "forget_before"),
    ("mesh/audit_table.py", "tenants_with_old"),
    ("mesh/database/schema.py", "upgrade"),
    ("mesh/keeping.py", "tenants_in"),
    ("notifier/store/channels.py", "versions"),
    ("notifier/store/breakers.py", "count_open"),
    ("notifier/store/escalating.py", "count_waiting"),
    ("notifier/store/escalating.py", "drop"),
    ("notifier/store/escalating.py", "next_due"),
    ("notifier/store/escalating.py", "take_due"),
    ("notifier/store/heartbeats.py", "first_due"),
    ("notifier/store/heartbeats.py", "take_due"),
    ("notifier/store/log.py", "mark_reported"),
    ("notifier/store/log.py", "unreported"),
    ("notifier/store/notices.py", "follow"),
    ("notifier/store/notices.py", "tell_of_quotas"),
    ("notifier/store/queue.py", "claim"),
    ("notifier/store/queue.py", "finish"),
    ("notifier/store/queue.py", "give_up"),
    ("notifier/store/queue.py", "put_back"),
    ("notifier/store/queue.py", "reclaim"),
    ("notifier/store/queue.py", "next_repeat"),
    ("notifier/store/queue.py", "release_all"),
    ("notifier/store/queue.py", "repeat"),
    ("notifier/store/queue.py", "take_back"),
    ("notifier/store/queue.py", "take_in"),
    ("notifier/store/requests.py", "remember"),
    ("notifier/store/sealed.py", "reseal"),
    ("notifier/store/sealed.py", "standing"),
    ("notifier/store/totals.py", "count"),
    ("rules/service/recording.py", "_drafted"),
    ("rules/service/recording.py", "work"),
    ("rules/store/alerts.py", "open_episodes"),
    ("rules/store/alerts.py", "tenants_since"),
    ("rules/store/keys.py", "find_key"),
    ("rules/store/keys.py", "note_uses"),
    ("rules/store/keys.py", "set_digest"),
    ("rules/store/outbox.py", "forget_before"),
    ("rules/store/outbox.py", "give_back"),
    ("rules/store/outbox.py", "lease"),
    ("rules/store/outbox.py", "next_due"),
    ("rules/store/outbox.py", "standing"),
    ("rules/store/outbox.py", "take_over"),
    ("rules/store/requests.py", "forget_before"),
    ("rules/store/watching.py", "changes_since"),
    ("rules/store/watching.py", "forget_before"),
    ("rules/store/watching.py", "snapshot_page"),
}
NAMES = {"across_tenants", "crosses_tenants", "may_touch_all"}


def crossings() -> dict[tuple[str, str], str]:
    """Where it is said that several tenants are concerned, and why."""
    found = {}
    for path in SERVICES.rglob("*.py"):
        if path.is_relative_to(SERVICES / "mesh" / "tenancy"):
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in _own_calls(function):
                if isinstance(call.func, ast.Name) and call.func.id in NAMES:
                    reason = call.args[-1]
                    assert isinstance(reason, ast.Constant), "the reason is a text, written where it applies"
                    found[str(path.relative_to(SERVICES)), function.name] = str(reason.value)
    return found


def _own_calls(function: ast.AST) -> list[ast.Call]:
    """The calls in a function and its decorators, but not in functions within it."""
    found: list[ast.Call] = []
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Call):
            found.append(node)
        waiting += ast.iter_child_nodes(node)
    return found


def test_only_known_places_concern_several_tenants_and_each_says_why() -> None:
    found = crossings()
    assert found.keys() == KNOWN
    assert all(len(reason) > 20 for reason in found.values())


def test_rows_are_reached_through_stores_alone() -> None:
    # What knows SQLAlchemy, beside the stores: the mesh's database, and what a test of the architecture allows.
    outside = {
        str(path.relative_to(SERVICES))
        for path in SERVICES.rglob("*.py")
        if "sqlalchemy" in path.read_text() and not {"store", "migrations", "mesh"} & set(path.parts)
    }
    assert not outside
