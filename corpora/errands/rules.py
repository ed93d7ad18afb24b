"""What a right system does: the state of a conversation, and the action sets that are right in it.

The state is a function of what was said and of the results that came back, so a policy that remembers the dialogue can know it.
Most states have one right action set. Some have several; the system then takes each with a known probability, and no policy
can be right more often than the most probable one: that is the ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DOMAINS", "QUESTIONS", "Domain", "Options", "State", "Task", "UserTurn"]

Options = tuple[tuple[frozenset[str], float], ...]


@dataclass(frozen=True)
class Domain:
    """Slots of a domain in the order in which the system asks for them, and the names of its database actions."""

    query_slots: tuple[str, ...]
    booking_slots: tuple[str, ...]
    query: str
    book: str

    @property
    def slots(self) -> tuple[str, ...]:
        return self.query_slots + self.booking_slots


DOMAINS = {
    "restaurant": Domain(("cuisine", "area"), ("day", "time", "people", "name"), "query_restaurant", "book_table"),
    "train": Domain(("origin", "destination", "day", "time"), ("people", "class", "name"), "query_train", "book_train"),
    "repair": Domain(("device", "area", "day"), ("problem", "time", "phone"), "query_workshop", "book_repair"),
}
IDENTITY = ("name", "phone")
QUESTIONS = frozenset(
    {f"request_{slot}" for domain in DOMAINS.values() for slot in domain.slots}
    | {"ask_intent", "ask_more", "confirm_booking", "offer", "offer_human", "request_change"}
)
ANSWERS = {
    "weather": "answer_weather",
    "hours": "answer_hours",
    "chat": "chitchat",
    "price": "inform_price",
    "place": "inform_place",
}


@dataclass(frozen=True)
class UserTurn:
    """What the user means.

    `kind` is one of: silent, greet, task, inform, yes, no, digress, detail, back, wait, garble, cancel, login, human, bye, and
    agent (talking to the colleague). `topic` is the domain of a task or the subject of a digression or of a detail.
    """

    kind: str
    topic: str = ""
    slots: Mapping[str, str] = field(default_factory=dict)
    greets: bool = False


@dataclass
class Task:
    """One errand: what is known about it, what the database returned, what became of the offers."""

    domain: str
    slots: dict[str, str] = field(default_factory=dict)
    results: Sequence[Mapping[str, Any]] | None = None
    offered: int = 0
    accepted: bool = False
    declined: int = 0
    fruitless: int = 0

    def forget_results(self) -> None:
        self.results, self.offered, self.accepted = None, 0, False


def _only(*actions: str) -> Options:
    return ((frozenset(actions), 1.0),)


class State:
    """Everything the system has to remember.

    Call :meth:`options` once a turn with what came in, then :meth:`took` with the action set that the system chose.
    """

    def __init__(self) -> None:
        self.open: list[Task] = []
        self.done: list[Task] = []
        self.identity: dict[str, str] = {}
        self.logged_in = False
        self.question: frozenset[str] = frozenset()
        self.failures = 0
        self.garbled = 0
        self.handed_over = False

    @property
    def task(self) -> Task | None:
        """The errand in hand, the latest if another one is parked under it."""
        return self.open[-1] if self.open else None

    def next_step(self) -> frozenset[str]:
        """What the errand in hand needs next."""
        task = self.task
        if task is None:
            return frozenset({"ask_more" if self.done else "ask_intent"})
        domain = DOMAINS[task.domain]
        for slot in domain.query_slots:
            if slot not in task.slots:
                return frozenset({f"request_{slot}"})
        if task.results is None:
            return frozenset({domain.query})
        if task.offered >= len(task.results):
            return frozenset({"request_change"})
        if not task.accepted:
            return frozenset({"offer"})
        for slot in domain.booking_slots:
            if slot not in task.slots and slot not in self.identity:
                return frozenset({f"request_{slot}"})
        return frozenset({"confirm_booking"})

    def took(self, actions: frozenset[str]) -> None:
        """Note the action set that the system chose: what it asked stays open until the user answers."""
        if asked := actions & QUESTIONS:
            self.question = asked
        if "offer_human" in actions or "transfer_human" in actions:
            self.garbled = 0
        if "transfer_human" in actions:
            self.handed_over = True

    def options(self, user: UserTurn, context: Mapping[str, Any]) -> Options:
        """Take in the user's turn and the results; return the right action sets with their probabilities."""
        if "results" in context:
            return self._found(context["results"])
        if "booking" in context:
            return self._booked(context["booking"]["status"] == "confirmed")
        if "account" in context:
            return self._account(context["account"])
        options: Options = getattr(self, f"_on_{user.kind}")(user)
        return tuple((actions | {"greet"}, p) for actions, p in options) if user.greets else options

    def _learn(self, slots: Mapping[str, str]) -> frozenset[str]:
        """Fill slots of the errand in hand; return the acknowledgement that is due."""
        task = self.open[-1]
        changed = False
        for slot, value in slots.items():
            store = self.identity if slot in IDENTITY else task.slots
            differs = slot in store and store[slot] != value
            changed |= differs
            store[slot] = value
            if slot in DOMAINS[task.domain].query_slots and differs:
                task.forget_results()
        return frozenset({"ack_change"} if changed else {"ack"} if len(slots) > 1 else ())

    def _found(self, results: Sequence[Mapping[str, Any]]) -> Options:
        task = self.open[-1]
        task.results = results
        if not results:
            task.fruitless += 1
            return _only("inform_none", "offer_human" if task.fruitless > 1 else "request_change")
        if len(results) == 1:
            return _only("offer")
        return ((frozenset({"inform_count", "offer"}), 0.8), (frozenset({"offer"}), 0.2))

    def _booked(self, confirmed: bool) -> Options:
        task = self.open[-1]
        if confirmed:
            self.done.append(self.open.pop())
            return _only("inform_booked", *({"resume"} if self.open else ()), *self.next_step())
        self.failures += 1
        task.slots.pop("time", None)
        if "time" in DOMAINS[task.domain].query_slots:
            task.forget_results()
        return _only("inform_failed", "offer_human" if self.failures > 1 else "request_time")

    def _account(self, account: Mapping[str, str] | None) -> Options:
        if account is None:
            return _only("login_failed", *self.next_step())
        self.logged_in = True
        self.identity.update(account)
        return _only("welcome_member", *self.next_step())

    def _on_silent(self, user: UserTurn) -> Options:
        return _only("greet", "ask_intent")

    def _on_greet(self, user: UserTurn) -> Options:
        return _only("greet", "ask_intent")

    def _on_task(self, user: UserTurn) -> Options:
        parked = {"park_task"} if self.open else set()
        self.open.append(Task(user.topic))
        ack = self._learn(user.slots) - {"ack_change"}
        return _only(*parked, *ack, *self.next_step())

    def _on_inform(self, user: UserTurn) -> Options:
        if not self.open:
            self.open.append(self.done.pop())
        return _only(*self._learn(user.slots), *self.next_step())

    def _on_yes(self, user: UserTurn) -> Options:
        if "offer_human" in self.question:
            return _only("transfer_human")
        if self.question & {"ask_more", "ask_intent"}:
            return _only("ask_intent")
        task = self.open[-1]
        if "confirm_booking" in self.question:
            return _only(DOMAINS[task.domain].book)
        if "offer" in self.question:
            task.accepted = True
        return _only(*self._learn(user.slots), *self.next_step())

    def _on_no(self, user: UserTurn) -> Options:
        if user.slots:
            return self._on_inform(user)
        if "ask_more" in self.question:
            return self._on_bye(user)
        if "confirm_booking" in self.question:
            return _only("request_change")
        if "offer" not in self.question:
            return _only(*self.next_step())
        task = self.open[-1]
        task.declined += 1
        task.offered += 1
        if task.declined % 2 == 0:
            return _only("offer_human")
        return _only(*self.next_step(), *({"inform_no_more"} if task.offered >= len(task.results or ()) else ()))

    def _on_digress(self, user: UserTurn) -> Options:
        answer = ANSWERS[user.topic]
        if not self.question:
            return _only(answer, "ask_more")
        return ((frozenset({answer}), 0.85), (frozenset({answer}) | self.question, 0.15))

    def _on_detail(self, user: UserTurn) -> Options:
        return _only(ANSWERS[user.topic])

    def _on_back(self, user: UserTurn) -> Options:
        return _only("resume", *self.question)

    def _on_wait(self, user: UserTurn) -> Options:
        return _only()

    def _on_garble(self, user: UserTurn) -> Options:
        self.garbled += 1
        if self.garbled > 2:
            return _only("offer_human")
        return _only("ask_repeat", *(self.question if self.garbled > 1 else ()))

    def _on_cancel(self, user: UserTurn) -> Options:
        if self.open:
            self.open.pop()
        return _only("cancel_task", *({"resume", *self.next_step()} if self.open else {"ask_more"}))

    def _on_login(self, user: UserTurn) -> Options:
        return _only("query_account")

    def _on_human(self, user: UserTurn) -> Options:
        return _only("transfer_human")

    def _on_bye(self, user: UserTurn) -> Options:
        if self.handed_over:
            return _only("bye")
        if self.open:
            return _only("note_unfinished", "bye")
        if self.done:
            return ((frozenset({"bye"}), 0.75), (frozenset({"bye", "wish_well"}), 0.25))
        return _only("bye")
