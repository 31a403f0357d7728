//! TLS of a client with rustls, and what goes wrong with a connection in words.

use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use super::super::tls::{certificates, protocol_versions, provider};

/// Options of a client, by the names that the Collector's configuration has.
#[derive(Debug)]
pub struct Options<'a> {
    /// Authorities to trust, PEM; none of them may be unreadable.
    pub authorities: Option<&'a [u8]>,
    /// The system's, PEM; what cannot be read of them is left out.
    pub system: Option<&'a [u8]>,
    /// The client's chain and key, PEM, where it shows one.
    pub own: Option<(&'a [u8], &'a [u8])>,
    /// "1.2" and "1.3".
    pub versions: Vec<String>,
    /// Of TLS 1.2; empty: all.
    pub suites: Vec<String>,
    /// Empty: all.
    pub curves: Vec<String>,
    /// Whether the server's certificate is looked at.
    pub verifies: bool,
}

/// A configuration for connections to come; says why there is none.
pub fn client_config(options: &Options<'_>) -> Result<ClientConfig, String> {
    let provider = Arc::new(provider(&options.suites, &options.curves)?);
    let versions = protocol_versions(&options.versions)?;
    let verifier = verifier(options, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&versions).map_err(|error| error.to_string())?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    match options.own {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key: {error}"))?;
            builder.with_client_auth_cert(certificates(chain)?, key).map_err(|error| error.to_string())
        }
    }
}

fn verifier(options: &Options<'_>, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    if !options.verifies {
        return Ok(Arc::new(Careless(provider.clone())));
    }
    let mut roots = RootCertStore::empty();
    let mut pinned = Vec::new();
    if let Some(system) = options.system {
        roots.add_parsable_certificates(certificates(system)?);
    }
    if let Some(authorities) = options.authorities {
        for authority in certificates(authorities)? {
            roots.add(authority.clone()).map_err(|error| error.to_string())?;
            pinned.push(authority);
        }
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone());
    let verifier = verifier.build().map_err(|error| error.to_string())?;
    Ok(Arc::new(Careful { verifier, pinned }))
}

/// webpki, and what it does not take although everybody else does: a certificate that is its own authority, and named
/// as one.
#[derive(Debug)]
struct Careful {
    verifier: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

/// webpki looks at this after the dates, and before all else.
fn is_its_own_authority(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(OtherError(inner)))
        if format!("{inner:?}") == "CaUsedAsEndEntity")
}

impl ServerCertVerifier for Careful {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(error) if is_its_own_authority(&error) && self.pinned.iter().any(|pinned| pinned == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Takes any certificate, of whom holds its key.
#[derive(Debug)]
struct Careless(Arc<CryptoProvider>);

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What went wrong, for a user.
pub fn words(error: &io::Error) -> String {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return tls_words(error);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the server broke the connection off".to_owned(),
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        io::ErrorKind::TimedOut => "no answer to a connection".to_owned(),
        _ => {
            let text = error.to_string();
            // Without the system's number.
            text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words).to_lowercase()
        }
    }
}

fn tls_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet".to_owned()
            }
            CertificateError::UnknownIssuer => {
                "the server's certificate is of an authority that is not trusted (tls::ca_file names those that are)"
                    .to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is for another name (tls::server_name_override)".to_owned()
            }
            other => format!("the server's certificate cannot be trusted: {other}"),
        },
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server wants a certificate of the client (tls::cert_file)".to_owned()
        }
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the server does not speak HTTP/2 over TLS".to_owned()
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "the server speaks none of the TLS versions that are configured".to_owned()
        }
        Error::AlertReceived(alert) => format!("the server ended TLS: {alert:?}"),
        Error::InvalidMessage(_) => "the server does not speak TLS".to_owned(),
        other => format!("TLS: {other}"),
    }
}
