"""Reading and writing what contenders share; the standard library only, since Rasa runs in an environment of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["dialogues", "main", "note_best_epoch", "sets_of", "tokens_of_turns", "write_decisions"]

_BEGIN = time.perf_counter()


def dialogues(folder: Path, part: str) -> list[dict[str, Any]]:
    """Return the dialogues of a part."""
    with (folder / f"{part}.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def sets_of(parts: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the distinct sets of actions of dialogues, in the order of their first turn."""
    seen = {tuple(sorted(turn["actions"])): None for d in parts for turn in d["turns"] if turn["actions"] is not None}
    return list(seen)


def tokens_of_turns(dialogue: dict[str, Any]) -> Iterator[tuple[list[str], list[str] | None]]:
    """Yield, for each turn, what a policy may see of it as words, and its actions: what the user said, the context, the actions before."""
    before: list[str] = []
    for turn in dialogue["turns"]:
        context = json.dumps(turn.get("context") or {}, ensure_ascii=False)
        said = (turn.get("user") or "").lower().split()
        marked = [f"context:{word}" for word in context.lower().split()] + [f"before:{name}" for name in before]
        yield [*said, *marked], turn["actions"]
        before = turn["actions"] or []


Decide = Callable[[dict[str, Any]], Iterator[list[str]]]


def note_best_epoch(out: Path, ends: list[float], values: list[float]) -> None:
    """Note how long training took until the epoch with the greatest value of the validation part.

    Parameters
    ----------
    out
        The contender's folder.
    ends
        When each epoch ended (``time.perf_counter``).
    values
        Of each epoch.
    """
    best = values.index(max(values))
    (out / "fit.json").write_text(json.dumps({"best_seconds": ends[best] - _BEGIN, "best_epoch": best + 1}))


def write_decisions(load: Callable[[Path], Decide], folder: Path, out: Path) -> None:
    """Write the decisions for the test part, and how long importing, loading and each of them took.

    Parameters
    ----------
    load
        Takes the contender's folder and returns what takes a dialogue and yields the actions of each turn, one after the other,
        also of turns that are history only. It is called twice: what the first call takes longer is the time of imports.
    folder, out
        The dialogues, and the contender's folder.
    """
    load(out)
    first = time.perf_counter()
    decide = load(out)
    loaded = time.perf_counter() - first
    imported = first - _BEGIN - loaded
    microseconds = []
    with (out / "predictions.jsonl").open("w", encoding="utf-8") as file:
        for dialogue in dialogues(folder, "test"):
            decisions = decide(dialogue)
            for number, turn in enumerate(dialogue["turns"]):
                begin = time.perf_counter()
                actions = next(decisions)
                microseconds.append((time.perf_counter() - begin) * 1e6)
                if turn["actions"] is not None:
                    line = {"dialogue": dialogue["id"], "turn": number, "actions": sorted(actions)}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
    (out / "predict.json").write_text(
        json.dumps({"import_seconds": imported, "load_seconds": loaded, "microseconds": microseconds})
    )


def main(fit: Callable[[Path, Path], None], load: Callable[[Path], Decide]) -> None:
    """Run a contender's command.

    Parameters
    ----------
    fit
        Takes the folder of dialogues and the contender's own; learns, and leaves there what it learnt.
    load
        Takes the contender's folder and returns what decides.
    """
    command, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if command == "fit":
        fit(folder, out)
    else:
        write_decisions(load, folder, out)
