"""A layer of many small networks, of which each token meets a few; tokens queue for their experts."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class ExpertQueue:
    """The tokens that one expert must see, in their order, and how much its answer counts for each."""

    expert: int
    tokens: Tensor
    scores: Tensor


class MixtureOfExperts(nn.Module):
    """[..., dim] -> the same: the sum over the chosen experts of probability times answer.

    `experts` networks of two linear layers with GELU between (dim -> hidden -> dim); each token meets the
    `chosen` ones that a gate likes best. The gate is one linear map without bias, and a softmax over *all*
    experts; the probabilities of the chosen ones count as they are and are not scaled up to a sum of 1.
    There is one gate for each of `tasks`; the experts are shared.
    """

    def __init__(self, dim: int, hidden: int, experts: int, chosen: int = 2, tasks: int = 1) -> None:
        super().__init__()
        if not 1 <= chosen <= experts or tasks < 1 or dim < 1 or hidden < 1:
            raise WorkbenchError(
                f"expected 1 to {experts} chosen experts and at least one task, "
                f"but {chosen} chosen of {experts} and {tasks} tasks came"
            )
        self.chosen = chosen
        self.gates = nn.Parameter(torch.randn(tasks, experts, dim) * dim**-0.5)
        bound = [dim**-0.5, hidden**-0.5]
        self.widen = nn.Parameter(torch.empty(experts, hidden, dim).uniform_(-bound[0], bound[0]))
        self.widen_bias = nn.Parameter(torch.zeros(experts, hidden))
        self.narrow = nn.Parameter(torch.empty(experts, dim, hidden).uniform_(-bound[1], bound[1]))
        self.narrow_bias = nn.Parameter(torch.zeros(experts, dim))

    def gate(self, x: Tensor, task: int = 0) -> Tensor:
        """Probabilities of all experts: x [n, dim] -> [n, experts]."""
        if not 0 <= task < len(self.gates):
            raise WorkbenchError(f"task must be below {len(self.gates)}, but {task} came")
        return F.linear(x, self.gates[task]).softmax(-1)

    def queues(self, x: Tensor, task: int = 0) -> list[ExpertQueue]:
        """The queues that are not empty, by expert: x [n, dim]."""
        return expert_queues(*best_experts(self.gate(x, task), self.chosen))

    def expert(self, which: int, x: Tensor) -> Tensor:
        """The answer of one expert: [n, dim] -> [n, dim]."""
        wide = F.gelu(F.linear(x, self.widen[which], self.widen_bias[which]))
        return F.linear(wide, self.narrow[which], self.narrow_bias[which])

    def forward(self, x: Tensor, task: int = 0) -> Tensor:
        tokens = x.reshape(-1, x.shape[-1])
        out = torch.zeros_like(tokens)
        for queue in self.queues(tokens, task):  # each expert is visited once
            answer = self.expert(queue.expert, tokens[queue.tokens])
            out = out.index_add(0, queue.tokens, answer * queue.scores[:, None])
        return out.view_as(x)


def best_experts(probabilities: Tensor, chosen: int) -> tuple[Tensor, Tensor]:
    """The largest `chosen` of each row [n, experts]: indices and probabilities [n, chosen].

    Of equal ones the first is better.
    """
    ordered, experts = probabilities.sort(dim=-1, descending=True, stable=True)
    return experts[:, :chosen], ordered[:, :chosen]


def expert_queues(experts: Tensor, scores: Tensor) -> list[ExpertQueue]:
    """From what each token wants [n, chosen] to what each expert gets: only queues that are not empty."""
    tokens = torch.arange(len(experts), device=experts.device)[:, None].expand_as(experts)
    found = []
    for expert in torch.unique(experts).tolist():
        here = experts == expert
        found.append(ExpertQueue(expert, tokens[here], scores[here]))
    return found
