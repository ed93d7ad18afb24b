"""What a contender's library takes on the disk, with all that it requires; run by the Python that it is installed in."""

from __future__ import annotations

import json
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

__all__ = ["installed_bytes"]


def installed_bytes(name: str) -> int:
    """Return the bytes of a distribution and of all that it requires.

    Parameters
    ----------
    name
        Such as ``"rasa"``, or with extras ``"dialog-policy[train]"``.
    """
    from pip._vendor.packaging.requirements import Requirement  # every environment has pip

    total, waiting, seen = 0, [Requirement(name)], set()
    while waiting:
        wanted = waiting.pop()
        key = wanted.name.lower().replace("_", "-"), tuple(sorted(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            found = distribution(wanted.name)
        except PackageNotFoundError:  # of another system or another Python
            continue
        if not any(name == key[0] for name, extras in seen - {key}):
            total += _own_bytes(found)
        for line in found.requires or ():
            needed = Requirement(line)
            extras = ["", *wanted.extras]
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)
    return total


def _own_bytes(found: Distribution) -> int:
    places = {Path(str(file.locate())) for file in found.files or ()}
    if found.metadata["Name"] == "dialog-policy":  # installed for editing: its files are here
        places |= set((Path(__file__).parents[2] / "dialog_policy").rglob("*"))
    return sum(place.stat().st_size for place in places if place.is_file() and place.suffix != ".pyc")


if __name__ == "__main__":
    print(json.dumps([installed_bytes(name) for name in sys.argv[1:]]))
