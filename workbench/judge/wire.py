"""What travels between the judge and a candidate's process: plain values and raw array bytes.

A value is first made plain: numbers, strings, lists, tuples, dicts and `Array` leaves; whatever is
none of these becomes `Other`, which carries only the name of its type. A frame is a fixed head, a
JSON header, and the bytes of all arrays one after the other. The direction from the judge to the
candidate is `trusted`: it also carries memory layouts and pickles. Nothing that comes out of a
candidate's process is ever unpickled, and a frame that breaks a rule is `Garbage`.
"""

import json
import math
import pickle
import re
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

HEAD = struct.Struct("<4sIQ")  # magic, bytes of the header, bytes of the arrays
MAGIC = b"KWJ1"
HEADER_LIMIT = 1 << 22
NUMERIC = "biufc"  # the dtype kinds that may travel
DEEPEST = 16


class Garbage(ValueError):
    """The bytes are not a frame of this protocol."""


@dataclass(frozen=True)
class Array:
    """A numeric array together with the library that it belongs to."""

    data: np.ndarray
    library: str = "numpy"  # or "torch"
    dtype: str = ""  # torch's own name where numpy has no such type (bfloat16)
    gradient: bool = False


@dataclass(frozen=True)
class Other:
    """Something that does not travel; `name` says what it was."""

    name: str


@dataclass(frozen=True)
class TooLarge:
    """An array above the size limit: only shape and dtype travel."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Pickled:
    """An argument of any other type (a function, a model), on its way to the candidate."""

    data: bytes


def plain(value: Any, trusted: bool = False, depth: int = 0) -> Any:
    """The value as numbers, strings, lists, tuples, dicts, `Array` and `Other` (trusted: `Pickled`)."""
    torch = sys.modules.get("torch")
    if depth > DEEPEST:
        return Other("something nested very deeply")
    if value is None:
        return None
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        number = int(value)
        return number if number.bit_length() < 4096 else Other("an int of more than 4096 bits")
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, (complex, np.complexfloating)):
        return complex(value)
    if torch is not None and isinstance(value, torch.Tensor):
        return _plain_tensor(value, torch)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in NUMERIC:
            return Other(f"an array of dtype {value.dtype}")
        return value.item() if value.ndim == 0 else Array(np.asarray(value))
    if isinstance(value, (list, tuple)):
        items = [plain(item, trusted, depth + 1) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict) and all(isinstance(key, (str, int)) for key in value):
        return {key: plain(item, trusted, depth + 1) for key, item in value.items()}
    if trusted:
        import cloudpickle

        return Pickled(cloudpickle.dumps(value))
    return Other(f"an object of type {type(value).__name__[:80]}")


def _plain_tensor(tensor: Any, torch: Any) -> Any:
    bare = tensor.detach().cpu()
    if bare.layout is not torch.strided:
        return Other(f"a tensor with layout {bare.layout}")
    if bare.ndim == 0:
        return bare.item()
    bare, name = bare.resolve_conj().resolve_neg(), ""
    if bare.dtype is torch.bfloat16:
        bare, name = bare.float(), "bfloat16"  # exact: float32 holds every bfloat16
    try:
        return Array(bare.numpy(), "torch", name, bool(tensor.requires_grad))
    except TypeError:
        return Other(f"a tensor of dtype {bare.dtype}")


def alive(value: Any) -> Any:
    """The reverse of `plain`: arrays of their own library, in memory of their own, same layout."""
    if isinstance(value, Array):
        copy = clone(value.data)
        if value.library == "numpy":
            return copy
        import torch

        tensor = torch.from_numpy(copy)
        if value.dtype:
            tensor = tensor.to(getattr(torch, value.dtype))
        return tensor.requires_grad_(value.gradient)
    if isinstance(value, Pickled):
        return pickle.loads(value.data)
    if isinstance(value, (list, tuple)):
        items = [alive(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, dict):
        return {key: alive(item) for key, item in value.items()}
    return value


def leaves(value: Any) -> Iterator[Any]:
    """The numbers, strings, arrays of a plain value."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    else:
        yield value


def arrays(value: Any) -> list[Array]:
    """The arrays of a plain value."""
    return [leaf for leaf in leaves(value) if isinstance(leaf, Array)]


def clone(array: np.ndarray, strides: Sequence[int] | None = None) -> np.ndarray:
    """A copy with the same values *and* the same (or the given) strides, in memory of its own."""
    strides = array.strides if strides is None else tuple(strides)
    spans = [(size - 1) * stride for size, stride in zip(array.shape, strides, strict=True) if size]
    below, above = -sum(s for s in spans if s < 0), sum(s for s in spans if s > 0)
    room = np.zeros(below + above + array.itemsize, np.uint8)
    copy: np.ndarray = np.ndarray(array.shape, array.dtype, room, below, strides)
    copy[...] = array
    return copy


def encode(value: Any, blobs: list[bytes], limit: float = math.inf) -> Any:
    """A plain value as JSON; the bytes of its arrays (C order) are appended to `blobs`.

    An array that would push the sum of bytes above `limit` travels as its shape and dtype alone.
    """
    if value is None:
        return ["none"]
    if isinstance(value, (bool, int, float, str)):
        return [type(value).__name__, value]
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, [encode(item, blobs, limit) for item in value]]
    if isinstance(value, dict):
        return ["dict", [[key, encode(item, blobs, limit)] for key, item in value.items()]]
    if isinstance(value, Array):
        data = value.data
        if sum(map(len, blobs)) + data.nbytes > limit:
            return ["too large", list(data.shape), data.dtype.name]
        blobs.append(data.tobytes())
        node = ["array", data.dtype.str, list(data.shape), value.library, value.dtype, value.gradient]
        return node if data.flags.c_contiguous else [*node, list(data.strides)]
    if isinstance(value, Pickled):
        blobs.append(value.data)
        return ["pickle", len(value.data)]
    return ["other", value.name[:200]]


def decode(node: Any, payload: memoryview, trusted: bool = False) -> Any:
    """The plain value of a frame's JSON and bytes; arrays are read in the order of `encode`."""
    try:
        value, used = _decode(node, payload, 0, trusted)
    except (TypeError, ValueError, LookupError, RecursionError, OverflowError) as error:
        raise Garbage(f"not a value: {type(error).__name__}") from None
    if used != len(payload):
        raise Garbage("bytes left over")
    return value


def _decode(node: Any, payload: memoryview, at: int, trusted: bool) -> tuple[Any, int]:
    kind, *rest = node
    if kind == "none":
        return None, at
    if kind in ("bool", "int", "float", "str"):
        (value,) = rest
        if type(value).__name__ != kind:
            raise Garbage("a value of another type than it says")
        return value, at
    if kind == "complex":
        return complex(*rest), at
    if kind in ("list", "tuple"):
        items = []
        for inner in rest[0]:
            item, at = _decode(inner, payload, at, trusted)
            items.append(item)
        return (items if kind == "list" else tuple(items)), at
    if kind == "dict":
        table = {}
        for key, inner in rest[0]:
            table[key], at = _decode(inner, payload, at, trusted)
        return table, at
    if kind == "array":
        return _decode_array(rest, payload, at, trusted)
    if kind == "too large":
        shape, dtype = rest
        return TooLarge(tuple(int(n) for n in shape), str(dtype)[:20]), at
    if kind == "pickle" and trusted:
        return Pickled(bytes(payload[at : at + rest[0]])), at + rest[0]
    if kind == "other":
        return Other(str(rest[0])[:200]), at
    raise Garbage("an unknown kind of value")


def _decode_array(rest: Any, payload: memoryview, at: int, trusted: bool) -> tuple[Array, int]:
    code, shape, library, name, gradient, *layout = rest
    if not re.fullmatch(rf"[<>=|][{NUMERIC}]\d\d?", code) or any(type(n) is not int or n < 0 for n in shape):
        raise Garbage("an array that is not numeric")
    dtype = np.dtype(code)
    size = math.prod(shape) * dtype.itemsize
    if at + size > len(payload):
        raise Garbage("an array longer than its bytes")
    data = np.frombuffer(payload[at : at + size], dtype).reshape(shape)
    if layout and trusted:
        data = clone(data, layout[0])
    return Array(data, str(library)[:8], str(name)[:12], bool(gradient)), at + size


def write_frame(stream: BinaryIO, header: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Writes one frame and flushes."""
    text = json.dumps(header).encode()
    stream.write(HEAD.pack(MAGIC, len(text), sum(map(len, blobs))))
    stream.write(text)
    for blob in blobs:
        stream.write(blob)
    stream.flush()


def read_frame(stream: BinaryIO, limit: int | None = None) -> tuple[dict[str, Any], memoryview]:
    """Reads one frame; with a `limit`, of at most so many array bytes. EOFError when the pipe ends."""
    magic, text_size, size = HEAD.unpack(_exactly(stream, HEAD.size))
    if magic != MAGIC or (limit is not None and (size > limit or text_size > HEADER_LIMIT)):
        raise Garbage("not a frame, or one above the limit")
    try:
        header = json.loads(_exactly(stream, text_size))
    except (ValueError, RecursionError):
        raise Garbage("the header is not JSON") from None
    if not isinstance(header, dict):
        raise Garbage("the header is not an object")
    return header, memoryview(_exactly(stream, size))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
