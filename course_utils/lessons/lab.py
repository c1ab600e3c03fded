"""Opening JupyterLab on the lessons or the assignments, with an address that a person can use wherever the server runs."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import webbrowser
from pathlib import Path

from course_utils.lessons.catalogue import CourseError

_PATIENCE = 60  # seconds until a server that does not listen is given up


def command(port: int | None, folder: Path) -> list[str]:
    """The JupyterLab command line; as root (in a container) with the leave that Jupyter asks for."""
    line = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={folder}"]
    line += ["--ServerApp.log_level=WARN", "--LabApp.log_level=WARN"]
    # Nothing is asked of any other machine: no look for updates, no news.
    line += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None"]
    if port is not None:
        line.append(f"--ServerApp.port={port}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        line.append("--ServerApp.allow_root=True")
    return line


def _address(since: float, page: str, folder: Path) -> str | None:
    """The address of the page once the server started after ``since`` has written down where it listens."""
    from jupyter_core.paths import jupyter_runtime_dir

    for file in Path(jupyter_runtime_dir()).glob("jpserver-*.json"):
        try:
            if file.stat().st_mtime < since:
                continue
            server = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # being written, or gone again
            continue
        if Path(server.get("root_dir", "")) == folder and _answers(server["url"]):
            return f"{server['url']}{page}?token={server['token']}"
    return None


def _answers(url: str) -> bool:
    """Whether the server answers already; it writes its address down a little before it does."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}api", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def serve(page: str, *, folder: Path, port: int | None = None, browser: bool = True) -> int:
    """Start JupyterLab in ``folder``, say where its ``page`` is, and stay until it ends.

    Parameters
    ----------
    page : str
        Path after the server's address, quoted, such as ``lab/tree/README.md``.
    folder : Path
        What the server shows and where it starts.
    port : int, optional
    browser : bool
        Open the page in a browser.

    Raises
    ------
    CourseError
        If JupyterLab is not installed or does not come up.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise CourseError(
            'JupyterLab is missing: install the course with its extra `all` (`pip install -e ".[all]"`).'
        )
    since = time.time() - 1
    server = subprocess.Popen(command(port, folder), cwd=folder)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside: as by Ctrl-C
    try:
        until = time.monotonic() + _PATIENCE
        address = None
        while address is None and time.monotonic() < until and server.poll() is None:
            time.sleep(0.1)
            address = _address(since, page, folder)
        if address is None:
            raise CourseError("JupyterLab did not start; what it printed above says why.")
        print(f"\n  The course is open at\n\n  {address}\n\n  To stop it, press Ctrl-C here.\n", flush=True)
        if browser and not _open_browser(address):
            print("  There is no browser on this machine: copy the address into one.\n", flush=True)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait()


def _open_browser(address: str) -> bool:
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
