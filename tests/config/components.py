"""Components that only these tests have, installed beside the real ones."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field, field_validator

from airis.component import (
    Config,
    Connector,
    Duration,
    Exporter,
    Extension,
    Kind,
    Processor,
    Receiver,
    Secret,
    connector,
    exporter,
    extension,
    factory_of,
    processor,
    receiver,
    registry,
)
from airis.component.http import HttpServerConfig
from airis.component.unsupported import not_supported
from airis.data import Signal


class Nothing(Config):
    """No options."""


class Rule(Config):
    """A section in a list."""

    match: str
    limit: int = Field(10, ge=0)


class Options(Config):
    """One option of every type."""

    count: int = Field(1, ge=1, le=100)
    size: int = Field(0, ge=0, lt=2048)
    ratio: float = Field(0.5, gt=0, lt=1)
    wait: Duration = Field(5.0, ge=0)
    delays: list[Duration] = Field(default_factory=list[float])
    mode: Literal["fast", "safe", ""] = "safe"
    on: bool = False
    text: str = ""
    path: str = Field("/", pattern="^/")
    name: str = Field("x", min_length=1)
    texts: list[str] = Field(default_factory=list[str])
    modes: list[Literal["fast", "safe"]] = Field(default_factory=list[Literal["fast", "safe"]])
    few: list[int] = Field(default_factory=lambda: [1], min_length=1, max_length=3)
    token: Secret = Secret("")
    headers: dict[str, Secret] = Field(default_factory=dict[str, Secret])
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    either: str | list[str] = ""
    number_or_mode: int | Literal["auto"] = 1
    rules: list[str | Rule] = Field(default_factory=list[str | Rule])
    routes: dict[str, Rule] = Field(default_factory=dict[str, Rule])
    rule: Rule | None = None
    ident: str = Field("a", pattern="^[A-Za-z_][A-Za-z0-9_]{0,62}$")
    code: Secret | int = 0
    endpoint: str = "a:1"
    later: Annotated[str, not_supported("not yet; leave it out")] = ""
    checked: Annotated[str, AfterValidator(lambda text: text)] = ""

    @field_validator("endpoint")
    @classmethod
    def _has_a_port(cls, endpoint: str) -> str:
        """Repeats a part of the value only."""
        port = endpoint.rpartition(":")[2]
        if not port.isdigit():
            raise ValueError(f'"{port}" is no port')
        return endpoint


class Server(Config):
    """A server in a section, as the otlp receiver has it."""

    servers: dict[str, HttpServerConfig] = Field(default_factory=dict[str, HttpServerConfig])


class Queue(Config):
    """A sending queue."""

    queue_size: int = 1000
    storage: str = ""


class Sender(Config):
    """An exporter with a queue that is on by default."""

    sending_queue: Queue | None = Field(default_factory=Queue)


@receiver("any", traces="beta", metrics="beta", logs="beta")
class AnyReceiver(Receiver[Nothing]):
    """Receive."""


@receiver("scrape", metrics="beta")
class Scrape(Receiver[Server]):
    """Receive metrics."""


@processor("options", traces="beta", metrics="beta", logs="beta")
class WithOptions(Processor[Options]):
    """Process."""


@processor("tail_sampling", traces="beta")
class TailSampling(Processor[Nothing]):
    """Sample."""


@processor("metrics_only", metrics="beta")
class MetricsOnly(Processor[Nothing]):
    """Process metrics."""


@exporter("otlp_grpc", traces="beta", metrics="beta", logs="beta")
class Otlp(Exporter[Sender]):
    """Send."""


@exporter("loadbalancing", metrics="beta")
class LoadBalancing(Exporter[Nothing]):
    """Send metrics, under the old name."""


@exporter("count", metrics="beta")
class CountExporter(Exporter[Nothing]):
    """Of the same type as a connector."""


@connector("count", {(signal, Signal.METRICS): "beta" for signal in (Signal.TRACES, Signal.LOGS)})
class Count(Connector[Nothing]):
    """Count."""


@extension("file_storage")
class FileStorage(Extension[Nothing]):
    """Keep."""


class Needs(Config):
    """Another extension."""

    needs: list[str] = Field(default_factory=list[str])


@extension("needy")
class Needy(Extension[Needs]):
    """Need another extension."""

    def dependencies(self) -> Sequence[str]:
        """Those that are configured."""
        return self.config.needs


COMPONENTS: tuple[type[Any], ...] = (
    AnyReceiver,
    Scrape,
    WithOptions,
    TailSampling,
    MetricsOnly,
    Otlp,
    LoadBalancing,
    CountExporter,
    Count,
    FileStorage,
    Needy,
)


@pytest.fixture
def more_components(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the components above."""
    real = registry._installed
    more: dict[Kind, dict[str, Any]] = {kind: {} for kind in Kind}
    for component in COMPONENTS:
        factory = factory_of(component)
        more[factory.kind][factory.type_name] = SimpleNamespace(load=lambda component=component: component)
    monkeypatch.setattr(registry, "_installed", lambda kind: {**real(kind), **more[kind]})
