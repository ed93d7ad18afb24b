"""What everything that predicts promises: a run, a baseline, a class of your own (:class:`~dialog_policy.prediction.Predictor`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from dialog_policy.corpus import ActionSpace, Dialogue, Turn
from dialog_policy.prediction import Prediction, Predictor, check_predictor
from dialog_policy.testing.check import Check, check, checks_of, same

__all__ = ["predictor_checks"]

_PROMISES: list[Callable[..., None]] = []


def predictor_checks(predictor: Predictor, dialogues: Sequence[Dialogue]) -> list[Check]:
    """Return the checks of a predictor.

    Parameters
    ----------
    predictor
        Ready to predict.
    dialogues
        At least two, of which one has three or more turns to predict.
    """
    return checks_of(str(predictor.name), _PROMISES, predictor, list(dialogues))


def _bare(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Predictions without what is known of the turn itself."""
    return [msgspec.structs.replace(prediction, logged=None) for prediction in predictions]


@check(_PROMISES)
def _described(predictor: Predictor, _: list[Dialogue]) -> None:
    """It has a name, and knows its actions or says that it does not."""
    check_predictor(predictor)
    assert isinstance(predictor.name, str), f"name: expected a text, found {predictor.name!r}"
    assert predictor.name, "name: expected a text, found an empty one"
    known = predictor.actions
    assert known is None or isinstance(known, ActionSpace), f"actions: expected an ActionSpace or None, found {known!r}"


@check(_PROMISES)
def _every_turn(predictor: Predictor, dialogues: list[Dialogue]) -> None:
    """Every turn to predict is predicted once, in order."""
    found = [(p.dialogue, p.turn) for p in predictor.predict(dialogues)]
    same(found, [(d.id, t) for d in dialogues for t, turn in enumerate(d.turns) if turn.is_target], "turns")


@check(_PROMISES)
def _possible(predictor: Predictor, dialogues: list[Dialogue]) -> None:
    """Predicted actions are known ones, and probabilities are from 0 to 1."""
    for prediction in predictor.predict(dialogues):
        wrong = prediction.out_of_bounds()
        assert not wrong, f"{prediction.dialogue}, turn {prediction.turn}: {wrong}"
        if predictor.actions is not None:
            more = {*prediction.actions, *(prediction.probabilities or {})} - set(predictor.actions.classes_)
            assert not more, f"{prediction.dialogue}, turn {prediction.turn}: unknown actions {sorted(more)}"


@check(_PROMISES)
def _again(predictor: Predictor, dialogues: list[Dialogue]) -> None:
    """The same dialogues get the same predictions again."""
    same(list(predictor.predict(dialogues)), list(predictor.predict(dialogues)), "predictions")


@check(_PROMISES)
def _company(predictor: Predictor, dialogues: list[Dialogue]) -> None:
    """Which dialogues come with it changes no dialogue's predictions."""
    together = list(predictor.predict(dialogues))
    backwards = list(predictor.predict(dialogues[::-1]))
    alone = [prediction for dialogue in dialogues for prediction in predictor.predict([dialogue])]
    same(alone, together, "predictions one by one")
    same(sorted(backwards, key=_place), sorted(together, key=_place), "predictions in another order")


def _place(prediction: Prediction) -> tuple[str, int]:
    return prediction.dialogue, prediction.turn


@check(_PROMISES)
def _future(predictor: Predictor, dialogues: list[Dialogue]) -> None:
    """The system side of a turn and all that comes later change no prediction."""
    dialogue = max(dialogues, key=lambda each: each.n_targets)
    whole = _bare(list(predictor.predict([dialogue])))
    assert len(whole) > 2, "expected a dialogue with at least three turns to predict"
    action = sorted(next(turn.actions for turn in dialogue.turns if turn.actions) or ())[:1]
    for at, turn in enumerate(dialogue.turns):
        if not turn.is_target:
            continue
        here = msgspec.structs.replace(turn, actions=frozenset(), system="something else")
        later = [Turn(user="zzz", context={"k": 1}, actions=frozenset(action), system="no")] * 3
        changed = msgspec.structs.replace(dialogue, turns=(*dialogue.turns[:at], here, *later))
        earlier = sum(each.is_target for each in dialogue.turns[: at + 1])
        same(_bare(list(predictor.predict([changed])))[:earlier], whole[:earlier], f"predictions up to turn {at}")


@check(_PROMISES)
def _nothing(predictor: Predictor, dialogues: list[Dialogue]) -> None:
    """Without dialogues there are no predictions, and what has nothing to say can be predicted."""
    same(list(predictor.predict([])), [], "predictions")
    silent = Dialogue(id="silent", turns=(Turn(user="", actions=frozenset(), system=""),))
    same([(p.dialogue, p.turn) for p in predictor.predict([silent])], [("silent", 0)], "turns of a silent dialogue")
    action = sorted(next(t.actions for d in dialogues for t in d.turns if t.actions) or ())[0]
    strange = "\0 \u202e \x1b[31m \U0010ffff " + "x" * 10_000
    odd = Dialogue(
        id="odd", turns=(Turn(user=f"{strange}\ud800", context={strange: [strange]}, actions=frozenset([action])),) * 2
    )
    same([(p.dialogue, p.turn) for p in predictor.predict([odd])], [("odd", 0), ("odd", 1)], "turns of an odd dialogue")
