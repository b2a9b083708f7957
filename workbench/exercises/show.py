"""Shows a few lines to the reader: as HTML in a notebook, as text elsewhere."""

import sys
from html import escape

GOOD, BAD, NOTE = "#009E73", "#D55E00", "#0072B2"  # Okabe–Ito


def show(text: str, html: str) -> None:
    """Displays a notebook's rich output where there is a notebook, and prints elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is not None and getattr(shell, "kernel", None) is not None:
        from IPython.display import display

        display({"text/plain": text, "text/html": html}, raw=True)
    else:
        print(text)


def box(colour: str, *paragraphs: str) -> str:
    """Paragraphs of HTML beside a coloured bar, readable on light and dark pages."""
    body = "".join(f'<p style="margin:0.3em 0">{paragraph}</p>' for paragraph in paragraphs if paragraph)
    return (
        f'<div style="border-left:4px solid {colour};padding:0.2em 0 0.2em 0.8em;margin:0.4em 0">{body}</div>'
    )


def code(text: str) -> str:
    """A block of code as HTML."""
    return f'<pre style="margin:0.3em 0;white-space:pre-wrap">{escape(text)}</pre>'


def prose(text: str) -> str:
    """A sentence as HTML; what stands between back-ticks becomes code."""
    parts = escape(text).split("`")
    if len(parts) % 2 == 0:  # a back-tick without its partner
        return escape(text)
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
