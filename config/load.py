"""From sources to a `Configuration`, with every mistake found on the way."""

import os
from collections.abc import Mapping
from dataclasses import replace

from airis.component import Kind, known_types, load
from airis.config.collector import RENAMED, installed_type, what_airis_lacks
from airis.config.decode import decode, nearest, suggestion
from airis.config.document import Entry, Node, parse
from airis.config.errors import ConfigError, Findings, Mark, in_order
from airis.config.extensions_named import check_extensions_named
from airis.config.ids import parse_id, type_of
from airis.config.lints import lint
from airis.config.model import ComponentConfig, Configuration, Sources
from airis.config.pipelines import PipelineReader
from airis.config.reading import Configured, article, mapping, sections
from airis.config.sources import Resolved, default_text, resolve
from airis.config.substitution import substitute
from airis.config.telemetry import TelemetryConfig
from airis.config.wording import HIDDEN, is_key_hidden

__all__ = ["default_text", "load_configuration", "read_configuration"]

_SECTIONS = {kind.section: kind for kind in Kind}
_SERVICE = ("extensions", "pipelines", "telemetry")
_UNREAD = ("unreadable-source", "invalid-yaml", "duplicate-key", "wrong-type")
"""With one of these a source is left out, and what follows from that is not worth telling."""
_OF_ITSELF = frozenset(
    {
        *("unknown-option", "unsupported-option", "unknown-value", "out-of-range", "wrong-type"),
        *("invalid-id", "unknown-component", "unsupported-component", "duplicate-component", "unknown-signal"),
    }
)
"""Mistakes that no other source can mend: they are told even where one is left out."""


def load_configuration(sources: Sources, environment: Mapping[str, str] = os.environ) -> Configuration:
    """The configuration from all sources, or the built-in one without any; raises ConfigError."""
    findings = Findings()
    return _assemble(resolve(sources, environment, findings.errors, findings.warnings), sources, findings)


def read_configuration(text: str, source: str, environment: Mapping[str, str]) -> Configuration:
    """The configuration in `text`; `source` names it in messages. Raises ConfigError."""
    findings = Findings()
    texts = {source: text}
    try:
        root = substitute(parse(text, source), environment, findings.errors, findings.warnings)
    except ConfigError as error:
        raise ConfigError(error.problems, texts=texts) from None
    return _assemble(Resolved(root, texts, source, ()), Sources(), findings)


def _assemble(resolved: Resolved, sources: Sources, findings: Findings) -> Configuration:
    unreadable = {problem.mark for problem in findings.errors}
    decoding = Findings(warnings=findings.warnings)
    configuration = _Reader(decoding).read(resolved)
    if any(problem.rule in _UNREAD for problem in findings.errors):
        # What is missing may be in what could not be read.
        decoding.errors = [problem for problem in decoding.errors if problem.rule in _OF_ITSELF]
    # A reference that cannot be put in stays where it is; that it is of the wrong type is not another mistake.
    errors = [*findings.errors, *(problem for problem in decoding.errors if problem.mark not in unreadable)]
    if errors:
        raise ConfigError(errors, findings.warnings, resolved.texts)
    warnings = in_order([*findings.warnings, *lint(configuration)])
    return replace(configuration, sources=sources, warnings=tuple(warnings))


class _Reader:
    """Walks the top level and collects problems, so that one run names them all."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.configured = Configured()

    def read(self, resolved: Resolved) -> Configuration:
        """The configuration as far as it is right."""
        root = resolved.root
        is_mapping = mapping(Entry(root.mark, root), (), self.findings) is not None
        top = sections(root, [*_SECTIONS, "service"], (), self.findings)
        components = {kind: self._section(kind, top.get(name)) for name, kind in _SECTIONS.items()}
        self._check_ambiguous()
        pipelines = PipelineReader(self.configured, self.findings)
        service = top.get("service") or Entry(root.mark, Node(root.mark, {}))
        is_service = mapping(service, ("service",), self.findings) is not None and is_mapping
        parts = sections(service.node, _SERVICE, ("service",), self.findings)
        configuration = Configuration(
            resolved.title,
            components,
            pipelines.extensions(parts.get("extensions")),
            pipelines.pipelines(parts.get("pipelines"), service.key_mark) if is_service else {},
            self._telemetry(parts.get("telemetry")),
            root=root,
            texts=resolved.texts,
            files=resolved.files,
        )
        check_extensions_named(configuration, self.configured, self.findings)
        return configuration

    def _section(self, kind: Kind, entry: Entry | None) -> dict[str, ComponentConfig]:
        found: dict[str, ComponentConfig] = {}
        entries = mapping(entry, (kind.section,), self.findings)
        if entries is None or entry is None:
            self.configured.unread.update([kind] if entry else [])
            return found
        for key, item in entries.items():
            hidden = is_key_hidden(entry.node, item)
            component_id = self._component_id(kind, key, item.key_mark, hidden=hidden)
            component = self._component(kind, component_id, item, hidden=hidden) if component_id else None
            if component is not None:
                found[component.component_id] = component
        return found

    def _component_id(self, kind: Kind, key: str, mark: Mark, *, hidden: bool) -> str | None:
        path = (kind.section, HIDDEN if hidden else key)
        try:
            component_id = parse_id(key)
        except ValueError as error:
            self.configured.mistaken.add(key)
            message = "the key put in here is not a component id" if hidden else str(error)
            self.findings.error("invalid-id", mark, path, message)
            return None
        first = self.configured.ids[kind].get(component_id)
        if first:
            message = f'"{component_id}" is configured twice; the first is {_line(first, mark)}'
            self.findings.error("duplicate-component", mark, path, message)
        self.configured.ids[kind].setdefault(component_id, mark)
        return component_id

    def _component(self, kind: Kind, component_id: str, item: Entry, *, hidden: bool) -> ComponentConfig | None:
        path, written = (kind.section, component_id), type_of(component_id)
        type_name = installed_type(kind, written)
        if type_name is None:
            self._unknown(kind, component_id, item.key_mark, hidden=hidden)
            return None
        factory = load(kind, type_name)
        self.configured.factories[kind][component_id] = factory
        newer = RENAMED[kind].get(written)
        if newer:
            message = f'the Collector has renamed "{written}"; write "{newer}"'
            self.findings.warn("deprecated-name", item.key_mark, path, message)
        options = decode(factory.config, item.node, path, item.key_mark, self.findings.errors)
        if options is None:
            return None
        self.configured.options[kind][component_id] = options
        return ComponentConfig(component_id, factory, options, item.key_mark)

    def _unknown(self, kind: Kind, component_id: str, mark: Mark, *, hidden: bool) -> None:
        """Say what can be said of a type that is not installed."""
        type_name, types = type_of(component_id), known_types(kind)
        lacking = what_airis_lacks(kind, type_name)
        if lacking:
            self.findings.error("unsupported-component", mark, (kind.section, component_id), lacking)
            return
        elsewhere = next((other for other in Kind if installed_type(other, type_name)), None)
        hint = f"it is {article(elsewhere)}" if elsewhere else suggestion(type_name, types)
        shown_id, shown_type = (HIDDEN, HIDDEN) if hidden else (component_id, type_name)
        message = f'there is no {kind} of type "{shown_type}"; {hint}'
        self.findings.error("unknown-component", mark, (kind.section, shown_id), message)
        meant = nearest(type_name, types)
        if meant:
            self.configured.mistaken.add(meant + component_id.removeprefix(type_name))

    def _check_ambiguous(self) -> None:
        """A pipeline that names a connector must not mean a receiver or an exporter."""
        ids, factories = self.configured.ids, self.configured.factories
        for connector_id in factories[Kind.CONNECTOR]:
            for kind in (Kind.RECEIVER, Kind.EXPORTER):
                if connector_id in factories[kind]:
                    mark, other = ids[Kind.CONNECTOR][connector_id], ids[kind][connector_id]
                    message = f"is {article(kind)} as well, {_line(other, mark)}; call one of them otherwise"
                    path = (Kind.CONNECTOR.section, connector_id)
                    self.findings.error("ambiguous-component", mark, path, message)

    def _telemetry(self, entry: Entry | None) -> TelemetryConfig:
        path = ("service", "telemetry")
        decoded = decode(TelemetryConfig, entry.node, path, entry.key_mark, self.findings.errors) if entry else None
        return decoded or TelemetryConfig()


def _line(mark: Mark, here: Mark) -> str:
    return f"in line {mark.line}" if mark.source == here.source else f"in {mark}"
