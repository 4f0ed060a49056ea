//! Why a node believes another one: it is shown its own key, which only those know who can read the store, and is told whom
//! the other one has let in.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use subtle::ConstantTimeEq;

use super::super::guard::Caller;

/// The key of the node that is asked.
const KEY: HeaderName = HeaderName::from_static("x-maybug-key");
/// Whom the node that asks has let in.
const CALLER: HeaderName = HeaderName::from_static("x-maybug-caller");
/// In an answer to a node: the revision of what there is that the one which answered has made last.
pub(super) const REVISION: HeaderName = HeaderName::from_static("x-maybug-revision");

/// Whether a request says that it is a node's.
pub(super) fn is_claimed(headers: &HeaderMap) -> bool {
    headers.contains_key(KEY)
}

/// Whom a request is for, if it knows the key.
pub(super) fn believed(headers: &HeaderMap, key: &str) -> Option<Caller> {
    let shown = headers.get(KEY)?;
    if key.is_empty() || !bool::from(shown.as_bytes().ct_eq(key.as_bytes())) {
        return None;
    }
    read(headers.get(CALLER)?.to_str().ok()?)
}

/// What makes the node with this key believe a request.
pub(super) fn shown(key: &str, caller: &Caller) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // A key that no header can have is shown to nobody, and the request is a stranger's.
    if let (Ok(mut key), Ok(caller)) = (HeaderValue::try_from(key), HeaderValue::try_from(said(caller))) {
        key.set_sensitive(true);
        headers.insert(KEY, key);
        headers.insert(CALLER, caller);
    }
    headers
}

fn said(caller: &Caller) -> String {
    match caller {
        Caller::Anybody => "anybody".to_owned(),
        Caller::Stranger => "stranger".to_owned(),
        Caller::Account(account) if account.channels.is_none() => format!("account {}", account.name),
        Caller::Admitted { name, limited: false } => format!("account {name}"),
        Caller::Account(_) | Caller::Admitted { .. } => format!("limited {}", caller.name()),
    }
}

fn read(said: &str) -> Option<Caller> {
    let admitted = |name: &str, limited| Some(Caller::Admitted { name: name.into(), limited });
    match said.split_once(' ') {
        None if said == "anybody" => Some(Caller::Anybody),
        None if said == "stranger" => Some(Caller::Stranger),
        Some(("account", name)) => admitted(name, false),
        Some(("limited", name)) => admitted(name, true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_shows_the_key_is_believed_and_then_to_the_letter() {
        for caller in ["anybody", "stranger", "account shop", "limited shop@a.example"] {
            let headers = shown("the-key", &read(caller).unwrap());
            assert_eq!(believed(&headers, "the-key").map(|caller| said(&caller)).as_deref(), Some(caller));
            for other in ["the-kez", "the-ke", "the-key ", ""] {
                assert!(is_claimed(&headers) && believed(&headers, other).is_none(), "{other}");
            }
        }
        let mut without = shown("the-key", &Caller::Anybody);
        without.remove(CALLER);
        assert!(believed(&without, "the-key").is_none());
        assert!(!is_claimed(&HeaderMap::new()));
        assert!(!format!("{:?}", shown("the-key", &Caller::Anybody)).contains("the-key"));
    }
}
