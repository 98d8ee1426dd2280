"""Does what the last stage of the Containerfile says in a Debian without a kernel, and runs compose.yaml's services in it.

It is no container runtime, but what could go wrong in one does here: libraries that the image lacks, users, read-only
roots, owners of volumes, names, health checks. Run it as root in namespaces of mounts and processes made for the purpose;
"build" with a network, "run" in one of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from containerfile import parse
from containers import PATIENCE, confined, dependencies, libraries, mount, run, same
from kustomize import Object

PRIVATE = ["dev", "proc"]


def build(base: Path, root: Path, binary: Path, work: Path) -> None:
    """Leaves in work/image the root of the image, whose program is the binary given."""
    image = work / "image"
    for name in "upper", "workdir", "image":
        (work / name).mkdir()
    mount("-t", "overlay", "overlay", "-o", f"lowerdir={base},upperdir={work}/upper,workdir={work}/workdir", str(image))
    for name in PRIVATE:
        mount("--rbind", f"/{name}", str(image / name))
    shutil.copy("/etc/resolv.conf", image / "etc/resolv.conf")
    for name, value in parse(root / "Cluster/container/Containerfile")[-1].steps:
        if name == "RUN":
            subprocess.run(["chroot", image, "/bin/sh", "-c", value], check=True, stdout=subprocess.DEVNULL, timeout=300)
    for origin, sources, target, mode in parse(root / "Cluster/container/Containerfile")[-1].copies:
        [source] = sources
        copied = image / target.lstrip("/")
        shutil.copy(binary if origin else root / source, copied)
        if mode:
            copied.chmod(mode)
    add_swift(image, binary)


def add_swift(image: Path, binary: Path) -> None:
    """Brings what a debug build needs besides: Swift's libraries, to be mounted, and what only these are linked with."""
    folders = libraries(binary)
    linked = dependencies(binary)
    own = {path for path in linked if path.parent in folders}
    less = {path for path in linked if path.name.startswith(("libzmq.", "libsqlite3.", "libstdc++."))}
    for library in set().union(*map(dependencies, own)) - own - less - set().union(*map(dependencies, less)):
        shutil.copy(library, image / "usr/local/lib" / library.name)
    for folder in folders:
        (image / folder.relative_to("/")).mkdir(parents=True)
    subprocess.run(["chroot", image, "ldconfig"], check=True)


class Services:
    def __init__(self, root: Path, binary: Path, work: Path) -> None:
        self.work, self.image, self.binary = work, work / "image", binary
        self.services: dict[str, Object] = yaml.safe_load((root / "Cluster/container/compose.yaml").read_text())["services"]
        last = parse(root / "Cluster/container/Containerfile")[-1]
        [user] = last.all("USER")
        self.user, self.group = (int(word) for word in user.split(":"))
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.keepers: dict[str, subprocess.Popen[bytes]] = {}
        addresses = [f"10.77.0.{number} {name}\n" for number, name in enumerate(self.services, 1)]
        (self.image / "etc/hosts").write_text("127.0.0.1 localhost\n" + "".join(addresses))
        subprocess.run("ip link set lo up; ip link add bridge type bridge; ip link set bridge up", shell=True, check=True)
        for number, name in enumerate(self.services, 1):
            self.connect(name, f"10.77.0.{number}/24")
            self.mount_root(name)

    def connect(self, name: str, address: str) -> None:
        keeper = self.keepers[name] = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{keeper.pid}/ns/net") == own:
            time.sleep(0.02)
        words = f"ip link add {name} type veth peer name eth0 netns {keeper.pid} && ip link set {name} master bridge up"
        subprocess.run(words, shell=True, check=True)
        for command in ["link set lo up", "link set eth0 up", f"address add {address} dev eth0"]:
            self.on(name, "ip", *command.split()).wait()

    def on(self, name: str, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["nsenter", f"--net=/proc/{self.keepers[name].pid}/ns/net", "--", *words], **options)

    def mount_root(self, name: str) -> None:
        root = self.work / "roots" / name
        root.mkdir(parents=True)
        mount("--bind", str(self.image), str(root))
        for folder in libraries(self.binary):
            mount("--bind", str(folder), str(root / folder.relative_to("/")))
        for folder_name in PRIVATE:
            mount("--rbind", f"/{folder_name}", str(root / folder_name))
        for volume in self.services[name]["volumes"]:
            source, target, *how = volume.split(":")
            place = root / target.lstrip("/")
            mount("--bind", str(self.volume(source, self.image / target.lstrip("/"))), str(place))
            if how == ["ro"]:
                mount("-o", "remount,bind,ro", str(place))
        if self.services[name]["read_only"]:
            mount("-o", "remount,bind,ro", str(root))

    def volume(self, name: str, like: Path) -> Path:
        """A new one has the owner and the mode of the image's folder."""
        folder = self.work / "volumes" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            shutil.copymode(like, folder)
            os.chown(folder, like.stat().st_uid, like.stat().st_gid)
        return folder

    def execute(self, name: str, words: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return self.on(name, "chroot", str(self.work / "roots" / name), *confined(self.user, self.group), *words, **options)

    def start(self, name: str) -> None:
        service = self.services[name]
        words = [*service.get("entrypoint", ["expomerge"]), *(word.replace("$$", "$") for word in service["command"])]
        log = (self.work / f"{name}.log").open("wb")
        self.running[name] = self.execute(name, words, stdout=log, stderr=log)

    def finish(self, name: str) -> None:
        if self.running.pop(name).wait(PATIENCE):
            sys.exit(f"{name} has failed: {self.log(name)}")

    def log(self, name: str) -> str:
        return (self.work / f"{name}.log").read_text()[-2000:]

    def is_healthy(self, name: str) -> bool:
        return self.execute(name, self.services[name]["healthcheck"]["test"][1:]).wait(PATIENCE) == 0

    def begin(self, name: str) -> None:
        """Starts a daemon, which is healthy from then on, and not before."""
        if self.is_healthy(name):
            sys.exit(f"{name} is healthy before it runs")
        self.start(name)
        end = time.monotonic() + PATIENCE
        while not self.is_healthy(name):
            if self.running[name].poll() is not None or time.monotonic() > end:
                sys.exit(f"{name} does not become healthy: {self.log(name)}")
            time.sleep(0.1)

    def end(self, name: str) -> None:
        self.running[name].send_signal(signal.SIGTERM)
        self.finish(name)
        if self.is_healthy(name):
            sys.exit(f"{name} is healthy when it has ended")


def try_out(services: Services, binary: Path, work: Path) -> None:
    for name in "keys", "sample", "keys":
        services.start(name)
        services.finish(name)
    services.begin("coordinator")
    # One after the other, so that each has the job to itself.
    for name, reaches in {"worker-1": "output direct", "worker-2": "output streamed"}.items():
        services.begin(name)
        services.start("submit")
        services.finish("submit")
        if not any(f"worker {name} is ready" in line and reaches in line for line in services.log("coordinator").splitlines()):
            sys.exit(f"{name} does not have its {reaches}: {services.log('coordinator')}")
        shutil.move(work / "volumes/models/merged", work / name)
        services.end(name)
    services.end("coordinator")
    pair, single = work / "volumes/models/pair", work / "single"
    run(binary, "merge", "--quiet", "--sft", pair / "sft", "--aligned", pair / "aligned", "--alpha", "0.3", "--output", single)
    if not same(single, work / "worker-1") or not same(single, work / "worker-2"):
        sys.exit("the merges differ from that on one machine")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["build", "run"])
    parser.add_argument("root", type=Path, help="the repository")
    parser.add_argument("--base", type=Path, required=True, help="a Debian, as debootstrap makes it")
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    if options.step == "build":
        build(options.base, options.root, options.binary, options.work)
        return
    services = Services(options.root, options.binary, options.work)
    try_out(services, options.binary, options.work)
    print("the image's last stage was made, and its services merged: health checks, volumes and bytes are right")


if __name__ == "__main__":
    main()
