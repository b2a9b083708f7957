"""What a kernel does to memory, as Explorers over a reader's own kernels, in one line each.

>>> from workbench_widgets import machine_panels
>>> machine_panels.caches({"ijk": matmul_ijk, "ikj": matmul_ikj}, make_args, cache_KiB=[2, 4, 8, 16, 32])

Every state of the knobs counts the kernel again, on arrays that `make_args` makes for it.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import views
from workbench.errors import WorkbenchError
from workbench.quantity import Quantity

from .explorer import Explorer
from .knobs import play
from .panels import _panel

if TYPE_CHECKING:  # importing this module loads nothing heavy
    from plotly.graph_objects import Figure

    from workbench.counting import Counts, Geometry, Level
    from workbench.views.access_grids import Traced

Kernels = Mapping[str, Callable[..., Any]]
KiB = 1024
ALL = "all"  # ways of a cache that is one set of all its lines
MOST_STEPS = 160  # of an animation


def caches(
    kernels: Kernels | Callable[..., Any],
    make_args: Callable[..., Sequence[Any]],
    *,
    cache_KiB: Sequence[float] = (2, 4, 8, 16, 32),
    ways: Sequence[int | str] = (8,),
    line_bytes: Sequence[int] = (64,),
    beyond: "Sequence[Level]" = (),
    title: str | None = None,
    **knobs: Sequence[Any] | range,
) -> Explorer:
    """Misses of the nearest cache by address and time, and by array and cause. Knobs: the kernel, the cache.

    kernels: one, or several by name, such as the orders of a loop. make_args: what a kernel is called with,
        made fresh for every state; takes `knobs` by name, e.g. `make_args(tile=8)` for `tile=[4, 8, 16]`.
    cache_KiB, ways, line_bytes: what the cache may be; "all" ways are one set. beyond: further levels.

    All maps share one range of colours, that of the worst cache on offer.
    """
    from workbench.counting import Geometry, Level

    offered = _Offered(kernels, make_args, knobs)

    def geometry(kib: float, way: int | str, line: int) -> "Geometry":
        return Geometry([Level(round(kib * KiB), None if way == ALL else int(way)), *beyond], line=line)

    for cache in product(cache_KiB, ways, line_bytes):  # what cannot be built is said here, not at a turn
        geometry(*cache)
    worst = geometry(min(cache_KiB), ways[0], min(line_bytes))
    most = max(_brightest(offered.count(state, worst)[0]) for state in offered.states())

    def caches(**state: Any) -> "list[Figure]":
        built = geometry(state.pop("cache_KiB"), state.pop("ways"), state.pop("line_bytes"))
        counts, arrays = offered.count(state, built, classes=True)
        return [views.cache_map(counts, arrays, most=most), views.miss_bars(counts)]

    return _turned(
        caches,
        title or "Which addresses miss, and when",
        offered,
        cache_KiB=list(cache_KiB),
        ways=list(ways),
        line_bytes=list(line_bytes),
    )


def reuse(
    kernels: Kernels | Callable[..., Any],
    make_args: Callable[..., Sequence[Any]],
    *,
    line_bytes: Sequence[int] = (16, 32, 64, 128),
    caches: Mapping[str, int] | None = None,
    title: str | None = None,
    **knobs: Sequence[Any] | range,
) -> Explorer:
    """How many other lines are touched before a line comes back. Knobs: the kernel, the length of a line.

    kernels, make_args, knobs: as for `caches`. caches: bytes by name, drawn as limits.
    """
    from workbench.counting import Geometry

    offered = _Offered(kernels, make_args, knobs)

    def reuse(**state: Any) -> "Figure":
        counts, _ = offered.count(state, Geometry([], line=state.pop("line_bytes")), reuse=True)
        return views.reuse_histogram(counts, caches=caches or {})

    return _turned(reuse, title or "How soon lines come back", offered, line_bytes=list(line_bytes))


def roofline(
    kernels: Kernels | Callable[..., Any],
    make_args: Callable[..., Sequence[Any]],
    *,
    peaks: Mapping[str, Quantity],
    bandwidths: Mapping[str, Quantity],
    geometry: "Geometry",
    seconds: Callable[..., Quantity | None] | None = None,
    title: str | None = None,
    **knobs: Sequence[Any] | range,
) -> Explorer:
    """A kernel under the roofs of a machine, with the traffic of each level. Knobs: the kernel, `knobs`.

    kernels, make_args, knobs: as for `caches`. peaks, bandwidths: as for `views.roofline`; the levels are
        those of `geometry` and DRAM. seconds: time of one state, called with the kernel's name and `knobs`,
        e.g. a look into what was measured before; default none, and each kernel stands on its roof.
    """
    offered = _Offered(kernels, make_args, knobs)
    works = {}
    for state in offered.states():
        counts, _ = offered.count(state, geometry)
        flops = counts.quantities()["flops"]
        taken = seconds(**state) if seconds else None
        works[tuple(state.values())] = views.Work(flops, views.traffic(counts), taken, role="system")
    intensities, rates = _window(list(works.values()), peaks, bandwidths)

    def roofline(**state: Any) -> "Figure":
        name = ", ".join(str(value) for value in state.values())
        return views.roofline(
            {name: works[tuple(state.values())]},
            peaks=peaks,
            bandwidths=bandwidths,
            intensities=intensities,
            rates=rates,
        )

    return _turned(roofline, title or "Under which roof?", offered)


def waterline(
    kernels: "Mapping[str, views.Work]",
    *,
    peak: Quantity,
    bandwidth: Quantity,
    factors: Sequence[float] = (0.25, 0.5, 1, 2, 4),
    title: str = "What if memory were faster?",
) -> Explorer:
    """A row of kernels against the waterline. Knob: the bandwidth, as a multiple of the given one.

    kernels, peak, bandwidth: as for `views.waterline`.
    """

    def waterline(bandwidth_times: float = 1) -> "Figure":
        return views.waterline(
            kernels, peak=peak, bandwidth=bandwidth.scaled(bandwidth_times, bandwidth.unit), top=4
        )

    return _panel(waterline, title, repr(dict(kernels)).encode(), bandwidth_times=sorted({*factors, 1}))


def access_animation(
    trace: "Traced", *, steps: int = MOST_STEPS, recent: int = 16, title: str | None = None
) -> Explorer:
    """A small kernel touching its arrays, access by access. Knob: how many are done, with a play button.

    trace: what `workbench.trace` returned. steps: states after the first, at most; a longer trace is shown
    in equal strides. recent: how many of the last accesses are coloured.
    """
    if not isinstance(steps, int) or steps < 1:
        raise WorkbenchError(f"steps must be a whole number from 1, but {steps!r} came")
    total = len(trace.array)
    many = min(steps, total)
    states = [round(step * total / max(many, 1)) for step in range(many + 1)]
    third = states[len(states) // 3]

    def access_animation(accesses_done: int = third) -> "Figure":
        return views.accesses(trace, accesses_done, recent=recent)

    fingerprint = b"".join(np.asarray(one).tobytes() for one in (trace.array, trace.index, trace.level))
    title = title or f"{trace.kernel}, access by access"
    return _panel(access_animation, title, fingerprint, accesses_done=play(states))


# Small helpers --------------------------------------------------------------------------------


class _Offered:
    """The kernels on offer and what they are called with; one state is a kernel's name and `knobs`."""

    def __init__(
        self,
        kernels: Kernels | Callable[..., Any],
        make_args: Callable[..., Sequence[Any]],
        knobs: Mapping[str, Sequence[Any] | range],
    ) -> None:
        several = kernels if isinstance(kernels, Mapping) else {kernels.__name__: kernels}
        if not several:
            raise WorkbenchError("a panel needs at least one kernel, but none came")
        self.kernels, self.make_args = dict(several), make_args
        self.knobs: dict[str, list[Any]] = {"kernel": list(several)}
        taken = inspect.signature(make_args).parameters
        free = any(one.kind is one.VAR_KEYWORD for one in taken.values())
        for name, values in knobs.items():
            if name not in taken and not free:
                raise WorkbenchError(
                    f"make_args takes {', '.join(taken) or 'nothing'}, but a knob is called {name!r}"
                )
            self.knobs[name] = list(values)

    def states(self) -> list[dict[str, Any]]:
        """Every kernel with every setting."""
        return [dict(zip(self.knobs, values, strict=True)) for values in product(*self.knobs.values())]

    def count(
        self, state: Mapping[str, Any], geometry: "Geometry", **wishes: bool
    ) -> "tuple[Counts, dict[str, np.ndarray]]":
        """Counts of the kernel at a state, and its arrays by the names of the kernel's parameters."""
        from workbench import count

        kernel = self.kernels[state["kernel"]]
        args = self.make_args(**{name: state[name] for name in self.knobs if name != "kernel"})
        counts = count(kernel, *args, geometry=geometry, **wishes)
        named = zip(inspect.signature(getattr(kernel, "py_func", kernel)).parameters, args, strict=False)
        return counts, {name: one for name, one in named if isinstance(one, np.ndarray)}


class _Drawn:
    """A function of the knobs that draws here and travels as its finished figures.

    A kernel of a notebook has its source in the notebook's process only, so nowhere else can it be counted.
    """

    def __init__(self, draw: Callable[..., Any], declared: Mapping[str, list[Any]]) -> None:
        self.draw, self.declared = draw, declared
        self.start = {name: values[len(values) // 2] for name, values in declared.items()}
        self.start["kernel"] = declared["kernel"][0]
        self.__name__ = self.__qualname__ = draw.__name__
        self.__module__ = draw.__module__
        self.__signature__ = inspect.Signature(
            [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=v) for n, v in self.start.items()]
        )

    def __call__(self, **state: Any) -> Any:
        return self.draw(**{**self.start, **state})

    def __reduce__(self) -> Any:
        states = product(*self.declared.values())
        figures = {values: self(**dict(zip(self.declared, values, strict=True))) for values in states}
        return _Finished, (self.start, figures)


@dataclass(frozen=True)
class _Finished:
    """What a `_Drawn` is in another process: figures by the values of the knobs."""

    start: Mapping[str, Any]
    figures: Mapping[tuple[Any, ...], Any]

    def __call__(self, **state: Any) -> Any:
        return self.figures[tuple({**self.start, **state}.values())]


def _turned(draw: Callable[..., Any], title: str, offered: _Offered, **knobs: list[Any]) -> Explorer:
    """The Explorer over what is offered and further knobs; a knob starts in the middle of its values."""
    declared = {**offered.knobs, **knobs}
    sources = [inspect.getsource(getattr(one, "py_func", one)) for one in offered.kernels.values()]
    return _panel(_Drawn(draw, declared), title, "".join(sources).encode(), **declared)


def _brightest(counts: "Counts") -> int:
    """Misses in the fullest cell of the map that is drawn."""
    import plotly.graph_objects as go

    heat = next(one for one in views.cache_map(counts).data if isinstance(one, go.Heatmap))
    return round(float(np.max(heat.z)) ** 2)


def _window(
    works: "list[views.Work]", peaks: Mapping[str, Quantity], bandwidths: Mapping[str, Quantity]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Axes that hold every state: read off a figure of all."""
    named = {str(number): work for number, work in enumerate(works)}
    layout = views.roofline(named, peaks=peaks, bandwidths=bandwidths).layout
    (low, high), (bottom, top) = layout.xaxis.range, layout.yaxis.range
    return (10**low, 10**high), (10**bottom, 10**top)
