//! An SMSC that takes every message and numbers it.
//!
//! `cargo run -p smpp --features tokio --example smsc`

use std::time::Instant;

use smpp::net::Driver;
use smpp::pdu::{BindResp, SubmitSmResp};
use smpp::session::{Event, Role, Session, SessionConfig, answer_to};
use smpp::{CommandStatus, Pdu};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:2775").await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = serve(stream).await {
                println!("{peer}: {error}");
            }
        });
    }
}

async fn serve(stream: TcpStream) -> Result<(), smpp::session::SendError> {
    let config = SessionConfig { role: Role::Smsc, ..SessionConfig::default() };
    let session: Session<()> = Session::new(config, Instant::now());
    let mut driver = Driver::new(stream, session, 70_000, |_, _: &[u8]| {});
    let mut taken = 0_u32;
    loop {
        let (sequence, answer) = match driver.event().await {
            Event::BindRequest { sequence, mode, .. } => (sequence, Pdu::BindResp(mode, BindResp::default())),
            Event::Request { sequence, pdu: Pdu::SubmitSm(submit) } => {
                taken += 1;
                println!("message {taken} to {}", submit.destination.digits);
                let message_id = taken.to_string().as_str().try_into().unwrap_or_default();
                (sequence, SubmitSmResp { message_id, ..Default::default() }.into())
            }
            Event::Request { sequence, pdu } => match answer_to(pdu.command_id()) {
                Some(answer) => (sequence, answer),
                None => continue,
            },
            Event::Closed { .. } => {
                driver.finish().await;
                return Ok(());
            }
            _ => continue,
        };
        driver.session.respond(Instant::now(), sequence, CommandStatus::ESME_ROK, &answer)?;
    }
}
