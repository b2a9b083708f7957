"""Trains one model on one task: the same seed gives the same weights, interrupted or not."""

import hashlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.machine import machine_name
from workbench.machine.clocks import now
from workbench.quantity import Quantity
from workbench.train import kept
from workbench.train.averages import Average
from workbench.train.fingerprints import digest
from workbench.train.progress import Tell, told
from workbench.train.recipes import Recipe
from workbench.train.runs import Run, predict
from workbench.train.streams import data_order, stream, stream_seed
from workbench.train.tasks import Task

CHECKPOINT_EVERY = 10.0  # seconds


class Diverged(WorkbenchError):
    """The loss or the score of a training is not a number any more."""


def train(
    make: Callable[[], nn.Module],
    task: Task,
    recipe: Recipe | None = None,
    seed: int = 0,
    *,
    keep: bool = True,
    progress: bool | Callable[[int, int, float], None] = False,
) -> Run:
    """Trains what `make()` returns on the task's training data, and scores it on the test data.

    The seed decides everything that is random: first weights, order of the data (with the task alone: two
    models see the same), dropout, augmentation; the same number of threads gives the same bits. torch's own
    generator is left as it was. What is trained is a copy, so that `make` may hand out a module that is
    needed otherwise: a second stage of training begins with `train(lambda: first.model, ...)`.

    keep: the result is kept under the build directory and found again while model, data, recipe, seed and
        the code behind them are the same; an interrupted training goes on where it was stopped.
    progress: True draws a bar; a function is called with (steps done, of how many, loss) after each step.

    Raises Diverged, naming step and loss, when the loss is not finite any more.
    """
    recipe = recipe or Recipe()
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(stream_seed(seed, "weights"))
        model = deepcopy(_checked(make()))
        steps = steps_of(model, task, recipe)
        name = _name(model, task, recipe, steps, seed) if keep else None
        if name and (found := kept.read(name)) and _restored(model, found.tensors):
            return _run(model, task, recipe, seed, steps, found.record, kept_before=True)
        torch.manual_seed(stream_seed(seed, "training"))
        training = Training(model, task, recipe, steps, seed)
        with told(progress, steps) as tell:
            _go(training, name and f"{name}-unfinished", tell)
        training.finish()
        score = float(task.score(predict(model, task.test[0]), task.test[1]))
    if not math.isfinite(score):
        raise Diverged(f"{_who(model)} on {task.name} diverged: its score after {steps} steps is {score}")
    record = {
        "task": task.name,
        "model": type(model).__name__,
        "seed": seed,
        "steps": steps,
        "score": score,
        "curve": training.losses,
        "order": training.order,
        "seconds": training.seconds,
        "machine": machine_name(),
        "when": now(),
    }
    if name:
        kept.write(name, model.state_dict(), record)
        kept.remove(f"{name}-unfinished")
    return _run(model, task, recipe, seed, steps, record, kept_before=False)


def step_flops(model: nn.Module, task: Task, recipe: Recipe) -> Quantity:
    """Flops of one step, forward, loss and back, by the formulas of `workbench.probes.prices`.

    One step runs on the first inputs of the task, and every operator that torch dispatches has its price
    looked up; the optimiser's own arithmetic, a few flops for each parameter, is left out.
    """
    from workbench.probes import probe

    X, Y = (part[: recipe.batch] for part in task.train)
    with torch.enable_grad(), _in_training(model, recipe):
        found = probe(model, X, loss=lambda output: _loss(task, recipe)(output, Y))
    scale = recipe.batch / len(X)
    return Quantity((found.total.flops + found.total.backward_flops) * scale, "flop", "formula")


def steps_of(model: nn.Module, task: Task, recipe: Recipe) -> int:
    """How many steps the recipe asks for: `steps`, or as many whole ones as its budget of flops pays."""
    if recipe.flops is None:
        return recipe.steps
    each = step_flops(model, task, recipe).value
    steps = int(recipe.flops // each) if each else 0
    if not steps:
        raise WorkbenchError(
            f"a budget of {recipe.flops:.3g} flops does not pay one step of {_who(model)}, "
            f"which costs {each:.3g}"
        )
    return steps


class Training:
    """A training between two steps: it can do the next one, be put away, and be taken up again."""

    def __init__(self, model: nn.Module, task: Task, recipe: Recipe, steps: int, seed: int) -> None:
        self.model, self.task, self.recipe, self.steps = model, task, recipe, steps
        self.loss = _loss(task, recipe)
        self.learnt_before = [p for p in model.parameters() if p.requires_grad]
        _learning(model, recipe)
        self.optimizer = recipe.build(model)
        self.average = None if recipe.ema is None else Average(model, recipe.ema)
        self.learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.augmenting = stream(seed, "augment")
        self.rows = data_order(task.name, len(task.train[0]), seed, recipe.batch, steps)
        self.order = hashlib.sha256(self.rows.numpy().tobytes()).hexdigest()[:16]
        self.losses: list[float] = []
        self.seconds = 0.0

    def step(self) -> float:
        """One optimiser step; returns the loss before it."""
        start, step, recipe = time.perf_counter(), len(self.losses), self.recipe
        rows = self.rows[step]
        X, Y = self.task.train[0][rows], self.task.train[1][rows]
        if recipe.augment is not None:
            X = recipe.augment(X, self.augmenting)
        loss = self.loss(self.model(X), Y) if step else self.first_loss(X, Y)
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(
                f"{_who(self.model)} on {self.task.name} diverged: the loss is {value} at step {step} of "
                f"{self.steps} ({recipe.optimizer}, lr {recipe.lr:g})"
            )
        self.optimizer.zero_grad()
        loss.backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.learning, recipe.clip)
        rate = recipe.lr * recipe.factor(step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        self.losses.append(value)
        self.seconds += time.perf_counter() - start
        return value

    def first_loss(self, X: Tensor, Y: Tensor) -> Tensor:
        """The loss, with a sentence where model and task do not fit together."""
        stage = f"it cannot be run on inputs {list(X.shape)}"
        try:
            output = self.model(X)
            stage = f"it answers {_shape(output)} where {list(Y.shape)} is right"
            loss = self.loss(output, Y)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise WorkbenchError(
                f"{_who(self.model)} does not fit {self.task.name}: {stage} ({reason})"
            ) from error
        if loss.ndim or not loss.requires_grad:
            raise WorkbenchError(
                f"the loss of {self.task.name} must be one number that depends on the model, "
                f"but {list(loss.shape)} came{'' if loss.requires_grad else ' without a gradient'}"
            )
        return loss

    def finish(self) -> None:
        """The averaged weights take the place of the last ones, and the model stops learning."""
        if self.average is not None:
            self.average.put_in_place()
        self.model.eval()
        for p in self.model.parameters():
            p.grad = None
        for p in self.learnt_before:
            p.requires_grad_()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the next steps depend on, as tensors and as a record."""
        tensors = {f"model {name}": t for name, t in self.model.state_dict().items()}
        numbers: dict[str, float] = {}
        for i, p in enumerate(self.learning):
            for key, value in self.optimizer.state[p].items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer {i} {key}"] = value
                elif value is not None:
                    numbers[f"{i} {key}"] = value
        if self.average is not None:
            tensors |= {f"average {i}": t for i, t in enumerate(self.average.shadow)}
        tensors["random"] = torch.get_rng_state()
        tensors["augmenting"] = self.augmenting.get_state()
        return tensors, {"losses": self.losses, "seconds": self.seconds, "numbers": numbers}

    def restore(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Back to what `state` told."""
        model = {name.removeprefix("model "): t for name, t in tensors.items() if name.startswith("model ")}
        self.model.load_state_dict(model)
        for key, value in [*tensors.items(), *((f"optimizer {k}", v) for k, v in record["numbers"].items())]:
            if key.startswith("optimizer "):
                _, i, name = key.split(" ", 2)
                self.optimizer.state[self.learning[int(i)]][name] = value
        if self.average is not None:
            self.average.shadow = [tensors[f"average {i}"] for i in range(len(self.average.shadow))]
        torch.set_rng_state(tensors["random"])
        self.augmenting.set_state(tensors["augmenting"])
        self.losses, self.seconds = list(record["losses"]), record["seconds"]


def _go(training: Training, unfinished: str | None, tell: Tell) -> None:
    """All steps that are left; what an interrupt leaves unfinished is put away between two steps."""
    if unfinished and (found := kept.read(unfinished)):
        training.restore(*found)
    saved = time.perf_counter()
    with _interrupts() as interrupted:
        while len(training.losses) < training.steps:
            value = training.step()
            tell(len(training.losses), value)
            clock = time.perf_counter()
            if unfinished and (interrupted.is_set() or clock - saved > CHECKPOINT_EVERY):
                kept.write(unfinished, *training.state())
                saved = clock
            if interrupted.is_set():
                raise KeyboardInterrupt


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """While the block runs, Ctrl-C is noted for the end of the step; a second one breaks off at once."""
    came = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if came.is_set():
            raise KeyboardInterrupt
        came.set()

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)


def _loss(task: Task, recipe: Recipe) -> Callable[[Any, Tensor], Tensor]:
    """The task's loss, with label smoothing where the recipe asks for it."""
    if not recipe.label_smoothing:
        return task.loss
    import inspect

    if "label_smoothing" not in inspect.signature(task.loss).parameters:
        raise WorkbenchError(
            f"label_smoothing={recipe.label_smoothing} needs a loss that takes it, as cross_entropy does, "
            f"but the loss of {task.name} does not"
        )
    return lambda output, Y: task.loss(output, Y, label_smoothing=recipe.label_smoothing)  # type: ignore[call-arg]


def _learning(model: nn.Module, recipe: Recipe) -> None:
    """Training mode for all but the frozen parts."""
    model.train()
    names = [name for name, _ in [*model.named_modules(), *model.named_parameters()]]
    for wanted in recipe.freeze:
        if wanted not in names:
            raise WorkbenchError(
                f"freeze names {wanted!r}, but {_who(model)} has no part or parameter of that name"
            )
    for name, part in model.named_modules():
        if recipe.is_frozen(name):
            part.eval()
    for name, parameter in model.named_parameters():
        if recipe.is_frozen(name):
            parameter.requires_grad_(False)


@contextmanager
def _in_training(model: nn.Module, recipe: Recipe) -> Iterator[None]:
    """The model as it learns; mode and gradients are afterwards as they were."""
    modes = [(part, part.training) for part in model.modules()]
    learns = [(p, p.requires_grad) for p in model.parameters()]
    try:
        _learning(model, recipe)
        yield
    finally:
        for part, training in modes:
            part.training = training
        for p, requires_grad in learns:
            p.requires_grad_(requires_grad)


def _name(model: nn.Module, task: Task, recipe: Recipe, steps: int, seed: int) -> str:
    """The digest of everything that the trained weights and the score depend on."""
    settings = vars(replace(recipe, steps=steps, flops=None))
    data = (task.name, task.train, task.test, task.loss, task.score)
    return digest(model=model, data=data, recipe=settings, seed=seed, code=(Training, Recipe, predict))


def _restored(model: nn.Module, tensors: dict[str, Tensor]) -> bool:
    """Puts kept weights into the model; False where they are not its own."""
    kinds = [{k: (t.shape, t.dtype) for k, t in state.items()} for state in (model.state_dict(), tensors)]
    if kinds[0] != kinds[1]:
        return False
    model.load_state_dict(tensors)
    model.eval()
    return True


def _run(
    model: nn.Module,
    task: Task,
    recipe: Recipe,
    seed: int,
    steps: int,
    record: dict[str, Any],
    kept_before: bool,
) -> Run:
    return Run(
        model=model,
        task=task,
        recipe=recipe,
        seed=seed,
        steps=steps,
        score=record["score"],
        curve=np.array(record["curve"], dtype=np.float32),
        seconds=Quantity(record["seconds"], "s", "measured", machine=record["machine"], when=record["when"]),
        order=record["order"],
        kept=kept_before,
    )


def _checked(model: object) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise WorkbenchError(f"make() must return a torch module, but {type(model).__name__} came")
    return model


def _who(model: nn.Module) -> str:
    return type(model).__name__


def _shape(output: Any) -> str:
    return str(list(output.shape)) if isinstance(output, Tensor) else type(output).__name__
