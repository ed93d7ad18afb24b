"""Training by several processes: JAX's runtime over all of them, and Keras' data parallelism on it.

To JAX all processes together are one computer with many devices: a batch is one array whose rows lie on different machines, weights
lie on each. What is computed is what one process computes, with the same random numbers, but for the order of sums.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
import numpy.typing as npt

from dialog_policy.distributed import Group, current_group
from dialog_policy.distributed.relay import relay
from dialog_policy.errors import GroupError, OptionError
from dialog_policy.features.encoded import PADDING, EncodedDialogues
from dialog_policy.network.backend import compiles, silent
from dialog_policy.network.batches import COMPILED_LENGTHS, EVALUATION_ROWS, WHOLE, Share, evaluation_batches
from dialog_policy.network.calibration import Judged, judge
from dialog_policy.runtime.decoder import Decoder

__all__ = ["local", "share_of", "shared_judge", "spread"]

# JAX's runtime is started once a process, for one group.
_started: dict[Group, Share] = {}


@contextmanager
def spread() -> Iterator[None]:
    """Have Keras spread what it makes over the devices of all processes that train together; alone, do nothing."""
    group = current_group()
    if group.processes == 1:
        yield
        return
    share_of(group)
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


@contextmanager
def local() -> Iterator[None]:
    """Within :func:`spread`, have Keras compute in this process alone."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def share_of(group: Group) -> Share:
    """Return the part of every batch that is this process', and start JAX's runtime if that was not done yet.

    Raises
    ------
    OptionError
        If the backend is another one, or JAX has computed before.
    GroupError
        If this machine's name leads to itself while others are on other machines.
    """
    if group.processes == 1:
        return WHOLE
    if group not in _started:
        if keras.backend.backend() != "jax":
            raise OptionError(
                f"several processes train together with JAX only; Keras is loaded with {keras.backend.backend()}. Give --backend "
                "jax (in Python: set the variable KERAS_BACKEND=jax before Keras is loaded)."
            )
        _started[group] = _start(group)
    return _started[group]


def _start(group: Group) -> Share:
    import jax
    from jax.experimental.multihost_utils import sync_global_devices

    place = group.place
    assert place is not None
    _check_own_name(group)
    port = group.once(_free_port, int)
    # Where process 0 answers the others; they reach it by a relay, since JAX ends a process whose connection to it ends.
    address = f"127.0.0.1:{port if group.leads else relay(place.host, port)}"
    try:
        jax.distributed.initialize(
            address,
            group.processes,
            group.rank,
            local_device_ids=_devices_here(group),
            cluster_detection_method="deactivate",
        )
    except RuntimeError as error:
        if "before" not in str(error):
            raise
        raise OptionError(
            "JAX has already computed something in this process, so it cannot join other processes any more. Start a new process, "
            "and join the others before it trains or predicts anything."
        ) from None
    if threading.current_thread() is threading.main_thread():
        # JAX takes a request to terminate for a notice that somebody will look at later; nobody does.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)
    group.at_end(jax.distributed.shutdown)
    with silent(1):  # Gloo says on stdout that it is connected
        sync_global_devices("dialog_policy")
    return Share(group.rank, group.processes, jax.device_count())


def _devices_here(group: Group) -> list[int] | None:
    """Return which GPU is for this process where several are on one machine; None: all that it sees."""
    me = group.members[group.rank]
    here = [member.rank for member in group.members if member.host == me.host]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return None if len(here) == 1 or (visible and "," not in visible) else [here.index(group.rank)]


def _check_own_name(group: Group) -> None:
    """Refuse a machine whose name leads to itself, which others would be told to reach it by."""
    name = socket.gethostname()
    try:
        found = socket.gethostbyname(name)
    except OSError:
        found = "nothing"
    if (found == "nothing" or found.startswith("127.")) and len({member.host for member in group.members}) > 1:
        raise GroupError(
            f"the other machines cannot reach this one by its name: {name} stands for {found} here. Have /etc/hosts or the DNS give "
            "its address in the network that the machines share."
        )


def _free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])


def shared_judge(
    network: keras.Model,
    encoded: EncodedDialogues,
    gold: Sequence[frozenset[str] | None],
    decoder: Decoder,
    impossible: npt.NDArray[np.bool_] | None = None,
) -> Judged:
    """Judge a validation part, a batch after the other; of several processes each judges some batches, and all return the same.

    Parameters
    ----------
    network
        With several processes one of this process alone (:func:`local`).
    encoded, gold
        The whole part, and the gold actions of each of its turns.
    decoder
        Decides.
    impossible
        As :meth:`Decoder.judge` takes it, of all turns.
    """
    group = current_group()
    rows = min(EVALUATION_ROWS, -(-len(encoded) // group.processes))
    batches = evaluation_batches(encoded, rows, max_lengths=COMPILED_LENGTHS if compiles() else None)
    sums = np.zeros(len(Judged._fields))
    with local():
        for turns in batches[group.rank :: group.processes]:
            logits = network.predict_on_batch(encoded.features(turns))
            judged = (turns != PADDING) & encoded.is_target[turns]
            if judged.any():
                own = turns[judged]
                barred = None if impossible is None else impossible[own]
                sums += judge(decoder, logits[judged], [gold[turn] for turn in own], barred)
    return Judged(*np.sum([np.frombuffer(own) for own in group.gather(sums.tobytes())], axis=0).tolist())
