"""Where bytes run: in this process by wasmtime, or in V8, the engine of Chromium, by node."""

import ctypes
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError

PAGE = 65536  # bytes: memory comes in pages
ALIGNED = 64
HINT = 'pip install "wasmtime>=36"'
SCRIPTS = ("emit.js", "bench.js")
# node 20 has relaxed SIMD, but asleep; later ones have it awake and ignore this.
AWAKE = 'require("v8").setFlagsFromString("--experimental-wasm-relaxed-simd");'


class _Owner:
    """All bytes of a memory as numpy reads them; views hold it, so the memory outlives them."""

    def __init__(self, memory: Any, store: Any) -> None:
        self.held = memory, store
        start = ctypes.addressof(memory.data_ptr(store).contents)
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "shape": (memory.data_len(store),),
            "data": (start, False),
        }


class Memory:
    """A memory for WebAssembly, and the arrays in it; kernels run on them in this process, by wasmtime.

    >>> memory = Memory()
    >>> x = memory.put(np.ones((2, 3), np.float32))
    >>> run = memory.kernel(softmax(2, 3))
    >>> run(x)                               # x is a numpy array, and changes
    """

    def __init__(self, mib: int = 64) -> None:
        try:
            import wasmtime
        except ImportError:
            raise WorkbenchError(
                f"kernels run in this process by wasmtime, which is missing: {HINT}"
            ) from None
        self._wasmtime = wasmtime
        config = wasmtime.Config()
        config.wasm_relaxed_simd = True
        self._engine = wasmtime.Engine(config)
        self._store = wasmtime.Store(self._engine)
        pages = mib * 2**20 // PAGE
        self._memory = wasmtime.Memory(
            self._store, wasmtime.MemoryType(wasmtime.Limits(pages, pages))
        )  # never grows, so views stay valid
        self._bytes = np.asarray(_Owner(self._memory, self._store))
        self._free = ALIGNED  # address 0 stays empty

    def empty(self, *shape: int) -> np.ndarray:
        """A float32 array of zeros in the memory."""
        size = 4 * int(np.prod(shape))
        if self._free + size > self._bytes.size:
            raise WorkbenchError(
                f"the memory of {self._bytes.size >> 20} MiB is full: {size} bytes more were asked for"
            )
        view = self._bytes[self._free : self._free + size].view(np.float32).reshape(shape)
        self._free += -(-size // ALIGNED) * ALIGNED
        return view

    def put(self, array: np.ndarray) -> np.ndarray:
        """A copy of an array, as float32, in the memory."""
        view = self.empty(*np.shape(array))
        view[...] = array
        return view

    def address(self, array: np.ndarray) -> int:
        """Where an array of this memory begins."""
        address = array.ctypes.data - self._bytes.ctypes.data
        if not 0 <= address <= self._bytes.size - array.nbytes:
            raise WorkbenchError("the array is not in this memory: put(array) gives one that is")
        return address

    def kernel(self, code: bytes) -> Callable[..., None]:
        """The function of a module, to be called with arrays of this memory."""
        try:
            module = self._wasmtime.Module(self._engine, code)
        except self._wasmtime.WasmtimeError as error:
            raise WorkbenchError(f"this is no valid module: {str(error).splitlines()[0]}") from None
        instance = self._wasmtime.Instance(self._store, module, [self._memory])
        run: Any = instance.exports(self._store)["run"]
        return lambda *arrays: run(self._store, *(self.address(array) for array in arrays))


def has_node() -> bool:
    """Whether node is there to run V8."""
    return shutil.which("node") is not None


def in_node(job: str, *arguments: Any, flags: Sequence[str] = (), timeout: float = 300) -> Any:
    """Calls a function of `bench.js` in a fresh process of node; arguments and result travel as JSON.

    flags: of V8, such as `--no-liftoff`.
    """
    program = shutil.which("node")
    if program is None:
        raise WorkbenchError("V8 runs by node, and no program called node was found")
    call = f"console.log(JSON.stringify(JOBS.{job}(...{json.dumps(arguments)})));"
    done = subprocess.run(
        [program, *flags, "-"],
        input=f"{AWAKE}\n{script()}\n{call}",
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "Error" in line or "bad option" in line]
        raise WorkbenchError(f"node stopped: {(lines or ['without a word'])[0].strip()}")
    return json.loads(done.stdout)


@cache
def script() -> str:
    """The emitter and its bench in JavaScript, as one classic script."""
    here = files("workbench.wasm")
    codes = json.dumps(json.loads(here.joinpath("opcodes.json").read_text("utf-8")), separators=(",", ":"))
    texts = [here.joinpath(name).read_text("utf-8") for name in SCRIPTS]
    return "\n".join([f"const OPCODES = {codes};", *texts])
