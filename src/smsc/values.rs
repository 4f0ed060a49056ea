//! The values that a simulated SMSC is described by: spans of time, shares, weights, accounts.
//!
//! Each reads the text that flags and script files have; an error says what was expected.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use fastrand::Rng;
use smpp::{BindMode, CommandStatus, MessageState};

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

    pub(super) fn draw(&self, rng: &mut Rng) -> Duration {
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
        _ => return wrong(text, "a duration such as 250ms, 1.5s, 2m or 1h"),
    };
    match number.trim().parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * seconds).ok()) {
        Some(duration) => Ok(duration),
        None => wrong(text, "a duration such as 250ms, 1.5s, 2m or 1h"),
    }
}

/// How often something happens: `0.05` or `5%`.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Share(pub f64);

impl Share {
    pub(super) fn happens(self, rng: &mut Rng) -> bool {
        self.0 > 0.0 && rng.f64() < self.0
    }
}

impl FromStr for Share {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 0.01));
        match number.trim().parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&(share * scale)) => Ok(Self(share * scale)),
            _ => wrong(text, "a share between 0 and 1, or a percentage such as 5%"),
        }
    }
}

/// A share of submits answered with an error: `0.05:ESME_RSYSERR`, `5%:0x0b`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorShare {
    /// How many.
    pub share: Share,
    /// With what.
    pub status: CommandStatus,
}

impl FromStr for ErrorShare {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let Some((share, status)) = text.split_once(':') else {
            return wrong(text, "SHARE:STATUS such as 0.05:ESME_RSYSERR");
        };
        Ok(Self { share: share.parse()?, status: status_of(status)? })
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

/// Final states and how often each is drawn: `delivrd`, or `delivrd:90,undeliv:10`.
#[derive(Clone, Debug, PartialEq)]
pub struct States(Vec<(MessageState, f64)>);

impl States {
    /// Always this one.
    #[must_use]
    pub fn always(state: MessageState) -> Self {
        Self(vec![(state, 1.0)])
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> MessageState {
        let total: f64 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut drawn = if self.0.len() > 1 { rng.f64() * total } else { 0.0 };
        for (state, weight) in &self.0 {
            drawn -= weight;
            if drawn < 0.0 {
                return *state;
            }
        }
        self.0.last().map_or(MessageState::DELIVERED, |(state, _)| *state)
    }
}

impl FromStr for States {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let state = |item: &str| {
            let (word, weight) = item.split_once(':').unwrap_or((item, "1"));
            let state = MessageState::from_word(word.trim());
            let weight = weight.trim().parse::<f64>().ok().filter(|weight| *weight > 0.0 && weight.is_finite());
            match state.zip(weight) {
                Some(weighted) => Ok(weighted),
                None => wrong(item, "a receipt state such as DELIVRD, UNDELIV or EXPIRED, with or without a :WEIGHT"),
            }
        };
        text.split(',').map(state).collect::<Result<_, _>>().map(Self)
    }
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
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub system_id: String,
    /// Its password.
    pub password: String,
    /// How it may bind.
    pub modes: BindModes,
}

/// Without the password.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("system_id", &self.system_id).field("modes", &self.modes).finish_non_exhaustive()
    }
}

impl FromStr for Account {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut parts = text.splitn(3, ':');
        // The text may hold a password, so it is not repeated here.
        let (Some(system_id), Some(password)) = (parts.next().filter(|id| !id.is_empty()), parts.next()) else {
            return Err(ValueError("an account has the form SYSTEM_ID:PASSWORD or SYSTEM_ID:PASSWORD:tx+rx".to_owned()));
        };
        let modes = parts.next().map_or_else(|| Ok(BindModes::all()), str::parse)?;
        Ok(Self { system_id: system_id.to_owned(), password: password.to_owned(), modes })
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
        assert_eq!("5%:rsyserr".parse(), Ok(ErrorShare { share: Share(0.05), status: CommandStatus::ESME_RSYSERR }));
        assert_eq!(status_of("0x40b"), Ok(CommandStatus(0x40b)));
        assert!("1.5".parse::<Share>().is_err() && "0.1".parse::<ErrorShare>().is_err());
        let states: States = "delivrd:90,undeliv:10".parse().unwrap();
        let mut rng = Rng::with_seed(7);
        let undelivered = (0..1000).filter(|_| states.draw(&mut rng) == MessageState::UNDELIVERABLE).count();
        assert!((60..140).contains(&undelivered), "{undelivered}");
        assert!("gone".parse::<States>().is_err());
    }

    #[test]
    fn accounts_keep_their_passwords_to_themselves() {
        let account: Account = "shop:s3cret:tx+rx".parse().unwrap();
        assert!(account.modes.allow(BindMode::Receiver) && !account.modes.allow(BindMode::Transceiver));
        assert!(!format!("{account:?}").contains("s3cret"));
        assert!("shop".parse::<Account>().is_err() && !"s3cret".parse::<Account>().unwrap_err().to_string().contains("s3"));
    }
}
