"""How airis is set up in the trials."""

from .sink import SinkClient

_HEAD = """
receivers: {otlp: {protocols: {grpc: {endpoint: $GRPC}, http: {endpoint: $HTTP}}}}
"""
_TELEMETRY = 'telemetry: {metrics: {address: "127.0.0.1:0"}, logs: {encoding: json}}'
DURABLE = "sending_queue: {storage: file_storage, num_consumers: 2}"
RETRIES = "retry_on_failure: {initial_interval: 50ms, max_interval: 200ms}"


def pipelines(*exporters: str) -> str:
    """One of each signal."""
    each = f"{{receivers: [otlp], exporters: [{', '.join(exporters)}]}}"
    return f"pipelines: {{traces: {each}, metrics: {each}, logs: {each}}}"


def to_sink(sink: SinkClient | int, *, storage: str = "segment_mib: 1", queue: str = DURABLE, more: str = "") -> str:
    """A durable queue to a destination over gRPC; `storage` are options of the log."""
    port = sink if isinstance(sink, int) else sink.grpc_port
    return f"""{_HEAD}
exporters:
  otlp_grpc/sink:
    {{endpoint: "http://127.0.0.1:{port}", compression: none, timeout: 2s, {RETRIES}, {queue}{more}}}
extensions: {{file_storage: {{{storage}}}}}
service:
  extensions: [file_storage]
  {_TELEMETRY}
  {pipelines("otlp_grpc/sink")}
"""


def to_store(queue: str = "sending_queue: {storage: file_storage}", *, processors: str = "") -> str:
    """A durable queue to the embedded store."""
    return f"""{_HEAD}
exporters: {{store: {{{queue}}}}}
extensions: {{file_storage: {{segment_mib: 1}}, store: }}
service:
  extensions: [file_storage, store]
  {_TELEMETRY}
  {pipelines("store")}
"""
