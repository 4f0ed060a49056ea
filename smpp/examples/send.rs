//! Binds to an SMSC, submits one message, unbinds.
//!
//! `cargo run -p smpp --features tokio --example send 127.0.0.1:2775 27820001001 Hello`

use std::time::Instant;

use smpp::net::Driver;
use smpp::pdu::{Bind, BindMode, SubmitSm};
use smpp::session::{Event, Session, SessionConfig};
use smpp::{Address, Npi, Pdu, ShortMessage, Ton, text};
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [smsc, to, content] = std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "SMSC TO TEXT")?;
    let encoded = text::encode(&content);
    let submit: Pdu = SubmitSm {
        destination: Address { ton: Ton::INTERNATIONAL, npi: Npi::ISDN, digits: to.as_str().try_into()? },
        data_coding: encoded.data_coding,
        short_message: ShortMessage::new(encoded.octets)?,
        ..SubmitSm::default()
    }
    .into();

    let session: Session<()> = Session::new(SessionConfig::default(), Instant::now());
    let mut driver = Driver::new(TcpStream::connect(smsc).await?, session, 70_000, |_, _: &[u8]| {});
    let bind = Bind { system_id: "example".try_into()?, interface_version: 0x34, ..Bind::default() };
    driver.session.bind(Instant::now(), BindMode::Transceiver, bind)?;
    loop {
        match driver.event().await {
            Event::Bound { .. } => {
                driver.session.request(Instant::now(), &submit, ())?;
            }
            Event::Response { status, pdu, .. } => {
                println!("{status}: {pdu:?}");
                driver.session.unbind(Instant::now());
            }
            Event::Closed { why, .. } => {
                println!("{why}");
                driver.finish().await;
                return Ok(());
            }
            other => println!("{other:?}"),
        }
    }
}
