//! TLS with rustls: what of the options it can honour, and what it says of those that it cannot.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, SupportedProtocolVersion, version};

/// Options of a server, by the names that the Collector's configuration has.
#[derive(Debug)]
pub struct Options<'a> {
    /// Chain and key, PEM.
    pub certificate: &'a [u8],
    pub key: &'a [u8],
    /// Of the authorities of clients, PEM; None where clients show no certificate.
    pub authorities: Option<&'a [u8]>,
    /// "1.2" and "1.3".
    pub versions: Vec<String>,
    /// Of TLS 1.2; empty: all.
    pub suites: Vec<String>,
    /// Empty: all.
    pub curves: Vec<String>,
    /// For ALPN.
    pub protocols: Vec<String>,
}

/// A configuration for connections to come; says why there is none.
pub fn server_config(options: &Options<'_>) -> Result<ServerConfig, String> {
    let provider = Arc::new(provider(&options.suites, &options.curves)?);
    let versions = protocol_versions(&options.versions)?;
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(&versions).map_err(|error| error.to_string())?;
    let builder = match options.authorities {
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(authorities)? {
                roots.add(authority).map_err(|error| error.to_string())?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_slice(options.key).map_err(|error| format!("the key: {error}"))?;
    let chain = certificates(options.certificate)?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| error.to_string())?;
    config.alpn_protocols = options.protocols.iter().map(|name| name.clone().into_bytes()).collect();
    Ok(config)
}

/// The versions to speak, by their numbers.
pub fn protocol_versions(names: &[String]) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let versions = names.iter().map(|name| match name.as_str() {
        "1.2" => Ok(&version::TLS12),
        "1.3" => Ok(&version::TLS13),
        other => Err(format!("TLS {other} is not spoken")),
    });
    versions.collect()
}

/// All certificates of a PEM file.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| format!("the certificate: {error}"))
}

/// ring, with the cipher suites and curves that are wanted.
pub fn provider(suites: &[String], curves: &[String]) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    if !suites.is_empty() {
        let known = provider.cipher_suites.clone();
        let mut chosen = Vec::new();
        for name in suites {
            let found = known.iter().find(|suite| format!("{:?}", suite.suite()) == *name);
            chosen.push(*found.ok_or_else(|| format!("the cipher suite {name} is not spoken"))?);
        }
        // Those of TLS 1.3 are always offered.
        chosen.extend(known.into_iter().filter(|suite| suite.tls13().is_some()));
        provider.cipher_suites = chosen;
    }
    if !curves.is_empty() {
        let mut chosen = Vec::new();
        for name in curves {
            let known = match name.as_str() {
                "P256" => "secp256r1",
                "P384" => "secp384r1",
                other => other,
            };
            let found = provider.kx_groups.iter().find(|group| format!("{:?}", group.name()) == known);
            chosen.push(*found.ok_or_else(|| format!("the curve {name} is not spoken"))?);
        }
        provider.kx_groups = chosen;
    }
    Ok(provider)
}
