"""Which components exist: a decorator declares one, an entry point (``airis.receivers``, …) makes it known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

from airis.component.config import Config
from airis.component.kind import Kind
from airis.component.lifecycle import Component, Connector, Exporter, Extension, Processor, Receiver
from airis.data import Signal

Stability = Literal["development", "alpha", "beta", "stable"]


@dataclass(frozen=True, slots=True)
class Factory:
    """What is known of a component type without making one."""

    kind: Kind
    type_name: str
    component: type[Component[Any]]
    config: type[Config]
    stability: Mapping[Signal, Stability]
    """By signal; empty for a connector and an extension."""
    summary: str
    conversions: Mapping[tuple[Signal, Signal], Stability]
    """By the signal that a connector takes and the one that it hands on; empty for all others."""


_FACTORY = "__airis_factory__"
A = TypeVar("A", bound=type[Component[Any]])


def receiver(
    type_name: str,
    *,
    traces: Stability | None = None,
    metrics: Stability | None = None,
    logs: Stability | None = None,
    profiles: Stability | None = None,
) -> Callable[[A], A]:
    """Declare a Receiver class as the type `type_name`, with its stability for each signal it takes."""
    return _declare(Kind.RECEIVER, type_name, Receiver, _by_signal(traces, metrics, logs, profiles))


def processor(
    type_name: str,
    *,
    traces: Stability | None = None,
    metrics: Stability | None = None,
    logs: Stability | None = None,
    profiles: Stability | None = None,
) -> Callable[[A], A]:
    """Declare a Processor class as the type `type_name`, with its stability for each signal."""
    return _declare(Kind.PROCESSOR, type_name, Processor, _by_signal(traces, metrics, logs, profiles))


def exporter(
    type_name: str,
    *,
    traces: Stability | None = None,
    metrics: Stability | None = None,
    logs: Stability | None = None,
    profiles: Stability | None = None,
) -> Callable[[A], A]:
    """Declare an Exporter class as the type `type_name`, with its stability for each signal."""
    return _declare(Kind.EXPORTER, type_name, Exporter, _by_signal(traces, metrics, logs, profiles))


def connector(type_name: str, conversions: Mapping[tuple[Signal, Signal], Stability]) -> Callable[[A], A]:
    """Declare a Connector class as the type `type_name`, with its stability by the signals it takes and hands on."""
    return _declare(Kind.CONNECTOR, type_name, Connector, MappingProxyType({}), MappingProxyType(dict(conversions)))


def extension(type_name: str) -> Callable[[A], A]:
    """Declare an Extension class as the type `type_name`."""
    return _declare(Kind.EXTENSION, type_name, Extension, MappingProxyType({}))


def factory_of(component: type[Component[Any]]) -> Factory:
    """What the decorator noted about a component class."""
    return cast(Factory, getattr(component, _FACTORY))


def known_types(kind: Kind) -> list[str]:
    """All installed types of a kind, sorted; nothing is imported."""
    return sorted(_installed(kind))


def load(kind: Kind, type_name: str) -> Factory:
    """Import a component type; raises KeyError for one that is not installed."""
    return factory_of(_installed(kind)[type_name].load())


@cache
def _installed(kind: Kind) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"airis.{kind.section}")}


def _by_signal(
    traces: Stability | None, metrics: Stability | None, logs: Stability | None, profiles: Stability | None
) -> Mapping[Signal, Stability]:
    given: dict[Signal, Stability | None] = {
        Signal.TRACES: traces,
        Signal.METRICS: metrics,
        Signal.LOGS: logs,
        Signal.PROFILES: profiles,
    }
    return MappingProxyType({signal: stability for signal, stability in given.items() if stability is not None})


def _declare(
    kind: Kind,
    type_name: str,
    base: type[Component[Any]],
    stability: Mapping[Signal, Stability],
    conversions: Mapping[tuple[Signal, Signal], Stability] = MappingProxyType({}),
) -> Callable[[A], A]:
    def note(component: A) -> A:
        summary = (component.__doc__ or "").strip().splitlines()[0]
        config = _config_class(component, base)
        setattr(component, _FACTORY, Factory(kind, type_name, component, config, stability, summary, conversions))
        return component

    return note


def _config_class(component: type[Component[Any]], base: type[Component[Any]]) -> type[Config]:
    """The `C` of ``class X(Processor[C])``."""
    for parent in getattr(component, "__orig_bases__", ()):
        if get_origin(parent) is base:
            return cast("type[Config]", get_args(parent)[0])
    raise TypeError(f"{component.__name__} must derive directly from {base.__name__}[ItsConfig]")
