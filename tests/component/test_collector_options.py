"""Every option of the Collector's shared server blocks: honoured, taken without effect, or refused in words."""

from typing import Any

import pytest
from pydantic import ValidationError

from airis.component.grpc import GrpcServerConfig
from airis.component.http import HttpServerConfig
from airis.component.tls import TlsClientConfig, TlsServerConfig

TLS = {"cert_file": "c.pem", "key_file": "k.pem"}

GRPC = [
    ("endpoint", "localhost:4317"),
    ("transport", "tcp"),
    ("tls", TLS),
    ("max_recv_msg_size_mib", 16),
    ("max_concurrent_streams", 4294967295),
    ("read_buffer_size", 524288),
    ("write_buffer_size", 524288),
    ("keepalive.server_parameters.max_connection_idle", "11s"),
    ("keepalive.server_parameters.max_connection_age", "12s"),
    ("keepalive.server_parameters.max_connection_age_grace", "13s"),
    ("keepalive.server_parameters.time", "30s"),
    ("keepalive.server_parameters.timeout", "5s"),
    ("keepalive.enforcement_policy.min_time", "10s"),
    ("keepalive.enforcement_policy.permit_without_stream", True),
    ("include_metadata", True),
    ("middlewares", []),
]
HTTP = [
    ("endpoint", "localhost:4318"),
    ("transport", "tcp"),
    ("tls", TLS),
    ("cors.allowed_origins", ["https://*.example.com"]),
    ("cors.allowed_headers", ["X-Team"]),
    ("cors.exposed_headers", ["X-Team"]),
    ("cors.max_age", 7200),
    ("max_request_body_size", 1024),
    ("include_metadata", True),
    ("response_headers", {"x-team": "a"}),
    ("response_headers", [{"name": "x-team", "value": "a"}]),
    ("compression_algorithms", ["", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4", "x-snappy-framed"]),
    ("read_timeout", "30s"),
    ("read_header_timeout", "1m"),
    ("write_timeout", "30s"),
    ("idle_timeout", "1m"),
    ("keep_alives_enabled", False),
    ("middlewares", []),
]
OF_BOTH_SIDES = [
    ("ca_file", "ca.pem"),
    ("ca_pem", "text"),
    ("min_version", "1.3"),
    ("max_version", "1.3"),
    ("cipher_suites", ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]),
    ("curve_preferences", ["P256"]),
    ("include_insecure_cipher_suites", False),
    ("include_system_ca_certs_pool", True),
    ("reload_interval", "0s"),
    ("tpm", {"enabled": False, "path": "", "owner_auth": "", "auth": ""}),
]
SERVER_TLS = [
    *OF_BOTH_SIDES,
    ("cert_file", "c.pem"),
    ("key_file", "k.pem"),
    ("client_ca_file", "ca.pem"),
    ("reload_interval", "24h"),
]
CLIENT_TLS = [
    *OF_BOTH_SIDES,
    ("insecure", True),
    ("insecure_skip_verify", True),
    ("server_name_override", "x"),
]
BLOCKS: dict[str, tuple[type[Any], dict[str, Any], list[tuple[str, Any]]]] = {
    "grpc server": (GrpcServerConfig, {"endpoint": "localhost:0"}, GRPC),
    "http server": (HttpServerConfig, {"endpoint": "localhost:0"}, HTTP),
    "tls server": (TlsServerConfig, TLS, SERVER_TLS),
    "tls client": (TlsClientConfig, {}, CLIENT_TLS),
}


def nested(path: str, value: Any) -> dict[str, Any]:
    """``a.b: 1`` as ``{a: {b: 1}}``."""
    first, _, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


@pytest.mark.parametrize(
    ("model", "options"),
    [
        pytest.param(model, {**required, **nested(path, value)}, id=f"{block}: {path}")
        for block, (model, required, rows) in BLOCKS.items()
        for path, value in rows
    ],
)
def test_an_option_of_the_collector_is_taken(model: type[Any], options: dict[str, Any]) -> None:
    model.model_validate(options)


@pytest.mark.parametrize("block", ["grpc server", "http server"])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"middlewares": [{"id": "limiter"}]}, "middlewares are not supported yet"),
        ({"tls": {**TLS, "tpm": {"enabled": True}}}, "keys in a TPM are not supported"),
    ],
    ids=["middlewares", "tpm"],
)
def test_what_airis_does_not_have_is_refused_never_ignored(block: str, options: dict[str, Any], reason: str) -> None:
    model, required, _ = BLOCKS[block]

    with pytest.raises(ValidationError, match=reason) as told:
        model.model_validate({**required, **options})

    assert told.value.errors()[0]["loc"][0] == next(iter(options))


@pytest.mark.parametrize("option", ["min_version", "max_version", "cipher_suites", "curve_preferences"])
def test_what_grpc_cannot_be_told_is_refused(option: str) -> None:
    value = {"min_version": "1.3", "max_version": "1.2"}.get(option) or {
        "cipher_suites": ["TLS_AES_128_GCM_SHA256"],
        "curve_preferences": ["P256"],
    }[option]

    with pytest.raises(ValidationError, match=f"tls::{option}: gRPC"):
        GrpcServerConfig.model_validate({"endpoint": "localhost:0", "tls": {**TLS, option: value}})


def test_grpc_is_told_what_it_can_be() -> None:
    options: dict[str, Any] = {"endpoint": "localhost:0"}
    for path, value in GRPC:
        first, _, rest = path.partition(".")
        if not rest:
            options[first] = value
        else:
            section, _, name = rest.partition(".")
            options.setdefault(first, {}).setdefault(section, {})[name] = value

    told = dict(GrpcServerConfig.model_validate(options).channel_arguments())

    assert told == {
        "grpc.max_receive_message_length": 16 * 1024 * 1024,
        "grpc.so_reuseport": 0,
        "grpc.max_concurrent_streams": 2**31 - 1,
        "grpc.max_connection_idle_ms": 11_000,
        "grpc.max_connection_age_ms": 12_000,
        "grpc.max_connection_age_grace_ms": 13_000,
        "grpc.keepalive_time_ms": 30_000,
        "grpc.keepalive_timeout_ms": 5_000,
        "grpc.http2.min_ping_interval_without_data_ms": 10_000,
        "grpc.keepalive_permit_without_calls": 1,
    }


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([{"name": "a", "value": "b"}, {"name": "a", "value": "c"}], '"a" is there twice'),
        ([{"name": "a"}], "name and value"),
        (["a"], "name and value"),
        ([{"name": "a b", "value": "c"}], "is not the name of a header"),
    ],
)
def test_response_headers_that_cannot_be_are_an_error(pairs: list[Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        HttpServerConfig.model_validate({"endpoint": "localhost:0", "response_headers": pairs})


@pytest.mark.parametrize(
    "written", [{"x-team": "a", "x-n": "5"}, [{"name": "x-team", "value": "a"}, {"name": "x-n", "value": "5"}]]
)
def test_response_headers_can_be_written_as_map_and_as_list(written: Any) -> None:
    config = HttpServerConfig.model_validate({"endpoint": "localhost:0", "response_headers": written})

    assert config.response_headers == {"x-team": "a", "x-n": "5"}
