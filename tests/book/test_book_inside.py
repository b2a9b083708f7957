"""The check of inside links finds every promise that a book does not keep, and leaves the others alone."""

import pytest

from workbench.book import inside

BROKEN = {
    "file": ('<a href="gone.html">x</a>', "links to gone.html, but there is no such file in the book"),
    "folder": ('<a href="deep/">x</a>', "links to deep/, but there is no such file in the book"),
    "image": ('<img src="gone.png" alt="a cup">', "links to gone.png, but there is no such file in the book"),
    "script": ('<script src="gone.js"></script>', "links to gone.js, but there is no such file in the book"),
    "own place": ('<a href="#gone">x</a>', "links to #gone, but nothing on that page is called gone"),
    "other place": (
        '<a href="deep/b.html#gone">x</a>',
        "links to deep/b.html#gone, but nothing on that page is called gone",
    ),
    "silent image": ('<img src="deep/c.png">', "shows an image without a text alternative"),
    "empty words": ('<img src="deep/c.png" alt=" ">', "shows an image without a text alternative"),
}
KEPT = [
    '<a href="deep/b.html">x</a>',
    '<a href="deep/b.html?v=1#there">x</a>',
    '<a href="#">top</a> <a href="#here">x</a><p id="here"></p>',
    '<a href="#explorer-1&amp;slope=2">x</a><figure id="explorer-1"></figure>',
    '<a href="https://example.org/gone">x</a> <a href="mailto:a@b.c">x</a> <a href="//example.org/x">x</a>',
    '<img src="data:image/png;base64,AA" alt="a dot">',
    '<a href="deep/c%20d.txt">x</a>',
]


@pytest.fixture
def book(tmp_path):
    deep = tmp_path / "deep"
    deep.mkdir()
    (deep / "b.html").write_text('<h2 id="there">b</h2><a href="../a.html">a</a>')
    (deep / "c.png").touch()
    (deep / "c d.txt").touch()
    return tmp_path


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_found_with_its_line(book, name):
    text, what = BROKEN[name]
    (book / "a.html").write_text(f"\n{text}\n")
    (fault,) = inside(book)
    assert str(fault) == f"a.html:2 {what}"


@pytest.mark.parametrize("text", KEPT)
def test_a_kept_promise_is_left_alone(book, text):
    (book / "a.html").write_text(text)
    assert inside(book) == []


def test_styles_load_what_is_there(book):
    (book / "a.html").touch()
    (book / "deep" / "s.css").write_text(
        "p { background: url(c.png) }\nq { background: url('gone.woff2?v=1') }"
    )
    (fault,) = inside(book)
    assert str(fault) == "deep/s.css:2 loads gone.woff2?v=1, but there is no such file in the book"
