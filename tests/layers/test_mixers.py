"""Laws that every mixer of tokens keeps: the whole registry is the list of cases."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.layers import (
    MIXERS,
    MixerNet,
    NeighborhoodAttention2d,
    Residual,
    mixer,
    mixer_network,
    reached,
    visible,
    visible_rule,
)

SIZE = (4, 8)  # of a map whose sides differ
BOUND = {"raft", "mlp", "cascade"}  # kinds that work on maps of one size alone
CHANNELS = 8
# further settings of a mixer that change who sees whom or what is learnt
SETTINGS = {
    **{kind: (kind, {}) for kind in MIXERS},
    "neighborhood, even, dilated": ("neighborhood", {"window": 2, "dilation": 2}),
    "neighborhood, causal": ("neighborhood", {"window": 3, "causal": (True, False)}),
    "convolution, 3": ("convolution", {"kernel": 3}),
    "slots, hot": ("slots", {"scale": 8.0, "slots": 2}),
    "sparse-low-rank, hashed": ("sparse-low-rank", {"support": "hash", "size": 4}),
    "landmark, every token": ("landmark", {"ratio": 1}),
}


def size_of(kind: str) -> tuple[int, int]:
    return (8, 8) if kind == "cascade" else SIZE


def options_of(kind: str, options: dict) -> dict:
    return {**({"window": 3} if kind == "neighborhood" else {}), **options}


def made(setting: str, size: tuple[int, int] | None = None):
    """A mixer in float64 in whose way no weight of zero stands."""
    kind, options = SETTINGS[setting]
    torch.manual_seed(0)
    model = mixer(kind, CHANNELS, size or size_of(kind), **options_of(kind, options)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.normal_(0, 0.5)
    return model


def picture(size: tuple[int, int], batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, CHANNELS, *size, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_shape_is_kept_and_images_do_not_meet(setting):
    size = size_of(SETTINGS[setting][0])
    model, x = made(setting), picture(size, 3)
    y = model(x)
    assert y.shape == x.shape
    assert y.isfinite().all()
    torch.testing.assert_close(y[2:], model(x[2:]), atol=1e-10, rtol=1e-8)
    torch.testing.assert_close(y, model(x.transpose(2, 3).contiguous().transpose(2, 3)))


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_parameter_learns(setting):
    kind, options = SETTINGS[setting]
    torch.manual_seed(0)
    model = mixer(kind, CHANNELS, size_of(kind), **options_of(kind, options)).double()  # as it begins
    x = picture(size_of(kind), 2).requires_grad_()
    out = model(x)
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if not (kind == "cascade" and name not in ("project.norm.weight", "project.norm.bias")):
            assert parameter.grad.abs().sum() > 0, name  # the last norm of a cascade begins at 0


@pytest.mark.parametrize("setting", SETTINGS)
def test_visible_is_the_support_of_the_jacobian(setting):
    kind = SETTINGS[setting][0]
    size = size_of(kind)
    model, x = made(setting), picture(size)
    found = torch.zeros(2, x[0, 0].numel(), x[0, 0].numel(), dtype=torch.bool)
    x.requires_grad_()
    y = (model(x) * torch.linspace(0.5, 1.5, CHANNELS)[None, :, None, None]).sum(1).flatten()
    for token in range(len(y)):
        (grad,) = torch.autograd.grad(y[token], x, retain_graph=True)
        found[0, token] = grad.abs().sum((0, 1)).flatten() > 0
    found[1] = visible(model, *size)
    assert torch.equal(found[0], found[1])
    seen = visible(Residual(model), *size)
    assert torch.equal(seen, found[1] | torch.eye(len(y), dtype=torch.bool))


@pytest.mark.parametrize("kind", sorted(set(MIXERS) - BOUND))
def test_a_mixer_that_is_not_bound_to_a_size_takes_others(kind):
    model = made(kind)
    for size in ((8, 8), (8, 12)):
        assert model(picture(size)).shape[2:] == size
        assert visible(model, *size).shape == (size[0] * size[1],) * 2


@pytest.mark.parametrize("kind", sorted(BOUND))
def test_a_mixer_that_is_bound_to_a_size_says_so(kind):
    model, (height, width) = made(kind), size_of(kind)
    for call in (lambda: model(picture((height, width + 4))), lambda: visible(model, height, width + 4)):
        with pytest.raises(WorkbenchError, match=rf"{height} x {width}.*{height}.*{width + 4}") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", MIXERS)
def test_a_network_of_each_kind_answers_for_every_token(kind):
    size = size_of(kind)
    net = mixer_network(kind, size, width=CHANNELS, depth=1, inputs=3, outputs=2, **options_of(kind, {}))
    assert isinstance(net, MixerNet)
    assert net(torch.randn(2, 3, *size)).shape == (2, 2, *size)
    once = visible(mixer(kind, CHANNELS, size, **options_of(kind, {})), *size)
    deep = mixer_network(kind, size, width=CHANNELS, depth=2, **options_of(kind, {}))
    assert torch.equal(visible(net, *size), reached(once, 1))
    assert torch.equal(visible(deep, *size), reached(once, 2))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: mixer("windows", 8, 8), "no mixer is called 'windows'; there are full, "),
        (lambda: mixer("full", 0, 8), "at least 1 channel and 1 token, but 0 and 8 x 8 came"),
        (lambda: mixer("full", 8, (0, 3)), "at least 1 channel and 1 token, but 8 and 0 x 3 came"),
        (lambda: mixer("full", 8, 8, colour=1), "mixer 'full' does not take {'colour': 1}: "),
        (lambda: mixer("cascade", 8, (4, 8)), "square maps, but 4 x 8 came"),
        (lambda: mixer("mlp", 8, 8, expansion=0), "expansion positive"),
        (lambda: visible(torch.nn.Conv2d(1, 1, 3), 4, 4), "as many tokens after as before, but 4 became 2"),
        (
            lambda: visible(torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), 4, 4),
            "'circular' came",
        ),
        (lambda: visible(torch.nn.Linear(4, 4), 2, 2), "nobody knows what Linear sees"),
        (lambda: visible(torch.nn.Identity(), 0, 2), "at least one row and column, but 0 x 2 came"),
        (lambda: visible(NeighborhoodAttention2d(8, 5), 4, 8), "window"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(call, says):
    with pytest.raises(WorkbenchError) as caught:
        call()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_of_somebody_else_gets_a_rule_and_a_method_comes_first():
    class Flip(torch.nn.Module):
        def forward(self, x):
            return x.flip(3)

    class Liar(Flip):
        visible = 3

    with pytest.raises(WorkbenchError, match="nobody knows what Flip sees"):
        visible(Flip(), 1, 3)

    @visible_rule(Flip)
    def _(_module, height, width):
        return torch.eye(height * width).flip(1).bool()

    twice = torch.nn.Sequential(Flip(), Liar())
    assert torch.equal(visible(twice, 1, 3), torch.eye(3, dtype=torch.bool))
    Liar.visible = lambda *_: "all"
    with pytest.raises(WorkbenchError, match="visible of Liar must return a tensor, but 'all' came"):
        visible(twice, 1, 3)
