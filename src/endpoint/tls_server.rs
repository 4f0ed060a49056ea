//! TLS for those who connect to us: who we are, and how a connection becomes an encrypted one.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};

use super::Stream;
use super::tls::{TlsError, certificates};

/// TLS that is ready to be offered; TLS 1.2 and 1.3, nobody is asked for a certificate.
#[derive(Clone)]
pub struct TlsServer(TlsAcceptor);

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl TlsServer {
    /// Reads a PEM certificate chain, ours first, and its PEM key, which may be in the same file.
    ///
    /// # Errors
    /// [`TlsError`] names the file that is of no use.
    pub fn new(certificate_file: &Path, key_file: Option<&Path>) -> Result<Self, TlsError> {
        let chain = certificates(certificate_file)?;
        let key_file = key_file.unwrap_or(certificate_file);
        let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| TlsError::File {
            what: "the private key",
            path: key_file.to_owned(),
            why: error.to_string(),
        })?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(TlsError::Identity)?;
        Ok(Self(Arc::new(config).into()))
    }

    /// Encrypts a connection.
    ///
    /// # Errors
    /// Why the handshake failed.
    pub async fn accept(&self, tcp: TcpStream) -> std::io::Result<Stream> {
        Ok(Stream::Tls(Box::new(TlsStream::Server(self.0.accept(tcp).await?))))
    }
}
