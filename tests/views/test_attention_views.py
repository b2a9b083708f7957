"""Pictures of attention: every pixel and every word follows from the weights."""

import base64
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from plotly.colors import hex_to_rgb

from workbench import probes, views
from workbench.errors import WorkbenchError
from workbench.views.painted_attention import ABOVE, BELOW, DARK, QUERY, STEPS
from workbench.views.theme import PURPLE


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).softmax(-1)


def pixels(fig):
    source = fig.data[0].source.removeprefix("data:image/png;base64,")
    return np.array(Image.open(BytesIO(base64.b64decode(source))))


def said(fig):
    return fig.layout.meta["alt"] + fig.layout.meta["caption"]


def test_an_overview_holds_every_head_and_is_clear_between_them():
    first, second = maps(2, 3, 5, 5), maps(2, 2, 24, 24)
    fig = views.attention_overview([first, second], names=["low", "high"], example=1)
    shown = pixels(fig)
    assert shown.shape == (3 * 48 + 2 * 4, 2 * 48 + 4, 4)
    small = shown[1:46, 1:46]  # 5 tokens, 9 pixels each, in the middle of 48
    brightest = first[1, 0].argmax().item()
    place = np.unravel_index(brightest, (5, 5))
    light = small[4::9, 4::9, :3].sum(-1, dtype=int)
    assert (small[..., 3] == 255).all()
    assert np.unravel_index(light.argmax(), light.shape) == place
    assert not shown[:48, 48:52, 3].any()
    assert not shown[104:, 52:, 3].any()  # the second layer has two heads
    assert list(fig.layout.xaxis.ticktext) == ["low", "high"]
    turned = views.attention_overview([first] * 4)
    assert pixels(turned).shape == (4 * 48 + 3 * 4, 3 * 48 + 2 * 4, 4)
    np.testing.assert_array_equal(pixels(turned)[52:100, :48], pixels(turned)[:48, :48])
    assert turned.data[1].marker.colorbar.ticktext == ("0", "¼", "1")  # the root: a quarter is half way
    assert (turned.layout.xaxis.title.text, turned.layout.yaxis.title.text) == ("head", "layer")
    assert "5 small attention maps" in said(fig)


def test_an_overview_of_long_maps_says_that_it_shrinks_them():
    q = torch.randn(1, 1, 100, 4)
    fig = views.attention_overview([probes.softmax_attention(q, q)])
    assert "mean of up to 3 × 3 weights" in said(fig)
    sharp = torch.stack([torch.eye(6), torch.full((6, 6), 1 / 6)])
    assert "The sharpest is layer 0 head 0, the most even layer 0 head 1" in said(
        views.attention_overview([sharp])
    )
    with pytest.raises(WorkbenchError, match="1 to 1024 heads in all, but 0 came"):
        views.attention_overview([])
    with pytest.raises(WorkbenchError, match="a name for each of 1 layers, but 2 came"):
        views.attention_overview([sharp], names=["a", "b"])


def test_a_long_map_is_drawn_in_tokens():
    found = probes.map_overview(torch.eye(100)[None], 30)
    fig = views.attention_matrix(found)
    assert found.blocks == (4, 4)
    assert pixels(fig).shape == (25, 25, 3)
    assert (fig.data[0].x0, fig.data[0].dx) == (1.5, 4)
    assert tuple(fig.layout.xaxis.range) == (-0.5, 99.5)
    assert "mean of 4 × 4 weights, at most 0.25; the largest single weight is 1." in said(fig)
    uniform = views.attention_matrix(probes.map_overview(torch.full((1, 64, 64), 1 / 64), 8))
    assert "Lines thinner" not in said(uniform)
    assert "Every weight is a pixel" in said(views.attention_matrix(probes.map_overview(torch.eye(3)[None])))
    with pytest.raises(WorkbenchError, match="1 examples of 1 heads, but 0 and 1 came"):
        views.attention_matrix(found, head=1)


def test_lines_thinner_than_a_block_are_pointed_out():
    found = probes.map_overview(torch.eye(100)[None], 10)
    assert "Lines thinner than a block look fainter" in said(views.attention_matrix(found))


def test_weights_on_an_image():
    weights = np.zeros((3, 4))
    weights[1, 2], weights[0, 0] = 0.64, 0.16
    photograph = np.random.default_rng(0).random((30, 40, 3))
    painted = views.painted_attention(photograph, weights, (2, 3))
    assert (painted.marks[10:20, 20:30] == ABOVE + STEPS - 1).all()
    assert (painted.marks[:10, :10] == ABOVE + STEPS // 2 - 1).all()  # the root of a quarter
    assert (painted.marks[:10, 10:] == DARK).all()
    frame = np.zeros((10, 10), bool)
    frame[[0, -1]] = frame[:, [0, -1]] = True
    assert ((painted.marks[20:, 30:] == QUERY) == frame).all()
    assert "0.64, at row 1, column 2" in painted.caption
    flat = views.painted_attention(photograph, weights.ravel(), 11, grid=(3, 4))
    np.testing.assert_array_equal(flat.marks, painted.marks)
    np.testing.assert_array_equal(pixels(views.still_painting(painted)), painted.rgb)


def test_signed_weights_and_large_images():
    weights = np.array([[0.5, -0.5], [0.0, 0.125]])
    painted = views.painted_attention(np.zeros((200, 200)), weights, signed=True)
    assert painted.marks.shape == (67, 67)
    assert "3 × 3 of the image" in painted.caption
    assert painted.marks[0, 0] == ABOVE + STEPS - 1
    assert painted.marks[0, -1] == BELOW + STEPS - 1
    assert painted.marks[-1, 0] == DARK
    assert painted.marks[-1, -1] == ABOVE + STEPS // 2 - 1
    blue, brown = painted.colours[ABOVE + STEPS - 1], painted.colours[BELOW + STEPS - 1]
    assert blue[2] > blue[0]
    assert brown[0] > brown[2]
    coloured = views.painted_attention(np.full((2, 2, 3), (1.0, 0.5, 0.0)), weights, signed=True)
    assert coloured.pixels.ndim == 2  # gray, so that only the light has a colour
    one = views.painted_attention(np.zeros((1, 1)), [[0.0]], 0)
    assert one.marks.tolist() == [[QUERY]]
    small = views.painted_attention(np.zeros((4, 4)), np.eye(4), (1, 1)).marks == QUERY
    ring = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1], [2, 2]]
    assert np.argwhere(small).tolist() == ring  # around a patch of one pixel
    seen = views.painted_attention(np.zeros((128, 128)), np.eye(128), (60, 9), most=128).marks == QUERY
    assert seen[55, 4:15].all()  # five pixels away, where the picture is large
    assert seen.sum() == 4 * 10


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"weights": np.ones(4)}, "rows, columns"),
        ({"weights": np.ones((9, 2))}, "image of 8 × 8 pixels"),
        ({"weights": np.full((2, 2), np.nan)}, "NaN"),
        ({"weights": -np.ones((2, 2))}, "signed=True"),
        ({"weights": np.ones((2, 2)), "query": 4}, "2 × 2 patches, but the query 4"),
    ],
)
def test_wrong_weights_for_an_image_are_one_sentence(options, says):
    with pytest.raises(WorkbenchError, match=says):
        views.painted_attention(np.zeros((8, 8)), **options)


WORDS = ("[CLS]", "the", "bank", "of", "the", "river", "and", "the", "bank", "for", "money", "[SEP]")


def test_a_sentence_says_every_weight():
    weights = np.array([0.25, 0, 0.05, 0, 0, 0.01, 0, 0, 0.69, 0, 0, 0])
    fig = views.attention_words(WORDS, weights, 2)
    assert list(fig.data[0].text) == list(WORDS)
    assert list(fig.data[1].text)[:3] == ["25 %", "0 %", "5 %"]
    boxes = fig.layout.shapes
    assert [box.line.color for box in boxes].index(PURPLE) == 2
    assert fig.layout.meta["caption"] == "'bank' looks most at bank (69 %), [CLS] (25 %) and bank (5 %)."
    assert all(f"{word} " in fig.layout.meta["alt"] for word in WORDS)
    assert all(one.x1 <= other.x0 or other.y0 > one.y1 for one, other in pairwise(boxes))
    assert max(box.x1 for box in boxes) <= 34
    assert fig.layout.height == 30 + 50 * (1 + max(round(box.y0 + 0.43) for box in boxes))
    same = views.attention_words(WORDS, np.full(12, 0.25), 2)
    assert same.layout.shapes[0].fillcolor == boxes[0].fillcolor  # one range for all heads


def luminance(colour):
    """As WCAG defines it, of #RRGGBB."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in np.array(hex_to_rgb(colour)) / 255
    ]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_letters_stand_out_from_their_boxes():
    fig = views.attention_words(["dark", "light"], [0.0, 1.0])
    assert list(fig.data[0].textfont.color) == ["#FFFFFF", "#000000"]
    signed = views.attention_words(["less", "none", "more"], [-0.5, 0, 0.25], signed=True)
    assert list(signed.data[1].text) == ["-0.50", "+0.00", "+0.25"]
    for weights in (np.linspace(0, 1, 101), np.linspace(-1, 1, 101)):
        fig = views.attention_words(["a"] * 101, weights, signed=weights[0] < 0)
        for box, ink in zip(fig.layout.shapes, fig.data[0].textfont.color, strict=True):
            low, high = sorted([luminance(box.fillcolor), luminance(ink)])
            assert (high + 0.05) / (low + 0.05) >= 4.5
    assert "Largest in size: less (-0.50)" in said(signed)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"weights": [1.0]}, "2 words and shape"),
        ({"weights": [0.5, np.inf]}, "finite weight"),
        ({"weights": [0.5, 1.5]}, "signed=True"),
        ({"weights": [0.5, 0.5], "query": 2}, "2 words, but the query 2"),
    ],
)
def test_wrong_weights_for_words_are_one_sentence(options, says):
    with pytest.raises(WorkbenchError, match=says):
        views.attention_words(["a", "b"], **options)


def test_a_long_row_keeps_its_sum():
    weights = np.random.default_rng(0).random(65_536)
    weights[4000] = 40
    fig = views.attention_row(weights, 7)
    assert len(fig.data[0].y) == 1024
    assert fig.data[0].y.sum() == pytest.approx(weights.sum(), rel=1e-5)
    assert fig.data[0].y[4000 // 64] == pytest.approx(weights[3968:4032].sum(), rel=1e-5)
    assert "40, at key 4000 of 65536. A point is the sum of 64 keys." in fig.layout.meta["caption"]
    assert fig.layout.shapes[0].x0 == 7
    assert list(views.attention_row([0.5, -1], signed=True).data[0].y) == [0.5, -1]
    for wrong, query in (([], None), ([1.0], 1)):
        with pytest.raises(WorkbenchError):
            views.attention_row(wrong, query)


def test_similarities_raw_and_without_their_mean():
    found = probes.head_similarity(maps(2, 3, 6, 6))
    fig = views.similarity_matrices(found)
    np.testing.assert_allclose(fig.data[0].z, found.matrix("raw"), atol=1e-3)
    np.testing.assert_allclose(fig.data[1].z, found.matrix(), atol=1e-3)
    assert (fig.layout.coloraxis.cmin, fig.layout.coloraxis.cmax) == (-1, 1)
    assert f"{found.score('raw'):.2f} as the maps are, {found.score():.2f} once" in said(fig)
    with pytest.raises(WorkbenchError, match="at least two heads"):
        views.similarity_matrices(probes.head_similarity(maps(1, 4, 4)))


def test_distance_and_entropy_of_all_heads():
    measures = {f"layer {i}": probes.map_measures(maps(2, 3, 6, 6, seed=i)) for i in range(2)}
    fig = views.distance_entropy(measures)
    assert [trace.name for trace in fig.data] == ["layer 0", "layer 1"]
    np.testing.assert_allclose(fig.data[1].x, measures["layer 1"].distance.mean(0), atol=1e-4)
    np.testing.assert_allclose(fig.data[1].y, measures["layer 1"].entropy.mean(0), atol=1e-4)
    assert f"{np.log2(6):.2f} bits" in fig.layout.meta["alt"]
    assert len(fig.layout.shapes) == 2 * 2  # in each panel
    assert {trace.xaxis for trace in fig.data} == {"x", "x2"}
    many = views.distance_entropy(dict.fromkeys(map(str, range(12)), measures["layer 0"]))
    assert len({trace.yaxis for trace in many.data}) == 12
    with pytest.raises(WorkbenchError, match="at least one layer"):
        views.distance_entropy({})
