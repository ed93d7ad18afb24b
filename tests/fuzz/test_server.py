"""The short form of ``./scripts/fuzz-server``."""

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from tests.fuzz.server import client_within, fuzz_bytes, fuzz_conversations, fuzz_operations, server


@pytest.fixture(scope="module")
def process():
    with server() as process:
        yield process


def test_answers_are_as_the_openapi_document_says(process):
    statuses = fuzz_operations(process.url, examples=8)
    assert {200, 201, 204, 404, 409, 422} <= set(statuses)


def test_damaged_requests_harm_nobody_else(process):
    statuses = fuzz_bytes(process.port, requests=150)
    assert statuses[400] > 50


def test_a_session_is_what_a_plain_list_of_turns_says():
    with client_within() as client:
        assert fuzz_conversations(client, examples=15) > 100
