"""What requests and answers look like, for the OpenAPI and for checking requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "CorpusDialogue",
    "CorpusPage",
    "Correction",
    "Error",
    "Health",
    "Model",
    "NewSession",
    "RunName",
    "Saved",
    "SessionName",
    "SessionView",
    "Status",
    "Training",
    "TurnView",
]

_EXAMPLE_TURN: dict[str, Any] = {
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


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Error(BaseModel):
    """What went wrong, for people; `detail` where there is more to say."""

    error: str
    detail: Any = None


class NewSession(_Request):
    """A session to begin."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}, {"run": "demo", "id": "chat-4711"}]})

    run: str | None = Field(None, description="Which run; left out: the first that is served.")
    id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_+][A-Za-z0-9._~:@+-]{0,127}$",
        description="Your own name for it, such as the chat's number in your messenger; left out: one is made.",
    )


class TurnView(BaseModel):
    """A turn."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_TURN]})

    turn: int = Field(description="Counted from 0.")
    user: str | None = Field(description="What the user said; null: nobody spoke.")
    context: dict[str, Any] = Field(description="What the system had learnt before it acted.")
    actions: list[str] | None = Field(
        description="What the bot does or, once corrected, did; null: none of the policy's actions."
    )
    predicted: list[str] = Field(description="What the policy decided, whatever was corrected.")
    confidence: float = Field(description="Probability of the decided set of actions.")
    fallback: bool = Field(description="Too little confidence: better ask again or hand over.")
    probabilities: dict[str, float] = Field(description="Of each action that has at least 0.001, the greatest first.")
    reply: str | None = Field(
        description="The template reply, filled from the dialogue; null: nothing to say is known."
    )
    corrected: bool


class SessionView(BaseModel):
    """A session."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": "chat-4711", "run": "demo", "policy": "5f1d…", "turns": [_EXAMPLE_TURN]}]
        }
    )

    id: str
    run: str
    policy: str = Field(description="Id of the policy that goes on with it.")
    turns: list[TurnView]


class Correction(_Request):
    """What the bot really did."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"actions": ["offer"], "system": "How about The Oak?"}]}
    )

    actions: list[str] | None = Field(
        description="The actions it took; [] is none at all, null none that the policy knows."
    )
    system: str | None = Field(None, description="What it said; left out: the template reply of these actions.")


class Model(BaseModel):
    """A served run."""

    name: str
    policy: str
    created: str
    package_version: str
    actions: list[str]
    takes_one_action: bool
    fallback_below: float
    hidden: list[int]
    epochs: int
    corpus: dict[str, Any]
    metrics: dict[str, Any] = Field(
        description="Best turn accuracy on the dev part; what `evaluate --json` left in the run's folder."
    )


class RunName(_Request):
    """Which run; left out: the first that is served."""

    run: str | None = None


class Status(BaseModel):
    """Whether the server can answer."""

    status: str


class Health(Status):
    """That the server is alive, and what it offers."""

    corpus: bool = Field(description="Whether there is a corpus to browse, to save to and to train on.")


class CorpusEntry(BaseModel):
    """A dialogue in a list."""

    id: str
    split: str | None
    turns: int
    first: str = Field(description="The first thing that the user says.")


class CorpusPage(BaseModel):
    """Some dialogues of the corpus."""

    total: int = Field(description="How many dialogues there are to this query.")
    offset: int
    dialogues: list[CorpusEntry]


class CorpusTurn(BaseModel):
    """A logged turn with its gold actions."""

    user: str
    context: dict[str, Any]
    actions: list[str] | None
    system: str


class CorpusDialogue(BaseModel):
    """A logged dialogue."""

    id: str
    split: str | None
    turns: list[CorpusTurn]


class SessionName(_Request):
    """A session."""

    session: str


class Saved(BaseModel):
    """A dialogue that is training data now."""

    id: Annotated[str, Field(description="The dialogue's, made from its content.")]
    file: str
    dialogues: int = Field(description="How many the file has.")


class Training(BaseModel):
    """How far a training is."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [{"state": "running", "run": "demo", "epoch": 7, "epochs": 20, "share": 0.35, "message": ""}]
        },
    )

    state: Literal["idle", "running", "done", "failed"]
    share: float = Field(description="Share of the epochs done, 0 to 1; it may stop early.")
    message: str
    run: str | None = None
    epoch: int | None = None
    epochs: int | None = None
