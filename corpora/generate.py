"""Write the bundled corpus: a service desk that books restaurant tables, train tickets and doctor's appointments.

    python corpora/generate.py                                   # corpora/desk.jsonl, as it is in the repository
    python corpora/generate.py --dialogues 100000 --out big.jsonl

The program decides by rules what the desk does, so it knows which action sets are right in every turn and with which
probability it takes each. It prints the ceiling: the turn accuracy expected of a policy that always picks the most probable
one. The same seed writes the same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from desk import Desk, Language, load_languages

HERE = Path(__file__).parent
SPLITS = ("train", "train", "train", "train", "train", "train", "train", "train", "dev", "test")


def write_dialogue(number: int, seed: int, languages: dict[str, Language]) -> tuple[dict[str, Any], list[float]]:
    """One dialogue in the native format, and the ceiling of each of its target turns."""
    desk = Desk(f"{seed}:{number}", SPLITS[number % len(SPLITS)], languages)
    desk.run()
    dialogue = {
        "id": f"desk-{number:05}",
        "split": desk.split,
        "language": desk.language.name,
        "domains": desk.domains,
        "turns": desk.turns,
    }
    return dialogue, desk.ceilings


def generate(n_dialogues: int, seed: int) -> Iterator[tuple[dict[str, Any], list[float]]]:
    """Yield dialogues with the ceilings of their target turns, one at a time."""
    languages = load_languages(HERE / "phrases")
    for number in range(n_dialogues):
        yield write_dialogue(number, seed, languages)


def main() -> None:
    """Write the corpus and print what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogues", type=int, default=1200, metavar="N", help="how many (default: 1200)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="default: 1")
    parser.add_argument(
        "--out", type=Path, default=HERE / "desk.jsonl", metavar="FILE", help="default: corpora/desk.jsonl"
    )
    options = parser.parse_args()
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    actions: set[str] = set()
    with options.out.open("w", encoding="utf-8", newline="\n") as file:
        for dialogue, ceilings in generate(options.dialogues, options.seed):
            file.write(json.dumps(dialogue, ensure_ascii=False, separators=(",", ":")) + "\n")
            own = counts[dialogue["split"]]
            sets = [turn["actions"] for turn in dialogue["turns"] if turn["actions"] is not None]
            actions.update(action for chosen in sets for action in chosen)
            own["dialogues"] += 1
            own["turns"] += len(sets)
            own["several"] += sum(len(chosen) > 1 for chosen in sets)
            own["ceiling"] += sum(ceilings)
    print(f"{len(actions)} actions")
    for split, own in counts.items():
        print(
            f"{split:5}: {own['dialogues']:.0f} dialogues, {own['turns']:.0f} turns to predict, "
            f"{own['several'] / own['turns']:.1%} of them with several actions, ceiling {own['ceiling'] / own['turns']:.4f}"
        )


if __name__ == "__main__":
    main()
