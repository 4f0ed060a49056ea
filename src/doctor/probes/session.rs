//! What a bound SMSC answers that costs nothing: keep-alive, requests that do not wait for each other, and what no
//! standard knows.

use std::time::Duration;

use smpp::pdu::EnquireLink;
use smpp::{CommandId, Pdu};

use super::{Connection, Examination, Verdict, milliseconds};

/// Requests that are sent at once.
const BURST: usize = 10;
/// A command that no version of the standard has.
const UNKNOWN: CommandId = CommandId(0x0000_0110);
/// Longest wait for an answer to it; many SMSCs pass over it.
const UNKNOWN_WAIT: Duration = Duration::from_secs(3);

impl Examination<'_> {
    pub(super) async fn keep_alive(&mut self, connection: &mut Connection) {
        match connection.ask(&EnquireLink::default().into(), self.question.patience).await {
            Ok((raw, took)) if raw.id == CommandId::ENQUIRE_LINK_RESP => {
                let said = format!("enquire_link is answered ({})", milliseconds(took));
                self.find("keep-alive", Verdict::Good, said, None);
            }
            Ok((raw, _)) => {
                let said = format!("enquire_link is answered with {} and {}", raw.id, raw.status);
                self.find(
                    "keep-alive",
                    Verdict::Note,
                    said,
                    Some("It proves that the connection lives, all the same."),
                );
            }
            Err(silence) => {
                let advice = "Lost connections will only be noticed by the silence of everything else.";
                self.find("keep-alive", Verdict::Bad, format!("enquire_link: {silence}"), Some(advice));
            }
        }
    }

    /// Whether requests may wait for each other. enquire_link costs nothing; an SMSC may grant messages less.
    pub(super) async fn window(&mut self, connection: &mut Connection) {
        let enquire = EnquireLink::default().into();
        let (answered, silence) = connection.ask_at_once(&enquire, BURST, self.question.patience).await;
        if answered.len() == BURST {
            self.set("window_size", BURST);
            let said = match answered.is_sorted() {
                true => format!("{BURST} requests at once are all answered, in order"),
                false => format!("{BURST} requests at once are all answered, out of order, which is allowed"),
            };
            return self.find("window", Verdict::Good, said, None);
        }
        self.set("window_size", 1);
        let why = silence.map(|silence| format!(": {silence}")).unwrap_or_default();
        let said = format!("of {BURST} requests at once {} were answered{why}", answered.len());
        self.find("window", Verdict::Note, said, Some("window_size is set to 1, to be safe; ask how much is granted."));
    }

    pub(super) async fn unknown_command(&mut self, connection: &mut Connection) {
        let unknown = Pdu::NoBody(UNKNOWN);
        match connection.ask(&unknown, self.question.patience.min(UNKNOWN_WAIT)).await {
            Ok((raw, _)) if raw.id == CommandId::GENERIC_NACK => {
                self.find("unknown command", Verdict::Good, format!("generic_nack with {}", raw.status), None);
            }
            Ok((raw, _)) => self.find("unknown command", Verdict::Note, format!("answered with {}", raw.id), None),
            Err(silence) => self.find("unknown command", Verdict::Note, silence.to_string(), None),
        }
    }
}
