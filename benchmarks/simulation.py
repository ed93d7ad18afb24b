"""Made-up worlds with known values: how far off the estimates of off-policy value are, and what their intervals cover."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.ope import ESTIMATORS, estimate_value
from dialog_policy.ope.result import PolicyEstimate, UnreliableEstimate
from dialog_policy.prediction import Prediction

__all__ = [
    "SCENARIOS",
    "World",
    "describe_coverage",
    "describe_overlap",
    "lead_dialogues",
    "make_world",
    "measure",
    "true_value",
]

FloatArray = npt.NDArray[np.float64]

_STATES = ("north", "south", "east", "west")
_ACTIONS = ("ask", "offer", "book")
# Bounds of the effective sample size in the table of coverage by overlap.
_SIZES = (0.0, 10.0, 25.0, 50.0, 100.0, np.inf)


class World(NamedTuple):
    """A dialogue is a walk over states that the user names; an action brings a reward of 0 or 1 and the next state.

    Attributes
    ----------
    start
        Shape (S,): where dialogues begin.
    moves
        Shape (S, A, S): probability of the next state.
    rewards
        Shape (S, A): probability of a reward of 1.
    logging, target
        Shape (S, A): the policy that leads the dialogues, and the one to be valued.
    longest
        Greatest number of turns; before that, a dialogue ends after each turn with probability `stop`.
    logging_extras, target_extras
        Shape (S, E): probability under either policy of each further action, independent of all else, that changes nothing.
    """

    start: FloatArray
    moves: FloatArray
    rewards: FloatArray
    logging: FloatArray
    target: FloatArray
    longest: int
    stop: float = 0.2
    logging_extras: FloatArray = np.zeros((len(_STATES), 0))
    target_extras: FloatArray = np.zeros((len(_STATES), 0))


class Scenario(NamedTuple):
    """What is simulated.

    Attributes
    ----------
    longest
        The longest dialogue.
    sharpness
        How far the target policy is from the logging one.
    rewarded
        ``"turn"`` or ``"dialogue"``: what has a reward.
    has_propensities, names_state
        Whether propensities are logged, and whether the user says the state.
    extras
        Further actions that change nothing, taken together with the one that does.
    """

    longest: int = 5
    sharpness: float = 1.0
    rewarded: str = "turn"
    has_propensities: bool = True
    names_state: bool = True
    extras: int = 0


SCENARIOS = {
    "one decision a dialogue": Scenario(longest=1),
    "a reward each turn": Scenario(),
    "a reward each dialogue": Scenario(rewarded="dialogue"),
    "propensities estimated": Scenario(has_propensities=False),
    "the reward model does not see the state": Scenario(names_state=False),
    "sets with actions that change nothing": Scenario(longest=2, sharpness=0.5, extras=3),
}


def make_world(seed: int, *, longest: int = 5, sharpness: float = 1.0, extras: int = 0) -> World:
    """Draw a world; the greater `sharpness`, the further the target policy is from the logging one (0: the same)."""
    random = np.random.default_rng(seed)
    s, a = len(_STATES), len(_ACTIONS)
    likes = random.normal(size=(s, a))
    world = World(
        start=random.dirichlet(np.ones(s)),
        moves=random.dirichlet(np.ones(s), size=(s, a)),
        rewards=random.uniform(0.05, 0.95, size=(s, a)),
        logging=_softmax(0.5 * likes),
        target=_softmax(0.5 * likes + sharpness * random.normal(size=(s, a))),
        longest=longest,
    )
    return world._replace(
        logging_extras=random.uniform(0.2, 0.8, size=(s, extras)),
        target_extras=random.uniform(0.2, 0.8, size=(s, extras)),
    )


def _softmax(scores: FloatArray) -> FloatArray:
    shares: FloatArray = np.exp(scores)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def true_value(world: World, policy: FloatArray, gamma: float = 1.0) -> float:
    """Return the expected discounted sum of rewards of a dialogue under `policy`, shape (S, A): exact, by backward induction."""
    value = np.zeros(len(world.start))
    for turn in range(world.longest - 1, -1, -1):
        goes_on = 0.0 if turn == world.longest - 1 else 1 - world.stop
        value = (policy * (world.rewards + gamma * goes_on * (world.moves @ value))).sum(axis=1)
    return float(world.start @ value)


def lead_dialogues(
    world: World, n: int, seed: int, *, rewarded: str = "turn", has_propensities: bool = True, names_state: bool = True
) -> tuple[Corpus, list[Prediction]]:
    """Let the logging policy lead `n` dialogues; with them, what the target policy would do at each turn."""
    random = np.random.default_rng(seed)
    dialogues, predictions = [], []
    for number in range(n):
        turns: list[Turn] = []
        rewards: list[float] = []
        state = random.choice(len(_STATES), p=world.start)
        while True:
            action = random.choice(len(_ACTIONS), p=world.logging[state])
            rewards.append(float(random.random() < world.rewards[state, action]))
            shares = dict(zip(_ACTIONS, world.target[state].tolist(), strict=True))
            best = frozenset([_ACTIONS[int(world.target[state].argmax())]])
            taken = frozenset([_ACTIONS[action]])
            propensity, logged = float(world.logging[state, action]), None
            if world.logging_extras.shape[1]:
                extras = random.random(world.logging_extras.shape[1]) < world.logging_extras[state]
                names = [f"extra {i}" for i in range(len(extras))]
                taken |= {name for name, is_taken in zip(names, extras.tolist(), strict=True) if is_taken}
                propensity *= _probability(extras, world.logging_extras[state])
                logged = shares[_ACTIONS[action]] * _probability(extras, world.target_extras[state])
                shares |= dict(zip(names, world.target_extras[state].tolist(), strict=True))
            predictions.append(
                Prediction(dialogue=f"{number}", turn=len(turns), actions=best, probabilities=shares, logged=logged)
            )
            turns.append(
                Turn(
                    user=_STATES[state] if names_state else "",
                    actions=taken,
                    reward=rewards[-1] if rewarded == "turn" else None,
                    propensity=propensity if has_propensities else None,
                )
            )
            if len(turns) == world.longest or random.random() < world.stop:
                break
            state = random.choice(len(_STATES), p=world.moves[state, action])
        fields = {} if rewarded == "turn" else {"reward": sum(rewards)}
        dialogues.append(Dialogue(id=f"{number}", turns=tuple(turns), fields=fields))
    return Corpus(dialogues, name="simulated"), predictions


def _probability(bits: npt.NDArray[np.bool_], shares: FloatArray) -> float:
    """Probability of independent bits."""
    return float(np.where(bits, shares, 1 - shares).prod())


class Run(NamedTuple):
    """One estimate in one simulated log: how far it is off, whether its interval, if it has one, has the truth, what it rests on."""

    estimator: str
    error: float
    covered: bool | None
    effective_sample_size: float
    refused: bool


def measure(
    scenario: Scenario, runs: Iterable[int], *, dialogues: int = 300, same_world: bool = True, resamples: int = 1_000
) -> list[Run]:
    """Simulate a log for each seed in `runs` and estimate the target's value from it.

    Parameters
    ----------
    scenario
        What is simulated.
    runs
        Seeds.
    dialogues
        In each log.
    same_world
        Whether all logs come from one world; else each has its own, with a sharpness drawn between 0 and the scenario's.
    resamples
        Of each bootstrap.
    """
    measured = []
    for seed in tqdm(runs, desc="logs", disable=None):
        own = 0 if same_world else seed
        share = 1.0 if same_world else float(np.random.default_rng(seed).random())
        world = make_world(own, longest=scenario.longest, sharpness=share * scenario.sharpness, extras=scenario.extras)
        corpus, predictions = lead_dialogues(
            world,
            dialogues,
            seed,
            rewarded=scenario.rewarded,
            has_propensities=scenario.has_propensities,
            names_state=scenario.names_state,
        )
        truth = true_value(world, world.target)
        result = estimate_value(predictions, corpus, resamples=resamples, seed=seed)
        for row in result.estimates:
            shown = row if row.refused is None else row.unreliable
            # Predictions have probabilities, so every estimate has a number, refused or not.
            assert isinstance(shown, PolicyEstimate | UnreliableEstimate)
            assert shown.value is not None
            assert row.effective_sample_size is not None
            measured.append(
                Run(
                    row.estimator,
                    shown.value - truth,
                    None if shown.ci95 is None else shown.ci95[0] <= truth <= shown.ci95[1],
                    row.effective_sample_size,
                    row.refused is not None,
                )
            )
    return measured


def describe_coverage(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Bias with its standard error, standard deviation, mean squared error, coverage of the 95 % intervals, share refused."""
    rows = []
    for key, estimator in ESTIMATORS.items():
        own = [run for run in runs if run.estimator == key]
        errors = np.array([run.error for run in own])
        rows.append(
            {
                "estimator": estimator.name,
                "bias": float(errors.mean()),
                "bias_error": float(errors.std() / np.sqrt(len(errors))),
                "deviation": float(errors.std()),
                "mse": float(np.square(errors).mean()),
                "coverage": float(np.mean([run.covered for run in own if run.covered is not None])),
                "refused": float(np.mean([run.refused for run in own])),
            }
        )
    return rows


def describe_overlap(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Coverage of the 95 % intervals by effective sample size, an estimator; the refused ones too."""
    rows = []
    for low, high in itertools.pairwise(_SIZES):
        chosen = [run for run in runs if low <= run.effective_sample_size < high]
        row: dict[str, Any] = {"from": low, "to": high, "logs": len(chosen) // len(ESTIMATORS)}
        for key in ESTIMATORS:
            covered = [run.covered for run in chosen if run.estimator == key and run.covered is not None]
            row[key] = float(np.mean(covered)) if covered else None
        rows.append(row)
    return rows
