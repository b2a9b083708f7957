"""Training: the seed decides everything, nothing outside changes, an interrupt costs nothing."""

import math
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.probes import probe
from workbench.train import Diverged, Recipe, Task, cross_entropy, step_flops, train, training

GENERATOR = torch.Generator().manual_seed(0)
Y = torch.randint(2, (120,), generator=GENERATOR)
X = torch.randn(120, 1, 8, 8, generator=GENERATOR)
X[..., :4] += Y[:, None, None, None]  # the left half is brighter where the label is 1
HALVES = Task("halves", (1, 8, 8), 2, (X[:80], Y[:80]), (X[80:], Y[80:]))
SHORT = Recipe(steps=12, batch=16)


def small() -> nn.Sequential:
    """A net with everything that has a state: weights, norm statistics, dropout."""
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(144, 2))
    )


def seeing(seen: list[Tensor], *parts: nn.Module) -> nn.Module:
    """Notes what it sees while it learns."""

    class Seeing(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                seen.append(x.clone())
            return super().forward(x)

    return Seeing(*parts)


@pytest.fixture(autouse=True)
def _own_build(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path))


def weights(model: nn.Module) -> list[Tensor]:
    return list(model.state_dict().values())


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(u, v) for u, v in zip(weights(a), weights(b), strict=True))


def test_one_seed_gives_the_same_weights_and_another_seed_others():
    first = train(small, HALVES, SHORT, seed=3, keep=False)
    torch.rand(7)
    again, other = (train(small, HALVES, SHORT, seed=s, keep=False) for s in (3, 4))
    assert same(first.model, again.model)
    assert first.score == again.score
    assert (first.curve == again.curve).all()
    assert not same(first.model, other.model)


def test_it_learns():
    run = train(small, HALVES, Recipe(steps=60, lr=1e-2), keep=False)
    assert run.curve.shape == (60,)
    assert run.curve[-5:].mean() < run.curve[:5].mean() / 2
    assert run.train_score > 0.95
    assert run.score == run.evaluate(X[80:], Y[80:]) > 0.9
    assert run.predict(X).shape == (120, 2)
    assert not run.model.training


def test_nothing_outside_is_changed():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    before = torch.get_rng_state(), np.random.rand(), random.getstate()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    with torch.no_grad():
        train(small, HALVES, SHORT)
        assert not torch.is_grad_enabled()
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.rand()  # noqa: NPY002
    assert before[2] == random.getstate()
    assert (threads, handler) == (torch.get_num_threads(), signal.getsignal(signal.SIGINT))


def test_a_module_that_is_handed_out_again_is_not_trained_twice():
    own = small()
    first = deepcopy(own)
    runs = [train(lambda: own, HALVES, SHORT, keep=False) for _ in range(2)]
    assert same(own, first)
    assert same(runs[0].model, runs[1].model)


def test_two_models_see_the_same_data_in_the_same_order():
    seen: tuple[list[Tensor], list[Tensor]] = [], []
    narrow = train(lambda: seeing(seen[0], nn.Flatten(), nn.Linear(64, 2)), HALVES, SHORT, keep=False)
    wide = train(
        lambda: seeing(seen[1], nn.Dropout(0.5), *small()), HALVES, replace(SHORT, steps=20), keep=False
    )
    assert len(seen[0]) == 12
    assert len(seen[1]) == 20
    assert all(torch.equal(a, b) for a, b in zip(seen[0], seen[1], strict=False))
    assert narrow.order != wide.order  # one saw more


def test_every_input_is_seen_equally_often():
    rows = training.data_order("any", 10, 0, batch=4, steps=15)
    assert rows.shape == (15, 4)
    assert (rows.flatten().bincount() == 6).all()
    assert torch.equal(training.data_order("any", 10, 0, batch=4, steps=7), rows[:7])
    assert torch.equal(training.data_order("any", 10, 0, batch=8, steps=7).flatten(), rows.flatten()[:56])


class Stopping:
    """Augmentation that presses Ctrl-C once, at a chosen step."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        self.calls += 1
        if self.calls == self.at:
            signal.raise_signal(signal.SIGINT)
        return x + 0.1 * torch.randn(x.shape, generator=generator)

    def __getstate__(self) -> dict:
        return {}


@pytest.mark.parametrize(
    "recipe",
    [
        SHORT,
        replace(SHORT, ema=0.8, clip=0.5, schedule="cosine"),
        replace(SHORT, optimizer="sgd", lr=0.1),
        replace(SHORT, optimizer="sgd", lr=0.1, momentum=0.0),
        replace(SHORT, optimizer="adadelta", lr=1.0),
        replace(SHORT, optimizer="adam"),
    ],
)
def test_an_interrupted_training_goes_on_to_the_same_weights(recipe, monkeypatch, tmp_path):
    whole = train(small, HALVES, replace(recipe, augment=Stopping(0)), keep=False)
    monkeypatch.setattr(training, "digest", lambda **values: "one")
    for stop in (5, 4):  # interrupted in the 5th step, and in the 4th of the rest
        stopping = Stopping(stop)
        with pytest.raises(KeyboardInterrupt):
            train(small, HALVES, replace(recipe, augment=stopping))
        assert stopping.calls == stop
        assert (tmp_path / "train" / "one-unfinished.safetensors").is_file()
    rest = Stopping(0)
    resumed = train(small, HALVES, replace(recipe, augment=rest))
    assert rest.calls == recipe.steps - 9
    assert same(whole.model, resumed.model)
    assert (whole.curve == resumed.curve).all()
    assert [path.name for path in (tmp_path / "train").iterdir()] == ["one.safetensors"]


def test_a_crash_costs_no_more_than_the_steps_since_the_last_checkpoint(monkeypatch):
    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 0.0)
    monkeypatch.setattr(training, "digest", lambda **values: "one")
    done: list[int] = []

    def stop(step: int, steps: int, loss: float) -> None:
        done.append(step)
        if step == 8:
            raise MemoryError

    whole = train(small, HALVES, SHORT, keep=False)
    with pytest.raises(MemoryError):
        train(small, HALVES, SHORT, progress=stop)
    assert same(train(small, HALVES, SHORT, progress=lambda *news: done.append(news[0])).model, whole.model)
    assert done == [*range(1, 9), *range(8, 13)]  # the eighth step was not yet put away


def test_a_thread_may_train():
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(train, small, HALVES, SHORT, keep=False).result()
    assert there.score == train(small, HALVES, SHORT, keep=False).score


def test_the_average_is_its_closed_form():
    decay, steps = 0.7, 6
    seen: list[list[Tensor]] = []

    class Watched(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                state = [*self.parameters(), *self.buffers()]
                seen.append([t.detach().double().clone() for t in state if t.is_floating_point()])
            return super().forward(x)

    recipe = Recipe(steps=steps, schedule="constant")
    kinds = (nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 2))
    last = train(lambda: Watched(*deepcopy(kinds)), HALVES, recipe, keep=False).model
    first, updates = seen[0], seen[1:steps]
    end = [t.double() for t in [*last.parameters(), *last.buffers()] if t.is_floating_point()]
    run = train(lambda: Watched(*deepcopy(kinds)), HALVES, replace(recipe, ema=decay), keep=False)
    got = [t for t in [*run.model.parameters(), *run.model.buffers()] if t.is_floating_point()]
    assert len(got) == 8  # weight and bias of three parts, and two statistics
    for i, average in enumerate(got):
        want = decay**steps * first[i]
        for k, w in enumerate([*(state[i] for state in updates), end[i]], start=1):
            want = want + (1 - decay) * decay ** (steps - k) * w
        torch.testing.assert_close(average.double(), want, rtol=1e-5, atol=1e-6)


def test_a_budget_of_flops_buys_whole_steps():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False))
    recipe = Recipe(batch=16)
    each = step_flops(model, HALVES, recipe).value
    products = 2 * 2 * 16 * 64 * 2  # 2 flops, forward and weight gradient; the input needs none
    assert products < each < 1.2 * products  # the loss is the rest
    run = train(lambda: deepcopy(model), HALVES, replace(recipe, flops=10.9 * each), keep=False)
    assert run.steps == 10 == len(run.curve)
    assert run.flops.value == pytest.approx(10 * each)
    with pytest.raises(WorkbenchError, match="does not pay one step"):
        train(lambda: deepcopy(model), HALVES, replace(recipe, flops=0.5 * each))


def test_flops_of_a_step_are_those_of_the_probe_and_leave_the_model_alone():
    model = small().eval()
    before = deepcopy(model)
    found = step_flops(model, HALVES, SHORT)
    seen = probe(model.train(), X[:16], loss=lambda out: cross_entropy(out, Y[:16])).total
    assert found.value == seen.flops + seen.backward_flops
    assert same(model, before)
    assert all(p.grad is None for p in model.parameters())


def test_frozen_parts_stay_as_they_are():
    recipe = replace(SHORT, freeze=("0", "1", "5.bias"), lr=0.1)
    first, start = train(small, HALVES, replace(recipe, steps=1), keep=False), {}
    run = train(small, HALVES, recipe, keep=False)
    start = first.model.state_dict()
    moved = {name for name, t in run.model.state_dict().items() if not torch.equal(t, start[name])}
    assert moved == {"5.weight"}
    assert all(p.requires_grad for p in run.model.parameters())
    with pytest.raises(WorkbenchError, match="no part or parameter of that name"):
        train(small, HALVES, replace(recipe, freeze=("0", "head")))


def test_label_smoothing_is_the_loss_on_smoothed_targets():
    smoothing = 0.3
    targets = nn.functional.one_hot(Y, 2).float() * (1 - smoothing) + smoothing / 2

    def explicit(output: Tensor, answers: Tensor) -> Tensor:
        return -(answers * output.log_softmax(1)).sum(1).mean()

    soft = Task(
        "halves", (1, 8, 8), 2, (X[:80], targets[:80]), (X[80:], targets[80:]), explicit, lambda o, y: 0.0
    )
    one = train(small, HALVES, replace(SHORT, label_smoothing=smoothing), keep=False)
    two = train(small, soft, SHORT, keep=False)
    np.testing.assert_allclose(one.curve, two.curve, rtol=1e-4)
    with pytest.raises(WorkbenchError, match="needs a loss that takes it"):
        train(small, soft, replace(SHORT, label_smoothing=smoothing))


@pytest.mark.parametrize("keep", [True, False])
def test_divergence_is_said_in_one_sentence(keep):
    recipe = Recipe(steps=50, optimizer="sgd", lr=1e30, schedule="constant")
    with pytest.raises(
        Diverged, match=r"diverged: the loss is (nan|inf) at step \d+ of 50 \(sgd, lr 1e\+30\)"
    ):
        train(small, HALVES, recipe, keep=keep)


def test_a_score_that_is_no_number_is_divergence_too():
    nameless = replace(HALVES, score=lambda output, Y: math.nan)
    with pytest.raises(Diverged, match="its score after 12 steps is nan"):
        train(small, nameless, SHORT)


def test_a_second_stage_goes_on_from_the_first():
    first = train(small, HALVES, replace(SHORT, freeze=("0",)), keep=False)
    before = deepcopy(first.model)
    second = train(lambda: first.model, HALVES, replace(SHORT, optimizer="sgd", lr=1e-3), keep=False)
    assert same(first.model, before)
    assert not torch.equal(second.model.get_parameter("0.weight"), before.get_parameter("0.weight"))
    assert abs(second.curve[0] - first.curve[-1]) < 0.3 < first.curve[0]


def test_inference_mode_around_it_does_no_harm():
    with torch.inference_mode():
        run = train(small, HALVES, SHORT, keep=False)
    assert same(run.model, train(small, HALVES, SHORT, keep=False).model)


def test_what_does_not_fit_is_said():
    with pytest.raises(WorkbenchError, match="must return a torch module, but str came"):
        train(lambda: "net", HALVES)  # type: ignore[arg-type, return-value]
    with pytest.raises(
        WorkbenchError, match=r"Linear does not fit halves: it cannot be run on inputs \[32, 1"
    ):
        train(lambda: nn.Linear(3, 2), HALVES)
    with pytest.raises(WorkbenchError, match=r"it answers \[32, 2, 8, 8\] where \[32\] is right"):
        train(lambda: nn.Conv2d(1, 2, 1), HALVES)
    with pytest.raises(WorkbenchError, match="nothing to train"):
        train(nn.Flatten, HALVES)
    with pytest.raises(WorkbenchError, match=r"must be one number .* but \[32\] came"):
        train(small, replace(HALVES, loss=lambda output, Y: output.sum(1)), Recipe())


def test_progress_is_told():
    told: list[tuple] = []
    run = train(small, HALVES, SHORT, progress=lambda *news: told.append(news))
    assert [news[:2] for news in told] == [(i, 12) for i in range(1, 13)]
    assert np.allclose([news[2] for news in told], run.curve)


def test_a_bar_is_drawn_without_harm(capsys):
    train(small, HALVES, SHORT, progress=True, keep=False)


def test_outputs_may_be_structures():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = small()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            y = self.part(x)
            return {"fine": y, "coarse": 2 * y}

    double = replace(
        HALVES, loss=lambda o, y: cross_entropy(o["fine"], y), score=lambda o, y: float(len(o["fine"]))
    )
    run = train(Two, double, SHORT, keep=False)
    assert run.score == 40
    assert run.predict(torch.cat([X, X]))["coarse"].shape == (240, 2)
    assert run.predict(X[:1])["fine"].shape == (1, 2)


def test_a_run_is_told_in_a_line():
    text = str(train(small, HALVES, SHORT, keep=False))
    assert text.startswith("halves: score 0.")
    assert "after 12 steps; 338 parameters (formula), " in text
    assert "(measured)" in text


def test_predictions_leave_the_mode_alone_and_need_an_input():
    run = train(small, HALVES, SHORT, keep=False)
    run.model.train()
    a, b = run.predict(X), run.predict(X)
    assert torch.equal(a, b)
    assert run.model.training
    with pytest.raises(WorkbenchError, match="no input came"):
        run.predict(X[:0])
