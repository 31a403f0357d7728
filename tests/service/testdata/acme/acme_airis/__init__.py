"""Components from another package than airis, with options of every form."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from airis.component import Config, Connector, Duration, Exporter, Receiver, Secret, connector, exporter, receiver
from airis.data import Signal


class Route(Config):
    """Where some of it goes."""

    to: str = Field(min_length=1, pattern="^[a-z]+$", description="Name of the destination.")
    share: float = Field(default=1.0, gt=0, le=1, description="How much of it goes there.")
    routes: list["Route"] = Field(default_factory=list["Route"], description="Parts of it that go elsewhere.")


class Tenant(Config):
    """One tenant."""

    token: Secret = Field(description="What it shows to be let in.")
    wait: Duration | None = Field(default=None, gt=0, description="How long it may take; absent: as long as it likes.")


class Cache(Config):
    """What is remembered."""

    enabled: bool = Field(default=True, description="Remember anything at all.")
    size: int = Field(default=10, ge=1, le=100, description="How much.")


class AcmeConfig(Config):
    """How to take things from Acme."""

    endpoint: str = Field(description="Where Acme is.")
    mode: Literal["fast", "exact"] = Field(default="fast", alias="mode/experimental", description="Way of working.")
    headers: dict[str, Secret] = Field(default_factory=dict[str, Secret], description="What to say to Acme.")
    routes: list[Route] = Field(default_factory=list[Route], description="Where it goes.")
    tenants: dict[str, Tenant] = Field(default_factory=dict[str, Tenant], description="By their names.")
    cache: Cache | None = Field(default=None, description="What is remembered.")
    limit: int | Literal["none"] = Field(default="none", description="Most things at once.")
    waits: list[Duration] = Field(default=[1.0, 90.0], max_length=3, description="Pauses between tries.")
    labels: dict[str, Any] = Field(default_factory=dict[str, Any], description="Of any type.")
    timeout: Duration = Field(default=5.0, ge=0, deprecated="has no effect, use waits.", description="Once a limit.")


@receiver("acme", traces="beta", logs="alpha")
class Acme(Receiver[AcmeConfig]):
    """Take things from Acme.

    What it tells of:
    - spans
    - log records
    """


class AcmeExporterConfig(Config):
    """Nothing to choose."""


@exporter("acme", metrics="development")
class AcmeExporter(Exporter[AcmeExporterConfig]):
    """Hand things to Acme."""


class AcmeCountConfig(Config):
    """What is counted."""

    by: list[str] = Field(default_factory=list[str], description="Attributes to count by.")


_CONVERSIONS: Mapping[tuple[Signal, Signal], Literal["alpha"]] = {
    (Signal.TRACES, Signal.METRICS): "alpha",
    (Signal.LOGS, Signal.METRICS): "alpha",
    (Signal.METRICS, Signal.METRICS): "alpha",
}


@connector("acme_count", _CONVERSIONS)
class AcmeCount(Connector[AcmeCountConfig]):
    """Count what goes through."""
