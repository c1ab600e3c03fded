"""start(): one line, reproducible, quiet, and true."""

from __future__ import annotations

import io
import json
import logging
import os
import random
import subprocess
import sys
import textwrap

import matplotlib
import numpy as np
import pytest

from course_utils import session, start


def run(code: str, **environ: str) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter without this test run's settings."""
    drop = ("COURSE_DATA", "COURSE_VERBOSE", "TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND")
    env = {k: v for k, v in os.environ.items() if k not in drop} | environ
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env, timeout=300
    )


@pytest.fixture(autouse=True)
def restore_state(monkeypatch):
    monkeypatch.delenv("COURSE_DATA", raising=False)
    states = random.getstate(), np.random.get_state()
    with matplotlib.rc_context():
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])


def test_prints_one_line_with_what_runs_here(capsys):
    start(seed=7)
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    version = ".".join(map(str, sys.version_info[:3]))
    assert out.strip() == f"Python {version} · NumPy {np.__version__} · device: CPU · data: auto · seed 7"
    assert err == ""


def test_seeds_reproducibly():
    start(seed=3)
    first = random.random(), np.random.rand(3).tolist()
    start(seed=3)
    assert (random.random(), np.random.rand(3).tolist()) == first
    start(seed=4)
    assert (random.random(), np.random.rand(3).tolist()) != first


def test_matrix_products_run_on_one_thread():
    done = run(
        """
        import numpy as np
        from threadpoolctl import threadpool_info
        from course_utils import start
        start(seed=1)
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
        print("threads", [pool["num_threads"] for pool in pools])
        """
    )
    assert done.returncode == 0, done.stderr
    assert "threads [1" in done.stdout or "threads []" in done.stdout  # no BLAS that can be asked


def test_applies_the_figure_style():
    matplotlib.rcParams["axes.grid"] = False
    start(seed=1)
    assert matplotlib.rcParams["axes.grid"]
    assert matplotlib.rcParams["figure.facecolor"] == "white"


@pytest.mark.parametrize(
    ("value", "shown"), [("sample", "sample"), ("FULL", "full"), ("", "auto"), ("some", "some (unknown")]
)
def test_says_the_data_mode(monkeypatch, capsys, value, shown):
    monkeypatch.setenv("COURSE_DATA", value)
    start(seed=1)
    assert f"data: {shown}" in capsys.readouterr().out


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "one", None])
def test_refuses_what_is_no_seed(seed):
    with pytest.raises(ValueError, match="whole number"):
        start(seed=seed)


def test_numpy_lesson_starts_without_tensorflow():
    result = run(
        """
        import json, sys
        from course_utils import start
        start(seed=1)
        print(json.dumps([m for m in ("tensorflow", "keras", "matplotlib.pyplot") if m in sys.modules]))
        """
    )
    assert result.stderr == ""
    assert json.loads(result.stdout.splitlines()[1]) == []


# ---------------------------------------------------------------------------- with Keras

KERAS_LESSON = """
    import json, os, sys
    from course_utils import start
    start(seed=5, keras=True)
    import logging
    import keras
    import numpy as np
    import tensorflow as tf
    first = keras.random.normal((2,)), np.random.rand()
    keras.utils.set_random_seed(5)
    again = keras.random.normal((2,)), np.random.rand()
    assert np.array_equal(first[0], again[0]) and first[1] == again[1]
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 2)), verbose=0)
    tf.get_logger().warning("a later warning")  # its handler keeps the stderr of the import
    os.write(2, b"a later native line")
    print(json.dumps([keras.backend.backend(), keras.__version__, os.environ.get("TF_ENABLE_ONEDNN_OPTS")]))
    """


def test_keras_lesson_starts_quietly_and_loses_no_later_message():
    pytest.importorskip("keras")
    result = run(KERAS_LESSON)
    assert result.returncode == 0, result.stderr
    assert result.stderr == "WARNING:tensorflow:a later warning\na later native line"
    line, details = result.stdout.splitlines()
    backend, version, onednn = json.loads(details)
    assert backend == "tensorflow"
    assert onednn == os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    assert f"Keras {version}" in line
    assert "TensorFlow 2." in line
    assert "device: " in line
    assert line.endswith("seed 5")


@pytest.mark.parametrize(
    ("error", "system", "machine", "words"),
    [
        (
            ModuleNotFoundError("no", name="tensorflow"),
            "linux",
            "x86_64",
            ["TensorFlow is not installed", "lessons"],
        ),
        (ModuleNotFoundError("no", name="keras"), "linux", "x86_64", ["Keras is not installed", "lessons"]),
        (ModuleNotFoundError("no", name="tensorflow"), "darwin", "x86_64", ["Intel", "Colab"]),
        (ModuleNotFoundError("no", name="tensorflow"), "win32", "ARM64", ["Windows on ARM", "Colab"]),
        (ModuleNotFoundError("no", name="tensorflow"), "darwin", "arm64", ["is not installed"]),
        (
            ImportError("libfoo.so: missing"),
            "linux",
            "x86_64",
            ["does not start", "libfoo.so", "COURSE_VERBOSE=1"],
        ),
    ],
)
def test_a_failing_import_says_what_to_do(error, system, machine, words):
    advice = session._import_advice(error, system, machine)
    assert "\n" not in advice
    for word in words:
        assert word in advice


def test_a_failing_import_shows_what_was_printed(tmp_path):
    """A TensorFlow that writes to the native stderr and breaks: its words are shown, then one sentence."""
    (tmp_path / "keras.py").write_text("")
    (tmp_path / "tensorflow.py").write_text(
        "import os, sys\nos.write(2, b'native: illegal wheel\\n')\nprint('python words', file=sys.stderr)\n"
        "raise ImportError('broken wheel')\n"
    )
    result = run("from course_utils import start\nstart(seed=1, keras=True)", PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "native: illegal wheel" in result.stderr
    assert "python words" in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "ImportError: TensorFlow is installed but does not start (ImportError: broken wheel)"
    )


@pytest.mark.parametrize(("argument", "variable"), [("verbose=True", ""), ("verbose=None", "1")])
def test_verbose_shows_everything(tmp_path, argument, variable):
    (tmp_path / "keras.py").write_text("import os\nos.write(2, b'native words')\nraise ImportError('stop')\n")
    code = f"from course_utils import start\nstart(seed=1, keras=True, {argument})"
    result = run(code, PYTHONPATH=str(tmp_path), COURSE_VERBOSE=variable)
    assert result.stderr.startswith("native words")


# ---------------------------------------------------------------------------- quiet


def test_quiet_captures_native_and_python_output_and_restores(capfd):
    captured: list[str] = []
    with session._quiet(captured):
        os.write(1, b"native out\n")
        os.write(2, b"native err\n")
        print("python out")
        print("python err", file=sys.stderr)
    print("after")
    os.write(2, b"after native\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("after\n", "after native\n")
    for words in ("native out", "native err", "python out", "python err"):
        assert words in captured[0]


def test_quiet_lets_errors_through_and_restores():
    streams = sys.stdout, sys.stderr
    captured: list[str] = []
    with pytest.raises(RuntimeError), session._quiet(captured):
        print("last words")
        raise RuntimeError
    assert (sys.stdout, sys.stderr) == streams
    assert "last words" in captured[0]


def test_quiet_works_where_streams_have_no_descriptor(monkeypatch):
    """Colab's and other front ends' streams are plain objects."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    captured: list[str] = []
    with session._quiet(captured):
        handler = logging.StreamHandler()  # keeps the stderr of now
        print("inside")
    print("outside")
    handler.emit(logging.makeLogRecord({"msg": "later"}))
    assert out.getvalue() == "outside\n"
    assert err.getvalue() == "later\n"
    assert captured == ["inside\n"]


def test_quiet_works_where_there_are_no_streams(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with session._quiet([]):
        print("nobody hears")
    assert sys.stdout is None
