"""Regular expressions and grok patterns find what the Collector's documentation says."""

import pytest

from airis.ottl.functions.parsing.grok import Grok
from airis.ottl.functions.parsing.grok.definitions import DEFINITIONS
from tests.ottl.evaluating import is_refused_at_load, is_refused_on_the_item, value_of

PASSWD = "smith:pass123:1001:1000:J Smith,1234,(234)567-8910,(234)567-1098,email:/home/smith:/bin/sh"


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"^a=(?P<a>\\w+)\\s+c=(?P<c>\\w+)$", "a=b c=d", {"a": "b", "c": "d"}),
        (r"^a=(?P<a>\\w+)$", "a=b c=d", {}),
        (r"GIT_SHA=(?P<sha>\\w+)", "x GIT_SHA=abc1 y", {"sha": "abc1"}),
        ("(a)(?P<b>b)?(?<c>c)", "ac", {"b": "", "c": "c"}),
        ("(?P<a>é+)", "xéé", {"a": "éé"}),
        (
            r"^(?P<timestamp>\\w+ \\w+ [0-9]+:[0-9]+:[0-9]+) (?P<hostname>([A-Za-z0-9-_]+)) (?P<process>\\w+)"
            r"(\\[(?P<pid>\\d+)\\])?: (?P<message>.*)$",
            "Jul 29 10:11:12 host sshd[44]: Connection closed",
            {
                "timestamp": "Jul 29 10:11:12",
                "hostname": "host",
                "process": "sshd",
                "pid": "44",
                "message": "Connection closed",
            },
        ),
    ],
)
def test_named_groups_are_extracted(pattern: str, text: str, expected: dict[str, str]) -> None:
    assert value_of(f'ExtractPatterns(body, "{pattern}")', text) == expected
    grok = value_of(f'ExtractGrokPatterns(body, "{pattern}")', text)
    assert grok == {name: found for name, found in expected.items() if found}


def test_a_pattern_can_come_with_the_item() -> None:
    given = {"regex": "(?P<x>b+)", "grok": "%{INT:n:int}"}
    assert value_of('ExtractPatterns(body, attributes["regex"])', "abb", **given) == {"x": "bb"}
    assert value_of('ExtractGrokPatterns(body, attributes["grok"])', "ab 7", **given) == {"n": 7}


@pytest.mark.parametrize(
    ("arguments", "text", "expected"),
    [
        (
            '"%{URI}"',
            "http://user:password@example.com:80/path?query=string",
            {
                "URI": "http://user:password@example.com:80/path?query=string",
                "URIPROTO": "http",
                "USER": "user",
                "USERNAME": "user",
                "URIHOST": "example.com:80",
                "IPORHOST": "example.com",
                "HOSTNAME": "example.com",
                "POSINT": "80",
                "URIPATH": "/path",
                "URIQUERY": "query=string",
            },
        ),
        (
            '"%{ELB_URI}", true',
            "http://user:password@example.com:80/path?query=string",
            {
                "url.scheme": "http",
                "url.username": "user",
                "url.domain": "example.com",
                "url.port": 80,
                "url.path": "/path",
                "url.query": "query=string",
            },
        ),
        (
            '"%{DATESTAMP:timestamp} %{TZ:event.timezone} %{DATA:user.name} '
            '%{GREEDYDATA:postgresql.log.connection_id} %{POSINT:process.pid:int}", true',
            "2024-06-18 12:34:56 UTC johndoe 12345 67890",
            {
                "timestamp": "24-06-18 12:34:56",
                "event.timezone": "UTC",
                "user.name": "johndoe",
                "postgresql.log.connection_id": "12345",
                "process.pid": 67890,
            },
        ),
        (
            '"%{MYPATTERN}", true, ["MYPATTERN=%{MYDATE:timestamp} otel", "MYDATE=%{DATE}[- ]%{TIME}"]',
            "2024-06-18 12:34:56 otel",
            {"timestamp": "24-06-18 12:34:56"},
        ),
        (
            '"%{USERNAME:user.name}:%{PASSWORD:user.password}:%{USERINFO}", namedCapturesOnly=true, '
            'patternDefinitions=["PASSWORD=%{WORD}", "USERINFO=%{GREEDYDATA}"]',
            PASSWD,
            {"user.name": "smith", "user.password": "pass123"},
        ),
        ('"%{NUMBER:a:double} %{NUMBER:b:float}", true', "1.5 2", {"a": 1.5, "b": 2.0}),
        ('"%{INT:a:long} %{BOOL:b:bool} %{WORD:c:string}", true', "-7 true x", {"a": -7, "b": True, "c": "x"}),
        ('"%{WORD:a}", true, ["WORD=[0-9]+"]', "ab12", {"a": "12"}),
        ('"%{WORD:a}( %{INT:b})?", true', "ab", {"a": "ab"}),
        ('"%{INT}"', "none", {}),
    ],
)
def test_grok_patterns_find_what_they_name(arguments: str, text: str, expected: dict[str, object]) -> None:
    assert value_of(f"ExtractGrokPatterns(body, {arguments})", text) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("IPV6", "2001:db8::8a2e:370:7334", "2001:db8::8a2e:370:7334"),
        ("IPV6", "::1", "::1"),
        ("IPV6", "::ffff:192.168.1.1", "::ffff:192.168.1.1"),
        ("IPV6", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("IPV6", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:1.2.3.4"),
        ("IPV6", "1::5:6:7:8", "1::5:6:7:8"),
        ("IPV6", "1:2:3:4:5::1.2.3.4", "1:2:3:4:5::1.2.3.4"),
        ("IPV6", "fe80::1%eth0", "fe80::1%eth0"),
        ("IPV4", "x 255.249.199.099 y", "255.249.199.099"),
        ("HOSTNAME", "-a-b.example.com", "a-b.example.com"),
        ("EMAILADDRESS", "to first.last@example.com", "first.last@example.com"),
        ("MAC", "0123.4567.89ab", "0123.4567.89ab"),
        ("MAC", "01-23-45-67-89-ab", "01-23-45-67-89-ab"),
        ("MAC", "01:23:45:67:89:ab", "01:23:45:67:89:ab"),
        ("UUID", "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"),
        ("URN", "urn:ietf:rfc:2648", "urn:ietf:rfc:2648"),
        ("QUOTEDSTRING", r'x "a \"b\" c" y', r'"a \"b\" c"'),
        ("QS", "'it'", "'it'"),
        ("BASE10NUM", "-0.123", "-0.123"),
        ("BASE16NUM", "-0x1A2b3c", "-0x1A2b3c"),
        ("BASE16FLOAT", "0x1.a2b3", "0x1.a2b3"),
        ("UNIXPATH", "in /var/log/x.log", "/var/log/x.log"),
        ("WINPATH", r"C:\Windows\x", r"C:\Windows\x"),
        ("TTY", "/dev/pts/3", "/dev/pts/3"),
        ("TIMESTAMP_ISO8601", "2024-01-02T03:04:05.678+01:00", "2024-01-02T03:04:05.678+01:00"),
        ("DATESTAMP_RFC2822", "Mon, 15 Jan 2024 10:11:12 +0100", "Mon, 15 Jan 2024 10:11:12 +0100"),
        ("HTTPDATE", "10/Oct/2000:13:55:36 -0700", "10/Oct/2000:13:55:36 -0700"),
        ("SYSLOGTIMESTAMP", "Oct  1 13:55:36", "Oct  1 13:55:36"),
        ("LOGLEVEL", "an ERROR here", "ERROR"),
        ("JAVACLASS", "org.example.Shop$Cart", "org.example.Shop$Cart"),
        ("MAVEN_VERSION", "1.2.3-SNAPSHOT", "1.2.3-SNAPSHOT"),
    ],
)
def test_a_pattern_of_the_default_set_finds_its_text(pattern: str, text: str, expected: str) -> None:
    assert Grok(f"%{{{pattern}:it}}", {}, True).parse(text)["it"] == expected


APACHE = (
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326 '
    '"http://example.com/start" "Mozilla/4.08"'
)
HAPROXY = (
    "Feb  6 12:14:14 localhost haproxy[14389]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 "
    '10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1"'
)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (
            "COMBINEDAPACHELOG",
            APACHE,
            {"source.address": "127.0.0.1", "user.name": "frank", "http.response.status_code": 200},
        ),
        (
            "HAPROXYHTTP",
            HAPROXY,
            {
                "source.port": 33317,
                "haproxy.server_name": "srv1",
                "haproxy.connections.retries": 0,
                "url.path": "/index.html",
            },
        ),
        (
            "SYSLOG5424LINE",
            "<34>1 2003-10-11T22:14:15.003Z mymachine su - ID47 - 'su root' failed",
            {"log.syslog.priority": 34, "host.name": "mymachine", "event.code": "ID47", "message": "'su root' failed"},
        ),
        (
            "SYSLOGLINE",
            "Oct  1 13:55:36 host sshd[44]: closed",
            {"host.name": "host", "message": "closed"},
        ),
        (
            "CISCOFW106015",
            "Deny TCP (no connection) from 192.168.150.65/2278 to 64.101.128.83/80 flags RST on interface inside",
            {"cisco.asa.outcome": "Deny", "source.port": 2278, "observer.egress.interface.name": "inside"},
        ),
        (
            "CISCOFW302013_302014_302015_302016",
            "Built outbound TCP connection 447235 for outside:192.168.12.11/80 (192.168.12.11/80) to "
            "dmz:192.168.3.4/4711 (192.168.3.4/4711)",
            {"cisco.asa.connection_id": "447235", "source.nat.port": 80, "destination.port": 4711},
        ),
        (
            "IPTABLES",
            "IN=eth0 OUT= MAC=00:11:22:33:44:55:66:77:88:99:aa:bb:08:00 SRC=10.0.0.1 DST=10.0.0.2 LEN=60 TOS=0x00 "
            "PREC=0x00 TTL=63 ID=1 DF PROTO=TCP SPT=1 DPT=22 WINDOW=29200 RES=0x00 SYN URGP=0",
            {"source.mac": "66:77:88:99:aa:bb", "source.address": "10.0.0.1", "destination.port": 22},
        ),
        (
            "BIND9",
            "17-Feb-2018 23:06:56.326 queries: info: client @0x7f 172.26.0.1#12345 (test.example.com): query: "
            "test.example.com IN A +E(0)K (172.26.0.3)",
            {"client.port": 12345, "dns.question.type": "A", "server.address": "172.26.0.3"},
        ),
        (
            "CATALINALOG",
            "31-Jul-2020 16:40:38 SEVERE [main] org.apache.Catalina.start failed",
            {"log.level": "SEVERE", "java.log.origin.thread.name": "main", "log.origin.function": "start"},
        ),
        (
            "REDISMONLOG",
            '1470637925.186681 [0 127.0.0.1:39404] "rpush" "my:key" "v"',
            {"redis.command.name": "rpush", "client.port": 39404},
        ),
        (
            "RUBY_LOGGER",
            "I, [2012-01-01T00:00:00.000000 #13] INFO -- app: hello",
            {"process.pid": 13, "log.level": "INFO", "message": "hello"},
        ),
        (
            "SQUID3",
            "1525344856.899  16867 10.170.72.111 TCP_TUNNEL/200 6256 CONNECT logs.example.com:443 - "
            "HIER_DIRECT/10.0.0.9 -",
            {"squid.request.duration": 16867, "http.response.bytes": 6256, "destination.address": "10.0.0.9"},
        ),
        (
            "BRO_CONN",
            "1541001600.58\tCysamB3\t192.168.1.1\t1111\t8.8.8.8\t53\tudp\tdns\t0.001\t33\t-\tSHR\tT\tF\t0\tCd\t1\t2\t3\t4\t(empty)",
            {"network.transport": "udp", "zeek.connection.local_resp": "F", "destination.bytes": 4},
        ),
        (
            "EXIM",
            "2010-09-13 05:00:13 [1487] 1OvHpA-0000bT-Id <= me@example.com H=(mx.example.com) [10.0.0.1] P=esmtp "
            'S=3046 id=1@x T="a \\"b\\"" for you@example.com',
            {"process.pid": 1487, "exim.log.flags": "<=", "exim.log.message.body.size": 3046},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isupper() else "",
)
def test_a_pattern_of_a_program_finds_the_fields_of_its_log(
    pattern: str, text: str, expected: dict[str, object]
) -> None:
    found = Grok(f"%{{{pattern}}}", {}, True).parse(text)
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_pattern_can_be_compiled(name: str) -> None:
    assert Grok(f"%{{{name}:it}}", {}, True).has_names


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ('ExtractPatterns(body, "(")', "'(' is no regular expression"),
        ('ExtractPatterns(body, "(.*)")', "has no group with a name"),
        ('ExtractPatterns(body, "(?=a)(?P<b>b)")', "is no regular expression"),
        ('ExtractGrokPatterns(body, "(")', "is no regular expression"),
        ('ExtractGrokPatterns(body, "%{NOTHING}")', "there is no grok pattern NOTHING"),
        ('ExtractGrokPatterns(body, "%{WORD}", true)', "names nothing; write %{PATTERN:name}"),
        ('ExtractGrokPatterns(body, "%{A}", false, ["A=%{A}x"])', "does one need itself?"),
        ('ExtractGrokPatterns(body, "%{A}", false, ["A=%{B}", "B=%{A}"])', "does one need itself?"),
        ('ExtractGrokPatterns(body, "%{A}", false, ["A=%{A}%{A}"])', "characters when it is expanded"),
        ('ExtractGrokPatterns(body, "%{A}", false, ["A:B=x"])', "has no \":\", as 'A:B' has"),
        ('ExtractGrokPatterns(body, "%{A}", false, ["no definition, and a long one"])', "'no definition, an...'"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_said_at_load(expression: str, reason: str) -> None:
    is_refused_at_load(expression, reason, "Extract")


@pytest.mark.parametrize(
    ("expression", "reason", "body"),
    [
        ('ExtractPatterns(body, "(?P<a>a)")', "expected string, not nil", None),
        ('ExtractPatterns(body, "(?P<a>a)")', "expected string, not int", 1),
        ('ExtractPatterns("a", body)', "'(' is no regular expression", "("),
        ('ExtractPatterns("a", body)', "has no group with a name", "a"),
        ('ExtractGrokPatterns(body, "%{INT}")', "expected string, not nil", None),
        ('ExtractGrokPatterns(body, "%{INT}")', "expected string, not int", 1),
        ('ExtractGrokPatterns("a", body)', "there is no grok pattern X", "%{X}"),
        ('ExtractGrokPatterns(body, "%{WORD:a:int}")', "a: 'ab' is no int", "ab"),
        ('ExtractGrokPatterns(body, "%{WORD:a:bool}")', "a: 'ab' is no bool", "ab"),
        ('ExtractGrokPatterns(body, "%{WORD:a:float}")', "a: 'ab' is no float", "ab"),
        ('ExtractGrokPatterns(body, "%{WORD:a:time}")', "a has the type 'time'; there is int", "ab"),
    ],
)
def test_what_an_item_does_not_have_is_said(expression: str, reason: str, body: object) -> None:
    is_refused_on_the_item(expression, reason, body)  # type: ignore[arg-type]
