"""The ``tls`` sections of servers and clients: certificates from files or text, verified on either side."""

import os
import ssl
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from airis.component.config import Config, Duration, Secret
from airis.component.errors import StartError
from airis.component.telemetry import Telemetry

TlsVersion = Literal["1.2", "1.3"]

_CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""TLS 1.2 suites by the names that the Collector's configuration has, and OpenSSL's; those of 1.3 are fixed."""


class TlsServerConfig(Config):
    """Encrypt, and with `client_ca_file` take only clients that show a certificate."""

    cert_file: str = Field(default="", description="File with the server's certificate chain, PEM.")
    cert_pem: str = Field(default="", description="The certificate chain itself, instead of cert_file.")
    key_file: str = Field(default="", description="File with the server's private key, PEM.")
    key_pem: Secret = Field(default=Secret(""), description="The private key itself, instead of key_file.")
    client_ca_file: str = Field(
        default="", description="File with the authorities, PEM; clients must show a certificate of one of them (mTLS)."
    )
    ca_file: str = Field(
        default="", description="For verifying servers; without effect here, as in the Collector. See client_ca_file."
    )
    ca_pem: str = Field(default="", description="As ca_file; without effect here.")
    min_version: TlsVersion = Field(default="1.2", description="Oldest TLS version that is accepted.")
    max_version: TlsVersion | Literal[""] = Field(default="", description="Newest TLS version offered; empty: 1.3.")
    cipher_suites: list[str] = Field(
        default_factory=list[str],
        description="TLS 1.2 cipher suites by their IANA names; empty: a safe choice. Those of TLS 1.3 are fixed.",
    )
    reload_interval: Duration = Field(
        default=0.0, ge=0, description="How long a certificate is used before its files are read again; 0: for ever."
    )

    @field_validator("cipher_suites")
    @classmethod
    def _known_ciphers(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in _CIPHERS:
                raise ValueError(f'cipher suite "{name}" is not known; known are {", ".join(_CIPHERS)}')
        return names

    @model_validator(mode="after")
    def _one_certificate_and_key(self) -> Self:
        for what, file, text in (
            ("cert", self.cert_file, self.cert_pem),
            ("key", self.key_file, self.key_pem.get_secret_value()),
        ):
            if bool(file) == bool(text):
                raise ValueError(f"needs either {what}_file or {what}_pem")
        if self.max_version and self.max_version < self.min_version:
            raise ValueError(f"max_version ({self.max_version}) is under min_version ({self.min_version})")
        return self

    def certificate(self) -> bytes:
        """The certificate chain, PEM; raises StartError for the option it is in."""
        return _read(self.cert_file, "tls::cert_file") if self.cert_file else self.cert_pem.encode()

    def key(self) -> bytes:
        """The private key, PEM; raises StartError."""
        return _read(self.key_file, "tls::key_file") if self.key_file else self.key_pem.get_secret_value().encode()

    def client_authorities(self) -> bytes | None:
        """The certificates of the clients' authorities, PEM, or None where clients need none; raises StartError."""
        return _read(self.client_ca_file, "tls::client_ca_file") if self.client_ca_file else None


class TlsClientConfig(Config):
    """Encrypt and verify the server, and with `cert_file` show it a certificate."""

    insecure: bool = Field(default=False, description="Do not encrypt at all.")
    insecure_skip_verify: bool = Field(
        default=False, description="Encrypt, but take any certificate: for trying out only."
    )
    ca_file: str = Field(default="", description="File with the authorities to trust, PEM; empty: those of the system.")
    cert_file: str = Field(default="", description="File with the client's certificate chain, PEM (mTLS).")
    key_file: str = Field(default="", description="File with the client's private key, PEM.")
    server_name_override: str = Field(
        default="", description="Name that the certificate must have instead of the host's."
    )
    min_version: TlsVersion = Field(default="1.2", description="Oldest TLS version that is used.")
    max_version: TlsVersion | Literal[""] = Field(
        default="", description="Newest TLS version that is used; empty: 1.3."
    )

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file go together")
        return self

    def context(self) -> ssl.SSLContext:
        """A context for clients; raises StartError for the option at fault."""
        context = ssl.create_default_context()
        context.minimum_version = _VERSIONS[self.min_version]
        context.maximum_version = _VERSIONS[self.max_version or "1.3"]
        if self.ca_file:
            try:
                context.load_verify_locations(cadata=_read(self.ca_file, "tls::ca_file").decode("ascii"))
            except (ssl.SSLError, ValueError) as error:
                raise StartError(f"{self.ca_file}: no PEM certificates: {error}", "tls::ca_file") from error
        if self.cert_file:
            try:
                context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
            except (OSError, ValueError) as error:
                raise StartError(f"certificate and key cannot be used: {error}", "tls::cert_file") from error
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class CertificateClock:
    """Says when a certificate is due to be read again."""

    def __init__(self, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._next = clock() + interval_s

    def due(self) -> bool:
        """Whether the interval has passed since the last time this was so."""
        if not self._interval_s or self._clock() < self._next:
            return False
        self._next = self._clock() + self._interval_s
        return True


def server_context(
    config: TlsServerConfig, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic
) -> ssl.SSLContext:
    """A context for servers that reads its certificate again when that is due; raises StartError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]
    context.maximum_version = _VERSIONS[config.max_version or "1.3"]
    if config.cipher_suites:
        context.set_ciphers(":".join(_CIPHERS[name] for name in config.cipher_suites))
    load_certificate(context, config)
    authorities = config.client_authorities()
    if authorities is not None:
        try:
            context.load_verify_locations(cadata=authorities.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise StartError(f"{config.client_ca_file}: no PEM certificates: {error}", "tls::client_ca_file") from error
        context.verify_mode = ssl.CERT_REQUIRED
    certificate = CertificateClock(config.reload_interval, clock)
    newest = context

    def on_handshake(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # A connection has the certificate that its context had when it began, so it gets another context.
        nonlocal newest
        if certificate.due():
            fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            try:
                load_certificate(fresh, config)
                newest = fresh
            except StartError as error:
                log_failed_reload(error, telemetry)
        if newest is not context:
            connection.context = newest

    context.sni_callback = on_handshake
    return context


def log_failed_reload(error: StartError, telemetry: Telemetry) -> None:
    """Say that the certificate in use stays."""
    telemetry.log.error("certificate not reloaded", option=error.option, error=error.reason)


def load_certificate(context: ssl.SSLContext, config: TlsServerConfig) -> tuple[bytes, bytes]:
    """Give the context the certificate and key as they are now, and hand them back; raises StartError."""
    certificate, key = config.certificate(), config.key()
    with _as_file(certificate + b"\n" + key) as path:
        try:
            context.load_cert_chain(path, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            option = "tls::cert_file" if config.cert_file else "tls::cert_pem"
            raise StartError(f"certificate and key cannot be used: {error}", option) from error
    return certificate, key


_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def _no_password() -> str:
    raise ValueError("the key is encrypted; airis cannot ask for a password")


def _read(path: str, option: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StartError(f"{path}: {error.strerror}", option) from error


@contextmanager
def _as_file(content: bytes) -> Generator[str]:
    """A file that only this user can read, for an interface that takes nothing else."""
    descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield path
    finally:
        os.unlink(path)
