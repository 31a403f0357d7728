"""A batch is its bytes or its view, whichever was there first: the other is made when it is asked for, and kept."""

import threading
from dataclasses import FrozenInstanceError, replace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from airis.data import Batch, Origin, Signal, join, kernels
from airis.data.malformed import MalformedPayload

ORIGIN = Origin(receiver="otlp", tenant="t")


def payload(*names: str) -> bytes:
    """Spans with these names."""
    request = ExportTraceServiceRequest()
    scoped = request.resource_spans.add().scope_spans.add()
    for name in names:
        scoped.spans.add(name=name)
    return request.SerializeToString()


def batch(*names: str) -> Batch:
    return Batch(Signal.TRACES, payload(*names), len(names), ORIGIN, arrived_unix_nano=5, requests=3)


def viewed(*names: str) -> Batch:
    """A batch with the first of some spans left out."""
    whole = batch("out", *names)
    return whole.with_view(whole.view().select(b"\x00" + b"\x01" * len(names)))


def test_a_batch_keeps_the_view_that_it_scanned():
    whole = batch("a", "b")

    assert whole.view() is whole.view()
    assert whole.view().payload is whole.payload


def test_a_batch_of_a_view_is_another_one_from_the_same_place():
    whole = batch("a", "b")

    made = whole.with_view(whole.view().select(b"\x00\x01"))

    assert (made.signal, made.origin, made.arrived_unix_nano, made.requests) == (Signal.TRACES, ORIGIN, 5, 3)
    assert made.id != whole.id
    assert (made.items, made.payload, made.size_bytes) == (1, payload("b"), len(payload("b")))
    assert made.payload is made.payload
    assert made.view() is made.view()
    assert made.view().items == 1


def test_what_is_made_of_it_is_a_batch_like_any_other():
    made = viewed("a")

    assert isinstance(made, Batch)
    assert made == replace(made) == Batch(Signal.TRACES, payload("a"), 1, ORIGIN, 5, made.id, 3)
    assert replace(made, items=7).payload == payload("a")
    assert repr(made) == repr(replace(made))
    with pytest.raises(FrozenInstanceError):
        made.items = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        made.payload = b""  # type: ignore[misc]


def test_the_size_is_known_without_a_payload():
    class Unmade:
        items, size_bytes = 1, 42

        @property
        def payload(self) -> bytes:
            raise AssertionError("it was asked for")

    made = batch("a").with_view(Unmade())  # type: ignore[arg-type]

    assert (made.items, made.size_bytes, made.with_origin(Origin()).size_bytes) == (1, 42, 42)


def test_another_origin_changes_nothing_else():
    for whole in (batch("a"), viewed("a")):
        moved = whole.with_origin(Origin(receiver="other"))

        assert moved == replace(whole, origin=Origin(receiver="other"))
        assert moved.id == whole.id
    assert viewed("a").with_origin(ORIGIN).view().items == 1


def test_another_payload_has_another_view():
    for whole in (batch("a"), viewed("a")):
        whole.view()

        assert whole.with_payload(payload("b", "c"), 2).view().items == 2


def test_batches_of_views_are_joined_as_bytes():
    joined = join([viewed("a"), batch("b"), viewed("c", "d")])

    assert joined.payload == payload("a") + payload("b") + payload("c", "d")
    assert (joined.items, joined.requests, joined.view().items) == (4, 9, 4)


def test_a_payload_that_was_not_validated_has_no_view():
    broken = Batch(Signal.TRACES, b"\x0a\x05", 1)

    for _ in range(2):
        with pytest.raises(MalformedPayload):
            broken.view()


def test_all_threads_that_ask_at_once_get_the_same():
    for make in (batch, viewed):
        names = [f"{number}" for number in range(2000)]
        whole = make(*names)
        start = threading.Barrier(4)
        found: list[tuple[bytes, int]] = []

        def ask(whole: Batch = whole, start: threading.Barrier = start, found: list[tuple[bytes, int]] = found) -> None:
            start.wait()
            found.append((whole.payload, whole.view().items))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert found == [(payload(*names), 2000)] * 4
        assert all(payload is whole.payload for payload, _ in found)


def test_the_kernels_in_use_make_the_views():
    assert isinstance(batch("a").view(), kernels.View)


KNOWN = Origin(metadata={"team": ("a",), "auth.subject": ("forged",)}, auth={"subject": "alice", "username": "alice"})


@pytest.mark.parametrize(
    ("key", "values"),
    [("team", ("a",)), ("auth.subject", ("alice",)), ("auth.none", ()), ("none", ()), ("subject", ())],
)
def test_what_is_known_of_a_client_is_found_by_its_name_and_a_header_is_not_the_authenticator(key, values):
    assert KNOWN.sent(key) == values


def test_what_is_left_of_a_client_is_what_is_named():
    assert KNOWN.only([]) == Origin()
    assert KNOWN.only(["team", "auth.subject"]) == Origin(metadata={"team": ("a",)}, auth={"subject": "alice"})


def test_joined_batches_are_known_by_what_all_have_alike():
    def of(team, subject):
        metadata = {"team": (team,), "zone": ("z",)}
        return batch("a").with_origin(Origin("otlp", metadata=metadata, auth={"subject": subject, "group": "g"}))

    assert join([of("a", "alice"), of("a", "alice")]).origin == of("a", "alice").origin
    assert join([of("a", "alice"), of("b", "bob")]).origin == Origin(
        "otlp", metadata={"zone": ("z",)}, auth={"group": "g"}
    )
    assert join([of("a", "alice"), batch("b").with_origin(Origin("otlp"))]).origin == Origin("otlp")
