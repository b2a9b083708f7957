"""The pages that no notebook holds: front page, chapter pages, and the boxes around a lesson."""

import re
from collections import Counter
from html import escape
from os.path import relpath
from typing import Any

from workbench.wasm import machine_card

from . import downloads
from .lesson_map import drawing, needed_by
from .marks import MARKS, legend, mark
from .material import Chapter, Material, Page, Row

SENSES = [
    ("Convolution", "a small stencil that slides over an image", "∗"),
    ("Attention", "a weight between every pair of tokens", "⇄"),
    ("Kernel methods", "a similarity that is secretly an inner product", "⟨·,·⟩"),
    ("Compute", "a loop that a machine runs well or badly", "⟳"),
]


def front(book: Material) -> str:
    """The front page: what this is, how to start, and the map of all chapters with each system's state."""
    counts = Counter(row["state"] for row in book.systems)
    here = len(book.systems) - counts["absent"]
    begin = "".join(
        f'<li><a href="{page.lesson.key}.html">{escape(page.lesson.title)}</a>'
        f" <span>{page.lesson.minutes} minutes</span></li>"
        for page in book.pages
    )
    senses = "".join(
        f'<li><b aria-hidden="true">{sign}</b><span><strong>{name}</strong> {what}</span></li>'
        for name, what, sign in SENSES
    )
    cards = "".join(_card(book, chapter) for chapter in book.chapters)
    opening = f"""<p class="wb-lead">Learn kernels, in every sense of the word, by running them,
measuring them and breaking them.</p><ul class="wb-senses">{senses}</ul>"""
    ways = f"""<div class="wb-begin"><div><h3>Read</h3><p>Every knob in these pages turns as they
are: no Python, no network.</p><ol>{begin}</ol></div><div><h3>Run</h3><p>From a clone, on a machine with
Python and make:</p>
{_command("make study")}<p>JupyterLab opens at the first lesson; what you write is never overwritten.</p>
<p class="wb-made">{_made(book)}</p></div></div>"""
    chapters = f"""<p>{len(book.chapters)} chapters, {len(book.systems)} published systems. {here} of them
{"is" if here == 1 else "are"} here today. Every mark is one system.
<a href="map.html">Which lesson needs which</a> is a page of its own.</p>{legend(list(counts))}
<ol class="wb-map">{cards}</ol>"""
    tours = [page.lesson.key for page in book.outside_chapters()]
    chapter_pages = [f"{chapter.folder}/index" for chapter in book.chapters]
    sections = [
        "---\nhtml_theme.sidebar_secondary.remove: true\n---\n# Kernel Workbench",
        _raw(opening),
        "## Begin",
        _raw(ways),
        "## Your machine",
        _raw(
            f"<p>How fast is the computer that you read on? Two kernels tell, written and run in this page. "
            f"In JupyterLab the chapter on real machines measures it in full.</p>{machine_card().html}"
        ),
        "## The map",
        _raw(chapters),
        _toctree([*tours, *chapter_pages, "map", "glossary"]),
    ]
    return "\n\n".join(sections)


def map_page(book: Material) -> str:
    """Every chapter with its lessons, and which lesson needs which."""
    told = """<p>Every dot is a lesson. An arc leads from a lesson to one that builds on it; the same
stands in words beside its title. Whatever no arc reaches can be read at once.</p>"""
    title = "---\nhtml_theme.sidebar_secondary.remove: true\n---\n# What needs what"
    return "\n\n".join([title, _raw(told + drawing(book))])


def chapter_page(book: Material, chapter: Chapter) -> str:
    """A chapter: its question, its lessons, and its systems with their claims."""
    pages = book.pages_of(chapter)
    lessons = "".join(
        f'<li><a href="{page.lesson.key.split("/")[1]}.html">{escape(page.lesson.title)}</a>'
        f" <span>{page.lesson.minutes} minutes, after {_links(page, _before(book, page)) or 'nothing'}</span>"
        f"</li>"
        for page in pages
    )
    told = (
        f'<ol class="wb-lessons">{lessons}</ol>'
        '<p><a href="../map.html">The map</a> shows it for all chapters.</p>'
        if pages
        else "<p>No lesson of this chapter is written yet.</p>"
    )
    rows = book.systems_of(chapter)
    told = _comparison(pages, {row["key"] for row in rows}) + told
    systems = "\n".join(_system(book, row) for row in rows)
    sections = [
        f"---\nhtml_theme.sidebar_secondary.remove: true\n---\n# {chapter.number}. {chapter.title}",
        _raw(f'<p class="wb-question">{escape(chapter.question)}</p>'),
        _toctree([page.lesson.key.split("/")[1] for page in pages]),
        "## Lessons",
        _raw(told),
        "## Systems",
        _raw(legend([row["state"] for row in rows])),
        systems,
    ]
    return "\n\n".join(sections)


def _comparison(pages: list[Page], keys: set[str]) -> str:
    """The way to the lesson that holds all systems of the chapter against one another, if there is one."""
    for page in pages:
        if keys and keys <= set(page.lesson.systems):
            link = f'<a href="{page.lesson.key.split("/")[1]}.html">{escape(page.lesson.title)}</a>'
            return f"<p>All {len(keys)} systems on the same work, and which to choose when: {link}.</p>"
    return ""


def header(book: Material, page: Page) -> str:
    """The box below a lesson's title: what it takes, what it needs, what it shows, and how to run it."""
    lesson, run = page.lesson, page.run
    chapter = next((c for c in book.chapters if c.folder == lesson.chapter), None)
    facts = [("To read", f"{lesson.minutes} minutes")]
    declared = lesson.cost.get(book.budget)
    took = f"{_number(page.seconds)} s, {_number(run.get('peak_mib'))} MiB measured"
    limit = f", {_number(declared.seconds)} s and {_number(declared.mib)} MiB declared" if declared else ""
    facts.append(("To run", f'{took}<span class="wb-quiet">{limit} ({escape(book.budget)} budget)</span>'))
    facts.append(("Read before", _links(page, _before(book, page)) or "nothing"))
    if lesson.systems:
        facts.append(("Systems", "".join(_system_link(book, page, key) for key in lesson.systems)))
    if made := _machine(run):
        facts.append(("Measured on", escape(made)))
    if claims := book.claims_of(lesson.systems):
        # at the end, because they tell what the lesson lets its reader guess
        facts.append(("Claims", f'<a href="#claims">{len(claims)}, and what holds here, at the end</a>'))
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    over = (
        f'<p class="wb-over"><a href="index.html">Chapter {chapter.number}, {escape(chapter.title)}</a></p>'
        if chapter
        else ""
    )
    return f'<aside class="wb-header" aria-label="About this lesson">{over}<dl>{rows}</dl></aside>'


def footer(book: Material, page: Page) -> str:
    """What holds of the lesson's systems; then how to run it, take it, cite it, and what builds on it."""
    key = page.lesson.key
    claims = book.claims_of(page.lesson.systems)
    table = f"<h2>What is claimed, what holds here</h2>{_claims(claims)}" if claims else ""
    held = f'<section id="claims" class="wb-held">{table}</section>' if claims else ""
    to_work_in, executed = (_at(page, f"downloads/{name}") for name in downloads.names(page))
    return f"""{held}<aside class="wb-footer" aria-label="Go on with this lesson"><h2>Take it further</h2>
<div><h3>Open in JupyterLab</h3>{_command("make study")}
<p>then open <code>{escape(key)}.ipynb</code> in the file list.</p></div>
<div><h3>Download</h3><p><a href="{to_work_in}" download>The notebook to work in</a>, with its exercises
blank.</p><p><a href="{executed}" download>The executed notebook</a>, with every output <strong>and the
solutions</strong>.</p></div>
<div><h3>Next</h3>{_next(book, page)}</div>
<div class="wb-cite"><h3>Cite</h3>{_cite(page)}</div></aside>"""


def _next(book: Material, page: Page) -> str:
    after = _links(page, needed_by(book, page))
    told = f"<p>These build on it: {after}.</p>" if after else "<p>No lesson builds on this one yet.</p>"
    return f'{told}<p><a href="{_at(page, "map.html")}">The map of all lessons</a></p>'


def _cite(page: Page) -> str:
    when = str(page.run.get("when", ""))[:10]
    title = page.lesson.title
    name = re.sub(r"\W+", "-", page.lesson.key)
    entry = "\n".join(
        [
            f"@misc{{kernel-workbench-{name},",
            f"  title = {{{title}}},",
            "  author = {{The Kernel Workbench team}},",
            "  howpublished = {Kernel Workbench},",
            f"  year = {{{when[:4]}}}",
            "}",
        ]
    )
    return f"""<p>Kernel Workbench, “{escape(title)}”, {escape(when)}. For the systems, cite their authors;
the lesson names them under its sources.</p><details><summary>BibTeX</summary>{_command(entry)}</details>"""


def _card(book: Material, chapter: Chapter) -> str:
    rows = book.systems_of(chapter)
    counts = Counter(row["state"] for row in rows)
    marks = "".join(
        f'<li><a href="{chapter.folder}/index.html#{escape(row["key"])}" '
        f'title="{escape(row["title"])}: {escape(row["state"])}">'
        f'<span class="wb-hear">{escape(row["title"])}</span>{mark(row["state"])}</a></li>'
        for row in rows
    )
    told = ", ".join(f"{counts[state]} {state}" for state in MARKS if counts[state])
    lessons = len(book.pages_of(chapter))
    ready = f" · {lessons} lesson{'s' * (lessons != 1)}" if lessons else ""
    return f"""<li class="wb-card{" wb-open" * bool(lessons)}"><p class="wb-number">{chapter.number:02d}</p>
<h3><a href="{chapter.folder}/index.html">{escape(chapter.title)}</a></h3><p>{escape(chapter.question)}</p>
<ul class="wb-marks">{marks}</ul><p class="wb-told">{told}{ready}</p></li>"""


def _system(book: Material, row: Row) -> str:
    """Plain MyST text, so that search finds every system by its title."""
    key = row["key"]
    lesson = next((page for page in book.pages if key in page.lesson.systems), None)
    where = f"Taught in [{lesson.lesson.title}](/{lesson.lesson.key}.ipynb)." if lesson else ""
    claims = book.claims_of([key])
    table = f"\n\n{_raw(_claims(claims))}" if claims else ""
    state = _raw(f'<p class="wb-state">{mark(row["state"], word=True)} <code>{escape(key)}</code></p>')
    return f"({key})=\n### {_plain(row['title'])}\n\n{state}\n\n{where}{table}\n"


def _claims(claims: list[Row]) -> str:
    """Each claim as a small block: a table of seven columns fits no phone."""
    several = len({claim["system"] for claim in claims}) > 1
    return f'<ul class="wb-claims">{"".join(_claim(claim, several) for claim in claims)}</ul>'


def _claim(claim: Row, several: bool) -> str:
    paper = _number(claim.get("paper"))
    numbers = [
        ("Here", _interval(claim)),
        ("Bar", escape(_number(claim.get("bar")))),
        ("Who says it" if paper.startswith("ours") else "The source says", escape(paper)),
        ("Control", _control(claim)),
    ]
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in numbers)
    name = escape(str(claim["claim"]).replace("-", " "))
    if several:
        name = f"{escape(claim['system'])}: {name}"
    verdict = mark("stale" if claim.get("stale") else claim.get("verdict") or "not measured", word=True)
    says = f"<p>{escape(claim['says'])}</p>" if claim.get("says") else ""
    return (
        f"<li><p><strong>{name}</strong> {verdict}</p>{says}<dl>{facts}</dl>"
        f'<p class="wb-quiet">{escape(_origin(claim) if claim.get("value") is not None else "")}</p></li>'
    )


def _interval(claim: Row) -> str:
    if claim.get("value") is None:
        return "not measured"
    span = f" [{_number(claim['low'])}, {_number(claim['high'])}]" if claim.get("low") is not None else ""
    unit = f" {claim['unit']}" if claim.get("unit") else ""
    return escape(_number(claim["value"]) + unit + span)


def _control(claim: Row) -> str:
    if claim.get("control_value") is None:
        return "not measured"
    fate = "fails, as it must" if claim.get("control_failed") else "does not fail"
    return escape(f"{_number(claim['control_value'])}: {fate}")


def _origin(claim: Row) -> str:
    seeds = claim.get("seeds")
    count = len(seeds) if isinstance(seeds, list | tuple) else seeds
    parts = [
        claim.get("provenance"),
        f"{count} seed{'s' * (count != 1)}" if count else None,
        claim.get("machine"),
        str(claim.get("when") or "")[:10],
    ]
    return ", ".join(str(part) for part in parts if part)


def _system_link(book: Material, page: Page, key: str) -> str:
    row = book.system(key)
    if row is None:
        return escape(key)
    chapter = next(c for c in book.chapters if c.number == row["chapter"])
    href = relpath(f"{chapter.folder}/index.html", page.lesson.chapter)
    link = f'<a href="{escape(href)}#{escape(key)}">{escape(row["title"])}</a>'
    return f'<span class="wb-system">{link}</span>'


def _before(book: Material, page: Page) -> list[Page]:
    return [other for other in book.pages if other.lesson.key in page.lesson.prerequisites]


def _links(page: Page, others: list[Page]) -> str:
    """Links from `page` to other lessons, with commas between."""
    return ", ".join(
        f'<a href="{_at(page, f"{other.lesson.key}.html")}">{escape(other.lesson.title)}</a>'
        for other in others
    )


def _at(page: Page, place: str) -> str:
    """A file of the book as the lesson's page links to it."""
    return escape(relpath(place, page.lesson.chapter))


def _machine(run: Row) -> str:
    return ", ".join(str(part) for part in (run.get("machine"), str(run.get("when") or "")[:10]) if part)


def _made(book: Material) -> str:
    made = {_machine(page.run) for page in book.pages} - {""}
    return (
        f"Numbers measured on {escape('; '.join(sorted(made)))}."
        if made
        else "No lesson is in this book yet."
    )


def _toctree(names: list[str]) -> str:
    return "```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```" if names else ""


def _command(command: str) -> str:
    return f'<pre class="wb-command"><code>{escape(command)}</code></pre>'


def _number(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def _plain(text: str) -> str:
    """A title as MyST text without markup."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>$#|" else c for c in text)


def _raw(html: str) -> str:
    return f"```{{raw}} html\n{html}\n```"
