"""The survey of mixers: how it is made, and what was recorded."""

import numpy as np
import pytest
from workbench_datasets import load, region_ideal

from workbench.errors import WorkbenchError
from workbench.layers import mixer, reached, visible
from workbench.train import MIXER_ARMS, Recipe, mixer_arm, mixer_survey
from workbench.train.mixer_survey import DEPTH, MAPS, RATES, SEEDS, SIDE, WIDTH


def test_a_small_survey_has_an_error_for_each_mixer_seed_and_side():
    names, maps = ("nothing", "raft"), {8: 4, 16: 2}
    found = mixer_survey(Recipe(steps=2), (1e-3, 4e-3), (0, 1), maps, names=names, images=80)
    assert found["mixers"] == ["nothing", "raft"]
    assert set(found["rates"]) <= {1e-3, 4e-3}
    errors = np.array(found["errors"], float)
    assert errors.shape == (2, 2, 2)
    assert (errors[0] > 0).all()
    assert np.isfinite(errors[1, :, 0]).all()
    assert np.isnan(errors[1, :, 1]).all()  # a raft has one weight for each pair of places


def test_an_unknown_arm_is_named():
    with pytest.raises(WorkbenchError, match="no arm of the survey is called 'fool'; there are full"):
        mixer_arm("fool")


def test_the_record_is_of_these_arms():
    record = load("mixer-survey")
    assert record["mixers"] == tuple(MIXER_ARMS)
    assert list(record["seeds"]) == list(SEEDS)
    assert dict(zip(record["sides"].tolist(), record["maps"].tolist(), strict=True)) == MAPS
    assert set(record["rates"]) <= set(RATES)


@pytest.mark.parametrize("name", MIXER_ARMS)
def test_nobody_is_recorded_below_the_floor_of_what_it_sees(name):
    """By more than luck: one and the same set of test maps is finite."""
    record = load("mixer-survey")
    kind, options = MIXER_ARMS[name]
    labels = load("scattered-regions", images=MAPS[SIDE], part="test")["labels"]
    sees = reached(visible(mixer(kind, WIDTH, SIDE, **options), SIDE, SIDE), DEPTH)
    floor = region_ideal(sees, labels).mean()
    errors = record["errors"][record["mixers"].index(name), :, 0]
    assert errors.mean() > 0.97 * floor
