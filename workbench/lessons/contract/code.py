"""Rules about the code: parameters, budgets, time, and nothing from outside."""

import ast
import re
from collections.abc import Iterator

from workbench.lessons.cells import called, magics, names, tags
from workbench.lessons.contract.draft import Draft
from workbench.lessons.contract.rules import rule

PRODUCTION = {"budget": "lesson", "seed": 0}
TIMERS = {
    "ceilings",
    "elapsed",
    "interleaved",
    "paired",
    "timed",
    "perf_counter",
    "perf_counter_ns",
    "monotonic",
    "process_time",
    "timeit",
    "default_timer",
}
TIMING_MAGICS = {"time", "timeit", "prun"}
NETWORK_MODULES = {
    *("requests", "urllib", "urllib3", "http", "socket", "ftplib", "httpx", "aiohttp", "wget", "gdown"),
    *("huggingface_hub", "paramiko", "pooch"),
}
DOWNLOADS = re.compile(
    r"fetch(_\w+)?|urlretrieve|urlopen|load_dataset|from_pretrained|download(_\w+)?|load_state_dict_from_url"
)
INSTALLERS = {"!", "pip", "conda", "mamba", "uv", "sx", "bash", "sh", "system"}
URL = re.compile(r"(https?|ftp|file)://")
ABSOLUTE = re.compile(
    r"/\w[\w.-]*(/[\w.-]+)+/?|/(home|Users|tmp|usr|var|etc|mnt|opt|root|content|proc|dev)/?|~[/\\].*|[A-Za-z]:[\\/].*"
)


@rule("syntax", "Every code cell is Python.")
def syntax(draft: Draft) -> Iterator[str]:
    for n, cell in draft.code:
        if n not in draft.trees and "raises-exception" not in tags(cell):
            yield f"cell {n} is not Python"


@rule(
    "parameters",
    'The first code cell, and no other, is tagged parameters and says budget = "lesson" and seed = 0.',
)
def parameters(draft: Draft) -> Iterator[str]:
    tagged = [n for n, cell in draft.code if "parameters" in tags(cell)]
    first = next((n for n, _ in draft.code), None)
    if tagged != [first]:
        yield f"expected the tag parameters on the first code cell alone, but it is on {tagged or 'none'}"
        return
    values = parameter_values(draft)
    if values is None:
        yield "the parameters should be plain assignments of values that are written out"
        return
    for name, value in PRODUCTION.items():
        if name not in values or values[name] != value:
            yield f"the parameters should say {name} = {value!r}, not {values.get(name, 'nothing')!r}"


def parameter_values(draft: Draft) -> dict[str, object] | None:
    """Names and values in the parameters cell; None where it holds more than literals and names."""
    tree = next((draft.trees.get(n) for n, cell in draft.code if "parameters" in tags(cell)), None)
    values: dict[str, object] = {}
    for statement in tree.body if tree else ():
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                try:
                    values[name] = ast.literal_eval(value)
                except ValueError:
                    return None
            case _:
                return None
    return values


@rule("dead-parameter", "Every parameter is read by the story.")
def dead_parameter(draft: Draft) -> Iterator[str]:
    story = [cell for _, cell in draft.story if "parameters" not in tags(cell)]
    read = {name for cell in story for name in names(cell).read}
    for name in parameter_values(draft) or {}:
        if name not in read:
            yield f"no cell of the story reads the parameter {name}"


@rule("budget-branch", "No branch in the story asks for the budget: by_budget(…) chooses sizes in one place.")
def budget_branch(draft: Draft) -> Iterator[str]:
    for n, node in draft.nodes(ast.If, ast.IfExp, ast.While, ast.Match):
        asked = node.subject if isinstance(node, ast.Match) else node.test
        if any(isinstance(name, ast.Name) and name.id == "budget" for name in ast.walk(asked)):
            yield f"cell {n} branches on budget: let by_budget(budget, smoke=…, lesson=…) choose the size"


@rule("exclusive", "A lesson that measures time declares exclusive, so that nothing runs beside it.")
def exclusive(draft: Draft) -> Iterator[str]:
    if draft.declared.get("exclusive"):
        return
    timing = {
        n
        for n, call in draft.nodes(ast.Call)
        if called(call) in TIMERS or ast.unparse(call.func) == "time.time"
    }
    timing |= {n for n, cell in draft.code if magics(cell) & TIMING_MAGICS}
    if timing:
        cells = ", ".join(map(str, sorted(timing)))
        yield f"cell {cells} measures time, but the lesson does not declare exclusive"


@rule("offline", "No network, no download, no installing, no shell: data come from workbench_datasets.")
def offline(draft: Draft) -> Iterator[str]:
    for n, node in draft.nodes(ast.Import, ast.ImportFrom):
        modules = (
            [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        )
        for module in modules:
            if module.split(".")[0] in NETWORK_MODULES:
                yield f"cell {n} imports {module}, which is there for the network"
    for n, call in draft.nodes(ast.Call):
        if DOWNLOADS.fullmatch(called(call)):
            yield f"cell {n} calls {called(call)}(…), which downloads"
    for n, text in _texts(draft):
        if URL.match(text):
            yield f"cell {n} holds the address {text[:60]!r}"
    for n, cell in draft.code:
        if found := magics(cell) & INSTALLERS:
            yield f"cell {n} leaves Python with {', '.join(sorted(found))}"


@rule("paths", "No absolute path in the code.")
def paths(draft: Draft) -> Iterator[str]:
    for n, text in _texts(draft):
        if ABSOLUTE.fullmatch(text):
            yield f"cell {n} holds the absolute path {text[:60]!r}"


@rule(
    "test-only",
    "What a test-only cell defines is not needed by the story, which the learner's copy has without it.",
)
def test_only(draft: Draft) -> Iterator[str]:
    story = [n for n, _ in draft.story]
    told = {n: names(cell) for n, cell in draft.code}
    hidden = {name: n for n in told if n not in story for name in told[n].made}
    own = {name for n in story for name in told[n].made}
    for name in sorted({name for n in story for name in told[n].read} & hidden.keys() - own):
        yield f"the story uses {name}, but only the hidden cell {hidden[name]} defines it"


def _texts(draft: Draft) -> Iterator[tuple[int, str]]:
    for n, node in draft.nodes(ast.Constant):
        if isinstance(node.value, str):
            yield n, node.value.strip()
