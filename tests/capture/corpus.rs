//! Files that fuzzing has kept, the captures in `fixtures/`, and those with damage in them.

use std::path::{Path, PathBuf};

use maybug::capture;
use proptest::prelude::*;

include!("../../fuzz/src/captures.rs");

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_corpus_passes() {
    let files = [files("fuzz/corpus/capture"), files("fixtures/pcap")].concat();
    assert!(files.len() > 10, "the corpus is empty");
    files.iter().for_each(|file| read_capture(&std::fs::read(file).unwrap()));
}

/// What becomes of a file on the way.
#[derive(Clone, Debug)]
enum Damage {
    /// An octet becomes another.
    Octet(prop::sample::Index, u8),
    /// A word becomes a length or number that is seldom met.
    Word(prop::sample::Index, u32),
    /// A piece is missing.
    Cut(prop::sample::Index, usize),
    /// A piece is there twice.
    Twice(prop::sample::Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let word =
        prop_oneof![Just(0), Just(1), Just(16), Just(0x7fff_ffff), Just(0x8000_0000), Just(u32::MAX), any::<u32>()];
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, octet)| Damage::Octet(at, octet)),
        (at(), word).prop_map(|(at, word)| Damage::Word(at, word)),
        (at(), 1..200_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        (at(), 1..400_usize).prop_map(|(at, length)| Damage::Twice(at, length)),
    ]
}

fn apply(octets: &mut Vec<u8>, damage: &Damage) {
    if octets.is_empty() {
        return;
    }
    match damage {
        Damage::Octet(at, octet) => *at.get_mut(octets) = *octet,
        Damage::Word(at, word) => {
            let at = at.index(octets.len());
            octets.iter_mut().skip(at).zip(word.to_be_bytes()).for_each(|(octet, other)| *octet = other);
        }
        Damage::Cut(at, length) => {
            let at = at.index(octets.len());
            octets.drain(at..(at + length).min(octets.len()));
        }
        Damage::Twice(at, length) => {
            let at = at.index(octets.len());
            let piece = octets[at..(at + length).min(octets.len())].to_vec();
            octets.splice(at..at, piece);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_captures_are_read_as_far_as_they_can_be(
        file in any::<prop::sample::Index>(),
        damages in prop::collection::vec(damage(), 1..30),
    ) {
        let files = files("fixtures/pcap");
        let mut octets = std::fs::read(file.get(&files)).unwrap();
        damages.iter().for_each(|damage| apply(&mut octets, damage));
        read_capture(&octets);
    }
}
