"""basicauth: passwords as htpasswd keeps them, of clients; and a user of our own, on the way out."""

import asyncio
import hashlib
import threading
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from airis.component import Kind, StartError
from airis.component.authentication import Credentials, ServerAuthenticator, Unauthenticated, Undecided
from airis.component.testing import FakeHost, ManualClock, build
from airis.data import NO_ORIGIN
from airis.extensions import basicauth
from airis.extensions.basicauth import BasicAuth, BasicAuthConfig, BasicClient, htpasswd
from airis.extensions.basicauth.htpasswd import Stored

from ..looking import passes_until


def crypted(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def basic(user: str, password: str) -> Credentials:
    return {"authorization": (f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}",)}


async def started(tmp_path: Path, options: Mapping[str, Any], **replaced: Any) -> BasicAuth:
    made: BasicAuth = build("basicauth", options, kind=Kind.EXTENSION, **replaced)
    await made.start(FakeHost(tmp_path))
    return made


async def serving(tmp_path: Path, inline: str) -> ServerAuthenticator:
    made = await started(tmp_path, {"htpasswd": {"inline": inline}})
    found = made.provides()
    assert isinstance(found, ServerAuthenticator)
    return found


async def is_let_in(server: ServerAuthenticator, user: str, password: str) -> bool:
    try:
        await server.authenticate(basic(user, password))
    except Unauthenticated:
        return False
    return True


@pytest.mark.parametrize("kind", ["bcrypt", "$2y$", "apr1", "md5", "sha", "ssha", "plain"])
async def test_passwords_of_every_kind_are_taken_and_no_others(tmp_path: Path, kind: str) -> None:
    password = "tea: 4 two"
    stored = {
        "bcrypt": crypted(password),
        "$2y$": crypted(password).replace("$2b$", "$2y$"),
        "apr1": f"$apr1$r31.....${htpasswd.md5_crypt(password.encode(), b'r31.....', 'apr1')}",
        "md5": f"$1$ab${htpasswd.md5_crypt(password.encode(), b'ab', '1')}",
        "sha": "{SHA}" + b64encode(hashlib.sha1(password.encode()).digest()).decode(),
        "ssha": "{SSHA}" + b64encode(hashlib.sha1(password.encode() + b"salt").digest() + b"salt").decode(),
        "plain": password,
    }[kind]
    server = await serving(tmp_path, f"# users\n\nalice:{stored}\n")
    assert (await server.authenticate(basic("alice", password))).attributes == {
        "subject": "alice",
        "username": "alice",
    }
    for user, wrong in [("alice", "tea"), ("alice", ""), ("alice", stored + "x"), ("bob", password), ("", password)]:
        assert not await is_let_in(server, user, wrong)


# Of openssl passwd -apr1 and -1.
@pytest.mark.parametrize(
    ("password", "salt", "kind", "expected"),
    [
        ("myPassword", "r31.....", "apr1", "HqJZimcKQFAMYayBlzkrA/"),
        ("", "abcdefgh", "1", "M55TzYaaccxVGbptZWaxX/"),
        ("x" * 40, "ab", "1", "jtRvJqDWXi2dyYBnMmGYN/"),
    ],
)
def test_md5_is_that_of_openssl(password: str, salt: str, kind: str, expected: str) -> None:
    assert htpasswd.md5_crypt(password.encode(), salt.encode(), kind) == expected


async def test_a_password_longer_than_bcrypt_looks_at_is_taken_as_by_go(tmp_path: Path) -> None:
    server = await serving(tmp_path, f"alice:{crypted('a' * 72)}")
    assert await is_let_in(server, "alice", "a" * 72 + "more")
    assert not await is_let_in(server, "alice", "a" * 71)
    assert not await is_let_in(server, "alice", "a" * 5000)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "no basic auth provided"),
        ("", "no basic auth provided"),
        ("Bearer x", "invalid authorization scheme prefix"),
        ("Basic", "invalid authorization scheme prefix"),
        ("Basic ", "invalid authorization format"),
        ("Basic !!!!", "invalid authorization format"),
        ("Basic \xff", "invalid authorization format"),
        ("Basic \u20ac", "invalid authorization format"),
        (f"Basic {b64encode(b'nocolon').decode()}", "invalid authorization format"),
        (f"Basic {b64encode(bytes([255]) + b':x').decode()}", "invalid authorization format"),
        (f"bAsIc {b64encode(b'alice:x').decode()}", "invalid credentials"),
    ],
)
async def test_what_is_wrong_is_said_in_the_collectors_words(tmp_path: Path, header: str | None, reason: str) -> None:
    server = await serving(tmp_path, "alice:plain")
    with pytest.raises(Unauthenticated) as told:
        await server.authenticate({"authorization": (header,)} if header is not None else {})
    assert told.value.reason == reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("hush", 'line 2 is not "user:password"'),
        (":hush", 'line 2 is not "user:password"'),
        ("alice:", "line 2: the password is empty"),
        ("alice:$6$hush$hush", "line 2: a kind of hash that is not supported; make one with htpasswd -B"),
        ("alice:$5$rounds=5000$hush$hush", "line 2: a kind of hash that is not supported"),
        ("alice:$argon2id$v=19$hush", "line 2: a kind of hash that is not supported"),
        ("alice:{CRYPT}hush", "line 2: a kind of hash that is not supported"),
        ("alice:$2y$05$hush", "line 2: not a whole hash of bcrypt"),
        ("alice:$apr1$hush", "line 2: not a whole hash of MD5"),
        ("alice:{SHA}hush", "line 2: not a whole hash of SHA-1"),
        ("alice:{SHA}!", "line 2: not a whole hash of SHA-1"),
    ],
)
async def test_a_line_that_cannot_be_is_an_error_that_does_not_repeat_it(
    tmp_path: Path, line: str, reason: str
) -> None:
    text = f"bob:plain\n{line}\n"
    with pytest.raises(ValidationError) as told:
        BasicAuthConfig.model_validate({"htpasswd": {"inline": text}})
    message = told.value.errors()[0]["msg"]
    assert reason in message
    assert "hush" not in message
    (tmp_path / "users").write_text(text)
    with pytest.raises(StartError) as failed:
        await started(tmp_path, {"htpasswd": {"file": str(tmp_path / "users")}})
    assert failed.value.option == "htpasswd::file"
    assert reason in failed.value.reason
    assert "hush" not in failed.value.reason


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "needs htpasswd, for a receiver, or client_auth, for an exporter"),
        ({"htpasswd": {"inline": "a:b"}, "client_auth": {"username": "a"}}, "only one of htpasswd and client_auth"),
        ({"htpasswd": {}}, "no credentials; write file, or inline"),
        ({"htpasswd": {"inline": "# nobody\n"}}, "no credentials; write file, or inline"),
        ({"client_auth": {"password": "hush"}}, "needs username, or username_file"),
        ({"client_auth": {"username": "a:b"}}, "nor have a colon in it"),
        ({"client_auth": {"username": "a", "aws_secrets_manager": {"region": "x"}}}, "secrets of AWS are not support"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as told:
        BasicAuthConfig.model_validate(options)
    assert reason in str(told.value)
    assert "hush" not in "".join(error["msg"] for error in told.value.errors())


async def test_of_a_user_in_both_the_inline_line_counts_and_the_last_of_two(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("alice:file\nbob:file\ncarol:first\ncarol:last\n")
    made = await started(tmp_path, {"htpasswd": {"file": str(tmp_path / "users"), "inline": "alice:inline"}})
    server = made.provides()
    assert isinstance(server, ServerAuthenticator)
    for user, password, is_right in [
        ("alice", "inline", True),
        ("alice", "file", False),
        ("bob", "file", True),
        ("carol", "last", True),
        ("carol", "first", False),
    ]:
        assert await is_let_in(server, user, password) is is_right
    await made.shutdown()


class Counted:
    """bcrypt, counted; held while the gate is closed. Never in the thread of the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self._main = threading.get_ident()
        self._fits = Stored.fits
        monkeypatch.setattr(Stored, "fits", lambda stored, password: self.fits(stored, password))

    def fits(self, stored: Stored, password: bytes) -> bool:
        assert threading.get_ident() != self._main or not stored.is_slow
        self.count += 1
        self.begun.set()
        assert self.gate.wait(30)
        return self._fits(stored, password)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


async def test_a_right_password_costs_once_and_a_wrong_one_each_time(tmp_path: Path, counted: Counted) -> None:
    server = await serving(tmp_path, f"alice:{crypted('right')}")
    for _ in range(3):
        assert await is_let_in(server, "alice", "right")
    assert counted.count == 1
    for _ in range(3):
        assert not await is_let_in(server, "alice", "wrong")
    assert counted.count == 4


async def test_a_user_that_there_is_not_takes_as_long_as_one_that_there_is(tmp_path: Path, counted: Counted) -> None:
    server = await serving(tmp_path, f"alice:{crypted('right')}")
    assert not await is_let_in(server, "nobody", "x")
    assert counted.count == 1


async def test_whoever_tries_many_passwords_of_a_user_holds_nobody_else_up(tmp_path: Path, counted: Counted) -> None:
    server = await serving(tmp_path, f"alice:{crypted('a')}\nbob:{crypted('b')}\ncarol:{crypted('c')}")
    assert await is_let_in(server, "carol", "c")
    counted.gate.clear()
    flood = [asyncio.create_task(server.authenticate(basic("alice", f"wrong {n}"))) for n in range(100)]
    flood += [asyncio.create_task(server.authenticate(basic(f"u{n}", "x"))) for n in range(100)]
    await asyncio.sleep(0)
    bob = asyncio.create_task(server.authenticate(basic("bob", "b")))
    assert await is_let_in(server, "carol", "c"), "who was let in once is not in the queue"
    counted.gate.set()
    assert (await bob).attributes["subject"] == "bob"
    outcomes = await asyncio.gather(*flood, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unauthenticated, Undecided}
    assert sum(isinstance(outcome, Unauthenticated) for outcome in outcomes) == 2 * basicauth.MAX_WAITING


async def test_a_changed_file_is_used_and_who_did_not_change_is_not_looked_at_again(
    tmp_path: Path, counted: Counted
) -> None:
    clock, file = ManualClock(), tmp_path / "users"
    alice = f"alice:{crypted('a')}\n"
    file.write_text(f"{alice}bob:{crypted('b')}\n")
    made = await started(tmp_path, {"htpasswd": {"file": str(file)}}, sleep=clock.sleep)
    server = made.provides()
    assert isinstance(server, ServerAuthenticator)
    changed = asyncio.Event()
    server.on_change(changed.set)
    for user in ("alice", "bob"):
        assert await is_let_in(server, user, user[0])
    file.write_text(f"{alice}bob:{crypted('new')}\n")
    await passes_until(clock, changed.is_set)
    assert await is_let_in(server, "alice", "a")
    assert counted.count == 2
    assert not await is_let_in(server, "bob", "b")
    assert await is_let_in(server, "bob", "new")
    await made.shutdown()


async def test_a_password_that_is_looked_at_when_the_file_changes_counts_by_the_new_one(
    tmp_path: Path, counted: Counted
) -> None:
    made = await started(tmp_path, {"htpasswd": {"inline": f"alice:{crypted('old')}"}})
    server = made._server
    counted.gate.clear()
    waiting = asyncio.create_task(server.authenticate(basic("alice", "old")))
    assert await asyncio.to_thread(counted.begun.wait, 30)
    server.use(htpasswd.read(f"alice:{crypted('new')}"))
    counted.gate.set()
    with pytest.raises(Unauthenticated):
        await waiting


@pytest.mark.parametrize("changed", ["alice:a\nhush without a colon\n", "# nobody\n", ""])
async def test_a_changed_file_that_cannot_be_used_changes_nothing_and_is_said(tmp_path: Path, changed: str) -> None:
    clock, file = ManualClock(), tmp_path / "users"
    file.write_text("alice:a\n")
    made = await started(tmp_path, {"htpasswd": {"file": str(file)}}, sleep=clock.sleep)
    server = made.provides()
    assert isinstance(server, ServerAuthenticator)
    file.write_text(changed)
    with capture_logs() as logged:
        await passes_until(clock, lambda: logged)
    assert "stays in use" in logged[0]["event"]
    assert "hush" not in repr(logged)
    assert await is_let_in(server, "alice", "a")
    await made.shutdown()


async def test_that_passwords_are_plain_is_said_once(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("alice:a\n")
    with capture_logs() as logged:
        made = await started(tmp_path, {"htpasswd": {"file": str(file), "inline": "bob:b"}})
    assert [entry["users"] for entry in logged] == [2]
    await made.shutdown()


async def test_a_file_that_there_is_not_is_an_error_at_its_option(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="No such file") as told:
        await started(tmp_path, {"htpasswd": {"file": str(tmp_path / "none")}})
    assert told.value.option == "htpasswd::file"


async def test_as_a_client_it_sends_the_user_over_what_is_configured(tmp_path: Path) -> None:
    made = await started(tmp_path, {"client_auth": {"username": "alice", "password": "päss:word"}})
    client = made.provides()
    assert isinstance(client, BasicClient)
    sent = client.headers({"authorization": "old", "x": "y"}, NO_ORIGIN)
    assert sent == {"x": "y", "Authorization": f"Basic {b64encode('alice:päss:word'.encode()).decode()}"}


async def test_user_and_password_of_files_are_used_as_soon_as_they_change(tmp_path: Path) -> None:
    clock, user, password = ManualClock(), tmp_path / "user", tmp_path / "password"
    user.write_text("alice\n")
    password.write_text(" one \n")
    options = {"username": "not this", "username_file": str(user), "password_file": str(password)}
    made = await started(tmp_path, {"client_auth": options}, sleep=clock.sleep)
    client = made.provides()
    assert isinstance(client, BasicClient)
    assert (client.user, client.password) == ("alice", "one")
    password.write_text("two")
    await passes_until(clock, lambda: client.password == "two")
    await made.shutdown()


def test_passwords_print_masked() -> None:
    for options in ({"client_auth": {"username": "a", "password": "hush"}}, {"htpasswd": {"inline": "a:hush"}}):
        config = BasicAuthConfig.model_validate(options)
        assert "hush" not in repr(config) + str(config.model_dump()) + config.model_dump_json()
