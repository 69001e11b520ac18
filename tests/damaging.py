"""Damage that a file can suffer or be given, drawn from a seed; knows nothing of core."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

HEADER = 2048  # where most containers say what is in them
BLOCK = 188  # a packet of a transport stream


def mutated(data: bytes, seed: int) -> tuple[str, bytes]:
    """The name of a kind of damage, and ``data`` with one to three of its kind."""
    random_ = random.Random(seed)
    name = random_.choice(list(DAMAGES))
    changed = bytearray(data)
    for _ in range(random_.choice([1, 1, 2, 3])):
        if len(changed) > BLOCK:
            DAMAGES[name](changed, random_)
    return name, bytes(changed)


def _flip_bits(data: bytearray, random_: random.Random) -> None:
    for _ in range(random_.choice([1, 8, 64])):
        data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)


def _flip_header_bits(data: bytearray, random_: random.Random) -> None:
    for _ in range(random_.choice([1, 2, 6])):
        data[random_.randrange(min(HEADER, len(data)))] ^= 1 << random_.randrange(8)


def _flip_tail_bits(data: bytearray, random_: random.Random) -> None:
    """Where an mp4 has its index, and an avi its own."""
    for _ in range(random_.choice([1, 2, 6])):
        data[random_.randrange(max(0, len(data) - HEADER), len(data))] ^= 1 << random_.randrange(8)


def _truncate(data: bytearray, random_: random.Random) -> None:
    del data[random_.randrange(1, len(data)) :]


def _swap_blocks(data: bytearray, random_: random.Random) -> None:
    size = random_.choice([4, BLOCK, 1024])
    size = min(size, len(data) // 2)
    one, two = (random_.randrange(len(data) - size + 1) for _ in range(2))
    data[one : one + size], data[two : two + size] = data[two : two + size], data[one : one + size]


def _repeat_block(data: bytearray, random_: random.Random) -> None:
    begin = random_.randrange(len(data))
    block = data[begin : begin + random_.choice([4, BLOCK, 4096])]
    place = random_.randrange(len(data))
    data[place:place] = block * random_.choice([1, 5])


def _zero_block(data: bytearray, random_: random.Random) -> None:
    begin = random_.randrange(len(data))
    end = min(len(data), begin + random_.choice([4, BLOCK, 4096]))
    data[begin:end] = bytes(end - begin)


def _fill_with_noise(data: bytearray, random_: random.Random) -> None:
    begin = random_.randrange(len(data))
    end = min(len(data), begin + random_.choice([2, 16, 256]))
    data[begin:end] = random_.randbytes(end - begin)


def _inflate_a_number(data: bytearray, random_: random.Random) -> None:
    """A size, a count or a time that is far too large, in either byte order."""
    place = random_.choice(
        [random_.randrange(min(HEADER, len(data))), random_.randrange(len(data))]
    )
    kind = random_.choice([">I", "<I", ">H", "<H", ">Q", "<Q"])
    most = 256 ** struct.calcsize(kind) - 1
    number = random_.choice([most, most // 2, most // 2 + 1, 0, most // 256, 10**9 & most])
    data[place : place + struct.calcsize(kind)] = struct.pack(kind, number)


def _cut_out(data: bytearray, random_: random.Random) -> None:
    begin = random_.randrange(len(data))
    del data[begin : begin + random_.choice([1, 4, BLOCK, 4096])]


DAMAGES: dict[str, Callable[[bytearray, random.Random], None]] = {
    "bits": _flip_bits,
    "bits of the header": _flip_header_bits,
    "bits of the tail": _flip_tail_bits,
    "cut off": _truncate,
    "blocks swapped": _swap_blocks,
    "block repeated": _repeat_block,
    "block of zeros": _zero_block,
    "noise": _fill_with_noise,
    "number inflated": _inflate_a_number,
    "cut out": _cut_out,
}
