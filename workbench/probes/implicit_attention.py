"""Implicit attention: what each output place of *any* part draws from each input place.

Softmax attention is y = A x with a matrix A that depends on x. Every other part that mixes places has such a
matrix too, near the input that it was given: its derivative. A convolution's is Toeplitz, a state-space
layer's is lower triangular. One row costs one pass backward, so a few rows of a long sequence are cheap.
Numbers may lie below zero, and rows need not sum to 1: this is no attention, it only reads like one.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from workbench.errors import WorkbenchError
from workbench.probes._modules import evaluated, first_tensor, submodule, the_module
from workbench.probes._running import in_a_sentence
from workbench.probes.attentions import AttentionMap, Rows, selected

Reduce = Literal["same", "contribution", "norm"]
MOST = 16  # channels that are shown if none are named


def implicit_attention(
    model: nn.Module,
    *inputs: Any,
    part: str = "",
    rows: Rows = None,
    channels: Sequence[int] | None = None,
    reduce: Reduce = "same",
    channel_dim: int | None = None,
) -> AttentionMap:
    """Rows of the derivative of a part's output by its input, as a signed map with a head for each channel.

    part: name of the part; default the model itself. It is linearised around the input that the run on
    `inputs` gives it, in evaluation mode. It takes and returns one tensor (its first) of the same batch.
    channels: which output channels become heads; default up to 16, evenly spread.
    reduce: what becomes of the input channels. "same" keeps the one with the head's number (what a depthwise
        convolution has alone). "contribution" weighs each with its value and adds up: for a linear part
        without bias, a row then sums to the output. "norm" is the length over all of them, never below zero.
    channel_dim: where channels lie; default 1 for maps [batch, channels, height, width], and the last one for
        tokens [batch, tokens, channels]. All other dimensions behind the batch are places, row by row.

    >>> blur = nn.Conv1d(1, 1, 3, padding=1, bias=False)
    >>> row = implicit_attention(blur, torch.zeros(1, 1, 5), channel_dim=1).probabilities()[0, 0, 2]
    >>> torch.equal(row[1:4], blur.weight[0, 0]), row[[0, 4]].tolist()
    (True, [0.0, 0.0])
    """
    if reduce not in get_args(Reduce):
        raise WorkbenchError(f"reduce must be one of {', '.join(get_args(Reduce))}, but {reduce!r} came")
    model = the_module(model)
    mixer = submodule(model, part) if part else model
    args, kwargs = (inputs, {}) if not part else _given_to(model, mixer, part, inputs)
    args, kwargs = tree_map_only(Tensor, lambda given: given.detach().clone(), (args, kwargs))
    if not args or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
        raise WorkbenchError(
            f"implicit attention needs a part that takes floating point numbers, but {_kind(args)} came"
        )
    x: Tensor = args[0]
    with evaluated(model), in_a_sentence(mixer, args), torch.no_grad():
        y = first_tensor(mixer(*args, **kwargs))
    asks, tells = _tokens(y, channel_dim), _tokens(x, channel_dim)
    if asks.shape[0] != tells.shape[0]:
        raise WorkbenchError(f"the batch must stay the same, but {tells.shape[0]} became {asks.shape[0]}")
    heads = _chosen(channels, asks.shape[2], tells.shape[2], reduce)
    at = selected(rows, asks.shape[1])

    def compute(wanted: slice) -> Tensor:
        few = at[wanted]
        found = x.new_empty(x.shape[0], len(heads), len(few), tells.shape[1])
        with evaluated(model), torch.enable_grad():
            source = x.clone().requires_grad_()
            out = _tokens(first_tensor(mixer(source, *args[1:], **kwargs)), channel_dim)
            for i, row in enumerate(few):
                for j, channel in enumerate(heads):
                    (gradient,) = torch.autograd.grad(
                        out[:, row, channel].sum(), source, retain_graph=True, materialize_grads=True
                    )
                    found[:, j, i] = _reduced(_tokens(gradient, channel_dim), tells, channel, reduce)
        return found

    shape = (x.shape[0], len(heads), len(at), tells.shape[1])
    grid = tuple(x.shape[2:]) if x.dim() == 4 and channel_dim in (None, 1) else None
    signed = reduce != "norm"
    return AttentionMap(part, 0, "linearised", shape, at, False, False, compute, signed, grid)


def _reduced(gradient: Tensor, x: Tensor, channel: int, reduce: Reduce) -> Tensor:
    """[batch, keys, input channels] -> [batch, keys]."""
    if reduce == "same":
        return gradient[:, :, channel]
    return (gradient * x).sum(2) if reduce == "contribution" else gradient.norm(dim=2)


def _given_to(
    model: nn.Module, mixer: nn.Module, part: str, inputs: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the part is called with first when the model runs."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    handle = mixer.register_forward_pre_hook(lambda _, a, k: calls.append((a, k)), with_kwargs=True)
    try:
        with evaluated(model), in_a_sentence(model, inputs), torch.no_grad():
            model(*inputs)
    finally:
        handle.remove()
    if not calls:
        raise WorkbenchError(f"the part {part!r} does not run on its own for this input")
    return calls[0]


def _tokens(x: Tensor, channel_dim: int | None) -> Tensor:
    """[batch, places, channels]."""
    if x.dim() < 3:
        raise WorkbenchError(
            "implicit attention needs tokens [batch, tokens, channels] or maps [batch, channels, ...], "
            f"but shape {tuple(x.shape)} came"
        )
    dim = channel_dim if channel_dim is not None else (2 if x.dim() == 3 else 1)
    return x.movedim(dim, -1).flatten(1, -2)


def _chosen(channels: Sequence[int] | None, out: int, into: int, reduce: Reduce) -> tuple[int, ...]:
    if reduce == "same" and out != into:
        raise WorkbenchError(
            f"reduce='same' needs as many channels out as in, but {into} became {out}; "
            "take 'contribution' or 'norm'"
        )
    if channels is None:
        return tuple(sorted({round(c) for c in torch.linspace(0, out - 1, min(out, MOST)).tolist()}))
    if not channels or not all(0 <= channel < out for channel in channels):
        raise WorkbenchError(f"channels must lie in 0 to {out - 1}, but {list(channels)} came")
    return tuple(channels)


def _kind(args: Sequence[Any]) -> str:
    if not args:
        return "no input"
    return (
        str(args[0].dtype).removeprefix("torch.") if isinstance(args[0], Tensor) else type(args[0]).__name__
    )
