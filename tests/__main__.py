"""All checks in the order in which they fail fastest; `make test` and continuous integration call this."""

import os
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
WORKERS = str(min(4, os.cpu_count() or 1))

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
    failed = []
    took = []
    for name, (program, *arguments) in STEPS:
        print(f"== {name}: {program} {' '.join(arguments)}", flush=True)
        start = time.monotonic()
        if subprocess.run([str(BIN / program), *arguments], check=False).returncode:
            failed.append(name)
        took.append(f"{name} {time.monotonic() - start:.0f} s")
    print("== " + ", ".join(took))
    print(f"== failed: {', '.join(failed)}" if failed else "== all well")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
