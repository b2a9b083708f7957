"""The exponential moving average of a model while it learns."""

import torch
from torch import Tensor, nn


class Average:
    """Moving averages of all weights and of the statistics of norms, of decay d: a <- d a + (1 - d) w.

    It starts at the first weights w_0, so that after n updates with weights w_1 ... w_n it holds
    d^n w_0 + (1 - d) Σ_i d^(n - i) w_i. Counters and other whole numbers are taken as they are.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        state = [*model.parameters(), *model.buffers()]
        self.decay = decay
        self.current: list[Tensor] = [t.detach() for t in state if t.is_floating_point()]
        self.shadow: list[Tensor] = [t.clone() for t in self.current]

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the model's present weights."""
        torch._foreach_lerp_(self.shadow, self.current, 1 - self.decay)

    @torch.no_grad()
    def put_in_place(self) -> None:
        """Writes the averages into the model."""
        torch._foreach_copy_(self.current, self.shadow)
