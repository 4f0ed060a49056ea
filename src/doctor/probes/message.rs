//! One message to a phone, where a phone is given: whether it is taken, under which TON and NPI, and as what.
//!
//! Messages cost money: a second one is sent only where the first was refused for the form of an address.

use smpp::explain::Refused;
use smpp::field::address::{Npi, Ton};
use smpp::pdu::{EnquireLink, SubmitSm, SubmitSmResp};
use smpp::text::Charset;
use smpp::{Address, CommandStatus, Pdu, RawPdu, RegisteredDelivery, ShortMessage};

use super::{Connection, Examination, Verdict, milliseconds};

/// Every character of GSM 03.38 that ASCII has elsewhere or not at all.
pub(super) const ALPHABET: &str = "maybug test: @£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ¤¡ÄÖÑÜ§¿äöñüà ^{}\\[~]|€";

/// An address of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

impl Examination<'_> {
    /// Sends it if there is a phone, and waits for what comes of it, on `receiver` where deliveries come there.
    pub(super) async fn message(&mut self, sender: &mut Connection, receiver: Option<&mut Connection>) {
        let Some(to) = self.question.to.clone() else {
            let said =
                "message ids, receipts and alphabets were not looked at: that takes messages, which may cost money";
            return self.find("message", Verdict::Note, said, Some("Give --to with a phone of your own."));
        };
        let Some(mut submit) = self.draft(&to) else {
            return self.find("message", Verdict::Bad, format!("{to:?} is no number"), None);
        };
        let mut receiver = receiver;
        match &mut receiver {
            None => sender.keep_deliveries(),
            Some(receiver) => {
                // What came earlier is read before the answer; whether there is one shows with the receipt.
                let _ = receiver.ask(&EnquireLink::default().into(), self.question.patience).await;
                receiver.keep_deliveries();
            }
        }
        let Some(id) = self.send(sender, &mut submit).await else { return };
        let hears = receiver.unwrap_or(sender);
        self.outcome(hears, &id, &to).await;
    }

    fn draft(&self, to: &str) -> Option<SubmitSm> {
        let destination = Address::detected(to).ok().filter(|address| address.ton != Ton::ALPHANUMERIC)?;
        let source = self.question.from.as_deref().map(Address::detected).transpose().ok()?.unwrap_or_default();
        let short_message = ShortMessage::new(Charset::Gsm7.encode(ALPHABET).ok()?).ok()?;
        let registered_delivery = RegisteredDelivery::RECEIPT;
        Some(SubmitSm { source, destination, registered_delivery, short_message, ..SubmitSm::default() })
    }

    /// The id under which it was taken, at the second attempt if need be.
    async fn send(&mut self, sender: &mut Connection, submit: &mut SubmitSm) -> Option<String> {
        let raw = self.submit(sender, submit).await?;
        if raw.status.is_ok() {
            return Some(message_id(&raw));
        }
        let (side, ton, npi) = alternative(raw.status, submit)?;
        match side {
            Side::Source => (submit.source.ton, submit.source.npi) = (ton, npi),
            Side::Destination => (submit.destination.ton, submit.destination.npi) = (ton, npi),
        }
        let raw = self.submit(sender, submit).await?;
        if !raw.status.is_ok() {
            return None;
        }
        let [ton_key, npi_key] = match side {
            Side::Source => ["source_addr_ton", "source_addr_npi"],
            Side::Destination => ["dest_addr_ton", "dest_addr_npi"],
        };
        self.set(ton_key, ton.0);
        self.set(npi_key, npi.0);
        let said = format!("{ton_key} {} and {npi_key} {} work, and are in the channel's configuration", ton.0, npi.0);
        let advice = "They are sent for every address then: write numbers with their country code and without +.";
        self.find("numbering", Verdict::Note, said, Some(advice));
        Some(message_id(&raw))
    }

    /// The answer to one attempt, which is told; `None` when there is none.
    async fn submit(&mut self, sender: &mut Connection, submit: &SubmitSm) -> Option<RawPdu> {
        let way = format!("from {} to {}", shown(&submit.source), shown(&submit.destination));
        let (raw, took) = match sender.ask(&submit.clone().into(), self.question.patience).await {
            Ok(answer) => answer,
            Err(silence) => {
                self.find("message", Verdict::Bad, format!("{way}: {silence}"), None);
                return None;
            }
        };
        if raw.status.is_ok() {
            let said = format!("{way}: taken with id {:?} ({})", message_id(&raw), milliseconds(took));
            self.find("message", Verdict::Good, said, None);
        } else {
            self.refused("message", Verdict::Bad, &format!("{way}: "), &raw, Refused::Message);
        }
        Some(raw)
    }
}

/// Another numbering for the address that was refused for its own.
fn alternative(status: CommandStatus, submit: &SubmitSm) -> Option<(Side, Ton, Npi)> {
    let (side, address) = match status {
        CommandStatus::ESME_RINVDSTTON | CommandStatus::ESME_RINVDSTNPI | CommandStatus::ESME_RINVDSTADR => {
            (Side::Destination, &submit.destination)
        }
        // No numbering makes an empty sender a good one.
        CommandStatus::ESME_RINVSRCTON | CommandStatus::ESME_RINVSRCNPI if !submit.source.digits.is_empty() => {
            (Side::Source, &submit.source)
        }
        _ => return None,
    };
    match (address.ton, address.npi) {
        (Ton::UNKNOWN, Npi::UNKNOWN) => Some((side, Ton::INTERNATIONAL, Npi::ISDN)),
        _ => Some((side, Ton::UNKNOWN, Npi::UNKNOWN)),
    }
}

fn message_id(raw: &RawPdu) -> String {
    match Pdu::decode(raw) {
        Ok(Pdu::SubmitSmResp(SubmitSmResp { message_id, .. })) => message_id.to_text(),
        _ => String::new(),
    }
}

fn shown(address: &Address) -> String {
    let Address { ton, npi, digits } = address;
    format!("{:?} (TON {}, NPI {})", digits.to_text(), ton.0, npi.0)
}
