"""Sphinx's settings for the book. Nothing is executed here and nothing is loaded from outside."""

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

project = "Kernel Workbench"
author = "The Kernel Workbench team"
copyright = "The Kernel Workbench team"

extensions = ["myst_nb"]
exclude_patterns = ["_static", ".doctrees"]
root_doc = "index"
suppress_warnings = ["mystnb.unknown_mime_type"]

nb_execution_mode = "off"  # lessons come executed
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "smartquotes"]
myst_heading_anchors = 3

mathjax_path = "mathjax/tex-svg-full.js"
mathjax_options = {"defer": "defer"}
mathjax3_config = {"options": {"enableMenu": False}, "svg": {"fontCache": "global"}}

html_theme = "pydata_sphinx_theme"
html_title = "Kernel Workbench"
html_context = {"default_mode": "auto"}
html_css_files = ["explorer.css", "book.css"]
html_js_files = [("book.js", {"defer": "defer"})]
templates_path = ["templates"]
html_sidebars = {"index": [], "search": [], "**": ["chapters.html"]}
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it would fetch the pages, which browsers block from file://
html_domain_indices = False
html_use_index = False
html_theme_options = {
    "logo": {"text": "Kernel Workbench"},
    "navbar_center": [],
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button-field"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "article_header_start": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "back_to_top_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


# Words of every day are linked only where a lesson sets them in italics, as it does to define them.
EVERYDAY = {
    *("attention", "bar", "baseline", "budget", "claim", "control", "counted", "formula", "measured", "pass"),
    *("prediction", "simulated", "system", "verdict"),
}
NO_LINK_IN = (
    nodes.reference,
    nodes.title,
    nodes.literal,
    nodes.literal_block,
    nodes.raw,
    nodes.math,
    nodes.caption,
)
SUMMARY = '<summary aria-label="Toggle hidden content">'  # its own words are the better name


def setup(app: Sphinx) -> dict[str, bool]:
    """Links lessons to the glossary, with what it says on every link, to be seen on hover and focus."""
    app.connect("doctree-resolved", _tell_terms)
    app.connect("html-page-context", _name_summaries)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _name_summaries(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    if "body" in context:
        context["body"] = context["body"].replace(SUMMARY, "<summary>")


def _tell_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    if docname == "glossary" or "glossary" not in app.env.all_docs:
        return
    terms = _terms(app)
    glossary = app.builder.get_relative_uri(docname, "glossary")
    if "/" in docname and not docname.endswith("/index"):
        _link_first_mentions(doctree, terms, glossary)
    told = {f"#{place}": meaning for place, meaning in terms.values()}
    for link in doctree.findall(nodes.reference):
        if meaning := told.get(link.get("refuri", "").removeprefix(glossary)):
            link["reftitle"] = meaning
            link["classes"].append("wb-term")


def _terms(app: Sphinx) -> dict[str, tuple[str, str]]:
    """Of every term in the glossary its place there and what it means."""
    found: dict[str, tuple[str, str]] = {}
    (glossary,) = app.env.get_doctree("glossary").findall(addnodes.glossary)
    for entry in glossary.findall(nodes.definition_list_item):
        meaning = next(entry.findall(nodes.definition)).astext().replace("\n", " ")
        found |= {term.astext(): (term["ids"][0], meaning) for term in entry.findall(nodes.term)}
    return found


def _link_first_mentions(doctree: nodes.document, terms: dict[str, tuple[str, str]], glossary: str) -> None:
    """Makes the first mention of each term in a lesson's prose a link; lessons stay free of markup for it."""
    linked = {link.get("refuri", "").partition("#")[2] for link in doctree.findall(nodes.reference)}
    fresh = {term: told for term, told in terms.items() if told[0] not in linked}
    left = dict(sorted(fresh.items(), key=lambda term: -len(term[0])))  # the longer term where two fit
    for text in list(doctree.findall(nodes.Text)):
        above = _above(text)
        if any(isinstance(node, NO_LINK_IN) for node in above):
            continue
        if not any(isinstance(node, nodes.paragraph) for node in above):
            continue
        set_apart = isinstance(text.parent, nodes.emphasis)
        places: dict[tuple[int, int], str] = {}
        for term in list(left):
            if term in EVERYDAY and not set_apart:
                continue
            word = rf"{re.escape(term)}s?"  # in italics it is the term itself, never a part of a title
            pattern = rf"\A{word}\Z" if set_apart else rf"\b{word}\b"
            found = re.search(pattern, str(text), re.IGNORECASE)
            if found and all(found.end() <= begin or end <= found.start() for begin, end in places):
                places[found.span()] = left.pop(term)[0]
        if places:
            text.parent.replace(text, _with_links(str(text), places, glossary))


def _with_links(words: str, places: dict[tuple[int, int], str], glossary: str) -> list[nodes.Node]:
    """The words with a link at each of the places, given as (begin, end) and the entry's name."""
    pieces: list[nodes.Node] = []
    at = 0
    for begin, end in sorted(places):
        target = f"{glossary}#{places[begin, end]}"
        link = nodes.reference("", words[begin:end], refuri=target, internal=True)
        pieces += [nodes.Text(words[at:begin]), link]
        at = end
    return [*pieces, nodes.Text(words[at:])]


def _above(node: nodes.Node) -> list[nodes.Node]:
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found
