"""What there is to compute on: a report, memory growth, and CPU against GPU.

What is found out (TensorFlow, the operating system) and what is said about it are kept apart: the advice
comes from plain functions of plain values, so that every branch can be tested on any machine.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Device:
    """One accelerator: its kind ("GPU" or "TPU"), name, memory in bytes and CUDA compute capability."""

    kind: str
    name: str
    memory: int | None = None
    compute_capability: tuple[int, int] | None = None

    def __str__(self) -> str:
        details = []
        if self.memory:
            details.append(f"{self.memory / 2**30:.1f} GiB of memory")
        if self.compute_capability:
            details.append("compute capability {}.{}".format(*self.compute_capability))
        return f"{self.kind}: {self.name}" + (f" ({', '.join(details)})" if details else "")


@dataclass(frozen=True)
class GPUReport:
    """What :func:`report` found; printing it gives the report as text.

    Attributes
    ----------
    platform : str
        "colab", "wsl2", "linux", "windows", "macos" or "other".
    machine : str
        Operating system and processor, as they name themselves.
    devices : tuple of Device
        The accelerators TensorFlow can use; empty on a machine without one.
    tensorflow : str or None
        Version of TensorFlow, ``None`` if it cannot be imported.
    built_for : str
        What the installed TensorFlow was built for.
    mixed_precision : str
        Which ``keras.mixed_precision`` policy pays here.
    next_step : str
        What to do if a GPU was expected.
    """

    platform: str
    machine: str
    devices: tuple[Device, ...] = field(default=())
    tensorflow: str | None = None
    built_for: str = ""
    mixed_precision: str = ""
    next_step: str = ""

    def __str__(self) -> str:
        rows = [
            ("Machine", self.machine),
            ("TensorFlow", f"{self.tensorflow}, {self.built_for}" if self.tensorflow else self.built_for),
            ("Devices", "; ".join(map(str, self.devices)) if self.devices else "CPU only, no GPU in use"),
            ("Precision", self.mixed_precision),
            ("Next step", self.next_step),
        ]
        return "\n".join(f"{name + ':':<12}{text}" for name, text in rows if text)


@dataclass(frozen=True)
class BenchmarkResult:
    """Median seconds of one matrix product and the rate it means; ``None`` for a GPU that is not there."""

    size: int
    repeats: int
    cpu_seconds: float
    gpu_seconds: float | None = None
    gpu_name: str | None = None

    @property
    def cpu_gflops(self) -> float:
        """Billions of floating-point operations a second on the CPU."""
        return 2 * self.size**3 / self.cpu_seconds / 1e9

    @property
    def gpu_gflops(self) -> float | None:
        """The same on the GPU."""
        return None if self.gpu_seconds is None else 2 * self.size**3 / self.gpu_seconds / 1e9

    @property
    def speedup(self) -> float | None:
        """How many times faster the GPU is."""
        return None if self.gpu_seconds is None else self.cpu_seconds / self.gpu_seconds

    def __str__(self) -> str:
        runs = f"median of {self.repeats}" if self.repeats > 1 else "one run"
        lines = [
            f"{self.size} x {self.size} matrix product, float32, {runs}",
            f"CPU: {1000 * self.cpu_seconds:.2f} ms, {self.cpu_gflops:,.0f} GFLOP/s",
        ]
        if self.gpu_seconds is None:
            lines.append("GPU: none here, so there is nothing to compare with")
        else:
            rate = f"{1000 * self.gpu_seconds:.2f} ms, {self.gpu_gflops:,.0f} GFLOP/s"
            ratio = self.cpu_seconds / self.gpu_seconds
            verdict = f"{ratio:.1f} times the CPU" if ratio >= 1 else "slower than the CPU at this size"
            lines.append(f"GPU: {rate} ({self.gpu_name}), {verdict}")
        return "\n".join(lines)


# ---------------------------------------------------------------------------- plain functions


def _platform(
    system: str, release: str, modules: Sequence[str] | Mapping[str, Any], environ: Mapping[str, str]
) -> str:
    """Name the platform from ``platform.system()``, the kernel's release, loaded modules and environment."""
    if "google.colab" in modules or "COLAB_RELEASE_TAG" in environ:
        return "colab"
    if system == "Linux":
        return "wsl2" if "microsoft" in release.lower() else "linux"
    return {"Windows": "windows", "Darwin": "macos"}.get(system, "other")


def _built_for(build: Mapping[str, Any]) -> str:
    """What ``tf.sysconfig.get_build_info()`` says TensorFlow was built for."""
    if build.get("is_rocm_build"):
        return "built for AMD GPUs (ROCm)"
    if not build.get("is_cuda_build"):
        return "built for the CPU only"
    details = [f"CUDA {build['cuda_version']}"] if build.get("cuda_version") else ["CUDA"]
    if build.get("cudnn_version"):
        details.append(f"cuDNN {build['cudnn_version']}")
    return "built for NVIDIA GPUs (" + ", ".join(details) + ")"


def _mixed_precision(devices: Sequence[Device]) -> str:
    """Which precision pays on these devices."""
    if any(device.kind == "TPU" for device in devices):
        return 'mixed_bfloat16: keras.mixed_precision.set_global_policy("mixed_bfloat16")'
    gpus = [device for device in devices if device.kind == "GPU"]
    if not gpus:
        return "float32; mixed precision only slows a CPU down"
    known = [device.compute_capability for device in gpus if device.compute_capability]
    if len(known) < len(gpus):
        return "float32; compute capability unknown, so measure before trusting mixed precision"
    weakest = min(known)
    if weakest >= (8, 0):
        return "mixed_bfloat16 (no loss scaling needed) or mixed_float16; both use the tensor cores"
    if weakest >= (7, 0):
        return "mixed_float16, which uses the tensor cores; bfloat16 needs compute capability 8.0"
    return "float32; mixed precision pays from compute capability 7.0"


def _next_step(where: str, devices: Sequence[Device], build: Mapping[str, Any] | None, driver: bool) -> str:
    """The right next step for who expected a GPU; ``driver``: an NVIDIA driver was seen."""
    if any(device.kind in ("GPU", "TPU") for device in devices):
        return "nothing: the accelerator is in use"
    small = "Every lesson is sized for a CPU."
    colab = "Colab lends a GPU free of charge"
    if where == "colab":
        return "Runtime > Change runtime type > T4 GPU, then run the lesson from the top. " + small
    if where == "macos":
        return f"none needed. Current TensorFlow has no working GPU plug-in for macOS; {colab}. {small}"
    if where == "windows":
        return (
            "TensorFlow after 2.10 uses no GPU on native Windows; for an NVIDIA GPU work inside WSL2, "
            f"or {colab}. {small}"
        )
    if where not in ("linux", "wsl2"):
        return f"none known for this platform; {colab}. {small}"
    install = "`pip install tensorflow[and-cuda]`"
    if driver:
        if build is not None and not (build.get("is_cuda_build") or build.get("is_rocm_build")):
            return f"an NVIDIA driver is here, but this TensorFlow is for the CPU only: {install}"
        return f"an NVIDIA driver is here, yet TensorFlow sees no GPU: {install}; `nvidia-smi` should list it"
    check = (
        "update the NVIDIA driver of Windows (none inside WSL2); `nvidia-smi` in WSL2 should list the GPU"
        if where == "wsl2"
        else "`nvidia-smi` should list the GPU (if not, install the NVIDIA driver)"
    )
    return f"none needed without an NVIDIA GPU. With one: {check}, then {install}. {small}"


# ---------------------------------------------------------------------------- looking


def _driver_seen() -> bool:
    """Whether an NVIDIA driver shows itself."""
    import shutil

    places = ("/proc/driver/nvidia/version", "/dev/nvidia0", "/usr/lib/wsl/lib/libnvidia-ml.so.1")
    return shutil.which("nvidia-smi") is not None or any(Path(place).exists() for place in places)


def _driver_memory(table: str, model: str) -> int | None:
    """Memory in bytes of a GPU model in ``nvidia-smi``'s "name, MiB" lines; ``None`` if not told apart."""
    sizes = set()
    for row in table.splitlines():
        name, _, mebibytes = row.rpartition(",")
        if name.strip() == model and mebibytes.strip().isdigit():
            sizes.add(int(mebibytes) * 2**20)
    return sizes.pop() if len(sizes) == 1 else None


def _memory_table() -> str:
    """What the NVIDIA driver's tool says about each GPU; empty where it is missing or does not answer."""
    import subprocess

    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""


def _devices(tf: Any) -> tuple[Device, ...]:
    """The accelerators that TensorFlow lists; whatever cannot be found out is left out."""
    found = []
    for kind in ("GPU", "TPU"):
        try:
            listed = tf.config.list_physical_devices(kind)
        except Exception:
            listed = []
        for physical in listed:
            try:
                details = tf.config.experimental.get_device_details(physical) or {}
            except Exception:
                details = {}
            capability = details.get("compute_capability")
            name = str(details.get("device_name") or physical.name)
            found.append(
                Device(
                    kind=kind,
                    name=name,
                    memory=_driver_memory(_memory_table(), name) if kind == "GPU" else None,
                    compute_capability=tuple(capability) if capability else None,
                )
            )
    return tuple(found)


def _tensorflow() -> Any:
    """TensorFlow, imported quietly if it was not yet; an ImportError says what to do where it does not."""
    from course_utils.session import _import_advice, _quiet

    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _quiet([]):
            import tensorflow as tf

            tf.config.list_physical_devices()
    except Exception as error:
        raise ImportError(_import_advice(error, sys.platform, platform.machine())) from error
    return tf


def device_names() -> list[str]:
    """Names of the accelerators in use, empty on a machine without one. TensorFlow must be importable."""
    import tensorflow as tf

    return [f"{device.kind} {device.name}" for device in _devices(tf)]


def report(*, show: bool = True) -> GPUReport:
    """Say what TensorFlow can compute on here, and what to do if that is less than expected.

    Parameters
    ----------
    show : bool
        Print the report as well as returning it.
    """
    where = _platform(platform.system(), platform.release(), sys.modules, os.environ)
    system = {"Darwin": "macOS"}.get(platform.system(), platform.system() or "unknown system")
    names = {"colab": f"Colab ({system})", "wsl2": "Linux in WSL2"}
    machine = f"{names.get(where, system)}, {platform.machine() or 'unknown processor'}, {_cores()} CPU cores"
    driver = _driver_seen()
    try:
        tf = _tensorflow()
    except ImportError as error:
        result = GPUReport(where, machine, built_for="cannot be imported here", next_step=str(error))
    else:
        try:
            build: Mapping[str, Any] | None = dict(tf.sysconfig.get_build_info())
        except Exception:
            build = None
        devices = _devices(tf)
        result = GPUReport(
            platform=where,
            machine=machine,
            devices=devices,
            tensorflow=str(tf.__version__),
            built_for=_built_for(build) if build is not None else "build unknown",
            mixed_precision=_mixed_precision(devices),
            next_step=_next_step(where, devices, build, driver),
        )
    if show:
        print(result)
    return result


def _cores() -> int:
    """CPU cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def memory_growth(*, show: bool = True) -> int:
    """Let TensorFlow take a GPU's memory as it needs it, instead of all of it at once.

    It has to be said before the first operation on a GPU; ``start(keras=True)`` does.

    Returns
    -------
    int
        Number of GPUs set.
    """
    import tensorflow as tf

    count = 0
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
            count += 1
        except RuntimeError:
            if show:
                print(
                    f"Too late for {gpu.name}: it is in use already. Restart the kernel and call this first."
                )
        except ValueError:
            if show:
                print(f"{gpu.name} does not support memory growth.")
    return count


def benchmark(size: int = 1024, repeats: int = 5, *, show: bool = True) -> BenchmarkResult:
    """Time a matrix product on the CPU and, if there is one, on the first GPU.

    Parameters
    ----------
    size : int
        Rows and columns of the two float32 matrices.
    repeats : int
        Timed runs after two that warm up; the median counts.
    show : bool
        Print the result as well as returning it.

    Raises
    ------
    ValueError
        If ``size`` or ``repeats`` is less than 1.
    ImportError
        If TensorFlow cannot be imported.
    """
    if size < 1 or repeats < 1:
        raise ValueError("size and repeats should be at least 1.")
    tf = _tensorflow()
    cpu = _time_product(tf, "/CPU:0", size, repeats)
    gpus = [device for device in _devices(tf) if device.kind == "GPU"]
    gpu = _time_product(tf, "/GPU:0", size, repeats) if gpus else None
    result = BenchmarkResult(size, repeats, cpu, gpu, gpus[0].name if gpus else None)
    if show:
        print(result)
    return result


def _time_product(tf: Any, device: str, size: int, repeats: int) -> float:
    """Median seconds of one product on a device; the result is waited for, since a GPU runs ahead."""
    with tf.device(device):
        generator = tf.random.Generator.from_seed(0)
        a, b = generator.normal((size, size)), generator.normal((size, size))
        seconds = []
        for run in range(repeats + 2):
            begin = time.perf_counter()
            # one element is read back: that waits for the product without timing a copy of the whole
            tf.linalg.matmul(a, b)[0, 0].numpy()
            if run >= 2:
                seconds.append(time.perf_counter() - begin)
    seconds.sort()
    middle = len(seconds) // 2
    return seconds[middle] if len(seconds) % 2 else (seconds[middle - 1] + seconds[middle]) / 2
