"""`course doctor`: one look at everything the course needs, and for what is amiss the step that mends it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from course_utils.lessons.catalogue import CourseError, repository, root


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``level`` is "ok", "note" or "broken", ``mend`` says what to do."""

    level: str
    text: str
    mend: str = ""


def python_version() -> Iterator[Finding]:
    have = sys.version_info[:2]
    text = f"Python {have[0]}.{have[1]} ({sys.executable})"
    if (3, 11) <= have <= (3, 13):
        yield Finding("ok", text)
    else:
        yield Finding("broken", text, "the course needs Python 3.11, 3.12 or 3.13")


def packages() -> Iterator[Finding]:
    """Compare what is installed with the lock."""
    wanted = {}
    for line in (root() / "requirements.txt").read_text(encoding="utf-8").splitlines():
        found = re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)\s*(;.*)?$", line)
        if found and not found[3]:
            wanted[found[1]] = found[2]
    missing, other = [], []
    for name, version in wanted.items():
        try:
            have = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if have != version:
            other.append(f"{name} {have} instead of {version}")
    mend = "install again: `python course.py lab` after deleting the folder .venv"
    if missing:
        yield Finding("broken", f"missing packages: {', '.join(missing)}", mend)
    if other:
        yield Finding(
            "note", f"versions other than the tested ones: {', '.join(other)}", mend + " if lessons fail"
        )
    if not missing and not other:
        yield Finding("ok", f"{len(wanted)} packages, all at the tested versions")


def tensorflow() -> Iterator[Finding]:
    """Import TensorFlow in a process of its own, because a broken build can end the process."""
    code = "import tensorflow as tf; print(tf.__version__, len(tf.config.list_physical_devices('GPU')))"
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=180
        )
    except subprocess.TimeoutExpired:
        yield Finding(
            "broken", "TensorFlow did not start within three minutes", "free memory, or restart the machine"
        )
        return
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        mend = "install again after deleting .venv; on an Intel Mac or Windows on ARM use Colab"
        yield Finding("broken", f"TensorFlow does not start: {reason}", mend)
        return
    version, gpus = done.stdout.split()[-2:]
    yield Finding("ok", f"TensorFlow {version}, {gpus} GPU(s); every lesson also runs without one")


def folders() -> Iterator[Finding]:
    """Whether the course can write where it wants to, and has room."""
    from course_utils.checks import _progress

    for what, folder in (("the course's folder", root()), ("your progress", _progress.path().parent)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            mend = (
                "set COURSE_HOME to a folder you may write to"
                if folder != root()
                else "copy the course elsewhere"
            )
            yield Finding("broken", f"{what} cannot be written: {folder} ({error.strerror})", mend)
        else:
            yield Finding("ok", f"{what} can be written: {folder}")
    free = shutil.disk_usage(root()).free / 1e9
    enough = free > 1
    yield Finding("ok" if enough else "broken", f"{free:.1f} GB of disk free", "" if enough else "make room")


def data_mode() -> Iterator[Finding]:
    mode = os.environ.get("COURSE_DATA", "auto")
    if mode not in ("auto", "sample", "full"):
        yield Finding(
            "broken", f"COURSE_DATA is {mode!r}", "set it to auto, sample or full, or leave it away"
        )
        return
    mirror = os.environ.get("COURSE_DATA_MIRROR")
    text = f"data mode {mode}" + (f", mirror {mirror}" if mirror else "")
    if mirror and "://" not in mirror and not Path(mirror).is_dir():
        yield Finding("broken", text, "COURSE_DATA_MIRROR names a folder that is not there")
    else:
        yield Finding("ok", text)


def kernel() -> Iterator[Finding]:
    """Whether the notebooks' kernel is this environment's Python."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ModuleNotFoundError:
        yield Finding("broken", "Jupyter is missing", "install again after deleting .venv")
        return
    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        yield Finding("broken", "there is no kernel named python3", "install again after deleting .venv")
        return
    # Jupyter itself reads these names as "the Python that runs Jupyter"
    native = {"python", "python3", f"python3.{sys.version_info[1]}"}
    where = sys.executable if command in native else shutil.which(command)
    if where and Path(where).parent.resolve() == Path(sys.executable).parent.resolve():
        yield Finding("ok", "notebooks run in this environment")
    else:
        mend = f"remove the other kernel: {sys.executable} -m jupyter kernelspec remove python3"
        yield Finding("note", f"notebooks named python3 run in {command}", mend)


def browser_for_tests() -> Iterator[Finding]:
    found = [shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome")]
    if any(found) and shutil.which("chromedriver"):
        yield Finding("ok", "a browser for the browser tests")
    else:
        yield Finding("note", "no chromium with chromedriver: the browser tests are skipped")


def sandbox() -> Iterator[Finding]:
    """Whether assignments can be graded here; learners need none of it."""
    from course_utils.grading import sandbox as grading

    try:
        grading.check()
    except CourseError as error:
        yield Finding("note", "no sandbox, which only teachers need, to grade assignments", str(error))
    else:
        yield Finding("ok", "a sandbox for grading assignments")


def address() -> Iterator[Finding]:
    url, branch = repository()
    if "/example/" in url:
        mend = "before publishing your copy: `python course.py repository https://github.com/OWNER/NAME`"
        yield Finding("note", f"the repository address is still the example {url}", mend)
    else:
        yield Finding("ok", f"repository {url}, branch {branch}")


LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python_version, packages, tensorflow, folders, data_mode, kernel, browser_for_tests, sandbox, address,
)  # fmt: skip


def examine() -> Iterator[Finding]:
    """All findings; a look that fails itself is a finding too."""
    for look in LOOKS:
        try:
            yield from look()
        except CourseError:
            raise
        except Exception as error:
            yield Finding("broken", f"{look.__name__.replace('_', ' ')}: {type(error).__name__}: {error}")


def main() -> int:
    """Print every finding as it comes; exit code 1 if something is broken."""
    from rich.console import Console

    console = Console()
    signs = {"ok": "[green]✔[/]", "note": "[yellow]•[/]", "broken": "[red]✘[/]"}
    broken = 0
    for finding in examine():
        broken += finding.level == "broken"
        console.print(signs[finding.level], end=" ")
        console.print(finding.text, markup=False, highlight=False)
        if finding.mend:
            console.print(f"  → {finding.mend}", markup=False, highlight=False)
    print(
        "Something is broken: see the lines marked ✘." if broken else "Everything the course needs is there."
    )
    return 1 if broken else 0
