"""Resizing: images on another grid of pixels. Pixel i covers i to i + 1; its value belongs to its centre."""

import numpy as np

from workbench.judge.tasks.model import EVERY, Array, KernelTask, Law


def nearest(x, high, wide):
    rows = np.arange(high) * x.shape[1] // high
    columns = np.arange(wide) * x.shape[2] // wide
    return x[:, rows][:, :, columns]


def bilinear(x, high, wide):
    y = np.maximum((np.arange(high) + 0.5) * x.shape[1] / high - 0.5, 0.0)
    z = np.maximum((np.arange(wide) + 0.5) * x.shape[2] / wide - 0.5, 0.0)
    top, left = np.floor(y).astype(np.int64), np.floor(z).astype(np.int64)
    below, right = np.minimum(top + 1, x.shape[1] - 1), np.minimum(left + 1, x.shape[2] - 1)
    down, over = (y - top)[:, None], z - left
    upper = x[:, top][:, :, left] * (1.0 - over) + x[:, top][:, :, right] * over
    lower = x[:, below][:, :, left] * (1.0 - over) + x[:, below][:, :, right] * over
    return upper * (1.0 - down) + lower * down


def affine_sample(x, theta):
    high, wide = x.shape[1], x.shape[2]
    v = (2.0 * np.arange(high) + 1.0) / high - 1.0
    u = (2.0 * np.arange(wide) + 1.0) / wide - 1.0
    across = (
        theta[:, 0, 0, None, None] * u + theta[:, 0, 1, None, None] * v[:, None] + theta[:, 0, 2, None, None]
    )
    along = (
        theta[:, 1, 0, None, None] * u + theta[:, 1, 1, None, None] * v[:, None] + theta[:, 1, 2, None, None]
    )
    column, row = ((across + 1.0) * wide - 1.0) / 2.0, ((along + 1.0) * high - 1.0) / 2.0
    left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    out = np.zeros(x.shape, x.dtype)
    image = np.arange(x.shape[0])[:, None, None]
    for i in range(2):
        for j in range(2):
            weight = np.abs(row - top - 1.0 + i) * np.abs(column - left - 1.0 + j)
            inside = (top + i >= 0) & (top + i < high) & (left + j >= 0) & (left + j < wide)
            pixel = x[image, np.clip(top + i, 0, high - 1), np.clip(left + j, 0, wide - 1)]
            out += np.where(inside, weight * pixel, 0.0)
    return out


def turns(rng, shape, sizes):
    """A rotation, a scale and a shift for every image."""
    angle, scale = rng.uniform(-np.pi, np.pi, shape[0]), rng.uniform(0.6, 1.4, shape[0])
    c, s, shift = scale * np.cos(angle), scale * np.sin(angle), rng.uniform(-0.4, 0.4, (2, shape[0]))
    return np.stack([np.stack([c, -s, shift[0]], -1), np.stack([s, c, shift[1]], -1)], 1)


SHAPES = (
    {"n": 1, "h": 1, "w": 1},
    {"n": 1, "h": 5, "w": 1},
    {"n": 2, "h": 7, "w": 3},
    {"n": 3, "h": 8, "w": 10},
)
LARGE = {"n": 32, "h": 64, "w": 64}
SETTINGS = ({"high": 10, "wide": 14}, {"high": 3, "wide": 5}, {"high": 7, "wide": 1})
UNCHANGED = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

TASKS = (
    KernelTask(
        name="nearest",
        category="resize",
        statement="The images x [n, h, w] on a grid of high x wide pixels: row i of the result is row i h "
        "// high of x, and columns go by the same rule.",
        reference=nearest,
        arrays={"x": Array("n h w")},
        out=lambda n, h, w, high, wide: [(n, high, wide)],
        shapes=SHAPES,
        large=LARGE,
        settings=SETTINGS,
        profiles=EVERY,
        operations=lambda n, h, w, high, wide: 0,
        laws=[Law("the same grid changes nothing", lambda f, x, high, wide: (f(x, *x.shape[1:]), x))],
    ),
    KernelTask(
        name="bilinear",
        category="resize",
        statement="The images x [n, h, w] on a grid of high x wide pixels, between the four nearest centres "
        "of pixels by their distance; a centre outside takes the nearest edge.",
        reference=bilinear,
        arrays={"x": Array("n h w")},
        out=lambda n, h, w, high, wide: [(n, high, wide)],
        shapes=SHAPES,
        large=LARGE,
        settings=SETTINGS,
        operations=lambda n, h, w, high, wide: 9 * n * high * wide + 5 * (high + wide),
        laws=[
            Law("the same grid changes nothing", lambda f, x, high, wide: (f(x, *x.shape[1:]), x)),
            Law(
                "a constant stays",
                lambda f, x, high, wide: (f(0 * x + 2.5, high, wide), 2.5 + 0 * f(x, high, wide)),
            ),
        ],
    ),
    KernelTask(
        name="affine-sample",
        category="resize",
        statement="The images x [n, h, w] seen through the affine maps theta [n, 2, 3]. With centres of "
        "pixels between -1 and 1 (u across, v down), pixel (u, v) of the result is x at theta (u, v, 1), "
        "between the four nearest centres by their distance; pixels outside are zero.",
        reference=affine_sample,
        arrays={"x": Array("n h w"), "theta": Array("n 2 3", turns)},
        out="n h w",
        shapes=SHAPES,
        large=LARGE,
        operations=lambda n, h, w: 38 * n * h * w,
        laws=[
            Law(
                "the map that moves nothing changes nothing",
                lambda f, x, theta: (f(x, np.broadcast_to(UNCHANGED, theta.shape).copy()), x),
            )
        ],
    ),
)
