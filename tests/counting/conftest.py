"""Counting builds of these tests live in one folder of their own."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def build_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_BUILD", str(tmp_path_factory.mktemp("build")))
        yield
