"""All checks in the order in which they fail fastest; `make test` and continuous integration call this."""

import os
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
WORKERS = str(min(4, os.cpu_count() or 1))
TAIL = 4000  # characters of a failed step's output that are printed once more at the end

STEPS: list[tuple[str, list[str]]] = [
    ("lint", ["ruff", "check", "--quiet", "."]),
    ("format", ["ruff", "format", "--check", "--quiet", "."]),
    ("types", ["mypy", "--no-error-summary"]),
    ("claims", ["workbench", "claims", "--measure", "--budget", "smoke", "-j", "2"]),
    ("lessons", ["workbench", "run", "--budget", "smoke", "-j", "2"]),
    ("contract", ["workbench", "check", "--budget", "smoke"]),
    ("book", ["workbench", "book", "--budget", "smoke", "--target", "_build/smoke-html"]),
    ("tests", ["pytest", "-q", "-n", WORKERS, "--dist", "loadfile", *sys.argv[1:]]),
]


def main() -> int:
    failed = {}
    took = []
    for name, (program, *arguments) in STEPS:
        print(f"== {name}: {program} {' '.join(arguments)}", flush=True)
        start = time.monotonic()
        code, end = run([str(BIN / program), *arguments])
        if code:
            failed[name] = end
        took.append(f"{name} {time.monotonic() - start:.0f} s")
    for name, end in failed.items():
        print(f"== {name} failed, and ended with\n{end}")
    print("== " + ", ".join(took))
    print(f"== failed: {', '.join(failed)}" if failed else "== all well")
    return bool(failed)


def run(command: list[str]) -> tuple[int, str]:
    """The exit status, and the end of the output, which stays empty in a terminal: there one can scroll."""
    if sys.stdout.isatty():
        return subprocess.run(command, check=False).returncode, ""
    end = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        while chunk := process.stdout.read1():
            sys.stdout.buffer.write(chunk)
            sys.stdout.flush()
            end = (end + chunk)[-TAIL:]
    return process.returncode, end.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
