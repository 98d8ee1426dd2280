"""Attacks a coordinator while honest work goes on: without keys and with them, from without and from within."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hostile_insiders
import hostile_strangers
from hostile_cluster import RECIPE, Cluster, Violation
from hostile_keys import make_keys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--only", choices=["open", "keyed"], help="one kind of coordinator")
    parser.add_argument("--part", choices=["strangers", "insiders"], help="one kind of attacker")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="expomerge-hostile-") as folder:
        work = Path(folder)
        models, expected = work / "models", work / "expected"
        scripts = Path(__file__).parent
        subprocess.run([sys.executable, scripts / "make_large_pair.py", models, "--seed", "1"], check=True)
        merge = [arguments.binary, "merge", "--quiet", "--sft", models / "sft", "--aligned", models / "aligned", *RECIPE]
        subprocess.run([*merge, "--output", expected], check=True, stderr=subprocess.DEVNULL)
        keys = make_keys(arguments.binary, work)
        for kind in ("open", "keyed"):
            if arguments.only not in (None, kind):
                continue
            print(f"-- a coordinator {'with' if kind == 'keyed' else 'without'} keys", flush=True)
            (work / kind).mkdir()
            cluster = Cluster(arguments.binary, work / kind, models, expected, keys if kind == "keyed" else None)
            try:
                cluster.start()
                if arguments.part != "insiders":
                    hostile_strangers.run(cluster)
                if arguments.part != "strangers":
                    hostile_insiders.run(cluster)
                cluster.end()
                if arguments.part != "strangers":
                    hostile_insiders.check_texts(cluster)
                print(f"{cluster.jobs} honest jobs were done meanwhile", flush=True)
            except (Violation, AssertionError) as violation:
                print(f"error: {violation}\n-- the end of the coordinator's log", file=sys.stderr)
                print("\n".join(line[:300] for line in cluster.log.read_text(errors="replace").splitlines()[-20:]), file=sys.stderr)
                return 1
            finally:
                cluster.kill()
    print(f"passed in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
