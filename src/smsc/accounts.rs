//! Who may bind, and the mailbox that each has.
//!
//! Without configured accounts everybody may, and whoever binds first under a name has an account of that name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use smpp::pdu::Bind;
use smpp::{BindMode, CommandStatus};

use super::config::SimulatorConfig;
use super::mailbox::Mailbox;

/// See the file's head.
#[derive(Default)]
pub(super) struct Accounts(Mutex<BTreeMap<String, Arc<Mailbox>>>);

/// Most names that may bind when everybody may.
const MOST_ACCOUNTS: usize = 10_000;

impl Accounts {
    /// The mailbox of whoever asks to bind, or why not.
    pub(super) fn admit(
        &self,
        config: &SimulatorConfig,
        mode: BindMode,
        bind: &Bind,
    ) -> Result<Arc<Mailbox>, CommandStatus> {
        if let Some(status) = config.refuse_binds {
            return Err(status);
        }
        let system_id = bind.system_id.to_text();
        let mut allowed = config.bind_modes.allow(mode);
        if !config.accounts.is_empty() {
            let account = config.accounts.iter().find(|account| account.system_id == system_id);
            let account = account.ok_or(CommandStatus::ESME_RINVSYSID)?;
            if bind.password.0.octets()[..] != *account.password.as_bytes() {
                return Err(CommandStatus::ESME_RINVPASWD);
            }
            allowed &= account.modes.allow(mode);
        }
        if !allowed {
            return Err(CommandStatus::ESME_RBINDFAIL);
        }
        let mut all = self.lock();
        if all.len() >= MOST_ACCOUNTS && !all.contains_key(&system_id) {
            return Err(CommandStatus::ESME_RBINDFAIL);
        }
        let mailbox = all.entry(system_id).or_insert_with_key(|system_id| Arc::new(Mailbox::new(system_id)));
        Ok(mailbox.clone())
    }

    /// The mailbox of this name; without a name the first that has a receiver, or else the first.
    pub(super) fn find(&self, config: &SimulatorConfig, system_id: Option<&str>) -> Option<Arc<Mailbox>> {
        let mut all = self.lock();
        // Configured accounts exist before anybody binds.
        for account in &config.accounts {
            let mailbox = || Arc::new(Mailbox::new(&account.system_id));
            all.entry(account.system_id.clone()).or_insert_with(mailbox);
        }
        match system_id {
            Some(system_id) => all.get(system_id).cloned(),
            None => all.values().find(|mailbox| mailbox.has_receiver()).or_else(|| all.values().next()).cloned(),
        }
    }

    /// Deliveries dropped because too many waited.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().values().map(|mailbox| mailbox.dropped()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Mailbox>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
