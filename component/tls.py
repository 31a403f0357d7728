"""The ``tls`` sections of servers and clients: certificates from files or text, verified on either side."""

import os
import ssl
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
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
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
"""TLS 1.2 suites by the names that the Collector's configuration has, and OpenSSL's."""
_CIPHERS_OF_1_3 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""Always offered, with TLS 1.3; they may be named."""

_CURVES = {
    "X25519": "X25519",
    "P256": "prime256v1",
    "P384": "secp384r1",
    "P521": "secp521r1",
    "X25519MLKEM768": "X25519MLKEM768",
}
"""By the names that the Collector's configuration has, and OpenSSL's."""

AUTHORITIES_LOOK_S = 1.0
"""How often, at most, a file of client authorities that is watched is compared with what is in use."""


class TpmConfig(Config):
    """A private key in a trusted platform module."""

    enabled: bool = Field(default=False, description="Not supported: true is an error.")
    path: str = Field(default="", description="Without effect.")
    owner_auth: str = Field(default="", description="Without effect.")
    auth: str = Field(default="", description="Without effect.")

    @field_validator("enabled")
    @classmethod
    def _is_off(cls, enabled: bool) -> bool:
        if enabled:
            raise ValueError("keys in a TPM are not supported; write key_file or key_pem")
        return enabled


class TlsConfig(Config):
    """What both sides have."""

    ca_file: str = Field(default="", description="File with the authorities to trust, PEM.")
    ca_pem: str = Field(default="", description="The authorities themselves, instead of ca_file.")
    include_system_ca_certs_pool: bool = Field(default=False, description="Trust the system's authorities as well.")
    cert_file: str = Field(default="", description="File with the certificate chain, PEM.")
    cert_pem: str = Field(default="", description="The certificate chain itself, instead of cert_file.")
    key_file: str = Field(default="", description="File with the private key, PEM.")
    key_pem: Secret = Field(default=Secret(""), description="The private key itself, instead of key_file.")
    min_version: TlsVersion = Field(default="1.2", description="Oldest TLS version that is spoken.")
    max_version: TlsVersion | Literal[""] = Field(default="", description="Newest TLS version spoken; empty: 1.3.")
    cipher_suites: list[str] = Field(
        default_factory=list[str],
        description="TLS 1.2 cipher suites by their IANA names; empty: a safe choice. Those of TLS 1.3 are always "
        "offered; where only such are named, nothing older is spoken.",
    )
    include_insecure_cipher_suites: bool = Field(default=False, description="Not supported: true is an error.")
    curve_preferences: list[str] = Field(
        default_factory=list[str],
        description="The elliptic curve of the key exchange: P256, P384, P521 or X25519; empty: a safe choice. "
        "Several are an error before Python 3.15, which cannot be told them.",
    )
    tpm: TpmConfig = Field(default_factory=TpmConfig, description="Not supported: keys in a TPM.")

    @field_validator("cipher_suites")
    @classmethod
    def _known_ciphers(cls, names: list[str]) -> list[str]:
        known = (*_CIPHERS, *_CIPHERS_OF_1_3)
        for name in names:
            if name not in known:
                raise ValueError(f'cipher suite "{name}" is not known; known are {", ".join(known)}')
        return names

    @field_validator("include_insecure_cipher_suites")
    @classmethod
    def _no_insecure_ciphers(cls, include: bool) -> bool:
        if include:
            raise ValueError("insecure cipher suites are not offered; leave it out")
        return include

    @field_validator("curve_preferences")
    @classmethod
    def _curves_that_can_be_set(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in _CURVES:
                raise ValueError(f'curve "{name}" is not known; known are {", ".join(_CURVES)}')
        if names:
            _set_curves(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), names)
        return names

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for what, file, text in (
            ("ca", self.ca_file, self.ca_pem),
            ("cert", self.cert_file, self.cert_pem),
            ("key", self.key_file, self.key_pem.get_secret_value()),
        ):
            if file and text:
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

    def limit(self, context: ssl.SSLContext) -> None:
        """Let the context speak the versions, cipher suites and curves that are configured."""
        older = [_CIPHERS[name] for name in self.cipher_suites if name in _CIPHERS]
        context.minimum_version = _VERSIONS["1.3" if self.cipher_suites and not older else self.min_version]
        context.maximum_version = _VERSIONS[self.max_version or "1.3"]
        if older:
            context.set_ciphers(":".join(older))
        if self.curve_preferences:
            _set_curves(context, self.curve_preferences)


class TlsServerConfig(TlsConfig):
    """Encrypt, and with `client_ca_file` take only clients that show a certificate."""

    client_ca_file: str = Field(
        default="", description="File with the authorities, PEM; clients must show a certificate of one of them (mTLS)."
    )
    client_ca_file_reload: bool = Field(
        default=False, description="Read client_ca_file again when it changes; looked at when a client comes."
    )
    ca_file: str = Field(
        default="", description="For verifying servers; without effect here, as in the Collector. See client_ca_file."
    )
    ca_pem: str = Field(default="", description="As ca_file; without effect here.")
    include_system_ca_certs_pool: bool = Field(default=False, description="As ca_file; without effect here.")
    reload_interval: Duration = Field(
        default=0.0, ge=0, description="How long a certificate is used before its files are read again; 0: for ever."
    )

    @model_validator(mode="after")
    def _has_certificate_and_key(self) -> Self:
        if not self.cert_file and not self.cert_pem:
            raise ValueError("needs either cert_file or cert_pem")
        if not self.key_file and not self.key_pem.get_secret_value():
            raise ValueError("needs either key_file or key_pem")
        if self.client_ca_file_reload and not self.client_ca_file:
            raise ValueError("client_ca_file_reload names no file to read again; write client_ca_file")
        return self

    def client_authorities(self) -> bytes | None:
        """The certificates of the clients' authorities, PEM, or None where clients need none; raises StartError."""
        return _read(self.client_ca_file, "tls::client_ca_file") if self.client_ca_file else None

    def context(self) -> ssl.SSLContext:
        """A context for servers, from the files as they are now; raises StartError for the option at fault."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.limit(context)
        load_certificate(context, self)
        authorities = self.client_authorities()
        if authorities is not None:
            _trust(context, authorities, self.client_ca_file, "tls::client_ca_file")
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class TlsClientConfig(TlsConfig):
    """Encrypt and verify the server, and with `cert_file` show it a certificate."""

    insecure: bool = Field(default=False, description="Do not encrypt at all.")
    insecure_skip_verify: bool = Field(
        default=False, description="Encrypt, but take any certificate: for trying out only."
    )
    server_name_override: str = Field(
        default="", description="Name that the certificate must have instead of the host's."
    )
    ca_file: str = Field(default="", description="File with the authorities to trust, PEM; empty: those of the system.")
    cert_file: str = Field(default="", description="File with the client's certificate chain, PEM (mTLS).")
    key_file: str = Field(default="", description="File with the client's private key, PEM.")
    reload_interval: Duration = Field(
        default=0.0, ge=0, description="Not supported yet: the certificate of a client is read once. Must stay 0."
    )

    @field_validator("reload_interval")
    @classmethod
    def _never(cls, interval_s: float) -> float:
        if interval_s:
            raise ValueError("the certificate of a client is read once, at the start; leave reload_interval out")
        return interval_s

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Self:
        if bool(self.cert_file or self.cert_pem) != bool(self.key_file or self.key_pem.get_secret_value()):
            raise ValueError("cert_file and key_file go together")
        return self

    def authorities(self) -> bytes | None:
        """The certificates of the authorities to trust, PEM, or None for those of the system; raises StartError."""
        return _read(self.ca_file, "tls::ca_file") if self.ca_file else self.ca_pem.encode() or None

    def context(self) -> ssl.SSLContext:
        """A context for clients; raises StartError for the option at fault."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.limit(context)
        authorities = self.authorities()
        if authorities is not None:
            option = "tls::ca_file" if self.ca_file else "tls::ca_pem"
            _trust(context, authorities, self.ca_file or "the text", option)
        if authorities is None or self.include_system_ca_certs_pool:
            context.load_default_certs()
        if self.cert_file or self.cert_pem:
            load_certificate(context, self)
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class RenewableTlsConfig(TlsClientConfig):
    """Of a client whose certificate can be exchanged while it runs."""

    reload_interval: Duration = Field(
        default=0.0,
        ge=0,
        description="How long certificates are used before their files are read again, for connections to come; 0: "
        "for ever.",
    )

    @field_validator("reload_interval")
    @classmethod
    def _never(cls, interval_s: float) -> float:
        return interval_s


class RenewalClock:
    """Says when the certificates of a client are due to be read again."""

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


class CertificateClock:
    """Says when a certificate is due to be read again, and with it the authorities of clients."""

    def __init__(self, config: TlsServerConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._next = clock() + config.reload_interval
        self._next_look = clock() + AUTHORITIES_LOOK_S
        self._seen = self._authorities()

    def due(self) -> bool:
        """Whether the interval has passed since the last time this was so, or a file that is watched has changed."""
        now = self._clock()
        due = False
        if self._config.reload_interval and now >= self._next:
            self._next = now + self._config.reload_interval
            due = True
        if self._config.client_ca_file_reload and now >= self._next_look:
            self._next_look = now + AUTHORITIES_LOOK_S
            # By content: Kubernetes exchanges the link to a file, and times of change are coarse.
            content = self._authorities()
            due = due or content != self._seen
            self._seen = content
        return due

    def _authorities(self) -> bytes | None:
        if not self._config.client_ca_file_reload:
            return None
        try:
            return self._config.client_authorities()
        except StartError:
            return None


def server_context(
    config: TlsServerConfig, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic
) -> ssl.SSLContext:
    """A context for servers that reads its files again when that is due; raises StartError."""
    certificate = CertificateClock(config, clock)
    context = newest = config.context()

    def on_handshake(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # A connection has the certificate that its context had when it began, so it gets another context. With it
        # come the authorities that the client is verified with.
        nonlocal newest
        if certificate.due():
            try:
                newest = config.context()
            except StartError as error:
                log_failed_reload(error, telemetry)
        if newest is not context:
            connection.context = newest

    context.sni_callback = on_handshake
    return context


def log_failed_reload(error: StartError, telemetry: Telemetry) -> None:
    """Say that the certificate in use stays."""
    telemetry.log.error("certificate not reloaded", option=error.option, error=error.reason)


def load_certificate(context: ssl.SSLContext, config: TlsConfig) -> tuple[bytes, bytes]:
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


def _set_curves(context: ssl.SSLContext, names: list[str]) -> None:
    """Limit the key exchange to these curves; raises ValueError."""
    set_several = getattr(context, "set_groups", None)
    try:
        if set_several is not None:
            set_several(":".join(_CURVES[name] for name in names))
        elif len(names) == 1:
            context.set_ecdh_curve(_CURVES[names[0]])
        else:
            raise ValueError("this Python can be told one curve only; write one, or none for a safe choice")
    except ssl.SSLError as error:
        raise ValueError(f"{', '.join(names)}: {error}") from error
    except ValueError as error:
        if "unknown" not in str(error):
            raise
        raise ValueError(f"{', '.join(names)}: this OpenSSL does not have it; leave it out") from error


def _trust(context: ssl.SSLContext, authorities: bytes, source: str, option: str) -> None:
    try:
        context.load_verify_locations(cadata=authorities.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise StartError(f"{source}: no PEM certificates: {error}", option) from error


def system_authorities() -> bytes | None:
    """The authorities that OpenSSL trusts here, PEM; None where it has none."""
    paths = ssl.get_default_verify_paths()
    with suppress(OSError):
        if paths.cafile:
            return Path(paths.cafile).read_bytes()
        if paths.capath:
            found = [file.read_bytes() for file in sorted(Path(paths.capath).glob("*.[0-9]"))]
            return b"\n".join(found) or None
    return None


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
