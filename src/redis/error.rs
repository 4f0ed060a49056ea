//! What can go wrong with Redis: what passes by itself, what somebody has to do, and what it says.

use std::time::Duration;

use super::config::Address;
use crate::endpoint::TlsError;

/// Why Redis did not do something. A user's password is never in it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RedisError {
    /// There is no connection.
    #[error("Redis at {node} cannot be reached: {why}")]
    Unreachable {
        /// The server.
        node: Address,
        /// Why not.
        why: String,
    },
    /// It has a connection, and says nothing.
    #[error("Redis at {node} did not answer within {} ms", .after.as_millis())]
    Silent {
        /// The server.
        node: Address,
        /// How long it had.
        after: Duration,
    },
    /// It cannot do anything for now: it loads its data, another one becomes master, slots move.
    #[error("Redis at {node} cannot do that for now: {reply}")]
    Away {
        /// The server.
        node: Address,
        /// Its words.
        reply: String,
    },
    /// It was a master, and is a replica now.
    #[error("Redis at {node} is a replica and takes no changes ({reply})")]
    Replica {
        /// The server.
        node: Address,
        /// Its words.
        reply: String,
    },
    /// Another one has these keys.
    #[error(
        "Redis at {node} says that {to} has these keys: it belongs to a cluster, for which the URL is redis+cluster://…"
    )]
    Moved {
        /// The server.
        node: Address,
        /// Who has them.
        to: Address,
    },
    /// No sentinel could say who is master, or that one is none.
    #[error("no sentinel knows a master {service:?} that answers: {why}")]
    NoMaster {
        /// What the master is called.
        service: String,
        /// What the last one said.
        why: String,
    },
    /// No node of the cluster serves these keys.
    #[error("no node of the Redis cluster serves these keys for now: {why}")]
    NoNode {
        /// What the last node said.
        why: String,
    },
    /// Its memory is full.
    #[error("Redis at {node} is out of memory: raise its maxmemory, or shorten the retention ({reply})")]
    Full {
        /// The server.
        node: Address,
        /// Its words.
        reply: String,
    },
    /// It cannot write to its disk.
    #[error("Redis at {node} does not accept changes because it cannot save them: look at its disk ({reply})")]
    Unsaved {
        /// The server.
        node: Address,
        /// Its words.
        reply: String,
    },
    /// It is written, but fewer replicas than wanted have it.
    #[error("{had} of {wanted} replicas of Redis at {node} had what was written within {} ms", .within.as_millis())]
    Unreplicated {
        /// The master.
        node: Address,
        /// How many replicas had it.
        had: u32,
        /// How many should have.
        wanted: u32,
        /// How long they had.
        within: Duration,
    },
    /// It does not know us.
    #[error("Redis at {node} refused the user or password of its URL ({reply})")]
    Login {
        /// The server.
        node: Address,
        /// Its words.
        reply: String,
    },
    /// We may not do that there.
    #[error(
        "Redis at {node} does not permit that to this user, whose ACL must have what the documentation lists: {reply}"
    )]
    Forbidden {
        /// The server.
        node: Address,
        /// Its words.
        reply: String,
    },
    /// A key of ours is somebody else's.
    #[error("a key of Redis at {node} is not what Maybug keeps under it; give Maybug a database of its own ({reply})")]
    Foreign {
        /// The server.
        node: Address,
        /// Its words.
        reply: String,
    },
    /// It does not have a script, which it is told then.
    #[error("Redis at {node} forgets the scripts that it is told")]
    NoScript {
        /// The server.
        node: Address,
    },
    /// It refused for another reason, or answered what makes no sense.
    #[error("Redis at {node} answered {reply:?}")]
    Refused {
        /// The server.
        node: Address,
        /// Its words.
        reply: String,
    },
    /// TLS cannot be used as configured.
    #[error("{0}")]
    Tls(String),
    /// The table has no order.
    #[error("the table {0} is only read by key: it has no ranges")]
    Unordered(&'static str),
}

impl RedisError {
    /// Whether it may work later, with nobody having changed what we were told.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Away { .. }
            | Self::Replica { .. }
            | Self::NoMaster { .. }
            | Self::NoNode { .. }
            | Self::Full { .. }
            | Self::Unsaved { .. }
            | Self::Unreplicated { .. } => true,
            Self::Moved { .. }
            | Self::Login { .. }
            | Self::Forbidden { .. }
            | Self::Foreign { .. }
            | Self::NoScript { .. }
            | Self::Refused { .. }
            | Self::Tls(_)
            | Self::Unordered(_) => false,
        }
    }

    /// What the library says of a server.
    pub(super) fn of(node: &Address, error: &redis::RedisError) -> Self {
        let (node, reply) = (node.clone(), said(error));
        if error.is_io_error() {
            return Self::Unreachable { node, why: reply };
        }
        let code = match error.code() {
            Some("ERR") => scripted(error.detail().unwrap_or_default()),
            code => code,
        };
        match code {
            Some("MOVED") => match error.redirect_node().and_then(|(to, _)| redirect(&node, to)) {
                Some(to) => Self::Moved { node, to },
                None => Self::Away { node, reply },
            },
            Some(
                "ASK" | "TRYAGAIN" | "LOADING" | "CLUSTERDOWN" | "MASTERDOWN" | "BUSY" | "NOREPLICAS" | "UNBLOCKED",
            ) => Self::Away { node, reply },
            Some("READONLY") => Self::Replica { node, reply },
            Some("NOSCRIPT") => Self::NoScript { node },
            Some("OOM") => Self::Full { node, reply },
            Some("MISCONF") => Self::Unsaved { node, reply },
            Some("NOAUTH" | "WRONGPASS") => Self::Login { node, reply },
            Some("NOPERM") => Self::Forbidden { node, reply },
            Some("WRONGTYPE") => Self::Foreign { node, reply },
            _ if error.kind() == redis::ErrorKind::AuthenticationFailed => Self::Login { node, reply },
            _ if error.kind() == redis::ErrorKind::Parse => Self::Unreachable { node, why: reply },
            _ => Self::Refused { node, reply },
        }
    }

    /// Whether the server has to be told the script.
    pub(super) const fn is_unknown_script(&self) -> bool {
        matches!(self, Self::NoScript { .. })
    }

    /// Whether the connection is of no use any more; behind the same name may be another server by now.
    pub(super) const fn breaks_connection(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Silent { .. } | Self::Replica { .. })
    }

    /// Whether another server may be the right one by now.
    pub(super) const fn changes_master(&self) -> bool {
        self.breaks_connection() || matches!(self, Self::Away { .. })
    }
}

/// An error's words, as the server sent them.
fn said(error: &redis::RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}

/// What a script that a server calls an error means: up to version 6.2 the true code is in the text, and what a script may
/// not do has no code at all in later ones.
fn scripted(detail: &str) -> Option<&str> {
    if FORBIDDEN.iter().any(|words| detail.starts_with(words)) {
        return Some("NOPERM");
    }
    let (_, told) = detail.starts_with("Error running script").then_some(detail)?.rsplit_once(": -")?;
    told.split(' ').next()
}

/// Redis 7.0's words, and later ones'.
const FORBIDDEN: [&str; 2] = ["The user executing the script can't", "ACL failure in script"];

/// An address in a redirection; the host may be missing, and is the same one then.
pub(super) fn redirect(from: &Address, to: &str) -> Option<Address> {
    let (host, port) = to.rsplit_once(':')?;
    let host = if host.is_empty() { &from.host } else { host };
    Some(Address { host: host.trim_matches(['[', ']']).to_owned(), port: port.parse().ok()? })
}

impl From<TlsError> for RedisError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error.to_string())
    }
}

/// Why something was not written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum WriteError {
    /// Somebody else has the slot; nothing was written.
    #[error("the slot {slot} was taken over by {by} (epoch {epoch})")]
    Fenced {
        /// The slot.
        slot: String,
        /// Whoever has it.
        by: String,
        /// Since when.
        epoch: u64,
    },
    /// Redis did not say that it is written; it may be.
    #[error(transparent)]
    Redis(#[from] RedisError),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What servers of other versions than ours answer.
    #[test]
    fn an_error_within_a_script_is_what_it_is_outside() {
        let node = Address { host: "h".to_owned(), port: 1 };
        let told = |detail: &str| {
            let error = redis::make_extension_error("ERR".to_owned(), Some(detail.to_owned()));
            RedisError::of(&node, &error)
        };
        let script = "Error running script (call to f_16d8): @user_script:18: @user_script: 18: ";
        assert!(matches!(told(&format!("{script}-OOM command not allowed")), RedisError::Full { .. }));
        assert!(matches!(told(&format!("{script}-READONLY You can't write")), RedisError::Replica { .. }));
        assert!(matches!(told("ACL failure in script: User x has no permissions"), RedisError::Forbidden { .. }));
        assert!(matches!(told("wrong number of arguments"), RedisError::Refused { .. }));
    }

    #[test]
    fn a_redirection_without_a_host_stays_there() {
        let node = Address { host: "h".to_owned(), port: 1 };
        let to = |host: &str, port| Some(Address { host: host.to_owned(), port });
        assert_eq!(redirect(&node, ":7001"), to("h", 7001));
        assert_eq!(redirect(&node, "::1:7001"), to("::1", 7001));
        assert_eq!(redirect(&node, "host:port"), None);
    }
}
