"""Protocol buffers taken apart as far as they can be, spoilt, and put together with lengths that are right."""

from __future__ import annotations

import random
from typing import Any, TypeAlias

from fastnn.checkpoint import FormatError
from fastnn.export import _protobuf as pb

Field: TypeAlias = "list[Any]"  # [number, wire, value]: a whole number, bytes, or the fields of a message
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 11, 13, 17, 64, 4096, 2**31 - 1, 2**31, 2**62, 2**63, 2**64 - 1)
TEXTS = (
    b"",
    b"x",
    b"y",
    b"Add",
    b"Mul",
    b"Sub",
    b"Div",
    b"Concat",
    b"Slice",
    b"Gemm",
    b"MatMul",
    b"Relu",
    b"Clip",
    b"Tanh",
    b"Erf",
    b"Sigmoid",
    b"Softmax",
    b"Identity",
    b"Transpose",
    b"Cast",
    b"Reshape",
    b"Flatten",
    b"Dropout",
    b"Constant",
    b"Sum",
    b"Pow",
    b"BatchNormalization",
    b"LayerNormalization",
    b"axis",
    b"alpha",
    b"epsilon",
    b"perm",
    b"\xff",
    b"a" * 300,
)
MOST_DEPTH = 6


def take_apart(data: bytes, depth: int = 0) -> list[Field] | None:
    """The fields of a message, those of messages within; None where it is none."""
    if depth > MOST_DEPTH or not data:
        return None
    try:
        found = [
            [number, wire, v if isinstance(v, int) else bytes(v)] for number, wire, v in pb.fields(memoryview(data))
        ]
    except FormatError:
        return None
    for field in found:
        if field[1] == pb.BYTES and len(field[2]) > 2:
            field[2] = take_apart(field[2], depth + 1) or field[2]
    return found


def put_together(fields: list[Field]) -> bytes:
    parts = []
    for number, wire, value in fields:
        head = pb.varint(number << 3 | wire)
        if wire == pb.VARINT:
            parts.append(head + pb.varint(value))
        elif wire == pb.BYTES:
            content = put_together(value) if isinstance(value, list) else value
            parts.append(head + pb.varint(len(content)) + content)
        else:
            parts.append(head + value)
    return b"".join(parts)


def messages(fields: list[Field]) -> list[list[Field]]:
    found = [fields]
    for field in fields:
        if isinstance(field[2], list):
            found += messages(field[2])
    return found


def texts(fields: list[Field]) -> list[bytes]:
    """What names stand in it: a node that reads another value has one of them."""
    return [
        f[2]
        for message in messages(fields)
        for f in message
        if isinstance(f[2], bytes) and f[1] == pb.BYTES and len(f[2]) < 40
    ]


def mutant(data: bytes, rng: random.Random) -> bytes:
    fields = take_apart(data)
    if fields is None:
        return data + bytes([rng.randrange(256)])
    names = texts(fields) or [b"x"]
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        full = [message for message in messages(fields) if message]
        if not full:
            break
        message = rng.choice(full)
        i, kind = rng.randrange(len(message)), rng.randrange(10)
        field = message[i]
        if kind == 0:
            del message[i]
        elif kind == 1:
            message.insert(rng.randrange(len(message) + 1), _copy(field))
        elif kind == 2:
            message.insert(rng.randrange(len(message) + 1), _copy(rng.choice(rng.choice(full))))
        elif kind == 3:
            field[0] = rng.choice((1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 14, field[0] + 1))
        elif kind == 4 and len(message) > 1:
            j = rng.randrange(len(message))
            message[i], message[j] = message[j], message[i]
        elif field[1] == pb.VARINT:
            field[2] = rng.choice((*NUMBERS, field[2] + 1, max(field[2] - 1, 0), 2 * field[2])) % 2**64
        elif field[1] == pb.BYTES and isinstance(field[2], bytes):
            field[2] = rng.choice(
                (
                    rng.choice(names),
                    rng.choice(TEXTS),
                    field[2] * 2,
                    field[2][: len(field[2]) // 2],
                    _flipped(field[2], rng),
                )
            )
        elif isinstance(field[2], list):
            full_ones = [m for m in full if m is not field[2]]
            field[2] = [_copy(f) for f in rng.choice(full_ones)] if full_ones and kind == 5 else field[2]
        else:
            field[2] = _flipped(field[2], rng)
    return put_together(fields)


def _copy(field: Field) -> Field:
    return [field[0], field[1], [_copy(f) for f in field[2]] if isinstance(field[2], list) else field[2]]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    if out:
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)
