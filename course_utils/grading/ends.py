"""What both ends of the conversation between the judge and the student's process use."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


class References:
    """Functions on this side, by number, for the other side to name."""

    def __init__(self) -> None:
        self._functions: list[Callable] = []

    def number(self, function: Callable) -> int:
        for number, known in enumerate(self._functions):
            if known is function:
                return number
        self._functions.append(function)
        return len(self._functions) - 1

    def __getitem__(self, number: int) -> Callable:
        return self._functions[number]


@contextlib.contextmanager
def alarm(seconds: float, error: BaseException) -> Iterator[None]:
    """Raise ``error`` in the main thread if the block takes longer than ``seconds``; C code is not interrupted."""

    def over(number: int, frame: Any) -> None:
        raise error

    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
