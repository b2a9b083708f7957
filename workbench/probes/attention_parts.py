"""Parts that say themselves what they look at, because no softmax of theirs is to be seen.

Linear attention has no matrix, and neighbourhood attention may run inside a compiled kernel. Such a part has
a method

    attention_rows(x, queries) -> [batch, heads, len(queries), keys]

with `x` as its forward takes it and `queries` a list of indices; it has as many queries as keys. For a class
that is not yours, `attention_rule` registers a function that returns its map.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from workbench.errors import WorkbenchError

Rule = TypeVar("Rule", bound=Callable[..., Any])
RULES: dict[type[nn.Module], Callable[..., Any]] = {}


def attention_rule(kind: type[nn.Module]) -> Callable[[Rule], Rule]:
    """Registers a function of (part, *inputs) that returns the `AttentionMap` of such a part, or None.

    `attention` and `attending` call it when a part of that class, or of one derived from it, begins to run,
    and then do not look for a softmax inside. After None they do. What the part is given is copied before.

    >>> class Average(nn.Module):
    ...     def forward(self, x):
    ...         return x.mean(1, keepdim=True).expand_as(x)
    >>> from workbench.probes import attention, attention_rule, softmax_attention
    >>> @attention_rule(Average)
    ... def average(part, x):
    ...     return softmax_attention(0 * x[:, None], 0 * x[:, None])
    >>> import torch
    >>> attention(Average(), torch.ones(1, 4, 3))[0].probabilities()[0, 0, 0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise WorkbenchError(f"attention_rule expects a class of torch modules, but {kind!r} came")

    def register(rule: Rule) -> Rule:
        RULES[kind] = rule
        return rule

    return register


def rule_of(part: nn.Module) -> Callable[..., Any] | None:
    """The function registered for the part's class or the nearest one above it, or None."""
    return next((RULES[kind] for kind in type(part).__mro__ if kind in RULES), None)


def speaks(part: nn.Module) -> bool:
    """Whether the part says itself what it looks at."""
    return callable(getattr(part, "attention_rows", None)) or rule_of(part) is not None
