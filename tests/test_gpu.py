"""The GPU report: every branch, on machines this one is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from course_utils import gpu
from course_utils.gpu import BenchmarkResult, Device, GPUReport

T4 = Device("GPU", "Tesla T4", 15 * 2**30, (7, 5))
A100 = Device("GPU", "NVIDIA A100", 40 * 2**30, (8, 0))
P100 = Device("GPU", "Tesla P100", 16 * 2**30, (6, 0))
UNKNOWN = Device("GPU", "/physical_device:GPU:0")
TPU = Device("TPU", "TPU v2")
CUDA = {"is_cuda_build": True, "cuda_version": "12.5.1", "cudnn_version": "9"}
CPU_ONLY = {"is_cuda_build": False, "is_rocm_build": False}


@pytest.mark.parametrize(
    ("system", "release", "modules", "environ", "expected"),
    [
        ("Linux", "6.8.0-generic", {}, {}, "linux"),
        ("Linux", "5.15.153.1-microsoft-standard-WSL2", {}, {}, "wsl2"),
        ("Linux", "4.4.0-19041-Microsoft", {}, {}, "wsl2"),
        ("Windows", "11", {}, {}, "windows"),
        ("Darwin", "24.1.0", {}, {}, "macos"),
        ("Linux", "6.1.0", {"google.colab": None}, {}, "colab"),
        ("Linux", "6.1.0", {}, {"COLAB_RELEASE_TAG": "release"}, "colab"),
        ("FreeBSD", "14", {}, {}, "other"),
        ("", "", {}, {}, "other"),
    ],
)
def test_platform_is_recognised(system, release, modules, environ, expected):
    assert gpu._platform(system, release, modules, environ) == expected


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (CUDA, "built for NVIDIA GPUs (CUDA 12.5.1, cuDNN 9)"),
        ({"is_cuda_build": True}, "built for NVIDIA GPUs (CUDA)"),
        (CPU_ONLY, "built for the CPU only"),
        ({}, "built for the CPU only"),
        ({"is_rocm_build": True}, "built for AMD GPUs (ROCm)"),
    ],
)
def test_build_is_put_into_words(build, expected):
    assert gpu._built_for(build) == expected


@pytest.mark.parametrize(
    ("devices", "starts", "holds"),
    [
        ([], "float32", "CPU"),
        ([P100], "float32", "7.0"),
        ([T4], "mixed_float16", "8.0"),
        ([A100], "mixed_bfloat16", "mixed_float16"),
        ([A100, T4], "mixed_float16", "8.0"),  # the weakest decides
        ([A100, UNKNOWN], "float32", "unknown"),
        ([TPU], "mixed_bfloat16", "set_global_policy"),
    ],
)
def test_mixed_precision_advice(devices, starts, holds):
    advice = gpu._mixed_precision(devices)
    assert advice.startswith(starts)
    assert holds in advice


@pytest.mark.parametrize(
    ("where", "build", "driver", "words", "not_words"),
    [
        ("colab", CUDA, False, ["Runtime > Change runtime type"], ["pip install"]),
        ("macos", CPU_ONLY, False, ["no working GPU plug-in", "Colab"], ["pip install", "nvidia-smi"]),
        ("windows", CPU_ONLY, True, ["2.10", "WSL2"], ["and-cuda"]),
        ("linux", CUDA, False, ["nvidia-smi", "install the NVIDIA driver", "tensorflow[and-cuda]"], ["WSL2"]),
        (
            "linux",
            CUDA,
            True,
            ["driver is here", "sees no GPU", "tensorflow[and-cuda]"],
            ["install the NVIDIA"],
        ),
        ("linux", CPU_ONLY, True, ["for the CPU only", "tensorflow[and-cuda]"], []),
        ("linux", None, True, ["driver is here", "tensorflow[and-cuda]"], ["CPU only"]),
        ("wsl2", CUDA, False, ["driver of Windows", "nvidia-smi", "tensorflow[and-cuda]"], []),
        ("other", None, False, ["Colab"], ["pip install"]),
    ],
)
def test_next_step_without_a_gpu(where, build, driver, words, not_words):
    step = gpu._next_step(where, [], build, driver)
    for word in words:
        assert word in step
    for word in not_words:
        assert word not in step


@pytest.mark.parametrize("where", ["linux", "wsl2", "windows", "macos", "colab", "other"])
@pytest.mark.parametrize("device", [T4, TPU])
def test_next_step_with_an_accelerator_is_none(where, device):
    assert gpu._next_step(where, [device], CUDA, True).startswith("nothing")


@pytest.mark.parametrize(
    ("table", "model", "expected"),
    [
        ("Tesla T4, 15360\n", "Tesla T4", 15360 * 2**20),
        ("Tesla T4, 15360\nTesla T4, 15360\n", "Tesla T4", 15360 * 2**20),
        ("Card, 8192\nCard, 16384\n", "Card", None),  # one name, two sizes: no guess
        ("Tesla T4, [N/A]\n", "Tesla T4", None),
        ("", "Tesla T4", None),
    ],
)
def test_memory_is_read_from_the_driver(table, model, expected):
    assert gpu._driver_memory(table, model) == expected


# ---------------------------------------------------------------------------- with a faked TensorFlow


def physical(name):
    return SimpleNamespace(name=name)


def fake_tensorflow(gpus=(), tpus=(), details=None, build=CUDA, growth=None):
    def get_details(device):
        if isinstance(details, Exception):
            raise details
        return details or {}

    def set_growth(device, enable):
        if growth is not None:
            raise growth

    listed = {"GPU": [physical(n) for n in gpus], "TPU": [physical(n) for n in tpus]}
    experimental = SimpleNamespace(get_device_details=get_details, set_memory_growth=set_growth)
    config = SimpleNamespace(
        list_physical_devices=lambda kind="CPU": listed.get(kind, []), experimental=experimental
    )

    def get_build_info():
        if isinstance(build, Exception):
            raise build
        return build

    return SimpleNamespace(
        __version__="2.20.0", config=config, sysconfig=SimpleNamespace(get_build_info=get_build_info)
    )


def test_report_on_a_machine_with_a_gpu(monkeypatch, capsys):
    details = {"device_name": "Tesla T4", "compute_capability": (7, 5)}
    monkeypatch.setattr(
        gpu, "_tensorflow", lambda: fake_tensorflow(["/physical_device:GPU:0"], details=details)
    )
    monkeypatch.setattr(gpu, "_memory_table", lambda: "Tesla T4, 15360\n")
    report = gpu.report()
    assert report.devices == (T4,)
    text = capsys.readouterr().out
    assert text == f"{report}\n"
    assert "GPU: Tesla T4 (15.0 GiB of memory, compute capability 7.5)" in text
    assert "2.20.0, built for NVIDIA GPUs (CUDA 12.5.1, cuDNN 9)" in text
    assert "mixed_float16" in text


def test_report_without_a_gpu(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "_tensorflow", lambda: fake_tensorflow(build=CPU_ONLY))
    report = gpu.report(show=False)
    assert capsys.readouterr().out == ""
    assert report.devices == ()
    assert "CPU only, no GPU in use" in str(report)
    assert "built for the CPU only" in str(report)


def test_report_never_raises_on_an_odd_machine(monkeypatch):
    broken = fake_tensorflow(
        ["/physical_device:GPU:0"], details=RuntimeError("odd"), build=RuntimeError("odd")
    )
    monkeypatch.setattr(gpu, "_tensorflow", lambda: broken)
    monkeypatch.setattr(gpu, "_memory_table", lambda: "")
    monkeypatch.setattr(gpu.platform, "system", lambda: "")
    monkeypatch.setattr(gpu.platform, "machine", lambda: "")
    monkeypatch.setattr(gpu.platform, "release", lambda: "")
    report = gpu.report(show=False)
    assert report.platform == "other"
    assert report.devices == (UNKNOWN,)
    assert "build unknown" in str(report)


def test_report_without_tensorflow_says_what_to_do(monkeypatch):
    def missing():
        raise ImportError("TensorFlow is not installed: run this.")

    monkeypatch.setattr(gpu, "_tensorflow", missing)
    report = gpu.report(show=False)
    assert report.tensorflow is None
    assert "cannot be imported" in str(report)
    assert "run this" in report.next_step


@pytest.mark.parametrize(
    ("growth", "count", "words"),
    [
        (None, 2, ""),
        (RuntimeError("initialised"), 0, "Too late"),
        (ValueError("virtual"), 0, "does not support"),
    ],
)
def test_memory_growth(monkeypatch, capsys, growth, count, words):
    fake = fake_tensorflow(["/physical_device:GPU:0", "/physical_device:GPU:1"], growth=growth)
    monkeypatch.setitem(gpu.sys.modules, "tensorflow", fake)
    assert gpu.memory_growth() == count
    out = capsys.readouterr().out
    assert words in out
    assert bool(out) == bool(words)
    assert gpu.memory_growth(show=False) == count
    assert capsys.readouterr().out == ""


def test_device_names(monkeypatch):
    fake = fake_tensorflow(["/physical_device:GPU:0"], details={"device_name": "Tesla T4"})
    monkeypatch.setitem(gpu.sys.modules, "tensorflow", fake)
    monkeypatch.setattr(gpu, "_memory_table", lambda: "")
    assert gpu.device_names() == ["GPU Tesla T4"]


# ---------------------------------------------------------------------------- benchmark


def test_benchmark_result_is_honest_without_a_gpu():
    result = BenchmarkResult(1000, 5, 0.02)
    assert result.cpu_gflops == pytest.approx(100)
    assert result.gpu_gflops is None
    assert result.speedup is None
    assert "100 GFLOP/s" in str(result)
    assert "none here" in str(result)


def test_benchmark_result_compares():
    fast = BenchmarkResult(1000, 5, 0.02, 0.002, "Tesla T4")
    assert fast.speedup == pytest.approx(10)
    assert fast.gpu_gflops == pytest.approx(1000)
    assert "10.0 times the CPU" in str(fast)
    assert "slower than the CPU" in str(BenchmarkResult(10, 5, 1e-5, 1e-4, "Tesla T4"))


def test_benchmark_refuses_nonsense():
    with pytest.raises(ValueError, match="at least 1"):
        gpu.benchmark(size=0)
    with pytest.raises(ValueError, match="at least 1"):
        gpu.benchmark(repeats=0)


def test_benchmark_with_a_gpu_times_both(monkeypatch, capsys):
    details = {"device_name": "Tesla T4"}
    monkeypatch.setattr(
        gpu, "_tensorflow", lambda: fake_tensorflow(["/physical_device:GPU:0"], details=details)
    )
    monkeypatch.setattr(gpu, "_memory_table", lambda: "")
    seconds = {"/CPU:0": 0.3, "/GPU:0": 0.1}
    monkeypatch.setattr(gpu, "_time_product", lambda tf, device, size, repeats: seconds[device])
    result = gpu.benchmark(size=64)
    assert result.speedup == pytest.approx(3)
    assert "Tesla T4" in capsys.readouterr().out


def test_report_and_benchmark_on_this_machine(capfd):
    """Both are true here: real TensorFlow, whatever the machine has, and no native messages."""
    pytest.importorskip("tensorflow")
    report = gpu.report(show=False)
    assert isinstance(report, GPUReport)
    result = gpu.benchmark(size=64, repeats=2, show=False)
    assert result.cpu_seconds > 0
    assert (result.gpu_seconds is None) == (not any(d.kind == "GPU" for d in report.devices))
    assert capfd.readouterr().out == ""
