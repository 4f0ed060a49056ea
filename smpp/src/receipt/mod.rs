//! Delivery receipts (§5.2.12, Appendix B), as TLVs and in every text form that SMSCs send (field guide §3.3 to 3.6).
//!
//! Reads what is there and judges nothing: what a state word means for the message is [`StatusMapping`]'s business,
//! which message it is about the caller's, who looks for the forms of its id that an [`IdRule`] allows.

mod id;
mod state;

use std::fmt::Write;

use bytes::Bytes;

use crate::field::MessageState;
use crate::text::gsm7;
use crate::tlv::{Tag, Tlvs};

pub use id::{Base, IdFinding, IdLearner, IdRule, Relation, canonical_id};
pub use state::{Delivery, StatusMapping};

/// What a receipt says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The SMSC's id of the message, trimmed, otherwise as it came.
    pub smsc_message_id: String,
    /// The id in the text, where the TLV has another one.
    pub text_message_id: Option<String>,
    /// The state: the word after `stat:`, or the name of the TLV's value.
    pub state: String,
    /// `sub:`, how many messages were submitted.
    pub sub: Option<String>,
    /// `dlvrd:`, how many were delivered.
    pub dlvrd: Option<String>,
    /// `submit date:`, in the SMSC's local time, as it came.
    pub submit_date: Option<String>,
    /// `done date:`, likewise.
    pub done_date: Option<String>,
    /// `err:`, whose meaning is the SMSC's own.
    pub err: Option<String>,
    /// `text:`, the beginning of the message, if it was sent along.
    pub text: Option<String>,
    /// `network_error_code`: network type and code; the type is `None` for SMSCs that send three digits.
    pub network_error: Option<NetworkError>,
}

/// A network's reason (§5.3.2.31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkError {
    /// 1 ANSI-136, 2 IS-95, 3 GSM; `None` when the code came as digits.
    pub network: Option<u8>,
    /// The code.
    pub code: u16,
}

/// Names of the states in TLV form, as events show them.
const STATE_NAMES: [&str; 10] = [
    "SCHEDULED",
    "ENROUTE",
    "DELIVERED",
    "EXPIRED",
    "DELETED",
    "UNDELIVERABLE",
    "ACCEPTED",
    "UNKNOWN",
    "REJECTED",
    "SKIPPED",
];

/// The name of a state in TLV form.
#[must_use]
pub fn state_name(state: MessageState) -> &'static str {
    STATE_NAMES.get(usize::from(state.0)).copied().unwrap_or("UNKNOWN")
}

impl Receipt {
    /// Reads a receipt: id and state from the TLVs where they are, everything else from the text.
    ///
    /// ```
    /// use smpp::{Tlvs, receipt::Receipt};
    ///
    /// let text = "id:0123456789 sub:001 dlvrd:001 submit date:2609011130 done date:2609011131 stat:DELIVRD err:000 text:Hello";
    /// let receipt = Receipt::parse(&Tlvs::default(), text).unwrap();
    /// assert_eq!((receipt.smsc_message_id.as_str(), receipt.state.as_str()), ("0123456789", "DELIVRD"));
    /// ```
    ///
    /// `None` when neither gives an id and a state: this is no receipt that could be matched.
    #[must_use]
    pub fn parse(tlvs: &Tlvs, text: &str) -> Option<Self> {
        Self::of_text(text).with_tlvs(tlvs)
    }

    /// What the text says, whether it is enough or not: for callers who read more out of it before the TLVs count.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut receipt = Self::default();
        receipt.read_text(text);
        receipt
    }

    /// The same with what the TLVs say: their id and state count, the text's other id is kept beside theirs. `None`
    /// when neither has given an id and a state.
    #[must_use]
    pub fn with_tlvs(self, tlvs: &Tlvs) -> Option<Self> {
        let mut receipt = self;
        receipt.network_error = tlvs.octets_of(Tag::NETWORK_ERROR_CODE).and_then(|octets| NetworkError::parse(&octets));
        if let Some(id) = tlvs.text(Tag::RECEIPTED_MESSAGE_ID).map(|id| trim(&id).to_owned())
            && !id.is_empty()
        {
            let in_text = std::mem::replace(&mut receipt.smsc_message_id, id);
            receipt.text_message_id = Some(in_text).filter(|id| !id.is_empty() && *id != receipt.smsc_message_id);
        }
        if let Some(state) = tlvs.integer(Tag::MESSAGE_STATE).and_then(|state| u8::try_from(state).ok()) {
            receipt.state = state_name(MessageState(state)).to_owned();
        }
        (!receipt.smsc_message_id.is_empty() && !receipt.state.is_empty()).then_some(receipt)
    }

    /// Whether the TLVs alone make a receipt, whatever `esm_class` says (field guide §3.3 step 1).
    #[must_use]
    pub fn in_tlvs(tlvs: &Tlvs) -> bool {
        tlvs.octets_of(Tag::RECEIPTED_MESSAGE_ID).is_some() && tlvs.integer(Tag::MESSAGE_STATE).is_some()
    }

    /// Keys at a word's start, in any order and case; a value runs to the next space, `text:` to the end.
    fn read_text(&mut self, text: &str) {
        let mut rest = text;
        while let Some((key, after)) = next_key(rest) {
            let (value, next) = match key {
                // The text runs to the end, but keys that a peer put after it are still keys.
                Key::Text => text_value(after),
                _ => after.split_at(after.find([' ', '\t', '\r', '\n', '\0']).unwrap_or(after.len())),
            };
            let value = trim(value);
            let field = match key {
                Key::Id => {
                    if self.smsc_message_id.is_empty() {
                        value.clone_into(&mut self.smsc_message_id);
                    }
                    None
                }
                Key::Stat => {
                    if self.state.is_empty() {
                        value.clone_into(&mut self.state);
                    }
                    None
                }
                Key::Sub => Some(&mut self.sub),
                Key::Dlvrd => Some(&mut self.dlvrd),
                Key::SubmitDate => Some(&mut self.submit_date),
                Key::DoneDate => Some(&mut self.done_date),
                Key::Err => Some(&mut self.err),
                Key::Text => Some(&mut self.text),
            };
            if let Some(field) = field {
                field.get_or_insert_with(|| value.to_owned());
            }
            rest = next;
        }
    }

    /// The text of Appendix B, at most `text` cut to twenty characters.
    #[must_use]
    pub fn format(&self) -> String {
        let or = |field: &Option<String>, default: &str| field.as_deref().unwrap_or(default).to_owned();
        let mut out = format!("id:{}", self.smsc_message_id);
        for (key, value) in [
            ("sub", or(&self.sub, "001")),
            ("dlvrd", or(&self.dlvrd, "001")),
            ("submit date", or(&self.submit_date, "0000000000")),
            ("done date", or(&self.done_date, "0000000000")),
            ("stat", self.state.clone()),
            ("err", or(&self.err, "000")),
        ] {
            // Writing to a String cannot fail.
            let _ = write!(out, " {key}:{value}");
        }
        out.push_str(" text:");
        out.extend(self.text.as_deref().unwrap_or_default().chars().take(20));
        out
    }
}

impl NetworkError {
    /// Three octets: type and code, or three ASCII digits; anything else is ignored (field guide §3.7).
    #[must_use]
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let &[network, high, low] = octets else { return None };
        if [network, high, low].iter().all(u8::is_ascii_digit) {
            let digit = |octet: u8| u16::from(octet - b'0');
            return Some(Self { network: None, code: digit(network) * 100 + digit(high) * 10 + digit(low) });
        }
        Some(Self { network: Some(network), code: u16::from_be_bytes([high, low]) })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Id,
    Sub,
    Dlvrd,
    SubmitDate,
    DoneDate,
    Stat,
    Err,
    Text,
}

const KEYS: [(&str, Key); 8] = [
    ("id:", Key::Id),
    ("sub:", Key::Sub),
    ("dlvrd:", Key::Dlvrd),
    ("submit date:", Key::SubmitDate),
    ("done date:", Key::DoneDate),
    ("stat:", Key::Stat),
    ("err:", Key::Err),
    ("text:", Key::Text),
];

/// The next key at the start of a word, and what follows it.
fn next_key(text: &str) -> Option<(Key, &str)> {
    let mut word_start = true;
    for (at, character) in text.char_indices() {
        if word_start && let Some(found) = key_at(&text[at..]) {
            return Some(found);
        }
        word_start = character.is_whitespace() || character == '\0';
    }
    None
}

fn key_at(text: &str) -> Option<(Key, &str)> {
    KEYS.iter().find_map(|(name, key)| {
        let (front, after) = text.split_at_checked(name.len())?;
        front.eq_ignore_ascii_case(name).then_some((*key, after))
    })
}

/// The value of `text:` ends before a `stat:`, `err:` or date that a peer put behind it.
fn text_value(after: &str) -> (&str, &str) {
    let mut rest = after;
    while let Some((key, next)) = next_key(rest) {
        if !matches!(key, Key::Id | Key::Text) {
            let name = KEYS.iter().find(|(_, other)| *other == key).map_or(0, |(name, _)| name.len());
            return after.split_at(after.len() - next.len() - name);
        }
        rest = next;
    }
    (after, "")
}

fn trim(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_whitespace() || character == '\0')
}

/// Receipt octets as text: by their `data_coding`, and where that fails as Latin-1, which never does.
#[must_use]
pub fn receipt_text(data_coding: crate::field::DataCoding, octets: &Bytes) -> String {
    let ascii = octets.is_ascii() && data_coding != crate::field::DataCoding::UCS2;
    let charset = crate::text::charset_of(data_coding).filter(|_| !ascii);
    match charset.map(|charset| charset.decode(octets)) {
        Some(Ok(text)) => text,
        // GSM octets below 0x80 that are not ASCII letters still read well enough; nothing here may fail.
        _ => octets.iter().map(|octet| if *octet == gsm7::ESCAPE { ' ' } else { char::from(*octet) }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<Receipt> {
        Receipt::parse(&Tlvs::default(), text)
    }

    #[test]
    fn every_form_of_the_field_is_read() {
        let cases = [
            (
                "id:1 sub:001 dlvrd:001 submit date:2609011130 done date:2609011131 stat:DELIVRD err:000 Text:Hello",
                "1",
                "DELIVRD",
            ),
            (
                "id:2 sub:001 dlvrd:001 submit date:2609011130 done date:2609011131 stat:DELIVRD err:000 text:",
                "2",
                "DELIVRD",
            ),
            (
                "id:c87c2273-7edb-4bc7-8d3a-7f57f21b625e submit date:2606201641 done date:2606201641 stat:DELIVRD err:000",
                "c87c2273-7edb-4bc7-8d3a-7f57f21b625e",
                "DELIVRD",
            ),
            (
                "sub:001 id:74e02ee1 err:000 dlvrd:001 done date:1 submit date:2 text: stat:DELIVRD",
                "74e02ee1",
                "DELIVRD",
            ),
            ("id:foo sub:null dlvrd:null stat:UNDELIV err:null text:x", "foo", "UNDELIV"),
            ("id:foo stat:DELIVRD text:x", "foo", "DELIVRD"),
            ("ID:7 SUB:1 dlvrd:13 STAT:EXPIRED ERR:21b Text:\u{4}\u{1a}", "7", "EXPIRED"),
            ("id:98765432101   stat:REJECTD\0", "98765432101", "REJECTD"),
        ];
        for (text, id, state) in cases {
            let receipt = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((receipt.smsc_message_id.as_str(), receipt.state.as_str()), (id, state), "{text}");
        }
        assert_eq!(parse("stat:DELIVRD"), None);
        assert_eq!(parse("hello, id: I lost mine"), None);
    }

    #[test]
    fn the_text_may_contain_what_looks_like_keys_and_pairs_may_follow_it() {
        let receipt = parse("id:1 stat:DELIVRD err:012 text:Gu250 MCC=270 id:9").unwrap();
        assert_eq!(receipt.smsc_message_id, "1");
        assert_eq!(receipt.text.as_deref(), Some("Gu250 MCC=270 id:9"));
        assert_eq!(receipt.err.as_deref(), Some("012"));
    }

    #[test]
    fn tlvs_win_over_the_text() {
        let mut tlvs = Tlvs::default();
        tlvs.push_text(Tag::RECEIPTED_MESSAGE_ID, "38601fa");
        tlvs.push_integer(Tag::MESSAGE_STATE, 5);
        tlvs.push(Tag::NETWORK_ERROR_CODE, &[3, 0, 1]);
        let receipt = Receipt::parse(&tlvs, "id:59113978 stat:DELIVRD").unwrap();
        assert_eq!((receipt.smsc_message_id.as_str(), receipt.state.as_str()), ("38601fa", "UNDELIVERABLE"));
        assert_eq!(receipt.network_error, Some(NetworkError { network: Some(3), code: 1 }));
        assert_eq!(NetworkError::parse(b"012"), Some(NetworkError { network: None, code: 12 }));
        assert_eq!(NetworkError::parse(b"0123"), None);
        assert!(Receipt::parse(&tlvs, "").is_some());
    }

    proptest! {
        #[test]
        fn what_we_format_we_read(id in "[a-zA-Z0-9-]{1,40}", state in "[A-Z]{5,8}", text in "[a-z ]{0,30}") {
            let receipt = Receipt { smsc_message_id: id, state, text: Some(text), ..Receipt::default() };
            let read = parse(&receipt.format()).unwrap();
            prop_assert_eq!(&read.smsc_message_id, &receipt.smsc_message_id);
            prop_assert_eq!(&read.state, &receipt.state);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "(id:|stat:|text:|submit date:| |é|\0|x){0,20}", octets in proptest::collection::vec(any::<u8>(), 0..60), coding in any::<u8>()) {
            let _ = parse(&text);
            let _ = parse(&receipt_text(crate::field::DataCoding(coding), &Bytes::from(octets)));
        }
    }
}
