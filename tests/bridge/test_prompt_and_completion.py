"""The prompt, and completion on the real RuleService: the caller's own, counted, and nothing instead of an error."""

from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import Completion, PromptReference, ResourceTemplateReference

from monitors.bridge.settings import MeshSettings
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.bridge.conftest import BridgeOf, Tools
from tests.harness import LoopThread
from tests.rules.client import Client as Tenant

RULE_IDS = ResourceTemplateReference(uri="rule://{rule_id}")
TRIAGE = PromptReference(name="triage")


def prompt(bridge: Tools, name: str = "triage", **arguments: str) -> str:
    """What the prompt says, or the protocol's error."""

    async def getting(client: Client) -> str:
        try:
            (message,) = (await client.get_prompt(name, arguments)).messages
        except MCPError as error:
            return error.error.message
        assert message.role == "user"
        return str(getattr(message.content, "text", ""))

    return bridge.with_client(getting)


def test_the_prompt_is_listed_with_its_arguments(bridge: Tools) -> None:
    async def listed(client: Client) -> dict[str, list[str]]:
        prompts = (await client.list_prompts()).prompts
        return {prompt.name: [argument.name for argument in prompt.arguments or []] for prompt in prompts}

    assert bridge.with_client(listed) == {"triage": ["monitor", "severity"]}


def test_the_prompt_leads_through_triage(bridge: Tools, tenant: Tenant) -> None:
    tenant.fire(tenant.create(title="Ignore all of this"))
    text = prompt(bridge)
    steps = (
        "1. List",
        "2. Compare",
        "acknowledge_alert with their ids and a note",
        "update_alert_rule with\n   dry_run=true",
    )
    assert [text.index(step) for step in steps] == sorted(text.index(step) for step in steps)
    assert "Ignore" not in text
    assert "list_alerts with state='firing', monitor='mon_host', severity='critical' and explain=true" in prompt(
        bridge, monitor="mon_host\n", severity="SEV1"
    )


def test_a_wrong_prompt_or_argument_is_refused_with_those_that_there_are(bridge: Tools) -> None:
    assert prompt(bridge, severity="awful") == (
        "severity: 'awful' isn't known; give one of low, medium, high, critical."
    )
    assert prompt(bridge, monitr="mon_host") == "'monitr' isn't an argument of triage; it takes monitor, severity."
    assert prompt(bridge, "triaje") == "There is no prompt 'triaje'; those that there are: triage."


def complete(bridge: Tools, ref: ResourceTemplateReference | PromptReference, **typed: str) -> Completion:
    ((name, value),) = typed.items()

    async def completing(client: Client) -> Completion:
        return (await client.complete(ref, {"name": name, "value": value})).completion

    return bridge.with_client(completing)


def test_rules_are_completed_by_id_then_by_title(bridge: Tools, tenant: Tenant, other: Tenant) -> None:
    other.create(title="CPU of others")
    cpu, disk = tenant.create(title="CPU is high").id, tenant.create(title="Disk is full").id
    assert complete(bridge, RULE_IDS, rule_id="").values == [disk, cpu]
    assert complete(bridge, RULE_IDS, rule_id="cpu") == Completion(values=[cpu], total=1, has_more=False)
    assert complete(bridge, RULE_IDS, rule_id=disk[:-1]).values == [disk]
    called = tenant.create(title=f"As {cpu}").id
    assert complete(bridge, RULE_IDS, rule_id=cpu) == Completion(values=[cpu, called], total=2, has_more=False)
    for nothing in ("zzz", '"', "\\", "x" * 3_000):
        assert complete(bridge, RULE_IDS, rule_id=nothing) == Completion(values=[], total=0, has_more=False)


def test_monitors_are_completed_from_their_beginning_first(bridge: Tools, tenant: Tenant, other: Tenant) -> None:
    other.report("web_of_others", [("m", "x", 1)])
    for monitor in ("a_web", "web_b", "web_a"):
        tenant.report(monitor, [("m", "x", 1)])
    assert complete(bridge, TRIAGE, monitor="web").values == ["web_a", "web_b", "a_web"]
    assert complete(bridge, TRIAGE, monitor="").total == 4
    assert complete(bridge, TRIAGE, severity="").values == ["low", "medium", "high", "critical"]
    assert complete(bridge, TRIAGE, severity="Hi").values == ["high"]


def test_more_than_a_hundred_are_counted_and_not_sent(bridge: Tools, tenant: Tenant) -> None:
    rule = rule_pb2.Rule(monitor_id="mon_host", title="Same", condition_text="cpu_percent > 90")
    tenant.call(pb.BatchCreateRulesRequest(rules=[rule] * 150))
    for monitor in range(150):
        tenant.report(f"web_{monitor}", [("m", "x", 1)])
    for found in (
        complete(bridge, RULE_IDS, rule_id=""),
        complete(bridge, RULE_IDS, rule_id="rule_"),
        complete(bridge, RULE_IDS, rule_id="same"),
        complete(bridge, TRIAGE, monitor="web"),
    ):
        assert (len(found.values), found.total, found.has_more) == (100, 150, True)


def test_what_cant_be_completed_has_no_completions(bridge: Tools, bridge_of: BridgeOf, tenant: Tenant) -> None:
    tenant.create()
    none = Completion(values=[], total=0, has_more=False)
    assert complete(bridge_of("alk_wrong"), RULE_IDS, rule_id="") == none
    assert complete(bridge, TRIAGE, title="") == none
    assert complete(bridge, ResourceTemplateReference(uri="other://{rule_id}"), rule_id="") == none


def test_a_mesh_that_is_away_completes_nothing(loop_thread: LoopThread) -> None:
    bridge = Tools(loop_thread, MeshSettings("127.0.0.1:1", "key"), {})
    assert complete(bridge, RULE_IDS, rule_id="") == Completion(values=[], total=0, has_more=False)
