"""What the process that trains writes about one order is never taken for another's, whatever else it writes."""

import asyncio
import json
import sys

import pytest

from dialog_policy.errors import DialogPolicyError
from dialog_policy.serving.training_process import TrainingProcess

# Answers each order as its entry of SAYS has it; {} stands for the order's number.
STUB = """
import json, sys
for line in sys.stdin:
    order = json.loads(line)
    for said in order["says"]:
        print(eval(said) if said.startswith("'") else said.replace("NUMBER", str(order["number"])), flush=True)
"""
GOOD = '{"order": NUMBER, "changes": {"message": "trained"}}'
ENDED = '{"order": NUMBER, "ended": 0}'


def train(*orders, report=None):
    """Return the result, or error, and the messages of each order, and how many processes were started for all of them."""

    async def work():
        process, started, results = TrainingProcess(), [], []
        real = asyncio.create_subprocess_exec

        async def start(*_, **options):
            started.append(await real(sys.executable, "-c", STUB, **options))
            return started[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "create_subprocess_exec", start)
            for says in orders:
                messages = []
                try:
                    result = await process.train({"says": says}, report or (lambda **c: messages.append(c)))  # noqa: B023
                except Exception as error:
                    result = error
                results.append((result, messages))
            await process.stop()
        return results, len(started)

    return asyncio.run(work())


def test_one_process_carries_out_one_order_after_the_other():
    two = '{"order": NUMBER, "changes": {}, "ended": 2}'
    assert train([GOOD, ENDED], [two], [ENDED]) == (
        [(None, [{"message": "trained"}, {}]), ("", [{}]), (None, [{}])],
        1,
    )


def test_long_lines_and_lines_of_libraries_are_no_messages():
    others = [
        "'x' * 200_000",
        '{"ended": 0}',
        '{"message": "no"}',
        '{"order": 7, "ended": 0}',
        "'[' * 9_000",
        "{}",
        "é",
    ]
    assert train([*others, GOOD, ENDED]) == ([(None, [{"message": "trained"}, {}])], 1)


def test_after_an_order_that_failed_the_next_one_has_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr("dialog_policy.serving.training_process._LONGEST_LINE", 1_000)
    results, started = train(["'x' * 9_000", GOOD, ENDED], [GOOD, ENDED])
    assert isinstance(results[0][0], DialogPolicyError)
    assert "a line of more than 1,000 bytes" in str(results[0][0])
    assert (results[1], started) == ((None, [{"message": "trained"}, {}]), 2)


def test_what_the_receiver_of_progress_raises_ends_the_process():
    calls = []

    def report(**changes):
        calls.append(changes)
        if len(calls) == 1:
            raise KeyError("message")

    results, started = train([GOOD, ENDED], [GOOD, ENDED], report=report)
    assert [type(result).__name__ for result, _ in results] == ["KeyError", "NoneType"]
    assert (len(calls), started) == (3, 2)


def test_the_last_lines_are_told_if_the_process_ends(monkeypatch):
    results, _ = train(["'sys'", "'z' * 9_000", "'line 2'", "'exit' and sys.exit(3)"])
    problem = results[0][0]
    assert problem.startswith("the training process ended with 3: sys\nzzz")
    assert problem.endswith("z\nline 2")
    assert len(problem) < 2_100


def test_what_retrain_writes_is_what_is_read(capfd, monkeypatch, tmp_path):
    """An order that cannot be carried out, through the real program."""
    from dialog_policy.serving import retrain

    order = {"number": 4, "run": str(tmp_path / "none"), "corpus": {"paths": ["none"]}, "saved": "saved.jsonl"}
    monkeypatch.setattr(sys, "stdin", type("Input", (), {"buffer": [json.dumps(order).encode()]}))
    monkeypatch.setattr("os.nice", lambda _: 0)
    assert retrain.main() == 0
    failed, ended = map(json.loads, capfd.readouterr().out.splitlines())
    assert (failed["order"], failed["ended"], "found no run" in failed["changes"]["message"]) == (4, None, True)
    assert ended == {"order": 4, "changes": {}, "ended": 2}
