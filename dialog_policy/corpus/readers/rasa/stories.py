"""Stories and rules, item by item: what happens in them, and the checkpoints at their ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dialog_policy.corpus.readers.acts import join
from dialog_policy.corpus.readers.rasa.documents import Entry
from dialog_policy.corpus.readers.rasa.nlu import plain
from dialog_policy.errors import CorpusError, did_you_mean

__all__ = ["Did", "Known", "Part", "Said", "Step", "parts"]

# Keys of a story and of a rule.
_KEYS = {
    "story": ("story", "steps", "metadata"),
    "rule": ("rule", "steps", "condition", "conversation_start", "wait_for_user_input", "metadata"),
}
# Keys that may stand together in a step; each step is of one kind.
_KINDS = (
    ("user", "intent"),
    ("action", "bot"),
    ("checkpoint", "slot_was_set"),
    ("active_loop",),
    ("or",),
    ("metadata",),
)


class Said(NamedTuple):
    """The user said something; `text` is empty where only the intent is known."""

    text: str
    intent: str
    entities: dict[str, Any]


class Did(NamedTuple):
    """The system acted; `text` is None where the domain knows what it says, `acts` are several acts at once."""

    action: str
    text: str | None
    acts: tuple[str, ...] = ()


class Known(NamedTuple):
    """Slots were set, or (None) a form was begun or ended."""

    slots: dict[str, Any] | None
    active_loop: str | None = None


Step = Said | Did | Known


@dataclass
class Part:
    """A story or a rule; a story with a checkpoint in the middle is two.

    Attributes
    ----------
    name, kind
        Its name; ``story`` or ``rule``.
    path, line
        Where it stands.
    starts, ends
        Names of the checkpoints that it continues, and at which others continue it.
    steps
        For each step the alternatives; normally one.
    """

    name: str
    kind: str
    path: str
    line: int
    starts: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    steps: list[list[Step]] = field(default_factory=list)


def parts(item: Any, kind: str, path: str) -> Iterator[Part]:
    """Yield the parts of an item of ``stories:`` or ``rules:``.

    Parameters
    ----------
    item
        As YAML has it.
    kind
        ``story`` or ``rule``.
    path
        The file, for messages.

    Raises
    ------
    CorpusError
        If it is neither a story nor a rule.
    """
    if not isinstance(item, Entry):
        raise CorpusError(f"expected '{kind}: NAME' with 'steps', found {item!r}.", path=path)
    place = _Place(path, _text(item, kind, path))
    place.check_keys(item, _KEYS[kind], f"a {kind}")
    if "steps" not in item:
        raise place.error(f"the {kind} has no 'steps'", item)
    part = Part(place.name, kind, path, item.line)
    steps = [*place.listed(item, "condition"), *place.listed(item, "steps")]
    for step in steps:
        if step == "...":  # a rule may begin anywhere
            continue
        if not isinstance(step, Entry):
            raise place.error(f"expected a step such as 'intent: greet', found {step!r}", item)
        if place.kind(step) == "checkpoint":
            # First ones are alternative entries; later ones end the part, and what follows begins another.
            (part.ends if part.steps else part.starts).append(_text(step, "checkpoint", path))
        elif alternatives := place.alternatives(step):
            if part.ends:
                yield part
                part = Part(part.name, kind, path, item.line, starts=part.ends)
            part.steps.append(alternatives)
    if part.steps:
        yield part


def _text(entry: Entry, key: str, path: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        remedy = "" if value is None or isinstance(value, str) else "Put it between quotation marks."
        raise CorpusError(
            f"expected a name after '{key}:', found {value!r}.", path=path, line=entry.line, remedy=remedy
        )
    return value.strip("\n")  # a block of text ends with one


class _Place(NamedTuple):
    """A story in a file: reads its steps, and names it in messages."""

    path: str
    name: str

    def error(self, problem: str, entry: Entry, remedy: str = "") -> CorpusError:
        return CorpusError(f"{problem}.", path=self.path, line=entry.line, dialogue=self.name, remedy=remedy)

    def check_keys(self, entry: Entry, known: Sequence[str], what: str) -> None:
        """Refuse a key that Rasa does not know: what stands under it would be lost."""
        for key in entry:
            if key not in known:
                hint = did_you_mean(key, known).strip()
                raise self.error(f"{what} has the keys {', '.join(known)}; found {key!r}", entry, hint)

    def listed(self, entry: Entry, key: str) -> list[Any]:
        items = entry.get(key) or []
        if not isinstance(items, list):
            raise self.error(f"expected a list under '{key}', found {items!r}", entry)
        return items

    def kind(self, step: Entry) -> str:
        kinds = [[key for key in keys if key in step] for keys in _KINDS]
        kinds = [keys for keys in kinds if keys]
        known = [key for keys in _KINDS for key in keys]
        if not kinds:
            hint = "".join(did_you_mean(key, known) for key in list(step)[:1])
            raise self.error(f"expected a step with one of {', '.join(known)}; found {list(step)}", step, hint.strip())
        if len(kinds) > 1:
            both = " and ".join(repr(keys[0]) for keys in kinds)
            raise self.error(f"one step has {both}", step, "Begin each step with a dash.")
        self.check_keys(step, (*known, "entities"), "a step")
        return kinds[0][0]

    def alternatives(self, step: Entry) -> list[Step]:
        """Return what the step may be; nothing where it is of no meaning for a dialogue."""
        if self.kind(step) != "or":
            meaning = self._step(step)
            return [] if meaning is None else [meaning]
        options = self.listed(step, "or")
        allowed = [o for o in options if isinstance(o, Entry) and self.kind(o) in ("user", "intent", "slot_was_set")]
        if not options or len(allowed) < len(options):
            raise self.error("expected a list of 'intent: …' or 'slot_was_set: …' under 'or'", step)
        return [meaning for option in allowed if (meaning := self._step(option)) is not None]

    def _step(self, step: Entry) -> Step | None:
        kind = self.kind(step)
        if kind in ("user", "intent"):
            return self._said(step)
        if kind in ("action", "bot"):
            text = _text(step, "bot", self.path) if "bot" in step else None
            action = _text(step, "action", self.path) if "action" in step else text or ""
            # Waiting for the user is no action of ours: the turn ends where the next user message stands.
            return None if action == "action_listen" else Did(action, text)
        if kind == "slot_was_set":
            return Known(self._slots(step))
        if kind == "active_loop":
            name = step["active_loop"]
            return Known(None, None if name is None else _text(step, "active_loop", self.path))
        return None

    def _said(self, step: Entry) -> Said:
        text, entities = plain(_text(step, "user", self.path)) if step.get("user") else ("", {})
        intent = "" if text and not step.get("intent") else _text(step, "intent", self.path).strip().removeprefix("/")
        for entity in self.listed(step, "entities"):
            if isinstance(entity, str):
                entities.setdefault(entity, "")
            elif isinstance(entity, Entry):
                parts = [part for part in (entity.get("role"), entity.get("group")) if isinstance(part, str)]
                entities |= {join(key, *parts): entity[key] for key in entity if key not in ("role", "group")}
            else:
                raise self.error(f"expected 'NAME: VALUE' under 'entities', found {entity!r}", step)
        return Said(text, intent, entities)

    def _slots(self, step: Entry) -> dict[str, Any]:
        slots: dict[str, Any] = {}
        for slot in self.listed(step, "slot_was_set"):
            if isinstance(slot, Entry):
                slots |= slot
            elif isinstance(slot, str):
                slots[slot] = True
            else:
                raise self.error(f"expected 'NAME: VALUE' under 'slot_was_set', found {slot!r}", step)
        return slots
