"""Runs the containers of Cluster/kubernetes as processes: their commands, user, volumes and probes, without a cluster.

Each pod has a root folder of its own, read-only but for its volumes, and no privileges. Run it as root in namespaces of
networks, mounts and processes made for the purpose; all pods share the network.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from containers import (
    PATIENCE,
    SYSTEM,
    answers,
    bind,
    confined,
    libraries,
    mount,
    run,
    same,
)
from kustomize import Object, documents, render

SETTINGS = ["ld.so.cache", "nsswitch.conf", "passwd", "group", "alternatives"]


class Cluster:
    def __init__(self, work: Path, binary: Path, objects: list[Object]) -> None:
        self.work, self.binary, self.objects = work, binary, objects
        self.libraries = libraries(binary)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def workload(self, kind: str) -> Object:
        return next(item for item in self.objects if item["kind"] == kind)

    def pod(self, kind: str, variables: dict[str, str]) -> Pod:
        return Pod(self, kind, self.workload(kind), variables)

    def published(self, kind: str, name: str, user: int) -> Path:
        """The files of a Secret or a ConfigMap, behind links as the kubelet has them, so that they change at once."""
        folder = self.work / "published" / f"{kind}-{name}"
        if not folder.exists():
            item = next(item for item in self.objects if (item["kind"], item["metadata"].get("name")) == (kind, name))
            self.publish(folder, item.get("stringData") or item["data"], user, 0o440 if kind == "Secret" else 0o644)
        return folder

    def publish(self, folder: Path, files: dict[str, str], user: int, mode: int) -> None:
        version = folder / f"..{time.monotonic_ns()}"
        version.mkdir(parents=True, mode=0o755)
        for name, text in files.items():
            (version / name).write_text(text)
            os.chown(version / name, 0, user)
            (version / name).chmod(mode)
        (folder / "..new").symlink_to(version.name)
        (folder / "..new").rename(folder / "..data")
        for name in files:
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")
        for link in folder.iterdir():
            if not link.name.startswith("..") and link.name not in files:
                link.unlink()


class Pod:
    def __init__(self, cluster: Cluster, kind: str, workload: Object, variables: dict[str, str]) -> None:
        self.cluster, self.name, self.variables = cluster, kind, variables
        self.spec: Object = workload["spec"]["template"]["spec"]
        self.user: int = self.spec["securityContext"]["runAsUser"]
        self.group: int = self.spec["securityContext"]["fsGroup"]
        self.claims = [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])]

    def volume(self, name: str) -> Path:
        volume: Object = next((one for one in self.spec["volumes"] if one["name"] == name), {})
        if "secret" in volume:
            return self.cluster.published("Secret", volume["secret"]["secretName"], self.group)
        if "configMap" in volume:
            return self.cluster.published("ConfigMap", volume["configMap"]["name"], 0)
        shared = volume.get("persistentVolumeClaim")
        folder = self.cluster.work / "volumes" / (shared["claimName"] if shared else f"{self.name}-{name}")
        if not folder.exists():
            # An empty volume is root's, of the pod's group, as fsGroup has it.
            folder.mkdir(parents=True)
            os.chown(folder, 0, self.group)
            folder.chmod(0o2775)
        return folder

    def root(self, container: Object) -> Path:
        """A root folder with the system, the program and the container's volumes."""
        root = self.cluster.work / "roots" / f"{self.name}-{container['name']}"
        root.mkdir(parents=True)
        mount("-t", "tmpfs", "tmpfs", str(root))
        for source in [Path("/", folder) for folder in SYSTEM] + self.cluster.libraries:
            if source.exists():
                bind(source, root / source.relative_to("/"), "--rbind")
        (root / "etc").mkdir()
        for name in SETTINGS:
            if (source := Path("/etc", name)).is_dir():
                shutil.copytree(source, root / "etc" / name, symlinks=True)
            elif source.exists():
                shutil.copy(source, root / "etc" / name)
        services = " ".join(item["metadata"]["name"] for item in self.cluster.objects if item["kind"] == "Service")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost {services}\n")
        (root / "expomerge").touch()
        mount("--bind", str(self.cluster.binary), str(root / "expomerge"))
        for one in container["volumeMounts"]:
            bind(self.volume(one["name"]), root / one["mountPath"].lstrip("/"), "--bind")
            if one.get("readOnly"):
                mount("-o", "remount,bind,ro", str(root / one["mountPath"].lstrip("/")))
        mount("-o", "remount,ro", str(root))
        return root

    def start(self, container: Object) -> subprocess.Popen[bytes]:
        words = container.get("command") or ["/expomerge", *container["args"]]
        for name, value in self.variables.items():
            words = [word.replace(f"$({name})", value) for word in words]
        log = (self.cluster.work / f"{self.name}-{container['name']}.log").open("wb")
        words = ["chroot", str(self.root(container)), *confined(self.user, self.group), *words]
        return subprocess.Popen(words, stdout=log, stderr=log)

    def begin(self) -> None:
        for container in self.spec["initContainers"]:
            if self.start(container).wait(PATIENCE):
                sys.exit(f"{self.name}, {container['name']} has failed: {self.log(container['name'])}")
        [container] = self.spec["containers"]
        self.cluster.running[self.name] = self.start(container)

    def log(self, container: str) -> str:
        return (self.cluster.work / f"{self.name}-{container}.log").read_text()[-2000:]

    def end(self, signal: int | None = None) -> None:
        process = self.cluster.running.pop(self.name)
        if signal:
            process.send_signal(signal)
        if process.wait(PATIENCE):
            sys.exit(f"{self.name} has ended with {process.returncode}: {self.log(self.spec['containers'][0]['name'])}")

    def succeed(self, *probes: str) -> None:
        """Waits until its probes are answered as the kubelet wants it."""
        [container] = self.spec["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in probes:
            get = container[probe]["httpGet"]
            self.wait(f"{probe} succeeds", lambda get=get: answers(f"http://127.0.0.1:{ports[get['port']]}{get['path']}"))

    def wait(self, what: str, is_so: Any) -> None:
        end = time.monotonic() + PATIENCE
        while not is_so():
            if self.cluster.running[self.name].poll() is not None or time.monotonic() > end:
                sys.exit(f"{self.name}: in vain until {what}: {self.log(self.spec['containers'][0]['name'])}")
            time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a folder with a kustomization")
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--keys", type=Path, required=True, help="what Scripts/kubernetes-keys has printed")
    parser.add_argument("--example", type=Path, required=True, help="the Job that hands in a merge")
    parser.add_argument("--work", type=Path, required=True, help="an empty folder")
    options = parser.parse_args()
    objects = render(options.folder) + documents(options.keys) + documents(options.example)
    cluster = Cluster(options.work, options.binary, objects)
    coordinator, worker = cluster.pod("StatefulSet", {}), cluster.pod("DaemonSet", {"WORKER_NAME": "node-1"})
    job = cluster.pod("Job", {})
    models = worker.volume("models")
    run(options.binary, "sample", "--quiet", "--shape", "tiny", "--output", options.work / "pair")
    for side in "sft", "aligned":
        shutil.move(options.work / "pair" / side, models)
    run(options.binary, "merge", "--quiet", "--sft", models / "sft", "--aligned", models / "aligned", "--alpha", "0.3",
        "--output", options.work / "single")
    for pod in coordinator, worker:
        pod.begin()
        pod.succeed("startupProbe", "livenessProbe", "readinessProbe")
    job.begin()
    job.end()
    if not same(options.work / "single", models / "merged"):
        sys.exit("the merge differs from that on one machine")
    if "0 of 2 input files direct" in coordinator.log("coordinator") or "output direct" not in coordinator.log("coordinator"):
        sys.exit(f"the worker does not reach the models itself: {coordinator.log('coordinator')}")
    # Another version of the ConfigMap, as `kubectl apply` makes it.
    item = next(one for one in objects if one["metadata"].get("name") == "expomerge-authorized")
    folder = cluster.published("ConfigMap", "expomerge-authorized", 0)
    cluster.publish(folder, {name: text for name, text in item["data"].items() if name != "worker.key"}, 0, 0o644)
    coordinator.wait("the worker is sent away", lambda: "is sent away" in coordinator.log("coordinator"))
    worker.wait("it is not ready", lambda: not answers("http://127.0.0.1:5781/readyz"))
    worker.succeed("livenessProbe")
    for pod in worker, coordinator:
        pod.end(15)
    print("the containers of a coordinator, a worker and a job ran as they are, and probes, roles and bytes are right")


if __name__ == "__main__":
    main()
