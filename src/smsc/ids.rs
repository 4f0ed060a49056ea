//! Message ids: one number each, written as the configuration says and read back from every way of writing it.

use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use uuid::{Builder, Uuid};

use super::config::{IdFormat, SimulatorConfig};

/// The number of a message; its ids are ways of writing it.
pub(super) type Number = u64;

/// Mints numbers and writes them.
#[derive(Debug)]
pub(super) struct Ids {
    next: AtomicU64,
    /// The upper half of the UUIDs of this simulator.
    upper: u64,
}

/// In front of [`IdFormat::Prefixed`].
const PREFIX: &str = "SMSC-";
/// What a UUID's variant bits leave of its lower half.
const NUMBER_BITS: u64 = (1 << 62) - 1;

impl Ids {
    pub(super) fn new(rng: &mut Rng) -> Self {
        // Large enough that decimal and hexadecimal differ, small enough that ten digits hold it.
        Self { next: AtomicU64::new(rng.u64(0x1000_0000..0x8000_0000)), upper: rng.u64(..) }
    }

    pub(super) fn mint(&self) -> Number {
        self.next.fetch_add(1, Ordering::Relaxed) & NUMBER_BITS
    }

    /// As responses have it.
    pub(super) fn text(&self, config: &SimulatorConfig, number: Number) -> String {
        self.write(config.id_format, number)
    }

    /// As receipts have it.
    pub(super) fn receipt_text(&self, config: &SimulatorConfig, number: Number) -> String {
        self.write(config.receipt_id_format.unwrap_or(config.id_format), number)
    }

    fn write(&self, format: IdFormat, number: Number) -> String {
        match format {
            IdFormat::Hex => format!("{number:x}"),
            IdFormat::UpperHex => format!("{number:08X}"),
            IdFormat::Decimal => format!("{number:010}"),
            IdFormat::Uuid => self.uuid(number).to_string(),
            IdFormat::PaddedHex => format!("{number:016x}"),
            IdFormat::PaddedDecimal => format!("{number:020}"),
            IdFormat::Prefixed => format!("{PREFIX}{number:x}"),
        }
    }

    /// The number that an ESME means by an id that it got in a response.
    pub(super) fn number(&self, config: &SimulatorConfig, id: &str) -> Option<Number> {
        let id = id.trim();
        match config.id_format {
            IdFormat::Decimal | IdFormat::PaddedDecimal => id.parse().ok(),
            IdFormat::Hex | IdFormat::UpperHex | IdFormat::PaddedHex => Number::from_str_radix(id, 16).ok(),
            IdFormat::Prefixed => Number::from_str_radix(id.strip_prefix(PREFIX)?, 16).ok(),
            IdFormat::Uuid => {
                let number = Uuid::parse_str(id).ok()?.as_u64_pair().1 & NUMBER_BITS;
                (self.uuid(number).to_string() == id.to_ascii_lowercase()).then_some(number)
            }
        }
    }

    fn uuid(&self, number: Number) -> Uuid {
        Builder::from_random_bytes(Uuid::from_u64_pair(self.upper, number).into_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_format_reads_back_what_it_wrote() {
        let ids = Ids::new(&mut Rng::with_seed(3));
        let number = ids.mint();
        for id_format in IdFormat::value_variants().iter().copied() {
            let config = SimulatorConfig { id_format, ..SimulatorConfig::default() };
            let text = ids.text(&config, number);
            assert_eq!(ids.number(&config, &text), Some(number), "{text}");
            assert_eq!(ids.number(&config, "zz"), None);
        }
        let hex = SimulatorConfig { id_format: IdFormat::Hex, ..SimulatorConfig::default() };
        let padded = SimulatorConfig { receipt_id_format: Some(IdFormat::Decimal), ..hex.clone() };
        assert_eq!(ids.receipt_text(&padded, number), format!("{number:010}"));
        assert!(ids.number(&hex, &ids.text(&hex, number).to_ascii_uppercase()).is_some());
    }
}
