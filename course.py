#!/usr/bin/env python3
"""Start the course: makes an environment in .venv, installs the course there, and runs a `course` command.

    python course.py lab      open the course in JupyterLab
    python course.py test     run the course's tests
    python course.py --help   all commands

Standard library only. The syntax is kept old on purpose: a Python that is too old must still be able to
read this file and say so in one sentence.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys

OLDEST, NEWEST = (3, 11), (3, 13)
ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "course-install.json")
NEEDED_GB = 4.0
STEERING = (  # variables by which the caller's environment would lead Python, pip or uv away from .venv
    "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "__PYVENV_LAUNCHER__",
    "PIP_TARGET", "PIP_PREFIX", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON",
)  # fmt: skip

HELP = """usage: python course.py COMMAND [options]

  lab [LESSON]     open the course in JupyterLab, at lesson 00 or at LESSON
  run [LESSON ..]  run lessons and report time, memory and results
  book             build the web book into book/_build/html
  test [ARGS ..]   run the tests (ARGS go to pytest)
  grade PS         mark what was handed in for an assignment; also: collect, export, teach
  doctor           look at this machine and say what to repair
  progress         show which exercises and quizzes you have done
  backends         add PyTorch and JAX, which lesson 11 compares with TensorFlow

The first command installs the course into .venv (about 2.5 GB); later ones start at once.
`python course.py COMMAND --help` says more about one command.
"""


class Stop(Exception):
    """Something the user has to settle; the message is the whole story."""


def check_python():
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST:
        raise Stop(
            "The course needs Python 3.11, 3.12 or 3.13, and this is Python {}.{}: "
            "install one of those and start again with it, for example `python3.12 course.py lab`.".format(
                *version
            )
        )


def venv_python():
    if os.name == "nt":
        return os.path.join(VENV, "Scripts", "python.exe")
    return os.path.join(VENV, "bin", "python")


def clean_environment():
    """The caller's environment without what would steer Python or pip away from .venv."""
    env = dict(os.environ)
    for name in STEERING:
        env.pop(name, None)
    env["PIP_USER"] = "0"
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return env


def wanted_stamp():
    """What the install must have been made from for it to be reused."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "requirements.txt"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return {"root": ROOT, "sources": digest.hexdigest()}


def installed_stamp():
    try:
        with open(STAMP, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def works(python):
    """Whether this interpreter starts and is of a version the course runs on."""
    code = "import sys; sys.exit(not {!r} <= sys.version_info[:2] <= {!r})".format(OLDEST, NEWEST)
    try:
        return subprocess.call([python, "-c", code], env=clean_environment(), stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def run(command):
    return subprocess.call(command, env=clean_environment(), cwd=ROOT)


def free_gb():
    return shutil.disk_usage(ROOT).free / 1e9


def make_venv(uv):
    if os.path.islink(VENV) or os.path.isfile(VENV):
        raise Stop(
            "There is a file or link named .venv in the course's folder: move it away and start again."
        )
    if os.path.isdir(VENV):
        shutil.rmtree(VENV)
    commands = [[sys.executable, "-m", "venv", VENV]]
    if uv:
        commands.insert(0, [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, VENV])
    for command in commands:
        if run(command) == 0 and works(venv_python()):
            return
    raise Stop(
        "Python could not make a virtual environment in {}: on Debian and Ubuntu install the package "
        "`python3-venv`, and see that the folder may be written to.".format(VENV)
    )


def install(uv, extras="all"):
    python = venv_python()
    wanted = ["-c", os.path.join(ROOT, "requirements.txt"), "-e", "{}[{}]".format(ROOT, extras)]
    commands = []
    if uv:
        commands.append([uv, "pip", "install", "--python", python, "--compile-bytecode"] + wanted)
    commands.append([python, "-m", "pip", "install"] + wanted)
    for command in commands:
        if command[0] == python and subprocess.call(
            [python, "-m", "pip", "--version"], env=clean_environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ):  # fmt: skip
            if run([python, "-m", "ensurepip", "--upgrade"]):
                break
        if run(command) == 0:
            return
    raise Stop(
        "The installation did not finish (the lines above say why; a missing network and a full disk are the usual "
        "causes, {:.1f} GB are free): run the same command again, it goes on where it stopped.".format(
            free_gb()
        )
    )


def prepare():
    """Make sure that .venv holds this course; say what is being done only when there is something to do."""
    wanted = wanted_stamp()
    if installed_stamp() == wanted and os.path.exists(venv_python()):
        return
    if not os.access(ROOT, os.W_OK):
        raise Stop(
            "The course's folder {} cannot be written to: copy it to a folder of your own.".format(ROOT)
        )
    uv = shutil.which("uv")
    fresh = not works(venv_python())
    if fresh and free_gb() < NEEDED_GB:
        raise Stop(
            "The installation needs {:.0f} GB of free disk and {:.1f} GB are free: make room and start again.".format(
                NEEDED_GB, free_gb()
            )
        )
    print("Installing the course into .venv with {} (once; about 2.5 GB) ...".format("uv" if uv else "pip"))
    sys.stdout.flush()
    if os.path.exists(STAMP):
        os.remove(STAMP)
    if fresh:
        make_venv(uv)
    install(uv)
    part = STAMP + ".part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump(wanted, file)
    os.replace(part, STAMP)


def add_backends():
    print(
        "Adding PyTorch and JAX to .venv. On Linux the PyTorch that comes this way is built for graphics cards and "
        "takes about 5 GB; a smaller one that is in .venv already is kept."
    )
    sys.stdout.flush()
    install(shutil.which("uv"), "all,backends")
    print("PyTorch and JAX are there: `python course.py lab 11` opens the lesson that uses them.")


def hand_over(arguments):
    command = [venv_python(), "-m", "course_utils.cli"] + arguments
    env = clean_environment()
    env["VIRTUAL_ENV"] = VENV
    env["PATH"] = os.path.dirname(venv_python()) + os.pathsep + env.get("PATH", "")
    if os.name == "nt":
        try:
            return subprocess.call(command, env=env)
        except KeyboardInterrupt:
            return 130
    os.execve(command[0], command, env)


def main(arguments):
    try:
        check_python()
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            print(HELP)
            return 0
        prepare()
        if arguments[0] == "backends":
            add_backends()
            return 0
        return hand_over(arguments)
    except Stop as stop:
        sys.stderr.write(str(stop) + "\n")
        return 1
    except OSError as error:
        sys.stderr.write("The course could not be prepared: {}. Settle that and start again.\n".format(error))
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; the same command goes on where this one stopped.\n")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
