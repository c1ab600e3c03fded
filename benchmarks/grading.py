"""Submissions graded in a minute, against plain `nbgrader autograde` on the same submissions.

    python benchmarks/grading.py [--submissions 30] [--jobs N] [--only numpy|keras]

Both grade the same class from the same course directory layout: two thirds right, one third with a mistake. Plain
nbgrader runs one kernel after another without a sandbox; `course grade` runs each submission in two sandboxes, as
many at a time as ``--jobs`` says. Printed are seconds, submissions a minute, and the ratio.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.grading.toy import Course

WRONG = {
    "toy": {"slope": "def slope(x, y):\n    return y[-1] - y[0]"},
    "toy-model": {"double": "def double(x):\n    return x"},
}


def course(folder: Path, assignment: str, number: int, *, plain: bool) -> Course:
    """A course directory with the class's submissions; ``plain`` leaves nbgrader's own grading in place."""
    made = Course(folder, assignment)
    for index in range(number):
        wrong = WRONG[assignment] if index % 3 == 0 else {}
        made.hand_in(f"student{index:03}", made.good(assignment, **wrong), assignment)
    if plain:
        (folder / "nbgrader_config.py").write_text(
            f"c = get_config()\nc.CourseDirectory.course_id = 'deep-learning'\nc.CourseDirectory.root = {str(folder)!r}\n"
        )
    return made


def timed(command: list[str], folder: Path) -> float:
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=("numpy", "keras"))
    options = parser.parse_args()
    kinds = {"numpy": "toy", "keras": "toy-model"}
    print(f"{options.submissions} submissions, {options.jobs} at a time, {os.cpu_count()} processors")
    for kind, assignment in kinds.items():
        if options.only not in (None, kind):
            continue
        with tempfile.TemporaryDirectory() as folder:
            plain = course(Path(folder, "plain"), assignment, options.submissions, plain=True)
            ours = course(Path(folder, "ours"), assignment, options.submissions, plain=False)
            theirs = timed([sys.executable, "-m", "nbgrader", "autograde", assignment], plain.root)
            command = [
                sys.executable,
                "-m",
                "course_utils.cli",
                "grade",
                assignment,
                "--jobs",
                str(options.jobs),
            ]
            own = timed(command, ours.root)
            again = timed(command, ours.root)
            same = _totals(plain, assignment) == _totals(ours, assignment)
        per_minute = [60 * options.submissions / seconds for seconds in (theirs, own)]
        print(
            f"{kind}: nbgrader {theirs:.1f} s ({per_minute[0]:.0f} a minute), course grade {own:.1f} s "
            f"({per_minute[1]:.0f} a minute): {theirs / own:.1f} times as many; again with nothing changed "
            f"{again:.1f} s; {'the same marks' if same else 'OTHER MARKS'}"
        )


def _totals(made: Course, assignment: str) -> dict[str, float]:
    return {
        name: sum(points or 0 for points in marks.values()) for name, marks in made.marks(assignment).items()
    }


if __name__ == "__main__":
    main()
