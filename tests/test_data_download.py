"""Downloads of public data: every way they fail, and that none harms what is there."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from course_utils import data
from course_utils.data import DataError, _download, _registry
from course_utils.data._idx import read_idx
from tests.http_server import Server, closed_port, serving


def _idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


_rng = np.random.default_rng(0)
FILES = {
    "tiny/train-images.gz": _idx(_rng.integers(0, 256, (7, 28, 28))),
    "tiny/train-labels.gz": _idx(np.arange(7) % 10),
    "tiny/test-images.gz": _idx(_rng.integers(0, 256, (3, 28, 28))),
    "tiny/test-labels.gz": _idx(np.arange(3)),
}
ROLES = dict(zip(("train_images", "train_labels", "test_images", "test_labels"), FILES, strict=True))
IMAGES = "tiny/train-images.gz"


def registered(path: str, *bases: str) -> _registry.File:
    content = FILES[path]
    urls = tuple(f"{base}/{path}" for base in bases)
    return _registry.File(path, urls, hashlib.sha256(content).hexdigest(), len(content))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, no mirror, nothing remembered, and short waits."""
    for variable in (
        "COURSE_DATA",
        "COURSE_DATA_MIRROR",
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_download, "_answers", {})
    monkeypatch.setattr(data, "_failed", {})
    monkeypatch.setattr(_download, "CONNECT_SECONDS", 2.0)
    monkeypatch.setattr(_download, "STALL_SECONDS", 0.4)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(FILES) as running:
        yield running


def in_cache(tmp_path: Path) -> list[str]:
    """Every file in the cache, with the hidden ones."""
    cache = tmp_path / "cache"
    return sorted(str(p.relative_to(cache).as_posix()) for p in cache.rglob("*") if p.is_file())


def one_sentence(error: BaseException) -> str:
    text = str(error)
    assert text.endswith(".") and "\n" not in text and ". " not in text, text
    return text


def use(monkeypatch: pytest.MonkeyPatch, *bases: str) -> None:
    """Register the tiny files as the full version of the digits."""
    entry = _registry.read()["digits"]
    files = {role: registered(path, *bases) for role, path in ROLES.items()}
    full = _registry.Version("Tiny.", "tiny digits", "none", "none", files)
    monkeypatch.setattr(_registry, "read", lambda: {"digits": {"sample": entry["sample"], "full": full}})


def test_download_is_verified_and_kept(server: Server, tmp_path: Path) -> None:
    path = _download.fetch(registered(IMAGES, server.url("ok")))
    assert path.read_bytes() == FILES[IMAGES]
    assert in_cache(tmp_path) == [IMAGES]
    before = server.gets()
    assert _download.fetch(registered(IMAGES, server.url("ok"))) == path
    assert server.gets() == before


FAILURES = {
    "cut": "was cut after",
    "short": "sent only",
    "long": "sent more than",
    "corrupt": "wrong SHA-256",
    "stall": "sent nothing for 0.4 s",
    "silent": "sent nothing for 0.4 s",
    "404": "answered 404 Not Found",
    "503": "answered 503",
    "page": "sent only",
    "refused": "no connection to",
}


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("there", ["nothing", "damaged", "other files"])
def test_failed_download(
    how: str, there: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "cache" / IMAGES
    if there != "nothing":
        target.parent.mkdir(parents=True)
        (target if there == "damaged" else target.with_name("other.gz")).write_bytes(b"kept")
    before = in_cache(tmp_path)

    base = closed_port() if how == "refused" else server.url(how)
    with pytest.raises(DataError) as caught:
        _download.fetch(registered(IMAGES, base))
    text = one_sentence(caught.value)
    assert FAILURES[how] in text and IMAGES in text and "COURSE_DATA_MIRROR" in text
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert in_cache(tmp_path) == before
    if there == "damaged":
        assert target.read_bytes() == b"kept"
        assert "is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("how", FAILURES)
def test_failed_source_is_followed_by_the_next(how: str, server: Server, tmp_path: Path) -> None:
    first = closed_port() if how == "refused" else server.url(how)
    path = _download.fetch(registered(IMAGES, first, server.url("ok")))
    assert path.read_bytes() == FILES[IMAGES] and in_cache(tmp_path) == [IMAGES]


def test_every_reason_is_named(server: Server) -> None:
    with pytest.raises(DataError, match=r"404.*no connection") as caught:
        _download.fetch(registered(IMAGES, server.url("404"), closed_port()))
    one_sentence(caught.value)


def test_damaged_file_is_replaced(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "cache" / IMAGES
    target.parent.mkdir(parents=True)
    target.write_bytes(FILES[IMAGES][:-1] + b"x")
    assert _download.cached(registered(IMAGES, "http://x")) is None
    assert _download.fetch(registered(IMAGES, server.url("ok"))).read_bytes() == FILES[IMAGES]
    assert "is damaged and will be replaced" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "The disk is full"),
        (errno.EDQUOT, "The disk is full"),
        (errno.EIO, "cannot be written"),
    ],
)
@pytest.mark.parametrize("mirror", [False, True])
def test_full_disk(
    number: int, expected: str, mirror: bool, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "cache" / IMAGES
    target.parent.mkdir(parents=True)
    target.write_bytes(b"kept")
    if mirror:
        folder = tmp_path / "mirror" / "tiny"
        folder.mkdir(parents=True)
        (tmp_path / "mirror" / IMAGES).write_bytes(FILES[IMAGES])
        monkeypatch.setenv("COURSE_DATA_MIRROR", str(tmp_path / "mirror"))

    class FullDisk:
        def __init__(self, stream: object) -> None:
            self.stream = stream

        def __enter__(self) -> FullDisk:
            return self

        def __exit__(self, *args: object) -> None:
            self.stream.close()  # type: ignore[attr-defined]

        def write(self, chunk: bytes) -> int:
            raise OSError(number, os.strerror(number))

    real = _download._open_part
    monkeypatch.setattr(_download, "_open_part", lambda part: FullDisk(real(part)))
    with pytest.raises(DataError, match=expected) as caught:
        _download.fetch(registered(IMAGES, server.url("ok"), server.url("ok")))
    assert "COURSE_CACHE" in one_sentence(caught.value)
    assert in_cache(tmp_path) == [IMAGES] and target.read_bytes() == b"kept"


def test_cache_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be written") as caught:
        _download.fetch(registered(IMAGES, server.url("ok")))
    assert "COURSE_CACHE" in one_sentence(caught.value)
    assert (tmp_path / "cache").read_text() == "a file where the folder should be"


def test_read_only_cache(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(part: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(part))

    monkeypatch.setattr(_download, "_open_part", refuse)
    before = server.gets()
    with pytest.raises(DataError, match=r"cannot be written \(Permission denied\)") as caught:
        _download.fetch(registered(IMAGES, server.url("ok")))
    one_sentence(caught.value)
    assert in_cache(tmp_path) == [] and server.gets() == before


def test_read_only_cache_with_the_file_serves_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = _download.fetch(registered(IMAGES, server.url("ok")))
    monkeypatch.setattr(_download, "_open_part", lambda part: pytest.fail("nothing is to be written"))
    assert _download.fetch(registered(IMAGES, closed_port())) == path


def test_file_that_cannot_be_moved(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(part: Path, target: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(_download.os, "replace", refuse)
    with pytest.raises(DataError, match="cannot be written"):
        _download.fetch(registered(IMAGES, server.url("ok")))
    assert in_cache(tmp_path) == []


def test_interrupt_leaves_nothing(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: object, chunk: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(_download._Checked, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _download.fetch(registered(IMAGES, server.url("ok")))
    assert in_cache(tmp_path) == []


def test_part_of_a_killed_process_goes_after_a_day(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "cache" / IMAGES
    target.parent.mkdir(parents=True)
    old, young = (target.with_name(f".{target.name}.{which}.part") for which in ("old", "young"))
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    _download.fetch(registered(IMAGES, server.url("ok")))
    assert not old.exists() and young.exists()


def test_downloads_at_once(server: Server, tmp_path: Path) -> None:
    """Threads and processes that fetch the same file do not disturb each other."""
    file = registered(IMAGES, server.url("ok"))
    code = (
        "from course_utils.data import _download, _registry\n"
        f"_download.fetch(_registry.File({file.path!r}, {file.urls!r}, {file.sha256!r}, {file.size}))"
    )
    root = Path(__file__).resolve().parents[1]
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=root) for _ in range(2)]
    threads = [threading.Thread(target=_download.fetch, args=(file,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0]
    assert in_cache(tmp_path) == [IMAGES]
    assert (tmp_path / "cache" / IMAGES).read_bytes() == FILES[IMAGES]


# the mirror


def mirror_folder(tmp_path: Path, *paths: str) -> Path:
    folder = tmp_path / "mirror of the class"
    for path in paths or FILES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(FILES[path])
    return folder


def test_mirror_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_DATA_MIRROR", str(mirror_folder(tmp_path)))
    assert _download.fetch(registered(IMAGES, closed_port())).read_bytes() == FILES[IMAGES]
    assert in_cache(tmp_path) == [IMAGES]


@pytest.mark.parametrize("start", ["current folder", "repository"])
def test_relative_mirror_folder(start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror_folder(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if start == "repository":
        monkeypatch.setattr(_download, "data_folder", lambda: tmp_path / "data")
        monkeypatch.chdir(elsewhere)
    else:
        monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COURSE_DATA_MIRROR", "mirror of the class")
    assert _download.fetch(registered(IMAGES, closed_port())).read_bytes() == FILES[IMAGES]


def test_mirror_url_comes_first(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_DATA_MIRROR", server.url("ok") + "/")
    assert _download.fetch(registered(IMAGES, closed_port())).read_bytes() == FILES[IMAGES]


@pytest.mark.parametrize(
    "kind", ["empty folder", "no folder", "damaged file", "url without it", "closed url"]
)
def test_mirror_without_the_file_falls_through(
    kind: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mirror_folder(tmp_path, "tiny/test-labels.gz")
    if kind == "damaged file":
        (folder / IMAGES).write_bytes(b"something else")
    mirror = {
        "no folder": str(tmp_path / "nowhere"),
        "url without it": server.url("404"),
        "closed url": closed_port(),
    }.get(kind, str(folder))
    monkeypatch.setenv("COURSE_DATA_MIRROR", mirror)
    assert _download.fetch(registered(IMAGES, server.url("ok"))).read_bytes() == FILES[IMAGES]
    if kind == "damaged file":
        assert (folder / IMAGES).read_bytes() == b"something else"


# load, by mode


def test_auto_takes_the_full_version_where_a_server_answers(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, server.url("ok"))
    digits = data.load("digits")
    assert digits.version == "full" and digits.x_train.shape == (7, 28, 28)
    assert digits.y_train.dtype == np.int64 and digits.x_train.flags.writeable
    assert data.load("digits").version == "full"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and "now in the cache" in lines[0] and "from the cache" in lines[1]


def test_auto_asks_a_dead_server_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, closed_port())
    assert data.load("digits").version == "sample"
    (line,) = capsys.readouterr().out.splitlines()
    assert "sample" in line and "no data server answered" in line
    monkeypatch.setattr(_download, "_probe", lambda *args: pytest.fail("asked again"))
    assert data.load("digits").version == "sample"


def test_auto_does_not_wait_for_a_server_that_hangs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, server.url("ok"))
    monkeypatch.setattr(_download, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(_download, "_probe", lambda *args: time.sleep(1.5))
    start = time.monotonic()
    assert data.load("digits").version == "sample"
    assert time.monotonic() - start < 1.2


@pytest.mark.parametrize("how", ["cut", "corrupt", "stall", "404"])
def test_auto_falls_back_when_the_download_fails(
    how: str,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    use(monkeypatch, server.url(how))
    assert data.load("digits").version == "sample"
    (line,) = capsys.readouterr().out.splitlines()
    assert FAILURES[how] in line
    gets = server.gets()
    assert data.load("digits").version == "sample" and server.gets() == gets
    assert in_cache(tmp_path) == []


def test_auto_falls_back_when_the_cache_cannot_be_written(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    use(monkeypatch, server.url("ok"))
    (tmp_path / "cache").write_text("")
    assert data.load("digits").version == "sample"
    assert "cannot be written" in capsys.readouterr().out


def test_auto_says_that_the_cached_copy_is_damaged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    use(monkeypatch, closed_port())
    target = tmp_path / "cache" / IMAGES
    target.parent.mkdir(parents=True)
    target.write_bytes(b"kept")
    assert data.load("digits").version == "sample"
    assert "the cached copy is damaged" in capsys.readouterr().out
    assert target.read_bytes() == b"kept"


def test_auto_uses_a_mirror_folder_without_any_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, closed_port())
    monkeypatch.setenv("COURSE_DATA_MIRROR", str(mirror_folder(tmp_path)))
    monkeypatch.setattr(_download, "_probe", lambda *args: pytest.fail("no server is to be asked"))
    assert data.load("digits").version == "full"


def test_sample_never_asks(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, server.url("ok"))
    monkeypatch.setenv("COURSE_DATA", "sample")
    before = len(server.requests)
    assert data.load("digits").version == "sample" and len(server.requests) == before


def test_full_raises_when_it_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, closed_port())
    monkeypatch.setenv("COURSE_DATA", "full")
    with pytest.raises(DataError, match="COURSE_DATA=sample") as caught:
        data.load("digits")
    one_sentence(caught.value)


def test_full_tries_again_after_auto_gave_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, server.url("404"))
    assert data.load("digits").version == "sample"
    use(monkeypatch, server.url("ok"))
    monkeypatch.setenv("COURSE_DATA", "full")
    assert data.load("digits").version == "full"


def test_invalid_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_DATA", "ful")
    with pytest.raises(DataError, match="must be auto, sample or full, not 'ful'") as caught:
        data.load("digits")
    one_sentence(caught.value)


@pytest.mark.parametrize(
    ("name", "ink"), [("digits", 33.3), ("fashion", 72.9)], ids=["MNIST", "Fashion-MNIST"]
)
def test_real_files(name: str, ink: float, monkeypatch: pytest.MonkeyPatch, real_mirror: str) -> None:
    monkeypatch.setenv("COURSE_DATA", "full")
    monkeypatch.setenv("COURSE_DATA_MIRROR", real_mirror)
    loaded = data.load(name)
    assert loaded.version == "full"
    assert loaded.x_train.shape == (60000, 28, 28) and loaded.x_test.shape == (10000, 28, 28)
    assert loaded.x_train.dtype == np.uint8 and loaded.y_test.dtype == np.int64
    assert loaded.x_train.mean() == pytest.approx(ink, abs=0.5)
    assert np.unique(loaded.y_train).tolist() == list(range(10))
    assert np.bincount(loaded.y_test).min() > 800


_MIRROR = os.environ.get("COURSE_DATA_MIRROR", "")


@pytest.fixture
def real_mirror() -> str:
    if not _MIRROR:
        pytest.skip("COURSE_DATA_MIRROR is not set: no real files to read")
    return _MIRROR if _MIRROR.startswith("http") else str(_download._mirror_folder(_MIRROR))


# the idx format and the registry


def idx_bytes(magic: bytes, shape: tuple[int, ...], n_values: int) -> bytes:
    return magic + struct.pack(f">{len(shape)}I", *shape) + bytes(n_values)


@pytest.mark.parametrize("packed", [False, True])
def test_idx(packed: bool, tmp_path: Path) -> None:
    raw = idx_bytes(b"\0\0\x08\x03", (2, 3, 4), 24)
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    assert read_idx(path, 3).shape == (2, 3, 4) and read_idx(path, 3).flags.writeable


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "magic number"),
        (b"<html>", "magic number"),
        (idx_bytes(b"\0\0\x0d\x03", (2, 3, 4), 24), "0x0d"),
        (idx_bytes(b"\0\0\x08\x01", (24,), 24), "has 1 dimensions, not 3"),
        (b"\0\0\x08\x03\0\0", "inside its header"),
        (idx_bytes(b"\0\0\x08\x03", (2, 3, 4), 23), "24 values are announced and 23"),
        (idx_bytes(b"\0\0\x08\x03", (2, 3, 4), 25), "24 values are announced and 25"),
        (idx_bytes(b"\0\0\x08\x03", (2**32 - 1,) * 3, 8), "announced and 8"),
        (gzip.compress(bytes(100))[:-9], "damaged gzip"),
        (b"\x1f\x8bnonsense", "damaged gzip"),
    ],
)
def test_malformed_idx(content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataError, match=expected) as caught:
        read_idx(path, 3)
    one_sentence(caught.value)


def test_registry_is_complete() -> None:
    registry = _registry.read()
    assert sorted(registry) == list(data.names())
    for name, versions in registry.items():
        assert set(versions) <= {"sample", "full", "generated"}
        if versions.get("full") and versions["full"].files:
            assert "sample" in versions, name
            for file in versions["full"].files.values():
                assert len({url.split("/")[2] for url in file.urls}) >= 2, "two independent places"
                assert all(url.startswith("https://") for url in file.urls)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("path: a/b", "path: ../b", "path must be relative"),
        ("path: a/b", "path: /b", "path must be relative"),
        ("- https://x/b", "- ftp://x/b", "urls"),
        ("size: 5", "size: 0", "size"),
        ("size: 5", "size: many", "size"),
        ("f" * 64, "F" * 64, "sha256"),
        ("licence: none", "licence:", "licence is missing"),
    ],
)
def test_malformed_registry(old: str, new: str, expected: str, tmp_path: Path) -> None:
    text = (
        "things:\n  full:\n    about: A\n    short: s\n    licence: none\n    citation: none\n    files:\n"
        f"      all:\n        path: a/b\n        sha256: {'f' * 64}\n        size: 5\n"
        "        urls:\n          - https://x/b\n"
    )
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(text)
    bad.write_text(text.replace(old, new))
    assert _registry.read(good)["things"]["full"].files["all"].size == 5
    with pytest.raises(ValueError, match=expected):
        _registry.read(bad)


def test_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from course_utils.data._progress import TextBar

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    bar = TextBar("file.gz", 2_000_000)
    bar.update(1_000_000)
    assert " 50%  1.0 of 2.0 MB" in terminal.getvalue() and "file.gz" in terminal.getvalue()
    bar.close()
    assert terminal.getvalue().endswith("\r")

    log = io.StringIO()
    monkeypatch.setattr(sys, "stdout", log)
    silent = TextBar("file.gz", 10)
    silent.update(10)
    silent.close()
    assert log.getvalue() == ""
