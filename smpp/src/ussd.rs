//! USSD over SMPP: `ussd_service_op` and `its_session_info` (§5.3.2.43, §5.3.2.44; field guide §6).
//!
//! Which operator uses which of them how is the caller's business; here is what the octets say.

use crate::tlv::{Tag, Tlvs};

/// `ussd_service_op`: what a USSD message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceOp(pub u8);

impl ServiceOp {
    /// Indication that a session that the phone opened has ended.
    pub const PSSD_INDICATION: Self = Self(0x00);
    /// The user dialled.
    pub const PSSR_INDICATION: Self = Self(0x01);
    /// A menu for the user, who is to answer.
    pub const USSR_REQUEST: Self = Self(0x02);
    /// A note for the user.
    pub const USSN_REQUEST: Self = Self(0x03);
    /// The last word to a user who dialled.
    pub const PSSR_RESPONSE: Self = Self(0x11);
    /// The user answered.
    pub const USSR_CONFIRM: Self = Self(0x12);
    /// Vendors: the last word to the user.
    pub const VENDOR_END: Self = Self(0x17);
    /// Vendors: the user gave up.
    pub const VENDOR_ABORT: Self = Self(0x81);
}

/// `its_session_info`: which session, and whether this ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct SessionInfo {
    /// Session number in the high octet, dialogue number in bits 7 to 1 of the low one; bit 0 is zero.
    pub session: u16,
    /// Bit 0 of the low octet.
    pub end: bool,
}

impl SessionInfo {
    /// From the two octets' value.
    #[must_use]
    pub const fn from_value(value: u16) -> Self {
        Self { session: value & 0xfffe, end: value & 1 == 1 }
    }

    /// The two octets' value.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.session & 0xfffe | self.end as u16
    }

    /// The session as applications see it: four hex digits.
    #[must_use]
    pub fn id(self) -> String {
        format!("{:04x}", self.session)
    }
}

/// Where a USSD message from a phone stands in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opens it.
    New,
    /// Continues it.
    Resume,
    /// Ends it.
    Close,
}

/// A USSD message's own parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ussd {
    /// What it is.
    pub op: ServiceOp,
    /// Which session; zero when the peer did not say.
    pub session: SessionInfo,
}

impl Ussd {
    /// The USSD parameters of a message; `None` when it is no USSD.
    #[must_use]
    pub fn of(tlvs: &Tlvs) -> Option<Self> {
        let op = tlvs.integer(Tag::USSD_SERVICE_OP).and_then(|op| u8::try_from(op).ok()).map(ServiceOp)?;
        let session = tlvs.integer(Tag::ITS_SESSION_INFO).and_then(|value| u16::try_from(value).ok());
        Some(Self { op, session: SessionInfo::from_value(session.unwrap_or_default()) })
    }

    /// Where it stands; the end bit overrules the operation.
    #[must_use]
    pub fn phase(self) -> Phase {
        match self.op {
            _ if self.session.end => Phase::Close,
            ServiceOp::PSSR_INDICATION => Phase::New,
            ServiceOp::USSR_REQUEST | ServiceOp::USSR_CONFIRM => Phase::Resume,
            _ => Phase::Close,
        }
    }

    /// Appends the parameters to a message's.
    pub fn put(self, tlvs: &mut Tlvs) {
        tlvs.push_integer(Tag::USSD_SERVICE_OP, u32::from(self.op.0));
        tlvs.push(Tag::ITS_SESSION_INFO, &self.session.value().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_open_go_on_and_end_as_the_octets_say() {
        for (op, info, phase) in [
            (0x01, 0x1234, Phase::New),
            (0x12, 0x1234, Phase::Resume),
            (0x12, 0x1235, Phase::Close),
            (0x81, 0x1234, Phase::Close),
        ] {
            let mut tlvs = Tlvs::default();
            Ussd { op: ServiceOp(op), session: SessionInfo::from_value(info) }.put(&mut tlvs);
            let read = Ussd::of(&tlvs).unwrap();
            assert_eq!((read.phase(), read.session.id()), (phase, "1234".to_owned()));
        }
        assert_eq!(Ussd::of(&Tlvs::default()), None);
    }

    #[test]
    fn a_reply_that_ends_session_00f0_has_the_octets_of_the_guide() {
        let mut tlvs = Tlvs::default();
        let session = SessionInfo { end: true, ..SessionInfo::from_value(0x00f0) };
        Ussd { op: ServiceOp::USSR_REQUEST, session }.put(&mut tlvs);
        assert_eq!(&tlvs.octets()[..], [0x05, 0x01, 0, 1, 2, 0x13, 0x83, 0, 2, 0, 0xf1]);
    }
}
