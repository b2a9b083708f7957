"""The house's plotly templates, light and dark, as the script in the page applies them."""

import json
from functools import cache
from typing import Any


@cache
def templates() -> dict[str, Any]:
    """`{"light": …, "dark": …}`: the templates as plain JSON."""
    import plotly.io
    from plotly.io.json import to_json_plotly

    names = {"light": "plotly_white", "dark": "plotly_dark"}
    return {theme: json.loads(to_json_plotly(plotly.io.templates[name])) for theme, name in names.items()}
