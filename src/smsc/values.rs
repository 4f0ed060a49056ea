//! The values that a simulated SMSC is described by: spans of time, shares, weighted states, accounts.
//!
//! Each reads the text that flags and script files have; an error says what was expected.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use smpp::{BindMode, CommandStatus, MessageState};

use super::config::SimulatorConfig;

/// Text that is no such value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

fn wrong<T>(text: &str, expected: &str) -> Result<T, ValueError> {
    Err(ValueError(format!("{text:?} is not {expected}")))
}

/// A duration, or a range to draw durations from: `1s`, `250ms`, `200ms-2s`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

impl Span {
    /// Always this long.
    #[must_use]
    pub const fn fixed(duration: Duration) -> Self {
        Self { min: duration, max: duration }
    }

    /// Whether it is always nothing.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.max.is_zero()
    }

    /// One of its durations.
    pub fn draw(&self, rng: &mut Rng) -> Duration {
        if self.min == self.max { self.min } else { self.min + (self.max - self.min).mul_f64(rng.f64()) }
    }
}

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (min, max) = match text.split_once('-') {
            Some((min, max)) => (duration(min)?, duration(max)?),
            None => (duration(text)?, duration(text)?),
        };
        if min > max { wrong(text, "a range whose end comes after its beginning") } else { Ok(Self { min, max }) }
    }
}

/// A duration in `ms`, `s`, `m` or `h`; a bare number is seconds.
///
/// # Errors
/// [`ValueError`] when it is none.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    let text = text.trim();
    let unit_at = text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return wrong(text, "a duration such as 250ms, 1.5s, 2m or 1h"),
    };
    match number.trim().parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * seconds).ok()) {
        Some(duration) => Ok(duration),
        None => wrong(text, "a duration such as 250ms, 1.5s, 2m or 1h"),
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self::fixed(duration)
    }
}

/// How often something happens, from 0 to 1: `0.05` or `5%`.
///
/// # Errors
/// [`ValueError`] when it is no share.
pub fn share(text: &str) -> Result<f64, ValueError> {
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 0.01));
    match number.trim().parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&(number * scale)) => Ok(number * scale),
        _ => wrong(text, "a share between 0 and 1, or a percentage such as 5%"),
    }
}

/// A share of submits and the status that they are answered with: `0.05:ESME_RSYSERR`, `5%:0x0b`.
///
/// # Errors
/// [`ValueError`] when it is none.
pub fn error_share(text: &str) -> Result<(f64, CommandStatus), ValueError> {
    match text.split_once(':') {
        Some((number, status)) => Ok((share(number)?, status_of(status)?)),
        None => wrong(text, "SHARE:STATUS such as 0.05:ESME_RSYSERR"),
    }
}

/// A network's reason for a failure, as `network_error_code` has it (§5.3.2.31): `3:27`, or three digits, `027`, as some
/// SMSCs write there instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkErrorCode(pub [u8; 3]);

impl NetworkErrorCode {
    /// The code, without the type of the network.
    pub(super) fn number(self) -> u16 {
        let octets = self.0;
        smpp::receipt::NetworkError::parse(&octets).map_or(0, |error| error.code)
    }
}

impl FromStr for NetworkErrorCode {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let octets = match text.split_once(':') {
            Some((network, code)) => network.parse().ok().zip(code.parse::<u16>().ok()).map(|(network, code)| {
                let [high, low] = code.to_be_bytes();
                [network, high, low]
            }),
            None => text.as_bytes().try_into().ok().filter(|digits: &[u8; 3]| digits.iter().all(u8::is_ascii_digit)),
        };
        octets
            .map_or_else(|| wrong(text, "TYPE:CODE such as 3:27 (GSM, 27), or three digits"), |octets| Ok(Self(octets)))
    }
}

/// A command status by name, with or without `ESME_`, or as a number: `ESME_RSYSERR`, `rsyserr`, `0x08`, `1024`.
///
/// # Errors
/// [`ValueError`] when no status has that name.
pub fn status_of(text: &str) -> Result<CommandStatus, ValueError> {
    let upper = text.trim().to_ascii_uppercase();
    let number = match upper.strip_prefix("0X") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => upper.parse().ok(),
    };
    let named = || CommandStatus::from_name(&upper).or_else(|| CommandStatus::from_name(&format!("ESME_{upper}")));
    match number.map(CommandStatus).or_else(named) {
        Some(status) => Ok(status),
        None => wrong(text, "a command status such as ESME_RSYSERR or 0x08"),
    }
}

/// A final state and its weight among others: `delivrd`, `undeliv:10`.
///
/// # Errors
/// [`ValueError`] when no receipt has that word, or the weight is no number from 1.
pub fn weighted_state(text: &str) -> Result<(MessageState, u32), ValueError> {
    let (word, weight) = text.split_once(':').unwrap_or((text, "1"));
    let state = MessageState::from_word(word.trim());
    match state.zip(weight.trim().parse().ok().filter(|weight| *weight > 0)) {
        Some(weighted) => Ok(weighted),
        None => wrong(text, "a receipt state such as DELIVRD, UNDELIV or EXPIRED, with or without a :WEIGHT"),
    }
}

/// Draws a state by weight.
pub(super) fn draw_state(states: &[(MessageState, u32)], rng: &mut Rng) -> MessageState {
    if let [(only, _)] = states {
        return *only;
    }
    let total: u64 = states.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut drawn = if total > 0 { rng.u64(..total) } else { 0 };
    for (state, weight) in states {
        match drawn.checked_sub(u64::from(*weight)) {
            Some(rest) => drawn = rest,
            None => return *state,
        }
    }
    MessageState::DELIVERED
}

/// Draws whether something with this share happens.
pub(super) fn happens(share: f64, rng: &mut Rng) -> bool {
    share > 0.0 && rng.f64() < share
}

/// Which binds are allowed: `tx`, `rx`, `trx`, several joined by `+` or commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindModes(Vec<BindMode>);

impl BindModes {
    /// Every mode.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![BindMode::Transmitter, BindMode::Receiver, BindMode::Transceiver])
    }

    pub(super) fn allow(&self, mode: BindMode) -> bool {
        self.0.contains(&mode)
    }
}

impl FromStr for BindModes {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mode = |name: &str| match name.trim() {
            "tx" | "transmitter" => Ok(BindMode::Transmitter),
            "rx" | "receiver" => Ok(BindMode::Receiver),
            "trx" | "transceiver" => Ok(BindMode::Transceiver),
            _ => wrong(name, "a bind mode: tx, rx or trx"),
        };
        text.split(['+', ',']).map(mode).collect::<Result<_, _>>().map(Self)
    }
}

/// Who may bind: `SYSTEM_ID:PASSWORD`, or `SYSTEM_ID:PASSWORD:tx+rx`.
#[derive(Clone, PartialEq)]
pub struct Account {
    /// Its name.
    pub system_id: String,
    /// Its password.
    pub password: String,
    /// How it may bind.
    pub modes: BindModes,
    /// How the SMSC behaves towards it, where that is not as towards everybody.
    pub habits: Option<Arc<SimulatorConfig>>,
}

/// Without the password.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("system_id", &self.system_id)
            .field("modes", &self.modes)
            .finish_non_exhaustive()
    }
}

/// System_id and password; any mode.
impl From<(String, String)> for Account {
    fn from((system_id, password): (String, String)) -> Self {
        Self { system_id, password, modes: BindModes::all(), habits: None }
    }
}

impl FromStr for Account {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut parts = text.splitn(3, ':');
        // The text may hold a password, so it is not repeated here.
        let (Some(system_id), Some(password)) = (parts.next().filter(|id| !id.is_empty()), parts.next()) else {
            return Err(ValueError(
                "an account has the form SYSTEM_ID:PASSWORD or SYSTEM_ID:PASSWORD:tx+rx".to_owned(),
            ));
        };
        let modes = parts.next().map_or_else(|| Ok(BindModes::all()), str::parse)?;
        Ok(Self { system_id: system_id.to_owned(), password: password.to_owned(), modes, habits: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_fixed_or_ranges_in_several_units() {
        let ms = Duration::from_millis;
        assert_eq!("250ms".parse(), Ok(Span::fixed(ms(250))));
        assert_eq!("1.5".parse(), Ok(Span::fixed(ms(1500))));
        assert_eq!("200ms-2s".parse(), Ok(Span { min: ms(200), max: ms(2000) }));
        let drawn = "1s-2s".parse::<Span>().unwrap().draw(&mut Rng::with_seed(1));
        assert!((ms(1000)..=ms(2000)).contains(&drawn));
        for text in ["", "fast", "2s-1s", "-1s", "1y"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_statuses_and_states_are_read_as_people_write_them() {
        assert_eq!(error_share("5%:rsyserr"), Ok((0.05, CommandStatus::ESME_RSYSERR)));
        assert_eq!(status_of("0x40b"), Ok(CommandStatus(0x40b)));
        assert!(share("1.5").is_err() && error_share("0.1").is_err());
        let states = ["delivrd:90", "undeliv:10"].map(|text| weighted_state(text).unwrap());
        let mut rng = Rng::with_seed(7);
        let undelivered = (0..1000).filter(|_| draw_state(&states, &mut rng) == MessageState::UNDELIVERABLE).count();
        assert!((60..140).contains(&undelivered), "{undelivered}");
        assert_eq!("3:27".parse(), Ok(NetworkErrorCode([3, 0, 27])));
        assert_eq!("027".parse::<NetworkErrorCode>().map(NetworkErrorCode::number), Ok(27));
        assert!(["27", "3:x", "999:1", ""].iter().all(|text| text.parse::<NetworkErrorCode>().is_err()));
        assert!(weighted_state("gone").is_err() && weighted_state("delivrd:0").is_err());
    }

    #[test]
    fn accounts_keep_their_passwords_to_themselves() {
        let account: Account = "shop:s3cret:tx+rx".parse().unwrap();
        assert!(account.modes.allow(BindMode::Receiver) && !account.modes.allow(BindMode::Transceiver));
        assert!(!format!("{account:?}").contains("s3cret"));
        assert!(
            "shop".parse::<Account>().is_err() && !"s3cret".parse::<Account>().unwrap_err().to_string().contains("s3")
        );
    }
}
