"""Requests at random, as bytes, with everything in them that the wire format and the messages allow."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from airis.proto import otlp
from airis.proto.wire import FIXED32, FIXED64, GROUP, GROUP_END, LENGTH, VARINT, length_delimited, to_varint

TEXTS = (
    *("", "a", "a.b", "a_b", "_a", "__a", "1a", "total", "ratio", "service.name", "http.server.requests_total"),
    *(
        "service.namespace",
        "service.instance.id",
        "job",
        "instance",
        "shop",
        "s",
        "By/s",
        "ms",
        "1",
        "{x}/min",
        " s\x1f",
    ),
    *("prometheus.type", "airis.receivers.prometheus_remote_write"),
    *("ü", "\U0001f600", 'quote" \\ \n\r\t\b\f\0\x1f\x7f\u2028', "x" * 200),
)
NOT_UTF8 = (b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xc0\x80\xe2\x82", b"ok \xf4\x90\x80\x80 ok")
NUMBERS = (0, 1, 2, 3, 5, 77, 127, 128, 300, 1_700_000_000_000_000_000, (1 << 31) - 1, 1 << 31, (1 << 53) + 1, 1 << 63)
BITS = (0, 1, 0x3FF0000000000000, 0x3FB999999999999A, 1 << 63, 0x7FF0000000000000, 0xFFF0000000000000)
BITS_OF_NAN = (0x7FF8000000000000, 0x7FF0000000000002)
VARINTS = {
    *(FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64),
    *(FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_ENUM),
}
FIXED32S = {FieldDescriptor.TYPE_FIXED32}


class Generator:
    """Requests from one seed."""

    def __init__(self, seed: int, *, not_utf8: float = 0.0) -> None:
        self.random = random.Random(seed)
        self.not_utf8 = not_utf8
        self.room = 400

    def request(self, signal: str) -> bytes:
        """A well-formed request, if not one that a sender would make."""
        message = otlp.layout(signal).request.DESCRIPTOR
        return b"".join(self.message(message) for _ in range(self.random.randint(1, 2)))

    def message(self, message: Descriptor, depth: int = 0) -> bytes:
        fields = [part for field in message.fields for part in self.field(field, depth)]
        if self.chance(0.1):
            fields.append(self.unknown(self.random.choice([0, 18, 1000, (1 << 29) - 1]) or 99))
        if self.chance(0.3):
            self.random.shuffle(fields)
        return b"".join(fields)

    def field(self, field: FieldDescriptor, depth: int) -> list[bytes]:
        is_owner = field.message_type is not None and depth < 5
        if field.is_repeated:
            count = self.random.randint(0, 3) if not is_owner else self.random.choice([1, 1, 2, 3])
        elif field.containing_oneof is not None and len(field.containing_oneof.fields) > 1:
            count = self.chance(1.5 / len(field.containing_oneof.fields))
        else:
            count = 2 if self.chance(0.05) else self.chance(0.8)
        parts: list[bytes] = []
        for _ in range(count):
            self.room -= 1
            if self.room < 0:
                break
            if self.chance(0.01):
                parts.append(self.unknown(field.number, mistyped=True))
            elif field.is_packed and self.chance(0.7):
                values = [self.value(field)[1] for _ in range(self.random.randint(0, 4))]
                parts.append(length_delimited(field.number, b"".join(values)))
            elif field.message_type is not None:
                parts.append(length_delimited(field.number, self.message(field.message_type, depth + 1)))
            else:
                wire_type, content = self.value(field)
                parts.append(self.tag(field.number, wire_type) + content)
        return parts

    def value(self, field: FieldDescriptor) -> tuple[int, bytes]:
        if field.type in VARINTS:
            return VARINT, to_varint(self.number())
        if field.type in FIXED32S:
            return FIXED32, (self.number() & 0xFFFFFFFF).to_bytes(4, "little")
        if field.type == FieldDescriptor.TYPE_STRING:
            text = self.random.choice(NOT_UTF8) if self.chance(self.not_utf8) else self.text().encode()
            return LENGTH, to_varint(len(text)) + text
        if field.type == FieldDescriptor.TYPE_BYTES:
            content = self.random.randbytes(self.random.choice([0, 1, 2, 3, 8, 16]))
            return LENGTH, to_varint(len(content)) + content
        if field.type == FieldDescriptor.TYPE_DOUBLE:
            return FIXED64, self.bits().to_bytes(8, "little")
        return FIXED64, self.number().to_bytes(8, "little")

    def unknown(self, number: int, *, mistyped: bool = False) -> bytes:
        wire_type = self.random.choice([VARINT, FIXED64, GROUP, FIXED32, *([] if mistyped else [LENGTH])])
        content = {
            VARINT: to_varint(self.number()),
            FIXED64: bytes(8),
            LENGTH: b"\x02\xff\xff",
            GROUP: self.tag(7, GROUP) + self.tag(7, GROUP_END) + self.tag(number, GROUP_END),
            FIXED32: bytes(4),
        }
        return self.tag(number, wire_type) + content[wire_type]

    def tag(self, number: int, wire_type: int) -> bytes:
        tag = to_varint(number << 3 | wire_type)
        # A number may be written longer than it must be.
        return tag[:-1] + bytes([tag[-1] | 0x80, 0]) if len(tag) < 5 and self.chance(0.01) else tag

    def number(self) -> int:
        return self.random.choice(NUMBERS) if self.chance(0.7) else self.random.getrandbits(64)

    def bits(self) -> int:
        if self.chance(0.5):
            return self.random.choice((*BITS, *BITS_OF_NAN))
        return self.random.getrandbits(64)

    def text(self) -> str:
        return self.random.choice(TEXTS)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def mutated(self, payload: bytes) -> bytes:
        """The payload with a few bytes changed, taken out or put in, or cut off."""
        data = bytearray(payload)
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randrange(len(data) + 1)
            match self.random.randrange(5):
                case 0:
                    data[at:] = b""
                case 1:
                    data[at:at] = self.random.randbytes(self.random.randint(1, 3))
                case 2:
                    data[at : at + self.random.randint(1, 4)] = b""
                case 3:
                    data[at : at + 1] = bytes([self.random.randrange(256)])
                case _:
                    data[at : at + 1] = bytes([data[at] ^ 1 << self.random.randrange(8)]) if at < len(data) else b"\xff"
        return bytes(data)


@pytest.fixture(scope="session")
def generator() -> Callable[..., Any]:
    """What makes requests at random from a seed."""
    return Generator
