"""What is tracked is small, complete, and free of any one machine's paths."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 3 * 2**20
# A home or scratch directory followed by a name; `/usr/bin/env` is anybody's, and nobody is called ada or me.
ONE_MACHINE = re.compile(
    r"(?<![\w.])/(?:(?:home|Users)/(?!ada\b|me\b)|(?:root|work|tmp|mnt|scratch)/)\w|\b[A-Z]:\\+Users\\"
)


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a checkout: what is tracked is unknown")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def one_machines_paths(text: str) -> list[str]:
    """Lines that name a directory of one machine."""
    return [line for line in text.splitlines() if ONE_MACHINE.search(line)]


def test_what_a_visitor_looks_for_is_there():
    for name in ("README.md", "LICENSE", "CONTRIBUTING.md", "CITATION.cff", "Makefile", "constraints.txt"):
        assert (ROOT / name).stat().st_size > 100, name


def test_large_files_have_a_card_beside_them():
    large = [path for path in tracked() if path.stat().st_size > LIMIT]
    assert [path.name for path in large if not path.with_name(path.name + ".md").exists()] == []


def test_no_tracked_file_names_a_directory_of_one_machine():
    found = []
    for path in tracked():
        if path == Path(__file__).resolve():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {line.strip()[:120]}" for line in one_machines_paths(text)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ('open("/home/grace/data.npy")', True),
        ("/Users/grace/x", True),
        (r'"C:\\Users\\grace"', True),
        ("/home/me/data.csv", False),
        ("see /tmp/out.txt", True),
        ("#!/usr/bin/env bash", False),
        ("https://example.org/home/grace", False),
        ("docs/home/page", False),
        (">/dev/null", False),
    ],
)
def test_paths_of_one_machine_are_recognised(line, bad):
    assert bool(one_machines_paths(line)) is bad
