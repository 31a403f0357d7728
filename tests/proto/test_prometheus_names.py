"""Names as Prometheus spells them."""

import pytest

from airis.proto.prometheus_names import family_name, label_name, labels


@pytest.mark.parametrize(
    ("name", "unit", "kind", "family"),
    [
        ("http.server.request.duration", "s", "histogram", "http_server_request_duration_seconds"),
        ("http.server.requests", "{request}", "counter", "http_server_requests_total"),
        ("requests_total", "", "counter", "requests_total"),
        ("total_requests", "", "counter", "requests_total"),
        ("system.cpu.utilization", "1", "gauge", "system_cpu_utilization_ratio"),
        ("system.cpu.utilization", "1", "counter", "system_cpu_utilization_total"),
        ("ratio.of", "1", "gauge", "of_ratio"),
        ("memory.bytes", "By", "gauge", "memory_bytes"),
        ("speed", "m/s", "gauge", "speed_meters_per_second"),
        ("rate", "By/min", "gauge", "rate_bytes_per_min"),
        ("rate", "/s", "gauge", "rate_per_second"),
        ("rate", "{x}/{y}", "gauge", "rate"),
        ("odd", "foo-bar", "gauge", "odd_foo_bar"),
        ("a  b--c", " ms ", "gauge", "a_b_c_milliseconds"),
        ("ns:rule", "", "gauge", "ns:rule"),
        ("1st", "", "gauge", "_1st"),
        ("üx", "", "gauge", "x"),
        ("", "", "gauge", ""),
        ("", "", "counter", "total"),
    ],
)
def test_families(name, unit, kind, family):
    assert family_name(name, unit, counter=kind == "counter", gauge=kind == "gauge") == family


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("http.route", "http_route"),
        ("A9_b", "A9_b"),
        ("9lives", "key_9lives"),
        ("_private", "key_private"),
        ("__reserved", "__reserved"),
        ("ü", "key_"),
        ("a-ü:b", "a___b"),
    ],
)
def test_label_names(key, name):
    assert label_name(key) == name


def test_values_of_keys_that_become_one_name_are_joined_in_the_order_of_the_keys():
    assert labels([("b", "3"), ("a_b", "2"), ("a.b", "1")], []) == [("a_b", "1;2"), ("b", "3")]


def test_a_derived_label_wins():
    assert labels([("job", "x"), ("z", "1")], [("job", "shop"), ("instance", "i")]) == [
        ("instance", "i"),
        ("job", "shop"),
        ("z", "1"),
    ]
