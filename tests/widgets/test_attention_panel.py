"""The attention panel shows what probes say of a reader's own model, of any kind."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from workbench_widgets import bake, panels, unbake
from workbench_widgets.frames import frame_of, plain
from workbench_widgets.looking import IMPLICIT, Looking

from workbench import probes, views
from workbench.errors import WorkbenchError

WORDS = ("a", "cat", "sat", "here", ".")


def encoder(layers=2):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).eval()


class Patches(nn.Module):
    """Patches of 4 x 4 pixels, a token for the class in front if asked for, attention, one number."""

    def __init__(self, token):
        super().__init__()
        self.cut, self.token = nn.Conv2d(3, 8, 4, stride=4), token
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, images):
        x = self.cut(images).flatten(2).mT
        x = F.pad(x, (0, 0, 1, 0)) if self.token else x
        return self.mix(x, x, x)[0].mean((1, 2))


def shown(figure):
    return plain(frame_of(figure), 15)


def test_words_of_a_readers_own_model():
    net, x = encoder(), torch.randn(3, 5, 8)
    panel = panels.attention(net, x, words=WORDS)
    found = probes.attention(net, x[:1])
    assert (
        panel.knobs.knobs[0].values() == ("layers.0", "layers.1") or len(panel.knobs.knobs[0].values()) == 2
    )
    layer = panel.knobs.knobs[0].values()[0]
    frame = panel.frame(layer=layer, head=1, query=3)
    direct = views.attention_words(WORDS, found[0].numpy()[0, 1, 3].astype(float), 3)
    assert [part["caption"] for part in plain(frame, 15)] == [part["caption"] for part in shown(direct)]
    before = panel.frame(layer=layer, head=0, query=0)
    nn.init.zeros_(net.layers[0].self_attn.in_proj_weight)
    assert panels.attention(encoder(), x, words=WORDS).frame(layer=layer, head=0, query=0) == before


@pytest.mark.parametrize("token", [False, True])
def test_patches_of_an_image_with_and_without_a_class_token(token):
    torch.manual_seed(0)
    net, images = Patches(token).eval(), torch.rand(2, 3, 16, 24)
    (found,) = probes.attention(net, images[:1])
    query = 5 + token
    panel = panels.attention(net, images, queries=[0, query], heads=[1])
    (part,) = panel.frame(query=query)
    image = np.moveaxis(images[0].double().numpy(), 0, -1)
    image = (image - image.min()) / np.ptp(image)
    row = found.numpy()[0, 1, query, token:].astype(float)
    direct = views.painted_attention(image, row, 5, grid=(4, 6))
    assert plain([part], 15) == shown(direct)
    assert [knob.name for knob in panel.knobs.knobs] == ["query"]


def test_a_model_without_attention_shows_its_derivatives_and_says_so():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    images = torch.rand(1, 3, 6, 8)
    panel = panels.attention(net, images)
    (part,) = panel.frame(layer="2", head=1, query=24)
    assert part["kind"] == "picture"
    assert part["caption"].endswith(IMPLICIT)
    exact = probes.implicit_attention(net, images, part="2", reduce="contribution", rows=[24])
    looking = Looking(net, (images,), None, 4)
    assert list(looking.maps) == ["0", "2", "output"]
    np.testing.assert_allclose(looking.row("2", 1, 24), exact.numpy()[0, 1, 0], atol=1e-7)
    with pytest.raises(WorkbenchError, match="no attention, and no part that maps places"):
        panels.attention(nn.Linear(3, 3), torch.rand(2, 3))


def test_without_words_or_image_a_row_is_a_line():
    (part,) = panels.attention(encoder(1), torch.randn(1, 300, 8)).frame()
    assert part["kind"] == "plotly"
    assert "of 300" in part["caption"]


class Windows(nn.Module):
    """Attention inside windows of 2 x 2 patches of an image of 4 x 6 patches."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 4, stride=4)

    def forward(self, images):
        x = self.cut(images).unflatten(2, (2, 2)).unflatten(4, (3, 2)).permute(0, 2, 4, 3, 5, 1)
        x = x.reshape(-1, 1, 4, 8)
        return F.scaled_dot_product_attention(x, x, x).mean((1, 2))


def test_windows_are_put_together_where_the_reader_says_how():
    torch.manual_seed(0)
    net, images = Windows().eval(), torch.rand(2, 3, 16, 24)
    (part,) = panels.attention(net, images).frame()
    assert "attends in 6 windows; the first is shown" in part["caption"]
    places = probes.window_places(4, 6, 2)
    panel = panels.attention(net, images, places={"output": places}, queries=[0, 8])
    (part,) = panel.frame(query=8)
    assert part["kind"] == "picture"
    small = probes.attention(net, images[:1])[0]
    row = probes.windows_to_field(small, places).numpy()[0, 0, 8]
    assert set(np.flatnonzero(row)) == {2, 3, 8, 9}
    image = np.moveaxis(images[0].double().numpy(), 0, -1)
    image = (image - image.min()) / np.ptp(image)
    assert plain([part], 15) == shown(views.painted_attention(image, row.astype(float), 8, grid=(4, 6)))
    with pytest.raises(WorkbenchError, match="'head' is none of them"):
        panels.attention(net, images, places={"head": places})


def test_the_readers_choices_are_checked():
    net, x = encoder(), torch.randn(1, 5, 8)
    with pytest.raises(WorkbenchError, match="no part 'head' that attends; there are layers"):
        panels.attention(net, x, layers=["head"])
    with pytest.raises(WorkbenchError, match="heads must lie in 0 to 1, but 2 came"):
        panels.attention(net, x, heads=[2])
    with pytest.raises(WorkbenchError, match="queries must lie in 0 to 4, but -1 came"):
        panels.attention(net, x, queries=[-1])


def test_calls_of_one_part_are_told_apart():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return self.mix(*3 * [self.mix(x, x, x)[0]])[0]

    looking = Looking(Twice(), (torch.randn(1, 4, 8),), None, 4)
    assert list(looking.maps) == ["mix (call 0)", "mix (call 1)"]


def test_what_is_baked_is_what_is_live():
    panel = panels.attention(encoder(), torch.randn(1, 5, 8), words=WORDS)
    baked = bake(panel)
    assert len(baked["baked"]["data"]) < 300_000
    for state in list(panel.knobs.grid())[::3]:
        assert unbake(baked["frame"], baked["baked"]["data"], state) == plain(
            panel.frame(state), panel.digits
        )
