//! `content`: by what a message says. A keyword is its first words, in any case; the longest keyword wins, then the first
//! pattern in the order of `priority`, then the destination with `default`. With `sticky_seconds` a phone that said a
//! keyword stays with that destination while what it says matches nothing.

use std::cmp::Reverse;
use std::time::Duration;

use regex::Regex;

use super::{
    Destinations, Keep, Route, RouterType, Routing, RoutingError, Sight, channel, is_default, number, pattern, texts,
};
use crate::channel::fields::Fields;
use crate::model::{ChannelId, DestinationId, Inbound, JsonObject};

/// The type.
pub(super) struct Content;

struct ByContent {
    channel: ChannelId,
    sticky: Option<Duration>,
    /// The longest first.
    keywords: Vec<(Vec<String>, DestinationId)>,
    /// In their order.
    patterns: Vec<(Regex, DestinationId)>,
    default: Option<DestinationId>,
}

/// Longest that a phone may be kept with a destination, in seconds.
const MAX_STICKY: f64 = 7.0 * 24.0 * 3600.0;

impl RouterType for Content {
    fn build(&self, config: &JsonObject, destinations: &Destinations) -> Result<Box<dyn Routing>, RoutingError> {
        let fields = Fields(config.clone());
        let sticky = number(&fields, "sticky_seconds", 0.0..=MAX_STICKY, 0.0).map_err(RoutingError::Router)?;
        let mut routing = ByContent {
            channel: channel(&fields)?,
            sticky: (sticky > 0.0).then(|| Duration::from_secs_f64(sticky)),
            keywords: Vec::new(),
            patterns: Vec::new(),
            default: None,
        };
        let mut patterns = Vec::new();
        for destination in destinations {
            let (id, fields) = (&destination.id, Fields(destination.config()));
            let keywords = texts(&fields, "keyword")?;
            for keyword in &keywords {
                routing.add_keyword(keyword, id)?;
            }
            let order = number(&fields, "priority", -1e6..=1e6, 0.0).map_err(RoutingError::Destination)?;
            let pattern = pattern(&fields)?;
            let default = is_default(&fields);
            if keywords.is_empty() && pattern.is_none() && !default {
                let message = "Missing config field: one of 'keyword', 'regular_expression' and 'default' is needed";
                return Err(RoutingError::Destination(message.to_owned()));
            }
            patterns.extend(pattern.map(|pattern| (order, pattern, id.clone())));
            if default {
                routing.default.get_or_insert_with(|| id.clone());
            }
        }
        routing.keywords.sort_by_key(|(words, _)| Reverse((words.len(), words.concat().len())));
        patterns.sort_by(|one, other| one.0.total_cmp(&other.0));
        routing.patterns = patterns.into_iter().map(|(_, pattern, id)| (pattern, id)).collect();
        Ok(Box::new(routing))
    }
}

impl ByContent {
    fn add_keyword(&mut self, keyword: &str, id: &DestinationId) -> Result<(), RoutingError> {
        let words: Vec<String> = words(keyword).collect();
        if words.is_empty() {
            return Err(RoutingError::Destination(format!("Field 'keyword' has no word in it: '{keyword}'")));
        }
        if let Some((_, other)) = self.keywords.iter().find(|(known, other)| *known == words && other != id) {
            let message = format!("Field 'keyword' is not unique: destination {other} has '{keyword}' already");
            return Err(RoutingError::Destination(message));
        }
        self.keywords.push((words, id.clone()));
        Ok(())
    }

    fn matching(&self, content: &str) -> Option<&DestinationId> {
        let longest = self.keywords.first().map_or(0, |(keyword, _)| keyword.len());
        let said: Vec<String> = words(content).take(longest).collect();
        let keyword = self.keywords.iter().find(|(keyword, _)| said.starts_with(keyword)).map(|(_, id)| id);
        keyword.or_else(|| self.patterns.iter().find(|(pattern, _)| pattern.is_match(content)).map(|(_, id)| id))
    }
}

/// Words without case and without what surrounds them.
fn words(text: &str) -> impl Iterator<Item = String> {
    let bare = |word: &str| word.trim_matches(|character: char| !character.is_alphanumeric()).to_lowercase();
    text.split_whitespace().map(bare).filter(|word| !word.is_empty())
}

impl Routing for ByContent {
    fn channel(&self) -> Option<&ChannelId> {
        Some(&self.channel)
    }

    fn inbound(&self, message: &Inbound, sight: &dyn Sight) -> Route {
        let matching = self.matching(message.content.as_deref().unwrap_or_default()).cloned();
        let Some(time) = self.sticky else { return Route::to(matching.or_else(|| self.default.clone())) };
        let kept = matching.or_else(|| sight.kept_with(&message.from));
        let keep = kept.clone().map(|id| Keep::With(id, time));
        Route { keep, ..Route::to(kept.or_else(|| self.default.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{World, build, mo, names};
    use super::*;

    fn routed(config: Value, world: &World, text: &str) -> Route {
        let rows = [
            ("join", json!({"keyword": ["join", "JOIN us"]})),
            ("news", json!({"keyword": "join NEWS"})),
            ("late", json!({"regular_expression": r"\d{4}", "priority": 2})),
            ("pin", json!({"regular_expression": "^[0-9]+$", "priority": 1})),
            ("rest", json!({"default": true})),
        ];
        build("content", config, &rows).unwrap().inbound(&mo("1", text, None), world)
    }

    #[test]
    fn the_longest_keyword_wins_then_patterns_in_their_order_then_the_default() {
        let world = World::default();
        for (text, expected) in [
            ("Join!", "join"),
            (" «join»  the club", "join"),
            ("joined", "rest"),
            ("JOIN news please", "news"),
            ("12345", "pin"),
            ("pin 12345", "late"),
            ("", "rest"),
        ] {
            assert_eq!(names(&routed(json!({"channel": "c"}), &world, text)), [expected], "{text}");
        }
    }

    #[test]
    fn a_phone_stays_where_its_keyword_led_it() {
        let config = json!({"channel": "c", "sticky_seconds": 60});
        let keep = |id: &str| Some(Keep::With(id.into(), Duration::from_secs(60)));
        assert_eq!(routed(config.clone(), &World::default(), "join").keep, keep("join"));
        let world = World { kept: [("+27820001001", "news")].into(), ..World::default() };
        assert_eq!(routed(config.clone(), &world, "yes").keep, keep("news"));
        assert_eq!(names(&routed(config.clone(), &world, "join")), ["join"]);
        assert_eq!(routed(config, &World::default(), "yes").keep, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |rows: &[_]| build("content", json!({"channel": "c"}), rows).map(|_| ()).unwrap_err().to_string();
        assert!(refused(&[("a", json!({}))]).contains("one of 'keyword'"));
        assert_eq!(refused(&[("a", json!({"keyword": "!"}))]), "Field 'keyword' has no word in it: '!'");
        let twice = [("a", json!({"keyword": "x"})), ("b", json!({"keyword": ["y", "X"]}))];
        assert_eq!(refused(&twice), "Field 'keyword' is not unique: destination a has 'X' already");
        let message = "Field 'keyword' is neither a string nor a list of strings";
        assert_eq!(refused(&[("a", json!({"keyword": 1}))]), message);
    }
}
