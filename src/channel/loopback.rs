//! A channel without a network: every MT is acknowledged and delivered at once, and may come back as an MO.
//!
//! The shortest example of a channel type, and a safe target for whoever writes an application.

use serde_json::Value;

use super::{Arrival, ChannelType, ConfigError, Fate, Intake, Outcome, Setup};
use crate::model::{DeliveryStatus, Inbound, JsonObject, Level, MessageId, SmscMessageId, Timestamp};
use crate::store::Delivery;

/// What a loopback channel may be told.
#[derive(Clone, Debug, Default)]
pub struct LoopbackConfig {
    /// Whether each MT comes back as an MO from its destination to its source.
    pub echo: bool,
}

impl LoopbackConfig {
    /// Reads a channel's `config`.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn parse(config: &JsonObject) -> Result<Self, ConfigError> {
        ConfigError::check_keys(config, &["echo"])?;
        match config.get("echo") {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::Bool(echo)) => Ok(Self { echo: *echo }),
            Some(_) => Err(ConfigError::new("echo", "Field 'echo' is not true or false")),
        }
    }
}

/// The channel type `loopback`.
#[derive(Clone, Copy, Debug)]
pub struct Loopback;

impl ChannelType for Loopback {
    fn check(&self, config: &JsonObject) -> Result<(), ConfigError> {
        LoopbackConfig::parse(config).map(|_| ())
    }

    async fn run<I: Intake>(&self, setup: Setup<I>) -> Result<(), ConfigError> {
        let config = LoopbackConfig::parse(&setup.config)?;
        run(setup, config).await;
        Ok(())
    }
}

/// Most MTs taken at once.
const BATCH: usize = 256;

/// Runs the channel until its stop.
async fn run<I: Intake>(setup: Setup<I>, config: LoopbackConfig) {
    let mut queue = setup.queue();
    let report = super::StatusReport {
        component: "loopback",
        level: Level::Ok,
        kind: "running",
        message: "Running".to_owned(),
        details: JsonObject::new(),
    };
    setup.intake.status(&setup.id, report).await;
    loop {
        let pulled = tokio::select! {
            pulled = queue.pull(BATCH) => pulled,
            () = setup.stop.cancelled() => return,
        };
        match pulled {
            Ok(deliveries) => deliver(&setup, &config, deliveries).await,
            Err(error) => {
                setup.log.failure(error.to_string(), &error);
                return setup.stop.cancelled().await;
            }
        }
    }
}

async fn deliver<I: Intake>(setup: &Setup<I>, config: &LoopbackConfig, deliveries: Vec<Delivery>) {
    let mut arrivals = Vec::new();
    let mut outcomes = Vec::new();
    for Delivery { ticket, origin, message, .. } in deliveries {
        let smsc_message_id = SmscMessageId(MessageId::mint().to_string());
        let fate = Fate::Submitted {
            smsc_message_ids: vec![smsc_message_id],
            correlate: Vec::new(),
            announce: true,
            details: JsonObject::new(),
        };
        outcomes.push(Outcome { ticket, origin, message: message.clone(), fate });
        if config.echo {
            let echo = Inbound {
                id: MessageId::mint(),
                channel: setup.id.clone(),
                to: message.from.clone().unwrap_or_default(),
                from: message.to.clone(),
                group: message.group.clone(),
                content: Some(message.content.clone()),
                reply_to: None,
                session_event: message.session_event,
                channel_data: JsonObject::new(),
                transport_type: None,
                transport_metadata: JsonObject::new(),
                provider: None,
                destinations: Vec::new(),
                received_at: Timestamp::now(),
            };
            arrivals.push(Arrival::Message { message: echo.into(), joined_from: Vec::new() });
        }
        let status = DeliveryStatus::Delivered;
        arrivals.push(Arrival::Report { origin, message, status, announce: true, details: JsonObject::new() });
    }
    setup.intake.decided(&setup.id, outcomes).await;
    if let Err(error) = setup.intake.arrived(&setup.id, arrivals).await {
        setup.log.failure(format!("reports and echoes were lost: {error}"), &error);
    }
}
