//! Packets out of a pcap or pcapng file, with their time and their link type.

use std::io::Read;
use std::time::Duration;

use pcap_parser::pcapng::Block;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Linktype, PcapBlockOwned, PcapError, create_reader};

use super::CaptureError;

/// Octets read at a time, at first; a larger packet makes it grow.
const BUFFER: usize = 256 * 1024;
/// Largest block that is accepted, in octets.
const MOST: usize = 64 * 1024 * 1024;

/// An interface of a capture.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: Linktype,
    /// Time stamps in a second.
    resolution: u64,
    /// Seconds to add to them.
    offset: i64,
}

/// A packet as it was captured.
pub(super) struct Packet<'a> {
    /// Counted from 1.
    pub(super) number: u64,
    /// When, since 1970; zero where the file does not say.
    pub(super) at: Duration,
    pub(super) link: Linktype,
    pub(super) data: &'a [u8],
}

/// Shows each packet of a capture to `visit`; how many there were.
///
/// # Errors
/// [`CaptureError`] when it cannot be read any further, with the number of the packet after the last good one.
pub(super) fn packets(
    file: impl Read + Send + 'static,
    mut visit: impl FnMut(Packet<'_>),
) -> Result<u64, CaptureError> {
    let mut reader = match create_reader(BUFFER, file) {
        Ok(reader) => reader,
        Err(PcapError::ReadError) => return Err(CaptureError::Unreadable { packet: 1 }),
        Err(_) => return Err(CaptureError::NotACapture),
    };
    let mut number = 0;
    let mut size = BUFFER;
    let mut interfaces: Vec<Interface> = Vec::new();
    loop {
        match reader.next() {
            Ok((length, block)) => {
                if let Some((at, link, data)) = packet(&mut interfaces, &block) {
                    number += 1;
                    visit(Packet { number, at, link, data });
                }
                reader.consume(length);
            }
            Err(PcapError::Eof) => return Ok(number),
            Err(PcapError::Incomplete(_)) => {
                if reader.refill().is_err() {
                    return Err(CaptureError::Unreadable { packet: number + 1 });
                }
            }
            Err(PcapError::BufferTooSmall) if size < MOST => {
                size *= 2;
                if !reader.grow(size) || reader.refill().is_err() {
                    return Err(CaptureError::Damaged { packet: number + 1 });
                }
            }
            Err(PcapError::UnexpectedEof) => return Err(CaptureError::CutOff { packet: number + 1 }),
            Err(PcapError::ReadError) => return Err(CaptureError::Unreadable { packet: number + 1 }),
            Err(_) => return Err(CaptureError::Damaged { packet: number + 1 }),
        }
    }
}

fn packet<'a>(
    interfaces: &mut Vec<Interface>,
    block: &'a PcapBlockOwned<'_>,
) -> Option<(Duration, Linktype, &'a [u8])> {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
            *interfaces = vec![Interface { link: header.network, resolution, offset: 0 }];
            None
        }
        PcapBlockOwned::Legacy(block) => {
            let interface = interfaces.first()?;
            let fraction = u64::from(block.ts_usec) * (1_000_000_000 / interface.resolution);
            let at = Duration::from_secs(u64::from(block.ts_sec)) + Duration::from_nanos(fraction);
            Some((at, interface.link, block.data))
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            None
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(block)) => {
            let interface = Interface {
                link: block.linktype,
                resolution: block.ts_resolution().filter(|resolution| *resolution > 0).unwrap_or(1_000_000),
                offset: block.ts_offset(),
            };
            interfaces.push(interface);
            None
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(block)) => {
            let interface = interfaces.get(usize::try_from(block.if_id).ok()?)?;
            let ticks = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
            Some((time(*interface, ticks), interface.link, block.packet_data()))
        }
        PcapBlockOwned::NG(Block::SimplePacket(block)) => {
            Some((Duration::ZERO, interfaces.first()?.link, block.packet_data()))
        }
        PcapBlockOwned::NG(_) => None,
    }
}

fn time(interface: Interface, ticks: u64) -> Duration {
    let seconds = ticks / interface.resolution;
    let rest = u128::from(ticks % interface.resolution) * 1_000_000_000 / u128::from(interface.resolution);
    let seconds = seconds.saturating_add_signed(interface.offset);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(rest).unwrap_or_default())
}
