"""Puts the lessons inside the wheel: `notebooks/` becomes `workbench/_notebooks/`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithLessons(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:  # an editable install reads notebooks/ where it stands
            return
        target = Path(self.build_lib) / "workbench" / "_notebooks"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree("notebooks", target, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))


setup(cmdclass={"build_py": BuildWithLessons})
