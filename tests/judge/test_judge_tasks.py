"""The 42 kernel tasks: references against torch in float64, inputs, laws, and counts in closed form."""

import ast
import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench import count, kernel
from workbench.errors import WorkbenchError
from workbench.judge import Trial
from workbench.judge.profiles import LAYOUTS, lay_out
from workbench.judge.tasks import categories, exemplar, task, tasks
from workbench.judge.tasks.exemplars import TASKS as EXEMPLARS
from workbench.judge.tasks.shown import CUDA, NUMBA

ALL = (*tasks(), *EXEMPLARS)
EACH = pytest.mark.parametrize("asked", ALL, ids=lambda asked: asked.name)


def rnn(x, state, inward, across):
    zeros = torch.zeros(len(state), dtype=x.dtype)
    cell = torch.nn.RNNCell(x.shape[1], len(state), dtype=x.dtype)
    cell.load_state_dict({"weight_ih": inward, "weight_hh": across, "bias_ih": zeros, "bias_hh": zeros})
    states = []
    for row in x:
        state = cell(row, state)
        states.append(state)
    return torch.stack(states)


def stepped(make, params, rate_and_more, state, grad):
    """One step of an optimiser of torch from a given state."""
    param = torch.nn.Parameter(params.clone())
    optimizer = make([param], **rate_and_more)
    param.grad = grad.clone()
    optimizer.state[param].update(state)
    optimizer.step()
    return param.detach(), optimizer.state[param]


def sgd(p, g, v, rate, momentum):
    # torch lets the first velocity be the gradient alone, so the state is given as a buffer that exists
    param, state = stepped(
        torch.optim.SGD, p, {"lr": rate, "momentum": momentum or 1e-300}, {"momentum_buffer": v.clone()}, g
    )
    return param, state["momentum_buffer"]


def adam(p, g, m, s, rate, step):
    before = {"step": torch.tensor(float(step - 1)), "exp_avg": m.clone(), "exp_avg_sq": s.clone()}
    param, state = stepped(torch.optim.Adam, p, {"lr": rate}, before, g)
    return param, state["exp_avg"], state["exp_avg_sq"]


def rmsprop(p, g, s, rate, decay):
    before = {"step": torch.tensor(0.0), "square_avg": s.clone()}
    param, state = stepped(torch.optim.RMSprop, p, {"lr": rate, "alpha": decay}, before, g)
    return param, state["square_avg"]


def cumsum_where(x, mask):
    return torch.cumsum(x * mask, 1)


def interpolated(mode, **options):
    return lambda x, high, wide: F.interpolate(x[None], size=(high, wide), mode=mode, **options)[0]


def sampled(x, theta):
    grid = F.affine_grid(theta, (len(x), 1, *x.shape[1:]), align_corners=False)
    return F.grid_sample(x[:, None], grid, align_corners=False)[:, 0]


PEERS = {
    "add": torch.add,
    "leaky-relu": F.leaky_relu,
    "mse-loss": F.mse_loss,
    "matmul-add": lambda A, B, bias: torch.addmm(bias, A, B),
    "layer-norm": lambda x, w, b, eps: F.layer_norm(x, (x.shape[1],), w, b, eps),
    "reduce-sum": lambda x: x.sum(1),
    "row-sum": lambda x: x.sum(1),
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "elu": F.elu,
    "softmax": lambda x: F.softmax(x, 1),
    "add-bias": torch.add,
    "clamp": torch.clamp,
    "where": torch.where,
    "pointwise-conv": lambda x, w, b: F.conv2d(x, w[:, :, None, None], b),
    "depthwise-conv": lambda x, w: F.conv2d(x, w[:, None], groups=len(w)),
    "dilated-conv": lambda x, w, stride, dilation: F.conv1d(x, w, stride=stride, dilation=dilation),
    "huber-loss": lambda p, t, delta: F.huber_loss(p, t, delta=delta),
    "kl-div": lambda p, t: F.kl_div(torch.log(p), t, reduction="batchmean"),
    "cross-entropy": F.cross_entropy,
    "cumsum": lambda x: torch.cumsum(x, 1),
    "masked-cumsum": cumsum_where,
    "scale-matrix": torch.mul,
    "matmul-transposed-b": F.linear,
    "diagonal-matmul": lambda d, B: torch.diag(d) @ B,
    "batched-matmul": torch.bmm,
    "rms-norm": lambda x, w, eps: F.rms_norm(x, (x.shape[1],), w, eps),
    "l1-norm": lambda x: x / (F.normalize(torch.ones_like(x), p=1) * x.abs()).sum(1, keepdim=True).add(1e-12),
    "batch-norm": lambda x, w, b, eps: F.batch_norm(x[..., None], None, None, w, b, True, eps=eps)[..., 0],
    "sgd": sgd,
    "adam": adam,
    "rmsprop": rmsprop,
    "average-pool-1d": lambda x, size, stride, padding: F.avg_pool1d(x, size, stride, padding),
    "average-pool-2d": F.avg_pool2d,
    "max-pool-2d": F.max_pool2d,
    "argmax": lambda x: torch.argmax(x, 1),
    "embedding": lambda table, tokens: F.embedding(tokens, table),
    "scatter-add": lambda x, rows, values: x.index_add(0, rows, values),
    "nearest": interpolated("nearest"),
    "bilinear": interpolated("bilinear", align_corners=False),
    "affine-sample": sampled,
    "max-reduce": lambda x: x.amax(1),
    "mean-reduce": lambda x: x.mean(1),
    "product-reduce": lambda x: x.prod(1),
    "gemm-add-relu": lambda x, w, b: F.relu(F.linear(x, w, b)),
    "gemm-max-subtract-gelu": lambda x, w, b: torch.zeros((len(x), 1), dtype=x.dtype),
    "conv-relu-bias": lambda x, w, b: F.relu(F.conv2d(x, w)) + b[:, None, None],
    "mlp": lambda x, first, second: F.linear(F.relu(F.linear(x, first)), second),
    "causal-attention": lambda q, k, v: F.scaled_dot_product_attention(
        q[None], k[None], v[None], is_causal=True
    )[0],
    "vanilla-rnn": rnn,
}


def parts(value):
    return [np.asarray(each) for each in (value if isinstance(value, tuple) else (value,))]


def in_torch(asked, args):
    tensors = [torch.from_numpy(np.ascontiguousarray(a)) if isinstance(a, np.ndarray) else a for a in args]
    with torch.no_grad():
        found = PEERS[asked.name](*tensors)
    return (
        tuple(each.detach().numpy() for each in found) if isinstance(found, tuple) else found.detach().numpy()
    )


def combinations(asked):
    return [
        (shape, setting, profile)
        for shape in range(len(asked.shapes))
        for setting in range(len(asked.settings))
        for profile in asked.profiles
        if not (asked.name == "batch-norm" and asked.shapes[shape]["n"] == 1)  # torch refuses one row
        and not (asked.name == "sgd" and asked.settings[setting]["momentum"] == 0)  # torch keeps no velocity
    ]


def test_three_tasks_in_each_of_fourteen_categories():
    assert len(tasks()) == 42
    assert len(categories()) == 14
    assert [len(tasks(category)) for category in categories()] == [3] * 14
    assert all(asked.category == category for category in categories() for asked in tasks(category))
    names = [asked.name for asked in ALL]
    assert len(set(names)) == len(names) == len(PEERS)
    assert all(task(name).name == name for name in names)


def test_examples_are_not_asked():
    assert exemplar("matmul").name == "matmul-add"
    assert exemplar("resize").name == "add"
    assert not {each.name for each in EXEMPLARS} & {asked.name for asked in tasks()}
    assert set(NUMBA) == set(CUDA) == {each.name for each in EXEMPLARS}


def test_unknown_names_are_named():
    with pytest.raises(WorkbenchError, match="a category is one of activation"):
        tasks("poetry")
    with pytest.raises(WorkbenchError, match="'poem' came"):
        task("poem")
    with pytest.raises(WorkbenchError, match="knows the profiles mixed, but 'huge' came"):
        task("kl-div").inputs(profile="huge")


@EACH
def test_the_reference_agrees_with_torch(asked):
    for shape, setting, profile in combinations(asked):
        args = asked.inputs(shape, 3, profile, "float64", setting)
        for mine, theirs in zip(parts(asked.reference(*args)), parts(in_torch(asked, args)), strict=True):
            assert mine.shape == theirs.shape
            scale = max(1.0, np.abs(theirs).max(initial=0))
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10 * scale)


@EACH
def test_float32_means_something_on_every_profile(asked):
    for shape, setting, profile in combinations(asked):
        args = asked.inputs(shape, 1, profile, "float32", setting)
        tolerance = asked.tolerance["float32"]
        for narrow, wide in zip(parts(asked.reference(*args)), parts(asked.twin(*args)), strict=True):
            assert np.isfinite(wide).all()
            if np.abs(wide).max(initial=0) < 1e4:
                np.testing.assert_allclose(narrow, wide, rtol=tolerance, atol=tolerance)


@EACH
def test_laws_hold(asked):
    assert asked.laws
    for law in asked.laws:
        for shape in range(len(asked.shapes)):
            for setting in range(len(asked.settings)):
                args = asked.inputs(shape, 5, "mixed", "float64", setting)
                assert law.holds(asked.reference, args), (law.says, shape, setting)


@pytest.mark.parametrize("asked", tasks(), ids=lambda asked: asked.name)
def test_laws_can_be_broken(asked):
    """A kernel that is wrong by a random amount, another one at each call, breaks a law."""
    generator = np.random.default_rng(0)

    def wrong(*args):
        answers = [a + generator.integers(1, 9, a.shape) + 0.5 for a in parts(asked.reference(*args))]
        return tuple(answers) if len(answers) > 1 else answers[0]

    args = asked.inputs(len(asked.shapes) - 1, 5, "mixed", "float64")
    assert not all(law.holds(wrong, args) for law in asked.laws)


@EACH
def test_inputs_are_the_same_again_and_nobody_elses(asked):
    first, second = asked.inputs(1, 7), asked.inputs(1, 7)
    arrays = [(a, b) for a, b in zip(first, second, strict=True) if isinstance(a, np.ndarray)]
    assert len(arrays) == len(asked.arrays)
    for a, b in arrays:
        assert not np.shares_memory(a, b)
        np.testing.assert_array_equal(a, b)
    other = asked.inputs(-1, 8)
    assert any(not np.array_equal(a, b) for (a, b) in zip(asked.inputs(-1, 7), other, strict=True))


@EACH
def test_the_reference_leaves_its_arguments_and_does_not_mind_their_layout(asked):
    args = asked.inputs(-1, 2, "mixed", "float64")
    kept = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    expected = parts(asked.reference(*args))
    for mine, before in zip(args, kept, strict=True):
        np.testing.assert_array_equal(mine, before)
    for layout in LAYOUTS:
        laid = [lay_out(a, layout) if isinstance(a, np.ndarray) else a for a in args]
        for one, other in zip(parts(asked.reference(*laid)), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@EACH
def test_sizes(asked):
    """One shape of the least sizes, one with an odd axis, none that plain Python could not run through."""
    assert len(asked.shapes) >= 3
    least = asked.shapes[0]
    assert all(size <= min(shape[axis] for shape in asked.shapes) for axis, size in least.items() if size > 1)
    assert any(size % 2 and size > 1 for shape in asked.shapes for size in shape.values())
    for shape in range(len(asked.shapes)):
        assert all(a.size <= 2000 for a in asked.inputs(shape) if isinstance(a, np.ndarray))


@EACH
def test_bytes_are_those_of_the_arrays(asked):
    for shape in range(len(asked.shapes)):
        for setting in range(len(asked.settings)):
            args = asked.inputs(shape, setting=setting)
            moved = sum(a.nbytes for a in args if isinstance(a, np.ndarray))
            moved += sum(4 * part.size for part in parts(asked.reference(*args)))
            assert asked.bytes(shape, setting=setting) == moved
            assert asked.flops(shape, setting) >= 0


@EACH
def test_the_reference_stands_alone(asked):
    """It can be shown in a prompt: one function, numpy alone, arguments as declared."""
    tree = ast.parse(asked.source)
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef)
    assert function.name == asked.function
    assert [argument.arg for argument in function.args.args] == list(asked.parameters)
    known = {"np", "range", "slice", *asked.parameters}
    known |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    assert {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} <= known
    assert all(name in asked.arguments for name in asked.parameters)
    assert asked.signature == f"{asked.function}{inspect.signature(asked.reference)}"


@EACH
def test_cases_fit_a_trial(asked):
    cases = asked.cases(profiles=asked.profiles[:1], shapes=[0, 1])
    trial = Trial(asked.reference, cases, rtol=1e-4, atol=1e-4)
    assert len(trial.expected) == len(cases) == 2 * len(asked.settings)


@EACH
def test_a_judge_takes_the_task(asked):
    judged = asked.judged
    args = judged.args()
    expected = judged.expected(args)
    assert len(expected.values) == len(parts(asked.reference(*args)))
    assert judged.main == asked.shapes[-1]
    assert judged.flops(judged.timing) == asked.flops(asked.large)


@kernel
def counted_layer_norm(x, weight, bias, eps, out):
    for i in range(x.shape[0]):
        mean = x[i, 0]
        for j in range(1, x.shape[1]):
            mean += x[i, j]
        mean = mean / x.shape[1]
        variance = (x[i, 0] - mean) ** 2
        for j in range(1, x.shape[1]):
            variance += (x[i, j] - mean) ** 2
        root = (variance / x.shape[1] + eps) ** 0.5
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - mean) / root * weight[j] + bias[j]


@pytest.mark.slow
def test_operations_are_those_of_a_kernel():
    asked = task("layer-norm")
    args = asked.inputs(-1)
    counted = count(counted_layer_norm, *args, np.empty_like(args[0]))
    assert counted.flops == asked.flops(-1)
    assert counted.bytes_unique["x"] == args[0].nbytes


def test_a_law_needs_all_of_its_result():
    law = task("softmax").laws[0]
    args = task("softmax").inputs(-1, dtype="float64")
    assert law.holds(task("softmax").reference, args)
    assert not law.holds(lambda x: task("softmax").reference(x)[:1], args)
    loose = replace(law, sides=lambda f, x: (f(x).sum(1) + 1e-6, np.ones(len(x))))
    assert not loose.holds(task("softmax").reference, args, 1e-7)
    assert loose.holds(task("softmax").reference, args, 1e-5)
