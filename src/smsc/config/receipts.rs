//! The odd forms and times of receipts (field guide §3.5).

use clap::{Args, ValueEnum};

use crate::smsc::values::share;

/// See the file's head. The default is one receipt for each message, written as Appendix B has it.
#[derive(Args, Clone, Debug, PartialEq, Default)]
#[command(next_help_heading = "Receipts")]
pub struct ReceiptHabits {
    /// How the text of receipts is laid out
    #[arg(long, value_enum, default_value_t)]
    pub receipt_text: ReceiptText,
    /// How dates are written in it
    #[arg(long, value_enum, default_value_t)]
    pub receipt_dates: ReceiptDates,
    /// How err: is written in it
    #[arg(long, value_enum, default_value_t)]
    pub receipt_err: ReceiptErr,
    /// Send a receipt before the response of its message, where both go over one connection
    #[arg(long)]
    pub receipts_first: bool,
    /// Share of receipts that are sent twice
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub duplicate_receipts: f64,
    /// What tells that a message is on its way, half of --receipt-delay before the last receipt
    #[arg(long, value_enum, default_value_t)]
    pub intermediate: Intermediate,
}

/// The layout of a receipt's text.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReceiptText {
    /// As Appendix B has it
    #[default]
    Standard,
    /// `Text:` with a capital letter
    CapitalText,
    /// Ends with err:
    NoText,
    /// id:, stat: and text: alone
    Short,
    /// id:, dates, stat: and err: alone
    NoCounts,
    /// Keys in another order, the state last
    OtherOrder,
    /// Keys in capital letters
    UpperKeys,
    /// `null` for numbers
    Nulls,
    /// Several spaces and tabs between, a NUL at the end
    Spaced,
    /// More pairs behind the text
    Pairs,
    /// UCS2
    Ucs2,
}

/// How dates are written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReceiptDates {
    /// YYMMDDhhmm
    #[default]
    Minutes,
    /// YYMMDDhhmmss
    Seconds,
    /// YYYYMMDDhhmmss
    FullYear,
    /// Ten zeros
    Zeros,
}

/// How the error of a receipt is written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReceiptErr {
    /// Three digits
    #[default]
    Decimal,
    /// Three hexadecimal digits
    Hex,
    /// Four digits
    FourDigits,
    /// As few digits as there are
    Unpadded,
}

/// What tells that a message is on its way.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Intermediate {
    /// Nothing
    #[default]
    None,
    /// An intermediate notification, esm_class 0x20
    Notification,
    /// A receipt with the state ENROUTE
    Receipt,
}
