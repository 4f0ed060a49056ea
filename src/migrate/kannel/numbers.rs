//! Numbers as Kannel reads them, and what it makes of those that are unusual.
//!
//! `cfg_get_integer` is strtol with base 0: `0x10` is 16, `010` is 8, and whatever follows the digits is not looked at.
//! Where there are no digits the key is as good as absent. Here every number becomes plain decimal before anything else
//! looks at it.

use super::super::draft::{Draft, Setting};
use super::Group;

/// Keys whose values are whole numbers.
const INTEGERS: [&str; 20] = [
    "port",
    "receive-port",
    "our-port",
    "our-receiver-port",
    "interface-version",
    "bind-addr-ton",
    "bind-addr-npi",
    "source-addr-ton",
    "source-addr-npi",
    "dest-addr-ton",
    "dest-addr-npi",
    "esm-class",
    "validityperiod",
    "priority",
    "enquire-link-interval",
    "wait-ack",
    "wait-ack-expire",
    "reconnect-delay",
    "max-pending-submits",
    "msg-id-type",
];

/// Kannel takes them only together.
const PAIRS: [[&str; 2]; 2] = [["source-addr-ton", "source-addr-npi"], ["dest-addr-ton", "dest-addr-npi"]];

/// Most requests without an answer that a channel can have.
const MAX_WINDOW: i64 = 10_000;

/// A whole number by strtol's rules with base 0.
pub(in crate::migrate) fn integer(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let hexadecimal = hexadecimal.filter(|rest| rest.starts_with(|digit: char| digit.is_ascii_hexdigit()));
    let (radix, digits) = match hexadecimal {
        Some(rest) => (16, rest),
        None if digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let end = digits.find(|digit: char| !digit.is_digit(radix)).unwrap_or(digits.len());
    let number = i64::from_str_radix(&digits[..end], radix).ok()?;
    Some(if negative { -number } else { number })
}

/// A number with a fraction, and whatever follows it not looked at.
fn double(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let end = text.find(|sign: char| !matches!(sign, '0'..='9' | '.' | '+' | '-' | 'e' | 'E')).unwrap_or(text.len());
    (1..=end).rev().find_map(|end| text[..end].parse().ok())
}

/// A group with decimal numbers; what Kannel would not heed is left out of it, with a note.
pub(super) fn plain(group: &Group, draft: &mut Draft) -> Group {
    let mut plain = Group { place: group.place.clone(), settings: Vec::new() };
    for setting in &group.settings {
        match value(setting, draft) {
            Some(value) => plain.settings.push(Setting { value, ..setting.clone() }),
            None => draft.note(setting, "was left out: Kannel finds no number in it, and takes its default"),
        }
    }
    for pair in PAIRS {
        let given = |key: &str| plain.text(key).is_some_and(|text| !text.starts_with('-'));
        if pair.iter().all(|key| given(key)) {
            continue;
        }
        for key in pair {
            if let Some(setting) = plain.setting(key) {
                draft.note(
                    setting,
                    "was left out: Kannel takes TON and NPI only where both are given; it sends 2 and 1",
                );
            }
        }
        plain.settings.retain(|setting| !pair.contains(&setting.key.as_str()));
    }
    plain
}

/// Its value in decimal; `None` where Kannel finds no number.
fn value(setting: &Setting, draft: &mut Draft) -> Option<String> {
    let key = setting.key.as_str();
    if key == "throughput" {
        // Less than nothing is no limit either.
        return double(&setting.value).map(|rate| rate.max(0.0).to_string());
    }
    if !INTEGERS.contains(&key) {
        return Some(setting.value.clone());
    }
    let number = integer(&setting.value)?;
    let (number, how) = match (key, number) {
        // Decimal digits read as BCD.
        ("interface-version", _) => return Some(format!("{:02x}", ((number / 10) << 4) + number % 10)),
        ("esm-class", other) if other != 0 && other != 3 => {
            (3, "became esm_class 3, as in Kannel, which knows 0 and 3")
        }
        ("enquire-link-interval", ..=0) => (1, "became 1: Kannel asks without any pause, which no SMSC wants"),
        ("wait-ack" | "reconnect-delay", ..=0) => (1, "became 1, which is the shortest time here"),
        ("max-pending-submits", ..=0) => (1, "became 1: with less Kannel sends nothing"),
        ("max-pending-submits", number) if number > MAX_WINDOW => (MAX_WINDOW, "became 10000, which is the most here"),
        _ => return Some(number.to_string()),
    };
    draft.note(setting, how);
    Some(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_strtols_rules() {
        for (text, number) in [
            ("30", Some(30)),
            (" +30 seconds", Some(30)),
            ("-1", Some(-1)),
            ("0x1F", Some(31)),
            ("-0X10", Some(-16)),
            ("0", Some(0)),
            ("010", Some(8)),
            ("08", Some(0)),
            ("0xg", Some(0)),
            ("3.4", Some(3)),
            ("x", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(integer(text), number, "{text}");
        }
        for (text, number) in
            [("5", Some(5.0)), (".5/s", Some(0.5)), ("1e1 # ten", Some(10.0)), ("-", None), ("é", None)]
        {
            assert_eq!(double(text), number, "{text}");
        }
    }
}
