"""What a decoder promises: :class:`~dialog_policy.runtime.decoder.Decoder`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dialog_policy.runtime.decoder import Decided, Decoder
from dialog_policy.testing.check import Check, check, checks_of, same

__all__ = ["decoder_checks"]

_PROMISES: list[Callable[..., None]] = []
_ROUNDING = 1e-9


def decoder_checks(name: str, decoder: Decoder) -> list[Check]:
    """Return the checks of a decoder.

    Parameters
    ----------
    name
        Of the decoder.
    decoder
        For at least one action.
    """
    return checks_of(name, _PROMISES, decoder)


def _logits(decoder: Decoder, n: int = 20) -> np.ndarray:
    drawn = np.random.default_rng(0).normal(scale=3.0, size=(n, len(decoder.space)))
    # No evidence, and more evidence than any network has.
    return np.concatenate([drawn, drawn[:1] * 0, drawn[:2] * 1e4, np.full_like(drawn[:1], -1e30)]).astype(np.float32)


def _check_possible(decided: Decided, decoder: Decoder) -> None:
    for name in ("probabilities", "confidence"):
        values = getattr(decided, name)
        assert np.isfinite(values).all(), f"{name}: expected finite numbers, found {values}"
        assert ((values >= 0) & (values <= 1)).all(), f"{name}: expected numbers from 0 to 1, found {values}"
    more = frozenset().union(*decided.actions) - set(decoder.space.classes_)
    assert not more, f"unknown actions {sorted(more)}"


@check(_PROMISES)
def _possible(decoder: Decoder) -> None:
    """Actions are known ones, and probabilities from 0 to 1, however sure the network is."""
    decided = decoder.decide(_logits(decoder))
    _check_possible(decided, decoder)
    if decoder.single_action:
        assert all(len(actions) == 1 for actions in decided.actions), "expected one action a turn"


@check(_PROMISES)
def _company(decoder: Decoder) -> None:
    """A turn is decided the same whichever turns are decided with it, and logits stay as they are."""
    logits = _logits(decoder)
    before = logits.copy()
    together = decoder.decide(logits)
    same(logits.tobytes(), before.tobytes(), "the logits afterwards")
    for row in range(len(logits)):
        alone = decoder.decide(logits[row : row + 1])
        same(alone.actions[0], together.actions[row], f"actions of row {row}")
        assert np.allclose(alone.confidence[0], together.confidence[row], atol=_ROUNDING), f"confidence of row {row}"


@check(_PROMISES)
def _allowed(decoder: Decoder) -> None:
    """What is not allowed is not done, and has probability 0."""
    logits = _logits(decoder)
    allowed = np.random.default_rng(1).random(logits.shape) < 0.5
    allowed[:, 0] = True
    decided = decoder.decide(logits, allowed)
    _check_possible(decided, decoder)
    assert not decided.probabilities[~allowed].any(), "an action that is not allowed has a probability"
    names = decoder.space.classes_
    for row, actions in enumerate(decided.actions):
        may = {name for name, is_allowed in zip(names, allowed[row], strict=True) if is_allowed}
        assert actions <= may, f"row {row}: {sorted(actions - may)} is not allowed"


@check(_PROMISES)
def _confidence(decoder: Decoder) -> None:
    """The confidence is the probability of the decided set."""
    logits = _logits(decoder)
    decided = decoder.decide(logits)
    logs = decoder.log_probabilities(logits, decided.actions)
    assert np.allclose(np.exp(logs), decided.confidence, rtol=1e-6), (
        f"expected {np.exp(logs)}, found {decided.confidence}"
    )


@check(_PROMISES)
def _stored(decoder: Decoder) -> None:
    """Stored and read again, it decides the same."""
    logits = _logits(decoder)
    again, first = Decoder.from_json(decoder.to_json(), decoder.space).decide(logits), decoder.decide(logits)
    same(again.actions, first.actions, "actions")
    same(again.confidence.tobytes(), first.confidence.tobytes(), "confidence")
