"""What one torch operator costs, by formula: the price list that `cost` and `probe` share.

    multiply-adds   of every product: matrix products, convolutions, attention, recurrent layers
    flops           2 per multiply-add; 1 per output number of an element-wise operator, however hard its
                    function; what its definition says for an operator that summarises (softmax: maximum,
                    subtract, exponential, add, divide, so 5 per number); 5 N log2 N for a Fourier
                    transform of N complex numbers and half of that for real ones. Arithmetic on integers
                    is free, a complex multiply-add is four real ones.
    bytes           an operator reads each of its inputs once and writes its output once; nothing stays in
                    a cache and nothing is fused. Views are free, repeated (expanded) numbers are read
                    once, a look-up reads the rows that it takes.

Padding counts as if it were data. An operator without a formula is uncounted: its bytes are known, its
flops are not, and whoever adds up must list its name.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from math import ceil, log2, prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from workbench.kernels.neighborhood_windows import Neighborhood


class Work(NamedTuple):
    """Multiply-adds, and the flops of the whole operator (those of the multiply-adds included)."""

    macs: int = 0
    flops: int = 0


NOTHING = Work()


class Price(NamedTuple):
    """Work and bytes moved. `work` is None where the operator has no formula."""

    work: Work | None
    bytes: int


class Call:
    """One operator as torch dispatched it; arguments by the names of its schema."""

    __slots__ = ("args", "func", "kwargs", "out")

    def __init__(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> None:
        self.func, self.args, self.kwargs = func, args, kwargs
        self.out = out[0] if isinstance(out, (tuple, list)) else out

    def __getitem__(self, name: str) -> Any:
        if name in self.kwargs:
            return self.kwargs[name]
        position, default = _arguments(self.func)[name]
        return self.args[position] if position < len(self.args) else default

    def has(self, name: str) -> bool:
        """Whether this operator has an argument of that name."""
        return name in _arguments(self.func)

    def get(self, name: str, otherwise: Any = None) -> Any:
        """The argument, or `otherwise` for an operator that has none of that name."""
        return self[name] if self.has(name) else otherwise


@cache
def _arguments(func: Any) -> dict[str, tuple[int, Any]]:
    return {arg.name: (i, arg.default_value) for i, arg in enumerate(func._schema.arguments)}


def price(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Price | None:
    """What the call cost; None for views and empty room, which cost nothing at all."""
    name, formula, free = _entry(func)
    if free:
        return None
    read, written = _tensors((*args, *kwargs.values())), _tensors((out,))
    floating = False
    for tensor in (*read, *written):
        if tensor.layout is not torch.strided or tensor.is_nested:
            return Price(None, 0)  # ragged or sparse: sizes do not tell how much is stored
        floating = floating or tensor.is_floating_point() or tensor.is_complex()
    if not read and not written:
        return None
    call = Call(func, args, kwargs, out)
    moved = _moved(name, call, read, written)
    if not floating:
        return Price(NOTHING, moved)
    return Price(formula(call) if formula else None, moved)


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)) and value and not isinstance(value[0], int):  # sizes are many
            found += _tensors(value)
    return found


# Bytes --------------------------------------------------------------------------------------------

TAKING = ("embedding", "gather", "index_select", "index", "take", "masked_select")
OVERWRITING = ("copy_", "fill_", "zero_", "bernoulli_", "normal_", "uniform_", "exponential_", "random_")
PLACING = {"index_put_": "values", "index_copy_": "source", "scatter_": "src"}
ADDING_TO = {"index_add_": "source", "scatter_add_": "src"}


def stored(tensor: Tensor) -> int:
    """Bytes of the numbers that a tensor stands for, repeated ones (stride 0) once."""
    strides = tensor.stride()
    if 0 not in strides:
        return tensor.nbytes
    pairs = zip(tensor.shape, strides, strict=True)
    return prod(size for size, stride in pairs if stride or not size) * tensor.element_size()


def _moved(name: str, call: Call, read: list[Tensor], written: list[Tensor]) -> int:
    if name in OVERWRITING:
        read = read[1:]
    elif name in TAKING:
        taken = call.out.numel() * call.out.element_size()
        return 2 * taken + sum(map(stored, read[1:]))
    elif name in PLACING or name in ADDING_TO:
        source = call.get({**PLACING, **ADDING_TO}[name])
        placed = stored(source) if isinstance(source, Tensor) else 0
        return sum(map(stored, read[1:])) + placed * (2 if name in ADDING_TO else 1)
    once = {id(tensor): tensor for tensor in read}
    return sum(map(stored, once.values())) + sum(map(stored, written))


# Flops --------------------------------------------------------------------------------------------

Formula = Callable[[Call], Work | None]
FORMULAS: dict[str, Formula] = {}


def priced(*names: str) -> Callable[[Formula], Formula]:
    """Enters a formula in the list under the names of its operators."""

    def enter(formula: Formula) -> Formula:
        FORMULAS.update(dict.fromkeys(names, formula))
        return formula

    return enter


def products(macs: int, more: int = 0) -> Work:
    """Work of so many multiply-adds and of `more` single operations."""
    return Work(macs, 2 * macs + more)


def _real_products(macs: int, tensor: Tensor, more: int = 0) -> Work:
    return products(4 * macs, 2 * more) if tensor.is_complex() else products(macs, more)


@priced("mm", "bmm", "mv", "dot", "vdot", "linear")
def _product(call: Call) -> Work:
    left, out = call.args[0], call.out
    bias = out.numel() if call.get("bias") is not None else 0
    return _real_products(out.numel() * left.shape[-1], out, bias)


@priced("addmm", "baddbmm", "addmv")
def _product_and_sum(call: Call) -> Work:
    return _real_products(call.out.numel() * call.args[1].shape[-1], call.out, call.out.numel())


def _convolved(call: Call, out: Tensor) -> int:
    """Every output (transposed: every input) number meets the kernel's numbers of its group."""
    weight = call["weight"]
    met = call["input"] if call["transposed"] else out
    return met.numel() * prod(weight.shape[1:])


@priced("convolution", "_convolution", "convolution_overrideable", "mkldnn_convolution")
def _convolution(call: Call) -> Work:
    bias = call.out.numel() if call["bias"] is not None else 0
    if not call.has("transposed"):
        return products(call.out.numel() * prod(call["weight"].shape[1:]), bias)
    return _real_products(_convolved(call, call.out), call.out, bias)


@priced("convolution_backward")
def _convolution_backward(call: Call) -> Work:
    """The gradients of image and weight each cost what the forward pass did; that of the bias is a sum."""
    grad, (image, weight, bias) = call["grad_output"], call["output_mask"]
    return _real_products(_convolved(call, grad) * (image + weight), grad, grad.numel() if bias else 0)


@priced("depthwise_conv2d")
def _depthwise(call: Call) -> Work:
    """Our own operator costs what the convolution does, whichever way it takes."""
    bias = call.out.numel() if call["bias"] is not None else 0
    return products(call.out.numel() * prod(call["weight"].shape[2:]), bias)


@priced("depthwise_conv2d_input_grad")
def _depthwise_input_grad(call: Call) -> Work:
    return products(call["grad"].numel() * prod(call["weight"].shape[2:]))


@priced("depthwise_conv2d_weight_grad")
def _depthwise_weight_grad(call: Call) -> Work:
    return products(call["grad"].numel() * call["height"] * call["width"])


def pairs_attended(queries: int, keys: int, causal: bool) -> int:
    """Pairs of query and key that meet: all, or those on and below the diagonal from the top left."""
    if not causal:
        return queries * keys
    triangle = min(queries, keys)
    return triangle * (triangle + 1) // 2 + (queries - triangle) * keys


def _attended(pairs: int, dim: int, value_dim: int, masked: bool) -> Work:
    """Scores (scaled, masked), their softmax, and the weighted sum of values."""
    return products(pairs * (dim + value_dim), pairs * (1 + masked + SOFTMAX))


SOFTMAX = 5  # maximum, subtract, exponential, add, divide
ATTENTION = (
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)


def _pairs(call: Call) -> int:
    query, key = call["query"], call["key"]
    return prod(query.shape[:-2]) * pairs_attended(query.shape[-2], key.shape[-2], call["is_causal"])


def _mask(call: Call) -> bool:
    return call.get("attn_mask", call.get("attn_bias")) is not None


@priced(*ATTENTION)
def _attention(call: Call) -> Work:
    return _attended(_pairs(call), call["query"].shape[-1], call["value"].shape[-1], _mask(call))


def _back(pairs: int, query: Tensor, value: Tensor, masked: bool) -> Work:
    """Five products: scores again, gradients of probabilities, values, queries and keys."""
    dim, value_dim = query.shape[-1], value.shape[-1]
    again = 3 + masked  # scale, mask, subtract the kept logarithm, exponential
    through_softmax = 3  # subtract the row's product of gradient and output, multiply, scale
    row = 2 * prod(query.shape[:-1]) * value_dim
    return products(pairs * (3 * dim + 2 * value_dim), pairs * (again + through_softmax) + row)


@priced(*(f"{name}_backward" for name in ATTENTION))
def _attention_backward(call: Call) -> Work:
    return _back(_pairs(call), call["query"], call["value"], _mask(call))


def _neighbours(call: Call) -> int:
    """The same where every query sees its window of keys, over all batches and heads."""
    query = call["queries"]
    window = Neighborhood.of(
        tuple(query.shape[2:-1]), tuple(call["window"]), tuple(call["dilation"]), tuple(call["causal"])
    )
    return prod(query.shape[:2]) * window.scores


@priced("neighborhood_attention")
def _neighborhood(call: Call) -> Work:
    """Our own operator costs what attention to these pairs does, whatever else its tiles compute."""
    return _attended(_neighbours(call), call["queries"].shape[-1], call["values"].shape[-1], masked=False)


@priced("neighborhood_attention_grad")
def _neighborhood_grad(call: Call) -> Work:
    return _back(_neighbours(call), call["queries"], call["values"], masked=False)


def _heads(batch: int, queries: int, keys: int, dim: int, heads: int, masked: bool) -> Work:
    """Multi-head attention with its four projections and their biases."""
    numbers = batch * (2 * queries + 2 * keys) * dim
    inner = _attended(batch * heads * queries * keys, dim // heads, dim // heads, masked)
    return Work(numbers * dim + inner.macs, 2 * numbers * dim + numbers + inner.flops)


@priced("_native_multi_head_attention")
def _multi_head(call: Call) -> Work:
    query, heads = call["query"], call["num_head"]
    (batch, queries, dim), keys = query.shape, call["key"].shape[1]
    work = _heads(batch, queries, keys, dim, heads, call["mask"] is not None)
    shown = call["need_weights"] and call["average_attn_weights"]
    return work._replace(flops=work.flops + (batch * heads * queries * keys if shown else 0))


@priced("_transformer_encoder_layer_fwd")
def _encoder_layer(call: Call) -> Work:
    source, hidden = call["src"], call["ffn_weight_1"].shape[0]
    batch, tokens, dim = source.shape
    work = _heads(batch, tokens, tokens, dim, call["num_heads"], call["mask"] is not None)
    wide = batch * tokens * hidden
    single = 2 * source.numel() * _normalising(True, True) + 2 * source.numel()  # two norms, two residuals
    single += 2 * wide + source.numel()  # bias and activation of the wide layer, bias of the narrow one
    macs = work.macs + 2 * wide * dim
    return Work(macs, work.flops + 4 * wide * dim + single)


LSTM = 2  # torch's number for this kind of recurrent layer


@priced("mkldnn_rnn_layer", "mkldnn_rnn_layer_backward")
def _recurrent(call: Call) -> Work | None:
    """Four gates from input and state at every step; going back, twice the products."""
    if call["mode"] != LSTM:
        return None
    sequence, into, across = call.args[:3]
    back = "backward" in call.func.name()
    steps, hidden = prod(sequence.shape[:-1]), across.shape[-1]
    macs = steps * (into.numel() + across.numel())
    biases = 8 if call["has_biases"] else 4  # the two products meet in one sum, too
    units = (4 + 22) if back else (biases + 5 + 4)  # forward: five sigmoids and tangents, c and h
    return products(macs * (2 if back else 1), steps * hidden * units)


# Normalising, summarising, pooling


def _normalising(weight: bool, bias: bool, statistics: bool = True) -> int:
    """Mean (1) and variance (3) if they are taken; subtract, divide; weight; bias. Per number."""
    return (4 if statistics else 0) + 2 + weight + bias


@priced(
    "native_layer_norm", "native_group_norm", "native_batch_norm", "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training", "_batch_norm_with_update", "_batch_norm_no_update",
    "cudnn_batch_norm",
)  # fmt: skip
def _norm(call: Call) -> Work:
    taken = call.get("training", not call.func.name().endswith(("no_training", "no_update")))
    present = call.get("weight") is not None, call.get("bias") is not None
    return Work(0, call["input"].numel() * _normalising(*present, statistics=taken))


@priced("_fused_rms_norm")
def _rms_norm(call: Call) -> Work:
    return Work(0, call["input"].numel() * (3 + (call["weight"] is not None)))


@priced(
    "native_layer_norm_backward", "native_group_norm_backward", "native_batch_norm_backward",
    "cudnn_batch_norm_backward", "batch_norm_backward",
)  # fmt: skip
def _norm_backward(call: Call) -> Work:
    """Normalised input again (2); two row sums (3) and their part of the gradient (4); weight, bias."""
    image, weight, bias = call.get("output_mask", (True, True, True))
    fixed = not call.get("train", call.get("update", True))
    scaled = call.get("weight") is not None
    own = 1 if fixed else 7 + scaled
    again = 0 if fixed and not weight else 2
    return Work(0, call["input"].numel() * (again + own * image + 2 * weight + bias))


@priced("_softmax", "_safe_softmax", "_log_softmax")
def _softmax(call: Call) -> Work:
    return Work(0, SOFTMAX * call.out.numel())


@priced("_softmax_backward_data", "_log_softmax_backward_data")
def _softmax_backward(call: Call) -> Work:
    return Work(0, 4 * call.out.numel())


def _per_input(flops: int) -> Formula:
    return lambda call: Work(0, flops * _tensors(call.args)[0].numel())


def _per_output(flops: int) -> Formula:
    return lambda call: Work(0, flops * call.out.numel())


for _flops, _names in {
    1: "sum nansum prod amax amin max min any all argmax argmin cumsum cumprod cummax cummin",
    2: "linalg_vector_norm norm aminmax",
    3: "mse_loss _weight_norm_interface",
    4: "var std var_mean std_mean logsumexp logcumsumexp",
}.items():
    FORMULAS |= dict.fromkeys(_names.split(), _per_input(_flops))


@priced("mean")
def _mean(call: Call) -> Work:
    return Work(0, call.args[0].numel() + call.out.numel())


@priced("nll_loss_forward", "nll_loss2d_forward", "nll_loss_backward", "nll_loss2d_backward")
def _nll(call: Call) -> Work:
    return Work(0, call["target"].numel())


def _window(call: Call, dims: int) -> int:
    size = call["kernel_size"]
    return prod(size) if len(size) == dims else size[0] ** dims


def _dims(call: Call) -> int:
    return int(call.func.name().split("pool")[1][0])


@priced("avg_pool2d", "avg_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices")
def _pool(call: Call) -> Work:
    return Work(0, call.out.numel() * _window(call, _dims(call)))


@priced("avg_pool2d_backward", "avg_pool3d_backward")
def _mean_pool_backward(call: Call) -> Work:
    return Work(0, call["grad_output"].numel() * _window(call, _dims(call)))


@priced(
    "max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward", "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d_backward", "embedding_dense_backward", "upsample_nearest1d_backward",
    "upsample_nearest2d_backward", "upsample_nearest3d_backward", "reflection_pad1d_backward",
    "reflection_pad2d_backward", "reflection_pad3d_backward", "replication_pad1d_backward",
    "replication_pad2d_backward", "replication_pad3d_backward",
)  # fmt: skip
def _each_gradient_added(call: Call) -> Work:
    return Work(0, call["grad_output"].numel())


def _adaptive_windows(small: Sequence[int], large: Sequence[int]) -> int:
    """Numbers in all windows: window i of n over a length L goes from floor(iL/n) to ceil((i+1)L/n)."""
    return prod(
        sum(ceil((i + 1) * length / count) - i * length // count for i in range(count))
        for count, length in zip(small, large, strict=True)
    )


@priced("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def _adaptive_pool(call: Call) -> Work:
    image, dims = call["self"], _dims(call)
    return Work(0, prod(image.shape[:-dims]) * _adaptive_windows(call.out.shape[-dims:], image.shape[-dims:]))


@priced("_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward")
def _adaptive_pool_backward(call: Call) -> Work:
    grad, out, dims = call["grad_output"], call.out, _dims(call)
    return Work(0, prod(grad.shape[:-dims]) * _adaptive_windows(grad.shape[-dims:], out.shape[-dims:]))


TAPS = {"linear1d": 2, "bilinear2d": 4, "trilinear3d": 8, "bicubic2d": 16}


@priced(*(f"{kind}upsample_{taps}" for taps in TAPS for kind in ("", "_")))
def _resized(call: Call) -> Work:
    taps = TAPS[call.func.overloadpacket.__name__.rpartition("_")[2]]
    return Work(0, call.out.numel() * (2 * taps - 1))


@priced(*(f"upsample_{taps}_backward" for taps in TAPS))
def _resized_backward(call: Call) -> Work:
    taps = TAPS[call.func.overloadpacket.__name__.split("_")[1]]
    return Work(0, call["grad_output"].numel() * 2 * taps)


# Fourier, look-ups, and the rest


def fourier(length: int, transforms: int, real: bool) -> int:
    """5 N log2 N flops for each transform of N complex numbers, half for real ones."""
    return round(5 * length * log2(length) * transforms / (2 if real else 1)) if length else 0


@priced("_fft_c2c", "_fft_r2c", "_fft_c2r")
def _fft(call: Call) -> Work:
    kind = call.func.overloadpacket.__name__
    full = call.out if kind == "_fft_c2r" else call["self"]
    length = prod(full.shape[dim] for dim in call["dim"])
    transforms = full.numel() // length if length else 0
    return Work(0, fourier(length, transforms, real=kind != "_fft_c2c"))


@priced("_embedding_bag")
def _bag(call: Call) -> Work:
    return Work(0, call["indices"].numel() * call["weight"].shape[-1])


@priced("index_add", "index_add_", "scatter_add", "scatter_add_")
def _added_at(call: Call) -> Work:
    return Work(0, (call["source"] if call.has("source") else call["src"]).numel())


@priced("index_put", "index_put_", "_index_put_impl_")
def _put_at(call: Call) -> Work:
    return Work(0, call["values"].numel() if call["accumulate"] else 0)


def _elementwise(call: Call) -> Work:
    name, numbers = call.func.overloadpacket.__name__.rstrip("_"), call.out.numel()
    if call.out.is_complex():
        return Work(0, numbers * {"mul": 6, "div": 11}.get(name, 2))
    return Work(0, numbers * (4 if name == "abs" and call.args[0].is_complex() else 1))


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


FORMULAS["native_dropout"] = _per_output(3)  # draw, mask, scale
ELEMENTWISE = _words(  # those that torch does not itself mark as such
    "_prelu_kernel _prelu_kernel_backward glu glu_backward elu_backward hardtanh_backward hardswish_backward",
    "leaky_relu_backward softplus_backward hardsigmoid_backward log_sigmoid_forward log_sigmoid_backward",
    "floor_divide mse_loss_backward col2im rrelu_with_noise",
)
DRAWING = _words("bernoulli normal uniform exponential random rand randn randint randperm")
MOVING = _words(
    "cat stack clone copy_ copy _to_copy constant_pad_nd index pixel_shuffle pixel_unshuffle roll flip",
    "gather index_select embedding select_backward slice_backward diagonal_backward unfold_backward tril",
    "triu tril_ triu_ repeat channel_shuffle im2col scatter scatter_ fill fill_ zero_ masked_select",
    "index_copy index_copy_ reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d",
    "replication_pad2d replication_pad3d upsample_nearest1d upsample_nearest2d upsample_nearest3d",
    "_upsample_nearest_exact1d _upsample_nearest_exact2d zeros ones full zeros_like ones_like full_like",
    "new_zeros new_ones new_full",
    "scalar_tensor arange eye linspace _local_scalar_dense select_scatter slice_scatter take",
    "rot90 repeat_interleave one_hot",
)
FREE = _words(
    "empty empty_like empty_strided new_empty new_empty_strided empty_permuted _unsafe_view unsafe_split",
    "unsafe_split_with_sizes unsafe_chunk lift lift_fresh alias set_ resize_ squeeze_ unsqueeze_ transpose_",
    "t_ detach_ as_strided_ requires_grad_ _linalg_check_errors _assert_async record_stream is_same_size",
)


def _nothing(call: Call) -> Work:
    return NOTHING


OURS = ("aten", "workbench")  # whose operators the names above mean


@cache
def _entry(func: Any) -> tuple[str, Formula | None, bool]:
    """Name of the operator, its formula if it has one, and whether it is free."""
    name = func.overloadpacket.__name__
    if func.is_view or name in FREE or func.namespace not in OURS:
        return name, None, func.is_view or name in FREE or func.namespace in ("prim", "profiler")
    if name in MOVING:
        return name, _nothing, False
    if name in ("max", "min") and "other" in _arguments(func):
        return name, _elementwise, False
    if name in ELEMENTWISE:
        return name, _elementwise, False
    if name in FORMULAS:
        return name, FORMULAS[name], False
    if torch.Tag.pointwise in func.tags or _pointwise_twin(name) or _draws(func):
        return name, _elementwise, False
    return name, None, False


def _pointwise_twin(name: str) -> bool:
    """Whether `add_` works on each number because `add` does; `_foreach_add` has no such twin."""
    twin = getattr(torch.ops.aten, name.removesuffix("_"), None) if name.endswith("_") else None
    return twin is not None and any(
        torch.Tag.pointwise in getattr(twin, overload).tags for overload in twin.overloads()
    )


def _draws(func: Any) -> bool:
    """Whether each output number is a fresh random one."""
    plain = func.overloadpacket.__name__.rstrip("_").removesuffix("_like")
    return plain in DRAWING
