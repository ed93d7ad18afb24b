"""Search for better settings with Optuna: resumable, hopeless trials cut short."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from tqdm import tqdm

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.stored import StoredCorpus
from dialog_policy.errors import CorpusError, DivergenceError, OptionError, RunError, counted, require
from dialog_policy.files import output_folder
from dialog_policy.network.backend import load_keras
from dialog_policy.policy.config import Config, make_config
from dialog_policy.policy.dialog_policy import DialogPolicy
from dialog_policy.policy.parts import hold_out
from dialog_policy.runtime.history import kept_accuracy
from dialog_policy.text.encoders import Bits

if TYPE_CHECKING:
    import optuna

__all__ = ["STUDY", "best_settings", "tune"]

STUDY = "study.db"
_NAME = "dialog-policy"
_FEWEST_DEV = 20

# What text becomes: as configured, or words and their pairs as bits alone, which small corpora sometimes like better.
_ENCODERS: dict[str, dict[str, Any]] = {
    "configured": {},
    "bits": {"user": (Bits(ngrams=(1, 2), max_terms=3_000),), "system": (Bits(),), "context": (Bits(),)},
}


def tune(
    corpus: Corpus,
    dev: Corpus | None = None,
    *,
    base: Config | None = None,
    out: Path,
    trials: int = 30,
    timeout: float | None = None,
    seed: int = 0,
) -> optuna.Study:
    """Search, and keep every trial in a database, so that a later call goes on.

    The first trial is `base` itself. Then a tree-structured Parzen estimator proposes (Bergstra et al. 2011), and a trial whose
    dev turn accuracy is below the median of the trials before it at the same epoch is cut short. A trial whose training diverges
    fails, and the search goes on.

    Parameters
    ----------
    corpus
        The training part. Of a store the encoders are not searched: its features are those that were prepared.
    dev
        What settings are compared on, and what training is validated on. None: an inner tenth of `corpus`.
    base
        Settings to begin with; what is not searched stays.
    out
        Folder for the database.
    trials
        How many there are to be in all, those of earlier calls included, and of others that work on the same search now.
    timeout
        Seconds after which no new trial begins.
    seed
        Of the search; each trial is trained with the setting `seed` of `base`.

    Raises
    ------
    CorpusError
        If fewer than 20 dialogues would judge.
    RunError
        If the database in `out` belongs to other dialogues or other settings to begin with.
    MissingExtraError
        If the extra `tune` is not installed.
    """
    require("optuna", extra="tune", purpose="searching for settings")
    import optuna

    base = base or Config()
    rest, held = (corpus, dev) if dev is not None else hold_out(corpus)
    if held is None or len(held) < _FEWEST_DEV or not held.n_targets:
        raise CorpusError(
            f"expected at least {_FEWEST_DEV} dialogues to compare settings on, found {0 if held is None else len(held)}.",
            remedy="Give a larger corpus, or a dev part of its own.",
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    output_folder(out)
    study = optuna.create_study(
        storage=f"sqlite:///{out / STUDY}",
        study_name=_NAME,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=4),
    )
    _check_same(study, rest, held, base)
    finished = [trial for trial in study.trials if trial.state.is_finished()]
    begun_with = _as_proposed(base)

    # The features of a store are those of the encoders that it was prepared with.
    encoders = list(_ENCODERS)[:1] if isinstance(corpus, StoredCorpus) else list(_ENCODERS)

    def objective(trial: optuna.Trial) -> float:
        # What is proposed depends on the trials before, not on the call that makes it: it may go on, or work beside another one.
        study.sampler = (
            optuna.samplers.TPESampler(seed=(seed + trial.number) % 2**32) if trial.number else _given(begun_with)
        )
        policy = DialogPolicy.from_config(make_config(_propose(trial, encoders), base))
        policy.fit(rest, dev=held, callbacks=[_pruning(trial)])
        trial.set_user_attr("epochs", len(policy.history_))
        accuracy = kept_accuracy(policy.history_)
        assert accuracy is not None, "every trial has the validation part of the search"
        return accuracy

    remaining = trials - len(finished)
    if remaining > 0:
        with tqdm(total=remaining, desc="trials", disable=None) as bar:
            states = tuple(state for state in optuna.trial.TrialState if state.is_finished())
            enough = optuna.study.MaxTrialsCallback(trials, states=states)
            study.optimize(
                objective,
                n_trials=remaining,
                timeout=timeout,
                catch=(DivergenceError,),
                callbacks=[lambda *_: bar.update(), enough],
            )
    return study


def best_settings(study: optuna.Study) -> dict[str, Any]:
    """Return the settings of the best trial that differ from what the search began with, as a configuration file has them.

    Raises
    ------
    RunError
        If no trial was completed.
    """
    if all(trial.value is None for trial in study.trials):
        raise RunError(
            f"none of the {counted(len(study.trials), 'trial')} was completed, so there are no best settings. If the trainings "
            "diverged, begin with a smaller learning_rate; else search with more trials or more time."
        )
    settings = _settings(study.best_trial.params)
    best: dict[str, Any] = msgspec.to_builtins(settings)
    return best


def _as_proposed(base: Config) -> dict[str, Any]:
    """Return the first trial: `base` in the terms of the search."""
    proposed = {
        "hidden": base.layers[0],
        "dropout": base.dropout,
        "learning_rate": base.learning_rate,
        "weight_decay": base.weight_decay,
        "label_smoothing": base.label_smoothing,
        "encoders": "configured",
    }
    if base.hidden != base.layers[0]:
        raise OptionError(
            "the search supports a single LSTM: expected one number as the setting 'hidden', found several."
        )
    return proposed


def _propose(trial: optuna.Trial, encoders: list[str]) -> dict[str, Any]:
    return _settings(
        {
            "hidden": trial.suggest_int("hidden", 32, 512, log=True),
            "dropout": trial.suggest_float("dropout", 0.0, 0.7),
            "learning_rate": trial.suggest_float("learning_rate", 3e-4, 2e-2, log=True),
            "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.3, log=True),
            "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
            "encoders": trial.suggest_categorical("encoders", encoders),
        }
    )


def _settings(proposed: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: value for name, value in proposed.items() if name != "encoders"},
        **_ENCODERS[proposed["encoders"]],
    }


def _given(values: dict[str, Any]) -> optuna.samplers.BaseSampler:
    """Return what proposes these values. A trial in Optuna's queue would do so, too, but two processes can take it both."""
    import optuna

    class Given(optuna.samplers.BaseSampler):  # type: ignore[misc]  # Optuna is not looked into
        def infer_relative_search_space(self, *_: Any) -> dict[str, Any]:
            return {}

        def sample_relative(self, *_: Any) -> dict[str, Any]:
            return {}

        def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
            return values[name]

    return Given()


def _pruning(trial: optuna.Trial) -> Any:
    """Return a Keras callback that reports the dev accuracy and stops a hopeless trial."""
    import optuna

    keras = load_keras()

    class Pruning(keras.callbacks.Callback):  # type: ignore[misc, name-defined]  # Keras carries no types
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            trial.report((logs or {})["dev_turn_accuracy"], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

    return Pruning()


def _fingerprint(corpus: Corpus) -> str:
    return sha256(",".join(corpus.fingerprints()).encode()).hexdigest()


def _check_same(study: optuna.Study, train: Corpus, dev: Corpus, base: Config) -> None:
    """Refuse to mix trials of different data or settings."""
    about = {
        "train": _fingerprint(train),
        "dev": _fingerprint(dev),
        "base": msgspec.json.encode(base.flat()).decode(),
    }
    for name, value in about.items():
        known = study.user_attrs.get(name)
        if known is None:
            study.set_user_attr(name, value)
        elif known != value:
            what = "settings to begin with" if name == "base" else f"dialogues in its {name} part"
            raise RunError(f"the earlier search in this folder has other {what}. Choose another folder.")
