"""One warm process for all the lessons that these tests run."""

import pytest

from workbench.lessons.launch import Launcher


@pytest.fixture(scope="session")
def launcher():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WORKBENCH_COLD", raising=False)
        launcher = Launcher()
    with launcher:
        yield launcher
