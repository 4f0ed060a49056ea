//! What goes to an ESME: receipts and messages from phones out of its account's mailbox, as far as the window goes, and
//! what becomes of each.

use smpp::session::Ready;
use smpp::text::content::Content;
use smpp::{CommandStatus, Pdu, StatusClass};

use super::connection::Connection;
use super::event::{SimEvent, shown};
use super::mailbox::Attempt;

/// A delivery that was refused for now this often is given up.
const MOST_TRIES: u32 = 20;

impl Connection {
    /// Sends what is ready, as far as the window goes.
    pub(super) fn deliver(&mut self) {
        let Some(mailbox) = &self.mailbox else { return };
        let now = self.driver.now();
        let max = match self.driver.session.ready(now) {
            Ready::Now(max) => max,
            _ => 0,
        };
        for attempt in mailbox.take(&self.config, &self.shared.ids, now, max) {
            let delivery = attempt.delivery.clone();
            if let Err(error) = self.driver.session.request(now, &delivery.pdu, attempt.clone()) {
                tracing::debug!(%error, "a delivery waits");
                mailbox.put_back(std::iter::once(attempt));
            }
        }
    }

    pub(super) fn answered(&mut self, mut attempt: Attempt, status: CommandStatus) {
        let Some(mailbox) = &self.mailbox else { return };
        self.shared.counters.delivered(attempt.delivery.receipt_for.is_some(), status.is_ok());
        let (connection, system_id) = (self.number, &mailbox.system_id);
        self.shared.tell(|| delivered(connection, system_id, &attempt, status));
        let again = matches!(status.class(), StatusClass::Temporary | StatusClass::SlowDown);
        attempt.tries += 1;
        if again && attempt.tries < MOST_TRIES {
            mailbox.retry(self.driver.now() + self.config.retry_delay, attempt);
        }
    }
}

fn delivered(connection: u64, system_id: &str, attempt: &Attempt, status: CommandStatus) -> SimEvent {
    let pdu = &attempt.delivery.pdu;
    let (from, to) = match pdu {
        Pdu::DeliverSm(pdu) => (pdu.source.digits.to_text(), pdu.destination.digits.to_text()),
        _ => Default::default(),
    };
    SimEvent::Delivered {
        connection,
        system_id: system_id.to_owned(),
        receipt: attempt.delivery.receipt_for.is_some(),
        id: attempt.delivery.receipt_for.clone(),
        from,
        to,
        text: Content::of(pdu).and_then(Result::ok).as_ref().map(shown).unwrap_or_default(),
        status,
    }
}
