"""Any language model behind `POST /v1/chat/completions`, with nothing but the standard library.

Off unless an address and a model are set. What was asked and answered can be recorded, one JSON line each,
and replayed without a network; the key is never written anywhere.
"""

import hashlib
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.proposers.contract import Message

URL, MODEL, KEY = "WORKBENCH_LLM_URL", "WORKBENCH_LLM_MODEL", "WORKBENCH_LLM_KEY"
TRY_AGAIN = (408, 409, 429, 500, 502, 503, 504)
MOST_BYTES = 4 << 20  # of an answer


class LLM:
    """A chat model as a proposer.

    url: up to and with the version, e.g. `http://127.0.0.1:8000/v1`; model: its name there; key: sent as
    a bearer token. Left out, they come from the environment: WORKBENCH_LLM_URL, WORKBENCH_LLM_MODEL,
    WORKBENCH_LLM_KEY. timeout: seconds for one request. retries: further tries after a busy or broken
    server, after `wait`, 2·`wait`, 4·`wait` … seconds, or what the server asks for, at most `longest`.
    record: a JSONL file that every exchange is added to. replay: such a file, from which answers come
    *instead* of from a network. Raises WorkbenchError where neither a model nor a replay is set.
    """

    def __init__(
        self,
        url: str | None = None,
        model: str | None = None,
        key: str | None = None,
        *,
        temperature: float = 0.75,
        max_tokens: int = 4096,
        system: str = "You write fast and correct kernels.",
        timeout: float = 120.0,
        retries: int = 5,
        wait: float = 1.0,
        longest: float = 60.0,
        record: Path | str | None = None,
        replay: Path | str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = (url or os.environ.get(URL, "")).rstrip("/")
        self.model = model or os.environ.get(MODEL, "")
        self.temperature, self.max_tokens, self.system = temperature, max_tokens, system
        self.timeout, self.retries, self.wait, self.longest = timeout, retries, wait, longest
        self.record = Path(record) if record else None
        self.name = self.model
        self._key = key or os.environ.get(KEY, "")
        self._sleep = sleep
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._replay = _read(Path(replay)) if replay else None
        if not self.model or not (self.url or self._replay is not None):
            raise WorkbenchError(
                f"no language model is set: give url and model, or set {URL} and {MODEL} in the environment"
            )
        if self.url and not self.url.startswith(("http://", "https://")):
            raise WorkbenchError(
                f"the model's url must begin with http:// or https://, but {self.url!r} came"
            )

    @staticmethod
    def available() -> bool:
        """Whether the reader has set a model."""
        return bool(os.environ.get(URL) and os.environ.get(MODEL))

    def propose(self, prompt: str, history: Sequence[Message] = ()) -> str:
        """The model's answer. A question that comes again gets its next recorded answer in a replay."""
        turns = [Message("system", self.system)] * bool(self.system)
        messages = [{"role": m.role, "content": m.text} for m in (*turns, *history, Message("user", prompt))]
        body = {
            "model": self.model,
            "messages": messages,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }
        question = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self._lock:
            turn = self._asked[question]
            self._asked[question] += 1
        if self._replay is not None:
            return self._recorded(question, turn)
        text = self._post(body)
        if self.record:
            row = {"prompt": question, "model": self.model, "temperature": self.temperature}
            line = json.dumps({**row, "messages": messages, "text": text}, ensure_ascii=False)
            with self._lock, self.record.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        return text

    def _recorded(self, question: str, turn: int) -> str:
        assert self._replay is not None
        answers = self._replay.get((question, self.model), [])
        if turn >= len(answers):
            raise WorkbenchError(
                f"the recording holds {len(answers)} answers of {self.model} to this prompt "
                f"({question[:12]}), but answer {turn + 1} is asked for"
            )
        return answers[turn]

    def _post(self, body: dict[str, Any]) -> str:
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        for attempt in range(self.retries + 1):
            request = urllib.request.Request(f"{self.url}/chat/completions", data, headers)
            try:
                with _OPENER.open(request, timeout=self.timeout) as reply:
                    return _text(reply.read(MOST_BYTES))
            except urllib.error.HTTPError as error:
                problem = f"{self.model} answered {error.code}"
                again = error.code in TRY_AGAIN
                asked = _seconds(error.headers.get("Retry-After"))
                error.close()
            except (OSError, ValueError) as error:  # no connection, too slow, not JSON
                reason = getattr(error, "reason", error)
                problem, again, asked = f"{self.model} could not be asked: {reason}", True, None
            if not again or attempt == self.retries:
                break
            self._sleep(min(self.longest, asked if asked is not None else self.wait * 2**attempt))
        tries = "1 try" if attempt == 0 else f"{attempt + 1} tries"
        raise WorkbenchError(f"{problem}, after {tries}")


class _Stay(urllib.request.HTTPRedirectHandler):
    """The key goes to the address that was set and to no other."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def _text(data: bytes) -> str:
    """The first choice of a reply; ValueError where there is none."""
    try:
        content = json.loads(data)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        raise ValueError("the reply is no chat completion") from None
    if content is None:
        return ""
    if not isinstance(content, str):
        raise ValueError("the reply holds no text")
    return content


def _seconds(header: str | None) -> float | None:
    """`Retry-After` in seconds: a number, or a date."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _read(path: Path) -> dict[tuple[str, str], list[str]]:
    answers: dict[tuple[str, str], list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise WorkbenchError(f"the recording {path.name} cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            answers.setdefault((row["prompt"], row["model"]), []).append(row["text"])
        except (ValueError, LookupError, TypeError):
            raise WorkbenchError(f"line {number} of {path.name} is not a recorded answer") from None
    return answers
