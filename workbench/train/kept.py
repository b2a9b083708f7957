"""Results on disk: weights and what was measured with them, found again by the digest of what made them.

One safetensors file holds a result, its record (JSON) and checksum in the header. Files are written beside
and then moved into place, so that two processes may write at once; a damaged file counts as missing. When
all files together outgrow the cap, those that were not used for longest go.
"""

import contextlib
import hashlib
import json
import os
import time
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from torch import Tensor

from workbench import _paths

CAP = 512 * 2**20  # bytes
ABANDONED = 24 * 3600.0  # seconds after which a file that was never moved into place is cleared away
SUFFIX = ".safetensors"


class Kept(NamedTuple):
    """Tensors by name, and a record that JSON can hold."""

    tensors: dict[str, Tensor]
    record: dict[str, Any]


def folder() -> Path:
    """Where results are kept; safe to delete."""
    return _paths.build_dir() / "train"


def read(name: str) -> Kept | None:
    """The result of that name, or None if there is none that is whole; reading counts as use."""
    path = folder() / f"{name}{SUFFIX}"
    try:
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        tensors = safetensors.torch.load(data)
        if header["checksum"] != _checksum(tensors, header["record"]):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return Kept(tensors, json.loads(header["record"]))
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError):
        return None


def write(name: str, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Keeps a result; where the disk does not allow it, a warning says so and nothing else happens."""
    own = {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}
    text = json.dumps(record)
    header = {"record": text, "checksum": _checksum(own, text)}
    place = folder()
    beside = place / f".{name}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(safetensors.torch.save(own, metadata=header))
        os.replace(beside, place / f"{name}{SUFFIX}")
        sweep()
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        warnings.warn(f"a result could not be kept in {place}: {error}", stacklevel=2)


def remove(name: str) -> None:
    """Forgets a result."""
    with contextlib.suppress(OSError):
        (folder() / f"{name}{SUFFIX}").unlink(missing_ok=True)


def sweep(cap: int | None = None) -> None:
    """Removes the least recently used results until all fit under the cap, and abandoned writes."""
    cap = CAP if cap is None else cap
    files = []
    with contextlib.suppress(OSError), os.scandir(folder()) as found:
        for entry in found:
            with contextlib.suppress(OSError):  # another process may have removed it
                stat = entry.stat()
                files.append((stat.st_mtime, stat.st_size, Path(entry.path)))
    held = 0
    for used, size, path in sorted(files, reverse=True):
        finished = path.suffix == SUFFIX
        held += size if finished else 0
        if held > cap if finished else time.time() - used > ABANDONED:
            with contextlib.suppress(OSError):
                path.unlink()


def _checksum(tensors: Mapping[str, Tensor], record: str) -> str:
    sha = hashlib.sha256(record.encode())
    for name in sorted(tensors):
        sha.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        sha.update(tensors[name].numpy().tobytes())
    return sha.hexdigest()
