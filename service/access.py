"""The store as the reading commands reach it: through the running instance, or opened for the command."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import typer

from airis.component import Kind, StartError
from airis.service import instance
from airis.service.commands.options import data_directory, sources
from airis.service.commands.run import load_or_exit
from airis.service.render.rows import say
from airis.storage import Store, StoreError

T = TypeVar("T")


class StoreUnavailable(Exception):
    """There is no store to read; the text says what to do."""


@asynccontextmanager
async def open_store(config: Sequence[str] | None, data_dir: Path) -> AsyncGenerator[Store]:
    """The store of the instance that runs on the directory, else the directory's own, opened for this command.

    The configuration says where the store is: the one given, else that of the running instance, else the default.
    Raises StoreUnavailable.
    """
    from airis.extensions.store import StoreConfig
    from airis.storage.process import StoreProcess

    running = instance.running(data_dir)
    named = sources(config)
    if not named.configs and running is not None:
        named = running.sources()
    configuration = load_or_exit(named, quiet=True)
    components = configuration.components[Kind.EXTENSION]
    options_of_all = [components[name].options for name in configuration.extensions]
    options = next((o for o in options_of_all if isinstance(o, StoreConfig)), None)
    if options is None:
        raise StoreUnavailable(f"{configuration.source}: no store extension is in use, so there is nothing to read")
    process = None
    try:
        # What listens for other clients is for the running instance alone.
        child = replace(options.process_options(data_dir), listen="", allow_writes=False)
        if not options.endpoint and running is None:
            if not child.data_dir.exists():
                raise StoreUnavailable(f'nothing is stored in {data_dir} yet; start airis with "airis run"')
            process = StoreProcess(child)
            await process.start()
        store = options.store(child.socket)
    except StartError as error:
        raise StoreUnavailable(f"the store in {data_dir} cannot be opened: {error}") from error
    try:
        yield store
    finally:
        await store.close()
        if process is not None:
            await process.stop()


def run_reading(work: Callable[[Store], Awaitable[T]], config: Sequence[str] | None, data_dir: Path | None) -> T:
    """What `work` gives for the open store. A store that cannot be read ends the command: one line, exit code 1."""

    async def opened() -> T:
        async with open_store(config, data_directory(data_dir)) as store:
            return await work(store)

    try:
        return asyncio.run(opened())
    except (StoreError, StoreUnavailable) as error:
        say(f"airis: {error}")
        raise typer.Exit(1) from None
