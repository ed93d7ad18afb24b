"""Conversations of an agent with tools, as chat-completion APIs log them: messages with roles and calls of tools.

A file is one JSON array, or JSON Lines, of conversations: each a list of messages, or an object that has it under ``messages`` or
``traj`` (τ-bench); a JSON file may also be one such object. Calls and their results may be items of their own between the
messages, as in OpenAI's Responses API. What an assistant's message does is its set of actions: the names of the tools that it calls, or ``reply``
where it only speaks. What tools returned since its last message is its context, under their names: a list of results where a
tool was called several times. Messages of the roles
``system`` and ``developer`` are instructions, the same in every conversation, and are not read; nor is anything beside the
messages, such as a task's solution.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, pair
from dialog_policy.corpus.readers.json_files import decode, elements
from dialog_policy.corpus.readers.part_names import part_of
from dialog_policy.corpus.readers.reader import Opened, Options, Reader
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError

__all__ = ["READER", "files_of_messages"]

_ROLE = re.compile(rb'"role":\s*"(?:system|developer|user|assistant|tool)"')
_TEXTS = ("text", "input_text", "output_text", "refusal")
_EXPECTED = "conversations of messages with role and content"


class _Function(msgspec.Struct):
    name: str


class _Call(msgspec.Struct):
    function: _Function
    id: str = ""


class _Block(msgspec.Struct):
    """A part of a message's content: text, a call (``tool_use``), what a call returned (``tool_result``), or a picture."""

    type: str = "text"
    text: str = ""
    refusal: str = ""
    name: str = ""
    id: str = ""
    tool_use_id: str = ""
    content: Any = None


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"] | None = None
    content: str | list[_Block] | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None
    tool_call_id: str = ""
    name: str | None = None
    # Of an item that is no message: a call, or what it returned.
    type: str = "message"
    call_id: str = ""
    output: Any = None


class _Conversation(msgspec.Struct):
    messages: list[_Message] | None = None
    traj: list[_Message] | None = None
    id: str | int | None = None
    conversation_id: str | int | None = None
    session_id: str | int | None = None
    thread_id: str | int | None = None
    task_id: str | int | None = None

    @property
    def own_id(self) -> str | int | None:
        ids = (self.id, self.conversation_id, self.session_id, self.thread_id)
        return next((one for one in ids if one is not None), None)

    trial: int | None = None
    split: str | None = None
    reward: float | None = None


def _blocks(message: _Message) -> list[_Block]:
    if isinstance(message.content, list):
        return message.content
    return [_Block(text=message.content)] if message.content else []


def _text(message: _Message) -> str:
    texts = (
        block.refusal if block.type == "refusal" else block.text for block in _blocks(message) if block.type in _TEXTS
    )
    return " ".join(text for text in texts if text)


def _calls(message: _Message) -> list[tuple[str, str]]:
    """Return id and name of each call."""
    calls = [(call.id, call.function.name) for call in message.tool_calls or []]
    if message.function_call:
        calls.append(("", message.function_call.name))
    return calls + [(block.id, block.name) for block in _blocks(message) if block.type == "tool_use"]


def _returned(message: _Message) -> Iterator[tuple[str, str | None, Any]]:
    """Yield for each result of a tool the id of the call, the tool's name if the message has it, and the result."""
    if message.role in ("tool", "function"):
        yield message.tool_call_id, message.name, _text(message)
    for block in _blocks(message):
        if block.type == "tool_result":
            inner = block.content
            texts = (
                [part.get("text", "") for part in inner if isinstance(part, dict)] if isinstance(inner, list) else None
            )
            yield block.tool_use_id, None, inner if texts is None else " ".join(map(str, texts))


def _parsed(content: Any) -> Any:
    """JSON objects and lists as such, everything else as its text."""
    if isinstance(content, str):
        try:
            value = msgspec.json.decode(content)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return content
        return value if isinstance(value, (dict, list)) else content
    return content


def _messages(items: list[_Message], place: str, number: int) -> list[_Message]:
    """Return the messages with the items between them in their forms: a call belongs to the assistant's message before it."""
    messages: list[_Message] = []
    for item in items:
        if item.role is not None:
            messages.append(item)
        elif item.type == "function_call":
            call = _Call(_Function(item.name or ""), item.call_id)
            if messages and messages[-1].role == "assistant":
                calls = [*(messages[-1].tool_calls or ()), call]
                messages[-1] = msgspec.structs.replace(messages[-1], tool_calls=calls)
            else:
                messages.append(_Message(role="assistant", tool_calls=[call]))
        elif item.type == "function_call_output":
            blocks = [_Block(type="tool_result", tool_use_id=item.call_id, content=item.output)]
            messages.append(_Message(role="user", content=blocks))
        elif item.type != "reasoning":
            raise CorpusError(
                f"expected {_EXPECTED}; conversation {number} has an item of the type {item.type!r} without a role.",
                path=place,
            )
    return messages


def _utterances(messages: list[_Message]) -> Iterator[Utterance]:
    names: dict[str, str] = {}
    returned: dict[str, list[Any]] = {}
    for message in messages:
        for id_, name, content in _returned(message):
            returned.setdefault(name or names.get(id_, "tool"), []).append(_parsed(content))
        text = _text(message)
        if message.role == "user" and text:
            yield Utterance(True, text)
        elif message.role == "assistant":
            calls = _calls(message)
            names.update(calls)
            context = {tool: results[0] if len(results) == 1 else results for tool, results in returned.items()}
            yield Utterance(False, text, frozenset(name for _, name in calls) or frozenset(["reply"]), context)
            returned = {}


def _dialogue(
    conversation: _Conversation | list[_Message], number: int, split: str | None, place: str, stem: str
) -> Dialogue:
    if isinstance(conversation, list):
        conversation = _Conversation(messages=conversation)
    messages = conversation.messages if conversation.messages is not None else conversation.traj
    if messages is None:
        raise CorpusError(
            f'expected {_EXPECTED}, under "messages" or "traj"; conversation {number} has neither.', path=place
        )
    id_ = conversation.task_id if conversation.own_id is None else conversation.own_id
    name = f"{stem}conversation-{number}" if id_ is None else str(id_)
    if conversation.own_id is None and conversation.trial is not None:
        name += f"-{conversation.trial}"
    fields = {} if conversation.reward is None else {"reward": conversation.reward}
    turns = tuple(pair(_utterances(_messages(messages, place, number))))
    return Dialogue(id=name, turns=turns, split=conversation.split or split, fields=fields)


def _conversations(source: Source, member: str) -> Iterator[_Conversation | list[_Message]]:
    if member.lower().endswith(".json"):
        if source.head([member]).lstrip(codecs.BOM_UTF8 + b" \t\r\n").startswith(b"{"):
            yield decode(source, member, _Conversation, _EXPECTED)
            return
        yield from elements(source, member, _Conversation | list[_Message], _EXPECTED)  # type: ignore[arg-type]
        return
    of_line = msgspec.json.Decoder(_Conversation | list[_Message]).decode
    for number, line in source.lines(member):
        if line.strip():
            try:
                yield of_line(line)
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
                problem = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
                raise CorpusError(f"expected {_EXPECTED}; {problem}.", path=source.place(member), line=number) from None


def _read(source: Source) -> Iterator[Dialogue]:
    members = _members(source)
    for member in members:
        split = source.parts.get(member) or part_of(PurePosixPath(member).stem)
        stem = "" if len(members) == 1 else f"{member}:"
        for number, conversation in enumerate(_conversations(source, member)):
            yield _dialogue(conversation, number, split, source.place(member), stem)


def files_of_messages(source: Source) -> list[str]:
    """Return the members that begin like logs of chat messages."""
    names = [member for member in source.members if member.lower().endswith((".json", ".jsonl", ".ndjson"))]
    heads = ((member, source.head([member], 4096)) for member in names)
    # Our own format may have such words in a context.
    return [member for member, head in heads if _ROLE.search(head) and b'"turns"' not in head]


def _members(source: Source) -> list[str]:
    # A single file that is said to have this format is read, so that what is wrong with it is named.
    return source.members if source.is_single_file else files_of_messages(source)


def _recognises(source: Source) -> bool:
    return bool(files_of_messages(source))


def _open(source: Source, options: Options) -> Opened:
    return Opened(lambda: _read(source))


READER = Reader(
    "messages",
    "chat messages with tool calls, as language-model APIs log them",
    _recognises,
    _open,
    members=_members,
)
