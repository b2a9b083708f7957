"""The map: every chapter with its lessons, and arcs from each lesson to those that need it."""

from html import escape

from .material import Material, Page

ROW = 44  # pixels; every row is as high, so that arcs know where rows are
ARC_STEP, FIRST_ARC = 6, 14  # how far left an arc bends: a little, and more the more rows it spans
WIDEST = 60


def drawing(book: Material) -> str:
    """The map as a list in which every lesson says in words what it needs; arcs beside it show the same."""
    rows: list[str] = []
    at: dict[str, int] = {}

    def chapter(name: str, href: str | None, note: str) -> None:
        link = f'<a href="{href}">{name}</a>' if href else name
        rows.append(f'<li class="wb-map-chapter"><span><b>{link}</b> <i>{note}</i></span></li>')

    def lesson(page: Page) -> None:
        at[page.lesson.key] = len(rows)
        title = f'<a href="{escape(page.lesson.key)}.html">{escape(page.lesson.title)}</a>'
        rows.append(f'<li class="wb-map-lesson"><span>{title} <i>{_needs(book, page)}</i></span></li>')

    for page in book.outside_chapters():
        lesson(page)
    for one in book.chapters:
        pages = book.pages_of(one)
        chapter(
            f"{one.number}. {escape(one.title)}",
            f"{one.folder}/index.html",
            _count(len(pages), "lesson") if pages else "no lesson yet",
        )
        for page in pages:
            lesson(page)
    arcs = [
        _arc(at[needed], at[page.lesson.key])
        for page in book.pages
        for needed in page.lesson.prerequisites
        if needed in at
    ]
    dots = "".join(f'<circle cx="{WIDEST}" cy="{_middle(row)}" r="5"/>' for row in at.values())
    height = ROW * len(rows)
    svg = (
        f'<svg aria-hidden="true" width="{WIDEST + 8}" height="{height}" viewBox="0 0 {WIDEST + 8} {height}">'
        f"{''.join(arcs)}{dots}</svg>"
    )
    sizes = f"--row: {ROW}px; --left: {WIDEST + 8}px"
    return f'<div class="wb-needs" style="{sizes}">{svg}<ol>{"".join(rows)}</ol></div>'


def needed_by(book: Material, page: Page) -> list[Page]:
    """The lessons that ask for this one."""
    return [other for other in book.pages if page.lesson.key in other.lesson.prerequisites]


def _needs(book: Material, page: Page) -> str:
    titles = [other.lesson.title for other in book.pages if other.lesson.key in page.lesson.prerequisites]
    return f"after {escape(', '.join(titles))}" if titles else "needs nothing before it"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _middle(row: int) -> float:
    return ROW * (row + 0.5)


def _arc(above: int, below: int) -> str:
    bend = max(2, WIDEST - FIRST_ARC - ARC_STEP * abs(below - above))
    y, end = _middle(above), _middle(below)
    return (
        f'<path d="M{WIDEST} {y}C{bend} {y} {bend} {end} {WIDEST - 9} {end}"/>'
        f'<path class="wb-head" d="M{WIDEST - 6} {end}l-8 -4v8z"/>'
    )
