"""Frames of bytes over a socket, each with its length in front, none longer than agreed.

Both ends treat the other as hostile: a length over the limit, a closed socket and silence past the deadline
all raise `Gone`, and nothing is allocated for bytes that have not come.
"""

from __future__ import annotations

import socket
import struct
import time

LONGEST = 96 * 2**20  # bytes in a frame; a little more than the largest value that crosses
_HEAD = struct.Struct(">Q")


class Gone(Exception):
    """The other end does not answer any more; the message says how that showed."""


class Channel:
    """One end of a conversation.

    Parameters
    ----------
    sock : socket.socket
        A connected stream socket. It belongs to the channel from now on.
    longest : int
        Bytes in the longest frame that is received.
    """

    def __init__(self, sock: socket.socket, longest: int = LONGEST) -> None:
        self.sock = sock
        self.longest = longest

    def send(self, frame: bytes, seconds: float | None = None) -> None:
        """Send one frame.

        Raises
        ------
        Gone
            If the other end is closed, or does not take the frame within ``seconds``.
        """
        try:
            self.sock.settimeout(seconds)
            self.sock.sendall(_HEAD.pack(len(frame)))
            self.sock.sendall(frame)
        except TimeoutError:
            raise Gone("it did not take what was sent to it") from None
        except OSError:
            raise Gone("it ended") from None

    def receive(self, seconds: float | None = None) -> bytes:
        """Wait for one frame, for ``seconds`` in all.

        Raises
        ------
        Gone
            If the other end is closed, is silent for too long, or announces too long a frame.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        (length,) = _HEAD.unpack(self._exactly(_HEAD.size, deadline))
        if length > self.longest:
            raise Gone(f"it sent more than {self.longest / 2**20:.0f} MB at once")
        return self._exactly(length, deadline)

    def _exactly(self, count: int, deadline: float | None) -> bytes:
        parts = bytearray()
        try:
            while len(parts) < count:
                if deadline is not None:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        raise TimeoutError
                    self.sock.settimeout(left)
                else:
                    self.sock.settimeout(None)
                part = self.sock.recv(min(count - len(parts), 2**20))
                if not part:
                    raise Gone("it ended")
                parts += part
        except TimeoutError:
            raise Gone("it did not answer in time") from None
        except OSError:
            raise Gone("it ended") from None
        return bytes(parts)

    def close(self) -> None:
        self.sock.close()
