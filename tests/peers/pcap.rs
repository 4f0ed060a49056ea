//! Writes octets as a capture that tshark reads.

/// A classic pcap of Ethernet packets: each chunk of octets as one TCP segment, to (`true`) or from port 2775.
pub(crate) fn write_pcap(chunks: &[(bool, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&[0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 1]);
    let mut sequence = [1_u32, 1];
    for (number, (to_smsc, chunk)) in chunks.iter().enumerate() {
        // One packet holds 64 KiB at most, headers included.
        for piece in chunk.chunks(60_000) {
            let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
            let length = u16::try_from(40 + piece.len()).unwrap();
            packet.extend_from_slice(&[0x45, 0]);
            packet.extend_from_slice(&length.to_be_bytes());
            packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
            let (source, destination) = if *to_smsc { (40_000_u16, 2775_u16) } else { (2775, 40_000) };
            packet.extend_from_slice(&source.to_be_bytes());
            packet.extend_from_slice(&destination.to_be_bytes());
            let (own, other) = (usize::from(*to_smsc), usize::from(!*to_smsc));
            packet.extend_from_slice(&sequence[own].to_be_bytes());
            packet.extend_from_slice(&sequence[other].to_be_bytes());
            packet.extend_from_slice(&[0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
            packet.extend_from_slice(piece);
            sequence[own] = sequence[own].wrapping_add(u32::try_from(piece.len()).unwrap());
            let captured = u32::try_from(packet.len()).unwrap().to_be_bytes();
            out.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&captured);
            out.extend_from_slice(&captured);
            out.extend_from_slice(&packet);
        }
    }
    out
}
