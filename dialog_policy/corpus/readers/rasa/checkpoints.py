"""Joining parts of stories at their checkpoints: every part and every join occurs, and there are no more paths than joins."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dialog_policy.corpus.readers.rasa.stories import Part
from dialog_policy.errors import CorpusError

__all__ = ["paths"]

# What people write has tens; the product of what ends and what begins at one checkpoint must not fill the memory.
_MOST_JOINS = 10_000


def paths(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Yield ways through parts, from one that begins without a checkpoint to one that nothing continues.

    There is one for each join of two parts: the shortest way to it and the shortest way on; each way once. So every pair of
    parts that may follow one another occurs, a cycle is gone through once, and the number of ways is at most that of joins.

    Raises
    ------
    CorpusError
        If nothing leads to a part, or there are too many joins.
    """
    after, before = _joins(parts)
    beginnings = [i for i, part in enumerate(parts) if not part.starts]
    came_from = _shortest(beginnings, after)
    goes_on = _shortest([i for i in range(len(parts)) if not after[i]], before)
    for i, part in enumerate(parts):
        if i not in came_from:
            raise CorpusError(
                f"no story leads to its checkpoint {part.starts[0]!r}.",
                path=part.path,
                line=part.line,
                dialogue=part.name,
                remedy="End another story with that checkpoint, or remove it here.",
            )
    seen = set()
    joins = [(i, j) for i in range(len(parts)) for j in after[i]] + [(i, None) for i in beginnings if not after[i]]
    for i, j in joins:
        way = (*reversed(list(_follow(i, came_from))), *(() if j is None else _follow(j, goes_on)))
        if way not in seen:
            seen.add(way)
            yield [parts[k] for k in way]


def _joins(parts: Sequence[Part]) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """For each part those that may follow, and those that may precede it."""
    starting: dict[str, list[int]] = {}
    for i, part in enumerate(parts):
        for name in part.starts:
            starting.setdefault(name, []).append(i)
    after: dict[int, list[int]] = {}
    before: dict[int, list[int]] = {i: [] for i in range(len(parts))}
    joins = 0
    for i, part in enumerate(parts):
        joins += sum(len(starting.get(name, ())) for name in part.ends)
        if joins > _MOST_JOINS:
            raise CorpusError(
                f"the checkpoints join stories in more than {_MOST_JOINS:,} ways.",
                path=part.path,
                line=part.line,
                dialogue=part.name,
                remedy="Give different places different checkpoints.",
            )
        after[i] = list(dict.fromkeys(j for name in part.ends for j in starting.get(name, ())))
        for j in after[i]:
            before[j].append(i)
    return after, before


def _shortest(begin: Iterable[int], neighbours: Mapping[int, list[int]]) -> dict[int, int | None]:
    """For each part that can be reached, the one before it on a shortest way (breadth first)."""
    came_from: dict[int, int | None] = dict.fromkeys(begin)
    queue = deque(came_from)
    while queue:
        here = queue.popleft()
        for successor in neighbours[here]:
            if successor not in came_from:
                came_from[successor] = here
                queue.append(successor)
    return came_from


def _follow(part: int, previous: Mapping[int, int | None]) -> Iterator[int]:
    here: int | None = part
    while here is not None:
        yield here
        here = previous.get(here)
