//! `maybug check`: problems of a configuration file, or what another connector's configuration is here.

use anyhow::bail;
use serde_json::Value;

use super::args::{CheckArgs, Origin};
use crate::config::Config;
use crate::gateway::Types;
use crate::migrate::{self, Migration, Source};
use crate::model::JsonObject;

pub(super) async fn run(args: &CheckArgs) -> anyhow::Result<()> {
    match args.from {
        None if args.nginx => super::nginx::run(args).await,
        Some(Origin::JunebugRedis) => super::import::run(args).await,
        _ if args.apply => bail!("--apply takes over what has ids: it is for --from junebug-redis"),
        Some(Origin::File(source)) => import(args, source),
        None => own(args),
    }
}

fn own(args: &CheckArgs) -> anyhow::Result<()> {
    let file = args.file.display();
    let (notes, problems) = Config::problems_of(&args.file)?;
    let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if problems.is_empty() {
        let config = Config::load(Some(&args.file), |_| None, JsonObject::new())?;
        let types = Types::default().channels.configured(&config.channels, config.replace_channels);
        problems.extend(types.err().map(|error| error.to_string()));
        let redis = crate::server::redis(&config);
        problems.extend(redis.err().map(|error| format!("the key 'redis' is wrong: {error}")));
    }
    if args.json {
        println!("{}", serde_json::json!({"problems": problems, "notes": notes}));
    } else {
        notes.iter().for_each(|line| println!("{file}: {line}"));
        problems.iter().for_each(|problem| println!("{file}: {problem}"));
    }
    match problems.len() {
        0 if args.json => Ok(()),
        0 => {
            println!("{file}: fine");
            Ok(())
        }
        1 => bail!("{file} has a problem"),
        count => bail!("{file} has {count} problems"),
    }
}

fn import(args: &CheckArgs, source: Source) -> anyhow::Result<()> {
    let Migration { channels, notes, problems } = migrate::migrate(source, &args.file)?;
    notes.iter().for_each(|note| eprintln!("{note}"));
    if args.json {
        channels.iter().for_each(|channel| println!("{channel}"));
    } else {
        match &channels[..] {
            [] => {}
            [channel] => println!("{channel:#}"),
            several => println!("{:#}", Value::from(several.to_vec())),
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    bail!("this will be refused as it is:\n{}", problems.join("\n"))
}
