"""What grpcio can be told of a ``tls`` section, as a server and as a client."""

from airis.component.tls import TlsConfig


def refuse_what_grpcio_lacks(tls: TlsConfig) -> None:
    """Raise ValueError for a setting that would have no effect."""
    versions = "gRPC offers TLS 1.2 and 1.3 and cannot be told otherwise; leave it out"
    own_choice = "gRPC has its own choice and cannot be told otherwise; leave it out"
    if tls.min_version != "1.2":
        raise ValueError(f"tls::min_version: {versions}")
    if tls.max_version not in ("", "1.3"):
        raise ValueError(f"tls::max_version: {versions}")
    if tls.cipher_suites:
        raise ValueError(f"tls::cipher_suites: {own_choice}")
    if tls.curve_preferences:
        raise ValueError(f"tls::curve_preferences: {own_choice}")
