"""Other people's models: weights from a file, or public ones through the library that owns them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from workbench.errors import WorkbenchError
from workbench.probes import FilterSet, filters
from workbench.zoo import store
from workbench.zoo.arm_table import number

UNKNOWN = "unknown"


def add(
    source: str | Path | nn.Module,
    name: str | None = None,
    data: str = UNKNOWN,
    task: str = UNKNOWN,
    folder: Path | str | None = None,
) -> dict[str, Any]:
    """Puts a model into the database and returns its row of `models`.

    source: a file of safetensors, "timm:NAME" or "torchvision:NAME" for public weights, which that library
    fetches or finds where it keeps them, or a torch model. name: the source's own by default; a model of the
    same name is replaced. data, task: what it has learnt, in one word each. folder: of the database, the
    reader's own by default.

    Raises WorkbenchError where the library is not installed, the weights cannot be had, or nothing is 3 x 3.
    """
    if isinstance(source, nn.Module):
        name, origin, found = name or type(source).__name__, "model", filters(source)
    elif (library := str(source).partition(":")[0]) in LIBRARIES and ":" in str(source):
        model = LIBRARIES[library](str(source).partition(":")[2])
        name, origin, found = name or str(source), library, filters(model)
    else:
        path = Path(source)
        name, origin, found = name or path.name, "file", from_file(path)
    row = {
        "model_id": number(f"{origin} {name}"),
        "name": name,
        "source": origin,
        "data": data,
        "task": task,
        "depth": len(found),
        "parameters": sum(layer.weights.size for layer in found),
        "added": _now(),
    }
    new = store.entry(row, found)
    store.write(store.home() if folder is None else Path(folder), new)
    return {column: new.model.get(column) for column in store.MODELS}


def from_file(path: Path) -> FilterSet:
    """The convolutions of a file of safetensors, in the natural order of their names.

    A file keeps names and shapes alone: convolutions are taken to have one group.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if path.suffix != ".safetensors":
        raise WorkbenchError(
            f"models come from FILE.safetensors, timm:NAME or torchvision:NAME, but {str(path)!r} came"
        )
    if not path.is_file():
        raise WorkbenchError(f"there is no file {str(path)!r}")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WorkbenchError(f"{path.name} is not a whole file of safetensors: {error}") from None
    return filters({name: tensors[name] for name in sorted(tensors, key=_natural)})


def from_timm(name: str) -> nn.Module:
    """A public model of timm with its trained weights."""
    try:
        import timm
    except ImportError:
        raise WorkbenchError("timm is not installed: pip install timm") from None
    return _fetched("timm", name, lambda: timm.create_model(name, pretrained=True))


def from_torchvision(name: str) -> nn.Module:
    """A public model of torchvision with its trained weights."""
    try:
        import torchvision
    except ImportError:
        raise WorkbenchError("torchvision is not installed: pip install torchvision") from None
    return _fetched("torchvision", name, lambda: torchvision.models.get_model(name, weights="DEFAULT"))


LIBRARIES: dict[str, Callable[[str], nn.Module]] = {"timm": from_timm, "torchvision": from_torchvision}


def _fetched(library: str, name: str, make: Callable[[], nn.Module]) -> nn.Module:
    """The model, or a sentence: an unknown name and a missing network look different in every library."""
    if not name:
        raise WorkbenchError(f"name a model of {library}, as in {library}:resnet18")
    try:
        return make()
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WorkbenchError(
            f"{library} cannot give the trained weights of {name!r}; it needs a network unless it has kept "
            f"them before ({reason})"
        ) from error


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sorts layer.10 behind layer.9."""
    parts = name.split(".")
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _now() -> str:
    from workbench.machine.clocks import now

    return now()
