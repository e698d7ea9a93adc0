"""What makes the rendered manifests fit for production, point by point, whatever the values."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.rendered import FILES, MESHES, Object, component_of, objects, of_kind, pod_of, pods, secrets_of
from tests.metrics.table import PAGE, ROW

SERVED = {"rules": "monitors.v1.RuleService", "evaluator": "monitors.v1.EvaluatorService",
          "notifier": "monitors.v1.NotifierService"}  # fmt: skip
PRIVATE = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "127.0.0.0/8"}
SECRETS = ("PASSWORD", "TOKEN", "SECRET", "PEPPER", "MASTER_KEYS", "STATE_KEY", "DATABASE_URL", "REDIS_URL", "API_KEY")
each_set = pytest.mark.parametrize("name", sorted(FILES))
each_mesh = pytest.mark.parametrize("name", MESHES)


def _containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def _missing(name: str, holds: Callable[[Object], bool]) -> list[str]:
    return [label for label, pod in pods(name) if not holds(pod)]


def _replicated(name: str) -> dict[str, Object]:
    return of_kind(name, "Deployment")


def _policy(name: str, component: str) -> Object:
    return of_kind(name, "NetworkPolicy")[f"monitors-{component}"]["spec"]  # type: ignore[no-any-return]


# Pod security.


@each_set
def test_every_pod_keeps_to_the_restricted_pod_security_standard(name: str) -> None:
    def restricted(pod: Object) -> bool:
        security = pod["spec"]["securityContext"]
        return (
            security["runAsNonRoot"] is True
            and security["runAsUser"] >= 10_000
            and security["seccompProfile"] == {"type": "RuntimeDefault"}
            and not any(pod["spec"].get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
            and all(
                container["securityContext"]["allowPrivilegeEscalation"] is False
                and container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
                and container["securityContext"]["runAsNonRoot"] is True
                for container in _containers(pod)
            )
        )

    assert _missing(name, restricted) == []


@each_set
def test_no_pod_has_anything_of_its_node(name: str) -> None:
    kinds = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    unusual = {"procMount", "privileged", "seLinuxOptions", "windowsOptions"}

    def holds(pod: Object) -> bool:
        volumes = [volume.keys() - {"name"} for volume in pod["spec"].get("volumes", ())]
        ports = [port for each in _containers(pod) for port in each.get("ports", ())]
        return (
            all(found <= kinds for found in volumes)
            and not any("hostPort" in port or "hostIP" in port for port in ports)
            and not any(unusual & each["securityContext"].keys() for each in _containers(pod))
            and "sysctls" not in pod["spec"]["securityContext"]
        )

    assert _missing(name, holds) == []


@each_set
def test_no_container_can_write_to_its_root_and_what_it_can_write_to_is_bounded(name: str) -> None:
    def bounded(pod: Object) -> bool:
        empty = [volume["emptyDir"] for volume in pod["spec"].get("volumes", ()) if "emptyDir" in volume]
        return all(each["securityContext"]["readOnlyRootFilesystem"] is True for each in _containers(pod)) and all(
            "sizeLimit" in volume for volume in empty
        )

    assert _missing(name, bounded) == []


@each_set
def test_no_pod_gets_a_token_of_kubernetes(name: str) -> None:
    assert _missing(name, lambda pod: pod["spec"]["automountServiceAccountToken"] is False) == []


@each_set
def test_a_namespace_that_is_made_enforces_the_standard(name: str) -> None:
    for namespace in of_kind(name, "Namespace").values():
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@each_set
def test_no_secret_stands_in_a_manifest_and_none_is_a_variable_of_a_container(name: str) -> None:
    assert of_kind(name, "Secret") == {}
    given = {variable["name"] for _, pod in pods(name) for each in _containers(pod) for variable in each.get("env", ())}
    assert [variable for variable in given if variable.endswith(SECRETS)] == []


# Resources, spread, disruption, rollout.


@each_set
def test_every_container_has_requests_and_limits(name: str) -> None:
    def has_both(pod: Object) -> bool:
        needed = {"cpu", "memory", "ephemeral-storage"}
        return all(
            needed <= each["resources"][kind].keys() for each in _containers(pod) for kind in ("requests", "limits")
        )

    assert _missing(name, has_both) == []


@each_set
def test_replicas_are_spread_over_zones_counting_those_of_one_revision_together(name: str) -> None:
    for label, deployment in _replicated(name).items():
        pod = deployment["spec"]["template"]
        zones = [
            each
            for each in pod["spec"]["topologySpreadConstraints"]
            if each["topologyKey"] == "topology.kubernetes.io/zone"
        ]
        assert [each["matchLabelKeys"] for each in zones] == [["pod-template-hash"]], label
        assert zones[0]["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


@each_set
def test_a_drained_node_takes_one_pod_of_each_kind_at_a_time_and_none_that_is_ill_holds_it_up(name: str) -> None:
    budgets = {
        tuple(budget["spec"]["selector"]["matchLabels"].items()): budget["spec"]
        for budget in of_kind(name, "PodDisruptionBudget").values()
    }
    for workload in of_kind(name, "Deployment", "StatefulSet").values():
        budget = budgets[tuple(workload["spec"]["selector"]["matchLabels"].items())]
        assert budget["maxUnavailable"] == 1
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@each_set
def test_a_rollout_takes_no_pod_away_before_another_is_ready(name: str) -> None:
    for label, deployment in _replicated(name).items():
        strategy = deployment["spec"]["strategy"]
        assert (strategy["type"], strategy["rollingUpdate"]["maxUnavailable"]) == ("RollingUpdate", 0), label


def test_what_scales_itself_is_given_no_number_of_replicas_and_the_others_are_given_two() -> None:
    scaled = of_kind("mesh-ha", "HorizontalPodAutoscaler")
    assert sorted(scaled) == ["monitors-bridge", "monitors-evaluator", "monitors-notifier", "monitors-rules"]
    for name, deployment in _replicated("mesh-ha").items():
        assert scaled[name]["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        assert "replicas" not in deployment["spec"]
    assert {each["spec"]["replicas"] for each in _replicated("mesh").values()} == {2}


def test_evaluators_scale_by_their_lag_and_notifiers_by_the_age_of_what_waits() -> None:
    scaled = of_kind("mesh-ha", "HorizontalPodAutoscaler")
    by = {
        name: [each["pods"]["metric"]["name"] for each in one["spec"]["metrics"] if each["type"] == "Pods"]
        for name, one in scaled.items()
    }
    # What the page lists is what the services export: a test of theirs compares both.
    assert {name for names in by.values() for name in names} <= {row["name"] for row in ROW.finditer(PAGE.read_text())}
    assert by["monitors-evaluator"] == ["monitors_evaluation_lag_seconds"]
    assert by["monitors-notifier"] == ["monitors_deliveries_oldest_due_age_seconds"]
    resources = [[each["resource"]["name"] for each in one["spec"]["metrics"] if each["type"] == "Resource"]
                 for one in scaled.values()]  # fmt: skip
    assert resources == [["cpu"]] * 4


# Probes and ending.


@each_mesh
def test_readiness_asks_for_the_service_and_liveness_only_for_the_process(name: str) -> None:
    for component, service in SERVED.items():
        [container] = pod_of(name, component)["spec"]["containers"]
        asked = {probe: container[f"{probe}Probe"]["grpc"]["service"] for probe in ("startup", "readiness", "liveness")}
        assert asked == {"startup": "alive", "readiness": service, "liveness": "alive"}


@each_set
def test_everything_that_serves_has_all_three_probes(name: str) -> None:
    for label, workload in of_kind(name, "Deployment", "StatefulSet").items():
        for container in workload["spec"]["template"]["spec"]["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys(), label


@each_set
def test_a_pod_leaves_its_addresses_before_it_is_told_to_end_and_has_a_minute_then(name: str) -> None:
    for label, workload in of_kind(name, "Deployment", "StatefulSet").items():
        pod = workload["spec"]["template"]["spec"]
        assert pod["terminationGracePeriodSeconds"] == 60, label
        assert [each["lifecycle"]["preStop"] for each in pod["containers"]] == [{"sleep": {"seconds": 5}}], label


# The network.


@each_set
def test_nothing_comes_in_or_goes_out_that_no_policy_names(name: str) -> None:
    denied = _policy(name, "deny")
    assert denied["policyTypes"] == ["Ingress", "Egress"]
    assert denied.keys() == {"podSelector", "policyTypes"}
    for label, pod in pods(name):
        assert denied["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items(), label


@each_set
def test_every_pod_has_a_policy_of_its_own(name: str) -> None:
    selected = [one["spec"]["podSelector"]["matchLabels"] for one in of_kind(name, "NetworkPolicy").values()]
    own = {labels.get("app.kubernetes.io/component") for labels in selected}
    assert _missing(name, lambda pod: component_of(pod) in own) == []


def _reaches_the_internet(policy: Object) -> bool:
    """Whether anything leads to anywhere on the ports of the web."""
    for rule in policy.get("egress", ()):
        ports = {port["port"] for port in rule["ports"]}
        blocks = [peer["ipBlock"]["cidr"] for peer in rule.get("to", ()) if "ipBlock" in peer]
        if ports & {80, 443, 8443} and (not rule.get("to") or {"0.0.0.0/0", "2000::/3"} & set(blocks)):
            return True
    return False


@each_set
def test_messages_go_to_the_internet_but_never_to_what_is_private(name: str) -> None:
    policy = _policy(name, "notifier" if name in MESHES else "embedded")
    [block] = [
        peer["ipBlock"]
        for rule in policy["egress"]
        for peer in rule.get("to", ())
        if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
    ]
    assert set(block["except"]) >= PRIVATE


@each_set
def test_only_the_notifier_reaches_the_internet(name: str) -> None:
    # Where people sign in, the issuer's keys are read from the issuer, wherever the values say that is; and an
    # InfluxDB that is had as a service is out there, too.
    given = {"rules", "bridge", "evaluator"} if name == "mesh-sign-in" else set()
    reaching = {
        policy["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
        for policy in of_kind(name, "NetworkPolicy").values()
        if _reaches_the_internet(policy["spec"])
    }
    assert reaching == {"notifier" if name in MESHES else "embedded"} | given


def test_every_service_has_a_certificate_made_out_to_where_it_is_reached() -> None:
    made = of_kind("mesh-mtls", "Certificate")
    for component in (*SERVED, "bridge"):
        pod = pod_of("mesh-mtls", component)
        [mounted] = [volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if volume["name"] == "tls"]
        certificate = made[f"monitors-{component}"]["spec"]
        assert certificate["secretName"] == mounted
        assert certificate["dnsNames"][0] == f"monitors-{component}.monitors.svc"
        assert {"server auth", "client auth"} <= set(certificate["usages"])


def test_only_the_services_of_the_mesh_are_services_and_the_bridge_is_none() -> None:
    for component in SERVED:
        [container] = pod_of("mesh-mtls", component)["spec"]["containers"]
        [names] = [each["value"] for each in container["env"] if each["name"] == "MONITORS_TLS_SERVICES"]
        assert set(names.split(",")) == {f"monitors-{each}.monitors.svc" for each in SERVED}


@each_mesh
def test_only_rule_service_the_notifier_and_the_migration_reach_the_database(name: str) -> None:
    reaching = {
        policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for policy in of_kind(name, "NetworkPolicy").values()
        if any(port["port"] == 3306 for rule in policy["spec"].get("egress", ()) for port in rule["ports"])
    }
    assert reaching == {"rules", "notifier", "migrate"}


@each_mesh
def test_the_evaluator_is_called_by_rule_service_alone(name: str) -> None:
    [calls] = [rule for rule in _policy(name, "evaluator")["ingress"] if rule["ports"] == [_tcp(50051)]]
    callers = {peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in calls["from"]}
    assert callers == {"rules", "test"}


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}


# Migration, secrets, metrics.


@each_mesh
def test_the_tables_are_brought_up_to_date_before_anything_starts(name: str) -> None:
    job = of_kind(name, "Job")["monitors-migrate"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["db", "upgrade"]
    [rules] = pod_of(name, "rules")["spec"]["containers"]
    assert container["image"] == rules["image"]


def test_secrets_out_of_a_store_are_there_for_the_migration_too() -> None:
    external = of_kind("mesh-external-secrets", "ExternalSecret")
    for component in ("rules", "migrate"):
        volumes = {volume["name"]: volume for volume in pod_of("mesh-external-secrets", component)["spec"]["volumes"]}
        mounted = {source["secret"]["name"] for source in volumes["secrets"]["projected"]["sources"]}
        made_by = "monitors-migrate" if component == "migrate" else "monitors-secrets"
        assert mounted == {external[made_by]["spec"]["target"]["name"]}


@each_mesh
def test_a_pod_gets_only_the_secrets_that_it_has_use_for(name: str) -> None:
    assert "DATABASE_URL" not in secrets_of(pod_of(name, "evaluator"))
    signs = {"MONITORS_BRIDGE_SECRET"} if name == "mesh-sign-in" else set()
    exports = {"OTEL_EXPORTER_OTLP_HEADERS"} if name == "mesh-ha" else set()
    assert secrets_of(pod_of(name, "bridge")) == {"MONITORS_MCP_STATE_KEY"} | signs | exports
    with_master_keys = [label for label, pod in pods(name) if "MONITORS_MASTER_KEYS" in secrets_of(pod)]
    assert with_master_keys == [f"{name}: Deployment/monitors-notifier"]


def test_prometheus_scrapes_every_service_that_has_metrics() -> None:
    [monitor] = of_kind("mesh-ha", "ServiceMonitor").values()
    [expression] = monitor["spec"]["selector"]["matchExpressions"]
    with_metrics = {
        service["metadata"]["labels"]["app.kubernetes.io/component"]
        for service in of_kind("mesh-ha", "Service").values()
        if "metrics" in {port["name"] for port in service["spec"]["ports"]}
    }
    assert with_metrics == {"rules", "evaluator", "notifier"}
    assert with_metrics <= set(expression["values"])


@each_set
def test_a_service_leads_to_a_port_that_its_pods_have(name: str) -> None:
    for label, service in of_kind(name, "Service").items():
        wanted = service["spec"]["selector"].items()
        found = [pod for _, pod in pods(name) if wanted <= pod["metadata"]["labels"].items()]
        assert len(found) == 1, label
        ports = {port["name"] for each in found[0]["spec"]["containers"] for port in each["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, label


@each_set
def test_clients_of_grpc_see_every_pod(name: str) -> None:
    for label, service in of_kind(name, "Service").items():
        if "grpc" in {port["name"] for port in service["spec"]["ports"]}:
            assert service["spec"]["clusterIP"] == "None", label


# The embedded variant, and upgrades.


def test_without_any_values_there_is_one_pod_with_a_volume_that_stays() -> None:
    [workload] = of_kind("embedded", "StatefulSet").values()
    assert workload["spec"]["replicas"] == 1
    assert workload["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"
    [claim] = workload["spec"]["volumeClaimTemplates"]
    [container] = workload["spec"]["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    [home] = [variable["value"] for variable in container["env"] if variable["name"] == "MONITORS_HOME"]
    # The folder is made inside of the volume, whose own root belongs to root.
    assert home.startswith(f"{mounts[claim['metadata']['name']]}/")


@each_set
def test_what_selects_pods_has_nothing_in_it_that_another_version_changes(name: str) -> None:
    for workload in of_kind(name, "Deployment", "StatefulSet").values():
        selector = workload["spec"]["selector"]["matchLabels"]
        assert selector.keys() == {
            "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"
        }  # fmt: skip


def test_images_are_named_by_digest_where_the_values_give_it() -> None:
    images = {each["image"] for _, pod in pods("mesh-ha") for each in _containers(pod)}
    assert all(image.startswith("registry.example.org/alerting/monitors-") and "@sha256:" in image for image in images)


@each_set
def test_everything_lies_in_the_namespace_of_the_release(name: str) -> None:
    outside = [each["metadata"] for each in objects(name) if each["kind"] != "Namespace"]
    assert [meta["name"] for meta in outside if meta["namespace"] != "monitors"] == []
