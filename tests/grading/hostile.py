"""Hostile submissions, each with the marks it must get; ``python -m tests.grading.hostile`` prints them as a table.

A case changes one thing in a notebook with right answers. What it attacks is alive while it is graded: a listener on
this machine, files in the course, the home folder and the temporary folder, a process that may be killed. The code in
here runs nowhere but in the sandboxes that grading starts.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.grading.toy import (
    FULL,
    HIDDEN_SOURCE,
    MODEL_FULL,
    SOLUTION_SECRET,
    Course,
    Notebook,
    Points,
    answers,
    cell,
    find,
)

OTHERS_SECRET = "secret-of-another-student-c04d"
GRADERS_SECRET = "secret-of-the-grader-55e1"  # in its environment, in files of its account, in its memory

NOTHING: Points = dict.fromkeys(FULL, 0) | {"why": None}
_TASKS = {
    "softmax": "softmax-",
    "slope": "slope-",
    "gradient": "gradient-",
    "count": "count-",
    "network": "network-",
}


def lost(*tasks: str, of: Points = FULL) -> Points:
    """Full marks but for the tests of these tasks."""
    starts = tuple(_TASKS[task] for task in tasks)
    return {test: 0 if test.startswith(starts) else points for test, points in of.items()}


@dataclass
class Place:
    """What there is to attack; a hostile cell finds it as the dict ``PLACE``, as if somebody had told the student."""

    course: str
    files: list[str]
    port: int
    path_socket: str
    abstract_socket: str
    victim: int
    grader: int = field(default_factory=os.getpid)


Build = Callable[[Path, Notebook, Place], None]
Check = Callable[[Course, str], None]


@dataclass(frozen=True)
class Case:
    """One submission.

    Attributes
    ----------
    about : str
        What it tries.
    build : callable
        ``build(folder, notebook, place)`` makes the submission's folder from a notebook with right answers.
    points : dict or "refused"
        Exact points of each test cell and written answer; None waits for a person.
    check : callable, optional
        ``check(course, student)`` after grading.
    """

    name: str
    about: str
    build: Build
    points: Points | str
    check: Check | None = None
    assignment: str = "toy"

    @property
    def student(self) -> str:
        return f"h-{self.name}"


CASES: list[Case] = []


def case(
    name: str,
    about: str,
    points: Points | str,
    build: Build | None = None,
    *,
    check: Check | None = None,
    assignment: str = "toy",
    **sources: str,
) -> None:
    """Add a case: by ``build``, or by the sources of its cells (``_`` stands for ``-``)."""
    sources = {name.replace("_", "-"): source for name, source in sources.items()}
    CASES.append(Case(name, about, build or _writing(sources, assignment), points, check, assignment))


def _writing(sources: dict[str, str], assignment: str) -> Build:
    def build(folder: Path, notebook: Notebook, place: Place) -> None:
        for cell_id, source in sources.items():
            source = textwrap.dedent(source).strip("\n")
            if "PLACE" in source:
                source = f"PLACE = {asdict(place)!r}\n{source}"
            find(notebook, cell_id)["source"] = source
        _write(folder, notebook, assignment)

    return build


def _write(folder: Path, content: Notebook | str | bytes, assignment: str = "toy") -> None:
    folder.mkdir(parents=True)
    if isinstance(content, dict):
        content = json.dumps(content)
    data = content.encode() if isinstance(content, str) else content
    (folder / f"{assignment}.ipynb").write_bytes(data)


def changing(change: Callable[[Notebook], Any]) -> Build:
    """A builder that changes the notebook in place, or gives what is written instead."""

    def build(folder: Path, notebook: Notebook, place: Place) -> None:
        changed = change(notebook)
        _write(folder, changed if isinstance(changed, str | bytes | dict) else notebook)

    return build


def after(source: str, answer: str = "softmax", assignment: str = "toy") -> str:
    """Hostile code, and after it the right answer."""
    return textwrap.dedent(source).strip("\n") + "\n\n" + answers(assignment)[answer]


def shows(cell_id: str, *texts: str, assignment: str = "toy") -> Check:
    """What the hostile code reports of itself is there: it ran, and got no further than this."""

    def check(course: Course, student: str) -> None:
        shown = course.shown(student, cell_id, assignment)
        for text in texts:
            assert text in shown, shown[:2000]

    return check


def is_short(course: Course, student: str) -> None:
    text = json.dumps(course.autograded(student))
    assert len(text) < 5_000_000, f"{len(text):,} characters"


WRONG = "def softmax(logits):\n    return np.zeros_like(logits)"

# --- Time. The first cases take longest, so they come first. --------------------------------------------------------

STUBBORN = """
import time

while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""
CATCHING = """
import time

while True:
    try:
        while True:
            time.sleep(0.001)
    except BaseException:
        pass
"""

case(
    "hang-everywhere",
    "every cell sleeps for ever and catches every interruption: the time for all is over first",
    NOTHING,
    softmax=STUBBORN,
    slope=STUBBORN,
    numerical_gradient=STUBBORN,
    count=STUBBORN,
)
case("loop", "an endless loop in a cell", lost("softmax"), softmax="while True:\n    pass")
case(
    "loop-in-function",
    "an endless loop in a function",
    lost("slope"),
    slope="def slope(x, y):\n    while True:\n        pass",
)
case("loop-catching", "an endless loop that catches BaseException", lost("softmax"), softmax=CATCHING)
case(
    "loop-without-signals",
    "switches off alarm and signals, then sleeps for ever",
    lost("slope"),
    slope="""
    import signal
    import time


    def slope(x, y):
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        while True:
            time.sleep(60)
    """,
)
case(
    "loop-in-c",
    "a loop in C, which no Python signal handler interrupts",
    lost("count"),
    count="count = sum(range(10**15))",
)
case(
    "backtracking",
    "a regular expression that backtracks for years",
    lost("count"),
    count='import re\n\ncount = 15 if re.match("(a+)+$", "a" * 60 + "b") is None else 15',
)
case(
    "stopped",
    "stops its own process by SIGSTOP",
    lost("softmax"),
    softmax=after("import os\nimport signal\n\nos.kill(os.getpid(), signal.SIGSTOP)"),
)
case(
    "loop-while-sent",
    "an object whose conversion to an array never ends, met while the answer is sent",
    lost("slope"),
    slope="""
    import time


    class Tensor:
        __module__ = "torch"

        def __array__(self, *args, **kwargs):
            while True:
                try:
                    time.sleep(60)
                except BaseException:
                    pass


    def slope(x, y):
        return Tensor()
    """,
)
case(
    "endless-callbacks",
    "calls the test's function for ever, its own alarm switched off",
    lost("gradient"),
    numerical_gradient="""
    import signal


    def numerical_gradient(function, point, step=1e-5):
        signal.setitimer(signal.ITIMER_REAL, 0)
        while True:
            function(point)
    """,
)

# --- Floods ---------------------------------------------------------------------------------------------------------

case(
    "memory",
    "takes memory until there is none",
    lost("softmax"),
    softmax=after("hoard = []\nwhile True:\n    hoard.append(np.ones(10**6))"),
)
case(
    "memory-in-function",
    "doubles a string for ever",
    lost("slope"),
    slope="def slope(x, y):\n    text = 'a'\n    while True:\n        text += text",
)
case("fork-bomb", "forks for ever", lost("softmax"), softmax="import os\n\nwhile True:\n    os.fork()")
case(
    "thread-bomb",
    "starts threads until it may not, then answers rightly",
    FULL,
    softmax=after("""
    import threading

    forever = threading.Event()
    threading.stack_size(2**16)
    try:
        for _ in range(5000):
            threading.Thread(target=forever.wait, daemon=True).start()
    except RuntimeError:
        pass
    """),
)
case(
    "process-flood",
    "starts hundreds of programs",
    lost("softmax"),
    softmax=after("""
    import subprocess
    import time

    started = [subprocess.Popen(["sleep", "1000"]) for _ in range(200)]
    time.sleep(60)
    """),
)
case(
    "detached-process",
    "leaves a detached process that goes on attacking",
    FULL,
    softmax=after("""
    import os
    import signal
    import time

    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 512)
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
                signal.signal(number, signal.SIG_IGN)
            while True:
                for victim in (PLACE["grader"], PLACE["victim"]):
                    try:
                        os.kill(victim, signal.SIGKILL)
                    except OSError:
                        pass
                for path in PLACE["files"]:
                    try:
                        open(path, "w").close()
                    except OSError:
                        pass
                time.sleep(0.05)
        os._exit(0)
    """),
)
case(
    "print-flood",
    "prints for ever",
    lost("softmax"),
    softmax=after('while True:\n    print("flood " * 1000)'),
    check=is_short,
)
case(
    "native-output-flood",
    "writes to the terminal past Python until it may not, then answers rightly",
    FULL,
    softmax=after("""
    import os

    try:
        while True:
            os.write(1, b"flood " * 10000)
    except OSError as error:
        print("ended by", error.strerror)
    """),
    check=is_short,
)
case(
    "file-flood",
    "fills the temporary folder, then answers rightly",
    FULL,
    softmax=after("""
    import os

    largest = 0
    try:
        for number in range(100):
            with open(f"/tmp/flood-{number}", "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(2**20))
                except OSError:
                    largest = max(largest, file.tell())
                    if file.tell() < 2**20:
                        raise
    except OSError as error:
        print("ended by", error.strerror)
    print("largest is small:", largest < 70 * 2**20)
    """),
    check=shows("softmax", "ended by No space left on device", "largest is small: True"),
)
case(
    "display-flood",
    "displays for ever",
    lost("softmax"),
    softmax=after('while True:\n    display("flood " * 100)'),
    check=is_short,
)
case(
    "error-flood",
    "raises errors with messages of 100 MB",
    lost("slope"),
    slope="def slope(x, y):\n    raise ValueError('flood ' * 2 * 10**7)",
    check=is_short,
)
case(
    "huge-answer",
    "answers with an array of 800 MB",
    lost("softmax"),
    softmax="def softmax(logits):\n    return np.broadcast_to(1.0, (10**4, 10**4))",
)
case(
    "deep-answer",
    "answers with a list that contains itself",
    lost("slope"),
    slope="def slope(x, y):\n    endless = []\n    endless.append(endless)\n    return endless",
)
case(
    "huge-number",
    "answers with numbers of 3900 and of a million digits",
    lost("slope", "count"),
    slope="def slope(x, y):\n    return 10**3900",
    count="count = 10 ** (10**6)",
)
case(
    "recursion",
    "recursion without end and without Python's limit",
    lost("slope"),
    slope="import sys\n\nsys.setrecursionlimit(10**9)\n\n\ndef slope(x, y):\n    return repr(eval('slope(x, y)', globals(), locals()))",
)

# --- Exits ----------------------------------------------------------------------------------------------------------

case("sys-exit", "sys.exit in a cell", lost("softmax"), softmax=after("import sys\n\nsys.exit(0)"))
case(
    "polite-exits",
    "IPython's and Python's own ways out, then a right answer",
    FULL,
    softmax=after("""
    import atexit
    import os

    atexit.register(os._exit, 0)
    for leave in (exit, quit, lambda: get_ipython().ask_exit()):
        try:
            leave()
        except BaseException:
            pass
    """),
)
case("os-exit", "os._exit in a cell", lost("softmax"), softmax=after("import os\n\nos._exit(0)"))
case(
    "exit-in-function",
    "SystemExit in one function, KeyboardInterrupt in another",
    lost("softmax", "slope"),
    softmax="def softmax(logits):\n    raise SystemExit(0)",
    slope="def slope(x, y):\n    raise KeyboardInterrupt",
)
case(
    "os-exit-in-function",
    "os._exit in a function that several tests call",
    lost("softmax"),
    softmax="import os\n\n\ndef softmax(logits):\n    os._exit(0)",
)
case(
    "exit-on-second-call",
    "answers once rightly, then ends its process",
    FULL | {"softmax-values": 0},
    softmax="""
    import os

    calls = []


    def softmax(logits):
        calls.append(logits)
        if len(calls) > 2:  # the notebook's own plot, the first test
            os._exit(0)
        shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True)
    """,
)
case(
    "exit-in-del",
    "ends its process when an object is thrown away",
    lost("slope"),
    slope="""
    import os


    class Bomb:
        def __del__(self):
            os._exit(0)


    def slope(x, y):
        bomb = Bomb()
        return 2.0
    """,
)
case("abort", "aborts as a crashed library does", lost("count"), count="import os\n\ncount = 15\nos.abort()")
case(
    "segfault",
    "reads memory at address 0",
    lost("slope"),
    slope="import ctypes\n\n\ndef slope(x, y):\n    return ctypes.string_at(0)",
)
case(
    "blames-the-next",
    "a thread that ends the process as soon as the next task is answered",
    lost("slope"),
    softmax=after("""
    import os
    import threading
    import time


    def wait():
        while "slope" not in globals():
            time.sleep(0.001)
        os._exit(0)


    threading.Thread(target=wait, daemon=True).start()
    """),
    slope=answers()["slope"] + "\n\n\nimport time\n\ntime.sleep(1)",
)
case(
    "kills-parents",
    "kills its parent, process 1, the grader, and everything that it may",
    FULL,
    softmax=after("""
    import os
    import signal

    alone = len([name for name in os.listdir("/proc") if name.isdigit()]) < 10
    victims = [1, PLACE["grader"], PLACE["victim"]] + [os.getppid(), -1] * alone  # not where that would be the system
    for victim in set(victims) - {os.getpid()}:
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
            try:
                os.kill(victim, number)
            except OSError:
                pass
    print("alone:", alone)
    """),
    check=shows("softmax", "alone: True"),
)

# --- The line to the judge ------------------------------------------------------------------------------------------

CHANNEL = """
import gc
import os
import struct

from course_utils.grading import plain
from course_utils.grading.channel import Channel

channel = next(thing for thing in gc.get_objects() if type(thing) is Channel)
"""

case(
    "closes-everything",
    "closes all its files and sockets",
    lost("slope"),
    slope=after("import os\n\nos.closerange(0, 512)", "slope"),
)
case(
    "garbage-on-the-line",
    "writes garbage and its own files to the judge",
    lost("softmax"),
    softmax=after(
        CHANNEL
        + "import socket\n\nfor _ in range(50):\n    socket.send_fds(channel.sock, [b'\\xff' * 999], [0, 1, 2])\n"
    ),
)
case(
    "half-a-frame",
    "announces 90 MB to the judge and sends a few",
    lost("softmax"),
    softmax=after(CHANNEL + "channel.sock.sendall(struct.pack('>Q', 90 * 2**20) + bytes(2**20))\n"),
)
case(
    "forged-run",
    "tells the judge that a cell ran before it did: all later answers come one too late",
    NOTHING,
    softmax=after(CHANNEL + "channel.send(plain.encode(('ran', True, [])))\n"),
)
case(
    "forged-value",
    "sends a value where the judge waits for a cell to end",
    lost("softmax"),
    softmax=after(CHANNEL + "for _ in range(9):\n    channel.send(plain.encode(('value', True)))\n"),
)
case(
    "forged-answers",
    "sends answers to tests that have not asked yet; the rest are then answered with the wrong ones",
    NOTHING | {"softmax-rows": 2, "count-right": 1},
    softmax=CHANNEL
    + """
def softmax(logits):
    if channel.sock.fileno() > 0:
        channel.send(plain.encode(("value", np.full((2, 3), 1 / 3))))
    return np.full((2, 3), 1 / 3)
""",
    count="count = 15",
)
case(
    "forged-callbacks",
    "asks the judge to call what it never gave, then answers rightly",
    FULL,
    numerical_gradient=CHANNEL
    + """
def right(function, point, step=1e-5):
    offsets = np.eye(len(point)) * step
    return np.array([(function(point + o) - function(point - o)) / (2 * step) for o in offsets])


def numerical_gradient(function, point):
    for number, args, kwargs in ((99, (), {}), ("exec", ("1",), {}), (0, 3, None), (0, (), {1: 2}), (None, [], [])):
        channel.send(plain.encode(("callback", number, args, kwargs)))
        assert plain.decode(channel.receive())[0] == "raised"
    return right(function, point)
""",
)

# --- Reading --------------------------------------------------------------------------------------------------------

case(
    "reads-files",
    "reads the solution, the gradebook, others' work, and whatever notebook or database it finds",
    FULL,
    softmax=after("""
    import os
    import sys

    read = []
    own = (sys.prefix, sys.base_prefix, "/proc", "/sys", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/dev")
    for top in ("/", "/home", "/root", "/mnt", "/srv", "/var", "/tmp", "/run", PLACE["course"]):
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if os.path.join(folder, name) not in own]
            PLACE["files"] += [os.path.join(folder, name) for name in names if name.endswith((".ipynb", ".db"))]
    for path in PLACE["files"]:
        try:
            read.append(open(path, errors="replace").read())
        except OSError:
            pass
    print("read:", read)
    """),
    check=shows("softmax", "read: []"),
)
case(
    "reads-system",
    "reads accounts, keys, devices and sockets of the system",
    FULL,
    softmax=after("""
    import glob

    read = []
    for pattern in ("/etc/shadow", "/etc/passwd", "/etc/sudoers", "/etc/ssh/*", "/etc/hostname", "/etc/resolv.conf",
                    "/root/.ssh/*", "/home/*", "/root/.bash*", "/root/.config/*", "/var/run/docker.sock", "/run/*",
                    "/dev/sd*", "/dev/vd*", "/dev/mem", "/dev/kmsg", "/proc/kcore", "/proc/kmsg", "/srv/*", "/mnt/*"):
        for path in glob.glob(pattern):
            try:
                read += [path, open(path, "rb").read(100)]
            except OSError:
                pass
    print("read:", read)
    """),
    check=shows("softmax", "read: []"),
)
case(
    "reads-environment",
    "prints the environment and command line of every process it sees",
    FULL,
    softmax=after("""
    import glob
    import os

    print(dict(os.environ))
    seen = ""
    for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
        try:
            seen += open(path, errors="replace").read().replace("\\0", " ")
        except OSError:
            pass
    print(seen)
    print("sees the judge:", "grading." + "judge" in seen, "sees the grader:", "py" + "test" in seen)
    """),
    check=shows("softmax", "'USER': 'student'", "sees the judge: False sees the grader: False"),
)
case(
    "reads-keys",
    "searches the kernel's keyrings for keys of the account that grades, and reads the kernel's messages",
    FULL,
    softmax=after("""
    import ctypes
    import platform

    libc = ctypes.CDLL(None)
    keyctl = {"x86_64": 250, "aarch64": 219}.get(platform.machine(), -1)
    found = []
    for ring in range(-1, -9, -1):
        content = ctypes.create_string_buffer(100)
        if (key := libc.syscall(keyctl, 10, ring, b"user", b"course-test", 0)) > 0:
            found += [key, libc.syscall(keyctl, 11, key, content, 100), content.value]
    messages = ctypes.create_string_buffer(1000)
    print("found:", found, libc.klogctl(3, messages, 1000), messages.value)
    """),
    check=shows("softmax", "found: [] -1 b''"),
)
case(
    "links-inside",
    "makes links to secrets from inside and follows them",
    FULL,
    softmax=after("""
    import os

    read = []
    for number, path in enumerate([*PLACE["files"], "/etc/shadow", "/proc/1/root/etc/shadow", "/proc/1/cwd/.."]):
        for make in (os.symlink, os.link):
            try:
                make(path, f"link-{number}-{make.__name__}")
                read.append(open(f"link-{number}-{make.__name__}", "rb").read())
            except OSError:
                pass
    print("read:", read)
    """),
    check=shows("softmax", "read: []"),
)
case(
    "peeks-at-frames",
    "looks for the tests in stack, frames and all objects while it is called",
    lost("softmax"),
    softmax="""
    import gc
    import inspect
    import sys


    def softmax(logits):
        texts = [repr(frame.frame.f_locals) + "".join(frame.code_context or []) for frame in inspect.stack()]
        for frame in sys._current_frames().values():
            while frame is not None:
                texts.append(repr(frame.f_locals) + repr(frame.f_globals.keys()))
                frame = frame.f_back
        for thing in gc.get_objects():
            if type(thing) in (dict, list, tuple):
                texts += [text for text in (thing.values() if type(thing) is dict else thing) if type(text) is str]
        found = [text for text in texts if bytes.fromhex("616c6c636c6f73652876616c756573").decode() in text]
        raise ValueError(f"looked at many: {len(texts) > 1000}, found: {found}")
    """,
    check=shows("softmax-rows", "looked at many: True, found: []"),
)
case(
    "reads-history",
    "looks for the tests in IPython's history and in the notebook's names",
    FULL,
    softmax=after("""
    import linecache
    import __main__

    shell = get_ipython()
    history = [*In, *_ih, *Out.values(), *shell.history_manager.input_hist_raw, *map(str, vars(__main__).values())]
    history += ["".join(lines[2]) for lines in linecache.cache.values() if len(lines) > 3]
    print("found:", [text for text in map(str, history) if bytes.fromhex("616c6c636c6f73652876616c756573").decode() in text])
    """),
    check=shows("softmax", "found: []"),
)
LEAKING = """
def right(logits):
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def softmax(logits):
    if logits.max() > 100:
        stolen = repr(logits.tolist())
        {}
    return right(logits)
"""
case(
    "leaks-by-type",
    "carries what a hidden test sends out in the name of a type",
    FULL | {"softmax-values": 0},
    softmax=LEAKING.format("return type(stolen, (), {})()"),
)
case(
    "leaks-by-error",
    "carries what a hidden test sends out in an error's name and message",
    FULL | {"softmax-values": 0},
    softmax=LEAKING.format("raise type(stolen, (Exception,), {})(stolen)"),
)
case(
    "leaks-by-forged-reply",
    # What only visible tests decide on was judged before the first hidden one, and so before the forgery.
    "carries what a hidden test sends out in a forged reason why nothing came",
    FULL | {"softmax-values": 0, "slope-value": 0},
    softmax=CHANNEL + LEAKING.format("channel.send(plain.encode(('unfit', stolen)))"),
)
case(
    "leaks-by-name",
    "carries what a hidden test sends out in what another name becomes",
    FULL,
    softmax=LEAKING.format("globals()['count'] = type(stolen, (), {})()"),
)
case(
    "leaks-by-memory",
    "keeps what a hidden test sends, and says it in an error on a visible line of the next test",
    FULL | {"slope-value": 0},
    softmax="kept = []\n\n\n" + LEAKING.format("kept.append(stolen)"),
    slope=answers()["slope"].replace(
        "    x_centred", "    if kept:\n        raise ValueError(kept)\n    x_centred", 1
    ),
)
case(
    "leaks-by-printing",
    "prints what a hidden test sends, shows it, writes it to files and starts its cells anew",
    FULL | {"softmax-values": 0},
    softmax="import glob\n\nprint([open(path).read() for path in glob.glob('/tmp/**/stolen*', recursive=True)])\n"
    + LEAKING.format(
        "print(stolen); display(stolen); open('/tmp/stolen', 'w').write(stolen); __import__('os')._exit(0)"
    ),
)

# --- Writing and leaving --------------------------------------------------------------------------------------------

# What belongs to the course and the test is really attacked; of the system's files only whether they could be.
TARGETS = """
import os
import shutil
import sqlite3
import sys

import course_utils.grading

package = os.path.dirname(course_utils.grading.__file__)
site = os.path.dirname(np.__path__[0])
files = [package + "/plain.py", np.__file__, sys.executable, "/proc/sys/kernel/core_pattern", "/proc/1/mem",
         "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/self/oom_score_adj"]
folders = [package, site, sys.prefix, "/", "/etc", "/etc/cron.d", "/usr/bin", "/usr/local/lib", "/root", "/home", "/var",
           "/var/tmp", "/srv", "/mnt", "/opt", "/dev", "/proc", "/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/run", "/lib"]
done = []


def attempt(act, path, *more):
    try:
        act(path, *more)
    except (OSError, sqlite3.Error):
        return
    if not path.startswith(("/tmp/", "/dev/shm/")):  # the sandbox has its own of these two
        done.append(path)


for path in files:
    attempt(lambda path: os.close(os.open(path, os.O_WRONLY)), path)
for folder in folders:
    attempt(lambda path: (os.close(os.open(path, os.O_CREAT | os.O_EXCL)), os.unlink(path)), folder + "/planted")
"""

case(
    "writes-outside",
    "writes, replaces and links wherever it could matter",
    FULL,
    softmax=after(
        TARGETS
        + """
for path in PLACE["files"]:
    attempt(lambda path: os.makedirs(os.path.dirname(path)), path)
    attempt(lambda path: os.rename(path, path + "-old"), path)
    attempt(lambda path: open(path, "a").write("planted"), path)
    attempt(lambda path: os.truncate(path, 0), path)
    attempt(lambda path: os.chmod(path, 0o777), path)
    attempt(lambda path: os.symlink("/tmp", path + "-link"), path)
    attempt(lambda path: sqlite3.connect(path).execute("create table planted (x)"), path)
print("done:", done)
"""
    ),
    check=shows("softmax", "done: []"),
)
case(
    "deletes",
    "deletes whatever of the course and of other students it can, and its own folders",
    FULL,
    softmax=after(
        TARGETS
        + """
for path in PLACE["files"]:
    attempt(os.unlink, path)
for folder in (PLACE["course"], os.path.expanduser("~"), os.getcwd()):
    shutil.rmtree(folder, ignore_errors=True)
print("done:", done)
"""
    ),
    check=shows("softmax", "done: []"),
)
case(
    "leaves-the-sandbox",
    "mounts, changes root and user, makes devices, joins others' namespaces",
    FULL,
    softmax=after("""
    import ctypes
    import glob
    import os
    import socket

    libc = ctypes.CDLL(None, use_errno=True)
    left = []
    libc.unshare(0x10000000 | 0x00020000)  # a user namespace with all capabilities, where that is allowed
    for kind in (b"proc", b"tmpfs", b"sysfs", b"cgroup", b"devpts"):
        if libc.mount(b"none", b"/usr", kind, 0, None) == 0:
            left.append(kind)
    if libc.mount(None, b"/", None, 32 | 4096, None) == 0:  # remount and bind, no longer read-only
        left.append("remount")
    for path in glob.glob("/proc/[0-9]*/ns/*"):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        if path.startswith("/proc/1/") and libc.setns(descriptor, 0) == 0:
            left.append(path)
        os.close(descriptor)
    for name, attempt in {
        "chroot": lambda: os.chroot("/tmp"),
        "device": lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(254, 0)),
        "user": lambda: os.setuid(0),
        "group": lambda: os.setgroups([0]),
        "priority": lambda: os.nice(-20),
        "host name": lambda: socket.sethostname(socket.gethostname()),
    }.items():
        try:
            attempt()
            left.append(name)
        except OSError:
            pass
    print("left:", left)
    """),
    check=shows("softmax", "left: []"),
)
case(
    "network",
    "connects to a server on this machine, to the internet, to sockets by path and by abstract name; asks for names",
    FULL,
    softmax=after("""
    import socket

    reached = []
    for family, address in (
        (socket.AF_INET, ("127.0.0.1", PLACE["port"])),
        (socket.AF_INET, ("1.1.1.1", 443)),
        (socket.AF_INET, ("169.254.169.254", 80)),
        (socket.AF_INET6, ("::1", PLACE["port"])),
        (socket.AF_UNIX, PLACE["path_socket"]),
        (socket.AF_UNIX, "\\0" + PLACE["abstract_socket"]),
        (socket.AF_UNIX, "/run/dbus/system_bus_socket"),
        (socket.AF_UNIX, "/var/run/docker.sock"),
    ):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as line:
                line.settimeout(0.2)
                line.connect(address)
                line.sendall(b"hello")
            reached.append(address)
        except OSError:
            pass
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
        try:
            question.sendto(b"?", ("8.8.8.8", 53))
            reached.append("a name server")
        except OSError:
            pass
    print("reached:", reached)
    """),
    check=shows("softmax", "reached: []"),
)

# --- Patches and hooks ----------------------------------------------------------------------------------------------

case(
    "patched-asserts",
    "patches assertions, built-ins and NumPy's comparisons to agree always, and harms what sends its own answers",
    lost("softmax", "slope", "gradient"),
    softmax=WRONG
    + """

import builtins


class Agreeing(BaseException):
    def __new__(cls, *args):
        return super().__new__(cls)


def agree(*args, **kwargs):
    return True


builtins.AssertionError = Agreeing
builtins.all = builtins.any = agree
for name in ("allclose", "isclose", "array_equal", "all", "any"):
    setattr(np, name, agree)
for name in ("assert_allclose", "assert_array_equal", "assert_equal", "assert_"):
    setattr(np.testing, name, agree)
""",
)
case(
    "patched-engine",
    "patches what sends its answers so that each is `True`: the cell that does so has not ended by that",
    lost("softmax"),
    softmax=WRONG
    + """

from course_utils.grading import plain

encode = plain.encode
plain.encode = lambda value, **hooks: encode(("value", True))
""",
)
case(
    "patched-judge",
    "changes the modules that judge and grade, in its own process and on disk",
    lost("softmax"),
    softmax=WRONG
    + """

import os

import course_utils.grading.judge as judge
import course_utils.grading.record as record
import course_utils.grading.run as run

judge.Judge._test = lambda self, cell: {"points": cell["points"], "passed": True, "message": "", "printed": ""}
judge.STRIKES = judge.GRACE = 10**9
for module in (judge, record, run):
    try:
        with open(module.__file__, "a") as file:
            file.write("raise SystemExit")
    except OSError:
        print("not writable")
""",
    check=shows("softmax", "not writable\nnot writable\nnot writable"),
)
case(
    "ast-transformer",
    "an AST transformer that takes assertions out of all later cells",
    lost("softmax"),
    softmax=WRONG
    + """

import ast


class Remover(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()


get_ipython().ast_transformers.append(Remover())
""",
)
case(
    "input-transformer",
    "an input transformer that makes later cells empty: it harms itself only",
    lost("softmax", "slope", "gradient", "count"),
    softmax=WRONG
    + """

get_ipython().input_transformers_cleanup.append(lambda lines: ["pass\\n"])
get_ipython().input_transformers_post.append(lambda lines: ["pass\\n"])
""",
)
case(
    "hooks",
    "display hook, events, exception handler, magics and shell methods that hide errors",
    lost("softmax"),
    softmax=WRONG
    + """

import sys

shell = get_ipython()
sys.displayhook = shell.displayhook = lambda value: None
sys.excepthook = lambda *error: None
shell.events.register("post_run_cell", lambda result: setattr(result, "error_in_exec", None))
shell.events.register("pre_run_cell", lambda info: print("<script>alert(1)</script>"))
shell.set_custom_exc((Exception,), lambda shell, kind, error, trace, tb_offset=None: [])
shell.showtraceback = lambda *args, **kwargs: None
shell.register_magic_function(lambda line, cell="": None, "cell", "time")
""",
)
case(
    "magics",
    "magics and shell commands that delete, load, write and run",
    FULL,
    softmax=after("""
    !rm -rf ~/* /tmp/work/* 2>/dev/null
    %cd /
    %env NBGRADER_EXECUTION=validate
    %logstart /tmp/log.py append
    %load_ext autoreload
    %autoreload 2
    get_ipython().run_cell_magic("javascript", "", "alert(1)")
    get_ipython().run_cell_magic("html", "", "<img src=x onerror=alert(1)>")
    get_ipython().run_cell_magic("svg", "", "<svg onload='alert(1)'></svg>")
    """),
)
case(
    "poisoned-modules",
    "puts modules of its own in the place of NumPy, of its testing and of the course's",
    lost("softmax"),
    softmax=WRONG
    + """

import sys
import types


class Agreeing(types.ModuleType):
    def __getattr__(self, name):
        return lambda *args, **kwargs: True


for name in ("numpy", "numpy.testing", "unittest", "pytest", "nbgrader", "math", "struct", "json", "socket"):
    sys.modules[name] = Agreeing(name)
for name in ("channel", "judge", "models", "run", "record"):
    sys.modules[f"course_utils.grading.{name}"] = Agreeing(name)
""",
)
case(
    "import-hooks",
    "import hooks that end the process when anything more is imported",
    FULL,
    softmax=after("""
    import builtins
    import os
    import sys


    class Trap:
        def find_spec(self, name, path=None, target=None):
            raise ImportError(f"{name} is not for you")


    sys.meta_path.insert(0, Trap())
    sys.path_hooks.insert(0, lambda path: os._exit(0))
    """),
)
case(
    "planted-modules",
    "plants modules and start-up files for its next process, then asks for one",
    lost("softmax"),
    softmax=after("""
    import os
    import site

    home = os.path.expanduser("~")
    names = [f"/tmp/work/{name}.py" for name in ("numpy", "json", "IPython", "sitecustomize", "usercustomize", "ast")]
    names += [f"{site.getusersitepackages()}/{name}" for name in ("usercustomize.py", "planted.pth", "numpy.py")]
    names += [f"{home}/.ipython/profile_default/startup/00.py", f"{home}/.pythonrc", "/tmp/numpy.py", "/dev/shm/x.py"]
    print("planted before:", [name for name in names if os.path.exists(name)])
    for name in names:
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w") as file:
            file.write("import os; os._exit(0)")
    os._exit(0)
    """),
    slope=after(
        """
        import os

        print("planted:", [path for path in ("/tmp/numpy.py", "/dev/shm/x.py", "/tmp/work/numpy.py") if os.path.exists(path)])
        """,
        "slope",
    ),
    check=shows("slope", "planted: []"),
)
case(
    "tracing",
    "trace and profile functions, also for other threads, that change what functions return",
    lost("softmax"),
    softmax=WRONG
    + """

import sys
import threading


def trace(frame, event, argument):
    if "grading" in frame.f_code.co_filename or "numpy/_core/numeric" in frame.f_code.co_filename:
        for name in ("expected", "points", "earned", "passed", "reply"):
            if name in frame.f_locals:
                frame.f_locals[name] = 10**6


for module in (sys, threading):
    module.settrace(trace)
    module.setprofile(trace)
""",
)

# --- Objects that lie -----------------------------------------------------------------------------------------------

AGREEING = """
class Agreeing(BASE):
    def __eq__(self, other):
        return True

    __ne__ = __lt__ = __bool__ = __eq__
    __gt__ = __ge__ = __le__ = __contains__ = __instancecheck__ = __eq__
    __hash__ = object.__hash__

    def __array_ufunc__(self, *args, **kwargs):
        return True

    def __array_function__(self, *args, **kwargs):
        return True

    def __array__(self, *args, **kwargs):
        return np.array([[0.25, 0.75]])

    def __float__(self):
        return 15.0

    __int__ = __index__ = lambda self: 15
    __reduce__ = lambda self: (exec, ("raise SystemExit",))
    tolist = item = __call__ = lambda self, *args: [[0.25, 0.75]]
    shape, ndim, size, dtype = (1, 2), 2, 2, np.dtype(float)
    __array_interface__ = {"shape": (1, 2), "typestr": "<f8", "version": 3}
"""
case(
    "equal-to-all",
    "an object that equals everything and passes for an array and a number",
    lost("softmax", "count"),
    softmax=AGREEING.replace("BASE", "object") + "\n\ndef softmax(logits):\n    return Agreeing()",
    count="count = Agreeing()",
)
case(
    "equal-array",
    "an array of a class of its own that equals everything",
    lost("softmax"),
    softmax=AGREEING.replace("BASE", "np.ndarray")
    .replace("    shape, ndim", "    faked, shapes")
    .replace("shapes, size, dtype = (1, 2), 2, 2, np.dtype(float)", "sizes = (1, 2), 2")
    + "\n\ndef softmax(logits):\n    return np.zeros(logits.shape).view(Agreeing)",
)
case(
    "equal-number",
    "a number of a class of its own that equals everything; arithmetic that always fits",
    lost("slope", "count"),
    slope=AGREEING.replace("BASE", "float") + "\n\ndef slope(x, y):\n    return Agreeing(0)",
    count="count = type('Agreeing', (int,), {'__eq__': lambda a, b: True, '__gt__': lambda a, b: True})(0)",
)
case(
    "equal-containers",
    "lists, tuples, dicts and strings of classes of their own, masked and object arrays",
    lost("softmax", "slope", "count"),
    softmax="def softmax(logits):\n    return np.ma.masked_all(logits.shape)",
    slope="""
    class Agreeing(list):
        __eq__ = lambda self, other: True
        __iter__ = lambda self: iter([2.0, -0.5])
        __len__ = lambda self: 1
        __getitem__ = lambda self, index: 2.0


    def slope(x, y):
        return np.array(Agreeing([0.0]), dtype=object) if len(x) > 3 else Agreeing([0.0])
    """,
    count="count = type('Agreeing', (str,), {'__eq__': lambda a, b: True, '__gt__': lambda a, b: True})('15')",
)
case(
    "lying-class",
    "objects that lie about their class and module",
    lost("softmax", "slope"),
    softmax="""
    class Lying:
        __module__ = "numpy"
        __class__ = property(lambda self: np.ndarray)
        __eq__ = lambda self, other: True


    Lying.__name__ = Lying.__qualname__ = "ndarray"


    def softmax(logits):
        return Lying()
    """,
    slope="""
    class Tensor:
        __module__ = "torch"
        __class__ = property(lambda self: float)
        detach = cpu = numpy = lambda self: self
        __array__ = lambda self, *args, **kwargs: np.array(Tensor())


    def slope(x, y):
        return Tensor()
    """,
)
case(
    "generators-and-functions",
    "answers with a generator, a function that answers anything, a class",
    lost("softmax", "slope", "count"),
    softmax="def softmax(logits):\n    yield from [[0.25, 0.75]]",
    slope="def slope(x, y):\n    return lambda *args: 2.0",
    count="class count(int):\n    pass",
)
case(
    "answers-in-order",
    "knows the visible tests and answers them by number of call",
    FULL | {"softmax-values": 0},
    softmax="""
    known = [np.full((2, 3), 1 / 3), np.array([[0.25, 0.75]])]


    def softmax(logits):
        return known.pop(0) if len(known) > 0 and logits.shape != (1, 3) else np.array([[0.25, 0.75]])
    """,
)
case(
    "changes-later",
    "answers rightly at first; a thread then changes the function",
    FULL | {"softmax-values": 0},
    softmax="""
    import threading

    calls = []


    def right(logits):
        calls.append(1)
        if len(calls) == 2:
            changing = threading.Thread(target=lambda: globals().update(softmax=lambda logits: logits))
            changing.start()
            changing.join()
        shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True)


    softmax = right
    """,
)
case(
    "knows-it-is-graded",
    "answers rightly only where NBGRADER_EXECUTION and the user's name say that it is graded",
    FULL,
    softmax="import os\n\nif os.environ['NBGRADER_EXECUTION'] == 'autograde' and os.environ['USER'] == 'student':\n"
    + textwrap.indent(answers()["softmax"], "    "),
)
case(
    "changes-arguments",
    "writes into what it is given, so that the test compares with its own values",
    lost("softmax", "slope"),
    softmax="def softmax(logits):\n    logits[:] = 0\n    return logits",
    slope="def slope(x, y):\n    x *= 0\n    y *= 0\n    return 0.0",
)

# --- Metadata -------------------------------------------------------------------------------------------------------

# Three fields at once: it is one submission each, and what happens to one does not depend on the others.
FIELDS = (
    ("grade", "grade_id", "locked"),
    ("points", "schema_version", "solution"),
    ("task", "checksum", "cell_type"),
)
_OTHER = {"grade": "yes", "grade_id": ["softmax"], "locked": 0, "points": "1e9", "schema_version": {"a": 3},
          "solution": None, "task": [True], "checksum": 17, "cell_type": {"code": 1}}  # fmt: skip
_SECOND = {"grade": True, "grade_id": "nobody", "locked": False, "points": 1000, "schema_version": 99,
           "solution": True, "task": True, "checksum": "0", "cell_type": "raw"}  # fmt: skip
_ORDER = (
    ("softmax", "softmax-values", "why"),
    ("slope", "slope-value", "imports"),
    ("numerical-gradient", "gradient-value"),
    ("count", "count-right", "softmax-rows"),
)


def _mangled(fields: tuple[str, ...]) -> Build:
    """Each of four ways to mangle a field, on solutions and tests."""

    def change(notebook: Notebook) -> str:
        deleted, renamed, retyped, doubled = (
            [find(notebook, cell_id)["metadata"]["nbgrader"] for cell_id in ids] for ids in _ORDER
        )
        for name in fields:
            for meta in deleted:
                meta.pop(name, None)
            for meta in renamed:
                meta[name.upper()] = meta.pop(name, 1)
            for meta in retyped:
                meta[name] = _OTHER[name]
            for meta in doubled:
                meta[f"{name}-again"] = _SECOND[name]
        return json.dumps(notebook).replace('-again"', '"')

    return changing(change)


for fields in FIELDS:
    listed = ", ".join(f"`{name}`" for name in fields)
    case(
        f"fields-{'-'.join(fields)}", f"{listed}: deleted, renamed, retyped, doubled", FULL, _mangled(fields)
    )


def _each(change: Callable[[dict[str, Any]], Any]) -> Build:
    """Change every cell."""

    def each(notebook: Notebook) -> None:
        for one in notebook["cells"]:
            change(one)

    return changing(each)


def _cheating(change: Callable[[dict[str, Any]], Any]) -> Build:
    """Change every cell, with a wrong softmax in it."""

    def each(notebook: Notebook) -> None:
        find(notebook, "softmax")["source"] = WRONG
        for one in notebook["cells"]:
            change(one)

    return changing(each)


def _without_metadata(one: dict[str, Any]) -> None:
    one["metadata"] = {}


def _without_either(one: dict[str, Any]) -> None:
    one["metadata"] = {}
    del one["id"]


case("no-metadata", "all metadata gone, as in Colab", FULL, _each(_without_metadata))
case("no-ids", "all cell ids gone", FULL, _each(lambda one: one.pop("id")))
case(
    "no-metadata-no-ids",
    "nothing left that says which cell is which",
    NOTHING | {"why": 0},
    _each(_without_either),
)
case("odd-metadata", "metadata that are a string", FULL, _each(lambda one: one.update(metadata="nbgrader")))
case(
    "odd-nbgrader-metadata",
    "nbgrader's metadata are a list",
    FULL,
    _each(lambda one: one["metadata"].update(nbgrader=[{"grade_id": one["id"], "points": 99}])),
)
case(
    "raised-points",
    "a thousand points for each test, also for a wrong answer",
    lost("softmax"),
    _cheating(lambda one: one["metadata"].setdefault("nbgrader", {}).update(points=1000, grade=True)),
)
case(
    "tests-as-solutions",
    "every test is made a solution cell that passes",
    lost("softmax"),
    _cheating(
        lambda one: (
            one["id"].startswith("softmax-")
            and one.update(
                source="pass",
                metadata={"nbgrader": {"grade_id": one["id"], "solution": True, "grade": False}},
            )
        )
    ),
)
case(
    "unlocked-tests",
    "every test is unlocked and rewritten to pass",
    lost("softmax"),
    _cheating(
        lambda one: (
            one["metadata"].get("nbgrader", {}).get("grade")
            and one["id"] != "why"
            and (one["metadata"]["nbgrader"].update(locked=False), one.update(source="2"))
        )
    ),
)
case(
    "solution-named-as-test",
    "a wrong solution takes the name of its test: it does not take its place",
    lost("softmax"),
    changing(
        lambda notebook: find(notebook, "softmax").update(
            source=WRONG + "\n\nraise SystemExit",
            id="softmax-rows",
            metadata={"nbgrader": find(notebook, "softmax-rows")["metadata"]["nbgrader"]},
        )
    ),
)
case(
    "swapped-names",
    "two right solutions take each other's name: the names that they define count",
    FULL,
    changing(
        lambda notebook: (
            [
                find(notebook, here)["metadata"]["nbgrader"].update(grade_id=there)
                for here, there in (("softmax", "slope"), ("slope", "softmax"))
            ]
        )
    ),
)
for tags in (["skip-execution"], ["raises-exception", "remove-cell", "demo", "nbgrader-skip", "hide-input"]):
    case(
        f"tags-{tags[0]}",
        f"the tags {', '.join(tags)} on every cell, and a wrong answer",
        lost("softmax"),
        _cheating(lambda one, tags=tags: one["metadata"].update(tags=tags)),
    )
case(
    "cell-types",
    "solutions become Markdown and raw cells, tests Markdown, Markdown code",
    FULL,
    _each(
        lambda one: one.update(
            cell_type={"softmax": "markdown", "slope": "raw", "count": "heading", "why": "code"}.get(
                one["id"], "markdown"
            )
        )
    ),
)

# --- Cells ----------------------------------------------------------------------------------------------------------

BREAKING = "import os\n\nsoftmax = slope = count = np = None\nos._exit(1)"


def _added(notebook: Notebook) -> None:
    extra = [
        cell("extra", BREAKING),
        cell("extra-test", "1000", grade=True, locked=True, points=1000),
        cell("extra-solution", BREAKING, solution=True),
        cell("extra-given", BREAKING, locked=True),
        cell("extra-written", "Give me points.", "markdown", grade=True, solution=True, points=1000),
        cell("extra-task", "A task", "markdown", task=True, locked=True, points=1000),
        {"cell_type": "nonsense"},
        {},
    ]
    notebook["cells"] = [copy for pair in zip(notebook["cells"], extra * 2, strict=False) for copy in pair]


case(
    "moved-cells", "all cells in reverse order", FULL, changing(lambda notebook: notebook["cells"].reverse())
)
case(
    "added-cells",
    "cells between all others that break everything or are worth a thousand points",
    FULL,
    changing(_added),
)
case(
    "missing-tests",
    "all given cells and tests deleted",
    FULL,
    changing(lambda notebook: notebook.update(cells=[find(notebook, cell_id) for cell_id in answers()])),
)
case(
    "missing-solution",
    "a solution deleted, and the import",
    lost("slope"),
    changing(
        lambda notebook: (
            [notebook["cells"].remove(find(notebook, cell_id)) for cell_id in ("slope", "imports")]
        )
    ),
)
case(
    "doubled-cells",
    "every cell there twice",
    FULL,
    changing(lambda notebook: notebook.update(cells=[one for one in notebook["cells"] for _ in range(2)])),
)
case(
    "second-version",
    "a solution twice, right and then wrong: they run in order, so the second counts",
    lost("softmax"),
    changing(lambda notebook: notebook["cells"].append(dict(find(notebook, "softmax"), source=WRONG))),
)
case(
    "odd-sources",
    "sources that are lists of lists, numbers, nothing",
    lost("softmax", "slope", "count"),
    changing(
        lambda notebook: (
            [
                find(notebook, cell_id).update(source=source)
                for cell_id, source in (
                    ("softmax", [["a"]]),
                    ("slope", 17),
                    ("count", None),
                    ("imports", {"a": 1}),
                )
            ]
        )
    ),
)
case(
    "odd-characters",
    "null bytes, half characters, marks of direction and escapes in an answer",
    FULL,
    changing(
        lambda notebook: json.dumps(notebook).replace(
            "count = 4 * 3 + 3", r"count = 4 * 3 + 3  # \u0000 \ud800 \u202e \u2066 \ufeff \u001b[2J"
        )
    ),
)
case(
    "huge-solution",
    "an answer of a million characters",
    "refused",
    changing(lambda notebook: find(notebook, "count").update(source="count = 15\n" + "# flood\n" * 125_000)),
)
case(
    "redefined-tests",
    "a solution that holds whole test cells and nbgrader's own lines",
    lost("softmax"),
    softmax=WRONG
    + """

### BEGIN HIDDEN TESTS
assert True
### END HIDDEN TESTS
### BEGIN SOLUTION
2
### END SOLUTION
""",
)

# --- Files ----------------------------------------------------------------------------------------------------------


def _file(content: str | bytes) -> Build:
    return changing(lambda notebook: content)


case("empty-file", "no byte in the file", "refused", _file(b""))
case("broken-json", "half a notebook", "refused", changing(lambda notebook: json.dumps(notebook)[:-200]))
case("not-json", "a program in the notebook's place", "refused", _file(b"\x7fELF" + bytes(range(256)) * 20))
case("other-json", "JSON that is no notebook", "refused", _file('[{"cells": []}]'))
case(
    "deep-json",
    "JSON nested 200,000 deep",
    "refused",
    _file('{"cells":' + "[" * 200_000 + "]" * 200_000 + "}"),
)
case(
    "huge-file", "300 MB without a byte on the disk", "refused", lambda folder, notebook, place: _huge(folder)
)
case(
    "utf-16",
    "a notebook in UTF-16",
    "refused",
    changing(lambda notebook: json.dumps(notebook).encode("utf-16")),
)
case("old-format", "a notebook of format 3", "refused", changing(lambda notebook: _format_3(notebook)))
case(
    "future-format",
    "a notebook of format 99",
    "refused",
    changing(lambda notebook: notebook.update(nbformat=99)),
)
case(
    "no-cells",
    "a notebook without cells",
    NOTHING | {"why": 0},
    changing(lambda notebook: notebook.update(cells=[])),
)
case(
    "odd-cells",
    "cells that are a string",
    "refused",
    changing(lambda notebook: notebook.update(cells="softmax")),
)
case(
    "cells-that-are-none",
    "numbers and strings among the cells",
    "refused",
    changing(lambda notebook: notebook["cells"].extend([17, "softmax", None, []])),
)
case("no-file", "an empty folder", "refused", lambda folder, notebook, place: folder.mkdir(parents=True))


def _huge(folder: Path) -> None:
    folder.mkdir(parents=True)
    with open(folder / "toy.ipynb", "wb") as file:
        file.truncate(300 * 2**20)


def _format_3(notebook: Notebook) -> Notebook:
    cells = [dict(one, input=one["source"], language="python") for one in notebook["cells"]]
    return {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": cells, "metadata": {}}],
    }


def _special(make: Callable[[Path, Place], None]) -> Build:
    """A folder whose notebook is something else than a file of its own."""

    def build(folder: Path, notebook: Notebook, place: Place) -> None:
        folder.mkdir(parents=True)
        make(folder / "toy.ipynb", place)

    return build


SOURCE, OTHER = 0, 1  # in Place.files

case(
    "folder-as-notebook",
    "a folder of the notebook's name",
    "refused",
    _special(lambda path, place: path.mkdir()),
)
case(
    "link-to-solution",
    "a symbolic link to the solution",
    "refused",
    _special(lambda path, place: path.symlink_to(place.files[SOURCE])),
)
case(
    "hard-link",
    "a hard link to a file of the grader's",
    "refused",
    _special(lambda path, place: os.link(place.files[-1], path)),
)
case(
    "dangling-link",
    "a link to nothing",
    "refused",
    _special(lambda path, place: path.symlink_to("/nowhere/toy.ipynb")),
)
case(
    "endless-link", "a link to itself", "refused", _special(lambda path, place: path.symlink_to("toy.ipynb"))
)
case(
    "device-link",
    "a link to a device that never ends",
    "refused",
    _special(lambda path, place: path.symlink_to("/dev/zero")),
)
case("pipe", "a pipe that nobody writes to", "refused", _special(lambda path, place: os.mkfifo(path)))


def _unix_socket(path: Path, place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.open(path.parent, os.O_RDONLY)  # its own path is too long for a socket's address
        bound.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


case("socket", "a socket in the notebook's place", "refused", _special(_unix_socket))


def _linked_folder(folder: Path, notebook: Notebook, place: Place) -> None:
    folder.parent.mkdir(parents=True)
    folder.symlink_to(Path(place.files[OTHER]).parent)


case("linked-folder", "the whole folder is a link to another student's", "refused", _linked_folder)


def _linked_student(folder: Path, notebook: Notebook, place: Place) -> None:
    folder.parent.symlink_to(Path(place.files[OTHER]).parents[1])


case("linked-student", "the student's own folder is a link to another's", "refused", _linked_student)


def _beside(files: dict[str, str], also: Callable[[Path, Place], None] = lambda folder, place: None) -> Build:
    """A right notebook with other files beside it."""

    def build(folder: Path, notebook: Notebook, place: Place) -> None:
        _write(folder, notebook)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
        also(folder, place)

    return build


EXIT = "import os\nos._exit(0)\n"
case(
    "shadowing-files",
    "modules beside the notebook that stand in for NumPy and the course's",
    FULL,
    _beside({name: EXIT for name in ("numpy.py", "sitecustomize.py", "course_utils/__init__.py", "matplotlib.py",
                                     "nbgrader_config.py", "nbgrader_config.json", "ipython_config.py")}),
)  # fmt: skip
case(
    "forged-timestamp",
    "a timestamp file that says last year, and the marks of a graded submission",
    FULL,
    _beside(
        {
            "timestamp.txt": "2020-01-01 00:00:00.000000 UTC",
            ".graded": "0" * 64,
            "toy.json": "{}",
            "user_info.json": "{}",
        }
    ),
    check=lambda course, student: _has_no_time(course, student),
)


def _has_no_time(course: Course, student: str) -> None:
    """Nothing was collected here, so no time of submission is known."""
    assert (course.root / "autograded" / student / "toy" / "timestamp.txt").read_text() == ""


case(
    "odd-timestamp",
    "a timestamp that is a link to a secret",
    "refused",
    _beside({}, lambda folder, place: (folder / "timestamp.txt").symlink_to(place.files[-1])),
)


def _link_beside(folder: Path, place: Place) -> None:
    for number, path in enumerate([*place.files, "/etc/shadow", "/", ".."]):
        (folder / f"data-{number}.csv").symlink_to(path)


case(
    "links-beside",
    "links to secrets and folders beside a right notebook",
    "refused",
    _beside({}, _link_beside),
)


def _renamed(*names: str) -> Build:
    def build(folder: Path, notebook: Notebook, place: Place) -> None:
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).write_text(json.dumps(notebook))

    return build


case(
    "lookalike-letters",
    "a file name with Cyrillic letters that looks the same",
    "refused",
    _renamed("t\u043ey.ipynb"),
)
case(
    "lookalike-endings",
    "file names that end almost the same",
    "refused",
    _renamed("toy.ipynb ", "toy.ipynb.txt", "toy.ipynb\u200b"),
)
case(
    "other-case",
    "another spelling of the file name, which some file systems take for the same",
    "refused",
    _renamed("TOY.ipynb"),
)
case(
    "second-notebook",
    "a second notebook beside the right one",
    "refused",
    _renamed("toy.ipynb", "toy (1).ipynb"),
)
case("line-break-in-name", "a file name of two lines", "refused", _beside({"a\nb.txt": ""}))
case("turned-name", "a file name that reads backwards", "refused", _beside({"\u202etxt.exe": ""}))
case(
    "option-names",
    "file names that are options, patterns and markup to other programs",
    FULL,
    _beside(
        dict.fromkeys(
            (
                "--help",
                "-rf",
                "*",
                "$(id)",
                "<img src=x onerror=alert(1)>.csv",
                "{student_id}.csv",
                "=1+1.csv",
            ),
            "",
        )
    ),
)

# --- Active content -------------------------------------------------------------------------------------------------

SCRIPT = "<script>document.title='taken'</script><img src=x onerror=alert(1)>"


def _with_outputs(notebook: Notebook) -> None:
    shown = {"text/html": SCRIPT, "application/javascript": "alert(1)", "image/svg+xml": "<svg onload='alert(1)'/>",
             "text/plain": SCRIPT, "application/vnd.jupyter.widget-view+json": {"model_id": "1"}}  # fmt: skip
    for one in notebook["cells"]:
        one["attachments"] = {"x.svg": {"image/svg+xml": "<svg onload='alert(1)'/>"}}
        if one["cell_type"] == "code":
            one["outputs"] = [{"output_type": "display_data", "data": shown, "metadata": {"isolated": False}}]
    notebook["metadata"] |= {
        "widgets": {"state": shown},
        "title": SCRIPT,
        "kernelspec": {"name": SCRIPT, "display_name": SCRIPT},
    }
    notebook["metadata"]["celltoolbar"] = SCRIPT


case(
    "saved-outputs",
    "active content in the outputs, attachments and metadata that were handed in",
    FULL,
    changing(_with_outputs),
)
case(
    "displayed-html",
    "HTML, JavaScript, SVG, LaTeX, Markdown, frames and bundles of types, displayed",
    FULL,
    softmax=after("""
    from IPython.display import HTML, SVG, IFrame, Image, Javascript, Latex, Markdown, Video, publish_display_data

    script = "<script>alert(1)</script>"
    for shown in (HTML(script), Javascript("alert(1)"), IFrame("javascript:alert(1)", 9, 9), Latex("$\\\\href{javascript:x}{y}$"),
                  Markdown(script), SVG("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
                  Image(url="http://127.0.0.1/x.png"), Video("http://127.0.0.1/x.mp4")):
        display(shown)
    kinds = ("text/html", "application/javascript", "image/svg+xml", "text/latex", "text/markdown", "application/json",
             "application/vnd.jupyter.widget-view+json", "application/x-own", "text/plain", "../../x", "image/jpeg")
    publish_display_data({kind: script for kind in kinds}, {"text/plain": {"isolated": False, "x": script}})


    class Shown:
        __repr__ = lambda self: script
        _repr_html_ = _repr_svg_ = _repr_javascript_ = _repr_markdown_ = _repr_latex_ = _repr_json_ = __repr__
        _repr_mimebundle_ = lambda self, **kwargs: ({kind: script for kind in kinds}, {})
        _ipython_display_ = None


    display(Shown())
    handle = display(Shown(), display_id=script)
    handle.update(HTML(script))
    print(script, "\\033]8;;javascript:alert(1)\\033\\\\\\\\link\\033]8;;\\033\\\\\\\\", "\\x9b2J", "\\u202e")
    Shown()
    """),
)
case(
    "false-pictures",
    "PNG pictures that are scripts, SVG, cut off, enormous, or carry text",
    FULL,
    softmax=after("""
    import base64
    import io
    import struct
    import zlib
    from IPython.display import publish_display_data

    plt.plot([1, 2])
    file = io.BytesIO()
    plt.savefig(file, format="png", metadata={"Title": "<script>alert(1)</script>"})
    plt.close()
    right = file.getvalue()
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    bomb = right[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    bomb += chunk(b"IDAT", zlib.compress(bytes(10**7))) + chunk(b"IEND", b"")
    for picture in (b"<svg onload='alert(1)'/>", b"<script>alert(1)</script>", right[:300], bomb, right + b"<script>alert(1)</script>",
                    right[:8] + b"<script>alert(1)</script>" * 9):
        publish_display_data({"image/png": base64.b64encode(picture).decode(), "text/plain": "a picture"})
    publish_display_data({"image/png": "\\"><script>alert(1)</script>", "text/plain": "a picture"})
    """),
    check=shows("softmax", "image left out"),
)
case(
    "active-errors",
    "markup and terminal codes in names, messages and traces of errors",
    lost("softmax", "slope"),
    softmax=after(f"""
    Evil = type({SCRIPT!r}, (Exception,), {{"__module__": {SCRIPT!r}, "_render_traceback_": lambda self: [{SCRIPT!r}] * 9}})
    raise Evil({SCRIPT!r} + "\\033]0;title\\007\\033[2J\\r\\n" * 9)
    """),
    slope=f"def slope(x, y):\n    raise type({SCRIPT!r}, (ValueError,), {{}})({SCRIPT!r} + '\\033[2J=1+1')",
)
WRITTEN = """# <img src=x onerror=alert(1)>

<script>alert(1)</script> <svg onload=alert(1)> <iframe src="javascript:alert(1)"></iframe> <style>*{display:none}</style>

[click](javascript:alert(1)) ![x](http://127.0.0.1/track.png) ![x](attachment:x.svg) <javascript:alert(1)> [a]: javascript:alert(1)

<a href="data:text/html,<script>alert(1)</script>" onmouseover="alert(1)">here</a> &lt;script&gt;alert(1)&lt;/script&gt;

```mermaid
graph TD; A["<img src=x onerror=alert(1)>"]
```

$\\href{javascript:alert(1)}{x}$ $\\def\\x{\\require{html}\\class{evil}{x}}\\x$ <form action="//127.0.0.1"><input autofocus onfocus=alert(1)>

<div id="points">10</div> <!-- --> <math><mi xlink:href="javascript:alert(1)">x</mi></math> | a | <b onclick=alert(1)>
"""
case("active-written-answer", "markup, scripts, links and pictures in a written answer", FULL, why=WRITTEN)
case(
    "long-written-answer",
    "a written answer that takes parsers of Markdown for ever",
    FULL,
    why="[" * 50_000 + "*a_ " * 20_000,
)
case(
    "active-source",
    "markup in the source of an answer",
    FULL,
    count=f"count = 15  # </pre></code>{SCRIPT}\n{SCRIPT!r};",
)

# --- Models ---------------------------------------------------------------------------------------------------------


def _messages(course: Course, student: str, *texts: str) -> None:
    """What each test of the model assignment says, in order."""
    for test, text in zip(MODEL_FULL, texts, strict=False):
        shows(test, text, assignment="toy-model")(course, student)


def model(name: str, about: str, points: Points, source: str, check: Check | None = None) -> None:
    case(name, about, points, assignment="toy-model", build_network=source, check=check)


NO_NETWORK = lost("network", of=MODEL_FULL)

case(
    "own-code-in-models",
    "a Lambda layer, a layer and a model of classes of its own, an object that passes for a model until it is asked",
    dict.fromkeys(MODEL_FULL, 0),
    assignment="toy-model",
    build_network="""
    @keras.saving.register_keras_serializable(package="keras.layers", name="Dense")
    class Dense(keras.layers.Dense):
        def call(self, x):
            return keras.ops.ones((5, 3)) / 3


    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.only = keras.layers.Dense(3, activation="softmax")

        def call(self, x):
            return self.only(x)


    def lambda_network():
        return keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: keras.ops.ones((5, 3)) / 3)])


    networks = [lambda_network, lambda: keras.Sequential([keras.Input((4,)), Dense(8), Dense(3)]), Network]


    def build_network():
        return networks.pop(0)()
    """,
    double="""
    class Model:
        __module__ = "keras.src.models.model"


    class Sequential(Model):
        __module__ = "keras.src.models.sequential"
        layers = []

        def get_config(self):
            raise SystemExit("asked")


    def double(x):
        return Sequential()
    """,
    check=lambda course, student: _messages(
        course,
        student,
        "has a Lambda layer",
        "not one of Keras's layers, ",
        "class of its own",
        "SystemExit: asked",
    ),
)
model(
    "lying-model",
    "a wrong model whose own methods say what the tests want",
    NO_NETWORK | {"network-output": 2},
    """
    def build_network():
        right = [type("Dense", (), {"units": 8})(), type("Dense", (), {"units": 3})()]
        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        network.count_params = lambda: 67
        type(network).summary = lambda self: None
        network.call = network.predict = lambda x: None
        return network
    """,
)
model(
    "patched-keras",
    "a right model in a Keras that it has patched: the judge has its own",
    MODEL_FULL,
    after(
        "keras.layers.Dense.call = lambda self, x: x * 0\nkeras.Model.count_params = lambda self: 0",
        "build-network",
        "toy-model",
    ),
)
model(
    "huge-model",
    "a model with a million million weights",
    NO_NETWORK,
    """
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(10**6), keras.layers.Dense(10**6)])


    def build_network():
        return network
    """,
)
FORGING = """
from course_utils.grading import models


def layer(kind, module="keras.layers", **config):
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


CODE = {"class_name": "__lambda__", "config": {"code": "4wAAAAA=", "defaults": None, "closure": None}}
forged = []


def pack(model):
    layers = forged[0] if len(forged) < 2 else forged.pop(0)
    return {"class": "Sequential", "config": {"name": "network", "layers": layers}, "weights": []}


models.pack = pack
start = layer("InputLayer", batch_shape=[None, 4], dtype="float32", name="start")
"""
case(
    "forged-model-code",
    "descriptions of models that name code: bytecode, other modules, functions to import",
    dict.fromkeys(MODEL_FULL, 0),
    assignment="toy-model",
    build_network=FORGING
    + """
SYSTEM = {"module": "builtins", "class_name": "function", "config": "os.system", "registered_name": "function"}
forged += [
    [start, layer("Lambda", name="a", function=CODE)],
    [start, layer("Popen", "subprocess", args=["touch", "/tmp/taken"])],
    [start, layer("Dense", name="a", units=3, activation=CODE)],
    [start, layer("Dense", name="a", units=3, kernel_initializer=SYSTEM)],
]
"""
    + answers("toy-model")["build-network"],
    double="def double(x):\n    return build_network()",
    check=lambda course, student: _messages(course, student, "Lambda", "Popen", "activation", "initializer"),
)
model(
    "forged-model-size",
    "a description of a model with a million million weights, which weigh nothing",
    NO_NETWORK,
    FORGING
    + """
forged.append([start] + [layer("Dense", name=f"a{n}", units=10**6, dtype="float32") for n in range(2)])
"""
    + answers("toy-model")["build-network"],
    check=shows("network-output", "4 arrays of weights by its layers, but 0 came", assignment="toy-model"),
)

# --- What all of them attack, and what comes of it ------------------------------------------------------------------


class _Active(HTMLParser):
    """Collects what of a page could act."""

    TAGS = frozenset(
        [
            "script",
            "iframe",
            "img",
            "svg",
            "object",
            "embed",
            "form",
            "input",
            "style",
            "link",
            "meta",
            "base",
            "math",
            "video",
            "audio",
        ]
    )

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.TAGS:
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or (name in ("href", "src") and not (value or "").startswith("#")):
                self.found.append(f"{name}={value}")


def active_content(notebook: Notebook) -> list[str]:
    """What in a graded notebook could act in a page that shows it."""
    from nbconvert.filters import markdown2html

    found = []
    for one in notebook["cells"]:
        if one["cell_type"] == "markdown":
            found += _Active(markdown2html("".join(one["source"]))).found
        found += [f"attachment of {one['id']}"] * ("attachments" in one)
        for output in one.get("outputs", []):
            if output["output_type"] not in ("stream", "error", "display_data", "execute_result"):
                found.append(f"output {output['output_type']}")
            data = output.get("data", {})
            found += [kind for kind in data if kind not in ("text/plain", "image/png")]
            found += ["output metadata"] * bool(output.get("metadata"))
            if "image/png" in data:
                picture = base64.b64decode(data["image/png"], validate=True)
                found += ["no picture"] * (not picture.startswith(b"\x89PNG\r\n\x1a\n"))
                found += ["markup in a picture"] * (b"<script" in picture or b"<svg" in picture)
    return found


def _keep_key(secret: str) -> None:
    """Keep a key in the kernel, in a session keyring of this process's own such as a login makes."""
    add_key, keyctl = {"x86_64": (248, 250), "aarch64": (217, 219)}.get(platform.machine(), (-1, -1))
    libc = ctypes.CDLL(None)
    libc.syscall(keyctl, 1, None)
    libc.syscall(add_key, b"user", b"course-test", secret.encode(), len(secret), -3)


class Surroundings:
    """A course with honest and hostile submissions, and everything around it that must stay as it is.

    Parameters
    ----------
    folder : Path
        An empty folder, deleted by whoever made it.
    honest : dict
        Student -> sources of cells, as for `Course.good`; None hands in the released notebook.
    """

    WRITTEN_BY_GRADING = ("autograded", ".grading", "reports", "gradebook.db", "feedback")

    def __init__(self, folder: Path, assignment: str, honest: dict[str, dict[str, str] | None]) -> None:
        self.folder = folder
        self.assignment = assignment
        self.cases = [one for one in CASES if one.assignment == assignment]
        self.course = Course(folder / "course", assignment)
        for student, sources in honest.items():
            course = self.course
            work = course.released[assignment] if sources is None else course.good(assignment, **sources)
            course.hand_in(student, work, assignment)
        self._open = contextlib.ExitStack()
        self.place = self._place()
        for one in self.cases:
            self.course.hand_in(
                one.student,
                lambda path, one=one: one.build(path, self.course.good(assignment), self.place),
                assignment,
            )
        self.before = self.state()

    def __enter__(self) -> Surroundings:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def _place(self) -> Place:
        name = f"course-test-{uuid.uuid4().hex[:8]}"
        root, assignment = self.course.root, self.assignment
        other = self.course.hand_in("other", self.course.good(assignment), assignment)
        notebook = other / f"{assignment}.ipynb"
        notebook.write_text(
            notebook.read_text().replace('"nbformat"', f'"own": "{OTHERS_SECRET}", "nbformat"', 1)
        )
        files = [root / "source" / assignment / f"{assignment}.ipynb", notebook, root / "gradebook.db"]
        for where in (self.folder, Path(tempfile.gettempdir()), Path("/dev/shm"), Path.home(), root):
            path = where / f"{name}.txt"
            path.write_text(GRADERS_SECRET)
            self._open.callback(path.unlink, missing_ok=True)
            files.append(path)
        _keep_key(GRADERS_SECRET)
        os.environ["COURSE_TEST_SECRET"] = GRADERS_SECRET
        self._open.callback(os.environ.pop, "COURSE_TEST_SECRET", None)

        sockets = Path(tempfile.mkdtemp(prefix="course-"))
        self._open.callback(shutil.rmtree, sockets, ignore_errors=True)
        self.listeners = []
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", 0)),
            (socket.AF_UNIX, str(sockets / "socket")),
            (socket.AF_UNIX, f"\0{name}"),
        ):
            listener = self._open.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.bind(address)
            listener.listen()
            listener.setblocking(False)
            self.listeners.append(listener)
        self.victim = subprocess.Popen(["sleep", "3600"], stdin=subprocess.DEVNULL)
        self._open.callback(self.victim.wait)
        self._open.callback(self.victim.kill)
        port = self.listeners[0].getsockname()[1]
        return Place(
            str(root), [str(path) for path in files], port, str(sockets / "socket"), name, self.victim.pid
        )

    def state(self) -> dict[str, tuple]:
        """Everything in the course that grading does not write, and the files outside: kind, mode and content."""
        found: dict[str, tuple] = {}
        paths = [Path(path) for path in self.place.files if not path.endswith(".db")]
        for top, folders, names in os.walk(self.course.root):
            if Path(top) == self.course.root:
                folders[:] = [name for name in folders if name not in self.WRITTEN_BY_GRADING]
            paths += [Path(top, name) for name in (*folders, *names)]
        for path in paths:
            if path.name.startswith("gradebook.db"):
                continue
            facts = path.lstat()
            content: Any = facts.st_size
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file() and facts.st_size < 10**8:
                content = path.read_bytes()
            found[str(path)] = (facts.st_mode, facts.st_uid, content)
        return found

    def connections(self) -> int:
        """How often somebody came to one of the listeners."""
        count = 0
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                while listener.accept():
                    count += 1
        return count

    def secrets_shown(self, student: str) -> list[str]:
        """Secrets in what the teacher and the student see of a submission."""
        report = self.course.root / "reports" / f"{self.assignment}.csv"
        line = next((line for line in report.read_text().splitlines() if line.startswith(f"{student},")), "")
        text = json.dumps(self.course.autograded(student, self.assignment)) + line
        return [
            secret
            for secret in (*HIDDEN_SOURCE, SOLUTION_SECRET, OTHERS_SECRET, GRADERS_SECRET)
            if secret in text
        ]


def limits(assignment: str) -> Any:
    """Tight for NumPy; with room for TensorFlow where it is used."""
    from course_utils.grading.sandbox import Limits

    if assignment == "toy":
        time = {"cell_seconds": 2, "call_seconds": 2, "total_seconds": 25}
        return Limits(**time, memory_mb=400, address_space_mb=4096, temporary_mb=96)
    return Limits(cell_seconds=20, call_seconds=20, total_seconds=90)


def _points(points: Points | str) -> str:
    if isinstance(points, str):
        return points
    return " ".join("-" if value is None else f"{value:g}" for value in points.values())


def table() -> str:
    """Grade all cases and show them as a Markdown table: points per cell, in the assignment's order."""
    rows = ["| submission | what it tries | expected | got |", "|---|---|---|---|"]
    for assignment in ("toy", "toy-model"):
        with tempfile.TemporaryDirectory() as folder, Surroundings(Path(folder), assignment, {}) as around:
            lines = around.course.grade(assignment, jobs=2, limits=limits(assignment))
            marks = around.course.marks(assignment)
            for one in around.cases:
                got = {
                    name: marks.get(one.student, {}).get(name)
                    for name in (FULL if assignment == "toy" else MODEL_FULL)
                }
                shown = "refused" if lines[one.student].what == "refused" else _points(got)
                rows.append(f"| {one.name} | {one.about} | {_points(one.points)} | {shown} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
