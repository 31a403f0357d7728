"""The ``tls`` sections over real handshakes: who is trusted, what is negotiated, what is read again."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from airis.component import StartError, Telemetry
from airis.component.http import HttpServer, HttpServerConfig, answer
from airis.component.tls import TlsClientConfig, TlsServerConfig, server_context

from ..certificates import Authority


async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
    await answer(send, 200, b"hello")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def files(authority: Authority, name: str = "server", **more: Any) -> dict[str, Any]:
    """A section with a certificate of this name."""
    certificate, key = authority.sign(name)
    return {"cert_file": str(certificate), "key_file": str(key), **more}


Serve = Callable[..., Awaitable[HttpServer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """A server with this section."""
    async with AsyncExitStack() as stack:

        async def serve(section: dict[str, Any]) -> HttpServer:
            config = HttpServerConfig.model_validate({"endpoint": "localhost:0", "tls": section})
            server = HttpServer(hello, config, Telemetry("extension", "test"))
            await server.start()
            stack.push_async_callback(server.shutdown, 0)
            return server

        yield serve


async def connect(port: int, context: ssl.SSLContext) -> tuple[str, Any]:
    """TLS version and cipher, after an answer has come."""
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    try:
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        session: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return str(session.version()), session.cipher()
    finally:
        writer.close()


def client(authority: Authority, **options: Any) -> ssl.SSLContext:
    return TlsClientConfig.model_validate({"ca_file": str(authority.file), **options}).context()


REFUSED = (ssl.SSLError, ConnectionError, AssertionError)
"""A server that refuses says so in the handshake, or closes what it had begun."""


async def test_a_client_trusts_the_authorities_that_it_is_given(serve: Serve, authority: Authority) -> None:
    server = await serve(files(authority))

    assert (await connect(server.port, client(authority)))[0] == "TLSv1.3"
    as_text = TlsClientConfig(ca_pem=authority.file.read_text()).context()
    assert (await connect(server.port, as_text))[0] == "TLSv1.3"


def test_a_client_with_an_authority_of_its_own_trusts_no_other(authority: Authority) -> None:
    (own,) = client(authority).get_ca_certs()

    assert dict(pair for (pair,) in own["subject"])["commonName"] == "test authority"


def test_a_client_may_trust_those_of_the_system_as_well(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path / "system", "system").file))

    both = client(authority, include_system_ca_certs_pool=True).get_ca_certs()
    system = TlsClientConfig().context().get_ca_certs()

    assert (len(both), len(system)) == (2, 1)


async def test_certificate_and_key_can_be_in_the_configuration(serve: Serve, authority: Authority) -> None:
    certificate, key = authority.sign("server")
    section = {"cert_pem": certificate.read_text(), "key_pem": key.read_text(), "client_ca_file": str(authority.file)}
    server = await serve(section)
    own_certificate, own_key = authority.sign("client")

    own = {"cert_pem": own_certificate.read_text(), "key_pem": own_key.read_text()}

    assert (await connect(server.port, client(authority, **own)))[0] == "TLSv1.3"
    assert "PRIVATE" not in repr(TlsClientConfig.model_validate(own))


@pytest.mark.parametrize(
    ("version", "negotiated"), [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3"), ("", "TLSv1.3")], ids=["1.2", "1.3", "newest"]
)
async def test_the_newest_version_can_be_limited(
    serve: Serve, authority: Authority, version: str, negotiated: str
) -> None:
    server = await serve(files(authority, max_version=version))

    assert (await connect(server.port, client(authority)))[0] == negotiated


async def test_cipher_suites_can_be_chosen_on_either_side(serve: Serve, authority: Authority) -> None:
    name = "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"
    one = await serve(files(authority, max_version="1.2", cipher_suites=[name, "TLS_AES_128_GCM_SHA256"]))
    any_ = await serve(files(authority))

    assert (await connect(one.port, client(authority, cipher_suites=[name])))[1][0] == "ECDHE-ECDSA-AES256-SHA"
    mine = client(authority, max_version="1.2", cipher_suites=["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"])
    assert (await connect(any_.port, mine))[1][0] == "ECDHE-ECDSA-AES128-GCM-SHA256"


async def test_with_suites_of_1_3_alone_nothing_older_is_spoken(serve: Serve, authority: Authority) -> None:
    server = await serve(files(authority, cipher_suites=["TLS_AES_128_GCM_SHA256"]))

    assert (await connect(server.port, client(authority)))[0] == "TLSv1.3"
    with pytest.raises(REFUSED):
        await connect(server.port, client(authority, max_version="1.2"))


@pytest.mark.parametrize(("of_server", "of_client", "fits"), [("P384", "P384", True), ("P384", "X25519", False)])
async def test_the_curve_can_be_chosen(
    serve: Serve, authority: Authority, of_server: str, of_client: str, fits: bool
) -> None:
    server = await serve(files(authority, curve_preferences=[of_server]))
    context = client(authority, curve_preferences=[of_client])

    if fits:
        await connect(server.port, context)
    else:
        with pytest.raises(REFUSED):
            await connect(server.port, context)


async def handshake(context: ssl.SSLContext, with_client: ssl.SSLContext) -> bool:
    """Whether the two contexts come to terms, client certificate included."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        writer.close()

    server = await asyncio.start_server(serve, "localhost", 0, ssl=context)
    async with server:
        try:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("localhost", port, ssl=with_client)
            line = await reader.readline()
            writer.close()
            return line == b"hello\n"
        except (ssl.SSLError, ConnectionError):
            return False


def telemetry() -> Telemetry:
    return Telemetry("extension", "test")


async def test_clients_are_still_verified_after_the_certificate_was_read_again(authority: Authority) -> None:
    clock = Clock()
    section = files(authority, client_ca_file=str(authority.file), reload_interval="1m")
    context = server_context(TlsServerConfig.model_validate(section), telemetry(), clock)
    identity = files(authority, "client")
    known, unknown = client(authority, **identity), client(authority)

    for _ in range(2):
        assert await handshake(context, known)
        assert not await handshake(context, unknown)
        clock.now += 60


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "not watched"])
async def test_a_changed_file_of_client_authorities_is_read_where_that_is_asked_for(
    authority: Authority, tmp_path: Path, watched: bool
) -> None:
    clock = Clock()
    others = Authority(tmp_path / "others", "others")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    section = files(authority, client_ca_file=str(trusted), client_ca_file_reload=watched)
    context = server_context(TlsServerConfig.model_validate(section), telemetry(), clock)
    stranger = client(authority, **files(others, "stranger"))
    assert not await handshake(context, stranger)

    trusted.write_bytes(others.file.read_bytes())
    clock.now += 1

    assert await handshake(context, stranger) is watched


async def test_a_file_of_client_authorities_that_cannot_be_read_leaves_the_old_ones(
    authority: Authority, tmp_path: Path
) -> None:
    clock = Clock()
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    section = files(authority, client_ca_file=str(trusted), client_ca_file_reload=True)
    context = server_context(TlsServerConfig.model_validate(section), telemetry(), clock)

    trusted.write_text("half a fi")
    clock.now += 1

    assert await handshake(context, client(authority, **files(authority, "client")))


CERTIFICATE = {"cert_file": "c.pem", "key_file": "k.pem"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tpm": {"enabled": True, "path": "/dev/tpmrm0"}}, "keys in a TPM are not supported"),
        ({"curve_preferences": ["P256", "P384"]}, "one curve only"),
        ({"curve_preferences": ["P192"]}, 'curve "P192" is not known'),
        ({"cipher_suites": ["TLS_RSA_WITH_RC4_128_SHA"]}, "is not known"),
        ({"include_insecure_cipher_suites": True}, "insecure cipher suites are not offered"),
        ({"min_version": "1.3", "max_version": "1.2"}, "is under min_version"),
        ({"min_version": "1.1"}, "'1.2' or '1.3'"),
        ({"ca_file": "a", "ca_pem": "b"}, "either ca_file or ca_pem"),
    ],
)
@pytest.mark.parametrize("side", [TlsServerConfig, TlsClientConfig], ids=["server", "client"])
def test_what_cannot_be_done_is_an_error(side: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        side.model_validate({**CERTIFICATE, **options})


@pytest.mark.skipif(ssl.OPENSSL_VERSION_INFO >= (3, 5), reason="this OpenSSL has them all")
def test_a_curve_that_openssl_does_not_have_is_an_error() -> None:
    with pytest.raises(ValidationError, match="this OpenSSL does not have it"):
        TlsClientConfig.model_validate({"curve_preferences": ["X25519MLKEM768"]})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "needs either cert_file or cert_pem"),
        ({**CERTIFICATE, "cert_pem": "x"}, "needs either cert_file or cert_pem"),
        ({**CERTIFICATE, "client_ca_file_reload": True}, "names no file to read again"),
    ],
)
def test_a_server_needs_one_certificate(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TlsServerConfig.model_validate(options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"cert_file": "c.pem"}, "go together"),
        ({"cert_file": "c", "key_file": "k", "key_pem": "p"}, "either key_file or key_pem"),
        ({"reload_interval": "1h"}, "of a client is read once"),
    ],
)
def test_a_client_has_certificate_and_key_or_none(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TlsClientConfig.model_validate(options)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"ca_file": "/nowhere.pem"}, "tls::ca_file"),
        ({"ca_pem": "half a fi"}, "tls::ca_pem"),
        ({"cert_file": "/nowhere.pem", "key_file": "/nowhere.pem"}, "tls::cert_file"),
        ({"cert_pem": "half a fi", "key_pem": "x"}, "tls::cert_pem"),
    ],
)
def test_a_client_that_cannot_be_says_which_option(options: dict[str, Any], option: str) -> None:
    config = TlsClientConfig.model_validate(options)

    with pytest.raises(StartError) as told:
        config.context()

    assert told.value.option == option
