"""A class's submissions of one assignment: graded side by side, recorded one after another, reported.

Threads take submissions through intake and the sandboxes; only the main thread touches the gradebook. With a Dask
scheduler the sandboxes are started by workers on other machines, and the rest stays here.
"""

from __future__ import annotations

import contextlib
import csv
import fnmatch
import io
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils.grading import intake, record, run
from course_utils.grading.assignment import Assignment, read, rebuild
from course_utils.grading.errors import GradingError, Refused
from course_utils.grading.files import write_whole
from course_utils.grading.record import Mark, Results
from course_utils.grading.sandbox import Limits


@dataclass
class Line:
    """What the report says of one student.

    Attributes
    ----------
    what : str
        ``graded``, ``unchanged``, ``refused`` (no points) or ``failed`` (the grader could not grade it).
    points, most : float
        Points so far, of how many.
    """

    student: str
    what: str
    points: float = 0.0
    most: float = 0.0
    by_hand: bool = False
    seconds: float = 0.0
    why: str = ""

    @classmethod
    def of(cls, mark: Mark, most: float, *, unchanged: bool = False) -> Line:
        what = "refused" if mark.refused else "unchanged" if unchanged else "graded"
        return cls(mark.student, what, mark.total, most, mark.by_hand, mark.seconds, " | ".join(mark.why))


@dataclass(frozen=True)
class Options:
    """How a class is graded.

    Attributes
    ----------
    students : str
        Glob on student ids.
    force : bool
        Grade also what has not changed.
    jobs : int, optional
        Submissions at the same time; by default one for each processor and each 3 GB of free memory, or as many as the
        scheduler has threads.
    sandboxed : bool
        False runs student code with all rights of this account.
    scheduler : str, optional
        Address of a Dask scheduler.
    """

    students: str = "*"
    force: bool = False
    jobs: int | None = None
    sandboxed: bool = True
    scheduler: str | None = None
    limits: Limits = field(default_factory=Limits)


def submissions(coursedir: Any, assignment_id: str, students: str = "*") -> list[tuple[str, Path]]:
    """Student id and folder of everything handed in for an assignment, by student."""
    submitted = Path(coursedir.root) / coursedir.submitted_directory
    found = []
    if submitted.is_dir():
        with os.scandir(submitted) as entries:
            names = sorted(entry.name for entry in entries)
        for name in names:
            folder = submitted / name / assignment_id
            if fnmatch.fnmatchcase(name, students) and os.path.lexists(folder):
                found.append((name, folder))
    records = Path(coursedir.root) / ".grading" / "collected" / assignment_id
    known = {name for name, _ in found}
    for path in sorted(records.glob("*.json")):  # refused when it was collected: there is no folder
        if path.stem not in known and fnmatch.fnmatchcase(path.stem, students):
            found.append((path.stem, submitted / path.stem / assignment_id))
    return sorted(found)


def grade(
    coursedir: Any,
    assignment_id: str,
    options: Options = Options(),
    *,
    late: Any = None,
    on_line: Callable[[Line, int, int], None] = lambda line, done, total: None,
) -> list[Line]:
    """Grade what was handed in for an assignment and has no mark yet, or has changed.

    Parameters
    ----------
    coursedir : nbgrader.coursedir.CourseDirectory
    assignment_id : str
    options : Options
    late : callable, optional
        See `record.Results`.
    on_line : callable
        ``on_line(line, done, total)`` after each submission.

    Returns
    -------
    list of Line
        One for each student, by student.

    Raises
    ------
    GradingError
        If nothing can be graded: no such assignment, not released, no sandbox, no cluster.
    """
    source = Path(coursedir.format_path(coursedir.source_directory, ".", assignment_id))
    assignment = read(source / f"{assignment_id}.ipynb", coursedir.config)
    found = submissions(coursedir, assignment_id, options.students)
    if not found:
        raise GradingError(
            f"Nothing has been handed in for {assignment_id}"
            + (f" by {options.students}" if options.students != "*" else "")
            + f": collect it first, by `nbgrader collect {assignment_id}` or `course collect {assignment_id} SOURCE`."
        )
    lines: list[Line] = []
    with (
        record.only_one(Path(coursedir.root)),
        Results(coursedir, assignment, late) as results,
        _Examiners(coursedir, options) as examiners,
    ):

        def settle(student: str, done: Mark | Exception) -> None:
            try:
                if isinstance(done, Exception):
                    raise done
                previous = results.find(student)
                unchanged = not options.force and previous is not None and previous.key == done.key
                if unchanged:
                    done = previous
                else:
                    results.keep(done)
                if not unchanged or not results.is_recorded(done):
                    results.record(done)
                line = Line.of(done, assignment.max_points, unchanged=unchanged)
            except Exception as error:
                line = Line(student, "failed", why=_told(error))
            lines.append(line)
            on_line(line, len(lines), len(found))

        finished: dict[str, str] = {}
        if not options.force:
            finished = {mark.student: mark.key for mark in results.all()}
        with ThreadPoolExecutor(examiners.number) as pool:
            waiting: dict[Future, str] = {}
            try:
                for student, folder in found:
                    work = pool.submit(
                        _one,
                        coursedir,
                        assignment,
                        student,
                        folder,
                        finished.get(student),
                        examiners,
                        options,
                    )
                    waiting[work] = student
                    while len(waiting) >= 4 * examiners.number:
                        _settle_some(waiting, settle)
                while waiting:
                    _settle_some(waiting, settle)
            except BaseException:
                examiners.cancel()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                # A sandbox ends with the thread that started it, so each thread closes its own.
                examiners.close()
    lines.sort(key=lambda line: line.student)
    write_whole(Path(coursedir.root) / "reports" / f"{assignment_id}.csv", table(lines))
    return lines


def _settle_some(waiting: dict[Future, str], settle: Callable[[str, Any], None]) -> None:
    ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for work in ready:
        student = waiting.pop(work)
        settle(student, work.exception() or work.result())


def _one(
    coursedir: Any,
    assignment: Assignment,
    student: str,
    folder: Path,
    finished: str | None,
    examiners: _Examiners,
    options: Options,
) -> Mark:
    """Everything for one submission but the recording."""
    root = Path(coursedir.root)
    limits = options.limits.plain()
    submitted = digest = known = None
    try:
        known = intake.student_name(student)
        submitted = intake.submitted_at(root, assignment.id, student)
        if (told := intake.refused_at_collection(root, assignment.id, student)) is not None:
            raise Refused(*told)
        accepted = intake.submission(folder, assignment.id)
        digest = accepted.digest
        rebuilt = rebuild(assignment, accepted.notebook)
    except Refused as refused:
        key = record.key(assignment, digest or refused.teacher, submitted, limits)
        mark = record.refusal(assignment, student, key, refused.teacher, refused.student)
    else:
        key = record.key(assignment, digest, submitted, limits)
        if finished == key:
            mark = Mark(student, assignment.id, key, {}, {}, [], {})
        else:
            result = examiners.grade(run.job(assignment, rebuilt.sources, options.limits))
            mark = record.mark(assignment, student, key, rebuilt, result, list(accepted.notes))
    if known:
        mark.why = [*intake.notes_at_collection(root, assignment.id, student), *mark.why]
        mark.secret = intake.feedback_secret(root, assignment.id, student) or ""
    mark.submitted = submitted.isoformat(" ") if submitted else None
    return mark


def _told(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, GradingError) else f"{type(error).__name__}: {text}"


class _Examiners:
    """One `run.Examiner` for each thread that grades, here or on the workers of a cluster."""

    def __init__(self, coursedir: Any, options: Options) -> None:
        self._hidden = hidden_folders(coursedir)
        self._sandboxed = options.sandboxed
        self._client = None
        self._local = threading.local()
        self._all: queue.SimpleQueue[run.Examiner] = queue.SimpleQueue()
        if options.scheduler:
            self._client = _connect(options.scheduler)
            self.number = options.jobs or max(sum(self._client.nthreads().values()), 1)
        else:
            if options.sandboxed:
                run.sandbox.check()
            self.number = options.jobs or default_jobs()

    def __enter__(self) -> _Examiners:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        if self._client is not None:
            with contextlib.suppress(Exception):  # a worker that is gone has nothing left to end
                self._client.run(_leave_worker)
            self._client.close()

    def grade(self, job: dict[str, Any]) -> dict[str, Any]:
        if self._client is not None:
            hidden = [str(folder) for folder in self._hidden]
            return self._client.submit(
                _on_worker, job, hidden, self._sandboxed, pure=False, retries=2
            ).result()
        if not hasattr(self._local, "examiner"):
            self._local.examiner = run.Examiner(hidden=self._hidden, sandboxed=self._sandboxed)
            self._all.put(self._local.examiner)
        return self._local.examiner.grade(job)

    def cancel(self) -> None:
        for _ in range(self._all.qsize()):
            examiner = self._all.get()
            examiner.cancel()
            self._all.put(examiner)

    def close(self) -> None:
        while not self._all.empty():
            self._all.get().close()


_of_threads: dict[int, run.Examiner] = {}


def _on_worker(job: dict[str, Any], hidden: list[str], sandboxed: bool) -> dict[str, Any]:
    """Runs on a worker: the student's code does not run in this process but in the sandboxes it starts."""
    me = threading.get_ident()
    if me not in _of_threads:
        _of_threads[me] = run.Examiner(hidden=hidden, sandboxed=sandboxed)
    return _of_threads[me].grade(job)


def _leave_worker() -> None:
    """Runs on a worker when the class is done: end what was started ahead."""
    while _of_threads:
        _of_threads.popitem()[1].close()


def _connect(address: str) -> Any:
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise GradingError(
            'Grading on several machines needs Dask: `pip install "course-utils[scale]"` here and on every worker.'
        ) from None
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError) as error:
        raise GradingError(
            f"There is no Dask scheduler at {address} ({str(error).splitlines()[0]}): start one with `dask scheduler` "
            "and workers with `dask worker ADDRESS`."
        ) from None
    if not client.nthreads():
        client.close()
        raise GradingError(
            f"The scheduler at {address} has no workers: start some with `dask worker {address}`."
        )
    return client


def hidden_folders(coursedir: Any) -> list[Path]:
    """What no sandbox may show, wherever it lies: the course and the exchanges."""
    folders = [Path(coursedir.root).resolve(), Path("/usr/local/share/nbgrader"), Path("/srv/nbgrader")]
    exchange = coursedir.config.get("Exchange", {}).get("root")
    if isinstance(exchange, str):
        folders.append(Path(exchange))
    return folders


def default_jobs() -> int:
    """One submission for each processor and each 3 GB of free memory, at least one."""
    import psutil

    return max(1, min(os.cpu_count() or 1, int(psutil.virtual_memory().available / 3e9)))


def table(lines: list[Line]) -> str:
    """The report as CSV: who got what, why and how long."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["student", "result", "points", "max_points", "waits_for_hand_grading", "seconds", "why"])
    for line in lines:
        why = line.why if line.why[:1] not in ("=", "+", "-", "@", "\t") else "'" + line.why
        writer.writerow([line.student, line.what, f"{line.points:g}", f"{line.most:g}",
                         "yes" if line.by_hand else "no", f"{line.seconds:.1f}", why])  # fmt: skip
    return out.getvalue()
