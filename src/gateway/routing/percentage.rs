//! `percentage`: so many of a hundred phones each. A phone always goes to the same destination while the percentages stay;
//! what is left of the hundred goes to the destination with `default`.

use sha2::{Digest, Sha256};

use super::{Destinations, Route, RouterType, Routing, RoutingError, Sight, channel, is_default, number};
use crate::channel::fields::Fields;
use crate::model::{ChannelId, DestinationId, Inbound, JsonObject};

/// The type.
pub(super) struct Percentage;

struct ByPercentage {
    channel: ChannelId,
    /// Below which of [`PARTS`] each begins to be meant.
    shares: Vec<(u64, DestinationId)>,
    default: Option<DestinationId>,
}

/// Of how many parts the whole is: a hundredth of a percent each.
const PARTS: u64 = 10_000;

impl RouterType for Percentage {
    fn build(&self, config: &JsonObject, destinations: &Destinations) -> Result<Box<dyn Routing>, RoutingError> {
        let channel = channel(&Fields(config.clone()))?;
        let (mut shares, mut default, mut sum) = (Vec::new(), None, 0);
        for destination in destinations {
            let fields = Fields(destination.config());
            let is_default = is_default(&fields);
            if fields.get("percentage").is_none() && !is_default {
                let message = "Missing required config field 'percentage'";
                return Err(RoutingError::Destination(message.to_owned()));
            }
            let percentage = number(&fields, "percentage", 0.0..=100.0, 0.0).map_err(RoutingError::Destination)?;
            // In range; a hundredth of a percent is as fine as it gets.
            sum += (percentage * 100.0).round() as u64;
            if sum > PARTS {
                let message = "Field 'percentage' is too large: all destinations together have more than 100";
                return Err(RoutingError::Destination(message.to_owned()));
            }
            shares.push((sum, destination.id.clone()));
            if is_default {
                default.get_or_insert_with(|| destination.id.clone());
            }
        }
        Ok(Box::new(ByPercentage { channel, shares, default }))
    }
}

impl Routing for ByPercentage {
    fn channel(&self) -> Option<&ChannelId> {
        Some(&self.channel)
    }

    fn inbound(&self, message: &Inbound, _: &dyn Sight) -> Route {
        let digest = Sha256::digest(format!("{}\0{}", self.channel, message.from));
        let part = digest.first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets)) % PARTS;
        let share = self.shares.iter().find(|(below, _)| part < *below).map(|(_, id)| id);
        Route::to(share.or(self.default.as_ref()).cloned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{World, build, mo, names};
    use super::*;

    #[test]
    fn phones_are_shared_out_and_stay() {
        let rows = [
            ("a", json!({"percentage": 25})),
            ("b", json!({"percentage": 60.5})),
            ("c", json!({"default": true})),
            ("d", json!({"percentage": 0})),
        ];
        let routing = build("percentage", json!({"channel": "c"}), &rows).unwrap();
        let mut counts = std::collections::BTreeMap::<String, u32>::new();
        for number in 0..4_000 {
            let message = Inbound { from: format!("+2782{number:07}"), ..mo("1", "", None) };
            let route = routing.inbound(&message, &World::default());
            assert_eq!(route, routing.inbound(&message, &World::default()));
            *counts.entry(names(&route).concat()).or_default() += 1;
        }
        let share = |id: &str| f64::from(*counts.get(id).unwrap_or(&0)) / 40.0;
        assert!((share("a") - 25.0).abs() < 3.0 && (share("b") - 60.5).abs() < 3.0, "{counts:?}");
        assert_eq!(counts.len(), 3);
    }

    #[test]
    fn more_than_the_whole_is_refused() {
        let rows = [("a", json!({"percentage": 60})), ("b", json!({"percentage": 40.01}))];
        let refused = build("percentage", json!({"channel": "c"}), &rows).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("more than 100"), "{refused}");
        let refused = build("percentage", json!({"channel": "c"}), &[("a", json!({}))]).map(|_| ()).unwrap_err();
        assert_eq!(refused.to_string(), "Missing required config field 'percentage'");
    }
}
