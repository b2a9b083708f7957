"""The layer of experts against going token by token, and what its gate promises."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.layers import MixtureOfExperts, best_experts, expert_queues


def token_by_token(layer, x, task=0):
    """Every token asks the gate and its own experts."""
    out = torch.zeros_like(x)
    for i, token in enumerate(x):
        probabilities = (layer.gates[task] @ token).softmax(0)
        for expert in probabilities.topk(layer.chosen).indices.tolist():
            wide = torch.nn.functional.gelu(layer.widen[expert] @ token + layer.widen_bias[expert])
            answer = layer.narrow[expert] @ wide + layer.narrow_bias[expert]
            out[i] += probabilities[expert] * answer
    return out


@pytest.mark.parametrize(("tokens", "experts", "chosen"), [(1, 1, 1), (1, 5, 2), (9, 16, 2), (40, 4, 4)])
@pytest.mark.parametrize("task", [0, 1])
def test_queues_give_what_tokens_would_get_alone(tokens, experts, chosen, task):
    torch.manual_seed(0)
    layer = MixtureOfExperts(6, 8, experts, chosen, tasks=2).double()
    torch.nn.init.normal_(layer.widen_bias)
    torch.nn.init.normal_(layer.narrow_bias)
    x = torch.randn(6, tokens, dtype=torch.double).T  # not contiguous
    torch.testing.assert_close(layer(x, task), token_by_token(layer, x, task))


def test_probabilities_of_the_chosen_are_not_scaled_up():
    torch.manual_seed(0)
    layer = MixtureOfExperts(4, 4, 8)
    x = torch.randn(20, 4)
    sums = torch.zeros(20).index_add(
        0, torch.cat([q.tokens for q in layer.queues(x)]), torch.cat([q.scores for q in layer.queues(x)])
    )
    assert (sums < 0.9).any()
    assert (sums > 0).all()
    torch.testing.assert_close(sums, layer.gate(x).topk(2).values.sum(1))


def test_each_expert_has_one_queue_in_the_order_of_the_tokens():
    experts = torch.tensor([[3, 0], [0, 3], [2, 3]])
    scores = torch.tensor([[0.5, 0.25], [0.5, 0.25], [0.5, 0.25]])
    found = expert_queues(experts, scores)
    assert [q.expert for q in found] == [0, 2, 3]
    assert [q.tokens.tolist() for q in found] == [[0, 1], [2], [0, 1, 2]]
    assert found[2].scores.tolist() == [0.5, 0.25, 0.25]


def test_of_equal_experts_the_first_is_chosen():
    experts, _ = best_experts(torch.full((2, 5), 0.2), 2)
    assert experts.tolist() == [[0, 1], [0, 1]]


def test_every_parameter_of_a_used_expert_learns():
    torch.manual_seed(0)
    layer = MixtureOfExperts(6, 8, 3, tasks=1)
    layer(torch.randn(2, 30, 6)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


@pytest.mark.parametrize("wrong", [{"chosen": 0}, {"chosen": 4}, {"tasks": 0}])
def test_what_does_not_exist_is_a_sentence(wrong):
    with pytest.raises(WorkbenchError, match="expected 1 to 3 chosen experts"):
        MixtureOfExperts(2, 2, 3, **wrong)
    with pytest.raises(WorkbenchError, match="task must be below 1"):
        MixtureOfExperts(2, 2, 3)(torch.zeros(1, 2), task=1)
