"""The store as the reading commands open it."""

from pathlib import Path

import pytest

from airis.component import Kind
from airis.component.testing import FakeHost, build
from airis.service import access
from airis.storage.options import StoreOptions
from airis.storage.process import StoreProcess


async def test_a_command_that_opens_the_store_does_not_listen_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extension = build("store", {}, kind=Kind.EXTENSION)
    await extension.start(FakeHost(tmp_path))
    await extension.shutdown()
    configuration = tmp_path / "airis.yaml"
    configuration.write_text(
        "extensions: {store: {listen: 'localhost:1', allow_writes: true}}\n"
        "receivers: {otlp: {protocols: {http: {}}}}\nexporters: {debug: {}}\n"
        "service: {extensions: [store], pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}\n"
    )
    opened: list[StoreOptions] = []

    class Noted(StoreProcess):
        def __init__(self, options: StoreOptions) -> None:
            opened.append(options)
            super().__init__(options)

    monkeypatch.setattr("airis.storage.process.StoreProcess", Noted)
    async with access.open_store([str(configuration)], tmp_path) as store:
        assert await store.rows("SELECT count() AS n FROM otel_logs") == [{"n": 0}]

    assert [(options.listen, options.allow_writes) for options in opened] == [("", False)]
