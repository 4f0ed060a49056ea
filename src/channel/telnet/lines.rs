//! What somebody types into a telnet client, as lines: without the protocol's own octets (RFC 854), within a length.

/// Most octets of a line; a longer one is dropped.
pub(super) const MAX_LINE: usize = 4096;

/// See the file's head. Octets in, lines out.
#[derive(Default)]
pub(super) struct Lines {
    state: State,
    line: Vec<u8>,
    too_long: bool,
}

/// A line that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// What it says; what is no UTF-8 in it is replaced.
    Text(String),
    /// It was longer than [`MAX_LINE`].
    TooLong,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Text,
    /// After a carriage return, which LF or NUL completes to the end of a line.
    Return,
    /// After IAC.
    Command,
    /// After WILL, WONT, DO or DONT, before the option's code.
    Option,
    /// In a subnegotiation.
    Subnegotiation,
    /// In a subnegotiation after IAC.
    SubnegotiationCommand,
}

const IAC: u8 = 255;
const SB: u8 = 250;
const SE: u8 = 240;
/// WILL, WONT, DO and DONT, which an option's code follows.
const NEGOTIATIONS: std::ops::RangeInclusive<u8> = 251..=254;

impl Lines {
    /// Takes the next octet; the line that it ends, if any.
    pub(super) fn push(&mut self, octet: u8) -> Option<Line> {
        let (next, line) = match (self.state, octet) {
            (State::Text | State::Return, b'\n') | (State::Return, 0) => (State::Text, Some(self.end())),
            (State::Text | State::Return, b'\r') => (State::Return, None),
            (State::Text | State::Return, IAC) => (State::Command, None),
            (State::Text, 0) => (State::Text, None),
            (State::Text | State::Return, octet) => {
                self.text(octet);
                (State::Text, None)
            }
            // An octet of text that looks like IAC.
            (State::Command, IAC) => {
                self.text(IAC);
                (State::Text, None)
            }
            (State::Command, SB) => (State::Subnegotiation, None),
            (State::Command, octet) if NEGOTIATIONS.contains(&octet) => (State::Option, None),
            (State::Command | State::Option, _) => (State::Text, None),
            (State::Subnegotiation, IAC) => (State::SubnegotiationCommand, None),
            (State::SubnegotiationCommand, SE) => (State::Text, None),
            (State::Subnegotiation | State::SubnegotiationCommand, _) => (State::Subnegotiation, None),
        };
        self.state = next;
        line
    }

    fn text(&mut self, octet: u8) {
        if self.line.len() < MAX_LINE {
            self.line.push(octet);
        } else {
            self.too_long = true;
        }
    }

    fn end(&mut self) -> Line {
        let line = std::mem::take(&mut self.line);
        match std::mem::take(&mut self.too_long) {
            true => Line::TooLong,
            false => Line::Text(String::from_utf8_lossy(&line).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(octets: &[u8]) -> Vec<Line> {
        let mut lines = Lines::default();
        octets.iter().filter_map(|octet| lines.push(*octet)).collect()
    }

    fn text(text: &str) -> Line {
        Line::Text(text.to_owned())
    }

    #[test]
    fn a_line_ends_as_any_client_ends_it() {
        assert_eq!(lines(b"a\nb\r\nc\r\0\n d \r\ne"), [text("a"), text("b"), text("c"), text(""), text(" d ")]);
        assert_eq!(lines("K\u{e4}se \u{20ac}\n".as_bytes()), [text("K\u{e4}se \u{20ac}")]);
        assert_eq!(lines(b"\x80\n"), [text("\u{fffd}")]);
    }

    #[test]
    fn options_are_no_text() {
        // WILL NAWS, a window's size with an IAC in it, DO ECHO, NOP.
        assert_eq!(
            lines(b"a\xff\xfb\x1fb\xff\xfa\x1f\x00\xff\xff\x00\n\x18\xff\xf0c\xff\xfd\x01\xff\xf1d\n"),
            [text("abcd")]
        );
        assert_eq!(lines(b"a\xff\xffb\n"), [text("a\u{fffd}b")]);
    }

    #[test]
    fn a_line_beyond_the_length_is_dropped_and_the_next_is_not() {
        let mut octets = vec![b'x'; MAX_LINE];
        octets.push(b'\n');
        assert_eq!(lines(&octets), [text(&"x".repeat(MAX_LINE))]);
        octets.insert(0, b'x');
        octets.extend(b"y\n");
        assert_eq!(lines(&octets), [Line::TooLong, text("y")]);
    }
}
