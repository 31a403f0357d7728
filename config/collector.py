"""The Collector's component types: the old and new spellings of those it renamed, and those that airis lacks."""

from functools import cache
from importlib.resources import files
from typing import cast

import yaml

from airis.component import Kind, known_types

TABLE = "collector_components.yaml"

RENAMED: dict[Kind, dict[str, str]] = {
    Kind.RECEIVER: {
        "apachespark": "apache_spark",
        "awscloudwatch": "aws_cloudwatch",
        "awslambda": "aws_lambda",
        "azureblob": "azure_blob",
        "azureeventhub": "azure_event_hub",
        "azuremonitor": "azure_monitor",
        "ciscoos": "cisco_os",
        "cloudfoundry": "cloud_foundry",
        "envoyals": "envoy_als",
        "filelog": "file_log",
        "filestats": "file_stats",
        "flinkmetrics": "flink_metrics",
        "fluentforward": "fluent_forward",
        "googlecloudspanner": "google_cloud_spanner",
        "hostmetrics": "host_metrics",
        "httpcheck": "http_check",
        "icmpcheckreceiver": "icmp_check",
        "k8sobjects": "k8s_objects",
        "kafkametrics": "kafka_metrics",
        "kubeletstats": "kubelet_stats",
        "macosunifiedlogging": "macos_unified_logging",
        "mongodbatlas": "mongodb_atlas",
        "namedpipe": "named_pipe",
        "otlpjsonfile": "otlp_json_file",
        "prometheusremotewrite": "prometheus_remote_write",
        "splunkenterprise": "splunk_enterprise",
        "sshcheck": "ssh_check",
        "tcpcheck": "tcp_check",
        "tcplog": "tcp_log",
        "tlscheck": "tls_check",
        "udplog": "udp_log",
        "webhookevent": "webhook_event",
        "windowseventlog": "windows_event_log",
        "windowsservice": "windows_service",
        "yanggrpc": "yang_grpc",
    },
    Kind.PROCESSOR: {
        "cumulativetodelta": "cumulative_to_delta",
        "deltatocumulative": "delta_to_cumulative",
        "deltatorate": "delta_to_rate",
        "k8sattributes": "k8s_attributes",
        "logdedup": "log_dedup",
        "metricstarttime": "metric_start_time",
        "metricstransform": "metrics_transform",
        "queuebatch": "queue_batch",
        "resourcedetection": "resource_detection",
        "spanpruning": "span_pruning",
    },
    Kind.EXPORTER: {
        "azureblob": "azure_blob",
        "azuremonitor": "azure_monitor",
        "bmchelix": "bmc_helix",
        "googlecloudstorage": "google_cloud_storage",
        "honeycombmarker": "honeycomb_marker",
        "loadbalancing": "load_balancing",
        "otlp": "otlp_grpc",
        "otlphttp": "otlp_http",
        "prometheusremotewrite": "prometheus_remote_write",
    },
    Kind.CONNECTOR: {
        "grafanacloud": "grafana_cloud",
        "metricsaslogs": "metrics_as_logs",
        "otlpjson": "otlp_json",
        "roundrobin": "round_robin",
        "servicegraph": "service_graph",
        "signaltometrics": "signal_to_metrics",
        "slowsql": "slow_sql",
        "spanmetrics": "span_metrics",
    },
    Kind.EXTENSION: {
        "awslogs_encoding": "aws_logs_encoding",
        "azureauth": "azure_auth",
        "cgroupruntime": "cgroup_runtime",
        "googlecloudlogentry_encoding": "google_cloud_logentry_encoding",
    },
}
"""The new spelling of every deprecated one."""

_INSTEAD = {
    Kind.RECEIVER: "a Collector that has it can send OTLP to the otlp receiver",
    Kind.PROCESSOR: "a Collector that has it can stand before airis",
    Kind.EXPORTER: "a Collector that has it can take OTLP from airis",
    Kind.CONNECTOR: "a Collector that has it can stand before airis",
    Kind.EXTENSION: "leave it out, here and in service::extensions",
}
"""What can always be done."""


def installed_type(kind: Kind, type_name: str) -> str | None:
    """The type as it is installed here, under either of its spellings; None if it is not."""
    installed = known_types(kind)
    return next((name for name in _spellings(kind, type_name) if name in installed), None)


def what_airis_lacks(kind: Kind, type_name: str) -> str | None:
    """What to say of a type that the Collector has and airis does not; None for one that nobody knows."""
    table = _components()[kind]
    known = next((name for name in _spellings(kind, type_name) if name in table), None)
    if known is None:
        return None
    instead = table[known] or _INSTEAD[kind]
    said = f'{kind} type "{type_name}" is a Collector component that airis does not have'
    if instead.startswith("not yet"):
        return f"{said} yet{instead.removeprefix('not yet')}"
    return f"{said}; {instead}"


def _spellings(kind: Kind, type_name: str) -> list[str]:
    """As it is written, and as it is or was written by others."""
    renamed = RENAMED[kind]
    return [type_name, *(new for old, new in renamed.items() if old == type_name), *_old(kind, type_name)]


def _old(kind: Kind, type_name: str) -> list[str]:
    return [old for old, new in RENAMED[kind].items() if new == type_name]


@cache
def _components() -> dict[Kind, dict[str, str]]:
    """By kind and type, what is written beside it in the table."""
    text = files("airis.config").joinpath(TABLE).read_text()
    table = cast("dict[str, dict[str, str | None]]", yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    return {kind: {name: instead or "" for name, instead in table[kind.section].items()} for kind in Kind}
