"""bearertokenauth: tokens of clients compared, and our own sent."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from airis.component import Kind, StartError
from airis.component.authentication import ANYBODY, Unauthenticated
from airis.component.testing import FakeHost, ManualClock, build
from airis.data import NO_ORIGIN
from airis.extensions import bearertokenauth
from airis.extensions.bearertokenauth import BearerTokenAuth, BearerTokenAuthConfig, BearerTokens

from ..looking import passes_until


async def started(tmp_path: Path, options: Mapping[str, Any], **replaced: Any) -> tuple[BearerTokenAuth, BearerTokens]:
    made: BearerTokenAuth = build("bearertokenauth", options, kind=Kind.EXTENSION, **replaced)
    await made.start(FakeHost(tmp_path))
    found = made.provides()
    assert isinstance(found, BearerTokens)
    return made, found


async def is_let_in(tokens: BearerTokens, value: str, header: str = "authorization") -> bool:
    try:
        return await tokens.authenticate({header: (value,)}) is ANYBODY
    except Unauthenticated:
        return False


@pytest.mark.parametrize(
    ("options", "right", "wrong"),
    [
        ({"token": "t"}, ["Bearer t"], ["bearer t", "Bearer  t", "Bearer t ", "t", "Bearer ", "Bearer", "Basic t"]),
        ({"tokens": ["a", "b"]}, ["Bearer a", "Bearer b"], ["Bearer c", "Bearer ab", "Bearer a,b"]),
        ({"token": "t", "scheme": "Token"}, ["Token t"], ["Bearer t"]),
        ({"token": "t", "scheme": ""}, ["t"], ["Bearer t", " t", ""]),
    ],
)
async def test_tokens_are_taken_with_their_scheme_alone(
    tmp_path: Path, options: dict[str, Any], right: list[str], wrong: list[str]
) -> None:
    _, tokens = await started(tmp_path, options)
    assert all([await is_let_in(tokens, value) for value in right])
    assert not any([await is_let_in(tokens, value) for value in wrong])


async def test_another_header_may_have_it(tmp_path: Path) -> None:
    _, tokens = await started(tmp_path, {"token": "t", "header": "X-API-Key", "scheme": ""})
    assert tokens.reads == ("x-api-key",)
    assert await is_let_in(tokens, "t", "x-api-key")
    assert not await is_let_in(tokens, "t")
    assert tokens.headers({"x-api-key": "old"}, NO_ORIGIN) == {"X-API-Key": "t"}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((), "missing or empty authorization header: Authorization"),
        (("",), "missing or empty authorization header: Authorization"),
        (("Bearer x",), "provided authorization does not match expected scheme or token"),
    ],
)
async def test_what_is_wrong_is_said_in_the_collectors_words(
    tmp_path: Path, values: tuple[str, ...], reason: str
) -> None:
    _, tokens = await started(tmp_path, {"token": "t"})
    with pytest.raises(Unauthenticated) as told:
        await tokens.authenticate({"authorization": values})
    assert told.value.reason == reason


async def test_all_tokens_are_compared_whichever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tokens = await started(tmp_path, {"tokens": ["a", "b", "c"]})
    compared: list[bool] = []

    def compare(one: bytes, other: bytes) -> bool:
        assert len(one) == len(other) == 64
        compared.append(one == other)
        return compared[-1]

    monkeypatch.setattr(bearertokenauth, "compare_digest", compare)
    assert await is_let_in(tokens, "Bearer a")
    assert compared == [True, False, False]


async def test_the_first_token_is_sent_over_what_is_configured(tmp_path: Path) -> None:
    _, tokens = await started(tmp_path, {"tokens": ["a", "b"]})
    sent = tokens.headers({"authorization": "old", "x": "y"}, NO_ORIGIN)
    assert sent == {"x": "y", "Authorization": "Bearer a"}


async def test_a_file_has_tokens_with_comments_and_is_used_as_soon_as_it_changes(tmp_path: Path) -> None:
    clock, file, changed = ManualClock(), tmp_path / "tokens", asyncio.Event()
    file.write_text("a  the first\n\nb\tthe second\n")
    with capture_logs() as logged:
        made, tokens = await started(tmp_path, {"filename": str(file), "token": "ignored"}, sleep=clock.sleep)
    assert [entry["event"] for entry in logged] == ["filename counts, and not what is configured beside it"]
    tokens.on_change(changed.set)
    assert [await is_let_in(tokens, f"Bearer {t}") for t in ("a", "b", "ignored", "the")] == [True, True, False, False]
    file.write_text("c\n")
    await passes_until(clock, changed.is_set)
    assert [await is_let_in(tokens, f"Bearer {t}") for t in ("a", "b", "c")] == [False, False, True]
    assert tokens.headers({}, NO_ORIGIN) == {"Authorization": "Bearer c"}
    file.write_text("")
    with capture_logs() as logged:
        await passes_until(clock, lambda: logged)
    assert logged[0]["reason"] == "there is no token in it"
    assert await is_let_in(tokens, "Bearer c")
    await made.shutdown()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), ("\n", "there is no token"), ("hüsh", "a header cannot have"), (b"\xff", "not UTF-8")],
)
async def test_a_file_that_cannot_be_used_is_an_error_at_its_option(
    tmp_path: Path, content: str | bytes | None, reason: str
) -> None:
    file = tmp_path / "tokens"
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(StartError, match=reason) as told:
        await started(tmp_path, {"filename": str(file)})
    assert told.value.option == "filename"
    assert "hüsh" not in told.value.reason


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "no bearer token; write token, tokens or filename"),
        ({"token": ""}, "no bearer token"),
        ({"token": "hush", "tokens": ["b"]}, "either token or tokens, not both"),
        ({"tokens": ["a", ""]}, "a token is empty"),
        ({"token": "hush\n"}, "characters that a header cannot have"),
        ({"token": "a", "header": "a b"}, '"a b" is not the name of a header'),
        ({"token": "a", "scheme": "a b"}, '"a b" is not one word'),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as told:
        BearerTokenAuthConfig.model_validate(options)
    assert reason in str(told.value)
    assert "hush" not in "".join(error["msg"] for error in told.value.errors())


def test_tokens_print_masked() -> None:
    for options in ({"token": "hush"}, {"tokens": ["hush"]}):
        config = BearerTokenAuthConfig.model_validate(options)
        assert "hush" not in repr(config) + str(config.model_dump()) + config.model_dump_json()
