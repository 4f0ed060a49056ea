//! `outbound`: which channel takes an MT, by the number that it goes to. It is addressed like a channel when sending; each
//! destination is a channel with what it is good for.
//!
//! Of the destinations that match a number those with a usable channel come first, then the longest matching prefix, then
//! the lowest `priority`, then the lowest `cost` (with `strategy: cost` these two change places); equals take turns by
//! `weight`. A message whose best channels are all down waits for the best of them.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::{Destinations, Route, RouterType, Routing, RoutingError, Sight, number, texts};
use crate::channel::fields::Fields;
use crate::model::{ChannelId, DestinationId, DestinationProperties, Inbound, JsonObject};

/// The type.
pub(super) struct OutboundType;

struct ByNumber {
    /// Prefixes and the network, as MCC-MNC, that numbers with them are of; the longest first.
    numbering: Vec<(String, String)>,
    cost_first: bool,
    rows: Vec<Row>,
    /// Theirs, each once.
    channels: BTreeSet<ChannelId>,
    turn: AtomicU64,
}

struct Row {
    id: DestinationId,
    channel: ChannelId,
    prefixes: Vec<String>,
    /// MCC-MNC, or an MCC alone.
    networks: Vec<String>,
    priority: f64,
    cost: f64,
    weight: u64,
}

impl RouterType for OutboundType {
    fn build(&self, config: &JsonObject, destinations: &Destinations) -> Result<Box<dyn Routing>, RoutingError> {
        let fields = Fields(config.clone());
        let cost_first = match fields.text("strategy").map_err(RoutingError::router)?.as_deref() {
            None | Some("priority") => false,
            Some("cost") => true,
            Some(other) => {
                let message = format!("Field 'strategy' is neither 'priority' nor 'cost': '{other}'");
                return Err(RoutingError::Router(message));
            }
        };
        let numbering = numbering(&fields)?;
        let rows = destinations.iter().map(|destination| row(destination)).collect::<Result<Vec<_>, _>>()?;
        let channels: BTreeSet<ChannelId> = rows.iter().map(|row: &Row| row.channel.clone()).collect();
        Ok(Box::new(ByNumber { numbering, cost_first, rows, channels, turn: AtomicU64::new(0) }))
    }
}

fn numbering(fields: &Fields) -> Result<Vec<(String, String)>, RoutingError> {
    let not = |what: &str| RoutingError::Router(format!("Field 'numbering' {what}"));
    let table = match fields.get("numbering") {
        None => return Ok(Vec::new()),
        Some(Value::Object(table)) => table,
        Some(_) => return Err(not("is not an object of prefixes and networks")),
    };
    let mut numbering = Vec::with_capacity(table.len());
    for (prefix, network) in table {
        let network = network.as_str().filter(|network| is_network(network));
        let network = network.ok_or_else(|| not(&format!("has no network like '655-01' for the prefix '{prefix}'")))?;
        numbering.push((self::prefix(prefix).map_err(|what| not(&what))?, network.to_owned()));
    }
    numbering.sort_by_key(|(prefix, _)| Reverse(prefix.len()));
    Ok(numbering)
}

fn row(destination: &DestinationProperties) -> Result<Row, RoutingError> {
    let fields = Fields(destination.config());
    let channel = fields.required_text("channel").map_err(RoutingError::destination)?;
    let not = |key: &str, what: String| RoutingError::Destination(format!("Field '{key}' {what}"));
    let prefixes = texts(&fields, "prefix")?.iter().map(|text| prefix(text)).collect::<Result<_, _>>();
    let networks = texts(&fields, "network")?;
    if let Some(network) = networks.iter().find(|network| !is_network(network)) {
        return Err(not("network", format!("is neither an MCC-MNC like '655-01' nor an MCC: '{network}'")));
    }
    let number = |key, range, default| number(&fields, key, range, default).map_err(RoutingError::Destination);
    Ok(Row {
        id: destination.id.clone(),
        channel: channel.as_str().into(),
        prefixes: prefixes.map_err(|what| not("prefix", what))?,
        networks,
        priority: number("priority", -1e6..=1e6, 0.0)?,
        cost: number("cost", 0.0..=1e9, 0.0)?,
        // In range; a fraction of a turn is none.
        weight: number("weight", 1.0..=1000.0, 1.0)? as u64,
    })
}

/// The beginning of a number, in digits.
fn prefix(text: &str) -> Result<String, String> {
    let digits = digits(text);
    let fine = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if fine { Ok(digits.to_owned()) } else { Err(format!("is not the beginning of a number: '{text}'")) }
}

fn is_network(text: &str) -> bool {
    let digits = |text: &str, lengths: &[usize]| {
        lengths.contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit())
    };
    match text.split_once('-') {
        Some((mcc, mnc)) => digits(mcc, &[3]) && digits(mnc, &[2, 3]),
        None => digits(text, &[3]),
    }
}

/// A number without what says that it is an international one.
fn digits(number: &str) -> &str {
    number.strip_prefix('+').or_else(|| number.strip_prefix("00")).unwrap_or(number)
}

impl Row {
    /// How much of the number it names; `None` when it does not match.
    fn matched(&self, number: &str, network: Option<&(String, String)>) -> Option<usize> {
        if self.prefixes.is_empty() && self.networks.is_empty() {
            return Some(0);
        }
        let by_prefix = self.prefixes.iter().filter(|prefix| number.starts_with(*prefix)).map(String::len).max();
        let is_of = |(_, network): &&(String, String)| {
            self.networks.iter().any(|own| own == network || network.split('-').next() == Some(own))
        };
        by_prefix.max(network.filter(is_of).map(|(prefix, _)| prefix.len()))
    }
}

impl Routing for ByNumber {
    fn channel(&self) -> Option<&ChannelId> {
        None
    }

    fn channels(&self) -> Vec<&ChannelId> {
        self.channels.iter().collect()
    }

    fn inbound(&self, _: &Inbound, _: &dyn Sight) -> Route {
        Route { nowhere: Some("an outbound router takes none"), ..Route::default() }
    }

    fn outbound(&self, to: &str, from: Option<&DestinationId>, sight: &dyn Sight) -> Option<ChannelId> {
        if let Some(from) = from {
            return self.rows.iter().find(|row| row.id == *from).map(|row| row.channel.clone());
        }
        let number = digits(to);
        let network = self.numbering.iter().find(|(prefix, _)| number.starts_with(prefix.as_str()));
        let candidates = self.rows.iter().filter_map(|row| {
            let matched = row.matched(number, network)?;
            let order = if self.cost_first { [row.cost, row.priority] } else { [row.priority, row.cost] };
            Some((!sight.is_usable(&row.channel), Reverse(matched), order, row))
        });
        let mut candidates: Vec<_> = candidates.collect();
        candidates.sort_by(|a, b| {
            let order = || a.2.iter().zip(&b.2).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
            (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| order().unwrap_or(std::cmp::Ordering::Equal))
        });
        let (unusable, matched, order, _) = *candidates.first()?;
        let equals = candidates.iter().take_while(|other| (other.0, other.1, other.2) == (unusable, matched, order));
        let equals: Vec<&Row> = equals.map(|candidate| candidate.3).collect();
        let mut turn = match equals.iter().map(|row| row.weight).sum::<u64>() {
            0 => 0,
            weights => self.turn.fetch_add(1, Ordering::Relaxed) % weights,
        };
        let chosen = equals.iter().find(|row| match turn.checked_sub(row.weight) {
            Some(rest) => {
                turn = rest;
                false
            }
            None => true,
        });
        chosen.map(|row| row.channel.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{World, build};
    use super::*;

    fn chosen(routing: &dyn Routing, to: &str, down: &[&'static str]) -> Option<String> {
        let world = World { down: down.to_vec(), ..World::default() };
        routing.outbound(to, None, &world).map(|channel| channel.to_string())
    }

    #[test]
    fn the_longest_prefix_wins_then_priority_then_cost_and_what_is_down_comes_last() {
        let rows = [
            ("a", json!({"channel": "world"})),
            ("b", json!({"channel": "za-dear", "prefix": "+27", "cost": 2})),
            ("c", json!({"channel": "za-cheap", "prefix": ["27", "266"], "cost": 1})),
            ("d", json!({"channel": "za-late", "prefix": "0027", "priority": 1})),
            ("e", json!({"channel": "vodacom", "network": "655-01"})),
        ];
        let config = json!({"numbering": {"2782": "655-01", "+2783": "655-10"}});
        let routing = build("outbound", config, &rows).unwrap();
        for (to, down, expected) in [
            ("+27831234567", &[][..], "za-cheap"),
            ("0027831234567", &["za-cheap"], "za-dear"),
            ("27831234567", &["za-cheap", "za-dear"], "za-late"),
            ("+27831234567", &["za-cheap", "za-dear", "za-late"], "world"),
            ("+27831234567", &["za-cheap", "za-dear", "za-late", "world"], "za-cheap"),
            ("+27821234567", &[], "vodacom"),
            ("+27821234567", &["vodacom"], "za-cheap"),
            ("+266821234", &[], "za-cheap"),
            ("+4479", &[], "world"),
        ] {
            assert_eq!(chosen(&*routing, to, down).as_deref(), Some(expected), "{to} {down:?}");
        }
        assert_eq!(routing.outbound("1", Some(&"d".into()), &World::default()), Some("za-late".into()));
    }

    #[test]
    fn with_strategy_cost_the_cheapest_comes_before_the_preferred() {
        let rows = [
            ("a", json!({"channel": "preferred", "priority": 0, "cost": 2})),
            ("b", json!({"channel": "cheap", "priority": 1, "cost": 1})),
        ];
        let by = |strategy| build("outbound", json!({"strategy": strategy}), &rows).unwrap();
        assert_eq!(chosen(&*by("priority"), "1", &[]).as_deref(), Some("preferred"));
        assert_eq!(chosen(&*by("cost"), "1", &[]).as_deref(), Some("cheap"));
    }

    #[test]
    fn equals_take_turns_by_weight_and_nobody_is_nobody() {
        let rows = [
            ("a", json!({"channel": "one", "prefix": "1"})),
            ("b", json!({"channel": "three", "prefix": "1", "weight": 3})),
        ];
        let routing = build("outbound", json!({}), &rows).unwrap();
        let turns: Vec<String> = (0..8).filter_map(|_| chosen(&*routing, "1", &[])).collect();
        assert_eq!(turns, ["one", "three", "three", "three", "one", "three", "three", "three"]);
        assert_eq!(chosen(&*routing, "2", &[]), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |config, row| build("outbound", config, &[("a", row)]).map(|_| ()).unwrap_err().to_string();
        assert_eq!(refused(json!({}), json!({})), "Missing required config field 'channel'");
        assert!(refused(json!({"strategy": "x"}), json!({})).contains("neither 'priority' nor 'cost'"));
        assert!(refused(json!({"numbering": {"27": "x"}}), json!({})).contains("for the prefix '27'"));
        let row = |key: &str, value: Value| json!({"channel": "c", key: value});
        assert!(refused(json!({}), row("prefix", json!("2x"))).contains("not the beginning of a number: '2x'"));
        assert!(refused(json!({}), row("network", json!("65501"))).contains("neither an MCC-MNC"));
        assert!(refused(json!({}), row("weight", json!(0))).contains("from 1 to 1000"));
    }
}
