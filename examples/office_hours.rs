//! A server with a router type of its own: `office_hours`, which hands messages to people while they are there and to a
//! machine at night.
//!
//! ```console
//! $ cargo run --example office_hours -- maybug.yaml
//! $ curl -s http://127.0.0.1:8080/routers/ -d '{"type": "office_hours", "config": {"channel": "CHANNEL"}}'
//! $ curl -s http://127.0.0.1:8080/routers/ROUTER/destinations/ -d '{
//!     "mo_url": "http://127.0.0.1:9000/people", "config": {"opens": 8, "closes": 17}}'
//! ```

use std::path::PathBuf;

use maybug::config::Config;
use maybug::gateway::Types;
use maybug::gateway::routing::{Destinations, Route, RouterType, Routing, RoutingError, Sight};
use maybug::model::{ChannelId, DestinationId, Inbound, JsonObject};
use maybug::server::Server;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args_os().nth(1).map(PathBuf::from);
    let config = Config::load(file.as_deref(), |name| std::env::var(name).ok(), JsonObject::new())?;
    let server = Server::start_with(&config, types()).await?;
    println!("the API listens on {:?}", server.addresses());
    tokio::signal::ctrl_c().await?;
    server.stop().await;
    Ok(())
}

/// What every server has, and `office_hours`.
pub(crate) fn types() -> Types {
    let mut types = Types::default();
    types.routers = types.routers.with("office_hours", OfficeHours);
    types
}

/// The router type `office_hours`.
struct OfficeHours;

struct ByHour {
    channel: ChannelId,
    /// From which hour (UTC) to which, and who is there then.
    hours: Vec<(i64, i64, DestinationId)>,
}

impl RouterType for OfficeHours {
    fn build(&self, config: &JsonObject, destinations: &Destinations) -> Result<Box<dyn Routing>, RoutingError> {
        let channel = config.get("channel").and_then(|channel| channel.as_str());
        let missing = || RoutingError::Router("Missing required config field 'channel'".to_owned());
        let mut hours = Vec::new();
        for destination in destinations {
            let config = destination.config();
            let hour = |key: &str| {
                let hour = config.get(key).and_then(|hour| hour.as_i64()).filter(|hour| (0..=24).contains(hour));
                hour.ok_or_else(|| RoutingError::Destination(format!("Field '{key}' is not an hour from 0 to 24")))
            };
            hours.push((hour("opens")?, hour("closes")?, destination.id.clone()));
        }
        Ok(Box::new(ByHour { channel: channel.ok_or_else(missing)?.into(), hours }))
    }
}

impl Routing for ByHour {
    fn channel(&self) -> Option<&ChannelId> {
        Some(&self.channel)
    }

    fn inbound(&self, message: &Inbound, _: &dyn Sight) -> Route {
        let hour = message.received_at.0 / 3_600_000_000 % 24;
        let open = self.hours.iter().filter(|(opens, closes, _)| (*opens..*closes).contains(&hour));
        Route { destinations: open.map(|(_, _, id)| id.clone()).collect(), ..Route::default() }
    }
}
