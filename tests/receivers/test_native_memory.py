"""What requests may take of the memory: nothing is read that was not counted, and who has begun can end."""

import asyncio
from collections.abc import Callable

import pytest
from google.rpc.error_details_pb2 import RetryInfo

from airis.data import Signal
from airis.receivers.otlp.native import NativeTransport

from .conftest import Otlp, StartOtlp, request_of
from .wire import ACK, DATA, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, Http2, export_head, frame, message

WINDOW_UPDATE, INITIAL_WINDOW = 8, 4
FRAME_BYTES = 64 * 1024
MIB = 1024 * 1024
MIB_OF_LOGS = request_of(Signal.LOGS, 1, "x" * MIB)


@pytest.fixture
def transport() -> str:
    pytest.importorskip("airis._core")
    return "native"


def native_of(otlp: Otlp) -> NativeTransport:
    assert otlp.receiver.native is not None
    return otlp.receiver.native


async def until(condition: Callable[[], object]) -> None:
    """Return once it holds; for what the core's thread does, of which there is no event."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


class Sender:
    """Sends many calls side by side on one connection, a frame of each in turn, as far as the windows let it."""

    def __init__(self, connection: Http2) -> None:
        self.connection = connection
        self.window = 65_535
        self.stream_window = 0
        self.windows: dict[int, int] = {}
        self.rest: dict[int, bytes] = {}
        self.sent: dict[int, int] = {}
        """Bytes of each call that is not answered."""
        self.ended: set[int] = set()

    async def begin(self, calls: int, request: bytes) -> None:
        """Send the heads, and wait until they were seen."""
        while not self.stream_window:
            await self._receive()
        for stream in range(1, 2 * calls, 2):
            self.windows[stream] = self.stream_window
            self.rest[stream] = message(request)
            self.sent[stream] = 0
            self.connection.send(export_head(stream))
        await self._answered()

    def _send(self, smallest: int = 1) -> bool:
        has_sent = False
        may_send = True
        while may_send:
            may_send = False
            for stream, rest in list(self.rest.items()):
                size = min(len(rest), FRAME_BYTES, self.window, self.windows[stream])
                if size < min(len(rest), smallest):
                    continue
                self.connection.send(frame(DATA, END_STREAM if size == len(rest) else 0, stream, rest[:size]))
                self.window -= size
                self.windows[stream] -= size
                self.sent[stream] += size
                self.rest[stream] = rest[size:]
                if size == len(rest):
                    del self.rest[stream]
                has_sent = may_send = True
        return has_sent

    async def _receive(self) -> bool:
        """Take one frame; whether it answers a ping."""
        received = await self.connection.frame()
        assert received, "the connection has ended"
        if received.kind == WINDOW_UPDATE:
            more = int.from_bytes(received.payload, "big")
            if received.stream == 0:
                self.window += more
            else:
                self.windows[received.stream] += more
        elif received.kind == SETTINGS and not received.flags:
            self.connection.send(frame(SETTINGS, ACK, 0))
            for at in range(0, len(received.payload), 6):
                if int.from_bytes(received.payload[at : at + 2], "big") == INITIAL_WINDOW:
                    self.stream_window = int.from_bytes(received.payload[at + 2 : at + 6], "big")
        elif (received.kind in (DATA, HEADERS) and received.flags & END_STREAM) or received.kind == RST_STREAM:
            self.ended.add(received.stream)
            self.sent.pop(received.stream, None)
            self.rest.pop(received.stream, None)
        return received.kind == PING and bool(received.flags)

    async def _answered(self) -> None:
        self.connection.send(frame(PING, 0, 0, b"are you?"))
        while not await self._receive():
            pass

    async def send_what_is_taken(self) -> None:
        """Return when the windows have been closed for a while; only whole frames are sent."""
        quiet = 0
        while quiet < 20:
            quiet = 0 if self._send(FRAME_BYTES) else quiet + 1
            await self._answered()

    async def send_all(self) -> None:
        """Return when every call was answered."""
        calls = len(self.windows)
        while len(self.ended) < calls:
            self._send()
            await self._receive()


@pytest.mark.parametrize("size_kib", [60, 200], ids=["in one piece", "in several"])
async def test_at_the_limit_no_more_is_taken_than_was_counted_and_all_are_answered(
    start_otlp: StartOtlp, size_kib: int
) -> None:
    otlp = await start_otlp(options={"admission": {"request_limit_mib": 1, "max_wait": "1m"}})
    intake = native_of(otlp).intake
    assert intake
    otlp.sink.gate.clear()
    sender = Sender(await Http2.connect(otlp.grpc_address))
    request = request_of(Signal.LOGS, 1, "x" * size_kib * 1024)

    await sender.begin(100, request)
    await sender.send_what_is_taken()

    assert MIB // 2 < intake.used_bytes < MIB + 2 * len(request)
    assert sum(sender.sent.values()) < intake.used_bytes + 2 * sender.stream_window
    otlp.sink.gate.set()
    async with asyncio.timeout(20):
        await sender.send_all()
    assert otlp.sink.items >= 5
    assert otlp.sink.items + otlp.receiver.admission.unreadable.value == 100
    await until(lambda: intake.used_bytes == 0 and intake.waiting == 0)
    await sender.connection.close()


async def test_of_many_large_calls_on_one_connection_few_wait_and_the_others_are_told_at_once(
    start_otlp: StartOtlp,
) -> None:
    otlp = await start_otlp(options={"admission": {"request_limit_mib": 1, "max_wait": "1m"}})
    intake = native_of(otlp).intake
    assert intake
    client = otlp.client("grpc")
    assert (await client.export(Signal.LOGS, MIB_OF_LOGS)).code == "OK"  # so that it knows what to expect
    otlp.sink.gate.clear()
    held = asyncio.create_task(client.export(Signal.LOGS, MIB_OF_LOGS))
    await otlp.sink.until_held(1)

    request = request_of(Signal.LOGS, 1, "x" * 200 * 1024)
    calls = [asyncio.create_task(client.export(Signal.LOGS, request)) for _ in range(50)]
    await until(lambda: sum(call.done() for call in calls) == 50 - intake.waiting > 0)
    assert 0 < intake.waiting < 10
    assert intake.used_bytes < MIB + len(MIB_OF_LOGS)
    otlp.sink.gate.set()

    outcomes = await asyncio.gather(held, *calls)
    assert outcomes[0].code == "OK"
    refused = [outcome for outcome in outcomes if outcome.code != "OK"]
    info = RetryInfo()
    for outcome in refused:
        assert outcome.code == "UNAVAILABLE"
        assert outcome.status
        assert outcome.status.details[0].Unpack(info)
        assert info.retry_delay.seconds == 1
    assert len(refused) >= 40
    assert otlp.sink.items == 1 + len(outcomes) - len(refused)
    assert otlp.receiver.admission.unreadable.value == len(refused)
    await until(lambda: intake.used_bytes == 0 and intake.waiting == 0)
