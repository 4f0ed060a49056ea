//! The probes, in the order in which they are made.

use std::time::Duration;

use serde_json::json;
use smpp::explain::Refused;
use smpp::pdu::{Bind, EnquireLink, SubmitSm, SubmitSmResp, Unbind};
use smpp::receipt::{IdLearner, IdRule, Receipt, canonical_id, receipt_text};
use smpp::session::interface_version;
use smpp::text::Charset;
use smpp::text::content::Content;
use smpp::{
    Address, BindMode, CString, CommandId, CommandStatus, Password, Pdu, RawPdu, RegisteredDelivery, ShortMessage,
};
use tokio::net::lookup_host;
use tokio::time::Instant;

use super::connection::{Connection, Silence};
use super::{Finding, Question, Verdict};
use crate::endpoint::{Endpoint, TlsOptions};
use crate::model::JsonObject;

/// How long an SMSC may take to say something unasked.
const GREETING: Duration = Duration::from_millis(300);
/// Requests that are sent at once to see whether they may wait for each other.
const BURST: usize = 10;
/// A command that no version of the standard has.
const UNKNOWN: CommandId = CommandId(0x0000_0110);

/// An examination under way.
pub(super) struct Examination<'a> {
    pub(super) question: &'a Question,
    pub(super) config: JsonObject,
    pub(super) findings: Vec<Finding>,
    pub(super) tell: &'a mut dyn FnMut(&Finding),
}

/// How a bind ended.
enum Bound {
    Yes(Connection),
    /// Refused for who we are: nothing more may be tried.
    Never,
    No,
}

impl Examination<'_> {
    fn find(&mut self, probe: &'static str, verdict: Verdict, said: impl Into<String>, advice: Option<&str>) {
        let finding = Finding { probe, verdict, said: said.into(), advice: advice.map(str::to_owned) };
        (self.tell)(&finding);
        self.findings.push(finding);
    }

    /// Whether a channel can be bound.
    pub(super) async fn run(&mut self) -> bool {
        let Some(endpoint) = self.reach().await else { return false };
        match self.bind(&endpoint, BindMode::Transceiver, 0x34, true).await {
            Bound::Yes(connection) => self.bound(&endpoint, connection).await,
            Bound::Never => return false,
            Bound::No => return self.pair(&endpoint).await,
        }
        true
    }

    async fn reach(&mut self) -> Option<Endpoint> {
        let text = self.question.endpoint.clone();
        let begun = Instant::now();
        match lookup_host((text.host.as_str(), text.port)).await {
            Ok(addresses) => {
                let addresses: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
                let took = milliseconds(begun.elapsed());
                self.find("name", Verdict::Good, format!("{} is {} ({took})", text.host, addresses.join(", ")), None);
            }
            Err(error) => {
                let advice = "Check the name, and whether this machine may ask for it.";
                self.find("name", Verdict::Bad, format!("{} cannot be resolved: {error}", text.host), Some(advice));
                return None;
            }
        }
        let encrypted = text.tls.is_some();
        let endpoint = match text.clone().open() {
            Ok(endpoint) => Endpoint { timeout: self.question.patience, ..endpoint },
            Err(error) => {
                self.find("certificates", Verdict::Bad, error.to_string(), None);
                return None;
            }
        };
        let begun = Instant::now();
        match endpoint.connect().await {
            Ok(stream) => {
                let took = milliseconds(begun.elapsed());
                let how = if encrypted { "connected with TLS" } else { "connected" };
                self.find("connection", Verdict::Good, format!("{how} to {endpoint} ({took})"), None);
                let mut connection = Connection::new(stream);
                let greeting = connection.greeting(GREETING).await;
                if !greeting.is_empty() {
                    let shown = String::from_utf8_lossy(&greeting[..greeting.len().min(60)]).into_owned();
                    let advice = "An SMSC says nothing before the bind, but for outbind: is this its port?";
                    self.find("greeting", Verdict::Note, format!("it said {shown:?} unasked"), Some(advice));
                }
                Some(endpoint)
            }
            Err(error) => {
                let advice = match encrypted {
                    true => "Check the port, the certificates and the name in them; try without TLS.",
                    false => "Check host and port, and whether a firewall on either side lets us through.",
                };
                self.find("connection", Verdict::Bad, format!("{endpoint}: {error}"), Some(advice));
                None
            }
        }
    }

    /// Whether the port speaks TLS although it was not asked to.
    async fn try_tls(&mut self) {
        let mut text = self.question.endpoint.clone();
        text.tls = Some(TlsOptions { verify: false, ..TlsOptions::default() });
        let Ok(endpoint) = text.open() else { return };
        let endpoint = Endpoint { timeout: self.question.patience, ..endpoint };
        if endpoint.connect().await.is_ok() {
            let advice = "Use a tls: endpoint, and give its authority with ca_file if it is a private one.";
            self.find("tls", Verdict::Bad, "the port speaks TLS", Some(advice));
        }
    }

    /// Binds; what came of it is told.
    async fn bind(&mut self, endpoint: &Endpoint, mode: BindMode, version: u8, first: bool) -> Bound {
        let name = mode_name(mode);
        let Ok(stream) = endpoint.connect().await else {
            self.find("bind", Verdict::Note, format!("{name}: no further connection was accepted"), None);
            return Bound::No;
        };
        let mut connection = Connection::new(stream);
        let answer = connection.ask(&self.bind_pdu(mode, version), self.question.patience).await;
        let (raw, took) = match answer {
            Ok(answer) => answer,
            Err(silence) => {
                let advice = match silence {
                    Silence::Foreign(_) => "This port does not speak SMPP, or only over TLS.",
                    Silence::Closed => "The SMSC may not know this address, or take binds over TLS only.",
                    Silence::Timeout(_) => "The SMSC takes connections and does not answer: call the operator.",
                };
                self.find("bind", Verdict::Bad, format!("{name}: {silence}"), Some(advice));
                if first && self.question.endpoint.tls.is_none() {
                    self.try_tls().await;
                }
                return Bound::No;
            }
        };
        if !raw.status.is_ok() {
            let why = raw.status.explain(Refused::Bind);
            let said = format!(
                "{name}, version {version:#04x}: refused with {} ({:#010x}): {}. {}",
                raw.status, raw.status.0, why.meaning, why.cause
            );
            let identity = matches!(
                raw.status,
                CommandStatus::ESME_RINVPASWD | CommandStatus::ESME_RINVSYSID | CommandStatus::ESME_RINVSYSTYP
            );
            self.find("bind", if first { Verdict::Bad } else { Verdict::Note }, said, Some(why.advice));
            if identity {
                let said = "nothing more was tried: SMSCs lock accounts that keep trying";
                self.find("bind", Verdict::Note, said, None);
                return Bound::Never;
            }
            return Bound::No;
        }
        let (system_id, theirs) = described(&raw);
        let said = format!(
            "{name}, version {version:#04x}: accepted by {system_id:?}, which says {theirs} ({})",
            milliseconds(took)
        );
        self.find("bind", Verdict::Good, said, None);
        Bound::Yes(connection)
    }

    fn bind_pdu(&self, mode: BindMode, version: u8) -> Pdu {
        // What is too long was refused when the question was asked.
        let text = |text: &str| CString::oversize(text.as_bytes().to_vec()).unwrap_or_default();
        let bind = Bind {
            system_id: self.question.system_id.as_str().try_into().unwrap_or_default(),
            password: Password(text(&self.question.password)),
            system_type: self.question.system_type.as_str().try_into().unwrap_or_default(),
            interface_version: version,
            ..Bind::default()
        };
        Pdu::Bind(mode, bind)
    }

    /// No transceiver: a transmitter and a receiver.
    async fn pair(&mut self, endpoint: &Endpoint) -> bool {
        let mut pair = Vec::new();
        for mode in [BindMode::Transmitter, BindMode::Receiver] {
            match self.bind(endpoint, mode, 0x34, false).await {
                Bound::Yes(connection) => pair.push(connection),
                Bound::Never => return false,
                Bound::No => {}
            }
        }
        let bindable = pair.len() == 2;
        if bindable {
            self.config.insert("bind_type".to_owned(), json!("tx+rx"));
        }
        for mut connection in pair {
            self.part(&mut connection).await;
        }
        bindable
    }

    /// What a bound transceiver can tell.
    async fn bound(&mut self, endpoint: &Endpoint, mut connection: Connection) {
        self.keep_alive(&mut connection).await;
        self.burst(&mut connection).await;
        self.unknown_command(&mut connection).await;
        if let Some(to) = self.question.to.clone() {
            self.message(&mut connection, &to).await;
        } else {
            let said =
                "message ids, receipts and alphabets were not looked at: that takes messages, which may cost money";
            self.find("message", Verdict::Note, said, Some("Give --to with a phone of your own."));
        }
        match self.bind(endpoint, BindMode::Transceiver, 0x34, false).await {
            Bound::Yes(mut second) => {
                self.find("several binds", Verdict::Good, "a second bind is accepted beside the first", None);
                self.part(&mut second).await;
            }
            Bound::Never => return,
            Bound::No => {
                let advice = "Leave bind_count at 1, and stop other systems that use this account.";
                self.find("several binds", Verdict::Note, "only one bind at a time", Some(advice));
            }
        }
        self.part(&mut connection).await;
        for version in [0x33, 0x50] {
            if let Bound::Yes(mut other) = self.bind(endpoint, BindMode::Transceiver, version, false).await {
                self.part(&mut other).await;
            }
        }
    }

    async fn keep_alive(&mut self, connection: &mut Connection) {
        match connection.ask(&EnquireLink::default().into(), self.question.patience).await {
            Ok((_, took)) => {
                self.find(
                    "keep-alive",
                    Verdict::Good,
                    format!("enquire_link is answered ({})", milliseconds(took)),
                    None,
                );
            }
            Err(silence) => {
                let advice = "Lost connections will only be noticed by the silence of everything else.";
                self.find("keep-alive", Verdict::Bad, format!("enquire_link: {silence}"), Some(advice));
            }
        }
    }

    /// Whether requests may wait for each other; enquire_link costs nothing.
    async fn burst(&mut self, connection: &mut Connection) {
        let mut numbers = Vec::new();
        for _ in 0..BURST {
            match connection.send(&EnquireLink::default().into()).await {
                Ok(number) => numbers.push(number),
                Err(_) => break,
            }
        }
        let mut answered = 0;
        for number in numbers {
            match connection.answer(number, self.question.patience).await {
                Ok(_) => answered += 1,
                Err(_) => break,
            }
        }
        if answered == BURST {
            self.find("window", Verdict::Good, format!("{BURST} requests at once are all answered in order"), None);
            self.config.insert("window_size".to_owned(), json!(BURST));
        } else {
            let said = format!("of {BURST} requests at once only {answered} were answered, or not in order");
            self.find("window", Verdict::Note, said, Some("Set window_size to 1 to be safe."));
            self.config.insert("window_size".to_owned(), json!(1));
        }
    }

    async fn unknown_command(&mut self, connection: &mut Connection) {
        let unknown = Pdu::NoBody(UNKNOWN);
        match connection.ask(&unknown, self.question.patience.min(Duration::from_secs(3))).await {
            Ok((raw, _)) if raw.id == CommandId::GENERIC_NACK => {
                self.find("unknown command", Verdict::Good, format!("generic_nack with {}", raw.status), None);
            }
            Ok((raw, _)) => self.find("unknown command", Verdict::Note, format!("answered with {}", raw.id), None),
            Err(silence) => self.find("unknown command", Verdict::Note, silence.to_string(), None),
        }
    }

    /// Sends the GSM alphabet to a phone; looks at ids, the receipt, and a copy that may come back.
    async fn message(&mut self, connection: &mut Connection, to: &str) {
        let alphabet = "maybug test: @£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ¤¡ÄÖÑÜ§¿äöñüà ^{}\\[~]|€";
        let octets = Charset::Gsm7.encode(alphabet).unwrap_or_default();
        let (Ok(destination), Ok(short_message)) = (Address::detected(to), ShortMessage::new(octets)) else {
            return self.find("message", Verdict::Bad, format!("{to:?} is no number"), None);
        };
        let source = self.question.from.as_deref().map(Address::detected).and_then(Result::ok).unwrap_or_default();
        let submit = SubmitSm {
            source,
            destination,
            registered_delivery: RegisteredDelivery::RECEIPT,
            short_message,
            ..SubmitSm::default()
        };
        let (raw, took) = match connection.ask(&submit.into(), self.question.patience).await {
            Ok(answer) => answer,
            Err(silence) => return self.find("message", Verdict::Bad, silence.to_string(), None),
        };
        if !raw.status.is_ok() {
            let why = raw.status.explain(Refused::Message);
            let said = format!("refused with {}: {}. {}", raw.status, why.meaning, why.cause);
            return self.find("message", Verdict::Bad, said, Some(why.advice));
        }
        let id = match Pdu::decode(&raw) {
            Ok(Pdu::SubmitSmResp(SubmitSmResp { message_id, .. })) => message_id.to_text(),
            _ => String::new(),
        };
        self.find("message", Verdict::Good, format!("taken with id {id:?} ({})", milliseconds(took)), None);
        self.answers(connection, &id, alphabet).await;
    }

    /// The receipt, and a message that comes back.
    async fn answers(&mut self, connection: &mut Connection, id: &str, alphabet: &str) {
        let until = Instant::now() + self.question.patience;
        let mut receipt_came = false;
        while let Some(pdu) = connection.delivery(until.saturating_duration_since(Instant::now())).await {
            let Some(Ok(content)) = Content::of(&pdu) else { continue };
            let tlvs = pdu.tlvs().cloned().unwrap_or_default();
            let text = receipt_text(content.data_coding, &content.octets);
            match Receipt::parse(&tlvs, &text) {
                Some(receipt) => {
                    receipt_came = true;
                    self.receipt(id, &receipt);
                }
                None if content.text().as_deref() == Some(alphabet) => {
                    self.find("alphabet", Verdict::Good, "the characters of GSM 03.38 that ASCII has elsewhere or not at all came back as they were sent", None);
                    return;
                }
                None => {
                    let came = content.text().unwrap_or_default();
                    let lost: String = alphabet.chars().filter(|character| !came.contains(*character)).collect();
                    let advice = "If this is our message, set submit_sm_encoding and data_coding_overrides to what the operator uses.";
                    let said = format!("a message came back without {lost:?}");
                    self.find("alphabet", Verdict::Note, said, Some(advice));
                    return;
                }
            }
        }
        if !receipt_came {
            let said = format!("none within {} s", self.question.patience.as_secs());
            self.find(
                "receipt",
                Verdict::Note,
                said,
                Some("Is the phone on, and are receipts enabled for the account?"),
            );
        }
    }

    fn receipt(&mut self, id: &str, receipt: &Receipt) {
        let kept = canonical_id(id);
        let named = IdRule::Any.forms(&receipt.smsc_message_id).contains(&kept);
        if !named {
            let said = format!("its id {:?} is not that of the message, {id:?}, in any base", receipt.smsc_message_id);
            return self.find(
                "receipt",
                Verdict::Bad,
                said,
                Some("Ask the operator how receipts name their messages."),
            );
        }
        let mut learner = IdLearner::default();
        // One pair, told often enough to be believed here; a channel waits for more.
        for _ in 0..5 {
            learner.response(id);
            learner.pair(&kept, &receipt.smsc_message_id);
        }
        let Some(finding) = learner.finding() else { return };
        let said =
            format!("{} for {:?}: {}", receipt.state, receipt.smsc_message_id, without_count(&finding.to_string()));
        self.find("receipt", Verdict::Good, said, None);
        let kind = match finding.relation {
            smpp::receipt::Relation::Same => json!("string"),
            smpp::receipt::Relation::HexToDecimal => json!(1),
            smpp::receipt::Relation::DecimalToHex => json!(2),
        };
        self.config.insert("msg_id_type".to_owned(), kind);
    }

    async fn part(&mut self, connection: &mut Connection) {
        // Whether it answers is of no consequence any more.
        let _ = connection.ask(&Unbind::default().into(), self.question.patience.min(Duration::from_secs(3))).await;
    }
}

fn without_count(finding: &str) -> &str {
    finding.split(" (").next().unwrap_or(finding)
}

fn described(raw: &RawPdu) -> (String, String) {
    match Pdu::decode(raw) {
        Ok(Pdu::BindResp(_, body)) => {
            let version = interface_version(&body.tlvs).map(|version| format!("interface version {version:#04x}"));
            (body.system_id.to_text(), version.unwrap_or_else(|| "no interface version".to_owned()))
        }
        _ => (String::new(), "nothing of itself".to_owned()),
    }
}

fn mode_name(mode: BindMode) -> &'static str {
    match mode {
        BindMode::Transmitter => "transmitter",
        BindMode::Receiver => "receiver",
        BindMode::Transceiver => "transceiver",
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
