"""Where a configuration is read from, and what is said of what cannot be."""

import errno
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airis.component.config import plain
from airis.config import Problem, Sources, providers
from airis.config.decode import raw
from airis.config.errors import Mark
from airis.config.providers import MAX_BYTES
from airis.config.sources import Resolved, default_text, resolve

from ..certificates import Authority
from .nodes import nodes

FOLDER = Path(__file__).parent / "testdata" / "sources"
BASE, PRODUCTION = f"{FOLDER}/base.yaml", f"{FOLDER}/production.yaml"


def resolved(*configs: str, sets: tuple[str, ...] = (), **environment: str) -> Resolved:
    problems: list[Problem] = []
    found = resolve(Sources(configs, sets), environment, problems, [])
    assert problems == []
    return found


def values(*configs: str, sets: tuple[str, ...] = (), **environment: str) -> Any:
    return plain(raw(resolved(*configs, sets=sets, **environment).root))


def said(*configs: str, sets: tuple[str, ...] = (), **environment: str) -> list[str]:
    problems: list[Problem] = []
    resolve(Sources(configs, sets), environment, problems, [])
    return list(map(str, problems))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("yaml:exporters::debug::verbosity: detailed", {"exporters": {"debug": {"verbosity": "detailed"}}}),
        ("yaml:exporters::otlp/a::timeout: 2s", {"exporters": {"otlp/a": {"timeout": "2s"}}}),
        ("yaml:exporters: {debug: }", {"exporters": {"debug": None}}),
        ("yaml:{exporters: {debug: }}", {"exporters": {"debug": None}}),
        ("yaml:a: 1\nb: 2", {"a": 1, "b": 2}),
        ("yaml:a: ${env:X}", {"a": 12}),
        ("yaml:", {}),
        ("env:CONFIG", {"a": {"b": "12"}, "c": 12}),
        ("env:NOTHING", {}),
        ("env:UNSET:-{a: 1}", {"a": 1}),
    ],
)
def test_a_configuration_can_stand_in_a_word(config: str, expected: Any) -> None:
    assert values(config, CONFIG="a::b: '12'\nc: ${env:X}", X="12", NOTHING="") == expected


@pytest.mark.parametrize(
    ("form", "title"),
    [("{}", "{}"), ("file:{}", "{}"), ("file://{}", "//{}")],
    ids=["path", "scheme", "uri"],
)
def test_a_configuration_can_be_a_file(form: str, title: str) -> None:
    found = resolved(form.format(BASE))

    assert nodes(found.root)["exporters", "debug"].mark.source == title.format(BASE)
    assert found.title == title.format(BASE)
    assert found.texts == {title.format(BASE): Path(BASE).read_text()}
    assert found.files == (Path(title.format(BASE)),)


def test_a_byte_order_mark_is_not_part_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")

    assert values(f"{tmp_path}/a.yaml") == {"a": 1, "b": 2}


def test_a_folder_stands_for_its_yaml_in_the_order_of_names() -> None:
    folder = FOLDER / "conf.d"
    found = resolved(str(folder))

    assert plain(raw(found.root)) == {
        "receivers": {"otlp": {"protocols": {"grpc": None}}},
        "exporters": {"debug": {"verbosity": "detailed"}},
    }
    assert found.files == (folder, folder / "10-receivers.yaml", folder / "20-exporters.yml")
    assert found.title == str(folder)
    assert list(found.texts) == [f"{folder}/10-receivers.yaml", f"{folder}/20-exporters.yml"]


def test_later_sources_are_laid_upon_earlier_ones_and_settings_upon_all() -> None:
    environment = {"VERBOSITY": "normal", "DIRECTORY": "/tmp"}
    found = values(BASE, PRODUCTION, sets=("exporters.debug.verbosity=detailed",), **environment)

    assert found == {
        "receivers": {"otlp": {"protocols": {"grpc": None, "http": None}}},
        "exporters": {"debug": {"verbosity": "detailed"}, "file": {"path": "/tmp/traces"}},
        "service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["debug", "file"]}}},
    }


def test_what_is_replaced_is_not_looked_up() -> None:
    problems: list[Problem] = []
    warnings: list[Problem] = []

    resolve(Sources(("yaml:{a: '${env:UNSET}', b: '${file:/nowhere}'}",), ("a=1", "b=2")), {}, problems, warnings)

    assert problems == warnings == []


def test_everything_says_in_which_source_it_is_written() -> None:
    environment = {"VERBOSITY": "normal", "DIRECTORY": "/tmp"}
    root = resolved(BASE, PRODUCTION, sets=("exporters.debug.verbosity=detailed",), **environment).root

    assert nodes(root)["receivers", "otlp"].mark == Mark(BASE, 3, 5)
    assert nodes(root)["exporters", "file", "path"].mark == Mark(PRODUCTION, 3, 16)
    assert nodes(root)["exporters", "debug", "verbosity"].mark == Mark("--set exporters.debug.verbosity", 1, 27)
    assert not any(node.substituted for path, node in nodes(root).items() if "verbosity" in path)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("a=1", {"a": 1}),
        ("a.b.c=value", {"a": {"b": {"c": "value"}}}),
        ("a::b=value", {"a": {"b": "value"}}),
        (" a.b = value ", {"a": {"b": "value"}}),
        ("a.otlp/x.b=0777", {"a": {"otlp/x": {"b": 511}}}),
        ("a='0777'", {"a": "0777"}),
        ("a=", {"a": None}),
        ("a=b=c", {"a": "b=c"}),
        ("a=[b, 1]", {"a": ["b", 1]}),
        ("a={b: {c::d: 1}}", {"a": {"b": {"c": {"d": 1}}}}),
        ("a=b: 1", {"a": {"b": 1}}),
        ("a=${env:X}", {"a": 12}),
        ("a=x${env:X}", {"a": "x12"}),
    ],
)
def test_a_setting_is_a_path_and_yaml(setting: str, expected: Any) -> None:
    assert values("yaml:", sets=(setting,), X="12") == expected


def test_a_setting_is_no_deeper_than_a_document() -> None:
    assert said(sets=(".".join("a" * 100) + "=1",)) == []
    (text,) = said(sets=(".".join("a" * 101) + "=1",))

    assert text.endswith(':1:1: not a setting; write "--set processors.batch.timeout=2s"')


def test_of_two_settings_the_last_one_holds() -> None:
    found = resolved("yaml:", sets=("a.b=1", "a.c=2", "a.b=3"))

    assert plain(raw(found.root)) == {"a": {"b": 3, "c": 2}}
    assert found.texts == {"yaml:…": "", "--set a.b": "a.b=1", "--set a.c": "a.c=2", "--set a.b (2)": "a.b=3"}


def test_without_a_source_there_is_the_built_in_configuration() -> None:
    found = resolved(sets=("extensions.health_check.endpoint=127.0.0.1:0",))

    assert found.title == "built-in configuration"
    assert found.texts["built-in configuration"] == default_text()
    assert found.files == ()
    assert nodes(found.root)["receivers", "otlp"].mark.source == "built-in configuration"
    assert nodes(found.root)["extensions", "health_check", "endpoint"].value == "127.0.0.1:0"


def test_the_title_names_every_source(tmp_path: Path) -> None:
    title = resolved(
        BASE, "yaml:exporters::a::password: hunter2", "yaml:exporters::a::password: b", "env:X", X=""
    ).title

    assert title == f"{BASE}, yaml:exporters::a::password, yaml:exporters::a::password (2), env:X"


def test_what_comes_from_the_environment_is_marked_as_such_and_not_quoted() -> None:
    found = resolved("env:X", X="{a: hunter2}")

    assert nodes(found.root)["a",].substituted
    assert nodes(found.root)["a",].mark == Mark("env:X", 1, 5)
    assert found.texts == {}


def test_files_that_are_put_in_are_named_and_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2")
    found = resolved(f"yaml:{{a: '${{file:{tmp_path}/token}}', b: '${{file:{tmp_path}/token}}'}}")

    assert plain(raw(found.root)) == {"a": "hunter2", "b": "hunter2"}
    assert found.files == (tmp_path / "token",)
    assert "hunter2" not in str(found.texts)


@pytest.mark.parametrize(
    ("configs", "sets", "problems"),
    [
        (["nowhere.yaml"], [], [f'nowhere.yaml:1:1: there is no such file; looked for "{Path.cwd()}/nowhere.yaml"']),
        (["/nowhere.yaml"], [], ["/nowhere.yaml:1:1: there is no such file"]),
        (
            ["C:\\nowhere.yaml"],
            [],
            [f'C:\\nowhere.yaml:1:1: there is no such file; looked for "{Path.cwd()}/C:\\nowhere.yaml"'],
        ),
        (["./a:b.yaml"], [], [f'./a:b.yaml:1:1: there is no such file; looked for "{Path.cwd()}/a:b.yaml"']),
        (["/dev/zero"], [], ["/dev/zero:1:1: it is larger than 4 MiB"]),
        ([""], [], ["--config:1:1: the path is empty"]),
        (["file:"], [], ["--config:1:1: the path is empty"]),
        (["a\0b"], [], [f'a\\x00b:1:1: it cannot be read; looked for "{Path.cwd()}/a\\x00b"']),
        (
            ["vault:hunter2"],
            [],
            [
                '--config vault:…:1:1: unknown scheme "vault"; valid here: env, file, http, https, yaml; '
                'a path with a colon in it is written "file:…"'
            ],
        ),
        (["env:UNSET"], [], ["env:UNSET:1:1: the environment variable is not set"]),
        (
            ["env:1X"],
            [],
            ["env:1X:1:1: this is not the name of an environment variable: letters, digits and underscores"],
        ),
        (["env:TEXT"], [], ["env:TEXT:1:1: a configuration is a mapping, and this is text"]),
        (["yaml:[hunter2]"], [], ["yaml:…:1:1: a configuration is a mapping, and this is a list"]),
        (["yaml:5"], [], ["yaml:…:1:1: a configuration is a mapping, and this is text"]),
        (["env:BAD"], [], ["env:BAD:1:14: a: written twice; the first is in line 1"]),
        (
            ["yaml:a: @", "yaml:a: 1", "yaml:b: {c: 1, c: 2}", "nowhere"],
            ["d.e=@", "f"],
            [
                'yaml:a:1:4: not valid YAML: a value cannot begin with "@"; put it in quotes',
                "yaml:b:1:11: b::c: written twice; the first is in line 1",
                f'nowhere:1:1: there is no such file; looked for "{Path.cwd()}/nowhere"',
                '--set d.e:1:5: d::e: not valid YAML: a value cannot begin with "@"; put it in quotes',
                '--set f:1:1: not a setting; write "--set processors.batch.timeout=2s"',
            ],
        ),
        ([], ["=hunter2"], ['--set :1:1: not a setting; write "--set processors.batch.timeout=2s"']),
        ([], [" f "], ['--set f:1:1: not a setting; write "--set processors.batch.timeout=2s"']),
        ([], ["a..b=hunter2"], ['--set a..b:1:1: not a setting; write "--set processors.batch.timeout=2s"']),
        ([], ["a.b={c: 1,\nc: 2}"], ["--set a.b:2:1: a::b::c: written twice; the first is in line 1"]),
    ],
)
def test_says_what_is_wrong_with_every_source(configs: list[str], sets: list[str], problems: list[str]) -> None:
    found = said(*configs, sets=tuple(sets), TEXT="hunter2", BAD="{a: hunter2, a: hunter2}")

    assert found == problems
    assert "hunter2" not in str(found)


def test_one_bad_source_leaves_the_others() -> None:
    found = resolve(Sources(("yaml:a: @", "yaml:b: 1", "nowhere"), ("c=2", "d")), {}, [], [])

    assert plain(raw(found.root)) == {"b": 1, "c": 2}
    assert found.files == (Path("nowhere"),)


def test_nothing_but_bad_sources_is_an_empty_configuration() -> None:
    found = resolve(Sources(("nowhere",)), {}, [], [])

    assert (found.root.value, found.root.mark) == ({}, Mark("nowhere", 1, 1))


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"a: 1\nb: \xc3\xb6\xff", "2:5"), (b"\xff\xfea\0", "1:1"), (b"\xef\xbb\xbfa: \xff", "1:4")],
    ids=["in a line", "UTF-16", "after a byte order mark"],
)
def test_a_file_that_is_not_utf_8_is_refused(data: bytes, place: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(data)

    assert said(f"{tmp_path}/a.yaml") == [f"{tmp_path}/a.yaml:{place}: not UTF-8 text"]


def test_a_folder_without_yaml_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".a.yaml").touch()
    (tmp_path / "b.txt").touch()

    assert said(str(tmp_path)) == [f"{tmp_path}:1:1: this folder has no *.yaml or *.yml in it"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)

    assert said(str(tmp_path)) == [f"{tmp_path}:1:1: the folder cannot be read: Permission denied"]


def test_a_file_that_is_gone_from_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")

    assert said(str(tmp_path)) == [f"{tmp_path}/a.yaml:1:1: there is no such file"]


Answer = tuple[int, dict[str, str], bytes]


class Server:
    """Answers on loopback as it is told, and keeps what it was asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer | Callable[[Any], None]] = {}
        self.asked: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers["Authorization"]))
                answer = server.answers.get(self.path, (404, {}, b"hunter2"))
                if not isinstance(answer, tuple):
                    answer(self.wfile)
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.place = f"127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def end(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def write_on_and_on(out: Any) -> None:
    with suppress(ConnectionError):
        out.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            out.write(b"#" * 65536)


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.end()


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).sign("server"))
    started = Server(context)
    yield started
    started.end()


def test_a_configuration_can_be_at_an_address(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.answers["/a.yaml?token=hunter2"] = (200, {}, b"a: 1\nb: ${env:X}\n")
    found = resolved(f"http://user:p%40ss@{server.place}/a.yaml?token=hunter2#x", X="2")

    assert plain(raw(found.root)) == {"a": 1, "b": 2}
    assert server.asked == [("/a.yaml?token=hunter2", "Basic dXNlcjpwQHNz")]
    assert found.title == f"http://{server.place}/a.yaml"
    assert nodes(found.root)["a",].mark == Mark(found.title, 1, 4)
    assert found.texts == {found.title: "a: 1\nb: ${env:X}\n"}
    assert found.files == ()


@pytest.mark.parametrize(("size", "problems"), [(MAX_BYTES, 0), (MAX_BYTES + 1, 1)], ids=["limit", "more"])
def test_a_source_has_a_limit(size: int, problems: int, server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"#" * size)
    server.answers["/a"] = (200, {}, b"#" * size)

    assert len(said(f"{tmp_path}/a.yaml")) == len(said(f"http://{server.place}/a")) == problems


def test_an_address_may_have_a_user_without_a_password(server: Server) -> None:
    said(f"http://user@{server.place}/a")

    assert server.asked == [("/a", "Basic dXNlcjo=")]


def test_an_address_is_put_in_and_asked_once(server: Server) -> None:
    server.answers["/part"] = (200, {}, b"k: 1\n")
    server.answers["/token"] = (200, {}, b"hunter2\n")
    address = f"http://{server.place}"
    found = resolved(f"yaml:{{a: '${{{address}/part}}', b: '${{{address}/part}}', c: 'x${{{address}/token}}'}}")

    assert plain(raw(found.root)) == {"a": {"k": 1}, "b": {"k": 1}, "c": "xhunter2"}
    assert [path for path, _ in server.asked] == ["/part", "/token"]
    assert nodes(found.root)["a", "k"].mark == Mark(f"{address}/part", 1, 4)


def test_an_address_that_cannot_be_put_in_is_asked_once_and_named_without_its_secrets(server: Server) -> None:
    address = f"http://user:hunter2@{server.place}/part?token=hunter2"

    assert said(f"yaml:{{a: '${{{address}}}', b: 'x${{{address}}}'}}") == [
        f'yaml:…:1:{column}: {path}: "${{http://{server.place}/part}}": the server answered 404'
        for path, column in (("a", 5), ("b", 15 + len(address)))
    ]
    assert len(server.asked) == 1


def test_a_redirection_is_followed_without_the_password(server: Server) -> None:
    server.answers["/a"] = (302, {"Location": "/b"}, b"")
    server.answers["/b"] = (200, {}, b"a: 1")

    assert values(f"http://user:hunter2@{server.place}/a") == {"a": 1}
    assert [authorization is not None for _, authorization in server.asked] == [True, False]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, {}, b"hunter2"), "the server answered 404"),
        ((500, {}, b""), "the server answered 500"),
        ((204, {}, b""), "the server answered 204"),
        ((302, {"Location": "/asked"}, b""), "the server answered 302"),
        ((302, {"Location": "ftp://127.0.0.1/"}, b""), "the server redirects to where it is not safe to follow"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "the server answered 302"),
        ((200, {"Content-Length": str(2 * MAX_BYTES)}, b"#" * 2 * MAX_BYTES), "it is larger than 4 MiB"),
        (write_on_and_on, "it is larger than 4 MiB"),
        (lambda out: out.write(b"hunter2\r\n"), "the answer is not HTTP"),
        (lambda out: out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na: 1"), "the answer is not whole"),
        (
            lambda out: out.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na: 1\r\n"),
            "the answer is not whole",
        ),
    ],
    ids=[
        "missing",
        "failed",
        "nothing",
        "circle",
        "ftp",
        "file",
        "large",
        "endless",
        "not HTTP",
        "cut off",
        "chunk missing",
    ],
)
def test_says_why_an_address_cannot_be_read(server: Server, answer: Any, reason: str) -> None:
    server.answers["/asked"] = answer

    assert said(f"http://{server.place}/asked") == [f"http://{server.place}/asked:1:1: {reason}"]


def test_a_server_that_does_not_answer_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "TIMEOUT_S", 0.2)
    given_up = threading.Event()

    def drip(out: Any) -> None:
        out.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(200):
            if not given_up.wait(0.05):
                out.write(b"#")

    server.answers["/silent"] = lambda _: given_up.wait(10)
    server.answers["/slow"] = drip

    found = said(f"http://{server.place}/silent", f"http://{server.place}/slow")
    given_up.set()

    assert [text.partition(":1:1: ")[2] for text in found] == ["there was no whole answer within 0 seconds"] * 2


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("http://127.0.0.1:1/a", "connection refused"),
        ("http://", "this is not an address"),
        ("http://127.0.0.1:hunter2/", "this is not an address"),
        ("http://[::1/", "this is not an address"),
        ("http://127.0.0.1:1/a b", "this is not an address"),
    ],
)
def test_an_address_where_nothing_is_says_so(address: str, reason: str) -> None:
    (text,) = said(address)

    assert text.endswith(f":1:1: {reason}")


def test_a_certificate_must_be_signed_by_a_known_authority(
    tls_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls_server.answers["/a"] = (200, {}, b"a: 1")
    tls_server.answers["/b"] = (302, {"Location": "http://127.0.0.1:1/"}, b"")
    address = f"https://{tls_server.place}"

    assert said(f"{address}/a") == [
        f"{address}/a:1:1: its certificate is not accepted: unable to get local issuer certificate"
    ]

    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    assert values(f"{address}/a") == {"a": 1}
    assert said(f"{address}/b") == [f"{address}/b:1:1: the server redirects to where it is not safe to follow"]


def test_what_does_not_speak_tls_is_not_asked(server: Server) -> None:
    (text,) = said(f"https://{server.place}/a")

    reason = text.removeprefix(f"https://{server.place}/a:1:1: the connection failed: ")
    assert reason.replace(" ", "").isalpha()
    assert reason.islower()
    assert server.asked == []
