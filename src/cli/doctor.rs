//! `maybug doctor`: examines an SMSC, says what it found as it finds it, and writes a channel's configuration.

use std::io::Write;

use anyhow::{Context, bail};
use serde_json::json;

use super::args::DoctorArgs;
use crate::doctor::{Finding, MOST_PATIENCE, Question, Verdict, examine};
use crate::endpoint::EndpointText;

pub(super) async fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let endpoint = endpoint(&args.smsc)?;
    for (flag, value, most) in [
        ("--system-id", &args.system_id, 15),
        ("--password", &args.password, 255),
        ("--system-type", &args.system_type, 12),
    ] {
        if value.len() > most {
            bail!("{flag} has more than the {most} characters that a bind has room for");
        }
    }
    if args.timeout > MOST_PATIENCE {
        bail!("--timeout is more than {} s", MOST_PATIENCE.as_secs());
    }
    let question = Question {
        endpoint,
        system_id: args.system_id.clone(),
        password: args.password.clone(),
        system_type: args.system_type.clone(),
        to: args.to.clone(),
        from: args.from.clone(),
        patience: args.timeout,
    };
    let show = |finding: &Finding| {
        if !args.json {
            println!("{}", line(finding));
        }
    };
    let diagnosis = examine(&question, show).await;
    if args.json {
        println!("{}", json!(diagnosis));
    }
    let Some(channel) = &diagnosis.channel else { bail!("no channel could be bound") };
    match &args.write {
        Some(path) => {
            let mut file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
            writeln!(file, "{}", serde_json::to_string_pretty(channel)?)?;
            eprintln!("{} has the channel; add the password before you POST it to /channels/", path.display());
        }
        None if !args.json => {
            println!("\nA channel for POST /channels/, without its password:");
            println!("{}", serde_json::to_string_pretty(channel)?);
        }
        None => {}
    }
    Ok(())
}

/// `HOST:PORT`, or an endpoint as channels have it.
fn endpoint(text: &str) -> anyhow::Result<EndpointText> {
    if ["tcp:", "ssl:", "tls:"].iter().any(|kind| text.starts_with(kind)) {
        return EndpointText::parse(text).map_err(|why| anyhow::anyhow!("{text}: {why}"));
    }
    let (host, port) = text.rsplit_once(':').with_context(|| format!("{text}: expected HOST:PORT"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port > 0).with_context(|| format!("{port:?} is not a port number"))?;
    Ok(EndpointText::tcp(host, port))
}

fn line(finding: &Finding) -> String {
    let mark = match finding.verdict {
        Verdict::Good => "ok  ",
        Verdict::Note => "note",
        Verdict::Bad => "BAD ",
    };
    let advice = finding.advice.as_ref().map(|advice| format!("\n     -> {advice}")).unwrap_or_default();
    format!("{mark} {}: {}{advice}", finding.probe, finding.said)
}
