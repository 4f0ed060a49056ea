//! Which router types there are, and how a program adds one of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{RouterType, content, failover, from_address, outbound, percentage, session};

/// The router types that a server knows, each by the name that the API and the store call it.
pub struct RouterTypes(Vec<(String, Arc<dyn RouterType>)>);

/// The key `routers` names a class that nothing here is the counterpart of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the key 'routers' says that the router type '{name}' is '{class}', which is neither a router type ({known}) nor \
     Junebug's own '{FROM_ADDRESS}'; classes of one's own cannot be loaded from a file, but a router type can be added in \
     a program of a few lines: docs/extending.md"
)]
pub struct UnknownRouterClass {
    /// The name that the class was to have.
    pub name: String,
    /// The class.
    pub class: String,
    /// Every type that there is.
    pub known: String,
}

/// Junebug's only class of routers.
const FROM_ADDRESS: &str = "junebug.router.FromAddressRouter";

impl RouterTypes {
    /// Those that every server has.
    #[must_use]
    pub fn built_in() -> Self {
        Self(Vec::new())
            .with("from_address", from_address::FromAddress)
            .with("content", content::Content)
            .with("session", session::Session)
            .with("percentage", percentage::Percentage)
            .with("failover", failover::Failover)
            .with("outbound", outbound::OutboundType)
    }

    /// Adds a type under a name, in place of the one that has it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, router_type: impl RouterType + 'static) -> Self {
        self.insert(name.into(), Arc::new(router_type));
        self
    }

    /// The type with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn RouterType>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, router_type)| router_type)
    }

    /// Every name, as an error lists them.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    /// With further names for types that are known, as the configuration keys `routers` and `replace_routers` have them
    /// (Junebug reference §3.1); `only` leaves no other names.
    ///
    /// # Errors
    /// [`UnknownRouterClass`].
    pub fn configured(self, names: &BTreeMap<String, String>, only: bool) -> Result<Self, UnknownRouterClass> {
        let mut found = Vec::new();
        for (name, class) in names {
            let known = if class == FROM_ADDRESS { "from_address" } else { class };
            let unknown = || UnknownRouterClass { name: name.clone(), class: class.clone(), known: self.names() };
            found.push((name.clone(), self.get(known).ok_or_else(unknown)?.clone()));
        }
        let mut configured = if only { Self(Vec::new()) } else { self };
        found.into_iter().for_each(|(name, router_type)| configured.insert(name, router_type));
        Ok(configured)
    }

    fn insert(&mut self, name: String, router_type: Arc<dyn RouterType>) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, replaced)) => *replaced = router_type,
            None => self.0.push((name, router_type)),
        }
    }
}
