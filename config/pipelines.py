"""``service::pipelines``: what refers to what, and what the Collector's rules say of it."""

from airis.component import Kind
from airis.component.config import Scalar
from airis.config.connections import check_connections, listed
from airis.config.decode import suggestion
from airis.config.document import Entry, Node
from airis.config.errors import Findings, Mark
from airis.config.ids import parse_id, type_of
from airis.config.model import PipelineConfig
from airis.config.reading import Configured, Path, ReadPipeline, Reference, article, is_null, mapping, sections
from airis.config.wording import HIDDEN, shown
from airis.data import Signal

_LISTS = {kind.section: kind for kind in (Kind.RECEIVER, Kind.PROCESSOR, Kind.EXPORTER)}
_KINDS = {
    Kind.RECEIVER: (Kind.RECEIVER, Kind.CONNECTOR),
    Kind.PROCESSOR: (Kind.PROCESSOR,),
    Kind.EXPORTER: (Kind.EXPORTER, Kind.CONNECTOR),
    Kind.EXTENSION: (Kind.EXTENSION,),
}
"""What a list may refer to."""


class PipelineReader:
    """Reads the references of a service and reports those that cannot be."""

    def __init__(self, configured: Configured, findings: Findings) -> None:
        self.configured = configured
        self.findings = findings
        self._pipelines: list[ReadPipeline] = []

    def extensions(self, entry: Entry | None) -> tuple[str, ...]:
        """The ids in ``service::extensions``."""
        found = self._references(Kind.EXTENSION, entry, ("service", Kind.EXTENSION.section))
        return tuple(reference.component_id for reference in found)

    def pipelines(self, entry: Entry | None, service_mark: Mark) -> dict[str, PipelineConfig]:
        """The pipelines by their ids; those with a mistake are among them as far as they can be."""
        path = ("service", "pipelines")
        entries = mapping(entry, path, self.findings)
        if entries is None:
            return {}
        if not entries:
            mark = entry.key_mark if entry else service_mark
            self.findings.error("no-pipeline", mark, path, "at least one pipeline is needed")
        for key, item in entries.items():
            self._pipeline(key, item, (*path, key))
        check_connections(self._pipelines, self.configured, self.findings)
        return {
            read.pipeline_id: PipelineConfig(
                read.pipeline_id,
                read.signal,
                read.ids(Kind.RECEIVER),
                read.ids(Kind.PROCESSOR),
                read.ids(Kind.EXPORTER),
                read.mark,
            )
            for read in self._pipelines
            if read.signal is not None
        }

    def _pipeline(self, key: str, entry: Entry, path: Path) -> None:
        read = ReadPipeline(key, None, entry.key_mark)
        try:
            read.pipeline_id = parse_id(key)
            read.signal = self._signal(type_of(read.pipeline_id), entry, path)
        except ValueError as error:
            self.findings.error("invalid-id", entry.key_mark, path, str(error))
        if any(other.pipeline_id == read.pipeline_id for other in self._pipelines):
            self.findings.error("duplicate-component", entry.key_mark, path, f'"{read.pipeline_id}" is there twice')
        entries = mapping(entry, path, self.findings)
        lists = sections(entry.node, _LISTS, path, self.findings)
        for name, kind in _LISTS.items():
            read.references[kind] = self._references(kind, lists.get(name), (*path, name))
        self._pipelines.append(read)
        for name in ("receivers", "exporters") if entries is not None else ():
            if name not in lists or is_null(lists[name].node) or lists[name].node.value in ([], ""):
                self.findings.error("incomplete-pipeline", entry.key_mark, path, f"needs at least one of {name}")
        for kind, references in read.references.items():
            for reference in references:
                self._check_signal(kind, reference, read.signal)

    def _signal(self, name: str, entry: Entry, path: Path) -> Signal | None:
        try:
            return Signal(name)
        except ValueError:
            message = f'"{name}" is not a signal; {suggestion(name, list(Signal))}'
            self.findings.error("unknown-signal", entry.key_mark, path, message)
            return None

    def _references(self, kind: Kind, entry: Entry | None, path: Path) -> list[Reference]:
        """The ids in a list, each once and each configured; None or null is an empty list."""
        if entry is None or is_null(entry.node):
            return []
        found: dict[str, Reference | None] = {}
        for item in self._items(entry.node, path):
            try:
                component_id = parse_id(item.value.text if isinstance(item.value, Scalar) else str(item.value))
            except ValueError as error:
                if item.value not in self.configured.mistaken:
                    message = "the value put in here is not a component id" if item.substituted else str(error)
                    self.findings.error("invalid-id", item.mark, path, message)
                continue
            reference = Reference(component_id, item.mark, path)
            if component_id not in found:
                is_right = self._is_configured(kind, reference, hidden=item.substituted)
                found[component_id] = reference if is_right else None
            elif found[component_id]:
                self._repeated(kind, reference)
        return [reference for reference in found.values() if reference]

    def _items(self, node: Node, path: Path) -> list[Node]:
        """What is in a list of ids, or in a text with commas."""
        if isinstance(node.value, list):
            items = node.value
        elif isinstance(node.value, str):
            return [Node(node.mark, part.strip(), node.substituted) for part in node.value.split(",") if part.strip()]
        else:
            self.findings.error("wrong-type", node.mark, path, f"expected a list of component ids, got {shown(node)}")
            return []
        for item in items:
            if isinstance(item.value, dict | list) or is_null(item):
                self.findings.error("wrong-type", item.mark, path, f"expected a component id, got {shown(item)}")
        return [item for item in items if not isinstance(item.value, dict | list) and not is_null(item)]

    def _repeated(self, kind: Kind, reference: Reference) -> None:
        message = f'"{reference.component_id}" is named twice'
        if kind is Kind.PROCESSOR:
            self.findings.error("duplicate-reference", reference.mark, reference.path, message)
        else:
            self.findings.warn("repeated-reference", reference.mark, reference.path, f"{message}; once is enough")

    def _is_configured(self, kind: Kind, reference: Reference, *, hidden: bool) -> bool:
        component_id, kinds = reference.component_id, _KINDS[kind]
        if self.configured.is_anything(component_id, *kinds):
            return any(component_id in self.configured.ids[one] for one in kinds)
        elsewhere = next((one for one in Kind if component_id in self.configured.ids[one]), None)
        names = [name for one in kinds for name in self.configured.ids[one]]
        if elsewhere is not None:
            hint = f"it is {article(elsewhere)}"
        else:
            hint = suggestion(component_id, names) if names else f"write it under {kind.section}"
        written = HIDDEN if hidden else component_id
        message = f'references {kind} "{written}" which is not configured; {hint}'
        self.findings.error("undefined-reference", reference.mark, reference.path, message)
        return False

    def _check_signal(self, kind: Kind, reference: Reference, signal: Signal | None) -> None:
        """Whether the component, if it is no connector, takes what the pipeline is of."""
        factory = self.configured.factories[kind].get(reference.component_id)
        is_connector = reference.component_id in self.configured.ids[Kind.CONNECTOR]
        if signal is None or factory is None or is_connector or signal in factory.stability:
            return
        takes = listed(factory.stability)
        message = f'{kind} "{reference.component_id}" is not for {signal}, only for {takes}'
        self.findings.error("unsupported-signal", reference.mark, reference.path, message)
