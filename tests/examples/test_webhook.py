"""The example webhook before a real server: replies, a conversation a sender, messages delivered twice, signatures."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from benchmarks.client import ServerProcess
from dialog_policy.runtime import Policy
from tests.conftest import REPOSITORY
from tests.examples.test_bot import run  # noqa: F401 - a fixture


@pytest.fixture
def webhook(run, tmp_path):  # noqa: F811
    (tmp_path / "token").write_text("secret")
    with ServerProcess(
        str(run), "--store", str(tmp_path / "s.sqlite"), "--token-file", str(tmp_path / "token"), "--max-turns", "4"
    ) as server:
        settings = {"PORT": "0", "DIALOG_POLICY_TOKEN": "secret", "WEBHOOK_SECRET": "shared"}
        command = [sys.executable, str(REPOSITORY / "scripts" / "webhook"), server.url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **settings})
        try:
            url = process.stdout.readline().strip()
            yield url, server
        finally:
            process.terminate()
            process.wait(10)
            process.stdout.close()


def send(url, secret="shared", **fields):
    body = json.dumps(fields).encode()
    headers = {"X-Signature": hmac.new(secret.encode(), body, "sha256").hexdigest()}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=300) as answer:
        return json.load(answer)["replies"]


def turns(server, sender):
    name = f"messenger:{hashlib.sha256(sender.encode()).hexdigest()[:32]}"
    request = urllib.request.Request(f"{server.url}/sessions/{name}", headers={"Authorization": "Bearer secret"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return [turn["user"] for turn in json.load(answer)["turns"]]


RESULTS = {"results": [{"name": "Blue Door", "price": "25 euros"}, {"name": "Lantern", "price": "40 euros"}]}


def test_a_messenger_is_answered(webhook, run):  # noqa: F811
    url, server = webhook
    session = Policy.load(run).start()
    assert session.respond("a table please").actions == {"query_restaurant"}
    expected = ["One moment.", session.respond(None, RESULTS).text]
    assert send(url, sender="+4412", message="a table please", id="m1") == expected
    # Delivered twice, as messengers do; another sender has a conversation of their own.
    assert send(url, sender="+4412", message="a table please", id="m1") == expected
    assert send(url, sender="+4499", message="a table please", id="m1") == expected
    assert send(url, sender="+4412", message="what does it cost", id="m2") == [
        session.respond("what does it cost").text
    ]
    assert turns(server, "+4412") == ["a table please", None, "what does it cost"]
    # A full conversation is followed by another one; what is too long is not delivered for ever.
    assert send(url, sender="+4412", message="what does it cost", id="m3")
    assert send(url, sender="+4412", message="a table please", id="m4") == expected
    assert turns(server, "+4412") == ["a table please", None]
    assert send(url, sender="+4412", message="x" * 3_000, id="m5") == ["Sorry, that was too long for me."]


@pytest.mark.parametrize(
    ("fields", "secret", "status"),
    [({"sender": "a", "message": "b", "id": "c"}, "guessed", 401), ({"sender": "a", "message": "b"}, "shared", 400)],
)
def test_what_is_not_a_messengers_is_refused(webhook, fields, secret, status):
    with pytest.raises(urllib.error.HTTPError) as refused:
        send(webhook[0], secret, **fields)
    assert refused.value.code == status
