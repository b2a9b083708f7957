"""Convolution as its definition says it: one loop for each index (see `windows` for the formula).

These are the loops to read and to count. They are the readable twins of `conv1d` and `conv2d`, which compute
the same at the machine's speed. The result is written once per output, whose sum stays in a local variable.
"""

from workbench.counting import kernel
from workbench.kernels.cost import Cost
from workbench.kernels.windows import Pair, Windows, windows


@kernel(cache=True)
def conv1d_direct(x, w, out, stride, padding, dilation):
    """x [batch, channels, length], w [out_channels, channels, taps], out as the windows say."""
    for n in range(out.shape[0]):
        for o in range(out.shape[1]):
            for i in range(out.shape[2]):
                total = x.dtype.type(0)
                for c in range(x.shape[1]):
                    for t in range(w.shape[2]):
                        place = i * stride + t * dilation - padding
                        if 0 <= place < x.shape[2]:
                            total += w[o, c, t] * x[n, c, place]
                out[n, o, i] = total


@kernel(cache=True)
def conv2d_direct(x, w, out, stride, padding, dilation):
    """x [batch, channels, height, width], w [out_channels, channels, kh, kw], out as the windows say."""
    for n in range(out.shape[0]):
        for o in range(out.shape[1]):
            for i in range(out.shape[2]):
                for j in range(out.shape[3]):
                    total = x.dtype.type(0)
                    for c in range(x.shape[1]):
                        for q in range(w.shape[2]):
                            row = i * stride + q * dilation - padding
                            if 0 <= row < x.shape[2]:
                                for t in range(w.shape[3]):
                                    column = j * stride + t * dilation - padding
                                    if 0 <= column < x.shape[3]:
                                        total += w[o, c, q, t] * x[n, c, row, column]
                    out[n, o, i, j] = total


def conv2d_cost(
    x: tuple[int, int, int, int],
    w: tuple[int, int, int, int],
    itemsize: int,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
) -> Cost:
    """The closed form of `conv2d_direct` from the shapes of `x` and `w`; a tap outside costs nothing.

    `conv1d_direct` on [batch, channels, length] is the case of height and kh 1, without padding of rows.
    """
    batch, channels, *_ = x
    out_channels = w[0]
    view = windows(x, w, stride, padding, dilation)
    rows, columns = view.inside()
    products = batch * out_channels * channels * rows * columns
    outputs = batch * out_channels * view.out[0] * view.out[1]
    taps_used = out_channels * channels * _taps_used(view.kernel, view)
    return Cost(
        flops=2 * products,
        loads={"x": products, "w": products},
        stores={"out": outputs},
        bytes_unique={
            "x": batch * channels * view.seen() * itemsize,
            "w": taps_used * itemsize if batch else 0,
            "out": outputs * itemsize,
        },
    )


def _taps_used(kernel: tuple[int, int], view: Windows) -> int:
    """How many taps see the image at least once."""
    used = 1
    for axis in range(2):
        used *= sum(
            any(
                0 <= i * view.stride[axis] + q * view.dilation[axis] - view.padding[axis] < view.image[axis]
                for i in range(view.out[axis])
            )
            for q in range(kernel[axis])
        )
    return used
