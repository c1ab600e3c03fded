"""Executing lessons: several at a time, each in its own kernel, and only those whose code has changed.

nbclient runs a notebook, jupyter-cache keeps the executed copies. A copy is found again as long as
nothing that could change its outputs has changed: the lesson's code cells, the helper package, the
course's data, the locked versions, the Python version and the data mode. Prose is not among them.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
import psutil
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from course_utils.lessons.catalogue import Lesson, root
from course_utils.results import MIME as RESULT_MIME

CELL_TIMEOUT = 600  # seconds; far above the budget of 30 s a cell, so only what hangs is ended
_KEPT_ENVIRONMENTS = 240  # one for each lesson, data mode and state of the helper package


def work_folder() -> Path:
    """Where executed copies, reports and the staged book are kept; may be deleted at any time."""
    return root() / ".course"


@dataclass
class Run:
    """What became of one lesson: its executed notebook, or where and why it failed."""

    lesson: Lesson
    mode: str
    notebook: nbformat.NotebookNode | None = None
    seconds: float = 0.0
    peak_mb: float = 0.0
    slowest_cell: str = ""
    slowest_seconds: float = 0.0
    results: list[dict[str, Any]] = field(default_factory=list)
    when: str = ""
    cached: bool = False
    failed_cell: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error

    def summary(self) -> dict[str, Any]:
        """The part that the run report keeps."""
        return {
            "title": self.lesson.title,
            "seconds": round(self.seconds, 2),
            "peak_mb": round(self.peak_mb),
            "slowest_cell": self.slowest_cell,
            "slowest_seconds": round(self.slowest_seconds, 2),
            "results": self.results,
            "when": self.when,
        }


@lru_cache(maxsize=1)
def _common_files() -> tuple[list[Path], list[Path]]:
    """Files every lesson's outputs may depend on, and the check files, which belong to one lesson each."""
    top = root()
    package = top / "course_utils"
    aside = {package / "cli.py", package / "lessons", package / "grading"}
    common, checks = [top / "requirements.txt"], []
    for folder in (package, top / "data"):
        for path in sorted(folder.rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts or aside & {path, *path.parents}:
                continue
            own = path.parent == package / "checks" and not path.name.startswith("_")
            (checks if own else common).append(path)
    return common, checks


def environment_key(lesson: Lesson, mode: str) -> str:
    """Digest of everything outside the notebook that its outputs may depend on."""
    common, checks = _common_files()
    digest = hashlib.sha256(f"{mode}\n{platform.python_version()}\n{sys.platform}".encode())
    for path in [*common, *(p for p in checks if p.stem == lesson.key)]:
        digest.update(path.relative_to(root()).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def _cache(lesson: Lesson, mode: str) -> Any:
    return get_cache(work_folder() / "cache" / environment_key(lesson, mode))


def from_cache(lesson: Lesson, mode: str) -> Run | None:
    """The run of this lesson as it stands now, if it is kept; a damaged copy counts as none."""
    if not (work_folder() / "cache" / environment_key(lesson, mode)).is_dir():
        return None
    try:
        cache = _cache(lesson, mode)
        pk, merged = cache.merge_match_into_notebook(lesson.notebook)
        data = cache.get_cache_record(pk).data
        return Run(lesson, mode, notebook=merged, cached=True, **data)
    except Exception:  # whatever is wrong with the copy, running the lesson again mends it
        return None


def _store(run: Run) -> None:
    keep = {k: v for k, v in vars(run).items() if k in {"seconds", "peak_mb", "slowest_cell", "slowest_seconds",
                                                       "results", "when"}}  # fmt: skip
    bundle = CacheBundleIn(run.notebook, str(run.lesson.path), data=keep)
    _cache(run.lesson, run.mode).cache_notebook_bundle(bundle, overwrite=True)


def _drop_old_environments() -> None:
    folders = [p for p in (work_folder() / "cache").glob("*") if p.is_dir()]
    folders.sort(key=lambda p: p.stat().st_mtime, reverse=True)
    for folder in folders[_KEPT_ENVIRONMENTS:]:
        shutil.rmtree(folder, ignore_errors=True)


async def _watch_memory(pid: int, run: Run) -> None:
    process = psutil.Process(pid)
    with contextlib.suppress(psutil.Error):
        while True:
            used = sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])
            run.peak_mb = max(run.peak_mb, used / 1e6)
            await asyncio.sleep(0.2)


def _first_lines(error: CellExecutionError) -> str:
    return f"{error.ename}: {error.evalue}".strip().splitlines()[0][:300]


async def _execute(lesson: Lesson, mode: str, on_cell: Callable[[Run, int, int], None]) -> Run:
    run = Run(lesson, mode, when=time.strftime("%Y-%m-%d %H:%M"))
    notebook = copy.deepcopy(lesson.notebook)
    total = len(notebook.cells)
    began: dict[int, float] = {}
    current = ""
    watcher: asyncio.Task | None = None

    def cell_starts(cell: nbformat.NotebookNode, cell_index: int) -> None:
        nonlocal current, watcher
        current = cell.id
        began[cell_index] = time.perf_counter()
        if watcher is None and getattr(client.km.provisioner, "pid", None):
            watcher = asyncio.ensure_future(_watch_memory(client.km.provisioner.pid, run))
        on_cell(run, cell_index, total)

    def cell_done(cell: nbformat.NotebookNode, cell_index: int, **_: Any) -> None:
        took = time.perf_counter() - began.get(cell_index, time.perf_counter())
        if took > run.slowest_seconds:
            run.slowest_seconds, run.slowest_cell = took, cell.id

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,  # it would stand in the cells' metadata, which the cache looks at
        resources={"metadata": {"path": str(lesson.path.parent)}},
        on_cell_execute=cell_starts,
        on_cell_executed=cell_done,
    )
    env = {**os.environ, "COURSE_DATA": mode, "COURSE_PROGRESS": "off"}
    start = time.perf_counter()
    work_folder().mkdir(parents=True, exist_ok=True)
    log = (work_folder() / f"kernel-{lesson.id}.log").open("w", encoding="utf-8")
    try:
        await client.async_execute(env=env, stdout=log, stderr=log)
    except CellExecutionError as error:
        run.failed_cell, run.error = current, _first_lines(error)
    except CellTimeoutError:
        run.failed_cell, run.error = current, f"still running after {CELL_TIMEOUT} s"
    except DeadKernelError:
        run.failed_cell, run.error = current, "the kernel died (memory used up?)"
    except Exception as error:
        run.failed_cell, run.error = current, f"{type(error).__name__}: {error}"
    finally:
        log.close()
        if watcher is not None:
            watcher.cancel()
    run.seconds = time.perf_counter() - start
    # nbclient writes the kernel it used into the metadata, under which the copy would not be found again
    notebook.metadata["kernelspec"] = lesson.notebook.metadata["kernelspec"]
    run.notebook = notebook
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined_streams(cell.outputs)
        for output in cell.get("outputs", []):
            result = output.get("data", {}).get(RESULT_MIME)
            if result:
                run.results.append(dict(result))
    return run


def _joined_streams(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Printed pieces that follow each other as one output, as a notebook shows them.

    The kernel sends what is flushed piece by piece, and the book would put each dot of a progress line into a box of
    its own. nbclient can join streams too, but moves what is printed after a figure to before it.
    """
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def default_jobs() -> int:
    """One lesson for every processor, and for every 2 GB of free memory: none of them needs more.

    Most of a lesson keeps one processor busy (imports, figures, NumPy), so that two at a time on two
    processors take little longer than one alone.
    """
    return max(1, min(os.cpu_count() or 1, int(psutil.virtual_memory().available // 2e9)))


def execute(
    chosen: list[Lesson],
    mode: str,
    *,
    jobs: int | None = None,
    fresh: bool = False,
    on_cell: Callable[[Run, int, int], None] = lambda run, index, total: None,
    on_done: Callable[[Run], None] = lambda run: None,
) -> list[Run]:
    """Run lessons, or take their kept copies, and return what became of each, in the given order.

    Parameters
    ----------
    chosen : list of Lesson
    mode : str
        Data mode the lessons run in: "auto", "sample" or "full".
    jobs : int, optional
        Lessons run at the same time; by default see :func:`default_jobs`.
    fresh : bool
        Run also what has a kept copy.
    on_cell, on_done : callable
        Told of every cell that starts ``(run, index, number of cells)`` and of every lesson that ends.
    """
    jobs = jobs or default_jobs()
    _common_files.cache_clear()

    async def work() -> list[Run]:
        gate = asyncio.Semaphore(jobs)

        async def one(lesson: Lesson) -> Run:
            async with gate:
                run = None if fresh else from_cache(lesson, mode)
                if run is None:
                    run = await _execute(lesson, mode, on_cell)
                    if run.ok:
                        try:
                            _store(run)
                        except Exception as error:
                            print(
                                f"{lesson.id}: its executed copy could not be kept ({error}).",
                                file=sys.stderr,
                            )
                on_done(run)
                return run

        return await asyncio.gather(*(one(lesson) for lesson in chosen))

    runs = asyncio.run(work())
    _drop_old_environments()
    return runs
