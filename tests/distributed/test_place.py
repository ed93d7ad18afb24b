"""Which process this is: by options, or by the variables that each launcher sets."""

import socket

import pytest

from dialog_policy.distributed import Place, find_place
from dialog_policy.errors import OptionError

SLURM = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "2",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_STEP_NODELIST": "node[007-009,012],other",
}
TORCHRUN = {"MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "1234", "WORLD_SIZE": "8", "RANK": "5"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (TORCHRUN, Place("10.0.0.7", 1234, 8, 5)),
        (TORCHRUN | {"MASTER_ADDR": "fe80::1"}, Place("fe80::1", 1234, 8, 5)),
        ({"MASTER_ADDR": "head", "WORLD_SIZE": "2", "RANK": "0"}, Place("head", 29400, 2, 0)),
        (SLURM, Place("node007", 61440 + (4711 + 2) % 4096, 4, 3)),
        (SLURM | {"SLURM_STEP_NODELIST": "gpu-a"}, Place("gpu-a", 61440 + (4711 + 2) % 4096, 4, 3)),
        (SLURM | {"SLURM_STEP_NODELIST": "r[1-2]c[3-9],x"}, Place("r1c3", 61440 + (4711 + 2) % 4096, 4, 3)),
        (SLURM | {"SLURM_STEP_NODELIST": "", "SLURM_JOB_NODELIST": "a,b[1-2]"}, Place("a", 62057, 4, 3)),
        # Batch scripts often give the address themselves.
        (SLURM | {"MASTER_ADDR": "node007", "MASTER_PORT": "5"}, Place("node007", 5, 4, 3)),
        # mpirun in a job of SLURM: the batch step's own rank is 0 for all.
        (
            SLURM | {"SLURM_PROCID": "0", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "MASTER_ADDR": "h"},
            Place("h", 29400, 2, 1),
        ),
        (
            {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"},
            Place("localhost", 29400, 2, 1),
        ),
        ({"PMI_SIZE": "3", "PMI_RANK": "2", "MPI_LOCALNRANKS": "3"}, Place("localhost", 29400, 3, 2)),
        # Somebody's RANK alone does not hide SLURM.
        (SLURM | {"RANK": "1"}, Place("node007", 61440 + (4711 + 2) % 4096, 4, 3)),
    ],
)
def test_launchers_say_it(environment, expected):
    assert find_place(environment=environment) == expected


def test_options_come_before_variables():
    assert find_place("a:1", 3, 0, TORCHRUN) == Place("a", 1, 3, 0)
    assert find_place(rank=7, environment=TORCHRUN) == Place("10.0.0.7", 1234, 8, 7)
    assert find_place("[::1]:80", 2, 1, {}) == Place("::1", 80, 2, 1)
    assert find_place("head", 2, 1, {}) == Place("head", 29400, 2, 1)
    assert find_place(processes=1, rank=0, environment={}) == Place("localhost", 29400, 1, 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train-3.workers.default.svc.cluster.local", "train-0.workers.default.svc.cluster.local"),
        ("set-workers-0-3.set", "set-workers-0-0.set"),
    ],
)
def test_a_pod_of_an_indexed_job_finds_the_first(monkeypatch, name, expected):
    monkeypatch.setattr(socket, "getfqdn", lambda host: name)
    environment = {"JOB_COMPLETION_INDEX": "3", "HOSTNAME": name.partition(".")[0]}
    assert find_place(processes=4, environment=environment) == Place(expected, 29400, 4, 3)
    with pytest.raises(OptionError, match=r"Kubernetes has set JOB_COMPLETION_INDEX=3\. Give --processes N as well"):
        find_place(environment=environment)


def test_a_pod_without_a_subdomain_cannot_find_the_first(monkeypatch):
    monkeypatch.setattr(socket, "getfqdn", lambda host: "train-3")
    with pytest.raises(OptionError, match="nothing says where process 0 is to be reached"):
        find_place(processes=4, environment={"JOB_COMPLETION_INDEX": "3"})


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ((), {}, r"found no variables of torchrun.*give each --coordinator HOST:PORT --processes N --rank I:"),
        ((), {"WORLD_SIZE": "2"}, "found WORLD_SIZE=2, but no variable with the number of this process"),
        ((), {"RANK": "1"}, r"has set RANK=1, but not WORLD_SIZE, but nothing says where"),
        ((), {"RANK": "1", "MASTER_ADDR": "a"}, r"has set RANK=1, but not WORLD_SIZE\. Give --processes N as well"),
        ((), {"MASTER_PORT": "1", "RANK": "1", "WORLD_SIZE": "2"}, "MASTER_PORT=1 is set, but MASTER_ADDR is not"),
        ((), TORCHRUN | {"RANK": "first"}, "the variable RANK: expected a whole number, found 'first'"),
        ((), TORCHRUN | {"MASTER_PORT": "x"}, "the variable MASTER_PORT: expected a whole number, found 'x'"),
        ((), TORCHRUN | {"RANK": "8"}, r"RANK: expected a number from 0 to 7, since there are 8 .*WORLD_SIZE.*found 8"),
        (("a:1", 2, 2), {}, "--rank: expected a number from 0 to 1, since there are 2 processes .*found 2"),
        (("a:1", 2, -1), {}, "--rank: expected a number from 0 to 1, .*found -1"),
        (("a:1", 0, 0), {}, "--processes: expected at least 1 process, found 0"),
        (("a:b", 2, 0), {}, "--coordinator: expected HOST or HOST:PORT .*found 'a:b'"),
        (("a:70000", 2, 0), {}, "the port from 1 to 65535; found 'a:70000'"),
        ((None, 2, 0), {}, r"give each --coordinator HOST:PORT:"),
        ((), {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_LOCAL_SIZE": "1"},
         "Open MPI has set OMPI_COMM_WORLD_RANK=0, but nothing says where process 0 is"),
    ],
)  # fmt: skip
def test_what_is_missing_or_impossible_is_said(arguments, environment, message):
    with pytest.raises(OptionError, match=message):
        find_place(*arguments, environment=environment)
