"""The client against a stub on the loopback: every way in which a model's server can answer."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.proposers import LLM, Message, Prompt, Proposer, code_of
from workbench.proposers.llm import KEY, MODEL, URL

GOOD = "Sure.\n```python\ndef kernel(x):\n    return x\n```"
PROMPT = Prompt("copy", "kernel(x)").text()


class Stub(ThreadingHTTPServer):
    """Answers with what `script` says, one entry a request: text, status, bytes, or seconds to wait."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[object] = []
        self.requests: list[tuple[str, dict[str, str], dict]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        stub: Stub = self.server  # type: ignore[assignment]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stub.requests.append((self.path, dict(self.headers), body))
        entry = stub.script.pop(0)
        status, headers, data = 200, {}, b""
        if isinstance(entry, float):
            time.sleep(entry)
            entry = GOOD
        if isinstance(entry, tuple):
            status, headers = entry
        elif isinstance(entry, bytes):
            data = entry
        else:
            data = json.dumps({"choices": [{"message": {"content": entry}}]}).encode()
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:  # the client did not wait
            pass

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    for name in (URL, MODEL, KEY, "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def client(stub: Stub, **options: Any) -> tuple[LLM, list[float]]:
    slept: list[float] = []
    return LLM(stub.url, "tiny", **{"sleep": slept.append, **options}), slept


def test_it_is_off_unless_set(stub, monkeypatch):
    assert not LLM.available()
    for arguments in ((), (stub.url,), (None, "tiny")):
        with pytest.raises(WorkbenchError, match=f"set {URL} and {MODEL}"):
            LLM(*arguments)
    monkeypatch.setenv(URL, stub.url)
    monkeypatch.setenv(MODEL, "from-environment")
    assert LLM.available()
    assert LLM().name == "from-environment"
    with pytest.raises(WorkbenchError, match="must begin with http"):
        LLM("file:///etc/passwd", "tiny")
    assert stub.requests == []


def test_a_good_answer_and_what_was_sent(stub):
    stub.script = [GOOD]
    model, slept = client(stub, key="secret", temperature=0.5)
    assert isinstance(model, Proposer)
    history = [Message("user", "before"), Message("assistant", "earlier")]
    assert model.propose(PROMPT, history) == GOOD
    (path, headers, body), *rest = stub.requests
    assert (path, rest, slept) == ("/v1/chat/completions", [], [])
    assert headers["Authorization"] == "Bearer secret"
    assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant", "user"]
    assert body["messages"][-1]["content"] == PROMPT
    assert (body["model"], body["temperature"]) == ("tiny", 0.5)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (GOOD, "code"),
        ("def kernel(x):\n    return x", "code"),
        (GOOD + "\nor\n" + GOOD.replace("return x", "return 2 * x"), "code"),
        (GOOD[:-4], "truncated"),
        ("I am sorry, but I cannot do that.", "refusal"),
        ("", "empty"),
        (None, "empty"),
    ],
)
def test_answers_pass_to_the_parser_as_they_are(stub, text, kind):
    stub.script = [text]
    assert code_of(client(stub)[0].propose(PROMPT), "kernel").kind == kind


def test_busy_then_good_waits_as_asked(stub):
    stub.script = [(429, {"Retry-After": "7"}), (503, {}), (500, {"Retry-After": "soon"}), GOOD]
    model, slept = client(stub, wait=1.0)
    assert model.propose(PROMPT) == GOOD
    assert slept == [7.0, 2.0, 4.0]


def test_waiting_has_an_end(stub):
    stub.script = [(429, {"Retry-After": "86400"})] * 3
    model, slept = client(stub, retries=2, longest=30.0)
    with pytest.raises(WorkbenchError, match="tiny answered 429, after 3 tries"):
        model.propose(PROMPT)
    assert slept == [30.0, 30.0]


@pytest.mark.parametrize("status", [400, 401, 404, 301])
def test_what_will_not_change_is_not_tried_again(stub, status):
    stub.script = [(status, {"Location": stub.url + "/elsewhere"})]
    model, slept = client(stub, key="secret")
    with pytest.raises(WorkbenchError, match=f"answered {status}, after 1 try"):
        model.propose(PROMPT)
    assert slept == []
    assert len(stub.requests) == 1


def test_too_slow(stub):
    stub.script = [0.5, GOOD]
    model, slept = client(stub, timeout=0.1)
    assert model.propose(PROMPT) == GOOD
    assert len(slept) == 1


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": 3}}]}']
)
def test_what_is_no_completion(stub, data):
    stub.script = [data] * 2
    with pytest.raises(WorkbenchError, match=r"no chat completion|no text"):
        client(stub, retries=1)[0].propose(PROMPT)


def test_nobody_listens(stub):
    model = LLM("http://127.0.0.1:1/v1", "tiny", retries=0)
    with pytest.raises(WorkbenchError, match="tiny could not be asked"):
        model.propose(PROMPT)


def test_a_recording_is_replayed_without_a_network(stub, tmp_path):
    file = tmp_path / "answers.jsonl"
    stub.script = ["one", "two", "three ü"]
    model, _ = client(stub, key="secret", record=file)
    asked = [model.propose(PROMPT), model.propose(PROMPT), model.propose("other")]
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert {row["model"] for row in rows} == {"tiny"}
    assert rows[0]["prompt"] == rows[1]["prompt"] != rows[2]["prompt"]
    assert "secret" not in file.read_text(encoding="utf-8")
    again = LLM(model="tiny", replay=file)
    assert [again.propose(PROMPT), again.propose(PROMPT), again.propose("other")] == asked
    with pytest.raises(WorkbenchError, match=r"holds 2 answers of tiny .* answer 3"):
        again.propose(PROMPT)
    with pytest.raises(WorkbenchError, match="holds 0 answers"):
        LLM(model="tiny", temperature=0.1, replay=file).propose(PROMPT)
    with pytest.raises(WorkbenchError, match="holds 0 answers"):
        LLM(model="another", replay=file).propose(PROMPT)


@pytest.mark.parametrize("text", ["no json\n", '{"prompt": "a"}\n', "3\n"])
def test_a_broken_recording_is_named(tmp_path, text):
    file = tmp_path / "answers.jsonl"
    file.write_text(text)
    with pytest.raises(WorkbenchError, match=r"line 1 of answers\.jsonl is not a recorded answer"):
        LLM(model="tiny", replay=file)
    with pytest.raises(WorkbenchError, match="cannot be read"):
        LLM(model="tiny", replay=tmp_path / "nothing.jsonl")
