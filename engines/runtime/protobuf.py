"""Protocol Buffers as they lie in a file: a sequence of (field number, value), without knowing the messages.

Every function raises ValueError or IndexError for what is no such sequence.
"""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """(field number, value) of one message; fixed-size numbers come as their bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            number_value, at = _varint(data, at)
            yield number, number_value
            continue
        length = 8 if wire == 1 else 4 if wire == 5 else -1
        if wire == 2:
            length, at = _varint(data, at)
        if length < 0 or number == 0:
            raise ValueError(f"wire type {wire}, field {number}")
        if at + length > len(data):
            raise ValueError("cut off")
        yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    raise ValueError("a number longer than 64 bits")


def varints(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def as_int(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError("a number was expected")
    return value


def as_message(value: Value) -> memoryview:
    if not isinstance(value, memoryview):
        raise ValueError("bytes were expected")
    return value


def as_text(value: Value) -> str:
    return bytes(as_message(value)).decode("utf-8")


def as_pair(value: Value) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto."""
    parts = {number: as_text(content) for number, content in fields(as_message(value)) if number in (1, 2)}
    return parts.get(1, ""), parts.get(2, "")
