"""What a run stores of its baselines, and whether it fits together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.baselines.view import Part
from dialog_policy.corpus import ActionSpace
from dialog_policy.text.stored import check_array
from dialog_policy.text.table import TermTable

__all__ = ["NEVER", "StoredBaselines", "check_neighbours", "check_regression", "stored_baselines"]

# Logit of an action set that the turns of a regression do not have.
NEVER = -1e9

Arrays = Mapping[str, npt.NDArray[Any]]


class StoredBaselines(msgspec.Struct):
    """The JSON object of baselines."""

    tokenizer: str
    sets: Annotated[list[list[str]], msgspec.Meta(min_length=1)]
    after: list[tuple[list[str] | None, list[str]]]
    support: dict[str, int]
    words: list[str]
    regressions: dict[str, dict[Part, dict[str, Any]]]


def stored_baselines(described: Mapping[str, Any]) -> StoredBaselines:
    """Return the JSON object.

    Raises
    ------
    ValueError
        If something is missing or of another type.
    """
    stored = msgspec.convert(described, StoredBaselines)
    if not {"user", "system"} <= stored.regressions.get("logreg_history", {}).keys():
        raise ValueError("it has no regression on the words of user and system")
    return stored


def check_regression(
    name: str, tables: Mapping[Part, TermTable], actions: npt.NDArray[Any] | None, bias: npt.NDArray[Any],
    *, n_sets: int, space: ActionSpace,
) -> None:  # fmt: skip
    """Check the coefficients of a regression over the most frequent of `n_sets` action sets, or over all of them.

    Raises
    ------
    ValueError
        If shapes do not fit or a number is not finite.
    """
    n_chosen = min(max(1, bias.size), n_sets)
    check_array(f"{name}.bias", bias, (n_chosen,), largest=-NEVER)
    if actions is not None:
        check_array(f"{name}.actions", actions, (len(space) + 1, n_chosen))
    for part, table in tables.items():
        if table.vectors is None or table.dim != n_chosen:
            raise ValueError(f"expected a coefficient of each of {n_chosen} action sets in the table {name}.{part}")


def check_neighbours(arrays: Arrays, widths: tuple[int, ...], *, n_sets: int) -> None:
    """Check an inverted index over terms of the fields' `widths`; arrays as those of ``Neighbours``.

    Raises
    ------
    ValueError
        If shapes do not fit, or a number points beyond what is there.
    """
    if set(arrays) != {"widths", "starts", "turns", "weights", "chosen"}:
        raise ValueError(f"expected the index of training turns, found the arrays {', '.join(sorted(arrays))}")
    n_entries, n_turns = len(arrays["turns"].reshape(-1)), len(arrays["chosen"].reshape(-1))
    check_array("the widths", arrays["widths"], (len(widths),), dtype="int32", largest=2**31)
    check_array("the starts", arrays["starts"], (sum(widths) + 1,), dtype="int32", largest=n_entries)
    check_array("the turns", arrays["turns"], (n_entries,), dtype="uint16", largest=n_turns - 1)
    check_array("the weights", arrays["weights"], (n_entries,), dtype="float16")
    check_array("what was chosen", arrays["chosen"], (n_turns,), dtype="int32", largest=n_sets - 1)
    starts = arrays["starts"]
    if tuple(arrays["widths"].tolist()) != widths or starts[0] != 0 or starts[-1] != n_entries:
        raise ValueError("the index of training turns is not that of the terms")
    if np.any(np.diff(starts) < 0) or not n_turns or arrays["chosen"].min() < 0:
        raise ValueError("the index of training turns points to turns that it has not")
