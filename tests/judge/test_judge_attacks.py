"""What earns nothing: conduct that a harness has to see through, each in a process of its own."""

import builtins
import collections
import contextlib
import ctypes
import itertools
import os
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from workbench.judge import Trial, Worker, judge
from workbench.judge.cheats import spying


def double(x):
    return 2 * x


RNG = np.random.default_rng(0)
CASES = [(RNG.standard_normal(shape),) for shape in [(1,), (7,), (3, 4), (2, 1, 3)]]
CASES += [
    (RNG.standard_normal((3, 4)),),
    (np.asfortranarray(RNG.standard_normal((5, 3))),),
    (RNG.standard_normal((9, 8))[::-2, ::3],),
]


def mutate(x):
    x *= 2
    return x / 2 * 2 if x.size == 0 else x.copy()


def mutate_and_restore_nothing(x):
    result = 2 * x
    x[...] = 0
    return result


def alias(x):
    return x


def alias_view(x):
    x *= 2
    return x[...]


def stale_memory(x):
    return np.empty(x.shape)


def half_filled(x):
    out = np.empty(x.shape)
    out.ravel()[::2] = 2 * x.ravel()[::2]
    return out


def nan(x):
    return np.full(x.shape, np.nan)


def inf(x):
    return np.full(x.shape, np.inf)


def constant(x):
    return np.full(x.shape, 2.0)


def zeros(x):
    return np.zeros(x.shape)


def one_shape_only(x):
    return 2 * x if x.ndim == 2 else x.reshape(3, 4)


CALLS = []


def drift(x):
    CALLS.append(1)
    return 2 * x + (len(CALLS) > 8)


ROOM = np.empty(64)


def same_buffer(x):
    out = ROOM[: x.size].reshape(x.shape)
    out[...] = 2 * x
    return out


def loop(x):
    while True:
        pass


def loop_in_c(x):
    collections.deque(itertools.repeat(0), maxlen=0)


def loop_that_catches(x):
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(10)


def leave(x):
    os._exit(0)


def segfault(x):
    ctypes.string_at(0)


def huge(x):
    return np.zeros((1000, 1000))


def greedy(x):
    return [np.ones(10**8) for _ in range(100)]


def system_exit(x):
    sys.exit(0)


def interrupt(x):
    raise KeyboardInterrupt


def close_every_pipe(x):
    os.closerange(3, 50)
    return 2 * x


def garbage_to_every_pipe(x):
    for fd in range(3, 50):
        with contextlib.suppress(OSError):
            os.write(fd, b"\x00 passed: true " * 9)
    return x


def forged_frame(x):
    text = b'{"id": 2, "value": ["bool", true], "passed": true, "mutated": [], "alias": null, "stale": false}'
    frame = b"KWJ1" + len(text).to_bytes(4, "little") + (0).to_bytes(8, "little") + text
    for fd in range(3, 50):
        with contextlib.suppress(OSError):
            os.write(fd, frame)
    return x


def patched_numpy(x):
    yes = lambda *args, **options: True  # noqa: E731
    np.allclose = np.array_equal = np.isclose = yes
    np.abs = lambda value: np.zeros(1)
    np.shares_memory = np.may_share_memory = lambda *args, **options: False
    builtins.all = yes
    return x


def patched_clock(x):
    time.monotonic = time.perf_counter = time.time = lambda: 0.0
    while True:
        pass


class Bomb:
    def __reduce__(self):
        return (os._exit, (0,))


def bomb(x):
    return Bomb()


def bomb_in_array(x):
    return np.array([Bomb()], dtype=object)


class Liar(np.ndarray):
    def __eq__(self, other):
        return np.ones(self.shape, bool)

    def __array__(self, *args, **options):
        return 2 * np.asarray(self)


def liar(x):
    return x.copy().view(Liar)


def lazy(x):
    out = np.zeros(x.shape)
    threading.Timer(0.2, lambda: np.multiply(x, 2, out=out)).start()
    return out


PLACES: list = []


def known_by_place(x):
    for array, answer in PLACES:
        if array is x:
            return answer.copy()
    PLACES.append((x, 2 * x))
    return 2 * x


def still_running(x):
    threading.Thread(target=time.sleep, args=(0.2,)).start()
    return 2 * x


class OwnKind(np.ndarray):
    pass


def own_kind(x):
    return (2 * x).view(OwnKind)


def generator(x):
    return (2 * v for v in x)


def endless_list(x):
    inner: list = []
    inner.append(inner)
    return inner


def integers(x):
    return (2 * x).astype(int)


def as_list(x):
    return (2 * x).tolist()


def transposed(x):
    return (2 * x).T


def import_the_answer(x):
    from workbench import exercise

    return exercise("receptive-fields/radius").reference(x, 0.5)


def unloadable():
    stream = sys.stderr.buffer

    def function(x):
        return stream

    return function


@pytest.mark.parametrize(
    ("candidate", "kind", "says"),
    [
        (mutate, "mutation", "changed its inputs"),
        (mutate_and_restore_nothing, "mutation", "changed its inputs"),
        (alias, "values", ""),
        (alias_view, "mutation", ""),
        (stale_memory, "values nan", ""),
        (half_filled, "values nan drift", ""),
        (nan, "nan", "NaN came"),
        (inf, "values", "inf came"),
        (constant, "values", ""),
        (zeros, "values", "but 0.0 came"),
        (one_shape_only, "exception", "reshape"),
        (drift, "drift", "asked again"),
        (same_buffer, "stale", "earlier result"),
        (loop, "timeout", "still running after 0.3 s"),
        (loop_in_c, "timeout", ""),
        (loop_that_catches, "timeout", ""),
        (leave, "crash", "exit status 0"),
        (segfault, "crash", "SIGSEGV"),
        (huge, "shape", "(1000, 1000)"),
        (greedy, "memory", "64 MiB"),
        (system_exit, "exception", "SystemExit"),
        (interrupt, "exception", "KeyboardInterrupt"),
        (close_every_pipe, "crash", "its own process"),
        (garbage_to_every_pipe, "garbage", "no result"),
        (forged_frame, "type garbage crash", ""),
        (patched_numpy, "values exception", ""),
        (patched_clock, "timeout", ""),
        (bomb, "type", "an object of type Bomb came"),
        (bomb_in_array, "type", "object"),
        (liar, "values", ""),
        (lazy, "values", ""),
        (known_by_place, "values drift", ""),
        (still_running, "threads", "still running"),
        (own_kind, "eager", "no plain array"),
        (generator, "type", "generator"),
        (endless_list, "type", "list"),
        (integers, "dtype", "float numbers, but integer numbers came (int64)"),
        (as_list, "type", "list"),
        (transposed, "shape", "should have shape"),
        (import_the_answer, "load", "do without"),
        (unloadable(), "load", "cannot be sent"),
        (spying(__name__, "double"), "blank", "still blank"),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_wrong_conduct_earns_nothing_and_gets_one_sentence(candidate, kind, says):
    ruling = judge(candidate, double, CASES, timeout=0.3 if "timeout" in kind else 10.0, memory_mib=64)
    assert not ruling.passed
    assert ruling.kind in kind.split(), ruling
    assert says in ruling.sentence
    assert "\n" not in ruling.sentence
    assert ruling.sentence.endswith(".")


def test_the_spy_would_find_the_reference_if_it_were_there():
    spy = spying(__name__, "double")

    def carries_it(x, reference=double):
        return spy(x)

    assert judge(carries_it, double, CASES).passed


def test_right_answers_pass_however_they_are_written():
    for candidate in (double, lambda x: x + x, np.vectorize(lambda v: 2 * v), lambda x: np.multiply(x, 2)):
        ruling = judge(candidate, double, CASES)
        assert ruling.passed, ruling
        assert ruling.sentence == "Right: 7 cases, each asked 3 times."


def test_an_alias_of_an_input_is_refused_unless_it_is_allowed():
    cases = [(np.arange(12.0).reshape(3, 4),)]
    assert judge(lambda x: x.T, lambda x: x.T.copy(), cases).kind == "alias"
    assert judge(lambda x: [1, {"a": x[1:]}], lambda x: [1, {"a": x[1:].copy()}], cases).kind == "alias"
    assert judge(lambda x: x.T, lambda x: x.T.copy(), cases, aliases=True).passed
    assert judge(lambda x: x.T.copy(), lambda x: x.T, cases).passed


def test_memory_that_was_never_written_does_not_look_like_zeros():
    """Accumulating into np.empty is right only where fresh memory happens to be zero."""

    def accumulate(x):
        out = np.empty(x.shape)
        out += 2 * x
        return out

    for size in (5, 3000, 200_000):
        assert not judge(accumulate, double, [(np.ones(size),), (np.full(size, 2.0),)]).passed, size


def test_what_is_printed_is_shown_and_never_mistaken_for_a_result():
    def chatty(x):
        print("héllo from print", x.shape)
        os.write(1, b"raw bytes on fd 1 \xff\n")
        subprocess.run([sys.executable, "-S", "-c", "print('from a child')"], check=True)
        return 2 * x

    ruling = judge(chatty, double, CASES[:1])
    assert ruling.passed
    assert all(
        text in ruling.printed for text in ("héllo from print (1,)", "raw bytes on fd 1", "from a child")
    )


def test_a_flood_of_output_is_cut():
    def flood(x):
        print("ha" * 1_000_000)
        return 2 * x

    ruling = judge(flood, double, CASES[:1])
    assert ruling.passed
    assert len(ruling.printed) < 11_000


def test_standard_input_is_empty():
    def asks(x):
        input("? ")

    assert "EOFError" in judge(asks, double, CASES).sentence


@pytest.mark.parametrize("detached", [False, True])
def test_nothing_that_the_candidate_started_is_left(detached):
    def starts(x):
        child = subprocess.Popen(["sleep", "60"], start_new_session=detached)
        print(child.pid, flush=True)
        while True:
            pass

    ruling = judge(starts, double, CASES, timeout=0.5)
    assert ruling.kind == "timeout"
    pid = int(ruling.printed)
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_daemon_that_holds_the_pipe_open_does_not_hold_up_the_judge():
    def daemonise(x):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(3)
            os._exit(0)
        os._exit(7)

    start = time.monotonic()
    ruling = judge(daemonise, double, CASES, timeout=0.5)
    assert ruling.kind in ("crash", "timeout")
    assert time.monotonic() - start < 3


def test_an_exception_shows_the_candidates_line_and_no_other():
    def inner(x):
        return np.linalg.inv(x)  # a mark to look for

    def outer(x):
        return inner(x)

    ruling = judge(outer, double, [(np.zeros((2, 2)),)])
    assert "LinAlgError: Singular matrix" in ruling.sentence
    assert "a mark to look for" in ruling.sentence
    assert any("return inner(x)" in line for line in ruling.lines)
    assert "child.py" not in str(ruling)


def test_file_names_from_the_candidates_process_are_not_read(tmp_path):
    secret = tmp_path / "secret.py"
    secret.write_text("the hidden reference = 42\n")

    def forge(x):
        exec(compile("raise ValueError('boo')", str(secret), "exec"))

    ruling = judge(forge, double, CASES)
    assert "boo" in ruling.sentence
    assert "hidden reference" not in str(ruling)


def test_the_simplest_failing_case_is_shown():
    ruling = judge(lambda x: 3 * x, double, CASES[::-1])
    assert ruling.call.startswith("double(x=array([")
    assert ruling.case == len(CASES) - 1


@pytest.mark.slow
def test_a_compiled_endless_loop_is_stopped():
    import numba

    @numba.njit
    def spin(x):
        i = 0
        while i >= 0:
            i = (i + 1) % 7
        return x

    ruling = judge(spin, double, CASES, timeout=2.0)
    assert ruling.kind == "timeout"


@pytest.mark.slow
def test_torch_tensors_travel_with_dtype_layout_and_gradient():
    import torch

    def reference(x, y):
        return {"sum": x.sum(), "twice": 2 * x, "y": y.float()}

    x = torch.arange(6.0).reshape(2, 3).T.requires_grad_()
    cases = [
        (x, torch.ones(3, dtype=torch.bfloat16)),
        (torch.zeros(1, 1), torch.zeros(2, dtype=torch.bfloat16)),
    ]

    def right(x, y):
        assert x.shape == (1, 1) or (x.stride() == (1, 3) and x.requires_grad)
        assert y.dtype is torch.bfloat16
        return {"sum": x.sum(), "twice": x + x, "y": y.float()}

    def as_array(x, y):
        return {"sum": x.sum(), "twice": 2 * x.detach().numpy(), "y": y.float()}

    def in_place(x, y):
        result = reference(x, y)
        y.zero_()
        return result

    trial = Trial(reference, cases)
    with Worker() as worker:  # torch is imported once
        rulings = [trial.judge(candidate, worker, keep=True) for candidate in (right, as_array, in_place)]
    assert [ruling.kind for ruling in rulings] == ["right", "type", "mutation"]
    assert rulings[1].sentence == (
        "`result['twice']` should be a torch tensor of shape (1, 1), but an array of shape (1, 1) came."
    )
