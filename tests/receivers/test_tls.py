"""TLS and mTLS from files, over both protocols, with clients that verify."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest

from airis.component import StartError
from airis.data import Signal

from ..certificates import Authority
from .conftest import SERVICES, Otlp, StartOtlp, request_of

REQUEST = request_of(Signal.TRACES)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def tls(authority: Authority, name: str = "server", **more: str) -> dict[str, Any]:
    """The section with a certificate of this name."""
    certificate, key = authority.sign(name)
    return {"tls": {"cert_file": str(certificate), "key_file": str(key), **more}}


async def over_grpc(otlp: Otlp, authority: Authority, client: tuple[Path, Path] | None = None) -> str:
    """The code of an export."""
    identity = [file.read_bytes() for file in reversed(client)] if client else [None, None]
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes(), *identity)
    async with grpc.aio.secure_channel(otlp.grpc_address, credentials) as channel:
        try:
            await channel.unary_unary(f"/{SERVICES[Signal.TRACES]}/Export")(REQUEST, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


async def over_http(otlp: Otlp, authority: Authority, client: tuple[Path, Path] | None = None) -> str:
    """OK, or UNAVAILABLE where there is no connection."""
    context = ssl.create_default_context(cafile=str(authority.file))
    if client:
        context.load_cert_chain(*client)
    headers = {"content-type": "application/x-protobuf"}
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(f"{otlp.url}/v1/traces", data=REQUEST, headers=headers, ssl=context) as reply:
                assert reply.status == 200
        except aiohttp.ClientError:
            return "UNAVAILABLE"
    return "OK"


def put_in_place(section: Mapping[str, Any], certificate: bytes, key: bytes) -> None:
    """Write new files where the server has the old ones."""
    Path(section["tls"]["cert_file"]).write_bytes(certificate)
    Path(section["tls"]["key_file"]).write_bytes(key)


SEND = {"grpc": over_grpc, "http": over_http}
Protocol = str


@pytest.fixture(params=["grpc", "http"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return str(request.param)


def options(protocol: Protocol, section: Mapping[str, Any]) -> dict[str, Any]:
    return {protocol: section}


async def test_a_client_that_trusts_the_authority_is_served(
    start_otlp: StartOtlp, authority: Authority, protocol: Protocol
) -> None:
    otlp = await start_otlp(**options(protocol, tls(authority)))

    assert await SEND[protocol](otlp, authority) == "OK"
    assert otlp.sink.items == 1


async def test_a_client_that_trusts_another_authority_is_not(
    start_otlp: StartOtlp, authority: Authority, protocol: Protocol, tmp_path: Path
) -> None:
    otlp = await start_otlp(**options(protocol, tls(authority)))

    assert await SEND[protocol](otlp, Authority(tmp_path / "other", "other")) == "UNAVAILABLE"
    assert otlp.sink.items == 0


async def test_mtls_takes_those_that_show_a_certificate_of_its_authority(
    start_otlp: StartOtlp, authority: Authority, protocol: Protocol, tmp_path: Path
) -> None:
    otlp = await start_otlp(**options(protocol, tls(authority, client_ca_file=str(authority.file))))

    assert await SEND[protocol](otlp, authority, authority.sign("client")) == "OK"
    assert await SEND[protocol](otlp, authority) == "UNAVAILABLE"
    assert await SEND[protocol](otlp, authority, Authority(tmp_path / "other", "other").sign("x")) == "UNAVAILABLE"
    assert otlp.sink.items == 1


async def test_a_new_certificate_is_used_after_the_reload_interval(
    start_otlp: StartOtlp, authority: Authority, protocol: Protocol, tmp_path: Path
) -> None:
    section = tls(authority, reload_interval="1ns")
    otlp = await start_otlp(**options(protocol, section))
    successor = Authority(tmp_path / "successor", "successor")
    put_in_place(section, *(file.read_bytes() for file in successor.sign("server")))

    assert await SEND[protocol](otlp, successor) == "OK"


async def test_a_new_certificate_that_cannot_be_used_leaves_the_old_one_in_place(
    start_otlp: StartOtlp, authority: Authority, protocol: Protocol
) -> None:
    section = tls(authority, reload_interval="1ns")
    otlp = await start_otlp(**options(protocol, section))
    put_in_place(section, b"half a fi", b"")

    assert await SEND[protocol](otlp, authority) == "OK"


@pytest.mark.parametrize("file", ["cert_file", "key_file", "client_ca_file"])
async def test_a_file_that_is_not_there_stops_the_start_and_is_named(
    start_otlp: StartOtlp, authority: Authority, protocol: Protocol, file: str
) -> None:
    section = tls(authority)
    section["tls"][file] = "/nowhere.pem"

    with pytest.raises(StartError, match=r"/nowhere\.pem: No such file") as told:
        await start_otlp(**options(protocol, section))
    assert told.value.option == f"protocols::{protocol}::tls::{file}"


async def test_a_key_of_another_certificate_stops_the_start(
    start_otlp: StartOtlp, authority: Authority, protocol: Protocol
) -> None:
    section = tls(authority)
    section["tls"]["key_file"] = str(authority.sign("other")[1])

    with pytest.raises(StartError, match="certificate and key cannot be used") as told:
        await start_otlp(**options(protocol, section))
    assert told.value.option == f"protocols::{protocol}::tls::cert_file"
