"""Large kernel attention on one image: a wide window in two thin steps, and a product with what came in.

    A = mix (dilated (local (x))),   out = x * A

local and dilated are depthwise convolutions, the second with its taps `dilation` pixels apart; mix is a
matrix between the channels. Every step costs the same at every pixel, so the whole is linear in their number.
"""

from workbench.counting import kernel
from workbench.kernels.cost import Cost
from workbench.kernels.line_ring import FAST, depthwise_lines


@kernel(cache=True)
def large_kernel_attention(x, local, dilated, mix, bias, dilation, a, out):
    """x, a, out [channels, height, width], local, dilated [channels, k, k], mix [channels, channels], bias
    [3, channels]; `a` is scratch, in which the second step overwrites the first."""
    depthwise_lines(x, local, bias[0], a, 1)
    depthwise_lines(a, dilated, bias[1], a, dilation)
    gate_by_mix(x, a, mix, bias[2], out)


@kernel(cache=True, fastmath=FAST)
def gate_by_mix(x, a, mix, bias, out):
    """out[o] = x[o] * (bias[o] + sum over c of mix[o, c] * a[c]) at every pixel; the gate is never stored."""
    for o in range(x.shape[0]):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                gate = bias[o]
                for c in range(x.shape[0]):
                    gate += mix[o, c] * a[c, i, j]
                out[o, i, j] = x[o, i, j] * gate


def large_kernel_attention_cost(image: tuple[int, int, int], local: int, dilated: int, itemsize: int) -> Cost:
    """The closed form of `large_kernel_attention` on [channels, height, width] with these kernels."""
    channels, height, width = image
    numbers = channels * height * width
    taps = local**2 + dilated**2
    size = numbers * itemsize
    return Cost(
        flops=(2 * taps + 2 * channels + 1) * numbers,
        loads={
            "x": 2 * numbers,
            "local": channels * height * local**2,
            "dilated": channels * height * dilated**2,
            "mix": channels * numbers,
            "bias": 2 * channels * height + numbers,
            "a": (channels + 1) * numbers,
        },
        stores={"a": 2 * numbers, "out": numbers},
        bytes_unique={
            "x": size,
            "local": channels * local**2 * itemsize,
            "dilated": channels * dilated**2 * itemsize,
            "mix": channels**2 * itemsize,
            "bias": 3 * channels * itemsize,
            "a": size,
            "out": size,
        },
    )
