"""Fuzzes every target in turn: ``./scripts/fuzz [--executions N] [--minutes M] [--only NAME]…``.

Each round gives each target some seconds in a process of its own, until so many inputs were executed in all or the time is over.
What was found stays in the folder, and the next call goes on from there; its figures are those of all calls together.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.targets import TARGETS

# What libFuzzer calls an input that ends the process.
ENDINGS = ("crash-*", "timeout-*", "oom-*", "leak-*")


def fuzz(name, folder, *, executions, seconds, seed, engine):
    """Fuzz a target in a process of its own; return its figures."""
    place = folder / name
    figures = place / "figures.json"
    figures.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "tests.fuzz.one", name, str(place), "--executions", str(executions), "--seconds", str(seconds),
        "--seed", str(seed), *(["--engine", engine] if engine else []),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    found = json.loads(figures.read_text()) if figures.exists() else {"executions": 0, "accepted": 0, "faults": {}}
    ended = sorted(str(path) for pattern in ENDINGS for path in place.glob(pattern))
    if done.returncode or ended:
        said = (done.stdout + done.stderr)[-4_000:]
        found["faults"][f"the process ended ({done.returncode})"] = {
            "file": ", ".join(ended),
            "inputs": 1,
            "traceback": said,
        }
    return found


def add(totals, found):
    """Add the figures of one process to those before."""
    for key in ("executions", "accepted"):
        totals[key] = totals.get(key, 0) + found[key]
    known = totals.setdefault("faults", {})
    for kind, fault in found["faults"].items():
        known[kind] = {**fault, "inputs": fault["inputs"] + known.get(kind, {}).get("inputs", 0)}


def table(totals, folder):
    """Return the figures as a table of Markdown."""
    lines = ["| target | executions | accepted | inputs kept | faults |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, one in totals.items():
        kept = len(list((folder / name / "corpus").glob("*")))
        lines.append(f"| {name} | {one['executions']:,} | {one['accepted']:,} | {kept:,} | {len(one['faults'])} |")
    executions, faults = (
        sum(one["executions"] for one in totals.values()),
        sum(len(one["faults"]) for one in totals.values()),
    )
    accepted = sum(one["accepted"] for one in totals.values())
    return "\n".join([*lines, f"| all | {executions:,} | {accepted:,} | | {faults} |"])


def main():
    """Run rounds, print the table, exit with 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=100_000, help="of all targets together (default: 100,000)")
    parser.add_argument("--minutes", type=float, default=60.0, help="after which no target is begun (default: 60)")
    parser.add_argument("--seconds", type=int, default=10, help="of a target in a round (default: 10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", metavar="NAME", choices=sorted(TARGETS))
    parser.add_argument("--engine", choices=("atheris", "seeded"), help="default: Atheris where it is installed")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="default: build/fuzz")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    kept = given.folder / "totals.json"
    totals = json.loads(kept.read_text()) if kept.exists() else {}
    names, until = given.only or list(TARGETS), time.monotonic() + 60 * given.minutes
    done, share = 0, max(1, given.executions // len(names))
    while done < given.executions and time.monotonic() < until:
        # Those with the fewest rounds come first, so that pieces of any length add up.
        for name in sorted(names, key=lambda name: totals.get(name, {}).get("rounds", 0)):
            left = given.executions - done
            if left <= 0 or time.monotonic() >= until:
                break
            one = totals.setdefault(name, {})
            found = fuzz(
                name, given.folder, executions=min(left, share), seconds=given.seconds, seed=given.seed + one.get("rounds", 0), engine=given.engine
            )  # fmt: skip
            add(one, found)
            one["rounds"] = one.get("rounds", 0) + 1
            done += found["executions"]
            kept.write_text(json.dumps(totals, indent=1))
            print(
                f"{name}: {found['executions']:,} executions", *found["faults"], sep="\n  ", file=sys.stderr, flush=True
            )
    print(table(totals, given.folder))
    for name, one in totals.items():
        for kind, fault in one["faults"].items():
            print(f"\n{name}: {kind}, {fault['inputs']} inputs, such as {fault['file']}\n{fault['traceback']}")
    sys.exit(any(one["faults"] for one in totals.values()))


if __name__ == "__main__":
    main()
