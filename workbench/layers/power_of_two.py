"""Weights that are powers of two: a product with one of them is a shift of bits.

    w  ->  sign(w) 2^p,    p = log2 |w| rounded to a whole number, between lowest and 0

`bits` of a weight hold one of 2^bits - 1 values: zero, and both signs of 2^(bits - 1) - 1 exponents. With
five bits these are the exponents -14 to 0. Whatever is larger than 1 becomes 1, whatever is smaller than
2^-14 (and not zero) becomes 2^-14.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError

Learns = Literal["weight", "exponent"]
FRACTION = 16  # bits behind the point of what comes in
LARGEST = 2.0**15  # and 16 before it, with the sign


def lowest_exponent(bits: int) -> int:
    """The smallest exponent that weights of so many bits can have: -14 for five bits."""
    if not 2 <= bits <= 8:
        raise WorkbenchError(f"a power-of-two weight has 2 to 8 bits, but {bits} came")
    return 2 - 2 ** (bits - 1)


def signs_and_exponents(weight: Tensor, bits: int = 5) -> tuple[Tensor, Tensor]:
    """Signs (-1, 0, 1) and whole exponents of the nearest powers of two, both of the weights' shape.

    Nearest is meant in the exponent: between 0.5 and 1 the border lies at 2^-0.5, not at 0.75. Zero has the
    sign 0 and the lowest exponent.
    """
    lowest = lowest_exponent(bits)
    size = weight.abs().clamp_min(2.0 ** (lowest - 1))
    return weight.sign(), size.log2().round().clamp(lowest, 0)


def power_of_two(weight: Tensor, bits: int = 5) -> Tensor:
    """The weights as signed powers of two.

    >>> power_of_two(torch.tensor([0.7, 0.72, -0.3, 5.0, 0.0])).tolist()
    [0.5, 1.0, -0.25, 1.0, 0.0]
    """
    signs, exponents = signs_and_exponents(weight, bits)
    return signs * exponents.exp2()


def straight_through(exact: Tensor, rounded: Tensor) -> Tensor:
    """`rounded` on the way forward; the gradient goes to `exact` as if nothing had been rounded."""
    return exact + (rounded - exact).detach()


def fixed_point(x: Tensor) -> Tensor:
    """x rounded down to a multiple of 2^-16, between -2^15 and 2^15 - 1; the gradient passes unchanged."""
    rounded = ((x * 2**FRACTION).floor() / 2**FRACTION).clamp(-LARGEST, LARGEST - 1)
    return straight_through(x, rounded)


class ShiftLinear(nn.Module):
    """A linear layer whose weights are signed powers of two: [..., inputs] -> [..., outputs].

    Inputs and biases are in fixed point, 16 bits before the point and 16 behind. Then each product is a shift
    and each sum an addition of whole numbers; `codes` hands out what `workbench.kernels.shift_product` needs.
    Here, for training, the same numbers are computed with floats.

    learns: what is trained. "exponent": an exponent and a sign for each weight, both real numbers that are
    rounded on the way forward; a sign within a half of zero switches its weight off. "weight": an ordinary
    weight that is rounded on the way forward. Gradients pass the rounding unchanged.
    """

    def __init__(
        self, inputs: int, outputs: int, *, bias: bool = True, bits: int = 5, learns: Learns = "exponent"
    ) -> None:
        super().__init__()
        if learns not in get_args(Learns):
            raise WorkbenchError(f"learns must be 'weight' or 'exponent', but {learns!r} came")
        self.inputs, self.outputs, self.bits, self.learns = inputs, outputs, bits, learns
        self.lowest = lowest_exponent(bits)
        layer = nn.Linear(inputs, outputs, bias=bias)
        self.bias = layer.bias
        if learns == "weight":
            self.weight = layer.weight
        else:
            signs, exponents = signs_and_exponents(layer.weight.detach(), bits)
            self.signs, self.exponents = nn.Parameter(signs), nn.Parameter(exponents)

    @classmethod
    def of(cls, layer: nn.Linear, *, bits: int = 5, learns: Learns = "exponent") -> "ShiftLinear":
        """A trained linear layer, converted: its weights are rounded to powers of two."""
        found = cls(
            layer.in_features, layer.out_features, bias=layer.bias is not None, bits=bits, learns=learns
        )
        with torch.no_grad():
            if found.bias is not None:
                found.bias.copy_(layer.bias)
            if learns == "weight":
                found.weight.copy_(layer.weight)
            else:
                signs, exponents = signs_and_exponents(layer.weight, bits)
                found.signs.copy_(signs)
                found.exponents.copy_(exponents)
        return found

    def parts(self) -> tuple[Tensor, Tensor]:
        """Whole signs (-1, 0, 1) and whole exponents of all weights [outputs, inputs]."""
        if self.learns == "weight":
            return signs_and_exponents(self.weight, self.bits)
        return self.signs.round().sign(), self.exponents.clamp(self.lowest, 0).round()

    def rounded(self) -> Tensor:
        """The weights in use [outputs, inputs], with gradients that pass the rounding."""
        signs, exponents = self.parts()
        if self.learns == "weight":
            return straight_through(self.weight, signs * exponents.exp2())
        return straight_through(self.signs, signs) * straight_through(self.exponents, exponents).exp2()

    def codes(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """(signs int8, left shifts int8, bias codes int64 or None), as the integer kernels take them.

        A weight is sign * 2^(shift + lowest); the codes of biases count multiples of 2^-16.
        """
        signs, exponents = self.parts()
        bias = None if self.bias is None else (fixed_point(self.bias.detach()) * 2**FRACTION).long()
        return signs.detach().to(torch.int8), (exponents.detach() - self.lowest).to(torch.int8), bias

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else fixed_point(self.bias)
        return F.linear(fixed_point(x), self.rounded(), bias)

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.outputs}, bits={self.bits}, learns={self.learns!r}"
