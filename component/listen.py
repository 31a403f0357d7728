"""Addresses to listen on: how an ``endpoint`` is written, and a bound socket or the reason why not."""

import errno
import ipaddress
import os
import socket
import stat
from pathlib import Path
from typing import Any, Literal

from airis.component.errors import StartError

Transport = Literal["tcp", "unix"]


def parse_endpoint(endpoint: str) -> tuple[str, int]:
    """Host and port of ``host:port``, ``[::1]:port`` or ``:port`` (every address); ValueError says what to write."""
    host, colon, port = endpoint.rpartition(":")
    if "://" in endpoint:
        raise ValueError(f'"{endpoint}" is a URL; write "{endpoint.partition("://")[2].partition("/")[0]}"')
    if endpoint.isascii() and endpoint.isdigit():
        raise ValueError(f'"{endpoint}" has no host; write "localhost:{endpoint}"')
    if endpoint.count(":") > 1 and not endpoint.startswith("["):
        raise ValueError(f'"{endpoint}": write an IPv6 address in brackets, as in "[::1]:4318"')
    if not colon or endpoint.endswith("]"):
        raise ValueError(f'"{endpoint}" has no port; write "{endpoint or "localhost"}:4318"')
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f'"{endpoint}": "{port}" is no port; write a number from 0 to 65535')
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host of an endpoint."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_wildcard(endpoint: str, transport: Transport) -> bool:
    """Whether the endpoint can be reached at every address of the machine."""
    return transport == "tcp" and parse_endpoint(endpoint)[0] in ("", "0.0.0.0", "::")


def address_of(sock: socket.socket) -> str:
    """What a client connects to: ``127.0.0.1:4318``, ``[::1]:4318``, or the path of a unix socket."""
    name: Any = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return str(name)
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def bind(endpoint: str, transport: Transport) -> socket.socket:
    """A bound socket that does not listen yet; raises StartError for the option ``endpoint``.

    A name is bound at its first IPv4 address, else at its first IPv6 address, as Go does: ``localhost`` is
    127.0.0.1. An empty host is every address of both families.
    """
    try:
        return _bind_unix(endpoint) if transport == "unix" else _bind_tcp(*parse_endpoint(endpoint))
    except (socket.gaierror, UnicodeError) as error:  # the latter for names that cannot be, such as "a..b"
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StartError(f'"{endpoint}": the host is not known: {reason}', "endpoint") from error
    except OSError as error:
        reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
        if transport == "unix" and error.errno == errno.EADDRINUSE:
            reason = "the path is taken; stop what listens there, or write another one"
        raise StartError(f'"{endpoint}": {reason}', "endpoint") from error


_REASONS = {
    errno.EADDRINUSE: "the port is taken; stop what listens there or write another one",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "not permitted; ports under 1024 and others' directories need rights",
}


def _bind_tcp(host: str, port: int) -> socket.socket:
    if not host:
        dual = socket.has_dualstack_ipv6()
        return _bound(socket.AF_INET6 if dual else socket.AF_INET, ("", port), dual_stack=dual)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return _bound(family, address)


def _bound(family: int, address: tuple[object, ...], *, dual_stack: bool = False) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # inherited: clients that vanished are noticed
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(path: str) -> socket.socket:
    """A socket left behind by a process that died is replaced, a live one is not."""
    if Path(path).exists() and stat.S_ISSOCK(os.stat(path).st_mode):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(path)
    except BaseException:
        sock.close()
        raise
    return sock
