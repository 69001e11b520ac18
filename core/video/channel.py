"""Messages between the page and a decoding process: JSON behind its length, over a socket.

Never pickle: what decodes a hostile file must not be able to hand back code.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any

LENGTH = struct.Struct(">I")
MOST_BYTES = 512 * 2**20  # ten million frame times and keyframes in base64 are half of it


def send(end: socket.socket, message: dict[str, Any], *, descriptor: int | None = None) -> None:
    """Send ``message``, and an open file with it where ``descriptor`` is given.

    Raises:
        OSError: the other side is gone.
    """
    data = json.dumps(message).encode()
    length = LENGTH.pack(len(data))
    if descriptor is None:
        end.sendall(length + data)
    else:
        socket.send_fds(end, [length], [descriptor])
        end.sendall(data)


def receive(end: socket.socket) -> dict[str, Any]:
    """The next message; an open file that came with it is closed by the kernel unseen.

    Raises:
        EOFError: the other side is gone.
        ValueError: this is no message.
    """
    return _message(end, bytes(_exactly(end, LENGTH.size)))


def receive_with_file(end: socket.socket) -> tuple[dict[str, Any], int | None]:
    """The next message, and the descriptor of the file that came with it; for the worker.

    Raises:
        EOFError: the other side is gone.
    """
    begun, descriptors, _, _ = socket.recv_fds(end, LENGTH.size, 1)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    if not begun:
        raise EOFError
    rest = _exactly(end, LENGTH.size - len(begun))
    return _message(end, begun + bytes(rest)), descriptors[0] if descriptors else None


def _message(end: socket.socket, length: bytes) -> dict[str, Any]:
    (size,) = LENGTH.unpack(length)
    if size > MOST_BYTES:
        raise ValueError(f"a message of {size:,} bytes")
    try:
        message = json.loads(_exactly(end, size))
    except RecursionError as error:
        raise ValueError("a message without end") from error
    if not isinstance(message, dict):
        raise ValueError(f"a {type(message).__name__} instead of a message")
    return message


def _exactly(end: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        count = end.recv_into(view[got:])
        if not count:
            raise EOFError
        got += count
    return data
