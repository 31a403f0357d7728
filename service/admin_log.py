"""The part of the admin API that changes a write-ahead log: forget, requeue, drop, put back."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from starlette.types import Receive, Send

from airis.component import Kind
from airis.service.admin_answers import Handler, Query, Routes, answer_json, refuse

if TYPE_CHECKING:
    from airis.extensions.file_storage import FileStorage
    from airis.service.service import Service
    from airis.storage.wal.operations import Done
    from airis.storage.wal.put import Put

MOST_BODY_BYTES = (1 << 30) + 1024
"""The largest record of a log, and the line before it."""
Work = Callable[["FileStorage", Mapping[str, str], bytes], Awaitable["Done"]]


class LogOperations:
    """Handlers for what is done to the log of a ``file_storage`` extension, which ``storage`` names."""

    def __init__(self, service: "Service") -> None:
        self._service = service

    def routes(self) -> Routes:
        """What is answered where."""
        works: Mapping[str, Work] = {
            "forget": self._forget,
            "requeue": lambda storage, given, _: storage.requeue(given["letter"], given.get("to", "")),
            "drop": lambda storage, given, _: storage.drop(given["letter"]),
            "put": lambda storage, given, body: storage.put_back(given["to"], unpacked(body)),
        }
        return {("POST", f"/api/v1/wal/{name}"): self._handler(work) for name, work in works.items()}

    def _handler(self, work: Work) -> Handler:
        async def handle(query: Query, receive: Receive, send: Send) -> None:
            from airis.storage.wal.operations import NotPossible

            given = {name: values[-1] for name, values in query.items()}
            try:
                storage = self._storage(given.get("storage", ""))
                done = await work(storage, given, await _body(receive))
            except NotPossible as error:
                await refuse(send, HTTPStatus.CONFLICT, str(error), choices=error.choices)
            except KeyError as error:
                await refuse(send, HTTPStatus.BAD_REQUEST, f'the parameter "{error.args[0]}" is missing')
            except ValueError as error:
                await refuse(send, HTTPStatus.BAD_REQUEST, str(error))
            except OSError as error:
                await refuse(send, HTTPStatus.SERVICE_UNAVAILABLE, str(error))
            else:
                await answer_json(send, 200, {"subscriber": done.subscriber, "items": done.items})

        return handle

    def _storage(self, component_id: str) -> "FileStorage":
        from airis.extensions.file_storage import FileStorage
        from airis.storage.wal.operations import NotPossible

        found = self._service.graph.component(Kind.EXTENSION, component_id)
        if not isinstance(found, FileStorage):
            storages = [
                member.component_id
                for member in self._service.overview().members
                if isinstance(self._service.graph.component(Kind.EXTENSION, member.component_id), FileStorage)
            ]
            raise NotPossible(f'no file_storage extension "{component_id}" runs', storages)
        return found

    async def _forget(self, storage: "FileStorage", given: Mapping[str, str], _body: bytes) -> "Done":
        from airis.storage.wal.operations import NotPossible

        name = given["subscriber"]
        exporter, _, signal = name.removeprefix("exporters/").rpartition(":")
        pipelines = self._service.overview().pipelines
        if any(exporter in pipeline.exporters and pipeline.signal == signal for pipeline in pipelines):
            raise NotPossible(f'"{name}" is in use; take the exporter out of the configuration first')
        return await storage.forget(name)


def packed(put: "Put") -> bytes:
    """A batch as it is sent to the admin API: a line of JSON about it, and its payload."""
    about = {
        "signal": put.signal,
        "items": put.items,
        "requests": put.requests,
        "arrived_unix_nano": put.wall_unix_nano,
        "batch_id": put.batch_id.hex(),
        "meta": put.meta.hex(),
    }
    return orjson.dumps(about) + b"\n" + put.payload


def unpacked(body: bytes) -> "Put":
    """The opposite; raises ValueError."""
    from airis.storage.wal.put import Put

    line, _, payload = body.partition(b"\n")
    about = orjson.loads(line)
    try:
        return Put(
            frozenset(),
            int(about["signal"]),
            int(about["items"]),
            int(about["requests"]),
            int(about["arrived_unix_nano"]),
            bytes.fromhex(about["batch_id"]),
            bytes.fromhex(about["meta"]),
            payload,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"the line about the batch is not whole: {error}") from error


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BODY_BYTES:
            raise ValueError(f"more than {MOST_BODY_BYTES} bytes")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return b"".join(parts)
