//! A tokio-util codec over [`RawPdu`], for whoever wants frames and no session.

use bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use crate::error::FrameError;
use crate::raw::{DEFAULT_MAX_PDU_LEN, RawPdu};

/// Cuts a stream into PDUs and writes them.
#[derive(Clone, Copy, Debug)]
pub struct Codec {
    /// Longest PDU that is accepted, in octets.
    pub max_pdu_len: usize,
}

impl Default for Codec {
    fn default() -> Self {
        Self { max_pdu_len: DEFAULT_MAX_PDU_LEN }
    }
}

/// Why a framed stream ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// It can no longer be cut into PDUs.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It could not be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Decoder for Codec {
    type Item = RawPdu;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<RawPdu>, CodecError> {
        Ok(RawPdu::split(buffer, self.max_pdu_len)?)
    }
}

impl Encoder<RawPdu> for Codec {
    type Error = CodecError;

    fn encode(&mut self, pdu: RawPdu, out: &mut BytesMut) -> Result<(), CodecError> {
        pdu.encode(out);
        Ok(())
    }
}
