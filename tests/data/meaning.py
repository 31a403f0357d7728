"""What payloads say to protobuf's own parser, which does not care how they are written."""

from typing import Any

from google.protobuf.message import DecodeError

from airis.proto import otlp

_NAMES = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
}


def meaning(signal: str, payload: bytes) -> bytes:
    """Bytes that are the same for payloads that say the same, unknown fields and all."""
    return otlp.parse(signal, payload).SerializeToString(deterministic=True)


def meanings(signal: str, payloads: list[bytes]) -> list[bytes | None]:
    """Those of several, None for what protobuf does not read."""
    return [_meaning_if_read(signal, payload) for payload in payloads]


def _meaning_if_read(signal: str, payload: bytes) -> bytes | None:
    try:
        return meaning(signal, payload)
    except DecodeError:
        return None


def flat(signal: str, payload: bytes) -> list[tuple[bytes, ...]]:
    """Every item with all that it belongs to, each as what it says."""
    owners, scopes, members = _NAMES[signal]
    request = otlp.parse(signal, payload)
    items: list[tuple[bytes, ...]] = []
    for owner in getattr(request, owners):
        listed = [(scoped, list(getattr(scoped, members))) for scoped in getattr(owner, scopes)]
        del getattr(owner, scopes)[:]
        for scoped, inside in listed:
            del getattr(scoped, members)[:]
            for member in inside:
                above = (_said(owner), _said(scoped))
                if signal == "metrics":
                    points = list(_points(member))
                    if points:
                        del _points(member)[:]
                    items += [(*above, _said(member), _said(point)) for point in points]
                else:
                    items.append((*above, _said(member)))
    return items


def _points(metric: Any) -> Any:
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else ()


def _said(message: Any) -> bytes:
    said: bytes = message.SerializeToString(deterministic=True)
    return said
