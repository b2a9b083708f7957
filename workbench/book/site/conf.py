"""Sphinx's settings for the book. Nothing is executed here and nothing is loaded from outside."""

from docutils import nodes
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


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds what the glossary says to every link into it, to be seen on hover."""
    app.connect("doctree-resolved", _tell_terms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _tell_terms(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    links = [link for link in doctree.findall(nodes.reference) if "#term-" in link.get("refuri", "")]
    if not links or docname == "glossary":
        return
    told: dict[str, str] = {}
    for entry in app.env.get_doctree("glossary").findall(nodes.definition_list_item):
        meaning = next(entry.findall(nodes.definition)).astext().replace("\n", " ")
        told |= {name: meaning for term in entry.findall(nodes.term) for name in term["ids"]}
    for link in links:
        link["reftitle"] = told.get(link["refuri"].split("#")[1], "")
