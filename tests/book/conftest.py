"""A small book, rendered once for all tests of this room."""

from pathlib import Path

import pytest

from tests.book.small_book import make_material
from workbench.book.build import render


@pytest.fixture(scope="session")
def html(tmp_path_factory) -> Path:
    """The rendered book's folder."""
    build = tmp_path_factory.mktemp("book")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("WORKBENCH_BUILD", str(build))
        material = make_material(build / "runs" / "lesson", monkeypatch)
        return render(material, build / "html").parent
