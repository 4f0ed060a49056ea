//! Escapes in callback URLs, as Kannel has them (Junebug reference §9.1): `%p` becomes the number of who sent the message,
//! `%I` our id, and so on, percent-encoded. `%` before two hexadecimal digits is an octet that is encoded already, and
//! stays; before an unknown letter it is itself.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{
    ChannelProperties, DeliveryStatus, Event, EventKind, Inbound, JsonObject, MessageId, Outbound, Timestamp,
};

/// What may stand in a URL as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The letters that are escapes.
const LETTERS: &str = "ksSrabtTpPqQiIndAFDcCmMuOBo%";

/// What the escapes of a URL may become.
#[derive(Default)]
pub(super) struct Values<'a> {
    message: Option<MessageId>,
    from: &'a str,
    to: &'a str,
    content: &'a str,
    at: Option<Timestamp>,
    channel_data: Option<&'a JsonObject>,
    channel: Option<&'a ChannelProperties>,
    /// Of an event only.
    event: Option<&'a Event>,
    /// The provider's id of the message.
    foreign: &'a str,
    /// Of an MO only: what the channel knows of its PDU.
    pdu: Option<&'a JsonObject>,
}

impl<'a> Values<'a> {
    /// For the `event_url` of an MT. `events` are all that it has had so far.
    pub(super) fn of_event(message: &'a Outbound, event: MessageId, events: &'a [Event]) -> Self {
        let event = events.iter().find(|other| other.id == event);
        let foreign = events.iter().rev().find_map(|event| match &event.kind {
            EventKind::Ack { sent_message_id } => Some(sent_message_id.as_str()),
            _ => None,
        });
        Self {
            message: Some(message.id),
            from: message.from.as_deref().unwrap_or_default(),
            to: &message.to,
            content: &message.content,
            at: event.map(|event| event.at),
            channel_data: Some(&message.channel_data),
            event,
            foreign: foreign.unwrap_or_default(),
            ..Self::default()
        }
    }

    /// For the `mo_url` of a channel or destination.
    pub(super) fn of_mo(message: &'a Inbound) -> Self {
        Self {
            message: Some(message.id),
            from: &message.from,
            to: &message.to,
            content: message.content.as_deref().unwrap_or_default(),
            at: Some(message.received_at),
            channel_data: Some(&message.channel_data),
            pdu: Some(&message.transport_metadata),
            ..Self::default()
        }
    }

    /// The same, on this channel.
    pub(super) fn on(self, channel: Option<&'a ChannelProperties>) -> Self {
        Self { channel, ..self }
    }

    fn delivery(&self) -> &'static str {
        match self.event.map(|event| &event.kind) {
            None => "",
            Some(EventKind::DeliveryReport { status: DeliveryStatus::Delivered }) => "1",
            Some(EventKind::DeliveryReport { status: DeliveryStatus::Failed }) => "2",
            Some(EventKind::DeliveryReport { status: DeliveryStatus::Pending }) => "4",
            Some(EventKind::Ack { .. }) => "8",
            Some(EventKind::Nack { .. } | EventKind::Expired { .. }) => "16",
        }
    }

    /// Why it was rejected, or the provider's word.
    fn reply(&self) -> String {
        let Some(event) = self.event else { return String::new() };
        match &event.kind {
            EventKind::Nack { reason } | EventKind::Expired { reason } => reason.clone(),
            _ => {
                let word = event.details.get("smpp_delivery_status").and_then(|word| word.as_str());
                word.unwrap_or_default().to_owned()
            }
        }
    }

    fn metadata(&self, key: &str) -> &str {
        let metadata = self.channel.and_then(|channel| channel.properties.get("metadata"));
        metadata.and_then(|metadata| metadata.get(key)?.as_str()).unwrap_or_default()
    }

    fn data_coding(&self) -> Option<u64> {
        self.pdu?.get("data_coding")?.as_u64()
    }

    fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.content.split_whitespace()
    }
}

/// Whether a URL has escapes at all.
pub(super) fn has_escapes(url: &str) -> bool {
    pieces(url).any(|piece| matches!(piece, Piece::Escape(_)))
}

/// A URL with its escapes replaced.
pub(super) fn expand(url: &str, values: &Values<'_>) -> String {
    let mut out = String::with_capacity(url.len() + 64);
    let mut words = values.words().skip(1);
    for piece in pieces(url) {
        match piece {
            Piece::Literal(text) => out.push_str(text),
            // Kannel leaves this one to whoever wrote the message; in a URL a space cannot stand as it is.
            Piece::Escape('S') => {
                let word = words.next().unwrap_or_default().replace('*', "~");
                out.push_str(&word.replace(|character: char| character.is_control() || character == '#', ""));
            }
            Piece::Escape(letter) => {
                let value: Cow<'_, str> = match letter {
                    's' => words.next().unwrap_or_default().into(),
                    'r' => words.by_ref().collect::<Vec<_>>().join(" ").into(),
                    letter => value(values, letter),
                };
                out.extend(utf8_percent_encode(&value, ENCODED));
            }
        }
    }
    out
}

fn value<'a>(values: &Values<'a>, letter: char) -> Cow<'a, str> {
    let international = |number: &'a str| match number.strip_prefix("00") {
        Some(rest) => format!("+{rest}").into(),
        None => number.into(),
    };
    let text = |value: &str| Cow::Owned(value.to_owned());
    match letter {
        'k' => values.words().next().unwrap_or_default().into(),
        'a' => values.words().collect::<Vec<_>>().join(" ").into(),
        'b' => values.content.into(),
        't' => values.at.map(|at| at.to_string().chars().take(16).collect()).unwrap_or_default(),
        'T' => values.at.map(|at| Cow::Owned((at.0 / 1_000_000).to_string())).unwrap_or_default(),
        'p' => values.from.into(),
        'P' => values.to.into(),
        'q' => international(values.from),
        'Q' => international(values.to),
        'i' => values.channel.map(|channel| text(channel.id.as_str())).unwrap_or_default(),
        'I' => values.message.map(|id| Cow::Owned(id.to_string())).unwrap_or_default(),
        'n' => values.channel.and_then(|channel| channel.text("label")).map(text).unwrap_or_default(),
        'd' => values.delivery().into(),
        'A' => values.reply().into(),
        'F' => values.foreign.into(),
        'D' => values.channel_data.and_then(|data| serde_json::to_string(data).ok()).unwrap_or_default().into(),
        'c' => values.data_coding().and_then(coding).map(|(number, _)| number).unwrap_or_default().into(),
        'C' => values.data_coding().and_then(coding).map(|(_, charset)| charset).unwrap_or_default().into(),
        // The message class is in the last two bits of the codings that have one.
        'm' => values
            .data_coding()
            .filter(|dcs| dcs & 0xf0 == 0xf0)
            .map(|dcs| (dcs & 3).to_string())
            .unwrap_or_default()
            .into(),
        'O' => values.data_coding().map(|dcs| dcs.to_string()).unwrap_or_default().into(),
        'B' => text(values.metadata("billing")),
        'o' => text(values.metadata("account")),
        '%' => "%".into(),
        // `%M` and `%u`: neither a waiting indicator nor a header is left once a message has been joined.
        _ => "".into(),
    }
}

/// Kannel's number and name of a coding.
fn coding(data_coding: u64) -> Option<(&'static str, &'static str)> {
    match data_coding {
        0 | 0xf0..=0xf3 => Some(("0", "GSM")),
        2 | 4 | 0xf4..=0xf7 => Some(("1", "BINARY")),
        8 => Some(("2", "UTF-16BE")),
        1 => Some(("0", "ASCII")),
        3 => Some(("0", "ISO-8859-1")),
        _ => None,
    }
}

enum Piece<'a> {
    Literal(&'a str),
    Escape(char),
}

fn pieces(url: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = url;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(letter) = escape(rest) {
            rest = &rest[1 + letter.len_utf8()..];
            return Some(Piece::Escape(letter));
        }
        let next = rest.char_indices().skip(1).find(|(place, _)| escape(&rest[*place..]).is_some());
        let (literal, after) = rest.split_at(next.map_or(rest.len(), |(place, _)| place));
        rest = after;
        Some(Piece::Literal(literal))
    })
}

/// The letter of an escape that a text begins with.
fn escape(text: &str) -> Option<char> {
    let after = text.strip_prefix('%')?;
    let mut letters = after.chars();
    let (first, second) = (letters.next()?, letters.next());
    let encoded = first.is_ascii_hexdigit() && second.is_some_and(|second| second.is_ascii_hexdigit());
    (!encoded && LETTERS.contains(first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mo(content: &str) -> Inbound {
        let message = json!({
            "id": "00000000000000000000000000000001", "channel": "c", "to": "0027111", "from": "+27820001001",
            "content": content, "received_at": 1_709_285_400_250_000_i64, "channel_data": {"a": "b"},
            "transport_metadata": {"data_coding": 8},
        });
        serde_json::from_value(message).unwrap()
    }

    fn expanded(url: &str, content: &str) -> String {
        let channel = json!({"label": "my line", "metadata": {"billing": "b-1"}});
        let channel = ChannelProperties { id: "c".into(), properties: channel.as_object().unwrap().clone() };
        expand(url, &Values::of_mo(&mo(content)).on(Some(&channel)))
    }

    #[test]
    fn escapes_become_what_they_stand_for_and_nothing_else_changes() {
        for (url, content, expected) in [
            ("http://h/?f=%p&t=%a", "héllo  you & me", "http://h/?f=%2B27820001001&t=h%C3%A9llo%20you%20%26%20me"),
            ("http://h/%20%2B%d0?x=%", "", "http://h/%20%2B%d0?x=%"),
            ("%k|%s|%s|%r|%s", "one two three  four five", "one|two|three|four%20five|"),
            ("%S", "a *b", "~b"),
            ("%q %Q %P", "", "%2B27820001001 %2B27111 0027111"),
            ("%i %I %n", "", "c 00000000000000000000000000000001 my%20line"),
            ("%t %T", "", "2024-03-01%2009%3A30 1709285400"),
            ("%D %c %C %O %m|%M|%u", "", "%7B%22a%22%3A%22b%22%7D 2 UTF-16BE 8 ||"),
            ("%B|%o|%%|%z|%é", "", "b-1||%25|%z|%é"),
            ("[%d][%A][%F]", "x", "[][][]"),
        ] {
            assert_eq!(expanded(url, content), expected, "{url}");
        }
        assert!(!has_escapes("http://h/%20?x=%2B%d0") && has_escapes("http://h/%20?x=%p"));
    }

    #[test]
    fn an_event_says_how_it_went_and_by_what_id() {
        let message = Outbound { from: Some("8110".into()), ..Outbound::plain("+1", "hi there") };
        let event = |kind| Event {
            id: MessageId::mint(),
            message: message.id,
            channel: "c".into(),
            at: Timestamp(0),
            kind,
            details: JsonObject::new(),
        };
        let events = [
            event(EventKind::Ack { sent_message_id: "smsc 1".into() }),
            event(EventKind::DeliveryReport { status: DeliveryStatus::Delivered }),
            event(EventKind::Nack { reason: "ESME_RINVDSTADR".into() }),
        ];
        let told = |number: usize| expand("%d %A %F %p %I", &Values::of_event(&message, events[number].id, &events));
        assert_eq!(told(0), format!("8  smsc%201 8110 {}", message.id));
        assert_eq!(told(1), format!("1  smsc%201 8110 {}", message.id));
        assert_eq!(told(2), format!("16 ESME_RINVDSTADR smsc%201 8110 {}", message.id));
    }
}
