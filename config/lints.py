"""What is allowed and may not be meant: warnings about a configuration that can be used."""

from collections.abc import Iterator
from typing import cast

from airis.component import Config, Kind
from airis.component.config import section_of
from airis.component.listen import is_wildcard, parse_endpoint
from airis.component.tls import TlsServerConfig
from airis.config.errors import Problem
from airis.config.model import ComponentConfig, Configuration, PipelineConfig

SAMPLERS = ("probabilistic_sampler", "tail_sampling")

Path = tuple[str, ...]


def lint(configuration: Configuration) -> list[Problem]:
    """All warnings, in any order."""
    started = started_in(configuration)
    warnings: list[Problem] = []
    for kind, components in configuration.components.items():
        for component in components.values():
            if (kind, component.component_id) not in started:
                warnings.append(_not_started(component))
            else:
                warnings += _open_endpoints(configuration, component)
                warnings += _queues_in_memory(configuration, component)
    for pipeline in configuration.pipelines.values():
        warnings += _order(configuration, pipeline)
    return warnings


def started_in(configuration: Configuration) -> set[tuple[Kind, str]]:
    """The components that are named where they must be; connectors stand among receivers and exporters."""
    named = {(Kind.EXTENSION, name) for name in configuration.extensions}
    for pipeline in configuration.pipelines.values():
        named |= {(kind, name) for kind in (Kind.RECEIVER, Kind.CONNECTOR) for name in pipeline.receivers}
        named |= {(kind, name) for kind in (Kind.EXPORTER, Kind.CONNECTOR) for name in pipeline.exporters}
        named |= {(Kind.PROCESSOR, name) for name in pipeline.processors}
    return named


def _not_started(component: ComponentConfig) -> Problem:
    if component.factory.kind is Kind.EXTENSION:
        message = "is not started: service::extensions does not name it"
        return Problem(component.mark, path_of(component), message, "extension-not-started")
    return Problem(component.mark, path_of(component), "is not started: no pipeline names it", "unused-component")


def _order(configuration: Configuration, pipeline: PipelineConfig) -> Iterator[Problem]:
    """Of the processors in a pipeline."""
    path = ("service", "pipelines", pipeline.pipeline_id, "processors")
    components = configuration.components.get(Kind.PROCESSOR, {})
    types = [components[name].factory.type_name for name in pipeline.processors]
    for number, (name, type_name) in enumerate(zip(pipeline.processors, types, strict=True)):
        mark = configuration.mark_at(*path, str(number))
        if type_name == "memory_limiter" and number > 0:
            message = f'"{name}" does not protect what stands before it; put it first'
            yield Problem(mark, path, message, "memory-limiter-not-first")
        sampler = next((pipeline.processors[i] for i in range(number + 1, len(types)) if types[i] in SAMPLERS), None)
        if type_name == "batch" and sampler:
            message = f'"{name}" joins what "{sampler}" then leaves out or takes apart; put it behind the sampler'
            yield Problem(mark, path, message, "batch-before-sampler")


def _open_endpoints(configuration: Configuration, component: ComponentConfig) -> Iterator[Problem]:
    """Servers that listen on every address, with nothing to keep anybody out."""
    for path, options in sections_in(component.options, path_of(component)):
        field = type(options).model_fields.get("tls")
        if field is None or section_of(field.annotation) is not TlsServerConfig:
            continue
        endpoint: str = getattr(options, "endpoint", "")
        is_guarded = getattr(options, "tls", None) is not None or getattr(options, "auth", None) is not None
        if not endpoint or is_guarded or not is_wildcard(endpoint, getattr(options, "transport", "tcp")):
            continue
        port = parse_endpoint(endpoint)[1]
        message = (
            "listens on every address, without TLS and without authentication; "
            f'write "localhost:{port}" or the address that is meant, or add tls and auth'
        )
        here = (*path, "endpoint")
        node = configuration.node_at(*here)
        is_shown = node is not None and not node.substituted
        yield Problem(configuration.mark_at(*here), here, message, "open-endpoint", is_shown)


def _queues_in_memory(configuration: Configuration, component: ComponentConfig) -> Iterator[Problem]:
    """Sending queues without storage, where there is some."""
    extensions = configuration.components.get(Kind.EXTENSION, {})
    storages = [name for name in configuration.extensions if extensions[name].factory.type_name.endswith("_storage")]
    queue: object = getattr(component.options, "sending_queue", None)
    is_on = isinstance(queue, Config) and getattr(queue, "enabled", None) is not False
    if storages and is_on and not getattr(queue, "storage", None):
        here = (*path_of(component), "sending_queue")
        message = f'is in memory and lost in a crash; write "storage: {storages[0]}"'
        yield Problem(configuration.mark_at(*here), here, message, "queue-in-memory")


def sections_in(value: object, path: Path) -> Iterator[tuple[Path, Config]]:
    """The options and all sections in them, also those in lists and mappings."""
    if isinstance(value, Config):
        yield path, value
        for name, field in type(value).model_fields.items():
            yield from sections_in(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, list):
        for number, item in enumerate(cast("list[object]", value)):
            yield from sections_in(item, (*path, str(number)))
    elif isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            yield from sections_in(item, (*path, key))


def path_of(component: ComponentConfig) -> Path:
    """Where its options stand."""
    return component.factory.kind.section, component.component_id
