"""Fuzzes the HTTP API: ``./scripts/fuzz-server [--examples N] [--requests N]``.

Three attacks: requests made up from the OpenAPI document (schemathesis), valid and not, whose answers have to be as the document
says; conversations of any order of requests, compared after each with a plain model of what a session is; damaged bytes on the
connections of a server in a process of its own. No answer may be a server error, and the server has to be well afterwards.
"""

import argparse
import contextlib
import random
import socket
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import httpx2
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from benchmarks.client import ServerProcess
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.runtime.export import export_run
from dialog_policy.serving.app import create_app
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import open_store
from dialog_policy.serving.training import CorpusSource, Retraining
from tests.fuzz.runs import FIXTURES, GOOD
from tests.mutations import damaged

__all__ = ["client_within", "fuzz_bytes", "fuzz_conversations", "fuzz_operations", "server"]

CORPUS = FIXTURES / "run-format-4-dialogues.jsonl"
# Seconds that an answer may take, on any machine.
PATIENCE = 300
TEXTS = (
    st.none()
    | st.text(max_size=60)
    | st.sampled_from(["a table for two", "\0", "😀\u202e", "x" * 2_001, "<name> {0} %s"])
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CONTEXTS = st.dictionaries(st.sampled_from(["results", "slots", "n", ""]), VALUES, max_size=2)


@contextlib.contextmanager
def client_within():
    """Yield a client of an application in this process, over the run that the tests keep and a file of sessions."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        retraining = Retraining(CorpusSource(["none"]), place / "saved.jsonl")
        app = create_app(
            Runs({"good": GOOD}), open_store(str(place / "s.sqlite")), Settings(rate=0), corpus=load_corpus(CORPUS), retraining=retraining
        )  # fmt: skip
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client


@contextlib.contextmanager
def server():
    """Yield a server in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        # An archive, which cannot be trained again: POST /train is refused in the end.
        export_run(GOOD, f"{folder}/run.zip")
        options = ("--store", f"{folder}/s.sqlite", "--rate", "0", "--corpus", str(CORPUS))
        with ServerProcess(f"{folder}/run.zip", *options) as process:
            yield process


def bounded(examples, seed):
    """Settings of Hypothesis: so many examples, the same for the same seed."""
    return settings(
        max_examples=examples, deadline=None, database=None, derandomize=seed is None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck), stateful_step_count=20,
    )  # fmt: skip


def fuzz_operations(url, *, examples, seed=None):
    """Send requests made up from the OpenAPI document of a server; return how many answers there were of each status."""
    statuses = Counter()
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")

    def send(case):
        if case.operation.path.startswith("/sessions/{id}"):
            # A session with turns, so that what is sent gets somewhere.
            case.path_parameters["id"] = "s"
            if isinstance(turn := case.path_parameters.get("turn"), int) and turn > 0:
                case.path_parameters["turn"] = 0
            client.post("/sessions", json={"id": "s"})
            client.post("/sessions/s/turns", json={"user": "hello"})
        answer = case.call(timeout=PATIENCE)
        statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    with httpx2.Client(base_url=url, timeout=PATIENCE) as client:
        for operation in schema.get_all_operations():
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                # An operation without parameters has no request that is wrong.
                with contextlib.suppress(unittest.SkipTest, Unsatisfiable):
                    bounded(examples, seed)(given(case=operation.ok().as_strategy(generation_mode=mode))(send))()
        assert client.get("/ready").status_code == 200
    return statuses


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


class Conversations(RuleBasedStateMachine):
    """Requests of any order; a session is what a plain list of turns says that it is."""

    client: TestClient
    requests = 0
    sessions = Bundle("sessions")

    def __init__(self):
        super().__init__()
        self.turns = {}

    def ask(self, method, path, expected, **options):
        type(self).requests += 1
        answer = self.client.request(method, path, **options)
        assert answer.status_code in expected, f"{method} {path} {options}: {answer.status_code} {answer.text[:500]}"
        return answer

    def path(self, name):
        return f"/sessions/{name}"

    def check(self, view, name):
        assert [(t["turn"], t["user"], t["corrected"]) for t in view["turns"]] == [
            (n, user, corrected) for n, (user, _, corrected) in enumerate(self.turns[name])
        ]

    @initialize(target=sessions)
    def first(self):
        return self.create(None)

    @rule(target=sessions, name=st.none() | st.from_regex(r"[A-Za-z0-9_+][A-Za-z0-9._~:@+-]{0,9}", fullmatch=True))
    def begin(self, name):
        return self.create(name)

    def create(self, name):
        taken = name in self.turns
        answer = self.ask("POST", "/sessions", {409 if taken else 201}, json={"id": name})
        if taken:
            return multiple()
        name = answer.json()["id"]
        self.turns[name] = []
        return name

    @rule(name=sessions, user=TEXTS, context=CONTEXTS, key=st.none() | st.sampled_from(["a", "b", "c" * 255]))
    def respond(self, name, user, context, key):
        headers = {} if key is None else {"Idempotency-Key": key}
        known = [n for n, (_, own, _) in enumerate(self.turns[name]) if own is not None and own[0] == key]
        body = {"user": user, "context": context}
        expected = {201, 422, 409} if known or len(user or "") > 2_000 else {201}
        answer = self.ask("POST", f"{self.path(name)}/turns", expected, json=body, headers=headers)
        if answer.status_code == 201:
            turn = answer.json()
            assert 0 <= turn["confidence"] <= 1
            if answer.headers.get("Idempotent-Replayed"):
                assert turn["turn"] in known
                assert self.turns[name][turn["turn"]][1][1] == body
            else:
                assert turn["turn"] == len(self.turns[name])
                self.turns[name].append((user, None if key is None else (key, body), False))

    @rule(
        name=sessions,
        turn=st.integers(-2, 30),
        system=st.none() | st.text(max_size=20),
        actions=st.sampled_from([None, [], ["ack"], ["none such"]]),
    )
    def correct(self, name, turn, system, actions):
        answer = self.ask(
            "PUT",
            f"{self.path(name)}/turns/{turn}/actions",
            {200, 404, 422},
            json={"actions": actions, "system": system},
        )
        if answer.status_code == 200:
            user, key, _ = self.turns[name][turn]
            self.turns[name][turn] = user, key, True
            self.check(answer.json(), name)
        elif 0 <= turn < len(self.turns[name]):
            assert actions == ["none such"], answer.text

    @rule(name=sessions, turn=st.integers(-2, 30))
    def undo(self, name, turn):
        exists = 0 <= turn < len(self.turns[name])
        answer = self.ask("DELETE", f"{self.path(name)}/turns/{turn}", {200} if exists else {404, 422})
        if exists:
            del self.turns[name][turn:]
            self.check(answer.json(), name)

    @rule(name=sessions, turn=st.integers(-1, 10))
    def preview(self, name, turn):
        exists = 0 <= turn < len(self.turns[name])
        self.ask(
            "POST", f"{self.path(name)}/turns/{turn}/reply", {200} if exists else {404, 422}, json={"actions": ["ack"]}
        )

    @rule(name=sessions)
    def look(self, name):
        self.check(self.ask("GET", self.path(name), {200}).json(), name)
        line = self.ask("GET", f"{self.path(name)}/dialogue", {200}).json()
        assert [turn["user"] for turn in line["turns"]] == [user or "" for user, *_ in self.turns[name]]

    @rule(name=sessions)
    def save(self, name):
        self.ask("POST", "/corpus/saved", {200, 201, 409, 422}, json={"session": name})

    @rule(name=consumes(sessions))
    def delete(self, name):
        self.ask("DELETE", self.path(name), {204})
        self.ask("GET", self.path(name), {404})
        del self.turns[name]

    def teardown(self):
        for name, turns in self.turns.items():
            view = self.ask("GET", self.path(name), {200}).json()
            assert len(view["turns"]) == len(turns), "a turn was lost or doubled"
            self.ask("DELETE", self.path(name), {204})


def fuzz_conversations(client, *, examples, seed=None):
    """Have conversations of any order of requests; return how many requests there were."""
    machine = type("Machine", (Conversations,), {"client": client, "requests": 0})
    run_state_machine_as_test(machine, settings=bounded(examples, seed))
    return machine.requests


REQUESTS = [
    b"POST /sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"id\": \"b\"}",
    b"POST /sessions/b/turns HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\n"
    b"Content-Length: 17\r\n\r\n{\"user\": \"hello\"}",
    b"POST /sessions/b/turns HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"11\r\n{\"user\": \"hello\"}\r\n0\r\n\r\n",
    b"GET /sessions/b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"PUT /sessions/b/turns/0/actions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18\r\n\r\n{\"actions\": [\"x\"]}",
    b"GET /corpus/dialogues?query=a&offset=0&limit=3 HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n\r\n",
]  # fmt: skip


def fuzz_bytes(port, *, requests, seed=0):
    """Send damaged requests, each on a connection of its own; return how many were answered with which status."""
    draw, statuses = random.Random(seed), Counter()
    for _ in range(requests):
        data = draw.choice(REQUESTS)
        for _ in range(draw.randint(1, 3)):
            data = damaged(data, draw)
        answer = _answer(port, data)
        status = int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0  # 0: hung up without an answer
        assert status < 500, f"{data[:2000]!r}: {answer[:500]!r}"
        statuses[status] += 1
    assert httpx2.get(f"http://127.0.0.1:{port}/ready", timeout=PATIENCE).status_code == 200
    return statuses


def _answer(port, data):
    answer = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
        contextlib.suppress(ConnectionError),
    ):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def main():
    """Send the requests, and print how many answers had each status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=200, help="of each operation, and conversations (default: 200)")
    parser.add_argument("--requests", type=int, default=5_000, help="of damaged bytes (default: 5,000)")
    given = parser.parse_args()
    with server() as process:
        statuses = fuzz_operations(process.url, examples=given.examples)
        print(f"{statuses.total():,} requests by the OpenAPI document: {dict(sorted(statuses.items()))}", flush=True)
        statuses = fuzz_bytes(process.port, requests=given.requests)
        print(f"{statuses.total():,} damaged requests: {dict(sorted(statuses.items()))}", flush=True)
    with client_within() as client:
        requests = fuzz_conversations(client, examples=given.examples)
        print(f"{requests:,} requests in {given.examples:,} conversations: every answer as the model has it")


if __name__ == "__main__":
    main()
