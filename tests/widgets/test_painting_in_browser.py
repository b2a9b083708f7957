"""What the page's script mixes on a canvas is what `Painting.rgb` mixes, to the byte."""

import json
from importlib.resources import files

import numpy as np
import pytest
from workbench_widgets.frames import frame_of

from tests.browser_support import chromium, complaints
from workbench import views

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("channels", [1, 3])
def test_the_canvas_shows_the_painting(tmp_path, channels):
    random = np.random.default_rng(channels)
    photograph = random.random((40, 48, channels)).squeeze()
    painting = views.painted_field(photograph, ((10, 24), (12, 47)), random.random((40, 48)) ** 8)
    script = (files("workbench_widgets") / "static" / "explorer.js").read_text("utf-8")
    page = tmp_path / "page.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><div id="box"></div><script>{script}</script>', "utf-8"
    )
    (part,) = frame_of(painting)
    draw = f"""drawPart(box, {json.dumps(part)}, {{}});
        const canvas = box.querySelector('canvas');
        return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"""
    with chromium() as driver:
        driver.get(page.as_uri())
        drawn = np.reshape(driver.execute_script(draw), (40, 48, 4))
        assert complaints(driver) == []
    np.testing.assert_array_equal(drawn[..., :3], painting.rgb)
    assert (drawn[..., 3] == 255).all()
