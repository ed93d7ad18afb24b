"""What a policy says of one turn, and what everything that decides has in common."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Protocol, runtime_checkable

import msgspec

from dialog_policy.corpus import ActionSpace, Dialogue
from dialog_policy.errors import OptionError

__all__ = ["SETS_LISTED", "Prediction", "Predictor", "Probability", "check_predictor", "distinct_names"]

# So many of the most probable sets are listed in a prediction that lists them.
SETS_LISTED = 5

# By so much a probability may be outside of 0 to 1: sums in float32 are.
_ROUNDING = 1e-6
_STRINGS = frozenset([str])

Probability = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy would do in one turn.

    Attributes
    ----------
    dialogue
        The dialogue's id.
    turn
        The turn's number in the dialogue, from 0.
    actions
        The predicted set of actions. Any collection of names is taken, but no text.
    probabilities
        Action to probability; actions that are left out are improbable. What is outside of 0 to 1 by no more than 1e-6 is put
        inside.
    confidence
        Probability of the predicted set.
    logged
        Probability of the set that the corpus has for this turn, for off-policy evaluation: docs/value.md.
    sets
        The most probable sets of actions, the most probable first: five, or all that are possible.
    """

    dialogue: str
    turn: int
    actions: frozenset[str]
    probabilities: dict[str, Probability] | None = None
    confidence: Probability | None = None
    logged: Probability | None = None
    sets: list[frozenset[str]] | None = None

    def __post_init__(self) -> None:
        """Take any collection of names, any mapping, and probabilities that rounding put just outside of 0 to 1.

        Raises
        ------
        OptionError
            If the actions are no collection of names, or the probabilities no mapping.
        """
        # Checked for every turn, so what is as it should be costs little.
        if type(self.actions) is not frozenset or not _STRINGS.issuperset(map(type, self.actions)):
            msgspec.structs.force_setattr(self, "actions", _names(self.actions))
        if self.probabilities is not None and not isinstance(self.probabilities, dict):
            msgspec.structs.force_setattr(self, "probabilities", _shares(self.probabilities))
        try:
            self._put_inside()
        except (TypeError, ValueError):  # what cannot be compared with a number
            raise OptionError(
                f"expected probabilities, confidence and logged as numbers from 0 to 1; found {_shown(self.probabilities)}, "
                f"{self.confidence!r} and {self.logged!r}."
            ) from None

    def _put_inside(self) -> None:
        values = () if self.probabilities is None else self.probabilities.values()
        if values and not 0.0 <= min(values) <= max(values) <= 1.0:
            rounded = {name: _rounded(value) for name, value in (self.probabilities or {}).items()}
            msgspec.structs.force_setattr(self, "probabilities", rounded)
        if self.confidence is not None and not 0.0 <= self.confidence <= 1.0:
            msgspec.structs.force_setattr(self, "confidence", _rounded(self.confidence))
        if self.logged is not None and not 0.0 <= self.logged <= 1.0:
            msgspec.structs.force_setattr(self, "logged", _rounded(self.logged))

    def out_of_bounds(self) -> str:
        """Say which probability is not from 0 to 1 (NaN is not), or return an empty string.

        A decoder checks the bounds by itself; a prediction that was made in Python is checked when it is scored.
        """
        named: list[tuple[str, float | None]] = [
            (f"the probability of {name!r}", value) for name, value in (self.probabilities or {}).items()
        ]
        named += [("`confidence`", self.confidence), ("`logged`", self.logged)]
        for name, value in named:
            if value is not None and not 0.0 <= value <= 1.0:
                return f"expected {name} from 0 to 1, found {value}."
        return ""


def _names(actions: Any) -> frozenset[str]:
    """Return a collection of action names as a set."""
    if isinstance(actions, Iterable) and not isinstance(actions, str | bytes | Mapping):
        names = list(actions)
        if all(isinstance(name, str) for name in names):
            return frozenset(names)
    hint = (
        f"Write {{{actions!r}}}." if isinstance(actions, str) else "ActionSpace.inverse_transform makes sets of bits."
    )
    raise OptionError(f"expected `actions` as a set of action names, found {_shown(actions)}. {hint}")


def _shares(probabilities: Any) -> dict[str, float]:
    """Return a mapping of probabilities as a dict."""
    if isinstance(probabilities, Mapping):
        return dict(probabilities)
    raise OptionError(
        f"expected `probabilities` as a dict from action to probability, found {_shown(probabilities)}. "
        "dialog_policy.evaluation.PredictionArrays takes arrays."
    )


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:60]!r}"


def _rounded(value: float) -> float:
    """Return a probability within 0 to 1, if it is but for the rounding of float32."""
    return float(min(1.0, max(0.0, value))) if -_ROUNDING <= value <= 1.0 + _ROUNDING else value


@runtime_checkable
class Predictor(Protocol):
    """Anything that predicts the target turns of dialogues: a run, a baseline, a file of predictions, your own class."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def actions(self) -> ActionSpace | None:
        """The actions of its training part; None where they are not known."""
        ...

    def predict(self, dialogues: Iterable[Dialogue]) -> Iterator[Prediction]:
        """Yield one prediction for every target turn, in the order of the dialogues.

        The system side of turn t and everything after it must not change the prediction at t.
        """
        ...


def check_predictor(candidate: Any) -> None:
    """Refuse what does not predict.

    Raises
    ------
    OptionError
        If it has no `name`, no `actions` or no `predict(dialogues)`.
    """
    missing = [name for name in ("name", "actions", "predict") if not hasattr(candidate, name)]
    if not missing and not isinstance(candidate, type):
        return
    expected = "expected a predictor, with `name`, `actions` (None where they are not known) and `predict(dialogues)`"
    if isinstance(candidate, str | os.PathLike):
        raise OptionError(
            f"{expected}; found {os.fspath(candidate)!r}. Load a run with Policy.load(path), a file of predictions with "
            "dialog_policy.evaluation.PredictionFile(path), a run's baselines with dialog_policy.baselines.load_baselines."
        )
    if isinstance(candidate, type):
        raise OptionError(
            f"{expected}; found the class {candidate.__name__}. Give an object of it, such as a trained policy."
        )
    raise OptionError(f"{expected}; found {type(candidate).__name__} without {', '.join(missing)}.")


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return the names of several policies with a number after each that another one has: ``"pred"``, ``"pred (2)"``."""
    distinct: dict[str, None] = {}
    for name in names:
        numbered = itertools.chain([name], (f"{name} ({number})" for number in itertools.count(2)))
        distinct[next(candidate for candidate in numbered if candidate not in distinct)] = None
    return list(distinct)
