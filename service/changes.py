"""What is different between the running configuration and another one, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from airis.component import Config
from airis.config import Configuration

Sign = Literal["+", "-", "~"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a reload adds, takes away or exchanges."""

    sign: Sign
    what: str
    """``processors::batch of traces``, ``pipelines::traces``, ``service::telemetry``."""
    details: tuple[str, ...] = ()
    """What of it: options with their old and new values, secrets masked."""

    def __str__(self) -> str:
        """One line for the thing, one for each detail."""
        return "\n".join([f"{self.sign} {self.what}", *(f"    {detail}" for detail in self.details)])


def of_options(old: Config, new: Config) -> tuple[str, ...]:
    """The options that differ: ``timeout: 200ms -> 1s``."""
    before, after = dict(_flat(old)), dict(_flat(new))
    lines: list[str] = []
    for path in dict.fromkeys([*before, *after]):
        was, now = before.get(path, _ABSENT), after.get(path, _ABSENT)
        if was.value != now.value:
            # Two secrets look the same.
            lines.append(f"{path}: changed" if was.shown == now.shown else f"{path}: {was.shown} -> {now.shown}")
    return tuple(lines)


def of_pipelines(old: Configuration, new: Configuration) -> Iterator[Change]:
    """Pipelines that come, go, or are made of other components."""
    for pipeline_id in dict.fromkeys([*old.pipelines, *new.pipelines]):
        before, after = old.pipelines.get(pipeline_id), new.pipelines.get(pipeline_id)
        if before is None:
            yield Change("+", f"pipelines::{pipeline_id}")
        elif after is None:
            yield Change("-", f"pipelines::{pipeline_id}")
        else:
            details = [
                f"{name}: {_listed(was)} -> {_listed(now)}"
                for name, was, now in (
                    ("receivers", before.receivers, after.receivers),
                    ("processors", before.processors, after.processors),
                    ("exporters", before.exporters, after.exporters),
                )
                if was != now
            ]
            if details:
                yield Change("~", f"pipelines::{pipeline_id}", tuple(details))


@dataclass(frozen=True, slots=True)
class _Value:
    value: object
    """Compared; of a secret the secret itself."""
    shown: str


_ABSENT = _Value(None, "nothing")


def _flat(config: Config, prefix: str = "") -> Iterator[tuple[str, _Value]]:
    """Every option of the model by its path, sections opened."""
    written = config.model_dump(mode="json", by_alias=True)
    for name, field in type(config).model_fields.items():
        value: Any = getattr(config, name)
        key = field.alias or name
        if isinstance(value, Config):
            yield from _flat(value, f"{prefix}{key}::")
        else:
            yield f"{prefix}{key}", _Value(value, _shown(written[key]))
    for key, value in (config.model_extra or {}).items():
        yield f"{prefix}{key}", _Value(value, _shown(value))


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in items) + "}"
    if isinstance(value, list):
        return _listed([_shown(item) for item in cast("list[Any]", value)])
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value in (None, "") else str(value)


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join(names)}]"
