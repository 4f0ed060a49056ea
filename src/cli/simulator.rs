//! `maybug sim`: the simulated SMSC, a line for each message.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::json;
use smpp::CommandStatus;
use smpp::field::MessageState;
use tokio::sync::mpsc;

use super::args::{IdFormatArg, ReceiptFormArg, SimArgs};
use crate::smsc::{IdFormat, PhoneMessage, ReceiptForm, SimEvent, Simulator, SimulatorConfig};

pub(super) async fn run(args: SimArgs) -> anyhow::Result<()> {
    let simulator = Simulator::start(args.listen, config(&args)?)
        .await
        .with_context(|| format!("the simulator cannot listen on {}", args.listen))?;
    println!("listening on {}", simulator.address());
    let mut events = simulator.events();
    let mut lines = input();
    let mut input = true;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut phone = tokio::time::interval(seconds("--mo-every", args.mo_every.unwrap_or(3_600.0))?);
    phone.reset();
    let mut end = std::pin::pin!(super::serve::asked_to_end());
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) if !args.quiet => show(&args, &event),
                Ok(_) => {}
                Err(tokio::sync::broadcast::error::RecvError::Lagged(count)) if !args.quiet => {
                    println!("({count} lines left out: the terminal is slower than the messages)");
                }
                Err(_) => {}
            },
            line = lines.recv(), if input => match line.as_deref().map(message) {
                Some(Ok(message)) => simulator.inject(&message),
                Some(Err(error)) => eprintln!("maybug: {error}"),
                None => input = false,
            },
            _ = tick.tick(), if args.quiet => counters(&args, &simulator),
            _ = phone.tick(), if args.mo_every.is_some() => {
                simulator.inject(&message("27820001001 40404 Hello from a phone").map_err(|error| anyhow!(error))?);
            }
            () = &mut end => {
                simulator.stop().await;
                return Ok(());
            }
        }
    }
}

/// Lines of standard input, read by a thread of their own: a read that waits must not hold up the end.
fn input() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1_024);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok).filter(|line| !line.trim().is_empty()) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// `FROM TO TEXT`.
fn message(line: &str) -> Result<PhoneMessage, String> {
    let mut parts = line.trim().splitn(3, ' ').map(ToOwned::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(from), Some(to), Some(text)) if from.len() <= 20 && to.len() <= 20 => Ok(PhoneMessage { from, to, text }),
        _ => Err(format!("{line:?} is not of the form FROM TO TEXT")),
    }
}

fn show(args: &SimArgs, event: &SimEvent) {
    if args.json {
        let said = match event {
            SimEvent::Bound { system_id } => json!({"event": "bound", "system_id": system_id}),
            SimEvent::Message { id, from, to, text, status } => json!({
                "event": "message", "id": id, "from": from, "to": to, "text": text, "status": status.to_string(),
            }),
            SimEvent::Delivered { status, receipt } => {
                json!({"event": "delivered", "receipt": receipt, "status": status.to_string()})
            }
            SimEvent::Unbound { system_id, why } => json!({"event": "unbound", "system_id": system_id, "why": why}),
        };
        return println!("{said}");
    }
    match event {
        SimEvent::Bound { system_id } => println!("{system_id:?} has bound"),
        SimEvent::Message { id, from, to, text, status } => {
            let id = id.as_deref().unwrap_or("-");
            println!("message {id} from {from:?} to {to:?}: {text:?} {status}");
        }
        SimEvent::Delivered { status, receipt } => {
            println!("{} acknowledged with {status}", if *receipt { "receipt" } else { "message from a phone" });
        }
        SimEvent::Unbound { system_id, why } => println!("{system_id:?} has gone: {why}"),
    }
}

fn counters(args: &SimArgs, simulator: &Simulator) {
    let counters = simulator.counters();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (accepted, refused) = (count(&counters.accepted), count(&counters.refused));
    let delivered = count(&counters.delivered);
    if args.json {
        println!("{}", json!({"accepted": accepted, "refused": refused, "delivered": delivered}));
    } else {
        println!("{accepted} messages taken, {refused} refused, {delivered} receipts and messages delivered");
    }
}

fn config(args: &SimArgs) -> anyhow::Result<SimulatorConfig> {
    let errors: anyhow::Result<Vec<_>> = args.errors.iter().map(|text| error_share(text)).collect();
    Ok(SimulatorConfig {
        accounts: args.accounts.iter().map(|text| account(text)).collect::<anyhow::Result<_>>()?,
        states: args.states.split(',').map(state).collect::<anyhow::Result<_>>()?,
        receipt_delay: seconds("--receipt-delay", args.receipt_delay)?,
        receipt_form: match args.receipt_form {
            ReceiptFormArg::Both => ReceiptForm::Both,
            ReceiptFormArg::Text => ReceiptForm::Text,
            ReceiptFormArg::Tlvs => ReceiptForm::Tlvs,
        },
        id_format: id_format(args.id_format),
        receipt_id_format: id_format(args.receipt_id_format.unwrap_or(args.id_format)),
        errors: errors?,
        throttle: args.throttle,
        response_delay: seconds("--response-delay", args.response_delay)?,
        no_response: share("--no-response", args.no_response)?,
        cut_after: args.cut_after,
        cut_every: args.cut_every.map(|every| seconds("--cut-every", every)).transpose()?,
        refuse_bind: args.refuse_bind.as_deref().map(status).transpose()?,
        window: args.window,
        seed: args.seed,
    })
}

fn account(text: &str) -> anyhow::Result<(String, String)> {
    let (system_id, password) =
        text.split_once(':').ok_or_else(|| anyhow!("--account {text:?} is not of the form SYSTEM_ID:PASSWORD"))?;
    Ok((system_id.to_owned(), password.to_owned()))
}

fn state(text: &str) -> anyhow::Result<(MessageState, u32)> {
    let (word, weight) = text.split_once(':').unwrap_or((text, "1"));
    let state = MessageState::from_word(word).ok_or_else(|| {
        anyhow!("--states {word:?} is no message state, such as DELIVRD, UNDELIV, EXPIRED or REJECTD")
    })?;
    let weight = weight.parse().map_err(|_| anyhow!("--states: {weight:?} is no weight"))?;
    Ok((state, weight))
}

fn error_share(text: &str) -> anyhow::Result<(f64, CommandStatus)> {
    let (number, name) =
        text.split_once(':').ok_or_else(|| anyhow!("--error {text:?} is not of the form SHARE:STATUS"))?;
    let number = number.parse().map_err(|_| anyhow!("--error: {number:?} is no share from 0 to 1"))?;
    Ok((share("--error", number)?, status(name)?))
}

fn status(name: &str) -> anyhow::Result<CommandStatus> {
    let number = || u32::from_str_radix(name.strip_prefix("0x")?, 16).ok().map(CommandStatus);
    CommandStatus::from_name(name)
        .or_else(number)
        .ok_or_else(|| anyhow!("{name:?} is no command status, such as ESME_RTHROTTLED or 0x40b"))
}

fn share(flag: &str, number: f64) -> anyhow::Result<f64> {
    if !(0.0..=1.0).contains(&number) {
        bail!("{flag}: {number} is no share from 0 to 1");
    }
    Ok(number)
}

fn seconds(flag: &str, number: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(number).map_err(|_| anyhow!("{flag}: {number} is no number of seconds"))
}

fn id_format(format: IdFormatArg) -> IdFormat {
    match format {
        IdFormatArg::Hex => IdFormat::Hex,
        IdFormatArg::UpperHex => IdFormat::UpperHex,
        IdFormatArg::Decimal => IdFormat::Decimal,
    }
}
