"""Which edits make a record stale, and which do not."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.claims import load_system
from workbench.claims import source as fingerprint
from workbench.claims.source import claim_hash, closure, plain
from workbench.errors import WorkbenchError

Write = Callable[..., Path]

MODULE = """
    import numpy as np
    from workbench.claims import AtLeast, Claim, System
    from workbench.systems.toy import parts
    from workbench.systems.toy.deep import far as distant
    from .parts import near

    SIZE = 3
    BAR = 1.5

    def gain(seed, budget):
        "What is gained."
        return near(SIZE) + distant() + parts.half(seed)

    def no_gain(seed, budget):
        from workbench.systems.toy.late import later
        return later()

    def other(seed, budget):
        return np.mean([seed])

    def unrelated():
        return 1

    SYSTEM = System(
        key="toy-system",
        claims=[
            Claim("gain", says="it gains", paper="2", bar=AtLeast(BAR), measure=gain, control=no_gain),
            Claim(id="other", says="", paper="", bar=AtLeast(2.0), measure=other, control=lambda s, b: SIZE),
        ],
    )
"""
PARTS = """
    import math

    TABLE = {}
    TABLE["half"] = 0.5

    def near(n):
        return deeper(n)

    def deeper(n):
        return math.sqrt(n)

    def half(x):
        return TABLE["half"] * x

    def unused():
        return 0
"""
FILES = {
    "toy/toy_system.py": MODULE,
    "toy/parts.py": PARTS,
    "toy/deep/__init__.py": "import lazy_loader\n__getattr__ = lazy_loader.attach_stub(__name__, __file__)",
    "toy/deep/__init__.pyi": "from .inner import far as far",
    "toy/deep/inner.py": "def far():\n    return FAR\n\nFAR = 7",
    "toy/late.py": "class Later:\n    value = 1\n\ndef later():\n    return Later().value",
}


@pytest.fixture
def hashes(write: Write) -> Callable[[str, str, str], tuple[bool, bool]]:
    """Edits one file and says whether the hashes of the claims `gain` and `other` changed."""

    def taken() -> tuple[str | None, str | None]:
        return claim_hash("toy-system", "gain"), claim_hash("toy-system", "other")

    for name, source in FILES.items():
        write(source, name)
    before = taken()
    assert None not in before

    def changed(name: str, old: str, new: str) -> tuple[bool, bool]:
        source = FILES[name]
        assert old in source
        write(source.replace(old, new), name)
        after = taken()
        return before[0] != after[0], before[1] != after[1]

    return changed


SYSTEM_FILE = "toy/toy_system.py"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (SYSTEM_FILE, '"What is gained."', '"Something else."'),
        (SYSTEM_FILE, '"What is gained."\n', "\n"),
        (SYSTEM_FILE, "SIZE = 3", "SIZE = (3)  # three"),
        (SYSTEM_FILE, 'says="it gains", paper="2"', 'says="it really gains", paper="2 (table 1)"'),
        (SYSTEM_FILE, "def unrelated():\n        return 1", "def unrelated():\n        return 2"),
        (SYSTEM_FILE, "import numpy as np", "import os\n    import numpy as np"),
        ("toy/parts.py", "def unused():\n        return 0", "def unused():\n        return 1"),
        ("toy/deep/__init__.pyi", "far as far", "far as far\nfrom .inner import FAR"),
    ],
)
def test_edits_that_change_no_number(
    hashes: Callable[[str, str, str], tuple[bool, bool]], name: str, old: str, new: str
) -> None:
    assert hashes(name, old, new) == (False, False)


@pytest.mark.parametrize(
    ("name", "old", "new", "changed"),
    [
        (SYSTEM_FILE, "BAR = 1.5", "BAR = 1.4", (True, False)),
        (SYSTEM_FILE, "SIZE = 3", "SIZE = 4", (True, True)),
        (SYSTEM_FILE, "AtLeast(2.0)", "AtLeast(1.9)", (False, True)),
        (SYSTEM_FILE, "measure=other,", "measure=other, seeds=7,", (False, True)),
        (SYSTEM_FILE, "np.mean", "np.median", (False, True)),
        (SYSTEM_FILE, "import numpy as np", "import scipy as np", (False, True)),
        (SYSTEM_FILE, "distant() +", "distant() -", (True, False)),
        (SYSTEM_FILE, "SIZE = 3", "SIZE = 3\n    if True:\n        SIZE = 4", (True, True)),
        (SYSTEM_FILE, "control=no_gain", "control=other", (True, False)),
        ("toy/parts.py", "math.sqrt(n)", "math.sqrt(n) + 1", (True, False)),
        ("toy/parts.py", 'TABLE["half"] = 0.5', 'TABLE["half"] = 0.6', (True, False)),
        ("toy/parts.py", 'TABLE["half"] = 0.5', "TABLE.update(half=0.5)", (True, False)),
        ("toy/deep/inner.py", "FAR = 7", "FAR = 8", (True, False)),
        ("toy/late.py", "value = 1", "value = 2", (True, False)),
    ],
)
def test_edits_that_may_change_a_number(
    hashes: Callable[[str, str, str], tuple[bool, bool]],
    name: str,
    old: str,
    new: str,
    changed: tuple[bool, bool],
) -> None:
    assert hashes(name, old, new) == changed


def test_nothing_is_imported(write: Write) -> None:
    for name, source in FILES.items():
        write(source.replace("def later", "raise RuntimeError\n\ndef later"), name)
    assert claim_hash("toy-system", "gain")
    assert not [module for module in sys.modules if module.startswith("workbench.systems.toy")]


def test_what_is_gone_has_no_hash(write: Write) -> None:
    assert claim_hash("toy-system", "gain") is None
    write()
    assert claim_hash("toy-system", "gain")
    assert claim_hash("toy-system", "gone") is None


COMPUTED = """
    from workbench.claims import AtLeast, Claim, System

    def one(seed, budget):
        return 1.0

    def claim(id, bar):
        return Claim(id, says="", paper="", bar=AtLeast(bar), measure=one, control=one)

    SYSTEM = System(key="toy-system", claims=[claim("gain", 2.0), claim("other", 3.0)])
"""


def test_claims_made_by_a_function_share_the_hash_of_the_system(write: Write) -> None:
    write(COMPUTED)
    before = claim_hash("toy-system", "gain")
    assert before
    write(COMPUTED.replace("return 1.0", "return 1.1"))
    assert claim_hash("toy-system", "gain") != before
    write(COMPUTED.replace("3.0", "3.1"))
    assert claim_hash("toy-system", "gain") != before


WAYS = [
    "from workbench import budget\n\ndef f():\n    return budget.by_budget",
    "from workbench import by_budget\n\ndef f():\n    return by_budget",
    "from workbench.budget import by_budget as b\n\ndef f():\n    return b",
    "import workbench\n\ndef f():\n    return workbench.by_budget",
    "import workbench.budget\n\ndef f():\n    return workbench.budget.by_budget",
    "import workbench.budget as b\n\ndef f():\n    return b.by_budget('smoke')",
    "from workbench.budget import *\n\ndef f():\n    return by_budget",
    "from ...budget import by_budget\n\ndef f():\n    return by_budget",
    "from ... import budget\n\ndef f():\n    return budget.by_budget",
    "def f():\n    from ...budget import by_budget\n    return by_budget",
    "def f():\n    import workbench.budget\n    return workbench.budget.by_budget",
    "from workbench import budget\n\ndef f():\n    return budget",
]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_import_reaches_the_definition(write: Write, way: str) -> None:
    write(way, "toy/toy_system.py")
    start = fingerprint.read("workbench.systems.toy.toy_system").defined["f"]
    reached = {line.split(" ")[0] for line in closure("workbench.systems.toy.toy_system", start)}
    assert "workbench.budget:by_budget" in reached
    assert "workbench.budget:BUDGETS" in reached
    assert "workbench.errors:WorkbenchError" in reached


def test_the_claims_room_counts_by_name_only(write: Write) -> None:
    write()
    module = "workbench.systems.toy.toy_system"
    lines = list(closure(module, fingerprint.claim_nodes(module, "gain")))
    assert {line.split(" ")[0].split(":")[0] for line in lines} == {module}
    assert any("AtLeast=workbench.claims.AtLeast:None" in line for line in lines)


def test_broken_source_is_told_in_one_sentence(write: Write) -> None:
    write("def (:\n")
    with pytest.raises(WorkbenchError, match=r"toy_system.py is not Python: line 1"):
        claim_hash("toy-system", "gain")


def test_an_edit_is_noticed_by_a_running_process(write: Write) -> None:
    write()
    before = claim_hash("toy-system", "gain")
    assert load_system("toy-system").claim("gain").says == "it gains"
    path = write()
    path.write_text(path.read_text().replace("2.0 +", "2.5 +"))
    os.utime(path, ns=(1, 1))
    assert claim_hash("toy-system", "gain") != before


def test_syntax_as_text_is_the_same_in_every_python() -> None:
    """Pinned: newer versions of Python add fields to the syntax tree, which a hash must not see."""
    code = (
        'def f(x: int, *, y=None) -> str:\n    "doc"\n    import os\n    return f"{x!r:>{y}}" if x else -1.5'
    )
    assert plain(ast.parse(code).body[0]) == (
        "FunctionDef(name='f' args=arguments(args=[arg(arg='x' annotation=Name(id='int'))] "
        "kwonlyargs=[arg(arg='y')] kw_defaults=[Constant()]) body=[Return(value=IfExp(test=Name(id='x') "
        "body=JoinedStr(values=[FormattedValue(value=Name(id='x') conversion=114 "
        "format_spec=JoinedStr(values=[Constant(value='>') FormattedValue(value=Name(id='y') "
        "conversion=-1)]))]) orelse=UnaryOp(op=USub() operand=Constant(value=1.5))))] returns=Name(id='str'))"
    )


def test_the_hash_is_the_same_in_every_process() -> None:
    """Sets of names come in another order in each process; a real claim whose code uses a whole module."""
    ask = (
        "from workbench.claims.source import claim_hash; print(claim_hash('portable-stream', 'copy-traffic'))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", ask],
            env={**os.environ, "PYTHONHASHSEED": order},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for order in ("0", "1", "2")
    }
    assert len(said) == 1
