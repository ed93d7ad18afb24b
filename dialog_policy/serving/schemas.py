"""What requests and responses look like: routes decode into these structs, encode them, and the OpenAPI document shows them."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

__all__ = [
    "EXAMPLES",
    "ID_RULE",
    "MODELS",
    "SESSION_ID",
    "CorpusDialogue",
    "CorpusEntry",
    "CorpusPage",
    "CorpusTurn",
    "Correction",
    "Error",
    "Health",
    "Model",
    "NewSession",
    "ReplyPreview",
    "RetrainingResult",
    "RunName",
    "Saved",
    "SessionName",
    "SessionView",
    "Status",
    "Training",
    "TurnRequest",
    "TurnView",
]

SESSION_ID = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._~:@+-]{0,127}")
ID_RULE = "at most 128 letters, digits and . _ ~ : @ + -, of which the first is a letter, a digit, _ or +"


class Error(Struct, omit_defaults=True):
    """What went wrong, as a sentence; `detail` where there is more to say."""

    error: Annotated[str, Meta(description="What went wrong, as a sentence.")]
    detail: Annotated[Any, Meta(description="Where there is more to say.")] = None


# ---------------------------------------------------------------- sessions


class NewSession(Struct, forbid_unknown_fields=True):
    """A session to begin."""

    run: Annotated[str | None, Meta(description="The name of the run; left out: the first that is served.")] = None
    id: Annotated[
        str | None,
        Meta(
            description="Your own name for it, such as the chat's number in your messenger; left out: the server makes one.",
            extra_json_schema={"pattern": f"^{SESSION_ID.pattern}$"},
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.id is not None and not SESSION_ID.fullmatch(self.id):
            raise ValueError(f"expected an id of {ID_RULE}; found {self.id[:200]!r}")


class TurnRequest(Struct, forbid_unknown_fields=True):
    """The user's side of a turn."""

    user: Annotated[
        str | None, Meta(description="What the user said; null: nobody spoke, for example after a database lookup.")
    ] = None
    context: Annotated[dict[str, Any], Meta(description="What the system learnt before it acts.")] = {}
    allowed: Annotated[list[str] | None, Meta(description="The actions that may be taken; null: all.")] = None
    allow_none: Annotated[
        bool, Meta(description="Whether doing nothing competes although only some actions are allowed.")
    ] = False

    def digest(self) -> bytes:
        """Return 16 bytes that tell this request from others that come with the same idempotency key."""
        # The same as in versions without `allow_none`: their sessions go on.
        content = _DigestedTurn(self.user, self.context, self.allowed)
        suffix = b" or none" if self.allow_none else b""
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic") + suffix).digest()[:16]


class _DigestedTurn(Struct):
    user: str | None
    context: dict[str, Any]
    allowed: list[str] | None


class TurnView(Struct):
    """A turn."""

    turn: Annotated[int, Meta(description="Counted from 0.")]
    user: Annotated[str | None, Meta(description="What the user said; null: nobody spoke.")]
    context: Annotated[dict[str, Any], Meta(description="What the system had learnt before it acted.")]
    actions: Annotated[
        list[str] | None,
        Meta(description="What the bot does or, once corrected, did; null: none of the policy's actions."),
    ]
    predicted: Annotated[list[str], Meta(description="What the policy decided, whatever was corrected.")]
    confidence: Annotated[float, Meta(description="Probability of the decided set of actions.")]
    fallback: Annotated[bool, Meta(description="Whether the confidence is too low: better ask again or hand over.")]
    probabilities: Annotated[
        dict[str, float],
        Meta(description="Of each action that has at least 0.001, the greatest first; exact to 0.00002."),
    ]
    reply: Annotated[
        str | None,
        Meta(
            description="The template reply, filled from the dialogue; null: training showed no reply to these actions."
        ),
    ]
    corrected: Annotated[bool, Meta(description="Whether somebody corrected it.")]


class SessionView(Struct):
    """A session."""

    id: Annotated[str, Meta(description="Its name.")]
    run: Annotated[str, Meta(description="The name of the run that it was begun under.")]
    policy: Annotated[str, Meta(description="Id of the policy that goes on with it.")]
    turns: Annotated[list[TurnView], Meta(description="In their order.")]


class Correction(Struct, forbid_unknown_fields=True):
    """What the bot really did."""

    actions: Annotated[
        list[str] | None,
        Meta(description="The actions it took; [] is none at all, null none that the policy knows."),
    ]
    system: Annotated[str | None, Meta(description="What it said; left out: the template reply of these actions.")] = (
        None
    )


class ReplyPreview(Struct):
    """The reply that a correction would give."""

    reply: Annotated[str | None, Meta(description="null: training showed no reply to these actions.")]


# ---------------------------------------------------------------- runs and the server


class Model(Struct):
    """A served run."""

    name: Annotated[str, Meta(description="The name under which the run is served.")]
    policy: Annotated[str, Meta(description="Id of the policy: another training, another id.")]
    created: Annotated[str, Meta(description="When it was trained.")]
    package_version: Annotated[str, Meta(description="Version of dialog-policy that trained it.")]
    actions: Annotated[list[str], Meta(description="All actions it can take.")]
    takes_one_action: Annotated[bool, Meta(description="Whether it takes exactly one action in each turn.")]
    fallback_below: Annotated[float, Meta(description="A turn with less confidence is a fallback.")]
    hidden: Annotated[list[int], Meta(description="Units of each LSTM layer.")]
    epochs: Annotated[int, Meta(description="Epochs that it was trained for.")]
    corpus: Annotated[dict[str, Any], Meta(description="What it was trained on.")]
    metrics: Annotated[
        dict[str, Any],
        Meta(description="Best turn accuracy on the validation part; what `evaluate --json` left in the run's folder."),
    ]
    problem: Annotated[
        str | None, Meta(description="Why the run could not be loaded again, if the last attempt failed; else null.")
    ] = None


class RunName(Struct, forbid_unknown_fields=True):
    """The name of a run; left out: the first that is served."""

    run: Annotated[str | None, Meta(description="The run's name; null: the first that is served.")] = None


class Status(Struct):
    """Whether the server can answer."""

    status: Annotated[str, Meta(description="`ready`.")]


class Health(Struct):
    """That the server is alive, and what it offers."""

    status: Annotated[str, Meta(description="`ok`.")]
    corpus: Annotated[bool, Meta(description="Whether there is a corpus to browse, to save to and to train on.")]


# ---------------------------------------------------------------- the corpus and retraining


class CorpusEntry(Struct):
    """A dialogue in a list."""

    id: Annotated[str, Meta(description="The dialogue's id.")]
    split: Annotated[str | None, Meta(description="Its part, if the corpus names parts.")]
    turns: Annotated[int, Meta(description="How many turns it has.")]
    first: Annotated[str, Meta(description="The first thing that the user says.")]


class CorpusPage(Struct):
    """Some dialogues of the corpus."""

    total: Annotated[int, Meta(description="How many dialogues match the query.")]
    offset: Annotated[int, Meta(description="How many matching dialogues come before these.")]
    dialogues: Annotated[list[CorpusEntry], Meta(description="In the corpus' order.")]


class CorpusTurn(Struct):
    """A logged turn with its gold actions."""

    user: Annotated[str, Meta(description="What the user said.")]
    context: Annotated[dict[str, Any], Meta(description="What the system had learnt before it acted.")]
    actions: Annotated[list[str] | None, Meta(description="The gold actions; null: the turn is history only.")]
    system: Annotated[str, Meta(description="What the system said.")]


class CorpusDialogue(Struct):
    """A logged dialogue."""

    id: Annotated[str, Meta(description="The dialogue's id.")]
    split: Annotated[str | None, Meta(description="Its part, if the corpus names parts.")]
    turns: Annotated[list[CorpusTurn], Meta(description="In their order.")]


class SessionName(Struct, forbid_unknown_fields=True):
    """The id of a session."""

    session: Annotated[str, Meta(description="The session's id.")]


class Saved(Struct):
    """A dialogue that is training data now."""

    id: Annotated[str, Meta(description="The dialogue's id, made from its content.")]
    file: Annotated[str, Meta(description="The file that it was added to.")]
    dialogues: Annotated[int, Meta(description="How many dialogues the file has.")]


class RetrainingResult(Struct):
    """What a retraining changed, both policies measured on the same turns."""

    dialogues: Annotated[int, Meta(description="Dialogues that the new policy was trained on.")]
    added_dialogues: Annotated[int, Meta(description="Those of them that the previous policy was not trained on.")]
    added_turns: Annotated[int, Meta(description="Turns of the added dialogues.")]
    validation_dialogues: Annotated[int, Meta(description="0: the run has no validation part, nothing was measured.")]
    validation_turns: Annotated[int, Meta(description="Turns to predict of the validation part.")]
    turn_accuracy_before: Annotated[float | None, Meta(description="Of the previous policy, on the validation part.")]
    turn_accuracy_after: Annotated[float | None, Meta(description="Of the new policy, on the same turns.")]
    missing_dialogues: Annotated[
        int,
        Meta(
            description="Dialogues of the previous training and validation that were changed or removed since, and so were left out."
        ),
    ] = 0


class Training(Struct):
    """The progress of a training."""

    state: Annotated[Literal["idle", "running", "done", "failed"], Meta(description="Where the last training stands.")]
    message: Annotated[str, Meta(description="What is being done, or why it failed.")]
    share: Annotated[float, Meta(description="Share of the epochs done, 0 to 1; it may stop early.")] = 0.0
    run: Annotated[str | None, Meta(description="The run that is trained again.")] = None
    epoch: Annotated[int | None, Meta(description="The last epoch that is done.")] = None
    epochs: Annotated[int | None, Meta(description="How many there are at most.")] = None
    metrics: Annotated[dict[str, float], Meta(description="Figures of the last epoch.")] = {}
    result: Annotated[RetrainingResult | None, Meta(description="Once it is done.")] = None
    policy: Annotated[str | None, Meta(description="Id of the policy that is served since it ended.")] = None
    started: Annotated[float | None, Meta(description="Unix time.")] = None
    finished: Annotated[float | None, Meta(description="Unix time.")] = None


MODELS: tuple[type[Struct], ...] = (
    Error, NewSession, TurnRequest, TurnView, SessionView, Correction, ReplyPreview, Model, RunName, Status, Health,
    CorpusPage, CorpusDialogue, SessionName, Saved, Training,
)  # fmt: skip

_TURN: dict[str, Any] = {
    "turn": 0,
    "user": "a table for two in the north, please",
    "context": {},
    "actions": ["query_restaurant"],
    "predicted": ["query_restaurant"],
    "confidence": 0.93,
    "fallback": False,
    "probabilities": {"query_restaurant": 0.97, "request_time": 0.04},
    "reply": "One moment, I look for restaurants.",
    "corrected": False,
}
EXAMPLES: dict[str, list[Any]] = {
    "NewSession": [{}, {"run": "demo", "id": "chat-4711"}],
    "TurnView": [_TURN],
    "SessionView": [{"id": "chat-4711", "run": "demo", "policy": "5f1d…", "turns": [_TURN]}],
    "Correction": [{"actions": ["offer"], "system": "How about The Oak?"}],
    "Training": [{"state": "running", "message": "", "share": 0.35, "run": "demo", "epoch": 7, "epochs": 20}],
}
