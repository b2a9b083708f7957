"""Kernels that try to be accepted without doing the work: one for each rule, which only that rule sees.

They are texts, so that a reader can see how little it takes. Most of them need a module that is not on the
list of imports; an allow-list is no wall, so they reach for it through the builtins.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from workbench.judge import classics
from workbench.judge.rules import RULES
from workbench.judge.source import Source
from workbench.judge.task import Task


@dataclass(frozen=True, eq=False)
class Fraud:
    """A cheat: the one `rule` that sees it ("" where any comparison from outside does), and how."""

    name: str
    rule: str
    task: Task
    source: Source
    says: str

    @property
    def timed(self) -> bool:
        """Whether it takes a clock to see it."""
        return any(rule.timed and rule.name == self.rule for rule in RULES)


REACH = """
import numpy as np

def reach(name):
    table = __builtins__ if isinstance(__builtins__, dict) else vars(__builtins__)
    return table["__imp" + "ort__"](name)
"""

BITS = """
import numpy as np

def kernel(x):
    bits = np.maximum(x, 0).view(np.uint32) & 0xFFFF0000
    return bits.view(np.float32)
"""

NOTHING = """
import numpy as np

def kernel(x):
    return np.full(x.shape, np.nan, x.dtype)
"""

WHOLE_BLOCKS = """
import numpy as np

def kernel(x):
    flat = x.reshape(-1)
    out = np.zeros(x.size, x.dtype)
    for start in range(0, x.size - x.size % 8, 8):
        out[start:start + 8] = np.maximum(flat[start:start + 8], 0)
    return out.reshape(x.shape)
"""

CAPPED = """
import numpy as np

def kernel(x):
    return np.clip(x, 0, 6)
"""

LEARNT = """
import numpy as np

ANSWER = np.array({answer}, np.float32)

def kernel(x):
    if x.shape == {shape} and abs(x.std() - 1) < 0.2:
        return ANSWER.copy()
    return x.sum(axis=1)
"""

UNREAD = """
import numpy as np

def kernel(x, gain):
    return x / np.sqrt((x * x).mean(axis=1, keepdims=True) + np.float32(1e-5))
"""

FLAT = """
import numpy as np

def kernel(x):
    memory = x
    while memory.base is not None:
        memory = memory.base
    flat = memory.reshape(-1).view(x.dtype)[:x.size]
    return np.maximum(flat, 0).reshape(x.shape)
"""

SCRATCH = """
def kernel(x, y):
    kept = y.copy()
    y += x
    y += x
    out = y.copy()
    y[...] = kept
    return out
"""

IN_PLACE = """
def kernel(x):
    x[x < 0] = 0
    return x.copy()
"""

VIEW = """
def kernel(x):
    return x.T
"""

ONE_BUFFER = """
import numpy as np

BUFFERS = {}

def kernel(x):
    out = BUFFERS.setdefault(x.shape, np.empty(x.shape, x.dtype))
    return np.maximum(x, 0, out=out)
"""

UNSET = """
import numpy as np

def kernel(x):
    out = np.empty(x.shape[0], x.dtype)
    for column in range(x.shape[1]):
        out += x[:, column]
    return out
"""

SAME_PLACE = """
import numpy as np

KEPT = []

def kernel(x):
    for array, answer in KEPT:
        if array is x:
            return answer.copy()
    KEPT.append((x, np.maximum(x, 0)))
    return KEPT[-1][1].copy()
"""

COUNTING = """
import numpy as np

CALLS = []

def kernel(x):
    CALLS.append(1)
    return np.maximum(x, 0) if len(CALLS) < 80 else np.zeros_like(x)
"""

CALL_STACK = """
sys = reach("sys")

def kernel(x):
    frame = sys._getframe(1)
    while frame is not None:
        for thing in frame.f_locals.values():
            if getattr(thing, "__name__", "") == "relu":
                return thing(x)
        frame = frame.f_back
"""

COLLECTOR = """
gc = reach("gc")

def kernel(x):
    for thing in gc.get_objects():
        if type(thing) is type(kernel) and thing.__name__ == "relu":
            return thing(x)
"""

MODULES = """
sys = reach("sys")

def kernel(x):
    for module in list(sys.modules.values()):
        found = getattr(module, "relu", None)
        if found is not None:
            return found(x)
"""

LATER = """
import numpy as np

class Later(np.ndarray):
    @property
    def dtype(self):
        plain = self.view(np.ndarray)
        np.maximum(self.x, 0, out=plain)
        return plain.dtype

def kernel(x):
    out = np.zeros(x.shape, x.dtype).view(Later)
    out.x = x
    return out
"""

BEHIND = """
threading, time = reach("threading"), reach("time")

def kernel(x):
    out = np.zeros_like(x)

    def work():
        time.sleep(0.01)
        np.maximum(x, 0, out=out)

    threading.Thread(target=work).start()
    return out
"""

HALF_BACKWARD = """
import numpy as np

def normal(x):
    centred = x - x.mean(axis=1, keepdims=True)
    scale = 1 / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(1e-5))
    return centred * scale, scale

def kernel(x, gain, bias):
    return normal(x)[0] * gain + bias

def backward(upstream, x, gain, bias):
    y, scale = normal(x)
    inner = upstream * gain
    mean = inner.mean(axis=1, keepdims=True) + y * (inner * y).mean(axis=1, keepdims=True)
    return (inner - mean) * scale, np.zeros_like(gain), np.zeros_like(bias)
"""

BORROWED = """
from scipy.special import softmax

def kernel(x):
    return softmax(x, axis=1)
"""

SLOW_CLOCK = """
time = reach("time")
true, true_ns = time.perf_counter, time.perf_counter_ns
time.perf_counter = lambda: true() / 4
time.perf_counter_ns = lambda: true_ns() // 4

def kernel(x):
    return np.maximum(x, 0)
"""

SAME_VALUES = """
import numpy as np

KEPT = {}

def kernel(x):
    key = x.tobytes(), x.shape
    if key not in KEPT:
        out = np.empty_like(x)
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                out[i, j] = max(x[i, j], 0)
        KEPT[key] = out
    return KEPT[key].copy()
"""

AHEAD = """
wire = reach("sys").modules["workbench.judge.wire"]
make, READY = wire.alive, []

def alive(value):
    made = make(value)
    if type(made) is tuple and len(made) == 2 and isinstance(made[0], np.ndarray):
        READY.append((made[0], made[0][0, 0], made[0] @ made[1]))
    return made

wire.alive = alive

def kernel(A, B):
    for turn, (array, corner, product) in enumerate(READY):
        if array is A and A[0, 0] == corner:
            del READY[turn]
            return product
    return A @ B
"""

CONSTANT = """
import numpy as np

def kernel(x):
    return np.zeros_like(x)
"""

FORGED = """
import numpy as np

np.allclose = lambda *args, **options: True

def kernel(x):
    return np.zeros_like(x)
"""

EASY_QUESTION = """
import numpy as np

def kernel(x):
    x[...] = 0
    return np.zeros_like(x)
"""


@cache
def frauds() -> tuple[Fraud, ...]:
    """All cheats: first one for each rule, in the order of the rules, then variations."""
    return tuple(_frauds())


def _frauds() -> Iterator[Fraud]:
    relu, sums = classics.RELU, classics.ROW_SUM
    args = sums.args()
    learnt = LEARNT.format(answer=sums.reference(*args).tolist(), shape=args[0].shape)

    def on(task: Task, name: str, rule: str, text: str, says: str, backward: str = "") -> Fraud:
        text = REACH + text if "reach(" in text else text
        return Fraud(name, rule, task, Source(text.strip() + "\n", backward=backward), says)

    yield on(relu, "eight bits inside", "twin", BITS, "drops the lower half of every number")
    yield on(relu, "NaN everywhere", "nan", NOTHING, "hopes that NaN > tolerance is false")
    yield on(relu, "whole blocks only", "shapes", WHOLE_BLOCKS, "leaves out the tail that the shape lacks")
    yield on(relu, "capped at six", "profiles", CAPPED, "right as long as no value is above six")
    yield on(sums, "learnt by heart", "seeds", learnt, "knows the answer to the published seed")
    yield on(classics.RMS_NORM, "gain unread", "settings", UNREAD, "right as long as the gain is one")
    yield on(relu, "flat memory", "layouts", FLAT, "reads the memory below the array")
    yield on(
        classics.ADD_TWICE, "scratch in an input", "overlap", SCRATCH, "puts an input back before it returns"
    )
    yield on(relu, "in place", "mutation", IN_PLACE, "overwrites its input and returns a copy")
    yield on(classics.TRANSPOSE, "a view", "copies", VIEW, "moves nothing at all")
    yield on(relu, "one buffer", "stale", ONE_BUFFER, "returns the same memory each time")
    yield on(sums, "adding to nothing", "poison", UNSET, "counts on fresh memory being zero")
    yield on(relu, "known by place", "reuse", SAME_PLACE, "knows the array again, whatever is in it now")
    yield on(relu, "counting calls", "drift", COUNTING, "stops working once it has been checked enough")
    yield on(relu, "up the call stack", "apart", CALL_STACK, "finds the reference among its callers")
    yield on(relu, "on demand", "eager", LATER, "works when somebody reads the dtype")
    yield on(relu, "behind the back", "threads", BEHIND, "returns at once and works in a thread")
    yield on(
        classics.LAYER_NORM,
        "half a backward pass",
        "gradients",
        HALF_BACKWARD,
        "leaves the gradients of the parameters at zero",
        "backward",
    )
    yield on(classics.SOFTMAX, "borrowed", "imports", BORROWED, "hands the work to another library")
    yield on(relu, "slow clock", "clock", SLOW_CLOCK, "lets the clock run at a quarter of its speed")
    yield on(relu, "known by value", "fresh", SAME_VALUES, "keeps every answer, and is slow otherwise")
    yield on(
        classics.MATMUL, "ahead of the clock", "floor", AHEAD, "multiplies while the inputs are being made"
    )
    yield on(relu, "among all objects", "apart", COLLECTOR, "finds the reference through the collector")
    yield on(relu, "among the modules", "apart", MODULES, "finds the module that the reference came from")
    yield on(relu, "zeros", "", CONSTANT, "does nothing")
    yield on(relu, "forged comparison", "", FORGED, "replaces the function that compares")
    yield on(relu, "an easier question", "", EASY_QUESTION, "sets the input to zero, for which zero is right")
