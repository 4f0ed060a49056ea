//! `session`: by the code that a phone dialled, and for as long as its session lasts. The same code wins, then the longest
//! `prefix`, then the first pattern, then the destination with `default`.

use std::cmp::Reverse;
use std::time::Duration;

use regex::Regex;

use super::{
    Destinations, Keep, Route, RouterType, Routing, RoutingError, Sight, channel, is_default, number, pattern, texts,
};
use crate::channel::fields::Fields;
use crate::model::{ChannelId, DestinationId, Inbound, JsonObject, SessionEvent};

/// The type.
pub(super) struct Session;

struct BySession {
    channel: ChannelId,
    timeout: Duration,
    codes: Vec<(String, DestinationId)>,
    /// The longest first.
    prefixes: Vec<(String, DestinationId)>,
    patterns: Vec<(Regex, DestinationId)>,
    default: Option<DestinationId>,
}

/// How long a session lasts without a word, in seconds: Junebug's `ussd_session_timeout`.
const TIMEOUT: f64 = 600.0;
/// Longest that can be asked for.
const MAX_TIMEOUT: f64 = 24.0 * 3600.0;

impl RouterType for Session {
    fn build(&self, config: &JsonObject, destinations: &Destinations) -> Result<Box<dyn Routing>, RoutingError> {
        let fields = Fields(config.clone());
        let timeout = number(&fields, "session_timeout", 1.0..=MAX_TIMEOUT, TIMEOUT).map_err(RoutingError::Router)?;
        let mut routing = BySession {
            channel: channel(&fields)?,
            timeout: Duration::from_secs_f64(timeout),
            codes: Vec::new(),
            prefixes: Vec::new(),
            patterns: Vec::new(),
            default: None,
        };
        for destination in destinations {
            let (id, fields) = (&destination.id, Fields(destination.config()));
            let (codes, prefixes) = (texts(&fields, "code")?, texts(&fields, "prefix")?);
            let pattern = pattern(&fields)?;
            let default = is_default(&fields);
            if codes.is_empty() && prefixes.is_empty() && pattern.is_none() && !default {
                let message =
                    "Missing config field: one of 'code', 'prefix', 'regular_expression' and 'default' is needed";
                return Err(RoutingError::Destination(message.to_owned()));
            }
            for code in codes {
                if let Some((_, other)) = routing.codes.iter().find(|(known, other)| *known == code && other != id) {
                    let message = format!("Field 'code' is not unique: destination {other} has '{code}' already");
                    return Err(RoutingError::Destination(message));
                }
                routing.codes.push((code, id.clone()));
            }
            routing.prefixes.extend(prefixes.into_iter().map(|prefix| (prefix, id.clone())));
            routing.patterns.extend(pattern.map(|pattern| (pattern, id.clone())));
            if default {
                routing.default.get_or_insert_with(|| id.clone());
            }
        }
        routing.prefixes.sort_by_key(|(prefix, _)| Reverse(prefix.len()));
        Ok(Box::new(routing))
    }
}

impl BySession {
    fn matching(&self, code: &str) -> Option<DestinationId> {
        let exact = self.codes.iter().find(|(known, _)| known == code).map(|(_, id)| id);
        let prefix = || self.prefixes.iter().find(|(prefix, _)| code.starts_with(prefix)).map(|(_, id)| id);
        let pattern = || self.patterns.iter().find(|(pattern, _)| pattern.is_match(code)).map(|(_, id)| id);
        exact.or_else(prefix).or_else(pattern).or(self.default.as_ref()).cloned()
    }
}

impl Routing for BySession {
    fn channel(&self) -> Option<&ChannelId> {
        Some(&self.channel)
    }

    fn inbound(&self, message: &Inbound, sight: &dyn Sight) -> Route {
        let by_code = || self.matching(&message.to);
        let with = |id: &Option<DestinationId>| id.clone().map(|id| Keep::With(id, self.timeout));
        match message.session_event {
            None => Route::to(by_code()),
            Some(SessionEvent::New) => {
                let id = by_code();
                Route { keep: with(&id), ..Route::to(id) }
            }
            // The `to` of a later step is not always what was dialled.
            Some(SessionEvent::Resume) => {
                let id = sight.kept_with(&message.from).or_else(by_code);
                Route { keep: with(&id), ..Route::to(id) }
            }
            Some(SessionEvent::Close) => {
                let id = sight.kept_with(&message.from).or_else(by_code);
                Route { keep: Some(Keep::Nothing), ..Route::to(id) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{World, build, mo, names};
    use super::*;

    fn routed(world: &World, to: &str, event: Option<SessionEvent>) -> Route {
        let rows = [
            ("bank", json!({"code": "*120*1#"})),
            ("shop", json!({"prefix": "*120*1"})),
            ("all", json!({"prefix": "*120*"})),
            ("odd", json!({"regular_expression": "^#[0-9]+#$"})),
        ];
        build("session", json!({"channel": "c"}), &rows).unwrap().inbound(&mo(to, "1", event), world)
    }

    #[test]
    fn the_code_decides_and_the_session_stays() {
        let world = World::default();
        for (to, expected) in
            [("*120*1#", &["bank"][..]), ("*120*12#", &["shop"]), ("*120*2#", &["all"]), ("#31#", &["odd"]), ("1", &[])]
        {
            assert_eq!(names(&routed(&world, to, Some(SessionEvent::New))), expected, "{to}");
        }
        let kept = World { kept: [("+27820001001", "bank")].into(), ..World::default() };
        assert_eq!(names(&routed(&kept, "*120*2#", Some(SessionEvent::Resume))), ["bank"]);
        assert_eq!(names(&routed(&kept, "*120*2#", Some(SessionEvent::New))), ["all"]);
        assert_eq!(names(&routed(&world, "*120*2#", Some(SessionEvent::Resume))), ["all"]);
        let closed = routed(&kept, "*120*2#", Some(SessionEvent::Close));
        assert_eq!((names(&closed), &closed.keep), (vec!["bank"], &Some(Keep::Nothing)));
        assert_eq!(routed(&kept, "*120*2#", None).keep, None);
    }
}
