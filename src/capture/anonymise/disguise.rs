//! One PDU as another of the same structure: every field that says who or what becomes another, everything else stays.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use smpp::text::charset_of;
use smpp::tlv::TlvKind;
use smpp::{DataCoding, MessageType, Tag};

use super::alike::{Alike, Alphabet};
use super::keyed::{Key, Kind};
use super::message_ids::{self, Relations};
use super::names::Names;
use crate::capture::receipt_text::{self, Piece};
use crate::capture::rewrite::{Rewrite, Setting};

/// What becomes of names and texts, for one capture.
pub(super) struct Disguise<'a> {
    key: Key,
    relations: &'a Relations,
    /// Originals that nothing should become.
    avoid: &'a HashSet<Vec<u8>>,
    names: HashMap<Kind, Names>,
    alike: Alike,
    /// Minutes by which dates are moved back.
    minutes: i64,
    /// Originals of four characters or more that were replaced.
    pub(super) originals: HashSet<Vec<u8>>,
}

/// Most minutes by which dates are moved: some three years.
const MOST_MINUTES: i64 = 3 * 365 * 24 * 60;

impl<'a> Disguise<'a> {
    pub(super) fn new(key: Key, relations: &'a Relations, avoid: &'a HashSet<Vec<u8>>) -> Self {
        let minutes = key.chances(Kind::Dates, b"", 0).i64(1..MOST_MINUTES);
        Self {
            key,
            relations,
            avoid,
            names: HashMap::new(),
            alike: Alike::default(),
            minutes,
            originals: HashSet::new(),
        }
    }

    /// A number is the same with and without its plus.
    fn number(&mut self, number: &[u8]) -> Vec<u8> {
        match number.strip_prefix(b"+") {
            Some(digits) => [b"+", &self.name(Kind::Address, digits)[..]].concat(),
            None => self.name(Kind::Address, number),
        }
    }

    fn name(&mut self, kind: Kind, original: &[u8]) -> Vec<u8> {
        if original.is_empty() {
            return Vec::new();
        }
        self.remember(original, 4);
        self.names.entry(kind).or_default().other(&self.key, kind, original, self.avoid)
    }

    fn id_octets(&mut self, id: &[u8]) -> Vec<u8> {
        self.remember(id.trim_ascii(), 4);
        let names = self.names.entry(Kind::MessageId).or_default();
        message_ids::other(self.relations, names, &self.key, self.avoid, id)
    }

    fn text(&mut self, alphabet: Alphabet, original: &[u8]) -> Vec<u8> {
        self.remember(original, alphabet.four());
        for nonce in 0..16 {
            let mut chances = self.key.chances(Kind::Text, original, nonce);
            let other = self.alike.replace(alphabet, original, &mut chances);
            if other != original {
                return other;
            }
        }
        original.to_vec()
    }

    fn remember(&mut self, original: &[u8], least: usize) {
        if original.len() >= least && !original.iter().all(|octet| matches!(octet, b' ' | b'0' | b'\n' | b'\r' | 0)) {
            self.originals.insert(original.to_vec());
        }
    }

    fn receipt(&mut self, octets: &Bytes, data_coding: DataCoding) -> Vec<u8> {
        let wide = data_coding == DataCoding::UCS2;
        let narrow: Option<Vec<u8>> =
            octets.as_chunks::<2>().0.iter().map(|[high, low]| (*high == 0).then_some(*low)).collect();
        match narrow.filter(|_| wide && octets.len().is_multiple_of(2)) {
            Some(narrow) => self.receipt_text(&narrow, Alphabet::Latin1).into_iter().flat_map(|low| [0, low]).collect(),
            None if wide => self.text(Alphabet::Ucs2, octets),
            None => self.receipt_text(octets, Alphabet::of(charset_of(data_coding))),
        }
    }

    fn receipt_text(&mut self, text: &[u8], alphabet: Alphabet) -> Vec<u8> {
        let mut out = text.to_vec();
        for (piece, range) in receipt_text::pieces(text) {
            let original = &text[range.clone()];
            let other = match piece {
                Piece::Id => self.id_octets(original),
                Piece::Date => receipt_text::earlier(original, self.minutes),
                Piece::Text => self.text(alphabet, original),
            };
            out[range].copy_from_slice(&other);
        }
        out
    }
}

impl Rewrite for Disguise<'_> {
    fn address(&mut self, digits: &[u8]) -> Vec<u8> {
        self.number(digits)
    }

    fn credential(&mut self, name: &[u8]) -> Vec<u8> {
        self.name(Kind::Credential, name)
    }

    fn message_id(&mut self, id: &[u8]) -> Vec<u8> {
        self.id_octets(id)
    }

    fn date(&mut self, date: &[u8]) -> Vec<u8> {
        receipt_text::earlier(date, self.minutes)
    }

    /// A short message or payload: the header stays.
    fn message(&mut self, octets: &Bytes, setting: Setting) -> Vec<u8> {
        if setting.receipt {
            return self.receipt(octets, setting.data_coding);
        }
        let headed = setting.esm_class.udhi() && setting.esm_class.message_type() == MessageType::Default;
        let header = octets.first().filter(|_| headed).map_or(0, |length| 1 + usize::from(*length));
        let (header, text) = octets.split_at_checked(header).unwrap_or((&[], octets));
        let alphabet = Alphabet::of(charset_of(setting.data_coding));
        [header, &self.text(alphabet, text)].concat()
    }

    fn tlv(&mut self, tag: Tag, value: &[u8], setting: Option<Setting>) -> Vec<u8> {
        match (tag, tag.kind()) {
            (Tag::RECEIPTED_MESSAGE_ID, _) => self.id_octets(value),
            (Tag::MESSAGE_PAYLOAD, _) => match setting {
                Some(setting) => self.message(&Bytes::copy_from_slice(value), setting),
                None => self.text(Alphabet::Binary, value),
            },
            // §5.3.2.36: digit mode, TON, NPI, then the digits.
            (Tag::CALLBACK_NUM, _) => {
                let (head, digits) = value.split_at(value.len().min(3));
                [head, &self.number(digits)].concat()
            }
            // §5.3.2.15, §5.3.2.16, §5.3.2.38: a type, then the rest.
            (Tag::SOURCE_SUBADDRESS | Tag::DEST_SUBADDRESS | Tag::CALLBACK_NUM_ATAG, _) => {
                let (head, rest) = value.split_at(value.len().min(1));
                [head, &self.text(Alphabet::Binary, rest)].concat()
            }
            (Tag::NETWORK_ERROR_CODE | Tag::ITS_SESSION_INFO | Tag::ALERT_ON_MESSAGE_DELIVERY, _) => value.to_vec(),
            (_, Some(TlvKind::Integer { .. })) => value.to_vec(),
            (_, Some(TlvKind::Text)) => {
                let end = value.iter().position(|octet| *octet == 0).unwrap_or(value.len());
                [&self.text(Alphabet::Latin1, &value[..end]), &value[end..]].concat()
            }
            // A vendor's own: nobody knows what it says.
            _ => self.text(Alphabet::Binary, value),
        }
    }
    fn trailing(&mut self, trailing: &[u8]) -> Vec<u8> {
        // What could be a tag and a length must not become a parameter.
        let (head, rest) = trailing.split_at(trailing.len().min(4));
        [head, &self.text(Alphabet::Binary, rest)].concat()
    }

    fn unreadable(&mut self, body: &Bytes) -> Bytes {
        let mut chances = self.key.chances(Kind::Text, body, 0);
        let replaced = self.alike.replace(Alphabet::Binary, body, &mut chances);
        let kept = body.iter().zip(replaced).map(|(octet, other)| if *octet < 0x20 { *octet } else { other });
        kept.collect()
    }
}
