"""Running lessons: what is kept, what is run again, what is reported, what a failure costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.lessons import catalogue, execute, report
from course_utils.lessons.catalogue import CourseError, Lesson


@pytest.fixture(autouse=True)
def workshop(tmp_path, monkeypatch):
    """Executed copies and reports go to a temporary folder."""
    folder = tmp_path / "work"
    for module in (execute, report):
        monkeypatch.setattr(module, "work_folder", lambda: folder)
    return folder


@pytest.fixture
def make(tmp_path):
    def write(name, *cells):
        made = []
        for number, source in enumerate(cells):
            kind = new_markdown_cell if source.startswith("#!md ") else new_code_cell
            cell = kind(source.removeprefix("#!md "))
            cell["id"] = f"cell-{number}"
            made.append(cell)
        notebook = new_notebook(
            cells=made, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        )
        notebook.nbformat_minor = 5
        path = tmp_path / "notebooks" / "1-foundations" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return Lesson(path)

    return write


COUNTING = "import pathlib\nwith open(pathlib.Path('runs.txt'), 'a') as f:\n    _ = f.write('x')"


def runs_of(lesson):
    file = lesson.path.parent / "runs.txt"
    return len(file.read_text()) if file.exists() else 0


def test_a_prose_edit_does_not_run_a_lesson_again_and_a_code_edit_does(make):
    lesson = make("01_first", "#!md # One", COUNTING, "print('out')")
    (run,) = execute.execute([lesson], "sample")
    assert run.ok and not run.cached and runs_of(lesson) == 1
    lesson = make("01_first", "#!md # One, reworded", "#!md A new paragraph.", COUNTING, "print('out')")
    (run,) = execute.execute([lesson], "sample")
    assert run.cached and runs_of(lesson) == 1
    assert run.notebook.cells[0].source == "# One, reworded"
    assert run.notebook.cells[3].outputs[0]["text"] == "out\n"
    assert run.seconds > 0
    lesson = make("01_first", "#!md # One", COUNTING, "print('other')")
    (run,) = execute.execute([lesson], "sample")
    assert not run.cached and runs_of(lesson) == 2
    (run,) = execute.execute([lesson], "full")
    assert not run.cached and runs_of(lesson) == 3
    (run,) = execute.execute([lesson], "sample", fresh=True)
    assert not run.cached and runs_of(lesson) == 4


def test_what_is_printed_piece_by_piece_is_one_output(make):
    dots = "import time\nfor _ in range(3):\n    print('.', end='', flush=True)\n    time.sleep(0.2)\n"
    lesson = make("01_first", dots + "display(1)\nprint('after', flush=True)\ntime.sleep(0.2)\nprint('more')")
    (run,) = execute.execute([lesson], "sample")
    outputs = run.notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["stream", "display_data", "stream"]
    assert [outputs[0].text, outputs[2].text] == ["...", "after\nmore\n"]


def test_a_failing_cell_is_named_and_the_rest_runs(make, workshop):
    bad = make("01_bad", "#!md # Bad", "x = 1", "1 / 0", "print('never')")
    good = make("02_good", "#!md # Good", "print('fine')")
    runs = execute.execute([bad, good], "sample", jobs=2)
    assert [run.ok for run in runs] == [False, True]
    assert runs[0].failed_cell == "cell-2" and "ZeroDivisionError" in runs[0].error
    report.save(runs, "sample")
    assert list(report.load("sample")["lessons"]) == ["02_good"]
    (again,) = execute.execute([bad], "sample")
    assert not again.cached, "a failed run must not be kept"


def test_a_mode_in_which_every_lesson_failed_has_no_table(make):
    bad = make("01_bad", "1 / 0")
    report.save(execute.execute([bad], "full"), "full")
    assert report.as_markdown().startswith("No lesson has been run yet")


def test_a_dying_kernel_is_reported(make):
    lesson = make("01_dies", "#!md # Dies", "import os; os._exit(3)")
    (run,) = execute.execute([lesson], "sample")
    assert not run.ok and run.failed_cell == "cell-1"


def test_results_memory_and_environment_reach_the_report(make):
    lesson = make(
        "01_results",
        "#!md # Results",
        "import os\nfrom course_utils import record\nblock = bytearray(80_000_000)",
        "record('accuracy', 0.875, '.1%')",
        "print(os.environ['COURSE_DATA'], os.environ['COURSE_PROGRESS'])",
    )
    (run,) = execute.execute([lesson], "sample")
    assert run.results == [{"name": "accuracy", "value": 0.875, "text": "87.5%"}]
    assert run.notebook.cells[3].outputs[0]["text"] == "sample off\n"
    assert run.peak_mb > 30
    report.save([run], "sample")
    table = report.as_markdown()
    assert "accuracy: **87.5%**" in table and "1 · Results" in table
    (kept,) = execute.execute([lesson], "sample")
    assert kept.cached and kept.results == run.results and kept.peak_mb == run.peak_mb


def test_there_is_room_for_every_lesson_on_both_kinds_of_data(workshop):
    """Old copies are dropped, but not those of the lessons as they stand: one folder for each lesson and mode."""
    wanted = 2 * len(catalogue.lessons())
    for number in range(execute._KEPT_ENVIRONMENTS + 3):
        folder = workshop / "cache" / f"{number:03d}"
        folder.mkdir(parents=True)
        os.utime(folder, (number, number))
    execute._drop_old_environments()
    left = sorted(path.name for path in (workshop / "cache").iterdir())
    assert left[0] == "003" and len(left) >= 2 * wanted


def test_a_damaged_copy_is_run_again(make, workshop):
    lesson = make("01_kept", "#!md # Kept", COUNTING)
    execute.execute([lesson], "sample")
    for kept in workshop.rglob("base.ipynb"):
        kept.write_text('{"cut": ')
    (run,) = execute.execute([lesson], "sample")
    assert run.ok and not run.cached and runs_of(lesson) == 2
    for database in workshop.rglob("global.db"):
        database.write_bytes(b"not a database")
    (run,) = execute.execute([lesson], "sample")
    assert run.ok and runs_of(lesson) == 3


def test_the_key_covers_helpers_data_lock_and_mode_but_not_other_lessons(make, tmp_path, monkeypatch):
    top = tmp_path / "top"
    for name in ("course_utils/plotting.py", "course_utils/checks/perceptron.py", "course_utils/checks/other.py",
                 "course_utils/cli.py", "course_utils/lessons/book.py", "data/registry.yaml", "requirements.txt"):  # fmt: skip
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("1")
    monkeypatch.setattr(execute, "root", lambda: top)
    lesson = make("01_perceptron", "#!md # P", "1")

    def key(mode="sample"):
        execute._common_files.cache_clear()
        return execute.environment_key(lesson, mode)

    first = key()
    assert key("full") != first
    for name, matters in (("course_utils/plotting.py", True), ("course_utils/checks/perceptron.py", True),
                          ("data/registry.yaml", True), ("requirements.txt", True), ("course_utils/checks/other.py", False),
                          ("course_utils/cli.py", False), ("course_utils/lessons/book.py", False)):  # fmt: skip
        (top / name).write_text("2")
        assert (key() != first) == matters, name
        (top / name).write_text("1")
    execute._common_files.cache_clear()


def test_lessons_are_found_by_number_name_and_path():
    every = catalogue.lessons()
    assert [lesson.number for lesson in every] == sorted({lesson.number for lesson in every})
    for name in ("1", "01", "perceptron", "01_perceptron", "notebooks/1-foundations/01_perceptron.ipynb"):
        assert [lesson.id for lesson in catalogue.find([name])] == ["01_perceptron"]
    with pytest.raises(CourseError, match=r"no lesson 'perzeptron'.*01_perceptron"):
        catalogue.find(["perzeptron"])


def test_an_unreadable_notebook_is_one_sentence(tmp_path):
    path = tmp_path / "01_broken.ipynb"
    path.write_text("{")
    with pytest.raises(CourseError, match="not a readable notebook"):
        _ = Lesson(path).notebook


def course(*arguments, **more):
    env = {**os.environ, **more}
    return subprocess.run(
        [sys.executable, "-m", "course_utils.cli", *arguments], capture_output=True, text=True, env=env
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "99"], "There is no lesson '99'"),
        (["lab", "nowhere"], "There is no lesson 'nowhere'"),
        (["repository", "nonsense"], "OWNER/NAME"),
    ],
)
def test_what_the_user_has_to_settle_is_one_sentence(arguments, told):
    done = course(*arguments)
    assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_data_mode_is_one_sentence():
    done = course("run", "1", COURSE_DATA="everything")
    assert done.returncode == 1 and "auto, sample, full" in done.stderr and "Traceback" not in done.stderr


def test_a_missing_package_is_one_sentence(monkeypatch, capsys):
    from course_utils import cli

    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert cli.main(["run", "1"]) == 1
    assert "missing" in capsys.readouterr().err


def test_doctor_tells_what_is_broken(monkeypatch, capsys):
    from course_utils import doctor

    def look():
        yield doctor.Finding("broken", "the roof leaks", "mend the roof")

    def failing():
        raise RuntimeError("no ladder")
        yield

    monkeypatch.setattr(doctor, "LOOKS", (look, failing))
    assert doctor.main() == 1
    told = capsys.readouterr().out
    assert "the roof leaks" in told and "mend the roof" in told and "no ladder" in told


def test_doctor_is_content_here():
    from course_utils import doctor

    slow = {doctor.tensorflow}
    found = [f for look in doctor.LOOKS if look not in slow for f in look()]
    assert not [f for f in found if f.level == "broken"], found


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_lab_listens_says_where_and_stops(tmp_path):
    """Also as root, and when the port it asks for is taken."""
    import socket
    import urllib.request

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), "PYTHONUNBUFFERED": "1"}
        (tmp_path / "runtime").mkdir()
        command = [sys.executable, "-m", "course_utils.cli", "lab", "--no-browser", "--port", str(port)]
        lab = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        try:
            address = next(line.strip() for line in lab.stdout if "http://" in line)
            assert "00_start_here.ipynb?token=" in address and f":{port}/" not in address
            with urllib.request.urlopen(address, timeout=30) as answer:
                assert answer.status == 200
        finally:
            lab.send_signal(signal.SIGINT)
            assert lab.wait(timeout=30) == 0
