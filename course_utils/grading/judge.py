"""What runs in the judge's sandbox: the tests of one submission, in a process without any code of the student's.

A server imports what tests need once and forks for every submission. The child asks the grader for a student's
process and gets the other end of its socket. First it has the notebook run there, cell by cell, and keeps what the
cells show. Then it runs the notebook's given cells and the tests here. The names that the student's cells define are
stand-ins: a call sends plain data over and gets plain data back, so there is no object of the student's for a test to
trust, and no test for the student's code to find.

Tests come after all cells of the student, and hidden ones after all that is visible, so that nothing a hidden test
sends over is in anything that the student's code shows or says.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import json
import os
import random
import socket
import sys
import time
import types
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np

from course_utils.grading import plain
from course_utils.grading.channel import Channel, Gone
from course_utils.grading.ends import References, alarm
from course_utils.grading.errors import NotPlain

BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
MOST_MESSAGE = 2_000  # characters
MOST_OUTPUT = 8 * 2**20  # bytes of what one cell shows
GRACE = 5.0  # seconds that a process has to say itself that its time is over
STRIKES = 2  # times that a name or cell may end the process before it is left out
_START = 120.0  # seconds for a process to import what it needs


class StudentError(Exception):
    """What the student's code did in place of an answer.

    Attributes
    ----------
    bare : str
        The same without a word of the student's code's choosing, which may carry what a hidden test sent.
    """

    def __init__(self, message: str, bare: str = "") -> None:
        super().__init__(message)
        self.bare = bare or message


class Stopped(StudentError):
    """The student's process ended or was ended."""


class _OutOfTime(TimeoutError):
    """The time of a test is over."""


class _NotStarted(BaseException):
    """A process without any code of the student's in it did not start: nobody can be graded like that."""


def _error_like(function: str, name: str, message: str) -> StudentError:
    """An error that a test can catch by its usual name, e.g. as `ValueError`."""
    text = f"{function} raised {name}: {message}" if message else f"{function} raised {name}"
    base = getattr(builtins, name, None)
    plainly = (ArithmeticError, AttributeError, LookupError, NameError, NotImplementedError, RuntimeError, TypeError,
               ValueError)  # fmt: skip
    if isinstance(base, type) and issubclass(base, plainly) and not issubclass(base, UnicodeError):
        return type(base.__name__, (StudentError, base), {})(
            text, f"{function} raised {name} in a hidden test."
        )
    return StudentError(text, f"{function} raised an error in a hidden test.")


class Grader:
    """The grader's end of the line: one request, one answer, in JSON."""

    def __init__(self, sock: socket.socket) -> None:
        self.channel = Channel(sock)

    def tell(self, message: dict[str, Any]) -> None:
        self.channel.send(json.dumps(message).encode())

    def ask(self, what: str) -> dict[str, Any]:
        self.tell({"ask": what})
        return json.loads(self.channel.receive())

    def student(self) -> socket.socket:
        """A new process for the student's code, in place of the last."""
        answer = self.ask("student")
        if not answer["ok"]:
            raise Stopped(answer["why"])
        _, numbers, *_ = socket.recv_fds(self.channel.sock, 1, 1)
        return socket.socket(fileno=numbers[0])


class Notebook:
    """The student's notebook, running elsewhere.

    A process that ends is replaced by a new one, in which the cells run again but for those that ended it. So an
    endless loop in one task costs the marks of that task.
    """

    def __init__(self, grader: Grader, limits: dict[str, float]) -> None:
        self.grader = grader
        self.limits = limits
        self.references = References()
        self.generation = 0
        self._ran: list[tuple[str, str]] = []
        self._channel: Channel | None = None
        self._strikes: Counter[tuple[str, str]] = Counter()  # by kind of request and name

    def run(self, cell: str, source: str) -> list[dict[str, Any]]:
        """Run a cell and return what it showed.

        Raises
        ------
        Stopped
            If it ended the process or took too long.
        """
        self._ready()
        kind, shown = self._ask(("run", source, True), self.limits["cell_seconds"], cell)
        self._ran.append((cell, source))
        return shown if kind == "ran" else [_error("Output", f"It cannot be shown: {shown}")]

    def look(self, name: str) -> tuple:
        """``("value", value)`` of a name, ``("missing",)`` or ``("unfit", why)``."""
        self._ready()
        return self._ask(("look", name), self.limits["call_seconds"], name)

    def call(self, target: str | int, name: str, args: tuple, kwargs: dict, generation: int) -> Any:
        """Call a function of the student's with plain data.

        Raises
        ------
        StudentError
            If it raises, does not answer, or answers with something that does not cross.
        """
        self._ready()
        if isinstance(target, int) and generation != self.generation:
            raise Stopped(f"{name} comes from a process that has ended since.")
        kind, *rest = self._ask(("call", target, args, kwargs), self.limits["call_seconds"], name)
        if kind == "value":
            return rest[0]
        if kind == "missing":
            raise StudentError(f"{name} is not defined any more.")
        if kind == "unfit":
            raise StudentError(f"{name}: {rest[0]}", f"{name} gave what does not cross to a hidden test.")
        raise _error_like(name, *rest)

    def _ready(self) -> None:
        """See that there is a process in which all cells so far have run."""
        while self._channel is None:
            channel = Channel(self.grader.student())
            self.generation += 1
            try:
                if plain.decode(channel.receive(_START)) != ("ready",):
                    raise Gone("it did not start")
            except (Gone, NotPlain) as error:
                channel.close()
                why = self.grader.ask("why")["why"]
                raise _NotStarted(why or str(error)) from None
            self._channel = channel
            for cell, source in list(self._ran):
                try:
                    self._ask(("run", source, False), self.limits["cell_seconds"], cell)
                except Stopped:
                    self._ran.remove((cell, source))
                    break

    def _ask(self, request: tuple, seconds: float, who: str) -> tuple:
        if self._strikes[request[0], who] >= STRIKES:
            raise Stopped(f"{who} ended its process {STRIKES} times and is not run again.")
        question = plain.encode(request, functions=self.references.number)
        deadline = time.monotonic() + seconds + GRACE
        try:
            self._channel.send(question, seconds)
            while True:
                reply = self._decode(self._channel.receive(deadline - time.monotonic()), who)
                if reply[0] not in _REPLIES[request[0]]:
                    raise _Nonsense
                if reply[0] != "callback":
                    return reply
                self._channel.send(self._call_back(*reply[1:]), seconds)
        except Gone as gone:
            why = str(gone)
        except _Nonsense:
            why = "it sent what is not an answer"
        except BaseException:  # in the middle of a conversation that nobody could go on with
            self._drop()
            raise
        self._drop()
        self._strikes[request[0], who] += 1
        raise Stopped(f"{who}: the process was stopped, {self.grader.ask('why')['why'] or why}.")

    def _drop(self) -> None:
        self._channel.close()
        self._channel = None

    def _decode(self, frame: bytes, who: str) -> tuple:
        from course_utils.grading import models

        generation = self.generation

        def stand_in(number: int) -> Callable:
            return self.stand_in(number, f"the function that {who} gave", generation)

        try:
            reply = plain.decode(frame, functions=stand_in, models=models.unpack)
        except NotPlain as error:
            return ("unfit", str(error))
        if type(reply) is tuple and reply and type(reply[0]) is str:
            kind, *rest = reply
            shapes = {"value": 1, "missing": 0, "unfit": 1, "raised": 2, "ran": 2, "callback": 3}
            if shapes.get(kind) == len(rest):
                texts = {"unfit": (0,), "raised": (0, 1)}.get(kind, ())
                if all(type(rest[index]) is str for index in texts):
                    if kind == "ran":
                        return kind, rest[1] if type(rest[1]) is list else []
                    return reply
        raise _Nonsense

    def _call_back(self, number: Any, args: Any, kwargs: Any) -> bytes:
        """The student's code calls a function that a test gave it."""
        try:
            value = self.references[number](*args, **kwargs)
            return plain.encode(("value", value), functions=self.references.number)
        except _OutOfTime:
            raise
        except Exception as error:
            return plain.encode(("raised", f"{type(error).__name__}: {str(error)[:MOST_MESSAGE]}"))

    def stand_in(self, target: str | int, name: str, generation: int = 0) -> Callable:
        """What a test calls in place of a function of the student's."""

        def function(*args: Any, **kwargs: Any) -> Any:
            return self.call(target, name, args, kwargs, generation)

        function.__name__ = function.__qualname__ = name
        return function


# What may come back to each kind of request.
_REPLIES = {
    "run": ("ran", "unfit"),
    "look": ("value", "missing", "unfit"),
    "call": ("value", "missing", "unfit", "raised", "callback"),
}


class _Nonsense(Exception):
    """What came is not an answer to what was asked."""


def _hidden_lines(source: str) -> set[int]:
    """Which lines of a test are hidden, from 1."""
    lines, hidden = set(), False
    for number, line in enumerate(source.splitlines(), 1):
        hidden = hidden or BEGIN_HIDDEN in line
        if hidden:
            lines.add(number)
        hidden = hidden and END_HIDDEN not in line
    return lines


class Judge:
    """The tests of one submission.

    Parameters
    ----------
    job : dict
        ``cells``: list of dicts with ``id``, ``role``, ``source``, ``visible`` (the source without hidden tests),
        ``points``, ``defines``; ``sources``: what the student wrote, by cell; ``limits``.
    """

    def __init__(self, job: dict[str, Any], grader: Grader) -> None:
        self.job = job
        self.grader = grader
        self.limits = job["limits"]
        self.notebook = Notebook(grader, self.limits)
        self.names: dict[str, Any] = {}
        self.absent: dict[str, str] = {}
        self.found: dict[str, tuple] = {}
        self.not_begun: set[str] = set()  # names of cells that stopped at the stub they were handed out with

    def run(self) -> None:
        """Run the notebook, then the tests, and tell the grader of each as it is done."""
        code = [cell for cell in self.job["cells"] if cell["role"] in ("given", "demo", "solution")]
        for cell in code:
            self._run_there(cell)
        # All before the first test: what a look brings may be shown, and must not carry what a test sent.
        self.found = {name: self._look(name) for cell in code for name in cell["defines"]}
        # Visible tests of all cells before the first hidden one, so that whatever a message of theirs shows of the
        # student's, nothing that a hidden test sent is in it.
        passed: dict[str, dict[str, Any]] = {}
        for cell, verdict in self._tests():
            if cell["visible"] != cell["source"] and not verdict["message"]:
                passed[cell["id"]] = verdict
            else:
                self._tell(cell, verdict)
        for cell, verdict in self._tests(hidden_of=passed):
            self._tell(cell, verdict | {"printed": passed[cell["id"]]["printed"]})
        self.grader.tell({"done": True})

    def _tell(self, cell: dict[str, Any], verdict: dict[str, Any]) -> None:
        self.grader.tell({"test": cell["id"], **verdict})

    def _tests(
        self, hidden_of: Collection[str] | None = None
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Run given cells and tests from the top: what is visible of all tests, or all of those in ``hidden_of``."""
        random.seed(0)
        np.random.seed(0)
        self.names, self.absent = {"__name__": "__main__"}, {}
        for cell in self.job["cells"]:
            if cell["role"] == "given":
                self._run_here(cell)
            elif cell["role"] == "solution":
                for name in cell["defines"]:
                    self._bind(name, *self.found[name])
            elif cell["role"] == "test" and (hidden_of is None or cell["id"] in hidden_of):
                yield cell, self._test(cell, with_hidden=hidden_of is not None)

    def _run_there(self, cell: dict[str, Any]) -> None:
        source = self.job["sources"].get(cell["id"], cell["source"])
        try:
            shown = self.notebook.run(cell["id"], source)
        except Stopped as error:
            shown = [_error("Stopped", str(error))]
        if any(type(part) is dict and part.get("ename") == "NotImplementedError" for part in shown):
            self.not_begun.update(cell["defines"])
        try:
            message = json.dumps({"cell": cell["id"], "outputs": shown})
        except (TypeError, ValueError):
            message = None
        if message is None or len(message) > MOST_OUTPUT:
            message = json.dumps({"cell": cell["id"], "outputs": [_error("Output", "It was not readable.")]})
        self.grader.channel.send(message.encode())

    def _run_here(self, cell: dict[str, Any]) -> None:
        with contextlib.suppress(Exception), self._within(self.limits["cell_seconds"]), _quiet():
            exec(_compiled(cell["source"], cell["id"])[0], self.names)

    def _look(self, name: str) -> tuple:
        try:
            return self.notebook.look(name)
        except StudentError as error:
            return "stopped", str(error)

    def _bind(self, name: str, kind: str, found: Any = None) -> None:
        self.names.pop(name, None)
        self.absent.pop(name, None)
        if kind == "value":
            # By name, so that the stand-in outlives a process that is replaced.
            self.names[name] = self.notebook.stand_in(name, name) if _is_stand_in(found) else found
        elif kind == "stopped":
            self.absent[name] = found
        elif kind == "unfit":
            self.absent[name] = f"{name}: {found}"
        elif name in self.not_begun:
            self.absent[name] = (
                f"Not attempted yet: the cell that makes {name} is still as it was handed out."
            )
        else:
            self.absent[name] = f"{name} is not defined: its cell did not run to the end."

    def _within(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        return alarm(seconds, _OutOfTime(f"This test took longer than {seconds:g} seconds."))

    def _test(self, cell: dict[str, Any], *, with_hidden: bool) -> dict[str, Any]:
        """Run one test, all of it or what is visible: its points, what it says, whether it passed."""
        points = float(cell["points"])
        begun = time.monotonic()
        message, printed, earned, passed = "", io.StringIO(), 0.0, False
        source = cell["source"] if with_hidden else cell["visible"]
        try:
            body, last = _compiled(source, cell["id"])
            with self._within(2 * self.limits["cell_seconds"]), contextlib.redirect_stdout(printed), _quiet():
                exec(body, self.names)
                value = eval(last, self.names) if last else None
            earned, passed = points, True
            if type(value) in (int, float, np.float64, np.int64):  # nbgrader's rule for partial credit
                earned = float(min(max(value, 0.0), points)) if value == value else 0.0
                passed = earned == points
        except _NotStarted:
            raise
        except BaseException as error:
            line = _line(error, cell["id"])
            message = (
                self._explain_hidden(error, source, line)
                if with_hidden
                else self._explain(error, source, line)
            )
        return {
            "points": earned,
            "passed": passed,
            "message": message[:MOST_MESSAGE],
            "printed": printed.getvalue()[:MOST_MESSAGE],
            "seconds": round(time.monotonic() - begun, 3),
        }

    def _explain(self, error: BaseException, source: str, line: int | None) -> str:
        """Why a visible test failed."""
        if isinstance(error, NameError) and getattr(error, "name", None) in self.absent:
            return self.absent[error.name]
        if isinstance(error, NotImplementedError) and isinstance(error, StudentError):
            return "Not attempted yet: a function of this task is still as it was handed out."
        if isinstance(error, AssertionError) and not str(error):
            return (
                f"This does not hold: {source.splitlines()[line - 1].strip()}"
                if line
                else "This does not hold."
            )
        if isinstance(error, (AssertionError, StudentError, _OutOfTime)):
            return str(error)
        return f"{type(error).__name__}: {error}"

    def _explain_hidden(self, error: BaseException, source: str, line: int | None) -> str:
        """Why a test failed once hidden tests had begun: nothing but the teacher's words and built-in names."""
        if isinstance(error, AssertionError) and str(error) and line in _hidden_lines(source):
            return str(error)
        if isinstance(error, AssertionError):
            return "A hidden test does not hold."
        if isinstance(error, StudentError):
            return error.bare
        if isinstance(error, _OutOfTime):
            return str(error)
        return f"{type(error).__name__} in a hidden test: what came back is not of the kind asked for."


def _error(name: str, value: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": [f"{name}: {value}"]}


def _line(error: BaseException, cell: str) -> int | None:
    """Which line of a cell an error came through."""
    found = [step.tb_lineno for step in _steps(error) if step.tb_frame.f_code.co_filename == _file(cell)]
    return found[-1] if found else None


def _steps(error: BaseException) -> Iterator[types.TracebackType]:
    step = error.__traceback__
    while step is not None:
        yield step
        step = step.tb_next


def _is_stand_in(value: Any) -> bool:
    return type(value).__name__ == "function"


def _file(cell: str) -> str:
    return f"<{cell}>"


def _compiled(source: str, cell: str) -> tuple[Any, Any]:
    """The cell's code, and that of its last expression if it ends in one."""
    from IPython.core.inputtransformer2 import TransformerManager

    tree = ast.parse(TransformerManager().transform_cell(source), _file(cell))
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";"):
        last = compile(ast.Expression(tree.body.pop().value), _file(cell), "eval")
    return compile(tree, _file(cell), "exec"), last


@contextlib.contextmanager
def _quiet():
    """Warnings and other words on stderr cost nothing and are not kept."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


def main() -> None:
    """``python -m course_utils.grading.judge FD SETTINGS``: import, then fork for each job that comes."""
    from course_utils.grading.sandbox import apply_limits

    settings = json.loads(sys.argv[2])
    apply_limits(settings["limits"])
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in settings["preload"]:
        with contextlib.suppress(ImportError):
            __import__(module)
    control.sendall(b"R")
    while True:
        _, numbers, *_ = socket.recv_fds(control, 1, 1)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not numbers:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            try:
                _judge(socket.socket(fileno=numbers[0]))
            finally:
                os._exit(0)
        os.close(numbers[0])


def _judge(sock: socket.socket) -> None:
    grader = Grader(sock)
    with contextlib.suppress(Gone):
        job = json.loads(grader.channel.receive())
        try:
            Judge(job, grader).run()
        except _NotStarted as error:
            grader.tell({"not started": str(error)})


if __name__ == "__main__":
    main()
