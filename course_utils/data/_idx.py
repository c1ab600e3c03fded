"""Reading the idx format of MNIST: a magic number, big-endian dimensions, then the values."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from ._dataset import DataError

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, n_dims: int) -> np.ndarray:
    """Read an idx file of unsigned bytes, gzip-compressed or not.

    Parameters
    ----------
    path : Path
        The file.
    n_dims : int
        Number of dimensions it must have: 3 for images (n, rows, columns), 1 for labels (n,).

    Returns
    -------
    ndarray, uint8
        The values in their shape; the caller's own, writable.

    Raises
    ------
    DataError
        If the file is not what its header says, in one sentence.
    """
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            raise DataError(f"{path} is a damaged gzip file; delete it and load the data again.") from None

    def malformed(why: str) -> DataError:
        return DataError(f"{path} is not a valid idx file: {why}; delete it and load the data again.")

    header = 4 + 4 * n_dims
    if len(raw) < 4 or raw[:2] != b"\x00\x00":
        raise malformed("it does not begin with the magic number")
    if raw[2] != _UNSIGNED_BYTE:
        raise malformed(f"its values are of type 0x{raw[2]:02x}, not unsigned bytes (0x08)")
    if raw[3] != n_dims:
        raise malformed(f"it has {raw[3]} dimensions, not {n_dims}")
    if len(raw) < header:
        raise malformed("it ends inside its header")
    shape = struct.unpack(f">{n_dims}I", raw[4:header])
    expected = math.prod(shape)
    if len(raw) - header != expected:
        sizes = " x ".join(str(length) for length in shape)
        raise malformed(f"{sizes} = {expected} values are announced and {len(raw) - header} are there")
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape).copy()
