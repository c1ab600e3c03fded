"""Fetching the files of public data sets: mirror first, pinned by hash, never harming what is there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from ._dataset import DataError
from ._progress import TextBar
from ._registry import File, data_folder

PROBE_SECONDS = 3.0  # how long "auto" waits for any server to answer
CONNECT_SECONDS = 6.0  # how long a download waits for a connection
STALL_SECONDS = 20.0  # how long a download waits for the next bytes
_CHUNK = 1 << 16
_STALE_SECONDS = 24 * 3600.0

_answers: dict[str, bool] = {}  # origin of a URL -> whether it answered, for the life of the process
_answers_changed = threading.Condition()


class _SourceFailed(Exception):
    """One source did not give the file; the text is the reason, without capital or full stop."""


def cache_folder() -> Path:
    """Where downloads are kept: ``COURSE_CACHE``, else the user's cache folder of the system."""
    own = os.environ.get("COURSE_CACHE", "").strip()
    if own:
        return Path(own).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("deep-learning-course", appauthor=False))


def cached(file: File) -> Path | None:
    """The file in the cache if it is there and its size and SHA-256 are right, else None."""
    target = cache_folder() / file.path
    return target if _is_right(target, file) else None


def fetch(file: File) -> Path:
    """Give the file from the cache, else from the mirror, else from a public address.

    The download goes to a temporary file beside the target and takes its place only when size and
    SHA-256 are right. A damaged file in the cache stays until then. The temporary file never stays.

    Parameters
    ----------
    file : File
        The registered file.

    Returns
    -------
    Path
        The verified file in the cache.

    Raises
    ------
    DataError
        If no source has it, or the cache cannot be written: one sentence with every reason.
    """
    target = cache_folder() / file.path
    if _is_right(target, file):
        return target
    if target.exists():
        print(f"The cached file {target} is damaged and will be replaced by a new download.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale_parts(target)
    except OSError as error:
        raise _cache_error(error, file, target) from None

    reasons = []
    for source in sources(file):
        try:
            _fetch_from(source, file, target)
            return target
        except _SourceFailed as failure:
            if str(failure) not in reasons:
                reasons.append(str(failure))
    raise DataError(
        f"{file.path} could not be had ({'; '.join(reasons)}): connect to the internet, set "
        "COURSE_DATA_MIRROR to a folder or address that has it, or set COURSE_DATA=sample."
    )


def sources(file: File) -> list[Path | str]:
    """Where to look for the file, in order: the mirror (a path or a URL), then the public addresses."""
    mirror = os.environ.get("COURSE_DATA_MIRROR", "").strip()
    if not mirror:
        return list(file.urls)
    if mirror.lower().startswith(("http://", "https://")):
        return [f"{mirror.rstrip('/')}/{quote(file.path)}", *file.urls]
    return [_mirror_folder(mirror) / file.path, *file.urls]


def answering(candidates: Iterable[Path | str]) -> bool:
    """Whether one of these sources can be expected to give its file.

    A path counts if it is a file. Of the URLs, every server is asked at once; the first answer of any
    kind counts, and none within ``PROBE_SECONDS`` means no. What a server did is remembered for the
    process, so that only the first data set waits.
    """
    origins: dict[str, str] = {}
    for source in candidates:
        if isinstance(source, Path):
            if source.is_file():
                return True
        else:
            origins.setdefault(_origin(source), source)
    unknown = [origin for origin in origins if origin not in _answers]
    for origin in unknown:
        threading.Thread(target=_probe, args=(origin, origins[origin]), daemon=True).start()

    def decided() -> bool:
        return any(_answers.get(origin) for origin in origins) or all(o in _answers for o in origins)

    with _answers_changed:
        if not _answers_changed.wait_for(decided, timeout=PROBE_SECONDS):
            for origin in unknown:
                _answers.setdefault(origin, False)
    return any(_answers.get(origin) for origin in origins)


def _probe(origin: str, url: str) -> None:
    import requests

    try:
        # Not a bare socket: behind a proxy, only a request shows whether the server can be reached.
        status = requests.head(url, timeout=PROBE_SECONDS, allow_redirects=False).status_code
        answered = status not in (407, 502, 503, 504)  # those come from a proxy or a gateway
    except (requests.RequestException, OSError, ValueError):
        answered = False
    with _answers_changed:
        _answers[origin] = answered
        _answers_changed.notify_all()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _mirror_folder(mirror: str) -> Path:
    """The mirror's folder; a relative one is sought from the current folder, then from the repository."""
    folder = Path(mirror).expanduser()
    if not folder.is_absolute():
        from_repository = data_folder().parent / folder
        if not folder.is_dir() and from_repository.is_dir():
            folder = from_repository
    return folder.absolute()


def _is_right(path: Path, file: File) -> bool:
    try:
        if path.stat().st_size != file.size:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


class _Checked:
    """The temporary file while it is written: counts and hashes, and refuses more than the right size."""

    def __init__(self, stream: BinaryIO, file: File, where: str) -> None:
        self._stream = stream
        self._file = file
        self._where = where
        self._hash = hashlib.sha256()
        self.count = 0

    def write(self, chunk: bytes) -> int:
        self.count += len(chunk)
        if self.count > self._file.size:
            raise _SourceFailed(f"{self._where} sent more than the {self._file.size:,} bytes of the file")
        self._hash.update(chunk)
        return self._stream.write(chunk)

    def flush(self) -> None:
        self._stream.flush()

    def verify(self) -> None:
        if self.count < self._file.size:
            raise _SourceFailed(f"{self._where} sent only {self.count:,} of {self._file.size:,} bytes")
        if self._hash.hexdigest() != self._file.sha256:
            raise _SourceFailed(f"what {self._where} sent is not the registered file (wrong SHA-256)")


def _fetch_from(source: Path | str, file: File, target: Path) -> None:
    where = f"the mirror {source}" if isinstance(source, Path) else urlsplit(source).netloc
    if isinstance(source, Path) and not source.is_file():
        raise _SourceFailed(f"{source} is not there")
    # Not tempfile: it makes files that only their owner may read, also in a cache that people share.
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with _open_part(part) as stream:
            checked = _Checked(stream, file, where)
            if isinstance(source, Path):
                _copy(source, checked)
            else:
                _download(source, checked, file)
            checked.verify()
            os.fsync(stream.fileno())
        _move(part, target, file)
    except OSError as error:
        raise _cache_error(error, file, target) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _open_part(part: Path) -> BinaryIO:
    return part.open("xb")


def _move(part: Path, target: Path, file: File) -> None:
    try:
        os.replace(part, target)
    except PermissionError:
        # Windows: another process has the target open. It may just have put the right file there.
        if not _is_right(target, file):
            raise


def _copy(source: Path, checked: _Checked) -> None:
    try:
        stream = source.open("rb")
    except OSError as error:
        raise _SourceFailed(f"{source} cannot be read ({_reason(error)})") from None
    with stream:
        while True:
            try:
                chunk = stream.read(_CHUNK)
            except OSError as error:
                raise _SourceFailed(f"{source} cannot be read ({_reason(error)})") from None
            if not chunk:
                return
            checked.write(chunk)


def _download(url: str, checked: _Checked, file: File) -> None:
    import pooch
    import requests

    bar = TextBar(Path(file.path).name, file.size)
    download = pooch.HTTPDownloader(
        progressbar=bar,
        chunk_size=_CHUNK,
        timeout=(CONNECT_SECONDS, STALL_SECONDS),
        # A server must send the registered bytes themselves, not a compressed form that is undone here.
        headers={"Accept-Encoding": "identity"},
    )
    try:
        download(url, checked, None)
    except requests.RequestException as error:
        raise _SourceFailed(_network_reason(error, urlsplit(url).netloc, checked, file)) from None
    finally:
        bar.close()


def _network_reason(error: Exception, host: str, checked: _Checked, file: File) -> str:
    import requests
    import urllib3

    cause = error.args[0] if error.args else None
    timeouts = (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError)
    stalled = isinstance(error, timeouts) or isinstance(cause, timeouts)
    progress = f"after {checked.count:,} of {file.size:,} bytes"
    if isinstance(error, requests.HTTPError):
        return f"{host} answered {error.response.status_code} {error.response.reason}".rstrip()
    if isinstance(error, requests.exceptions.SSLError):
        return f"the secure connection to {host} failed"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy did not reach {host}"
    if stalled:
        return f"{host} sent nothing for {STALL_SECONDS:g} s {progress}"
    if isinstance(error, requests.ConnectTimeout):
        return f"{host} did not answer within {CONNECT_SECONDS:g} s"
    if checked.count or isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the connection to {host} was cut {progress}"
    if isinstance(error, requests.ConnectionError):
        return f"no connection to {host}"
    return f"{host} could not be asked ({type(error).__name__})"


def _cache_error(error: OSError, file: File, target: Path) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"The disk is full: {file.path} needs {file.size / 1e6:.1f} MB in {target.parent}; free some "
            "space, or set COURSE_CACHE to a folder on another disk."
        )
    return DataError(
        f"The data cache {target.parent} cannot be written ({_reason(error)}): make it writable, or set "
        "COURSE_CACHE to another folder."
    )


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _remove_stale_parts(target: Path) -> None:
    """Remove what a killed process left of this file more than a day ago."""
    for part in target.parent.glob(f".{target.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                part.unlink()
