"""course.py: one sentence for what it cannot do, one install, and an immediate start ever after."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FAKE_UV = """#!/bin/sh
echo "uv $*" >> "$FAKE_LOG"
for last; do :; done
case "$1" in
venv) exec "{python}" -m venv --without-pip "$last" ;;
pip)
    [ -e "$FAKE_FAIL" ] && exit 2
    [ -e "$FAKE_KILL" ] && {{ rm "$FAKE_KILL"; kill -9 $PPID; exit 137; }}
    while [ "$1" != --python ]; do shift; done
    site=$("$2" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
    mkdir -p "$site/course_utils"
    : > "$site/course_utils/__init__.py"
    echo 'import os, sys; print("ARGS", sys.argv[1:], "CWD", os.getcwd(), "PREFIX", sys.prefix)' \
        > "$site/course_utils/cli.py"
    ;;
esac
"""


@pytest.fixture
def course(tmp_path):
    """A copy of the bootstrap in a folder with spaces, with a stand-in for uv that needs no network."""
    if os.name == "nt":
        pytest.skip("the stand-in for uv is a shell script")
    folder = tmp_path / "my course (été)"
    folder.mkdir()
    for name in ("course.py", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    tools = tmp_path / "tools"
    tools.mkdir()
    uv = tools / "uv"
    uv.write_text(FAKE_UV.format(python=sys.executable))
    uv.chmod(0o755)

    class Course:
        path, log, fail, kill = folder, tmp_path / "log", tmp_path / "fail", tmp_path / "kill"

        def run(self, *arguments, cwd=None, **more):
            env = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "FAKE_LOG": str(self.log),
                   "FAKE_FAIL": str(self.fail), "FAKE_KILL": str(self.kill), **more}  # fmt: skip
            return subprocess.run([sys.executable, str(self.path / "course.py"), *arguments], cwd=cwd or tmp_path,
                                  env=env, capture_output=True, text=True)  # fmt: skip

        def installs(self):
            return self.log.read_text().count("uv pip") if self.log.exists() else 0

    return Course()


def test_installs_once_then_hands_over_at_once(course, tmp_path):
    first = course.run("run", "01", "--fresh")
    assert first.returncode == 0, first.stderr
    assert "Installing the course" in first.stdout
    assert "ARGS ['run', '01', '--fresh']" in first.stdout
    assert f"PREFIX {course.path / '.venv'}" in first.stdout
    second = course.run("progress", cwd="/")
    assert "Installing" not in second.stdout and "CWD /" in second.stdout
    assert course.installs() == 1


def test_constraints_and_extra_are_passed(course):
    course.run("progress")
    log = course.log.read_text()
    assert "--compile-bytecode" in log
    assert f"-c {course.path / 'requirements.txt'}" in log
    assert f"-e {course.path}[all]" in log


def test_a_changed_lock_or_a_moved_folder_installs_again(course):
    course.run("progress")
    with (course.path / "requirements.txt").open("a") as file:
        file.write("# changed\n")
    assert course.run("progress").returncode == 0
    assert course.installs() == 2
    moved = course.path.with_name("moved course")
    course.path.rename(moved)
    type(course).path = moved
    assert course.run("progress").returncode == 0
    assert course.installs() == 3


def test_an_interrupted_install_goes_on(course):
    course.kill.touch()
    assert course.run("progress").returncode != 0
    assert not (course.path / ".venv" / "course-install.json").exists()
    again = course.run("progress")
    assert again.returncode == 0 and "ARGS ['progress']" in again.stdout


def test_a_broken_environment_is_made_anew(course):
    course.run("progress")
    python = course.path / ".venv" / "bin" / "python"
    python.unlink()
    assert course.run("progress").returncode == 0
    assert python.exists()


def test_active_environments_do_not_interfere(course, tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('the caller’s PYTHONPATH was used')")
    done = course.run(
        "progress",
        VIRTUAL_ENV="/nowhere",
        CONDA_PREFIX="/nowhere",
        PYTHONPATH="",
        PIP_USER="1",
        PIP_TARGET="/nowhere",
    )
    assert done.returncode == 0, done.stderr
    assert f"PREFIX {course.path / '.venv'}" in done.stdout


def test_backends_are_added_to_the_same_environment(course):
    done = course.run("backends")
    assert done.returncode == 0, done.stderr
    assert "takes about 5 GB" in done.stdout and "ARGS" not in done.stdout
    log = course.log.read_text()
    assert f"-e {course.path}[all,backends]" in log and course.installs() == 2
    course.fail.touch()
    failed = course.run("backends")
    assert failed.returncode == 1 and "did not finish" in failed.stderr
    course.fail.unlink()
    assert course.run("doctor").returncode == 0 and course.installs() == 3  # the first install still counts


def test_a_failed_install_is_one_sentence(course):
    course.fail.touch()
    done = course.run("lab", PIP_NO_INDEX="1", PIP_FIND_LINKS="/nowhere")
    assert done.returncode == 1
    assert "run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (course.path / ".venv" / "course-install.json").exists()


def test_help_needs_no_install(course):
    done = course.run("--help")
    assert done.returncode == 0 and "python course.py COMMAND" in done.stdout
    assert not (course.path / ".venv").exists()


@pytest.fixture
def module():
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "course.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("version", [(3, 10), (3, 14), (2, 7)])
def test_another_python_is_one_sentence(module, monkeypatch, capsys, version):
    monkeypatch.setattr(module.sys, "version_info", (*version, 0))
    assert module.main(["lab"]) == 1
    told = capsys.readouterr().err
    assert f"this is Python {version[0]}.{version[1]}" in told and told.count("\n") == 1


def test_a_full_disk_is_said_before_the_install(module, monkeypatch, capsys, tmp_path):
    for name, value in (
        ("ROOT", str(tmp_path)),
        ("VENV", str(tmp_path / ".venv")),
        ("STAMP", str(tmp_path / "s")),
    ):
        monkeypatch.setattr(module, name, value)
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setattr(module, "free_gb", lambda: 0.5)
    assert module.main(["lab"]) == 1
    assert "make room" in capsys.readouterr().err
    assert not (tmp_path / ".venv").exists()


def test_a_read_only_folder_is_one_sentence(module, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(module, "STAMP", str(tmp_path / "missing"))
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)
    assert module.main(["lab"]) == 1
    assert "cannot be written to" in capsys.readouterr().err


def test_the_file_parses_on_old_pythons():
    """A Python that is too old must be able to read the file: no syntax newer than 3.0."""
    import ast

    tree = ast.parse((ROOT / "course.py").read_text(encoding="utf-8"), feature_version=(3, 4))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    assert not [
        n for n in ast.walk(tree) if isinstance(n, ast.Call) and any(k.arg == "flush" for k in n.keywords)
    ]


def test_stamp_is_written_whole(module):
    assert set(module.wanted_stamp()) == {"root", "sources"}
    assert json.dumps(module.wanted_stamp())
