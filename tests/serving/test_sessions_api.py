"""Sessions over HTTP: the same decisions as in Python, each turn once, everything said plainly when it goes wrong."""

import asyncio
import concurrent.futures
import contextlib
import itertools
import sqlite3
from urllib.parse import unquote

import msgspec
import pytest

from dialog_policy.corpus.readers import load_corpus
from dialog_policy.runtime import Policy
from dialog_policy.serving.conversations import Conversations
from dialog_policy.serving.errors import ConflictError, TooManyError
from dialog_policy.serving.metrics import Metrics
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.schemas import TurnRequest
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import MemoryStore, RefusedValueError, SqliteStore, Write
from dialog_policy.serving.training import CorpusSource, Retraining


@pytest.fixture
def client(serving):
    return serving()


def say(client, user, session="s", key=None, status=201, **more):
    headers = {"Idempotency-Key": key} if key else {}
    answer = client.post(f"/sessions/{session}/turns", json={"user": user, **more}, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def begin(client, **wanted):
    answer = client.post("/sessions", json={"id": "s", **wanted})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_conversation_is_the_one_that_a_session_in_python_has(client, run, small):
    session = Policy.load(run).start()
    begin(client)
    for number, turn in enumerate(max(small.split("test"), key=len).turns):
        step = session.respond(turn.user, turn.context)
        response = say(client, turn.user, context=dict(turn.context))
        assert (response["turn"], response["user"], response["context"]) == (number, turn.user, turn.context)
        assert (response["actions"], response["reply"]) == (sorted(step.actions), step.text or None)
        assert response["confidence"] == pytest.approx(step.confidence, abs=1e-6)
        assert response["probabilities"] == pytest.approx(
            {a: p for a, p in step.probabilities.items() if p >= 1e-3}, abs=2e-5
        )
        assert list(response["probabilities"].values()) == sorted(response["probabilities"].values(), reverse=True)
        if number % 3 == 1:
            session.observe(turn.actions, turn.system)
            done = {"actions": sorted(turn.actions), "system": turn.system}
            corrected = client.put(f"/sessions/s/turns/{number}/actions", json=done).json()["turns"][number]
            assert (corrected["actions"], corrected["reply"]) == (done["actions"], done["system"] or None)
            assert corrected["corrected"]
    response = client.get("/sessions/s").json()
    assert [t["actions"] for t in response["turns"]] == [sorted(t.actions) for t in session.turns]
    assert [t["predicted"] for t in response["turns"]] == [sorted(t.predicted) for t in session.turns]


def test_begin_read_delete(client):
    named = begin(client, run="quick")
    assert named == {"id": "s", "run": "quick", "policy": client.get("/model").json()["policy"], "turns": []}
    made = client.post("/sessions")
    assert made.status_code == 201
    assert made.headers["location"] == f"/sessions/{made.json()['id']}"
    assert client.get(made.headers["location"]).json() == made.json()
    assert client.delete("/sessions/s").status_code == 204
    for response in (
        client.get("/sessions/s"),
        client.delete("/sessions/s"),
        client.post("/sessions/s/turns", json={}),
    ):
        assert response.status_code == 404
        assert "'s'" in response.json()["error"]


def test_a_turn_that_is_sent_again_counts_once(client):
    begin(client)
    first = say(client, "hello", key="one")
    assert say(client, "hello", key="one") == first
    say(client, "a table please", key="two")
    again = client.post("/sessions/s/turns", json={"user": "hello"}, headers={"Idempotency-Key": "one"})
    assert (again.json(), again.headers["idempotent-replayed"]) == (first, "true")
    assert len(client.get("/sessions/s").json()["turns"]) == 2
    assert "another request (turn 0)" in say(client, "something else", key="one", status=422)["error"]
    # Taken back, it must not come again by a late repetition.
    client.delete("/sessions/s/turns/0")
    assert "taken back" in say(client, "hello", key="one", status=409)["error"]
    assert say(client, "hello", key="three")["turn"] == 0


def test_an_earlier_turn_is_corrected_and_the_later_ones_stand(client, run):
    session = Policy.load(run).start()
    begin(client)
    for user in ("hello", "a table please", "in the north"):
        session.respond(user)
        say(client, user)
    session.observe({"bye"}, turn=0)
    response = client.put("/sessions/s/turns/0/actions", json={"actions": ["bye"]}).json()
    assert [t["actions"] for t in response["turns"]] == [sorted(t.actions) for t in session.turns]
    assert response["turns"][0]["reply"] == (session.turns[0].system or None)
    step = session.respond("thanks")
    assert say(client, "thanks")["confidence"] == pytest.approx(step.confidence, abs=1e-6)


def test_undo_takes_back_a_turn_and_what_followed(client):
    begin(client)
    first = say(client, "hello")
    second = say(client, "a table please")
    say(client, "in the north")
    assert client.delete("/sessions/s/turns/1").json()["turns"] == [first]
    assert say(client, "a table please") == second


def test_context_alone_and_allowed_actions(client):
    begin(client)
    response = say(client, None, context={"results": [{"name": "Oak"}]}, allowed=["bye"])
    assert (response["user"], response["context"]) == (None, {"results": [{"name": "Oak"}]})
    assert set(response["actions"]) <= {"bye"}


def test_doing_nothing_competes_with_what_is_allowed_if_asked_for(client, run):
    """As in a session in Python; a repeated request that differs in this is another one."""
    begin(client)
    session = Policy.load(run).start()
    for allow_none in (False, True):
        step = session.respond("wait a minute", allowed=["bye"], allow_none=allow_none)
        response = say(client, "wait a minute", allowed=["bye"], allow_none=allow_none, key=str(allow_none))
        assert (response["actions"], response["confidence"]) == (
            sorted(step.actions),
            pytest.approx(step.confidence, abs=1e-6),
        )
        assert response["actions"] or allow_none
    say(client, "wait a minute", allowed=["bye"], allow_none=False, key="True", status=422)
    assert TurnRequest("hi").digest().hex() == "b36ec68ab8667f5e1170f0f29beaf6c0"


def test_the_dialogue_is_a_corpus(client, tmp_path):
    begin(client)
    say(client, "hello")
    client.put("/sessions/s/turns/0/actions", json={"actions": ["greet"], "system": "Hi."})
    response = client.get("/sessions/s/dialogue")
    assert response.headers["content-type"] == "application/x-ndjson"
    (tmp_path / "saved.jsonl").write_bytes(response.content)
    (dialogue,) = load_corpus(tmp_path / "saved.jsonl")
    assert (dialogue.id, dialogue.turns[0].actions, dialogue.turns[0].system) == ("s", {"greet"}, "Hi.")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/sessions", {"id": "s"}, 409, "there is a session 's' already"),
        ("POST", "/sessions", {"id": "../x"}, 422, "id"),
        ("POST", "/sessions", {"run": "quikc"}, 404, "Did you mean 'quick'?"),
        ("POST", "/sessions", {"runn": "quick"}, 422, "runn"),
        ("POST", "/sessions/s/turns", {"usr": "hello"}, 422, "usr"),
        ("POST", "/sessions/s/turns", {"user": 1}, 422, "$.user"),
        ("POST", "/sessions/s/turns", {"user": "x" * 2001}, 422, "--max-utterance"),
        ("POST", "/sessions/s/turns", {"user": "x", "context": []}, 422, "$.context"),
        ("POST", "/sessions/s/turns", {"user": "x", "allowed": ["gret"]}, 422, "Did you mean 'greet'?"),
        ("PUT", "/sessions/s/turns/0/actions", {"actions": ["gret"]}, 422, "Did you mean 'greet'?"),
        ("PUT", "/sessions/s/turns/0/actions", {}, 422, "actions"),
        (
            "PUT",
            "/sessions/s/turns/1/actions",
            {"actions": []},
            404,
            "there is no turn 1; the session has turn 0 only",
        ),
        ("PUT", "/sessions/s/turns/0/actions", {"actions": [], "system": "x" * 2001}, 422, "--max-utterance"),
        ("DELETE", "/sessions/s/turns/-1", None, 404, "there is no turn -1"),
        ("DELETE", "/sessions/s/turns/7", None, 404, "there is no turn 7; the session has turn 0 only"),
        ("POST", "/sessions/s/turns/0/reply", {"actions": ["gret"]}, 422, "Did you mean 'greet'?"),
        ("POST", "/sessions/s/turns/9/reply", {"actions": []}, 404, "there is no turn 9"),
        ("POST", "/sessions/t/turns/0/reply", {"actions": [], "system": "x"}, 404, "there is no session 't'"),
        ("POST", "/sessions/s/turns/0/reply", {"actions": [], "system": "x" * 2001}, 422, "--max-utterance"),
        ("POST", "/sessions", {"id": "s\n"}, 422, "expected an id"),
        ("POST", "/sessions", {"id": "x" * 129}, 422, "at most 128"),
        ("GET", "/corpus/dialogues", None, 409, "--corpus CORPUS"),
        ("GET", "/corpus/dialogues/x", None, 409, "--corpus CORPUS"),
        ("POST", "/corpus/saved", {"session": "s"}, 409, "--corpus CORPUS"),
        ("POST", "/train", None, 409, "--corpus CORPUS"),
        ("GET", "/train", None, 409, "--corpus CORPUS"),
        ("POST", "/train/restore", None, 409, "--corpus CORPUS"),
        ("GET", "/runs", None, 404, "Not Found: GET /runs."),
        ("GET", "/model?run=x", None, 404, "served are quick"),
        ("PATCH", "/sessions", None, 405, "Method Not Allowed"),
    ],
)
def test_what_is_wrong_is_said(client, method, path, body, status, message):
    begin(client)
    say(client, "hello")
    before = client.get("/sessions/s").json()
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert client.get("/sessions/s").json() == before


@pytest.mark.parametrize("id", ["a%00b", "%ED%A0%80", "x" * 129, "x" * 20_000, "%0A", "s%0A", ".s", "%F0%9F%98%80"])
def test_what_no_session_can_be_called_is_not_found_and_the_store_never_asked(serving, monkeypatch, tmp_path, id):
    client = serving(corpus=(), retraining=Retraining(CorpusSource(["none"]), tmp_path / "saved.jsonl"))
    begin(client)

    async def load(self, ids, real=MemoryStore.load):
        assert list(ids) == ["s"]
        return await real(self, ids)

    monkeypatch.setattr(MemoryStore, "load", load)
    done = {"actions": []}
    for method, path, body in (
        ("POST", "/turns", {"user": "hello"}), ("GET", "", None), ("DELETE", "", None), ("GET", "/dialogue", None),
        ("PUT", "/turns/0/actions", done), ("POST", "/turns/0/reply", done), ("DELETE", "/turns/0", None),
    ):  # fmt: skip
        answer = client.request(method, f"/sessions/{id}{path}", json=body)
        assert answer.status_code == 404, (method, path)
        assert "an id has at most 128 letters" in answer.json()["error"]
        assert len(answer.content) < 1_500
    answer = client.post("/corpus/saved", json={"session": unquote(id)})
    assert (answer.status_code, "an id has at most" in answer.json()["error"]) == (404, True)
    assert say(client, "hello")["turn"] == 0


@pytest.mark.parametrize(
    "body", ["{", '{"user": "\\ud800"}', '{"user": NaN}', "[" * 5000, b"\xff", "", '{"context": {"a": 1e999}}']
)
def test_what_is_no_json_is_refused(client, body):
    begin(client)
    answer = client.post("/sessions/s/turns", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert "truncated" not in answer.text or body != '{"user": "\\ud800"}'


@pytest.mark.parametrize(("method", "path"), [("PUT", "actions"), ("POST", "reply")])
def test_lone_surrogates_are_refused_in_corrections(client, method, path):
    begin(client)
    say(client, "hello")
    answer = client.request(
        method, f"/sessions/s/turns/0/{path}", content='{"actions": [], "system": "\\ud800"}',
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert client.get("/sessions/s").json()["turns"][0]["corrected"] is False


def test_the_reply_of_a_correction_is_shown_before_it_is_made(client):
    begin(client)
    for user in ("hello", "a table please", "bye"):
        say(client, user)
    before = client.get("/sessions/s").json()
    said = ({}, {"system": None}, {"system": ""}, {"system": "Bye now."})
    for turn, actions, system in itertools.product((0, 2), (["greet"], ["bye"], [], None), said):
        preview = client.post(f"/sessions/s/turns/{turn}/reply", json={"actions": actions, **system})
        assert preview.status_code == 200, preview.text
        assert client.get("/sessions/s").json() == before
        copy = client.post("/sessions").json()["id"]
        for user in ("hello", "a table please", "bye"):
            say(client, user, session=copy)
        corrected = client.put(f"/sessions/{copy}/turns/{turn}/actions", json={"actions": actions, **system}).json()
        assert preview.json() == {"reply": corrected["turns"][turn]["reply"]}
    assert client.post("/sessions/s/turns/0/reply", json={"actions": ["bye"]}).json()["reply"]


def test_a_long_session_and_too_many_sessions_are_refused(serving):
    client = serving(max_turns=2, max_sessions=2)
    begin(client)
    say(client, "hello")
    say(client, "hello")
    assert "--max-turns" in say(client, "hello", status=422)["error"]
    client.post("/sessions")
    refused = client.post("/sessions")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    client.delete("/sessions/s")
    assert client.post("/sessions").status_code == 201


def test_sessions_are_counted_once_a_second(run, monkeypatch):
    now, counted = 0.0, 0

    async def count(self, real=MemoryStore.count):
        nonlocal counted
        counted += 1
        return await real(self)

    monkeypatch.setattr(MemoryStore, "count", count)

    async def work(one, two):
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patch:
            patch.setattr(loop, "time", lambda: now)
            await asyncio.gather(*(one.create(name, None) for name in "abcd"))
            with pytest.raises(ConflictError, match="already"):
                await one.create("a", None)
            assert (await one.count(), counted) == (4, 1)
            for _ in range(3):  # full
                await one.create("e", None)
                with pytest.raises(TooManyError, match="--max-sessions"):
                    await one.create("f", None)
                await one.delete("e")
            assert counted == 1
            # What another server does is seen a second later.
            await two.create("g", None)
            await two.delete("a")
            await two.delete("b")
            assert await one.count() == 4
            nonlocal now
            now += 1.0
            assert (await one.count(), await one.count()) == (3, 3)

    two_servers(run, work, max_sessions=5)
    assert counted == 3


def test_a_full_store_is_swept_before_a_session_is_refused(run):
    async def work(one, two):
        await one.create("a", None)
        (stored,) = await one.store.load(["a"])
        await one.store.save([Write("a", stored.version, stored.version + 1, stored.data, 0.0)])
        await two.create("b", None)
        assert await two.count() == 1

    two_servers(run, work, max_sessions=1)


def test_of_turns_at_once_in_one_conversation_one_wins(serving):
    client = serving()
    begin(client)
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        requests = [threads.submit(client.post, "/sessions/s/turns", json={"user": f"hello {n}"}) for n in range(40)]
        answers = [future.result() for future in requests]
    won = [answer.json() for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    turns = client.get("/sessions/s").json()["turns"]
    assert sorted(t["turn"] for t in won) == list(range(len(turns)))
    assert {t["user"] for t in won} == {t["user"] for t in turns}


def two_servers(run, work, **settings):
    """Two servers over one store."""
    shared = MemoryStore()

    async def within():
        runs = Runs({"quick": run})
        one, two = (Conversations(runs, shared, Settings(**settings), Metrics()) for _ in range(2))
        async with one, two:
            await work(one, two)

    asyncio.run(within())


def test_two_servers_do_not_both_win(run):
    async def work(one, two):
        await one.create("s", None)
        for number in range(20):
            requests = (
                server.respond("s", TurnRequest(f"hello from {n}"), None) for n, server in enumerate((one, two))
            )
            answers = await asyncio.gather(*requests, return_exceptions=True)
            lost = [answer for answer in answers if isinstance(answer, Exception)]
            assert [type(error) for error in lost] == [ConflictError]
            assert len((await one.read("s")).turns) == number + 1

    two_servers(run, work)


def test_two_servers_count_a_repeated_turn_once(run):
    async def work(one, two):
        await one.create("s", None)
        requests = (server.respond("s", TurnRequest("hello"), "key") for server in (one, two, one, two))
        answers = await asyncio.gather(*requests)
        assert len({msgspec.json.encode(answer.turn) for answer in answers}) == 1
        assert sorted(answer.repeated for answer in answers) == [False, True, True, True]
        assert len((await one.read("s")).turns) == 1

    two_servers(run, work)


def test_one_wrong_request_does_not_spoil_those_beside_it(run):
    async def work(one, _):
        for name in "abc":
            await one.create(name, None)
        requests = {
            "a": TurnRequest("hi"),
            "b": TurnRequest("hi", {}, ["nothing like it"]),
            "x": TurnRequest("hi"),
            "c": TurnRequest("hi"),
        }
        answers = await asyncio.gather(*(one.respond(n, r, None) for n, r in requests.items()), return_exceptions=True)
        response = [a.turn.turn if not isinstance(a, Exception) else type(a).__name__ for a in answers]
        assert response == [0, "OptionError", "NotFoundError", 0]

    two_servers(run, work)


@pytest.mark.parametrize("asked", ["load", "save"])
@pytest.mark.parametrize("error", [RefusedValueError("not this one"), UnicodeError("nor this")])
def test_what_the_store_refuses_of_one_turn_fails_that_turn_alone(run, monkeypatch, asked, error):
    def refusing(real):
        async def refuse(self, some):
            if any("b" in (one, getattr(one, "id", None)) and getattr(one, "before", 1) for one in some):
                raise error
            return await real(self, some)

        return refuse

    monkeypatch.setattr(MemoryStore, asked, refusing(getattr(MemoryStore, asked)))

    async def work(one, _):
        for name in "abcd":
            await one.create(name, None)
        for repeated in (False, True):
            answers = await asyncio.gather(
                *(one.respond(name, TurnRequest("hi"), "key") for name in "abcd"), return_exceptions=True
            )
            assert answers[1] is error
            assert [(a.turn.turn, a.repeated) for a in (answers[0], *answers[2:])] == [(0, repeated)] * 3

    two_servers(run, work)


@pytest.mark.parametrize("error", [OverflowError("int too large to convert to float"), MemoryError(), KeyError("x")])
def test_an_error_that_nobody_expected_fails_its_own_request_only(run, monkeypatch, error):
    """Those computed beside it are answered as if they were alone, also if the attempt had begun to change their sessions."""

    def respond_many(self, requests, real=Policy.respond_many):
        requests = list(requests)
        if any(request.user == "boom" for request in requests):
            for request in requests:
                if request.user != "boom":
                    real(self, [request])
            raise error
        return real(self, requests)

    monkeypatch.setattr(Policy, "respond_many", respond_many)

    async def work(one, _):
        for name in "abcd":
            await one.create(name, None)
        users = {"a": "hello", "b": "boom", "c": "hello", "d": "hello"}
        for number in range(3):
            answers = await asyncio.gather(
                *(one.respond(name, TurnRequest(user), None) for name, user in users.items()), return_exceptions=True
            )
            assert answers[1] is error
            assert [answer.turn.turn for answer in (answers[0], *answers[2:])] == [number] * 3
        assert [len((await one.read(name)).turns) for name in "abcd"] == [3, 0, 3, 3]

    two_servers(run, work)


def test_numbers_beyond_every_float_fail_alone_or_are_taken(client):
    begin(client)
    answer = client.post(
        "/sessions/s/turns", content='{"user": "hi", "context": {"n": ' + "9" * 400 + "}}",
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.json().get("error") or answer.status_code == 201
    assert say(client, "hello")["turn"] == int(answer.status_code == 201)


def test_sessions_survive_a_restart(serving, tmp_path):
    begin(before := serving(store=SqliteStore(tmp_path / "s.sqlite")))
    say(before, "hello", key="one")
    response = before.get("/sessions/s").json()
    after = serving(store=SqliteStore(tmp_path / "s.sqlite"))
    assert after.get("/sessions/s").json() == response
    assert say(after, "hello", key="one")["turn"] == 0
    assert say(after, "a table please")["turn"] == 1


def test_a_store_that_cannot_be_reached_is_503(serving):
    from dialog_policy.serving.stores.redis import RedisStore

    client = serving(store=RedisStore("redis://127.0.0.1:1/0"))
    for answer in (
        client.get("/ready"),
        client.post("/sessions"),
        client.post("/sessions/s/turns", json={"user": "hello"}),
    ):
        assert answer.status_code == 503
        assert "does not answer" in answer.json()["error"]
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("version", "data"),
    [(2**63 - 1, None), (0, None), (-5, None), ("many", None), (1.5, None), (7, "text"), (7, 12), (7, b"\xc1")],
)
def test_a_damaged_row_fails_its_own_session_only_and_everyone_is_answered(tmp_path, run, version, data):
    """Also the largest version that SQLite can hold, after which there is no other."""

    async def work():
        store = SqliteStore(tmp_path / "sessions.sqlite")
        async with Conversations(Runs({"quick": run}), store, Settings(), Metrics()) as conversations:
            for name in "abc":
                await conversations.create(name, None)
            with contextlib.closing(sqlite3.connect(tmp_path / "sessions.sqlite")) as file, file:
                file.execute(
                    "UPDATE sessions SET version = ?, data = coalesce(?, data) WHERE id = 'b'", (version, data)
                )
            answers = await asyncio.gather(
                *(conversations.respond(name, TurnRequest("hi"), None) for name in "abc"), return_exceptions=True
            )
            # Nobody is kept out for ever.
            again = await asyncio.gather(conversations.respond("b", TurnRequest("hi"), None), return_exceptions=True)
            assert type(again[0]).__name__ == "SessionError"
        return [getattr(answer, "turn", answer) for answer in answers]

    first, damaged, last = asyncio.run(work())
    assert (first.turn, type(damaged).__name__, last.turn) == (0, "SessionError", 0)
