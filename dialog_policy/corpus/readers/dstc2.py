"""DSTC2 (Henderson et al. 2014): ``log.json`` and ``label.json`` a call; ``config/*.flist`` name the calls of each part.

A system output answers what the user said in the turn before; the welcome is a target, too. What the running system understood of
the user is the context of its output. The caller's goal stays out of all inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, join, labels_option, pair
from dialog_policy.corpus.readers.json_files import decode
from dialog_policy.corpus.readers.part_names import train_first
from dialog_policy.corpus.readers.reader import Opened, Option, Options, Reader
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError, counted

__all__ = ["READER"]

# How many parts of (act, slot, value) a label has.
_LABELS = {"act": 1, "act-slot": 2, "act-slot-value": 3}
_ASR = ("transcription", "1best", "nbest")
# What is believed less is mostly misheard.
_LEAST_BELIEF = 0.2


class _Act(msgspec.Struct):
    act: str
    slots: list[tuple[str, Any]] = []


class _Heard(msgspec.Struct, rename="kebab"):
    asr_hyp: str
    score: float = 0.0


class _Understood(msgspec.Struct, rename="kebab"):
    slu_hyp: list[_Act]
    score: float = 0.0


class _Live(msgspec.Struct, rename="kebab"):
    asr_hyps: list[_Heard] = []
    slu_hyps: list[_Understood] = []


class _Input(msgspec.Struct):
    live: _Live = msgspec.field(default_factory=_Live)


class _Output(msgspec.Struct, rename="kebab"):
    dialog_acts: list[_Act]
    transcript: str = ""


class _Turn(msgspec.Struct):
    output: _Output
    input: _Input


class _Log(msgspec.Struct, rename="kebab"):
    session_id: str
    turns: list[_Turn]
    system_specific: dict[str, Any] = {}


class _LabelledTurn(msgspec.Struct):
    transcription: str


class _Labels(msgspec.Struct):
    turns: list[_LabelledTurn]


def _acts(acts: list[_Act]) -> Iterator[tuple[str, str, str]]:
    """Act, slot and value, once a slot; the value of the slot named ``slot`` is a slot."""
    for act in acts:
        for slot, value in act.slots or [("", "")]:
            yield (act.act, str(value), "") if slot == "slot" or act.act == "request" else (act.act, slot, str(value))


def _context(live: _Live) -> dict[str, Any]:
    """Return acts with their values and confidences; an act's confidence is the sum over the hypotheses that have it."""
    beliefs: dict[tuple[str, str], float] = {}
    for hypothesis in live.slu_hyps:
        for act, slot, value in set(_acts(hypothesis.slu_hyp)):
            beliefs[join(act, slot), value] = beliefs.get((join(act, slot), value), 0.0) + hypothesis.score
    likely = sorted((score, act, value) for (act, value), score in beliefs.items() if score >= _LEAST_BELIEF)
    understood = {act: {"value": value, "confidence": round(score, 1)} for score, act, value in likely}
    return {"understood": understood} if live.slu_hyps else {}


def _heard(live: _Live, asr: str) -> str:
    """Return the best hypothesis, or all of them, the best first, with `` | `` between."""
    hypotheses = sorted(live.asr_hyps, key=lambda hypothesis: -hypothesis.score)
    if asr == "1best":
        hypotheses = hypotheses[:1]
    return " | ".join(hypothesis.asr_hyp for hypothesis in hypotheses if hypothesis.asr_hyp)


def _said(source: Source, log: _Log, member: str, asr: str) -> list[str]:
    """Return what the user said in each turn."""
    if asr != "transcription":
        return [_heard(turn.input.live, asr) for turn in log.turns]
    labelled = str(PurePosixPath(member).with_name("label.json"))
    if labelled not in source.members:
        raise CorpusError(
            "expected label.json beside it, with what the user said; found none.",
            path=source.place(member),
            dialogue=log.session_id,
            remedy="Read the speech recogniser's output instead: --reader asr=1best.",
        )
    transcriptions = [
        turn.transcription for turn in decode(source, labelled, _Labels, "the labels of a DSTC2 call").turns
    ]
    if len(transcriptions) != len(log.turns):
        raise CorpusError(
            f"expected {counted(len(log.turns), 'turn')} as in log.json, found {len(transcriptions)}.",
            path=source.place(labelled),
            dialogue=log.session_id,
        )
    return transcriptions


def _utterances(log: _Log, transcriptions: list[str], parts: int) -> Iterator[Utterance]:
    context: dict[str, Any] = {}
    for turn, user in zip(log.turns, transcriptions, strict=True):
        actions = frozenset(join(*act[:parts]) for act in _acts(turn.output.dialog_acts))
        yield Utterance(False, turn.output.transcript, actions or None, context)
        yield Utterance(True, user)
        context = _context(turn.input.live)


def _read(source: Source, options: Options) -> Iterator[Dialogue]:
    for member, split in _calls(source):
        log = decode(source, member, _Log, "the log of a DSTC2 call")
        transcriptions = _said(source, log, member, options["asr"])
        yield Dialogue(
            id=log.session_id,
            turns=tuple(pair(_utterances(log, transcriptions, _LABELS[options["labels"]]))),
            split=split,
            fields={"system": log.system_specific},
        )


def _key(folder: PurePosixPath) -> str:
    return "/".join(folder.parts[-2:])


def _listed(source: Source) -> list[tuple[str, str]]:
    """Return lists of calls with the name of their part: ``dstc2_train.flist``."""
    return train_first((member, PurePosixPath(member).stem.rpartition("_")[2]) for member in source.find("*.flist"))


def _calls(source: Source) -> Iterator[tuple[str, str | None]]:
    """Members with their part; calls that no list names come last."""
    unread = {_key(PurePosixPath(member).parent): member for member in source.find("log.json")}
    for member, split in _listed(source):
        named = [(number, key) for number, line in source.lines(member) if (key := _key(PurePosixPath(line.strip())))]
        # A list may come along although its part was not downloaded.
        if not any(key in unread for _, key in named):
            continue
        for number, key in named:
            if key not in unread:
                raise CorpusError(f"the call {key!r} is not there.", path=source.place(member), line=number)
            yield unread.pop(key), split
    for member in unread.values():
        yield member, None


def _recognises(source: Source) -> bool:
    return b'"session-id"' in source.head(source.find("log.json"), 1024)


def _open(source: Source, options: Options) -> Opened:
    return Opened(lambda: _read(source, options))


READER = Reader(
    "dstc2",
    "DSTC2, log.json and label.json for each call",
    _recognises,
    _open,
    {
        "labels": labels_option("act-slot", _LABELS),
        "asr": Option("transcription", "what the user said: as transcribed, or as recognised", _ASR),
    },
)
