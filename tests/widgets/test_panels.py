"""Panels show what direct calls of probes and views show, and nothing of what becomes of the model later."""

import json
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from workbench_widgets import bake, panels, unbake
from workbench_widgets import baking as baking_module
from workbench_widgets.frames import frame_of, plain

from workbench import probes, views
from workbench.errors import WorkbenchError
from workbench.layers import conv_stack

IMAGES = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))


class Branches(nn.Module):
    """A strided stem, two branches that see differently far, a strided layer, a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 5, stride=2, padding=2)
        self.norm = nn.BatchNorm2d(4)
        self.near = nn.Conv2d(4, 4, 3, padding=1)
        self.far = nn.Conv2d(4, 4, 3, padding=3, dilation=3)
        self.down = nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        x = self.norm(self.stem(x)).relu()
        x = self.near(x) + self.far(x)
        return self.head(self.down(x).mean((2, 3)))


class Moody(Branches):
    """What it does depends on the numbers: not to be traced."""

    def forward(self, x):
        x = self.stem(x)
        return self.down(self.near(x if x.sum() > 0 else -x))


class Dark(nn.Module):
    """Its output never moves."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x):
        return self.conv(x) * 0


def made(kind):
    torch.manual_seed(0)
    return kind()


@pytest.fixture(scope="module")
def branches():
    return made(Branches)


def shown(figure, digits=15):
    return plain(frame_of(figure), digits)


def as_photograph(image):
    image = np.moveaxis(image.double().numpy(), 0, -1)
    return (image - image.min()) / np.ptp(image)


# what the panels of a model show


@pytest.mark.parametrize(("layer", "at", "share"), [("down", (7, 0), 0.5), ("far", (8, 19), 0.9)])
def test_a_receptive_field_is_what_probes_and_view_say(branches, layer, at, share):
    panel = panels.receptive_field(branches, IMAGES)
    frame = panel.frame(layer=layer, row=at[0], column=at[1], share=share)
    exact = probes.receptive_field(branches.eval(), (1, 3, 32, 40), layer)
    effective = probes.effective_field(branches, IMAGES, output=layer, position=at)
    direct = views.painted_field(as_photograph(IMAGES[0]), exact, effective, position=at, share=share)
    assert plain(frame, 15) == shown(direct)


def test_a_photograph_of_the_readers_own_is_painted_on(branches):
    photograph = np.random.default_rng(0).random((32, 40))
    (part,) = panels.receptive_field(branches, IMAGES, photograph=photograph).frame()
    (plain_part,) = frame_of(views.painted_field(photograph, None))
    assert (part["channels"], part["pixels"]) == (1, plain_part["pixels"])


@pytest.mark.parametrize(("layer", "score"), [("down", "absolute"), ("near", "squared")])
def test_an_effective_field_is_what_probes_and_view_say(branches, layer, score):
    frame = panels.effective_field(branches, IMAGES).frame(layer=layer, score=score)
    exact = probes.receptive_field(branches.eval(), (1, 3, 32, 40), layer)
    effective = probes.effective_field(branches, IMAGES, output=layer, score=score)
    assert plain(frame, 15) == shown(views.effective_map(effective, exact=exact))


def test_growth_is_what_the_fields_of_the_layers_say(branches):
    names = ["stem", "near", "far", "down"]
    (part,) = panels.growth(branches, IMAGES).frame(share=0.75, score="squared")
    fields = probes.field_of_layers(branches, IMAGES, names, score="squared")
    (effective, exact) = plain(part["data"], 15)
    assert effective["y"] == [field.radius(0.75) for field in fields.values()]
    assert exact["y"] == [2, 4, 8, 10], "half of 5, 9, 17 and 21 pixels around the centre"
    assert part["layout"]["xaxis"]["ticktext"] == names
    assert "error_y" in effective
    assert part["caption"] == (
        f"Radius at the layer 'down': {fields['down'].radius(0.75):.3g} (square with 75 % of the gradient) "
        "and 10 (exact field) pixels."
    )


def test_costs_of_parts_are_those_of_the_model(branches):
    panel = panels.cost(branches, (1, 3, 32, 40))
    assert panel.knobs.knobs[1].table == ((20, 40, 60, 80),)
    for measure, what in panels.MEASURES.items():
        total = probes.cost(branches, (1, 3, 16, 20))
        (part,) = panel.frame(measure=measure, input_width=20)
        bars = plain(part["data"], 15)[0]
        assert sum(bars["x"]) == pytest.approx(getattr(total, what).value)
        assert set(bars["y"]) <= {"stem", "norm", "near", "far", "down", "head", "itself"}
        assert "for an input of 1 × 3 × 16 × 20" in part["caption"]
    own = probes.cost(branches.stem, (1, 3, 16, 20))
    assert bars["x"][bars["y"].index("stem")] == own.parameters.value


def test_many_parts_are_summed_up_and_fixed_sizes_are_kept():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(
                *(nn.Conv2d(3, 3, 1) for _ in range(20)), nn.Flatten(), nn.Linear(192, 2)
            )

        def forward(self, x):
            return self.net(x)

    panel = panels.cost(Fixed(), (1, 3, 8, 8))
    assert [knob.name for knob in panel.knobs.knobs] == ["measure"], "no other width fits"
    bars = plain(panel.frame()[0]["data"], 15)[0]
    assert len(bars["y"]) == panels.MOST_BARS
    assert bars["y"][-1] == "10 others"
    assert sum(bars["x"]) == probes.cost(Fixed(), (1, 3, 8, 8)).macs.value
    with pytest.raises(WorkbenchError, match="cannot be run on an input of shape"):
        panels.cost(Fixed(), (1, 3, 8, 8), widths=[16])


# what the knobs offer


def test_parts_that_return_maps_are_offered_in_their_order(branches):
    panel = panels.receptive_field(branches, IMAGES)
    layer, row, column, share = panel.knobs.knobs
    assert layer.table == (("stem", "near", "far", "down"),)
    assert row.table == ((0, 8, 15), (0, 8, 15), (0, 8, 15), (0, 4, 7))
    assert column.table == ((0, 10, 19),) * 3 + ((0, 4, 9),)
    assert share.table == ((0.5, 0.9),)
    assert panel.knobs.says(panel.knobs.start) == "layer down, row 4, column 4, share 0.5"


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (nn.Conv2d(3, 2, 3), ["output"]),
        (conv_stack(3, 9, 2), ["0", "6", "10", "16"]),
        (nn.Sequential(nn.Sequential(conv_stack(3, 2, 2))), ["0.0.0", "0.0.2"]),
        (nn.Sequential(conv_stack(3, 2, 2), nn.ReLU(inplace=True), nn.Flatten()), ["0.0", "0.2"]),
        (made(Dark), ["conv", "output"]),
    ],
)
def test_containers_are_opened_and_pointwise_parts_left_out(model, names):
    panel = panels.effective_field(model, IMAGES, scores=["absolute"])
    assert list(panel.knobs.knobs[0].table[0]) == names


def test_layers_and_positions_may_be_named(branches):
    panel = panels.receptive_field(branches, IMAGES, layers=["norm", "stem"], positions=1, shares=[0.7])
    assert [knob.name for knob in panel.knobs.knobs] == ["layer", "row", "column"]
    assert panel.knobs.values_at(panel.knobs.start) == {"layer": "stem", "row": 8, "column": 10}


# models that cannot be traced, and outputs that do not move


def test_a_model_that_cannot_be_traced_shows_its_effective_field_and_says_so():
    model = made(Moody)
    (part,) = panels.receptive_field(model, IMAGES).frame(layer="down", row=0, column=4)
    effective = probes.effective_field(model, IMAGES, output="down", position=(0, 4))
    direct = views.painted_field(as_photograph(IMAGES[0]), None, effective)
    assert part["over"]["pixels"] == frame_of(direct)[0]["over"]["pixels"]
    why = "Only the effective field is shown: Moody cannot be traced by torch.fx, because Moody.forward"
    assert part["caption"].startswith(f"{direct.caption} {why}")
    (grown,) = panels.growth(model, IMAGES).frame()
    assert [trace["name"] for trace in grown["data"]] == ["square with 50 % of the gradient"]
    assert why in grown["caption"]
    assert why in panels.effective_field(model, IMAGES).frame()[0]["caption"]


def test_a_rule_of_the_readers_own_brings_the_exact_field_back():
    class Gate(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    model = nn.Sequential(nn.Conv2d(3, 2, 3), Gate(), nn.Conv2d(2, 2, 3))
    assert "Only the effective field" in panels.receptive_field(model, IMAGES).frame()[0]["caption"]
    (part,) = panels.receptive_field(model, IMAGES, rules={Gate: "pointwise"}).frame()
    assert "can see 5 × 5 of 32 × 40 pixels" in part["caption"]


class Turned(nn.Conv2d):
    def forward(self, x):
        return super().forward(x).transpose(2, 3)


class Squeezed(nn.Conv2d):
    """Every output sees everything."""

    def forward(self, x):
        return super().forward(x) * x.mean((1, 2, 3), keepdim=True)


@pytest.mark.parametrize("kind", [Turned, Squeezed])
def test_centres_are_those_that_the_probe_finds(kind):
    torch.manual_seed(0)
    model = nn.Sequential(kind(3, 2, 3), nn.Conv2d(2, 2, 3))
    (part,) = panels.effective_field(model, IMAGES, layers=["0", "1"]).frame(layer="1", score="squared")
    direct = probes.effective_field(model, IMAGES, output="1", score="squared")
    assert part["alt"].split(", exact")[0] in views.effective_map(direct).layout.meta["alt"]
    assert ("does not return the rows" in part["caption"]) == (kind is Turned)


def test_what_the_probe_warns_of_stands_in_the_caption():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3))
    assert (
        "Note: GroupNorm '1' takes its statistics"
        in panels.receptive_field(model, IMAGES).frame()[0]["caption"]
    )


def test_an_output_that_does_not_move_is_no_error():
    model = made(Dark)
    (part,) = panels.receptive_field(model, IMAGES).frame(layer="output")
    assert part["caption"].endswith("can see 3 × 3 of 32 × 40 pixels. " + panels.DARK)
    assert panels.effective_field(model, IMAGES).frame()[0]["caption"] == panels.DARK
    assert panels.growth(model, IMAGES).frame()[0]["alt"] == panels.DARK


# a panel is a pure function


def test_the_model_is_left_alone_and_its_training_changes_nothing():
    model = made(Branches).train()
    panel, twin = panels.receptive_field(model, IMAGES), panels.receptive_field(model, IMAGES)
    before = panel.frame()
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    model(IMAGES)  # moves the statistics of the normalisation
    assert panels.receptive_field(model, IMAGES).frame() != before
    assert twin.frame() == before
    assert panel.descriptor()["id"] == twin.descriptor()["id"]
    assert panel.descriptor()["id"] != panels.receptive_field(model, IMAGES).descriptor()["id"]


def test_turning_a_knob_traces_nothing_and_a_share_takes_no_new_gradient(branches, monkeypatch):
    panel = panels.receptive_field(branches, IMAGES)
    monkeypatch.setattr(torch.fx.Tracer, "trace", lambda *_: pytest.fail("traced beside other cells"))
    panel.frame(row=0, share=0.5)
    monkeypatch.setattr(torch.autograd, "grad", lambda *_: pytest.fail("the gradient was known"))
    panel.frame(row=0, share=0.9)


def test_every_state_is_baked_within_the_limit_and_equals_the_live_one():
    torch.manual_seed(0)
    images = torch.randn(2, 3, 96, 96)
    for make in (panels.receptive_field, panels.effective_field, panels.growth):
        panel = make(conv_stack(15, 4, 2), images)
        baked = bake(panel)
        assert baked["baked"]["bytes"] + len(json.dumps(baked["frame"])) < 300_000
        for state in random.Random(0).sample(list(panel.knobs.grid()), 3):
            assert unbake(baked["frame"], baked["baked"]["data"], state) == plain(panel.frame(state), 4)


def test_processes_bake_the_same(monkeypatch):
    model = made(Branches)
    here = bake(panels.receptive_field(model, IMAGES, positions=1))
    monkeypatch.setattr(baking_module, "WORTH_PROCESSES", -1.0)
    there = bake(panels.receptive_field(model, IMAGES, positions=1))
    assert there["baked"]["data"] == here["baked"]["data"]


# panels of arrays


def test_maps_of_the_readers_own():
    maps = np.random.default_rng(0).random((3, 9, 12))
    panel = panels.effective_map(maps)
    assert panel.knobs.knobs[0].table == ((1, 2, 3),)
    assert plain(panel.frame(map=2, share=0.9), 15) == shown(views.effective_map(maps[1], share=0.9))
    named = panels.effective_map({"a": maps[0], "b": maps[1]})
    assert named.frame(map="b") == panel.frame(map=2)


def test_pictures_share_their_range_or_do_not():
    arrays = np.stack([np.linspace(0, 1, 12).reshape(3, 4), np.linspace(0, 4, 12).reshape(3, 4)])
    panel = panels.pictures(arrays)
    own = [panel.frame(picture=n, common_range=False)[0]["pixels"] for n in (1, 2)]
    common = [panel.frame(picture=n, common_range=True)[0]["pixels"] for n in (1, 2)]
    assert own[0] == own[1] == common[1] != common[0]
    assert "values from 0 to 4, mean 2" in panel.frame(picture=2)[0]["alt"]
    balanced = panels.pictures(np.array([[-1.0, 0.0, 3.0]])).function()
    assert balanced.caption == "The colours run from -3 to 3."
    assert np.ptp(balanced.pixels[0, 1].astype(int)) == 0, "zero is grey"
    assert panels.pictures(np.zeros((2, 2))).function().pixels.shape == (2, 2, 3)


# slips


class Uncopied(nn.Conv2d):
    def __deepcopy__(self, memo):
        raise RuntimeError("one of a kind")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: panels.receptive_field(len, IMAGES),
            "expected a torch module, but builtin_function_or_method",
        ),
        (
            lambda: panels.receptive_field(nn.Conv2d(3, 1, 3), IMAGES[0]),
            r"images must be .* shape \(3, 32, 40\)",
        ),
        (lambda: panels.growth(nn.Conv2d(1, 1, 3), IMAGES), "Conv2d cannot be run on an image of shape"),
        (lambda: panels.growth(nn.Flatten(), IMAGES), "Flatten has no part that returns a map"),
        (lambda: panels.growth(Uncopied(3, 1, 3), IMAGES), "Uncopied cannot be copied.*one of a kind"),
        (
            lambda: panels.effective_field(conv_stack(3, 2), IMAGES, layers=["x"]),
            "ConvStack has no part 'x' .* there are 0, 1, 2, output",
        ),
        (lambda: panels.receptive_field(conv_stack(3, 2), IMAGES, positions=0), "positions must be"),
        (lambda: panels.receptive_field(conv_stack(3, 2), IMAGES, shares=[2]).frame(), "share must lie"),
        (
            lambda: panels.effective_field(conv_stack(3, 2), IMAGES, scores=["x"]).frame(),
            "score must be one of",
        ),
        (lambda: panels.cost(conv_stack(3, 2), (3, 8)), "input_shape must be"),
        (
            lambda: panels.effective_map(np.ones(3)),
            r"each array must be finite and \[height, width\], but shape",
        ),
        (lambda: panels.pictures({"a": [[np.nan]]}), "but NaN or infinity came"),
        (lambda: panels.pictures({}), "at least one array"),
    ],
)
def test_a_slip_is_one_sentence(call, sentence):
    with pytest.raises(WorkbenchError, match=sentence) as slip:
        call()
    assert "\n" not in str(slip.value)


def test_importing_panels_loads_nothing_heavy():
    program = (
        "import sys; from workbench_widgets import panels; print({'torch', 'plotly'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
