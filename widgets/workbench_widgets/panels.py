"""The package's views as Explorers over a reader's own torch model or arrays, in one line each.

>>> from workbench_widgets import panels
>>> panels.receptive_field(model, images)

A panel shows the model as it is when the panel is made: it looks at a copy, so that training goes on
undisturbed, and a state of the knobs always shows the same. Gradients are taken when a knob asks for them.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench import probes, views
from workbench.errors import WorkbenchError

from .explorer import Explorer, explore
from .frames import Picture
from .knobs import linked

if TYPE_CHECKING:  # importing this module loads nothing heavy
    from plotly.graph_objects import Figure
    from torch import Tensor, nn

    from workbench.probes import Cost, EffectiveField
    from workbench.views import Painting, Series

SHARES = (0.5, 0.75, 0.9, 0.99)
SCORES = ("absolute", "squared")
MEASURES = {"multiply-adds": "macs", "flops": "flops", "bytes moved": "bytes", "parameters": "parameters"}
MOST_LAYERS, MOST_POINTS, MOST_BARS, MOST_HEADS = 4, 8, 12, 4  # unless the reader names the layers
RESAMPLES = 60  # of the images, for an interval
DARK = "Nothing moves this output: its gradient is zero everywhere."


# Panels of a model ----------------------------------------------------------------------------


def receptive_field(
    model: "nn.Module",
    images: "Tensor | ArrayLike",
    *,
    layers: Sequence[str] | None = None,
    positions: int = 3,
    shares: Sequence[float] = (0.5, 0.9),
    photograph: ArrayLike | None = None,
    rules: Mapping[Any, Any] | None = None,
    title: str | None = None,
) -> Explorer:
    """What one output sees, painted on a photograph. Knobs: layer, row and column of the output, share.

    images: [images, channels, height, width], as the model takes them. layers: names of parts that return
        maps, "output" for what the model returns; default up to four along the way.
    positions: how many rows and columns are offered, from edge to edge.
    shares: of the gradient, for the smaller square.
    photograph: what is painted on, [height, width] or [height, width, 3] in [0, 1]; default the first image,
        stretched to that range. rules: as for `probes.receptive_field`, for parts that it cannot follow.

    Where the model cannot be traced only the effective field is shown, and the caption says why.
    """
    from .seen import Seen

    if not isinstance(positions, int) or positions < 1:
        raise WorkbenchError(f"positions must be a whole number from 1, but {positions!r} came")
    seen = Seen(model, images, layers, rules, MOST_LAYERS)
    below = seen.first_image() if photograph is None else np.asarray(photograph, dtype=float)
    rows = {name: _places(height, positions) for name, (height, _) in seen.sizes.items()}
    columns = {name: _places(width, positions) for name, (_, width) in seen.sizes.items()}
    last = seen.names[-1]

    def receptive_field(
        layer: str = last,
        row: int = _middle(rows[last]),
        column: int = _middle(columns[last]),
        share: float = shares[0],
    ) -> "Painting":
        at = (row, column)
        field = seen.effective(layer, at)
        lit = field if field.map.any() else None
        painting = views.painted_field(below, seen.reach(layer, at), lit, position=at, share=share)
        caption = painting.caption if lit else f"{painting.caption} {DARK}"
        return replace(painting, caption=seen.noted(caption, layer))

    several = len(seen.names) > 1
    return _panel(
        receptive_field,
        title or f"What one output of {seen.kind} sees",
        seen.fingerprint,
        layer=seen.names,
        row=linked("layer", rows.__getitem__) if several else rows[last],
        column=linked("layer", columns.__getitem__) if several else columns[last],
        share=list(shares),
    )


def effective_field(
    model: "nn.Module",
    images: "Tensor | ArrayLike",
    *,
    layers: Sequence[str] | None = None,
    scores: Sequence[str] = SCORES,
    rules: Mapping[Any, Any] | None = None,
    title: str | None = None,
) -> Explorer:
    """Where the gradient of the middle output falls, beside the exact field. Knobs: layer, score.

    images, layers, rules: as for `receptive_field`. scores: what is summed over images and channels, out of
    "absolute", "squared" and "signed" gradients.
    """
    from .seen import Seen

    seen = Seen(model, images, layers, rules, MOST_LAYERS)

    def effective_field(layer: str = seen.names[-1], score: str = scores[0]) -> "Figure":
        field = seen.effective(layer, score=score)
        if not field.map.any():
            return _blank(DARK)
        figure = views.effective_map(field, exact=seen.reach(layer))
        said = figure.layout.meta
        return views.describe(figure, alt=said["alt"], caption=seen.noted(said["caption"], layer))

    return _panel(
        effective_field,
        title or f"Where the gradient of {seen.kind} falls",
        seen.fingerprint,
        layer=seen.names,
        score=list(scores),
    )


def growth(
    model: "nn.Module",
    images: "Tensor | ArrayLike",
    *,
    layers: Sequence[str] | None = None,
    scores: Sequence[str] = SCORES,
    shares: Sequence[float] = SHARES,
    rules: Mapping[Any, Any] | None = None,
    title: str | None = None,
) -> Explorer:
    """How far the middle output of each layer can see and does see. Knobs: share of the gradient, score.

    images, layers, rules: as for `receptive_field`, but with up to eight layers. The exact radius is half
    the longer side of the exact field inside the image. The effective one is that of the square around the
    output's centre that holds the share, with an interval over the images.
    """
    from .seen import Seen

    seen = Seen(model, images, layers, rules, MOST_POINTS)
    places = list(range(1, len(seen.names) + 1))

    def growth(share: float = shares[0], score: str = scores[0]) -> "Figure":
        fields = [seen.effective(name, score=score) for name in seen.names]
        if not all(field.map.any() for field in fields):
            return _blank(DARK)
        series = {f"square with {100 * share:g} % of the gradient": _radii(fields, share)}
        exact = [field for field in map(seen.reach, seen.names) if field]
        if len(exact) == len(places):
            reach = [
                max(last - first for first, last in filter(None, field.interval())) / 2 for field in exact
            ]
            series["exact field"] = views.Series(reach, role="baseline")
        last = [f"{np.asarray(one.values)[-1]:.3g} ({name})" for name, one in series.items()]
        caption = f"Radius at the layer {seen.names[-1]!r}: {' and '.join(last)} pixels."
        caption = seen.noted(caption, *seen.names)
        figure = views.growth(places, series, x_title="layer", caption=caption)
        return figure.update_xaxes(tickvals=places, ticktext=seen.names)

    return _panel(
        growth,
        title or f"How the field of {seen.kind} grows",
        seen.fingerprint,
        share=list(shares),
        score=list(scores),
    )


def _radii(fields: "Sequence[EffectiveField]", share: float) -> "Series":
    """The radius of each field; with several images also its interval."""
    radii = [field.radius(share) for field in fields]
    if len(fields[0].images) == 1:
        return views.Series(radii, role="system", provenance="measured")
    spans = [field.interval(lambda one: one.radius(share), resamples=RESAMPLES) for field in fields]
    low, high = zip(*spans, strict=True)
    return views.Series(radii, low, high, role="system", provenance="measured")


def cost(
    model: "nn.Module",
    input_shape: Sequence[int],
    *,
    widths: Sequence[int] | None = None,
    title: str | None = None,
) -> Explorer:
    """What each part of the model costs, by formula. Knobs: measure, width of the input in pixels.

    input_shape: [batch, channels, one to three sizes]. widths: of the input, the other sizes in proportion;
        default from half to twice the given one, as far as the model takes them.
    """
    from .seen import ONE_AT_A_TIME, opened

    shape = tuple(input_shape)
    with ONE_AT_A_TIME:
        given = probes.cost(model, shape)
        costs = {shape[-1]: given}
        for width in widths or (shape[-1] * factor // 2 for factor in (1, 3, 4)):
            try:
                costs[width] = probes.cost(model, _scaled(shape, width))
            except WorkbenchError:
                if widths:
                    raise
    way, kind = opened(model), type(model).__name__

    def cost(measure: str = next(iter(MEASURES)), input_width: int = shape[-1]) -> "Figure":
        total, what = costs[input_width], MEASURES[measure]
        unit = "B" if what == "bytes" else ""
        amount = f"{views.short(getattr(total, what).value, unit)} {'' if unit else measure}".strip()
        size = " × ".join(map(str, _scaled(shape, input_width)))
        caption = f"{kind} takes {amount} for an input of {size}."
        if total.unpriced:
            caption += f" Without a formula of their own: {', '.join(total.unpriced)}."
        return views.cost_bars(_parts(total, way, what), measures=(what,), caption=caption)

    return _panel(
        cost,
        title or f"What the parts of {kind} cost",
        f"{model}{shape}".encode(),
        measure=list(MEASURES),
        input_width=sorted(costs),
    )


def _scaled(shape: Sequence[int], width: int) -> tuple[int, ...]:
    """The shape with its last size set to `width` and the other sizes in proportion."""
    return (*shape[:2], *(round(size * width / shape[-1]) for size in shape[2:]))


def _parts(total: "Cost", way: str, what: str) -> "dict[str, Cost]":
    """Costs of the outermost parts, `way` being what their names begin with; the small ones in one sum.

    What the containers do themselves stands under "itself".
    """
    layers: dict[str, list[Any]] = {}
    for layer in total.layers:
        inside = layer.name.removeprefix(way) if layer.name.startswith(way) else ""
        layers.setdefault(inside.split(".")[0] or "itself", []).append(layer)
    sums = {name: sum(getattr(layer, what) for layer in some) for name, some in layers.items()}
    names = [name for name in layers if sums[name]]
    if len(names) > MOST_BARS:
        small = sorted(names, key=lambda name: sums[name])[: len(names) - MOST_BARS + 1]
        names = [name for name in names if name not in small]
        layers[f"{len(small)} others"] = [layer for name in small for layer in layers[name]]
        names.append(f"{len(small)} others")
    return {name: _sum_of(total, layers[name]) for name in names or ["itself"]}


def _sum_of(total: "Cost", layers: Sequence[Any]) -> "Cost":
    sums = {
        what: replace(getattr(total, what), value=sum(getattr(layer, what) for layer in layers))
        for what in MEASURES.values()
    }
    return replace(total, **sums, layers=tuple(layers), unpriced=())


def attention(
    model: "nn.Module",
    *inputs: Any,
    words: Sequence[str] | None = None,
    image: ArrayLike | None = None,
    layers: Sequence[str] | None = None,
    heads: Sequence[int] | None = None,
    queries: Sequence[int] | None = None,
    places: Mapping[str, ArrayLike] | None = None,
    title: str | None = None,
) -> Explorer:
    """What one query looks at, in one head of one layer. Knobs: layer, head, query.

    inputs: as the model takes them; the first example of the batch is shown. Fused, windowed and other
    attention is seen as `probes.attention` sees it. A model without any shows the derivatives of its parts,
    up to 16 channels of their outputs as heads, and the caption says so.
    words: one for each key, then the row is shown on them. image: [height, width] or [height, width, 3] in
        [0, 1], of which the keys are square patches; default the first input if it is an image. Otherwise
        the row is a line over the keys.
    layers: names of parts that attend; default up to four. heads, queries: numbers; default up to four
        heads, and up to nine queries, evenly spread.
    places: of parts that attend inside windows, which token stands where, as `probes.window_places` says;
        without them only the first window is shown, and the caption says so.
    """
    from .looking import Looking

    looking = Looking(model, inputs, layers, MOST_LAYERS, places)
    below = looking.image() if image is None else np.asarray(image, dtype=float)
    sizes = {name: map.shape for name, map in looking.maps.items()}
    which = {name: _offered(heads, shape[1], MOST_HEADS, "heads") for name, shape in sizes.items()}
    asked = {name: _offered(queries, shape[2], 9, "queries") for name, shape in sizes.items()}
    last = list(sizes)[-1]

    def attention(layer: str = last, head: int = which[last][0], query: int = _middle(asked[last])) -> Any:
        row, map = looking.row(layer, head, query), looking.maps[layer]
        signed = map.signed
        if words is not None and len(words) == len(row):
            shown: Any = views.attention_words(words, row, query, signed=signed)
        elif below is not None and (place := looking.grid(layer, below)):
            grid, skip = place
            own = query - skip if map.shape[2] == map.shape[3] and query >= skip else None
            painting = views.painted_attention(below, row[skip:], own, grid=grid, signed=signed)
            return replace(painting, caption=f"{painting.caption} {looking.note(layer)}".strip())
        else:
            shown = views.attention_row(row, query if query < len(row) else None, signed=signed)
        said = shown.layout.meta
        caption = f"{said['caption']} {looking.note(layer)}".strip()
        return views.describe(shown, alt=said["alt"], caption=caption)

    several = len(sizes) > 1
    return _panel(
        attention,
        title or f"Where the heads of {looking.kind} look",
        looking.fingerprint,
        layer=list(sizes),
        head=linked("layer", which.__getitem__) if several else which[last],
        query=linked("layer", asked.__getitem__) if several else asked[last],
    )


def _offered(chosen: Sequence[int] | None, count: int, most: int, what: str) -> list[int]:
    """The numbers that the reader has chosen, or up to `most` that are evenly spread."""
    if chosen is None:
        return _places(count, min(most, count)) if count > 1 else [0]
    if wrong := [number for number in chosen if not 0 <= number < count]:
        raise WorkbenchError(f"{what} must lie in 0 to {count - 1}, but {wrong[0]} came")
    return list(chosen)


def filters(model: "nn.Module", *, layers: Sequence[str] | None = None, title: str | None = None) -> Explorer:
    """What the filters of a model look like. Knobs: which filters, what is shown of them.

    All filters of one size come first, then those of single layers: `layers` by name, default up to eight
    along the way. Shown are their patterns, their spectrum, or their directions.
    """
    found = probes.filters(model)
    sizes = {k: " × ".join(map(str, k)) for k in found.sizes if np.prod(k) > 1 and len(k) < 3}
    groups = {f"all of {words}": found.of_size(*k).stack() for k, words in sizes.items()}
    if not groups:
        raise WorkbenchError(
            f"{type(model).__name__} has no convolution in one or two dimensions with a kernel larger than 1"
        )
    able = [layer.name for layer in found if layer.k in sizes]
    some = np.linspace(0, len(able) - 1, min(len(able), MOST_POINTS)).round().astype(int)
    for name in layers or [able[i] for i in some]:
        groups[name or "the layer"] = found[name].filters
    drawn: dict[str, Callable[[Any], Figure]] = {
        "patterns": lambda those: views.eigenfilters(probes.components(those)),
        "spectrum": lambda those: views.power_spectra(probes.spectrum(those)),
        "directions": lambda those: views.orientation_rose(probes.orientations(those)),
    }

    def filters(which: str = next(iter(groups)), show: str = "patterns") -> "Figure":
        try:
            return drawn[show](groups[which])
        except WorkbenchError as error:  # of lines there are no directions, of zeros there is nothing
            return _blank(f"{str(error)[:1].upper()}{str(error)[1:]}.")

    return _panel(
        filters,
        title or f"What the filters of {type(model).__name__} look like",
        b"".join(those.tobytes() for those in groups.values()),
        which=list(groups),
        show=list(drawn),
    )


# Panels of arrays -----------------------------------------------------------------------------


def effective_map(
    maps: ArrayLike | Mapping[Any, ArrayLike],
    *,
    shares: Sequence[float] = SHARES,
    title: str = "Where the mass of a map lies",
) -> Explorer:
    """Maps of magnitudes with their moments and the square that holds a share. Knobs: map, share.

    maps: one [height, width], several [maps, height, width], or by name.
    """
    named = _named(maps)

    def effective_map(map: str | int = next(iter(named)), share: float = shares[0]) -> "Figure":
        return views.effective_map(named[map], share=share)

    fingerprint = b"".join(one.tobytes() for one in named.values())
    return _panel(effective_map, title, fingerprint, map=list(named), share=list(shares))


def pictures(
    arrays: ArrayLike | Mapping[Any, ArrayLike], *, scale: int | None = None, title: str = "Pictures"
) -> Explorer:
    """Arrays as pictures on a canvas. Knobs: which one, and whether all share one range of values.

    arrays: one [height, width], several [arrays, height, width], or by name. Magnitudes are drawn in
        cividis, values of both signs in blue and red with zero in the middle.
    scale: the side of one pixel on the screen, default about 320 pixels for the longer side.
    """
    named = _named(arrays)
    signed = any((values < 0).any() for values in named.values())

    def pictures(picture: str | int = next(iter(named)), common_range: bool = True) -> Picture:
        values = named[picture]
        group = list(named.values()) if common_range else [values]
        high = max(np.abs(one).max() for one in group)
        low = -high if signed else min(one.min() for one in group)
        height, width = values.shape
        return Picture(
            _coloured((values - low) / ((high - low) or 1), signed),
            alt=f"Picture {picture} of {height} by {width} pixels, values from {values.min():.3g} "
            f"to {values.max():.3g}, mean {values.mean():.3g}.",
            caption=f"The colours run from {low:.3g} to {high:.3g}.",
            scale=scale or max(1, 320 // max(height, width)),
        )

    fingerprint = b"".join(one.tobytes() for one in named.values())
    return _panel(pictures, title, fingerprint, picture=list(named), common_range=bool)


def _named(arrays: ArrayLike | Mapping[Any, ArrayLike]) -> dict[Any, NDArray[np.float64]]:
    """Arrays [height, width] by name; numbered from 1 where they have none."""
    if not isinstance(arrays, Mapping):
        several = np.array(arrays, dtype=float)
        arrays = dict(enumerate(several[None] if several.ndim == 2 else several, start=1))
    named = {name: np.array(one, dtype=float) for name, one in arrays.items()}
    if not named:
        raise WorkbenchError("expected at least one array, but none came")
    for one in named.values():
        if one.ndim != 2 or not one.size or not np.isfinite(one).all():
            came = f"shape {list(one.shape)}" if one.ndim != 2 or not one.size else "NaN or infinity"
            raise WorkbenchError(f"each array must be finite and [height, width], but {came} came")
    return named


def _coloured(place: NDArray[np.float64], signed: bool) -> NDArray[np.uint8]:
    """Places from 0 to 1 on a colour scale as pixels [height, width, 3]."""
    from plotly.colors import get_colorscale, sample_colorscale

    scale = views.DIVERGING if signed else get_colorscale("Cividis")
    steps = np.linspace(0, 1, 255)  # an odd number: one lies in the middle
    table = 255 * np.array(sample_colorscale(scale, steps, colortype="tuple"))
    return np.rint(table[np.rint(254 * place).astype(int)]).astype(np.uint8)


# Small helpers --------------------------------------------------------------------------------


def _panel(function: Callable[..., Any], title: str, fingerprint: bytes, **knobs: Any) -> Explorer:
    """An Explorer with those knobs that have something to turn; links to it name it by what it shows."""
    turned = {name: what for name, what in knobs.items() if not isinstance(what, list) or len(what) > 1}
    function.__qualname__ = f"{function.__name__} {hashlib.sha256(fingerprint).hexdigest()[:12]}"
    return explore(title=title, **(turned or knobs))(function)


def _places(length: int, count: int) -> list[int]:
    """Evenly spread from edge to edge; a single one lies in the middle."""
    return (
        sorted({round(place) for place in np.linspace(0, length - 1, count)}) if count > 1 else [length // 2]
    )


def _middle(values: Sequence[int]) -> int:
    return values[len(values) // 2]


def _blank(sentence: str) -> "Figure":
    """A figure that only says why there is nothing to draw."""
    import plotly.graph_objects as go

    figure = go.Figure().add_annotation(text=sentence, xref="paper", yref="paper", x=0.5, y=0.5)
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return views.describe(figure, alt=sentence, caption=sentence)
