"""`@explore`: one declaration, live where a kernel listens and still everywhere else."""

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable
from typing import Any

from workbench.errors import WorkbenchError

from .asleep import put_note
from .frames import Frame, frame_of
from .front import BAKE, front_end_listens
from .knobs import Indexes, Knobs, Value

EXPLORER_MIME = "application/vnd.workbench.explorer+json"
PLOTLY_MIME = "application/vnd.plotly.v1+json"
CACHED_FRAMES = 512


def explore(
    *, title: str | None = None, digits: int = 4, limit_kb: int = 300, **knobs: Any
) -> Callable[[Callable[..., Any]], "Explorer"]:
    """Makes a pure function of `knobs` an `Explorer`.

    The function takes every knob as a parameter with a default and returns a plotly figure, an image array
    ([height, width] or [height, width, 3]), a `Picture`, or a sequence of these. A figure says what it shows
    in `layout.meta["alt"]`, and its caption in `layout.meta["caption"]`.

    A knob is a list of choices, a `range`, `bool`, `linear(low, high, steps)` or `logarithmic(low, high,
    steps)`, or one of these in `play(…)` or depending on another knob by `linked(parent, function)`.

    `digits`: significant digits that baked numbers keep. `limit_kb`: the most a baked Explorer may take.
    """
    if not isinstance(digits, int) or not 1 <= digits <= 15:
        raise WorkbenchError(f"digits must be a whole number from 1 to 15, but {digits!r} came")
    if not isinstance(limit_kb, int | float) or limit_kb <= 0:
        raise WorkbenchError(f"limit_kb must be a positive number of kilobytes, but {limit_kb!r} came")
    return lambda function: Explorer(function, Knobs.of(function, knobs), title, digits, limit_kb)


class Explorer:
    """A pure function of a few knobs over a finite grid; shown last in a cell, it can be turned.

    Called, it is still the function. In JupyterLab it shows live knobs; in a run without a front end it
    stores its first frame and a descriptor, and with `WORKBENCH_BAKE` set every frame, for the book.
    """

    def __init__(
        self, function: Callable[..., Any], knobs: Knobs, title: str | None, digits: int, limit_kb: float
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = function.__name__
        self.title = title or self.name.replace("_", " ")
        self.knobs = knobs
        self.digits = digits
        self.limit_kb = limit_kb
        self._cached = functools.lru_cache(CACHED_FRAMES)(self._compute)

    def __call__(self, *args: Any, **state: Any) -> Any:
        return self.function(*args, **state)

    def __repr__(self) -> str:
        return f"<Explorer {self.name}: {', '.join(knob.label for knob in self.knobs.knobs)}>"

    def _compute(self, indexes: Indexes) -> Frame:
        return frame_of(self.function(**self.knobs.values_at(indexes)))

    def frame(self, indexes: Indexes | None = None, **state: Value) -> Frame:
        """What is drawn at a state, given by indexes or by values, as plain JSON; computed once a state."""
        return self._cached(self.knobs.indexes_of(**state) if indexes is None else tuple(indexes))

    def descriptor(self) -> dict[str, Any]:
        """All that a page needs besides frames: identity, knobs, start."""
        identity = f"{self.function.__module__}.{self.function.__qualname__}"
        rows = [knob.row() for knob in self.knobs.knobs]
        return {
            "version": 1,
            "id": hashlib.sha256(f"{identity} {rows}".encode()).hexdigest()[:8],
            "name": self.name,
            "function": identity,
            "title": self.title,
            "digits": self.digits,
            "knobs": rows,
            "start": list(self.knobs.start),
        }

    def live(self) -> Any:
        """The widget, for front ends that are not recognised by themselves."""
        from .live import LiveExplorer

        with contextlib.suppress(Exception):  # told in the widget's place, when the page asks for this frame
            self.frame()  # what a cell shows is computed by the cell
        return LiveExplorer(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        if front_end_listens():
            put_note()
            return {**self.live()._repr_mimebundle_()[0], "text/plain": repr(self)}
        if os.environ.get(BAKE):
            from .baking import bake

            baked = bake(self)
        else:
            baked = {"frame": self.frame(self.knobs.start)}
        bundle: dict[str, Any] = {
            EXPLORER_MIME: {**self.descriptor(), **baked},
            "text/plain": f"{self!r} at {self.knobs.says(self.knobs.start)}",
        }
        plotly = next((part for part in baked["frame"] if part["kind"] == "plotly"), None)
        if plotly:  # so that the executed notebook shows something in JupyterLab without a kernel
            bundle[PLOTLY_MIME] = {"data": plotly["data"], "layout": plotly["layout"]}
        return bundle
