"""How far it is: nothing, a bar, or what the caller makes of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Tell = Callable[[int, Any], None]


@contextmanager
def told(progress: bool | Callable[[int, int, Any], None], total: int) -> Iterator[Tell]:
    """What to call with (done, news): it does nothing, draws a bar, or calls progress(done, total, news)."""
    if not progress:
        yield lambda done, news: None
    elif callable(progress):
        yield lambda done, news: progress(done, total, news)
    else:
        from rich.progress import Progress

        with Progress(*Progress.get_default_columns(), "{task.fields[news]}", transient=True) as bar:
            line = bar.add_task("training", total=total, news="")

            def draw(done: int, news: Any) -> None:
                text = f"loss {news:.4g}" if isinstance(news, float) else str(news)
                bar.update(line, completed=done, news=text)

            yield draw
