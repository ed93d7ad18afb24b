"""The compiled step and decision; missing where no compiler was at hand. ValueError: lengths of bytes that do not fit together."""

from collections.abc import Sequence

class Network:
    """Layers (kernel, recurrent kernel, bias; the first layer's recurrent kernel alone) and the head, float32."""

    def __init__(
        self, layers: tuple[tuple[bytes | None, bytes, bytes | None], ...], head: bytes, n_actions: int
    ) -> None: ...
    def step(self, parts: Sequence[bytes | None], states: Sequence[bytes], /) -> tuple[bytes, list[bytes]]: ...

class Decision:
    """The sets that compete: their actions, where each ends (int32), and what they weigh (float64)."""

    def __init__(
        self,
        names: tuple[str, ...],
        sets: tuple[frozenset[str], ...],
        bits: bytes,
        ends: bytes,
        log_weights: bytes,
        excess: bytes,
        log_new: float,
        temperature: float,
        single_action: bool,
        by_marginals: bool,
    ) -> None: ...
    def decide(
        self, logits: bytes, allowed: bytes | None, allow_none: bytes | None, /
    ) -> tuple[list[frozenset[str]], bytes, bytes]: ...
