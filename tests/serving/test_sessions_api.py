"""Sessions over HTTP: the same decisions as in Python, each turn once, everything said plainly when it goes wrong."""

import itertools
from urllib.parse import unquote

import pytest

from dialog_policy.corpus.readers import load_corpus
from dialog_policy.runtime import Policy
from dialog_policy.serving.schemas import TurnRequest
from dialog_policy.serving.stores import MemoryStore
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
    assert "--max-turns" in say(client, "hello", status=410)["error"]
    client.post("/sessions")
    refused = client.post("/sessions")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    client.delete("/sessions/s")
    assert client.post("/sessions").status_code == 201


@pytest.mark.parametrize(
    "nested", [lambda depth: "[" * depth + "]" * depth, lambda depth: '{"a":' * depth + "1" + "}" * depth]
)
def test_what_is_nested_too_deep_is_refused_and_what_is_taken_can_be_repeated(client, nested):
    client.post("/sessions", json={"id": "deep"})

    def said(context):
        content = f'{{"user": "hello", "context": {{"a": {context}}}}}'
        return client.post("/sessions/deep/turns", content=content, headers={"Content-Type": "application/json"})

    assert said(nested(190)).status_code == 201
    refused = said(nested(955))
    assert refused.status_code == 422
    assert "at most 200 deep within each other" in refused.json()["error"]
    brackets = '"' + '[\\"{' * 400 + '"'  # in a text
    assert said(brackets).status_code == 201
    assert client.get("/sessions/deep/dialogue").status_code == 200


def test_looking_how_deep_takes_time_by_the_length_of_a_body_however_it_ends(client):
    client.post("/sessions", json={"id": "open"})
    content = "[" * 300 + '"' + '\\"' * 30_000
    assert (
        client.post("/sessions/open/turns", content=content, headers={"Content-Type": "application/json"}).status_code
        == 422
    )
