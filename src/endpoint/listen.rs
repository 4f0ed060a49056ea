//! Where to listen, in Twisted's server endpoint strings: `tcp:9001`, `tcp:port=9001:interface=127.0.0.1`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::text::split;

/// Reads a server endpoint string; without an interface it is every IPv4 one. A backslash keeps a colon.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let mut parts = split(text).into_iter();
    if parts.next().as_deref() != Some("tcp") {
        return Err("it must begin with tcp:".to_owned());
    }
    let (mut port, mut interface) = (None, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    for (index, part) in parts.enumerate() {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, value),
            None if index == 0 => ("port", part.as_str()),
            None => return Err(format!("{part:?} is one word too many")),
        };
        match name {
            "port" => port = Some(value.parse().map_err(|_| format!("{value:?} is not a port number"))?),
            "interface" => interface = parse_interface(value)?,
            // How many connections may wait to be accepted is the system's business.
            "backlog" => {}
            other => return Err(format!("it has no option {other:?}")),
        }
    }
    Ok(SocketAddr::new(interface, port.ok_or("it names no port")?))
}

/// Reads the address of an interface; nothing is every IPv4 one.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse_interface(text: &str) -> Result<IpAddr, String> {
    match text {
        "" => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        other => other.parse().map_err(|_| format!("{other:?} is not an IP address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, address) in [
            ("tcp:9001", "0.0.0.0:9001"),
            ("tcp:port=9001", "0.0.0.0:9001"),
            ("tcp:9001:interface=127.0.0.1", "127.0.0.1:9001"),
            ("tcp:interface=localhost:port=0:backlog=50", "127.0.0.1:0"),
            (r"tcp:9001:interface=\:\:1", "[::1]:9001"),
        ] {
            assert_eq!(parse_listen(text), Ok(address.parse().unwrap()), "{text}");
        }
        for (text, why) in [
            ("9001", "it must begin with tcp:"),
            ("ssl:9001", "it must begin with tcp:"),
            ("tcp:", "\"\" is not a port number"),
            ("tcp:interface=127.0.0.1", "it names no port"),
            ("tcp:host:9001", "\"host\" is not a port number"),
            ("tcp:9001:x", "\"x\" is one word too many"),
            ("tcp:9001:interface=eth0", "\"eth0\" is not an IP address"),
            ("tcp:9001:timeout=5", "it has no option \"timeout\""),
        ] {
            assert_eq!(parse_listen(text).unwrap_err(), why, "{text}");
        }
    }
}
