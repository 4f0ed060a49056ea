//! TLS as it was agreed on: version, cipher suite, the peer's certificate; and why a handshake failed.

use chrono::{DateTime, Utc};
use rustls::{AlertDescription, CertificateError, CommonState, Error};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Examination, Verdict};
use crate::endpoint::Stream;

/// A certificate that ends within so many days is worth a word.
const SOON: i64 = 30;

impl Examination<'_> {
    /// Tells what a connection's encryption is; `believed` is whether the certificate was checked, and found good.
    pub(super) fn encryption(&mut self, stream: &Stream, believed: bool) {
        let Some(state) = stream.encryption() else { return };
        let fine = if believed { Verdict::Good } else { Verdict::Note };
        self.find("tls", fine, agreed(state), None);
        let Some(certificate) = state.peer_certificates().and_then(<[_]>::first) else { return };
        match X509Certificate::from_der(certificate) {
            Ok((_, certificate)) => self.certificate(&certificate, fine),
            Err(error) => self.find("certificate", Verdict::Note, format!("it cannot be read: {error}"), None),
        }
    }

    fn certificate(&mut self, certificate: &X509Certificate<'_>, fine: Verdict) {
        let date = |time: i64| DateTime::from_timestamp(time, 0).map(|time| time.format("%Y-%m-%d").to_string());
        let validity = certificate.validity();
        let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let now = Utc::now().timestamp();
        let days = (to - now).div_euclid(24 * 3600);
        let said = format!(
            "for {}, subject {}, issued by {}, valid from {} to {}",
            names(certificate),
            certificate.subject(),
            certificate.issuer(),
            date(from).unwrap_or_default(),
            date(to).unwrap_or_default(),
        );
        if now < from {
            let advice = "Check this machine's clock; if it is right, the operator uses the certificate too early.";
            self.find("certificate", Verdict::Bad, format!("{said}: it is not valid yet"), Some(advice));
        } else if now > to {
            let advice = "Ask the operator for a new one; check this machine's clock.";
            self.find("certificate", Verdict::Bad, format!("{said}: it has expired"), Some(advice));
        } else if days < SOON {
            let advice = "Ask the operator when it will be renewed: no channel connects once it has expired.";
            self.find("certificate", Verdict::Note, format!("{said}: {days} days are left"), Some(advice));
        } else {
            self.find("certificate", fine, said, None);
        }
    }
}

fn agreed(state: &CommonState) -> String {
    let version = state.protocol_version().and_then(|version| version.as_str()).unwrap_or("an unknown version");
    let suite = state.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("an unknown suite");
    format!("{} with {suite}", version.replace("TLSv1_", "TLS 1."))
}

/// The names that it may be used under.
fn names(certificate: &X509Certificate<'_>) -> String {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<String> = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(octets) => address(octets),
            _ => None,
        })
        .collect();
    if names.is_empty() { "no name".to_owned() } else { names.join(", ") }
}

fn address(octets: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(octets).ok().map(|octets| std::net::Ipv4Addr::from(octets).to_string());
    v4.or_else(|| <[u8; 16]>::try_from(octets).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string()))
}

/// Whether it was the peer's certificate that ended the handshake.
pub(super) fn refused_certificate(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(_))
}

/// What to try after a handshake that failed.
pub(super) fn failed_handshake(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "No authority that is trusted here has signed it: ask for the operator's authority, and name it with caCertsDir=."
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "It is for another name: connect to that name, or give it with hostname= if the operator says that it is theirs."
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "It has expired: ask the operator for a new one, and check this machine's clock."
        }
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "It is not valid yet: check this machine's clock."
        }
        Error::InvalidCertificate(_) => "The certificate cannot be trusted: show it to the operator.",
        Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::HandshakeFailure
            | AlertDescription::AccessDenied,
        ) => "The SMSC may want a client certificate that it knows: give it with certKey= and privateKey=.",
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            "Both sides have no version or cipher in common: ask the operator for TLS 1.2 or 1.3."
        }
        Error::InvalidMessage(_) => "The port does not speak TLS: try tcp:, or ask for the port that does.",
        _ => "Show the error to the operator, and ask which TLS they expect.",
    }
}
