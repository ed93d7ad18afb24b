"""The OpenAPI says what there is, with examples, and whatever is sent by it, nothing breaks the server."""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from benchmarks.load import ServerProcess
from dialog_policy.corpus.write import write_corpus
from dialog_policy.runtime.export import export_run
from dialog_policy.serving.app import create_app
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import MemoryStore
from dialog_policy.serving.training import CorpusSource, Retraining


@pytest.fixture(scope="module")
def app(run, small, tmp_path_factory):
    saved = tmp_path_factory.mktemp("openapi") / "saved.jsonl"
    retraining = Retraining(CorpusSource(["none"]), saved)
    return create_app(Runs({"quick": run}), MemoryStore(), Settings(), corpus=small, retraining=retraining)


def test_every_request_and_answer_is_described_with_examples(app):
    described = app.openapi()
    paths = {(method, path) for path, operations in described["paths"].items() for method in operations}
    assert {
        ("post", "/sessions"), ("get", "/sessions/{id}"), ("delete", "/sessions/{id}"), ("post", "/sessions/{id}/turns"),
        ("put", "/sessions/{id}/turns/{turn}/actions"), ("delete", "/sessions/{id}/turns/{turn}"),
        ("get", "/sessions/{id}/dialogue"), ("get", "/model"), ("get", "/models"), ("post", "/reload"), ("get", "/health"),
        ("get", "/ready"), ("get", "/metrics"), ("get", "/corpus/dialogues"), ("get", "/corpus/dialogues/{id}"),
        ("post", "/corpus/saved"), ("post", "/train"), ("get", "/train"),
        ("post", "/train/restore"), ("post", "/sessions/{id}/turns/{turn}/reply"),
    } == paths  # fmt: skip
    for method, path in paths:
        operation = described["paths"][path][method]
        assert operation["description"], path
    turn = described["paths"]["/sessions/{id}/turns"]["post"]
    assert turn["requestBody"]["content"]["application/json"]["examples"]
    assert {p["name"] for p in turn["parameters"]} == {"id", "Idempotency-Key"}
    for name in ("NewSession", "SessionView", "TurnView", "Correction", "Training"):
        assert described["components"]["schemas"][name]["examples"], name


def test_nothing_that_is_sent_breaks_it(run, small, tmp_path):
    """Sends some 20 requests for each operation, made up from the OpenAPI, to a server in a process of its own."""
    write_corpus(small, tmp_path / "small.jsonl")
    # An archive, which cannot be trained again: POST /train is refused in the end.
    export_run(run, tmp_path / "run.zip")
    bounded = settings(
        max_examples=20, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    statuses = set()

    def send(case):
        if case.operation.path.startswith("/sessions/{id}"):
            # A session with turns, so that what is sent gets somewhere.
            case.path_parameters["id"] = "s"
            if case.path_parameters.get("turn", 0) > 0:
                case.path_parameters["turn"] = 0
            requests.post(f"{server.url}/sessions", json={"id": "s"}, timeout=300)
            requests.post(f"{server.url}/sessions/s/turns", json={"user": "hello"}, timeout=300)
        answer = case.call(timeout=300)
        statuses.add(answer.status_code)
        assert answer.status_code < 500, f"{case.as_curl_command()}: {answer.text}"

    with ServerProcess(
        str(tmp_path / "run.zip"),
        "--store",
        str(tmp_path / "s.sqlite"),
        "--rate",
        "0",
        "--corpus",
        str(tmp_path / "small.jsonl"),
    ) as server:
        for operation in schemathesis.openapi.from_url(f"{server.url}/openapi.json").get_all_operations():
            bounded(given(case=operation.ok().as_strategy())(send))()
        assert requests.get(f"{server.url}/ready", timeout=300).status_code == 200
    assert {200, 201, 204, 404, 409, 422} <= statuses
