"""Looking at what passes: nothing is held or slowed, what is not seen is counted, and nothing remains behind."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from airis.component import Host
from airis.component.testing import Sink
from airis.data import Batch, Origin, Signal
from airis.service.port import Port
from airis.service.tap import MOST_BATCHES, MOST_BYTES, MOST_TAPS, NotOne, Tap, Taps, TooManyTaps, Wanted, find

from .fakes import In, Recorded, settled
from .test_reload import RECEIVER, Running, of

PLACES = {
    "receivers::otlp": (Signal.TRACES, Signal.LOGS),
    "pipelines::traces": (Signal.TRACES,),
    "pipelines::traces/edge": (Signal.TRACES,),
    "pipelines::logs": (Signal.LOGS,),
    "processors::batch of traces": (Signal.TRACES,),
    "processors::batch of traces/edge": (Signal.TRACES,),
    "processors::batch of logs": (Signal.LOGS,),
    "processors::filter of logs": (Signal.LOGS,),
    "exporters::otlp": (Signal.TRACES, Signal.LOGS),
    "exporters::debug": (Signal.TRACES, Signal.LOGS),
}


def batch(items: int = 1, payload: bytes = b"payload", signal: Signal = Signal.TRACES) -> Batch:
    return Batch(signal, payload, items, Origin(receiver="otlp"), arrived_unix_nano=7)


class Ports:
    """Two places where data passes, and the taps on them."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.places = {"pipelines::traces": (self.port(),), "receivers::otlp": (self.port(), self.port())}
        self.outlets = {
            "receivers::otlp": self.places["receivers::otlp"],
            "processors::batch of traces": (self.port(),),
        }
        self.taps = Taps(lambda output: self.outlets if output else self.places)

    def port(self) -> Port:
        made = Port()
        made.resume(self.sink)
        return made

    def watchers(self) -> int:
        ports = {port for places in (self.places, self.outlets) for its in places.values() for port in its}
        return sum(len(port.watchers) for port in ports)


async def told(tap: Tap, frames: int) -> list[tuple[dict[str, object], bytes]]:
    """The next frames, each with the payload behind it."""
    found: list[tuple[dict[str, object], bytes]] = []
    async with asyncio.timeout(10):
        async for piece in tap.frames():
            while piece:
                line, _, piece = piece.partition(b"\n")
                header = orjson.loads(line)
                size = header.get("size_bytes", 0)
                found.append((header, piece[:size]))
                piece = piece[size:]
            if len(found) >= frames:
                break
    return found


async def test_what_passes_is_seen_as_it_is() -> None:
    ports = Ports()
    with ports.taps.open(Wanted("pipelines::traces")) as tap:
        await ports.places["pipelines::traces"][0].consume(batch(3, b"one"))
        await ports.places["pipelines::traces"][0].consume(batch(4, b"two\n\x00"))

        (start, _), *frames = await told(tap, 3)

    assert start == {"watching": "pipelines::traces"}
    assert [(header["signal"], header["items"], header["receiver"], payload) for header, payload in frames] == [
        ("traces", 3, "otlp", b"one"),
        ("traces", 4, "otlp", b"two\n\x00"),
    ]
    assert ports.sink.items == 7


async def test_a_tap_that_is_closed_leaves_nothing_behind() -> None:
    ports = Ports()
    with ports.taps.open(Wanted("receivers::otlp")):
        assert ports.watchers() == 2
        assert len(list(ports.taps)) == 1

    assert (ports.watchers(), list(ports.taps)) == (0, [])


async def test_a_signal_can_be_chosen() -> None:
    ports = Ports()
    with ports.taps.open(Wanted("receivers::otlp", Signal.LOGS)) as tap:
        await ports.places["receivers::otlp"][0].consume(batch(3))
        await ports.places["receivers::otlp"][1].consume(batch(4, signal=Signal.LOGS))

        (_, (header, _)) = await told(tap, 2)

    assert (header["signal"], header["items"], tap.missed_batches) == ("logs", 4, 0)


async def test_what_a_component_hands_on_can_be_seen_in_place_of_what_it_takes() -> None:
    ports = Ports()
    with ports.taps.open(Wanted("processors::batch of traces", output=True)) as tap:
        await ports.outlets["processors::batch of traces"][0].consume(batch(5))

        (_, (header, _)) = await told(tap, 2)

    assert header["items"] == 5


@pytest.mark.parametrize(
    ("payload", "kept"),
    [(b"x" * (MOST_BYTES // 4), 4), (b"x", MOST_BATCHES), (b"x" * (2 * MOST_BYTES), 1)],
    ids=["bytes", "batches", "one larger than all"],
)
async def test_who_does_not_read_misses_batches_that_are_counted_and_holds_up_nobody(payload: bytes, kept: int) -> None:
    ports = Ports()
    (port,) = ports.places["pipelines::traces"]
    sent = kept + 3
    with ports.taps.open(Wanted("pipelines::traces")) as tap:
        for _ in range(sent):
            await port.consume(batch(2, payload))

        assert ports.sink.items == 2 * sent
        assert (tap.missed_batches, tap.missed_items) == (3, 6)
        frames = await told(tap, 2 + kept)
    headers = [header for header, _ in frames]
    assert headers[1] == {"missed_batches": 3, "missed_items": 6}
    assert len([header for header in headers if "items" in header]) == kept


async def test_who_reads_again_sees_again() -> None:
    ports = Ports()
    (port,) = ports.places["pipelines::traces"]
    half = b"x" * (MOST_BYTES // 2)
    with ports.taps.open(Wanted("pipelines::traces")) as tap:
        for _ in range(3):
            await port.consume(batch(1, half))
        await told(tap, 4)
        for _ in range(2):
            await port.consume(batch(1, half))

        assert tap.missed_batches == 1


async def test_a_limit_ends_the_look_with_the_batch_that_reaches_it() -> None:
    ports = Ports()
    (port,) = ports.places["pipelines::traces"]
    with ports.taps.open(Wanted("pipelines::traces", items=5)) as tap:
        for _ in range(10):
            await port.consume(batch(3))

        assert ports.watchers() == 0, "from then on nothing is kept"
        frames = await told(tap, 4)

    assert [header.get("items") for header, _ in frames[1:3]] == [3, 3]
    assert frames[3][0] == {"ended": "limit"}


async def test_of_a_small_share_most_batches_are_not_kept_at_all() -> None:
    ports = Ports()
    (port,) = ports.places["pipelines::traces"]
    chance = random.Random(7)
    with ports.taps.open(Wanted("pipelines::traces", share=0.01), chance.random) as tap:
        for _ in range(1000):
            await port.consume(batch(1))
        frames = await told(tap, 2)

        for _ in range(100):
            await port.consume(batch(1000))
        large = await told(tap, 101)

    assert 1 <= len(frames) - 1 <= 25
    assert len(large) - 1 == 100, "of a thousand items something is chosen"
    assert tap.missed_batches == 0, "what was left out by choice was not missed"


async def test_there_are_only_so_many_at_a_time() -> None:
    ports = Ports()
    opened = [ports.taps.open(Wanted("pipelines::traces")) for _ in range(MOST_TAPS)]
    for each in opened:
        each.__enter__()

    with pytest.raises(TooManyTaps, match=str(MOST_TAPS)):
        ports.taps.open(Wanted("pipelines::traces")).__enter__()

    for each in opened:
        each.__exit__(None, None, None)
    with ports.taps.open(Wanted("pipelines::traces")):
        pass


async def test_a_port_that_takes_the_place_of_another_is_watched_before_data_passes() -> None:
    ports = Ports()
    (old,) = ports.places["pipelines::traces"]
    with ports.taps.open(Wanted("pipelines::traces")) as tap:
        ports.places.pop("pipelines::traces")
        ports.taps.follow(False)
        assert not tap.ended, "the change is under way"
        ports.places["pipelines::traces"] = (ports.port(),)
        ports.taps.follow(False)
        await ports.places["pipelines::traces"][0].consume(batch(9))
        ports.taps.follow(True)

        (_, (header, _)) = await told(tap, 2)

    assert header["items"] == 9
    assert not old.watchers


async def test_a_place_that_is_gone_ends_the_look_after_what_was_seen() -> None:
    ports = Ports()
    (port,) = ports.places["pipelines::traces"]
    with ports.taps.open(Wanted("pipelines::traces")) as tap:
        await port.consume(batch(3))
        ports.places.pop("pipelines::traces")
        ports.taps.follow(True)

        frames = [header async for header in _headers(tap)]

    assert not port.watchers
    assert [header.get("items") for header in frames] == [None, 3, None]
    assert frames[-1] == {"ended": "pipelines::traces is no longer there"}


async def test_the_end_of_all_places_is_the_end_of_airis() -> None:
    ports = Ports()
    with ports.taps.open(Wanted("pipelines::traces")) as tap:
        ports.places.clear()
        ports.outlets.clear()
        ports.taps.follow(True)

        frames = [header async for header in _headers(tap)]

    assert frames[-1] == {"ended": "airis is shutting down"}


async def test_a_silent_place_is_told_from_a_dead_one() -> None:
    ports = Ports()
    with ports.taps.open(Wanted("pipelines::traces"), heartbeat_s=0.01) as tap:
        frames = await told(tap, 3)

    assert [header for header, _ in frames[1:]] == [{}, {}]


async def _headers(tap: Tap) -> AsyncGenerator[dict[str, object]]:
    """All that is told until the end, payloads left out."""
    async for piece in tap.frames():
        while piece:
            line, _, piece = piece.partition(b"\n")
            header = orjson.loads(line)
            piece = piece[header.get("size_bytes", 0) :]
            yield header


@pytest.mark.parametrize(
    ("name", "signal", "found"),
    [
        ("pipelines::traces", None, "pipelines::traces"),
        ("traces", None, "pipelines::traces"),
        ("traces/edge", None, "pipelines::traces/edge"),
        ("receivers::otlp", Signal.LOGS, "receivers::otlp"),
        ("exporters::debug", None, "exporters::debug"),
        ("debug", Signal.TRACES, "exporters::debug"),
        ("filter", None, "processors::filter of logs"),
        ("processors::filter", None, "processors::filter of logs"),
        ("processors::batch of traces", None, "processors::batch of traces"),
        ("batch of traces/edge", None, "processors::batch of traces/edge"),
        ("batch", Signal.LOGS, "processors::batch of logs"),
    ],
)
def test_a_place_is_found_by_any_of_its_names(name: str, signal: Signal | None, found: str) -> None:
    assert find(name, signal, PLACES) == found


@pytest.mark.parametrize(
    ("name", "signal", "message", "choices"),
    [
        ("otlp", None, '"otlp" is in several places', ["exporters::otlp", "receivers::otlp"]),
        (
            "batch",
            None,
            '"batch" is in several places',
            ["processors::batch of logs", "processors::batch of traces", "processors::batch of traces/edge"],
        ),
        (
            "batch",
            Signal.TRACES,
            '"batch" is in several places',
            ["processors::batch of traces", "processors::batch of traces/edge"],
        ),
        ("bacth", None, 'there is no "bacth"; did you mean "batch"?', []),
        ("pipelines::trace", None, 'there is no "pipelines::trace"; did you mean "pipelines::traces"?', []),
        ("elasticsearch", None, 'there is no "elasticsearch"', sorted(PLACES)),
        ("pipelines::traces", Signal.LOGS, "pipelines::traces carries no logs", []),
        ("filter", Signal.METRICS, "processors::filter of logs carries no metrics", []),
    ],
)
def test_a_name_that_is_not_one_place_is_told(
    name: str, signal: Signal | None, message: str, choices: list[str]
) -> None:
    with pytest.raises(NotOne) as wrong:
        find(name, signal, PLACES)

    assert (str(wrong.value), wrong.value.choices) == (message, choices)


@pytest.mark.parametrize("changed", ["in", "through", "out"])
async def test_nothing_that_passes_a_component_that_is_exchanged_is_overlooked(
    tmp_path: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(component: In, host: Host) -> None:
        await Recorded.start(component, host)
        await settled()  # a receiver takes data before all is started

    monkeypatch.setattr(In, "start", start)
    running = await Running(of(), tmp_path).start()
    taps = Taps(lambda _output: running.graph.ports())
    running.graph.ports_changed = taps.follow
    names = ["receivers::in", "pipelines::traces", "processors::through of traces", "exporters::out"]
    sent: list[bytes] = []
    stop = asyncio.Event()

    async def send() -> None:
        while not stop.is_set():
            if RECEIVER in running.graph.nodes:
                sent.append(b"%d" % len(sent))
                await running.send(sent[-1])
            await asyncio.sleep(0)

    with ExitStack() as stack:
        opened = [stack.enter_context(taps.open(Wanted(name))) for name in names]
        sending = asyncio.create_task(send())
        for size in range(1, 6):
            await settled()
            await running.reload(of({changed: {"size": size}}))
        await settled()
        stop.set()
        await sending
        await running.graph.shutdown()
        seen = [[payload async for payload in _payloads(tap)] for tap in opened]

    assert len(sent) > 50
    assert seen == [sent] * len(names)


async def _payloads(tap: Tap) -> AsyncGenerator[bytes]:
    async for piece in tap.frames():
        while piece:
            line, _, piece = piece.partition(b"\n")
            size = orjson.loads(line).get("size_bytes", 0)
            if size:
                yield piece[:size]
            piece = piece[size:]
