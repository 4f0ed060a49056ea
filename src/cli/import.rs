//! `maybug check --from junebug-redis`: what a Redis database of Junebug's has, shown or taken over.

use anyhow::bail;
use serde_json::{Value, json};

use super::args::CheckArgs;
use super::target::Target;
use crate::gateway::{Import, Imported};
use crate::migrate::read_redis;

pub(super) async fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let database = read_redis(&args.file.to_string_lossy()).await?;
    database.notes.iter().chain(&database.problems).for_each(|note| eprintln!("{note}"));
    if let Some(target) = Target::named(args).await? {
        let refused = apply(&database.objects, &target, args.json).await;
        target.close().await;
        return match refused? + database.problems.len() {
            0 => Ok(()),
            1 => bail!("one thing was not taken over"),
            count => bail!("{count} things were not taken over"),
        };
    }
    if args.json {
        database.objects.iter().for_each(|object| println!("{}", json!(object)));
    } else {
        println!("{:#}", json!(database.objects));
    }
    let refusals = database.refusals();
    refusals.iter().for_each(|refusal| eprintln!("{refusal}"));
    match refusals.len() + database.problems.len() {
        0 => Ok(()),
        1 => bail!("one thing cannot be taken over as it is"),
        count => bail!("{count} things cannot be taken over as they are"),
    }
}

/// Takes over one after the other, and tells what becomes of each; how many were refused.
async fn apply(objects: &[Import], target: &Target, json: bool) -> anyhow::Result<usize> {
    let mut refused = 0;
    for object in objects {
        let (kind, id) = named(object);
        let (outcome, why) = match target.import(object).await? {
            Ok(Imported::Created) => ("created", None),
            Ok(Imported::Unchanged) => ("unchanged", None),
            Err(why) => ("refused", Some(why)),
        };
        refused += usize::from(outcome == "refused");
        match why {
            why if json => {
                println!("{}", json!({kind: id, "outcome": outcome, "why": why.map_or(Value::Null, Value::from)}))
            }
            Some(why) => println!("{kind} {id}: {outcome}: {why}"),
            None => println!("{kind} {id}: {outcome}"),
        }
    }
    Ok(refused)
}

fn named(object: &Import) -> (&'static str, String) {
    match object {
        Import::Channel { id, .. } => ("channel", id.to_string()),
        Import::Router { id, .. } => ("router", id.to_string()),
        Import::Destination { router, id, .. } => ("destination", format!("{id} of {router}")),
        Import::Inbound(message) => ("inbound", message.id.to_string()),
        Import::Outbound { message, .. } => ("outbound", message.id.to_string()),
    }
}
