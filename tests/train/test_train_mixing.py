"""Networks that differ in the mixer, at one price."""

import pytest

from workbench.errors import WorkbenchError
from workbench.layers import MIXERS, mixer_network
from workbench.probes import cost
from workbench.train import equal_mixer_network

OPTIONS = {"mlp": {"expansion": 0.25}}  # its weights are for pairs of places, whatever the width


@pytest.mark.parametrize("kind", MIXERS)
def test_equal_parameters(kind):
    full = mixer_network("full", 8, width=32)
    same = equal_mixer_network(kind, full, 8, **OPTIONS.get(kind, {}))
    have, wanted = (sum(p.numel() for p in net.parameters()) for net in (same, full))
    assert abs(have / wanted - 1) <= 0.15
    assert same.width % 4 == 0


@pytest.mark.parametrize("kind", ["window", "mlp", "convolution"])
def test_equal_flops_on_a_map_that_is_no_square(kind):
    full = mixer_network("full", (8, 12), width=32)
    same = equal_mixer_network(kind, full, (8, 12), by="flops")
    have, wanted = (cost(net, (1, 4, 8, 12)).flops.value for net in (same, full))
    assert have / wanted - 1 == pytest.approx(same.match.difference)
    assert abs(have / wanted - 1) <= 0.15


def test_what_cannot_be_made_equal_is_said():
    with pytest.raises(WorkbenchError, match="no width in 4 … 128 comes within 15%"):
        equal_mixer_network("mlp", mixer_network("full", 8), 8)
    with pytest.raises(WorkbenchError, match="does not take"):
        equal_mixer_network("full", 1e4, 8, colour=1)
