"""The resource processor changes resources, by the Collector's documentation, and nothing else."""

import hashlib
from typing import Any

import pytest

from airis.component import Kind
from airis.component.testing import Sink, build
from airis.config import ConfigError, read_configuration
from airis.data import Signal

from .requests import attributes, batch, items, resources, typed

pytestmark = pytest.mark.usefixtures("either_back_end")

SIGNALS = [Signal.TRACES, Signal.METRICS, Signal.LOGS]


async def after(
    actions: list[dict[str, Any]], before: dict[str, Any], signal: Signal = Signal.TRACES
) -> dict[str, Any]:
    """A resource's attributes after the actions; those of its items stay."""
    sink = Sink()
    own = {"redundant-attribute": "of an item", "k8s-cluster": 1}
    given = batch(signal, own, own, resource=before, metadata={"x-tenant": ("a", "b")})
    await build("resource", {"attributes": actions}, sink, kind=Kind.PROCESSOR).consume(given)
    assert sink.items == given.items
    assert attributes(items(sink.batches[0])) == [own] * given.items
    return attributes(resources(sink.batches[0]))[0]


README = [
    {"key": "cloud.availability_zone", "value": "zone-1", "action": "upsert"},
    {"key": "k8s.cluster.name", "from_attribute": "k8s-cluster", "action": "insert"},
    {"key": "redundant-attribute", "action": "delete"},
]


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({}, {"cloud.availability_zone": "zone-1"}),
        (
            {"redundant-attribute": 1, "k8s-cluster": "c", "cloud.availability_zone": "zone-2"},
            {"k8s-cluster": "c", "cloud.availability_zone": "zone-1", "k8s.cluster.name": "c"},
        ),
        (
            {"k8s-cluster": "c", "k8s.cluster.name": "own"},
            {"k8s-cluster": "c", "k8s.cluster.name": "own", "cloud.availability_zone": "zone-1"},
        ),
    ],
    ids=["empty", "all", "what is there stays"],
)
async def test_does_what_the_readme_says(signal: Signal, before: dict[str, Any], expected: dict[str, Any]) -> None:
    assert await after(README, before, signal) == expected


async def test_has_all_actions_of_the_attributes_processor() -> None:
    actions = [
        {"key": "tenant", "from_context": "metadata.x-tenant", "action": "insert"},
        {"key": "version", "action": "convert", "converted_type": "double"},
        {"key": "host.name", "action": "extract", "pattern": r"^(?P<host_short>[^.]*)\."},
        {"key": "host.name", "action": "hash"},
        {"action": "delete", "pattern": r"^process\."},
    ]

    hashed = hashlib.sha256(b"n1.example").hexdigest()

    found = await after(
        actions, {"version": "2", "host.name": "n1.example", "process.pid": 1, "process.command_args": ["x"]}
    )

    assert typed(found) == typed({"version": 2.0, "host.name": hashed, "tenant": "a;b", "host_short": "n1"})


async def test_a_batch_without_a_change_goes_on_as_it_is() -> None:
    sink, given = Sink(), batch(Signal.LOGS, {"a": 1}, resource={"b": 1})
    unchanged = build("resource", {"attributes": [{"key": "a", "action": "delete"}]}, sink, kind=Kind.PROCESSOR)

    await unchanged.consume(given)

    assert sink.batches[0] is given


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{attributes: [{key: a, action: insert}]}", "attributes::0: insert needs value, from_attribute"),
        ("{attributes: []}", "attributes: must not be empty"),
        ("{}", 'option "attributes" is required'),
        ("{attributes: [{key: a, action: delete}], actions: []}", 'unknown option "actions"'),
    ],
)
def test_what_cannot_be_is_an_error_at_its_place(options: str, expected: str) -> None:
    text = f"""\
receivers: {{otlp: {{protocols: {{grpc: }}}}}}
exporters: {{nop: }}
processors: {{resource: {options}}}
service: {{pipelines: {{logs: {{receivers: [otlp], processors: [resource], exporters: [nop]}}}}}}
"""
    with pytest.raises(ConfigError) as caught:
        read_configuration(text, "t.yaml", {})

    (problem,) = caught.value.problems
    path = str(problem).split(": ", 1)[1]
    assert path.startswith(f"processors::resource{'::' if expected.startswith('attributes') else ': '}{expected}")
