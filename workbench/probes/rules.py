"""What the output of each torch operation sees: one rule per kind of operation.

A rule gets a `Call` and returns what is `Seen` after it. `@rule` registers it for module types,
functions and names of tensor methods; what has no rule is refused by name.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.probes.following import Call, Factor, Rule, Seen
from workbench.probes.windows import EVERYTHING, Border, Reach, Window

RULES: dict[object, Rule] = {}
R = Callable[[Call], Any]


def rule(*targets: object) -> Callable[[R], R]:
    """Registers a rule for module types, functions and names of tensor methods."""

    def register(function: R) -> R:
        RULES.update(dict.fromkeys(targets, function))
        return function

    return register


def named(*names: str) -> Iterator[object]:
    """The tensor methods of these names, and the functions wherever torch has them."""
    yield from names
    for place in (torch, F, Tensor, operator, torch.special):
        yield from (getattr(place, name) for name in names if hasattr(place, name))


def modules(*names: str) -> list[object]:
    return [getattr(nn, name) for name in names]


def per_axis(value: Any, count: int) -> tuple[int, ...]:
    """One number per axis, where torch accepts a single one for all."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return values * count if len(values) == 1 else values


# Windows that slide ---------------------------------------------------------------------------


def sliding(call: Call, windows: Sequence[Window]) -> Seen:
    """One window for each dimension after batch and channels; the channels mix."""
    seen, count = call.seen[0], len(windows)
    if len(call.shape) != count + 2:
        raise call.refuse(
            f"it expects [batch, channels, {count} sizes], but a tensor of {len(call.shape)} dimensions came "
            "(does input_shape begin with the batch?)"
        )
    seen = seen.mixed([1])
    for dim, window in enumerate(windows, start=2):
        if (axis := call.axis(seen, dim)) is not None:
            seen = seen.through(dim, axis, window, call.shape[dim])
    return seen.shaped(call.shape)


@rule(*modules("Conv1d", "Conv2d", "Conv3d"), *named("conv1d", "conv2d", "conv3d"))
def convolution(call: Call) -> Seen:
    weight: Tensor = call.setting(1, "weight")
    kernel = tuple(weight.shape[2:])
    stride = per_axis(call.setting(3, "stride", 1), len(kernel))
    dilation = per_axis(call.setting(5, "dilation", 1), len(kernel))
    padding = call.setting(4, "padding", 0)
    if padding == "same":
        padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))
    padding = per_axis(0 if padding == "valid" else padding, len(kernel))
    border: Border = getattr(call.module, "padding_mode", "zeros")
    settings = zip(kernel, stride, dilation, padding, strict=True)
    seen = sliding(call, [Window.sliding(*each, border) for each in settings])
    return call.row(seen, kernel, stride, dilation, padding)


@rule(*modules("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"))
@rule(*named("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"))
def transposed_convolution(call: Call) -> Seen:
    weight: Tensor = call.setting(1, "weight")
    kernel = tuple(weight.shape[2:])
    stride = per_axis(call.setting(3, "stride", 1), len(kernel))
    padding = per_axis(call.setting(4, "padding", 0), len(kernel))
    dilation = per_axis(call.setting(7, "dilation", 1), len(kernel))
    settings = zip(kernel, stride, dilation, padding, strict=True)
    seen = sliding(call, [Window.transposed(*each) for each in settings])
    return call.row(seen, kernel, stride, dilation, padding)


@rule(*modules("MaxPool1d", "MaxPool2d", "MaxPool3d"), *named("max_pool1d", "max_pool2d", "max_pool3d"))
def max_pool(call: Call) -> Seen:
    return pool(call, dilation=call.setting(4, "dilation", 1))


@rule(*modules("AvgPool1d", "AvgPool2d", "AvgPool3d"), *named("avg_pool1d", "avg_pool2d", "avg_pool3d"))
def average_pool(call: Call) -> Seen:
    return pool(call, dilation=1)


def pool(call: Call, dilation: Any) -> Seen:
    count = len(call.shape) - 2
    kernel = per_axis(call.setting(1, "kernel_size"), count)
    stride = per_axis(call.setting(2, "stride") or kernel, count)
    padding = per_axis(call.setting(3, "padding", 0), count)
    dilation = per_axis(dilation, count)
    settings = zip(kernel, stride, dilation, padding, strict=True)
    seen = sliding(call, [Window.sliding(*each) for each in settings])
    return call.row(seen, kernel, stride, dilation, padding)


@rule(*modules(*(f"Adaptive{kind}Pool{n}d" for kind in ("Avg", "Max") for n in (1, 2, 3))))
@rule(*named(*(f"adaptive_{kind}_pool{n}d" for kind in ("avg", "max") for n in (1, 2, 3))))
def adaptive_pool(call: Call) -> Seen:
    """Each output takes its share of the input; a single output takes all of it."""
    seen = call.seen[0]
    for dim in range(2, len(call.shape)):
        axis = call.axis(seen, dim)
        if axis is not None and call.shape[dim] == 1:
            seen = seen.mixed([dim])
        elif axis is not None:
            window = Window.bins(seen.dims[dim][0][1], call.shape[dim])
            seen = seen.through(dim, axis, window, call.shape[dim])
    return call.row(seen.shaped(call.shape))


@rule(nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d, F.interpolate, F.upsample)
def interpolate(call: Call) -> Seen:
    mode = call.setting(3, "mode", "nearest")
    if call.get(6, "antialias", False):
        raise call.refuse("interpolation with antialias=True has no rule")
    if mode == "area":
        return adaptive_pool(call)
    seen, count = call.seen[0], len(call.shape) - 2
    scale, recompute = call.setting(2, "scale_factor"), call.setting(5, "recompute_scale_factor")
    scales = per_axis(None if recompute else scale, count)
    corners = bool(call.setting(4, "align_corners", False))
    for dim in range(2, count + 2):
        if (axis := call.axis(seen, dim)) is not None:
            inputs, outputs = seen.dims[dim][0][1], call.shape[dim]
            window = resampling(mode, inputs, outputs, scales[dim - 2], corners)
            seen = seen.through(dim, axis, window, outputs)
    return call.row(seen.shaped(call.shape))


def resampling(mode: str, inputs: int, outputs: int, scale: float | None, corners: bool) -> Window:
    """Where torch's interpolation reads along one axis."""
    step = 1 / Fraction(scale).limit_denominator(4096) if scale else Fraction(inputs, outputs)
    if mode in ("nearest", "nearest-exact"):
        return Window.resampling(step, step / 2 if mode == "nearest-exact" else Fraction(0), 0)
    order: Literal[1, 3] = 3 if mode == "bicubic" else 1
    if corners:
        return Window.resampling(Fraction(inputs - 1, max(outputs - 1, 1)), Fraction(0), order)
    return Window.resampling(step, (step - 1) / 2, order)


@rule(nn.PixelShuffle, F.pixel_shuffle)
def pixel_shuffle(call: Call) -> Seen:
    step = Fraction(1, call.setting(1, "upscale_factor"))
    return call.row(sliding(call, [Window.resampling(step, Fraction(0), 0)] * 2))


@rule(nn.PixelUnshuffle, F.pixel_unshuffle)
def pixel_unshuffle(call: Call) -> Seen:
    factor = call.setting(1, "downscale_factor")
    return call.row(sliding(call, [Window.sliding(factor, factor)] * 2))


# Padding and cropping -------------------------------------------------------------------------

BORDERS: dict[str, Border] = {"replicate": "replicate", "reflect": "reflect", "circular": "circular"}
PAD_MODULES: dict[str, Border] = {
    "ZeroPad": "zeros",
    "ConstantPad": "zeros",
    "ReplicationPad": "replicate",
    "ReflectionPad": "reflect",
    "CircularPad": "circular",
}


@rule(F.pad)
def pad(call: Call) -> Seen:
    return padded(call, call.get(1, "pad"), BORDERS.get(call.get(2, "mode", "constant"), "zeros"))


@rule(*modules(*(f"{name}{n}d" for name in PAD_MODULES for n in (1, 2, 3))))
def pad_module(call: Call) -> Seen:
    return padded(call, call.setting(0, "padding"), PAD_MODULES[call.what[:-2]])


def padded(call: Call, amounts: Sequence[int], border: Border) -> Seen:
    """`amounts` are before and after of the last dimension, then of the one before it, and so on."""
    seen = call.seen[0]
    for offset, before in enumerate(amounts[::2]):
        dim = len(seen.dims) - 1 - offset
        if (axis := call.axis(seen, dim)) is not None:
            seen = seen.through(dim, axis, Window.sliding(1, before=before, border=border), call.shape[dim])
    return call.row(seen.shaped(call.shape), padding=tuple(amounts[::2])[::-1])


@rule(operator.getitem)
def getitem(call: Call) -> Seen:
    """Slices and single numbers: an axis of the image is cropped, stepped through or picked from."""
    seen, index = call.seen[0], call.args[1]
    keys = list(index) if isinstance(index, tuple) else [index]
    if any(not isinstance(key, (int, slice, type(None), type(...))) for key in keys):
        raise call.refuse("it picks by a list or a tensor; only slices and single numbers have a rule")
    missing = [slice(None)] * (len(seen.dims) - sum(isinstance(key, (int, slice)) for key in keys))
    at = keys.index(...) if ... in keys else len(keys)
    keys[at : at + 1] = missing
    dims: list[tuple[Factor, ...]] = []
    dim = 0
    for key in keys:
        if key is None:
            dims.append(((None, 1),))
            continue
        everything = range(prod(size for _, size in seen.dims[dim]))
        picked = everything[key]
        start, step, length = (
            (picked, 0, 1) if isinstance(picked, int) else (picked.start, picked.step, len(picked))
        )
        if picked != everything and (axis := call.axis(seen, dim)) is not None:
            seen = seen.through(dim, axis, Window.slicing(start, step), length)
        if isinstance(picked, range):
            dims.append(seen.dims[dim])
        dim += 1
    return Seen(tuple(dims), seen.reach).shaped(call.shape)


# The same index of every input ----------------------------------------------------------------

POINTWISE = """
    abs add addcmul celu clamp clip clone contiguous cos detach div divide double dropout dropout1d
    dropout2d dropout3d alpha_dropout elu exp expm1 float gelu gt hardsigmoid hardswish hardtanh
    hardshrink leaky_relu lerp log log1p logsigmoid lt ge le eq ne maximum minimum mish mul multiply neg
    negative pow prelu reciprocal relu relu6 rrelu round rsqrt rsub selu sigmoid sign silu sin softplus
    softshrink softsign sqrt square sub subtract tanh tanhshrink threshold to true_divide truediv
    type_as half bfloat16 where zeros_like ones_like batch_norm expand expand_as masked_fill
    add_ mul_ sub_ div_ relu_ clamp_ elu_ sigmoid_ tanh_ dropout_ iadd imul isub itruediv
"""
MIXING = ("Softmax", "LogSoftmax", "Softmin", "Multihead", "GLU")
ACTIVATIONS = [name for name in nn.modules.activation.__all__ if not name.startswith(MIXING)]


@rule(*named(*POINTWISE.split()), *modules(*ACTIVATIONS, *nn.modules.dropout.__all__, "Identity"))
def pointwise(call: Call) -> Seen:
    """Each output index reads the same index of every input; where paths meet, their union."""
    shape = call.shape
    aligned = [((),) * (len(shape) - len(seen.dims)) + seen.dims for seen in call.seen]
    dims: list[tuple[Factor, ...]] = []
    for size, *meeting in zip(shape, *aligned, strict=True):
        carrying = [dim for dim in meeting if any(axis is not None for axis, _ in dim)]
        if len({tuple(axis for axis, _ in dim) for dim in carrying}) > 1:
            raise call.refuse("two tensors meet whose dimensions carry different axes of the image")
        full = [dim for dim in carrying if prod(length for _, length in dim) == size]
        dims.append(full[0] if full else ((None, size),))
    reach = list(call.seen[0].reach)
    for other in call.seen[1:]:
        reach = [joined(call, axis, a, b) for axis, (a, b) in enumerate(zip(reach, other.reach, strict=True))]
    seen = Seen(tuple(dims), tuple(reach)).shaped(shape)
    return call.row(seen) if len(call.seen) > 1 else seen


def joined(call: Call, axis: int, a: Reach, b: Reach) -> Reach:
    """Union of two paths along one axis; a path of length 1 is repeated along the other."""
    length = max(len(a), len(b))
    a, b = (
        reach
        if len(reach) == length or reach.rule is None or reach.rule.everything
        else reach.through(Window.slicing(0, 0), length)
        for reach in (a, b)
    )
    union, disagreement = a.joined(b)
    if disagreement:
        name = call.walk.names[axis]
        call.warn(f"paths that meet in {call.name!r} are not aligned along the {name}: {disagreement}")
    return union


@rule(*named("cat", "concat", "concatenate"))
def concatenated(call: Call) -> Seen:
    dim = call.get(1, "dim", 0) % len(call.shape)
    if any(seen.axes(dim) for seen in call.seen):
        raise call.refuse("it joins tensors along an axis of the image")
    return pointwise(call)


@rule(*named("chunk", "split", "tensor_split", "unbind"))
def parts(call: Call) -> tuple[Seen, ...]:
    seen, unbound = call.seen[0], call.what == "unbind"
    dim = call.get(1 if unbound else 2, "dim", 0) % len(seen.dims)
    if seen.axes(dim):
        raise call.refuse("it cuts along an axis of the image")
    dims = seen.dims[:dim] + seen.dims[dim + 1 :] if unbound else seen.dims
    return tuple(Seen(dims, seen.reach).shaped(part.shape) for part in call.value)


# The same numbers under other dimensions ------------------------------------------------------


@rule(nn.Flatten, nn.Unflatten)
@rule(*named("flatten", "reshape", "view", "unflatten", "unsqueeze", "squeeze", "ravel", "view_as"))
def reshaped(call: Call) -> Seen:
    """The order of the numbers stays: the factors are dealt out to the new dimensions."""
    queue = [factor for dim in call.seen[0].dims for factor in dim if factor[1] > 1]
    dims = []
    for size in call.shape:
        group: list[Factor] = []
        while size > 1:
            axis, length = queue.pop(0)
            if size % length and (axis is not None or length % size):
                raise call.refuse("it cuts an axis of the image in pieces")
            taken = min(length, size)
            if taken < length:
                queue.insert(0, (None, length // taken))
            group.append((axis, taken))
            size //= taken
        dims.append(tuple(group))
    return Seen(tuple(dims), call.seen[0].reach).shaped(call.shape)


@rule(*named("permute", "transpose", "swapaxes", "swapdims", "movedim", "t"))
def permuted(call: Call) -> Seen:
    """Found by permuting a tensor whose dimensions have distinct lengths."""
    seen = call.seen[0]
    probe = torch.empty(tuple(range(2, 2 + len(seen.dims))), device="meta")
    settings = {key: value for key, value in call.kwargs.items() if key != "input"}
    turned = getattr(probe, call.what)(*call.args[1:], **settings)
    return Seen(tuple(seen.dims[size - 2] for size in turned.shape), seen.reach)


# Operations that mix --------------------------------------------------------------------------


@rule(*named("mean", "sum", "amax", "amin", "std", "var", "norm", "logsumexp", "prod"))
def reduced(call: Call) -> Seen:
    seen, dim = call.seen[0], call.get(1, "dim")
    ndim = len(seen.dims)
    dims = [d % ndim for d in (range(ndim) if dim is None else per_axis(dim, 1))]
    mixed = seen.mixed(dims)
    left = [d for i, d in enumerate(mixed.dims) if len(call.shape) == ndim or i not in dims]
    return call.row(Seen(tuple(left), mixed.reach).shaped(call.shape))


@rule(nn.Softmax, nn.LogSoftmax, nn.Softmin, *named("softmax", "log_softmax", "softmin", "cumsum"))
def along(call: Call) -> Seen:
    dim = call.setting(1, "dim")
    return call.seen[0].mixed([(1 if dim is None else dim) % len(call.shape)])


@rule(F.normalize)
def normalised(call: Call) -> Seen:
    return call.seen[0].mixed([call.get(2, "dim", 1) % len(call.shape)])


@rule(nn.Softmax2d, nn.LocalResponseNorm, F.local_response_norm)
def over_channels(call: Call) -> Seen:
    return call.seen[0].mixed([1])


@rule(nn.GLU, *named("glu"))
def gated(call: Call) -> Seen:
    seen = call.seen[0]
    if seen.axes(call.setting(1, "dim", -1) % len(seen.dims)):
        raise call.refuse("it cuts along an axis of the image")
    return seen.shaped(call.shape)


@rule(nn.Linear, F.linear)
def linear(call: Call) -> Seen:
    seen, last = call.seen[0], len(call.shape) - 1
    mixed = seen.mixed([last]).shaped(call.shape)
    return call.row(mixed) if seen.axes(last) else mixed


@rule(*named("matmul", "bmm"))
def product(call: Call) -> Seen:
    """A product with a constant mixes the contracted dimension; one of two activations, everything."""
    seen = call.seen[0]
    if len(call.seen) > 1 or len(seen.dims) != len(call.shape):
        return everything(call)
    contracted = len(seen.dims) - (1 if call.first_is_followed else 2)
    return seen.mixed([contracted]).shaped(call.shape)


def everything(call: Call) -> Seen:
    """Every output depends on all that any input sees."""
    reach = tuple(
        Reach(
            np.min([seen.reach[axis].first.min(keepdims=True) for seen in call.seen], axis=0),
            np.max([seen.reach[axis].last.max(keepdims=True) for seen in call.seen], axis=0),
            EVERYTHING,
        )
        for axis in range(len(call.walk.names))
    )
    return call.row(Seen(tuple(((None, size),) for size in call.shape), reach))


@rule(F.scaled_dot_product_attention)
def attention(call: Call) -> Seen:
    if call.get(5, "is_causal", False):
        raise call.refuse("causal attention has no rule")
    return everything(call)


@rule(nn.MultiheadAttention)
def attention_module(call: Call) -> tuple[Seen | None, ...]:
    return tuple(None if value is None else everything(replace(call, value=value)) for value in call.value)


# Normalisations -------------------------------------------------------------------------------


@rule(*modules("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"))
def batch_norm(call: Call) -> Seen:
    if getattr(call.module, "running_mean", None) is None:
        return statistics(call, range(2, len(call.shape)))
    if call.module in call.walk.training:
        call.warn(
            "batch normalisation in training mode ties all pixels of the batch together; "
            "this is the receptive field in evaluation mode"
        )
    return pointwise(call)


@rule(*modules("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "GroupNorm"))
@rule(F.instance_norm, F.group_norm)
def map_norm(call: Call) -> Seen:
    return statistics(call, range(1, len(call.shape)))


@rule(nn.LayerNorm, nn.RMSNorm, F.layer_norm, F.rms_norm)
def layer_norm(call: Call) -> Seen:
    count = len(per_axis(call.setting(1, "normalized_shape"), 1))
    return statistics(call, range(len(call.shape) - count, len(call.shape)))


def statistics(call: Call, dims: Sequence[int]) -> Seen:
    """A mean over these dimensions: strictly all of them are seen, mostly not what one wants to know."""
    seen = call.seen[0]
    if not any(seen.axes(dim) for dim in dims):
        return seen
    if call.walk.statistics == "everything":
        return call.row(seen.mixed(dims))
    call.warn(
        f"{call.what} {call.name!r} takes its statistics over the whole map: strictly every output sees "
        "everything; this receptive field leaves that out (statistics='everything' keeps it)"
    )
    return seen


WORDS: dict[str, Rule] = {"pointwise": pointwise, "everything": everything}
