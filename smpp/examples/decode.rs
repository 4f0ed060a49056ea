//! Shows what a PDU in hexadecimal digits says.
//!
//! `cargo run -p smpp --example decode 00000010000000150000000000000001`

use bytes::BytesMut;
use smpp::{Description, RawPdu};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hex = std::env::args().nth(1).ok_or("give the PDU in hexadecimal digits")?;
    let octets: Result<Vec<u8>, _> =
        (0..hex.len() / 2).map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2).unwrap_or_default(), 16)).collect();
    let mut buffer = BytesMut::from(&octets?[..]);
    while let Some(raw) = RawPdu::split(&mut buffer, 70_000)? {
        print!("{}", Description::of(&raw));
    }
    Ok(())
}
