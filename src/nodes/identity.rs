//! Who a node says that it is.

use std::net::SocketAddr;

use crate::store::Member;

/// This node, whose API listens there, and which others reach at `url` if that is said.
///
/// Its id is the same for one that is started again on the same machine with the same address, which two cannot have at a
/// time: so it takes back at once what it had when it was killed. Where two have it all the same, as in containers with one
/// host name, the second one does not become a node.
#[must_use]
pub fn member(url: Option<&str>, addresses: &[SocketAddr]) -> Member {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let port = addresses.first().map_or(0, SocketAddr::port);
    let address = addresses.first().map(SocketAddr::to_string).unwrap_or_default();
    // Machines may have been given the same name.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let boot = boot.unwrap_or_else(|_| uuid::Uuid::new_v4().to_string());
    let name = format!("{host}:{port}");
    Member {
        id: format!("{host}:{address}-{}", boot.split('-').next().unwrap_or_default()),
        url: url.map_or_else(|| reached(&host, addresses), |url| url.trim_end_matches('/').to_owned()),
        name,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        key: uuid::Uuid::new_v4().to_string(),
        draining: false,
    }
}

/// Where the API is reached if nothing else is said: at an address that it listens on, or by the machine's name.
fn reached(host: &str, addresses: &[SocketAddr]) -> String {
    match addresses.first() {
        Some(address) if address.ip().is_unspecified() => format!("http://{host}:{}", address.port()),
        Some(address) => format!("http://{address}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_started_again_is_the_same_one_but_for_its_key() {
        let of = |address: &str, url| member(url, &[address.parse().unwrap()]);
        let (first, again) = (of("127.0.0.1:8080", None), of("127.0.0.1:8080", None));
        assert_eq!((&first.id, &first.url), (&again.id, &"http://127.0.0.1:8080".to_owned()));
        assert_ne!(first.key, again.key);
        assert_ne!(first.id, of("127.0.0.1:8081", None).id);
        assert!(of("0.0.0.0:80", None).url.ends_with(":80") && !of("0.0.0.0:80", None).url.contains("0.0.0.0"));
        assert_eq!(of("0.0.0.0:80", Some("https://a.example/")).url, "https://a.example");
    }
}
