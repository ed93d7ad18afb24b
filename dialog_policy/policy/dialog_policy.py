"""The policy to train: ``fit``, ``predict``, ``score``, ``save``, ``load``.

More than 300 lines: two thirds describe parameters and errors to users.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dialog_policy.baselines.process import fits_baselines
from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.data import Data, as_corpus, as_dialogues
from dialog_policy.distributed import current_group
from dialog_policy.errors import CorpusError, CorpusWarning, OptionError, RunError
from dialog_policy.network.checkpoint import CHECKPOINT
from dialog_policy.network.summary import describe_network
from dialog_policy.policy.callbacks import check_callbacks
from dialog_policy.policy.estimator import Estimator
from dialog_policy.policy.parts import choose_parts
from dialog_policy.policy.workplace import workplace
from dialog_policy.prediction import Prediction
from dialog_policy.runtime import Policy
from dialog_policy.runtime.folder import check_target, repack, save_run, write_run
from dialog_policy.runtime.run_reader import RunReader
from dialog_policy.threads import one_thread

if TYPE_CHECKING:
    import keras

__all__ = ["DialogPolicy"]

_UNTRAINED = "this policy is not trained yet: call fit(corpus) first."


class DialogPolicy(Estimator):
    """Predicts the system's next actions by an LSTM over the turns of a dialogue.

    It is a scikit-learn estimator: settings are stored as given and checked by :meth:`fit`, learnt attributes end in an
    underscore, and ``clone``, ``cross_val_score`` and ``GridSearchCV`` accept it, with a corpus as X and no y.

    Parameters
    ----------
    hidden
        Units of the LSTM, or of each of several stacked LSTMs.
    head
        ``"softmax"`` for exactly one action a turn, ``"sigmoid"`` for any number; ``"auto"`` looks at the training part.
    decoding
        How sets of actions are learnt and decided. ``"joint"`` treats the whole set as one decision. ``"independent"`` treats
        each action separately and takes all with a probability above a third, which is better for F1, especially on a system
        that has changed, but worse for whole sets.
    dropout
        Share of features and of LSTM outputs dropped in training.
    epochs
        Passes over the training part; None: 20, or more in a small corpus, so that there are 200 steps.
    batch_size
        Dialogues per training step; None: a sixtieth of the training part, from 8 to 32.
    batches
        How dialogues of different lengths form batches: ``"bucket"``, ``"exact"``, ``"pad"``, ``"single"`` or ``"window"``
        (:class:`~dialog_policy.network.batches.DialogueBatches`).
    max_lengths
        Maximum number of different batch lengths with ``"bucket"``. None: 8 where the network is compiled for each length (JAX),
        otherwise no limit.
    window
        Turns per window with ``"window"``.
    weighting
        ``"turn"``: every turn weighs the same in the loss; ``"dialogue"``: every dialogue.
    learning_rate, weight_decay
        Parameters of AdamW; the learning rate decays to zero along a cosine.
    averaging
        Window of the exponential moving average of the weights, as a share of all steps (Polyak & Juditsky 1992). The averaged
        weights are validated and kept. 0: the last weights of each epoch.
    label_smoothing
        Share of each target's probability that is spread evenly over the actions (or action sets) of training.
    class_weight
        ``"balanced"`` gives rare action sets as much weight in the loss as frequent ones; ``"none"`` weighs all turns alike.
    precision
        ``"mixed"`` multiplies in bfloat16 during training, for GPUs that do this faster. Weights and predictions stay float32, as
        with ``"float32"``. On a CPU it is slower.
    patience
        Early stopping: training stops after this many epochs without a greater likelihood of the validation part. The best
        weights are kept (the last of equally good ones).
    smallest_dev
        With fewer validation dialogues there is no early stopping: training then uses the whole training part for its fixed
        number of epochs.
    seed
        Two trainings with the same seed on the same machine give the same bytes.
    user, system, context
        Encoders of the user's utterance, of the system's previous utterance and of the context. The outputs of several
        encoders are concatenated.
    tokenizer
        ``"default"``, or the name of an installed entry point in the group ``dialog_policy.tokenizers``.
    entities
        Whether to look for values from the corpus' gazetteer and from the dialogue's records. They are replaced by their types
        in the user's utterance, and the network also sees which of them the dialogue has given so far.
    fallback_precision
        Accuracy that the policy should reach in the steps that are no fallback. The confidence below which a step is a fallback
        is chosen for it on the validation part; :meth:`fit` warns if there is none, or the accuracy is not reached. None: a fixed
        confidence of 0.3.
    **old_names
        Settings under their names in earlier versions, with a DeprecationWarning.

    Attributes
    ----------
    runtime_
        The policy as it is saved and served. :meth:`predict` and :meth:`score` use it, so they give the same results as a
        loaded run.
    actions_
        The actions of the training part.
    history_
        One dict per epoch: ``epoch``, ``loss`` and, with a validation part, ``dev_turn_accuracy`` and ``dev_log_likelihood``.
    validation_
        A description of the validation part.
    network_
        The trained network as a Keras model of Keras' own layers, from features of shape (batch, time, n_features) to
        probabilities of shape (batch, time, n_actions). Where a turn may have several actions, these are independent
        probabilities; the decoder makes whole sets from their logits. It is made of the run when it is first asked for (extra
        `train`), of a loaded run, too. Training it further changes neither this policy nor what it saves.

    Raises
    ------
    OptionError
        If a setting is unknown.

    Examples
    --------
    >>> corpus = load_corpus("corpora/desk.jsonl")  # doctest: +SKIP
    >>> policy = DialogPolicy(hidden=64).fit(corpus.split("train"), dev=corpus.split("dev"))  # doctest: +SKIP
    >>> policy.score(corpus.split("test"))  # doctest: +SKIP
    """

    runtime_: Policy
    actions_: ActionSpace
    history_: list[dict[str, float]]
    validation_: str
    _network: keras.Model

    @classmethod
    def load(cls, run: str | os.PathLike[str]) -> DialogPolicy:
        """Load what :meth:`save` wrote, or any other run.

        Raises
        ------
        RunError
            If it is not a run, of another format version, incomplete, or a file was changed.
        """
        runtime = Policy.load(run)
        policy = cls.from_config(runtime.info["config"])
        vars(policy).update(_learnt(runtime))
        return policy

    def __getstate__(self) -> dict[str, Any]:
        """Return settings and, if it is trained, the run's files, of which a copy or a pickle makes everything anew."""
        state = {name: value for name, value in vars(self).items() if name != "_network"}
        if self.__sklearn_is_fitted__():
            state["runtime_"] = repack(self.runtime_.run)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load the run's files, with all checks of a run that is loaded."""
        vars(self).update(state)
        if self.__sklearn_is_fitted__():
            vars(self).update(_learnt(Policy(RunReader.of_files(state["runtime_"], "the copied policy"))))

    def __sklearn_is_fitted__(self) -> bool:
        """Whether :meth:`fit` was called."""
        return hasattr(self, "runtime_")

    def fit(
        self,
        corpus: Data,
        y: None = None,
        *,
        dev: Data | None = "auto",
        out: str | os.PathLike[str] | None = None,
        resume: bool | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> DialogPolicy:
        """Train, and return this policy. Within :func:`dialog_policy.distributed.join` several processes train it together.

        Parameters
        ----------
        corpus
            The training part: a corpus, the path of one, or a sequence of dialogues. All its dialogues are used, whatever part
            they belong to. Pass ``corpus.split("train")`` to keep the test part unseen.
        y
            Not used, because dialogues include their actions.
        dev
            The validation part, for early stopping, calibration and `fallback_precision`. ``"auto"``: the dialogues of `corpus`
            whose part is ``dev`` or, if there are none, a tenth of it (``"inner"``). It may also be the name of a part of
            `corpus`, another corpus, or dialogues; those that are in `corpus` are not trained on. None: no validation part.
            Without one, or with fewer dialogues in it than the setting `smallest_dev`, training uses all of `corpus` for its
            fixed number of epochs.
        out
            The folder to write the run to, with its logs. During training, a checkpoint is kept in ``<out>.partial``. An
            existing run is replaced atomically at the end.
        resume
            True: continue the interrupted training, or the training that made the run `out`, with the same result as without
            the interruption. The corpus and all settings except `epochs` must be the same. False: discard a checkpoint and begin
            anew. None: begin anew, but raise if there is a checkpoint.
        callbacks
            Further Keras callbacks. The logs of an epoch have ``loss`` and, with a validation part of at least `smallest_dev`
            dialogues, ``dev_turn_accuracy`` and ``dev_log_likelihood``, of the gold sets in nats per turn; of both more is better.
            There is no ``val_loss``, since `loss` has dropout, label smoothing and weights in it, and these have none. The model of
            a callback is the network in training: it gives logits, and its weights are not averaged yet. What sets the learning
            rate or restores weights is refused, because it would have no effect.

        Raises
        ------
        CorpusError
            If no turn has actions.
        OptionError
            If a setting or an argument is impossible, or nothing can be written at `out`.
        RunError
            If `out` exists and is not a run, another process writes it, there is nothing to resume, or a checkpoint would be lost.
        DivergenceError
            If the loss is no longer finite, or worse at the end than before training. An earlier run at `out` is kept.
        GroupError
            If processes that train together have different data or settings, or one of them is lost.
        MissingExtraError
            If the extra `train` is not installed.
        """
        from dialog_policy.network.backend import keep_random_state, load_keras
        from dialog_policy.policy.fitting import fit_policy, fits_beside

        if y is not None:
            raise OptionError(
                "y is not used, because dialogues include their actions. Give the validation part as dev=…."
            )
        if resume and out is None:
            raise OptionError("resume=True needs out=…, the folder of the run to continue.")
        config = self.config
        parts = choose_parts(as_corpus(corpus), dev, config.smallest_dev)
        callbacks = check_callbacks(callbacks, validated=parts.dev is not None)
        with ExitStack() as stack:
            baselines = stack.enter_context(fits_baselines(apart=fits_beside(parts.train)))
            load_keras()
            stack.enter_context(keep_random_state())
            stack.enter_context(one_thread())  # also where the baselines, fitted meanwhile, want it so
            folder = None
            if out is not None and current_group().leads:
                folder = stack.enter_context(workplace(Path(out), resume))
            files = fit_policy(
                parts,
                config,
                name=None if out is None else Path(out).name,
                folder=folder,
                resume=bool(resume),
                callbacks=callbacks,
                baselines=baselines,
            )
            if folder is not None:
                write_run(folder, files, present=[CHECKPOINT])
        # Loaded from what is saved: what is measured here is what a loaded run does.
        vars(self).update(_learnt(Policy(RunReader.of_files(files, "the trained policy"))))
        vars(self).pop("_network", None)
        self._warn_of_fallback(config.fallback_precision)
        return self

    @property
    def network_(self) -> keras.Model:
        """The trained network as a Keras model.

        Raises
        ------
        AttributeError
            If the policy is not trained yet.
        MissingExtraError
            If the extra `train` is not installed.
        """
        if not self.__sklearn_is_fitted__():
            raise AttributeError(_UNTRAINED)
        if "_network" not in vars(self):
            from dialog_policy.network.backend import load_keras

            load_keras()
            from dialog_policy.network.layers import plain_network

            self._network = plain_network(
                self.runtime_.run.arrays("network.safetensors"),
                dropout=self.runtime_.info["config"]["dropout"],
                single_action=self.runtime_.takes_one_action,
            )
        return self._network

    @property
    def name(self) -> str:
        """What reports call it."""
        return str(self.runtime_.info.get("name") or "policy") if self.__sklearn_is_fitted__() else "policy"

    @property
    def actions(self) -> ActionSpace | None:
        """The actions of the training part; None before :meth:`fit`."""
        return self.actions_ if self.__sklearn_is_fitted__() else None

    def predict(self, corpus: Data, *, free_running: bool = False) -> Iterator[Prediction]:
        """Predict every target turn, in the corpus' own order: see :meth:`dialog_policy.runtime.Policy.predict`.

        Raises
        ------
        RunError
            If the policy is not trained yet.
        """
        return self._fitted().predict(as_dialogues(corpus), free_running=free_running)

    def predict_proba(self, corpus: Data) -> npt.NDArray[np.float64]:
        """Compute the probability of each action at every target turn: see :meth:`dialog_policy.runtime.Policy.predict_proba`.

        Raises
        ------
        RunError
            If the policy is not trained yet.
        """
        return self._fitted().predict_proba(corpus)

    def score(self, corpus: Data, y: None = None) -> float:
        """Turn accuracy: share of target turns whose predicted set of actions is exactly the gold set; data as for :meth:`fit`.

        Raises
        ------
        CorpusError
            If no turn has actions.
        RunError
            If the policy is not trained yet.
        """
        corpus = as_corpus(corpus)
        if not corpus.n_targets:
            raise CorpusError(f"{corpus.name} has no turn with system actions: there is nothing to score.")
        gold = (turn.actions for dialogue in corpus for turn in dialogue.turns if turn.is_target)
        predicted = self._fitted().predict(corpus, probabilities=False)
        return float(np.mean([p.actions == actions for p, actions in zip(predicted, gold, strict=True)]))

    def save(self, run: str | os.PathLike[str]) -> None:
        """Write the run's folder: aside, then in place. A run already there is replaced; anything else is refused.

        Raises
        ------
        RunError
            If the policy is not trained yet, `run` exists and is not a run, or another process writes it.
        OptionError
            If nothing can be written there.
        """
        reader = self._fitted().run
        check_target(run)
        save_run(run, repack(reader, name=Path(run).name))

    def summary(self) -> str:
        """Describe the network in plain words: each layer, its shape and its weights."""
        runtime = self._fitted()
        return describe_network(
            runtime.run.arrays("network.safetensors"),
            runtime.engine.encoder.layout,
            one_action=runtime.takes_one_action,
        )

    def _warn_of_fallback(self, wanted: float | None) -> None:
        """Warn where the wanted precision could not be had on the validation part."""
        chosen, setting = self.runtime_.info["fallback"], f"the setting fallback_precision={wanted}"
        problem = None
        if wanted is not None and chosen is None:
            problem = f"{setting} had no effect, because it needs a validation part to choose the threshold. Validation: {self.validation_}."
        elif wanted is not None and chosen["precision"] < wanted:
            problem = (
                f"{setting} is not reached on the validation part: of the turns with the highest confidence, {chosen['below']:.2f}, "
                f"{chosen['precision']:.1%} are right. All other steps are fallbacks."
            )
        if problem is not None:
            warnings.warn(problem, CorpusWarning, stacklevel=3)

    def _fitted(self) -> Policy:
        if not self.__sklearn_is_fitted__():
            raise RunError(_UNTRAINED)
        return self.runtime_


def _learnt(runtime: Policy) -> dict[str, Any]:
    """Return what a trained policy has besides its settings."""
    return {
        "runtime_": runtime,
        "actions_": runtime.actions,
        "history_": runtime.info["history"],
        "validation_": runtime.info["corpus"].get("validation", ""),
    }
