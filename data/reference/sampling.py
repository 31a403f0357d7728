"""A share of spans and log records, chosen by randomness that all of a trace has in common.

The modes, thresholds and faults are those of the Collector's probabilistic sampler; thresholds and randomness are
written as in OpenTelemetry's "TraceState: Probability Sampling". An item is kept where its randomness, of 56 bits, is
at least the threshold.
"""

import math
import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from airis.data.malformed import MalformedPayload
from airis.data.reference.conversion import convert
from airis.data.reference.edits import MAX_EDITED_BYTES
from airis.data.reference.inside import find, keep
from airis.data.reference.places import copied, places
from airis.data.reference.tracestate import DIGITS, InvalidTraceState, TraceState, read_randomness, read_threshold
from airis.data.reference.view import View

Mode = Literal["hash_seed", "proportional", "equalizing"]
Fault = Literal[
    "", "malformed", "missing_randomness", "inconsistent_threshold", "randomness_in_use", "threshold_in_use", "no_room"
]
Counts = dict[tuple[str, bool, Fault], int]

MODES = ("hash_seed", "proportional", "equalizing")
ALWAYS = 0
NEVER = 1 << 56
MOST = NEVER - 1
"""The randomness that is kept by every threshold but `NEVER`."""
BUCKETS = 1 << 14

PRIORITY = "sampling.priority"
THRESHOLD = "sampling.threshold"
RANDOMNESS = "sampling.randomness"


@dataclass(slots=True)
class _Carried:
    """What is known of earlier sampling: values, with the text of the threshold."""

    randomness: int | None = None
    threshold: int | None = None
    text: str = ""
    is_new: bool = False
    """The randomness is to be written."""


class Sampler:
    """What is kept; raises ValueError for a mode or a precision that there is not.

    The percentage is rounded to a float of 32 bits, and more than 100 is 100. The last three arguments are for logs:
    whether the trace id is hashed, which attribute is hashed where it is not or there is none, and which attribute has
    a percentage of its own. A `hash_seed` is for that mode alone.
    """

    def __init__(
        self,
        mode: Mode,
        percentage: float,
        *,
        hash_seed: int = 0,
        precision: int = 4,
        fail_closed: bool = True,
        by_trace_id: bool = True,
        from_attribute: str = "",
        priority_attribute: str = "",
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"{mode} is no mode of sampling")
        if not 1 <= precision <= DIGITS:
            raise ValueError("the precision must be 1 to 14 digits")
        if not percentage >= 0 or math.isinf(percentage):
            raise ValueError("the percentage must be a number from 0")
        if not 0 <= hash_seed < 1 << 32:
            raise ValueError("the seed must have 32 bits")
        rounded = _float32(min(percentage, 100.0))
        self.mode = mode
        self.seed = hash_seed.to_bytes(4, "little")
        self.precision = precision
        self.fail_closed = fail_closed
        self.by_trace_id = by_trace_id
        self.from_attribute = from_attribute
        self.priority_attribute = priority_attribute
        self.ratio = max(rounded / 100, 1 / NEVER)
        accepted = int(_float32(rounded * _float32(163.84)))
        self.is_never = rounded == 0 or (mode == "hash_seed" and accepted == 0)
        """Nothing passes but what has a priority."""
        self.threshold = (BUCKETS - accepted) << 42 if mode == "hash_seed" else threshold_of(self.ratio, precision)

    def apply(self, view: View) -> tuple[View, Counts]:
        """The items kept, in a view that is the very same where nothing changes, and how all were decided.

        The counts are by policy (where the randomness came from, as in the Collector), whether the item was kept, and
        what was wrong with it. Raises ValueError for another signal than traces and logs.
        """
        if view.signal not in ("traces", "logs"):
            raise ValueError(f"{view.signal} cannot be sampled")
        counts: Counter[tuple[str, bool, Fault]] = Counter()
        mask = bytearray()
        made = copied(view.message)
        for place in places(view.signal, made):
            counted = self._span(place.item) if view.signal == "traces" else self._record(place.item)
            counts[counted] += 1
            mask.append(counted[1])
        if made.ByteSize() > MAX_EDITED_BYTES:
            raise MalformedPayload("sampling would make more than 1 GiB of it")
        is_same = made.SerializeToString() == view.message.SerializeToString()
        return (view if is_same else View(view.signal, made)).select(bytes(mask)), dict(counts)

    def _span(self, span: Any) -> tuple[str, bool, Fault]:
        state = _trace_state(span.trace_state)
        carried = _Carried(state.randomness, state.threshold, state.fields.get("th", "")) if state else None
        policy, randomness, carried, fault = self._source(span.trace_id, b"", carried)
        if carried is not None and self.mode == "hash_seed" and not self.is_never:
            # As in the Collector also that of a span without a trace id.
            carried.is_new = True
        carried, fault, threshold = self._decided(policy, randomness, carried, fault)
        priority = _span_priority(span.attributes)
        if priority is not None:
            policy, threshold = "sampling_priority", priority
        if randomness < threshold:
            return policy, False, fault
        if state is not None and carried is not None and _is_changed(carried, threshold):
            state.fields["th"] = threshold_text(threshold)
            if carried.is_new:
                state.fields["rv"] = f"{randomness:014x}"
            written = state.text()
            if written is None:
                return policy, True, fault or "no_room"
            span.trace_state = written
        return policy, True, fault

    def _record(self, record: Any) -> tuple[str, bool, Fault]:
        carried = _carried(record.attributes)
        hashed = b""
        at = find(record.attributes, self.from_attribute) if self.from_attribute else None
        if at is not None:
            value = record.attributes[at].value
            is_bytes = value.WhichOneof("value") == "bytes_value"
            hashed = value.bytes_value if is_bytes else (convert(value, "string") or value).string_value.encode()
        trace_id = record.trace_id if self.by_trace_id or self.mode != "hash_seed" else b""
        policy, randomness, carried, fault = self._source(trace_id, hashed, carried)
        carried, fault, threshold = self._decided(policy, randomness, carried, fault)
        priority = self._record_priority(record.attributes)
        if priority is not None:
            policy, threshold = "sampling_priority", priority
        if randomness < threshold:
            return policy, False, fault
        if carried is not None:
            if carried.is_new:
                _write(record.attributes, RANDOMNESS, f"{randomness:014x}")
            if _is_changed(carried, threshold):
                _write(record.attributes, THRESHOLD, threshold_text(threshold))
        return policy, True, fault

    def _source(
        self, trace_id: bytes, hashed: bytes, carried: _Carried | None
    ) -> tuple[str, int, _Carried | None, Fault]:
        """Where the randomness comes from, what it is, and what was wrong so far."""
        fault: Fault = "malformed" if carried is None else ""
        if self.is_never:
            return "sampling_priority", MOST, carried, fault
        has_id = len(trace_id) == 16 and any(trace_id)
        if self.mode == "hash_seed":
            if carried is not None and carried.randomness is not None:
                carried, fault = None, "randomness_in_use"
            elif carried is not None and carried.threshold is not None:
                carried, fault = None, "threshold_in_use"
            if has_id or hashed:
                if carried is not None:
                    carried.is_new = True
                policy = "trace_id_hash" if has_id else self.from_attribute
                return policy, hashed_randomness(self.seed + (trace_id if has_id else hashed)), carried, fault
        elif carried is not None and carried.randomness is not None:
            return "sampling_randomness", carried.randomness, carried, fault
        elif carried is not None and has_id:
            return "trace_id_w3c", int.from_bytes(trace_id[-7:]), carried, fault
        return "missing_randomness", MOST, carried, fault

    def _decided(
        self, policy: str, randomness: int, carried: _Carried | None, fault: Fault
    ) -> tuple[_Carried | None, Fault, int]:
        """The threshold of an item without a priority."""
        if not fault and policy == "missing_randomness":
            fault = "missing_randomness"
        elif not fault and carried is not None and carried.threshold is not None and carried.threshold > randomness:
            carried.threshold, carried.text, fault = None, "", "inconsistent_threshold"
        if fault:
            return carried, fault, NEVER if self.fail_closed else ALWAYS
        if self.is_never:
            return carried, fault, NEVER
        before = ALWAYS if carried is None or carried.threshold is None else carried.threshold
        if self.mode == "proportional":
            return carried, fault, threshold_of(float(NEVER - before) / NEVER * self.ratio, self.precision)
        return carried, fault, max(before, self.threshold)

    def _record_priority(self, attributes: Any) -> int | None:
        at = find(attributes, self.priority_attribute) if self.priority_attribute else None
        if at is None:
            return None
        value = attributes[at].value
        percentage = {"int_value": float(value.int_value), "double_value": value.double_value}.get(
            value.WhichOneof("value") or ""
        )
        if percentage is None or not 1 / NEVER <= percentage / 100 <= 1:
            return None
        return threshold_of(percentage / 100, self.precision)


def _trace_state(text: str) -> TraceState | None:
    try:
        return TraceState(text)
    except InvalidTraceState:
        return None


def _carried(attributes: Any) -> _Carried | None:
    """What the attributes of a log record say of earlier sampling, None where that is malformed."""
    threshold, randomness = _text(attributes, THRESHOLD), _text(attributes, RANDOMNESS)
    try:
        return _Carried(
            read_randomness(randomness) if randomness else None,
            read_threshold(threshold) if threshold else None,
            threshold,
        )
    except InvalidTraceState:
        return None


def _is_changed(carried: _Carried, threshold: int) -> bool:
    """Whether a threshold is to be written: a share that was kept is never said to be larger than it was."""
    is_raised = carried.threshold is None or carried.threshold <= threshold
    return is_raised and carried.text != threshold_text(threshold)


def _span_priority(attributes: Any) -> int | None:
    """The threshold of a span that asks to be kept or left out, as OpenTracing has it."""
    at = find(attributes, PRIORITY)
    if at is None:
        return None
    value = attributes[at].value
    if value.WhichOneof("value") == "string_value":
        value = convert(value, "double")
    kind = value.WhichOneof("value") if value is not None else None
    if value is None or kind not in ("int_value", "double_value"):
        return None
    number = getattr(value, kind)
    return NEVER if number == 0 else ALWAYS if number > 0 else None


def _text(attributes: Any, key: str) -> str:
    at = find(attributes, key)
    return attributes[at].value.string_value if at is not None else ""


def _write(attributes: Any, key: str, text: str) -> None:
    """Put an attribute behind the others, in place of those with its key."""
    keep(attributes, [attribute.key != key for attribute in attributes])
    attributes.add(key=key, value=AnyValue(string_value=text))


def _float32(number: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


def hashed_randomness(content: bytes) -> int:
    """Randomness of which the first 14 bits are the bucket of a hash (FNV-1a of 32 bits), counted from the end."""
    hashed = 0x811C9DC5
    for byte in content:
        hashed = (hashed ^ byte) * 0x01000193 & 0xFFFFFFFF
    bucket, unused = hashed % BUCKETS, hashed >> 18
    return (BUCKETS - 1 - bucket) << 42 | (unused ^ unused << 10) << 14 | bucket


def threshold_of(probability: float, precision: int) -> int:
    """The threshold that so much passes, `NEVER` for less than 2**-56.

    It has so many digits behind those that are 0 or f from the first on, of which a probability near 0 or 1 is made.
    """
    if probability < 1 / NEVER:
        return NEVER
    if probability >= 1:
        return ALWAYS
    near = max(-math.frexp(probability)[1] // 4, -math.frexp(1 - probability)[1] // 4)
    scaled = probability * NEVER
    threshold = NEVER - (math.floor(scaled) + (scaled - math.floor(scaled) >= 0.5))
    shift = 4 * (DIGITS - min(DIGITS, precision + near))
    return (threshold + (1 << shift >> 1)) >> shift << shift


def threshold_text(threshold: int) -> str:
    """Hexadecimal digits without the zeros at the end."""
    return f"{threshold:014x}".rstrip("0") or "0"
