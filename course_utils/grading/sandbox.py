"""The sandbox in which code runs that nobody has read: bubblewrap, and limits.

What runs inside sees the system, Python and this package, read-only; a private ``/tmp``; and a socket that it
was started with. It has no network, no other process, no home folder, no course, no exchange, no capability,
and it ends with whoever started it.

Limits come in three layers. The process sets its own before it runs anything foreign (`apply_limits`); control groups
bound the sandbox as a whole where this account may make them; and the grader looks at memory and number of processes
several times a second (`Process.over_limits`), which holds everywhere.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from course_utils.grading.errors import GradingError

HOME = "/tmp/home"
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "fonts", "alternatives", "mime.types")
_CGROUPS = Path("/sys/fs/cgroup")

# System calls that nothing in a notebook needs: their numbers on x86_64 and on aarch64. A sandbox inherits the keyring of
# who starts it, so without the first three student code reads the grader's keys; the others reach into processes, mounts
# and those parts of the kernel that break most often.
_DENIED = {
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "unshare": (272, 97), "setns": (308, 268),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "open_by_handle_at": (304, 265),
    "syslog": (103, 116), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
}  # fmt: skip
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # as the kernel names them to a filter
_INSTALL = (
    "Student code runs only inside bubblewrap, which {}. Install it (Debian and Ubuntu: `sudo apt install bubblewrap`; "
    "Fedora: `sudo dnf install bubblewrap`; macOS and Windows have none: grade in a Linux machine or WSL2), or "
    "run student code with all your own rights by `--without-sandbox`."
)


@dataclass(frozen=True)
class Limits:
    """What one submission may use. Seconds, mebibytes and numbers."""

    cell_seconds: float = 60.0
    call_seconds: float = 20.0
    total_seconds: float = 240.0
    memory_mb: int = 3072
    address_space_mb: int = 12288
    file_mb: int = 64
    temporary_mb: int = 256
    processes: int = 64

    def plain(self) -> dict[str, float]:
        """The limits as numbers, to be sent."""
        return asdict(self)


def environment() -> dict[str, str]:
    """All environment variables that there are inside: nothing of the teacher's."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": HOME,
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",
        "IPYTHONDIR": f"{HOME}/.ipython",
        "KERAS_HOME": f"{HOME}/.keras",
        "COURSE_HOME": HOME,
        "COURSE_DATA": "sample",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": f"{HOME}/matplotlib",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        # Several submissions run side by side, so none of them takes all processors.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "NBGRADER_EXECUTION": "autograde",
    }


def apply_limits(limits: dict[str, float]) -> None:
    """Bind this process and all that it starts; called inside the sandbox before any foreign code."""
    import resource

    def bound(name: int, value: float) -> None:
        hard = resource.getrlimit(name)[1]
        wanted = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(name, (wanted, wanted))

    bound(resource.RLIMIT_CORE, 0)
    bound(resource.RLIMIT_FSIZE, limits["file_mb"] * 2**20)
    bound(resource.RLIMIT_NOFILE, 512)
    bound(resource.RLIMIT_CPU, 4 * limits["total_seconds"])
    if sys.platform == "linux":
        bound(resource.RLIMIT_AS, limits["address_space_mb"] * 2**20)
    if limits["sandboxed"]:
        # Counted for each user namespace on Linux 5.14 and later, threads included; outside it would count
        # everything that this account runs.
        bound(resource.RLIMIT_NPROC, 8 * limits["processes"])


def _bound_read_only() -> list[Path]:
    """The folders that exist inside: the system's and those of this Python."""
    package = Path(__file__).resolve().parents[1]
    folders = [Path("/usr"), Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), package]
    source = package.parent / "data"  # in a checkout the small data lie beside the package
    if (package.parent / "pyproject.toml").is_file() and source.is_dir():
        folders.append(source)
    kept: list[Path] = []
    for folder in folders:
        if not any(folder.is_relative_to(other) for other in kept):
            kept.append(folder)
    return kept


def _command(
    argv: Sequence[str], hidden: Iterable[Path], limits: Limits, *, own_users: bool, no_more_users: bool
) -> list[str]:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise GradingError(_INSTALL.format("is not on this machine"))
    command = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    command += ["--cap-drop", "ALL"]
    if own_users:
        command += ["--unshare-user", "--uid", "1000", "--gid", "1000"]
    if no_more_users:
        command += ["--disable-userns"]
    for name, value in environment().items():
        command += ["--setenv", name, value]
    small = str(limits.temporary_mb * 2**20)
    # Mounts come in this order: a tmpfs hides what was bound below it before.
    command += ["--proc", "/proc", "--dev", "/dev", "--size", small, "--tmpfs", "/dev/shm"]
    command += ["--size", small, "--tmpfs", "/tmp", "--dir", HOME, "--dir", "/tmp/work"]
    for folder in _bound_read_only():
        command += ["--ro-bind", str(folder), str(folder)]
    for name in ("bin", "sbin", "lib", "lib64"):
        host = Path("/", name)
        if host.is_symlink():
            command += ["--symlink", os.readlink(host), str(host)]
        elif host.is_dir():
            command += ["--ro-bind", str(host), str(host)]
    for name in _ETC:
        if Path("/etc", name).exists():
            command += ["--ro-bind", f"/etc/{name}", f"/etc/{name}"]
    for fonts in _font_lists():
        command += ["--ro-bind", str(fonts), f"{HOME}/matplotlib/{fonts.name}"]
    for folder in hidden:
        inside = Path(folder).resolve()
        if inside.is_dir() and any(inside.is_relative_to(bound) for bound in _bound_read_only()):
            command += ["--tmpfs", str(inside), "--remount-ro", str(inside)]
    # Settings of the kernel under /proc/sys belong to root by number: where the grader is root, so is the student there.
    for mount in ("/proc", "/dev", "/"):
        command += ["--remount-ro", mount]
    return [*command, "--chdir", "/tmp/work", "--", *argv]


def _denied_calls() -> bytes:
    """The filter on system calls for ``--seccomp``: those denied fail with EPERM. Empty on other machines."""
    if platform.machine() not in _ARCHITECTURES:
        return b""
    architecture = _ARCHITECTURES[platform.machine()]
    numbers = [pair[platform.machine() == "aarch64"] for pair in _DENIED.values()]
    load, is_equal, is_at_least, give = 0x20, 0x15, 0x35, 0x06  # BPF's instructions
    end = 5 + len(numbers)  # where it says no
    steps = [(load, 0, 0, 4), (is_equal, 0, end - 2, architecture), (load, 0, 0, 0)]
    # Numbers from 2**30 up are those of another ABI.
    for code, number in [(is_at_least, 2**30), *((is_equal, number) for number in numbers)]:
        steps.append((code, end - len(steps) - 1, 0, number))
    steps += [(give, 0, 0, 0x7FFF0000), (give, 0, 0, 0x00050000 | errno.EPERM)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


@lru_cache(maxsize=1)
def _font_lists() -> list[Path]:
    """Matplotlib's list of fonts, made once here: making it takes seconds in every new home folder."""
    code = "import matplotlib, matplotlib.font_manager; print(matplotlib.get_cachedir())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return sorted(Path(done.stdout.strip() or "/nonexistent").glob("fontlist-*.json"))


@lru_cache(maxsize=1)
def _how() -> tuple[bool, bool]:
    """Which of bubblewrap's options work here: (a user namespace of its own, none below it).

    Raises
    ------
    GradingError
        If bubblewrap is missing or cannot make a sandbox; the message says what to do.
    """
    last = "is not on this machine"
    ways = [(True, True), (True, False)]
    if os.geteuid() != 0:  # without a user namespace root inside would be root
        ways.append((False, False))
    for own_users, no_more_users in ways:
        command = _command(["true"], [], Limits(), own_users=own_users, no_more_users=no_more_users)
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            return own_users, no_more_users
        last = f"does not work here ({' '.join(done.stderr.split())[:200]})"
    raise GradingError(_INSTALL.format(last))


def check() -> None:
    """Make sure that there is a working sandbox.

    Raises
    ------
    GradingError
        If there is none; the message gives the reason and the line that installs it.
    """
    if sys.platform != "linux":
        raise GradingError(_INSTALL.format(f"there is not for {sys.platform}"))
    _how()


@lru_cache(maxsize=1)
def _remove_left_groups(trees: tuple[str, ...]) -> None:
    """Remove what graders left that were killed; once is enough. A group with processes in it cannot be removed."""
    for tree in trees:
        for folder in (_CGROUPS / tree).glob("course-*-*"):
            grader = folder.name.split("-")[1]
            with contextlib.suppress(OSError):
                if not Path("/proc", grader).exists() and time.time() - folder.stat().st_mtime > 60:
                    folder.rmdir()


class _ControlGroup:
    """A control group around one sandbox, where this account may make one; else it does nothing."""

    def __init__(self, limits: Limits) -> None:
        self.folders: list[Path] = []
        name = f"course-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        memory = limits.memory_mb * 2**20
        if (_CGROUPS / "cgroup.controllers").is_file():  # version 2: one tree
            wanted = {".": {"memory.max": memory, "memory.swap.max": 0, "pids.max": 8 * limits.processes}}
        else:
            wanted = {
                "memory": {"memory.limit_in_bytes": memory},
                "pids": {"pids.max": 8 * limits.processes},
            }
        _remove_left_groups(tuple(wanted))
        for tree, settings in wanted.items():
            folder = _CGROUPS / tree / name
            try:
                folder.mkdir()
                self.folders.append(folder)
                for file, value in settings.items():
                    if (folder / file).exists():
                        (folder / file).write_text(str(value))
            except OSError:
                continue

    def enter(self, command: list[str]) -> list[str]:
        """The command, started inside the group from its first instruction."""
        if not self.folders:
            return command
        joins = "; ".join(f'echo $$ > "{folder}/cgroup.procs"' for folder in self.folders)
        return ["/bin/sh", "-c", f'{joins}; exec "$@"', "sh", *command]

    def remove(self) -> None:
        """Remove it, once the processes in it, which have been killed, are gone."""
        until = time.monotonic() + 2
        for folder in self.folders:
            while True:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    pass
                except OSError:
                    if time.monotonic() < until:
                        time.sleep(0.01)
                        continue
                break


class Process:
    """A Python module running in a sandbox of its own, with one end of a socket.

    Parameters
    ----------
    module : str
        Run as ``python -m module FD SETTINGS`` where ``FD`` is the socket's number inside.
    settings : dict
        Plain values handed to it; the limits are added.
    limits : Limits
    hidden : paths, optional
        Folders that must not be seen inside even where the system's folders contain them.
    sandboxed : bool
        Without it the module runs with all rights of this account: only where the teacher says so.

    Attributes
    ----------
    sock : socket.socket
        Our end.
    """

    def __init__(
        self,
        module: str,
        settings: dict,
        limits: Limits,
        *,
        hidden: Iterable[Path] = (),
        sandboxed: bool = True,
    ) -> None:
        self.limits = limits
        self.sock, theirs = socket.socketpair()
        passed = [theirs.fileno()]
        self._group = None
        self._folder = None
        settings = settings | {"limits": limits.plain() | {"sandboxed": sandboxed}}
        argv = [sys.executable, "-s", "-P", "-m", module, str(theirs.fileno()), json.dumps(settings)]
        try:
            if sandboxed:
                own_users, no_more_users = _how()
                command = _command(argv, hidden, limits, own_users=own_users, no_more_users=no_more_users)
                if denied := _denied_calls():
                    passed.append(os.memfd_create("denied"))
                    os.pwrite(passed[-1], denied, 0)
                    command[1:1] = ["--seccomp", str(passed[-1])]
                self._group = _ControlGroup(limits)
                command = self._group.enter(command)
                inside, folder = {}, "/"
            else:
                self._folder = tempfile.mkdtemp(prefix="course-")
                command, folder = argv, self._folder
                inside = environment() | {"HOME": folder, "MPLCONFIGDIR": folder, "TMPDIR": folder}
            self._process = subprocess.Popen(
                command,
                env=inside,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=passed,
                start_new_session=True,
            )
        except OSError as error:
            self.sock.close()
            self._clean_up()
            raise GradingError(f"A sandbox could not be started: {error}.") from error
        finally:
            theirs.close()
            for descriptor in passed[1:]:
                os.close(descriptor)
        self._said = bytearray()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        """Keep the first words on stderr (why a sandbox did not start); the pipe breaks after that."""
        with contextlib.suppress(OSError, ValueError):
            while len(self._said) < 4000:
                part = os.read(self._process.stderr.fileno(), 4000)
                if not part:
                    break
                self._said += part
        with contextlib.suppress(OSError):
            self._process.stderr.close()

    def said(self) -> str:
        """What it wrote to stderr at first, in one line."""
        self._reader.join(0.5)
        return " ".join(bytes(self._said).decode("utf-8", "replace").split())[-300:]

    def over_limits(self) -> str:
        """Which limit all its processes together are over, or an empty string."""
        import psutil

        memory = number = 0
        try:
            top = psutil.Process(self._process.pid)
            for process in (top, *top.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    memory += process.memory_info().rss
                    number += 1
        except psutil.Error:
            return ""
        if memory > self.limits.memory_mb * 2**20:
            return f"it used more than {self.limits.memory_mb:,} MB of memory"
        if number > self.limits.processes:
            return f"it started more than {self.limits.processes} processes"
        return ""

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def ending(self) -> str:
        """How it ended by itself, or an empty string if it is still running."""
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return ""
        killed = code - 128 if code > 128 else -code if code < 0 else 0
        if killed == signal.SIGKILL:
            return "it was killed, as happens when the memory is used up"
        if killed:
            return f"it crashed with signal {signal.Signals(killed).name}"
        return f"it ended by itself with exit code {code}"

    def kill(self) -> None:
        """End everything inside, at once; may be called again."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        self.sock.close()
        self._clean_up()

    def _clean_up(self) -> None:
        if self._group:
            self._group.remove()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
