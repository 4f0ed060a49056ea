//! `maybug sim`: the simulated SMSC, a line for each message.

use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use smpp::BindMode;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc;

use super::args::SimArgs;
use crate::smsc::{PhoneMessage, SimEvent, Simulator, UssdPhone};

pub(super) async fn run(args: SimArgs) -> anyhow::Result<()> {
    let mut behaviour = args.behaviour.clone();
    if let Some(dial) = args.ussd_dial.clone() {
        let phone = UssdPhone { phone: args.mo_from.clone(), dial, steps: Vec::new() };
        for habits in behaviour.accounts.iter_mut().filter_map(|account| account.habits.as_mut()) {
            Arc::make_mut(habits).ussd.script.phones.push(phone.clone());
        }
        behaviour.ussd.script.phones.push(phone);
    }
    let simulator = Simulator::start(args.listen, behaviour).await?;
    let mut events = simulator.events();
    let mut out = Output { args: &args, out: BufWriter::new(std::io::stdout()) };
    out.begin(&simulator)?;
    let mut lines = input();
    let mut input = true;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut chance = args.behaviour.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
    let mut next_mo = args.mo_every.map(|every| tokio::time::Instant::now() + every.draw(&mut chance));
    let mut end = std::pin::pin!(super::serve::asked_to_end());
    loop {
        tokio::select! {
            event = events.recv(), if !args.quiet => {
                out.received(event)?;
                // A burst is written at once.
                loop {
                    match events.try_recv() {
                        Ok(event) => out.event(&event)?,
                        Err(TryRecvError::Lagged(count)) => out.lagged(count)?,
                        Err(_) => break,
                    }
                }
                out.out.flush()?;
            }
            line = lines.recv(), if input => match line {
                Some(line) => inject(&simulator, message(&line)),
                None => input = false,
            },
            _ = tick.tick(), if args.quiet => out.counters(&simulator)?,
            () = super::until(next_mo), if next_mo.is_some() => {
                let (from, to, text) = (args.mo_from.clone(), args.mo_to.clone(), args.mo_text.clone());
                inject(&simulator, Ok(PhoneMessage { from, to, text }));
                next_mo = args.mo_every.map(|every| tokio::time::Instant::now() + every.draw(&mut chance));
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
    let mut parts = line.trim().splitn(3, char::is_whitespace).map(ToOwned::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(from), Some(to), Some(text)) => Ok(PhoneMessage { from, to, text }),
        _ => Err(format!("{line:?} is not of the form FROM TO TEXT")),
    }
}

fn inject(simulator: &Simulator, message: Result<PhoneMessage, String>) {
    let done = message.and_then(|message| simulator.inject(&message).map_err(|error| error.to_string()));
    if let Err(why) = done {
        eprintln!("maybug: {why}");
    }
}

/// Standard output, in the form that was asked for.
struct Output<'a> {
    args: &'a SimArgs,
    out: BufWriter<std::io::Stdout>,
}

impl Output<'_> {
    fn begin(&mut self, simulator: &Simulator) -> std::io::Result<()> {
        let address = simulator.address();
        if self.args.json {
            writeln!(self.out, "{}", json!({"event": "listening", "address": address.to_string()}))?;
        } else {
            let accounts = &self.args.behaviour.accounts;
            let names: Vec<&str> = accounts.iter().map(|account| account.system_id.as_str()).collect();
            let who = if names.is_empty() { "anybody".to_owned() } else { names.join(", ") };
            writeln!(self.out, "listening on {address}\n{who} may bind; ctrl-c ends")?;
        }
        self.out.flush()
    }

    fn received(&mut self, event: Result<Arc<SimEvent>, RecvError>) -> std::io::Result<()> {
        match event {
            Ok(event) => self.event(&event),
            Err(RecvError::Lagged(count)) => self.lagged(count),
            // The simulator outlives this.
            Err(RecvError::Closed) => Ok(()),
        }
    }

    fn lagged(&mut self, count: u64) -> std::io::Result<()> {
        if self.args.json {
            writeln!(self.out, "{}", json!({"event": "left_out", "count": count}))
        } else {
            writeln!(self.out, "({count} lines left out: the terminal is slower than the messages)")
        }
    }

    fn event(&mut self, event: &SimEvent) -> std::io::Result<()> {
        if self.args.json {
            return writeln!(self.out, "{}", object(event));
        }
        match line(event) {
            Some(line) => writeln!(self.out, "{line}"),
            None => Ok(()),
        }
    }

    fn counters(&mut self, simulator: &Simulator) -> std::io::Result<()> {
        let counters = simulator.counters();
        if self.args.json {
            writeln!(self.out, "{}", serde_json::to_string(&counters)?)?;
        } else {
            writeln!(
                self.out,
                "{} binds; MT: {} taken, {} throttled, {} refused, {} unanswered; receipts: {} taken, {} refused; \
                 MO: {} taken, {} refused; {} dropped, {} cuts; USSD walks: {} done, {} failed",
                counters.binds,
                counters.accepted,
                counters.throttled,
                counters.refused,
                counters.unanswered,
                counters.receipts,
                counters.receipts_refused,
                counters.mos,
                counters.mos_refused,
                counters.dropped,
                counters.cuts,
                counters.walks,
                counters.walks_failed,
            )?;
        }
        self.out.flush()
    }
}

const fn mode_name(mode: BindMode) -> &'static str {
    match mode {
        BindMode::Transmitter => "transmitter",
        BindMode::Receiver => "receiver",
        BindMode::Transceiver => "transceiver",
    }
}

fn object(event: &SimEvent) -> Value {
    match event {
        SimEvent::Bound { connection, system_id, mode } => {
            json!({"event": "bound", "connection": connection, "system_id": system_id, "mode": mode_name(*mode)})
        }
        SimEvent::BindRefused { connection, system_id, mode, status } => json!({
            "event": "bind_refused", "connection": connection, "system_id": system_id, "mode": mode_name(*mode),
            "status": status.to_string(),
        }),
        SimEvent::Message { connection, system_id, id, from, to, text, concat, whole, status, answered, pdu } => {
            json!({
                "event": "message", "connection": connection, "system_id": system_id, "command": pdu.command_id().to_string(),
                "id": id, "from": from, "to": to, "text": text, "status": status.to_string(), "answered": answered,
                "segment": concat.map(|concat| json!({"ref": concat.reference, "total": concat.total, "part": concat.part})),
                "whole": whole.as_ref().map(|whole| json!({"text": whole.text, "segments": whole.segments})),
            })
        }
        SimEvent::Delivered { connection, system_id, receipt, id, from, to, text, status } => json!({
            "event": "delivered", "connection": connection, "system_id": system_id, "receipt": receipt, "id": id,
            "from": from, "to": to, "text": text, "status": status.to_string(),
        }),
        SimEvent::Ussd { connection, phone, text, answer, ended } => json!({
            "event": "ussd", "connection": connection, "phone": phone, "text": text, "answer": answer, "ended": ended,
        }),
        SimEvent::Walked { phone, outcome } => json!({
            "event": "walked", "phone": phone, "steps": outcome.as_ref().ok(), "failure": outcome.as_ref().err(),
        }),
        SimEvent::UssdTimedOut { phone } => json!({"event": "ussd_timed_out", "phone": phone}),
        SimEvent::Unbound { connection, system_id, why } => {
            json!({"event": "unbound", "connection": connection, "system_id": system_id, "why": why})
        }
    }
}

/// A line for people; none for a segment whose message will have one.
fn line(event: &SimEvent) -> Option<String> {
    Some(match event {
        SimEvent::Bound { system_id, mode, .. } => format!("bind {system_id} as {}", mode_name(*mode)),
        SimEvent::BindRefused { system_id, status, .. } => format!("bind {system_id} refused: {status}"),
        SimEvent::Message { id, from, to, text, concat, whole, status, answered, .. } => {
            let id = id.as_deref().unwrap_or("-");
            let (text, segments) = match (whole, concat) {
                (Some(whole), _) => (&whole.text, format!(" in {} segments", whole.segments)),
                (None, Some(concat)) if concat.total > 1 && status.is_ok() && *answered => return None,
                (None, Some(concat)) if concat.total > 1 => {
                    (text, format!(" segment {}/{}", concat.part, concat.total))
                }
                _ => (text, String::new()),
            };
            let unanswered = if *answered { "" } else { ", not answered" };
            format!("MT   {from} -> {to} {text:?}{segments} id {id} {status}{unanswered}")
        }
        SimEvent::Delivered { receipt: true, id, from, to, text, status, .. } => {
            let id = id.as_deref().unwrap_or("-");
            let state = text.split("stat:").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("by parameters");
            format!("DLR  {from} -> {to} id {id} {state} {status}")
        }
        SimEvent::Delivered { from, to, text, status, .. } => format!("MO   {from} -> {to} {text:?} {status}"),
        SimEvent::Ussd { phone, text, answer, ended, .. } => {
            let answer = answer.as_ref().map(|answer| format!(", answers {answer:?}")).unwrap_or_default();
            let end = if *ended { ", and the session is over" } else { "" };
            format!("USSD {phone} is shown {text:?}{answer}{end}")
        }
        SimEvent::Walked { phone, outcome: Ok(steps) } => format!("USSD {phone} took its {steps} steps"),
        SimEvent::Walked { phone, outcome: Err(why) } => format!("USSD {phone} FAILED at {why}"),
        SimEvent::UssdTimedOut { phone } => format!("USSD {phone} was disconnected: nothing was said for too long"),
        SimEvent::Unbound { system_id, why, .. } => format!("gone {system_id}: {why}"),
    })
}
