//! Names for names: the same original always gets the same other one, and no two get one.
//!
//! Length, sign, leading zeros (at most two, as in `00` and trunk prefixes) and the class of each character stay.

use std::collections::{HashMap, HashSet};

use fastrand::Rng;

use super::keyed::{Key, Kind};

/// Names of one kind that have been given.
#[derive(Default)]
pub(super) struct Names {
    others: HashMap<Vec<u8>, Vec<u8>>,
    used: HashSet<Vec<u8>>,
}

/// Chances taken before the names of a class are gone through one by one.
const TRIES: u32 = 1_000;

impl Names {
    /// The other name of an original; `avoid` are originals, none of which should be given to another.
    pub(super) fn other(&mut self, key: &Key, kind: Kind, original: &[u8], avoid: &HashSet<Vec<u8>>) -> Vec<u8> {
        self.other_by(key, kind, original, avoid, |chances| alike(original, chances))
    }

    /// The same, made by `make`.
    pub(super) fn other_by(
        &mut self,
        key: &Key,
        kind: Kind,
        original: &[u8],
        avoid: &HashSet<Vec<u8>>,
        make: impl Fn(&mut Rng) -> Vec<u8>,
    ) -> Vec<u8> {
        if let Some(other) = self.others.get(original) {
            return other.clone();
        }
        let mut other = Vec::new();
        for nonce in 0..TRIES {
            other = make(&mut key.chances(kind, original, nonce));
            // Half of the tries are for names that are no original at all; then there may be none such left.
            let free = !self.used.contains(&other);
            if free && (nonce > TRIES / 2 || !avoid.contains(&other)) {
                break;
            }
        }
        let mut left = TRIES * 100;
        while self.used.contains(&other) && left > 0 {
            advance(&mut other);
            left -= 1;
        }
        self.used.insert(other.clone());
        self.others.insert(original.to_vec(), other.clone());
        other
    }
}

/// A random name of the same class.
fn alike(original: &[u8], chances: &mut Rng) -> Vec<u8> {
    let zeros = original.iter().take_while(|octet| **octet == b'0').count().min(2);
    let hexadecimal = is_hexadecimal(original);
    let other = original.iter().enumerate().map(|(index, octet)| match octet {
        b'0' if index < zeros => b'0',
        // A number that does not begin with a zero does not begin to.
        b'1'..=b'9' if index == zeros => chances.u8(b'1'..=b'9'),
        b'0'..=b'9' => chances.u8(b'0'..=b'9'),
        b'a'..=b'f' if hexadecimal => chances.u8(b'a'..=b'f'),
        b'A'..=b'F' if hexadecimal => chances.u8(b'A'..=b'F'),
        b'a'..=b'z' => chances.u8(b'a'..=b'z'),
        b'A'..=b'Z' => chances.u8(b'A'..=b'Z'),
        0xc0..=0xff => chances.u8(0xc0..=0xff),
        octet => *octet,
    });
    other.collect()
}

/// Hexadecimal digits, with at least one decimal among them, and hyphens as in a UUID.
fn is_hexadecimal(name: &[u8]) -> bool {
    name.iter().any(u8::is_ascii_digit) && name.iter().all(|octet| octet.is_ascii_hexdigit() || *octet == b'-')
}

/// The next name of the same class, round after the last.
fn advance(name: &mut [u8]) {
    let first = name.iter().position(|octet| *octet != b'0').unwrap_or(0);
    for (index, octet) in name.iter_mut().enumerate().rev() {
        let (low, high) = match *octet {
            b'0'..=b'9' if index == first => (b'1', b'9'),
            b'0'..=b'9' => (b'0', b'9'),
            b'a'..=b'f' => (b'a', b'f'),
            b'A'..=b'F' => (b'A', b'F'),
            b'g'..=b'z' => (b'g', b'z'),
            b'G'..=b'Z' => (b'G', b'Z'),
            _ => continue,
        };
        if *octet < high {
            *octet += 1;
            return;
        }
        *octet = low;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_for_the_same_and_one_each_even_where_few_are_left() {
        let key = Key::new("seed", 0);
        let mut names = Names::default();
        let avoid = HashSet::new();
        let mut others = HashSet::new();
        for number in 10..100 {
            let original = number.to_string();
            let other = names.other(&key, Kind::Address, original.as_bytes(), &avoid);
            assert_eq!(other, names.other(&key, Kind::Address, original.as_bytes(), &avoid));
            assert!(other.len() == 2 && other[0] != b'0' && other.iter().all(u8::is_ascii_digit));
            assert!(others.insert(other), "{number}");
        }
        let other = names.other(&key, Kind::Address, b"0027aB-", &avoid);
        assert!(other.starts_with(b"00") && other.ends_with(b"-") && other[4].is_ascii_lowercase());
    }
}
