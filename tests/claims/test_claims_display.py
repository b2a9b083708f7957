"""What a notebook shows for a claim."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.claims import Ledger, VerdictTable, commit, load_system, run_claim, verdict
from workbench.errors import WorkbenchError

Write = Callable[..., Path]


def table(shown: VerdictTable) -> dict[str, list[str]]:
    """The HTML read back: heading -> cells. It is well formed, or this fails."""
    html = shown._repr_html_()
    tree = ElementTree.fromstring(html)
    assert tree.tag == "table"
    assert [head.get("scope") for head in tree.findall("thead/tr/th")] == ["col"] * len(shown.columns)
    assert all(row[0].tag == "th" and row[0].get("scope") == "row" for row in tree.findall("tbody/tr"))
    assert "script" not in html
    assert "#" not in html  # no colour that a dark page could not show
    return {
        row[0].text or "": ["".join(cell.itertext()) for cell in row[1:]] for row in tree.findall("tbody/tr")
    }


def test_before_anyone_has_measured(write: Write) -> None:
    write()
    cells = table(verdict("toy-system", "gain"))
    assert cells["authors report"] == ["2 times"]
    assert cells["bar"] == ["at least 1.5 (no effect: 1)"]
    assert cells["value"] == ["not measured yet"]
    assert cells["verdict"] == ["—"]
    assert verdict("toy-system", "gain").sentence() == "Not measured yet."


def test_the_committed_record_stands_beside_the_readers_own(write: Write) -> None:
    write()
    commit(run_claim(load_system("toy-system"), "gain", "lesson"))
    assert verdict("toy-system", "gain").sentence() == (
        "Reproduced. The value is 2.02, the bar at least 1.5 (no effect: 1); the negative control gives 1.02."
    )
    cells = table(verdict("toy-system", "gain", remeasure=True, budget="smoke"))
    assert cells["value"][0].startswith("2.02 [2.00")
    assert cells["value"][1] == "2"
    assert cells["baseline"] == ["2", "2"]
    assert cells["negative control"][0].endswith("]: failed, as it must")
    assert cells["negative control"][1] == "1: executed"
    assert cells["verdict"] == [
        "reproduced",
        "none: a smoke run only shows that claim and control execute",
    ]
    assert cells["provenance"] == ["■ measured, 5 seeds, lesson budget", "■ measured, 1 seed, smoke budget"]
    folded = verdict("toy-system", "gain")._repr_html_().split("<details>")[1].split("</details>")[0]
    for column in ("committed record", "measured by you"):
        assert f"<strong>{column}, machine</strong>: toy machine<br/>" in folded
        assert re.search(rf"<strong>{column}, date</strong>: \d{{4}}-\d\d-\d\d<", folded)
    assert len(Ledger().rows("claim")) == 1  # looking again measures nothing
    verdict("toy-system", "gain")
    assert len(Ledger().rows("claim")) == 1


def test_the_readers_latest_measurement_is_shown(write: Write) -> None:
    write()
    record = run_claim(load_system("toy-system"), "gain", "lesson")
    Ledger().add("claim", **replace(record, value=7.0).stored())
    Ledger().add("claim", **replace(record, value=8.0).stored())
    Ledger().add("claim", **replace(record, claim="other", value=9.0).stored())
    assert table(verdict("toy-system", "gain"))["value"][1].startswith("8 [")


def test_stale_undecided_and_needy_records_say_so(write: Write) -> None:
    write()
    record = run_claim(load_system("toy-system"), "gain", "lesson")
    commit(replace(record, source="older"))
    Ledger().add("claim", **replace(record, control_failed=False).stored())
    cells = table(verdict("toy-system", "gain"))
    assert cells["verdict"] == ["reproduced; stale: code or data have changed since", "reproduced"]
    assert cells["negative control"][1].endswith("did not clearly fail")
    commit(
        replace(record, verdict="needs hardware", why="needs hardware: a GPU", value=None, control_value=None)
    )
    cells = table(verdict("toy-system", "gain"))
    assert cells["verdict"][0] == "needs hardware: a GPU"
    assert cells["value"][0] == cells["negative control"][0] == "—"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        (
            {"verdict": "direction only", "low": 1.2, "high": 2.5},
            " The interval from 1.2 to 2.5 has values that meet the bar and values that miss it.",
        ),
        (
            {"verdict": "direction only", "low": 1.1, "high": 1.2},
            " There is an effect, but it is smaller than the bar.",
        ),
        (
            {"verdict": "direction only", "control_failed": False},
            " The control did not clearly fail.",
        ),
        (
            {"verdict": "inconclusive", "low": 0.9, "high": 1.6, "control_failed": False},
            " The interval from 0.9 to 1.6 has values that meet the bar and values that miss it, "
            "and the control did not clearly fail.",
        ),
    ],
)
def test_a_verdict_gives_its_reason(write: Write, changes: dict[str, object], reason: str) -> None:
    write()
    commit(replace(run_claim(load_system("toy-system"), "gain", "lesson"), **changes))  # type: ignore[arg-type]
    said = verdict("toy-system", "gain").sentence()
    assert said.endswith("; the negative control gives 1.02." + reason)


def test_numbers_say_what_they_are_numbers_of(write: Write) -> None:
    path = write()
    write(
        path.read_text().replace('paper="2 times",', 'paper="2 times", unit="times", against="s, by hand",')
    )
    assert table(verdict("toy-system", "gain"))["value"] == ["not measured yet"]
    commit(run_claim(load_system("toy-system"), "gain", "lesson"))
    cells = table(verdict("toy-system", "gain"))
    assert cells["value"][0].endswith("] times")
    assert cells["baseline"] == ["2 s, by hand"]
    assert "The value is 2.02 times, the bar" in verdict("toy-system", "gain").sentence()
    assert "<summary>How to read this, and where" in verdict("toy-system", "gain")._repr_html_()


def test_how_to_read_a_number_that_was_computed_once(write: Write) -> None:
    path = write()
    assert "the mean over the seeds" in verdict("toy-system", "gain")._repr_html_()
    write(path.read_text().replace('paper="2 times",', 'paper="2 times", provenance="counted", seeds=1,'))
    assert "the mean over the seeds" not in verdict("toy-system", "gain")._repr_html_()


def test_words_of_the_claim_cannot_break_the_page(write: Write) -> None:
    path = write()
    write(path.read_text().replace("it gains", "<b>a & b|c</b>").replace("2 times", "<i>|</i>"))
    shown = verdict("toy-system", "gain")
    assert table(shown)["authors report"] == ["<i>|</i>"]
    assert "&lt;b&gt;a &amp; b" in shown._repr_html_()
    lines = shown._repr_markdown_().splitlines()
    assert {line.count("|") for line in lines[2:]} == {2 + len(shown.columns)}
    assert "authors report" in repr(shown)


def test_slips_are_told(write: Write) -> None:
    write()
    with pytest.raises(WorkbenchError, match="did you mean 'gain'"):
        verdict("toy-system", "gains")
    with pytest.raises(WorkbenchError, match="did you mean 'toy-system'"):
        verdict("toy-systems", "gain")
