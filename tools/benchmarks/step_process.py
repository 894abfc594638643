"""Processes that run training steps on request: one framework, its own thread count and its own peak memory each."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
_ANSWER = "answer: "  # other lines of the process's output are ignored


class StepProcess:
    """A process that answers questions with ``answer_questions``.

    Args:
        module: Module to run, such as ``tools.benchmarks.step_benchmark``.
        arguments: Arguments of the module.
        environment: Environment variables to change.

    Raises:
        UserError: The process exited unexpectedly, or answers with an error.
    """

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def ask(self, *question: Any) -> Any:
        """Send a question, its name and arguments, and return the answer.

        Raises:
            UserError: The process exited unexpectedly, or answers with an error.
        """
        with contextlib.suppress(BrokenPipeError):  # reported below
            print(json.dumps(question), file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            stream.close()

    def _answer(self) -> Any:
        for line in self._process.stdout:
            if line.startswith(_ANSWER):
                answer = json.loads(line.removeprefix(_ANSWER))
                if "error" in answer:
                    raise UserError(answer["error"])
                return answer["value"]
        raise UserError("A process that runs training steps exited unexpectedly. Its error message is above.")


def answer_questions(start: Callable[[], Mapping[str, Callable[..., Any]]]) -> None:
    """Answer the questions on stdin until it ends; an error that the user can fix is an answer and ends the process.

    Args:
        start: Returns name of a question -> function of its arguments; the answer is JSON-compatible.
    """
    try:
        answers = start()
        print(_ANSWER, json.dumps({"value": None}), sep="", flush=True)
        for line in sys.stdin:
            name, *arguments = json.loads(line)
            print(_ANSWER, json.dumps({"value": answers[name](*arguments)}), sep="", flush=True)
    except UserError as error:
        print(_ANSWER, json.dumps({"error": str(error)}), sep="", flush=True)
