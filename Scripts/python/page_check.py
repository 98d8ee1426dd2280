"""Watches a merge on a coordinator's page in headless Chromium, and reads its metrics. Started by Scripts/page-test."""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

LIMIT = 180.0
"""Seconds until a merge must be complete."""
SIZES = {"desktop": (1280, 1000), "phone": (390, 1400)}


@contextlib.contextmanager
def daemon(binary: Path, work: Path, *arguments: str) -> Iterator[tuple[str, str]]:
    """Runs a daemon; gives its first address and that of its page."""
    log = work / f"{arguments[0]}.log"
    with log.open("w") as file:
        process = subprocess.Popen([binary, *arguments, "--http", "127.0.0.1:0"], stderr=file, cwd=work)
    try:
        yield found(log, r"tcp://\S+?:\d+", process), found(log, r"http://\S+", process)
        process.terminate()
        if process.wait(60) != 0:
            raise SystemExit(f"error: {arguments[0]} ended with {process.returncode}:\n{log.read_text()}")
    finally:
        process.kill()
        process.wait()


def found(log: Path, pattern: str, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if "shows itself" in log.read_text() and (match := re.search(pattern, log.read_text())):
            return match.group()
        if "shows itself" in log.read_text():
            return ""
        time.sleep(0.05)
    raise SystemExit(f"error: the daemon does not start:\n{log.read_text()}")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def chromium(*arguments: str, seconds: int = 3) -> str:
    # A profile of its own, or it would talk to one that runs.
    with tempfile.TemporaryDirectory() as profile:
        budget = f"--virtual-time-budget={seconds * 1000}"
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", budget]
        return subprocess.run([*command, *arguments], check=True, capture_output=True, text=True, timeout=120).stdout


def check_metrics(text: str) -> set[str]:
    """Every family has a type, a help, base units, and no series twice."""
    names: set[str] = set()
    for family in text_string_to_metric_families(text):
        names.add(family.name)
        assert family.type in {"gauge", "counter"} and family.documentation, family.name
        assert not re.search(r"milli|micro|kilo|mega|minutes|_ms$", family.name), family.name
        series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert len(series) == len(set(series)) > 0, family.name
        assert all("shard" not in sample.labels for sample in family.samples), family.name
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples), family.name
    return names


def check_oddities(page: str) -> None:
    """What the page makes of views that a merge seldom has: events that are alike, and a job that was over before the coordinator."""
    view = json.loads(get(page + "api/view"))
    event = {"at": 1_700_000_000_000, "level": "info", "text": "the same"}
    view["events"] = [event, {**event, "at": event["at"] - 1}, event]
    job = view["status"]["jobs"][0]
    counts = {key: 0 for key in ("bytes", "bytesDone", "shards", "shardsDone", "seconds")}
    view["status"]["jobs"] = [{**job, **counts, "files": [], "state": "complete", "phase": ""}]
    files = {f"/{name}": get(page + name).encode() for name in ("", "page.js", "page.css")}
    files["/api/view"] = json.dumps(view).encode()
    looks: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            looks.append(self.path)
            self.send_response(200)
            kinds = {"/page.js": "text/javascript", "/page.css": "text/css", "/": "text/html"}
            self.send_header("Content-Type", kinds.get(self.path, "application/json"))
            self.end_headers()
            self.wfile.write(files[self.path])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            dom = chromium("--dump-dom", f"http://127.0.0.1:{server.server_port}/", seconds=11)
        finally:
            server.shutdown()
    assert looks.count("/api/view") >= 3, looks
    assert dom.count("<li ") == 3, f"{dom.count('<li ')} events are shown of 3, after {looks.count('/api/view')} looks"
    assert '<span class="state">complete</span>' in dom and "0 of 0" not in dom and "0 B of 0 B" not in dom, dom
    assert re.search(r'<div class="bar" hidden="">', dom), "a bar of nothing is shown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="expomerge-page-"))
    try:
        watch(options.binary, work, options.keep)
    finally:
        shutil.rmtree(work)


def watch(binary: Path, work: Path, keep: Path | None) -> None:
    subprocess.run([binary, "sample", "--shape", "tiny", "--output", "pair", "--quiet"], cwd=work, check=True)
    with (
        daemon(binary, work, "coordinator", "--listen", "tcp://127.0.0.1:0", "--state", "state") as (address, page),
        daemon(binary, work, "worker", "--coordinator", address, "--root", "/", "--name", "<i>w</i>", "--limit-rate", "20kB") as (_, own),
    ):
        pair = ["--sft", "pair/sft", "--aligned", "pair/aligned", "--alpha", "0.3", "--shard-size", "64KiB"]
        subprocess.run([binary, "submit", "--coordinator", address, *pair, "--output", "merged"], cwd=work, check=True)
        seen: list[str] = []
        end = time.monotonic() + LIMIT
        while not seen or not seen[-1].startswith("complete"):
            assert time.monotonic() < end, f"after {LIMIT} s the page shows {seen}"
            text = re.search(r'<span class="state">([^<]*)</span>', chromium("--dump-dom", page))
            assert text, "the page shows no job"
            if not seen or seen[-1] != text[1]:
                seen.append(text[1])
                if len(seen) == 2 and keep:
                    shoot(page, keep)
        assert seen[-1] == "complete, 100 %", seen
        assert any(re.fullmatch(r"running, \d+(\.\d)? %", each) for each in seen), f"it was never seen running: {seen}"
        dom = chromium("--dump-dom", page)
        assert "&lt;i&gt;w&lt;/i&gt;" in dom and "<i>w</i>" not in dom, "names are text"
        jobs = json.loads(get(page + "api/jobs"))
        assert [job["state"] for job in jobs] == ["complete"]
        check_oddities(page)
        names = check_metrics(get(page + "metrics")) | check_metrics(get(own + "metrics"))
        documented = set(re.findall(r"`((?:expomerge|process)_\w+)`", (Path(__file__).parents[2] / "docs/monitoring.md").read_text()))
        shown = {name if f"{name}_total" not in documented else f"{name}_total" for name in names}
        assert shown <= documented, f"docs/monitoring.md lacks {shown - documented}"
        print(f"the page showed {', then '.join(seen)}; {len(names)} metrics are as Prometheus wants them")


def shoot(page: str, keep: Path) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    for name, (width, height) in SIZES.items():
        for scheme, flags in (("light", []), ("dark", ["--blink-settings=preferredColorScheme=0"])):
            chromium(*flags, "--hide-scrollbars", f"--window-size={width},{height}", f"--screenshot={keep / f'{name}-{scheme}.png'}", page)


main()
