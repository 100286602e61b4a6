"""A Node program of ../node that talks in lines of JSON."""

import json
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FOLDER = Path(__file__).resolve().parents[1] / "node"
LIFETIME_S = 120


class Program:
    """A running program. A line in, a line out; it ends with the `with` block."""

    def __init__(self, name: str) -> None:
        node = shutil.which("node")
        if not node:
            raise RuntimeError("node is missing: install Node.js 20 or newer")
        self._process = subprocess.Popen(
            [node, "--no-warnings", name],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._watchdog = threading.Timer(LIFETIME_S, self._process.kill)
        self._watchdog.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
        self._watchdog.cancel()
        if kind is None:
            assert self._process.returncode == 0, f"the program ended with {self._process.returncode}"

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Sends one line and reads the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            _, complaint = self._process.communicate()
            raise AssertionError(f"the program ended:\n{complaint}")
        answer: dict[str, Any] = json.loads(line)
        return answer
