"""The causal transformer: what a token sees, where it is, and how sequences are continued."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.layers import CausalTransformer


def small(seed=0):
    torch.manual_seed(seed)
    return CausalTransformer(9, 12, marks=(3, 4), width=16, heads=2, hidden=24).eval()


def test_no_token_sees_a_later_one():
    model, tokens = small(), torch.randint(0, 9, (2, 12))
    changed = tokens.clone()
    changed[:, 7] = (tokens[:, 7] + 1) % 9
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])
    assert before.shape == (2, 12, 9)


def test_places_are_counted_from_the_beginning_of_a_section():
    model = small()
    tokens = torch.tensor([[1, 2, 3, 1, 2, 4, 1]])
    embedded = model.embedded(tokens)[0]
    place, section = model.place.weight, model.section.weight
    for at, (inside, part) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (0, 2), (1, 2)]):
        expected = model.token.weight[tokens[0, at]] + place[inside] + section[part]
        torch.testing.assert_close(embedded[at], expected)


def test_generating_with_kept_keys_is_generating_without():
    model, start = small(1), torch.randint(5, 9, (6, 3))
    came = model.generate(start, last=2, temperature=0)
    for row in range(len(start)):
        tokens = start[row : row + 1]
        while tokens.shape[1] < 12 and tokens[0, -1] != 2:
            tokens = torch.cat([tokens, model(tokens)[:, -1:].argmax(-1)], 1)
        assert came[row, : tokens.shape[1]].tolist() == tokens[0].tolist()
        assert not came[row, tokens.shape[1] :].any()


def test_drawing_follows_the_temperature_and_the_generator():
    model, start = small(2), torch.full((400, 1), 5)
    draws = [model.generate(start, 2, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    chances = torch.softmax(model(start[:1])[0, -1], 0)
    shares = torch.bincount(draws[0][:, 1], minlength=9) / 400
    torch.testing.assert_close(shares, chances, atol=0.12, rtol=0)
    with pytest.raises(WorkbenchError, match="temperature"):
        model.generate(start, 2, temperature=-1)


def test_too_many_tokens_and_odd_heads_are_refused():
    with pytest.raises(WorkbenchError, match="at most 12"):
        small()(torch.zeros(1, 13))
    with pytest.raises(WorkbenchError, match="divide the width"):
        CausalTransformer(9, 12, width=16, heads=3)
