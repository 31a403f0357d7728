"""Calls and durations from spans: what the Collector's spanmetrics connector makes, in bounded space."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airis.component import Kind, Outputs, Permanent, Retryable
from airis.component.testing import FakeHost, ManualClock, Sink, build
from airis.connectors.span_metrics.histograms import Explicit, Exponential
from airis.data import Signal
from airis.proto.otlp import parse

from .telemetry import lines, otlp_items, span, spans

TESTDATA = Path(__file__).parent / "testdata" / "span_metrics"
SHOP = {"service.name": "shop", "region": "eu"}
PAY = {"service.name": "pay"}
pytestmark = pytest.mark.usefixtures("either_back_end")


class Counting:
    """A connector with a clock that a test moves, and what it hands on."""

    def __init__(self, **options: Any) -> None:
        self.sink = Sink()
        self.clock = ManualClock()
        self.clock.now = 100.0
        self.connector = build(
            "span_metrics",
            options,
            Outputs({Signal.METRICS: self.sink}, {}),
            kind=Kind.CONNECTOR,
            clock=self.clock,
            sleep=self.clock.sleep,
        )

    async def points(self, after: float = 10) -> str:
        """What is handed on some seconds later."""
        self.sink.batches.clear()
        self.clock.now += after
        await self.connector.flush()
        text: str = lines(*self.sink.batches)
        return text


TRAFFIC = (
    (SHOP, [span(ms=1), span(ms=2), span(ms=2.000001), span(ms=20_000), span("POST /", kind=3, status=2)]),
    (PAY, [span(ms=7, http__method="GET", retry=1), span(ms=-3, http__method="PUT")]),
    ({"host.name": "nobody's"}, [span()]),
)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("default", {}),
        (
            "seconds",
            {"namespace": "", "histogram": {"unit": "s", "explicit": {"buckets": ["1ms", "7ms", "1s"]}}},
        ),
        ("exponential", {"histogram": {"exponential": {"max_size": 8}}}),
        (
            "dimensions",
            {
                "dimensions": [{"name": "http.method", "default": "none"}, {"name": "region"}],
                "calls_dimensions": [{"name": "retry"}],
                "exclude_dimensions": ["span.kind", "collector.instance.id"],
            },
        ),
        (
            "resources",
            {"add_resource_attributes": True, "histogram": {"disable": True}},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_points(name: str, options: dict[str, Any], golden: Callable[[Path, str], None]) -> None:
    counting = Counting(**options)

    await counting.connector.consume(spans(*TRAFFIC))

    golden(TESTDATA / f"{name}.txt", await counting.points())
    assert counting.connector.left_out.samples() == {(("reason", "no_service_name"),): 1}
    assert counting.connector.made.value == sum(batch.items for batch in counting.sink.batches)
    for batch in counting.sink.batches:
        assert batch.items == len(list(otlp_items(Signal.METRICS, parse(Signal.METRICS, batch.payload))))


async def test_events_are_counted_by_their_attributes(golden: Callable[[Path, str], None]) -> None:
    counting = Counting(
        histogram={"disable": True},
        dimensions=[{"name": "region"}],
        events={"enabled": True, "dimensions": [{"name": "exception.type"}, {"name": "severity", "default": "low"}]},
    )
    thrown = ("exception", {"exception.type": "IOError"})

    await counting.connector.consume(
        spans(
            (SHOP, [span(events=[thrown, ("retry", {"severity": "high"})]), span(events=[thrown], severity="span's")]),
            (PAY, [span()]),
        )
    )

    golden(TESTDATA / "events.txt", await counting.points())


async def test_cumulative_points_go_on_and_deltas_follow_one_another(golden: Callable[[Path, str], None]) -> None:
    texts: list[str] = []
    for temporality in ("CUMULATIVE", "DELTA"):
        counting = Counting(
            aggregation_temporality=f"AGGREGATION_TEMPORALITY_{temporality}", histogram={"disable": True}
        )
        for _ in range(2):
            await counting.connector.consume(spans((SHOP, [span()])))
            texts.append(await counting.points())
        texts.append(await counting.points())
        await counting.connector.consume(spans((SHOP, [span()]), (PAY, [span()])))
        texts.append(await counting.points())

    golden(TESTDATA / "temporality.txt", "---\n".join(texts))


async def test_refused_deltas_go_on_with_the_next_ones() -> None:
    counting = Counting(
        aggregation_temporality="AGGREGATION_TEMPORALITY_DELTA", histogram={"explicit": {"buckets": ["10ms"]}}
    )
    await counting.connector.consume(spans((SHOP, [span(ms=5)])))
    counting.sink.error = Retryable("full")
    assert await counting.points() == "\n"
    assert counting.connector.made.value == 0
    counting.sink.error = None
    await counting.connector.consume(spans((SHOP, [span(ms=50), span(ms=6)])))

    text = await counting.points()

    assert "100..120 {service.name='shop', span.name='GET /', span.kind='SPAN_KIND_SERVER', " in text
    assert "} = 3\n" in text
    assert "} = 3 sum 61 <=10:2 >:1" in text


async def test_what_is_refused_for_good_is_counted() -> None:
    counting = Counting(histogram={"disable": True})
    await counting.connector.consume(spans((SHOP, [span()]), (PAY, [span()])))
    counting.sink.error = Permanent("no")

    await counting.points()

    assert counting.connector.dropped.value == 2


async def test_a_fault_behind_does_not_end_the_counting() -> None:
    counting = Counting(histogram={"disable": True})
    await counting.connector.consume(spans((SHOP, [span()])))
    counting.sink.error = RuntimeError("a fault")
    await counting.points()
    counting.sink.error = None

    assert "} = 1\n" in await counting.points()


async def test_exemplars_are_the_first_spans_since_the_last_points(golden: Callable[[Path, str], None]) -> None:
    counting = Counting(exemplars={"enabled": True, "max_per_data_point": 2}, histogram={"explicit": {"buckets": []}})
    texts: list[str] = []
    for first in ("1", "5"):
        traces = [f"{int(first) + index:032x}" for index in range(3)]
        await counting.connector.consume(spans((SHOP, [span(ms=0.5), *(span(trace=trace) for trace in traces)])))
        texts.append(await counting.points())

    golden(TESTDATA / "exemplars.txt", "---\n".join(texts))


async def test_more_series_than_the_limit_are_one() -> None:
    counting = Counting(aggregation_cardinality_limit=2, histogram={"disable": True})

    for names in (("a", "b", "c"), ("c", "d", "a")):
        await counting.connector.consume(spans((SHOP, [span(name) for name in names])))
        text = await counting.points()

    assert "span.name='a', span.kind='SPAN_KIND_SERVER', status.code='STATUS_CODE_UNSET'} = 2\n" in text
    assert "span.name='b', span.kind='SPAN_KIND_SERVER', status.code='STATUS_CODE_UNSET'} = 1\n" in text
    assert "{otel.metric.overflow=True} = 3\n" in text
    assert len(counting.connector._state) == 3


async def test_more_resources_than_are_kept_count_together_and_the_oldest_goes() -> None:
    counting = Counting(
        add_resource_attributes=True, resource_metrics_cache_size=2, exclude_dimensions=["service.name"]
    )

    await counting.connector.consume(spans(*(({"service.name": str(n)}, [span()]) for n in range(9))))
    text = await counting.points()

    assert [line for line in text.splitlines() if line.startswith("resource")] == [
        *(f"resource {{service.name='{n}'}}" for n in range(4)),
        "resource {}",
    ]
    assert "} = 5\n" in text
    assert len(counting.connector._state.resources) == 2


@pytest.mark.parametrize("option", ["series_expiration", "metrics_expiration"])
async def test_a_series_ends_when_nothing_comes_and_begins_anew(option: str) -> None:
    counting = Counting(histogram={"disable": True}, **{option: "30s"})
    await counting.connector.consume(spans((SHOP, [span()])))
    assert "100..110" in await counting.points(10)
    assert "100..129" in await counting.points(19)
    assert "100..130" in await counting.points(1)
    assert await counting.points(1) == "\n"

    await counting.connector.consume(spans((SHOP, [span()])))

    text = await counting.points(1)
    assert "131..132" in text
    assert "} = 1\n" in text


async def test_resources_are_told_apart_by_the_chosen_attributes() -> None:
    counting = Counting(
        add_resource_attributes=True, resource_metrics_key_attributes=["service.name"], histogram={"disable": True}
    )

    await counting.connector.consume(
        spans(*(({"service.name": "shop", "process.pid": pid}, [span()]) for pid in (1, 2)))
    )

    text = await counting.points()
    assert text.count("resource") == 1
    assert "process.pid=1" in text
    assert "} = 2\n" in text


async def test_a_scope_that_is_named_is_a_dimension() -> None:
    counting = Counting(include_instrumentation_scope=["http"], histogram={"disable": True})

    for scope in ("http", "sql"):
        await counting.connector.consume(spans((SHOP, [span()]), scope=scope))

    text = await counting.points()
    assert "span.instrumentation.scope.name='http', span.instrumentation.scope.version='1.0'} = 1\n" in text
    assert "status.code='STATUS_CODE_UNSET'} = 1\n" in text


async def test_values_of_different_types_are_different_series() -> None:
    counting = Counting(dimensions=[{"name": "n"}], histogram={"disable": True})

    for _ in range(2):
        await counting.connector.consume(spans((SHOP, [span(n=value) for value in (1, 1.0, True, "1", [1], {"a": 1})])))

    assert (await counting.points()).count("} = 2\n") == 6


async def test_tenants_are_kept_apart() -> None:
    counting = Counting(histogram={"disable": True})

    for tenant in ("a", "b", "a"):
        await counting.connector.consume(spans((SHOP, [span()]), tenant=tenant))
    await counting.points()

    assert [(batch.origin.tenant, lines(batch)[-4:-1]) for batch in counting.sink.batches] == [
        ("a", "= 2"),
        ("b", "= 1"),
    ]


async def test_points_go_on_at_every_interval_and_at_the_end(tmp_path: Path) -> None:
    counting = Counting(metrics_flush_interval="15s", histogram={"disable": True})
    await counting.connector.start(FakeHost(tmp_path))
    await counting.connector.consume(spans((SHOP, [span()])))
    await counting.clock.advance(0)
    await counting.clock.advance(15)
    assert counting.sink.items == 1
    await counting.connector.consume(spans((SHOP, [span()])))

    await counting.connector.shutdown()
    await counting.connector.shutdown()

    assert counting.sink.items == 2
    assert "} = 2\n" in lines(counting.sink.batches[-1])
    with pytest.raises(Retryable):
        await counting.connector.consume(spans((SHOP, [span()])))


async def test_many_points_go_on_in_parts() -> None:
    counting = Counting(histogram={"disable": True})
    await counting.connector.consume(spans((SHOP, [span(str(number)) for number in range(5000)])))

    await counting.points()

    assert [batch.items for batch in counting.sink.batches] == [2048, 2048, 904]


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"dimensions": [{"name": "span.name"}]}, 'dimensions: "span.name" is a dimension already'),
    ({"dimensions": [{"name": "a"}], "calls_dimensions": [{"name": "a"}]}, 'calls_dimensions: "a" is a dimension'),
    ({"dimensions": [{}]}, "needs a name"),
    ({"dimensions": [{"glob": "http.*"}]}, "patterns are not supported"),
    ({"events": {"enabled": True}}, "name at least one to count events"),
    ({"histogram": {"explicit": {}, "exponential": {}}}, "use either explicit or exponential"),
    ({"histogram": {"explicit": {"buckets": ["2s", "1s"]}}}, "buckets must ascend"),
    ({"aggregation_cardinality_limit": -1}, "greater than or equal to 0"),
]


@pytest.mark.parametrize(("options", "said"), IMPOSSIBLE)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Counting(**options)


# The distributions


@pytest.mark.parametrize("split", [0, 1, 7, 300])
@pytest.mark.parametrize("max_size", [2, 8, 160])
def test_an_exponential_histogram_counts_what_its_buckets_say(max_size: int, split: int) -> None:
    values = sorted([0, 1, 2, 4, 1000, 1024, 1_000_000, *(3**n for n in range(30)), *range(1, 5000, 17)])
    whole, one, other = (Exponential(max_size, 1) for _ in range(3))
    whole.add(values)
    parts = [part for part in (values[:split], values[split:]) if part]
    for part in parts:
        one.add(part)
    for part, into in zip(parts, (other, Exponential(max_size, 1)), strict=False):
        into.add(part)
        if into is not other:
            other.absorb(into)

    for made in (whole, one, other):
        assert max(made.counts) - min(made.counts) < max_size
        base = 2.0 ** (2.0**-made.scale)
        expected: dict[int, int] = {}
        for value in values:
            if value:
                index = math.ceil(round(math.log(value, base), 9)) - 1
                expected[index] = expected.get(index, 0) + 1
        assert (made.counts, made.zeros, made.total) == (expected, 1, sum(values))
        assert (made.least, made.most) == (0, values[-1])
    assert whole.counts == one.counts


@pytest.mark.parametrize("values", [[], [0, 10, 11, 20, 21], [*range(40)]], ids=["none", "few", "many"])
def test_a_bound_is_part_of_its_bucket(values: list[int]) -> None:
    made = Explicit([10, 20], 1)

    if values:
        made.add(values)

    assert made.counts == [
        sum(value <= 10 for value in values),
        sum(10 < value <= 20 for value in values),
        sum(value > 20 for value in values),
    ]
