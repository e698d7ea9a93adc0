"""A whole conversation, from what can be watched to a rule deleted with consent, on this machine's own data."""

import asyncio
from pathlib import Path

from tests.end_to_end.conversation import converse
from tests.processes import running_mesh


def test_a_conversation_from_the_first_question_to_the_last(tmp_path: Path) -> None:
    with running_mesh(tmp_path / "home") as mesh:
        record = asyncio.run(converse(mesh.client_environment))
    text = "\n".join(record.lines)
    for tool in ("list_alert_rules", "create_alert_rule", "list_alerts", "acknowledge_alert", "update_alert_rule"):
        assert f"    {tool}(" in text
    assert "Delete the alert rule 'Memory is filling up'" in text
