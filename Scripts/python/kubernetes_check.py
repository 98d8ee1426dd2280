"""Checks Cluster/kubernetes without a cluster: schemas, rules, and what kubectl or kustomize renders if one is there."""

from __future__ import annotations

import argparse
import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import yaml

from kubernetes_rules import Object, Program, Set, problems, title
from kustomize import documents, render

VERSIONS = ["1.29", kubernetes_validate.latest_version()]
"""The oldest that is worth running, and the newest whose schemas there are."""


def check_schemas(objects: list[Object]) -> list[str]:
    found = []
    for item in objects:
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(item, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                found.append(f"{title(item)} is none of Kubernetes {version}: {error.message}")
    return found


def check_reader(folder: Path, objects: list[Object]) -> str | None:
    """Compares with the real thing. Nothing of it needs a cluster, and it shall not look for one.

    - Returns: the name of the real thing, or None where there is none.
    """
    commands = {"kubectl": ["kubectl", "kustomize"], "kustomize": ["kustomize", "build"]}
    name = next((name for name in commands if shutil.which(name)), None)
    if not name:
        return None
    done = subprocess.run(
        [*commands[name], str(folder)],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "KUBECONFIG": "/dev/null"},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    if done.returncode:
        sys.exit(f"{folder}: {name} says: {done.stderr}")
    real = {title(item): item for item in yaml.safe_load_all(done.stdout)}
    ours = {title(item): item for item in objects}
    if real != ours:
        names = [key for key in real.keys() | ours.keys() if real.get(key) != ours.get(key)]
        sys.exit(f"{folder}: {name} renders otherwise: {', '.join(sorted(names))}")
    return name


def pod(all_: Set, kind: str) -> Object:
    spec: Object = all_.of(kind)[0]["spec"]["template"]["spec"]
    return spec


def remove(place: Any, key: Any) -> None:
    del place[key]


def worker(all_: Set) -> Object:
    container: Object = pod(all_, "DaemonSet")["containers"][0]
    return container


MISTAKES: dict[str, Callable[[Set], Any]] = {
    "may run as root": lambda a: remove(pod(a, "StatefulSet")["securityContext"], "runAsNonRoot"),
    "no seccomp profile": lambda a: remove(pod(a, "Job")["securityContext"], "seccompProfile"),
    "a token or variables": lambda a: remove(pod(a, "DaemonSet"), "enableServiceLinks"),
    "is not confined": lambda a: remove(pod(a, "DaemonSet")["initContainers"][0], "securityContext"),
    "has no limits": lambda a: remove(worker(a)["resources"], "limits"),
    "has no livenessProbe": lambda a: remove(worker(a), "livenessProbe"),
    "does not serve HTTP": lambda a: worker(a)["ports"][0].update(containerPort=5782),
    "is killed before": lambda a: remove(pod(a, "DaemonSet"), "terminationGracePeriodSeconds"),
    "there is no --slot in": lambda a: worker(a)["args"].append("--slot=4"),
    "not that of": lambda a: worker(a).update(image="expomerge:0.0.1"),
    "there is no volume": lambda a: pod(a, "DaemonSet")["volumes"].pop(),
    "there is no PersistentVolumeClaim": lambda a: a.objects.remove(a.of("PersistentVolumeClaim")[0]),
    "a folder of its node": lambda a: pod(a, "DaemonSet")["volumes"].append({"name": "x", "hostPath": {"path": "/x"}}),
    "lies on no volume": lambda a: worker(a)["args"].append("--map=/elsewhere"),
    "there is no /server-key/head.key": lambda a: worker(a)["args"].append("--server-key=/server-key/head.key"),
    "nobody puts": lambda a: worker(a)["args"].append("--keys=/keys/other.key_secret"),
    "not all daemons": lambda a: worker(a)["args"].append("--root=/other"),
    "is beneath no --root": lambda a: pod(a, "Job")["containers"][0]["args"].append("--output=/models"),
    "there are no keys": lambda a: a.objects.remove(a.of("Secret")[0]),
    "there is no Service": lambda a: a.of("StatefulSet")[0]["spec"].update(serviceName="x"),
    "no Service is at": lambda a: worker(a)["args"].append("--coordinator=tcp://head:5755"),
    "does not select its own": lambda a: a.of("DaemonSet")[0]["spec"]["selector"]["matchLabels"].update(a="b"),
    "selects no pods": lambda a: a.of("PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"].update(a="b"),
    "its pods have no port": lambda a: a.of("Service")[0]["spec"]["ports"][0].update(targetPort="x"),
    "needs the ports": lambda a: a.objects.remove(a.of("NetworkPolicy")[2]),
    "threads for": lambda a: worker(a)["resources"]["limits"].update(cpu="8"),
}
"""For each rule something that breaks it, and what it must say then."""


def check_rules(all_: Set) -> None:
    for said, spoil in MISTAKES.items():
        spoilt = copy.deepcopy(all_)
        spoil(spoilt)
        if not any(said in problem for problem in problems(spoilt)):
            sys.exit(f"no rule has found that '{said}'")
    spoilt = copy.deepcopy(all_)
    worker(spoilt)["livenesProbe"] = {}
    if not check_schemas(spoilt.objects):
        sys.exit("the schemas allow what is misspelt")


def check_kustomizations(folder: Path) -> list[str]:
    """Files that no kustomization names would be forgotten."""
    used = set()
    for kustomization in folder.rglob("kustomization.yaml"):
        used |= set(re.findall(r"[\w-]+\.yaml", kustomization.read_text()))
    return [
        f"no kustomization names {file}"
        for file in folder.rglob("*.yaml")
        if file.name not in used | {"kustomization.yaml"} and file.parent.name != "examples"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Cluster/kubernetes")
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--keys", type=Path, required=True, help="what Scripts/kubernetes-keys has printed")
    options = parser.parse_args()
    program = Program(options.binary)
    besides = documents(options.keys) + [item for file in options.folder.glob("examples/*.yaml") for item in documents(file)]
    real = None
    for place in [options.folder / "base", *sorted((options.folder / "overlays").iterdir())]:
        objects = render(place)
        real = check_reader(place, objects)
        # In YAML that a person wrote, two objects may share a part.
        all_ = Set([copy.deepcopy(item) for item in objects + besides], program)
        if found := check_schemas(all_.objects) + problems(all_) + check_kustomizations(options.folder):
            sys.exit("\n".join(f"{place}: {problem}" for problem in found))
        if place.name == "base":
            check_rules(Set(yaml.safe_load(yaml.dump(all_.objects, Dumper=Plain)), program))
        print(f"{place.name}: {len(objects)} objects of Kubernetes {' and '.join(VERSIONS)}")
    print(f"{len(MISTAKES) + 1} mistakes found")
    print(f"rendered as {real} does" if real else "there is no kustomize to compare with")


class Plain(yaml.SafeDumper):
    """Without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


if __name__ == "__main__":
    main()
