"""OTLP over HTTP: what is answered, and the Python transport, an ASGI application."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.rpc.status_pb2 import Status
from starlette.types import Receive, Scope, Send

from airis.component import ConsumeError, Consumer, Partial
from airis.component.authentication import Denied
from airis.component.headers import as_text, metadata_of
from airis.component.http import ClientGone, answer, header, read_body
from airis.component.http_door import identity_of
from airis.component.intake import IntakeError, UnknownEncoding
from airis.data import NO_METADATA, Signal
from airis.data.malformed import MalformedPayload
from airis.receivers.otlp.admission import Admission, Encoding
from airis.receivers.otlp.status import encode, refusal, success

if TYPE_CHECKING:
    from airis.receivers.otlp import OtlpHttpConfig

TRANSPORT = "http"

_ENCODINGS: dict[str, Encoding] = {"application/x-protobuf": "protobuf", "application/json": "json"}
_CONTENT_TYPES = {encoding: content_type for content_type, encoding in _ENCODINGS.items()}


def media_type(content_type: str) -> str:
    """A Content-Type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def encoding_of(content_type: str) -> Encoding | None:
    """The encoding that a Content-Type names, of those that are taken."""
    return _ENCODINGS.get(media_type(content_type))


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class HttpAnswers:
    """What clients are answered over HTTP, whatever transport carries it."""

    def __init__(self, config: "OtlpHttpConfig", downstream: Mapping[Signal, Consumer]) -> None:
        self.config = config
        self.downstream = downstream

    def to_head(self, signal: Signal | None, method: str, content_type: str) -> HttpAnswer | None:
        """What is wrong with a request that should bring this signal; None where nothing is."""
        if signal is None or signal not in self.downstream:
            return HttpAnswer(404, b"404 page not found\n")
        if method != "POST":
            text = b"405 method not allowed, supported: [POST]\n"
            return HttpAnswer(405, text, headers=((b"allow", b"POST"),))
        if encoding_of(content_type) is None:
            return HttpAnswer(415, f"415 unsupported media type, supported: [{', '.join(_ENCODINGS)}]\n".encode())
        return None

    def to_success(self, signal: Signal, encoding: Encoding, partial: Partial | None = None) -> HttpAnswer:
        """The data was taken, but for what `partial` says."""
        return HttpAnswer(200, success(signal, encoding, partial), _CONTENT_TYPES[encoding])

    def to_error(self, error: ConsumeError | MalformedPayload | IntakeError, encoding: Encoding) -> HttpAnswer:
        """Nothing was taken."""
        refused = refusal(error)
        headers = refused.http_headers()
        if isinstance(error, UnknownEncoding):
            headers.append((b"accept-encoding", ", ".join(filter(None, self.config.compression_algorithms)).encode()))
        body = encode(refused.status(), encoding)
        return HttpAnswer(refused.http_status, body, _CONTENT_TYPES[encoding], tuple(headers))

    def to_denied(self, denied: Denied, content_type: str, headers: Sequence[tuple[bytes, bytes]]) -> HttpAnswer:
        """The client may not send, whatever it is."""
        encoding = encoding_of(content_type)
        if encoding is None:
            return HttpAnswer(denied.http_status, f"{denied.reason}\n".encode(), headers=tuple(headers))
        status = Status(code=denied.grpc_code, message=denied.reason)
        return HttpAnswer(denied.http_status, encode(status, encoding), _CONTENT_TYPES[encoding], tuple(headers))


class OtlpHttp:
    """Takes POSTs on the path of each signal that is used; answers in the encoding of the request."""

    def __init__(self, config: "OtlpHttpConfig", admission: Admission) -> None:
        self.config = config
        self.admission = admission
        self.answers = HttpAnswers(config, admission.downstream)
        self.signals = {path: signal for signal, path in config.paths().items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its caller is held until the data was taken."""
        reply = await self._answer(scope, receive)
        await answer(send, reply.status, reply.body, reply.content_type, reply.headers)

    async def refuse(self, scope: Scope, send: Send, denied: Denied, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Answer one request whose client may not send."""
        reply = self.answers.to_denied(denied, header(scope, b"content-type"), headers)
        await answer(send, reply.status, reply.body, reply.content_type, reply.headers)

    async def _answer(self, scope: Scope, receive: Receive) -> HttpAnswer:
        signal = self.signals.get(scope["path"])
        content_type = header(scope, b"content-type")
        wrong = self.answers.to_head(signal, scope["method"], content_type)
        encoding = encoding_of(content_type)
        if wrong or signal is None or encoding is None:
            return wrong or HttpAnswer(404, b"")
        try:
            await self._take(signal, encoding, scope, receive)
        except Partial as partial:
            return self.answers.to_success(signal, encoding, partial)
        except ClientGone:
            self.admission.note_unreadable(TRANSPORT, "cut_off")
            raise
        except (ConsumeError, MalformedPayload, IntakeError) as error:
            return self.answers.to_error(error, encoding)
        return self.answers.to_success(signal, encoding)

    async def _take(self, signal: Signal, encoding: Encoding, scope: Scope, receive: Receive) -> None:
        try:
            body = await read_body(scope, receive, self.config)
        except IntakeError as error:
            self.admission.note_unreadable(TRANSPORT, error.kind)
            raise
        metadata = NO_METADATA
        if self.config.include_metadata:
            metadata = metadata_of(as_text(scope["headers"]))
        await self.admission.take(signal, body, encoding, TRANSPORT, metadata, identity_of(scope))
