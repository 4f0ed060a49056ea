//! Which channel types there are, and how a program adds one of its own.
//!
//! A channel type is a value that implements [`ChannelType`]; [`ChannelTypes`] knows each by a name, which is what the
//! API and the store call it. What an operator may add in the configuration file are further names for types that are
//! known already, by their own name or by that of the Python class that Junebug would have run.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use super::held::Ports;
use super::{ConfigError, Intake, Setup, dmark, esme, http, loopback, telnet};
use crate::model::{JsonObject, Outbound};

/// A kind of channel: what its `config` may say, and how a channel with it runs.
///
/// One value serves every channel of the type, so it holds what they share and nothing of any one of them.
pub trait ChannelType: Send + Sync + 'static {
    /// Checks a configuration without starting anything.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    fn check(&self, config: &JsonObject) -> Result<(), ConfigError>;

    /// Keys of the configuration that are never shown.
    fn secrets(&self) -> &'static [&'static str] {
        &[]
    }

    /// What a message would be for the provider, without sending it; `None` for types that pass text on as it is.
    ///
    /// # Errors
    /// [`ConfigError`] when the configuration does not pass [`ChannelType::check`].
    fn preview(&self, _config: &JsonObject, _message: &Outbound) -> Result<Option<JsonObject>, ConfigError> {
        Ok(None)
    }

    /// Runs a channel until its [`Stop`](super::Stop) is given. A run that panics is started again after a pause.
    ///
    /// # Errors
    /// [`ConfigError`] when the configuration does not pass [`ChannelType::check`].
    fn run<I: Intake>(&self, setup: Setup<I>) -> impl Future<Output = Result<(), ConfigError>> + Send;
}

/// A channel's run, for as long as it lasts.
pub type Run = Pin<Box<dyn Future<Output = Result<(), ConfigError>> + Send>>;

/// A [`ChannelType`] of which only the name is known; every one is such a type.
pub trait AnyChannelType<I: Intake>: Send + Sync {
    /// [`ChannelType::check`].
    ///
    /// # Errors
    /// The same.
    fn check(&self, config: &JsonObject) -> Result<(), ConfigError>;

    /// [`ChannelType::secrets`].
    fn secrets(&self) -> &'static [&'static str];

    /// [`ChannelType::preview`].
    ///
    /// # Errors
    /// The same.
    fn preview(&self, config: &JsonObject, message: &Outbound) -> Result<Option<JsonObject>, ConfigError>;

    /// [`ChannelType::run`].
    fn run(self: Arc<Self>, setup: Setup<I>) -> Run;
}

impl<I: Intake, T: ChannelType> AnyChannelType<I> for T {
    fn check(&self, config: &JsonObject) -> Result<(), ConfigError> {
        ChannelType::check(self, config)
    }

    fn secrets(&self) -> &'static [&'static str] {
        ChannelType::secrets(self)
    }

    fn preview(&self, config: &JsonObject, message: &Outbound) -> Result<Option<JsonObject>, ConfigError> {
        ChannelType::preview(self, config, message)
    }

    fn run(self: Arc<Self>, setup: Setup<I>) -> Run {
        Box::pin(async move { ChannelType::run(&*self, setup).await })
    }
}

/// The channel types that a server knows.
pub struct ChannelTypes<I> {
    /// In the order in which errors list them.
    named: Vec<(String, Arc<dyn AnyChannelType<I>>)>,
    /// By the last word of a path of Vumi's; such a class is a type only for whoever asks for it by its path.
    classes: Vec<(&'static str, Arc<dyn AnyChannelType<I>>)>,
}

/// The key `channels` names a class that nothing here is the counterpart of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the key 'channels' says that the channel type '{name}' is '{class}', which is neither a channel type ({known}) nor \
     a class of Vumi's that has a counterpart here; classes of one's own cannot be loaded from a file, but a channel \
     type can be added in a program of a few lines: docs/extending.md"
)]
pub struct UnknownClass {
    /// The name that the class was to have.
    pub name: String,
    /// The class.
    pub class: String,
    /// Every type that there is.
    pub known: String,
}

/// Where Vumi keeps its transports.
const VUMI: &str = "vumi.transports.";

impl<I: Intake> ChannelTypes<I> {
    /// What every server has.
    #[must_use]
    pub fn built_in() -> Self {
        let mut classes: Vec<(&'static str, Arc<dyn AnyChannelType<I>>)> = Vec::new();
        for (class, bind_type) in esme::CLASSES {
            classes.push((class, Arc::new(esme::Smpp { bind_type })));
        }
        let ports = Ports::default();
        Self { named: Vec::new(), classes }
            .with("smpp", esme::Smpp::default())
            .with("loopback", loopback::Loopback)
            .with_class("telnet", "TelnetServerTransport", telnet::Telnet)
            .with_class("dmark", "DmarkUssdTransport", dmark::Dmark::new(ports.clone()))
            .with("http", http::Http::new(ports))
    }

    /// Adds a type under a name, in place of the one that has it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, channel_type: impl ChannelType) -> Self {
        self.insert(name.into(), Arc::new(channel_type));
        self
    }

    /// The same for a type that is the counterpart of a class of Vumi's.
    fn with_class(mut self, name: &str, class: &'static str, channel_type: impl ChannelType) -> Self {
        let channel_type: Arc<dyn AnyChannelType<I>> = Arc::new(channel_type);
        self.classes.push((class, channel_type.clone()));
        self.insert(name.to_owned(), channel_type);
        self
    }

    /// The type with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn AnyChannelType<I>>> {
        self.named.iter().find(|(known, _)| known == name).map(|(_, channel_type)| channel_type)
    }

    /// Every name, as an error lists them.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.named.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    /// With further names for types that are known, as the configuration keys `channels` and `replace_channels` have
    /// them (Junebug reference §3.1); `only` leaves no other names.
    ///
    /// # Errors
    /// [`UnknownClass`].
    pub fn configured(self, names: &BTreeMap<String, String>, only: bool) -> Result<Self, UnknownClass> {
        let found = names.iter().map(|(name, class)| match self.class(class) {
            Some(channel_type) => Ok((name.clone(), channel_type.clone())),
            None => Err(UnknownClass { name: name.clone(), class: class.clone(), known: self.names() }),
        });
        let found = found.collect::<Result<Vec<_>, _>>()?;
        let kept = if only { Vec::new() } else { self.named };
        let mut configured = Self { named: kept, classes: self.classes };
        found.into_iter().for_each(|(name, channel_type)| configured.insert(name, channel_type));
        Ok(configured)
    }

    /// A type by its name or by the path of the class that was its counterpart in Vumi; a class is told by the last word,
    /// since each could be imported from more than one module.
    fn class(&self, class: &str) -> Option<&Arc<dyn AnyChannelType<I>>> {
        let last = class.strip_prefix(VUMI).and_then(|path| path.rsplit('.').next());
        let of_vumi = || self.classes.iter().find(|(known, _)| last == Some(known)).map(|(_, found)| found);
        self.get(class).or_else(of_vumi)
    }

    fn insert(&mut self, name: String, channel_type: Arc<dyn AnyChannelType<I>>) {
        match self.named.iter_mut().find(|(known, _)| *known == name) {
            Some((_, replaced)) => *replaced = channel_type,
            None => self.named.push((name, channel_type)),
        }
    }
}
