"""What a process in the sandbox finds around it, and what the teacher hears where there is none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from course_utils.grading import sandbox
from course_utils.grading.errors import GradingError
from course_utils.grading.sandbox import Limits, Process
from tests.grading.toy import needs_sandbox  # noqa: F401

PROBE = """
import json, os, socket, sys

def attempt(action):
    try:
        return repr(action())
    except BaseException as error:
        return type(error).__name__

def write(path):
    with open(path, "w") as file:
        file.write("x")

found = {
    "environment": dict(os.environ),
    "secret": attempt(lambda: open(%(secret)r).read()),
    "home": attempt(lambda: os.listdir(%(home)r)),
    "course": attempt(lambda: os.listdir(%(course)r)),
    "root": sorted(os.listdir("/")),
    "write": {path: attempt(lambda: write(path)) for path in ("/x", "/usr/x", "/dev/x", "/proc/x", "/tmp/work/x")},
    "network": attempt(lambda: socket.create_connection(("127.0.0.1", %(port)d), 1)),
    "processes": [name for name in os.listdir("/proc") if name.isdigit()],
    "capabilities": [line for line in open("/proc/self/status") if line.startswith("CapEff")],
    "descriptors": len(os.listdir("/proc/self/fd")),
    "mount": attempt(lambda: os.system("mount -t tmpfs none /tmp/work 2>/dev/null")),
}
print(json.dumps(found))
"""


def inside(code: str, hidden=()) -> str:
    """What Python prints that runs ``code`` in the sandbox."""
    own_users, no_more_users = sandbox._how()
    argv = [sys.executable, "-s", "-P", "-c", code]
    command = sandbox._command(argv, hidden, Limits(), own_users=own_users, no_more_users=no_more_users)
    return subprocess.run(command, env={}, capture_output=True, text=True, check=True).stdout


@pytest.mark.usefixtures("needs_sandbox")
def test_inside_there_is_python_and_nothing_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "tell nobody")
    secret = tmp_path / "secret"
    secret.write_text("tell nobody")
    course = Path(sandbox.__file__).resolve().parents[2]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        values = {"secret": str(secret), "home": str(Path.home()), "course": str(course / "tests"),
                  "port": listener.getsockname()[1]}  # fmt: skip
        found = json.loads(inside(PROBE % values))
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert "SECRET_TOKEN" not in found["environment"]
    assert found["environment"].keys() <= sandbox.environment().keys() | {"PWD", "LC_CTYPE"}
    assert found["secret"] == "FileNotFoundError"
    assert found["course"] == "FileNotFoundError"
    assert not {"home", "mnt", "srv", "var", "opt", "boot"} & (set(found["root"]) - {Path.home().parts[1]})
    assert found["network"] in ("ConnectionRefusedError", "OSError")
    assert len(found["processes"]) <= 3
    assert found["capabilities"] == ["CapEff:\t0000000000000000\n"]
    assert found["mount"] != "0"
    assert found["write"].pop("/tmp/work/x") == "None"
    assert set(found["write"].values()) <= {"OSError", "PermissionError", "FileNotFoundError"}


@pytest.mark.usefixtures("needs_sandbox")
def test_a_home_folder_that_holds_python_shows_only_python():
    listed = json.loads(
        inside(
            f"import json, os; print(json.dumps(os.listdir({str(Path.home())!r}) if os.path.isdir({str(Path.home())!r}) else []))"
        )
    )
    assert set(listed) <= {".pyenv", ".local", ".venv", "miniconda3", "anaconda3"}


@pytest.mark.usefixtures("needs_sandbox")
def test_a_hidden_folder_is_empty_even_below_the_system():
    library = Path(os.__file__).parent
    assert (
        json.loads(inside(f"import json, os; print(json.dumps(os.listdir({str(library / 'json')!r})))")) != []
    )
    seen = inside(f"import os; print(os.listdir({str(library / 'idlelib')!r}))", hidden=[library / "idlelib"])
    assert seen.strip() == "[]"


@pytest.mark.usefixtures("needs_sandbox")
def test_it_ends_with_whoever_started_it(tmp_path):
    code = textwrap.dedent("""
        import os, sys, time
        from course_utils.grading.sandbox import Limits, Process
        process = Process("course_utils.grading.student", {"preload": []}, Limits())
        print(process._process.pid, flush=True)
        time.sleep(60)
    """)
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    sandboxed = psutil.Process(int(starter.stdout.readline()))
    starter.kill()
    starter.wait()
    _, alive = psutil.wait_procs([sandboxed], timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_without_bubblewrap_grading_says_why_and_how_to_install_it(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    sandbox._how.cache_clear()
    with pytest.raises(GradingError, match=r"not on this machine.*apt install bubblewrap.*--without-sandbox"):
        sandbox.check()
    sandbox._how.cache_clear()


def test_a_bubblewrap_that_does_not_work_is_told_with_its_own_words(monkeypatch, tmp_path):
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: str(fake))
    sandbox._how.cache_clear()
    with pytest.raises(GradingError, match="No permissions to create new namespace"):
        sandbox.check()
    sandbox._how.cache_clear()


@pytest.mark.parametrize("version", [1, 2])
def test_control_groups_get_their_limits_where_they_can_be_made(monkeypatch, tmp_path, version):
    if version == 2:
        (tmp_path / "cgroup.controllers").touch()
        expected = {"memory.max": str(512 * 2**20), "pids.max": "80"}
    else:
        (tmp_path / "memory").mkdir()
        (tmp_path / "pids").mkdir()
        expected = {"memory.limit_in_bytes": str(512 * 2**20), "pids.max": "80"}
    monkeypatch.setattr(sandbox, "_CGROUPS", tmp_path)
    made = Path.mkdir

    def mkdir(self, *args, **more):  # the kernel puts its files into a new group
        made(self, *args, **more)
        for name in expected:
            (self / name).touch()

    monkeypatch.setattr(Path, "mkdir", mkdir)
    group = sandbox._ControlGroup(Limits(memory_mb=512, processes=10))
    written = {
        file.name: file.read_text()
        for folder in group.folders
        for file in folder.iterdir()
        if file.read_text()
    }
    assert written == expected
    command = group.enter(["true"])
    assert command[-1] == "true"
    assert all(f"{folder}/cgroup.procs" in command[2] for folder in group.folders)


def test_where_no_group_can_be_made_the_command_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "_CGROUPS", tmp_path / "nothing")
    assert sandbox._ControlGroup(Limits()).enter(["true"]) == ["true"]


@pytest.mark.usefixtures("needs_sandbox")
def test_killing_ends_every_process_inside():
    process = Process("course_utils.grading.student", {"preload": []}, Limits())
    time.sleep(0.3)
    tree = psutil.Process(process._process.pid).children(recursive=True)
    assert tree
    process.kill()
    _, alive = psutil.wait_procs(tree, timeout=10)
    assert alive == []
    process.kill()
