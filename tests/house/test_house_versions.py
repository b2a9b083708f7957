"""The ranges in pyproject.toml hold the tested set in constraints.txt."""

import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]


def pinned(text: str) -> dict[str, str]:
    """Name -> version of the lines `name==version`."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    pairs = (line.split("==") for line in lines if line)
    return {canonicalize_name(name): version for name, version in pairs}


def requirements() -> list[str]:
    """All that the project asks for, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]


def contradictions(required: list[str], pins: dict[str, str]) -> list[str]:
    """One sentence for each requirement that has no pin or another one than it allows."""
    found = []
    for text in required:
        wanted = Requirement(text)
        version = pins.get(canonicalize_name(wanted.name))
        if version is None:
            found.append(f"{wanted.name} is required but has no tested version in constraints.txt")
        elif not wanted.specifier.contains(Version(version), prereleases=True):
            found.append(f"{wanted.name} {version} is tested, but pyproject.toml asks for {wanted.specifier}")
    return found


def test_every_dependency_has_a_tested_version_within_its_range():
    required = requirements()
    assert len(required) > 20
    found = contradictions(required, pinned((ROOT / "constraints.txt").read_text(encoding="utf-8")))
    assert not found, "\n" + "\n".join(found)


def test_every_dependency_says_from_which_version_on():
    required = requirements()
    assert [text for text in required if not Requirement(text).specifier] == []


@pytest.mark.parametrize(
    ("required", "sentence"),
    [
        ("numpy>=2", "numpy 1.26.4 is tested, but pyproject.toml asks for >=2"),
        ("Lazy_Loader>=0.4", None),
        ("absent>=1", "absent is required but has no tested version"),
    ],
)
def test_a_contradiction_is_found(required, sentence):
    found = contradictions([required], pinned("numpy==1.26.4\nlazy-loader==0.4 # a comment\n\n"))
    assert [sentence in text for text in found] == ([True] if sentence else [])
