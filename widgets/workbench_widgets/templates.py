"""The house's plotly templates, light and dark, as the script in the page applies them."""

import importlib
import json
from functools import cache
from typing import Any

NAMES = {"light": ("workbench", "plotly_white"), "dark": ("workbench_dark", "plotly_dark")}


@cache
def templates() -> dict[str, Any]:
    """`{"light": …, "dark": …}` as plain JSON: the templates that views registers, or else plotly's own."""
    import plotly.io
    from plotly.io.json import to_json_plotly

    importlib.import_module("workbench.views")
    known = set(plotly.io.templates)
    chosen = {theme: ours if ours in known else theirs for theme, (ours, theirs) in NAMES.items()}
    return {theme: json.loads(to_json_plotly(plotly.io.templates[name])) for theme, name in chosen.items()}
