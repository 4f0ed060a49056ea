//! A PDU as people read it: every field by its standard name, beside the octets it came from.
//!
//! Made from the frame, so that a PDU that cannot be decoded still shows its header, its octets and what is
//! wrong with it. Passwords are marked as such; whoever shows the description decides.

use std::fmt;

use bytes::Bytes;

use crate::command::{CommandId, CommandStatus, SequenceNumber};
use crate::error::DecodeError;
use crate::pdu::Pdu;
use crate::raw::{HEADER_LEN, RawPdu};
use crate::tlv::Tag;
use crate::wire::Value;

/// What a PDU says. `Display` is a tree with passwords masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Which command.
    pub command: CommandId,
    /// Its status.
    pub status: CommandStatus,
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// `command_length` in octets.
    pub length: usize,
    /// The mandatory parameters in wire order.
    pub fields: Vec<(&'static str, Value)>,
    /// The optional parameters in wire order, as values and as octets.
    pub tlvs: Vec<(Tag, Value, Bytes)>,
    /// Octets after them that are no parameter.
    pub trailing: Bytes,
    /// Why the body could not be read; `fields` and `tlvs` are empty then.
    pub error: Option<DecodeError>,
}

impl Description {
    /// Describes a frame.
    #[must_use]
    pub fn of(raw: &RawPdu) -> Self {
        let mut description = Self {
            command: raw.id,
            status: raw.status,
            sequence: raw.sequence,
            length: HEADER_LEN + raw.body.len(),
            fields: Vec::new(),
            tlvs: Vec::new(),
            trailing: Bytes::new(),
            error: None,
        };
        match Pdu::decode(raw) {
            Ok(pdu) => {
                pdu.describe(&mut description.fields);
                if let Some(tlvs) = pdu.tlvs() {
                    let rows = tlvs.iter().map(|tlv| (tlv.tag, tlv.value(), Bytes::copy_from_slice(tlv.value)));
                    description.tlvs = rows.collect();
                    description.trailing = tlvs.trailing();
                }
            }
            Err(error) => description.error = Some(error),
        }
        description
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} sequence {} status {} length {}", self.command, self.sequence, self.status, self.length)?;
        for (name, value) in &self.fields {
            write_row(f, 1, name, value)?;
        }
        for (tag, value, _) in &self.tlvs {
            write_row(f, 1, &format!("tlv {tag}"), value)?;
        }
        if !self.trailing.is_empty() {
            write_row(f, 1, "trailing", &Value::Octets(self.trailing.clone()))?;
        }
        if let Some(error) = &self.error {
            writeln!(f, "  malformed: {error}")?;
        }
        Ok(())
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, depth: usize, name: &str, value: &Value) -> fmt::Result {
    write!(f, "{:indent$}{name}: ", "", indent = depth * 2)?;
    match value {
        Value::Integer(value) => writeln!(f, "{value}"),
        Value::Text(text) => writeln!(f, "{text:?}"),
        Value::Secret(_) => writeln!(f, "********"),
        Value::Octets(octets) => writeln!(f, "{octets:x} ({} octets) {}", octets.len(), Printable(octets)),
        Value::List(groups) => {
            writeln!(f)?;
            for (index, group) in groups.iter().enumerate() {
                writeln!(f, "{:indent$}[{index}]", "", indent = depth * 2 + 2)?;
                group.iter().try_for_each(|(name, value)| write_row(f, depth + 2, name, value))?;
            }
            Ok(())
        }
    }
}

/// Octets with everything that is not printable ASCII as a dot.
struct Printable<'a>(&'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |octet: &u8| if octet.is_ascii_graphic() || *octet == b' ' { char::from(*octet) } else { '.' };
        self.0.iter().map(shown).try_for_each(|character| fmt::Write::write_char(f, character))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdu::{Bind, BindMode};
    use crate::wire::Password;

    #[test]
    fn the_tree_masks_passwords_and_names_what_is_wrong() {
        let bind = Bind {
            system_id: "maybug".try_into().unwrap(),
            password: Password("hunter2".try_into().unwrap()),
            ..Bind::default()
        };
        let mut raw = Pdu::Bind(BindMode::Transceiver, bind).to_raw(CommandStatus::ESME_ROK, SequenceNumber(7));
        let tree = Description::of(&raw).to_string();
        assert!(tree.contains("system_id: \"maybug\"") && !tree.contains("hunter2"), "{tree}");
        raw.body.truncate(3);
        let tree = Description::of(&raw).to_string();
        assert!(
            tree.contains("malformed: system_id at offset 16: the C-octet string has no terminating NUL"),
            "{tree}"
        );
    }
}
