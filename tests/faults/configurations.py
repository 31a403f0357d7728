"""How airis is set up in the trials."""

from collections.abc import Sequence

from .sink import SinkClient

_HEAD = """
receivers: {otlp: {protocols: {grpc: {endpoint: $GRPC}, http: {endpoint: $HTTP}}}}
processors: {batch: , memory_limiter: {check_interval: 200ms, limit_mib: 400}}
"""
_TELEMETRY = 'telemetry: {metrics: {address: "127.0.0.1:0"}, logs: {encoding: json}}'
DURABLE = "sending_queue: {storage: file_storage, num_consumers: 2}"
RETRIES = "retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}"


def _pipelines(exporters: Sequence[str], processors: Sequence[str] = ()) -> str:
    """One of each signal."""
    each = f"{{receivers: [otlp], processors: [{', '.join(processors)}], exporters: [{', '.join(exporters)}]}}"
    return f"pipelines: {{traces: {each}, metrics: {each}, logs: {each}}}"


def to_sink(
    sink: SinkClient | int,
    *,
    second: SinkClient | int | None = None,
    storage: str = "segment_mib: 1",
    queue: str = DURABLE,
    timeout: str = "2s",
    processors: Sequence[str] = (),
) -> str:
    """Queues to one destination or two, over gRPC; `storage` are options of the log, a number is a port."""
    names = ["otlp_grpc/sink", *(["otlp_grpc/second"] if second is not None else [])]
    ports = [each if isinstance(each, int) else each.grpc_port for each in (sink, second) if each is not None]
    options = f"compression: none, timeout: {timeout}, {RETRIES}, {queue}"
    exporters = "".join(
        f'\n  {name}: {{endpoint: "http://127.0.0.1:{port}", {options}}}'
        for name, port in zip(names, ports, strict=True)
    )
    return f"""{_HEAD}
exporters: {exporters}
extensions: {{file_storage: {{{storage}}}}}
service:
  extensions: [file_storage]
  {_TELEMETRY}
  {_pipelines(names, processors)}
"""


def to_sink_over_http(sink: SinkClient, queue: str = DURABLE) -> str:
    """A durable queue over HTTP."""
    return f"""{_HEAD}
exporters: {{otlp_http/sink: {{endpoint: "http://127.0.0.1:{sink.http_port}", {RETRIES}, {queue}}}}}
extensions: {{file_storage: {{segment_mib: 1}}}}
service:
  extensions: [file_storage]
  {_TELEMETRY}
  {_pipelines(["otlp_http/sink"])}
"""


def to_store(queue: str = "sending_queue: {storage: file_storage}") -> str:
    """A durable queue to the embedded store."""
    return f"""{_HEAD}
exporters: {{store: {{{queue}}}}}
extensions: {{file_storage: {{segment_mib: 1}}, store: }}
service:
  extensions: [file_storage, store]
  {_TELEMETRY}
  {_pipelines(["store"])}
"""
