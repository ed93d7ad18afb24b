"""Processes find each other, pass values on, and end together: real processes, without a training."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import pytest

from dialog_policy.distributed import current_group, join
from dialog_policy.distributed.links import meet
from dialog_policy.distributed.place import Place
from dialog_policy.errors import GroupError
from tests.conftest import REPOSITORY

PROGRAM = """
import json, sys, time
from dialog_policy.distributed import current_group, join
from dialog_policy.distributed import control, links
from dialog_policy.errors import DialogPolicyError, OptionError
coordinator, processes, rank, wait, what = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
if what == "silent":
    control.SILENCE = links.SILENCE = 8.0
try:
    with join(coordinator, processes, rank, wait=wait) as group:
        assert current_group() is group
        said = [value.decode() for value in group.gather(f"value {rank}".encode())]
        made = group.once(lambda: {"by": rank}, dict)
        big = group.gather(bytes([rank]) * 3_000_000)
        print(json.dumps([said, made, [len(value) for value in big], group.leads]), flush=True)
        if what == "fail" and rank == 1:
            raise OptionError("there is no corpus desk.jsonl.")
        if what == "bug" and rank == 1:
            raise ZeroDivisionError
        if what == "differ":
            group.check_same("the settings", str(rank // 2).encode(), "Give all the same options.")
        if what in ("wait", "silent"):
            sys.stdin.readline() if rank == 1 else group.gather(b"")
        if what == "busy":
            sys.stdin.readline() if rank == 1 else time.sleep(600)
except DialogPolicyError as error:
    print(f"{type(error).__name__}: {error}", flush=True)
    sys.exit(2)
"""


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def start(rank, processes=3, what="", *, port, wait=60.0):
    arguments = [f"localhost:{port}", processes, rank, wait, what]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


def ends(process):
    output = process.communicate()[0].splitlines()
    return process.returncode, output[-1] if output else ""


def test_values_reach_all():
    port = free_port()
    for rank, process in enumerate([start(rank, port=port) for rank in range(3)]):
        code, said = ends(process)
        assert code == 0, said
        sizes = [3_000_000] * 3
        assert json.loads(said) == [["value 0", "value 1", "value 2"], {"by": 0}, sizes, rank == 0]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("fail", r"GroupError: process 1 of 3 \(.*, process id \d+\): there is no corpus desk\.jsonl\."),
        ("bug", r"GroupError: process 1 of 3 \(.*\): it failed with ZeroDivisionError"),
        (
            "differ",
            r"GroupError: the settings of process 2 of 3 \(.*\) differ from those of process 0\. Give all the same",
        ),
    ],
)
def test_all_end_with_the_message_of_the_one_that_fails(what, message):
    port = free_port()
    processes = [start(rank, what=what, port=port) for rank in range(3)]
    results = [ends(process) for process in processes]
    own = "ZeroDivisionError" if what == "bug" else "OptionError: there is no corpus desk.jsonl."
    for rank, (code, said) in enumerate(results):
        assert code == (1 if (what, rank) == ("bug", 1) else 2), said
        if rank == 1 and what != "differ":
            assert said == own
        else:
            assert re.match(message, said), said


@pytest.mark.parametrize(("lost", "what"), [(0, "wait"), (1, "wait"), (1, "busy")])
def test_a_killed_process_ends_the_others_whatever_they_do(lost, what):
    port = free_port()
    processes = [start(rank, what=what, port=port) for rank in range(3)]
    assert all(process.stdout.readline() for process in processes)
    processes[lost].send_signal(signal.SIGKILL)
    processes[lost].communicate()
    for rank in {0, 1, 2} - {lost}:
        code, said = ends(processes[rank])
        assert code == 2
        assert f"process {lost} of 3 (" in said
        assert "was lost: its connection was closed. The training has ended. The last finished epoch is kept" in said
        assert "--resume" in said


def test_a_process_that_is_silent_is_lost():
    port = free_port()
    processes = [start(rank, what="silent", port=port) for rank in range(3)]
    assert all(process.stdout.readline() for process in processes)
    processes[1].send_signal(signal.SIGSTOP)
    results = [ends(processes[rank]) for rank in (0, 2)]
    processes[1].kill()
    processes[1].communicate()
    for code, said in results:
        assert code == 2
        assert re.search(r"process 1 of 3 \(.*\) was lost: nothing was heard of it for 8 seconds", said), said


def test_whoever_does_not_come_is_named():
    port = free_port()
    processes = [start(rank, port=port, wait=8) for rank in (0, 2)]
    assert ends(processes[0]) == (2, (
        f"GroupError: expected 3 processes at localhost:{port}; these did not join within 8 seconds: 1. Start each with the same "
        "--coordinator and --processes, and its own --rank."
    ))  # fmt: skip
    code, said = ends(processes[1])
    assert code == 2
    assert said.startswith(f"GroupError: process 0 at localhost:{port} ended before all 3 processes had joined")


def test_a_coordinator_that_does_not_answer_is_said():
    port = free_port()
    with (
        pytest.raises(
            GroupError,
            match=rf"process 0 does not answer at localhost:{port} within 0\.5 seconds \(Connection refused\)",
        ),
        join(f"localhost:{port}", 2, 1, wait=0.5),
    ):
        pass
    assert current_group().processes == 1


def test_a_port_in_use_is_said():
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
        with (
            pytest.raises(GroupError, match=f"cannot listen at port {port} .*another port"),
            join(f"localhost:{port}", 2, 0),
        ):
            pass


def test_who_does_not_belong_is_refused_and_the_others_go_on():
    port = free_port()
    first = start(0, 2, port=port)
    wrong = start(1, 3, port=port)
    assert ends(wrong) == (2, "GroupError: process 0 expects 2 processes, this one 3: give all the same --processes.")
    double = start(0, 2, port=port)
    assert "cannot listen at port" in ends(double)[1]
    hello = b'{"rank": %s, "processes": 2, "host": "%s", "pid": 1, "version": "%s"}'
    mine = version("dialog-policy").encode()
    messages = [hello % (b"0", b"\xff", mine), hello % (b"7", b"", mine), hello % (b"-1", b"", mine), b"[" * 4_000]
    for said in (b"GET / HTTP/1.1\r\n\r\n", *(b"h" + len(m).to_bytes(8, "big") + m for m in messages)):
        with socket.create_connection(("localhost", port)) as stranger:
            stranger.sendall(said)
    second = start(1, 2, port=port)
    assert [ends(first)[0], ends(second)[0]] == [0, 0]


def test_strangers_are_hung_up_on_and_nobody_waits_for_them(monkeypatch):
    monkeypatch.setattr("dialog_policy.distributed.links._HELLO_SECONDS", 3_600.0)
    port = free_port()
    places = [Place("localhost", port, 2, rank) for rank in range(2)]
    with ThreadPoolExecutor(2) as threads, contextlib.ExitStack() as strangers:
        first = threads.submit(meet, places[0], 600.0)

        def call():
            while not first.done():
                with contextlib.suppress(ConnectionRefusedError):
                    return strangers.enter_context(socket.create_connection(("localhost", port)))
                time.sleep(0.01)
            raise AssertionError(first.result())

        silent = [call() for _ in range(3)]
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"v" + bytes(8), b"h" + bytes(7) + b"\2{}", b"h" + b"\xff" * 8):
            speaking = call()
            speaking.sendall(said)
            with contextlib.suppress(ConnectionResetError):
                assert speaking.recv(1) == b""
        met = [first, threads.submit(meet, places[1], 600.0)]
        assert [len(future.result().members) for future in met] == [2, 2]
        for link in (*met[0].result().links.values(), *met[1].result().links.values()):
            link.close()
        for connection in silent:
            connection.close()


def test_alone_nothing_is_needed():
    with join(processes=1, rank=0) as group:
        assert (group.rank, group.processes, group.leads) == (0, 1, True)
        assert group.gather(b"x") == [b"x"]
        assert group.once(lambda: [1], list) == [1]
        group.check_same("the settings", b"", "")
