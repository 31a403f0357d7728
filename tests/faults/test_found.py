"""What the harness found and is not mended yet: each the least that shows it."""

from pathlib import Path

import pytest

from .configurations import to_sink
from .processes import AWAY
from .trial import SECOND, Bench, Trial

pytestmark = pytest.mark.faults


@pytest.mark.xfail(strict=True, reason="file_storage says that it names a backlog nobody takes any more, and does not")
def test_a_backlog_that_nobody_takes_any_more_is_named(tmp_path: Path) -> None:
    bench = Bench()
    trial = Trial(tmp_path, bench, 1, "found")
    second = bench.sink(SECOND)
    second.script(AWAY)
    try:
        trial.configure(to_sink(bench.sink(), second=second))
        trial.start()
        with trial.load() as sending:
            sending.until(acknowledged=10)
        trial.airis.stop()
        trial.configure_again(to_sink(bench.sink()))
        trial.start()

        assert list(trial.wal.glob("*second*.cursor")), "the backlog is there"
        trial.airis.stop()
        assert any(f"otlp_grpc/{SECOND}" in str(line) for line in trial.airis.log)
    finally:
        trial.end()
        bench.end()
