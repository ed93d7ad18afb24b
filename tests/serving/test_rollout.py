"""A run that is loaded anew on one server is loaded anew on all that share its store."""

import asyncio
import contextlib
import shutil
import signal
import time
import urllib.error
import urllib.request

import pytest

from benchmarks.client import ServerProcess
from dialog_policy.runtime import Policy
from dialog_policy.serving import rollout as module
from dialog_policy.serving.rollout import Rollout
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.stores import MemoryStore, StoreError
from tests.serving.test_process import ask


@pytest.fixture(scope="module")
def newer(desk, tmp_path_factory):
    """Path of a run that is another policy than `run`."""
    from dialog_policy import DialogPolicy
    from tests.conftest import QUICK

    path = tmp_path_factory.mktemp("rollout") / "newer"
    few = desk.with_dialogues(list(desk.split("train"))[:8])
    DialogPolicy(**QUICK | {"epochs": 1}).fit(few, dev=None).save(path)
    return path


def bring(run, place):
    """Put a run in the place of another one, as a copy from elsewhere does."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(run, place)


def wait_for(condition):
    while not condition():
        time.sleep(0.05)


def failing(server):
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=60) as answer:
        (line,) = [x for x in answer.read().decode().splitlines() if x.startswith("dialog_policy_reload_failed{")]
    return line == 'dialog_policy_reload_failed{run="shop"} 1.0'


def test_one_of_two_servers_is_asked_and_both_serve_the_new_run(run, newer, tmp_path):
    """Each has its own copy of the run, as on two machines."""
    first, second = tmp_path / "first", tmp_path / "second"
    bring(run, first)
    bring(run, second)
    old, new = Policy.load(run).id, Policy.load(newer).id
    store = str(tmp_path / "sessions.sqlite")
    with contextlib.ExitStack() as stack:
        one, two = (
            stack.enter_context(ServerProcess(f"shop={place}", "--store", store, "--rate", "0"))
            for place in (first, second)
        )

        def served():
            return [ask(server, "/model")["policy"] for server in (one, two)]

        ask(one, "/sessions", {"id": "s"})
        assert [ask(server, "/sessions/s/turns", {"user": "hello"})["turn"] for server in (one, two)] == [0, 1]

        # A run that cannot be loaded: the one that was asked says so, the other one hears nothing of it.
        (first / "run.json").write_text("{}")
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(one, "/reload", {"run": "shop"})
        assert refused.value.code == 409
        assert (served(), failing(one), failing(two)) == ([old, old], True, False)

        # The new one is on the first machine only: the second goes on with its policy, and says why.
        bring(newer, first)
        assert ask(one, "/reload", {"run": "shop"})["policy"] == new
        wait_for(lambda: failing(two))
        assert served() == [new, old]
        assert "is wanted" in ask(two, "/model")["problem"]
        assert ask(one, "/model")["problem"] is None
        # By turns: the conversation goes on under the policy of whoever answers.
        assert [ask(server, "/sessions/s/turns", {"user": "thanks"})["turn"] for server in (one, two)] == [2, 3]

        # It is brought to the second, too, which finds it by itself.
        bring(newer, second)
        wait_for(lambda: served() == [new, new])
        assert (failing(one), failing(two)) == (False, False)
        assert ask(two, "/sessions/s/turns", {"user": "bye"})["turn"] == 4

        # Back again, by a signal.
        bring(run, first)
        bring(run, second)
        two.process.send_signal(signal.SIGHUP)
        wait_for(lambda: served() == [old, old])


@pytest.fixture
def quick_looks(monkeypatch):
    monkeypatch.setattr(module, "_LOOK_S", 0.02)


def test_a_server_that_starts_is_not_taken_back(run, newer, tmp_path, quick_looks):
    """A newer run that comes by restarting servers is kept; a later request is followed."""
    bring(run, tmp_path / "shop")
    bring(newer, tmp_path / "restarted")
    old, new = Policy.load(run).id, Policy.load(newer).id

    async def work():
        store = MemoryStore()
        before, after = (Runs({"shop": tmp_path / name}) for name in ("shop", "restarted"))
        async with Rollout(before, store) as asked:
            await asked.reload(before.default)
            async with Rollout(after, store):
                await asyncio.sleep(0.2)
                assert (after.default.policy.id, after.default.problem) == (new, None)
                bring(run, tmp_path / "restarted")
                await asked.reload(before.default)
                while after.default.policy.id != old:
                    await asyncio.sleep(0.01)

    asyncio.run(work())


def test_a_server_that_starts_while_a_run_is_rolled_out_follows(run, newer, tmp_path, quick_looks):
    """It had read the old run when the new one came; nobody tells it again."""
    bring(run, tmp_path / "shop")
    new = Policy.load(newer).id

    async def work():
        store = MemoryStore()
        starting = Runs({"shop": tmp_path / "shop"})
        bring(newer, tmp_path / "shop")
        served = Runs({"shop": tmp_path / "shop"})
        async with Rollout(served, store) as asked:
            await asked.reload(served.default)
        async with Rollout(starting, store):
            while starting.default.policy.id != new:
                await asyncio.sleep(0.01)

    asyncio.run(work())


class Moody(MemoryStore):
    """Cannot be reached, or has nonsense, for the first few looks."""

    def __init__(self):
        super().__init__()
        self.looks = 0

    async def load_value(self, name):
        self.looks += 1
        if self.looks % 2:
            raise StoreError("not there")
        return b"nonsense" if self.looks < 10 else await super().load_value(name)


def test_a_store_in_trouble_is_asked_again_and_logged(run, newer, tmp_path, quick_looks, monkeypatch):
    bring(run, tmp_path / "shop")
    new = Policy.load(newer).id

    async def work():
        store = Moody()
        runs = Runs({"shop": tmp_path / "shop"})
        async with Rollout(runs, store):
            bring(newer, tmp_path / "shop")
            other = Runs({"shop": newer})
            await Rollout(other, store).reload(other.default)
            while runs.default.policy.id != new:
                await asyncio.sleep(0.01)
        assert store.looks >= 10

    logged = []
    monkeypatch.setattr(module, "log", lambda event, **fields: logged.append((event, fields)))
    asyncio.run(work())
    troubles = [(event, fields) for event, fields in logged if "store" in event]
    assert troubles[:2] == [
        ("the store does not answer", {"reason": "not there", "failed": True}),
        ("the store answers again", {}),
    ]


def test_a_store_that_never_answers_is_logged_once(run, quick_looks, monkeypatch):
    class Away(MemoryStore):
        looks = 0

        async def load_value(self, name):
            self.looks += 1
            raise StoreError("not there")

    async def work():
        store = Away()
        async with Rollout(Runs({"shop": run, "other": run}), store):
            while store.looks < 6:
                await asyncio.sleep(0.001)

    logged = []
    monkeypatch.setattr(module, "log", lambda event, **fields: logged.append(event))
    asyncio.run(work())
    assert logged == ["the store does not answer"]
