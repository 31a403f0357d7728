"""What people do to a log: give up what is owed, let dead letters and saved records in again, drop dead letters."""

from dataclasses import dataclass

from airis.storage.wal import segment as segments
from airis.storage.wal.dead import DeadLetter
from airis.storage.wal.format import NotOurs, WrongVersion
from airis.storage.wal.log import Log
from airis.storage.wal.put import Put
from airis.storage.wal.subscriber import Subscriber


class NotPossible(Exception):
    """It was not done; the text says why."""

    def __init__(self, reason: str, choices: list[str] | None = None) -> None:
        super().__init__(reason)
        self.choices = choices or []
        """What could have been named."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, and to whom."""

    subscriber: str
    items: int


def forget(log: Log, name: str) -> Done:
    """Give up a subscriber with all that it is owed; raises NotPossible, OSError."""
    return Done(name, log.forget(_subscriber(log, name).state.name))


def requeue_letter(log: Log, name: str, to: str = "") -> Done:
    """Let a dead letter in again, for who buried it or for another; raises NotPossible, OSError.

    It is deleted once it is in the queue: rather twice than never.
    """
    letter = _letter(log, name)
    put = Put(frozenset(), letter.head.signal, letter.head.items, letter.head.requests, 0, *_content(letter))
    done = put_back(log, to or letter.subscriber, put)
    log.dead.remove(name)
    return done


def _content(letter: DeadLetter) -> tuple[bytes, bytes, bytes]:
    return letter.head.batch_id, letter.meta, letter.payload


def drop_letter(log: Log, name: str) -> Done:
    """Delete a dead letter, which may be damaged; raises NotPossible, OSError."""
    if name not in log.dead.names():
        raise NotPossible(f'there is no dead letter "{name}"', log.dead.names())
    try:
        letter = log.dead.read(name)
        done = Done(letter.subscriber, letter.head.items)
    except (NotOurs, WrongVersion):
        done = Done("", 0)
    log.dead.remove(name)
    return done


def put_back(log: Log, to: str, put: Put) -> Done:
    """Put a batch into the queue of a subscriber; raises NotPossible, OSError."""
    subscriber = _subscriber(log, to)
    if subscriber.state.signal != put.signal:
        raise NotPossible(f'"{to}" takes another signal than what is to be put into its queue')
    before = log.next_sequence
    (error,) = log.put([put._replace(lanes=frozenset([segments.Lane(put.signal, subscriber.lane.slot)]))])
    if isinstance(error, OSError):
        raise error
    if error is not None:
        raise NotPossible(f"the log does not take it: {error}") from error
    if log.next_sequence == before:  # with a policy that drops what comes
        raise NotPossible("the log is full")
    subscriber.put_back_items += put.items
    return Done(to, put.items)


def _subscriber(log: Log, name: str) -> Subscriber:
    found = log.subscribers.get(name)
    if found is None:
        raise NotPossible(f'the log has no subscriber "{name}"', sorted(log.subscribers))
    return found


def _letter(log: Log, name: str) -> DeadLetter:
    if name not in log.dead.names():
        raise NotPossible(f'there is no dead letter "{name}"', log.dead.names())
    try:
        return log.dead.read(name)
    except (NotOurs, WrongVersion) as error:
        raise NotPossible(f'the dead letter "{name}" cannot be read: {error}') from error
