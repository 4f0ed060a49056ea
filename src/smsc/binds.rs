//! How an ESME comes to be bound: asked to, refused, or taken, and heard by the phones of its account from then on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smpp::pdu::{Bind, BindResp, Outbind};
use smpp::{BindMode, CommandStatus, Pdu, SequenceNumber, Tag};

use super::config::SimulatorConfig;
use super::connection::Connection;
use super::event::SimEvent;
use super::mailbox::{Attempt, Delivery, Mailbox};
use super::walk::UssdPhone;

impl Connection {
    /// Asks the ESME to bind on this connection (§2.2.1), once it is served.
    pub(super) fn outbind(&mut self) {
        let outbind =
            Outbind { system_id: self.base.system_id.as_str().try_into().unwrap_or_default(), ..Outbind::default() };
        let attempt = Attempt::first(Delivery { pdu: outbind.into(), receipt_for: None });
        let now = self.driver.now();
        // A session that has just begun takes it.
        let _ = self.driver.session.request(now, &attempt.delivery.pdu, attempt.clone());
    }

    pub(super) fn bind(&mut self, sequence: SequenceNumber, mode: BindMode, bind: &Bind) {
        let outcome = self.shared.accounts.admit(&self.base, mode, bind);
        let status = outcome.as_ref().err().copied().unwrap_or(CommandStatus::ESME_ROK);
        let mut response = BindResp::default();
        if let Ok(mailbox) = outcome {
            self.config = habits(&self.base, &mailbox.system_id);
            self.receives = mode != BindMode::Transmitter;
            if self.receives {
                self.shared.accounts.receives(&self.config, &mailbox);
            }
            self.changed = Some(mailbox.subscribe());
            if self.receives {
                self.dial(&mailbox);
            }
            self.mailbox = Some(mailbox);
            response.system_id = self.base.system_id.as_str().try_into().unwrap_or_default();
            let version = self.config.session.interface_version;
            if version.has_tlvs() {
                response.tlvs.push_integer(Tag::SC_INTERFACE_VERSION, u32::from(version.octet()));
            }
            self.shared.counters.binds.fetch_add(1, Ordering::Relaxed);
        }
        self.respond(sequence, status, &Pdu::BindResp(mode, response));
        let (connection, system_id) = (self.number, bind.system_id.to_text());
        self.shared.tell(|| match status.is_ok() {
            true => SimEvent::Bound { connection, system_id, mode },
            false => SimEvent::BindRefused { connection, system_id, mode, status },
        });
    }

    /// The account's phones dial, once it hears them for the first time.
    fn dial(&self, mailbox: &Mailbox) {
        let script = &self.config.ussd.script;
        if script.phones.is_empty() || mailbox.dialled.swap(true, Ordering::Relaxed) {
            return;
        }
        for UssdPhone { phone, dial, steps } in &script.phones {
            let (name, answers) = (&mailbox.system_id, &self.config.ussd.answers);
            match self.shared.ussd.dial(&self.config, Some(name), phone, dial, steps, answers) {
                Some(pdu) => mailbox.post(&self.config, Delivery { pdu: pdu.into(), receipt_for: None }),
                None => tracing::warn!(phone, "there are too many USSD sessions"),
            }
        }
    }
}

/// How a simulator behaves towards an account.
pub(super) fn habits(base: &Arc<SimulatorConfig>, system_id: &str) -> Arc<SimulatorConfig> {
    base.account(system_id).and_then(|account| account.habits.clone()).unwrap_or_else(|| base.clone())
}
