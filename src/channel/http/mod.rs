//! The `http` channel type: SMS and USSD aggregators with an HTTP interface, by configuration alone.
//!
//! | file | what |
//! |---|---|
//! | `config`, `outbound`, `route`, `rules`, `steps` | every key: how MTs are sent, what a provider's requests are |
//! | `template`, `filter`, `path` | texts with named fields; where a value stands in a tree |
//! | `content`, `tree` | what is written and what is read: forms, JSON, XML |
//! | `scope` | what the fields stand for |
//! | `flow`, `send` | when MTs leave, and how |
//! | `answer`, `again` | what the provider's answer means, and until when one that means "later" counts |
//! | `receive`, `message`, `receipt`, `mailbox` | the provider's requests: MOs, receipts, questions for MTs |
//! | `state` | what those have in common |

mod again;
mod answer;
mod config;
mod content;
mod filter;
mod flow;
mod mailbox;
mod message;
mod outbound;
mod path;
mod receipt;
mod receive;
mod route;
mod rules;
mod scope;
mod send;
mod state;
mod steps;
mod template;
mod tree;

use std::net::SocketAddr;
use std::sync::Arc;

pub use self::config::HttpConfig;
use self::flow::send;
use self::state::State;
use super::held::{Ending, Hook, Ports};
use super::{ChannelType, ConfigError, Intake, Setup};
use crate::model::JsonObject;

/// The channel type `http`.
pub struct Http {
    ports: Ports,
}

impl Http {
    /// On ports that other channel types may have paths on, too.
    pub(super) fn new(ports: Ports) -> Self {
        Self { ports }
    }
}

impl ChannelType for Http {
    fn check(&self, config: &JsonObject) -> Result<(), ConfigError> {
        HttpConfig::parse(config).map(|_| ())
    }

    fn secrets(&self) -> &'static [&'static str] {
        &["secrets", "senders", "web_password"]
    }

    async fn run<I: Intake>(&self, setup: Setup<I>) -> Result<(), ConfigError> {
        let config = HttpConfig::parse(&setup.config)?;
        let state = Arc::new(State::new(setup, config).await);
        let _ending = Ending(state.held.clone());
        let _cut_off = state.cut_off.clone().drop_guard();
        let listening = async {
            let Some(port) = state.config.web_port else { return std::future::pending().await };
            let address = SocketAddr::new(state.config.web_interface, port);
            let hook: Hook = {
                let state = state.clone();
                Arc::new(move |peer, request| {
                    let state = state.clone();
                    Box::pin(async move { state.answer(peer, request).await })
                })
            };
            let _place = self.ports.listen(&state.setup, address, &state.config.paths(), hook).await;
            state.setup.stop.cancelled().await;
        };
        tokio::join!(send(&state), async {
            tokio::select! {
                () = listening => {}
                () = state.setup.stop.cancelled() => {}
            }
        });
        Ok(())
    }
}
