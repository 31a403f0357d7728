"""headers_setter: headers on the way out, fixed ones, those of files, and those that clients sent."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from airis.component import Kind, Permanent, StartError
from airis.component.authentication import sent_headers
from airis.component.testing import FakeHost, ManualClock, build
from airis.data import NO_ORIGIN, Origin
from airis.extensions.basicauth import BasicClient
from airis.extensions.headers_setter import HeadersSetter, HeadersSetterClient, HeadersSetterConfig

from ..looking import passes_until

CLIENT = Origin(metadata={"x-team": ("blue",), "many": ("a", "b"), "odd": ("b\nx: y",)}, auth={"subject": "alice"})


async def setter(tmp_path: Path, *headers: dict[str, Any], **options: Any) -> HeadersSetterClient:
    extensions = options.pop("extensions", {})
    replaced = {"sleep": options.pop("sleep")} if "sleep" in options else {}
    made: HeadersSetter = build(
        "headers_setter", {"headers": list(headers), **options}, kind=Kind.EXTENSION, **replaced
    )
    await made.start(FakeHost(tmp_path, extensions))
    found = made.provides()
    assert isinstance(found, HeadersSetterClient)
    return found


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"action": "insert", "key": "New", "value": "n"}, {"Old": "o", "New": "n"}),
        ({"action": "insert", "key": "old", "value": "n"}, {"Old": "o"}),
        ({"action": "update", "key": "old", "value": "n"}, {"old": "n"}),
        ({"action": "update", "key": "New", "value": "n"}, {"Old": "o"}),
        ({"action": "upsert", "key": "old", "value": "n"}, {"old": "n"}),
        ({"key": "New", "value": "n"}, {"Old": "o", "New": "n"}),
        ({"action": "DELETE", "key": "OLD"}, {}),
        ({"key": "New", "value": ""}, {"Old": "o", "New": ""}),
        ({"key": "Team", "from_context": "X-Team"}, {"Old": "o", "Team": "blue"}),
        ({"key": "Team", "from_context": "x-none"}, {"Old": "o"}),
        ({"key": "Team", "from_context": "x-none", "default_value": "red"}, {"Old": "o", "Team": "red"}),
        ({"key": "User", "from_attribute": "subject"}, {"Old": "o", "User": "alice"}),
        ({"key": "User", "from_attribute": "group", "default_value": "all"}, {"Old": "o", "User": "all"}),
        ({"key": "User", "from_attribute": "group"}, {"Old": "o"}),
    ],
)
async def test_what_an_action_does(tmp_path: Path, header: dict[str, Any], expected: dict[str, str]) -> None:
    assert sent_headers(await setter(tmp_path, header), {"Old": "o"}, CLIENT) == expected


async def test_actions_are_done_in_their_order(tmp_path: Path) -> None:
    client = await setter(
        tmp_path,
        {"action": "insert", "key": "a", "value": "1"},
        {"action": "update", "key": "a", "value": "2"},
        {"action": "insert", "key": "a", "value": "3"},
    )
    assert client.headers({}, NO_ORIGIN) == {"a": "2"}


async def test_several_values_are_refused_and_what_would_be_two_headers_is_not_sent(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match='2 values of "many"'):
        sent_headers(await setter(tmp_path, {"key": "a", "from_context": "many"}), {}, CLIENT)
    with pytest.raises(Permanent, match="not printable ASCII") as told:
        sent_headers(await setter(tmp_path, {"key": "a", "from_context": "odd"}), {}, CLIENT)
    assert "x: y" not in told.value.reason


async def test_what_is_configured_may_be_what_clients_may_not_send(tmp_path: Path) -> None:
    client = await setter(tmp_path, {"key": "a", "value": "b"})
    assert sent_headers(client, {"latin": "é"}, CLIENT) == {"latin": "é", "a": "b"}


async def test_the_value_of_a_file_is_used_as_soon_as_it_changes(tmp_path: Path) -> None:
    clock, file = ManualClock(), tmp_path / "value"
    file.write_text("Bearer one\n")
    client = await setter(tmp_path, {"key": "Authorization", "value_file": str(file)}, sleep=clock.sleep)
    assert client.headers({}, NO_ORIGIN) == {"Authorization": "Bearer one"}
    file.write_text("Bearer two\n")
    await passes_until(clock, lambda: client.headers({}, NO_ORIGIN) == {"Authorization": "Bearer two"})


async def test_another_authenticator_adds_to_the_headers(tmp_path: Path) -> None:
    client = await setter(
        tmp_path,
        {"key": "a", "value": "b"},
        additional_auth="basicauth",
        extensions={"basicauth": BasicClient("alice", "p")},
    )
    assert client.headers({}, NO_ORIGIN) == {"a": "b", "Authorization": "Basic YWxpY2U6cA=="}
    assert client.needs_encryption
    assert not (await setter(tmp_path, {"key": "a", "value": "b"})).needs_encryption
    with pytest.raises(StartError, match="does not authenticate a client") as told:
        await setter(tmp_path, {"key": "a", "value": "b"}, additional_auth="x", extensions={"x": object()})
    assert told.value.option == "additional_auth"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"value": "x"}, "Field required"),
        ({"key": "a b", "value": "x"}, '"a b" is not the name of a header'),
        ({"key": "a"}, "needs one of value, value_file, from_context, from_attribute"),
        ({"key": "a", "value": "x", "from_context": "b"}, "takes only one of value and from_context"),
        ({"key": "a", "value": "x", "default_value": "b"}, "default_value is for from_context"),
        ({"key": "a", "value": "hush\n"}, "characters that a header cannot have"),
        ({"key": "a", "from_context": "Authorization"}, "credentials, and headers that are about one message"),
        ({"key": "a", "from_attribute": "raw"}, 'credentials do not go on with the data; who the client is is "subj'),
        ({"key": "a", "action": "append", "value": "x"}, "'insert', 'update', 'upsert' or 'delete'"),
    ],
)
def test_options_that_cannot_be(header: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as told:
        HeadersSetterConfig.model_validate({"headers": [header]})
    assert reason in str(told.value)
    assert "hush" not in "".join(error["msg"] for error in told.value.errors())


def test_there_is_a_header_and_values_print_masked() -> None:
    with pytest.raises(ValidationError):
        HeadersSetterConfig.model_validate({"headers": []})
    header = {"key": "a", "from_context": "b", "default_value": "hush"}
    config = HeadersSetterConfig.model_validate({"headers": [header, {"key": "a", "value": "hush"}]})
    assert "hush" not in repr(config) + str(config.model_dump()) + config.model_dump_json()
