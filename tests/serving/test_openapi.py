"""The OpenAPI says what there is, with examples; :mod:`tests.fuzz.server` sends what it describes."""

import pytest

from dialog_policy import __version__
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
    assert described["info"]["version"] == __version__
    for method, path in paths:
        operation = described["paths"][path][method]
        assert operation["description"], path
        assert operation["security"] == []
        assert operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith("/Error")
    turn = described["paths"]["/sessions/{id}/turns"]["post"]
    assert turn["requestBody"]["content"]["application/json"]["examples"]
    assert {p["name"] for p in turn["parameters"]} == {"id", "Idempotency-Key"}
    for name in ("NewSession", "SessionView", "TurnView", "Correction", "Training"):
        assert described["components"]["schemas"][name]["examples"], name


def test_where_a_token_is_needed_clients_that_are_generated_send_one(run):
    described = create_app(Runs({"quick": run}), MemoryStore(), Settings(token="secret")).openapi()
    (scheme,) = described["components"]["securitySchemes"].items()
    assert scheme == ("token", {"type": "http", "scheme": "bearer"})
    is_open = {path for path, by in described["paths"].items() for one in by.values() if not one["security"]}
    assert is_open == {"/health", "/ready"}
    assert described["paths"]["/models"]["get"]["security"] == [{"token": []}]
