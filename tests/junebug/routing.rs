//! A router of type `from_address` on a channel of its own, for the lines on routers and destinations.

use serde_json::{Value, json};

use crate::support::Maybug;

/// A channel without destination that echoes: what is sent through it comes back as a message from the phone.
pub(crate) async fn bare_channel(maybug: &Maybug) -> String {
    maybug.channel(json!({"type": "loopback", "config": {"echo": true}})).await
}

/// A router's definition.
pub(crate) fn router(channel: &str) -> Value {
    json!({"type": "from_address", "label": "mine", "config": {"channel": channel}, "metadata": {"owner": 7}})
}

/// A destination's definition.
pub(crate) fn destination(pattern: &str, properties: Value) -> Value {
    let mut destination = json!({"config": {"regular_expression": pattern}});
    destination.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    destination
}

/// A server with a channel and its router.
pub(crate) struct Routed {
    pub(crate) maybug: Maybug,
    pub(crate) channel: String,
    pub(crate) router: String,
}

impl Routed {
    pub(crate) async fn start() -> Self {
        Self::on(Maybug::start().await).await
    }

    pub(crate) async fn on(maybug: Maybug) -> Self {
        let channel = bare_channel(&maybug).await;
        let router = created(&maybug, "/routers/", router(&channel)).await;
        Self { maybug, channel, router }
    }

    /// The router's path.
    pub(crate) fn path(&self) -> String {
        format!("/routers/{}", self.router)
    }

    /// Adds a destination and returns its id.
    pub(crate) async fn destination(&self, pattern: &str, properties: Value) -> String {
        created(&self.maybug, &format!("{}/destinations/", self.path()), destination(pattern, properties)).await
    }

    /// A destination's path.
    pub(crate) fn of(&self, destination: &str) -> String {
        format!("{}/destinations/{destination}", self.path())
    }

    /// Sends through a destination and returns the message's id.
    pub(crate) async fn send(&self, destination: &str, message: Value) -> String {
        let (status, answer) = self.maybug.post(&format!("{}/messages/", self.of(destination)), message).await;
        assert_eq!(status, 201, "{answer}");
        answer["result"]["message_id"].as_str().unwrap().to_owned()
    }

    /// A phone writes to one of our numbers.
    pub(crate) async fn phone_writes(&self, to: &str, text: &str) {
        let message = json!({"to": "+27820001001", "from": to, "content": text});
        self.maybug.send(&self.channel, message).await;
    }
}

/// Creates something and returns its id.
pub(crate) async fn created(maybug: &Maybug, path: &str, properties: Value) -> String {
    let (status, answer) = maybug.post(path, properties).await;
    assert_eq!(status, 201, "{answer}");
    answer["result"]["id"].as_str().unwrap().to_owned()
}
