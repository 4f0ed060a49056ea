//! Message ids for message ids, so that receipts still name what answers gave, in whatever base (field guide §3.6).
//!
//! An id that answers and receipts write in different bases becomes another number of as many digits in both.

use std::collections::{HashMap, HashSet};

use fastrand::Rng;
use smpp::receipt::{IdRule, canonical_id};

use super::keyed::{Key, Kind};
use super::names::Names;
use crate::capture::{Conversation, id_given, receipt_of};

/// How the ids of a capture hang together.
#[derive(Default)]
pub(super) struct Relations {
    /// Ids in receipts, canonical, to the ids given that they name, where the bases differ.
    named: HashMap<String, String>,
    /// Ids given that some receipt names in another base, and whether they themselves are hexadecimal.
    crossing: HashMap<String, bool>,
}

impl Relations {
    pub(super) fn of(conversations: &[Conversation]) -> Self {
        let pdus = || {
            let captured = conversations.iter().flat_map(|conversation| &conversation.pdus);
            captured.filter_map(|captured| smpp::Pdu::decode(&captured.raw).ok())
        };
        let given: HashSet<String> = pdus().filter_map(|pdu| id_given(&pdu)).map(|id| canonical_id(&id)).collect();
        let mut relations = Self::default();
        for receipt in pdus().filter_map(|pdu| receipt_of(&pdu)) {
            relations.note(&given, &receipt.smsc_message_id);
        }
        relations
    }

    /// An id of a receipt's text or parameter.
    pub(super) fn note(&mut self, given: &HashSet<String>, id: &str) {
        let canonical = canonical_id(id);
        let Some(original) = IdRule::Any.forms(id).into_iter().find(|form| given.contains(form)) else { return };
        if original != canonical {
            let hexadecimal = parse(&canonical, 10).is_some_and(|value| format!("{value:x}") == original);
            self.crossing.insert(original.clone(), hexadecimal);
            self.named.insert(canonical, original);
        }
    }
}

/// Another id for one, its leading zeros, padding and case kept.
pub(super) fn other(
    relations: &Relations,
    names: &mut Names,
    key: &Key,
    avoid: &HashSet<Vec<u8>>,
    id: &[u8],
) -> Vec<u8> {
    let blank = |octet: &u8| octet.is_ascii_whitespace() || *octet == 0;
    let Some(start) = id.iter().position(|octet| !blank(octet) && *octet != b'0') else { return id.to_vec() };
    let end = id.iter().rposition(|octet| !blank(octet)).map_or(start, |last| last + 1);
    let shown = &id[start..end];
    // Latin-1, as everywhere where octets of an id are looked at as text.
    let canonical: String = shown.iter().map(|octet| char::from(octet.to_ascii_lowercase())).collect();
    let replaced = match relations.named.get(&canonical) {
        Some(original) => {
            let hexadecimal = relations.crossing.get(original).copied().unwrap_or_default();
            let other = given(relations, names, key, avoid, original);
            let value = parse(&other, if hexadecimal { 16 } else { 10 });
            value.map_or(other, |value| if hexadecimal { value.to_string() } else { format!("{value:x}") })
        }
        None => given(relations, names, key, avoid, &canonical),
    };
    let mut out = id.to_vec();
    let upper = shown.iter().any(u8::is_ascii_uppercase) && !shown.iter().any(u8::is_ascii_lowercase);
    for ((slot, original), octet) in out[start..end].iter_mut().zip(shown).zip(latin1(&replaced)) {
        let raise = upper || original.is_ascii_uppercase();
        *slot = if raise { octet.to_ascii_uppercase() } else { octet };
    }
    out
}

/// Another id for one that was given, both canonical.
fn given(relations: &Relations, names: &mut Names, key: &Key, avoid: &HashSet<Vec<u8>>, original: &str) -> String {
    let octets = latin1(original);
    let other = match relations.crossing.get(original) {
        Some(hexadecimal) => match parse(original, if *hexadecimal { 16 } else { 10 }) {
            Some(value) => names.other_by(key, Kind::MessageId, &octets, avoid, |chances| {
                let other = number(value, chances);
                if *hexadecimal { format!("{other:x}") } else { other.to_string() }.into_bytes()
            }),
            None => names.other(key, Kind::MessageId, &octets, avoid),
        },
        None => names.other(key, Kind::MessageId, &octets, avoid),
    };
    other.iter().map(|octet| char::from(*octet)).collect()
}

/// Another number with as many decimal and as many hexadecimal digits.
fn number(value: u128, chances: &mut Rng) -> u128 {
    let decimal = 10_u128.checked_pow(value.to_string().len().try_into().unwrap_or(u32::MAX));
    let hexadecimal = 16_u128.checked_pow(format!("{value:x}").len().try_into().unwrap_or(u32::MAX));
    let low = decimal.map_or(10_u128.pow(38), |power| power / 10).max(hexadecimal.map_or(1 << 124, |power| power / 16));
    let high = decimal.unwrap_or(u128::MAX).min(hexadecimal.unwrap_or(u128::MAX));
    if low < high { chances.u128(low..high) } else { value }
}

fn parse(digits: &str, radix: u32) -> Option<u128> {
    u128::from_str_radix(digits, radix).ok()
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
}
