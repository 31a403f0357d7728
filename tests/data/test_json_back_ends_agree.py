"""Native and reference kernels take the same OTLP/JSON texts, and make the same bytes of them; also of hostile ones."""

import importlib
import random
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airis.data.malformed import MalformedPayload
from airis.proto import otlp

reference = importlib.import_module("airis.data.reference")
native = pytest.importorskip("airis._core")

SEEDS = st.integers(0, (1 << 64) - 1)
SIGNALS = pytest.mark.parametrize("signal", ["traces", "metrics", "logs", "profiles"])
examples = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])

GOOD_NUMBERS = ("0", "1", '"1"', "2", "127", "128", "300", '"65536"')
NUMBERS = (
    *("-1", "-0", "0.0", "1.0", "1e3", "1.5", '"-1"', '"1e3"', '"007"', '"+5"', '" 5"', '""', '"x"', '"1."', '".5"'),
    *("18446744073709551615", "18446744073709551616", "-9223372036854775808", "-9223372036854775809"),
    *(
        '"18446744073709551615"',
        '"99999999999999999999999999999999999999"',
        '"999999999999999999999999999999999999999"',
    ),
    *("2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296", "1e30", "1e400", "9" * 400),
    *('"1e400"', '"NaN"', '"Infinity"', '"-Infinity"', '"inf"', '"1_0"', '"0x1"', "1.7976931348623157e308", "1e-400"),
    *('"\\u0031"', '"--5"', '"-"', '"٣"', '"SPAN_KIND_SERVER"', '"STATUS_CODE_ERROR"', '"SEVERITY_NUMBER_INFO"'),
    *('"AGGREGATION_TEMPORALITY_DELTA"', "true", "null", "[]", "{}", '[1,{"a":"b"}]'),
)
GOOD_TEXTS = ('"a"', '""', '"\\n\\u00e9\\ud83d\\ude00\\/"', '"ü"', f'"{"y" * 130}"', '"\\ud800x"', '"\\udc00"')
BAD_TEXTS = ("5", "null", "[]", "{}", "false", '"a\tb"', '"\\x"', '"\\u12"', "'a'")
GOOD_IDS = ('""', '"00"', '"0a0B"', '"000102030405060708090a0b0c0d0e0f"', '"\\u0030\\u0030"')
BAD_IDS = ('"abc"', '"xy"', '" 00"', "5", '"üü"')
GOOD_BYTES = ('""', '"AA=="', '"AA"', '"//4="', '"__4"', '"AB"', '"=="', '"AAAA="')
BAD_BYTES = ('"A"', '"A=A"', '"AAA=A"', '"A A="', "5", '"AAAA\\n"')
NAMES = ("x", "", "\\u006bey", "tra\\u0063eId", "trace-id", "ü")


class Documents:
    """Documents from one seed: mostly right, with all that a sender may do to them."""

    def __init__(self, seed: int, faults: float) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.room = self.random.choice([10, 40, 200])

    def document(self, signal: str) -> bytes:
        """The text of a request."""
        text = self.object(otlp.layout(signal).request.DESCRIPTOR, 0).encode()
        if self.chance(self.faults):
            at = self.random.randrange(len(text))
            return text[:at] + self.random.choice([b"\xff", b"\xed\xa0\x80", b"\xc3", b"}", b"", b","]) + text[at + 1 :]
        return text

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def object(self, message: Descriptor, depth: int) -> str:
        fields = [field for field in message.fields if self.chance(0.65)] if depth < 7 else []
        if self.chance(0.5):
            self.random.shuffle(fields)
        if message.fields and self.chance(0.1):  # once more, perhaps in the other spelling
            fields.append(self.random.choice(message.fields))
        members: list[str] = []
        for field in fields:
            self.room -= 1
            if self.room > 0:
                name = field.json_name if self.chance(0.9) else field.name
                members.append(f'"{name}"{self.space()}:{self.space()}{self.value(field, depth)}')
        if self.chance(0.1):
            members.append(f'"{self.random.choice(NAMES)}":{self.random.choice((*NUMBERS, *GOOD_TEXTS))}')
        return "{" + self.space() + f"{self.space()},{self.space()}".join(members) + "}"

    def space(self) -> str:
        return self.random.choice(["", "", "", " ", "\n\t\r"])

    def value(self, field: FieldDescriptor, depth: int) -> str:
        if self.chance(self.faults / 20):
            return self.random.choice((*NUMBERS, *BAD_TEXTS))
        if not field.is_repeated:
            return self.single(field, depth)
        return f"[{','.join(self.single(field, depth) for _ in range(self.random.choice([0, 1, 1, 2, 3])))}]"

    def single(self, field: FieldDescriptor, depth: int) -> str:
        if field.message_type is not None:
            return self.object(field.message_type, depth + 1)
        is_id = field.name in ("trace_id", "span_id", "parent_span_id", "profile_id")
        good, bad = {
            FieldDescriptor.TYPE_STRING: (GOOD_TEXTS, BAD_TEXTS),
            FieldDescriptor.TYPE_BYTES: (GOOD_IDS, BAD_IDS) if is_id else (GOOD_BYTES, BAD_BYTES),
            FieldDescriptor.TYPE_BOOL: (("true", "false"), NUMBERS),
        }.get(field.type, (GOOD_NUMBERS, NUMBERS))
        return self.random.choice(bad if self.chance(self.faults / 20) else good)


def attempt(function: Any, *args: Any) -> Any:
    """The result; of a malformed payload that it is one, and which kind of fault it has."""
    try:
        return function(*args)
    except MalformedPayload as error:
        return ("not JSON" if str(error).startswith("not JSON") else "unfit",)


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=150)
def test_on_documents(signal, seed):
    text = Documents(seed, 0).document(signal)

    expected = attempt(reference.from_json, signal, text)
    assert attempt(native.from_json, signal, text) == expected
    if isinstance(expected, bytes):
        assert native.to_json(signal, expected) == reference.to_json(signal, expected)


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=250)
def test_on_documents_with_faults(signal, seed):
    text = Documents(seed, 0.3).document(signal)

    assert attempt(native.from_json, signal, text) == attempt(reference.from_json, signal, text)


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=150)
def test_on_broken_documents(generator, signal, seed):
    text = generator(seed).mutated(Documents(seed, 0).document(signal))

    assert attempt(native.from_json, signal, text) == attempt(reference.from_json, signal, text)


@SIGNALS
@given(SEEDS)
@settings(examples, max_examples=120)
def test_on_requests(generator, signal, seed):
    make = generator(seed, not_utf8=0.001)
    payload = make.request(signal)
    if make.chance(0.3):
        payload = make.mutated(payload)

    written = attempt(reference.to_json, signal, payload)
    assert attempt(native.to_json, signal, payload) == written
    if isinstance(written, bytes):
        again = native.from_json(signal, written)
        assert again == reference.from_json(signal, written)
        message = otlp.parse(signal, payload)
        message.DiscardUnknownFields()  # type: ignore[attr-defined]
        assert again == without_bits_of_nan(message)


def without_bits_of_nan(message: Any) -> bytes:
    """The message on the wire, with the one NaN that JSON has."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                without_bits_of_nan(inner)
        elif field.type == FieldDescriptor.TYPE_DOUBLE:
            if not field.is_repeated and value != value:
                setattr(message, field.name, float("nan"))
            elif field.is_repeated:
                value[:] = [float("nan") if number != number else number for number in value]
    return message.SerializeToString()


@given(st.floats(allow_nan=False, width=64))
@settings(examples, max_examples=300)
@example(1e15).via("the largest that is written without an exponent")
@example(1e16).via("the smallest that is written with one")
@example(1e-5).via("the same below one")
@example(1e-6).via("the same below one")
@example(5e-324).via("the smallest there is")
def test_on_every_double(number):
    request = otlp.layout("metrics").request()
    request.resource_metrics.add().scope_metrics.add().metrics.add().gauge.data_points.add(as_double=number)
    payload = request.SerializeToString()
    text = reference.to_json("metrics", payload)

    assert native.to_json("metrics", payload) == text
    assert native.from_json("metrics", text) == payload


@given(st.text(max_size=40))
@settings(examples, max_examples=200)
def test_on_every_text(text):
    request = otlp.layout("logs").request()
    request.resource_logs.add().scope_logs.add().log_records.add(severity_text=text.encode("utf-8", "replace").decode())
    payload = request.SerializeToString()
    written = reference.to_json("logs", payload)

    assert native.to_json("logs", payload) == written
    assert native.from_json("logs", written) == payload


@given(st.binary(max_size=60))
@settings(examples, max_examples=200)
def test_on_any_bytes(text):
    assert attempt(native.from_json, "traces", text) == attempt(reference.from_json, "traces", text)
    assert attempt(native.to_json, "traces", text) == attempt(reference.to_json, "traces", text)
