"""Who may ask, how much and how often."""

import asyncio
import itertools
import json
import logging
import re
import sys
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_policy.serving.guard import RateLimit
from dialog_policy.serving.logs import line_formatter, log, start_logging


def test_a_token_is_asked_for_but_for_the_page_and_health(serving):
    client = serving(token="secret")
    for path in ("/sessions/s", "/model", "/metrics", "/nothing"):
        refused = client.get(path)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/model", headers={"Authorization": "Bearer secret"}).status_code == 200
    for path in ("/health", "/ready", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_other_names_of_this_machine_are_refused(serving):
    client = serving(hosts=frozenset({"localhost", "127.0.0.1", "::1"}))
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]"):
        assert client.get("/model", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example:80", ""):
        assert client.get("/model", headers={"Host": host}).status_code == 421, host


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_that_ask_by_address_are_answered(serving, method, path):
    client = serving(hosts=frozenset({"bot.example"}), token="secret")
    assert client.request(method, path, headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_the_log_says_who_was_refused(serving, caplog):
    client = serving(token="secret")
    with caplog.at_level(logging.INFO, "dialog_policy.serving"):
        client.get("/model")
        client.get("/model", headers={"Authorization": "Bearer secret"})
    refused, answered = caplog.records
    assert (refused.status, refused.client) == (401, "testclient")
    assert not hasattr(answered, "client")


def test_pages_of_other_sites_are_refused(serving):
    client = serving()
    for origin in ("https://evil.example", "null", "http://testserver:81"):
        assert client.post("/sessions", headers={"Origin": origin}).status_code == 403, origin
    answer = client.post("/sessions", headers={"Origin": "http://testserver"})
    assert answer.status_code == 201
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_page_may_load_its_own_files_and_nobody_may_frame_it(serving):
    client = serving()
    page = client.get("/")
    for name in ("/", *re.findall(r'(?:src|href)="([^":]+)"', page.text)):
        answer = client.get(name)
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert (answer.status_code, policy["default-src"], policy["frame-ancestors"]) == (200, "'self'", "'none'"), name
        assert not [value for value in policy.values() if "unsafe" in value or "*" in value]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in page.text
    assert " style=" not in page.text


def test_a_form_of_another_site_is_refused(serving):
    client = serving()
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        refused = client.post("/sessions", content='{"id": "s"}', headers={"Content-Type": kind})
        assert refused.status_code == 415
    kind = {"Content-Type": "application/json; charset=utf-8"}
    assert client.post("/sessions", content='{"id": "s"}', headers=kind).status_code == 201


@pytest.mark.parametrize("is_announced", [True, False])
def test_large_bodies_are_refused(serving, is_announced):
    client = serving(max_body=1000)
    client.post("/sessions", json={"id": "s"})
    body = json.dumps({"user": "hello", "context": {"x": "y" * 1000}}).encode()
    content = body if is_announced else iter([body[:900], body[900:]])
    refused = client.post("/sessions/s/turns", content=content, headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
    assert "--max-body" in refused.json()["error"]
    assert client.get("/sessions/s").json()["turns"] == []


def test_the_rate_is_limited(serving):
    client = serving(rate=5)
    statuses = [client.get("/health").status_code for _ in range(12)]
    assert statuses[:10] == [200] * 10
    refused = client.get("/health")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")


def test_whoever_guesses_tokens_is_slowed_down(serving):
    client = serving(rate=5, token="secret")
    statuses = [client.get("/model", headers={"Authorization": f"Bearer {n}"}).status_code for n in range(15)]
    assert statuses[:10] == [401] * 10
    assert 429 in statuses[10:]


def test_a_bucket_fills_again_for_each_address():
    limit = RateLimit(2)
    assert [limit.take("a", 0.0) for _ in range(4)] == [0.0] * 4
    assert limit.take("a", 0.0) == pytest.approx(0.5)
    assert limit.take("b", 0.0) == 0.0
    assert limit.take("a", 0.5) == 0.0
    assert limit.take("a", 0.5) > 0.0
    assert [limit.take("a", 100.0) for _ in range(5)] == [0.0] * 4 + [pytest.approx(0.5)]


def test_a_network_of_64_bits_is_one_client():
    limit = RateLimit(0.5)
    for number, address in enumerate(
        ("2001:db8:0:7::1", "2001:db8::7:ffff:1:2:3", "2001:DB8:0:7:8::", "2001:db8:0:7::9%eth0")
    ):
        assert (limit.take(address, 0.0) == 0.0) == (number == 0), address
    for address in ("2001:db8:0:8::1", "::ffff:192.0.2.1", "192.0.2.2", "proxy:1", "2001:db8:\0", "", ":"):
        assert limit.take(address, 0.0) == 0.0, address
    assert limit.take("192.0.2.1", 0.0) > 0.0


def test_of_more_clients_than_are_remembered_the_quiet_ones_are_forgotten(monkeypatch):
    monkeypatch.setattr("dialog_policy.serving.guard._REMEMBERED", 100)
    limit = RateLimit(0.5)
    assert limit.take("quiet", 0.0) == 0.0
    for number in range(1_000):
        # One that goes on although it is refused is not forgotten, and has no new burst.
        assert (limit.take("busy", 0.0) == 0.0) == (number == 0)
        assert limit.take(f"new {number}", 0.0) == 0.0
    assert limit.take("new 990", 0.0) > 0.0
    assert limit.take("quiet", 0.0) == 0.0


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 3.0)), max_size=40),
    st.sampled_from([0.2, 0.5, 1.0, 3.0]),
)
def test_a_client_gets_what_has_flowed_in(requests, rate):
    limit, now, taken = RateLimit(rate), 0.0, dict[str, list[float]]()
    for client, after in requests:
        now += after
        times = taken.setdefault(client, [])
        wait = limit.take(client, now)
        if not wait:
            times.append(now)
        else:
            assert wait <= 1.0 / rate + 1e-9
    for times in taken.values():
        for first, last in itertools.combinations_with_replacement(range(len(times)), 2):
            assert last - first + 1 <= limit.burst + (times[last] - times[first]) * rate + 1e-6


@pytest.mark.parametrize("log_text", [False, True])
def test_logs_are_json_without_what_was_said(serving, caplog, log_text):
    client = serving(log_text=log_text)
    with caplog.at_level(logging.INFO, "dialog_policy.serving"):
        client.post("/sessions", json={"id": "s"})
        client.post("/sessions/s/turns", json={"user": "my secret wish"})
        client.post("/sessions/s/turns", json={"user": "my secret wish", "wrong": 1})
        client.put("/sessions/s/turns/0/actions", json={"actions": [], "system": "a secret reply"})
    lines = [line_formatter().format(record) for record in caplog.records]
    entries = [json.loads(line) for line in lines]
    assert [(line["method"], line["route"], line["status"]) for line in entries] == [
        ("POST", "/sessions", 201), ("POST", "/sessions/{id}/turns", 201), ("POST", "/sessions/{id}/turns", 422),
        ("PUT", "/sessions/{id}/turns/{turn}/actions", 200),
    ]  # fmt: skip
    assert (entries[1]["session"], entries[1]["turn"]) == ("s", 0)
    assert ("secret" in "".join(lines)) == log_text


def test_metrics_count(serving):
    client = serving()
    client.post("/sessions", json={"id": "s"})
    client.post("/sessions/s/turns", json={"user": "hello"})
    client.put("/sessions/s/turns/0/actions", json={"actions": []})
    client.get("/no/such/path")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = response.text.splitlines()
    policy = client.get("/model").json()["policy"]
    for line in (
        'dialog_policy_requests_total{method="POST",route="/sessions/{id}/turns",status="201"} 1.0',
        'dialog_policy_requests_total{method="GET",route="other",status="404"} 1.0',
        'dialog_policy_turns_total{run="quick"} 1.0',
        'dialog_policy_corrections_total{run="quick"} 1.0',
        "dialog_policy_sessions 1.0",
        f'dialog_policy_served{{policy="{policy}",run="quick"}} 1.0',
    ):
        assert line in lines


def test_lines_that_come_at_one_time_are_written_at_once_and_in_order(monkeypatch):
    written = []
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=written.append, flush=lambda: None))
    start_logging()
    logger = logging.getLogger("dialog_policy.serving")

    async def work():
        log("one", session="a\n\ud800")
        log("two")
        assert not written
        await asyncio.sleep(0.1)
        assert len(written) == 1
        log("three")
        log("failed", failed=True)
        log("waiting")
        elsewhere = threading.Thread(target=log, args=["elsewhere"])
        elsewhere.start()
        elsewhere.join()  # the loop stands, so that what waits cannot be written before
        log("short")
        log("long", text="é" * 3_000)
        log("last")

    try:
        asyncio.run(work())
        log("after")
    finally:
        logger.handlers, logger.propagate = [], True
        logging.getLogger("uvicorn.error").handlers = []
        logging.logThreads = logging.logProcesses = logging.logMultiprocessing = True
    events = [[json.loads(line)["event"] for line in block.splitlines()] for block in written]
    assert events[:5] == [["one", "two"], ["three", "failed"], ["waiting", "elsewhere"], ["short"], ["long"]]
    assert [*itertools.chain(*events[5:])] == ["last", "after"]  # one block, unless the loop took long to end
    assert all(len(block.encode()) <= 4_096 or block.count("\n") == 1 for block in written)
