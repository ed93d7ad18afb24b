"""Which of several processes this is, and where they meet: from options, or from what a launcher has set."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dialog_policy.errors import OptionError

__all__ = ["DEFAULT_PORT", "Place", "find_place"]

DEFAULT_PORT = 29_400
# SLURM gives no port: one of so many, by the numbers of job and step, so that two jobs on a node seldom want the same.
_SLURM_PORTS, _N_SLURM_PORTS = 61_440, 4_096

Environment = Mapping[str, str]


class Place(NamedTuple):
    """Where this process stands among several.

    Attributes
    ----------
    host, port
        Where process 0 is to be reached.
    processes
        How many there are.
    rank
        The number of this one, from 0.
    """

    host: str
    port: int
    processes: int
    rank: int


class _Launcher(NamedTuple):
    """The variables in which a launcher says how many processes it has started and which one this is.

    ``""`` stands for what it does not say. `coordinator` derives an address from its other variables, None if it cannot.
    """

    name: str
    processes: str
    rank: str
    coordinator: Callable[[Environment], str | None]


def find_place(
    coordinator: str | None = None,
    processes: int | None = None,
    rank: int | None = None,
    environment: Environment | None = None,
) -> Place:
    """Return where this process stands among several.

    Parameters
    ----------
    coordinator
        ``HOST`` or ``HOST:PORT`` at which process 0 is to be reached by all.
    processes, rank
        How many processes there are, and the number of this one, from 0.
    environment
        Where to look for what is not given; None: the variables of this process. Known are those of torchrun and of Ray Train
        (``MASTER_ADDR``, ``MASTER_PORT``, ``WORLD_SIZE``, ``RANK``), Open MPI, other MPIs with PMI, SLURM, and indexed jobs of
        Kubernetes.

    Raises
    ------
    OptionError
        If something is missing or contradicts the rest: what was found where, and what to give.
    """
    environment = os.environ if environment is None else environment
    present = [each for each in _LAUNCHERS if environment.get(each.rank)]
    whole = [each for each in present if environment.get(each.processes)]
    launcher = next(iter(whole or present), None)
    said_processes, said_rank = "--processes", "--rank"
    if processes is None and launcher is not None and environment.get(launcher.processes):
        processes, said_processes = _whole(environment, launcher.processes), launcher.processes
    if rank is None and launcher is not None:
        rank, said_rank = _whole(environment, launcher.rank), launcher.rank
    address = coordinator or _address(environment) or (launcher.coordinator(environment) if launcher else None)
    if processes == 1 and not address:
        address = "localhost"
    missing = [
        option
        for option, value in (("--coordinator", address), ("--processes", processes), ("--rank", rank))
        if value is None
    ]
    if missing or processes is None or rank is None or address is None:
        raise OptionError(_missing(missing, launcher, environment))
    if processes < 1:
        raise OptionError(f"{said_processes}: expected at least 1 process, found {processes}.")
    if not 0 <= rank < processes:
        raise OptionError(
            f"{said_rank}: expected a number from 0 to {processes - 1}, since there are {processes} processes "
            f"({said_processes}); found {rank}. The first process is 0."
        )
    return Place(*_host_and_port(address), processes, rank)


def _missing(missing: list[str], launcher: _Launcher | None, environment: Environment) -> str:
    """Say what is not known, and what is."""
    options = " ".join(
        {"--coordinator": "--coordinator HOST:PORT", "--processes": "--processes N", "--rank": "--rank I"}[name]
        for name in missing
    )
    if launcher is not None:
        unset = [name for name in (launcher.processes,) if name and not environment.get(name)]
        because = f"{launcher.name} has set {launcher.rank}={environment[launcher.rank]}"
        because += f", but not {unset[0]}" if unset and "--processes" in missing else ""
        if "--coordinator" in missing:
            because += ", but nothing says where process 0 is to be reached"
        return f"{because}. Give {options} as well, HOST being the machine of process 0."
    half = [name for each in _LAUNCHERS for name in (each.processes,) if name and environment.get(name)]
    found = f"found {half[0]}={environment[half[0]]}, but no variable with the number of this process" if half else (
        "found no variables of torchrun, Ray, MPI, SLURM or an indexed job of Kubernetes"
    )  # fmt: skip
    return (
        f"which of several processes this is, is not known: {found}. Start the processes by one of these, or give each "
        f"{options}: the machine of process 0, the number of processes, and the number of this one, from 0."
    )


def _whole(environment: Environment, name: str) -> int:
    try:
        return int(environment[name])
    except ValueError:
        raise OptionError(f"the variable {name}: expected a whole number, found {environment[name]!r}.") from None


def _address(environment: Environment) -> str | None:
    """Return the address in the variables that torchrun, Ray Train and many batch scripts set."""
    host, port = environment.get("MASTER_ADDR"), environment.get("MASTER_PORT")
    if port and not host:
        raise OptionError(f"MASTER_PORT={port} is set, but MASTER_ADDR is not: set both, or neither.")
    if not host:
        return None
    return _joined(host, _whole(environment, "MASTER_PORT") if port else DEFAULT_PORT)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host_and_port(address: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::(\d+))?", address.strip())
    port = DEFAULT_PORT if match is None or match[3] is None else int(match[3])
    if match is None or not 0 < port < 65_536:
        raise OptionError(
            f"--coordinator: expected HOST or HOST:PORT (an IPv6 address in brackets), the port from 1 to 65535; found {address!r}."
        )
    return match[1] or match[2], port


def _of_torchrun(environment: Environment) -> str | None:
    return None  # MASTER_ADDR is looked at for every launcher


def _of_open_mpi(environment: Environment) -> str | None:
    return _if_on_one_machine(environment, "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE")


def _of_pmi(environment: Environment) -> str | None:
    return _if_on_one_machine(environment, "PMI_SIZE", "MPI_LOCALNRANKS")


def _if_on_one_machine(environment: Environment, processes: str, here: str) -> str | None:
    """Return this machine's address if all processes are on it; MPI does not say where others are."""
    return "localhost" if environment.get(processes) and environment.get(processes) == environment.get(here) else None


def _of_slurm(environment: Environment) -> str | None:
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    if not nodes:
        return None
    numbers = (environment.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    port = _SLURM_PORTS + sum(int(number) for number in numbers if number.isdigit()) % _N_SLURM_PORTS
    return _joined(_first_node(nodes), port)


def _first_node(nodes: str) -> str:
    """Return the first of the nodes that SLURM lists as ``node[003-007,012],other``."""
    first = re.match(r"(?:\[[^\]]*\]|[^,\[])*", nodes)
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", first[0] if first else nodes)


def _of_kubernetes(environment: Environment) -> str | None:
    """Return the address of the pod with index 0: ``train-3.workers.…`` is beside ``train-0.workers.…``."""
    pod, _, domain = socket.getfqdn(environment.get("HOSTNAME", "")).partition(".")
    name, dash, index = pod.rpartition("-")
    if not (dash and domain and index == environment["JOB_COMPLETION_INDEX"]):
        return None
    return f"{name}-0.{domain}:{DEFAULT_PORT}"


# The first that says both counts: within a SLURM job mpirun starts the processes, within an MPI job torchrun does.
_LAUNCHERS = (
    _Launcher("torchrun (or Ray)", "WORLD_SIZE", "RANK", _of_torchrun),
    _Launcher("Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", _of_open_mpi),
    _Launcher("MPI", "PMI_SIZE", "PMI_RANK", _of_pmi),
    _Launcher("SLURM", "SLURM_NTASKS", "SLURM_PROCID", _of_slurm),
    _Launcher("Kubernetes", "", "JOB_COMPLETION_INDEX", _of_kubernetes),
)
