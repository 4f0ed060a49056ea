//! What a phone does in a USSD session: which text it expects, and what it says to it. A script, as tests and files
//! write it, and how far a session has come in it.

use std::collections::VecDeque;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The phones of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UssdScript {
    /// Phones that dial once the account has a receiver.
    pub phones: Vec<UssdPhone>,
    /// What every phone says to menus that the ESME opens by itself; `--ussd-answer` when empty.
    pub asked: Vec<Turn>,
}

/// A phone that dials.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UssdPhone {
    /// Its number.
    #[serde(deserialize_with = "text")]
    pub phone: String,
    /// What it dials.
    #[serde(deserialize_with = "text")]
    pub dial: String,
    /// How it goes on; `--ussd-answer` when empty.
    #[serde(default)]
    pub steps: Vec<Turn>,
}

/// The steps that may be taken when a text is shown: the first that expects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn(pub Vec<Step>);

/// A text and what the phone does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// What the text must contain; any will do when it is empty.
    #[serde(deserialize_with = "text")]
    pub expect: String,
    /// What the phone says; without, the session should be over, and the phone gives up if it is not.
    #[serde(deserialize_with = "some_text")]
    pub answer: Option<String>,
    /// What comes next, in place of what stands behind this turn.
    pub steps: Vec<Turn>,
}

/// A step, or a list of steps of which one is taken.
impl<'de> Deserialize<'de> for Turn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Turn;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a step with expect, answer and steps, or a list of such steps")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Turn, A::Error> {
                Step::deserialize(MapAccessDeserializer::new(map)).map(|step| Turn(vec![step]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Turn, A::Error> {
                let steps = Vec::deserialize(SeqAccessDeserializer::new(items))?;
                if steps.is_empty() { Err(Error::custom("needs at least one step")) } else { Ok(Turn(steps)) }
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}

/// Text, also where a file has a number.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        _ => Err(Error::custom("must be text")),
    }
}

fn some_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    text(deserializer).map(Some)
}

/// How far a phone has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    turns: VecDeque<Turn>,
    taken: usize,
    /// What is not as expected is a failure; phones that only have answers take whatever comes.
    strict: bool,
}

/// What a phone does about a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// This.
    Answer(String),
    /// Nothing: it hangs up.
    GivesUp,
    /// Nothing: it is over.
    Over,
}

impl Walk {
    /// By the steps, or, where there are none, by answers that take whatever comes.
    pub(super) fn new(steps: &[Turn], answers: &[String]) -> Self {
        let answering = |answer: &String| Turn(vec![Step { answer: Some(answer.clone()), ..Step::default() }]);
        let strict = !steps.is_empty();
        let turns = if strict { steps.to_vec().into() } else { answers.iter().map(answering).collect() };
        Self { turns, taken: 0, strict }
    }

    /// How many steps have been taken, for walks that can fail.
    pub(super) fn result(&self) -> Option<usize> {
        self.strict.then_some(self.taken)
    }

    /// What the phone does about a text; `over` when the ESME ends the session with it.
    ///
    /// # Errors
    /// What the script has otherwise.
    pub(super) fn shown(&mut self, text: &str, over: bool) -> Result<Says, String> {
        let ends = if over { Says::Over } else { Says::GivesUp };
        let number = self.taken + 1;
        let Some(Turn(steps)) = self.turns.pop_front() else {
            let surprise = || format!("step {number}: nothing more was expected, was shown {text:?}");
            return if self.strict { Err(surprise()) } else { Ok(ends) };
        };
        let Some(step) = steps.iter().find(|step| text.contains(&step.expect)) else {
            let expected: Vec<String> = steps.iter().map(|step| format!("{:?}", step.expect)).collect();
            return Err(format!("step {number}: expected {}, was shown {text:?}", expected.join(" or ")));
        };
        self.taken = number;
        if !step.steps.is_empty() {
            self.turns = step.steps.clone().into();
        }
        match &step.answer {
            Some(answer) if over && self.strict => {
                Err(format!("step {number}: the session was over before the phone could answer {answer:?}"))
            }
            None if over && !self.turns.is_empty() => {
                Err(format!("step {number}: the session was over before the last step"))
            }
            Some(answer) if !over => Ok(Says::Answer(answer.clone())),
            _ => Ok(ends),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(json: &str) -> Vec<Turn> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_tree_is_walked_by_what_is_shown() {
        let tree = script(
            r#"[[{"expect": "Balance", "answer": 1, "steps": [{"expect": "R 5"}]}, {"expect": "Sorry"}],
                {"expect": "never"}]"#,
        );
        let mut walk = Walk::new(&tree, &[]);
        assert_eq!(walk.shown("1. Balance", false), Ok(Says::Answer("1".into())));
        assert_eq!(walk.shown("R 5.00", true), Ok(Says::Over));
        assert_eq!(walk.result(), Some(2));
        let mut walk = Walk::new(&tree, &[]);
        assert!(
            walk.shown("Hello", false).unwrap_err().contains(r#"step 1: expected "Balance" or "Sorry", was shown"#)
        );
        let mut walk = Walk::new(&tree, &[]);
        assert!(walk.shown("Sorry", true).unwrap_err().contains("over before the last step"));
        let mut walk = Walk::new(&tree[1..], &[]);
        assert_eq!(walk.shown("never mind", false), Ok(Says::GivesUp));
        assert!(walk.shown("?", false).unwrap_err().contains("nothing more was expected"));
    }

    #[test]
    fn answers_alone_take_whatever_comes() {
        let mut walk = Walk::new(&[], &["1".into(), "2".into()]);
        assert_eq!(walk.shown("?", false), Ok(Says::Answer("1".into())));
        assert_eq!(walk.shown("bye", true), Ok(Says::Over));
        assert_eq!(walk.result(), None);
        assert_eq!(Walk::new(&[], &[]).shown("?", false), Ok(Says::GivesUp));
    }
}
