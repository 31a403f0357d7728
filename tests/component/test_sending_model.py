"""A queue on disk against a destination that does whatever it likes, over crashes and losses of power.

Time is that of a loop of its own, which jumps to whatever is due next.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from airis.component import Partial, Permanent, Retryable, Telemetry, Throttled
from airis.component.sending import Sending, SendingConfig
from airis.component.testing import FakeHost
from airis.data import Batch
from airis.proto import otlp
from airis.storage.wal.log import Log, LogOptions
from airis.storage.wal.service import LogService
from tests.component.test_sending import names_of, spans
from tests.storage.wal.simulated import SimulatedFiles

T = TypeVar("T")
QUEUE = "exporters/otlp/x:traces"
KINDS = ("good", "good", "good", "refused", "never", "rejected", "throttled")
"""What becomes of an item where the destination takes data: refused for good, later and later, told as rejected."""
MOODS = ("takes", "away", "throttles", "flaky", "hangs", "breaks")


class Loop(asyncio.SelectorEventLoop):
    """Jumps to what is due next."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


class LogInLoop(LogService):
    """Does at once what the thread would do."""

    is_dead = False

    def _submit(self, job: Any) -> "asyncio.Future[object]":
        if self.is_dead:
            raise OSError("the log is closed")
        [outcome] = self._do([job])
        if isinstance(outcome, BaseException):
            job.waiter.set_exception(outcome)
        else:
            job.waiter.set_result(outcome)
        return job.waiter


class TheQueue(RuleBasedStateMachine):
    """Senders, moods of the destination, restarts and crashes in any order."""

    @initialize(
        seed=st.integers(0, 1 << 32),
        consumers=st.sampled_from([1, 3]),
        max_size=st.sampled_from([0, 2, 5]),
        max_bytes=st.sampled_from([0, 0, 20_000]),
    )
    def begin(self, seed: int, consumers: int, max_size: int, max_bytes: int) -> None:
        self.loop = Loop()
        self.files = SimulatedFiles(seed)
        self.log_options = LogOptions(segment_bytes=4_000, max_bytes=max_bytes, policy="drop_oldest")
        batch = {"min_size": 0, "max_size": max_size, "flush_timeout": "10ms"}
        self.options = {
            "sending_queue": {"storage": "file_storage", "num_consumers": consumers, "batch": batch},
            "retry_on_failure": {"initial_interval": "100ms", "max_interval": "1s"},
        }
        self.telemetry = Telemetry("exporter", "otlp/x")  # outlives the processes, as what has been scraped does
        self.mood = "takes"
        self.attempts = 0
        self.released = asyncio.Event()
        self.number = 0
        self.accepted: dict[str, str] = {}
        self.arrived: Counter[str] = Counter()
        self.power_was_lost = False
        self.crashes = 0
        self.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(coroutine)

    def start(self) -> None:
        clock = lambda: int((1_700_000_000 + self.loop.now) * 1e9)  # noqa: E731
        self.log = Log(self.files, self.log_options, clock, lambda: b"the id of a log.")  # type: ignore[arg-type]
        self.log.open()
        self.service = LogInLoop(self.log)

        async def begin() -> None:
            config = SendingConfig.model_validate(self.options)
            self.sending = Sending(config, self.telemetry, self.prepare, clock=self.loop.time, rng=lambda: 0.5)
            await self.sending.open(FakeHost(Path(), {"file_storage": self.service}))

        self.run(begin())

    # The destination

    async def prepare(self, batch: Batch) -> Callable[[], Awaitable[None]]:
        return lambda: self.attempt(batch)

    async def attempt(self, batch: Batch) -> None:
        self.attempts += 1
        if self.mood == "hangs":
            await self.released.wait()
        error = self.outcome(batch)
        if error is None or isinstance(error, Partial):
            names = [name for name in names_of(batch) if self.accepted.get(name) != "rejected"]
            self.arrived.update(names)
        if error is not None:
            raise error

    def outcome(self, batch: Batch) -> Exception | None:
        moods = {
            "away": Retryable("away"),
            "throttles": Throttled("429", 0.5),
            "breaks": ConnectionResetError("reset"),
            "flaky": Retryable("500") if self.attempts % 3 else None,
        }
        if (error := moods.get(self.mood)) is not None:
            return error
        kinds = Counter(self.accepted[name] for name in names_of(batch))
        if kinds["throttled"] and batch.items > 1:
            return Throttled("429: too large", 0.1)
        if kinds["never"]:
            return Retryable("503")
        if kinds["refused"]:
            return Permanent("400")
        return Partial(kinds["rejected"], "too old") if kinds["rejected"] else None

    # What happens

    @rule(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    def put(self, kinds: list[str]) -> None:
        names = [f"{self.number + i}" for i in range(len(kinds))]
        self.number += len(kinds)
        self.accepted |= dict(zip(names, kinds, strict=True))
        self.run(self.sending.consume(spans(*names)))

    @rule(mood=st.sampled_from(MOODS))
    def change_mood(self, mood: str) -> None:
        self.mood = mood
        if mood != "hangs":
            self.released.set()
            self.released = asyncio.Event()

    @rule(seconds=st.sampled_from([0.01, 0.2, 3.0, 30.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @precondition(lambda self: self.mood != "hangs")
    @rule()
    def restart(self) -> None:
        self.run(self.sending.close())
        self.log.close()
        self.start()

    @precondition(lambda self: self.crashes < 2)
    @rule(power=st.booleans())
    def crash(self, power: bool) -> None:
        self.crashes += 1
        self.kill()
        if power:
            self.power_was_lost = True
            self.files.lose_power()
        self.start()

    def kill(self) -> None:
        """Nothing reaches the log any more."""
        self.run(_a_quiet_moment())
        self.service.is_dead = True
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.run(_ended(tasks))

    # What holds

    @rule()
    def every_item_has_one_outcome(self) -> None:
        self.run(_a_quiet_moment())
        taken_in, became, resent = self.count("enqueued_spans"), self.counted, self.count("resent_items")
        if self.power_was_lost:  # with it goes what was done last: it is done again, and said to be
            assert became - resent <= taken_in <= became
        else:
            assert taken_in == became

    @property
    def counted(self) -> float:
        subscriber = self.log.subscribers.get(QUEUE)
        queued = subscriber.owed.items if subscriber else 0
        return self.count("sent_spans") + self.count("send_failed_spans") + queued + self.untold

    @property
    def untold(self) -> int:
        """What the log gave up, and the queue has not asked for."""
        subscriber = self.log.subscribers.get(QUEUE)
        told: Counter[str] = subscriber._told if subscriber else Counter()  # pyright: ignore[reportPrivateUsage]
        return sum(self.log.dropped.values()) - told.total()

    def count(self, name: str) -> float:
        wanted = {f"airis_exporter_{name}", f"otelcol_exporter_{name}"}
        return sum(m.instrument.value for m in self.telemetry.metrics if m.name in wanted)  # type: ignore[union-attr,misc]

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.change_mood("takes")
            self.nothing_stays_for_ever()
            self.nothing_is_lost_or_invented()
        finally:
            self.kill()
            self.loop.close()

    def nothing_stays_for_ever(self) -> None:
        """While others are delivered."""
        for _ in range(600):
            self.put(["good"])
            self.let_time_pass(1.0)
            self.every_item_has_one_outcome()
            if not self.log.subscribers[QUEUE].owed.items:
                return
        raise AssertionError(f"{self.log.subscribers[QUEUE].owed.items} items stayed")

    def nothing_is_lost_or_invented(self) -> None:
        letters = [(letter.reason, otlp.parse("traces", letter.payload)) for letter in self.log.dead.letters()]
        buried = {
            span.name: reason
            for reason, payload in letters
            for resource in payload.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }
        assert not {n for n in buried if self.accepted[n] not in ("refused", "never")}, "good ones among the dead"
        missing = {name for name in self.accepted if not self.arrived[name] and name not in buried}
        given_up = sum(
            value
            for metric in self.telemetry.metrics
            if metric.name == "airis_exporter_dropped_items"
            for labels, value in metric.instrument.values.items()  # type: ignore[union-attr]
            if ("reason", "dead_letter") not in labels
        )
        if not self.power_was_lost:
            assert len(missing) <= given_up
        assert not {name for name in missing if self.accepted[name] != "rejected"} or self.log_options.max_bytes


async def _a_quiet_moment() -> None:
    """What is settled is counted a few turns of the loop later."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _ended(tasks: set["asyncio.Task[Any]"]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


TestTheQueue = TheQueue.TestCase
TestTheQueue.settings = settings(max_examples=300, stateful_step_count=25, deadline=None, phases=[Phase.generate])
