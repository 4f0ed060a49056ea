//! Binds: pairs, several at once, backups, outbind, TLS, versions; against an SMSC that does as the test says.

use std::sync::Arc;
use std::time::Duration;

use maybug::smsc::{SessionHabits, SimulatorConfig};
use serde_json::json;
use smpp::pdu::{BindMode, Outbind};
use smpp::{CommandId, CommandStatus, Tag, Tlvs};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::peer::{Peer, ScriptedSmsc, mo};
use crate::support::{Maybug, Receiver, Smsc, soon, types};

#[tokio::test]
async fn a_transmitter_and_a_receiver_are_one_channel() {
    let smsc = ScriptedSmsc::listen().await;
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let properties = json!({"status_url": receiver.url("/s"), "mo_url": receiver.url("/mo")});
    let id = maybug.smpp_channel(smsc.address(), json!({"bind_type": "tx+rx"}), properties).await;
    let (mut first, mut second) = (smsc.accept().await, smsc.accept().await);
    let (mode, _) = first.accept_bind(Tlvs::default()).await;
    let (other, _) = second.accept_bind(Tlvs::default()).await;
    let (mut tx, mut rx) = if mode == BindMode::Transmitter { (first, second) } else { (second, first) };
    assert_ne!(mode, other);
    let both = receiver.until("both", |posted| posted.body["status"] == "ok").await;
    assert_eq!(both["details"]["binds"].as_array().unwrap().len(), 2, "{both}");
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "hi"})).await;
    let (raw, _) = tx.submit().await;
    tx.take(&raw, "1").await;
    assert_eq!(types(&maybug.events(&id, &message, 1).await), ["submitted"]);
    assert_eq!(rx.deliver(mo("27820001001", "hello")).await, CommandStatus::ESME_ROK);
    receiver.mo().await;
    // Half a pair is no pair.
    drop(rx);
    assert_eq!(receiver.told("connection_lost").await["status"], "down");
}

#[tokio::test]
async fn several_binds_share_the_queue_and_what_one_loses_another_sends() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let config = json!({"bind_count": 2, "window_size": 2, "initial_reconnect_delay": 30, "max_reconnect_delay": 30});
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let (mut one, mut two) = (smsc.bound().await, smsc.bound().await);
    let mut messages = Vec::new();
    for n in 0..4 {
        messages.push(maybug.send(&id, json!({"to": "+27820001001", "content": n.to_string()})).await);
    }
    // Each has a window of two; neither may have more.
    for _ in 0..2 {
        one.submit().await;
    }
    let held = [two.submit().await.0, two.submit().await.0];
    drop(one);
    for (n, raw) in held.iter().enumerate() {
        two.take(raw, &format!("b{n}")).await;
    }
    for n in 0..2 {
        let (raw, _) = two.submit().await;
        two.take(&raw, &format!("a{n}")).await;
    }
    let mut duplicates = 0;
    for message in &messages {
        let events = maybug.events(&id, message, 1).await;
        assert_eq!(types(&events), ["submitted"]);
        duplicates += usize::from(events[0]["event_details"]["possible_duplicate"] == true);
    }
    assert_eq!(duplicates, 2, "what was sent twice says so");
}

#[tokio::test]
async fn a_shared_rate_is_shared_fairly() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let config = json!({"bind_count": 2, "mt_tps": 50});
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let (mut one, mut two) = (smsc.bound().await, smsc.bound().await);
    for n in 0..40 {
        maybug.send(&id, json!({"to": "+27820001001", "content": n.to_string()})).await;
    }
    let begun = tokio::time::Instant::now();
    let (mut a, mut b) = (0, 0);
    while a + b < 40 {
        tokio::select! {
            (raw, _) = one.submit() => { one.take(&raw, &format!("a{a}")).await; a += 1; }
            (raw, _) = two.submit() => { two.take(&raw, &format!("b{b}")).await; b += 1; }
        }
    }
    assert!(begun.elapsed() > Duration::from_millis(500), "40 messages at 50 a second in {:?}", begun.elapsed());
    assert!(a >= 12 && b >= 12, "{a} and {b}");
}

#[tokio::test]
async fn a_backup_serves_until_the_primary_answers_again() {
    let (primary, backup) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let second = format!("tcp:127.0.0.1:{}", backup.address().port());
    let config = json!({"backup_hosts": [second], "failback_interval": 0.2});
    let properties = json!({"status_url": receiver.url("/s")});
    let id = maybug.smpp_channel(primary.address(), config, properties).await;
    primary.accept().await.refuse_bind(CommandStatus::ESME_RSYSERR).await;
    let mut spare = backup.bound().await;
    assert_eq!(receiver.told("bound").await["details"]["host"], format!("127.0.0.1:{}", backup.address().port()));
    maybug.send(&id, json!({"to": "+27820001001", "content": "over the backup"})).await;
    let (raw, _) = spare.submit().await;
    spare.take(&raw, "1").await;
    // Still ill, then well: only then is the backup left, and in order.
    primary.accept().await.refuse_bind(CommandStatus::ESME_RSYSERR).await;
    let mut main = primary.bound().await;
    spare.unbound().await;
    maybug.send(&id, json!({"to": "+27820001001", "content": "over the primary"})).await;
    let (_, submit) = main.submit().await;
    assert_eq!(submit.short_message.octets(), &b"over the primary"[..]);
}

#[tokio::test]
async fn outbind_makes_us_bind_on_the_smscs_connection() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut receiver = Receiver::start().await;
    let maybug = Maybug::start().await;
    let config = json!({
        "outbind_listen": free.to_string(), "outbind_from": ["127.0.0.1"], "bind_type": "rx",
        "system_id": "esme", "password": "secret",
    });
    let properties =
        json!({"type": "smpp", "config": config, "status_url": receiver.url("/s"), "mo_url": receiver.url("/mo")});
    maybug.channel(properties).await;
    receiver.told("connecting").await;
    let mut peer = Peer::new(TcpStream::connect(free).await.unwrap());
    peer.request(Outbind { system_id: "smsc".try_into().unwrap(), ..Outbind::default() }).await;
    let (mode, bind) = peer.accept_bind(Tlvs::default()).await;
    assert_eq!((mode, bind.system_id.to_text().as_str()), (BindMode::Receiver, "esme"));
    assert_eq!(peer.deliver(mo("27820001001", "hello")).await, CommandStatus::ESME_ROK);
    receiver.mo().await;
    // The end of it makes room for the next.
    drop(peer);
    receiver.told("connecting").await;
    let mut peer = Peer::new(TcpStream::connect(free).await.unwrap());
    peer.request(Outbind::default()).await;
    peer.accept_bind(Tlvs::default()).await;
}

#[tokio::test]
async fn a_simulated_smsc_asks_us_to_bind_until_we_listen() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let session = SessionHabits { outbind: Some(free), ..SessionHabits::default() };
    let mut smsc = Smsc::start(SimulatorConfig { session, ..SimulatorConfig::default() }).await;
    let maybug = Maybug::start().await;
    let config = json!({
        "outbind_listen": free.to_string(), "outbind_from": ["127.0.0.1"], "system_id": "esme", "password": "secret",
    });
    let id = maybug.channel(json!({"type": "smpp", "config": config, "mo_url": null})).await;
    maybug.send(&id, json!({"to": "+27820001001", "content": "hello"})).await;
    assert_eq!(smsc.message().await.2, "hello");
}

/// Field guide 8.5 #86.
#[tokio::test]
async fn a_peer_of_version_3_3_is_sent_no_optional_parameters() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let id = maybug.smpp_channel(smsc.address(), json!({"interface_version": 33}), json!({})).await;
    let mut peer = smsc.accept().await;
    let (_, bind) = peer.accept_bind(Tlvs::default()).await;
    assert_eq!(bind.interface_version, 0x33);
    maybug.send(&id, json!({"to": "+27820001001", "content": "x".repeat(400)})).await;
    for n in 0..3 {
        let (raw, submit) = peer.submit().await;
        assert!(submit.tlvs.octets().is_empty() && submit.esm_class.udhi());
        peer.take(&raw, &n.to_string()).await;
    }
}

/// Whatever the channel says: its long text goes out in segments that need none.
#[tokio::test]
async fn a_peer_that_says_it_is_of_version_3_3_is_sent_no_optional_parameters() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    for long in ["send_multipart_sar", "send_long_messages"] {
        let id = maybug.smpp_channel(smsc.address(), json!({long: true}), json!({})).await;
        let mut peer = smsc.accept().await;
        let mut tlvs = Tlvs::default();
        tlvs.push_integer(Tag::SC_INTERFACE_VERSION, 0x33);
        peer.accept_bind(tlvs).await;
        maybug.send(&id, json!({"to": "+27820001001", "content": "x".repeat(400)})).await;
        for n in 0..3 {
            let (raw, submit) = peer.submit().await;
            assert!(submit.tlvs.octets().is_empty() && submit.esm_class.udhi(), "{long}");
            peer.take(&raw, &n.to_string()).await;
        }
    }
}

/// Field guide 8.5 #85 and 8.4 #63.
#[tokio::test]
async fn a_congested_peer_of_version_5_0_is_sent_less() {
    let smsc = ScriptedSmsc::listen().await;
    let maybug = Maybug::start().await;
    let config = json!({"interface_version": "50", "window_size": 1});
    let id = maybug.smpp_channel(smsc.address(), config, json!({})).await;
    let mut peer = smsc.accept().await;
    let mut tlvs = Tlvs::default();
    tlvs.push_integer(Tag::SC_INTERFACE_VERSION, 0x50);
    tlvs.push_integer(Tag::CONGESTION_STATE, 10);
    peer.accept_bind(tlvs).await;
    for n in 0..3 {
        maybug.send(&id, json!({"to": "+27820001001", "content": n.to_string()})).await;
    }
    let mut tlvs = Tlvs::default();
    tlvs.push_integer(Tag::CONGESTION_STATE, 99);
    for n in 0..3 {
        let (raw, _) = peer.submit().await;
        let message_id = n.to_string().as_str().try_into().unwrap();
        let answer = smpp::pdu::SubmitSmResp { message_id, tlvs: tlvs.clone() };
        peer.answer(&raw, CommandStatus::ESME_ROK, answer.into()).await;
    }
    // A broadcast is an SMSC's business to take, not an ESME's.
    let sequence = peer.request(smpp::pdu::BroadcastSm::default()).await;
    let refused = peer.expect(CommandId::BROADCAST_SM_RESP).await;
    assert_eq!((refused.sequence, refused.status), (sequence, CommandStatus::ESME_RINVBNDSTS));
}

struct Certificates {
    directory: tempfile::TempDir,
    server: ServerConfig,
}

/// An authority, a server's certificate and a client's, all made for this test.
fn certificates() -> Certificates {
    let directory = tempfile::tempdir().unwrap();
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let sign = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (client, client_key) = sign("esme");
    let (server, server_key) = sign("smsc.example");
    let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
    write("ca.pem", authority.pem());
    write("client.pem", client.pem());
    write("client.key", client_key.serialize_pem());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    let key = PrivateKeyDer::from_pem_slice(server_key.serialize_pem().as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.der().clone()], key)
        .unwrap();
    Certificates { directory, server }
}

#[tokio::test]
async fn tls_with_a_private_authority_and_a_client_certificate() {
    let Certificates { directory, server } = certificates();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let maybug = Maybug::start().await;
    let mut receiver = Receiver::start().await;
    let tls = json!({
        "ca_file": file("ca.pem"), "certificate_file": file("client.pem"), "key_file": file("client.key"),
        "server_name": "smsc.example",
    });
    let address = listener.local_addr().unwrap();
    let id = maybug.smpp_channel(address, json!({"tls": tls}), json!({})).await;
    let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
    let stream = soon("the handshake", acceptor.accept(stream)).await.unwrap();
    let mut peer = Peer::new(stream);
    peer.accept_bind(Tlvs::default()).await;
    let message = maybug.send(&id, json!({"to": "+27820001001", "content": "secret"})).await;
    let (raw, _) = peer.submit().await;
    peer.take(&raw, "1").await;
    assert_eq!(types(&maybug.events(&id, &message, 1).await), ["submitted"]);
    // Another name than the certificate's is refused, and said.
    let tls = json!({"ca_file": file("ca.pem"), "server_name": "somebody.else"});
    let properties = json!({"status_url": receiver.url("/s")});
    maybug.smpp_channel(address, json!({"tls": tls}), properties).await;
    let accepting = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(stream).await;
        }
    };
    let failed = tokio::select! {
        failed = receiver.told("connect_failed") => failed,
        () = accepting => unreachable!(),
    };
    assert!(failed["message"].as_str().unwrap().contains("TLS handshake failed: invalid peer certificate"), "{failed}");
}
