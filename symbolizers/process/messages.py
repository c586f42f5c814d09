"""Messages of bytes over a stream socket, between us and a process that may not be sane.

A message is its length in four bytes and its bytes. The reading side takes what has come and waits for
nothing: half a message stays until the rest is there.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator

MAX_MESSAGE_BYTES = 4 << 20
"""Parsing one takes some twenty times as much memory, for a moment."""
_LENGTH = struct.Struct("<I")
_PIECE_BYTES = 1 << 16
_MOST_PIECES = 128
"""How many are taken at once (8 MB): the other side may never stop."""


class BrokenStream(ConnectionError):
    """The other side has closed the stream, or what came is no message."""


class MessageStream:
    """One end. Lifetime: a connection. `post` and `receive` never wait; `send` and `wait_for_one` may."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()
        self._unsent = bytearray()

    def fileno(self) -> int:
        """Readable when `receive` should be called."""
        return self._connection.fileno()

    def send(self, message: bytes) -> None:
        """Sends the whole of `message`. Raises `BrokenStream`."""
        try:
            self._connection.sendall(_LENGTH.pack(len(message)) + message)
        except OSError as error:
            raise BrokenStream(str(error)) from None

    def post(self, message: bytes) -> None:
        """Sends as much of `message` as there is room for; `flush` sends the rest. Raises `BrokenStream`."""
        self._unsent += _LENGTH.pack(len(message)) + message
        self.flush()

    def flush(self) -> None:
        """Sends what was posted, as far as there is room. Raises `BrokenStream`."""
        try:
            while self._unsent:
                del self._unsent[: self._connection.send(self._unsent, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            return
        except OSError as error:
            raise BrokenStream(str(error)) from None

    def has_unsent(self) -> bool:
        """Whether `flush` should be called when the stream is writable."""
        return bool(self._unsent)

    def receive(self) -> Iterator[bytes]:
        """The messages that have come whole. Raises `BrokenStream`, after the last of them.

        It ends, whatever comes meanwhile: what is left makes the stream readable again at once.
        """
        for _ in range(_MOST_PIECES):
            try:
                piece = self._connection.recv(_PIECE_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                piece = b""
            self._received += piece
            yield from self._whole()
            if not piece:
                raise BrokenStream("the stream has ended")

    def wait_for_one(self) -> bytes | None:
        """The next message, however long it takes; None when the other side has closed the stream."""
        while True:
            for message in self._whole():
                return message
            try:
                piece = self._connection.recv(_PIECE_BYTES)
            except ConnectionResetError:  # closed, with something of ours unread
                return None
            if not piece:
                return None
            self._received += piece

    def close(self) -> None:
        """Closes this end; safe to call twice."""
        self._connection.close()

    def _whole(self) -> Iterator[bytes]:
        while len(self._received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received)
            if length > MAX_MESSAGE_BYTES:
                raise BrokenStream(f"a message of {length} bytes")
            end = _LENGTH.size + length
            if len(self._received) < end:
                return
            message = bytes(self._received[_LENGTH.size : end])
            del self._received[:end]
            yield message


def serve(stream: MessageStream, answer: Callable[[bytes], bytes]) -> None:
    """Says the pid; then answers each message with what `answer` makes of it, in order, until the end."""
    try:
        stream.send(str(os.getpid()).encode())
        while (message := stream.wait_for_one()) is not None:
            stream.send(answer(message))
    except BrokenStream:
        return
