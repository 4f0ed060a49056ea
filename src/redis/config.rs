//! Which Redis: its nodes and how to log in, read from one URL.
//!
//! | URL | what |
//! |---|---|
//! | `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]` | one server |
//! | `redis+sentinel://…@HOST[:PORT],…/SERVICE[/DB]` | the master of that name, which these sentinels know (port 26379) |
//! | `redis+cluster://…@HOST[:PORT],…` | a cluster, of which these are some nodes |
//!
//! `rediss` in front is TLS. Behind a question mark: `ca_file`, `certificate_file`, `key_file`, `server_name` for TLS;
//! `sentinel_user` and `sentinel_password`; `replicas`, `replica_timeout_ms`, `timeout_ms`, `prefix`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::config::Secret;
use crate::endpoint::TlsOptions;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Its name, or its address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The ACL user; absent, Redis takes `default`.
    pub user: Option<String>,
    /// Proof of it.
    pub password: Option<Secret>,
}

/// How the servers belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server, or one address behind which somebody else does the fail-over.
    Single(Address),
    /// Sentinels say who is master.
    Sentinel {
        /// Some of them.
        sentinels: Vec<Address>,
        /// What they call the master.
        service: String,
        /// Who we are there.
        login: Login,
    },
    /// A cluster.
    Cluster(
        /// Some of its nodes.
        Vec<Address>,
    ),
}

/// Which Redis, and how patient we are with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// The servers.
    pub topology: Topology,
    /// Who we are.
    pub login: Login,
    /// The number of the database; a cluster has only 0.
    pub db: u32,
    /// Set for TLS, to sentinels as well.
    pub tls: Option<TlsOptions>,
    /// How many replicas must have what is written before it counts; fail-over loses nothing then.
    pub replicas: u32,
    /// How long they may take.
    pub replica_timeout: Duration,
    /// How long connecting may take, and how long an answer.
    pub timeout: Duration,
    /// How the names of all keys begin; whoever shares a Redis has another one.
    pub prefix: String,
}

/// Why an URL says no Redis. Nothing of the URL's user, password and options is ever in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Another scheme.
    #[error(
        "a Redis URL begins with redis://, redis+sentinel:// or redis+cluster://, or with rediss in front of it for TLS, \
         not with {0:?}"
    )]
    Scheme(String),
    /// No scheme at all.
    #[error("this is no URL: expected redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]")]
    NoUrl,
    /// One of its hosts.
    #[error("{0:?} is no HOST[:PORT] of a Redis server")]
    Host(String),
    /// More than one host.
    #[error("redis:// has one host; write redis+sentinel:// or redis+cluster:// for several")]
    Hosts,
    /// What is behind the hosts.
    #[error("the path of the URL must be {0}")]
    Path(&'static str),
    /// A user, a password or an option that is not UTF-8.
    #[error("the {0} of the URL is not UTF-8 once it is percent-decoded")]
    Encoding(&'static str),
    /// An option that is none, or not here.
    #[error(
        "{0:?} is no option of this URL: it has timeout_ms, replicas, replica_timeout_ms and prefix; with rediss:// also ca_file, \
         certificate_file, key_file and server_name; with sentinels also sentinel_user and sentinel_password"
    )]
    Option(String),
    /// An option's value.
    #[error("the option {name} must be {expected}")]
    Value {
        /// The option.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// Redis's own port.
const PORT: u16 = 6379;
/// The port of sentinels.
const SENTINEL_PORT: u16 = 26379;
/// How long connecting may take, and how long an answer, unless something else is said.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The same for replicas.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(2);
/// Most replicas that can be waited for.
const MOST_REPLICAS: u32 = 16;
/// How the names of keys begin, unless something else is said.
const PREFIX: &str = "maybug";
/// Most characters of it.
const MOST_PREFIX: usize = 64;
/// Milliseconds that a time may have.
const MILLISECONDS: std::ops::RangeInclusive<u64> = 10..=60_000;

impl FromStr for RedisConfig {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(ConfigError::NoUrl)?;
        let (base, kind) = scheme.split_once(['+', '-']).unwrap_or((scheme, ""));
        let (secure, port) = match (base, kind) {
            ("redis" | "rediss", "" | "cluster") => (base == "rediss", PORT),
            ("redis" | "rediss", "sentinel") => (base == "rediss", SENTINEL_PORT),
            _ => return Err(ConfigError::Scheme(scheme.to_owned())),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may have what it likes, so the last @ counts, and the path begins behind it.
        let (login, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (login(user)?, rest),
            None => (Login::default(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let hosts: Vec<_> = hosts.split(',').map(|host| address(host, port)).collect::<Result<_, _>>()?;
        let mut path = path.trim_end_matches('/').split('/').filter(|part| !part.is_empty());
        let topology = match kind {
            "" => match <[Address; 1]>::try_from(hosts) {
                Ok([host]) => Topology::Single(host),
                Err(_) => return Err(ConfigError::Hosts),
            },
            "cluster" => Topology::Cluster(hosts),
            _ => {
                let service = path.next().ok_or(ConfigError::Path("/SERVICE or /SERVICE/DB"))?;
                Topology::Sentinel { sentinels: hosts, service: decoded(service, "service")?, login: Login::default() }
            }
        };
        let wrong = ConfigError::Path(match kind {
            "" => "the number of a database, or absent",
            "cluster" => "absent: a cluster has one database",
            _ => "/SERVICE or /SERVICE/DB",
        });
        let db = match path.next() {
            None => 0,
            Some(_) if kind == "cluster" => return Err(wrong),
            Some(db) => db.parse().map_err(|_| wrong.clone())?,
        };
        if path.next().is_some() {
            return Err(wrong);
        }
        let mut config = Self {
            topology,
            login,
            db,
            tls: secure.then(TlsOptions::default),
            replicas: 0,
            replica_timeout: REPLICA_TIMEOUT,
            timeout: TIMEOUT,
            prefix: PREFIX.to_owned(),
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            config.option(&name, value.into_owned())?;
        }
        Ok(config)
    }
}

impl RedisConfig {
    fn option(&mut self, name: &str, value: String) -> Result<(), ConfigError> {
        match (name, &mut self.tls, &mut self.topology) {
            ("replicas", ..) => {
                let replicas = value.parse().ok().filter(|number| *number <= MOST_REPLICAS);
                self.replicas =
                    replicas.ok_or(ConfigError::Value { name: "replicas", expected: "a number up to 16" })?;
            }
            ("replica_timeout_ms", ..) => self.replica_timeout = milliseconds("replica_timeout_ms", &value)?,
            ("timeout_ms", ..) => self.timeout = milliseconds("timeout_ms", &value)?,
            ("prefix", ..) => self.prefix = prefix(value)?,
            ("ca_file", Some(tls), _) => tls.ca_file = Some(value.into()),
            ("certificate_file", Some(tls), _) => tls.certificate_file = Some(value.into()),
            ("key_file", Some(tls), _) => tls.key_file = Some(value.into()),
            ("server_name", Some(tls), _) => tls.server_name = Some(value),
            ("sentinel_user", _, Topology::Sentinel { login, .. }) => login.user = Some(value),
            ("sentinel_password", _, Topology::Sentinel { login, .. }) => login.password = Some(Secret(value)),
            _ => return Err(ConfigError::Option(name.to_owned())),
        }
        Ok(())
    }
}

/// For people: without the password, and without options.
impl fmt::Display for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls.is_some() { "s" } else { "" };
        let (kind, nodes, path) = match &self.topology {
            Topology::Single(node) => ("", std::slice::from_ref(node), String::new()),
            Topology::Sentinel { sentinels, service, .. } => ("+sentinel", &sentinels[..], format!("/{service}")),
            Topology::Cluster(nodes) => ("+cluster", &nodes[..], String::new()),
        };
        write!(f, "redis{tls}{kind}://")?;
        if self.login != Login::default() {
            write!(f, "{}:…@", self.login.user.as_deref().unwrap_or_default())?;
        }
        for (index, node) in nodes.iter().enumerate() {
            write!(f, "{}{node}", if index > 0 { "," } else { "" })?;
        }
        f.write_str(&path)?;
        if self.db > 0 { write!(f, "/{}", self.db) } else { Ok(()) }
    }
}

fn milliseconds(name: &'static str, value: &str) -> Result<Duration, ConfigError> {
    let milliseconds = value.parse().ok().filter(|number| MILLISECONDS.contains(number));
    let expected = "a number of milliseconds between 10 and 60000";
    milliseconds.map(Duration::from_millis).ok_or(ConfigError::Value { name, expected })
}

fn prefix(value: String) -> Result<String, ConfigError> {
    // No brace, which would be taken for a hash tag's.
    let is_one = (1..=MOST_PREFIX).contains(&value.len())
        && value.chars().all(|character| character.is_ascii_alphanumeric() || "-_.".contains(character));
    let expected = "1 to 64 letters, digits, -, _ or .";
    if is_one { Ok(value) } else { Err(ConfigError::Value { name: "prefix", expected }) }
}

fn login(text: &str) -> Result<Login, ConfigError> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let given = |text: &str, what| if text.is_empty() { Ok(None) } else { decoded(text, what).map(Some) };
    Ok(Login { user: given(user, "user")?, password: given(password, "password")?.map(Secret) })
}

fn decoded(text: &str, what: &'static str) -> Result<String, ConfigError> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| ConfigError::Encoding(what))?;
    Ok(text.into_owned())
}

fn address(text: &str, port: u16) -> Result<Address, ConfigError> {
    let wrong = || ConfigError::Host(text.to_owned());
    let url = Url::parse(&format!("redis://{}", text.trim())).map_err(|_| wrong())?;
    let host = match url.host().ok_or_else(wrong)? {
        Host::Domain(name) if !name.is_empty() => name.to_owned(),
        Host::Domain(_) => return Err(wrong()),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Ok(Address { host, port: url.port().unwrap_or(port) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RedisConfig {
        text.parse().unwrap()
    }

    fn at(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    #[test]
    fn each_form_of_url_is_read() {
        let single = parse("redis://h");
        assert_eq!((single.topology, single.db, single.tls), (Topology::Single(at("h", 6379)), 0, None));
        let single = parse("rediss://me:p%40ss@[::1]:7000/3?ca_file=%2Fca.pem&timeout_ms=250&replicas=2");
        assert_eq!((&single.topology, single.db), (&Topology::Single(at("::1", 7000)), 3));
        let login = Login { user: Some("me".to_owned()), password: Some(Secret("p@ss".to_owned())) };
        assert_eq!((&single.login, single.timeout, single.replicas), (&login, Duration::from_millis(250), 2));
        assert_eq!(single.tls.as_ref().unwrap().ca_file.as_deref(), Some(std::path::Path::new("/ca.pem")));
        assert_eq!(single.to_string(), "rediss://me:…@[::1]:7000/3");

        assert_eq!((single.prefix.as_str(), parse("redis://h?prefix=two").prefix.as_str()), ("maybug", "two"));

        let sentinel = parse("redis+sentinel://:pw@a,b:1/mymaster/2?sentinel_password=s");
        let login = Login { user: None, password: Some(Secret("s".to_owned())) };
        let sentinels = vec![at("a", 26379), at("b", 1)];
        assert_eq!(sentinel.topology, Topology::Sentinel { sentinels, service: "mymaster".to_owned(), login });
        assert_eq!((sentinel.db, sentinel.to_string().as_str()), (2, "redis+sentinel://:…@a:26379,b:1/mymaster/2"));

        let cluster = parse("redis-cluster://a,b:7,c");
        assert_eq!(cluster.topology, Topology::Cluster(vec![at("a", 6379), at("b", 7), at("c", 6379)]));
    }

    #[test]
    fn a_wrong_url_is_told_without_its_password() {
        let cases = [
            ("127.0.0.1:6379", "no URL"),
            ("http://u:hush@h", "begins with redis://"),
            ("redis://u:hush@a,b", "one host"),
            ("redis://u:hush@a:port", "\"a:port\" is no HOST"),
            ("redis://u:hush@", "is no HOST"),
            ("redis://u:hush@a/x", "the number of a database"),
            ("redis+cluster://u:hush@a/1", "absent"),
            ("redis+sentinel://u:hush@a", "/SERVICE"),
            ("redis://u:hush@a?ca_file=x", "is no option"),
            ("redis://u:hush@a?sentinel_password=hush", "is no option"),
            ("redis://u:hush@a?replicas=hush", "a number up to 16"),
            ("redis://u:hush@a?timeout_ms=0", "milliseconds"),
            ("redis://u:hush@a?prefix=%7Bhush", "1 to 64 letters"),
            ("redis://u:hush%ff@a", "not UTF-8"),
        ];
        for (url, expected) in cases {
            let told = url.parse::<RedisConfig>().unwrap_err().to_string();
            assert!(told.contains(expected) && !told.contains("hush"), "{url}: {told}");
        }
        let shown = format!("{:?}", parse("redis+sentinel://u:hush@a/m?sentinel_password=hush"));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
