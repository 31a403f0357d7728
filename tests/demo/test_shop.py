"""The demo shop: valid telemetry of a model whose numbers are known, in simulated time."""

import random
from collections import Counter, defaultdict
from statistics import median

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from airis.data import Signal
from airis.demo import graph
from airis.demo.shop import Shop
from airis.demo.visits import SECONDS, Incident

START = 1_700_000_000 * SECONDS


def value_of(any_value):
    kind = any_value.WhichOneof("value")
    return getattr(any_value, kind) if kind else None


def attributes(message):
    return {each.key: value_of(each.value) for each in message.attributes}


class Observed:
    """What a shop reported, decoded."""

    def __init__(self, batches):
        self.spans = []  # (service, span)
        self.logs = []  # (service, record)
        self.metrics = defaultdict(list)  # name -> (service, metric)
        for batch in batches:
            if batch.signal is Signal.TRACES:
                for resource in ExportTraceServiceRequest.FromString(batch.payload).resource_spans:
                    service = attributes(resource.resource)["service.name"]
                    spans = [(service, span) for scope in resource.scope_spans for span in scope.spans]
                    self.spans += spans
            elif batch.signal is Signal.LOGS:
                for resource in ExportLogsServiceRequest.FromString(batch.payload).resource_logs:
                    service = attributes(resource.resource)["service.name"]
                    self.logs += [(service, record) for scope in resource.scope_logs for record in scope.log_records]
            else:
                for resource in ExportMetricsServiceRequest.FromString(batch.payload).resource_metrics:
                    identity = attributes(resource.resource)
                    for scope in resource.scope_metrics:
                        for metric in scope.metrics:
                            self.metrics[metric.name].append((identity["service.instance.id"], metric))

    def served(self, service, name, begin=0, end=2**64):
        return [
            span
            for each, span in self.spans
            if each == service
            and span.name == name
            and span.kind == Span.SPAN_KIND_SERVER
            and begin <= span.start_time_unix_nano < end
        ]


def play(seconds, *, seed=1, step=10, incident=None, traces_per_s=12.0):
    shop = Shop(random.Random(seed), START, traces_per_s=traces_per_s)
    if incident:
        shop.plan_incident(incident)
    batches = []
    for reached in range(step, seconds + step, step):
        batches += shop.advance(START + reached * SECONDS)
    return shop, batches


@pytest.fixture(scope="module")
def two_minutes():
    shop, batches = play(120)
    return shop, batches, Observed(batches)


def test_a_batch_says_how_many_items_it_has(two_minutes):
    _, batches, observed = two_minutes

    items = Counter()
    for batch in batches:
        items[batch.signal] += batch.items
    points = sum(
        len(getattr(metric, metric.WhichOneof("data")).data_points)
        for metrics in observed.metrics.values()
        for _, metric in metrics
    )
    assert items == {Signal.TRACES: len(observed.spans), Signal.LOGS: len(observed.logs), Signal.METRICS: points}


def test_visits_arrive_at_the_rate(two_minutes):
    _, _, observed = two_minutes
    roots = [span for _, span in observed.spans if not span.parent_span_id and not span.links]

    assert len(roots) == pytest.approx(120 * 12, rel=0.1)
    assert len({span.trace_id for span in roots}) == len(roots)
    assert {service for service, _ in observed.spans} == {service.name for service in graph.SERVICES}


def test_spans_are_whole_and_nest(two_minutes):
    _, _, observed = two_minutes
    by_id = {span.span_id: span for _, span in observed.spans}

    assert len(by_id) == len(observed.spans)
    nested = 0
    for _, span in observed.spans:
        assert len(span.trace_id) == 16
        assert len(span.span_id) == 8
        assert span.name
        assert span.kind != Span.SPAN_KIND_UNSPECIFIED
        assert START < span.start_time_unix_nano < span.end_time_unix_nano
        assert all(span.start_time_unix_nano <= e.time_unix_nano <= span.end_time_unix_nano for e in span.events)
        # The parent of a span that ended just before the end of the run is still under way.
        parent = by_id.get(span.parent_span_id)
        if parent is not None:
            nested += 1
            assert parent.trace_id == span.trace_id
            assert parent.start_time_unix_nano <= span.start_time_unix_nano
            assert span.end_time_unix_nano <= parent.end_time_unix_nano
    assert nested > 0.8 * len(observed.spans)


def test_a_span_is_reported_after_its_end_and_soon():
    shop = Shop(random.Random(4), START)
    for second in range(1, 20):
        now = START + second * SECONDS
        for _, span in Observed(shop.advance(now)).spans:
            assert now - SECONDS <= span.end_time_unix_nano <= now


def test_client_spans_name_their_peer(two_minutes):
    _, _, observed = two_minutes
    peers = defaultdict(set)
    for service, span in observed.spans:
        if span.kind in (Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_PRODUCER):
            peers[service].add(attributes(span)["peer.service"])

    assert peers == {
        "storefront": {"catalog", "cart", "checkout"},
        "catalog": {"catalog-cache", "catalog-db"},
        "cart": {"cart-store", "catalog"},
        "checkout": {"cart", "catalog", "inventory", "payment", "kafka"},
        "payment": {"payment-db", "cardgate.example"},
        "inventory": {"inventory-db"},
    }


def test_parallel_calls_overlap_and_others_do_not(two_minutes):
    _, _, observed = two_minutes
    children = defaultdict(list)
    for _, span in observed.spans:
        children[span.parent_span_id].append(span)

    order = next(
        span for span in observed.served("checkout", "POST /orders") if span.status.code == Status.STATUS_CODE_UNSET
    )
    calls = {attributes(child)["peer.service"]: child for child in children[order.span_id]}
    assert calls["catalog"].start_time_unix_nano == calls["inventory"].start_time_unix_nano
    joined = max(calls["catalog"].end_time_unix_nano, calls["inventory"].end_time_unix_nano)
    assert calls["cart"].end_time_unix_nano <= calls["catalog"].start_time_unix_nano
    assert joined <= calls["payment"].start_time_unix_nano


def test_the_card_gateway_is_what_a_checkout_waits_for(two_minutes):
    _, _, observed = two_minutes
    gateway = {
        span.trace_id: span.end_time_unix_nano - span.start_time_unix_nano
        for service, span in observed.spans
        if service == "payment" and attributes(span).get("peer.service") == "cardgate.example"
    }
    shares = [
        gateway[span.trace_id] / (span.end_time_unix_nano - span.start_time_unix_nano)
        for span in observed.served("storefront", "POST /checkout")
        if span.trace_id in gateway
    ]

    assert median(shares) > 0.7
    assert median(gateway.values()) == pytest.approx(0.180 * SECONDS, rel=0.2)


def test_a_shipment_is_linked_to_the_order_it_is_for(two_minutes):
    _, _, observed = two_minutes
    sent = {span.span_id: span for _, span in observed.spans if span.kind == Span.SPAN_KIND_PRODUCER}
    shipments = [span for _, span in observed.spans if span.kind == Span.SPAN_KIND_CONSUMER]

    assert len(shipments) > 50
    for span in shipments:
        [link] = span.links
        assert link.trace_id == sent[link.span_id].trace_id != span.trace_id
        assert span.start_time_unix_nano > sent[link.span_id].end_time_unix_nano
        assert attributes(span)["messaging.message.id"] == attributes(sent[link.span_id])["messaging.message.id"]


def test_declined_cards_are_errors_of_the_caller_with_an_exception_and_a_log(two_minutes):
    _, _, observed = two_minutes
    declined = [
        span
        for span in observed.served("payment", "shop.Payment/Charge")
        if any("declined" in str(attributes(event).get("exception.message")) for event in span.events)
    ]
    errors = {record.span_id: record for _, record in observed.logs if record.severity_text == "ERROR"}

    assert declined
    for span in declined:
        assert span.status.code == Status.STATUS_CODE_UNSET
        assert attributes(span)["rpc.grpc.status_code"] == 9
        assert "declined" in errors[span.span_id].body.string_value


def test_logs_belong_to_spans(two_minutes):
    _, _, observed = two_minutes
    known = {(span.trace_id, span.span_id) for _, span in observed.spans}
    correlated = [record for _, record in observed.logs if record.trace_id]
    last = max(span.end_time_unix_nano for _, span in observed.spans)

    assert len(correlated) > 0.8 * len(observed.logs)
    for record in correlated:
        if record.time_unix_nano < last - 5 * SECONDS:
            assert (record.trace_id, record.span_id) in known
    assert {record.severity_text for _, record in observed.logs} >= {"DEBUG", "INFO", "ERROR"}
    assert all(record.severity_number and record.time_unix_nano for _, record in observed.logs)
    assert any(record.body.WhichOneof("value") == "kvlist_value" and record.event_name for _, record in observed.logs)


def test_metrics_of_every_kind_and_both_temporalities(two_minutes):
    _, _, observed = two_minutes
    seen = set()
    for metrics in observed.metrics.values():
        for _, metric in metrics:
            kind = metric.WhichOneof("data")
            data = getattr(metric, kind)
            seen.add((kind, getattr(data, "aggregation_temporality", 0), getattr(data, "is_monotonic", None)))

    delta, cumulative = 1, 2
    assert seen == {
        ("gauge", 0, None),
        ("sum", cumulative, True),
        ("sum", cumulative, False),
        ("sum", delta, True),
        ("histogram", cumulative, None),
        ("histogram", delta, None),
        ("exponential_histogram", delta, None),
        ("summary", 0, None),
    }


def test_cumulative_metrics_agree_with_the_spans(two_minutes):
    _, _, observed = two_minutes
    exports_at = START + 120 * SECONDS
    last = defaultdict(int)
    for instance, metric in observed.metrics["http.server.request.duration"]:
        for point in metric.histogram.data_points:
            assert sum(point.bucket_counts) == point.count
            assert point.start_time_unix_nano == START
            last[instance, str(point.attributes)] = point.count
    served = [
        span
        for _, span in observed.spans
        if span.kind == Span.SPAN_KIND_SERVER
        and "http.route" in attributes(span)
        and span.end_time_unix_nano <= exports_at
    ]

    assert sum(last.values()) == len(served)


def test_exemplars_lead_to_traces(two_minutes):
    _, _, observed = two_minutes
    known = {(span.trace_id, span.span_id) for _, span in observed.spans}
    exemplars = [
        exemplar
        for _, metric in observed.metrics["http.server.request.duration"]
        for point in metric.histogram.data_points
        for exemplar in point.exemplars
    ]

    assert exemplars
    assert all((exemplar.trace_id, exemplar.span_id) in known for exemplar in exemplars)


def test_the_active_requests_come_back_to_what_is_under_way(two_minutes):
    _, _, observed = two_minutes
    levels = [
        point.as_int
        for _, metric in observed.metrics["http.server.active_requests"]
        for point in metric.sum.data_points
    ]

    assert min(levels) >= 0
    assert 0 < max(levels) < 30


def test_the_same_seed_gives_the_same_telemetry_whatever_the_steps():
    _, once = play(40, step=10)
    _, again = play(40, step=10)
    _, finer = play(40, step=1)

    assert [batch.payload for batch in once] == [batch.payload for batch in again]
    spans = sorted(span.SerializeToString() for _, span in Observed(once).spans)
    assert sorted(span.SerializeToString() for _, span in Observed(finer).spans) == spans
    assert len(Observed(finer).logs) == len(Observed(once).logs)


def test_another_seed_gives_other_ids():
    _, one = play(10, seed=1)
    _, other = play(10, seed=2)

    ids = [{span.trace_id for _, span in Observed(batches).spans} for batches in (one, other)]
    assert ids[0].isdisjoint(ids[1])


def test_the_incident_raises_latency_and_errors_by_what_was_put_in():
    begins, ends = START + 60 * SECONDS, START + 180 * SECONDS
    incident = Incident(begins, ends, slowdown=10.0, failing_share=0.3)
    _, batches = play(240, seed=3, incident=incident, traces_per_s=20.0)
    observed = Observed(batches)

    def queries(begin, end):
        return [
            span
            for _, span in observed.spans
            if attributes(span).get("peer.service") == "payment-db" and begin <= span.start_time_unix_nano < end
        ]

    def typical(spans):
        return median(s.end_time_unix_nano - s.start_time_unix_nano for s in spans if not s.status.code)

    def failing(spans):
        return sum(span.status.code == Status.STATUS_CODE_ERROR for span in spans) / len(spans)

    def checkouts(begin, end):
        return observed.served("checkout", "POST /orders", begin, end)

    assert typical(queries(begins, ends)) / typical(queries(START, begins)) == pytest.approx(10.0, rel=0.2)
    assert failing(queries(START, begins)) == 0
    assert failing(queries(begins, ends)) == pytest.approx(0.3, abs=0.05)
    # A charge has two queries and is tried twice.
    assert failing(checkouts(START, begins)) == 0
    assert failing(checkouts(begins, ends - 10 * SECONDS)) == pytest.approx((1 - 0.7**2) ** 2, abs=0.08)
    assert failing(checkouts(ends, ends + 50 * SECONDS)) == 0

    bodies = [record.body.string_value for service, record in observed.logs if service == "payment"]
    assert any("drop index" in body for body in bodies)
    assert any("slow query on payment-db" in body for body in bodies)
    assert any("20 of 20 connections in use" in body for body in bodies)


def test_a_failed_charge_is_tried_again():
    _, batches = play(60, incident=Incident(START, START + 60 * SECONDS, failing_share=0.5))
    observed = Observed(batches)

    charges = Counter(span.parent_span_id for span in observed.served("payment", "shop.Payment/Charge"))
    assert set(charges.values()) == {1}
    attempts = Counter(
        span.parent_span_id for _, span in observed.spans if span.name == "shop.Payment/Charge" and span.kind == 3
    )
    assert set(attempts.values()) == {1, 2}
    retried = [span for span in observed.served("checkout", "POST /orders") if attempts[span.span_id] == 2]
    assert retried
    assert all([event.name for event in span.events] == ["retry"] for span in retried)
    assert any(
        record.severity_text == "WARN" and "trying again" in record.body.string_value for _, record in observed.logs
    )


def test_the_notable_trace_is_one_that_went_wrong(two_minutes):
    shop, _, observed = two_minutes
    trace = [span for _, span in observed.spans if span.trace_id == shop.notable_trace_id]

    assert any(span.status.code == Status.STATUS_CODE_ERROR for span in trace)
