"""What holds the repository together: one list of versions, one address, nothing generated in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)", line)
        if match:
            found.setdefault(match[1].lower().replace("_", "-"), set()).add(match[2])
    return found


def requirements() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"]
    locked_extras = [extra for name, extra in extras.items() if name != "backends"]  # pyproject.toml says why
    every = PROJECT["project"]["dependencies"] + [r for extra in locked_extras for r in extra]
    return [r for r in every if not r.startswith("course-utils[")]


@pytest.mark.parametrize("requirement", requirements())
def test_every_dependency_is_locked_within_its_bounds(requirement):
    from packaging.requirements import Requirement

    parsed = Requirement(requirement)
    versions = locked().get(parsed.name.lower())
    assert versions, f"{parsed.name} is missing in requirements.txt"
    assert all(parsed.specifier.contains(version) for version in versions)


def test_conda_takes_the_same_list():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    assert pip == ["-c requirements.txt", "-e .[all]"]
    plain = [item for item in environment["dependencies"] if isinstance(item, str)]
    assert all(item.startswith(("python", "pip")) for item in plain), "versions belong in pyproject.toml only"
    assert any(("3.11" in item and "3.14" in item) or re.search(r"=3\.1[123]$", item) for item in plain)


def test_all_names_every_extra_that_a_learner_or_teacher_needs():
    extras = PROJECT["project"]["optional-dependencies"]
    named = set(re.search(r"\[(.*)\]", extras["all"][0])[1].split(","))
    assert named == set(extras) - {"all", "backends"}


def test_python_range_is_the_same_everywhere():
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"
    assert "OLDEST, NEWEST = (3, 11), (3, 13)" in (ROOT / "course.py").read_text(encoding="utf-8")


def test_lock_names_no_package_index():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert "://" not in text and "--" not in text


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("needs a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_nothing_generated_is_tracked():
    for path in tracked():
        parts = path.relative_to(ROOT).parts
        assert not {"_build", ".course", ".venv", "__pycache__", ".ipynb_checkpoints"} & set(parts), path
        if path.parent.name == "weights" and path.suffix == ".npz":
            continue  # small pretrained weights, each with a hash and a command that makes it again
        assert path.suffix not in {".pyc", ".db", ".gz", ".h5", ".npz"}, path


def test_the_address_stands_where_the_command_finds_it(tmp_path, monkeypatch):
    from course_utils.lessons import catalogue, form

    copy = tmp_path / "copy"
    ignore = shutil.ignore_patterns(".venv", ".course", ".git", "_build", "__pycache__", ".ipynb_checkpoints")
    shutil.copytree(ROOT, copy, ignore=ignore)
    for module in (catalogue, form):
        monkeypatch.setattr(module, "root", lambda: copy)
    old = PROJECT["tool"]["course"]["repository"].removeprefix("https://github.com/")
    form.set_repository("https://github.com/some-school/dl.course.git")
    assert catalogue.repository()[0] == "https://github.com/some-school/dl.course"
    left = [
        path.relative_to(copy)
        for path in copy.rglob("*")
        if path.suffix in {".md", ".yml", ".ipynb", ".toml", ".py", ".js", ".svg"} and path.is_file()
        and old in path.read_text(encoding="utf-8", errors="replace")
    ]  # fmt: skip
    assert not left, f"the old address still stands in {left}"
    assert form.format_all(check=True) == []


@pytest.mark.parametrize(
    "address", ["", "github.com/a/b", "https://github.com/a", "https://github.com/a/b/c", "a b"]
)
def test_a_bad_address_changes_nothing(address):
    from course_utils.lessons.catalogue import CourseError
    from course_utils.lessons.form import set_repository

    with pytest.raises(CourseError, match="OWNER/NAME"):
        set_repository(address)


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda p: p.name)
def test_workflows_are_well_formed(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow[True], "a workflow needs its trigger `on:`"  # YAML 1.1 reads the key `on` as true
    assert "permissions" in workflow
    for job in workflow["jobs"].values():
        assert job["runs-on"] and job["steps"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+(\.\d+)*", step["uses"]), step["uses"]


def test_import_is_light():
    code = (
        "import sys, course_utils, course_utils.checks._engine, course_utils.data, course_utils.results;"
        "heavy = {'tensorflow', 'keras', 'matplotlib', 'sklearn', 'torch'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_learning_path_shows_the_lessons_there_are():
    from course_utils.lessons.catalogue import lessons
    from course_utils.lessons.learning_path import learning_path

    drawn = (ROOT / "book" / "_static" / "learning-path.svg").read_text(encoding="utf-8")
    wanted = learning_path([lesson.number for lesson in lessons()])
    assert drawn.strip() == wanted.strip(), "run `python -m course_utils.lessons.learning_path`"
