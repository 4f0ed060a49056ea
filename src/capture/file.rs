//! Packets out of a pcap or pcapng file, with their time and their link type.

use std::io::{self, Cursor, Read};
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

/// Shows each packet of a capture to `visit` as it comes, until that fails.
///
/// # Errors
/// [`CaptureError`] when it cannot be read any further, with the number of the packet after the last good one.
pub(super) fn packets<E: From<CaptureError>>(
    mut file: impl Read + Send + 'static,
    mut visit: impl FnMut(Packet<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let unreadable = |packet| E::from(CaptureError::Unreadable { packet });
    let front = front(&mut file).map_err(|_| unreadable(1))?;
    let mut reader = match create_reader(BUFFER, Cursor::new(front).chain(file)) {
        Ok(reader) => reader,
        Err(PcapError::ReadError) => return Err(unreadable(1)),
        Err(_) => return Err(CaptureError::NotACapture.into()),
    };
    let mut number = 0;
    let mut size = BUFFER;
    let mut interfaces: Vec<Interface> = Vec::new();
    loop {
        match reader.next() {
            Ok((length, block)) => {
                if let Some((at, link, data)) = packet(&mut interfaces, &block) {
                    number += 1;
                    visit(Packet { number, at, link, data })?;
                }
                reader.consume(length);
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::Incomplete(_)) => {
                if reader.refill().is_err() {
                    return Err(unreadable(number + 1));
                }
            }
            Err(PcapError::BufferTooSmall) if size < MOST => {
                size *= 2;
                if !reader.grow(size) || reader.refill().is_err() {
                    return Err(CaptureError::Damaged { packet: number + 1 }.into());
                }
            }
            Err(PcapError::UnexpectedEof) => return Err(CaptureError::CutOff { packet: number + 1 }.into()),
            Err(PcapError::ReadError) => return Err(unreadable(number + 1)),
            Err(_) => return Err(CaptureError::Damaged { packet: number + 1 }.into()),
        }
    }
}

/// The first octets of pcapng's section header, and of both magic numbers of pcap in either order of octets.
const MAGICS: [[u8; 4]; 5] = [
    [0x0a, 0x0d, 0x0d, 0x0a],
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
];
/// Octets of pcap's header.
const HEADER: usize = 24;

/// Whether octets are the beginning of a capture.
#[must_use]
pub fn is_capture(octets: &[u8]) -> bool {
    octets.first_chunk().is_some_and(|magic| MAGICS.contains(magic))
}

/// The file's header: the reader wants all of it at once, and a pipe may bring it in pieces.
fn front(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut front = Vec::new();
    file.by_ref().take(HEADER as u64).read_to_end(&mut front)?;
    let word = |at: usize| front.get(at..).and_then(<[u8]>::first_chunk::<4>).copied();
    if word(0) == Some(MAGICS[0]) {
        let big = word(8) == Some([0x1a, 0x2b, 0x3c, 0x4d]);
        let length = word(4).map_or(0, if big { u32::from_be_bytes } else { u32::from_le_bytes });
        let rest = usize::try_from(length).unwrap_or(BUFFER).min(BUFFER).saturating_sub(HEADER);
        file.by_ref().take(rest as u64).read_to_end(&mut front)?;
    }
    Ok(front)
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
