"""The service desk: a user with a wish, a desk with rules, and the dialogue between them."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# What the desk must know, in the order in which it asks: first to search, then to book.
SEARCH = {
    "restaurant": ("cuisine", "area"),
    "train": ("origin", "destination", "day"),
    "clinic": ("specialty", "day"),
}
BOOK = {"restaurant": ("people", "day", "time"), "train": ("people", "class"), "clinic": ("time", "insurance")}
# What another booking of the same caller takes over from the one before.
CARRIED = ("people", "day")
MOST_TURNS = 30

_NAMES = {
    "restaurant": (
        "Golden Fork",
        "Blue Door",
        "Old Mill",
        "Corner House",
        "Luna",
        "The Anchor",
        "Green Table",
        "Saffron",
    ),
    "train": ("IC 204", "RE 17", "EX 9", "IC 551", "RE 42", "EX 33", "NX 8", "IC 77"),
    "clinic": ("Dr. Adams", "Dr. Baker", "Dr. Clark", "Dr. Evans", "Dr. Hughes", "Dr. Lopez", "Dr. Moore", "Dr. Novak"),
}
_STREETS = ("1 Mill Lane", "22 High Street", "7 Station Road", "15 Park Row", "3 King Street", "48 Bridge Street")

Choice = list[tuple[float, tuple[str, ...]]]


class Language:
    """The phrasings of one language."""

    def __init__(self, path: Path) -> None:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        self.name = path.stem
        self.joiner: str = table["joiner"]
        self.values: dict[str, list[str]] = table["values"]
        self.test_values: dict[str, list[str]] = table.get("test_values", {})
        self.fragments: dict[str, dict[str, list[str]]] = table["fragments"]
        self.intents: dict[str, dict[str, list[str]]] = table["intents"]
        self.system: dict[str, list[str]] = table["system"]


def load_languages(folder: Path) -> dict[str, Language]:
    """Read all phrasings of a folder."""
    return {path.stem: Language(path) for path in sorted(folder.glob("*.toml"))}


def most_probable(choice: Choice) -> float:
    """Probability of the most probable action set."""
    return max(probability for probability, _ in choice)


class Desk:
    """One dialogue.

    What the desk does follows from the user's last words and from what it remembers of all the words before: which slots are
    filled, what was offered and declined, whether the caller has logged in.
    """

    def __init__(self, seed: str, split: str, languages: dict[str, Language]) -> None:
        self.random = random.Random(seed)
        self.split = split
        foreign = self.random.random() < 0.07
        self.language = languages[self.random.choice(["es", "ja", "zh"]) if foreign else "en"]
        self.turns: list[dict[str, Any]] = []
        self.ceilings: list[float] = []
        self.domains: list[str] = []
        self.wish: dict[str, str] = {}
        self.filled: dict[str, str] = {}
        self.logged_in = False
        self.offers: list[dict[str, str]] = []
        self.offer = 0
        self.rejections = 0

    # ---- words -------------------------------------------------------------------------------------------------------

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _value(self, slot: str) -> str:
        values = self.language.values[slot]
        if self.split == "test":
            values = values + self.language.test_values.get(slot, [])
        return self.random.choice([value for value in values if value != self.wish.get(slot)])

    def _phrase(self, intent: str, value: str = "") -> str:
        return self.random.choice(self.language.intents[intent][self.split]).replace("{}", value)

    def _slots(self, intent: str, slots: Sequence[str]) -> str:
        parts = [
            self.random.choice(self.language.fragments[slot][self.split]).replace("{}", self.wish[slot])
            for slot in slots
        ]
        return self._phrase(intent, self.language.joiner.join(parts))

    def _misspell(self, text: str) -> str:
        words = text.split(" ")
        long = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
        if not long or not self._chance(0.12):
            return text
        i = self.random.choice(long)
        at = self.random.randrange(1, len(words[i]) - 2)
        word = words[i]
        if self._chance(0.5):
            words[i] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        else:
            words[i] = word[:at] + word[at + 1 :]
        return " ".join(words)

    def _say(self, actions: Sequence[str], values: dict[str, str]) -> str:
        texts = [self.random.choice(self.language.system[action]) for action in actions]
        return " ".join(texts).format(**values)

    # ---- turns -------------------------------------------------------------------------------------------------------

    def act(
        self, user: str, choice: Choice | tuple[str, ...], context: dict[str, Any] | None = None
    ) -> tuple[str, ...]:
        """Let the desk act: with certainty, or by one of several right action sets."""
        options = choice if isinstance(choice, list) else [(1.0, choice)]
        actions = self.random.choices([a for _, a in options], [p for p, _ in options])[0]
        turn: dict[str, Any] = {"user": self._misspell(user)}
        if context:
            turn["context"] = context
        turn["actions"] = sorted(actions)
        turn["system"] = self._say(actions, {**self._at_hand(), "count": str(len(self.offers))})
        self.turns.append(turn)
        self.ceilings.append(most_probable(options))
        return actions

    def _at_hand(self) -> dict[str, str]:
        empty = {"name": "", "address": "", "price": "", "phone": ""}
        return self.offers[self.offer] if self.offer < len(self.offers) else empty

    @property
    def _over(self) -> bool:
        return len(self.turns) >= MOST_TURNS - 4

    # ---- the course of a dialogue ------------------------------------------------------------------------------------

    def run(self) -> None:
        """Hold the dialogue."""
        if self._chance(0.04):
            self._short_call()
            return
        first = True
        if self._chance(0.3):
            self.act(self._phrase("greet"), [(0.9, ("greet", "ask_need")), (0.1, ("greet",))])
            first = False
        while True:
            go_on = self._task(first)
            first = False
            if not go_on or self._over:
                return
            if not self._chance(0.3):
                break
        self.act(self._phrase("no_more"), [(0.85, ("bye",)), (0.15, ("thank", "bye"))])

    def _short_call(self) -> None:
        intent = self.random.choice(["hours", "weather"])
        answer = "inform_hours" if intent == "hours" else "inform_weather"
        self.act(self._phrase(intent), ("greet", answer))
        self.act(self._phrase("bye"), ("bye",))

    def _task(self, first: bool) -> bool:
        """One booking from the wish to its end; False where a colleague has taken over."""
        self.domain = self.random.choice([d for d in SEARCH if d not in self.domains[-1:]])
        self.domains.append(self.domain)
        needed = SEARCH[self.domain] + tuple(s for s in BOOK[self.domain] if s not in SEARCH[self.domain])
        kept = {slot: self.filled[slot] for slot in CARRIED if slot in self.filled and slot in needed}
        self.filled = kept
        self.wish = {**kept, **{slot: self._value(slot) for slot in needed if slot not in kept}}
        self.offers, self.offer, self.rejections = [], 0, 0
        volunteered = [slot for slot in needed if slot not in kept and self._chance(0.38)]
        user = self._phrase(f"start_{self.domain}")
        if volunteered:
            user += self.language.joiner + self._slots("inform", self.random.sample(volunteered, len(volunteered)))
        if not self.logged_in and self._chance(0.3):
            user += self.language.joiner + self._phrase("login", self.random.choice(self.language.values["number"]))
            self.logged_in = True
        self._fill(volunteered)
        prefix = ("greet",) if first else ("ack",) if len(volunteered) > 1 else ()
        return self._collect(user, prefix) and self._book()

    def _fill(self, slots: Sequence[str]) -> None:
        self.filled.update({slot: self.wish[slot] for slot in slots})

    def _missing(self, slots: Sequence[str]) -> str | None:
        return next((slot for slot in slots if slot not in self.filled), None)

    def _collect(self, user: str, prefix: tuple[str, ...]) -> bool:
        """Ask for what the search needs, search, offer until the user likes something."""
        while True:
            missing = self._missing(SEARCH[self.domain])
            if missing is not None:
                self.act(user, (*prefix, f"request_{missing}"))
                answered = self._answer(missing)
                if answered is None:
                    return False
                user, prefix = answered
                continue
            self.act(user, (*prefix, f"query_{self.domain}"))
            found = self._search()
            if found == "changed":
                user, prefix = self._change_search()
                continue
            return found == "accepted"

    def _answer(self, slot: str) -> tuple[str, tuple[str, ...]] | None:
        """Let the user react to a request: (utterance, what the desk says first), or None where a colleague takes over."""
        if self._over:
            return self._hand_over()
        if self._chance(0.16):
            self._digress(slot)
        if self._chance(0.05):
            self.act(self._phrase("wait"), ())
        changeable = [s for s in self.filled if s in self.language.fragments]
        if changeable and self._chance(0.1):
            changed = self.random.choice(changeable)
            self.wish[changed] = self._value(changed)
            self._fill([changed])
            return self._slots("change", [changed]), ("ack_change",)
        if self._chance(0.012):
            return self._hand_over(self._phrase("human"))
        needed = SEARCH[self.domain] + BOOK[self.domain]
        others = [s for s in needed if s != slot and s not in self.filled and self._chance(0.25)]
        given = self.random.sample([slot, *others], 1 + len(others))
        self._fill(given)
        user = self._slots("inform", given)
        if not self.logged_in and self._chance(0.05):
            user += self.language.joiner + self._phrase("login", self.random.choice(self.language.values["number"]))
            self.logged_in = True
        return user, ("ack",) if len(given) > 1 else ()

    def _digress(self, slot: str) -> None:
        """Let the user ask about something else; the desk answers, and comes back to its question at once or when told to."""
        intent = self.random.choice(["weather", "hours", "chat"])
        answer = "chat" if intent == "chat" else f"inform_{intent}"
        back = f"request_{slot}"
        actions = self.act(self._phrase(intent), [(0.88, (answer,)), (0.12, (answer, back))])
        if back not in actions:
            self.act(self._phrase("resume"), (back,))

    def _hand_over(self, user: str | None = None) -> None:
        self.act(user or self._phrase("human"), ("transfer_human",))
        if self._chance(0.6):
            self.turns.append({"user": "", "actions": None, "system": self.language.system["colleague"][0]})

    def _search(self) -> str:
        """Offer what the database finds: "accepted", "changed" (the user wants another search) or "over"."""
        count = self.random.choices([0, 1, 2, 3], [0.14, 0.24, 0.3, 0.32])[0]
        names = self.random.sample(_NAMES[self.domain], count)
        self.offers = [self._record(name) for name in names]
        self.offer = 0
        context = {"results": self.offers}
        if not self.offers:
            self.act("", ("inform_none", "request_change"), context)
            return "over" if self._over and self._hand_over() is None else "changed"
        self.act("", ("offer",) if count == 1 else ("inform_count", "offer"), context)
        while True:
            if self._over:
                self._hand_over()
                return "over"
            if self._chance(0.22):
                attribute = self.random.choice(["address", "price", "phone"])
                self.act(self._phrase(f"ask_{attribute}"), (f"inform_{attribute}",))
                continue
            if not self._chance(0.38):
                return "accepted"
            self.rejections += 1
            user = self._phrase("reject")
            if self.rejections == 3:
                self.act(user, ("offer_human",))
                self._hand_over(self._phrase("yes"))
                return "over"
            if self.offer + 1 < len(self.offers):
                self.offer += 1
                self.act(user, ("offer",))
            else:
                self.act(user, ("inform_no_more", "request_change"))
                return "changed"

    def _record(self, name: str) -> dict[str, str]:
        return {
            "name": name,
            "address": self.random.choice(_STREETS),
            "price": f"{self.random.randrange(2, 20) * 5} euros",
            "phone": f"555-{self.random.randrange(1000, 10000)}",
        }

    def _change_search(self) -> tuple[str, tuple[str, ...]]:
        slot = self.random.choice(SEARCH[self.domain])
        self.wish[slot] = self._value(slot)
        self._fill([slot])
        return self._slots("change", [slot]), ("ack_change",)

    def _book(self) -> bool:
        """From the accepted offer to the booking; False where a colleague has taken over."""
        user: str = self._phrase("accept")
        prefix: tuple[str, ...] = ()
        while True:
            missing = self._missing(BOOK[self.domain])
            if missing is None:
                break
            self.act(user, (*prefix, f"request_{missing}"))
            answered = self._answer(missing)
            if answered is None:
                return False
            user, prefix = answered
        while True:
            self.act(user, (*prefix, "confirm_booking"))
            if self._over:
                self._hand_over()
                return False
            if self._chance(0.15):
                slot = self.random.choice(BOOK[self.domain])
                self.wish[slot] = self._value(slot)
                self._fill([slot])
                user, prefix = self._slots("change", [slot]), ("ack_change",)
                continue
            user = self._phrase("yes")
            if not self.logged_in:
                self.act(user, ("request_login",))
                user = self._phrase("login", self.random.choice(self.language.values["number"]))
                self.logged_in = True
            self.act(user, (f"book_{self.domain}",))
            if self._chance(0.85):
                self.act("", ("inform_booked", "ask_more"), {"booking": {"status": "booked"}})
                return True
            slot = BOOK[self.domain][-1]
            self.act("", ("inform_failed", f"request_{slot}"), {"booking": {"status": "failed"}})
            self.wish[slot] = self._value(slot)
            self._fill([slot])
            user, prefix = self._slots("inform", [slot]), ()
