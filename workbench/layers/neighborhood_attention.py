"""Attention to the nearest neighbours, as an operator of torch and as mixers of tokens.

Forward and backward run the fused kernels of `workbench.kernels`: no weight is kept between them, only one
logarithm of a sum for each query, from which every weight is formed again.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError

Size = int | tuple[int, ...]
Flags = bool | tuple[bool, ...]


def neighborhood(
    queries: Tensor, keys: Tensor, values: Tensor, window: Size, dilation: Size = 1, causal: Flags = False
) -> Tensor:
    """Every query's attention to its window: [batch, heads, *space, d], [..., d], [..., e] -> [..., e].

    Float32 or float64 on the CPU, one to three axes of space; window, dilation and causality are one value
    or one per axis. First derivatives only.
    """
    axes = queries.ndim - 3
    if not 1 <= axes <= 3:
        raise WorkbenchError(
            f"queries must be [batch, heads, 1 to 3 axes, dim], but {list(queries.shape)} came"
        )
    if queries.device.type != "cpu":
        raise WorkbenchError(f"neighbourhood attention runs on the CPU, but {queries.device} came")
    sizes = [list(size) if isinstance(size, tuple) else [size] * axes for size in (window, dilation)]
    flags = list(causal) if isinstance(causal, tuple) else [causal] * axes
    out: Tensor = neighborhood_op(queries, keys, values, *sizes, flags)[0]
    return out


@torch.library.custom_op("workbench::neighborhood_attention", mutates_args=())
def neighborhood_op(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    window: Sequence[int],
    dilation: Sequence[int],
    causal: Sequence[bool],
) -> tuple[Tensor, Tensor]:
    """The output, and the logarithm of the sum of e^score over every query's window."""
    from workbench.kernels import neighborhood_attention_forward

    Q, K, V = map(_array, (queries, keys, values))
    options: dict[str, Any] = {"dilation": tuple(dilation), "causal": tuple(causal)}
    O, log_sums = neighborhood_attention_forward(Q, K, V, tuple(window), **options)
    return torch.from_numpy(O), torch.from_numpy(log_sums)


@torch.library.custom_op("workbench::neighborhood_attention_grad", mutates_args=())
def neighborhood_grad_op(
    grad: Tensor,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    out: Tensor,
    log_sums: Tensor,
    window: Sequence[int],
    dilation: Sequence[int],
    causal: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of queries, keys and values from that of the output."""
    from workbench.kernels import neighborhood_attention_grad

    g, Q, K, V, O, sums = map(_array, (grad, queries, keys, values, out, log_sums))
    options: dict[str, Any] = {"dilation": tuple(dilation), "causal": tuple(causal)}
    dQ, dK, dV = neighborhood_attention_grad(g, Q, K, V, O, sums, tuple(window), **options)
    return torch.from_numpy(dQ), torch.from_numpy(dK), torch.from_numpy(dV)


@neighborhood_op.register_fake
def _(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    window: Sequence[int],
    dilation: Sequence[int],
    causal: Sequence[bool],
) -> tuple[Tensor, Tensor]:
    return queries.new_empty((*queries.shape[:-1], values.shape[-1])), queries.new_empty(queries.shape[:-1])


@neighborhood_grad_op.register_fake
def _(
    grad: Tensor,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    out: Tensor,
    log_sums: Tensor,
    window: Sequence[int],
    dilation: Sequence[int],
    causal: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(queries), torch.empty_like(keys), torch.empty_like(values)


def _array(x: Tensor) -> Any:
    return x.detach().contiguous().numpy()


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:3], *output)
    ctx.geometry = inputs[3:]


def _go_back(ctx: Any, grad: Tensor, _of_the_sums: Tensor) -> tuple[Tensor | None, ...]:
    return *neighborhood_grad_op(grad, *ctx.saved_tensors, *ctx.geometry), None, None, None


neighborhood_op.register_autograd(_go_back, setup_context=_keep)


class NeighborhoodAttention(nn.Module):
    """The heads around the operator: asks, attends, answers. `NeighborhoodAttention1d` and `2d` say how many
    axes there are."""

    axes: int

    def __init__(
        self,
        channels: int,
        window: Size,
        heads: int = 1,
        *,
        dilation: Size = 1,
        causal: Flags = False,
    ) -> None:
        super().__init__()
        if heads < 1 or channels % heads:
            raise WorkbenchError(
                f"heads must divide the channels, but {heads} heads and {channels} channels came"
            )
        self.heads, self.window, self.dilation, self.causal = heads, window, dilation, causal
        convolution = nn.Conv1d if self.axes == 1 else nn.Conv2d
        self.ask = convolution(channels, 3 * channels, 1)
        self.answer = convolution(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != self.axes + 2:
            raise WorkbenchError(
                f"expected [batch, channels, {self.axes} axes of space], but {list(x.shape)} came"
            )
        asked = self.ask(x).unflatten(1, (3, self.heads, -1))  # [batch, 3, heads, dim, *space]
        queries, keys, values = asked.movedim(3, -1).unbind(1)
        mixed = neighborhood(queries, keys, values, self.window, self.dilation, self.causal)
        return self.answer(mixed.movedim(-1, 2).flatten(1, 2))

    def extra_repr(self) -> str:
        return f"window={self.window}, heads={self.heads}, dilation={self.dilation}, causal={self.causal}"


class NeighborhoodAttention1d(NeighborhoodAttention):
    """Every token attends to the `window` tokens nearest to it: [batch, channels, length] -> the same.

    1 x 1 projections before and after, channels shared out to `heads`. At the ends the window shifts and
    keeps its size; window * dilation must not exceed the length. Work grows with length * window.
    """

    axes = 1


class NeighborhoodAttention2d(NeighborhoodAttention):
    """The same for maps: [batch, channels, height, width] -> the same, a window of window x window pixels.

    window, dilation and causal may also be pairs for rows and columns.
    """

    axes = 2
