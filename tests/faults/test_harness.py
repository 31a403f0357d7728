"""The harness itself: it would notice, it names what it found, and it does to connections what it says."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from .items import SIGNALS, Stamp, request_of, stamps_of
from .oracle import Ledger
from .proxy import FaultProxy, to_port

ONE, TWO, THREE = (Stamp(f"run/0/{number}", f"digest {number}") for number in (1, 2, 3))


def ledger(*delivered: Stamp) -> Ledger:
    """One in which three items were issued, and two of them acknowledged."""
    ledger = Ledger()
    ledger.issue([ONE, TWO, THREE])
    ledger.acknowledge([ONE.key, TWO.key])
    ledger.deliver("sink", delivered)
    return ledger


@pytest.mark.parametrize(
    ("delivered", "lost", "wrong", "duplicates"),
    [
        ([ONE, TWO], 0, 0, 0),
        ([ONE, TWO, THREE], 0, 0, 0),
        ([ONE], 1, 0, 0),
        ([], 2, 0, 0),
        ([ONE, TWO, Stamp("run/0/9", "digest 9")], 0, 1, 0),
        ([ONE, Stamp(TWO.key, "another")], 1, 1, 0),
        ([ONE, TWO, TWO, TWO], 0, 0, 2),
    ],
    ids=["all", "more than acknowledged", "one lost", "all lost", "invented", "altered", "duplicates"],
)
def test_the_oracle_says_what_does_not_fit(delivered: list[Stamp], lost: int, wrong: int, duplicates: int) -> None:
    found = ledger(*delivered).verdict(["sink"]).sinks["sink"]

    assert (found.lost, found.wrong, found.duplicates) == (lost, wrong, duplicates)
    assert bool(found.examples) == bool(lost or wrong or duplicates)


def test_what_was_sent_again_without_an_answer_may_be_there_twice_and_no_more() -> None:
    books = ledger(ONE, TWO, TWO)
    books.doubt([TWO.key])
    assert books.verdict(["sink"]).sinks["sink"].duplicates == 0

    books.deliver("sink", [TWO])
    assert books.verdict(["sink"]).sinks["sink"].duplicates == 1


def test_what_is_known_to_be_elsewhere_is_excused_by_name() -> None:
    books = ledger(ONE)
    books.excuse("sink", [TWO.key])

    assert books.missing(["sink"]) == 0
    assert books.verdict(["sink"]).sinks["sink"].excused == 1
    assert books.missing(["another"]) == 2


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_item_is_known_by_all_that_it_holds(signal: str) -> None:
    request = request_of(signal, "run", 3, range(5), 1_700_000_000_000_000_000)
    again = type(request).FromString(request.SerializeToString())
    stamps = list(stamps_of(signal, request))

    assert [stamp.key for stamp in stamps] == [f"run/3/{sequence}" for sequence in range(5)]
    assert list(stamps_of(signal, again)) == stamps
    assert len({stamp.digest for stamp in stamps}) == 5


@pytest.mark.parametrize(
    ("signal", "change"),
    [
        ("traces", lambda r: setattr(r.resource_spans[0].scope_spans[0].spans[0], "end_time_unix_nano", 1)),
        ("traces", lambda r: setattr(r.resource_spans[0].scope_spans[0].spans[0], "span_id", b"12345678")),
        ("logs", lambda r: setattr(r.resource_logs[0].scope_logs[0].log_records[0].body, "string_value", "x")),
        (
            "metrics",
            lambda r: setattr(r.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0], "as_double", 1.0),
        ),
    ],
    ids=["end", "span id", "body", "value"],
)
def test_what_is_altered_has_another_digest(signal: str, change) -> None:
    request = request_of(signal, "run", 0, range(1), 1_700_000_000_000_000_000)
    (before,) = stamps_of(signal, request)
    change(request)
    (after,) = stamps_of(signal, request)

    assert before.key == after.key
    assert before.digest != after.digest


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says what it is told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with suppress(OSError), client:
            while data := client.recv(65536):
                client.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def said(proxy: FaultProxy, timeout_s: float = 0.3) -> str:
    """What comes back through it, or what becomes of the connection."""
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), 5) as client:
            client.settimeout(timeout_s)
            client.sendall(b"hello")
            return client.recv(100).decode() or "ended"
    except TimeoutError:
        return "silent"
    except ConnectionResetError:
        return "reset"


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        ("pass", {"hello"}),
        ("refuse", {"ended", "reset"}),
        ("reset", {"reset"}),
        ("black_hole", {"silent"}),
        ("half_open", {"silent"}),
        ("cut_answer", {"ended", "reset"}),
    ],
)
def test_the_proxy_does_what_networks_do(echo: int, mode, outcome: set[str]) -> None:
    proxy = FaultProxy(to_port(echo))
    try:
        proxy.set(mode)
        assert said(proxy) in outcome
        assert proxy.cut.is_set() == (mode == "cut_answer")

        proxy.set("pass")
        assert said(proxy) == "hello"
    finally:
        proxy.close()


def test_a_delay_is_one(echo: int) -> None:
    proxy = FaultProxy(to_port(echo))
    proxy.delay_s = 0.2
    try:
        proxy.set("delay")
        started = time.monotonic()
        assert said(proxy, 5.0) == "hello"
        assert time.monotonic() - started >= 0.4, "once for each way"
    finally:
        proxy.close()


def test_what_a_run_before_delivers_late_is_not_held_against_the_next_one() -> None:
    books = ledger(ONE, TWO).next()
    another = Stamp("another/0/1", "digest")
    books.issue([another])
    books.deliver("sink", [THREE, another, Stamp("unheard-of/0/1", "digest")])
    assert books.verdict(["sink"]).sinks["sink"].wrong == 1, "the one of a run that never was"

    again = books.next()
    again.issue([ONE])
    again.deliver("sink", [Stamp(ONE.key, "another")])
    assert again.verdict(["sink"]).sinks["sink"].wrong == 1, "it was begun again"
