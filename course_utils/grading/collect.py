"""The ways into ``submitted/``: nbgrader's exchange, the zip file of an LMS, a folder.

Whatever the way, of a submission nothing is copied but the notebook, and that only if `intake` accepts it.
Beside ``submitted/``, a record in ``.grading/collected/`` says when it was handed in, by whose account, and
what was refused and why. Only this module writes such records.
"""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
import json
import os
import re
import secrets
import shutil
import stat
import struct
import uuid
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.exchange.default import ExchangeCollect
from traitlets import Bool

from course_utils.grading import intake
from course_utils.grading.errors import GradingError, Refused
from course_utils.grading.exports import Roster
from course_utils.grading.files import write_whole
from course_utils.grading.intake import Accepted, shown

try:
    import pwd
except ImportError:  # Windows, where nbgrader has no exchange
    pwd = None

APART = timedelta(minutes=5)  # claimed and actual time further apart than this are worth a note
TRIED = 10  # submissions of one student that are looked at, from the last one back
ENTRIES = 100_000  # files in a zip file or folder
_NAME_LENGTH = 500


@dataclass
class _Incoming:
    """One student's submission on its way into ``submitted/``; times are UTC without a zone."""

    student: str
    source: str
    found: Accepted | Refused
    time: datetime | None = None
    claimed: datetime | None = None
    notes: list[str] = field(default_factory=list)
    secret: str | None = None
    lms: str | None = None
    lms_id: str | None = None

    def record(self) -> dict:
        refused = isinstance(self.found, Refused)
        return {
            "time": self.time.isoformat() + "+00:00" if self.time else None,
            "from": self.source,
            "claimed": self.claimed.isoformat() + "+00:00" if self.claimed else None,
            "sha256": None if refused else self.found.digest,
            "refused": [self.found.teacher, self.found.student] if refused else None,
            "notes": self.notes,
            "secret": self.secret or secrets.token_hex(64),
            "lms": self.lms,
            "lms_id": self.lms_id,
        }


@dataclass(frozen=True)
class Collected:
    """What became of one student's submission.

    Attributes
    ----------
    student : str
        Student id; a file's name where it is not known whose the file is; empty for what concerns all.
    what : str
        ``collected``, ``updated``, ``kept``, ``refused``, ``skipped`` (not taken, nothing recorded),
        ``failed``, or ``note``.
    why : str
    """

    student: str
    what: str
    why: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.student, self.what, self.why) if part)


# --- Into submitted/ ----------------------------------------------------------------------------------------


def _settle(
    course_dir: Path,
    assignment_id: str,
    incoming: _Incoming,
    *,
    update: bool,
    exact: bool = False,
    groupshared: bool = False,
) -> Collected:
    """Put a submission into its place if it is to be there, and say what was done.

    What is there stays, unless ``update`` is set and the new one is later (or one of the times is unknown),
    or ``exact`` is set and its time is another. What was accepted never gives way to something refused, and
    what was refused always does to something accepted. The same notebook keeps the time at which it was first
    collected: it has been there since then, whatever touched its copy in the exchange afterwards.
    """
    place = (course_dir, assignment_id, incoming.student)
    there = intake.collected_digest(*place)
    kept = intake.recorded(*place)
    is_new = kept is None and not os.path.lexists(intake.submitted_folder(*place))
    found = incoming.found
    if isinstance(found, Refused):
        if there is not None:
            if kept is not None:
                note = f"Another submission was not accepted: {found.teacher}"
                kept["notes"] = list(dict.fromkeys([*kept.get("notes", []), note]))
                _write_record(*place, kept)
            return Collected(incoming.student, "kept", f"the other one was refused: {found.teacher}")
        if is_new or update:
            _put(*place, incoming, groupshared)
            return Collected(incoming.student, "refused", found.teacher)
        return Collected(incoming.student, "kept", "one was refused before; use --update to look at this one")
    why = " ".join([*found.notes, *incoming.notes])
    if there == found.digest:
        if kept is None or not kept.get("time"):
            _write_time(intake.submitted_folder(*place), incoming.time)
            _write_record(*place, incoming.record())
        return Collected(incoming.student, "kept", "this one is there already")
    if is_new or (kept is not None and there is None):
        _put(*place, incoming, groupshared)
        return Collected(incoming.student, "collected", why)
    before, now = intake.submitted_at(*place), incoming.time
    is_later = before is None or now is None or now > before
    if (update and is_later) or (exact and before != now):
        _put(*place, incoming, groupshared)
        gone = f"in place of that of {before:%Y-%m-%d %H:%M} UTC" if before else "in place of the one before"
        return Collected(incoming.student, "updated", f"{gone}. {why}".rstrip(". "))
    return Collected(
        incoming.student,
        "kept",
        "no newer submission"
        if update
        else "a submission is there already; use --update to take a newer one",
    )


def _put(
    course_dir: Path, assignment_id: str, student: str, incoming: _Incoming, groupshared: bool = False
) -> None:
    """Replace a student's folder in ``submitted/`` in one step, then the record.

    If it ends between the two, the record does not fit the notebook: the time counts as unknown until the
    next collection, which finds the same notebook and completes the record.
    """
    folder = intake.submitted_folder(course_dir, assignment_id, student)
    record = incoming.record()
    for parent in (folder.parent.parent, folder.parent):
        if parent.is_symlink():
            raise GradingError(f"{parent} is a link: put a real folder there, then collect again.")
        parent.mkdir(parents=True, exist_ok=True)
    waiting = course_dir / ".grading" / "arriving"
    waiting.mkdir(parents=True, exist_ok=True)
    part, old = waiting / uuid.uuid4().hex, waiting / uuid.uuid4().hex
    part.mkdir()
    try:
        if isinstance(incoming.found, Accepted):
            write_whole(part / f"{assignment_id}.ipynb", incoming.found.data)
        _write_time(part, incoming.time)
        write_whole(part / "submission_secret.txt", record["secret"].encode())
        if groupshared:
            for path in part.iterdir():
                path.chmod(0o664)
            part.chmod(0o2775)
        with contextlib.suppress(FileNotFoundError):
            os.rename(folder, old)
        os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if old.is_symlink():
            old.unlink()
        else:
            shutil.rmtree(old, ignore_errors=True)
    _write_record(course_dir, assignment_id, student, record)


def _write_time(folder: Path, time: datetime | None) -> None:
    """What nbgrader's own commands read; grading does not."""
    if time is not None:
        write_whole(folder / "timestamp.txt", f"{time:%Y-%m-%d %H:%M:%S.%f} UTC".encode())


def _write_record(course_dir: Path, assignment_id: str, student: str, record: dict) -> None:
    path = intake.record_path(course_dir, assignment_id, student)
    write_whole(path, (json.dumps(record, indent=1, ensure_ascii=True) + "\n").encode())


# --- The exchange -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Inbound:
    """A folder in the exchange; times are UTC without a zone."""

    path: Path
    claimed: datetime | None  # by its name, which the student wrote
    time: datetime  # the one that counts
    owner: int

    @property
    def order(self) -> tuple[datetime, datetime]:
        """What sorts a student's submissions: the name's time as far as it can be true, then the other."""
        return min(self.claimed or self.time, self.time), self.time


class SafeCollect(ExchangeCollect):
    """`nbgrader collect` and Formgrader's button, for a class that may be hostile.

    **The time of a submission** is the latest of the inode change times (``st_ctime``) of its folder in the
    exchange and of the notebook in it. The kernel sets them to its clock at every change of content, name,
    owner or permissions, and no program can set them to anything else. The folder's name and
    ``timestamp.txt`` are written by the student, and only choose among several submissions of the same
    student. So a student can make a submission look later, but never earlier than its last change. This holds
    where the exchange is on the server's own disk or on a file server whose clock is right, and students have
    no administrator's rights there. What also changes the times to later is a backup put back, or ``chmod``
    and ``chown`` on the exchange: a time in the name that differs by more than five minutes is noted, and
    ``c.SafeCollect.time_from_name = True`` takes the names' times then, at the students' word. What was
    collected once keeps its time.

    **Of a submission** only the notebook is copied, and only if `intake` accepts it. If not, an empty folder
    is put into ``submitted/`` and the reason is recorded; grading shows it to teacher and student. If a
    student handed in several times, the last one that is acceptable counts. A broken one never stops the
    others.

    **Whose** a folder is, its name says; with ``check_owner`` (nbgrader's option, on by default) one that
    belongs to somebody else's account is not collected at all.
    """

    time_from_name = Bool(
        False,
        help="Take the time of a submission from the name of its folder, which the student wrote. For an exchange "
        "put back from a backup.",
    ).tag(config=True)

    def init_src(self) -> None:
        """List what is in the exchange for the assignment, by student, the latest first."""
        if self.coursedir.course_id == "":
            self.fail("No course id specified. Re-run with --course flag.")
        self.inbound_path = os.path.join(self.root, self.coursedir.course_id, "inbound")
        if not os.path.isdir(self.inbound_path):
            self.fail(f"Course not found: {self.inbound_path}")
        if not os.access(self.inbound_path, os.R_OK | os.X_OK):
            self.fail(f"You don't have read permissions for the directory: {self.inbound_path}")
        intake.assignment_name(self.coursedir.assignment_id)
        self.duedate = self._duedate() if self.before_duedate else None
        self.src_records = self._listed()

    def init_dest(self) -> None:
        """See that submissions go where grading looks for them."""
        student, assignment_id = "student", self.coursedir.assignment_id
        there = self.coursedir.format_path(self.coursedir.submitted_directory, student, assignment_id)
        if Path(there) != intake.submitted_folder(Path(self.coursedir.root), assignment_id, student):
            self.fail(
                "Leave submitted_directory and directory_structure as they are: grading needs submitted/STUDENT/ASSIGNMENT."
            )

    def copy_files(self) -> None:
        """Collect from every student; what goes wrong with one does not stop the others.

        Raises
        ------
        ExchangeError
            In the end, if something other than a refusal went wrong.
        """
        name, course = self.coursedir.assignment_id, self.coursedir.course_id
        if not self.src_records:
            self.log.warning("No submissions of '%s' for course '%s' to collect", name, course)
            return
        self.log.info(
            "Processing %d submissions of '%s' for course '%s'", len(self.src_records), name, course
        )
        failed = []
        for student, handed_in in sorted(self.src_records.items()):
            try:
                self._collect(student, handed_in)
            except Exception as error:
                self.log.error("%s: not collected (%s: %s)", student, type(error).__name__, error)
                failed.append(student)
        if failed:
            self.fail(f"Not collected: {', '.join(failed)}; the lines above say why.")

    def _duedate(self) -> datetime | None:
        with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as book:
            try:
                return book.find_assignment(self.coursedir.assignment_id).duedate
            except MissingEntry:
                return None

    def _listed(self) -> dict[str, list[_Inbound]]:
        assignment_id = self.coursedir.assignment_id
        form = re.compile(
            rf"(?P<student>.+?)\+{re.escape(assignment_id)}\+(?P<time>[^+]*)(?:\+[^+]*)?", re.DOTALL
        )
        wanted = self.coursedir.student_id or "*"
        found = defaultdict(list)
        with os.scandir(self.inbound_path) as entries:
            for entry in entries:
                if f"+{assignment_id}+" not in entry.name:
                    continue
                try:
                    parts = form.fullmatch(entry.name)
                    student = intake.student_name(parts["student"]) if parts else None
                    if student is None:
                        self.log.warning(
                            "%s in the exchange has no name that a submission has", shown(entry.name)
                        )
                    elif fnmatch.fnmatchcase(student, wanted):
                        found[student].append(self._inbound(entry, parts["time"]))
                except (OSError, Refused) as error:
                    self.log.warning("%s in the exchange was left out: %s", shown(entry.name), error)
        return {
            student: sorted(handed_in, key=lambda each: each.order, reverse=True)
            for student, handed_in in found.items()
        }

    def _inbound(self, entry: os.DirEntry, claimed: str) -> _Inbound:
        folder = entry.stat(follow_symlinks=False)
        changed = folder.st_ctime_ns
        if stat.S_ISDIR(folder.st_mode):
            notebook = os.path.join(entry.path, f"{self.coursedir.assignment_id}.ipynb")
            with contextlib.suppress(OSError):
                changed = max(changed, os.lstat(notebook).st_ctime_ns)
        said = self._claimed(claimed)
        return _Inbound(Path(entry.path), said, self._time(said, changed), folder.st_uid)

    def _time(self, claimed: datetime | None, changed: int) -> datetime:
        """The time that counts, of the one in the name and the kernel's (nanoseconds since 1970)."""
        if self.time_from_name and claimed is not None:
            return claimed
        return datetime.fromtimestamp(changed / 1e9, UTC).replace(tzinfo=None)

    def _claimed(self, text: str) -> datetime | None:
        """The time that a name gives, read strictly: nbgrader's `parse_utc` opens the file that a zone's name is."""
        found = re.fullmatch(
            r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?)(?: ([A-Za-z]+|[+-]\d{2}:?\d{2}))?", text
        )
        if not found:
            return None
        from dateutil.tz import gettz

        zone = found[2] or "UTC"
        try:
            time = datetime.fromisoformat(found[1] + (zone if zone[0] in "+-" else ""))
            if time.tzinfo is None:
                time = time.replace(tzinfo=UTC if zone == "UTC" else gettz(self.timezone))
            return time.astimezone(UTC).replace(tzinfo=None)
        except (ValueError, OverflowError):
            return None

    def _collect(self, student: str, handed_in: list[_Inbound]) -> None:
        """Collect the last acceptable submission of one student."""
        own = [each for each in handed_in if self._is_owner(student, each.owner, each.path.name)]
        if self.duedate is not None:
            own.sort(key=lambda each: each.time <= self.duedate, reverse=True)
        chosen: tuple[_Inbound, Accepted | Refused] | None = None
        passed_over = []
        for each in own[:TRIED]:
            try:
                found = intake.submission(
                    each.path, self.coursedir.assignment_id, below=Path(self.inbound_path)
                )
            except Refused as refused:
                chosen = chosen or (each, refused)
                passed_over.append(
                    f"The submission of {each.time:%Y-%m-%d %H:%M} UTC was not accepted: {refused.teacher}"
                )
                continue
            if not all(self._is_owner(student, owner, each.path.name) for owner in found.owners):
                continue
            chosen = each, found
            break
        if chosen is None:
            return
        each, found = chosen
        incoming = _Incoming(
            student, "exchange", found, each.time, each.claimed, secret=self._secret(each.path)
        )
        if isinstance(found, Accepted):
            incoming.notes += passed_over
            incoming.time = max(each.time, self._time(each.claimed, found.changed))
        if each.claimed is not None and abs(each.claimed - incoming.time) > APART:
            incoming.notes.append(
                f"It says that it was handed in at {each.claimed:%Y-%m-%d %H:%M} UTC; by the exchange's clock its last "
                f"change was at {incoming.time:%Y-%m-%d %H:%M} UTC, and that counts."
            )
        self._say(
            _settle(
                Path(self.coursedir.root),
                self.coursedir.assignment_id,
                incoming,
                update=self.update,
                exact=self.before_duedate,
                groupshared=self.coursedir.groupshared,
            )
        )

    def _is_owner(self, student: str, owner: int, name: str) -> bool:
        """Whether an account is that of the student, or that does not matter here."""
        if not self.check_owner or pwd is None:
            return True
        try:
            account = pwd.getpwuid(owner).pw_name
        except KeyError:
            account = f"user id {owner}"
        if account == student:
            return True
        self.log.error(
            "%s was not collected: it is named for %s but belongs to %s, so somebody may have handed in in another's "
            "name. Ask both. If all students share one account on this system, set "
            "c.ExchangeCollect.check_owner = False.",
            shown(name),
            student,
            account,
        )
        return False

    def _secret(self, folder: Path) -> str | None:
        """The key by which nbgrader returns feedback, if it looks like one."""
        with contextlib.suppress(Refused, UnicodeDecodeError):
            path = folder / "submission_secret.txt"
            text = intake.read_bytes_safely(path, below=Path(self.inbound_path), limit=1_000).decode("ascii")
            return text if re.fullmatch(r"[0-9a-f]{32,512}", text) else None
        return None

    def _say(self, done: Collected) -> None:
        what = {
            "collected": "Collecting submission",
            "updated": "Updating submission",
            "refused": "Refused submission",
            "kept": "Keeping submission",
        }[done.what]
        level = self.log.warning if done.what == "refused" or "refused" in done.why else self.log.info
        level(
            "%s: %s %s%s",
            what,
            done.student,
            self.coursedir.assignment_id,
            f": {done.why}" if done.why else "",
        )


# --- An LMS's zip file, a folder ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """A file in the source; ``read`` gives its content, or raises Refused."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class _Origin:
    """What a file's name says: whose it is, and which of the student's."""

    student: str
    file: str
    number: int | None  # which copy of the assignment's notebook; None for another file
    order: int = 0  # in the LMS
    lms: str | None = None
    lms_id: str | None = None
    time: datetime | None = None
    notes: tuple[str, ...] = ()


class _Unclear(Exception):
    """A name that does not say whose the file is; the text is the reason."""


def collect(
    course_dir: Path,
    assignment_id: str,
    source: Path,
    *,
    pattern: str | None = None,
    update: bool = False,
    roster: Path | None = None,
) -> list[Collected]:
    """Take submissions from the zip file of an LMS or from a folder.

    Names as Moodle and Canvas make them are understood, and ``STUDENT/ASSIGNMENT.ipynb``,
    ``STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb``, ``STUDENT_ASSIGNMENT.ipynb`` and ``STUDENT.ipynb``. A student's
    id is the number that the LMS gives, or with a roster the one that stands there. Moodle numbers
    participants anew for each assignment, Canvas numbers users once.

    No time of submission is taken from there: Moodle and Canvas put the time of the download on the files of
    a zip, and a folder's times are anybody's. So nothing counts as late here; Canvas's own mark in a name
    becomes a note.

    Parameters
    ----------
    course_dir : Path
    assignment_id : str
    source : Path
    pattern : str, optional
        Regular expression for the whole name of a file, with folders, ``/`` between. The group ``student`` is
        the student's id; the group ``time``, if there is one, the time of submission, local unless it has a
        zone.
    update : bool
        Replace what was collected before.
    roster : Path, optional
        CSV with the LMS's numbers: Moodle's grading worksheet of the assignment, or Canvas's gradebook.

    Returns
    -------
    list of Collected
        By student. A file that belongs to nobody has its name in place of the student.

    Raises
    ------
    GradingError
        If nothing can be collected: no such assignment, source, pattern or roster.
    """
    intake.assignment_name(assignment_id)
    if not any((course_dir / step / assignment_id).is_dir() for step in ("source", "release")):
        raise GradingError(f"There is no assignment {assignment_id} in {course_dir / 'source'}.")
    form = _compiled(pattern)
    ids = Roster.read(roster) if roster else None
    results: list[Collected] = []
    by_student: dict[str, list[tuple[_Origin, _Entry]]] = defaultdict(list)
    with _opened(source) as (kind, entries):
        for entry in entries:
            try:
                origin = _origin(entry.name, assignment_id, form)
                if origin is None:
                    continue
                if origin.lms and ids:
                    origin = replace(origin, student=ids.student(origin.lms_id, origin.lms))
                intake.student_name(origin.student)
            except (_Unclear, GradingError) as error:
                results.append(Collected(shown(entry.name), "skipped", str(error)))
                continue
            by_student[origin.student].append((origin, entry))
        results += _set_apart(by_student)
        for student, files in by_student.items():
            incoming = _chosen(student, files, assignment_id, kind)
            if incoming is None:
                what = f"there is no notebook {assignment_id}.ipynb of that student"
                results.append(Collected(student, "skipped", what))
                continue
            try:
                results.append(_settle(course_dir, assignment_id, incoming, update=update))
            except (OSError, GradingError) as error:
                results.append(Collected(student, "failed", str(error)))
    if not by_student and not results:
        raise GradingError(
            f"There is no notebook in {source}: name what the LMS gave you, or a folder of submissions."
        )
    if ids is None and any(origin.lms == "moodle" for files in by_student.values() for origin, _ in files):
        results.append(
            Collected(
                "",
                "note",
                "Moodle numbers participants anew for each assignment; with --roster and the assignment's grading "
                "worksheet, students keep one id.",
            )
        )
    return sorted(
        results, key=lambda result: (result.what == "note", result.what == "skipped", result.student)
    )


def _set_apart(by_student: dict[str, list[tuple[_Origin, _Entry]]]) -> list[Collected]:
    """Take out what an LMS did not name, where it named the others: a student may have chosen such a name."""
    everything = [(student, each) for student, files in by_student.items() for each in files]
    if not any(origin.lms for _, (origin, _) in everything):
        return []
    results = []
    for student, each in everything:
        origin, entry = each
        if origin.lms is None:
            by_student[student].remove(each)
            why = "its name is not as the LMS made the others; collect it from a folder of its own"
            results.append(Collected(shown(entry.name), "skipped", why))
            if not by_student[student]:
                del by_student[student]
    return results


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        form = re.compile(pattern)
    except re.error as error:
        raise GradingError(f"--pattern is no regular expression: {error}.") from None
    if "student" not in form.groupindex:
        raise GradingError("--pattern needs a group for the student's id: (?P<student>...).")
    return form


_MOODLE = re.compile(r"[^/_]*_(?P<student>\d+)_assignsubmission_file(?:_?/|_)(?P<file>.+)", re.DOTALL)
_CANVAS = re.compile(r"(?=_(?P<student>\d+)_(?P<upload>\d+)_(?P<file>[^/]+)\Z)", re.DOTALL)


def _origin(name: str, assignment_id: str, form: re.Pattern[str] | None) -> _Origin | None:
    """Whose a file is; None if it can be passed over without a word.

    In an LMS's names the student chose the end, and sometimes the own name at the beginning. Either could
    imitate the numbers between them, so a name that can be read in two ways is not read at all.
    """
    parts = PurePosixPath(name).parts
    if not parts or any(part in ("__MACOSX", "__pycache__") or re.match(r"\.[^.]", part) for part in parts):
        return None
    if len(name) > _NAME_LENGTH:
        raise _Unclear("its name is too long")
    if form is not None:
        if not name.lower().endswith(".ipynb"):
            return None
        found = form.fullmatch(name)
        if not found:
            raise _Unclear("its name does not fit --pattern")
        time, notes = _given_time(found.groupdict().get("time"))
        return _Origin(found["student"] or "", parts[-1], 0, time=time, notes=notes)
    if "_assignsubmission_" in name:
        if len(re.findall(r"_\d+_assignsubmission_", name)) != 1:
            raise _Unclear("its name can be read in more than one way; look whose it is")
        if "_assignsubmission_file" not in name:  # online text, for example
            return None
        found = _MOODLE.fullmatch(name)
        if not found:
            raise _Unclear("its name is not as Moodle makes it; give --pattern with a group `student`")
        return _of_lms(found, assignment_id, "moodle")
    found_all = list(_CANVAS.finditer(name)) if len(parts) == 1 else []
    if len(found_all) > 1:
        raise _Unclear("its name can be read in more than one way; look whose it is")
    if found_all:
        (found,) = found_all
        is_late = name[: found.start()].endswith("_LATE")
        notes = ("Canvas marked it as late.",) if is_late else ()
        return replace(_of_lms(found, assignment_id, "canvas"), order=int(found["upload"]), notes=notes)
    return _plain_origin(parts, assignment_id)


def _of_lms(found: re.Match[str], assignment_id: str, lms: str) -> _Origin:
    number, file = found["student"], found["file"]
    return _Origin(number, file, intake.copy_number(file, assignment_id), lms=lms, lms_id=number)


def _plain_origin(parts: tuple[str, ...], assignment_id: str) -> _Origin | None:
    """Whose a file is by the forms that people use."""
    *folders, file = parts
    if not file.lower().endswith(".ipynb"):
        return None
    if len(folders) == 1 or (len(folders) == 2 and folders[1] == assignment_id):
        return _Origin(folders[0], file, intake.copy_number(file, assignment_id))
    if not folders and intake.copy_number(file, assignment_id) is None:
        return _Origin(file[: -len(".ipynb")].removesuffix(f"_{assignment_id}"), file, 0)
    raise _Unclear("its name does not say whose it is; give --pattern with a group `student`")


def _given_time(text: str | None) -> tuple[datetime | None, tuple[str, ...]]:
    """A time from a name, as UTC without a zone; without a zone of its own it is local time."""
    if not text:
        return None, ()
    from dateutil.parser import parse

    try:
        return parse(text).astimezone(UTC).replace(tzinfo=None), ()
    except (ValueError, OverflowError, TypeError):
        return None, (f"The time in its name, {shown(text)}, cannot be read.",)


def _chosen(
    student: str, files: list[tuple[_Origin, _Entry]], assignment_id: str, kind: str
) -> _Incoming | None:
    """The one of a student's files that counts, the latest; None if the student may not be one at all."""
    wanted = f"{assignment_id}.ipynb"
    notebooks = [(origin, entry) for origin, entry in files if origin.number is not None]
    notebooks.sort(key=lambda each: (each[0].time or datetime.min, each[0].order, each[0].number))
    lms = files[0][0].lms
    if not notebooks:
        if lms is None:
            return None
        names = ", ".join(shown(origin.file) for origin, _ in files[:3])
        refused = Refused(
            f"There is no notebook `{wanted}` but only {names}: ask the student to hand it in under that name.",
            f"There is no notebook `{wanted}` but only {names}: hand in the notebook under that name.",
        )
        return _Incoming(student, kind, refused, lms=lms, lms_id=files[0][0].lms_id)
    origin, entry = notebooks[-1]
    notes = list(origin.notes)
    if len(notebooks) > 1:
        notes.append(
            f"There are {len(notebooks)} notebooks of this student; {shown(origin.file)} is the latest and counts."
        )
    elif origin.lms and origin.number:
        notes.append(f"It was named {shown(origin.file)}.")
    found: Accepted | Refused
    try:
        data = entry.read()
        notebook, digest = intake.content(data)
        found = Accepted(notebook, digest, data=data)
    except Refused as refused:
        found = refused
    return _Incoming(
        student, kind, found, origin.time, origin.time, notes, lms=origin.lms, lms_id=origin.lms_id
    )


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[tuple[str, list[_Entry]]]:
    """Kind of the source, and its files."""
    if source.is_dir():
        yield "folder", list(_folder_entries(source))
        return
    if not source.is_file():
        raise GradingError(f"{source} is neither a folder nor a zip file.")
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError, ValueError, struct.error) as error:
        raise GradingError(f"{source} cannot be read as a zip file ({error}): download it again.") from None
    with archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        _check_number(len(members), source)
        yield "zip", [_Entry(info.filename, lambda info=info: _member(archive, info)) for info in members]


def _check_number(number: int, source: Path) -> None:
    if number > ENTRIES:
        raise GradingError(
            f"There are more than {ENTRIES:,} files in {source}: name a folder of submissions alone."
        )


def _folder_entries(source: Path) -> Iterator[_Entry]:
    """Files up to three folders deep. Links are there too, to be refused when they are read."""
    counter = itertools.count(1)
    for folder, inner, names in os.walk(source):
        here = Path(folder)
        depth = len(here.relative_to(source).parts)
        links = [name for name in inner if (here / name).is_symlink()]
        inner[:] = [] if depth >= 3 else sorted(set(inner) - set(links))
        for name in sorted(names + links):
            _check_number(next(counter), source)
            path = here / name

            def read(path: Path = path) -> bytes:
                return intake.read_bytes_safely(path, below=source)

            yield _Entry(path.relative_to(source).as_posix(), read)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Content of one file of a zip. Its name is never used as a path."""

    def refused(what: str) -> Refused:
        return Refused(
            f"The notebook in the zip file {what}: ask the student for it again.",
            f"Your notebook {what}: hand it in again.",
        )

    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise refused("is a link or no regular file")
    if info.flag_bits & 0x1:
        raise refused("is protected by a password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refused("is packed in a way that no LMS uses")
    too_large = f"is larger than {intake.NOTEBOOK_BYTES / 1e6:g} MB unpacked"
    if info.file_size > intake.NOTEBOOK_BYTES:
        raise refused(too_large)
    try:
        with archive.open(info) as stream:
            data = stream.read(intake.NOTEBOOK_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError):
        raise refused("is damaged in the zip file") from None
    if len(data) > intake.NOTEBOOK_BYTES:
        raise refused(too_large)
    return data
