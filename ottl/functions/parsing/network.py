"""What is asked of addresses.

Sources: the Community ID flow hashing specification, version 1 (https://github.com/corelight/community-id-spec), with
ports as they are given, so also for ICMP, as the Collector has it; RFC 4632 and RFC 4291 for networks.
"""

import base64
import hashlib
import ipaddress
import re
import struct
from typing import Any

from airis.ottl.arguments import Constant, IntGetter, ListGetter, StringGetter
from airis.ottl.registry import Converter, Functions
from airis.ottl.values import EvaluationError, type_name

NETWORK = Functions()

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "RSVP": 46, "ICMP6": 58, "SCTP": 132}
_CIDR = re.compile(r"([^/%]+)/([0-9]{1,3})", re.ASCII)


def address(text: str) -> Address | None:
    """An address without a zone, one of IPv4 that is written as IPv6 as the former; None for what is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            return None
        return found.ipv4_mapped or found
    return found


def network(text: str) -> Network:
    """Of an address and a length, whatever its other bits; ValueError for what is none."""
    found = _CIDR.fullmatch(text)
    try:
        if found is None or (":" in text and address(found[1]) is None):
            raise ValueError
        made = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!a} is no network such as 10.0.0.0/8") from None
    if isinstance(made, ipaddress.IPv6Network) and made.prefixlen >= 96:
        mapped = made.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.ip_network((mapped, made.prefixlen - 96))
    return made


def _holds(networks: list[Network], found: Address) -> bool:
    return any(found.version == one.version and found in one for one in networks)


def _networks(values: Any) -> list[Network]:
    """ValueError for what is no list of networks."""
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"a network is a string, not {type_name(value)}")
    return [network(value) for value in values]


@NETWORK.declare("IsInCIDR")
def is_in_cidr(target: StringGetter, networks: ListGetter) -> Converter:
    """Whether an address is in one of the networks; false for a text that is no address."""
    written = _networks(networks.value) if isinstance(networks, Constant) else None

    def test(here: Any) -> bool:
        found = address(target(here))
        if found is None:
            return False
        if written is not None:
            return _holds(written, found)
        try:
            return _holds(_networks(networks(here)), found)
        except ValueError as error:
            raise EvaluationError(str(error)) from error

    return test


def _needed_address(text: str, what: str) -> bytes:
    found = address(text)
    if found is None:
        raise EvaluationError(f"invalid {what} IP: {text!a}")
    return found.packed


def _in_two_bytes(number: int, what: str) -> int:
    if not 0 <= number < 1 << 16:
        raise EvaluationError(f"{what} is between 0 and 65535, not {number}")
    return number


def flow_hash(ends: tuple[tuple[bytes, int], tuple[bytes, int]], protocol: int, seed: int) -> str:
    """The Community ID of a flow between two addresses with their ports, the same in both directions."""
    (source, source_port), (destination, destination_port) = sorted(ends, key=lambda end: (len(end[0]), *end))
    tail = struct.pack(">BBHH", protocol, 0, source_port, destination_port)
    flow = struct.pack(">H", seed) + source + destination + tail
    return "1:" + base64.b64encode(hashlib.sha1(flow, usedforsecurity=False).digest()).decode()


@NETWORK.declare("CommunityID")
def community_id(
    source_ip: StringGetter,
    source_port: IntGetter,
    destination_ip: StringGetter,
    destination_port: IntGetter,
    protocol: StringGetter | None = None,
    seed: IntGetter | None = None,
) -> Converter:
    """The Community ID of a flow (version 1), the same in both directions."""
    if isinstance(protocol, Constant) and protocol.value not in _PROTOCOLS:
        raise ValueError(f"unsupported protocol {protocol.value!a}; there is {', '.join(_PROTOCOLS)}")

    def get(here: Any) -> str:
        source = _needed_address(source_ip(here), "source")
        destination = _needed_address(destination_ip(here), "destination")
        ports = (
            _in_two_bytes(source_port(here), "source port"),
            _in_two_bytes(destination_port(here), "destination port"),
        )
        name = "TCP" if protocol is None else protocol(here)
        if name not in _PROTOCOLS:
            raise EvaluationError(f"unsupported protocol {name!a}")
        start = 0 if seed is None else _in_two_bytes(seed(here), "seed")
        return flow_hash(((source, ports[0]), (destination, ports[1])), _PROTOCOLS[name], start)

    return get
