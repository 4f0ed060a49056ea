//! Who may bind, and the mailbox that each has.
//!
//! Without configured accounts everybody may, and whoever binds first under a name has an account of that name.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use smpp::pdu::Bind;
use smpp::{BindMode, CommandStatus};

use super::config::SimulatorConfig;
use super::mailbox::{Delivery, Mailbox};

/// See the file's head.
pub(super) struct Accounts(Mutex<Inner>);

struct Inner {
    mailboxes: BTreeMap<String, Arc<Mailbox>>,
    /// For whoever receives first.
    waiting: Mailbox,
}

/// Most names that may bind when everybody may.
const MOST_ACCOUNTS: usize = 10_000;

impl Default for Accounts {
    fn default() -> Self {
        Self(Mutex::new(Inner { mailboxes: BTreeMap::new(), waiting: Mailbox::new("") }))
    }
}

impl Inner {
    fn of(&mut self, system_id: &str) -> Arc<Mailbox> {
        let mailbox = || Arc::new(Mailbox::new(system_id));
        self.mailboxes.entry(system_id.to_owned()).or_insert_with(mailbox).clone()
    }
}

impl Accounts {
    /// The mailbox of whoever asks to bind, or why not.
    pub(super) fn admit(
        &self,
        config: &SimulatorConfig,
        mode: BindMode,
        bind: &Bind,
    ) -> Result<Arc<Mailbox>, CommandStatus> {
        let system_id = bind.system_id.to_text();
        let habits = config.habits_of(&system_id);
        let mut allowed = habits.bind_modes.allow(mode);
        if !config.accounts.is_empty() {
            let account = config.account(&system_id).ok_or(CommandStatus::ESME_RINVSYSID)?;
            if bind.password.0.octets()[..] != *account.password.as_bytes() {
                return Err(CommandStatus::ESME_RINVPASWD);
            }
            allowed &= account.modes.allow(mode);
        }
        if !allowed {
            return Err(CommandStatus::ESME_RBINDFAIL);
        }
        let mut all = self.lock();
        if all.mailboxes.len() >= MOST_ACCOUNTS && !all.mailboxes.contains_key(&system_id) {
            return Err(CommandStatus::ESME_RBINDFAIL);
        }
        let mailbox = all.of(&system_id);
        let refused = match (habits.session.refuse_bind, habits.session.refuse_binds) {
            (status, Some(most)) => {
                // Under the lock, so the count is exact.
                let refused = mailbox.refused_binds.load(Ordering::Relaxed);
                mailbox.refused_binds.store(refused.saturating_add(1), Ordering::Relaxed);
                (refused < most).then(|| status.unwrap_or(CommandStatus::ESME_RBINDFAIL))
            }
            (status, None) => status,
        };
        refused.map_or(Ok(mailbox), Err)
    }

    /// Posts to the account of this name; without a name to the first that has a receiver, and while there is none, to
    /// the first that will have one.
    pub(super) fn post(&self, config: &SimulatorConfig, system_id: Option<&str>, delivery: Delivery) {
        let mut all = self.lock();
        let mailbox = match system_id {
            Some(system_id) => all.of(system_id),
            None => match all.mailboxes.values().find(|mailbox| mailbox.has_receiver()) {
                Some(mailbox) => mailbox.clone(),
                None => return all.waiting.post(config, delivery),
            },
        };
        mailbox.post(config, delivery);
    }

    /// A connection of this account receives from now on.
    pub(super) fn receives(&self, config: &SimulatorConfig, mailbox: &Mailbox) {
        // Counted under the lock, so that nothing is left waiting for the first receiver.
        let all = self.lock();
        mailbox.receivers.fetch_add(1, Ordering::Relaxed);
        all.waiting.move_to(config, mailbox);
    }

    /// Deliveries dropped because too many waited.
    pub(super) fn dropped(&self) -> u64 {
        let all = self.lock();
        all.mailboxes.values().map(|mailbox| mailbox.dropped()).sum::<u64>() + all.waiting.dropped()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
