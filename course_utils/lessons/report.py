"""The run report: what each lesson took and found, per data mode, with versions and machine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import psutil

from course_utils.lessons.execute import Run, work_folder

_PACKAGES = ("tensorflow", "keras", "numpy", "scikit-learn", "matplotlib")


def _path(mode: str) -> Path:
    return work_folder() / f"report-{mode}.json"


def machine() -> dict[str, str]:
    """Versions and size of this machine, without anything that names it."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "Python": platform.python_version(),
        **versions,
    }


def load(mode: str) -> dict[str, Any]:
    """The report of a data mode; empty if there is none or it cannot be read."""
    try:
        report = json.loads(_path(mode).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) and "lessons" in report else {}


def save(runs: list[Run], mode: str) -> None:
    """Put these runs into the report of ``mode``; other lessons keep their last figures."""
    report = load(mode) or {"lessons": {}}
    report["machine"] = machine()
    for run in runs:
        if run.ok:
            report["lessons"][run.lesson.id] = run.summary()
        else:
            report["lessons"].pop(run.lesson.id, None)
    path = _path(mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    part.replace(path)


def as_markdown() -> str:
    """The results page's tables, one for each data mode that has been run (captioned, in MyST)."""
    names = {
        "sample": "On the sample data, which needs no network",
        "full": "On the full public data sets",
        "auto": "On whichever data was at hand",
    }
    parts = []
    for mode, caption in names.items():
        report = load(mode)
        if not report.get("lessons"):  # never run, or nothing of it ran through
            continue
        lines = [
            f"```{{list-table}} {caption}",
            ":header-rows: 1",
            ":widths: 28 12 12 48",
            "",
            "* - Lesson\n  - Time\n  - Peak memory\n  - Headline results",
        ]
        for lesson_id, row in sorted(report["lessons"].items()):
            results = "; ".join(f"{r['name']}: **{r['text']}**" for r in row["results"]) or "none declared"
            lines.append(
                f"* - {int(lesson_id[:2])} · {row['title']}\n  - {row['seconds']:.1f} s\n"
                f"  - {row['peak_mb']:,} MB\n  - {results}"
            )
        lines += ["```", ""]
        machine_line = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
        total = sum(row["seconds"] for row in report["lessons"].values())
        lines.append(f"All lessons together: {total:.0f} s. Measured with: {machine_line}.\n")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) or "No lesson has been run yet: `python course.py run` measures them.\n"
