"""The first line of every lesson: seeds, a quiet TensorFlow, the figure style, and what runs here."""

from __future__ import annotations

import os
import platform
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_DATA_MODES = ("auto", "sample", "full")


def start(seed: int, *, keras: bool = False, verbose: bool | None = None) -> None:
    """Begin a lesson: fix the seeds, apply the figure style, print one line on what runs here.

    NumPy's matrix products are set to one thread. The matrices of these lessons are small, and on a busy
    machine the threads of a product wait for each other longer than they compute. TensorFlow keeps its own.

    Parameters
    ----------
    seed : int
        Seeds Python's ``random``, NumPy's legacy global generator and, with ``keras=True``, Keras. A
        generator of your own (``np.random.default_rng(seed)``) takes its own seed.
    keras : bool
        Import TensorFlow and Keras quietly, let a GPU's memory grow on demand, and seed Keras.
    verbose : bool, optional
        Show everything that TensorFlow prints. Default: whether ``COURSE_VERBOSE`` is set to 1.

    Raises
    ------
    ImportError
        If ``keras=True`` and TensorFlow cannot be imported; the message says what to do.
    ValueError
        If ``seed`` is not a whole number from 0 to 2**32 - 1.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    from course_utils import plotting

    seed = _valid_seed(seed)
    if verbose is None:
        verbose = os.environ.get("COURSE_VERBOSE", "").strip().lower() in ("1", "true", "yes", "on")
    random.seed(seed)
    np.random.seed(seed)
    threadpool_limits(1, user_api="blas")
    plotting.style()
    parts = [f"Python {platform.python_version()}", f"NumPy {np.__version__}"]
    device = "CPU"
    if keras:
        versions, device = _start_keras(seed, verbose)
        parts += versions
    parts += [f"device: {device}", f"data: {_data_mode()}", f"seed {seed}"]
    print(" · ".join(parts))


def _valid_seed(seed: Any) -> int:
    try:
        number = int(seed)
        valid = number == seed and 0 <= number < 2**32
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(f"The seed should be a whole number from 0 to {2**32 - 1}, but is {seed!r}.")
    return number


def _data_mode() -> str:
    mode = os.environ.get("COURSE_DATA", "").strip().lower() or "auto"
    return mode if mode in _DATA_MODES else f"{mode} (unknown: use {', '.join(_DATA_MODES)})"


def _start_keras(seed: int, verbose: bool) -> tuple[list[str], str]:
    """Import and seed Keras; return what to print on its versions and on the device."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if not verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    captured: list[str] = []
    try:
        with _quiet(captured, off=verbose):
            import keras
            import tensorflow as tf

            from course_utils import gpu

            gpu.memory_growth(show=False)
            devices = gpu.device_names()
            keras.utils.set_random_seed(seed)
            tf.constant(0.0) + 1.0  # the first operation brings the last native messages
    except Exception as error:
        text = "".join(captured).strip()
        if text:
            print(text, file=sys.stderr)
        raise ImportError(_import_advice(error, sys.platform, platform.machine())) from error
    versions = [f"TensorFlow {tf.__version__}", f"Keras {keras.__version__}"]
    backend = keras.backend.backend()
    if backend != "tensorflow":
        versions[-1] += f" on {backend}"
    return versions, ", ".join(devices) or "CPU"


def _import_advice(error: Exception, system: str, machine: str) -> str:
    """One clear sentence for a TensorFlow or Keras that does not import."""
    machine = machine.lower()
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    no_wheel = None
    if system == "darwin" and machine in ("x86_64", "i386"):
        no_wheel = "Macs with an Intel processor"
    elif system == "win32" and machine in ("arm64", "aarch64"):
        no_wheel = "Windows on ARM"
    if no_wheel:
        return f"No TensorFlow is published for {no_wheel}: open this lesson in Colab (the badge at its top)."
    if missing in ("tensorflow", "keras"):
        name = "TensorFlow" if missing == "tensorflow" else "Keras"
        return f'{name} is not installed: run `pip install "course-utils[lessons]"` in this environment.'
    return (
        f"TensorFlow is installed but does not start ({type(error).__name__}: {error}): "
        "run this lesson again with COURSE_VERBOSE=1 to see all it prints."
    )


class _Switch:
    """A stream that passes everything on to ``target``, which may change."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)


@contextmanager
def _quiet(captured: list[str], *, off: bool = False) -> Iterator[None]:
    """Send Python's and native output to a file meanwhile; on leaving, add its text to ``captured``."""
    if off:
        yield
        return
    with tempfile.TemporaryFile(mode="w+b") as file:
        saved: dict[int, int] = {}
        switches: tuple[_Switch, ...] = ()
        streams = sys.stdout, sys.stderr
        for stream in streams:
            with suppress(Exception):
                stream.flush()
        writer = open(os.dup(file.fileno()), "w", encoding="utf-8", errors="replace", buffering=1)  # noqa: SIM115
        try:
            for descriptor in (1, 2):
                with suppress(OSError):  # a process may have been started without it
                    saved[descriptor] = os.dup(descriptor)
                    os.dup2(file.fileno(), descriptor)
            # Libraries keep the sys.stderr of their import for later messages: hand them one that ends up
            # at the real stream again.
            switches = _Switch(writer), _Switch(writer)
            sys.stdout, sys.stderr = switches
            yield
        finally:
            sys.stdout, sys.stderr = streams
            for switch, stream in zip(switches, streams, strict=False):
                switch.target = stream
            with suppress(Exception):
                writer.close()
            for descriptor, copy in saved.items():
                os.dup2(copy, descriptor)
                os.close(copy)
            with suppress(Exception):
                file.seek(0)
                captured.append(file.read().decode("utf-8", "replace"))
