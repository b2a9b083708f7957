"""A toy systems room in tmp_path: modules written as text, found and imported like real ones."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from workbench_datasets import registry

import workbench.machine
import workbench.systems
from workbench.claims import find, record, source

Write = Callable[..., Path]

TOY = """
    from workbench.claims import AtLeast, Claim, Measured, System

    def gain(seed, budget):
        return Measured(2.0 + 0.01 * seed, system=4.0, baseline=2.0)

    def no_gain(seed, budget):
        return 1.0 + 0.01 * seed

    SYSTEM = System(
        key="toy-system",
        claims=[
            Claim("gain", says="it gains", paper="2 times", bar=AtLeast(1.5, null=1),
                  measure=gain, control=no_gain),
        ],
    )
"""


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the real systems, records or ledger."""
    systems = tmp_path / "systems"
    systems.mkdir()
    monkeypatch.setattr(find, "SYSTEMS", systems)
    monkeypatch.setattr(record, "RECORDS", tmp_path / "records")
    monkeypatch.setattr(workbench.systems, "__path__", [str(systems)])
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WORKBENCH_LESSON", raising=False)
    monkeypatch.delenv("WORKBENCH_RUN", raising=False)
    monkeypatch.setattr(registry, "_used", {})  # what tests of other rooms have loaded
    monkeypatch.setattr(workbench.machine, "machine_name", lambda: "toy machine", raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """`write(text, "toy/toy_system.py")` puts a module into the toy room and forgets an older one."""

    def written(text: str = TOY, name: str = "toy/toy_system.py") -> Path:
        path = tmp_path / "systems" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.parent / "__init__.py").exists():
            (path.parent / "__init__.py").touch()
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        forget()
        return path

    def forget() -> None:
        source.read.cache_clear()  # two writes may carry the same time
        source.definition.cache_clear()
        for module in [module for module in sys.modules if module.startswith("workbench.systems.toy")]:
            del sys.modules[module]

    yield written
    forget()
