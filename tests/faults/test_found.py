"""What the harness found, each as the least that shows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .configurations import to_sink
from .processes import AWAY
from .trial import SECOND, Bench, Trial

pytestmark = pytest.mark.faults


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    bench = Bench()
    trial = Trial(tmp_path, bench, 1, "found")
    yield trial
    trial.end()
    bench.end()


def test_a_backlog_that_nobody_takes_any_more_is_named(trial: Trial) -> None:
    sink, second = trial.bench.sink(), trial.bench.sink(SECOND)
    second.script(AWAY)
    trial.configure(to_sink(sink, second=second))
    trial.start()
    with trial.load() as sending:
        sending.until(acknowledged=10)
    trial.airis.stop()
    trial.configure_again(to_sink(sink))
    trial.start()

    assert list(trial.wal.glob("*second*.cursor")), "the backlog is there"
    trial.airis.stop()
    named = [
        line for line in trial.airis.log if line.get("subscriber", "").startswith(f"exporters/otlp_grpc/{SECOND}:")
    ]
    assert {line["to_give_it_up"] for line in named} == {
        f"airis wal forget exporters/otlp_grpc/{SECOND}:{signal}" for signal in ("traces", "metrics", "logs")
    }
    assert sum(line["items"] for line in named) == trial.bench.oracle.verdict([]).acknowledged


@pytest.mark.parametrize("end", ["told to", "killed"])
def test_restarts_while_a_destination_is_away_make_no_dead_letters(trial: Trial, end: str) -> None:
    """A batch whose attempts came back with "not now" did not end the process."""
    sink = trial.bench.sink()
    sink.script(AWAY)
    trial.configure(to_sink(sink))
    trial.start()
    with trial.load() as sending:
        sending.until(acknowledged=10)
    for _ in range(4):
        if end == "killed":
            trial.kill()
        else:
            assert trial.airis.stop() == 0
        attempts = len(sink.seen())
        trial.start()
        assert trial.waited(lambda attempts=attempts: len(sink.seen()) > attempts + 6, 10.0), "it tries again"

    assert not trial.buried()
