"""One submission through both sandboxes: a plain job in, a plain result out.

The job and the result are dicts of numbers and strings, so that they travel to another machine as they are. Only this
side starts and ends processes; it believes the judge, and hears nothing from the student's process.
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from course_utils.grading import sandbox
from course_utils.grading.channel import Channel, Gone
from course_utils.grading.errors import GradingError
from course_utils.grading.sandbox import Limits, Process

JUDGE, STUDENT = "course_utils.grading.judge", "course_utils.grading.student"
_LOOK = 0.2  # seconds between two looks at memory and number of processes
_START = 120.0
_USES_KERAS = re.compile(r"^\s*(?:import|from)\s+(?:keras|tensorflow)\b|\bkeras\s*=\s*True", re.MULTILINE)
_USES_PLOTS = re.compile(r"^\s*(?:import|from)\s+matplotlib\b", re.MULTILINE)


def job(assignment: Any, sources: dict[str, str], limits: Limits | None = None) -> dict[str, Any]:
    """The work of grading one submission, as plain data.

    Parameters
    ----------
    assignment : Assignment
    sources : dict
        Cell id -> what the student wrote there, as `assignment.rebuild` gives it.
    limits : Limits, optional
    """
    code = [cell for cell in assignment.cells if cell.cell_type == "code"]
    text = "\n".join(cell.source for cell in code)
    preload = ["numpy"]
    if _USES_PLOTS.search(text):
        preload.append("matplotlib.pyplot")
    if _USES_KERAS.search(text):
        preload += ["tensorflow", "keras"]
    return {
        "cells": [
            {
                "id": cell.id,
                "role": cell.role,
                # A cell that the student removed runs as it was handed out.
                "source": cell.released if cell.role == "solution" else cell.source,
                "visible": cell.released,
                "points": cell.points,
                "defines": list(cell.defines),
            }
            for cell in code
        ],
        "sources": {cell.id: sources[cell.id] for cell in code if cell.id in sources},
        "limits": (limits or Limits()).plain(),
        "preload": preload,
    }


class Examiner:
    """Grades one submission after another; one for each submission that is graded at the same time.

    It keeps a judge that has imported what tests need, and starts the next student's process while the present
    submission is being judged. Not for use by two threads, and each must use it from the thread that made it: a
    sandbox ends with the thread that started it.

    Parameters
    ----------
    hidden : paths, optional
        Folders that must not be seen in a sandbox even where the system's folders contain them.
    sandboxed : bool
        False runs student code with the rights of this account.
    ahead : bool
        Start the next student's process ahead of need.
    """

    def __init__(
        self, *, hidden: Iterable[str | Path] = (), sandboxed: bool = True, ahead: bool = True
    ) -> None:
        if sandboxed:
            sandbox.check()
        self._hidden = [Path(folder) for folder in hidden]
        self._sandboxed = sandboxed
        self._ahead = ahead
        self._judge: Process | None = None
        self._kind: tuple | None = None
        self._next: Process | None = None
        self._stop = threading.Event()

    def __enter__(self) -> Examiner:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for process in (self._judge, self._next):
            if process is not None:
                process.kill()
        self._judge = self._next = None

    def cancel(self) -> None:
        """From another thread: end the submission in work as soon as possible."""
        self._stop.set()

    def grade(self, job: dict[str, Any]) -> dict[str, Any]:
        """Grade one submission.

        Returns
        -------
        dict
            ``tests``: cell id -> ``points``, ``passed``, ``message``, ``printed``, ``seconds``; ``outputs``: cell id ->
            what it showed, unclean; ``seconds``; ``trouble``: why not everything was judged, or empty.

        Raises
        ------
        GradingError
            If a sandbox or what runs in it cannot be started. What a submission does never raises.
        """
        begun = time.monotonic()
        limits = Limits(**job["limits"])
        self._prepare(job["preload"], limits)
        result: dict[str, Any] = {"tests": {}, "outputs": {}, "trouble": ""}
        ours, theirs = socket.socketpair()
        channel = Channel(ours)
        student: Process | None = None
        why = ""
        try:
            socket.send_fds(self._judge.sock, [b"J"], [theirs.fileno()])
            theirs.close()
            channel.send(json.dumps(job).encode())
            deadline = begun + limits.total_seconds
            while True:
                has_come = select.select([ours], [], [], _LOOK)[0]
                if time.monotonic() > deadline or self._stop.is_set():
                    raise TimeoutError
                if not has_come:
                    if student is not None and (over := student.over_limits()):
                        why = over
                        student.kill()
                        student = None
                    if over := self._judge.over_limits():  # a test on what the student gave takes that much
                        raise Gone(over)
                    continue
                message = json.loads(channel.receive(60.0))
                if "test" in message:
                    result["tests"][message.pop("test")] = message
                elif "cell" in message:
                    result["outputs"][message["cell"]] = message["outputs"]
                elif "done" in message:
                    break
                elif "not started" in message:
                    raise GradingError(f"A process for student code did not start: {message['not started']}.")
                elif message["ask"] == "why":
                    if student is not None:
                        why = why or student.over_limits() or student.ending()
                        student.kill()
                        student = None
                    channel.send(json.dumps({"why": why}).encode())
                else:
                    if student is not None:
                        student.kill()
                    student, why = self._take(job["preload"], limits), ""
                    channel.send(json.dumps({"ok": True}).encode())
                    socket.send_fds(ours, [b"S"], [student.sock.fileno()])
        except TimeoutError:
            result["trouble"] = (
                "Grading was stopped."
                if self._stop.is_set()
                else f"The time for the whole submission, {limits.total_seconds:g} seconds, was over before all "
                "tests had run."
            )
        except (Gone, OSError, ValueError) as error:
            result["trouble"] = f"The tests could not be finished ({error})."
        finally:
            theirs.close()
            channel.close()
            if student is not None:
                student.kill()
            if result["trouble"]:
                self._judge.kill()
                self._judge = None
        result["seconds"] = round(time.monotonic() - begun, 3)
        return result

    def _prepare(self, preload: list[str], limits: Limits) -> None:
        kind = (tuple(preload), limits)
        if kind != self._kind:
            self.close()
            self._kind = kind
        if self._judge is not None and self._judge.ended:
            self._judge.kill()
            self._judge = None
        if self._judge is None:
            self._judge = self._start(JUDGE, preload, limits)
            if self._ahead and self._next is None:
                self._next = self._start(STUDENT, preload, limits)
            self._judge.sock.settimeout(_START)
            with contextlib.suppress(OSError):
                if self._judge.sock.recv(1) == b"R":
                    self._judge.sock.settimeout(None)
                    return
            said = self._judge.said()
            self._judge.kill()
            self._judge = None
            raise GradingError(f"The process that runs the tests did not start: {said or 'no reason given'}.")

    def _take(self, preload: list[str], limits: Limits) -> Process:
        process = self._next
        if process is not None and process.ended:
            process.kill()
            process = None
        process = process or self._start(STUDENT, preload, limits)
        self._next = self._start(STUDENT, preload, limits) if self._ahead else None
        return process

    def _start(self, module: str, preload: list[str], limits: Limits) -> Process:
        return Process(module, {"preload": preload}, limits, hidden=self._hidden, sandboxed=self._sandboxed)
