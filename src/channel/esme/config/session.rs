//! Binds and sessions: where to, as whom, how many, how fast, and every timer.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use smpp::pdu::BindMode;
use smpp::session::{PaceConfig, Role, SessionConfig};

use super::super::super::ConfigError;
use super::super::super::fields::{Fields, wrong};
use super::results::{OnTimeout, ResultConfig};
use crate::endpoint::{Endpoint, EndpointText, TlsOptions};
use crate::model::JsonObject;

/// How the channel is bound.
#[derive(Clone, Debug)]
pub(in crate::channel::esme) struct SessionPlan {
    /// The binds that are held at once.
    pub(in crate::channel::esme) binds: Vec<BindPlan>,
    pub(in crate::channel::esme) system_id: String,
    pub(in crate::channel::esme) password: String,
    pub(in crate::channel::esme) system_type: String,
    pub(in crate::channel::esme) interface_version: u8,
    pub(in crate::channel::esme) address_range: String,
    pub(in crate::channel::esme) bind_numbering: (u8, u8),
    pub(in crate::channel::esme) config: SessionConfig,
    /// Requests per second of all binds together.
    pub(in crate::channel::esme) rate: Option<f64>,
    pub(in crate::channel::esme) max_pdu_len: usize,
    pub(in crate::channel::esme) initial_reconnect_delay: Duration,
    pub(in crate::channel::esme) max_reconnect_delay: Duration,
    /// While a backup is used, the primary is tried this often.
    pub(in crate::channel::esme) failback_interval: Duration,
}

/// One bind.
#[derive(Clone, Debug)]
pub(in crate::channel::esme) struct BindPlan {
    pub(in crate::channel::esme) mode: BindMode,
    pub(in crate::channel::esme) peer: Peer,
}

/// How a bind finds its SMSC.
#[derive(Clone, Debug)]
pub(in crate::channel::esme) enum Peer {
    /// We connect: to the first where possible, else to the next.
    Connect(Vec<Endpoint>),
    /// It connects to us and sends outbind.
    Outbind {
        /// Where we listen.
        listen: SocketAddr,
        /// Who may connect: whoever does is sent our password.
        from: Vec<IpNet>,
    },
}

/// The default window: what most SMSCs grant.
const WINDOW: NonZeroUsize = NonZeroUsize::new(10).expect("ten is not zero");
/// Octets of a password in v3.4, without its NUL.
const PASSWORD: usize = 8;

impl SessionPlan {
    pub(super) fn read(fields: &Fields) -> Result<Self, ConfigError> {
        let password = fields.required_text("password")?;
        let full = fields.boolean("send_full_password")?.unwrap_or(false);
        let plan = Self {
            binds: binds(fields)?,
            system_id: fields.sized_text("system_id", 15, true)?,
            // Field guide §0 #25: cut to what v3.4 allows unless told otherwise.
            password: if full { password } else { password.chars().take(PASSWORD).collect() },
            system_type: fields.sized_text("system_type", 12, false)?,
            interface_version: interface_version(fields)?,
            address_range: fields.sized_text("address_range", 40, false)?,
            bind_numbering: (
                fields.integer("bind_addr_ton", 0..=255_u8)?.unwrap_or(0),
                fields.integer("bind_addr_npi", 0..=255_u8)?.unwrap_or(0),
            ),
            config: session(fields)?,
            rate: rate(fields, "mt_tps")?,
            max_pdu_len: fields.integer("max_pdu_length", 16..=16_777_216)?.unwrap_or(smpp::raw::DEFAULT_MAX_PDU_LEN),
            initial_reconnect_delay: fields.seconds("initial_reconnect_delay", 5.0)?,
            max_reconnect_delay: fields.seconds("max_reconnect_delay", 300.0)?,
            failback_interval: fields.seconds("failback_interval", 300.0)?,
        };
        plan.config.check().map_err(|error| ConfigError::new("", error.to_string()))?;
        Ok(plan)
    }

    /// Whether the peer must not be sent optional parameters (§2.2 of the field guide).
    pub(in crate::channel::esme) fn without_tlvs(&self) -> bool {
        self.interface_version < 0x34
    }
}

/// Two hexadecimal digits, as text or as the number that they look like (field guide §1.2).
fn interface_version(fields: &Fields) -> Result<u8, ConfigError> {
    let text = fields.text("interface_version")?.unwrap_or_else(|| "34".to_owned());
    u8::from_str_radix(&text, 16).map_err(|_| wrong("interface_version", "must be two hexadecimal digits"))
}

/// Zero is no limit, as in Vumi.
fn rate(fields: &Fields, key: &str) -> Result<Option<f64>, ConfigError> {
    match fields.number(key)?.filter(|rate| *rate != 0.0) {
        Some(rate) if rate < 0.0 => Err(wrong(key, "must not be negative")),
        rate => Ok(rate),
    }
}

fn session(fields: &Fields) -> Result<SessionConfig, ConfigError> {
    let patience = fields.seconds("response_timeout", 60.0)?;
    let response_timeout = match OnTimeout::read(fields)? {
        // An answer may then come as late as it likes, on a link that lives.
        OnTimeout::Wait => FOR_EVER,
        _ => patience,
    };
    Ok(SessionConfig {
        role: Role::Esme,
        window: fields.integer("window_size", 1..=10_000)?.and_then(NonZeroUsize::new).unwrap_or(WINDOW),
        response_timeout,
        bind_timeout: fields.seconds("smpp_bind_timeout", 30.0)?,
        enquire_link_interval: Some(fields.seconds("smpp_enquire_link_interval", 55.0)?),
        enquire_link_timeout: Some(patience),
        inactivity_timeout: fields.optional_seconds("idle_timeout")?,
        pdu_read_timeout: fields.seconds("pdu_read_timeout", 10.0)?,
        pace: PaceConfig {
            rate: rate(fields, "bind_tps")?,
            initial_backoff: fields.seconds("throttle_delay", 0.1)?,
            ..PaceConfig::default()
        },
        slow_down: ResultConfig::read(fields)?.slow_down(),
        ..SessionConfig::default()
    })
}

const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

fn binds(fields: &Fields) -> Result<Vec<BindPlan>, ConfigError> {
    use BindMode::{Receiver, Transceiver, Transmitter};
    let modes = fields.choice(
        "bind_type",
        &[
            ("trx", &[Transceiver][..]),
            ("tx", &[Transmitter][..]),
            ("rx", &[Receiver][..]),
            ("tx+rx", &[Transmitter, Receiver][..]),
        ],
    )?;
    let count = fields.integer("bind_count", 1..=64_usize)?.unwrap_or(1);
    if let Some(listen) = fields.text("outbind_listen")? {
        let address = listen.parse().map_err(|_| wrong("outbind_listen", "is not an address like 0.0.0.0:2775"))?;
        if modes.len() * count > 1 {
            return Err(wrong("outbind_listen", "works with one bind only: set bind_type to trx, rx or tx"));
        }
        let from: Result<Vec<IpNet>, _> =
            fields.texts("outbind_from")?.iter().map(|text| text.parse().or_else(|_| host_network(text))).collect();
        let from = from.map_err(|()| wrong("outbind_from", "is not a list of addresses or networks"))?;
        if from.is_empty() {
            let how =
                "must name the addresses that outbind_listen takes connections from, since each is sent the password";
            return Err(wrong("outbind_from", how));
        }
        let peer = Peer::Outbind { listen: address, from };
        return Ok(modes.iter().map(|mode| BindPlan { mode: *mode, peer: peer.clone() }).collect());
    }
    let tls = fields.object("tls")?.map(tls_options).transpose()?;
    let open = |key: &str, mut text: EndpointText| {
        text.tls = text.tls.or_else(|| tls.clone());
        text.open().map_err(|error| wrong(if tls.is_some() { "tls" } else { key }, &format!("cannot be used: {error}")))
    };
    let (key, primary) = primary(fields)?;
    let mut hosts = vec![open(key, primary)?];
    for text in fields.texts("backup_hosts")? {
        hosts.push(open("backup_hosts", endpoint("backup_hosts", &text)?)?);
    }
    let receivers = match fields.text("receiver_endpoint")? {
        Some(text) => vec![open("receiver_endpoint", endpoint("receiver_endpoint", &text)?)?],
        None => hosts.clone(),
    };
    let plan = |mode: BindMode| BindPlan {
        mode,
        peer: Peer::Connect(if mode == Receiver { receivers.clone() } else { hosts.clone() }),
    };
    Ok((0..count).flat_map(|_| modes.iter().copied().map(plan)).collect())
}

/// One address as a network.
fn host_network(text: &str) -> Result<IpNet, ()> {
    text.parse::<IpAddr>().map(IpNet::from).map_err(|_| ())
}

fn primary(fields: &Fields) -> Result<(&'static str, EndpointText), ConfigError> {
    let key = "twisted_endpoint";
    if let Some(value) = fields.get(key) {
        return Ok((key, endpoint(key, value.as_str().unwrap_or_default())?));
    }
    let missing = || ConfigError::new(key, format!("Missing required config field '{key}'"));
    let host = fields.get("host").and_then(|host| host.as_str()).ok_or_else(missing)?;
    let port = fields.get("port").ok_or_else(missing)?;
    let number = port.as_u64().or_else(|| port.as_str()?.parse().ok());
    let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
    let port = number.ok_or_else(|| wrong("port", &format!("is not a port number: {port}")))?;
    Ok(("host", EndpointText::tcp(host, port)))
}

fn endpoint(key: &str, text: &str) -> Result<EndpointText, ConfigError> {
    EndpointText::parse(text).map_err(|why| wrong(key, &format!("is not a valid server endpoint: {why}")))
}

fn tls_options(object: &JsonObject) -> Result<TlsOptions, ConfigError> {
    ConfigError::check_keys(object, &["ca_file", "certificate_file", "key_file", "server_name", "verify"]).map_err(
        |error| {
            let message = error.message.replacen(&format!("'{}'", error.key), &format!("'tls.{}'", error.key), 1);
            ConfigError { key: format!("tls.{}", error.key), message }
        },
    )?;
    let fields = Fields(object.clone());
    let path = |key: &str| Ok::<_, ConfigError>(fields.text(key)?.map(PathBuf::from));
    Ok(TlsOptions {
        ca_file: path("ca_file")?,
        certificate_file: path("certificate_file")?,
        key_file: path("key_file")?,
        server_name: fields.text("server_name")?,
        verify: fields.boolean("verify")?.unwrap_or(true),
    })
}
