"""Frames over a socket: whole or `Gone`, whatever the other end does."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from course_utils.grading.channel import Channel, Gone


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    yield Channel(one, longest=1000), other
    one.close()
    other.close()


def test_a_frame_arrives_whole(ends):
    channel, other = ends
    threading.Thread(target=Channel(other).send, args=(b"x" * 1000,)).start()
    assert channel.receive(5) == b"x" * 1000


@pytest.mark.parametrize(
    ("sent", "closes", "said"),
    [
        (struct.pack(">Q", 1001), False, "more than"),
        (struct.pack(">Q", 2**64 - 1), False, "more than"),
        (b"", True, "ended"),
        (b"\0\0\0", True, "ended"),
        (struct.pack(">Q", 10) + b"half", True, "ended"),
        (struct.pack(">Q", 10) + b"half", False, "in time"),
        (b"", False, "in time"),
    ],
)
def test_what_is_no_frame_is_gone(ends, sent, closes, said):
    channel, other = ends
    other.sendall(sent)
    if closes:
        other.close()
    with pytest.raises(Gone, match=said):
        channel.receive(0.2)


def test_one_byte_at_a_time_does_not_stretch_the_deadline(ends):
    channel, other = ends
    stop = threading.Event()

    def drip():
        other.sendall(struct.pack(">Q", 900))
        while not stop.wait(0.05):
            try:
                other.sendall(b"x")
            except OSError:
                return

    threading.Thread(target=drip, daemon=True).start()
    begun = time.monotonic()
    with pytest.raises(Gone):
        channel.receive(0.4)
    stop.set()
    assert time.monotonic() - begun < 5


def test_sending_to_one_who_does_not_listen_ends(ends):
    channel, _ = ends
    with pytest.raises(Gone):
        channel.send(b"x" * 10_000_000, 0.2)
