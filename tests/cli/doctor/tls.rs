//! An SMSC behind TLS that wants a certificate of ours: what is found, what is wrong, and the channel that comes of it.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{Datelike, TimeDelta, Utc};
use maybug::smsc::{Simulator, SimulatorConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::{channel, examine, smsc};

/// A simulator behind TLS, and the files that it takes to reach it.
struct Secured {
    simulator: Arc<Simulator>,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Secured {
    /// With a server's certificate that is valid for so many days.
    async fn start(days: i64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server(directory.path(), days)));
        let (simulator, _) = smsc(SimulatorConfig::default()).await;
        let simulator = Arc::new(simulator);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let attached = simulator.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    attached.attach(stream);
                }
            }
        });
        Self { simulator, address, directory }
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn endpoint(&self, options: &[&str]) -> String {
        let options: String = options.iter().map(|option| format!(":{option}")).collect();
        format!("tls:host=127.0.0.1:port={}{options}", self.address.port())
    }
}

fn server(directory: &std::path::Path, days: i64) -> ServerConfig {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Operator CA");
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let end = (Utc::now() + TimeDelta::days(days)).date_naive();
    let end = rcgen::date_time_ymd(end.year(), end.month() as u8, end.day() as u8);
    let sign = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = end;
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (client, client_key) = sign("esme");
    let (server, server_key) = sign("smsc.example");
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
    write("ca.pem", authority.pem());
    write("client.pem", client.pem());
    write("client.key", client_key.serialize_pem());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::from_pem_slice(server_key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap()
}

#[tokio::test]
async fn the_channel_keeps_all_that_the_endpoint_said_and_binds() {
    let secured = Secured::start(300).await;
    let endpoint = secured.endpoint(&[
        "timeout=7",
        "bindAddress=127.0.0.1",
        &format!("certKey={}", secured.file("client.pem")),
        &format!("privateKey={}", secured.file("client.key")),
        &format!("caCertsDir={}", secured.file("ca.pem")),
        "hostname=smsc.example",
    ]);
    let examined = examine(&[&endpoint, "--password", "s3cret"]).await;
    assert!(examined.bindable, "{:?}", examined.diagnosis);
    assert_eq!(examined.config()["twisted_endpoint"], endpoint);
    assert!(examined.said("tls")[0].starts_with("TLS 1.3 with TLS13_"), "{:?}", examined.said("tls"));
    let certificate = examined.said("certificate")[0];
    assert!(certificate.starts_with("for smsc.example, subject CN=rcgen self signed cert, issued by"), "{certificate}");
    assert!(certificate.contains("CN=Operator CA"), "{certificate}");
    assert_eq!(examined.verdicts("certificate"), ["good"]);
    channel::binds(&secured.simulator, &examined.diagnosis["channel"], "s3cret", 1).await;
}

#[tokio::test]
async fn what_is_wrong_with_certificates_is_explained() {
    let secured = Secured::start(10).await;
    let authority = format!("caCertsDir={}", secured.file("ca.pem"));
    let name = "hostname=smsc.example";
    let ours =
        [format!("certKey={}", secured.file("client.pem")), format!("privateKey={}", secured.file("client.key"))];
    for (options, advice, days) in [
        (vec![name, &ours[0], &ours[1]], "No authority that is trusted here has signed it", true),
        (vec![authority.as_str(), &ours[0], &ours[1]], "It is for another name", true),
        (vec![authority.as_str(), name], "does it want a client certificate", false),
    ] {
        let examined = examine(&[&secured.endpoint(&options), "--password", "s3cret"]).await;
        assert!(!examined.bindable);
        let findings = examined.diagnosis["findings"].as_array().unwrap();
        let advised =
            findings.iter().filter_map(|finding| finding["advice"].as_str()).any(|text| text.contains(advice));
        assert!(advised, "{:?}", examined.diagnosis);
        let soon = examined.said("certificate").iter().any(|said| said.ends_with(": 9 days are left"));
        assert!(!examined.verdicts("tls").contains(&"good") || !days, "{:?}", examined.diagnosis);
        assert!(soon || !days, "what is not believed is shown: {:?}", examined.diagnosis);
    }
    assert_eq!(secured.simulator.counters().binds, 0);
    let unread = examine(&[&secured.endpoint(&["caCertsDir=/nowhere"])]).await;
    assert_eq!(unread.verdicts("certificates"), ["bad"]);
    // In the clear, to a port that speaks TLS.
    let clear = examine(&[&secured.address.to_string(), "--timeout", "1s"]).await;
    assert_eq!(clear.said("tls")[0], "the port speaks TLS", "{:?}", clear.diagnosis);
    assert_eq!(clear.said("bind").len(), 2, "{:?}", clear.diagnosis);
}
