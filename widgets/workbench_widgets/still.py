"""A figure without knobs in JupyterLab: its caption stands below it, and it follows light and dark.

JupyterLab draws it with plotly's own extension, in the light template that it was made with, and stores it
in the notebook. That stays as it is. Behind each figure comes a line of HTML: the caption, the text
alternative, and a style that exchanges the light template's ink, grid and ground for the dark one's while the
page is dark. So a figure follows the theme without script and without a kernel.
"""

import re
from functools import cache
from html import escape
from typing import Any

from .templates import templates

NAME = "workbench_caption"  # of plotly's renderer
DARK = 'body[data-jp-theme-light="false"] .js-plotly-plot:not(.wbx-plot)'
WORDS = "margin: 0 0 0.75rem; padding: 0 1rem; color: var(--jp-ui-font-color2, inherit); font-size: 0.9rem"
UNSEEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%)"


def put_captions() -> None:
    """From now on, plotly shows the caption after each figure; done when a lesson's first cell imports us."""
    import plotly.io as pio
    from IPython.display import publish_display_data
    from plotly.io.base_renderers import ExternalRenderer

    class Caption(ExternalRenderer):
        def render(self, fig: dict[str, Any]) -> None:
            said = caption_of(fig)
            publish_display_data({"text/html": html_of(**said), "text/plain": said["caption"]})

    pio.renderers[NAME] = Caption()
    if NAME not in (default := pio.renderers.default).split("+"):
        pio.renderers.default = f"{default}+{NAME}" if default else NAME


def caption_of(figure: dict[str, Any]) -> dict[str, str]:
    """The caption and the text alternative of a figure given as JSON; empty where it has none."""
    meta = figure.get("layout", {}).get("meta")
    said = meta if isinstance(meta, dict) else {}
    return {name: str(said.get(name) or "") for name in ("caption", "alt")}


def html_of(caption: str, alt: str) -> str:
    """What stands below a figure."""
    seen = f'<p style="{WORDS}">{escape(caption)}</p>' if caption else ""
    read = f'<p style="{UNSEEN}">{escape(alt)}</p>' if alt else ""
    return f"<style>{dark_style()}</style>{seen}{read}"


@cache
def dark_style() -> str:
    """Rules that put the dark template's colours where plotly wrote those of the light one."""
    light, dark = (templates()[theme]["layout"] for theme in ("light", "dark"))
    ink, grid = (light["font"]["color"], dark["font"]["color"]), (_grid(light), _grid(dark))
    rules = [
        f'{DARK} [style*="{what}: {rgb(old)}"] {{ {what}: {new} !important; }}'
        for old, new in (ink, grid)
        for what in ("fill", "stroke")
    ]
    ground = f"{DARK} :is(.main-svg, .modebar-group) {{ background: transparent !important; }}"
    return "\n".join([*rules, ground, f"{DARK} .bg {{ fill: transparent !important; }}"])


def _grid(layout: dict[str, Any]) -> str:
    return layout["xaxis"]["gridcolor"]


def rgb(colour: str) -> str:
    """`#1A1A1A` as browsers write it in a style: `rgb(26, 26, 26)`."""
    return f"rgb({', '.join(str(int(pair, 16)) for pair in re.findall('[0-9A-Fa-f]{2}', colour))})"
