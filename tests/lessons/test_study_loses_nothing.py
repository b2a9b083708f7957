"""Whatever a learner and the lessons do, `study` never takes a word of the learner's away."""

import json
import re
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lesson_making import code, markdown, notebook, solution, write

from workbench.lessons.study import MANIFEST, study

KEYS = ["01-far/01-look", "01-far/02-near", "02-next/01-look"]
WORD = re.compile(r"learner\d+x")
pick = st.integers(0, 10_000)


class LearnersDesk(RuleBasedStateMachine):
    """Learner's words are unique tokens; only the learner may make one disappear."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.root, self.desk = self.folder / "notebooks", self.folder / "study"
        self.count = 0
        for key in KEYS[:2]:
            write(self.root, key, notebook([markdown("# Story"), solution("first"), code("1")]))
        study(self.desk, root=self.root)

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def files(self) -> list[Path]:
        return sorted(self.desk.glob("*/*.ipynb"))

    def words(self) -> set[str]:
        return {word for path in self.files() for word in WORD.findall(path.read_text(errors="replace"))}

    @rule(which=pick, where=pick, whole=st.booleans())
    @precondition(lambda self: self.files())
    def learner_types(self, which: int, where: int, whole: bool) -> None:
        path = self.files()[which % len(self.files())]
        self.count += 1
        try:
            mine = json.loads(path.read_text())
            cell = mine["cells"][where % len(mine["cells"])]
        except (ValueError, LookupError):
            return
        old = "" if whole else "".join(cell["source"]) + "\n"
        cell["source"] = f"{old}learner{self.count}x"
        path.write_text(json.dumps(mine))

    @rule(which=pick, where=pick)
    @precondition(lambda self: self.files())
    def learner_changes_a_cell_s_type(self, which: int, where: int) -> None:
        path = self.files()[which % len(self.files())]
        try:
            mine = json.loads(path.read_text())
            cell = mine["cells"][where % len(mine["cells"])]
        except (ValueError, LookupError):
            return
        cell["cell_type"] = "markdown" if cell["cell_type"] == "code" else "code"
        path.write_text(json.dumps(mine))

    @rule(which=pick)
    @precondition(lambda self: self.files())
    def learner_deletes_a_file(self, which: int) -> None:
        self.files()[which % len(self.files())].unlink()

    @rule(which=pick, to=st.sampled_from(["01-look", "01-look.update-1", "02-near.update-2", "mine"]))
    @precondition(lambda self: self.files())
    def learner_renames_a_file(self, which: int, to: str) -> None:
        path = self.files()[which % len(self.files())]
        new = path.with_name(f"{to}.ipynb")
        if not new.exists():
            path.rename(new)

    @rule(which=pick)
    @precondition(lambda self: self.files())
    def a_file_is_damaged(self, which: int) -> None:
        path = self.files()[which % len(self.files())]
        path.write_text("{" + path.read_text())

    @rule(text=st.sampled_from(["", "{", '{"texts": {}, "settled": {}}']))
    def the_manifest_is_damaged(self, text: str) -> None:
        (self.desk / MANIFEST).write_text(text)

    @rule(
        key=st.sampled_from(KEYS),
        story=st.integers(0, 3),
        exercises=st.lists(st.sampled_from(["first", "second"]), unique=True),
        wording=st.integers(0, 1),
    )
    def a_lesson_changes(self, key: str, story: int, exercises: list[str], wording: int) -> None:
        text = f"def f(x{wording}):\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
        cells = [markdown(f"# Story {story}"), *(solution(name, text) for name in exercises), code("1")]
        write(self.root, key, notebook(cells))

    @rule(key=st.sampled_from(KEYS[1:]))
    def a_lesson_is_removed(self, key: str) -> None:
        (self.root / f"{key}.ipynb").unlink(missing_ok=True)

    @rule()
    def lessons_are_studied_again(self) -> None:
        before, files = self.words(), self.files()
        study(self.desk, root=self.root)
        assert before <= self.words()
        assert set(files) <= set(self.files())

    @invariant()
    def no_scratch_is_left(self) -> None:
        assert not list(self.desk.glob("**/*.study-tmp")) if hasattr(self, "desk") else True


LearnersDesk.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLearnersDesk = LearnersDesk.TestCase
