"""Prompts are read back as they were written; code is found in an answer, or the reason why there is none."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.proposers import Prompt, Proposer, Templates, code_of, fenced
from workbench.proposers.prompt import DIFFERENT, PARTS

KERNEL = "def kernel(x):\n    # Task\n    return x\n"


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    words = st.text("abc #\n_.,é", max_size=40).map(lambda t: "\n".join(f"w{line}" for line in t.split("\n")))
    code = st.sampled_from(["", KERNEL.strip(), "# Task\nx = 1\n\n# Signature", "y = '# Your turn'"])
    parts = {name: draw(code if is_code else words) for name, is_code in PARTS.values()}
    return Prompt(**parts, number=draw(st.integers(1, 9)), of=draw(st.integers(1, 9)))


@settings(max_examples=60, deadline=None)
@given(prompts())
def test_a_prompt_is_read_back_as_it_was_written(prompt):
    assert Prompt.read(prompt.text()) == prompt


def test_only_later_proposals_are_asked_to_differ():
    assert DIFFERENT not in Prompt("add", "kernel(x)", number=1, of=8).text()
    assert DIFFERENT in Prompt("add", "kernel(x)", number=2, of=8).text()
    assert Prompt("add", "kernel(x, y)").function == "kernel"


@pytest.mark.parametrize("text", ["", "Write me a kernel", "# Task\nadd\n\n# Your turn\nProposal 1 of 1."])
def test_what_is_no_prompt_is_refused(text):
    with pytest.raises(WorkbenchError, match="a prompt"):
        Prompt.read(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"Here it is.\n```python\n{KERNEL}```\nDone.", "code"),
        (f"~~~~py\n{KERNEL}~~~~", "code"),
        (KERNEL, "code"),
        (f"```python\n{KERNEL}", "truncated"),
        (f"```python\n{KERNEL}```\nBetter:\n```python\n{KERNEL[:20]}", "code"),
        ("```python\ndef other(x):\n    return x\n```", "no function"),
        ("```python\ndef kernel(x:\n```", "syntax"),
        ("def kernel(x) well, I think", "syntax"),
        ("I cannot help with kernels.", "refusal"),
        ("```\nno code, only words\n```", "syntax"),
        ("```cuda\n__global__ void kernel() {}\n```", "refusal"),
        ("  \n", "empty"),
        ("```python\ndef kernel(x):\n    return '\0'\n```", "syntax"),
    ],
)
def test_every_kind_of_answer(text, kind):
    found = code_of(text, "kernel")
    assert found.kind == kind
    assert bool(found) == (kind == "code") == bool(found.code)
    assert bool(found.why) != bool(found)
    if found:
        ast.parse(found.code)


def test_of_two_blocks_the_last_that_defines_the_function_counts():
    first, second = (f"def kernel(x):\n    return {n}\n" for n in (1, 2))
    assert code_of(fenced(first) + fenced(second), "kernel").code == second
    assert code_of(fenced(first) + fenced("print(kernel(1))"), "kernel").code == first
    assert code_of(fenced(first) + "```python\ndef kernel(:\n```", "kernel").code == first


def test_a_fence_within_a_longer_fence_does_not_close_it():
    inside = 'def kernel(x):\n    """\n```\n    """\n    return x\n'
    assert code_of(f"````python\n{inside}````", "kernel").code == inside


def test_nothing_in_an_answer_is_executed(tmp_path):
    trace = tmp_path / "trace"
    assert code_of(f"```python\nopen({str(trace)!r}, 'w')\n{KERNEL}```", "kernel")
    assert not trace.exists()


def test_the_contract_is_structural():
    assert isinstance(Templates({}), Proposer)
