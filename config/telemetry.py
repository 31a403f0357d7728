"""``service::telemetry``: what airis says of itself, with the Collector's options and defaults."""

import uuid
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from airis import __version__
from airis.component import Config, Duration
from airis.component.config import ANY_CASE
from airis.component.listen import parse_endpoint
from airis.component.unsupported import not_supported

INSTANCE_ID = str(uuid.uuid4())
"""This process, as its own telemetry names it: a new one at every start, as the Collector's is."""

DEFAULT_METRICS_ADDRESS = "localhost:8888"

Attribute = str | bool | int | float | list[str | bool | int | float]
"""A value of a resource attribute."""

AttributeType = Literal["string", "bool", "int", "double", "string_array", "bool_array", "int_array", "double_array"]

_SEVERE = ("dpanic", "panic", "fatal")
"""Levels of the Collector's log above error, which airis's log does not have."""


def _log_level(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    level = value.lower()
    return "error" if level in _SEVERE else "warn" if level == "warning" else level


LogLevel = Annotated[Literal["debug", "info", "warn", "error"], BeforeValidator(_log_level)]
Verbosity = Annotated[Literal["none", "basic", "normal", "detailed"], ANY_CASE]


class LogsSamplingConfig(Config):
    """How often the same event is written: the first few times, then now and then; the rest is counted."""

    enabled: bool = Field(default=True, description="Leave out repetitions; false: write every event.")
    tick: Duration = Field(
        default=10.0,
        gt=0,
        description="How long repetitions are counted, from the first on. What was left out is said when it ends.",
    )
    initial: int = Field(default=10, ge=0, description="Events of one level and text that are written in a tick.")
    thereafter: int = Field(
        default=100, ge=0, description="Of those that follow in the tick every so-many-th is written; 0: none."
    )


class LogsTelemetryConfig(Config):
    """airis's own log."""

    level: LogLevel = Field(
        default="info",
        description="The least level that is written. The Collector's dpanic, panic and fatal are taken as error.",
    )
    encoding: Literal["console", "json"] = Field(
        default="console", description="One readable or one JSON line per event."
    )
    development: bool = Field(default=False, description="Warnings and errors have the stack of calls they come from.")
    sampling: LogsSamplingConfig = Field(default_factory=LogsSamplingConfig, description="Leaving out of repetitions.")
    output_paths: list[str] = Field(
        default_factory=lambda: ["stderr"],
        min_length=1,
        description="Where the log is written: stderr, stdout, the path of a file or a file:// URL. "
        "Files are appended to and never rotated; a tool that does so must copy and truncate.",
    )
    error_output_paths: list[str] = Field(
        default_factory=lambda: ["stderr"],
        description="Where it is said that the log cannot be written, as output_paths; not where errors are logged.",
    )
    initial_fields: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="Fields added to every event; of any type."
    )
    disable_caller: bool = Field(
        default=False, description="Leave out the file and line that an event was written from."
    )
    disable_stacktrace: bool = Field(
        default=False, description="Of an exception write its type and text only, not its traceback."
    )
    disable_zap_resource: bool = Field(
        default=False, description="Leave the attributes of service::telemetry::resource out of JSON events."
    )
    processors: Annotated[
        list[dict[str, Any]],
        not_supported(
            "airis cannot send its own log over OTLP yet; leave processors out, and collect stderr or a file"
        ),
    ] = Field(
        default_factory=list[dict[str, Any]],
        description="Not supported yet: sending the log over OTLP. Anything in it is an error.",
    )

    @field_validator("output_paths", "error_output_paths")
    @classmethod
    def _paths_can_be_used(cls, paths: list[str]) -> list[str]:
        for path in paths:
            log_file(path)
        return paths


def log_file(path: str) -> str:
    """The file that an output path means, empty for stderr and stdout; ValueError says what is wrong with it."""
    if path in ("stderr", "stdout"):
        return ""
    if not path or "\0" in path:
        raise ValueError('an output is "stderr", "stdout", the path of a file or a file:// URL')
    if "://" not in path and not path.startswith("file:"):
        return path
    url = urlsplit(path)
    if url.scheme != "file":
        raise ValueError(f'"{path}": the log is written to stderr, stdout and files only')
    if url.netloc not in ("", "localhost") or url.query or url.fragment or url.port:
        raise ValueError(f'"{path}": a file:// URL names a file of this machine and nothing more')
    file = unquote(url.path)
    if not PurePosixPath(file).is_absolute():
        raise ValueError(f'"{path}": a file:// URL has an absolute path, such as file:///var/log/airis.log')
    return file


class ConstantLabelsConfig(Config):
    """Which resource attributes become labels."""

    included: list[str] = Field(
        default_factory=list[str], description="Names of the attributes; empty: all but those excluded."
    )
    excluded: list[str] = Field(default_factory=list[str], description="Names of attributes that do not become labels.")

    @model_validator(mode="after")
    def _one_list_each(self) -> Self:
        both = sorted(set(self.included) & set(self.excluded))
        if both:
            raise ValueError(f'"{both[0]}" is in included and in excluded')
        return self

    def take(self, name: str) -> bool:
        """Whether the attribute becomes a label."""
        return name not in self.excluded and (not self.included or name in self.included)


class PrometheusConfig(Config):
    """Serve the metrics for Prometheus to scrape, under /metrics."""

    host: str = Field(description="Host or address to listen on; empty: every address.")
    port: int = Field(ge=0, le=65535, description="Port to listen on; 0: a free one.")
    without_scope_info: bool = Field(
        default=True, description="Leave out the labels otel_scope_name and otel_scope_version."
    )
    without_type_suffix: bool = Field(
        default=True, description='Leave out the suffix "_total" of counters, as the Collector does.'
    )
    without_units: bool = Field(
        default=True, description='Leave out suffixes such as "_seconds" that say the unit, as the Collector does.'
    )
    with_resource_constant_labels: ConstantLabelsConfig | None = Field(
        default=None, description="Attributes of service::telemetry::resource as labels of every metric."
    )

    @field_validator("host")
    @classmethod
    def _host_can_be_read(cls, host: str) -> str:
        parse_endpoint(_endpoint(host, 0))
        return host

    @property
    def endpoint(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return _endpoint(self.host, self.port)


def _endpoint(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


class PullExporterConfig(Config):
    """How the metrics are offered."""

    prometheus: PrometheusConfig = Field(description="For Prometheus to scrape.")


class PullReaderConfig(Config):
    """Metrics that somebody fetches."""

    exporter: PullExporterConfig = Field(description="How they are offered.")


class MetricReaderConfig(Config):
    """One way that airis's own metrics leave it."""

    pull: PullReaderConfig | None = Field(default=None, description="Somebody fetches them.")
    periodic: Annotated[
        dict[str, Any] | None,
        not_supported(
            "airis cannot send its own metrics yet; offer them with pull, and scrape them with a prometheus receiver"
        ),
    ] = Field(default=None, description="Not supported yet: sending them over OTLP. Anything in it is an error.")
    producers: Annotated[
        list[dict[str, Any]], not_supported("airis has no other producers of metrics; leave producers out")
    ] = Field(
        default_factory=list[dict[str, Any]], description="Not supported: metrics from elsewhere. Must stay empty."
    )

    @model_validator(mode="after")
    def _offers_something(self) -> Self:
        if self.pull is None:
            raise ValueError("names no way; write pull: {exporter: {prometheus: {host: localhost, port: 8888}}}")
        return self


class MetricsTelemetryConfig(Config):
    """airis's own metrics."""

    level: Verbosity = Field(
        default="normal",
        description='How much is told: "none" nothing, "basic" what came in, was passed on and went out, "normal" also '
        'how it was batched, "detailed" also sizes in bytes and durations inside.',
    )
    readers: list[MetricReaderConfig] | None = Field(
        default=None,
        description="Where the metrics can be had, in OpenTelemetry's declarative form: "
        "`[{pull: {exporter: {prometheus: {host, port, …}}}}]`; absent: for Prometheus at localhost:8888.",
    )
    address: str = Field(
        default="", description="The older way to write one reader for Prometheus: host:port. Not beside readers."
    )
    views: list[dict[str, Any]] | None = Field(
        default=None,
        description="Not supported yet: renaming, reshaping and leaving out of metrics. Anything in it is an error.",
    )

    @field_validator("address")
    @classmethod
    def _address_can_be_read(cls, address: str) -> str:
        parse_endpoint(address)
        return address

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.readers is not None and self.address:
            raise ValueError("readers and address both say where; leave address out")
        if self.readers == [] and self.level != "none":
            raise ValueError('readers is empty: nobody could have the metrics; write a reader, or level "none"')
        if self.views and self.level != "detailed":
            raise ValueError('views can only be set when level is "detailed"')
        if self.views:
            raise ValueError("views are not supported yet; leave them out, and rename metrics where they are scraped")
        return self

    def prometheus_readers(self) -> Mapping[str, PrometheusConfig]:
        """The readers, by the options that say where each listens; none with the level ``none``."""
        if self.level == "none":
            return {}
        if self.readers is None:
            host, port = parse_endpoint(self.address or DEFAULT_METRICS_ADDRESS)
            return {"address": PrometheusConfig(host=host, port=port)}
        return {
            f"readers::{number}::pull::exporter::prometheus": reader.pull.exporter.prometheus
            for number, reader in enumerate(self.readers)
            if reader.pull is not None
        }


_NO_SPANS = "airis makes no spans of itself, so there is nothing to send; leave processors out"


class TracesTelemetryConfig(Config):
    """Spans that airis makes of itself: none, as the Collector makes none without processors."""

    level: Verbosity = Field(default="basic", description="Has no effect: airis makes no spans of itself.")
    propagators: list[Literal["tracecontext", "b3"]] = Field(
        default_factory=list[Literal["tracecontext", "b3"]],
        description="Has no effect: airis makes no spans of itself.",
    )
    processors: Annotated[list[dict[str, Any]], not_supported(_NO_SPANS)] = Field(
        default_factory=list[dict[str, Any]],
        description="Not supported: airis makes no spans of itself. Anything in it is an error.",
    )
    limits: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="Has no effect: airis makes no spans of itself."
    )
    sampler: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="Has no effect: airis makes no spans of itself."
    )


_ATTRIBUTE_TYPES: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {"string": (str,), "bool": (bool,), "int": (int,), "double": (int, float)}
)


class ResourceAttribute(Config):
    """One attribute of the resource, in OpenTelemetry's declarative form."""

    name: str = Field(min_length=1, description="Name of the attribute.")
    value: Attribute | None = Field(description="Its value: text, number, true or false, or a list of these.")
    type: AttributeType | None = Field(default=None, description="Type of the value; absent: as it is written.")

    @model_validator(mode="after")
    def _value_is_of_its_type(self) -> Self:
        if self.type is None or self.value is None:
            return self
        kind, _, array = self.type.partition("_")
        items = self.value if isinstance(self.value, list) else [self.value]
        fits = all(isinstance(item, _ATTRIBUTE_TYPES[kind]) for item in items)
        if kind in ("int", "double"):
            fits = fits and not any(isinstance(item, bool) for item in items)
        if not fits or bool(array) != isinstance(self.value, list):
            raise ValueError(f"the value is no {self.type}")
        return self


class ResourceConfig(Config):
    """What airis's own telemetry says it comes from.

    Besides the options any attribute can be written here as ``name: text``, the Collector's older form.
    """

    model_config = ConfigDict(extra="allow")

    attributes: list[ResourceAttribute] = Field(
        default_factory=list[ResourceAttribute],
        description="Attributes as `[{name, value}]`. The older form, `name: text` beside the options, is taken as "
        "well. service.name, service.version and service.instance.id are there by themselves; null removes one.",
    )
    schema_url: str = Field(default="", description="Has no effect: Prometheus and the log have no place for it.")
    attributes_list: Annotated[
        str, not_supported("attributes_list is not supported; write attributes: [{name, value}]")
    ] = Field(default="", description="Not supported, as in the Collector. Must stay empty.")
    detectors: Annotated[
        dict[str, Any], not_supported("resource detectors are not supported yet; write the attributes")
    ] = Field(default_factory=dict[str, Any], description="Not supported yet. Anything in it is an error.")
    detection: Annotated[
        dict[str, Any], not_supported("resource detectors are not supported yet; write the attributes")
    ] = Field(
        default_factory=dict[str, Any],
        alias="detection/development",
        description="Not supported yet. Anything in it is an error.",
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        inline = self.model_extra or {}
        for name, value in inline.items():
            if value is not None and not isinstance(value, str):
                raise ValueError(f'the attribute "{name}" must be text or null here; write its value in quotes')
        if inline and self.attributes:
            raise ValueError(f'attributes and "{next(iter(inline))}" are two forms; write all in attributes')
        return self

    def resolved(self) -> Mapping[str, Attribute]:
        """All attributes, those that are there by themselves among them."""
        given: dict[str, Attribute | None] = {
            "service.name": "airis",
            "service.version": __version__,
            "service.instance.id": INSTANCE_ID,
            **(self.model_extra or {}),
            **{attribute.name: attribute.value for attribute in self.attributes},
        }
        return {name: value for name, value in given.items() if value is not None}


class TelemetryConfig(Config):
    """What airis says of itself."""

    logs: LogsTelemetryConfig = Field(default_factory=LogsTelemetryConfig, description="airis's own log.")
    metrics: MetricsTelemetryConfig = Field(
        default_factory=MetricsTelemetryConfig, description="airis's own metrics, with the Collector's names."
    )
    traces: TracesTelemetryConfig = Field(
        default_factory=TracesTelemetryConfig, description="airis makes no spans of itself."
    )
    resource: ResourceConfig = Field(
        default_factory=ResourceConfig, description="What the metrics and the log say they come from."
    )
