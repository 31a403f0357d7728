"""OTLP over HTTP as an ASGI application."""

from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from airis.component import ConsumeError, Partial
from airis.component.http import ClientGone, answer, header, read_body
from airis.component.intake import IntakeError, UnknownEncoding
from airis.data import NO_METADATA, Signal
from airis.data.malformed import MalformedPayload
from airis.receivers.otlp.admission import Admission, Encoding, metadata_of
from airis.receivers.otlp.status import encode, refusal, success

if TYPE_CHECKING:
    from airis.receivers.otlp import OtlpHttpConfig

TRANSPORT = "http"

_ENCODINGS: dict[str, Encoding] = {"application/x-protobuf": "protobuf", "application/json": "json"}


class OtlpHttp:
    """Takes POSTs on the path of each signal that is used; answers in the encoding of the request."""

    def __init__(self, config: "OtlpHttpConfig", admission: Admission) -> None:
        self.config = config
        self.admission = admission
        self.signals = {path: signal for signal, path in config.paths().items() if signal in admission.downstream}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; its caller is held until the data was taken."""
        signal = self.signals.get(scope["path"])
        if signal is None:
            await answer(send, 404, b"404 page not found\n")
            return
        if scope["method"] != "POST":
            await answer(send, 405, b"405 method not allowed, supported: [POST]\n", headers=[(b"allow", b"POST")])
            return
        content_type = header(scope, b"content-type").partition(";")[0].strip().lower()
        encoding = _ENCODINGS.get(content_type)
        if encoding is None:
            supported = ", ".join(_ENCODINGS)
            await answer(send, 415, f"415 unsupported media type, supported: [{supported}]\n".encode())
            return
        try:
            await self._take(signal, encoding, scope, receive)
        except Partial as partial:
            await answer(send, 200, success(signal, encoding, partial), content_type)
        except ClientGone:
            self.admission.note_unreadable(TRANSPORT, "cut_off")
            raise
        except (ConsumeError, MalformedPayload, IntakeError) as error:
            refused = refusal(error)
            headers = refused.http_headers()
            if isinstance(error, UnknownEncoding):
                headers.append(
                    (b"accept-encoding", ", ".join(filter(None, self.config.compression_algorithms)).encode())
                )
            await answer(send, refused.http_status, encode(refused.status(), encoding), content_type, headers)
        else:
            await answer(send, 200, success(signal, encoding), content_type)

    async def _take(self, signal: Signal, encoding: Encoding, scope: Scope, receive: Receive) -> None:
        try:
            body = await read_body(scope, receive, self.config)
        except IntakeError as error:
            self.admission.note_unreadable(TRANSPORT, error.kind)
            raise
        metadata = NO_METADATA
        if self.config.include_metadata:
            metadata = metadata_of((str(name, "latin-1"), str(value, "latin-1")) for name, value in scope["headers"])
        await self.admission.take(signal, body, encoding, TRANSPORT, metadata)
