"""The scanner finds every way in which a page could load from outside, and lets links be links."""

import pytest

from workbench.book import outside

CDN = "https://cdn.example/x"
LOADS = {
    "script.html": f'<script src="{CDN}.js"></script>',
    "no-scheme.html": '<img src="//cdn.example/x.png">',
    "style.html": f'<link rel="stylesheet" href="{CDN}.css">',
    "hint.html": f'<link rel="preconnect" href="{CDN}">',
    "inline-style.html": f'<p style="background: url({CDN}.png)">x</p>',
    "style-element.html": f'<style>@import "{CDN}.css";</style>',
    "inline-script.html": f'<script>fetch("{CDN}.json")</script>',
    "module.html": f'<script type="module">import {{ x }} from "{CDN}.js"</script>',
    "srcset.html": f'<img srcset="a.png 1x, {CDN}.png 2x">',
    "frame.html": f'<iframe src="{CDN}"></iframe>',
    "svg.html": f'<svg><image href="{CDN}.png"/></svg>',
    "font.css": f"@font-face {{ src: url('{CDN}.woff2'); }}",
    "import.css": f"@import '{CDN}.css';",
    "fetch.js": f"const x = await fetch(`{CDN}`)",
    "dynamic.js": f"import('{CDN}.js')",
    "worker.js": f'new Worker("{CDN}.js")',
    "element.js": f's.src = "{CDN}.js"; document.head.append(s)',
    "sheet.js": f'l.href="{CDN}.css"',
    "request.js": f'x.open("GET", "{CDN}")',
}
QUIET = {
    "link.html": f'<a href="{CDN}">the source</a><form action="{CDN}"></form>',
    "text.html": f"<p>fetch('{CDN}') and url({CDN})</p>",
    "data.html": f'<script type="application/json">{{"a": "fetch({CDN})"}}</script>',
    "canonical.html": f'<link rel="canonical" href="{CDN}">',
    "own.html": '<script src="_static/book.js"></script><img src="data:image/png;base64,AA">',
    "own.css": "@font-face { src: url(font.woff2) }",
    "anchor.js": f'a.href = "{CDN}"; // {CDN}',
}


@pytest.mark.parametrize("name", LOADS)
def test_a_planted_load_is_found(tmp_path, name):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_text(f"\n{LOADS[name]}\n", "utf-8")
    (found,) = outside(tmp_path)
    assert found.file == f"deep/{name}"
    assert found.line == 2
    assert "cdn.example/x" in found.url


@pytest.mark.parametrize("name", QUIET)
def test_what_loads_nothing_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text(QUIET[name], "utf-8")
    assert outside(tmp_path) == []
