"""The command `workbench`. Every command loads only what it needs; `--json` prints rows for programs."""

import json as _json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from workbench.budget import BUDGETS
from workbench.errors import WorkbenchError

Row = dict[str, Any]


class Cli(click.Group):
    """Turns a user's slip into one sentence and exit status 1; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        from workbench_datasets import DataError

        try:
            return super().invoke(ctx)
        except (WorkbenchError, DataError) as slip:
            raise click.ClickException(str(slip)) from None


def _budget_option(default: str) -> Callable:
    return click.option("--budget", type=click.Choice(BUDGETS), default=default, show_default=True)


json_option = click.option("--json", "as_json", is_flag=True, help="Print rows as JSON.")


def _emit(rows: Sequence[Row], as_json: bool, columns: Sequence[str], title: str) -> None:
    """Rows as JSON, or as a table of some of their columns."""
    if as_json:
        click.echo(_json.dumps(list(rows), indent=1, ensure_ascii=False, default=str))
        return
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    _print(table)


def _print(table: Any) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kernel-workbench")
def main() -> None:
    """Learn kernels by running them, measuring them and breaking them."""


@main.command()
@click.argument("target", type=click.Path(path_type=Path), default=Path("study"))
@click.option("--no-open", is_flag=True, help="Write the lessons and stop.")
@click.option("--no-browser", is_flag=True, help="Start JupyterLab and print its address.")
def study(target: Path, no_open: bool, no_browser: bool) -> None:
    """Write the learner's copy of the lessons to TARGET and open JupyterLab.

    Never overwrites work: an untouched lesson is updated, a touched one gets its update beside it.
    """
    from workbench.lessons import open_lab
    from workbench.lessons import study as write_copy

    report = write_copy(target)
    for sentence in report.sentences:
        click.echo(sentence)
    if not no_open:
        sys.exit(open_lab(target, no_browser=no_browser))


@main.command()
@click.argument("lessons", nargs=-1)
@_budget_option("lesson")
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Lessons at a time.")
@click.option("--executor", default="local", show_default=True, help="local, dask, or a scheduler's address.")
@click.option("--force", is_flag=True, help="Run unchanged lessons too.")
@json_option
def run(lessons: tuple[str, ...], budget: str, jobs: int, executor: str, force: bool, as_json: bool) -> None:
    """Execute LESSONS (all by default) with papermill; unchanged ones are reused."""
    from workbench.lessons import find
    from workbench.lessons import run as run_lessons

    def tell(event: Any) -> None:
        click.echo(str(event), err=True)

    chosen = find(list(lessons))
    results = run_lessons(chosen, budget=budget, jobs=jobs, executor=executor, force=force, progress=tell)
    rows = [result.row() for result in results]
    columns = ["lesson", "budget", "status", "seconds", "peak_mib", "reused", "error"]
    _emit(rows, as_json, columns, "Lessons run")
    sys.exit(any(row["status"] != "ok" for row in rows))


@main.command()
@click.argument("lessons", nargs=-1)
@click.option(
    "--budget", type=click.Choice(BUDGETS), help="Also hold the runs of this budget to the contract."
)
@json_option
def check(lessons: tuple[str, ...], budget: str | None, as_json: bool) -> None:
    """Hold LESSONS (all by default) to the notebook contract."""
    from workbench.lessons import check as check_lessons
    from workbench.lessons import find

    chosen = find(list(lessons))
    rows = [problem.row() for problem in check_lessons(chosen, budget=budget)]
    if as_json or rows:
        _emit(rows, as_json, ["lesson", "rule", "sentence"], "Problems")
    else:
        click.echo(f"{len(chosen)} lessons keep the contract.")
    sys.exit(bool(rows))


@main.command()
@_budget_option("lesson")
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, show_default=True)
@click.option("--target", type=click.Path(path_type=Path), help="Where the book goes (default: _build/html).")
@click.option("--zip", "packed", is_flag=True, help="Also pack the book into one file to hand out.")
@click.option("--open", "show", is_flag=True, help="Show the book in a browser.")
def book(budget: str, jobs: int, target: Path | None, packed: bool, show: bool) -> None:
    """Execute the lessons (unchanged ones reused) and render the static book."""
    from workbench.book import book as make_book

    made = make_book(budget=budget, jobs=jobs, target=target, zip=packed, open=show)
    click.echo(f"The book is at {made}")


@main.command()
@click.argument("names", nargs=-1)
@click.option("--quick", is_flag=True, help="Smaller sizes and fewer repeats.")
@json_option
def bench(names: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Measure the kernels against their peers, side by side in one run."""
    from workbench.bench import bench as run_benchmarks

    rows = []
    for row in run_benchmarks(list(names) or None, quick=quick):
        rows.append(row)
        versus = f"{row['speedup']:.2f} ({row['low']:.2f} to {row['high']:.2f}) times as fast as"
        click.echo(f"{row['benchmark']}: {versus} {row['peer']}", err=True)
    columns = [column for column in rows[0] if column not in ("machine", "when")] if rows else []
    _emit(rows, as_json, columns, "Benchmarks")


@main.command()
@json_option
def catalog(as_json: bool) -> None:
    """List the 178 systems with the state of each."""
    from workbench.systems.catalog import rows

    _emit(rows(), as_json, ["chapter", "order", "key", "state", "lesson", "title"], "Catalog")


@main.command()
@click.argument("systems", nargs=-1)
@click.option("--measure", is_flag=True, help="Measure the claims now.")
@click.option("--record", is_flag=True, help="Commit what is measured as records.")
@click.option("-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Claims at a time.")
@_budget_option("lesson")
@json_option
def claims(
    systems: tuple[str, ...], measure: bool, record: bool, jobs: int, budget: str, as_json: bool
) -> None:
    """Show the claims of SYSTEMS (all by default) with their verdicts, or measure them."""
    from workbench import claims as room
    from workbench.systems.catalog import entry

    for key in systems:
        entry(key)  # says so if there is no such system
    if record and not measure:
        raise WorkbenchError("--record keeps what --measure measures: give both")
    keys = list(systems) or None
    errors = []
    if measure:
        outcomes = room.measure_all(keys, budget=budget, record=record, jobs=jobs)
        rows = [outcome.record.row() for outcome in outcomes if outcome.record]
        errors = [outcome.error for outcome in outcomes if outcome.error]
    else:
        rows = room.rows(keys, declared=True)
    columns = ["system", "claim", "value", "low", "high", "bar", "control_value", "verdict", "stale"]
    _emit(rows, as_json, columns, "Claims")
    for error in errors:
        click.echo(error, err=True)
    sys.exit(bool(errors))


@main.command()
@click.argument("names", nargs=-1)
@json_option
def data(names: tuple[str, ...], as_json: bool) -> None:
    """List the cards of the data sets."""
    import workbench_datasets

    cards = [workbench_datasets.card(name) for name in names] if names else workbench_datasets.cards()
    _emit([card.row() for card in cards], as_json, ["name", "title", "licence", "shapes", "good_for"], "Data")


@main.command()
@click.option("--measure", is_flag=True, help="Measure anew what this machine can do at best (a minute).")
@json_option
def doctor(measure: bool, as_json: bool) -> None:
    """Say in plain words what this machine has and what is missing."""
    from workbench.machine import ceilings
    from workbench.machine import doctor as examine

    if measure:
        ceilings(refresh=True, progress=lambda what: click.echo(f"measuring {what}", err=True))
    findings = examine()
    _emit(
        [finding.row() for finding in findings], as_json, ["name", "status", "sentence", "remedy"], "Doctor"
    )
    sys.exit(any(finding.status == "missing" for finding in findings))


@main.command()
@json_option
def progress(as_json: bool) -> None:
    """Tell what is done, what was predicted, and which hints were used."""
    from workbench.lessons import progress as learner_progress
    from workbench.lessons.progress import table

    rows = learner_progress()
    if as_json:
        _emit(rows, True, [], "")
    else:
        _print(table(rows))


@main.group()
def zoo() -> None:
    """Build the filter database, add models to it, and ask it."""


zoo_folder = click.option(
    "--folder", type=click.Path(path_type=Path), help="Of the database (default: the reader's own)."
)


def _zoo(folder: Path | None) -> Any:
    """The database in a folder, or the reader's own and the one that ships together."""
    from workbench.zoo import Zoo, everything

    return Zoo(folder) if folder else everything()


@zoo.command("build")
@_budget_option("lesson")
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Networks at a time."
)
@click.option("--executor", default="local", show_default=True, help="local, dask, or a scheduler's address.")
@zoo_folder
@json_option
def zoo_build(budget: str, jobs: int, executor: str, folder: Path | None, as_json: bool) -> None:
    """Train the networks of a budget that are not there yet; interrupted, it goes on the next time."""
    from workbench.zoo import build

    def tell(done: int, total: int, outcome: Any) -> None:
        click.echo(f"{done} of {total}: {outcome}", err=True)

    outcomes = build(budget, jobs, executor, folder, progress=tell)
    rows = [outcome.row() for outcome in outcomes]
    if as_json:
        _emit(rows, True, [], "")
    else:
        counts = {row["state"]: sum(other["state"] == row["state"] for other in rows) for row in rows}
        click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
    sys.exit(any(row["state"] == "failed" for row in rows))


@zoo.command("add")
@click.argument("source")
@click.option("--name", help="What the model is called (default: the source).")
@click.option("--data", default="unknown", show_default=True, help="What it has learnt from, in one word.")
@click.option("--task", default="unknown", show_default=True, help="What it has learnt to do, in one word.")
@zoo_folder
def zoo_add(source: str, name: str | None, data: str, task: str, folder: Path | None) -> None:
    """Put a model in: FILE.safetensors, timm:NAME or torchvision:NAME."""
    from workbench.zoo import add

    row = add(source, name, data, task, folder)
    click.echo(f"{row['name']}: {row['filters']:,} filters of 3 x 3; its convolutions: {row['depth']}")


@zoo.command("query")
@click.argument("sql")
@click.option("--explain", is_flag=True, help="Show how it is answered: which files and columns are read.")
@zoo_folder
@json_option
def zoo_query(sql: str, explain: bool, folder: Path | None, as_json: bool) -> None:
    """Ask in SQL; the tables are models, layers and filters."""
    database = _zoo(folder)
    if explain:
        click.echo(database.explain(sql))
    else:
        found = database.query(sql)
        _emit(found.rows(), as_json, list(found.columns), "")


@zoo.command("info")
@zoo_folder
@json_option
def zoo_info(folder: Path | None, as_json: bool) -> None:
    """Say what the database holds."""
    found = _zoo(folder).info()
    _emit(found.rows(), as_json, list(found.columns), "Filter database")


@zoo.command("pack")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--where", default="true", help="Which models, as a condition in SQL.")
@zoo_folder
def zoo_pack(target: Path, where: str, folder: Path | None) -> None:
    """Write the database to TARGET as three files to hand out, with checksums and a card."""
    from workbench.zoo import pack

    for file, sha in pack(_zoo(folder), target, where).items():
        click.echo(f"{sha}  {target / file}")


if __name__ == "__main__":
    main()
