"""A whole Explorer as one compressed block of bytes that a page can turn without kernel and network.

The block, before compression: 4 bytes with the length of a JSON head, the head, then raw bytes. The head
holds the paths and the values by which frames differ from the first one, each distinct one once, and for
every state of the knobs the pairs (path, value) that lead there. Pixels are raw bytes, as differences from
the first frame.
"""

import base64
import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from workbench.errors import WorkbenchError

from .frames import Frame, Json, frame_of, plain
from .knobs import Indexes

if TYPE_CHECKING:
    from .explorer import Explorer

GONE = -1  # instead of a value: the key is not in this frame
WORTH_PROCESSES = 20.0  # seconds of work left below which starting processes costs more than it saves


def bake(explorer: "Explorer", jobs: int = 2) -> dict[str, Json]:
    """Computes every frame: `{"frame": the first one, "baked": {"states", "seconds", "bytes", "data"}}`.

    `data` is base64 of a zlib stream, laid out as this module says. Numbers keep the Explorer's `digits`
    significant digits. Raises when the result exceeds the Explorer's `limit_kb`, saying how to shrink it.
    """
    began = time.perf_counter()
    frames = _all_frames(explorer, jobs)
    start = explorer.knobs.start
    first = frames[start]
    head, raw = _differences(first, frames)
    text = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
    packed = zlib.compress(len(text).to_bytes(4, "little") + text + raw, 9)
    data = base64.b64encode(packed).decode()
    kilobytes = (len(data) + len(json.dumps(first))) / 1000
    if kilobytes > explorer.limit_kb:
        widest = max(explorer.knobs.knobs, key=lambda knob: knob.most)
        raise WorkbenchError(
            f"the Explorer {explorer.name} takes {kilobytes:.0f} kB baked, more than "
            f"{explorer.limit_kb}: give {widest.name} fewer than its {widest.most} values, "
            f"declare fewer digits than {explorer.digits}, or draw fewer points or pixels "
            f"(limit_kb= moves the limit)"
        )
    seconds = round(time.perf_counter() - began, 3)
    return {
        "frame": first,
        "baked": {"states": len(frames), "seconds": seconds, "bytes": len(data), "data": data},
    }


def unbake(first: Frame, data: str, indexes: Indexes) -> Frame:
    """The frame at `indexes`, read from what `bake` made: the twin of `unbake` in static/explorer.js."""
    block = zlib.decompress(base64.b64decode(data))
    length = int.from_bytes(block[:4], "little")
    head, raw = json.loads(block[4 : 4 + length]), block[4 + length :]
    frame = json.loads(json.dumps(first))
    for path_at, value_at in head["frames"][",".join(map(str, indexes))]:
        *way, last = head["paths"][path_at]
        place = frame
        for step in way:
            place = place[step]
        if value_at == GONE:
            del place[last]
        else:
            value = head["values"][value_at]
            place[last] = _pixels(value, raw, place) if _is_raw(value) else value
    return frame


def _all_frames(explorer: "Explorer", jobs: int) -> dict[Indexes, Frame]:
    """Here, one after the other; in processes when what is left after two frames is long enough.

    On one thread: a frame is small work, and on a busy machine threads wait for each other far longer than
    they compute.
    """
    states = list(explorer.knobs.grid())
    frames: dict[Indexes, Frame] = {}
    seconds = math.inf
    with threadpool_limits(1):
        for state in states[:2]:  # the first one may pay for what all others find ready
            began = time.perf_counter()
            frames[state] = explorer.frame(state)
            seconds = min(seconds, time.perf_counter() - began)
        if jobs > 1 and seconds * len(states[2:]) > WORTH_PROCESSES and (os.cpu_count() or 1) > 1:
            frames |= _in_processes(explorer, states[2:], jobs)
        else:
            frames |= {state: explorer.frame(state) for state in states[2:]}
    return {state: plain(frame, explorer.digits) for state, frame in frames.items()}


def _in_processes(explorer: "Explorer", states: list[Indexes], jobs: int) -> dict[Indexes, Frame]:
    import cloudpickle  # carries functions that were defined in a notebook

    function = cloudpickle.dumps(explorer.function)
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_take, initargs=(function,))
    with pool:
        values = map(explorer.knobs.values_at, states)
        return dict(zip(states, pool.map(_frame_elsewhere, values, chunksize=4), strict=True))


_taken: Callable[..., Any]  # by a process that computes frames: the Explorer's function, with all it holds


def _take(function: bytes) -> None:
    global _taken
    import cloudpickle

    _taken = cloudpickle.loads(function)
    threadpool_limits(1)


def _frame_elsewhere(state: dict[str, Any]) -> Frame:
    return frame_of(_taken(**state))


def _differences(first: Frame, frames: dict[Indexes, Frame]) -> tuple[dict[str, Json], bytes]:
    paths: dict[str, int] = {}
    values: dict[str, int] = {}
    raw = bytearray()

    def path(way: list[str | int]) -> int:
        return paths.setdefault(json.dumps(way), len(paths))

    def value(new: Json) -> int:
        return values.setdefault(json.dumps(new, separators=(",", ":"), allow_nan=False), len(values))

    pixels_seen: dict[tuple[str, str | None], int] = {}

    def pixels(new: str, old: str | None) -> int:
        """Bytes travel outside of the JSON head: base64 inside would not compress."""
        if (new, old) not in pixels_seen:
            block, base = base64.b64decode(new), base64.b64decode(old or "")
            delta = len(block) == len(base)
            if delta:
                block = (np.frombuffer(block, np.uint8) - np.frombuffer(base, np.uint8)).tobytes()
            pixels_seen[new, old] = value({"$raw": len(raw), "bytes": len(block), "delta": delta})
            raw.extend(block)
        return pixels_seen[new, old]

    def walk(way: list[str | int], old: Json, new: Json) -> Iterator[tuple[int, int]]:
        if old == new and type(old) is type(new):
            return
        if isinstance(old, dict) and isinstance(new, dict):
            for key in old.keys() - new.keys():
                yield path([*way, key]), GONE
            for key in new:
                if key == "pixels":
                    if new[key] != old.get(key):
                        yield path([*way, key]), pixels(new[key], old.get(key))
                elif key in old:
                    yield from walk([*way, key], old[key], new[key])
                else:
                    yield path([*way, key]), value(new[key])
        elif _alike(old, new):
            for i, (a, b) in enumerate(zip(old, new, strict=True)):
                yield from walk([*way, i], a, b)
        else:
            yield path(way), value(new)

    steps = {}
    for state, frame in frames.items():
        if len(frame) != len(first) or [p["kind"] for p in frame] != [p["kind"] for p in first]:
            raise WorkbenchError(
                "every frame of an Explorer must hold the same kinds of figures in the same order"
            )
        steps[",".join(map(str, state))] = list(walk([], first, frame))
    head = {
        "paths": [json.loads(text) for text in paths],
        "values": [json.loads(text) for text in values],
        "frames": steps,
    }
    return head, bytes(raw)


def _alike(old: Json, new: Json) -> bool:
    """Lists of equally many containers are compared one by one; lists of numbers are replaced whole."""
    return (
        isinstance(old, list)
        and isinstance(new, list)
        and len(old) == len(new)
        and any(isinstance(item, dict | list) for item in new)
    )


def _is_raw(value: Json) -> bool:
    return isinstance(value, dict) and "$raw" in value


def _pixels(value: dict[str, Any], raw: bytes, part: dict[str, Any]) -> str:
    block = np.frombuffer(raw, np.uint8, count=value["bytes"], offset=value["$raw"])
    if value["delta"]:
        block = block + np.frombuffer(base64.b64decode(part["pixels"]), np.uint8)
    return base64.b64encode(block.tobytes()).decode()
