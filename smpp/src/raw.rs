//! Cutting a stream into PDUs (SMPP v3.4 §3.2): the only framing code there is.
//!
//! A frame here is header plus undecoded body. What the body means is `pdu`'s business; that a peer
//! announces four gigabytes and sends nothing costs nobody an allocation.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::command::{CommandId, CommandStatus, SequenceNumber};
use crate::error::FrameError;

/// Octets of the header: length, id, status, sequence (§3.2).
pub const HEADER_LEN: usize = 16;
/// Default limit of `command_length` in octets: a 64 KiB payload and its header fit.
pub const DEFAULT_MAX_PDU_LEN: usize = 65_536 + 4_096;

/// A PDU with its body still undecoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPdu {
    /// Which command.
    pub id: CommandId,
    /// Its status; meaningful in responses only.
    pub status: CommandStatus,
    /// Its sequence number, unchanged.
    pub sequence: SequenceNumber,
    /// Everything after the header.
    pub body: Bytes,
}

impl RawPdu {
    /// Takes the next complete PDU off the front of `buffer`.
    ///
    /// `Ok(None)` means that more octets are needed; nothing is consumed then.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use smpp::{CommandId, RawPdu};
    ///
    /// let mut buffer = BytesMut::from(&[0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0][..]);
    /// assert_eq!(RawPdu::split(&mut buffer, 1024), Ok(None));
    /// buffer.extend_from_slice(&[7]);
    /// let pdu = RawPdu::split(&mut buffer, 1024).unwrap().unwrap();
    /// assert_eq!((pdu.id, pdu.sequence.0), (CommandId::ENQUIRE_LINK, 7));
    /// ```
    ///
    /// # Errors
    /// [`FrameError`] when `command_length` is below 16 or above `limit`: the stream is lost.
    pub fn split(buffer: &mut BytesMut, limit: usize) -> Result<Option<Self>, FrameError> {
        let Some(length) = buffer.first_chunk::<4>().copied().map(u32::from_be_bytes) else {
            return Ok(None);
        };
        let octets = usize::try_from(length).unwrap_or(usize::MAX);
        if octets < HEADER_LEN {
            return Err(FrameError::TooShort { length });
        }
        if octets > limit {
            return Err(FrameError::TooLong { length, limit });
        }
        if buffer.len() < octets {
            return Ok(None);
        }
        let mut frame = buffer.split_to(octets).freeze();
        frame.advance(4);
        Ok(Some(Self {
            id: CommandId(frame.get_u32()),
            status: CommandStatus(frame.get_u32()),
            sequence: SequenceNumber(frame.get_u32()),
            body: frame,
        }))
    }

    /// Appends the PDU's octets.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(HEADER_LEN + self.body.len());
        put_header(out, HEADER_LEN + self.body.len(), self.id, self.status, self.sequence);
        out.put_slice(&self.body);
    }
}

/// Appends a header whose `command_length` is `length` octets.
pub(crate) fn put_header(
    out: &mut BytesMut,
    length: usize,
    id: CommandId,
    status: CommandStatus,
    sequence: SequenceNumber,
) {
    // No PDU of ours comes near four gigabytes; saturating keeps the arithmetic total.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    out.put_u32(id.0);
    out.put_u32(status.0);
    out.put_u32(sequence.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_below_the_header_or_above_the_limit_lose_the_stream() {
        for length in [0u32, 4, 8, 15] {
            let mut buffer = BytesMut::from(&length.to_be_bytes()[..]);
            assert_eq!(RawPdu::split(&mut buffer, 64), Err(FrameError::TooShort { length }));
        }
        let mut buffer = BytesMut::from(&0xf000_0011_u32.to_be_bytes()[..]);
        assert!(matches!(RawPdu::split(&mut buffer, 64), Err(FrameError::TooLong { .. })));
    }

    #[test]
    fn two_pdus_in_one_segment_come_out_in_order() {
        let first = RawPdu {
            id: CommandId(0x110),
            status: CommandStatus::ESME_ROK,
            sequence: SequenceNumber(0xa285_9f22),
            body: Bytes::from_static(&[9]),
        };
        let second = RawPdu { id: CommandId::UNBIND, body: Bytes::new(), ..first.clone() };
        let mut buffer = BytesMut::new();
        first.encode(&mut buffer);
        second.encode(&mut buffer);
        assert_eq!(RawPdu::split(&mut buffer, 64), Ok(Some(first)));
        assert_eq!(RawPdu::split(&mut buffer, 64), Ok(Some(second)));
        assert_eq!(RawPdu::split(&mut buffer, 64), Ok(None));
    }
}
