//! TLS towards a peer: whom we trust, who we are, which name we expect.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use super::Stream;

/// TLS as its operator wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM certificates that are trusted, a file or a directory of them; the system's when absent.
    pub ca_file: Option<PathBuf>,
    /// PEM certificate chain that we show, ours first.
    pub certificate_file: Option<PathBuf>,
    /// Its PEM key; in the certificate's file when absent.
    pub key_file: Option<PathBuf>,
    /// The name in the peer's certificate, where it is not the host's.
    pub server_name: Option<String>,
    /// Whether the peer must prove who it is. Without, anybody on the way can read and change everything.
    pub verify: bool,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self { ca_file: None, certificate_file: None, key_file: None, server_name: None, verify: true }
    }
}

/// Why TLS cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{what} {path} cannot be read: {why}", path = .path.display())]
    File {
        /// What it should be.
        what: &'static str,
        /// It.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A file has no certificate.
    #[error("{path} has no PEM certificate", path = .0.display())]
    NoCertificate(PathBuf),
    /// The system has no trusted certificates.
    #[error("the system has no trusted certificates; name some with ca_file")]
    NoRoots,
    /// Our certificate and key cannot be used.
    #[error("the certificate and its key cannot be used: {0}")]
    Identity(rustls::Error),
    /// The name is none.
    #[error("{0:?} is no name that a certificate could have; set server_name")]
    Name(String),
}

/// TLS that is ready to be used.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TlsClient {
    /// Reads certificates and keys.
    ///
    /// # Errors
    /// [`TlsError`] names the file or value that is of no use.
    pub fn new(options: &TlsOptions, host: &str) -> Result<Self, TlsError> {
        let name = options.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Identity)?;
        let builder = if options.verify {
            builder.with_root_certificates(roots(options.ca_file.as_deref())?)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        };
        let config = match &options.certificate_file {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let chain = certificates(file)?;
                let key_file = options.key_file.as_deref().unwrap_or(file);
                let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| TlsError::File {
                    what: "the private key",
                    path: key_file.to_owned(),
                    why: error.to_string(),
                })?;
                builder.with_client_auth_cert(chain, key).map_err(TlsError::Identity)?
            }
        };
        Ok(Self { connector: Arc::new(config).into(), name })
    }

    /// Encrypts a connection.
    ///
    /// # Errors
    /// Why the handshake failed.
    pub(super) async fn handshake(&self, tcp: TcpStream) -> std::io::Result<Stream> {
        let stream = self.connector.connect(self.name.clone(), tcp).await?;
        Ok(Stream::Tls(Box::new(TlsStream::Client(stream))))
    }
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match file {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::NoRoots);
            }
        }
        Some(path) if path.is_dir() => {
            let unreadable = |why: std::io::Error| TlsError::File {
                what: "the directory of trusted certificates",
                path: path.to_owned(),
                why: why.to_string(),
            };
            for entry in std::fs::read_dir(path).map_err(unreadable)? {
                // Other files may lie there too; what is no certificate is passed over.
                if let Ok(found) = certificates(&entry.map_err(unreadable)?.path()) {
                    roots.add_parsable_certificates(found);
                }
            }
            if roots.is_empty() {
                return Err(TlsError::NoCertificate(path.to_owned()));
            }
        }
        Some(path) => {
            let (added, _) = roots.add_parsable_certificates(certificates(path)?);
            if added == 0 {
                return Err(TlsError::NoCertificate(path.to_owned()));
            }
        }
    }
    Ok(roots)
}

/// Every certificate of a PEM file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |error: rustls::pki_types::pem::Error| TlsError::File {
        what: "the certificate",
        path: path.to_owned(),
        why: error.to_string(),
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    let found = found.map_err(unreadable)?;
    if found.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(found) }
}

/// Takes every certificate, for peers whose own cannot be checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
