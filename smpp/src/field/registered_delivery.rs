//! `registered_delivery` (§5.2.17): which receipts and acknowledgements are asked for.

use super::octet_field;

/// The octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct RegisteredDelivery(pub u8);

impl RegisteredDelivery {
    /// No receipt.
    pub const NONE: Self = Self(0);
    /// A receipt for success and failure.
    pub const RECEIPT: Self = Self(1);
    /// A receipt for failure only.
    pub const RECEIPT_ON_FAILURE: Self = Self(2);
    /// Bit 4: intermediate notifications.
    pub const INTERMEDIATE: Self = Self(0x10);

    /// Whether a receipt is asked for when the message ends in success (`true`) or failure (`false`).
    #[must_use]
    pub const fn wants_receipt(self, success: bool) -> bool {
        match self.0 & 0x03 {
            1 => true,
            2 => !success,
            3 => success,
            _ => false,
        }
    }
}

octet_field!(RegisteredDelivery);
