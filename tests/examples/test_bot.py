"""The example bot, under a policy that learnt a dozen conversations of a smaller desk: it uses its own database, and books for
nobody without a number."""

import itertools
import subprocess
import sys

import pytest

from dialog_policy import Corpus, DialogPolicy, Dialogue, Turn
from tests.conftest import REPOSITORY

ASK = ["a table please", "i want to eat out", "can i book a table"]
TAKE = ["i take it", "fine, book that"]


def turn(user, actions, system, **context):
    return Turn(user=user, context=context, actions=frozenset(actions), system=system)


def dialogue(number, ask, take, has_number):
    results = [{"name": "Oak", "price": "20 euros"}, {"name": "Elm", "price": "30 euros"}]
    turns = [turn("my customer number is 4321", {"greet"}, "Hello.")] if has_number else []
    turns += [
        turn(ask, {"query_restaurant"}, "One moment."),
        turn("", {"offer"}, "How about Oak?", results=results),
        turn("what does it cost", {"inform_price"}, "It costs 20 euros."),
    ]
    if has_number:
        turns += [turn(take, {"book_restaurant"}, "I book.")]
    else:
        turns += [turn(take, {"request_login"}, "Your number?"), turn("it is 1234", {"book_restaurant"}, "I book.")]
    turns += [
        turn("", {"ask_more", "inform_booked"}, "Done. More?", booking={"status": "booked"}),
        turn("no, bye", {"bye"}, "Goodbye."),
    ]
    return Dialogue(id=str(number), turns=tuple(turns))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bot") / "run"
    kinds = itertools.product(ASK, TAKE, (True, False))
    corpus = Corpus([dialogue(number, *kind) for number, kind in enumerate(kinds)])
    bits = {part: [{"kind": "bits"}] for part in ("user", "system", "context")}
    DialogPolicy(hidden=32, epochs=80, dropout=0.0, learning_rate=0.005, **bits).fit(corpus, dev=None, out=folder)
    return folder


def talk(run, *lines):
    command = [sys.executable, str(REPOSITORY / "scripts" / "bot"), str(run)]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=True, timeout=600)
    return [line.removeprefix("bot: ") for line in done.stdout.splitlines()]


def test_it_offers_what_its_own_database_has_and_books(run):
    said = talk(
        run, "can i book a table", "what does it cost", "i take it", "it is 1234", "no, bye", "are you still there"
    )
    assert said == [
        "One moment.", "How about Blue Door?", "It costs 25 euros.", "Your number?", "I book.", "Done. More?", "Goodbye.",
    ]  # fmt: skip


def test_nobody_books_without_a_number(run):
    # The policy heard that there is a number and would book; the bot knows that it has four digits.
    said = talk(run, "my customer number is unknown", "a table please", "what does it cost", "i take it")
    assert "I book." not in said
    assert "I book." in talk(run, "my customer number is 4321", "a table please", "what does it cost", "i take it")
