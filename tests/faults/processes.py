"""Scenarios in which a process ends: killed, told to, or by itself."""

from .configurations import to_sink, to_store
from .producers import Load
from .trial import STORE, Trial


def killed_before_the_store(trial: Trial) -> None:
    """R01: everything is stored once, whenever airis is killed."""
    trial.sinks = (STORE,)
    trial.configure(to_store())
    _kill_under_load(trial, kills=int(2 * trial.size))


def killed_before_the_sink(trial: Trial) -> None:
    """R01: everything arrives, whenever airis is killed; other than a store, a server may get it again."""
    trial.configure(to_sink(trial.bench.sink()))
    _kill_under_load(trial, kills=int(4 * trial.size))


def _kill_under_load(trial: Trial, kills: int) -> None:
    load = Load(producers=trial.rng.choice([6, 12]), items=trial.rng.choice([1, 20, 200]))
    trial.start()
    with trial.load(load) as sending:
        for _ in range(kills):
            sending.until(acknowledged=trial.rng.randint(1, 20))
            trial.pause(0.5)
            trial.kill()
            trial.start()
        sending.until(acknowledged=1)
    trial.settle()
