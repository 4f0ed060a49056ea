//! `from_address`: by our side's address, as Junebug has it (Junebug reference §5.3). Every destination that matches gets
//! a copy; those with `default` get what nobody else does.

use std::sync::Arc;

use regex::Regex;

use super::{Destinations, Route, RouterType, Routing, RoutingError, Sight, channel, is_default, pattern};
use crate::channel::fields::Fields;
use crate::model::{ChannelId, DestinationId, DestinationProperties, Inbound, JsonObject, Outbound};

/// The type.
pub(super) struct FromAddress;

struct ByAddress {
    channel: ChannelId,
    rows: Vec<Row>,
}

struct Row {
    id: DestinationId,
    pattern: Regex,
    default: bool,
}

impl RouterType for FromAddress {
    fn build(&self, config: &JsonObject, destinations: &Destinations) -> Result<Box<dyn Routing>, RoutingError> {
        let channel = channel(&Fields(config.clone()))?;
        let row = |destination: &Arc<DestinationProperties>| {
            let fields = Fields(destination.config());
            let missing = || RoutingError::Destination("Missing required config field 'regular_expression'".to_owned());
            let pattern = pattern(&fields)?.ok_or_else(missing)?;
            Ok(Row { id: destination.id.clone(), pattern, default: is_default(&fields) })
        };
        let rows = destinations.iter().map(row).collect::<Result<_, _>>()?;
        Ok(Box::new(ByAddress { channel, rows }))
    }
}

impl ByAddress {
    fn matching(&self, address: &str) -> Vec<DestinationId> {
        let ids = |wanted: &dyn Fn(&&Row) -> bool| self.rows.iter().filter(wanted).map(|row| row.id.clone()).collect();
        let matching: Vec<_> = ids(&|row| row.pattern.is_match(address));
        if matching.is_empty() { ids(&|row| row.default) } else { matching }
    }
}

impl Routing for ByAddress {
    fn channel(&self) -> Option<&ChannelId> {
        Some(&self.channel)
    }

    fn inbound(&self, message: &Inbound, _: &dyn Sight) -> Route {
        if message.to.is_empty() {
            return Route { nowhere: Some("it has no to address"), ..Route::default() };
        }
        Route { destinations: self.matching(&message.to), ..Route::default() }
    }

    fn hears(&self, message: &Outbound) -> Vec<DestinationId> {
        message.from.as_deref().map(|from| self.matching(from)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{World, build, mo, names};
    use super::*;

    #[test]
    fn every_match_gets_a_copy_and_the_default_what_nobody_matches() {
        let rows = [
            ("a", json!({"regular_expression": "^1"})),
            ("b", json!({"regular_expression": "2$"})),
            ("c", json!({"regular_expression": "^x$", "default": 1})),
        ];
        let routing = build("from_address", json!({"channel": "c"}), &rows).unwrap();
        let to = |to| routing.inbound(&mo(to, "", None), &World::default());
        assert_eq!(names(&to("12")), ["a", "b"]);
        assert_eq!(names(&to("22")), ["b"]);
        assert_eq!(names(&to("33")), ["c"]);
        assert_eq!(to("").nowhere, Some("it has no to address"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |config, rows: &[_]| build("from_address", config, rows).map(|_| ()).unwrap_err();
        let router = |message: &str| RoutingError::Router(message.to_owned());
        let destination = |message: &str| RoutingError::Destination(message.to_owned());
        assert_eq!(refused(json!({}), &[]), router("Missing required config field 'channel'"));
        assert_eq!(refused(json!({"channel": 5}), &[]), router("Field 'channel' is not a valid UUID"));
        let refused = |config| refused(json!({"channel": "c"}), &[("a", config)]);
        assert_eq!(refused(json!({})), destination("Missing required config field 'regular_expression'"));
        let message = "Field 'regular_expression' is not a valid regular expression: unclosed group";
        assert_eq!(refused(json!({"regular_expression": "("})), destination(message));
    }
}
