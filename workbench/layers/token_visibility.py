"""Which input tokens may an output token depend on? Read off a module, without running it.

A mixer says so itself, by a method

    visible(height, width) -> bool [tokens, tokens]

(row: an output token; column: an input token; tokens row by row), or a rule for its class does. Modules that
follow one another multiply their sets, modules beside a shortcut keep what they had. It is what the wiring
allows: numbers inside, weights of zero say, may cut it down further.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.layers.cascaded_group_attention import CascadedGroupAttention
from workbench.layers.layer_norm import LayerNorm2d
from workbench.layers.mixer_net import MixerLayer, MixerNet
from workbench.layers.neighborhood_attention import NeighborhoodAttention2d
from workbench.layers.residual import Residual
from workbench.layers.self_attention import SelfAttention2d
from workbench.layers.visual_attention import GatedAttention, KernelGate

Rule = Callable[[Any, int, int], Tensor]
RULES: dict[type[nn.Module], Rule] = {}


def visible_rule(*kinds: type[nn.Module]) -> Callable[[Rule], Rule]:
    """Registers a function of (module, height, width) that returns the visible set of such modules."""

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def visible(module: nn.Module, height: int, width: int) -> Tensor:
    """The visible set of a module that maps [batch, channels, height, width] to as many tokens.

    bool [tokens, tokens]. Raises WorkbenchError where a part has neither a method `visible` nor a rule.

    >>> visible(nn.Conv2d(3, 8, 3, padding=1), 1, 4).int().tolist()
    [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    """
    if min(height, width) < 1:
        raise WorkbenchError(f"a map has at least one row and column, but {height} x {width} came")
    own = getattr(module, "visible", None)
    if callable(own):
        found = own(height, width)
        if not isinstance(found, Tensor):
            raise WorkbenchError(
                f"visible of {type(module).__name__} must return a tensor, but {found!r} came"
            )
        return found
    rule = next((RULES[kind] for kind in type(module).__mro__ if kind in RULES), None)
    if rule is None:
        raise WorkbenchError(
            f"nobody knows what {type(module).__name__} sees: give it a method visible(height, width), "
            "or its class a visible_rule"
        )
    return rule(module, height, width)


def after(later: Tensor, earlier: Tensor) -> Tensor:
    """What is seen through two modules in turn: the product of their sets, bool [tokens, tokens]."""
    return (later.float() @ earlier.float()) > 0


def itself(height: int, width: int) -> Tensor:
    """Every token sees itself alone."""
    return torch.eye(height * width, dtype=torch.bool)


def everything(height: int, width: int) -> Tensor:
    """Every token sees all of them."""
    return torch.ones(height * width, height * width, dtype=torch.bool)


# Rules --------------------------------------------------------------------------------------------


@visible_rule(nn.Identity, LayerNorm2d, nn.BatchNorm2d, nn.GELU, nn.ReLU, nn.SiLU, nn.Dropout)
def _token_by_token(_: nn.Module, height: int, width: int) -> Tensor:
    """Batch norm counts as after training, when its statistics stand still."""
    return itself(height, width)


@visible_rule(SelfAttention2d)
def _all_pairs(_: SelfAttention2d, height: int, width: int) -> Tensor:
    return everything(height, width)


@visible_rule(CascadedGroupAttention)
def _all_pairs_of_a_side(module: CascadedGroupAttention, height: int, width: int) -> Tensor:
    if (height, width) != (module.side, module.side):
        raise WorkbenchError(
            f"this attention was made for maps of {module.side} x {module.side}, but {height} x {width} came"
        )
    return everything(height, width)


@visible_rule(NeighborhoodAttention2d)
def _neighbours(module: NeighborhoodAttention2d, height: int, width: int) -> Tensor:
    from workbench.kernels.neighborhood_windows import Neighborhood  # loads a compiler

    geometry = Neighborhood.of((height, width), module.window, module.dilation, module.causal)
    return torch.from_numpy(geometry.mask())


@visible_rule(nn.Conv2d)
def _taps(module: nn.Conv2d, height: int, width: int) -> Tensor:
    """Along an axis, output i sees inputs i * stride - padding + dilation * tap; a pair of axes both."""
    if module.padding_mode != "zeros":
        raise WorkbenchError(
            f"a convolution's visible set needs padding by zeros, but {module.padding_mode!r} came"
        )
    axes = []
    for axis, length in enumerate((height, width)):
        taps, stride, dilation = module.kernel_size[axis], module.stride[axis], module.dilation[axis]
        before, behind = _padding(module, axis)
        outputs = (length + before + behind - dilation * (taps - 1) - 1) // stride + 1
        if outputs != length:
            raise WorkbenchError(
                f"a visible set needs as many tokens after as before, but {length} became {outputs}"
            )
        offset = torch.arange(length) - (torch.arange(length) * stride - before)[:, None]
        axes.append((offset % dilation == 0) & (offset >= 0) & (offset < taps * dilation))
    return torch.kron(axes[0].int(), axes[1].int()).bool()


def _padding(module: nn.Conv2d, axis: int) -> tuple[int, int]:
    """Zeros before and behind; "same" puts the odd one behind."""
    if isinstance(module.padding, str):
        missing = module.dilation[axis] * (module.kernel_size[axis] - 1) if module.padding == "same" else 0
        return missing // 2, missing - missing // 2
    return module.padding[axis], module.padding[axis]


@visible_rule(nn.Sequential)
def _in_turn(module: nn.Sequential, height: int, width: int) -> Tensor:
    seen = itself(height, width)
    for part in module:
        seen = after(visible(part, height, width), seen)
    return seen


@visible_rule(Residual)
def _beside_a_shortcut(module: Residual, height: int, width: int) -> Tensor:
    return itself(height, width) | visible(module.branch, height, width)


@visible_rule(MixerLayer)
def _mixer_layer(module: MixerLayer, height: int, width: int) -> Tensor:
    return itself(height, width) | visible(module.mixer, height, width)


@visible_rule(MixerNet)
def _mixer_net(module: MixerNet, height: int, width: int) -> Tensor:
    return visible(module.layers, height, width)


@visible_rule(KernelGate)
def _gate(module: KernelGate, height: int, width: int) -> Tensor:
    wide, local = (visible(part, height, width) for part in (module.wide, module.local))
    return itself(height, width) | after(wide, local)


@visible_rule(GatedAttention)
def _gated(module: GatedAttention, height: int, width: int) -> Tensor:
    return itself(height, width) | visible(module.gate, height, width)
