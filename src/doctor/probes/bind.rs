//! Binds: which modes and versions an SMSC takes, and when to stop asking, since SMSCs lock accounts that keep trying.
//!
//! A refused identity ends the examination. A mode that is not offered leads to the others. A status that may mean
//! either, as ESME_RBINDFAIL does, is followed by one more bind, as transmitter, and that one's refusal is the end.

use std::time::Duration;

use smpp::explain::Refused;
use smpp::pdu::{Bind, EnquireLink, Unbind};
use smpp::session::interface_version;
use smpp::{BindMode, CString, CommandId, CommandStatus, Password, Pdu, RawPdu};

use super::reach::Site;
use super::{Connection, Examination, Verdict, milliseconds};
use crate::doctor::connection::Silence;

/// SMPP 3.4 as binds say it (§5.2.4); 3.3 has no transceiver.
const V34: u8 = 0x34;
const V33: u8 = 0x33;
const V50: u8 = 0x50;

/// Characters of a password that version 3.4 has room for.
const V34_PASSWORD: usize = 8;

/// Longest wait for the answer to unbind, which nothing depends on.
const PARTING: Duration = Duration::from_secs(3);

/// What a bind that failed says of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// It is who we are: no other can succeed.
    Identity,
    /// It is the mode: others may succeed.
    Mode,
    /// It may be either.
    Unclear,
    /// It comes too early, or there are too many.
    Busy,
    /// Nobody there speaks SMPP.
    Foreign,
}

impl Refusal {
    fn of(raw: &RawPdu) -> Self {
        match raw.status {
            CommandStatus::ESME_RINVPASWD | CommandStatus::ESME_RINVSYSID | CommandStatus::ESME_RINVSYSTYP => {
                Self::Identity
            }
            CommandStatus::ESME_RALYBND | CommandStatus::ESME_RTHROTTLED | CommandStatus::ESME_RMSGQFUL => Self::Busy,
            CommandStatus::ESME_RINVCMDID | CommandStatus::ESME_RINVBNDSTS => Self::Mode,
            _ if raw.id == CommandId::GENERIC_NACK => Self::Mode,
            _ => Self::Unclear,
        }
    }

    /// Why no other bind is tried, if none is.
    fn end(self) -> Option<&'static str> {
        match self {
            Self::Identity => Some("nothing more was tried: SMSCs lock accounts that keep trying"),
            Self::Busy => Some("nothing more was tried: each further bind would be one too many"),
            Self::Foreign => Some("nothing more was tried: nobody speaks SMPP here"),
            Self::Mode | Self::Unclear => None,
        }
    }
}

impl Examination<'_> {
    pub(super) async fn bind_in_every_way(&mut self, site: &Site) {
        match self.bind(site, BindMode::Transceiver, V34, Verdict::Bad).await {
            Ok(mut transceiver) => {
                self.bindable = true;
                self.bound(site, BindMode::Transceiver, &mut transceiver, None).await;
                let transmitter = (BindMode::Transmitter, V34);
                let receiver = (BindMode::Receiver, V34);
                let others = [transmitter, receiver, (BindMode::Transmitter, V33), (BindMode::Transceiver, V50)];
                self.part(&mut transceiver).await;
                self.bind_otherwise(site, &others).await;
            }
            Err(refusal) => self.bind_without_transceiver(site, refusal).await,
        }
    }

    async fn bind_without_transceiver(&mut self, site: &Site, refusal: Refusal) {
        if self.ends(refusal) {
            return;
        }
        if refusal == Refusal::Unclear {
            let said = "that may be the mode or who we are; one more bind is tried, as transmitter";
            self.find("bind", Verdict::Note, said, None);
        }
        let mut transmitter = match self.bind(site, BindMode::Transmitter, V34, Verdict::Bad).await {
            Ok(connection) => Some(connection),
            Err(second) if self.ends(second) => return,
            Err(Refusal::Unclear) if refusal == Refusal::Unclear => {
                let said = "refused twice without a reason: nothing more was tried, since SMSCs lock accounts that keep trying";
                let advice =
                    "Check system_id and password first; if they are right, ask which bind modes the account has.";
                return self.find("bind", Verdict::Bad, said, Some(advice));
            }
            Err(_) => None,
        };
        let verdict = if transmitter.is_some() { Verdict::Note } else { Verdict::Bad };
        let mut receiver = match self.bind(site, BindMode::Receiver, V34, verdict).await {
            Ok(connection) => Some(connection),
            Err(refusal) => {
                // Where the transmitter is bound, the rest is asked there.
                if let (None, Some(why)) = (&transmitter, refusal.end()) {
                    self.find("bind", Verdict::Note, why, None);
                }
                None
            }
        };
        let kind = match (&transmitter, &receiver) {
            (Some(_), Some(_)) => "tx+rx",
            (Some(_), None) => "tx",
            (None, Some(_)) => "rx",
            (None, None) => return,
        };
        self.bindable = true;
        self.set("bind_type", kind);
        match (&mut transmitter, &mut receiver) {
            (Some(sender), receiver) => self.bound(site, BindMode::Transmitter, sender, receiver.as_mut()).await,
            (None, Some(receiver)) => self.bound(site, BindMode::Receiver, receiver, None).await,
            (None, None) => {}
        }
        let sends = transmitter.is_some();
        for connection in [&mut transmitter, &mut receiver].into_iter().flatten() {
            self.part(connection).await;
        }
        let mode = if sends { BindMode::Transmitter } else { BindMode::Receiver };
        self.bind_otherwise(site, &[(mode, V33), (mode, V50)]).await;
    }

    /// Tells why no other bind is tried, if none is.
    fn ends(&mut self, refusal: Refusal) -> bool {
        if let Some(why) = refusal.end() {
            self.find("bind", Verdict::Note, why, None);
        }
        refusal.end().is_some()
    }

    /// What a bound connection can tell; deliveries come on `receiver`, where it has one beside it.
    async fn bound(
        &mut self,
        site: &Site,
        mode: BindMode,
        connection: &mut Connection,
        mut receiver: Option<&mut Connection>,
    ) {
        self.keep_alive(connection).await;
        if mode != BindMode::Receiver {
            self.message(connection, receiver.as_deref_mut()).await;
        }
        self.second(site, mode, connection).await;
        self.window(connection).await;
        self.unknown_command(connection).await;
        let refused = connection.refused + receiver.map_or(0, |receiver| receiver.refused);
        if refused > 0 {
            let said = format!(
                "{refused} came and were refused with {}, for the SMSC to deliver them again later",
                CommandStatus::ESME_RX_T_APPN
            );
            self.find("deliveries", Verdict::Note, said, None);
        }
    }

    /// Whether there may be several binds, which `bind_count` makes use of.
    async fn second(&mut self, site: &Site, mode: BindMode, first: &mut Connection) {
        let Ok(mut second) = self.bind(site, mode, V34, Verdict::Note).await else {
            let advice = "Leave bind_count at 1, and stop other systems that use this account.";
            return self.find("several binds", Verdict::Note, "only one bind at a time", Some(advice));
        };
        match first.ask(&EnquireLink::default().into(), self.question.patience).await {
            Err(Silence::Closed | Silence::Lost(_)) => {
                let advice =
                    "Leave bind_count at 1, and let no other system use this account: each would end the other's bind.";
                self.find("several binds", Verdict::Bad, "a second bind is accepted, and ends the first", Some(advice));
                // What is left to be asked is asked there.
                std::mem::swap(first, &mut second);
            }
            _ => {
                self.find("several binds", Verdict::Good, "a second bind is accepted beside the first", None);
                self.part(&mut second).await;
            }
        }
    }

    /// Other modes and versions, one after the other, each parted from in order.
    async fn bind_otherwise(&mut self, site: &Site, others: &[(BindMode, u8)]) {
        for (mode, version) in others {
            match self.bind(site, *mode, *version, Verdict::Note).await {
                Ok(mut connection) => self.part(&mut connection).await,
                Err(refusal) if self.ends(refusal) => return,
                Err(_) => {}
            }
        }
    }

    /// Binds; what came of it is told, a refusal with this verdict.
    async fn bind(
        &mut self,
        site: &Site,
        mode: BindMode,
        version: u8,
        refused: Verdict,
    ) -> Result<Connection, Refusal> {
        let name = format!("{}, version {version:#04x}: ", mode_name(mode));
        let mut connection = match site.connect().await {
            Ok(connection) => connection,
            Err(error) => {
                let said = format!("{name}no further connection was accepted: {error}");
                self.find("bind", refused, said, Some("Ask how many connections the account may have."));
                return Err(Refusal::Busy);
            }
        };
        let (raw, took) = match connection.ask(&self.bind_pdu(mode, version), self.question.patience).await {
            Ok(answer) => answer,
            Err(silence) => return Err(self.no_answer(site, &name, &silence, refused).await),
        };
        if !raw.status.is_ok() {
            self.refused("bind", refused, &name, &raw, Refused::Bind);
            let length = self.question.password.len();
            if raw.status == CommandStatus::ESME_RINVPASWD && length > V34_PASSWORD {
                let said =
                    format!("the password was sent in full, {length} characters; some SMSCs take the first eight only");
                self.find("bind", Verdict::Note, said, Some("Ask the operator which it is before the next attempt."));
            }
            return Err(Refusal::of(&raw));
        }
        if BindMode::of_response(raw.id) != Some(mode) {
            let said = format!("{name}answered with {} instead of its response", raw.id);
            self.find("bind", refused, said, Some("Show the PDUs to the operator: the SMSC breaks the standard."));
            return Err(Refusal::Mode);
        }
        let (system_id, theirs) = described(&raw);
        let said = format!("{name}accepted by {system_id:?}, which says {theirs} ({})", milliseconds(took));
        self.find("bind", Verdict::Good, said, None);
        Ok(connection)
    }

    async fn no_answer(&mut self, site: &Site, name: &str, silence: &Silence, verdict: Verdict) -> Refusal {
        let (refusal, advice) = match silence {
            Silence::Foreign(_) => (Refusal::Foreign, "This port does not speak SMPP, or only over TLS."),
            Silence::Closed | Silence::Lost(_) if self.question.endpoint.tls.is_some() => {
                (Refusal::Unclear, "Does it know our address, and does it want a client certificate (certKey=)?")
            }
            Silence::Closed | Silence::Lost(_) => {
                (Refusal::Unclear, "The SMSC may not know this address, or take binds over TLS only.")
            }
            Silence::Timeout(_) => {
                (Refusal::Unclear, "The SMSC takes connections and does not answer: call the operator.")
            }
        };
        let first = self.findings.iter().all(|finding| finding.probe != "bind");
        self.find("bind", verdict, format!("{name}{silence}"), Some(advice));
        if first && self.speaks_tls(site).await { Refusal::Foreign } else { refusal }
    }

    fn bind_pdu(&self, mode: BindMode, version: u8) -> Pdu {
        // What is too long was refused when the question was asked.
        let password = CString::oversize(self.question.password.as_bytes().to_vec()).unwrap_or_default();
        let bind = Bind {
            system_id: self.question.system_id.as_str().try_into().unwrap_or_default(),
            password: Password(password),
            system_type: self.question.system_type.as_str().try_into().unwrap_or_default(),
            interface_version: version,
            ..Bind::default()
        };
        Pdu::Bind(mode, bind)
    }

    async fn part(&mut self, connection: &mut Connection) {
        // Whether it answers is of no consequence any more.
        let _ = connection.ask(&Unbind::default().into(), self.question.patience.min(PARTING)).await;
    }
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

const fn mode_name(mode: BindMode) -> &'static str {
    match mode {
        BindMode::Transmitter => "transmitter",
        BindMode::Receiver => "receiver",
        BindMode::Transceiver => "transceiver",
    }
}
