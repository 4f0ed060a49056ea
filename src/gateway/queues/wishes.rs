//! When and before what a message of an application leaves: keys of its `helper_metadata`, by the names and with the values
//! that they have over HTTP. Vumi's format has no other place for them.

use std::time::Duration;

use serde_json::Value;

use super::super::outbound::{FARTHEST, Times};
use crate::model::{JsonObject, Priority, Timestamp};

/// What an application wishes for one message.
pub(super) struct Wishes {
    pub(super) priority: Priority,
    pub(super) times: Times,
}

/// Takes wishes out of what is free-form. The error says what is wrong.
pub(super) fn wishes(data: &mut JsonObject) -> Result<Wishes, String> {
    let now = Timestamp::now();
    let priority = taken(data, "priority", "a number from 1 to 5, 'bulk' or 'realtime'", |value| {
        Priority::number(value).and_then(|number| Priority::new(u8::try_from(number).ok()?))
    })?;
    let mut time = |key| taken(data, key, "a time", |value| Timestamp::parse_any(value.as_str()?));
    let (send_at, expires_at) = (time("send_at")?, time("expires_at")?);
    let validity = taken(data, "validity", "a number of seconds from 1 to 31622400", |value| {
        let validity = Duration::from_secs(value.as_u64()?);
        Some(validity).filter(|validity| !validity.is_zero() && *validity <= FARTHEST)
    })?;
    let times = match expires_at {
        // It has been too late since before it was taken: its application gets the same event as of any other.
        Some(at) if at <= now => Times { accepted_at: now, send_at: None, expires_at: Some(at) },
        _ => Times::of(send_at, expires_at, validity, now).map_err(|error| error.to_string())?,
    };
    Ok(Wishes { priority: priority.unwrap_or_default(), times })
}

/// The value of a key, which is taken out; nothing if it is absent or null.
fn taken<T>(
    data: &mut JsonObject,
    key: &str,
    expected: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, String> {
    match data.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(&value).map(Some).ok_or_else(|| format!("'{key}' of 'helper_metadata' is not {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(data: Value) -> Result<(Wishes, JsonObject), String> {
        let mut data = data.as_object().cloned().unwrap_or_default();
        wishes(&mut data).map(|wishes| (wishes, data))
    }

    #[test]
    fn wishes_are_those_of_http_and_do_not_stay() {
        let (wished, left) = of(json!({"priority": "realtime", "validity": 60, "encoding": "ucs2"})).unwrap();
        assert_eq!(
            (wished.priority, left),
            (Priority::REALTIME, json!({"encoding": "ucs2"}).as_object().cloned().unwrap())
        );
        assert_eq!(wished.times.expires_at, Some(wished.times.accepted_at.plus(Duration::from_secs(60))));
        let (none, _) = of(json!({"priority": null, "send_at": null})).unwrap();
        assert_eq!((none.priority, none.times.send_at, none.times.expires_at), (Priority::BULK, None, None));
        let (later, _) = of(json!({"priority": 3, "send_at": "2020-01-01T00:00:00Z"})).unwrap();
        assert_eq!((later.priority.value(), later.times.send_at), (3, None));
        // Too late already.
        let (late, _) = of(json!({"expires_at": "2020-01-01 00:00:00"})).unwrap();
        assert_eq!(late.times.expires_at.unwrap().to_string(), "2020-01-01 00:00:00.000000");
    }

    #[test]
    fn what_is_no_wish_is_named() {
        let refused = |data| of(data).err().unwrap();
        for bad in [json!(0), json!(6), json!("high"), json!(1.5), json!([1])] {
            let told = refused(json!({"priority": bad}));
            assert_eq!(told, "'priority' of 'helper_metadata' is not a number from 1 to 5, 'bulk' or 'realtime'");
        }
        assert_eq!(refused(json!({"send_at": "soon"})), "'send_at' of 'helper_metadata' is not a time");
        let told = refused(json!({"validity": FARTHEST.as_secs() + 1}));
        assert_eq!(told, "'validity' of 'helper_metadata' is not a number of seconds from 1 to 31622400");
        assert!(
            refused(json!({"send_at": "2999-01-01T00:00:00Z"})).starts_with("\"send_at\" is more than 366 days ahead")
        );
    }
}
