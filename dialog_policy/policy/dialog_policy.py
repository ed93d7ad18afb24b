"""The policy to train: ``fit``, ``predict``, ``score``, ``save``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from dialog_policy.baselines.fit import fit_baselines
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.corpus.splits import hash_fraction
from dialog_policy.errors import CorpusError, RunError
from dialog_policy.features.cache import EncoderSettings, encode_parts
from dialog_policy.network.backend import load_keras
from dialog_policy.policy.config import Config, make_config
from dialog_policy.prediction import Prediction
from dialog_policy.runtime import Policy
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.runtime.folder import LOGS, RunReader, aside, check_target, pack, put_in_place, write_run
from dialog_policy.runtime.replies import Replies
from dialog_policy.threads import one_thread

if TYPE_CHECKING:
    import keras

__all__ = ["DialogPolicy", "hold_out"]


def hold_out(corpus: Corpus) -> tuple[Corpus, Corpus | None]:
    """Cut an inner tenth, by a hash of the dialogue's id, off a training part: (the rest, the tenth or None if empty)."""
    held = {dialogue.id for dialogue in corpus if hash_fraction(f"inner:{dialogue.id}") < 0.1}
    if not held or len(held) == len(corpus):
        return corpus, None
    rest = corpus.with_dialogues(dialogue for dialogue in corpus if dialogue.id not in held)
    return rest, corpus.with_dialogues(dialogue for dialogue in corpus if dialogue.id in held)


class DialogPolicy:
    """Predicts the system's next actions by an LSTM over the turns of a dialogue.

    Parameters
    ----------
    config
        Settings; None for the defaults.
    **settings
        Single settings to change, by their names in :class:`~dialog_policy.policy.config.Config`.

    Attributes
    ----------
    config
        The settings.
    actions_
        The actions of the training part.
    network_
        The trained Keras model: features, shape (batch, time, n_features), to probabilities, shape (batch, time, n_actions);
        where a turn may have several actions, each bit by itself, from whose logits the decoder makes whole sets.
    history_
        One dict an epoch.
    runtime_
        The policy as it is saved and served; :meth:`predict` and :meth:`score` use it, so that what is measured here is what
        a loaded run does.

    Examples
    --------
    >>> corpus = load_corpus("corpora/desk.jsonl")  # doctest: +SKIP
    >>> policy = DialogPolicy(hidden=64).fit(corpus.split("train"), dev=corpus.split("dev"))  # doctest: +SKIP
    >>> policy.score(corpus.split("test"))  # doctest: +SKIP
    """

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        self.config = make_config(settings, config)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name, as scikit-learn's estimators do."""
        return msgspec.structs.asdict(self.config)

    def set_params(self, **settings: Any) -> DialogPolicy:
        """Change settings by name."""
        self.config = make_config(settings, self.config)
        return self

    def fit(
        self,
        corpus: Corpus,
        dev: Corpus | str | None = "inner",
        *,
        out: str | os.PathLike[str] | None = None,
        resume: bool = False,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> DialogPolicy:
        """Train.

        Parameters
        ----------
        corpus
            The training part.
        dev
            Dialogues to stop by and to tune the decisions on; dialogues of it are taken out of `corpus`. ``"inner"`` holds a
            tenth of `corpus` out. None, or fewer dialogues than the setting `smallest_dev`: training runs for its fixed
            number of epochs on the whole of `corpus`.
        out
            The run's folder: the run is written there, with its logs. While training goes on, a checkpoint is kept in
            ``<out>.partial``.
        resume
            Go on with the training that was interrupted there, or that made the run `out`; the result is the same as
            without the interruption. Corpus and settings (but for `epochs`) must be the same.
        callbacks
            Further Keras callbacks.

        Raises
        ------
        CorpusError
            If no turn has actions.
        RunError
            If `out` exists and is no run, or there is nothing to resume.
        MissingExtraError
            If the extra `train` is not installed.
        """
        load_keras()
        train, held = self._parts(corpus, dev)
        described = self._describe(train, held)
        folder = None if out is None else _workplace(Path(out), resume)
        try:
            self._fit(train, held, described, folder, resume, callbacks)
            if out is not None and folder is not None:
                write_run(folder, self._files)
                put_in_place(folder, Path(out))
        except BaseException:  # an interruption too: without a finished epoch there is nothing to keep
            if folder is not None and not _has_checkpoint(folder):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        return self

    def _parts(self, corpus: Corpus, dev: Corpus | str | None) -> tuple[Corpus, Corpus | None]:
        """Training part and the dev part that is really used."""
        if not corpus.n_targets:
            raise CorpusError(f"{corpus.name} has no turn with system actions: there is nothing to learn.")
        if isinstance(dev, str):
            rest, held = hold_out(corpus)
        else:
            taken = {dialogue.id for dialogue in dev} if dev is not None else set()
            rest, held = corpus.with_dialogues(d for d in corpus if d.id not in taken), dev
        usable = held is not None and held.n_targets and rest.n_targets and len(held) >= self.config.smallest_dev
        return (rest, held) if usable else (corpus, None)

    def _describe(self, train: Corpus, dev: Corpus | None) -> dict[str, Any]:
        """Say of the run what is known before training."""
        return {
            "corpus": {
                "name": train.name,
                "format": train.format,
                "reader": train.reader_options,
                "replies_are_templates": train.replies_are_templates,
                "train": {"dialogues": len(train), "turns": train.n_targets},
                "dev": None if dev is None else {"dialogues": len(dev), "turns": dev.n_targets},
            },
            "config": msgspec.json.decode(msgspec.json.encode(self.config)),
            "fingerprints": {
                "train": [dialogue.fingerprint() for dialogue in train],
                "dev": [dialogue.fingerprint() for dialogue in dev or ()],
            },
        }

    def _fit(
        self,
        train: Corpus,
        dev: Corpus | None,
        described: dict[str, Any],
        folder: Path | None,
        resume: bool,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        from dialog_policy.network.checkpoint import read_checkpoint
        from dialog_policy.network.export import export_onnx
        from dialog_policy.network.layers import weights_of, with_probabilities
        from dialog_policy.network.training import predict_logits, train_network

        config = self.config
        gold = [turn.actions for dialogue in train for turn in dialogue.turns if turn.actions is not None]
        self.actions_ = ActionSpace().fit(gold)
        single = all(len(actions) == 1 for actions in gold) if config.head == "auto" else config.head == "softmax"
        if single and any(len(actions) != 1 for actions in gold):
            raise CorpusError(
                f"the head 'softmax' needs exactly one action a turn; {train.name} has turns with none or several.",
                remedy="Use head='sigmoid' or 'auto'.",
            )
        settings = {name: getattr(config, name) for name in EncoderSettings.__struct_fields__}
        encoder, encoded, dev_encoded = encode_parts(
            train, dev, self.actions_, EncoderSettings(**settings), described["fingerprints"]
        )
        decoder = Decoder.fit(self.actions_, gold, single_action=single, whole_sets=config.decisions == "sets")
        held = None
        if dev is not None and dev_encoded is not None:
            held = dev_encoded, [turn.actions for dialogue in dev for turn in dialogue.turns]
        state = read_checkpoint(folder) if resume and folder is not None else None
        trained = train_network(
            encoded,
            held,
            decoder,
            config,
            folder=folder,
            state=state,
            about={"train": described["fingerprints"]["train"], "config": described["config"]},
            callbacks=callbacks,
        )
        fallback: dict[str, float] | None = None
        if held is not None:
            logits = predict_logits(trained.network, held[0])
            decoder.calibrate(logits, held[1])
            if config.fallback_precision is not None:
                coverage, precision = decoder.choose_fallback(logits, held[1], config.fallback_precision)
                fallback = {"below": decoder.fallback_below, "coverage": coverage, "precision": precision}
        self.history_ = trained.history
        self.network_ = with_probabilities(trained.network, single_action=single)
        info = {name: value for name, value in described.items() if name != "fingerprints"}
        info.update(
            package_version=version("dialog-policy"),
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            history=trained.history,
            fallback=fallback,
        )
        encoder_parts, encoder_arrays = encoder.to_parts()
        with one_thread():
            baselines = fit_baselines(train, self.actions_, tokenizer=config.tokenizer, seed=config.seed)
        baseline_parts, baseline_arrays = baselines.to_parts()
        weights = weights_of(trained.network)
        self._files = pack(
            {
                "encoder.json": encoder_parts,
                "decoder.json": decoder.to_json(),
                "replies.json": Replies.fit(train).to_json(),
                "baselines.json": baseline_parts,
                "dialogues.json": {part: sorted(set(found)) for part, found in described["fingerprints"].items()},
            },
            {
                "encoder.safetensors": encoder_arrays,
                "baselines.safetensors": baseline_arrays,
                "network.safetensors": weights,
            },
            {"model.onnx": export_onnx(weights)},
            {**info, "actions": list(self.actions_.classes_)},
        )
        # Loaded from what is saved: what is measured here is what a loaded run does.
        self.runtime_ = Policy(RunReader(self._files.get, "the trained policy"))

    def predict(self, dialogues: Iterable[Dialogue], *, free_running: bool = False) -> list[Prediction]:
        """Predict every target turn, in the corpus' own order: see :meth:`dialog_policy.runtime.Policy.predict`."""
        return list(self._fitted().predict(dialogues, free_running=free_running))

    def score(self, corpus: Corpus) -> float:
        """Turn accuracy: share of target turns whose predicted set of actions is exactly the gold set."""
        if not corpus.n_targets:
            raise CorpusError(f"{corpus.name} has no turn with system actions: there is nothing to score.")
        gold = (turn.actions for dialogue in corpus for turn in dialogue.turns if turn.is_target)
        predicted = self._fitted().predict(corpus, probabilities=False)
        return float(np.mean([p.actions == actions for p, actions in zip(predicted, gold, strict=True)]))

    def save(self, run: str | os.PathLike[str]) -> None:
        """Write the run's folder: aside, then in place. A run already there gives way; anything else is refused.

        Raises
        ------
        RunError
            If `run` exists and is no run.
        """
        self._fitted()
        target = Path(run)
        check_target(target)
        folder = aside(target)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            write_run(folder, self._files)
            put_in_place(folder, target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def summary(self) -> str:
        """Describe the network in plain words."""
        encoder = self._fitted()._encoder
        parts = ", ".join(f"{width} {name}" for name, width in encoder.layout.items())
        head = "softmax: exactly one action" if self.runtime_._decoder.single_action else "sigmoid: any set of actions"
        units = " → ".join(f"LSTM({units}, return_sequences=True)" for units in self.config.layers)
        return (
            f"Input (batch, time, {encoder.dim})\n"
            "  batch: how many dialogues are computed together. Any number, so the shape says None.\n"
            "  time: how many turns these dialogues have. Any number, also more than in training, so the shape says None.\n"
            f"  features: what the policy sees of one turn: {parts}.\n"
            f"{units}: one output a turn, from that turn and those before it.\n"
            f"TimeDistributed(Dense({len(self.actions_)})): the same layer at every turn; one bit an action ({head}).\n"
            f"{self.network_.count_params():,} weights."
        )

    def _fitted(self) -> Policy:
        try:
            return self.runtime_
        except AttributeError:
            raise RunError("this policy is not trained yet: call fit(corpus) first.") from None


def _has_checkpoint(folder: Path) -> bool:
    from dialog_policy.network.checkpoint import CHECKPOINT

    return (folder / CHECKPOINT).exists()


def _workplace(run: Path, resume: bool) -> Path:
    """Prepare the folder that the run is made in; with `resume`, the one that an earlier training left."""
    check_target(run)
    folder = aside(run)
    if resume and not folder.exists() and run.exists():
        shutil.copytree(run, folder, ignore=shutil.ignore_patterns(f"{LOGS}*"))
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)
    elif not folder.exists():
        raise RunError(f"there is no training to resume at {run}: neither {folder} nor the run itself exists.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
