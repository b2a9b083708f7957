"""A depthwise convolution that is quick on a CPU in both directions, whatever the kernel's size.

Torch's own backward pass of a depthwise convolution is the slowest thing it does on a CPU. Here three ways
stand beside each other, and a rule that was measured picks one for each pass:

    loops     compiled loops over shifted rows (`workbench.kernels.depthwise_conv2d`): kernel**2 per pixel
    fourier   a product of spectra: hardly depends on the kernel, but pays for its transforms
    torch     its own operator

All three compute the same sums in another order, so they differ by rounding alone. To torch the whole is
one operator, `workbench::depthwise_conv2d`: it runs on shapes alone, and what is counted for it is the work
of the convolution as written, not that of the way taken.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError

Way = Literal["loops", "fourier", "torch"]
Pass = Literal["forward", "input gradient", "weight gradient"]
Size = int | tuple[int, int]


class DepthwiseConv2d(nn.Conv2d):
    """Each channel is filtered by its own kernel: `nn.Conv2d` with as many groups as channels.

    [batch, channels, height, width] -> [batch, channels, out height, out width]. padding: None keeps
    height / stride and width / stride (rounded up, for odd kernels and, with stride 1, for even ones, too).
    Everything that an `nn.Conv2d` has, its parameters by name included, is here and means the same. The
    quick ways serve float32 and float64 on the CPU with stride 1, dilation 1 and an unchanged size; anything
    else is left to torch. They have first derivatives only.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | Literal["same", "valid"] | None = None,
        dilation: Size = 1,
        bias: bool = True,
    ) -> None:
        kernel, step, wide = _pair(kernel_size), _pair(stride), _pair(dilation)
        if padding is None:
            half = (wide[0] * (kernel[0] - 1) // 2, wide[1] * (kernel[1] - 1) // 2)
            padding = "same" if step == (1, 1) else half
        super().__init__(channels, channels, kernel, step, padding, wide, groups=channels, bias=bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self._is_plain() and _is_plain(input, weight, bias):
            out: Tensor = depthwise(input, weight, bias)
            return out
        return super()._conv_forward(input, weight, bias)

    def _is_plain(self) -> bool:
        """Whether the size stays and no tap is skipped."""
        odd = all(size % 2 for size in self.kernel_size)
        half = tuple(size // 2 for size in self.kernel_size)
        same = self.padding == "same" or (odd and self.padding == half)
        return same and self.stride == self.dilation == (1, 1) and self.padding_mode == "zeros"


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _is_plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    return (
        x.ndim == 4
        and x.numel() > 0
        and x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype
        and (bias is None or bias.dtype == x.dtype)
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
    )


# One operator for torch -----------------------------------------------------------------------


@torch.library.custom_op("workbench::depthwise_conv2d", mutates_args=())
def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What `conv2d(x, weight, bias, padding="same", groups=channels)` gives.

    x: [batch, channels, height, width]. weight: [channels, 1, k, l]. bias: [channels] or None.
    """
    if weight.ndim != 4 or weight.shape[:2] != (x.shape[1], 1):
        raise WorkbenchError(
            f"expected weight [{x.shape[1]} channels, 1, k, l], but shape {tuple(weight.shape)} came"
        )
    way = quickest("forward", x.shape, weight.shape, x.dtype)
    if way == "torch":
        return F.conv2d(x, weight, bias, padding="same", groups=x.shape[1])
    out = (_loops if way == "loops" else _fourier)(x, weight, _before(weight))
    return out if bias is None else out.add_(bias[:, None, None])


@torch.library.custom_op("workbench::depthwise_conv2d_input_grad", mutates_args=())
def depthwise_input_grad(grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the image: what went out through a tap comes back through it."""
    top, left = _before(weight)
    way = quickest("input gradient", grad.shape, weight.shape, grad.dtype)
    after = weight.shape[2] - 1 - top, weight.shape[3] - 1 - left
    if way == "torch":
        padded = F.pad(grad, (after[1], left, after[0], top))
        return F.conv2d(padded, weight.flip(2, 3), groups=grad.shape[1])
    return (_loops_input_grad if way == "loops" else _fourier_input_grad)(grad, weight, after)


@torch.library.custom_op("workbench::depthwise_conv2d_weight_grad", mutates_args=())
def depthwise_weight_grad(grad: Tensor, x: Tensor, height: int, width: int) -> Tensor:
    """The gradient of the kernels [channels, 1, height, width]: products of `grad` with `x` shifted."""
    kernel, top_left = (height, width), ((height - 1) // 2, (width - 1) // 2)
    way = quickest("weight gradient", x.shape, (x.shape[1], 1, height, width), x.dtype)
    if way == "torch":
        return _torch_weight_grad(grad, x, kernel, top_left)
    return (_loops_weight_grad if way == "loops" else _fourier_weight_grad)(grad, x, kernel, top_left)


@depthwise.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(x.shape)


@depthwise_input_grad.register_fake
def _(grad: Tensor, weight: Tensor) -> Tensor:
    return grad.new_empty(grad.shape)


@depthwise_weight_grad.register_fake
def _(grad: Tensor, x: Tensor, height: int, width: int) -> Tensor:
    return x.new_empty((x.shape[1], 1, height, width))


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _go_back(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    x, weight = ctx.saved_tensors
    image, kernel, bias = ctx.needs_input_grad
    return (
        depthwise_input_grad(grad, weight) if image else None,
        depthwise_weight_grad(grad, x, *weight.shape[2:]) if kernel else None,
        grad.sum((0, 2, 3)) if bias else None,
    )


depthwise.register_autograd(_go_back, setup_context=_keep)


# Three ways -----------------------------------------------------------------------------------


def quickest(direction: Pass, x: Sequence[int], weight: Sequence[int], dtype: torch.dtype) -> Way:
    """The way that was quickest for x [batch, channels, height, width] and weight [channels, 1, k, l].

    Measured with one thread. The loops' time goes with taps * pixels, that of the spectra with the pixels of
    the padded map. Torch is level with the loops on the way forward and much slower for most kernels'
    gradients; its forward pass falls off beyond 15 taps, with few channels, and in float64.
    """
    (height, width), (k, l) = x[2:], weight[2:]
    work, room = k * l * height * width, (height + k - 1) * (width + l - 1)
    quick = dtype == torch.float32 and x[1] >= 16
    if direction == "weight gradient":
        if quick and (l == 1 or max(k, l) <= 3):
            return "torch"
        return "fourier" if work > 90 * room else "loops"
    if work > 170 * room:
        return "fourier"
    small = height * width <= 200
    return "torch" if quick and max(k, l) <= 15 and (direction == "forward" or small) else "loops"


def _before(weight: Tensor) -> tuple[int, int]:
    """How far above and left of an output its window begins."""
    return (weight.shape[2] - 1) // 2, (weight.shape[3] - 1) // 2


def _loops(x: Tensor, weight: Tensor, _before: tuple[int, int]) -> Tensor:
    from workbench.kernels import depthwise_conv2d

    return torch.from_numpy(depthwise_conv2d(x.detach().numpy(), weight.detach()[:, 0].numpy()))


def _loops_input_grad(grad: Tensor, weight: Tensor, _before: tuple[int, int]) -> Tensor:
    from workbench.kernels import depthwise_conv2d_input_grad

    return torch.from_numpy(depthwise_conv2d_input_grad(grad.detach().numpy(), weight.detach()[:, 0].numpy()))


def _loops_weight_grad(grad: Tensor, x: Tensor, kernel: tuple[int, int], _before: tuple[int, int]) -> Tensor:
    from workbench.kernels import depthwise_conv2d_weight_grad

    found = depthwise_conv2d_weight_grad(grad.detach().numpy(), x.detach().numpy(), kernel)
    return torch.from_numpy(found)[:, None]


def _room(x: Tensor, kernel: Sequence[int]) -> tuple[int, int]:
    """So long that nothing comes back on the other side, and of a length that transforms like."""
    from scipy.fft import next_fast_len

    height, width = x.shape[2] + kernel[0] - 1, x.shape[3] + kernel[1] - 1
    return next_fast_len(height, real=True), next_fast_len(width, real=True)


def _fourier(x: Tensor, weight: Tensor, before: tuple[int, int]) -> Tensor:
    (height, width), (k, l) = x.shape[2:], weight.shape[2:]
    room = _room(x, (k, l))
    spectrum = torch.fft.rfft2(x, room) * torch.fft.rfft2(weight[:, 0].flip(-1, -2), room)
    full = torch.fft.irfft2(spectrum, room)
    row, column = k - 1 - before[0], l - 1 - before[1]
    return full[..., row : row + height, column : column + width].contiguous()


def _fourier_input_grad(grad: Tensor, weight: Tensor, before: tuple[int, int]) -> Tensor:
    return _fourier(grad, weight.flip(-1, -2), before)


def _fourier_weight_grad(grad: Tensor, x: Tensor, kernel: tuple[int, int], before: tuple[int, int]) -> Tensor:
    """Summed over the batch before the way back, which is thus one transform a channel."""
    room = _room(x, kernel)
    spectrum = (torch.fft.rfft2(x, room) * torch.fft.rfft2(grad, room).conj()).sum(0)
    lags = torch.fft.irfft2(spectrum, room).roll(before, (-2, -1))
    return lags[:, None, : kernel[0], : kernel[1]].contiguous()


def _torch_weight_grad(grad: Tensor, x: Tensor, kernel: tuple[int, int], before: tuple[int, int]) -> Tensor:
    channels, (top, left) = x.shape[1], before
    if kernel[0] % 2 == 0 or kernel[1] % 2 == 0:
        x = F.pad(x, (left, kernel[1] - 1 - left, top, kernel[0] - 1 - top))
        top = left = 0
    like = x.new_empty((channels, 1, *kernel))
    wanted = [False, True, False]
    found = torch.ops.aten.convolution_backward(
        grad, x, like, None, [1, 1], [top, left], [1, 1], False, [0, 0], channels, wanted
    )
    return found[1]
