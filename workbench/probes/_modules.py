"""Looking at a module without leaving a trace on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError


@contextmanager
def evaluated(module: nn.Module) -> Iterator[nn.Module]:
    """The module in evaluation mode with frozen parameters; both are as before afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    module.eval().requires_grad_(False)
    try:
        yield module
    finally:
        for part, training in modes:
            part.training = training
        for parameter in learning:
            parameter.requires_grad_()


def kind_of_numbers(module: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Type and place of the module's floating point numbers (float32 on the CPU if it has none)."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype, tensor.device
    return torch.float32, torch.device("cpu")


def checked_shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    """[batch, channels, *spatial] as a tuple of positive integers."""
    shape = tuple(input_shape)
    if not 3 <= len(shape) <= 5 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise WorkbenchError(
            "input_shape must be [batch, channels, one to three sizes], e.g. (1, 3, 64, 64), "
            f"but {tuple(input_shape)} came"
        )
    return shape


def the_module(module: object) -> nn.Module:
    """The module, or a sentence about what came instead."""
    if not isinstance(module, nn.Module):
        raise WorkbenchError(f"expected a torch module, but {type(module).__name__} came")
    return module


def submodule(module: nn.Module, path: str) -> nn.Module:
    """The submodule of that name, or a sentence that lists some that exist."""
    parts = dict(module.named_modules())
    if path not in parts or not path:
        some = ", ".join(name for name in list(parts)[1:9])
        raise WorkbenchError(f"the module has no part called {path!r}; it has {some or 'none'}")
    return parts[path]


def first_tensor(value: object) -> Tensor:
    """The tensor that a part returns; the first one where it returns several."""
    while isinstance(value, (tuple, list)) and value:
        value = value[0]
    if not isinstance(value, Tensor):
        raise WorkbenchError(f"expected the module to return a tensor, but {type(value).__name__} came")
    return value
