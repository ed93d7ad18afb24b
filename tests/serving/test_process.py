"""The server as a process: started by the command line, stopped, killed under load, several side by side."""

import asyncio
import itertools
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

from benchmarks.client import ServerProcess
from benchmarks.load import Conversation, begin, converse, lost_turns
from tests.cli.commands import run as command


def ask(server, path, body=None, method=None):
    request = urllib.request.Request(
        f"{server.url}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def test_sigkill_under_load_loses_no_acknowledged_turn(run, small, tmp_path):
    store = str(tmp_path / "sessions.sqlite")
    conversations = [Conversation(n, d) for n, d in zip(range(120), itertools.cycle(small), strict=False)]

    async def until_it_dies(server):
        await begin(server.port, conversations, 8)
        threading.Timer(1.0, server.kill).start()
        with pytest.raises((ConnectionError, OSError)):
            await converse(server.port, conversations, connections=8, seconds=30, latencies=[])

    async def go_on(server):
        acknowledged = sum(conversation.acknowledged for conversation in conversations)
        assert acknowledged > 50
        # Turns without an answer are sent again; those that had been committed must not count twice.
        await converse(server.port, conversations, connections=8, seconds=1, latencies=[])
        assert sum(conversation.acknowledged for conversation in conversations) > acknowledged
        # Up to one turn of each connection was committed and not yet asked for again.
        for conversation in conversations:
            users = [turn["user"] for turn in ask(server, f"/sessions/{conversation.id}")["turns"]]
            assert len(users) - conversation.acknowledged in (0, 1)
            assert conversation.missing(users[: conversation.acknowledged]) == 0

    with ServerProcess(str(run), "--store", store, "--rate", "0") as server:
        asyncio.run(until_it_dies(server))
    with ServerProcess(str(run), "--store", store, "--rate", "0") as server:
        asyncio.run(go_on(server))


def test_the_load_client_notices_what_is_lost_doubled_or_crossed(run, small):
    conversations = [Conversation(n, dialogue) for n, dialogue in enumerate(list(small)[:4])]

    async def talk(server):
        await begin(server.port, conversations, 2)
        await converse(server.port, conversations, connections=2, seconds=0.3, latencies=[])
        assert await lost_turns(server.port, conversations) == 0
        assert ask(server, "/sessions/load-0")["turns"]
        ask(server, "/sessions/load-0/turns", {"user": "of somebody else"})
        assert await lost_turns(server.port, conversations) == 1
        with pytest.raises(AssertionError, match="load-0"):
            await converse(server.port, conversations, connections=2, seconds=1, latencies=[])

    with ServerProcess(str(run), "--store", "memory", "--rate", "0") as server:
        asyncio.run(talk(server))


def test_sigterm_ends_it_cleanly_and_the_sessions_are_beside_the_run(run, monkeypatch):
    store = run.with_name("quick.sessions.sqlite")
    with ServerProcess(str(run)) as server:
        ask(server, "/sessions", {"id": "s"})
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    assert store.stat().st_mode & 0o077 == 0
    # Secrets that were made from a file end like its line.
    monkeypatch.setenv("DIALOG_POLICY_TOKEN", "secret\n")
    monkeypatch.setenv("DIALOG_POLICY_STORE", f"{store}\n")
    with ServerProcess(str(run)) as server:
        request = urllib.request.Request(f"{server.url}/sessions/s", headers={"Authorization": "Bearer secret"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            assert json.load(answer)["turns"] == []
    store.unlink()


def test_several_runs_and_reload_by_signal(run, trained, desk, tmp_path):
    """Conversations go on under the new policy, from all that was said and done, also where it lacks an action."""
    from dialog_policy import DialogPolicy
    from dialog_policy.runtime import Policy
    from tests.conftest import QUICK

    trained.save(tmp_path / "other")
    with ServerProcess(str(run), f"second={tmp_path / 'other'}", "--store", "memory") as server:
        assert [model["name"] for model in ask(server, "/models")] == ["quick", "second"]
        ask(server, "/sessions", {"id": "s", "run": "second"})
        for user in ("hello", "a table please"):
            before = ask(server, "/sessions/s/turns", {"user": user})
        ask(server, "/sessions/s/turns/1/actions", {"actions": ["bye"]}, "PUT")
        few = [d for d in desk.split("train") if "bye" not in {a for t in d.turns for a in t.actions or ()}][:12]
        new = DialogPolicy(**QUICK | {"epochs": 1}).fit(desk.with_dialogues(few), dev=None)
        assert "bye" not in new.actions_
        new.save(tmp_path / "other")
        server.process.send_signal(signal.SIGHUP)
        old = Policy.load(run).id
        for _ in range(10_000):
            models = ask(server, "/models")
            if models[1]["policy"] != old:
                break
            time.sleep(0.05)
        assert [m["policy"] for m in models] == [old, Policy.load(tmp_path / "other").id]
        view = ask(server, "/sessions/s")
        assert view["policy"] == models[1]["policy"]
        assert [t["actions"] for t in view["turns"]] == [view["turns"][0]["predicted"], ["bye"]]
        session = Policy.load(tmp_path / "other").start()
        for turn in view["turns"]:
            session.respond(turn["user"])
            session.observe(None if turn["actions"] == ["bye"] else turn["actions"], turn["reply"] or "")
        after = ask(server, "/sessions/s/turns", {"user": "thanks"})
        assert (after["turn"], before["turn"]) == (2, 1)
        # A run that cannot be loaded leaves the old one at work.
        (tmp_path / "other" / "run.json").write_text("{}")
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(server, "/reload", {"run": "second"})
        assert (refused.value.code, "format version" in refused.value.read().decode()) == (409, True)
        assert ask(server, "/sessions/s/turns", {"user": "thanks"})["turn"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "needs a token"),
        (["--host", "0.0.0.0", "--token-file", "none.txt"], "none.txt"),
        (["--token-file", "TWO"], "expected one word"),
        (["--store", "mysql://x"], "mysql://"),
        (["--proxy", "nginx"], "expected an address or a network"),
        (["--proxy", "10.0.0.1/8"], "host bits set"),
        (["--save", "x.jsonl"], "--save needs --corpus"),
        (["--rate", "nan"], "expected a finite number, found nan"),
        (["--expire", "inf"], "expected a finite number, found inf"),
        (["--host", "192.0.2.1", "--token-file", "TOKEN"], "could not listen"),
    ],
)
def test_what_is_wrong_ends_it_with_2(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.delenv("DIALOG_POLICY_TOKEN", raising=False)
    (tmp_path / "TOKEN").write_text("secret\n")
    (tmp_path / "TWO").write_text("secret\nanother\n")
    words = [str(tmp_path / word) if word in ("TOKEN", "TWO") else word for word in arguments]
    assert message in command("serve", run, "--store", "memory", *words, code=2).output


@pytest.mark.parametrize(("options", "is_limited"), [((), True), (("--proxy", "127.0.0.1"), False)])
def test_only_a_named_proxy_says_who_asks(run, options, is_limited):
    with ServerProcess(str(run), "--store", "memory", "--rate", "0.001", *options) as server:
        statuses = []
        for number in range(5):
            request = urllib.request.Request(f"{server.url}/health", headers={"X-Forwarded-For": f"192.0.2.{number}"})
            try:
                statuses.append(urllib.request.urlopen(request, timeout=20).status)
            except urllib.error.HTTPError as error:
                statuses.append(error.code)
    assert (429 in statuses) == is_limited


def test_reloads_at_once_share_one_load(run, monkeypatch):
    from dialog_policy.runtime import Policy
    from dialog_policy.serving.runs import Runs

    loads = []

    def load(path, real=Policy.load):
        loads.append(path)
        return real(path)

    async def reload():
        runs = Runs({"quick": run})
        monkeypatch.setattr(Policy, "load", load)
        before = runs.default.policy
        await asyncio.gather(*(runs.default.reload() for _ in range(30)))
        assert runs.default.policy is not before

    asyncio.run(reload())
    assert 1 <= len(loads) <= 2


def test_two_runs_of_one_name_need_names(run):
    assert "quick-2=" in command("serve", run, run, code=2).output


def test_it_runs_without_tensorflow(run):
    """Nothing of what training needs is loaded, not even where it is installed."""
    program = (
        "import sys\nfrom dialog_policy.serving.app import create_app\nfrom dialog_policy.serving.runs import Runs\n"
        "from dialog_policy.serving.stores import open_store\nfrom pathlib import Path\n"
        "import dialog_policy.serving.server, dialog_policy.serving.retrain\n"
        f"create_app(Runs({{'x': Path({str(run)!r})}}), open_store('memory'))\n"
        "print([m for m in ('tensorflow', 'keras', 'gensim', 'sklearn', 'pandas', 'onnx', 'redis') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.strip() == "[]"
