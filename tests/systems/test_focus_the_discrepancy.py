"""Features, network and scores against independent truths; the claims in the smoke budget."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.signal import correlate2d
from sklearn.neighbors import NearestNeighbors

from workbench.errors import WorkbenchError
from workbench.systems.attention_shapes.focus_the_discrepancy import (
    BLUR,
    SYSTEM,
    FocusTheDiscrepancy,
    boards,
    features,
    gabor,
    image_scores,
    judged,
    lost_link,
    misfit,
    nearest_patch,
    objective,
    off_the_reference,
    painted,
    places,
    rebuilding,
    told,
)


@pytest.mark.parametrize("wavelength", [4.0, 8.0])
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_gabor_filters_are_flat_blind_and_find_their_own_wave(wavelength, angle):
    even, odd = gabor(wavelength, angle)
    for wave in (even, odd):
        assert wave.sum().item() == pytest.approx(0, abs=1e-5)
        assert wave.square().sum().item() == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(even, even.flip(0, 1))
    torch.testing.assert_close(odd, -odd.flip(0, 1))
    y, x = np.mgrid[-40:41, -40:41]
    power = []
    for length, turn in ((wavelength, angle), (wavelength, angle + np.pi / 2), (3 * wavelength, angle)):
        picture = np.cos(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / length)
        power.append(sum(correlate2d(picture, wave, "valid").var() for wave in (even.numpy(), odd.numpy())))
    assert power[0] > 15 * max(power[1:])


def test_features_of_a_flat_image_are_its_brightness_less_at_the_border():
    for level, side in ((0, 6), (1, 3)):
        found = features(torch.full((2, 1, 48, 48), 0.6), level)
        assert found.shape == (2, 33, side, side)
        assert found[:, 1:].abs().max() < 1e-5
        torch.testing.assert_close(found[:, 0, 1:-1, 1:-1], torch.full((2, side - 2, side - 2), 0.6))
        assert found[0, 0, 0, 0].item() == pytest.approx(0.6 * 4 / 9)


def test_features_of_a_shifted_image_are_shifted_inside():
    image = torch.rand(1, 1, 96, 96)
    here, there = features(image, 0), features(image.roll((8, 16), (2, 3)), 0)
    torch.testing.assert_close(here[:, :, 4:-5, 4:-6], there[:, :, 5:-4, 6:-4], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("grid", [(1, 1), (3, 5), (12, 12)])
def test_places_are_all_different(grid):
    waves = places(16, *grid).flatten(1)
    assert waves.shape == (16, grid[0] * grid[1])
    apart = torch.cdist(waves.T, waves.T) + 9 * torch.eye(waves.shape[1])
    assert apart.min() > 0.5


@pytest.mark.parametrize("grid", [(1, 1), (2, 5), (4, 4)])
def test_the_network_takes_any_grid_and_layout(grid):
    net = FocusTheDiscrepancy(torch.randn(7, *grid), width=8, heads=2, layers=2).eval()
    X = torch.randn(3, 7, *grid[::-1]).transpose(2, 3)
    output, again = net(X), net(X.contiguous())
    assert output.rebuilt.shape == X.shape
    assert all(part.shape == (3, *grid) for part in told(output))
    torch.testing.assert_close(output, again)
    torch.testing.assert_close(net(X[:1]).rebuilt, output.rebuilt[:1])  # images do not mix


def test_each_part_of_the_loss_reaches_what_it_should():
    """The baseline has no second attention; widths learn from the game alone, not from rebuilding."""
    X = torch.randn(2, 5, 3, 3)
    net = FocusTheDiscrepancy(torch.randn(5, 3, 3), width=8, heads=2, layers=1)
    layer = net.layers[0]
    (2 * misfit(net(X).rebuilt, X).mean()).backward()
    assert layer.within.spread.weight.grad is None
    assert layer.across.ask.weight.grad.abs().max() > 0
    net.zero_grad()
    objective(net(X), X).backward()
    for part in (layer.within, layer.across):
        assert part.spread.weight.grad.abs().max() > 0
    widths = [layer.within.spread.weight.grad.clone(), layer.across.spread.weight.grad.clone()]
    net.zero_grad()
    objective(net(X), X, entropy=0.0).backward()  # entropies know nothing of the targets
    torch.testing.assert_close(widths[0], layer.within.spread.weight.grad)
    torch.testing.assert_close(widths[1], layer.across.spread.weight.grad)
    plain = FocusTheDiscrepancy(torch.randn(5, 3, 3), width=8, heads=2, layers=1, difference=False)
    rebuilding(plain(X), X).backward()
    with pytest.raises(WorkbenchError, match="without a reference"):
        told(plain(X))


def test_a_shuffled_reference_stands_in_the_same_order_when_nothing_is_learnt():
    torch.manual_seed(0)
    reference, X = torch.randn(5, 4, 4), torch.randn(2, 5, 4, 4)
    net = FocusTheDiscrepancy(reference, width=8, heads=2, layers=1, shuffled=True)
    assert not torch.equal(told(net(X)).inter, told(net(X)).inter)
    net.eval()
    torch.testing.assert_close(told(net(X)).inter, told(net(X)).inter)
    straight = FocusTheDiscrepancy(reference, width=8, heads=2, layers=1).eval()
    straight.load_state_dict(net.state_dict())
    torch.testing.assert_close(net(X).rebuilt, straight(X).rebuilt, rtol=1e-4, atol=1e-5)  # a set is a set
    assert not torch.allclose(told(net(X)).inter, told(straight(X)).inter)


def test_the_lost_link_of_an_image_does_not_depend_on_other_images():
    inter = 3 * torch.rand(5, 4, 3)
    all_, alone = lost_link(inter), torch.cat([lost_link(one[None]) for one in inter])
    torch.testing.assert_close(all_, alone)
    flat = np.exp(-inter.flatten(1).double().numpy())
    flat /= flat.sum(1, keepdims=True)
    np.testing.assert_allclose(all_.flatten(1), flat.max(1, keepdims=True) - flat, atol=1e-7)
    assert (all_.flatten(1).amin(1) == 0).all()


def test_misfit_in_numbers():
    X, rebuilt = torch.tensor([[[[3.0]], [[4.0]]]]), torch.tensor([[[[4.0]], [[-3.0]]]])
    assert misfit(rebuilt, X).item() == pytest.approx((1 + 49) / 2 + 1)
    assert misfit(X, X).item() == pytest.approx(0)


def test_image_scores_blur_each_image_alone():
    maps = np.random.default_rng(0).random((3, 96, 96)).astype(np.float32)
    expected = [gaussian_filter(one, BLUR * 96).max() for one in maps]
    np.testing.assert_allclose(image_scores(maps), expected, rtol=1e-5)


def test_painted_scores_are_means_of_levels_and_keep_corners():
    fine, coarse = torch.rand(2, 4, 4), torch.rand(2, 2, 2)
    maps = painted([fine, coarse], 16)
    assert maps.shape == (2, 16, 16)
    np.testing.assert_allclose(maps[:, 0, 0], (fine[:, 0, 0] + coarse[:, 0, 0]) / 2, rtol=1e-6)


def test_areas_of_a_perfect_and_of_a_blind_score():
    data = boards(3, "smoke")
    size = data.masks.shape[-1]
    truth = torch.from_numpy(data.masks).float()
    perfect = judged([truth, truth], data)
    assert perfect.pixels == perfect.images == 1
    blind = judged([torch.ones(len(truth), size, size)] * 2, data)
    assert blind.pixels == blind.images == 0.5
    assert set(perfect.defects) == {"missing", "swapped", "scratched"}


def test_nearest_patches_are_those_of_scikit_learn():
    known, asked = torch.randn(4, 6, 3, 3), torch.randn(5, 6, 3, 3)
    bank, wanted = (x.movedim(1, -1).reshape(-1, 6).numpy() for x in (known, asked))
    far, _ = NearestNeighbors(n_neighbors=1).fit(bank).kneighbors(wanted)
    np.testing.assert_allclose(nearest_patch(known, asked), far.reshape(5, 3, 3), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(nearest_patch(known, known), torch.zeros(4, 3, 3), atol=2e-3, rtol=0)
    torch.testing.assert_close(off_the_reference(known, asked)[0], misfit(known.mean(0)[None], asked[:1])[0])


def test_boards_to_choose_on_share_no_image_with_those_to_test_on():
    choose, test = boards(0, "smoke", "train"), boards(0, "smoke")
    np.testing.assert_array_equal(choose.known[0], test.known[0])
    assert not {one.tobytes() for one in choose.images} & {one.tobytes() for one in test.images}
    for level in range(2):
        for axis in ((0, 2, 3),):
            torch.testing.assert_close(test.known[level].mean(axis), torch.zeros(33), atol=1e-4, rtol=0)


@pytest.mark.parametrize("claim", [claim for claim in SYSTEM.claims if claim.measure], ids=lambda c: c.id)
def test_every_claim_and_control_in_the_smoke_budget(claim, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))
    for measure in (claim.measure, claim.control):
        assert np.isfinite(float(getattr(found := measure(0, "smoke"), "value", found)))
