"""Every rule of the contract: one good lesson keeps them all, and each breach is found by its rule."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import workbench_datasets
from lesson_making import Notebook, code, grader, markdown, notebook, solution, write

import workbench.exercises
from workbench.errors import WorkbenchError
from workbench.lessons.check import RULES, Problem, check, rules
from workbench.lessons.contract import exercises, references
from workbench.lessons.contract.executed import untitled_axes
from workbench.lessons.model import Lesson, lessons
from workbench.lessons.reuse import digest

KEY = "01-far/02-look"
DECLARED: dict[str, Any] = {
    "title": "Look",
    "systems": ["simplenet"],
    "minutes": 20,
    "prerequisites": ["01-far/01-before"],
    "cost": {"smoke": {"seconds": 10, "mib": 500}, "lesson": {"seconds": 60, "mib": 900}},
    "exclusive": False,
}
PARAMETERS = code('budget = "lesson"\nseed = 0', ["parameters"])


def good() -> Notebook:
    """A small lesson that keeps every rule. Cells are found in tests by what their text begins with."""
    cells = [
        markdown("# Look\n\n## Question: how far?"),
        PARAMETERS,
        code("from workbench import by_budget, views\nfrom workbench_datasets import load"),
        code('views.image(load("astronaut"), by_budget(budget, smoke=1, lesson=2), seed)'),
        markdown("## Prediction"),
        code('predict("how-far", "How far?", ["3", "5"])'),
        markdown("## Mechanism\n\nSee [before](01-before.ipynb#The-start) and [below](#turn)."),
        code("reach = 3"),
        markdown("## Instrument"),
        code("reach * 2"),
        markdown("## Turn\n\n![a dot](attachment:dot.png)")
        | {"attachments": {"dot.png": {"image/png": "aGk="}}},
        code("reach + 1"),
        markdown("## Claim"),
        code('verdict("simplenet", "wider")'),
        markdown("## Exercise"),
        solution(),
        code('exercise("far/radius").check(radius)'),
        grader(),
        markdown("## Where it breaks"),
        markdown("## Bridge: [elsewhere](https://example.org/kernel)"),
        markdown("## Sources"),
    ]
    return notebook(cells, **copy.deepcopy(DECLARED))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(references, "_catalog", lambda: {"simplenet"})
    monkeypatch.setattr(references, "_claims", lambda system: {"wider"} if system == "simplenet" else set())
    monkeypatch.setattr(exercises, "_known", lambda: {"far/radius"})
    monkeypatch.setattr(workbench_datasets, "names", lambda: ["astronaut"])
    folder = tmp_path / "notebooks"
    write(folder, "01-far/01-before", notebook([markdown("# Before\n\n## The start")]))
    return folder


def lesson(root: Path, text: Notebook) -> Lesson:
    return Lesson.read(write(root, KEY, text), root)


def problems(root: Path, text: Notebook, **options: Any) -> list[Problem]:
    return check([lesson(root, text)], **({"dynamic": False} | options))


def at(text: Notebook, begins: str) -> dict[str, Any]:
    return next(cell for cell in text["cells"] if cell["source"].startswith(begins))


def put(begins: str, new: str) -> Callable[[Notebook], Any]:
    return lambda text: at(text, begins).update(source=new)


def append(*cells: dict[str, Any]) -> Callable[[Notebook], Any]:
    return lambda text: text["cells"].extend(cell | {"id": f"new-{n}"} for n, cell in enumerate(cells))


def declare(**changes: Any) -> Callable[[Notebook], Any]:
    return lambda text: text["metadata"]["workbench"].update(changes)


def drop(begins: str) -> Callable[[Notebook], Any]:
    return lambda text: text["cells"].remove(at(text, begins))


def swap(a: str, b: str) -> Callable[[Notebook], Any]:
    def exchange(text: Notebook) -> None:
        first, second = at(text, a), at(text, b)
        first["source"], second["source"] = second["source"], first["source"]

    return exchange


def test_a_good_lesson_keeps_the_contract(root: Path) -> None:
    assert problems(root, good()) == []


@pytest.mark.parametrize(
    ("rule", "breach", "says"),
    [
        ("valid", lambda t: t.update(nbformat_minor=4), "4.4"),
        ("valid", lambda t: t["cells"][1].pop("id"), "'id' is a required property"),
        ("valid", lambda t: t["cells"][1].update(id=t["cells"][0]["id"]), "used 2 times"),
        ("valid", lambda t: t["cells"][1].pop("outputs"), "outputs"),
        ("stripped", lambda t: t["cells"][1].update(execution_count=3), "cell 2"),
        ("stripped", lambda t: t["metadata"].update(widgets={}), "widgets"),
        ("stripped", lambda t: t["cells"][2]["metadata"].update(papermill={}), "cell 3"),
        ("kernel", lambda t: t["metadata"]["kernelspec"].update(name="conda"), "conda"),
        ("kernel", lambda t: t["metadata"].pop("language_info"), "None"),
        ("tags", lambda t: t["cells"][2]["metadata"].update(tags=["hide-cell"]), "hide-cell"),
        ("tags", lambda t: t["cells"][2]["metadata"].update(jupyter={"source_hidden": True}), "folded"),
        ("metadata", lambda t: t["metadata"]["workbench"].pop("minutes"), "lack minutes"),
        ("metadata", declare(exclusve=True), "exclusve"),
        ("metadata", declare(minutes=True), "minutes should be"),
        ("metadata", declare(exclusive="yes"), "exclusive should be"),
        ("metadata", declare(kind="essay"), "kind should be"),
        ("metadata", declare(cost={"smoke": {"seconds": 1, "mib": 1}}), "smoke and lesson"),
        ("metadata", declare(cost={b: {"seconds": 0, "mib": 1} for b in ("smoke", "lesson")}), "above 0"),
        ("title", declare(title="Another"), "Another"),
        ("title", put("# Look", "## Question"), "there are 0"),
        ("title", append(markdown("# A second one")), "there are 2"),
        ("anatomy", drop("## Where"), "Where it breaks"),
        ("anatomy", swap("## Instrument", "## Claim"), "Claim stands out of order"),
        ("anatomy", append(markdown("## Sources")), "more than once"),
        ("parts", drop("predict("), "Prediction calls no predict"),
        ("parts", drop("reach = 3"), "Mechanism shows no code"),
        ("parts", drop("exercise("), "Exercise calls no exercise"),
        ("answers", put("reach + 1", "recall('reach', 'seven')"), "cell 12 writes the answer"),
        ("answers", put("reach + 1", "recall('reach', answer=7)"), "compute it"),
        ("first-picture", put("views.", 'print(load("astronaut"), budget, seed)'), "draws a figure"),
        (
            "first-picture",
            put("views.", 'def later():\n    views.heat(load("astronaut"), budget, seed)'),
            "draws a figure",
        ),
        ("cell-length", put("reach + 1", "x = 1\n" * 21), "21 lines"),
        ("alt-text", put("## Turn", "## Turn\n\n![](attachment:dot.png)"), "dot.png"),
        ("alt-text", put("## Turn", "## Turn\n\n<img src='attachment:dot.png'>"), "dot.png"),
        ("syntax", put("reach + 1", "reach +"), "cell 12"),
        ("parameters", lambda t: t["cells"].insert(1, code("x = 1") | {"id": "x"}), "first code cell"),
        ("parameters", put("budget =", 'budget = "smoke"\nseed = 0'), "'smoke'"),
        ("parameters", put("budget =", 'budget = "lesson"'), "seed = 0"),
        ("parameters", put("budget =", 'budget = "lesson"\nseed = 0\nn = f()'), "plain assignments"),
        ("dead-parameter", put("budget =", 'budget = "lesson"\nseed = 0\ndepth = 3'), "depth"),
        ("budget-branch", put("reach + 1", 'if budget == "smoke":\n    reach = 1'), "branches on budget"),
        ("budget-branch", put("reach + 1", 'reach = 1 if budget == "smoke" else 2'), "branches on budget"),
        ("exclusive", put("reach + 1", "from time import perf_counter\nperf_counter()"), "measures time"),
        ("exclusive", put("reach + 1", "%timeit reach + 1"), "measures time"),
        ("exclusive", put("reach + 1", "import time\ntime.time()"), "measures time"),
        ("offline", put("reach + 1", "import urllib.request"), "urllib.request"),
        ("offline", put("reach + 1", "from requests import get"), "requests"),
        ("offline", put("reach + 1", "x = 'https://example.org/data'"), "https://example.org/data"),
        (
            "offline",
            put("reach + 1", "from sklearn.datasets import fetch_openml\nfetch_openml('x')"),
            "fetch_openml",
        ),
        ("offline", put("reach + 1", "!pip install x"), "!"),
        ("offline", put("reach + 1", "%pip install x"), "pip"),
        ("paths", put("reach + 1", "open('/home/me/data.csv')"), "/home/me/data.csv"),
        ("paths", put("reach + 1", "open(r'C:\\data.csv')"), "C:"),
        ("paths", put("reach + 1", "open('~/data.csv')"), "~/data.csv"),
        ("test-only", lambda t: at(t, "reach = 3")["metadata"].update(tags=["remove-cell"]), "reach"),
        ("systems", declare(systems=["simplenet", "unheard-of"]), "unheard-of"),
        ("systems", put("verdict(", 'verdict("other", "wider")'), "no verdict"),
        ("prerequisites", declare(prerequisites=["01-far/09-none"]), "09-none"),
        ("prerequisites", declare(prerequisites=[KEY]), "does not come before"),
        ("links", put("## Sources", "## Sources\n\n[a](../02-other/01-x.ipynb)"), "there is no"),
        ("links", put("## Sources", "## Sources\n\n[a](01-before.ipynb#The-end)"), "The-end"),
        ("links", put("## Sources", "## Sources\n\n[a](#nowhere)"), "nowhere"),
        ("links", put("## Sources", "## Sources\n\n[a](../../README.md)"), "leaves the lessons"),
        ("links", put("## Turn", "## Turn\n\n![a dot](attachment:other.png)"), "other.png"),
        ("links", put("## Turn", "## Turn\n\n![a dot](https://example.org/a.png)"), "lies outside"),
        ("verdicts", put("verdict(", 'verdict("simplenet", "deeper")'), "there are wider"),
        (
            "verdicts",
            put("verdict(", "for claim in ['wider']:\n    verdict('simplenet', claim)"),
            "write out",
        ),
        ("data", put("views.", 'views.image(load("nobody"), budget, seed)'), "nobody"),
        ("data", put("reach + 1", 'import workbench_datasets as d\nd.load("nobody")'), "nobody"),
        (
            "nbgrader",
            lambda t: at(t, "def radius")["metadata"]["nbgrader"].update(schema_version=2),
            "nbgrader",
        ),
        ("nbgrader", append(solution()), "Duplicate"),
        ("solutions", put("def radius", "def radius(depth):\n    return 1 + 2 * depth"), "between"),
        ("solutions", put("def radius", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION"), "outside a function"),
        (
            "solutions",
            append(code("def f():\n    ### BEGIN SOLUTION\n    ### END SOLUTION")),
            "nbgrader does not",
        ),
        ("graders-cell", put("### BEGIN HIDDEN", "assert radius(1) == 3"), "between"),
        (
            "graders-cell",
            put("### BEGIN HIDDEN", "radius(1)\n### BEGIN HIDDEN TESTS\nassert radius\n### END HIDDEN TESTS"),
            "outside its hidden tests",
        ),
        ("exercises", put("exercise(", 'exercise("far/unknown").check(radius)'), "far/unknown"),
        ("chapter-time", declare(cost=DECLARED["cost"] | {"smoke": {"seconds": 152, "mib": 1}}), "76 s"),
        (
            "chapter-time",
            declare(cost=DECLARED["cost"] | {"smoke": {"seconds": 77, "mib": 1}}, exclusive=True),
            "77 s",
        ),
        ("chapter-time", declare(cost=DECLARED["cost"] | {"lesson": {"seconds": 91, "mib": 1}}), "91 s"),
    ],
)
def test_each_breach_is_found_by_its_rule(
    root: Path, rule: str, breach: Callable[[Notebook], Any], says: str
) -> None:
    text = good()
    breach(text)
    told = [problem.sentence for problem in problems(root, text) if problem.rule == rule]
    assert any(says in sentence for sentence in told), problems(root, text)


@pytest.mark.parametrize(
    "variation",
    [
        declare(exclusive=True),
        lambda t: (declare(exclusive=True)(t), put("reach + 1", "%timeit reach + 1")(t)),
        append(code("1 +", ["raises-exception"])),
        put("reach + 1", "f'{reach}/s', '/s', 'a/b', '1/2', '//', '/', 'x: /per/'"),
        put("reach + 1", "import numpy as np\nnp.load\nimport json\njson.load(open('x'))"),
        put("reach + 1", "x = {'smoke': 1, 'lesson': 2}[budget]"),
        put("reach + 1", "%matplotlib inline\nreach"),
        put("## Sources", "## sources: all of them"),
        put("## Sources", "## Sources\n\n### More\n\n`[no link](x.ipynb)` and <mailto:a@example.org>"),
        append(markdown("## And something more")),
        append(code("check_only = 1\nassert check_only", ["remove-cell"])),
        append(code("def f(depth):\n    return depth"), code("depth = 1", ["remove-cell"])),
    ],
)
def test_what_is_allowed_is_not_reported(root: Path, variation: Callable[[Notebook], Any]) -> None:
    text = good()
    variation(text)
    assert problems(root, text) == []


def test_the_median_counts_only_what_a_reader_reads(root: Path) -> None:
    text = good()
    append(*(code("x = 1\n" * 9, ["remove-cell"]) for _ in range(20)))(text)
    assert problems(root, text) == []
    append(*(code("x = 1\n" * 9) for _ in range(20)))(text)
    text["cells"] = [cell | {"id": f"c{n}"} for n, cell in enumerate(text["cells"])]
    assert [problem.rule for problem in problems(root, text)] == ["cell-length"]


def test_a_tour_has_no_anatomy(root: Path) -> None:
    tour = notebook(
        [markdown("# Tour"), PARAMETERS, code("views.hall(budget, seed)")], **DECLARED | {"title": "Tour"}
    )
    tour["metadata"]["workbench"]["systems"] = []
    assert {problem.rule for problem in problems(root, tour)} >= {"anatomy"}
    tour["metadata"]["workbench"]["kind"] = "tour"
    assert problems(root, tour) == []


def test_a_broken_form_is_told_alone(root: Path) -> None:
    text = good()
    del text["cells"][1]["id"]
    del text["metadata"]["workbench"]["minutes"]
    assert {problem.rule for problem in problems(root, text)} == {"valid"}


def test_a_chapter_is_added_up_even_when_one_lesson_is_checked(root: Path) -> None:
    cost = {"smoke": {"seconds": 150, "mib": 1}, "lesson": {"seconds": 1, "mib": 1}}
    write(root, "01-far/01-before", notebook([markdown("# Before\n\n## The start")], cost=cost))
    assert [problem.rule for problem in problems(root, good())] == ["chapter-time"]


def test_exercises_are_proved(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def prove(exercise: str) -> list[str]:
        return [f"the wrong answer off-by-one of {exercise} passes"]

    monkeypatch.setattr(workbench.exercises, "prove", prove, raising=False)
    monkeypatch.setattr(workbench.exercises, "exercise", str, raising=False)
    assert problems(root, good()) == []
    [problem] = problems(root, good(), dynamic=True)
    assert (problem.rule, problem.lesson) == ("proof", KEY)
    assert "off-by-one" in problem.sentence


def test_the_rules_are_data(root: Path) -> None:
    assert {"anatomy", "cost", "run", "chapter-time"} <= {row["rule"] for row in rules()} == set(RULES)
    assert all(row["says"].endswith(".") for row in rules())
    assert Problem("a", "b", "c").row() == {"lesson": "a", "rule": "b", "sentence": "c"}
    with pytest.raises(WorkbenchError, match="budget must be one of"):
        check(lessons(root), budget="tiny")


# Executed lessons

AXES = {"xaxis": {"title": {"text": "depth"}}, "yaxis": {"title": {"text": "reach, px"}}}
META = {"alt": "A rising line", "caption": "It rises."}
FIGURE = {"data": [{"type": "scatter", "y": [1, 2]}], "layout": AXES | {"meta": META}}


def shows(**data: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": data}


def run(root: Path, output: dict[str, Any] | None = None, budget: str = "smoke", **record: Any) -> Lesson:
    """The good lesson with a run in which the third cell shows a figure and the last one `output`."""
    read = lesson(root, good())
    ran = good()
    ran["cells"].insert(2, code('budget = "smoke"', ["injected-parameters"]) | {"id": "injected"})
    at(ran, "views.")["outputs"] = [shows(**{"application/vnd.plotly.v1+json": FIGURE})]
    at(ran, "exercise(")["outputs"] = [output] if output else []
    inputs: dict[str, Any] = {
        "python": None,
        "notebook": digest(read.path.read_text()),
        "libraries": {},
        "files": {},
        "data": {},
    }
    solved = [{"kind": "attempt", "exercise": "far/radius", "passed": True}]
    told = {
        "seconds": 9.0,
        "peak_mib": 400.0,
        "ledger": solved,
        "inputs": inputs | record.pop("inputs", {}),
    } | record
    place = root.parent / "build" / "runs" / budget / f"{KEY}.ipynb"
    write(place.parents[1], KEY, ran)
    place.with_suffix(".json").write_text(json.dumps(told))
    return read


def fresh() -> dict[str, str]:
    import platform

    return {"python": platform.python_version()}


def sentences(found: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.rule, problem.sentence) for problem in found]


def test_a_good_run_keeps_the_contract(root: Path) -> None:
    assert check([run(root, inputs=fresh())], budget="smoke", dynamic=False) == []


@pytest.mark.parametrize(
    ("rule", "output", "says"),
    [
        (
            "errors",
            {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []},
            "ValueError: no",
        ),
        (
            "errors",
            {
                "output_type": "stream",
                "name": "stderr",
                "text": ["Traceback (most recent call last):\n", "  …"],
            },
            "traceback",
        ),
        (
            "figures",
            shows(**{"application/vnd.plotly.v1+json": FIGURE | {"layout": AXES}}),
            "no text alternative",
        ),
        (
            "figures",
            shows(
                **{"application/vnd.plotly.v1+json": FIGURE | {"layout": AXES | {"meta": {"alt": "A line"}}}}
            ),
            "no caption",
        ),
        (
            "figures",
            shows(**{"application/vnd.plotly.v1+json": FIGURE | {"layout": {"meta": META}}}),
            "no title on its xaxis",
        ),
        (
            "figures",
            shows(
                **{
                    "application/vnd.workbench.explorer+json": {
                        "frame": [{"kind": "picture", "caption": "c"}]
                    }
                }
            ),
            "no text alternative",
        ),
        (
            "outside",
            shows(**{"text/html": ["<script src=\n'https://example.org/x.js'></script>"]}),
            "example.org",
        ),
        (
            "outside",
            shows(**{"text/html": '<link rel="stylesheet" href="//example.org/x.css">'}),
            "example.org",
        ),
        ("outside", shows(**{"application/javascript": "import('https://unpkg.com/x')"}), "unpkg"),
    ],
)
def test_each_breach_in_a_run_is_found(root: Path, rule: str, output: dict[str, Any], says: str) -> None:
    found = sentences(check([run(root, output, inputs=fresh())], budget="smoke", dynamic=False))
    assert [name for name, _ in found] == [rule] * len(found)
    assert any(says in sentence for _, sentence in found), found


def test_links_in_outputs_are_not_loading(root: Path) -> None:
    output = shows(
        **{"text/html": '<a href="https://example.org">there</a><img src="data:image/png;base64,aGk=">'}
    )
    assert check([run(root, output, inputs=fresh())], budget="smoke", dynamic=False) == []


def test_the_lesson_s_own_solution_must_pass(root: Path) -> None:
    wrong = [{"kind": "attempt", "exercise": "far/radius", "passed": False}]
    [problem] = check([run(root, inputs=fresh(), ledger=wrong)], budget="smoke", dynamic=False)
    assert (problem.rule, "far/radius" in problem.sentence) == ("solved", True)


def test_the_first_picture_must_really_be_drawn(root: Path) -> None:
    read = run(root, inputs=fresh())
    place = root.parent / "build" / "runs" / "smoke" / f"{KEY}.ipynb"
    ran = json.loads(place.read_text())
    at(ran, "views.")["outputs"] = []
    place.write_text(json.dumps(ran))
    assert [p.rule for p in check([read], budget="smoke", dynamic=False)] == ["drawn"]


@pytest.mark.parametrize(
    ("seconds", "mib", "told"),
    [
        (9, 400, []),
        (19, 890, []),
        (0.4, 10, []),
        (21, 400, ["took 21 s"]),
        (9, 901, ["took 901 MiB"]),
    ],
)
def test_declared_cost_is_held_against_measured(
    root: Path, seconds: float, mib: float, told: list[str]
) -> None:
    found = check([run(root, inputs=fresh(), seconds=seconds, peak_mib=mib)], budget="smoke", dynamic=False)
    assert len(found) == len(told)
    assert all(says in problem.sentence for says, problem in zip(told, found, strict=True))


def test_a_large_cost_may_not_be_far_from_the_truth(root: Path) -> None:
    [problem] = check([run(root, budget="lesson", inputs=fresh(), seconds=5)], budget="lesson", dynamic=False)
    assert problem.rule == "cost"


def test_missing_stale_and_failed_runs_matter_only_when_asked_for(root: Path) -> None:
    read = lesson(root, good())
    assert check([read], dynamic=False) == []
    assert "there is no smoke run" in check([read], budget="smoke", dynamic=False)[0].sentence
    read = run(root, inputs={"python": "2.7"})
    assert check([read], dynamic=False) == []
    assert "stale" in check([read], budget="smoke", dynamic=False)[0].sentence
    failed = root.parent / "build" / "runs" / "smoke" / f"{KEY}.failed.json"
    failed.write_text("{}")
    assert "failed" in check([read], budget="smoke", dynamic=False)[0].sentence


def test_a_run_of_an_earlier_text_is_not_held_against_this_one(root: Path) -> None:
    read = run(root, {"output_type": "error", "ename": "E"}, inputs=fresh())
    assert [p.rule for p in check([read], dynamic=False)] == ["errors"]
    changed = good()
    put("reach + 1", "reach + 2")(changed)
    assert check([lesson(root, changed)], dynamic=False) == []


BELOW = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0, "yanchor": "top"}


@pytest.mark.parametrize(
    ("trace", "layout", "expected"),
    [
        ({"type": "scatter"}, {}, ["xaxis", "yaxis"]),
        ({}, {}, ["xaxis", "yaxis"]),
        ({"type": "heatmap", "xaxis": "x2", "yaxis": "y2"}, AXES, ["xaxis2", "yaxis2"]),
        ({"type": "image"}, {"xaxis": {"visible": False}, "yaxis": {"showticklabels": False}}, []),
        ({"type": "bar"}, {"xaxis": {"title": "old style"}, "yaxis": {"title": {"text": ""}}}, ["yaxis"]),
        ({"type": "surface"}, {"scene": {"xaxis": AXES["xaxis"]}}, ["scene.yaxis", "scene.zaxis"]),
        ({"type": "pie"}, {}, []),
        ({"type": "heatmap"}, {"annotations": [{**BELOW, "text": "column"}]}, ["yaxis"]),
        ({"type": "heatmap"}, {"annotations": [{**BELOW, "text": " "}]}, ["xaxis", "yaxis"]),
        (
            {"type": "heatmap"},
            {"annotations": [{**BELOW, "text": "a panel's own", "y": 1}]},
            ["xaxis", "yaxis"],
        ),
    ],
)
def test_axes_that_carry_data_have_titles(trace: dict, layout: dict, expected: list[str]) -> None:
    assert untitled_axes({"data": [trace], "layout": layout}) == expected


def test_anchors_are_the_same_in_jupyterlab_and_in_the_book() -> None:
    assert references.anchor("Turn: how deep?") == references.anchor("Turn:-how-deep?") == "turn-how-deep"


def test_a_verdict_is_known_from_a_declared_or_recorded_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench import claims

    monkeypatch.setattr(claims, "records", lambda key: [SimpleNamespace(claim="recorded")])
    monkeypatch.setattr(
        claims, "load_system", lambda key: SimpleNamespace(claims=[SimpleNamespace(id="declared")])
    )
    assert references._claims("any") == {"recorded", "declared"}


def test_the_rooms_that_the_rules_ask_answer() -> None:
    assert len(references._catalog()) == 178
    assert references._claims("no-such-system") == set()
    assert exercises._known() == frozenset(workbench.exercises.exercises())
    assert "astronaut" in workbench_datasets.names()
