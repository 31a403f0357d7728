"""Flows have the ids of the Community ID specification, and addresses are in their networks."""

import pytest

from tests.ottl.evaluating import is_refused_at_load, is_refused_on_the_item, value_of

IPV6_HOST, IPV6_OTHER = "2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a"

# The first are of the specification's own baseline, where it looks at ports as they are; ICMP is that of the Collector.
FLOWS = [
    ("TCP", "1.2.3.4", 1122, "5.6.7.8", 3344, 0, "1:wCb3OG7yAFWelaUydu0D+125CLM="),
    ("UDP", "1.2.3.4", 1122, "5.6.7.8", 3344, 0, "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg="),
    ("SCTP", "1.2.3.4", 1122, "5.6.7.8", 3344, 0, "1:EKt4MsxuyaE6mL+hmrEkQ9csDD8="),
    ("TCP", "1.2.3.4", 1122, "5.6.7.8", 3344, 1, "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk="),
    ("UDP", "1.2.3.4", 1122, "5.6.7.8", 3344, 1, "1:OShq+iKDAMVouh/4bMxB9Sz4amw="),
    ("SCTP", "1.2.3.4", 1122, "5.6.7.8", 3344, 1, "1:uitchpn5MMGAQKBJh7bIr/bAr7s="),
    ("TCP", "128.232.110.120", 34855, "66.35.250.204", 80, 0, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    ("TCP", "128.232.110.120", 34855, "66.35.250.204", 80, 1, "1:3V71V58M3Ksw/yuFALMcW0LAHvc="),
    ("UDP", "192.168.1.52", 54585, "8.8.8.8", 53, 0, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    ("UDP", "192.168.1.52", 54585, "8.8.8.8", 53, 1, "1:Q9We8WO3piVF8yEQBNJF4uiSVrI="),
    ("SCTP", "192.168.170.8", 7, "192.168.170.56", 7, 0, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
    ("TCP", IPV6_HOST, 63943, IPV6_OTHER, 25, 0, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="),
    ("TCP", IPV6_HOST, 63943, IPV6_OTHER, 25, 1, "1:eJYTW6AOzFLlSUoESovMjnu7rMw="),
    ("TCP", "1.2.3.4", 12345, "5.6.7.8", 80, 0, "1:0by3b/tE95hcOzccyt6d4kjgbZc="),
    ("UDP", "192.168.1.1", 53, "10.10.10.10", 53000, 0, "1:gQ05/45srnixHs8V/2ejpkxhBwg="),
    ("ICMP", "10.10.10.10", 53000, "192.168.1.1", 53, 0, "1:9TGPWejPFuBlKrHuVcM3iaA8hf8="),
    ("RSVP", "10.10.10.10", 53, "192.168.1.1", 53000, 0, "1:rkXhRghBvx2yf3zgDnSHuJ35XaY="),
    ("ICMP6", "192.168.1.1", 53, "10.10.10.10", 53000, 0, "1:bchQ2SAoVf2Iq1XdGBXObLJ2i64="),
    ("TCP", "2001:db8::1", 8080, "2001:db8::2", 443, 0, "1:c5m26SNBLmvfaBQJNWKXZwUGGcM="),
    ("TCP", "192.168.1.1", 12345, "192.168.1.2", 80, 1234, "1:v1n8p4IZW9jXIJnFANLbRU2ahdU="),
    ("TCP", "10.0.0.2", 80, "10.0.0.1", 12345, 0, "1:CpuULklTENbGdRpvp7gNcQd5ZqA="),
    ("TCP", "127.0.0.1", 8080, "127.0.0.1", 8080, 0, "1:sG2vk7rcZ12ZxPg+nnwljgdVEGw="),
    ("TCP", "2001:db8::1", 8080, "10.1.1.1", 443, 0, "1:T1e3va6jTSWaSKkG3k4dnZq5VM8="),
    ("TCP", "10.1.1.2", 8081, "10.1.1.2", 8080, 0, "1:3byUvmBpOu8KHoTRr4eN5AjTQEU="),
]


@pytest.mark.parametrize(("protocol", "source", "source_port", "destination", "port", "seed", "expected"), FLOWS)
def test_a_flow_has_its_id_in_both_directions(
    protocol: str, source: str, source_port: int, destination: str, port: int, seed: int, expected: str
) -> None:
    there = f'CommunityID("{source}", {source_port}, "{destination}", {port}, "{protocol}", {seed})'
    back = f'CommunityID("{destination}", {port}, "{source}", {source_port}, "{protocol}", seed={seed})'

    assert (value_of(there), value_of(back)) == (expected, expected)


def test_a_flow_is_of_tcp_where_no_protocol_is_given() -> None:
    expression = 'CommunityID(sourceIP=body, sourcePort=12345, destinationIP="5.6.7.8", destinationPort=80)'
    assert value_of(expression, "1.2.3.4") == "1:0by3b/tE95hcOzccyt6d4kjgbZc="


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ('CommunityID(body, 1, "1.2.3.4", 2)', "invalid source IP: 'no-ip'"),
        ('CommunityID("1.2.3.4", 1, body, 2)', "invalid destination IP: 'no-ip'"),
        ('CommunityID("1.2.3.4", 65536, "1.2.3.4", 2)', "source port is between 0 and 65535, not 65536"),
        ('CommunityID("1.2.3.4", 1, "1.2.3.4", -1)', "destination port is between 0 and 65535, not -1"),
        ('CommunityID("1.2.3.4", 1, "1.2.3.4", 2, body)', "unsupported protocol 'no-ip'"),
        ('CommunityID("1.2.3.4", 1, "1.2.3.4", 2, "TCP", 65536)', "seed is between 0 and 65535"),
        ('CommunityID("1.2.3.4", attributes["x"], "1.2.3.4", 2)', "expected int, not nil"),
        ('CommunityID(attributes["x"], 1, "1.2.3.4", 2)', "expected string, not nil"),
        ('CommunityID("fe80::1%eth0", 1, "1.2.3.4", 2)', "invalid source IP"),
    ],
)
def test_what_is_no_flow_has_no_id(expression: str, reason: str) -> None:
    is_refused_on_the_item(expression, reason, "no-ip")


@pytest.mark.parametrize(
    ("address", "networks", "expected"),
    [
        ("192.168.1.7", '["192.168.0.0/16"]', True),
        ("10.9.9.9", '["192.168.0.0/16", "10.0.0.0/8"]', True),
        ("11.9.9.9", '["192.168.0.0/16", "10.0.0.0/8"]', False),
        ("192.168.1.7", '["192.168.1.200/24"]', True),
        ("2001:db8::5", '["2001:db8::/32"]', True),
        ("2001:db9::5", '["2001:db8::/32", "10.0.0.0/8"]', False),
        ("::ffff:10.1.2.3", '["10.0.0.0/8"]', True),
        ("10.1.2.3", '["::ffff:10.0.0.0/104"]', True),
        ("10.1.2.3", '["0.0.0.0/0"]', True),
        ("10.1.2.3", '["::/0"]', False),
        ("no address", '["10.0.0.0/8"]', False),
        ("", '["10.0.0.0/8"]', False),
        ("fe80::1%eth0", '["fe80::/10"]', False),
        ("010.1.2.3", '["10.0.0.0/8"]', False),
        ("10.1.2.3", "[]", False),
        ("10.1.2.3", 'attributes["networks"]', True),
        ("10.1.2.3", '[attributes["network"]]', True),
        ("no address", 'attributes["wrong"]', False),
    ],
)
def test_an_address_is_in_a_network_or_not(address: str, networks: str, expected: bool) -> None:
    given = {"networks": ["10.0.0.0/8"], "network": "10.1.0.0/16", "wrong": ["10.0.0.0"]}
    assert value_of(f"IsInCIDR(body, {networks})", address, **given) is expected


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ('IsInCIDR(body, attributes["wrong"])', "'10.0.0.0' is no network such as 10.0.0.0/8"),
        ('IsInCIDR(body, attributes["x"])', "expected list, not nil"),
        ("IsInCIDR(body, [1, body])", "a network is a string, not int"),
        ('IsInCIDR(attributes["x"], ["10.0.0.0/8"])', "expected string, not nil"),
    ],
)
def test_networks_of_an_item_are_networks(expression: str, reason: str) -> None:
    is_refused_on_the_item(expression, reason, "10.1.2.3", wrong=["10.0.0.0"])


@pytest.mark.parametrize(
    ("expression", "reason", "marked"),
    [
        ('IsInCIDR(body, ["10.0.0.0/33"])', "'10.0.0.0/33' is no network", "IsInCIDR"),
        ('IsInCIDR(body, ["10.0.0.0"])', "'10.0.0.0' is no network", "IsInCIDR"),
        ('IsInCIDR(body, ["10.0.0.0/255.0.0.0"])', "is no network", "IsInCIDR"),
        ('IsInCIDR(body, ["fe80::%1/64"])', "is no network", "IsInCIDR"),
        ("IsInCIDR(body, [1])", "a network is a string, not int", "IsInCIDR"),
        ('IsInCIDR(body, "10.0.0.0/8")', "expected list, not string", '"10.0.0.0/8"'),
        ("IsInCIDR(body)", "needs networks", "IsInCIDR"),
        ('CommunityID("1.2.3.4", 1, "1.2.3.4", 2, "tcp")', "unsupported protocol 'tcp'; there is ICMP, TCP", "Comm"),
        ('CommunityID("1.2.3.4", "1", "1.2.3.4", 2)', "expected int, not string", '"1"'),
    ],
)
def test_what_is_wrong_for_every_item_is_said_at_load(expression: str, reason: str, marked: str) -> None:
    is_refused_at_load(expression, reason, marked)
