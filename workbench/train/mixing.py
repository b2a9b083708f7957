"""Mixers of tokens at one price: networks that differ in the mixer, as wide as parameters or flops allow."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from workbench.layers import MixerNet, mixer_network
from workbench.train.matching import Currency, equal


def equal_mixer_network(
    kind: str,
    like: nn.Module | float,
    size: int | tuple[int, int],
    /,
    *,
    by: Currency = "parameters",
    inputs: int = 4,
    widths: Sequence[int] = range(4, 129, 4),
    within: float = 0.15,
    **options: Any,
) -> MixerNet:
    """`mixer_network(kind, size, ...)`, of the width whose cost on one map comes nearest to that of `like`.

    by: "parameters", "flops" of a forward pass, or "time" of one forth and back, measured here.
    widths: growing, such that heads and rafts divide them; hence multiples of 4.
    like, within and the attributes `width` and `match` of the result are those of `equal`; the other options
    those of `mixer_network`.

    >>> full = mixer_network("full", 8, width=32)
    >>> equal_mixer_network("mlp", full, 8, by="flops").width
    32
    """
    height, width = (size, size) if isinstance(size, int) else size
    model = equal(
        lambda channels: mixer_network(kind, size, width=channels, inputs=inputs, **options),
        like,
        by,
        (1, inputs, height, width),
        widths,
        within,
    )
    assert isinstance(model, MixerNet)
    return model
