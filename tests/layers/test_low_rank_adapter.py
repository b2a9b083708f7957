"""LoRA: nothing changes at first, and merged weights do the same."""

import pytest
import torch
from torch import nn

from workbench.errors import WorkbenchError
from workbench.layers import CausalTransformer, LowRankAdapter, adapted, merged


def test_adapters_change_nothing_at_first_and_merge_exactly():
    model = CausalTransformer(9, 12, width=16, heads=2, hidden=24).double()
    tokens = torch.randint(0, 9, (3, 12))
    tuned = adapted(model, rank=4, alpha=8.0).double()
    torch.testing.assert_close(tuned(tokens), model(tokens))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if parameter.requires_grad:
                assert name.endswith(("up", "down"))
                parameter.normal_()
    after = tuned(tokens)
    assert not torch.allclose(after, model(tokens))
    torch.testing.assert_close(merged(tuned)(tokens), after)
    assert [n for n, _ in merged(tuned).named_parameters()] == [n for n, _ in model.named_parameters()]
    assert not any(isinstance(part, LowRankAdapter) for part in merged(tuned).modules())


def test_an_adapter_by_hand():
    layer = nn.Linear(5, 3)
    adapter = LowRankAdapter(layer, rank=2, alpha=6.0)
    with torch.no_grad():
        adapter.up.normal_()
    x = torch.randn(4, 7, 5)
    expected = layer(x) + 3 * (x @ adapter.down.T @ adapter.up.T)
    torch.testing.assert_close(adapter(x), expected)
    assert torch.linalg.matrix_rank(adapter.merged().weight - layer.weight) == adapter.rank == 2
    learns = sum(p.numel() for p in adapter.parameters() if p.requires_grad)
    assert learns == 2 * (5 + 3)
    for rank in (0, 4):
        with pytest.raises(WorkbenchError, match="rank"):
            LowRankAdapter(nn.Linear(5, 3), rank=rank)


def test_adapters_agree_with_peft():
    peft = pytest.importorskip("peft")
    layer = nn.Sequential(nn.Linear(6, 4))
    theirs = peft.get_peft_model(layer, peft.LoraConfig(r=2, lora_alpha=6, target_modules=["0"]))
    adapter = LowRankAdapter(nn.Linear(6, 4), rank=2, alpha=6.0)
    part = theirs.base_model.model[0]
    with torch.no_grad():
        part.lora_B["default"].weight.normal_()
        adapter.layer.load_state_dict(part.base_layer.state_dict())
        adapter.down.copy_(part.lora_A["default"].weight)
        adapter.up.copy_(part.lora_B["default"].weight)
    x = torch.randn(3, 6)
    torch.testing.assert_close(adapter(x), theirs(x))


def test_the_model_itself_stays_as_it_was():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    before = [p.clone() for p in model.parameters()]
    tuned = adapted(model, rank=2)
    assert all(p.requires_grad for p in model.parameters())
    assert not any(isinstance(part, LowRankAdapter) for part in model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.requires_grad for p in merged(tuned).parameters())
    for odd, why in ((tuned, "merge them first"), (nn.Sequential(nn.ReLU()), "no linear layer")):
        with pytest.raises(WorkbenchError, match=why):
            adapted(odd, rank=1)
    with pytest.raises(WorkbenchError, match="one such part alone"):
        adapted(nn.Linear(3, 3), rank=1)
