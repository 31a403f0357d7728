"""From a file, or the built-in default, to a `Configuration`, with every mistake found on the way."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from airis.component import Kind, known_types, load
from airis.component.config import Scalar
from airis.config.decode import decode, suggestion
from airis.config.document import Entry, Node, parse
from airis.config.errors import ConfigError, Mark, Problem
from airis.config.model import ComponentConfig, Configuration, PipelineConfig, TelemetryConfig
from airis.config.substitution import substitute
from airis.data import Signal

DEFAULT_SOURCE = "built-in configuration"
DEFAULT_FILE = "default.yaml"

_SECTIONS = {kind.section: kind for kind in Kind}
_TYPE = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}")
_NAME = re.compile(r"[^\s\x00-\x1f\x7f$+<=>^`|~]{1,1024}")
_PIPELINE_KEYS = ("receivers", "processors", "exporters")


def load_configuration(path: Path | None, environment: Mapping[str, str] = os.environ) -> Configuration:
    """The configuration in the file, or the built-in one without a path; raises ConfigError, OSError."""
    if path is None:
        return read_configuration(default_text(), DEFAULT_SOURCE, environment)
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(Mark(str(path), 1, 1), (), f"not UTF-8 text: {error}")]) from None
    return read_configuration(text, str(path), environment)


def default_text() -> str:
    """The built-in configuration, as YAML with its comments."""
    return files("airis.config").joinpath(DEFAULT_FILE).read_text()


def read_configuration(text: str, source: str, environment: Mapping[str, str]) -> Configuration:
    """The configuration in `text`; `source` names it in messages. Raises ConfigError."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    root = substitute(parse(text, source), environment, problems, warnings)
    return replace(_Reader(source, problems).read(root), warnings=tuple(warnings))


class _Reader:
    """Walks the top level and collects problems, so that one run names them all."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        """`problems` are those of single values; what follows from them is not reported again."""
        self.source = source
        self.unreadable = tuple(problems)
        self.problems: list[Problem] = []
        self.configured: dict[Kind, set[str]] = {kind: set() for kind in Kind}

    def read(self, root: Node) -> Configuration:
        top = self.mapping(root, (), root.mark)
        for key in top.keys() - _SECTIONS.keys() - {"service"}:
            hint = suggestion(key, [*_SECTIONS, "service"])
            self.problem(top[key].key_mark, (), f'unknown option "{key}"; {hint}')
        components = {kind: self.section(kind, top[name]) if name in top else {} for name, kind in _SECTIONS.items()}
        service = top.get("service") or Entry(root.mark, Node(root.mark, {}))
        extensions, pipelines, telemetry = self.service(service)
        marks = {problem.mark for problem in self.unreadable}
        problems = [*self.unreadable, *(problem for problem in self.problems if problem.mark not in marks)]
        if problems:
            raise ConfigError(problems)
        return Configuration(self.source, components, extensions, pipelines, telemetry)

    def section(self, kind: Kind, entry: Entry) -> dict[str, ComponentConfig]:
        found: dict[str, ComponentConfig] = {}
        for key, item in self.mapping(entry.node, (kind.section,), entry.key_mark).items():
            path = (kind.section, key)
            component_id = self.component_id(key, item.key_mark, path)
            if component_id is None:
                continue
            if component_id in self.configured[kind]:
                self.problem(item.key_mark, path, f'"{component_id}" is configured twice')
            self.configured[kind].add(component_id)
            type_name = component_id.partition("/")[0]
            types = known_types(kind)
            if type_name not in types:
                hint = suggestion(type_name, types)
                self.problem(item.key_mark, path, f'there is no {kind} of type "{type_name}"; {hint}')
                continue
            factory = load(kind, type_name)
            options = decode(factory.config, item.node, path, item.key_mark, self.problems)
            if options is not None:
                found[component_id] = ComponentConfig(component_id, factory, options, item.key_mark)
        return found

    def service(self, entry: Entry) -> tuple[tuple[str, ...], dict[str, PipelineConfig], TelemetryConfig]:
        service = self.mapping(entry.node, ("service",), entry.key_mark)
        for key in service.keys() - {"extensions", "pipelines", "telemetry"}:
            hint = suggestion(key, ["extensions", "pipelines", "telemetry"])
            self.problem(service[key].key_mark, ("service",), f'unknown option "{key}"; {hint}')
        extensions = self.references(Kind.EXTENSION, service.get("extensions"), ("service", "extensions"))
        pipelines: dict[str, PipelineConfig] = {}
        path = ("service", "pipelines")
        listed = service.get("pipelines")
        for key, item in self.mapping(listed.node, path, listed.key_mark).items() if listed else ():
            pipeline = self.pipeline(key, item)
            if pipeline is not None:
                pipelines[pipeline.pipeline_id] = pipeline
        if not pipelines and not self.problems:
            self.problem(entry.key_mark, path, "at least one pipeline is needed")
        telemetry = service.get("telemetry")
        decoded = (
            decode(TelemetryConfig, telemetry.node, ("service", "telemetry"), telemetry.key_mark, self.problems)
            if telemetry
            else None
        )
        return extensions, pipelines, decoded or TelemetryConfig()

    def pipeline(self, key: str, entry: Entry) -> PipelineConfig | None:
        path = ("service", "pipelines", key)
        pipeline_id = self.component_id(key, entry.key_mark, path)
        if pipeline_id is None:
            return None
        signals = [signal.value for signal in Signal if signal is not Signal.PROFILES]
        signal_name = pipeline_id.partition("/")[0]
        if signal_name not in signals:
            hint = suggestion(signal_name, signals)
            self.problem(entry.key_mark, path, f'"{signal_name}" is not a signal; {hint}')
            return None
        keys = self.mapping(entry.node, path, entry.key_mark)
        for name in keys.keys() - set(_PIPELINE_KEYS):
            hint = suggestion(name, _PIPELINE_KEYS)
            self.problem(keys[name].key_mark, path, f'unknown option "{name}"; {hint}')
        receivers, processors, exporters = (
            self.references(_SECTIONS[name], keys.get(name), (*path, name)) for name in _PIPELINE_KEYS
        )
        for name in ("receivers", "exporters"):
            if not keys.get(name) or keys[name].node.value in ([], Scalar(None, "")):
                self.problem(entry.key_mark, path, f"needs at least one of {name}")
        return PipelineConfig(pipeline_id, Signal(signal_name), receivers, processors, exporters)

    def references(self, kind: Kind, entry: Entry | None, path: tuple[str, ...]) -> tuple[str, ...]:
        """The ids in a list, each of which must be configured; None or null is an empty list."""
        if entry is None or (isinstance(entry.node.value, Scalar) and entry.node.value.value is None):
            return ()
        if not isinstance(entry.node.value, list):
            self.problem(entry.node.mark, path, "expected a list of component ids")
            return ()
        found: list[str] = []
        for item in entry.node.value:
            text = item.value.text if isinstance(item.value, Scalar) else item.value
            if not isinstance(text, str):
                self.problem(item.mark, path, "expected a component id")
                continue
            component_id = self.component_id(text, item.mark, path)
            if component_id is None:
                continue
            if component_id in found:
                self.problem(item.mark, path, f'"{component_id}" is named twice')
            elif component_id not in self.configured[kind]:
                hint = suggestion(component_id, self.configured[kind])
                shown = "…" if item.substituted else component_id
                self.problem(item.mark, path, f'references {kind} "{shown}" which is not configured; {hint}')
            else:
                found.append(component_id)
        return tuple(found)

    def component_id(self, text: str, mark: Mark, path: tuple[str, ...]) -> str | None:
        """The id in its canonical form, without blanks around the slash."""
        type_name, slash, name = (part.strip() for part in text.partition("/"))
        if not _TYPE.fullmatch(type_name):
            self.problem(mark, path, f'"{type_name}" is not a type: a letter, then letters, digits and underscores')
        elif slash and not _NAME.fullmatch(name):
            self.problem(mark, path, f'"{name}" is not a name: 1 to 1024 characters, no blanks or symbols')
        else:
            return f"{type_name}/{name}" if slash else type_name
        return None

    def mapping(self, node: Node, path: tuple[str, ...], mark: Mark) -> Mapping[str, Entry]:
        if isinstance(node.value, dict):
            return node.value
        if not (isinstance(node.value, Scalar) and node.value.value is None):
            self.problem(mark, path, "expected a mapping")
        return {}

    def problem(self, mark: Mark, path: Iterable[Any], message: str) -> None:
        self.problems.append(Problem(mark, tuple(path), message))
