"""Which database is asked: the one that ships, the reader's own, or one that somebody hands over."""

from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.zoo import store
from workbench.zoo.asking import Table, Zoo


def shipped() -> Zoo:
    """The database that travels with the project: the same for every reader, so lessons tell its numbers."""
    import workbench_datasets
    from workbench_datasets.filter_zoo import FOLDER

    try:
        workbench_datasets.load("filter-zoo")  # checks the files, and notes that they were used
    except workbench_datasets.DataError as error:
        raise WorkbenchError(str(error)) from None
    return Zoo(FOLDER)


def own() -> Zoo:
    """What the reader has built and added."""
    return Zoo(store.home())


def everything() -> Zoo:
    """The reader's own database and the one that ships, as one; the reader's models go first."""
    from workbench_datasets.filter_zoo import FOLDER

    places = [place for place in (store.home(), FOLDER) if any_models(place)]
    return Zoo(*places)


def any_models(folder: Path) -> bool:
    """Whether there is a database in a folder."""
    return (folder / "models.parquet").is_file() or any((folder / "models").glob("[!.]*.parquet"))


def query(sql: str) -> Table:
    """The answer of `everything` to a question in SQL."""
    return everything().query(sql)
