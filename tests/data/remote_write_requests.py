"""Remote-write requests: as a sender writes them, and at random with every mistake that one can make."""

import random
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airis.proto.remote_write import MESSAGES, METRIC_TYPES, V1, V2

STALE = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]
NOW = 1_700_000_000_000

Labels = Mapping[str, str] | Sequence[tuple[str, str]]


def sample(value: float = 1.0, timestamp: int = NOW, **more: int) -> dict[str, Any]:
    return {"value": value, "timestamp": timestamp, **more}


def histogram(**fields: Any) -> dict[str, Any]:
    """An integer histogram with three observations in two buckets, 1 in the zero bucket."""
    base = {
        "count_int": 4,
        "sum": 6.5,
        "schema": 3,
        "zero_threshold": 1e-9,
        "zero_count_int": 1,
        "positive_spans": [{"offset": 2, "length": 1}, {"offset": 1, "length": 1}],
        "positive_deltas": [1, 1],
        "timestamp": NOW,
    }
    return {key: value for key, value in {**base, **fields}.items() if value is not None}


def custom(**fields: Any) -> dict[str, Any]:
    """A histogram with custom buckets: 1 up to 0.5, none up to 1, 2 above."""
    base = histogram(
        count_int=3,
        schema=-53,
        zero_threshold=None,
        zero_count_int=None,
        positive_spans=[{"offset": 0, "length": 1}, {"offset": 1, "length": 1}],
        custom_values=[0.5, 1.0],
    )
    return {key: value for key, value in {**base, **fields}.items() if value is not None}


class Request:
    """A request in the making, of either version."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.message = MESSAGES[version]["WriteRequest" if version == V1 else "Request"]()
        if version == V2:
            self.message.symbols.append("")

    def series(
        self,
        labels: Labels,
        *samples: Mapping[str, Any],
        histograms: Iterable[Mapping[str, Any]] = (),
        exemplars: Iterable[tuple[Labels, float, int]] = (),
        type_name: str = "unknown",
        about: str = "",
        unit: str = "",
        created: int = 0,
    ) -> "Request":
        """Add a series; 1.0 gets the metadata of its family beside it."""
        made = self.message.timeseries.add()
        self._label(made, labels)
        for one in samples:
            made.samples.add(**one)
        for one in histograms:
            made.histograms.add(**one)
        for names, value, timestamp in exemplars:
            self._label(made.exemplars.add(value=value, timestamp=timestamp), names)
        if self.version == V2:
            made.metadata.type = METRIC_TYPES.index(type_name)
            made.metadata.help_ref, made.metadata.unit_ref = self.symbol(about), self.symbol(unit)
            made.created_timestamp = created
        elif (type_name, about, unit) != ("unknown", "", ""):
            self.family(dict(labels)["__name__"], type_name, about, unit)
        return self

    def family(self, name: str, type_name: str, about: str = "", unit: str = "") -> "Request":
        """Add a family's metadata, of 1.0."""
        self.message.metadata.add(type=METRIC_TYPES.index(type_name), metric_family_name=name, help=about, unit=unit)
        return self

    def symbol(self, text: str) -> int:
        if text not in self.message.symbols:
            self.message.symbols.append(text)
        return list(self.message.symbols).index(text)

    def _label(self, owner: Any, labels: Labels) -> None:
        for name, value in labels.items() if isinstance(labels, Mapping) else labels:
            if self.version == V1:
                owner.labels.add(name=name, value=value)
            else:
                owner.labels_refs.extend((self.symbol(name), self.symbol(value)))

    def body(self) -> bytes:
        return self.message.SerializeToString()


NAMES = ("up", "http_requests_total", "x_bucket", "x_sum", "x_count", "target_info", "a.b", "ü", "")
LABELS = (
    "job",
    "instance",
    "le",
    "otel_scope_name",
    "otel_scope_version",
    "otel_scope_schema_url",
    "otel_scope_x",
    "a",
)
VALUES = ("", "shop/api", "a/b/c", "host:1", "1", "ü" * 60)
TIMES = (NOW, NOW + 1, NOW - 5000, 0, -1, (1 << 62), 9_223_372_036_854, 9_223_372_036_855)
EXEMPLAR_LABELS = (
    *(("trace_id", "0af7651916cd43dd8448eb211c80319c"), ("trace_id", "0" * 32), ("trace_id", "AF" * 16)),
    *(("span_id", "b7ad6b7169203331"), ("span_id", "xyz"), ("", "x"), ("a", "")),
    *(("trace_id", " " * 32), ("trace_id", "\u0660" * 16)),
)


class Generator:
    """Requests from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def request(self, version: int) -> bytes:
        request = Request(version)
        for _ in range(self.random.randint(0, 6)):
            labels = self.labels()
            if self.chance(0.3) and request.message.timeseries:
                made = request.message.timeseries.add()
                made.CopyFrom(self.random.choice(request.message.timeseries[:-1]))
                for name in ("samples", "histograms", "exemplars"):
                    if self.chance(0.5):
                        made.ClearField(name)
                continue
            request.series(
                labels,
                *(self.sample(version) for _ in range(self.random.choice([0, 1, 1, 1, 2, 3]))),
                histograms=[self.histogram(version) for _ in range(self.random.choice([0, 0, 0, 1, 2]))],
                exemplars=[
                    (self.random.sample(EXEMPLAR_LABELS, 2), self.value(), self.time())
                    for _ in range(self.random.choice([0, 0, 1, 2]))
                ],
            )
            if version == V1 and self.chance(0.5):
                name = self.random.choice(("x", "up", "http_requests", "x_sum", ""))
                request.family(name, self.random.choice(METRIC_TYPES), "help", self.random.choice(("", "seconds")))
            elif version == V2:
                made = request.message.timeseries[-1]
                made.metadata.type = self.random.choice((*range(9), -1))
                made.metadata.help_ref = self.random.choice((0, 1, 2, len(request.message.symbols) + self.chance(0.1)))
                made.created_timestamp = self.random.choice((0, NOW - 9000, -5))
                if self.chance(0.1):
                    made.labels_refs.append(self.random.choice((0, 99)))
        if version == V2 and self.chance(0.05):
            del request.message.symbols[:]
        return request.body()

    def labels(self) -> list[tuple[str, str]]:
        pairs = [(name, self.random.choice(VALUES)) for name in self.random.sample(LABELS, self.random.randint(0, 5))]
        if self.chance(0.95):
            pairs.append(("__name__", self.random.choice(NAMES)))
        if self.chance(0.05):
            pairs.append((self.random.choice(("a", "job", "")), self.random.choice(VALUES)))
        if self.chance(0.8):
            pairs.sort()
        return pairs

    def sample(self, version: int) -> dict[str, Any]:
        start = {"start_timestamp": self.random.choice((0, NOW - 1000, -1))} if version == V2 else {}
        return sample(self.value(), self.time(), **start)

    def histogram(self, version: int) -> dict[str, Any]:
        made = self.random.choice((histogram, custom))()
        if version == V2:
            made["start_timestamp"] = self.random.choice((0, NOW - 1000, -1))
        changes: tuple[dict[str, Any], ...] = (
            *({}, {}, {}, {"sum": STALE}, {"sum": float("nan"), "count_int": 9}, {"sum": float("nan")}),
            *({"schema": self.random.choice((-54, -5, -4, 0, 8, 52, 53))}, {"timestamp": self.time()}),
            *({"reset_hint": self.random.choice((1, 2, 3, 1 << 31 - 1))}, {"count_int": 5}, {"zero_count_int": 2}),
            *({"positive_deltas": [1, -2]}, {"positive_deltas": [1, (1 << 63) - 1]}, {"positive_deltas": [1]}),
            *(
                {
                    "custom_values": self.random.choice(
                        ([], [1.0], [1.0, 1.0], [1.0, float("inf")], [float("nan")] * 2)
                    ),
                },
            ),
            *({"positive_spans": [{"offset": -(1 << 31), "length": 2}]}, {"negative_spans": [{"offset": 0}]}),
            *({"positive_spans": [{"offset": 1, "length": 1}, {"offset": 16_383, "length": 1}]},),
            *({"positive_spans": [{"offset": 1, "length": 1}, {"offset": -1, "length": 1}]},),
            *({"negative_spans": [{"offset": -3, "length": 2}], "negative_deltas": [2, 0], "count_int": 8},),
            *({"zero_threshold": -0.0},),
        )
        made |= self.random.choice(changes)
        if self.chance(0.3):
            made = {key: value for key, value in made.items() if not key.endswith("_int")}
            count = self.random.choice((4.0, 3.0, 4.5, -1.0, float("nan"), 2.0**64, 2.0**63))
            made |= {"count_float": count, "positive_counts": [1.0, self.random.choice((2.0, 0.5, -1.0))]}
            if self.chance(0.5):
                made["zero_count_float"] = self.random.choice((1.0, 0.25))
        return made

    def value(self) -> float:
        return self.random.choice((0.0, -0.0, 1.5, STALE, float("nan"), float("inf"), -1e300))

    def time(self) -> int:
        return NOW if self.chance(0.6) else self.random.choice(TIMES)

    def chance(self, share: float) -> bool:
        return self.random.random() < share
