//! `failover`: to the first destination whose receiver takes messages, in the order of `priority`; what a receiver has
//! failed to take `after_failures` times goes on to the next.

use std::sync::Arc;

use super::{Destinations, Route, RouterType, Routing, RoutingError, Sight, channel, number};
use crate::channel::fields::Fields;
use crate::model::{ChannelId, DestinationId, DestinationProperties, Inbound, JsonObject};

/// The type.
pub(super) struct Failover;

struct InOrder {
    channel: ChannelId,
    after: u32,
    /// The first choice first.
    destinations: Vec<DestinationId>,
}

/// Failures after which a message goes on, unless the router says otherwise.
const AFTER: f64 = 3.0;

impl RouterType for Failover {
    fn build(&self, config: &JsonObject, destinations: &Destinations) -> Result<Box<dyn Routing>, RoutingError> {
        let fields = Fields(config.clone());
        let channel = channel(&fields)?;
        let after = number(&fields, "after_failures", 1.0..=100.0, AFTER).map_err(RoutingError::Router)?;
        let priority = |destination: &Arc<DestinationProperties>| {
            let order = number(&Fields(destination.config()), "priority", -1e6..=1e6, 0.0);
            Ok((order.map_err(RoutingError::Destination)?, destination.id.clone()))
        };
        let mut ordered = destinations.iter().map(priority).collect::<Result<Vec<_>, RoutingError>>()?;
        ordered.sort_by(|one, other| one.0.total_cmp(&other.0));
        let destinations = ordered.into_iter().map(|(_, id)| id).collect();
        // In range.
        Ok(Box::new(InOrder { channel, after: after as u32, destinations }))
    }
}

impl Routing for InOrder {
    fn channel(&self) -> Option<&ChannelId> {
        Some(&self.channel)
    }

    fn inbound(&self, _: &Inbound, sight: &dyn Sight) -> Route {
        let reachable = self.destinations.iter().find(|id| sight.is_reachable(id));
        Route::to(reachable.or(self.destinations.first()).cloned())
    }

    fn heir(&self, failed: &DestinationId, failures: u32, sight: &dyn Sight) -> Option<DestinationId> {
        if failures < self.after {
            return None;
        }
        let place = self.destinations.iter().position(|id| id == failed).map_or(0, |place| place + 1);
        let (before, behind) = self.destinations.split_at(place);
        behind.iter().chain(before).find(|id| *id != failed && sight.is_reachable(id)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{World, build, mo, names};

    #[test]
    fn the_first_that_answers_gets_it_and_inherits_what_another_could_not_take() {
        let rows = [("a", json!({"priority": 3})), ("b", json!({"priority": 1})), ("c", json!({"priority": 2}))];
        let routing = build("failover", json!({"channel": "c", "after_failures": 2}), &rows).unwrap();
        let route = |down: &[&'static str]| {
            routing.inbound(&mo("1", "", None), &World { down: down.to_vec(), ..World::default() })
        };
        assert_eq!(names(&route(&[])), ["b"]);
        assert_eq!(names(&route(&["b"])), ["c"]);
        assert_eq!(names(&route(&["a", "b", "c"])), ["b"]);
        let heir = |failed: &str, failures, down: &[&'static str]| {
            routing.heir(&failed.into(), failures, &World { down: down.to_vec(), ..World::default() })
        };
        assert_eq!(heir("b", 1, &[]), None);
        assert_eq!(heir("b", 2, &[]), Some("c".into()));
        assert_eq!(heir("b", 2, &["c"]), Some("a".into()));
        assert_eq!(heir("a", 2, &["a"]), Some("b".into()));
        assert_eq!(heir("b", 2, &["a", "c"]), None);
    }
}
