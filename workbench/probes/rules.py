"""What the output of each torch operation sees: one rule per kind of operation.

A rule gets a `Call` and returns what is `Seen` after it. `@rule` registers it for module types,
functions and names of tensor methods; what has no rule is refused by name.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial, reduce
from math import prod
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.kernels.neighborhood_windows import Neighborhood
from workbench.layers import DepthwiseConv2d, GlobalResponseNorm, neighborhood
from workbench.probes.following import Call, Dim, Factor, Rule, Seen, meeting
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


def size_of(seen: Seen, dim: int) -> int:
    """Length of a dimension."""
    return prod(factor.size for factor in seen.dims[dim])


def per_axis(value: Any, count: int) -> tuple[int, ...]:
    """One number per axis, where torch accepts a single one for all."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return values * count if len(values) == 1 else values


# Windows that slide ---------------------------------------------------------------------------


def slid(call: Call, seen: Seen, dim: int, window: Window, outputs: int) -> Seen:
    """A window slides along one dimension."""
    seen = seen.plain(dim)
    if len(seen.axes(dim)) > 1 and len(window.taps) == window.rise == 1 and outputs == size_of(seen, dim):
        return slid_over_rows(seen, dim, window)
    axis = call.axis(seen, dim)
    return seen if axis is None else seen.through(dim, axis, window, outputs)


def slid_over_rows(seen: Seen, dim: int, window: Window) -> Seen:
    """A window slides over an image that was laid out row by row: it sees whole rows, as many as it can
    touch from any place in one."""
    (_, first), *others = seen.places([dim])
    row = prod(factor.size for factor in seen.dims[dim][first + 1 :])
    offsets = window.taps[0][~np.isnan(window.taps[0])]
    rows = range(int(offsets.min() // row), int((row - 1 + offsets.max()) // row) + 1)
    for place in others:
        seen = seen.without_place(place)
    factor = seen.dims[dim][first]
    assert factor.axis is not None
    touched = Window.of([list(rows)], 1, window.border)
    reach = seen.reach[factor.axis].along(touched, factor.size, factor.size, factor.step)
    return seen.changed((dim, first), factor.size, reach)


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
        seen = slid(call, seen, dim, window, call.shape[dim])
    return seen.shaped(call.shape)


@rule(*modules("Conv1d", "Conv2d", "Conv3d"), DepthwiseConv2d, *named("conv1d", "conv2d", "conv3d"))
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


@rule(torch.ops.workbench.depthwise_conv2d)
def depthwise(call: Call) -> Seen:
    """The operator behind `DepthwiseConv2d`: stride 1, size kept."""
    kernel = tuple(call.args[1].shape[2:])
    before = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
    seen = sliding(call, [Window.sliding(k, before=b) for k, b in zip(kernel, before, strict=True)])
    return call.row(seen, kernel, (1, 1), (1, 1), before)


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


@rule(F.max_pool1d_with_indices, F.max_pool2d_with_indices, F.max_pool3d_with_indices)
def max_pool_with_places(call: Call) -> tuple[Seen, ...]:
    seen = max_pool(replace(call, value=call.value[0]))
    return seen, seen


@rule(*modules("LPPool1d", "LPPool2d", "LPPool3d"), *named("lp_pool1d", "lp_pool2d", "lp_pool3d"))
def power_pool(call: Call) -> Seen:
    count = len(call.shape) - 2
    kernel = per_axis(call.setting(2, "kernel_size"), count)
    stride = per_axis(call.setting(3, "stride") or kernel, count)
    seen = sliding(call, [Window.sliding(k, s) for k, s in zip(kernel, stride, strict=True)])
    return call.row(seen, kernel, stride)


@rule(*modules("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"))
@rule(*named("max_unpool1d", "max_unpool2d", "max_unpool3d"))
def unpool(call: Call) -> Seen:
    """A number goes to one place of the window that it came from, known to a run alone."""
    count = len(call.shape) - 2
    kernel = per_axis(call.setting(2, "kernel_size"), count)
    stride = per_axis(call.setting(3, "stride") or kernel, count)
    padding = per_axis(call.setting(4, "padding", 0), count)
    settings = zip(kernel, stride, padding, strict=True)
    seen = sliding(call, [Window.transposed(k, s, before=p) for k, s, p in settings])
    return call.row(seen, kernel, stride, padding=padding)


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
        if call.shape[dim] == 1:
            seen = seen.mixed([dim])
        elif seen.axes(dim):
            window = Window.bins(size_of(seen, dim), call.shape[dim])
            seen = slid(call, seen, dim, window, call.shape[dim])
    return call.row(seen.shaped(call.shape))


@rule(nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d, F.interpolate, F.upsample)
def interpolate(call: Call) -> Seen:
    mode = call.setting(3, "mode", "nearest")
    smooth = bool(call.get(6, "antialias", False))
    if mode == "area":
        return adaptive_pool(call)
    seen, count = call.seen[0], len(call.shape) - 2
    scale, recompute = call.setting(2, "scale_factor"), call.setting(5, "recompute_scale_factor")
    scales = per_axis(None if recompute else scale, count)
    corners = bool(call.setting(4, "align_corners", False))
    for dim in range(2, count + 2):
        inputs, outputs = size_of(seen, dim), call.shape[dim]
        window = resampling(mode, inputs, outputs, scales[dim - 2], corners, smooth)
        seen = slid(call, seen, dim, window, outputs)
    return call.row(seen.shaped(call.shape))


def resampling(
    mode: str, inputs: int, outputs: int, scale: float | None, corners: bool, smooth: bool = False
) -> Window:
    """Where torch's interpolation reads along one axis."""
    step = 1 / Fraction(scale).limit_denominator(4096) if scale else Fraction(inputs, outputs)
    if mode in ("nearest", "nearest-exact"):
        return Window.resampling(step, step / 2 if mode == "nearest-exact" else Fraction(0), 0)
    order: Literal[1, 3] = 3 if mode == "bicubic" else 1
    if smooth and not corners:
        return Window.smoothing(step, 2 if order == 3 else 1)
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


@rule(nn.Unfold, F.unfold)
def unfolded(call: Call) -> Seen:
    """Windows laid out as columns: [batch, channels * taps, windows]. A window counts as one thing: each of
    its taps is taken to see all of it."""
    seen, image = call.seen[0], call.args[0]
    kernel, stride, dilation, padding = window_settings(call, kernel_at=1)
    counts = []
    seen = seen.mixed([1])
    for dim, (k, s, d, p) in enumerate(zip(kernel, stride, dilation, padding, strict=True), start=2):
        count = (image.shape[dim] + 2 * p - d * (k - 1) - 1) // s + 1
        seen = slid(call, seen, dim, Window.sliding(k, s, d, p), count)
        counts.append(count)
    return call.row(
        Seen((seen.dims[0], (Factor(None, 1),), seen.dims[2] + seen.dims[3]), seen.reach).shaped(call.shape),
        kernel,
        stride,
        dilation,
        padding,
    )


@rule(nn.Fold, F.fold)
def folded(call: Call) -> Seen:
    """Columns are added up where their windows lie, as a transposed convolution does."""
    seen = call.seen[0].mixed([1])
    size = per_axis(call.setting(1, "output_size"), 2)
    kernel, stride, dilation, padding = window_settings(call, kernel_at=2)
    settings = list(zip(size, kernel, stride, dilation, padding, strict=True))
    counts = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, d, p in settings]
    shape = (*call.args[0].shape[:2], *counts)
    seen = reshaped(replace(call, seen=[seen], value=call.value.new_empty(shape)))
    for dim, (n, k, s, d, p) in enumerate(settings, start=2):
        seen = slid(call, seen, dim, Window.transposed(k, s, d, p), n)
    return call.row(seen.shaped(call.shape), kernel, stride, dilation, padding)


def window_settings(call: Call, kernel_at: int) -> tuple[tuple[int, ...], ...]:
    """kernel, stride, dilation and padding of an unfolding or folding."""
    return (
        per_axis(call.setting(kernel_at, "kernel_size"), 2),
        per_axis(call.setting(kernel_at + 3, "stride", 1), 2),
        per_axis(call.setting(kernel_at + 1, "dilation", 1), 2),
        per_axis(call.setting(kernel_at + 2, "padding", 0), 2),
    )


@rule("unfold")
def windows_apart(call: Call) -> Seen:
    """The tensor's own method: windows along one dimension, their taps in a new last one."""
    dim = call.get(1, "dimension") % len(call.seen[0].dims)
    size, step = call.get(2, "size"), call.get(3, "step")
    seen = slid(call, call.seen[0], dim, Window.sliding(size, step), call.shape[dim])
    return call.row(Seen((*seen.dims, (Factor(None, size),)), seen.reach).shaped(call.shape))


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
        seen = slid(call, seen, dim, Window.sliding(1, before=before, border=border), call.shape[dim])
    return call.row(seen.shaped(call.shape), padding=tuple(amounts[::2])[::-1])


@rule(operator.getitem)
def getitem(call: Call) -> Seen:
    """Slices and single numbers: an axis of the image is cropped, stepped through or picked from."""
    seen, index = call.seen[0], call.args[1]
    keys = list(index) if isinstance(index, tuple) else [index]
    if any(not isinstance(key, (int, slice, type(None), type(...))) for key in keys):
        return picked_by_lists(call, keys)
    missing = [slice(None)] * (len(seen.dims) - sum(isinstance(key, (int, slice)) for key in keys))
    at = keys.index(...) if ... in keys else len(keys)
    keys[at : at + 1] = missing
    order: list[int | None] = []
    dim = 0
    for key in keys:
        if key is None:
            order.append(None)
            continue
        everything = range(size_of(seen, dim))
        picked = everything[key]
        if isinstance(picked, range):
            order.append(dim)
            if picked != everything:
                seen = slid(call, seen, dim, Window.slicing(picked.start, picked.step), len(picked))
        else:
            seen = one(call, seen, dim, picked)
        dim += 1
    dims = tuple((Factor(None, 1),) if dim is None else seen.dims[dim] for dim in order)
    return Seen(dims, seen.reach).shaped(call.shape)


def picked_by_lists(call: Call, keys: list[Any]) -> Seen:
    """One list or tensor of channels among plain slices: which ones does not matter."""
    seen = call.seen[0]
    lists = [i for i, key in enumerate(keys) if not isinstance(key, slice)]
    plain = all(key == slice(None) for i, key in enumerate(keys) if i not in lists)
    if len(lists) != 1 or not plain or len(call.shape) != len(seen.dims) or seen.axes(lists[0]):
        raise call.refuse(
            "it picks by a list or a tensor; along the image only slices and single numbers have a rule"
        )
    return seen.shaped(call.shape)


def one(call: Call, seen: Seen, dim: int, index: int) -> Seen:
    """A single number along one dimension: its place on each axis is fixed."""
    for f in range(len(seen.dims[dim]))[::-1]:
        factor = seen.dims[dim][f]
        index, digit = divmod(index, factor.size)
        if factor.axis is not None:
            reach = seen.reach[factor.axis].along(Window.slicing(digit, 0), 1, factor.size, factor.step)
            seen = seen.changed((dim, f), 1, reach)
            gone = (*seen.dims[dim][:f], Factor(None, 1), *seen.dims[dim][f + 1 :])
            seen = Seen((*seen.dims[:dim], gone, *seen.dims[dim + 1 :]), seen.reach)
    return seen


# The same index of every input ----------------------------------------------------------------

POINTWISE = """
    abs add addcmul celu clamp clip clone contiguous cos detach div divide double dropout dropout1d
    dropout2d dropout3d alpha_dropout elu exp expm1 float gelu gt hardsigmoid hardswish hardtanh
    hardshrink leaky_relu lerp log log1p logsigmoid lt ge le eq ne maximum minimum mish mul multiply neg
    negative pow prelu reciprocal relu relu6 rrelu round rsqrt rsub selu sigmoid sign silu sin softplus
    softshrink softsign sqrt square sub subtract tanh tanhshrink threshold true_divide truediv
    half bfloat16 where batch_norm expand expand_as masked_fill
    addcdiv atan atan2 ceil complex conj cosh erf erfc floor floor_divide fmod hypot isfinite isnan
    log2 log10 logical_and logical_not logical_or logit nan_to_num not_equal remainder sgn sinc sinh tan
    trunc xlogy tril triu angle softmax_ masked_fill_ zero_ fill_ copy_ exp_ sqrt_ neg_ pow_ gelu_ silu_
    add_ mul_ sub_ div_ relu_ clamp_ elu_ sigmoid_ tanh_ dropout_ iadd imul isub itruediv
"""
MIXING = ("Softmax", "LogSoftmax", "Softmin", "Multihead", "GLU")
ACTIVATIONS = [name for name in nn.modules.activation.__all__ if not name.startswith(MIXING)]


@rule(*named(*POINTWISE.split()), *modules(*ACTIVATIONS, *nn.modules.dropout.__all__, "Identity"))
def pointwise(call: Call) -> Seen:
    """Each output index reads the same index of every input; where paths meet, their union."""
    seen, *others = call.seen
    for other in others:
        seen = met(call, seen, other)
    return call.row(seen.shaped(call.shape)) if others else broadcast(seen, call.shape)


@rule(*named("to", "type_as"))
def converted(call: Call) -> Seen | None:
    """A constant that takes its type from the image stays one."""
    return call.saw(0, "input")


@rule(*named(*(f"{what}_like" for what in ("zeros", "ones", "empty", "full", "rand", "randn"))))
@rule(*named("new_zeros", "new_ones", "new_empty", "new_full", "new_tensor"))
def constant(call: Call) -> None:
    """Of the image's shape or type, but of no pixel of it."""


def broadcast(seen: Seen, shape: Sequence[int]) -> Seen:
    """The same under a shape that it is repeated to."""
    missing = len(shape) - len(seen.dims)
    dims: list[Dim] = [(Factor(None, size),) for size in shape[:missing]]
    for size, dim in zip(shape[missing:], seen.dims, strict=True):
        dims.append(dim if prod(factor.size for factor in dim) == size else (Factor(None, size),))
    return Seen(tuple(dims), seen.reach).shaped(shape)


def met(call: Call, a: Seen, b: Seen) -> Seen:
    """Two tensors meet number by number, each repeated where it is shorter."""
    both = meeting(a, b, call.shape)
    if both is None:
        raise call.refuse("two tensors meet whose dimensions carry different axes of the image")
    reach = [
        joined(call, axis, *pair) for axis, pair in enumerate(zip(*(x.reach for x in both), strict=True))
    ]
    return Seen(both[0].dims, tuple(reach))


def joined(call: Call, axis: int, a: Reach, b: Reach) -> Reach:
    """Union of two paths along one axis."""
    union, disagreement = a.joined(b)
    if disagreement:
        name = call.walk.names[axis]
        call.warn(f"paths that meet in {call.name!r} are not aligned along the {name}: {disagreement}")
    return union


@rule(*named("cat", "concat", "concatenate"))
def concatenated(call: Call) -> Seen:
    """End to end: along the image the places follow each other, along other dimensions paths meet."""
    dim = call.get(1, "dim", 0) % len(call.shape)
    if not any(seen.axes(dim) for seen in call.seen):
        loose = [unplaced(seen, dim) for seen in call.seen]
        return pointwise(replace(call, seen=loose))
    given = call.get(0, "tensors")
    pieces = call.seen_args[0] if call.seen_args else call.seen_kwargs["tensors"]
    whole = [piece.plain(dim) if isinstance(piece, Seen) else None for piece in pieces]
    axes = {axis for piece in whole if piece for axis in piece.axes(dim)}
    single = all(
        piece is None or (len(piece.axes(dim)) == 1 and len(piece.places([dim])) == 1 and alone(piece, dim))
        for piece in whole
    )
    if len(axes) != 1 or not single:
        call.warn(
            f"{call.name!r} joins what is no row of places on one axis of the image: "
            "every output of it is taken to see all that any sees"
        )
        return pointwise(replace(call, seen=[unplaced(seen.mixed([dim]), dim) for seen in call.seen]))
    (axis,) = axes
    rows = [
        piece.reach[axis] if piece else Reach.nothing(tensor.shape[dim])
        for piece, tensor in zip(whole, given, strict=True)
    ]
    row = reduce(Reach.followed_by, rows)
    stubs = [unplaced(piece.mixed([dim]), dim) for piece in whole if piece]
    seen = pointwise(replace(call, seen=stubs))
    reach = tuple(row if a == axis else r for a, r in enumerate(seen.reach))
    return Seen((*seen.dims[:dim], (Factor(axis, len(row)),), *seen.dims[dim + 1 :]), reach)


def alone(seen: Seen, dim: int) -> bool:
    """Whether no other dimension carries the axes of this one."""
    return not any(seen.axes(dim) & seen.axes(other) for other in range(len(seen.dims)) if other != dim)


def unplaced(seen: Seen, dim: int) -> Seen:
    """The same with a dimension of length 1, where it carries no axis."""
    return (
        seen
        if seen.axes(dim)
        else Seen((*seen.dims[:dim], (Factor(None, 1),), *seen.dims[dim + 1 :]), seen.reach)
    )


@rule(*named("stack"))
def stacked(call: Call) -> Seen:
    dim = call.get(1, "dim", 0) % len(call.shape)
    given = call.seen_args[0] if call.seen_args else call.seen_kwargs["tensors"]
    pieces = [
        Seen((*seen.dims[:dim], (Factor(None, 1),), *seen.dims[dim:]), seen.reach)
        if isinstance(seen, Seen)
        else None
        for seen in given
    ]
    seen = pointwise(replace(call, seen=[piece for piece in pieces if piece]))
    for axis in range(len(seen.reach)):
        rows = [piece.reach[axis] if piece else Reach.nothing(1) for piece in pieces]
        hulls = {(row.first[0], row.last[0]) for row in rows}
        if len(hulls) > 1 and all(len(row) == 1 for row in rows):  # places of the image, put in order again
            reach = list(seen.reach)
            reach[axis] = reduce(Reach.followed_by, rows)
            dims = (*seen.dims[:dim], (Factor(axis, len(rows)),), *seen.dims[dim + 1 :])
            return Seen(dims, tuple(reach))
    return seen


@rule(*named("chunk", "split", "tensor_split", "split_with_sizes"))
def parts(call: Call) -> tuple[Seen, ...]:
    seen = call.seen[0]
    dim = call.get(2, "dim", 0) % len(seen.dims)
    begin, cut = 0, []
    for part in call.value:
        length = part.shape[dim]
        piece = slid(call, seen, dim, Window.slicing(begin), length)
        cut.append(piece.shaped(part.shape))
        begin += length
    return tuple(cut)


@rule(*named("unbind"))
def unbound(call: Call) -> tuple[Seen, ...]:
    seen = call.seen[0]
    dim = call.get(1, "dim", 0) % len(seen.dims)
    return tuple(
        without(one(call, seen, dim, i), dim).shaped(part.shape) for i, part in enumerate(call.value)
    )


def without(seen: Seen, dim: int) -> Seen:
    """The same without a dimension."""
    return Seen(seen.dims[:dim] + seen.dims[dim + 1 :], seen.reach)


@rule(*named("select"))
def selected(call: Call) -> Seen:
    seen = call.seen[0]
    dim = call.get(1, "dim") % len(seen.dims)
    index = call.get(2, "index") % size_of(seen, dim)
    return without(one(call, seen, dim, index), dim).shaped(call.shape)


@rule(*named("narrow"))
def narrowed(call: Call) -> Seen:
    seen = call.seen[0]
    dim = call.get(1, "dim") % len(seen.dims)
    return slid(call, seen, dim, Window.slicing(call.get(2, "start")), call.shape[dim]).shaped(call.shape)


@rule(*named("index_select"))
def index_selected(call: Call) -> Seen:
    if call.seen[0].axes(call.get(1, "dim") % len(call.shape)):
        raise call.refuse("it picks places in the image by numbers that only a run knows")
    return call.seen[0].shaped(call.shape)


@rule(*named("roll"))
def rolled(call: Call) -> Seen:
    seen, shifts, dims = call.seen[0], per_axis(call.get(1, "shifts"), 1), call.get(2, "dims")
    if dims is None or dims == ():
        raise call.refuse("it rolls a flattened tensor; name the dimensions")
    for shift, dim in zip(shifts, per_axis(dims, 1), strict=True):
        at = dim % len(call.shape)
        seen = slid(call, seen, at, Window.sliding(1, before=shift, border="circular"), call.shape[at])
    return seen.shaped(call.shape)


@rule(torch.fft.fftshift, torch.fft.ifftshift)
def halves_swapped(call: Call) -> Seen:
    dims = call.get(1, "dim")
    dims = tuple(range(len(call.shape))) if dims is None else per_axis(dims, 1)
    back = -1 if call.what.endswith("ifftshift") else 1
    shifts = tuple(call.shape[dim] // 2 if back > 0 else (call.shape[dim] + 1) // 2 for dim in dims)
    return rolled(replace(call, args=(None, shifts, dims), kwargs={}))


@rule(*named("flip", "fliplr", "flipud"))
def flipped(call: Call) -> Seen:
    seen = call.seen[0]
    given = call.args[1:] if len(call.args) > 2 else call.get(1, "dims", ())
    dims = {"fliplr": (1,), "flipud": (0,)}.get(call.what) or per_axis(given, 1)
    for dim, f in seen.places([dim % len(call.shape) for dim in dims]):
        factor = seen.dims[dim][f]
        if factor.axis is not None:
            window = Window.of([[factor.size - 1]], -1)
            reach = seen.reach[factor.axis].along(window, factor.size, factor.size, factor.step)
            seen = seen.changed((dim, f), factor.size, reach)
    return seen


@rule(*named("repeat", "tile"))
def tiled(call: Call) -> Seen:
    counts = call.get(1, "dims" if call.what == "tile" else "repeats")
    counts = tuple(counts) if isinstance(counts, (tuple, list, torch.Size)) else tuple(call.args[1:])
    missing = len(call.shape) - len(call.seen[0].dims)
    dims: tuple[Any, ...] = ((Factor(None, 1),),) * missing + call.seen[0].dims
    counts = (1,) * (len(dims) - len(counts)) + counts
    again = tuple((Factor(None, n), *dim) for n, dim in zip(counts, dims, strict=True))
    return Seen(again, call.seen[0].reach).tidy().shaped(call.shape)


@rule(*named("repeat_interleave"))
def repeated_each(call: Call) -> Seen:
    seen, times, dim = call.seen[0], call.get(1, "repeats"), call.get(2, "dim")
    if not isinstance(times, int) or dim is None:
        raise call.refuse("only one number of repetitions along one dimension has a rule")
    dim %= len(call.shape)
    dims = (*seen.dims[:dim], (*seen.dims[dim], Factor(None, times)), *seen.dims[dim + 1 :])
    return Seen(dims, seen.reach).tidy().shaped(call.shape)


# The same numbers under other dimensions ------------------------------------------------------


@rule(nn.Flatten, nn.Unflatten)
@rule(*named("flatten", "reshape", "view", "unflatten", "unsqueeze", "squeeze", "ravel", "view_as"))
def reshaped(call: Call) -> Seen:
    """The order of the numbers stays: the factors are dealt out to the new dimensions."""
    queue = [factor for dim in call.seen[0].dims for factor in dim if factor.size > 1]
    dims = []
    for size in call.shape:
        group: list[Factor] = []
        while size > 1:
            factor = queue.pop(0)
            taken = min(factor.size, size)
            if size % taken or factor.size % taken:
                raise call.refuse("it cuts an axis of the image in uneven pieces")
            left = factor.size // taken
            if left > 1:
                queue.insert(0, factor._replace(size=left))
            group.append(Factor(factor.axis, taken, factor.step * left if factor.axis is not None else 1))
            size //= taken
        dims.append(tuple(group) or (Factor(None, 1),))
    return Seen(tuple(dims), call.seen[0].reach).tidy().shaped(call.shape)


@rule(*named("permute", "transpose", "swapaxes", "swapdims", "movedim", "t"))
def permuted(call: Call) -> Seen:
    """Found by permuting a tensor whose dimensions have distinct lengths."""
    seen = call.seen[0]
    probe = torch.empty(tuple(range(2, 2 + len(seen.dims))), device="meta")
    settings = {key: value for key, value in call.kwargs.items() if key != "input"}
    turned = getattr(probe, call.what)(*call.args[1:], **settings)
    return Seen(tuple(seen.dims[size - 2] for size in turned.shape), seen.reach)


@rule(getattr)
def attribute(call: Call) -> Seen:
    """`x.real` and `x.imag` leave everything in its place, `x.mT` and its like turn the last two around."""
    seen, name = call.seen[0], call.args[1]
    if name in ("real", "imag"):
        return seen
    dims = seen.dims[::-1] if name in ("T", "H") else (*seen.dims[:-2], seen.dims[-1], seen.dims[-2])
    return Seen(tuple(dims), seen.reach)


@rule(*named("view_as_real", "view_as_complex"))
def as_pairs(call: Call) -> Seen:
    seen = call.seen[0]
    dims = (*seen.dims, (Factor(None, 2),)) if len(call.shape) > len(seen.dims) else seen.dims[:-1]
    return Seen(dims, seen.reach)


@rule(nn.ChannelShuffle, *named("channel_shuffle"))
def channels_shuffled(call: Call) -> Seen:
    return call.seen[0].mixed([1])


# Operations that mix --------------------------------------------------------------------------


@rule(*named("mean", "sum", "amax", "amin", "std", "var", "norm", "logsumexp", "prod"))
def reduced(call: Call) -> Seen:
    seen, dim = call.seen[0], call.get(1, "dim")
    ndim = len(seen.dims)
    dims = [d % ndim for d in (range(ndim) if dim is None else per_axis(dim, 1))]
    mixed = seen.mixed(dims)
    left = [d for i, d in enumerate(mixed.dims) if len(call.shape) == ndim or i not in dims]
    return call.row(Seen(tuple(left), mixed.reach).shaped(call.shape))


@rule(torch.linalg.norm, torch.linalg.vector_norm)
def norm(call: Call) -> Seen:
    return reduced(replace(call, args=(None, call.get(2, "dim")), kwargs={}))


@rule(*named("max", "min", "median", "sort", "topk", "cummax", "cummin"))
def chosen(call: Call) -> Seen | tuple[Seen, ...]:
    """Of one tensor along a dimension, with places; the larger of two tensors; or one number of all."""
    if len(call.seen) > 1 or (len(call.args) > 1 and isinstance(call.args[1], Tensor)):
        return pointwise(call)
    if isinstance(call.value, Tensor):
        return everything(call)
    at = 2 if call.what == "topk" else 1
    dim = call.get(at, "dim", -1)
    seen = call.seen[0].mixed([dim % len(call.seen[0].dims)])
    parts = []
    for value in call.value:
        kept = seen if value.dim() == len(seen.dims) else without(seen, dim % len(seen.dims))
        parts.append(kept.shaped(value.shape))
    return tuple(parts)


@rule(*named("cumsum", "cumprod", "logcumsumexp"))
def scan(call: Call) -> Seen:
    """Each place depends on itself and on all before it."""
    return call.row(call.seen[0].before(call.get(1, "dim") % len(call.shape)))


def all_before(dim: int) -> Rule:
    """A rule for a part that scans along a dimension, as state-space models do: each place sees all before.

    The part must return a tensor of the shape that it takes (or one with other channels).

    >>> from workbench.probes import receptive_field
    >>> field = receptive_field(nn.Sequential(nn.Tanh()), (1, 4, 9), rules={nn.Tanh: all_before(2)})
    >>> field.interval((3,)), field.size
    (((0, 3),), (inf,))
    """

    def apply(call: Call) -> Seen:
        seen, at = call.seen[0], dim % len(call.shape)
        others = [d for d in range(len(call.shape)) if d != at and not seen.axes(d)]
        return call.row(seen.mixed(others).before(at).shaped(call.shape))

    return apply


@rule(nn.RNN, nn.LSTM, nn.GRU)
def recurrent(call: Call) -> tuple[Any, ...]:
    """Along the steps all before, in both directions all; the last states depend on every step."""
    seen, module, out = call.seen[0], call.module, call.value[0]
    assert isinstance(module, nn.RNNBase)
    time = 1 if module.batch_first and out.dim() == 3 else 0
    seen = seen.mixed([out.dim() - 1])
    steps = (seen.mixed([time]) if module.bidirectional else seen.before(time)).shaped(out.shape)
    whole = seen.mixed([time])
    states = call.value[1] if isinstance(call.value[1], tuple) else (call.value[1],)
    batch = [whole.dims[1 - time]] if out.dim() == 3 else []
    last = [
        Seen(((Factor(None, 1),), *batch, (Factor(None, 1),)), whole.reach).shaped(s.shape) for s in states
    ]
    return call.row(steps), tuple(last) if isinstance(call.value[1], tuple) else last[0]


FOURIER = [
    f"{inverse}{kind}fft{n}" for inverse in ("", "i") for kind in ("", "r", "h") for n in ("", "2", "n")
]


@rule(*(getattr(torch.fft, name) for name in FOURIER))
def fourier(call: Call) -> Seen:
    """Each frequency depends on every place, each place on every frequency."""
    several = call.what.endswith(("2", "n"))
    dims = call.get(2, "dim", (-2, -1) if call.what.endswith("2") else None if several else -1)
    dims = range(len(call.shape)) if dims is None else per_axis(dims, 1)
    return call.row(call.seen[0].mixed([dim % len(call.shape) for dim in dims]).shaped(call.shape))


@rule(nn.Softmax, nn.LogSoftmax, nn.Softmin, *named("softmax", "log_softmax", "softmin"))
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


@rule(*named("matmul", "bmm", "mm"))
def product(call: Call) -> Seen:
    """Rows of the left with columns of the right: the dimension between them is mixed."""
    if len(call.shape) < 2 or min(call.get(i, name).dim() for i, name in enumerate(("input", "mat2"))) < 2:
        return everything(call)
    return multiplied(call, call.saw(0, "input"), call.saw(1, "other") or call.saw(1, "mat2"))


@rule(*named("addmm", "baddbmm"))
def sum_and_product(call: Call) -> Seen:
    added, seen = call.saw(0, "input"), multiplied(call, call.saw(1, "batch1"), call.saw(2, "batch2"))
    return seen if added is None else met(call, seen, added)


def multiplied(call: Call, left: Seen | None, right: Seen | None) -> Seen:
    sides = []
    if left is not None:
        sides.append(unplaced_at(left.mixed([len(left.dims) - 1]), -1))
    if right is not None:
        sides.append(unplaced_at(right.mixed([len(right.dims) - 2]), -2))
    if not sides:
        return everything(call)
    seen = sides[0] if len(sides) == 1 else met(call, *sides)
    return call.row(broadcast(seen, call.shape)) if len(sides) > 1 else broadcast(seen, call.shape)


def unplaced_at(seen: Seen, *dims: int) -> Seen:
    for dim in dims:
        seen = unplaced(seen, dim % len(seen.dims))
    return seen


@rule(torch.einsum)
def einsum(call: Call) -> Seen:
    """Letters that the result has not are mixed; operands meet under the letters that it has."""
    equation = call.args[0].replace(" ", "")
    operands = call.seen_args[1:]
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    if "->" not in equation or "." in equation:
        return everything(call)
    inputs, output = equation.split("->")
    found: list[Seen] = []
    for letters, seen in zip(inputs.split(","), operands, strict=True):
        if not isinstance(seen, Seen):
            continue
        if len(set(letters)) < len(letters):
            return everything(call)
        seen = seen.mixed([i for i, letter in enumerate(letters) if letter not in output])
        dims = [seen.dims[letters.index(o)] if o in letters else (Factor(None, 1),) for o in output]
        found.append(Seen(tuple(dims), seen.reach))
    seen = found[0]
    for other in found[1:]:
        seen = met(call, seen, other)
    return call.row(broadcast(seen, call.shape)) if len(found) > 1 else broadcast(seen, call.shape)


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
    return call.row(Seen(tuple((Factor(None, size),) for size in call.shape), reach))


def attended(
    call: Call, query: Seen | None, others: Sequence[Seen | None], tokens: int, *, causal: bool = False
) -> Seen:
    """Each query sees itself and all keys and values of its own batch, or those up to itself if causal."""
    sides = [] if query is None else [unplaced_at(query.mixed([len(query.dims) - 1]), -1)]
    for other in others:
        if other is not None:
            mixed = other.mixed([len(other.dims) - 1])
            mixed = (
                mixed.before(tokens % len(mixed.dims)) if causal else mixed.mixed([tokens % len(mixed.dims)])
            )
            sides.append(unplaced_at(mixed, *range(len(mixed.dims))))
    seen = sides[0]
    for side in sides[1:]:
        seen = met(call, seen, side)
    return call.row(broadcast(seen, call.shape))


@rule(F.scaled_dot_product_attention)
def attention(call: Call) -> Seen:
    query, *others = (call.saw(i, name) for i, name in enumerate(("query", "key", "value")))
    if (mask := call.saw(3, "attn_mask")) is not None:
        others.append(mask.mixed([len(mask.dims) - 2]))
    return attended(call, query, others, -2, causal=bool(call.get(5, "is_causal", False)))


@rule(neighborhood, torch.ops.workbench.neighborhood_attention)
def attention_to_neighbours(call: Call) -> Any:
    """Each query sees itself and the keys and values of its window; at a border the window moves inwards."""
    several = isinstance(call.value, tuple)  # the operator also returns logarithms, one for each query
    out = call.value[0] if several else call.value
    settings = (call.get(3, "window"), call.get(4, "dilation", 1), call.get(5, "causal", False))
    window, dilation, causal = (tuple(one) if isinstance(one, Sequence) else one for one in settings)
    geometry = Neighborhood.of(tuple(out.shape[2:-1]), window, dilation, causal)
    sides = []
    for place, name in enumerate(("queries", "keys", "values")):
        if (seen := call.saw(place, name)) is None:
            continue
        seen = seen.mixed([len(seen.dims) - 1])
        for axis, length in enumerate(geometry.space if place else ()):
            places = ((0,) * axis + (i,) + (0,) * (len(geometry.space) - axis - 1) for i in range(length))
            taps = [list(geometry.window_of(one)[axis]) for one in places]
            seen = slid(call, seen, 2 + axis, Window.of(taps, length), length)
        sides.append(unplaced_at(seen, -1))
    whole = replace(call, value=out)
    row = whole.row(broadcast(reduce(partial(met, whole), sides), tuple(out.shape)))
    return (row, replace(row, dims=row.dims[:-1])) if several else row


@rule(nn.MultiheadAttention)
def attention_module(call: Call) -> tuple[Seen | None, ...]:
    """A mask is not read: tokens are taken to see all tokens of their batch."""
    module, out = call.module, call.value[0]
    assert isinstance(module, nn.MultiheadAttention)
    tokens = 1 if module.batch_first and out.dim() == 3 else 0
    query, *others = (call.saw(i, name) for i, name in enumerate(("query", "key", "value")))
    seen = attended(replace(call, value=out), query, others, tokens)
    weights = call.value[1]
    return seen, None if weights is None else everything(replace(call, value=weights))


@rule(F.grid_sample, nn.Bilinear, F.bilinear, nn.Transformer, operator.setitem)
def unknown_places(call: Call) -> Seen:
    """Where it reads or writes is known to a run alone."""
    call.warn(
        f"where {call.what} in {call.name!r} reads or writes is not known from shapes: "
        "every output of it is taken to see all that any sees"
    )
    return everything(call)


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


@rule(GlobalResponseNorm)
def response_norm(call: Call) -> Seen:
    return statistics(call, (1, 2, 3))


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
