"""How an exercise is judged: properties and values on inputs the check makes itself.

A lesson's module holds one function per exercise under :func:`exercise`. The function receives the
learner's answer and raises :class:`NotYet` with what it observed; returning means correct.
"""

from __future__ import annotations

import html
import inspect
import textwrap
import traceback
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_utils import _display
from course_utils.checks import _progress


class NotYet(Exception):
    """The answer is not right yet; the message says what was observed and what that suggests."""


class NotAttempted(Exception):
    """The answer is still the stub (an Ellipsis came back)."""


@dataclass(frozen=True)
class Verdict:
    """What a check found: ``status`` is "correct", "not yet", "not attempted" or "error"."""

    status: str
    message: str


def _is_stub(value: Any) -> bool:
    if value is Ellipsis:
        return True
    return isinstance(value, (tuple, list)) and len(value) > 0 and all(item is Ellipsis for item in value)


def attempted(value: Any) -> Any:
    """Return ``value``; raise :class:`NotAttempted` if it is the stub's ``...`` (or a tuple of them)."""
    if _is_stub(value):
        raise NotAttempted
    return value


def expect(condition: object, message: str) -> None:
    """Raise :class:`NotYet` with ``message`` unless ``condition`` is true."""
    if not bool(condition):
        raise NotYet(message)


def as_array(value: Any, name: str, *, shape: tuple[int | None, ...] | None = None) -> np.ndarray:
    """Turn an answer into a float array and hold its shape to ``shape`` (``None`` = any length).

    Raises
    ------
    NotAttempted
        If ``value`` is the stub's ``...``.
    NotYet
        If it is ``None``, not numeric, ragged, or of another shape.
    """
    attempted(value)
    if value is None:
        raise NotYet(f"{name} is None: the function has to return its result (is the `return` missing?).")
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise NotYet(f"{name} should be numeric, but it is of type {type(value).__name__}.") from None
    if shape is not None:
        fits = array.ndim == len(shape) and all(
            want is None or want == have for want, have in zip(shape, array.shape, strict=True)
        )
        wanted = (
            "("
            + ", ".join("any" if n is None else str(n) for n in shape)
            + ("," if len(shape) == 1 else "")
            + ")"
        )
        expect(fits, f"{name} has shape {array.shape}; it should have shape {wanted}.")
    return array


def close(
    value: Any,
    wanted: Any,
    name: str,
    *,
    message: str | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-7,
) -> np.ndarray:
    """Hold an answer to ``wanted`` within a tolerance and return it as an array.

    ``message`` replaces the text that names the first difference. Raises as :func:`as_array` does.
    """
    target = np.asarray(wanted, dtype=float)
    array = as_array(value, name, shape=target.shape)
    ok = np.isclose(array, target, rtol=rtol, atol=atol)
    if not ok.all():
        if message is None:
            if target.ndim == 0:
                message = f"{name} is {float(array):.6g} here; it should be {float(target):.6g}."
            else:
                where = tuple(int(i) for i in np.argwhere(~ok)[0])
                spot = ", ".join(map(str, where))
                message = (
                    f"{name}[{spot}] is {array[where]:.6g} here; it should be {target[where]:.6g} "
                    f"({int((~ok).sum())} of {ok.size} values differ)."
                )
        raise NotYet(message)
    return array


def several(value: Any, *names: str) -> tuple[Any, ...]:
    """Unpack a function's several results, one for each of ``names``, in that order.

    Raises
    ------
    NotAttempted
        If ``value`` or one of the results is the stub's ``...``.
    NotYet
        If it is ``None``, not a tuple or list, or of another length.
    """
    attempted(value)
    wanted = f"{len(names)}, in this order: {', '.join(names)}"
    if value is None:
        raise NotYet(f"The function returned None; it should return {wanted} (is the `return` missing?).")
    is_tuple = isinstance(value, (tuple, list))
    if not is_tuple or len(value) != len(names):
        what = f"{len(value)} results" if is_tuple else f"a single {type(value).__name__}"
        raise NotYet(f"The function returned {what}; it should return {wanted}.")
    return tuple(attempted(part) for part in value)


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call the learner's function; raise :class:`NotAttempted` if it returns the stub's ``...``."""
    attempted(function)
    if not callable(function):
        raise NotYet(f"The check needs the function itself, but got a {type(function).__name__}.")
    return attempted(function(*args, **kwargs))


def peak_bytes(function: Callable[..., Any], *args: Any) -> int:
    """The most memory, in bytes, that one call of the learner's function held at a time (NumPy's arrays included)."""
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        call(function, *args)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not tracing:
            tracemalloc.stop()


class Exercise:
    """One exercise: call it with an answer; ``hint()`` and ``solution()`` help. Made by :func:`exercise`."""

    def __init__(
        self,
        judge: Callable[..., None],
        outcome: str,
        solution: Any,
        hints: Sequence[str],
        source: str | None,
    ) -> None:
        self._judge = judge
        self.name = judge.__name__
        self.lesson = judge.__module__.rpartition(".")[2]
        self.title = (inspect.getdoc(judge) or self.name).splitlines()[0]
        self.outcome = outcome
        self.reference = solution
        self.hints = tuple(hints)
        self._source = source
        self._hints_given = 0
        self.__doc__ = inspect.getdoc(judge)

    def judge(self, *answer: Any) -> Verdict:
        """Judge an answer without showing or recording anything."""
        try:
            for part in answer:
                attempted(part)
            self._judge(*answer)
        except NotAttempted:
            return Verdict("not attempted", "Not attempted yet: replace the `...` and run the cell again.")
        except NotYet as error:
            return Verdict("not yet", f"Not yet: {error}")
        except RecursionError:
            return Verdict("error", "Not yet: your code calls itself without end (RecursionError).")
        except Exception as error:  # the learner's own mistake must never stop the notebook
            return Verdict("error", _explain(error))
        return Verdict("correct", "Correct.")

    def __call__(self, *answer: Any) -> None:
        """Judge an answer, show the verdict and note it in the local progress file."""
        verdict = self.judge(*answer)
        if verdict.status != "not attempted":
            _progress.note(self.lesson, self.name, "exercise", verdict.status == "correct")
        _show(verdict)

    def hint(self) -> None:
        """Show one more hint; after the last, start again from the first."""
        number = self._hints_given % len(self.hints)
        self._hints_given += 1
        print(f"Hint {number + 1} of {len(self.hints)}: {self.hints[number]}")

    def solution(self) -> None:
        """Show the source of the reference solution."""
        print(self.solution_source())

    def solution_source(self) -> str:
        """The reference solution's source, as :meth:`solution` shows it."""
        if self._source is not None:
            return self._source
        source = textwrap.dedent(inspect.getsource(self.reference))
        name = self.reference.__name__
        public = name.removeprefix("_").removesuffix("_solution")
        return source.replace(name, public).rstrip()

    def __repr__(self) -> str:
        return f"Exercise({self.lesson}.{self.name}: {self.title} Call it with your answer, or .hint() / .solution().)"


def exercise(
    outcome: str, *, solution: Any, hints: Sequence[str], source: str | None = None
) -> Callable[[Callable[..., None]], Exercise]:
    """Turn a judging function into an :class:`Exercise`.

    Parameters
    ----------
    outcome : str
        Id of the lesson's outcome that the exercise trains, e.g. ``"perceptron.update"``.
    solution : object
        The reference answer: a function named ``_NAME_solution``, or a value.
    hints : sequence of str
        At least two, from a nudge to nearly there.
    source : str, optional
        What :meth:`Exercise.solution` shows; needed when ``solution`` is not a function or class.
    """
    if len(hints) < 2:
        raise ValueError("An exercise needs at least two hints, from a nudge to nearly there.")
    if source is None and not (inspect.isfunction(solution) or inspect.isclass(solution)):
        raise ValueError("A solution that is a value needs `source`, the text to show.")

    def wrap(judge: Callable[..., None]) -> Exercise:
        return Exercise(judge, outcome, solution, hints, source)

    return wrap


def _explain(error: Exception) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "course_utils" not in f.filename]
    own = [
        f
        for f in frames
        if f.filename.startswith("<") or "ipykernel" in f.filename or "ipython" in f.filename
    ]
    where = ""
    if own:
        last = own[-1]
        line = f": `{last.line.strip()}`" if last.line else ""
        where = f" in line {last.lineno} of `{last.name}`{line}"
    text = f"Not yet: your code raised {type(error).__name__}: {error}{where}."
    if isinstance(error, ValueError) and (
        "matmul" in str(error) or "shapes" in str(error) or "broadcast" in str(error)
    ):
        text += " Print the shapes of both operands just before that line."
    return text


_LOOKS = {
    "correct": ("✔", "#007a5a"),
    "not yet": ("✘", "#c14a00"),
    "error": ("✘", "#c14a00"),
    "not attempted": ("○", "#767676"),
}


def _show(verdict: Verdict) -> None:
    sign, colour = _LOOKS[verdict.status]
    body = html.escape(verdict.message)
    parts = body.split("`")
    if len(parts) % 2:  # balanced backticks become code
        body = "".join(p if i % 2 == 0 else f"<code>{p}</code>" for i, p in enumerate(parts))
    _display.show(
        {
            "text/plain": f"{sign} {verdict.message}",
            "text/html": (
                f'<div style="border-left:4px solid {colour};padding:.3em .8em" role="status">'
                f'<span aria-hidden="true">{sign}</span> {body}</div>'
            ),
        }
    )
