"""airis's own metrics over real sockets, read with Prometheus' parser; and the options that decide what is told."""

import asyncio
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from airis import __version__
from airis.component import Kind, Metrics, StartError, Telemetry
from airis.component.telemetry import level_of
from airis.config import ConfigError, TelemetryConfig, read_configuration
from airis.config.telemetry import INSTANCE_ID
from airis.service.commands.status import counted as counted_by_status
from airis.service.own_metrics import OwnMetrics

FREE = {"host": "localhost", "port": 0}


def pull(**prometheus: Any) -> dict[str, Any]:
    """A reader for Prometheus at a free port, with these options."""
    return {"pull": {"exporter": {"prometheus": {**FREE, **prometheus}}}}


def counted() -> Metrics:
    """A receiver that counted, a batch processor with its sizes, a component with a gauge."""
    metrics = Metrics()
    receiver = Telemetry(Kind.RECEIVER, "otlp/edge", metrics)
    accepted = receiver.counter("otelcol_receiver_accepted_spans", "{span}", "Spans taken.")
    accepted.add(3, transport="grpc")
    accepted.add(4, transport="http")
    batch = Telemetry(Kind.PROCESSOR, "batch", metrics, "traces")
    sizes = batch.histogram("batch_send_size", "{item}", "Items in a batch.", (10, 100))
    for size in (5, 10, 50, 500):
        sizes.record(size)
    batch.histogram("batch_send_size_bytes", "By", "Size of a batch.", (10,))
    batch.histogram("otelcol_processor_internal_duration", "s", "Time.", (0.5,))
    other = Telemetry(Kind.EXTENSION, "cache", metrics)
    other.gauge("fill", "1", 'Share of\nthe "cache" in use.').set(0.5, tier='a"\\\n')
    other.counter("lookups", "{lookup}", "Looked up; only of interest to a few.", level="detailed").add(1)
    return metrics


class Scrape:
    """What a reader was given."""

    def __init__(self, text: str, content_type: str) -> None:
        self.text = text
        self.content_type = content_type
        self.families: dict[str, Metric] = {f.name: f for f in text_string_to_metric_families(text)}

    @property
    def names(self) -> set[str]:
        """As they are written, `_total` of the counters included."""
        return {line.split()[2] for line in self.text.splitlines() if line.startswith("# TYPE")}

    def value(self, line: str) -> float:
        """The number behind a name with its labels."""
        (found,) = (text for text in self.text.splitlines() if text.startswith(f"{line} "))
        return float(found.rpartition(" ")[2])

    def labels(self, family: str) -> dict[str, str]:
        return self.families[family].samples[0].labels


Start = Callable[..., Awaitable[OwnMetrics]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start readers with these options of service::telemetry."""
    async with AsyncExitStack() as stack:

        async def start(resource: Mapping[str, Any] | None = None, **metrics: Any) -> OwnMetrics:
            config = TelemetryConfig.model_validate({"metrics": metrics, "resource": resource})
            own = OwnMetrics(config.metrics, counted(), config.resource)
            stack.push_async_callback(own.shutdown)
            await own.start()
            return own

        yield start


async def scrape(address: str, path: str = "/metrics", accept: str = "*/*") -> Scrape:
    def get() -> Scrape:
        request = urllib.request.Request(f"http://{address}{path}", headers={"accept": accept})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return Scrape(answer.read().decode(), answer.headers["content-type"])

    return await asyncio.to_thread(get)


async def test_values_are_what_was_counted(start: Start) -> None:
    told = await scrape((await start(readers=[pull()])).address)

    assert told.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert told.value('otelcol_receiver_accepted_spans{receiver="otlp/edge",transport="grpc"}') == 3
    assert told.value('otelcol_receiver_accepted_spans{receiver="otlp/edge",transport="http"}') == 4
    of_batch = 'pipeline="traces",processor="batch"'
    buckets = [
        f'otelcol_processor_batch_batch_send_size_bucket{{le="{le}",{of_batch}}}' for le in ("10", "100", "+Inf")
    ]
    assert [told.value(bucket) for bucket in buckets] == [2, 3, 4]
    assert told.value(f"otelcol_processor_batch_batch_send_size_sum{{{of_batch}}}") == 565
    assert told.value(f"otelcol_processor_batch_batch_send_size_count{{{of_batch}}}") == 4


async def test_text_of_components_is_escaped(start: Start) -> None:
    told = await scrape((await start(readers=[pull()])).address)

    fill = told.families["otelcol_extension_cache_fill"]
    assert fill.documentation == 'Share of\nthe "cache" in use.'
    assert fill.samples[0].labels == {"extension": "cache", "tier": 'a"\\\n'}


PROCESS = {"otelcol_process_uptime", "otelcol_process_cpu_seconds", "otelcol_process_memory_rss"}
if Path("/proc/self/statm").exists():
    PROCESS |= {"otelcol_process_runtime_total_sys_memory_bytes"}
BASIC = PROCESS | {"target_info", "otelcol_receiver_accepted_spans", "otelcol_extension_cache_fill"}
NORMAL = BASIC | {"otelcol_processor_batch_batch_send_size"}
DETAILED = NORMAL | {
    "otelcol_processor_batch_batch_send_size_bytes",
    "otelcol_processor_internal_duration",
    "otelcol_extension_cache_lookups",
}


@pytest.mark.parametrize(
    ("level", "names"), [("basic", BASIC), ("normal", NORMAL), ("Detailed", DETAILED)], ids=["basic", "normal", "all"]
)
async def test_each_level_tells_more(start: Start, level: str, names: set[str]) -> None:
    told = await scrape((await start(level=level, readers=[pull()])).address)

    assert told.names == names


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("otelcol_exporter_sent_spans", "basic"),
        ("otelcol_exporter_queue_size", "basic"),
        ("otelcol_processor_memory_limiter_refused_spans", "basic"),
        ("otelcol_processor_batch_timeout_trigger_send", "normal"),
        ("otelcol_processor_batch_batch_send_size_bytes", "detailed"),
        ("otelcol_processor_internal_duration", "detailed"),
        ("otelcol_exporter_queue_batch_send_size", "detailed"),
        ("otelcol_exporter_enqueue_size_bytes", "detailed"),
        ("otelcol.exporter.consumed.items", "basic"),
        ("otelcol.exporter.consumed.size", "detailed"),
    ],
)
def test_the_names_of_the_collector_have_its_levels(name: str, level: str) -> None:
    assert level_of(name) == level


async def test_the_process_is_measured(start: Start) -> None:
    told = await scrape((await start(readers=[pull()])).address)

    assert 10_000_000 < told.value("otelcol_process_memory_rss") < 100_000_000_000
    if "otelcol_process_runtime_total_sys_memory_bytes" in PROCESS:
        assert 10_000_000 < told.value("otelcol_process_runtime_total_sys_memory_bytes") < 100_000_000_000
    assert told.value("otelcol_process_cpu_seconds") > 0
    assert told.value("otelcol_process_uptime") > 0


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "otelcol_process_uptime"),
        ({"without_type_suffix": False}, "otelcol_process_uptime_total"),
        ({"without_units": False}, "otelcol_process_uptime_seconds"),
        ({"without_type_suffix": False, "without_units": False}, "otelcol_process_uptime_seconds_total"),
    ],
    ids=["neither, as the Collector", "type", "unit", "both"],
)
async def test_names_have_the_suffixes_that_are_asked_for(start: Start, options: dict[str, Any], name: str) -> None:
    told = await scrape((await start(readers=[pull(**options)])).address)

    assert name in told.names


async def test_a_scraper_that_prefers_openmetrics_gets_the_same_names(start: Start) -> None:
    own = await start(readers=[pull()])

    told = await scrape(own.address, accept="application/openmetrics-text; version=1.0.0, text/plain;q=0.5")

    assert "otelcol_process_uptime" in told.names
    assert told.content_type.startswith("text/plain")


async def test_status_counts_with_and_without_suffixes(start: Start) -> None:
    own = await start(readers=[pull(), pull(without_type_suffix=False)])

    for address in own.addresses:
        assert counted_by_status((await scrape(address)).text)["traces"]["accepted"] == 7


async def test_scope_labels_say_which_component_measured(start: Start) -> None:
    told = await scrape((await start(readers=[pull(without_scope_info=False)])).address)

    labels = told.labels("otelcol_receiver_accepted_spans")
    assert (labels["otel_scope_name"], labels["otel_scope_version"]) == ("airis.receivers.otlp", __version__)
    assert told.labels("otelcol_process_uptime")["otel_scope_name"] == "airis.service"
    assert "otel_scope_name" not in told.labels("target_info")


async def test_target_info_has_the_resource(start: Start) -> None:
    told = await scrape((await start(readers=[pull()])).address)

    assert told.labels("target_info") == {
        "service_name": "airis",
        "service_version": __version__,
        "service_instance_id": INSTANCE_ID,
    }
    assert told.families["target_info"].samples[0].value == 1


@pytest.mark.parametrize(
    "resource",
    [
        {"service.name": "edge", "service.version": None, "service.instance.id": None, "team": "a"},
        {
            "attributes": [
                {"name": "service.name", "value": "edge"},
                {"name": "service.version", "value": None},
                {"name": "service.instance.id", "value": None},
                {"name": "team", "value": "a", "type": "string"},
            ]
        },
    ],
    ids=["inline", "declarative"],
)
async def test_the_resource_can_be_changed_in_both_forms(start: Start, resource: dict[str, Any]) -> None:
    told = await scrape((await start(resource, readers=[pull()])).address)

    assert told.labels("target_info") == {"service_name": "edge", "team": "a"}


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"included": ["team"]}, {"team": "a"}),
        ({"excluded": ["service.version", "service.instance.id"]}, {"service_name": "airis", "team": "a", "n": "5"}),
    ],
    ids=["included", "excluded"],
)
async def test_resource_attributes_can_be_labels_of_every_metric(
    start: Start, lists: dict[str, Any], expected: dict[str, str]
) -> None:
    resource = {"attributes": [{"name": "team", "value": "a"}, {"name": "n", "value": 5}]}

    told = await scrape((await start(resource, readers=[pull(with_resource_constant_labels=lists)])).address)

    assert told.labels("otelcol_process_uptime") == expected
    assert told.labels("otelcol_receiver_accepted_spans").items() >= expected.items()


async def test_several_readers_each_have_their_options(start: Start) -> None:
    own = await start(readers=[pull(), pull(without_type_suffix=False)])

    assert len(own.addresses) == 2
    first, second = [await scrape(address) for address in own.addresses]
    assert "otelcol_process_uptime" in first.names
    assert "otelcol_process_uptime_total" in second.names
    assert own.address == own.addresses[0]


async def test_the_older_address_is_one_reader(start: Start) -> None:
    own = await start(address="127.0.0.1:0")

    assert own.addresses == [own.address]
    assert "otelcol_process_uptime" in (await scrape(own.address)).names


async def test_nothing_listens_at_level_none(start: Start) -> None:
    own = await start(level="none", readers=[])

    assert (own.address, own.addresses) == ("", [])
    await own.shutdown()


async def test_other_paths_are_not_found(start: Start) -> None:
    own = await start(readers=[pull()])

    with pytest.raises(urllib.error.HTTPError, match="404"):
        await scrape(own.address, "/debug")


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"address": "127.0.0.1:{port}"}, "address"),
        ({"readers": [pull(), pull(port="{port}")]}, "readers::1::pull::exporter::prometheus"),
    ],
    ids=["address", "second reader"],
)
async def test_a_taken_port_names_the_option_and_leaves_nothing_open(
    start: Start, options: dict[str, Any], option: str
) -> None:
    taken = await start(readers=[pull()])
    port = int(taken.address.rpartition(":")[2])
    config = TelemetryConfig.model_validate({"metrics": _with_port(options, port)})
    own = OwnMetrics(config.metrics, Metrics())

    with pytest.raises(StartError, match="the port is taken") as told:
        await own.start()

    assert (told.value.component, told.value.option) == ("service::telemetry::metrics", option)
    assert own.addresses == []


def _with_port(options: Any, port: int) -> Any:
    if isinstance(options, dict):
        return {key: _with_port(value, port) for key, value in options.items()}
    if isinstance(options, list):
        return [_with_port(value, port) for value in options]
    if options == "{port}":
        return port
    return options.replace("{port}", str(port)) if isinstance(options, str) else options


def test_listens_on_loopback_unless_told_otherwise() -> None:
    (reader,) = TelemetryConfig().metrics.prometheus_readers().values()

    assert reader.endpoint == "localhost:8888"


@pytest.mark.parametrize(
    ("options", "place", "reason"),
    [
        ({"readers": []}, (), "readers is empty"),
        ({"readers": [{}]}, ("readers", 0), "names no way"),
        ({"readers": [pull(), {"periodic": {"exporter": {"otlp": {}}}}]}, ("readers", 1, "periodic"), "cannot send"),
        (
            {"readers": [{**pull(), "producers": [{"opencensus": {}}]}]},
            ("readers", 0, "producers"),
            "no other producer",
        ),
        ({"readers": [{"pull": {"exporter": {}}}]}, ("readers", 0, "pull", "exporter", "prometheus"), "Field required"),
        ({"readers": [pull(port=65536)]}, ("readers", 0, "pull", "exporter", "prometheus", "port"), "65535"),
        ({"readers": [pull()], "address": "localhost:1"}, (), "both say where"),
        ({"address": "8888"}, ("address",), "has no host"),
        ({"views": [{"selector": {}}]}, (), 'only be set when level is "detailed"'),
        ({"views": [{"selector": {}}], "level": "detailed"}, (), "views are not supported yet"),
        ({"level": "loud"}, ("level",), "'none', 'basic', 'normal' or 'detailed'"),
        (
            {"readers": [pull(with_resource_constant_labels={"included": ["a"], "excluded": ["a"]})]},
            ("readers", 0, "pull", "exporter", "prometheus", "with_resource_constant_labels"),
            '"a" is in included and in excluded',
        ),
    ],
)
def test_what_cannot_be_done_is_an_error_at_its_place(
    options: dict[str, Any], place: tuple[Any, ...], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason) as told:
        TelemetryConfig.model_validate({"metrics": options})

    assert told.value.errors()[0]["loc"] == ("metrics", *place)


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ({"port": 5}, '"port" must be text or null'),
        ({"a": "b", "attributes": [{"name": "c", "value": "d"}]}, 'attributes and "a" are two forms'),
        ({"attributes": [{"name": "a"}]}, "Field required"),
        ({"attributes": [{"name": "a", "value": "5", "type": "int"}]}, "the value is no int"),
        ({"attributes": [{"name": "a", "value": True, "type": "int"}]}, "the value is no int"),
        ({"attributes": [{"name": "a", "value": 5, "type": "int_array"}]}, "the value is no int_array"),
        ({"attributes_list": "a=b"}, "attributes_list is not supported"),
        ({"detectors": {"attributes": {}}}, "detectors are not supported yet"),
        ({"detection/development": {"detectors": []}}, "detectors are not supported yet"),
    ],
)
def test_a_resource_that_cannot_be_is_an_error(resource: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TelemetryConfig.model_validate({"resource": resource})


def test_a_list_of_values_keeps_its_types() -> None:
    attribute = {"name": "a", "value": [1, 2], "type": "int_array"}

    config = TelemetryConfig.model_validate({"resource": {"attributes": [attribute]}})

    assert config.resource.resolved()["a"] == [1, 2]


@pytest.mark.parametrize(
    "traces",
    [{"level": "none"}, {"level": "Basic", "propagators": ["tracecontext", "b3"], "processors": [], "sampler": {}}],
)
def test_traces_of_itself_may_be_configured_as_far_as_the_collector_makes_none(traces: dict[str, Any]) -> None:
    assert TelemetryConfig.model_validate({"traces": traces}).traces.processors == []


@pytest.mark.parametrize(
    ("traces", "reason"),
    [
        ({"processors": [{"batch": {"exporter": {"otlp": {}}}}]}, "makes no spans of itself"),
        ({"propagators": ["jaeger"]}, "'tracecontext' or 'b3'"),
    ],
)
def test_traces_of_itself_are_refused_not_ignored(traces: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TelemetryConfig.model_validate({"traces": traces})


CONFIGURATION = """\
receivers: {otlp: {protocols: {http: }}}
exporters: {nop: }
service:
  telemetry:
    logs:
      level: loud
      processors: [{batch: }]
    metrics:
      readers:
        - pull: {exporter: {prometheus: {host: localhost, prot: 0}}}
        - periodic: {exporter: {otlp: {protocol: grpc}}}
    traces: {processors: [{batch: }]}
    resource: {port: 80}
  pipelines:
    traces: {receivers: [otlp], exporters: [nop]}
"""
MISTAKES = """\
own.yaml:6:14: service::telemetry::logs::level: expected "debug", "info", "warn" or "error", got "loud"
own.yaml:7:19: service::telemetry::logs::processors: airis cannot send its own log over OTLP yet
own.yaml:10:29: service::telemetry::metrics::readers::0::pull::exporter::prometheus: option "port" is required
own.yaml:10:59: service::telemetry::metrics::readers::0::pull::exporter::prometheus: unknown option "prot"
own.yaml:11:11: service::telemetry::metrics::readers::1::periodic: airis cannot send its own metrics yet
own.yaml:12:26: service::telemetry::traces::processors: airis makes no spans of itself, so there is nothing to send
own.yaml:13:5: service::telemetry::resource: the attribute "port" must be text or null here
"""


def test_mistakes_are_said_in_the_words_and_places_of_the_file() -> None:
    with pytest.raises(ConfigError) as told:
        read_configuration(CONFIGURATION, "own.yaml", {})

    assert [re.split(r";", line)[0] for line in str(told.value).splitlines()] == MISTAKES.splitlines()
