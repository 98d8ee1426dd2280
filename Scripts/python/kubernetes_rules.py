"""What must be true of Cluster/kubernetes beyond its schemas, each rule a function that names what breaks it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

Object = dict[str, Any]

OF_THE_COORDINATOR = {"--sft", "--aligned", "--output"}
"""Options whose paths are not those of who says them."""

DAEMONS = {"StatefulSet", "DaemonSet", "Deployment"}


@dataclass
class Program:
    """The binary whose options the manifests use."""

    path: Path
    known: dict[str, set[str]] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        return self.say("--version").strip()

    def options(self, command: str) -> set[str]:
        if command not in self.known:
            self.known[command] = set(re.findall(r"^\s+(?:-\w, )?(--[a-z0-9-]+)", self.say(command, "--help"), re.MULTILINE))
        return self.known[command]

    def say(self, *words: str) -> str:
        return subprocess.run([self.path, *words], capture_output=True, text=True, check=True, timeout=30).stdout


@dataclass
class Set:
    """Everything that is applied together: a rendering, the keys, the examples."""

    objects: list[Object]
    program: Program

    def of(self, *kinds: str) -> list[Object]:
        return [item for item in self.objects if item["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object | None:
        return next((item for item in self.of(kind) if item["metadata"].get("name") == name), None)

    @property
    def workloads(self) -> list[Object]:
        return self.of(*DAEMONS, "Job")

    def pods(self, selector: Object) -> list[Object]:
        """Templates of pods that match labels."""
        wanted = selector.get("matchLabels", selector)
        return [
            template
            for template in (item["spec"]["template"] for item in self.workloads)
            if wanted.items() <= template["metadata"]["labels"].items()
        ]


def title(item: Object) -> str:
    return f"{item['kind']} {item['metadata'].get('name') or item['metadata']['generateName']}"


def containers(item: Object) -> list[Object]:
    pod = item["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def options(container: Object) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in container.get("args", [])[1:])}


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


# MARK: Rules


def is_confined(all_: Set) -> Iterator[str]:
    for item in all_.workloads:
        pod = item["spec"]["template"]["spec"]
        context = pod.get("securityContext", {})
        if not context.get("runAsNonRoot") or not context.get("runAsUser"):
            yield f"{title(item)} may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{title(item)} has no seccomp profile"
        if pod.get("automountServiceAccountToken") is not False or pod.get("enableServiceLinks") is not False:
            yield f"{title(item)} is given a token or variables that it does not need"
        for container in containers(item):
            wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            if container.get("securityContext") != wanted:
                yield f"{title(item)}, {container['name']} is not confined"


def is_limited(all_: Set) -> Iterator[str]:
    for item in all_.workloads:
        for container in containers(item):
            for kind in ("requests", "limits"):
                if container.get("resources", {}).get(kind, {}).keys() != {"cpu", "memory"}:
                    yield f"{title(item)}, {container['name']} has no {kind}"


def is_probed(all_: Set) -> Iterator[str]:
    wanted = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for item in all_.of(*DAEMONS):
        template = item["spec"]["template"]
        for container in template["spec"]["containers"]:
            for probe, path in wanted.items():
                get = container.get(probe, {}).get("httpGet", {})
                if get.get("path") != path or get.get("port") != "http":
                    yield f"{title(item)}, {container['name']} has no {probe} of {path}"
            served = port_of(options(container).get("--http", ":0"))
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            if ports.get("http") != served or template["metadata"]["annotations"]["prometheus.io/port"] != str(served):
                yield f"{title(item)} does not serve HTTP where it is looked for"


def has_time_to_end(all_: Set) -> Iterator[str]:
    for item in all_.of(*DAEMONS):
        if item["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30) < 60:
            yield f"{title(item)} is killed before it has drained"


def options_exist(all_: Set) -> Iterator[str]:
    for item in all_.workloads:
        for container in item["spec"]["template"]["spec"]["containers"]:
            for option in options(container).keys() - all_.program.options(container["args"][0]):
                yield f"{title(item)}: there is no {option} in expomerge {container['args'][0]} --help"


def images_are_tagged(all_: Set) -> Iterator[str]:
    for item in all_.workloads:
        for container in containers(item):
            if container["image"] != f"expomerge:{all_.program.version}":
                yield f"{title(item)}, {container['name']} has the image {container['image']}, not that of {all_.program.version}"


def volumes_exist(all_: Set) -> Iterator[str]:
    for item in all_.workloads:
        pod = item["spec"]["template"]["spec"]
        claims = {claim["metadata"]["name"] for claim in item["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"] for volume in pod["volumes"]} | claims
        for container in containers(item):
            for mount in container["volumeMounts"]:
                if mount["name"] not in volumes:
                    yield f"{title(item)}: there is no volume {mount['name']}"
        for volume in pod["volumes"]:
            claim = volume.get("persistentVolumeClaim")
            if claim and not all_.named("PersistentVolumeClaim", claim["claimName"]):
                yield f"{title(item)}: there is no PersistentVolumeClaim {claim['claimName']}"
            if "hostPath" in volume and enforced(all_) == "restricted":
                yield f"{title(item)} sees a folder of its node, which its namespace does not allow"


def enforced(all_: Set) -> str:
    [namespace] = all_.of("Namespace")
    return str(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"])


def files_exist(all_: Set) -> Iterator[str]:
    """Every path that a container is given lies on a volume, and those of keys are files that are there."""
    for item in all_.workloads:
        pod = item["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        copied = {container["command"][-1] for container in pod.get("initContainers", [])}
        for container in containers(item):
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            given = {name: value for name, value in options(container).items() if name not in OF_THE_COORDINATOR}
            words = [*container.get("command", []), *given.values()]
            for path in (word for word in words if word.startswith("/")):
                mount = mounts.get("/" + path.split("/")[1])
                if not mount:
                    yield f"{title(item)}, {container['name']}: {path} lies on no volume"
                    continue
                held = contents(all_, volumes.get(mount["name"], {}))
                if held is not None and path not in mounts and path.rpartition("/")[2] not in held:
                    yield f"{title(item)}, {container['name']}: there is no {path}"
                is_written = path in copied and container in pod.get("initContainers", [])
                if "emptyDir" in volumes.get(mount["name"], {}) and not is_written and path not in copied:
                    yield f"{title(item)}, {container['name']}: nobody puts {path} there"


def models_are_reached(all_: Set) -> Iterator[str]:
    """What is handed in lies where the coordinator may look, and workers have it in the same place."""
    roots = {item["kind"]: {options(one).get("--root") for one in containers(item)} - {None} for item in all_.of(*DAEMONS)}
    if len({frozenset(each) for each in roots.values()}) != 1:
        yield f"not all daemons have the same --root: {roots}"
    for item in all_.of("Job"):
        for container in item["spec"]["template"]["spec"]["containers"]:
            for name in OF_THE_COORDINATOR:
                path = options(container)[name]
                if not any(path.startswith(f"{root}/") for root in roots["StatefulSet"]):
                    yield f"{title(item)}: {path} is beneath no --root of the coordinator"


def contents(all_: Set, volume: Object) -> set[str] | None:
    """Names of files in a volume of keys; None for others."""
    if "secret" in volume:
        found = all_.named("Secret", volume["secret"]["secretName"])
        return set(found["stringData"]) if found else set()
    if "configMap" in volume:
        found = all_.named("ConfigMap", volume["configMap"]["name"])
        return set(found["data"]) if found else set()
    return None


def references_exist(all_: Set) -> Iterator[str]:
    for item in all_.workloads:
        for volume in item["spec"]["template"]["spec"]["volumes"]:
            if contents(all_, volume) == set():
                name = volume["secret"]["secretName"] if "secret" in volume else volume["configMap"]["name"]
                yield f"{title(item)}: there are no keys called {name}"
        if "serviceName" in item["spec"] and not all_.named("Service", item["spec"]["serviceName"]):
            yield f"{title(item)}: there is no Service {item['spec']['serviceName']}"
        for container in item["spec"]["template"]["spec"]["containers"]:
            address = options(container).get("--coordinator")
            if not address:
                continue
            service = all_.named("Service", address.removeprefix("tcp://").rpartition(":")[0])
            if not service or port_of(address) not in [port["port"] for port in service["spec"]["ports"]]:
                yield f"{title(item)}: no Service is at {address}"


def selectors_match(all_: Set) -> Iterator[str]:
    for item in all_.of(*DAEMONS):
        if item["spec"]["template"] not in all_.pods(item["spec"]["selector"]):
            yield f"{title(item)} does not select its own pods"
    for item in all_.of("Service", "PodDisruptionBudget", "NetworkPolicy"):
        selector = item["spec"]["podSelector" if item["kind"] == "NetworkPolicy" else "selector"]
        if not all_.pods(selector):
            yield f"{title(item)} selects no pods"
    for service in all_.of("Service"):
        for template in all_.pods(service["spec"]["selector"]):
            for port in service["spec"]["ports"]:
                if port["targetPort"] not in names_of_ports(template):
                    yield f"{title(service)}: its pods have no port {port['targetPort']}"


def names_of_ports(template: Object) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for one in template["spec"]["containers"] for port in one.get("ports", [])}


def network_is_open_where_needed(all_: Set) -> Iterator[str]:
    """Whoever has a coordinator's address gets there: past its own egress, and past the ingress of the coordinator."""
    [coordinator] = all_.pods({"app.kubernetes.io/component": "coordinator"})
    ports = names_of_ports(coordinator)
    for item in all_.workloads:
        template = item["spec"]["template"]
        for container in template["spec"]["containers"]:
            if "--coordinator" not in options(container):
                continue
            wanted = {ports["messages"]} | ({ports["slices"]} if container["args"][0] == "worker" else set())
            out = allowed(all_, "egress", "to", template, coordinator, ports)
            into = allowed(all_, "ingress", "from", coordinator, template, ports)
            if out != wanted or into != wanted:
                yield f"{title(item)} needs the ports {wanted}; it may go out to {out}, and the coordinator lets in {into}"


def allowed(all_: Set, direction: str, side: str, own: Object, other: Object, names: dict[str, int]) -> set[int]:
    found: set[int] = set()
    for policy in all_.of("NetworkPolicy"):
        if own not in all_.pods(policy["spec"]["podSelector"]):
            continue
        for rule in policy["spec"].get(direction, []):
            peers = [peer["podSelector"] for peer in rule[side] if "podSelector" in peer]
            if any(other in all_.pods(peer) for peer in peers):
                found |= {names.get(port["port"], port["port"]) for port in rule["ports"]}
    return found


def slots_fit(all_: Set) -> Iterator[str]:
    for item in all_.of(*DAEMONS):
        for container in item["spec"]["template"]["spec"]["containers"]:
            threads = options(container).get("--slots") or options(container).get("--threads")
            processors = container["resources"].get("limits", {}).get("cpu")
            if threads != processors:
                yield f"{title(item)}: {threads} threads for {processors} CPUs"


RULES: list[Callable[[Set], Iterator[str]]] = [
    is_confined,
    is_limited,
    is_probed,
    has_time_to_end,
    options_exist,
    images_are_tagged,
    volumes_exist,
    files_exist,
    models_are_reached,
    references_exist,
    selectors_match,
    network_is_open_where_needed,
    slots_fit,
]


def problems(all_: Set) -> list[str]:
    return [problem for rule in RULES for problem in rule(all_)]
