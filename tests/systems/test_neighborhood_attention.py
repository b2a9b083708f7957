"""The work, the ways to do it, and claims that can fail."""

import numpy as np
import pytest

from workbench.claims import run_claim
from workbench.claims.verdicts import AtLeast
from workbench.errors import WorkbenchError
from workbench.kernels import Neighborhood
from workbench.systems.attention_cost import neighborhood_attention as na

TIMED = [claim.id for claim in na.SYSTEM.claims if claim.provenance == "measured" and not claim.needs]


@pytest.fixture(autouse=True, scope="module")
def folders(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BUILD", "HOME"):
            patch.setenv(f"WORKBENCH_{name}", str(tmp_path_factory.mktemp(name.lower())))
        patch.setenv("WORKBENCH_LEDGER", str(tmp_path_factory.mktemp("ledger") / "ledger.sqlite"))
        yield


def test_tokens_are_patches_of_the_picture():
    Q, K, V = na.tokens_of(16, 8, 32, seed=3)
    assert Q.shape == K.shape == V.shape == (16, 16, 32)
    assert Q.dtype == np.float32
    assert 0.5 < Q.std() < 2
    again = na.tokens_of(16, 8, 32, seed=3)
    np.testing.assert_array_equal(again[2], V)
    assert abs(na.tokens_of(16, 8, 32, seed=4)[0] - Q).max() > 0.1
    with pytest.raises(WorkbenchError, match="too few for 65 x 8 a side"):
        na.tokens_of(65, 8, 4, seed=0)


@pytest.mark.parametrize("work", [na.Work.plane(17, 5, d=12), na.Work.line(9, 6, d=7)], ids=["plane", "line"])
def test_all_ways_give_what_masked_attention_gives(work):
    flat = [a.reshape(-1, a.shape[-1]) for a in (work.Q, work.K, work.V)]
    exact = na.masked(*flat, work.geometry.mask())
    for method in ("naive", "rows", "gemm", "fused"):
        np.testing.assert_allclose(work.run(method)(), exact, rtol=0, atol=4e-6)
    np.testing.assert_allclose(work.run("fused", 4)(), exact, rtol=0, atol=4e-6)
    everything = na.masked(*flat, np.ones((len(exact), len(exact)), bool))
    np.testing.assert_allclose(work.run("dense")(), everything, rtol=0, atol=4e-6)
    with pytest.raises(WorkbenchError, match="method must be dense, naive, rows, gemm, fused"):
        work.run("quick")


def test_the_control_of_exactness_differs_at_borders_alone():
    geometry = Neighborhood.of((11, 9), (5, 4), (2, 1), (False, True))
    moved, shrunk = geometry.mask(), na.shrunk(geometry)
    different = (moved != shrunk).any(1).reshape(11, 9)
    assert different.any()
    assert not different[4:7].any()
    causal = Neighborhood.of((9,), 4, causal=True)
    np.testing.assert_array_equal(causal.mask(), na.shrunk(causal))


def test_threads_of_torch_come_back():
    import torch

    before = torch.get_num_threads()
    with na.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_exactness_holds_and_its_control_fails():
    claim = na.SYSTEM.claim("same-attention")
    assert claim.measure(0, "smoke") <= 1e-6
    assert claim.control(0, "smoke") > 0.1


@pytest.mark.slow
def test_bytes_of_weights_are_the_closed_form():
    record = run_claim(na.SYSTEM, "bytes-of-weights", "smoke")
    assert record.value == 0


@pytest.mark.parametrize("id", TIMED)
def test_timed_claims_and_controls_execute(id):
    claim = na.SYSTEM.claim(id)
    assert isinstance(claim.bar, AtLeast)
    for run in (claim.measure, claim.control):
        found = run(0, "smoke")
        assert found.value > 0
        assert found.system > 0
        assert found.baseline > 0


def test_every_claim_says_who_says_it():
    assert na.SYSTEM.key == "neighborhood-attention"
    assert all(claim.paper for claim in na.SYSTEM.claims)
    assert na.SYSTEM.claim("half-precision").needs == "hardware"
    assert len(na.SYSTEM.deviations) >= 5
