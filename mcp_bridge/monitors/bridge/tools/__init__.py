"""The six tools, one file each."""

from functools import cache

from mcp.server.mcpserver.tools import Tool

from monitors.bridge.tools import (
    acknowledge_alert,
    create_alert_rule,
    delete_alert_rule,
    list_alert_rules,
    list_alerts,
    update_alert_rule,
)


@cache
def all_tools() -> tuple[Tool, ...]:
    """All tools, in the order in which they are listed."""
    return (
        create_alert_rule.tool(),
        list_alert_rules.tool(),
        update_alert_rule.tool(),
        delete_alert_rule.tool(),
        list_alerts.tool(),
        acknowledge_alert.tool(),
    )
