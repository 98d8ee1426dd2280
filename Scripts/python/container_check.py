"""Checks Cluster/container without building it: the Containerfile against the repository, and compose.yaml against both."""

from __future__ import annotations

import argparse
import copy
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from containerfile import Stage, parse
from kubernetes_rules import Object, Program
from kustomize import render

DAEMONS = {"coordinator", "worker"}


@dataclass
class Files:
    root: Path
    stages: list[Stage]
    ignored: list[str]
    compose: Object
    program: Program

    @property
    def services(self) -> dict[str, Object]:
        return dict(self.compose["services"])

    @property
    def daemons(self) -> dict[str, Object]:
        return {name: service for name, service in self.services.items() if service["command"][0] in DAEMONS}


def options(service: Object) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition("=") for word in service["command"][1:])}


# MARK: Rules


def stages_fit(files: Files) -> Iterator[str]:
    releases = {word for stage in files.stages for word in re.split(r"[:-]", stage.image) if word in {"bookworm", "trixie"}}
    if len(releases) != 1:
        yield f"the stages are of {releases or 'no known release'}, not of one Debian"
    names = [stage.name for stage in files.stages]
    for stage in files.stages:
        for origin, sources, *_ in stage.copies:
            if origin and origin not in names:
                yield f"there is no stage {origin}"
            # What a stage takes from another, that one must have put there.
            made = [value for other in files.stages if other.name == origin for value in other.all("RUN")]
            if origin and not all(any(source in value for value in made) for source in sources):
                yield f"the stage {origin} makes no {sources}"


def sources_are_there(files: Files) -> Iterator[str]:
    used = [source for stage in files.stages for origin, sources, *_ in stage.copies if not origin for source in sources]
    for source in used:
        if not (files.root / source).exists():
            yield f"{source} is not there to be copied"
    admitted = [line[1:] for line in files.ignored if line.startswith("!")]
    if files.ignored[0] != "*" or sorted(admitted) != sorted(used):
        yield f"copied are {used}, but the ignore file lets through {admitted}"


def packages_exist(files: Files) -> Iterator[str]:
    for stage in files.stages:
        for package in stage.packages if shutil.which("apt-cache") else []:
            if subprocess.run(["apt-cache", "show", package], capture_output=True, check=False).returncode:
                yield f"Debian has no package {package}"


def is_built_like_here(files: Files) -> Iterator[str]:
    scripts = (files.root / "Scripts/lib/common.sh").read_text()
    [wanted] = re.findall(r"need_swift\n  need_packages (.*)", scripts)
    if sorted(files.stages[0].packages) != sorted(wanted.split()):
        yield f"a build needs {wanted}, and not {files.stages[0].packages}"
    [command] = re.findall(r"\(cd \"\$root\" && (swift build -c release .*) >&2\)", scripts)
    if not any(value.startswith(command) for value in files.stages[0].all("RUN")):
        yield f"it is not built by {command}"


def is_nobody_else(files: Files) -> Iterator[str]:
    pod = next(item for item in render(files.root / "Cluster/kubernetes/base") if item["kind"] == "DaemonSet")
    context = pod["spec"]["template"]["spec"]["securityContext"]
    wanted = f"{context['runAsUser']}:{context['runAsGroup']}"
    if files.stages[-1].all("USER") != [wanted]:
        yield f"the image's user is {files.stages[-1].all('USER')}, that of Kubernetes {wanted}"


def versions_agree(files: Files) -> Iterator[str]:
    version = files.program.version
    labels = dict(word.split("=", 1) for value in files.stages[-1].all("LABEL") for word in shlex.split(value))
    if labels.get("org.opencontainers.image.version") != version:
        yield f"the label names another version than {version}"
    for name, service in files.services.items():
        if service["image"] != f"expomerge:{version}":
            yield f"{name} has the image {service['image']}, not that of {version}"


def ports_are_exposed(files: Files) -> Iterator[str]:
    exposed = {port for value in files.stages[-1].all("EXPOSE") for port in value.split()}
    for name, service in files.daemons.items():
        port = options(service)["--http"].rpartition(":")[2]
        if port not in exposed or service["healthcheck"]["test"] != ["CMD", "expomerge-healthy", port]:
            yield f"{name} serves HTTP at {port}, which is not exposed or not what its health check asks"
    for value in files.stages[-1].all("HEALTHCHECK"):
        _, *asked = json.loads(value.partition("CMD")[2])
        served = {options(service)["--http"].rpartition(":")[2] for service in files.daemons.values()}
        if set(asked) != served:
            yield f"the image's health check asks {asked}, daemons serve {served}"


def services_are_confined(files: Files) -> Iterator[str]:
    for name, service in files.services.items():
        confined = service.get("read_only"), service.get("cap_drop"), service.get("security_opt")
        if confined != (True, ["ALL"], ["no-new-privileges:true"]):
            yield f"{name} is not confined"


def services_fit(files: Files) -> Iterator[str]:
    for name, service in files.services.items():
        for volume in service["volumes"]:
            if volume.partition(":")[0] not in files.compose["volumes"]:
                yield f"{name}: there is no volume {volume}"
        for other in service.get("depends_on", []):
            if other not in files.services:
                yield f"{name}: there is no service {other}"
        if "entrypoint" in service:
            continue
        for option in options(service).keys() - files.program.options(service["command"][0]):
            yield f"{name}: there is no {option} in expomerge {service['command'][0]} --help"
        address = options(service).get("--coordinator")
        if address and address.removeprefix("tcp://").partition(":")[0] not in files.services:
            yield f"{name}: no service is at {address}"


RULES: list[Callable[[Files], Iterator[str]]] = [
    stages_fit,
    sources_are_there,
    packages_exist,
    is_built_like_here,
    is_nobody_else,
    versions_agree,
    ports_are_exposed,
    services_are_confined,
    services_fit,
]


def problems(files: Files) -> list[str]:
    return [problem for rule in RULES for problem in rule(files)]


def change(stage: Stage, instruction: str, old: str, new: str) -> None:
    stage.steps = [(name, value.replace(old, new) if name == instruction else value) for name, value in stage.steps]


def command(files: Files, service: str, *words: str) -> None:
    files.compose["services"][service]["command"] += words


MISTAKES: dict[str, Callable[[Files], Any]] = {
    "not of one Debian": lambda f: setattr(f.stages[1], "image", "docker.io/library/debian:trixie-slim"),
    "there is no stage": lambda f: setattr(f.stages[0], "name", "other"),
    "makes no": lambda f: change(f.stages[1], "COPY", "/built/", "/elsewhere/"),
    "is not there to be copied": lambda f: change(f.stages[0], "COPY", "Sources Sources", "Source Sources"),
    "lets through": lambda f: f.ignored.append("!docs"),
    "Debian has no package": lambda f: change(f.stages[1], "RUN", "libzmq5", "libzmq55"),
    "a build needs": lambda f: change(f.stages[0], "RUN", "libxxhash-dev", ""),
    "is not built by": lambda f: change(f.stages[0], "RUN", "--static-swift-stdlib ", ""),
    "the image's user": lambda f: change(f.stages[1], "USER", "10001:10001", "root"),
    "the label names": lambda f: change(f.stages[1], "LABEL", "0.1.0", "0.0.1"),
    "has the image": lambda f: f.compose["services"]["submit"].update(image="expomerge:latest"),
    "not exposed": lambda f: command(f, "worker-1", "--http=*:5799"),
    "health check asks": lambda f: change(f.stages[1], "HEALTHCHECK", ', "5781"', ""),
    "is not confined": lambda f: f.compose["services"]["worker-2"].pop("read_only"),
    "there is no volume": lambda f: f.compose["volumes"].pop("state"),
    "there is no service": lambda f: f.compose["services"]["worker-2"]["depends_on"].update(key={}),
    "there is no --slot in": lambda f: command(f, "worker-1", "--slot=4"),
    "no service is at": lambda f: command(f, "submit", "--coordinator=tcp://head:5755"),
}
"""For each rule something that breaks it, and what it must say then."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="the repository")
    parser.add_argument("--binary", type=Path, required=True)
    given = parser.parse_args()
    folder: Path = given.root / "Cluster/container"
    ignored = (given.root / ".containerignore").read_text().splitlines()
    if (folder / "Containerfile.dockerignore").read_text().splitlines() != ignored:
        sys.exit("podman and docker would ignore other files: .containerignore and Containerfile.dockerignore differ")
    # Through JSON, as in YAML parts are shared.
    compose = json.loads(json.dumps(yaml.safe_load((folder / "compose.yaml").read_text())))
    files = Files(given.root, parse(folder / "Containerfile"), ignored, compose, Program(given.binary))
    if found := problems(files):
        sys.exit("\n".join(found))
    for said, spoil in MISTAKES.items():
        if said == "Debian has no package" and not shutil.which("apt-cache"):
            continue
        spoilt = copy.deepcopy(files)
        spoil(spoilt)
        if not any(said in problem for problem in problems(spoilt)):
            sys.exit(f"no rule has found that '{said}'")
    print(f"{len(files.stages)} stages, {len(files.services)} services; {len(MISTAKES)} mistakes found")


if __name__ == "__main__":
    main()
