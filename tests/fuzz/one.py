"""Fuzzes one target in this process: ``python -m tests.fuzz.one TARGET FOLDER --executions N --seconds S [--engine seeded]``.

With Atheris, coverage of the package decides which inputs are changed further; they stay in FOLDER/corpus for the next time. Without
it, inputs are made from the seeds alone. FOLDER/figures.json has the figures of the run.
"""

import argparse
import faulthandler
import importlib.util
import os
import random
import sys
import tempfile
import time
from pathlib import Path

# Seconds after which an input counts as one that hangs, MiB after which one counts as a bomb; bytes that an input has at most,
# unless a seed has more.
HANGS, BOMBS, LONGEST = 60, 3_000, 16_384
# Seconds between two writes of the figures: libFuzzer ends the process without a word to Python.
WRITES_EVERY = 0.5


def seeded(watched, seeds, executions, seconds, seed):
    """Change the seeds at random, one to three times each, as the tests do."""
    from tests.mutations import damaged

    draw = random.Random(seed)
    until = time.monotonic() + seconds
    while watched.executions < executions and time.monotonic() < until:
        data = draw.choice(seeds)
        for _ in range(draw.randint(1, 3)):
            data = data[:1] + damaged(data[1:], draw) if draw.random() < 0.9 else damaged(data, draw)
        faulthandler.dump_traceback_later(HANGS, exit=True)
        watched(data)
    faulthandler.cancel_dump_traceback_later()


def guided(watched, seeds, executions, seconds, seed, folder):
    """Let libFuzzer change what has reached new code; does not return."""
    import atheris

    from tests.mutations import damaged

    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, content in enumerate(seeds):
        (corpus / f"seed-{number:02}").write_bytes(content)

    def change(data, most, number):
        draw = random.Random(number)
        if draw.random() < 0.2:  # what keeps JSON whole goes deeper than changes of bytes
            changed = data[:1] + damaged(data[1:], draw)
            return changed[:most]
        return atheris.Mutate(data, most)

    options = [
        f"-runs={executions}",
        f"-max_total_time={seconds}",
        f"-max_len={max(LONGEST, *map(len, seeds), 1)}",
        f"-timeout={HANGS}",
        f"-rss_limit_mb={BOMBS}",
        f"-seed={seed + 1}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup(["fuzz", *options, str(corpus)], watched, custom_mutator=change)
    atheris.Fuzz()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--executions", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=("atheris", "seeded"))
    given = parser.parse_args()
    engine = given.engine or ("atheris" if importlib.util.find_spec("atheris") else "seeded")
    given.folder.mkdir(parents=True, exist_ok=True)
    if engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["dialog_policy"]):
            from tests.fuzz.targets import TARGETS
    else:
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.watch import Watched

    figures = given.folder / "figures.json"
    in_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=in_memory) as scratch:
        target, seeds = TARGETS[given.target].make(Path(scratch))
        watched = Watched(target, given.folder)
        for content in seeds:
            watched(content)
        if watched.faults or not watched.accepted:
            watched.write(figures)
            sys.exit(f"{given.target}: no seed is accepted, or one has a fault")
        watched.write(figures)

        written = time.monotonic()

        def counted(data):
            nonlocal written
            watched(data)
            if time.monotonic() - written > WRITES_EVERY:
                watched.write(figures)
                written = time.monotonic()

        if engine == "atheris":
            guided(counted, seeds, given.executions, given.seconds, given.seed, given.folder)
        seeded(watched, seeds, given.executions, given.seconds, given.seed)
    watched.write(figures)


if __name__ == "__main__":
    main()
