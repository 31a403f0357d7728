"""What the native transport listens with, and what it answers, for each protocol."""

from typing import TYPE_CHECKING, Any, Protocol

from google.rpc.code_pb2 import Code

from airis.component import ConsumeError, Partial, StartError, Telemetry
from airis.component.authentication import Denied
from airis.component.door import Door
from airis.component.grpc import DEFAULT_MAX_MESSAGE_MIB, KeepaliveServerConfig
from airis.component.headers import as_text
from airis.component.http_door import denial_headers
from airis.component.intake import IntakeError, UnknownEncoding
from airis.component.tls import CertificateClock, TlsServerConfig, log_failed_reload
from airis.component.unsupported import Unsupported
from airis.data import Signal
from airis.data.malformed import MalformedPayload
from airis.receivers.otlp.admission import Admission, Encoding
from airis.receivers.otlp.http import HttpAnswer, HttpAnswers
from airis.receivers.otlp.services import SERVICES
from airis.receivers.otlp.status import refusal, success

if TYPE_CHECKING:
    from airis._core import Reply, Tls
    from airis.receivers.otlp import OtlpGrpcConfig, OtlpHttpConfig

GRPC_ENCODINGS = ("gzip", "deflate", "zstd", "snappy")
"""What grpc-encoding may be: what grpcio takes, and what the Collector does."""
GRPC_HEAD_S = GRPC_BODY_S = 60.0
"""gRPC has no options for them: a client that sends half a message would hold its memory for ever."""
PING_S, PING_TIMEOUT_S = 2 * 3600.0, 20.0
HTTP_STREAMS = 1000
"""Requests in progress on one HTTP/2 connection."""

Error = ConsumeError | MalformedPayload | IntakeError


class Listener(Protocol):
    """One protocol: what it listens with, and what it answers."""

    @property
    def transport(self) -> str:
        """What an origin calls it."""
        ...

    @property
    def config(self) -> "OtlpGrpcConfig | OtlpHttpConfig":
        """Its options."""
        ...

    @property
    def alpn(self) -> tuple[str, ...]:
        """The protocols that it speaks over TLS."""
        ...

    @property
    def encodings(self) -> tuple[str, ...]:
        """How messages may be compressed."""
        ...

    @property
    def max_message_bytes(self) -> int:
        """Largest message, after decompression."""
        ...

    def check(self) -> None:
        """Raise Unsupported for an option that the native transport does not have."""
        ...

    def arguments(self) -> dict[str, Any]:
        """For `Intake.listen`, what the protocol decides."""
        ...

    def to_success(self, signal: Signal, encoding: Encoding, partial: Partial | None = None) -> "Reply":
        """The data was taken, but for what `partial` says."""
        ...

    def to_error(self, error: Error, encoding: Encoding) -> "Reply":
        """Nothing was taken."""
        ...

    def to_head(self, signal: Signal | None, method: str, content_type: str) -> "Reply":
        """What is wrong with a request whose path, method or content type is not regular."""
        ...

    def to_unserved(self, signal: Signal | None) -> "Reply | None":
        """What is answered where no pipeline takes the signal; None where one does."""
        ...

    def to_denied(self, denied: Denied, content_type: str, door: Door) -> "Reply":
        """The client may not send, whatever it is."""
        ...


class GrpcListener:
    """OTLP over gRPC."""

    transport = "grpc"
    alpn = ("h2",)
    encodings = GRPC_ENCODINGS

    def __init__(self, config: "OtlpGrpcConfig", admission: Admission) -> None:
        from airis._core import Reply

        self.config = config
        self.max_message_bytes = (config.max_recv_msg_size_mib or DEFAULT_MAX_MESSAGE_MIB) * 1024 * 1024
        self._downstream = admission.downstream
        self._new = Reply
        self._success = Reply.grpc(Code.OK, body=b"")

    def check(self) -> None:
        """Raise Unsupported for an option that the native transport does not have."""
        if self.config.transport == "unix":  # they say ``:authority: tmp%2Fsocket``, which h2 refuses
            raise Unsupported("the native transport cannot read how gRPC's C core names a unix socket", "transport")
        if self.config.keepalive and self.config.keepalive.enforcement_policy:
            raise Unsupported("the native transport answers every ping", "keepalive::enforcement_policy")

    def arguments(self) -> dict[str, Any]:
        """For `Intake.listen`, what the protocol decides."""
        times = {"head": GRPC_HEAD_S, "body": GRPC_BODY_S, "ping": PING_S, "ping_timeout": PING_TIMEOUT_S}
        server = (self.config.keepalive or KeepaliveServerConfig()).server_parameters
        if server:
            times |= {
                "idle": server.max_connection_idle,
                "age": server.max_connection_age,
                "age_grace": server.max_connection_age_grace,
                "ping": server.time or PING_S,
                "ping_timeout": server.timeout or PING_TIMEOUT_S,
            }
        return {
            "protocol": "grpc",
            "routes": [(f"/{service}/Export", signal) for signal, service in SERVICES.items()],
            "times": times,
            "keep_alive": True,
            "max_streams": self.config.max_concurrent_streams or None,
        }

    def to_success(self, signal: Signal, encoding: Encoding, partial: Partial | None = None) -> "Reply":
        """The data was taken, but for what `partial` says."""
        if partial is None:
            return self._success
        return self._new.grpc(Code.OK, body=success(signal, "protobuf", partial))

    def to_error(self, error: Error, encoding: Encoding) -> "Reply":
        """Nothing was taken."""
        refused = refusal(error)
        if isinstance(error, UnknownEncoding):  # gRPC's specification has words of its own for it
            accepted = [("grpc-accept-encoding", ",".join(("identity", *GRPC_ENCODINGS)))]
            return self._new.grpc(Code.UNIMPLEMENTED, refused.message, headers=accepted)
        return self._new.grpc(refused.code, refused.message, refused.status().SerializeToString())

    def to_head(self, signal: Signal | None, method: str, content_type: str) -> "Reply":
        """What is wrong with a request that is no POST, or not gRPC."""
        if method != "POST":
            return self._new.http(405, [("allow", "POST")], b"")
        return self._new.http(415, [], b"")

    def to_unserved(self, signal: Signal | None) -> "Reply | None":
        """What is answered where no pipeline takes the signal; None where one does."""
        if signal in self._downstream:
            return None
        return self._new.grpc(Code.UNIMPLEMENTED, f"no pipeline takes {signal} from this receiver")

    def to_denied(self, denied: Denied, content_type: str, door: Door) -> "Reply":
        """The client may not call, whatever it is."""
        return self._new.grpc(denied.grpc_code, denied.reason)


class HttpListener:
    """OTLP over HTTP."""

    transport = "http"
    alpn = ("h2", "http/1.1")

    def __init__(self, config: "OtlpHttpConfig", admission: Admission) -> None:
        from airis._core import Reply

        self.config = config
        self.encodings = tuple(filter(None, config.compression_algorithms))
        self.max_message_bytes = config.max_body_bytes
        self._answers = HttpAnswers(config, admission.downstream)
        self._new = Reply
        self._fixed = [(name.lower(), value) for name, value in config.response_headers.items()]
        self._success = {signal: self._reply(self._answers.to_success(signal, "protobuf")) for signal in config.paths()}

    def check(self) -> None:
        """Raise Unsupported for an option that the native transport does not have."""
        if self.config.cors:
            raise Unsupported("the native transport does not answer browsers", "cors")
        if self.config.auth and self.config.auth.request_params:
            raise Unsupported("the native transport reads no credentials from a query", "auth::request_params")

    def arguments(self) -> dict[str, Any]:
        """For `Intake.listen`, what the protocol decides."""
        config = self.config
        return {
            "protocol": "http",
            "routes": [(path, signal) for signal, path in config.paths().items()],
            "times": {
                "head": config.read_header_timeout,
                "body": config.read_timeout,
                "answer": config.write_timeout,
                "idle": config.idle_timeout,
            },
            "keep_alive": config.keep_alives_enabled,
            "max_streams": HTTP_STREAMS,
        }

    def to_success(self, signal: Signal, encoding: Encoding, partial: Partial | None = None) -> "Reply":
        """The data was taken, but for what `partial` says."""
        if partial is None and encoding == "protobuf":
            return self._success[signal]
        return self._reply(self._answers.to_success(signal, encoding, partial))

    def to_error(self, error: Error, encoding: Encoding) -> "Reply":
        """Nothing was taken."""
        return self._reply(self._answers.to_error(error, encoding))

    def to_head(self, signal: Signal | None, method: str, content_type: str) -> "Reply":
        """What is wrong with a request whose path, method or content type is not regular."""
        wrong = self._answers.to_head(signal, method, content_type)
        return self._reply(wrong or HttpAnswer(400, b"400 bad request\n"))

    def to_unserved(self, signal: Signal | None) -> "Reply | None":
        """What is answered where no pipeline takes the signal; None where one does."""
        if signal in self._answers.downstream:
            return None
        return self.to_head(signal, "", "")

    def to_denied(self, denied: Denied, content_type: str, door: Door) -> "Reply":
        """The client may not send, whatever it is."""
        return self._reply(self._answers.to_denied(denied, content_type, denial_headers(denied, door)))

    def _reply(self, answer: HttpAnswer) -> "Reply":
        headers = [("content-type", answer.content_type), *self._fixed]
        headers.extend(as_text(answer.headers))
        return self._new.http(answer.status, headers, answer.body)


class Certificate:
    """A listener's certificate, read again when that is due."""

    def __init__(self, config: TlsServerConfig, alpn: tuple[str, ...], telemetry: Telemetry) -> None:
        self.may_change = bool(config.reload_interval or config.client_ca_file_reload)
        """Whether it is worth asking before every handshake."""
        self._config = config
        self._alpn = alpn
        self._telemetry = telemetry
        self._clock = CertificateClock(config)

    def load(self) -> "Tls":
        """From the files as they are now; raises StartError, and Unsupported for what rustls does not take."""
        from airis._core import Tls

        config = self._config
        config.context()  # OpenSSL says what is wrong with files, in the words of the Python transport
        older = [name for name in config.cipher_suites if not name.startswith(("TLS_AES_", "TLS_CHACHA20_"))]
        oldest = "1.3" if config.cipher_suites and not older else config.min_version
        try:
            return Tls(
                config.certificate(),
                config.key(),
                authorities=config.client_authorities(),
                versions=[version for version in ("1.2", "1.3") if oldest <= version <= (config.max_version or "1.3")],
                suites=older,
                curves=config.curve_preferences,
                protocols=self._alpn,
            )
        except ValueError as error:
            raise Unsupported(f"the native transport cannot use it: {error}", "tls") from error

    def renewed(self) -> "Tls | None":
        """What to use from now on; None where that is what is in use."""
        if not self._clock.due():
            return None
        try:
            return self.load()
        except StartError as error:
            log_failed_reload(error, self._telemetry)
            return None
