"""Messages come whole or not at all, whatever pieces the bytes come in; and reading waits for nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symbolizers.process.messages import MAX_MESSAGE_BYTES, BrokenStream, MessageStream


@pytest.fixture
def ends() -> Iterator[tuple[MessageStream, socket.socket]]:
    """One end as a stream of messages, the other as bytes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield MessageStream(ours), theirs


@given(st.lists(st.binary(max_size=2000), max_size=20), st.integers(1, 3000))
def test_messages_in_pieces_come_whole_and_in_order(messages: list[bytes], piece: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = MessageStream(ours)
        whole = b"".join(len(each).to_bytes(4, "little") + each for each in messages)
        found: list[bytes] = []
        for start in range(0, len(whole), piece):
            theirs.sendall(whole[start : start + piece])
            found += stream.receive()
        assert found == messages


def test_half_a_message_is_waited_for_by_nobody(ends: tuple[MessageStream, socket.socket]) -> None:
    stream, other = ends
    assert list(stream.receive()) == []
    other.sendall((5).to_bytes(4, "little") + b"ab")
    assert list(stream.receive()) == []
    other.sendall(b"cde")
    assert list(stream.receive()) == [b"abcde"]


def test_what_came_before_the_end_is_handed_out(ends: tuple[MessageStream, socket.socket]) -> None:
    stream, other = ends
    other.sendall((1).to_bytes(4, "little") + b"a" + (9).to_bytes(4, "little") + b"half")
    other.close()
    found: list[bytes] = []
    with pytest.raises(BrokenStream):
        found += stream.receive()
    assert found == [b"a"]
    with pytest.raises(BrokenStream):
        stream.send(b"x" * (1 << 20))


def test_a_message_longer_than_any_is_refused(ends: tuple[MessageStream, socket.socket]) -> None:
    stream, other = ends
    other.sendall((MAX_MESSAGE_BYTES + 1).to_bytes(4, "little"))
    with pytest.raises(BrokenStream):
        list(stream.receive())


def test_the_waiting_side_takes_one_after_the_other(ends: tuple[MessageStream, socket.socket]) -> None:
    stream, other = ends
    other.sendall((1).to_bytes(4, "little") + b"a" + (0).to_bytes(4, "little"))
    assert (stream.wait_for_one(), stream.wait_for_one()) == (b"a", b"")
    other.close()
    assert stream.wait_for_one() is None


class _Endless(socket.socket):
    """A connection whose other side never stops sending empty messages."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        return bytes(size)


def test_a_stream_that_never_stops_is_left_for_later() -> None:
    with _Endless() as connection:
        stream = MessageStream(connection)
        for _ in range(2):
            found = sum(1 for _ in islice(stream.receive(), 1 << 22))
            assert 0 < found < 1 << 22
