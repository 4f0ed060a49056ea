//! An SMSC's message id as it comes in a response, and as it comes back in a receipt (field guide §3.6).
//!
//! Some SMSCs write it in hexadecimal in one and in decimal in the other, pad it, or change its case. An id is kept in
//! one canonical form; a receipt's id is looked up under the forms that a rule allows ([`IdRule`]), and the first pairs
//! tell which rule an SMSC follows ([`IdLearner`]).

use std::collections::VecDeque;
use std::fmt;

use super::trim;

/// The base that a number is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Ten.
    Decimal,
    /// Sixteen.
    Hexadecimal,
}

/// Which forms of a receipt's id may name a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IdRule {
    /// As it is, and read in either base and written in the other.
    #[default]
    Any,
    /// As it is, but for case and leading zeros.
    Text,
    /// A number, in these bases (Kannel's `msg-id-type`).
    Number {
        /// In responses.
        response: Base,
        /// In receipts.
        receipt: Base,
    },
}

impl Base {
    /// Reads a canonical id. Letters make it hexadecimal whatever was configured, as Kannel has it.
    fn read(self, canonical: &str) -> Option<u128> {
        let decimal = self == Self::Decimal && is_digits(canonical);
        u128::from_str_radix(canonical, if decimal { 10 } else { 16 }).ok()
    }

    fn write(self, value: u128) -> String {
        match self {
            Self::Decimal => value.to_string(),
            Self::Hexadecimal => format!("{value:x}"),
        }
    }
}

/// The form under which an SMSC's id is kept: lower case, without leading zeros, so that differences of padding and
/// case do not matter.
#[must_use]
pub fn canonical_id(id: &str) -> String {
    let trimmed = trim(id);
    let stripped = trimmed.trim_start_matches('0');
    let kept = if stripped.is_empty() && !trimmed.is_empty() { "0" } else { stripped };
    kept.to_ascii_lowercase()
}

impl IdRule {
    /// The canonical forms that a receipt's id may have been kept under, the likeliest first.
    ///
    /// ```
    /// use smpp::receipt::{Base, IdRule, canonical_id};
    ///
    /// assert!(IdRule::Any.forms("0059113978").contains(&canonical_id("38601FA")));
    /// let rule = IdRule::Number { response: Base::Hexadecimal, receipt: Base::Decimal };
    /// assert_eq!(rule.forms("0059113978"), ["38601fa"]);
    /// ```
    #[must_use]
    pub fn forms(self, id: &str) -> Vec<String> {
        let canonical = canonical_id(id);
        let mut forms = Vec::with_capacity(3);
        match self {
            Self::Text => {}
            Self::Number { response, receipt } => {
                if let Some(value) = receipt.read(&canonical) {
                    forms.push(response.write(value));
                    return forms;
                }
            }
            Self::Any => {
                let digits = is_digits(&canonical);
                let as_hex =
                    Base::Decimal.read(&canonical).filter(|_| digits).map(|value| Base::Hexadecimal.write(value));
                let as_decimal = Base::Hexadecimal.read(&canonical).map(|value| Base::Decimal.write(value));
                forms.push(canonical);
                for form in [as_hex, as_decimal].into_iter().flatten() {
                    if !forms.contains(&form) {
                        forms.push(form);
                    }
                }
                return forms;
            }
        }
        forms.push(canonical);
        forms
    }
}

/// How the ids of responses and receipts of one SMSC relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same text.
    Same,
    /// Hexadecimal in responses, decimal in receipts.
    HexToDecimal,
    /// Decimal in responses, hexadecimal in receipts.
    DecimalToHex,
}

impl Relation {
    /// How the canonical id of a receipt comes from that of a response, if it does at all. One that reads the same is
    /// the same: ids without a letter are that only if nobody converted them.
    #[must_use]
    pub fn between(response: &str, receipt: &str) -> Option<Self> {
        let reads = |base: Base, id: &str| base.read(id).filter(|_| base == Base::Hexadecimal || is_digits(id));
        let same = |response: Option<u128>, receipt: Option<u128>| response.is_some() && response == receipt;
        if response == receipt {
            Some(Self::Same)
        } else if same(reads(Base::Hexadecimal, response), reads(Base::Decimal, receipt)) {
            Some(Self::HexToDecimal)
        } else if same(reads(Base::Decimal, response), reads(Base::Hexadecimal, receipt)) {
            Some(Self::DecimalToHex)
        } else {
            None
        }
    }
}

fn is_digits(id: &str) -> bool {
    id.bytes().all(|octet| octet.is_ascii_digit())
}

/// What the pairs of an SMSC have told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdFinding {
    /// How ids relate.
    pub relation: Relation,
    /// Digits that receipts are padded to with zeros where responses are not, or the other way round.
    pub padding: bool,
    /// Whether letters change case.
    pub case: bool,
    /// Pairs that agree with it.
    pub pairs: u32,
    /// Pairs that do not: ids that mean another message in another base are then a danger.
    pub contradictions: u32,
}

impl IdFinding {
    /// The rule to follow.
    #[must_use]
    pub fn rule(&self) -> IdRule {
        use Base::{Decimal, Hexadecimal};
        match self.relation {
            Relation::Same => IdRule::Text,
            Relation::HexToDecimal => IdRule::Number { response: Hexadecimal, receipt: Decimal },
            Relation::DecimalToHex => IdRule::Number { response: Decimal, receipt: Hexadecimal },
        }
    }
}

impl fmt::Display for IdFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.relation {
            Relation::Same => "the same id in responses and receipts",
            Relation::HexToDecimal => "hexadecimal in responses, decimal in receipts",
            Relation::DecimalToHex => "decimal in responses, hexadecimal in receipts",
        })?;
        if self.padding {
            f.write_str(", with different padding")?;
        }
        if self.case {
            f.write_str(", in different case")?;
        }
        write!(f, " ({} pairs", self.pairs)?;
        match self.contradictions {
            0 => f.write_str(")"),
            others => write!(f, ", {others} otherwise)"),
        }
    }
}

/// Learns from the first pairs of an SMSC how its ids relate.
#[derive(Debug, Default)]
pub struct IdLearner {
    /// Ids of responses as they came, newest last, beside their canonical forms.
    responses: VecDeque<(String, String)>,
    /// Pairs by relation, in the order of [`RELATIONS`].
    pairs: [u32; 3],
    padding: bool,
    case: bool,
}

const RELATIONS: [Relation; 3] = [Relation::Same, Relation::HexToDecimal, Relation::DecimalToHex];
/// Responses remembered while there is something to learn.
const RESPONSES: usize = 1_000;
/// Pairs after which a relation is known.
const ENOUGH: u32 = 5;
/// Pairs after which only what contradicts them is counted.
const PLENTY: u32 = 50;

impl IdLearner {
    /// Goes on from what an earlier learner found.
    #[must_use]
    pub fn resumed(finding: &IdFinding) -> Self {
        let IdFinding { relation, padding, case, pairs, contradictions } = *finding;
        let mut learner = Self { padding, case, ..Self::default() };
        *learner.count(relation) = pairs;
        // Which of the others it was has no consequence.
        let other = if relation == Relation::Same { Relation::HexToDecimal } else { Relation::Same };
        *learner.count(other) = contradictions;
        learner
    }

    /// A response brought an id.
    pub fn response(&mut self, id: &str) {
        if self.total() >= PLENTY {
            self.responses = VecDeque::new();
            return;
        }
        if self.responses.len() >= RESPONSES {
            self.responses.pop_front();
        }
        self.responses.push_back((canonical_id(id), trim(id).to_owned()));
    }

    /// A receipt with `id` was found to belong to the message that is kept under `kept`. Whether that changed the rule,
    /// or was the first that speaks against it.
    pub fn pair(&mut self, kept: &str, id: &str) -> bool {
        let receipt = trim(id);
        let canonical = canonical_id(receipt);
        // One digit is the same in every base.
        let Some(relation) = Relation::between(kept, &canonical).filter(|_| canonical.len() > 1) else { return false };
        let before = self.finding();
        if self.total() >= PLENTY && before.as_ref().is_some_and(|finding| finding.relation == relation) {
            return false;
        }
        let response = self.responses.iter().rev().find(|(canonical, _)| canonical == kept).map(|(_, id)| id.as_str());
        match (relation, response) {
            (Relation::Same, Some(response)) => {
                self.case |= !response.eq(receipt) && response.eq_ignore_ascii_case(receipt);
                self.padding |= response.len() != receipt.len();
            }
            // The response is longer ago than what is remembered.
            (Relation::Same, None) => {}
            (Relation::HexToDecimal | Relation::DecimalToHex, response) => {
                self.padding |= receipt.starts_with('0') || response.is_some_and(|id| id.starts_with('0'));
            }
        }
        let count = self.count(relation);
        *count = count.saturating_add(1);
        let kind = |finding: Option<IdFinding>| finding.map(|finding| (finding.relation, finding.contradictions > 0));
        kind(before) != kind(self.finding())
    }

    fn count(&mut self, relation: Relation) -> &mut u32 {
        let [same, hex_to_decimal, decimal_to_hex] = &mut self.pairs;
        match relation {
            Relation::Same => same,
            Relation::HexToDecimal => hex_to_decimal,
            Relation::DecimalToHex => decimal_to_hex,
        }
    }

    fn total(&self) -> u32 {
        self.pairs.iter().fold(0, |total, pairs| total.saturating_add(*pairs))
    }

    /// What is known, once enough pairs agree.
    #[must_use]
    pub fn finding(&self) -> Option<IdFinding> {
        let (relation, pairs) = RELATIONS.into_iter().zip(self.pairs).max_by_key(|(_, pairs)| *pairs)?;
        let contradictions = self.total() - pairs;
        (pairs >= ENOUGH).then_some(IdFinding {
            relation,
            padding: self.padding,
            case: self.case,
            pairs,
            contradictions,
        })
    }

    /// The rule that receipts are looked up by: what was learned, if nothing contradicts it.
    #[must_use]
    pub fn rule(&self) -> IdRule {
        self.finding().filter(|finding| finding.contradictions == 0).map_or(IdRule::Any, |finding| finding.rule())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_match_across_base_case_and_padding_but_not_beyond() {
        for (kept, asked) in [("38601fa", "0059113978"), ("38601FA", "38601fa"), ("0000123", "123"), ("123", "0x7b")] {
            let found = IdRule::Any.forms(asked).contains(&canonical_id(kept));
            assert_eq!(found, asked != "0x7b", "{kept} {asked}");
        }
        assert_eq!(IdRule::Any.forms("c87c2273-7edb").len(), 1);
        assert_eq!(canonical_id("000"), "0");
        assert_eq!(canonical_id(""), "");
    }

    /// Field guide 8.6 #97: the pair `38601fa` and `0059113978` under each `msg_id_type`.
    #[test]
    fn each_rule_reads_each_base() {
        use Base::{Decimal, Hexadecimal};
        let number = |response, receipt| IdRule::Number { response, receipt };
        for (rule, asked, form) in [
            (number(Decimal, Decimal), "0059113978", "59113978"),
            (number(Hexadecimal, Decimal), "0059113978", "38601fa"),
            (number(Decimal, Hexadecimal), "38601FA", "59113978"),
            (number(Hexadecimal, Hexadecimal), "038601FA", "38601fa"),
            // Letters make it hexadecimal.
            (number(Hexadecimal, Decimal), "38601fa", "38601fa"),
            (number(Hexadecimal, Decimal), "not-a-number", "not-a-number"),
            (IdRule::Text, "0059113978", "59113978"),
        ] {
            assert_eq!(rule.forms(asked), [form], "{rule:?} {asked}");
        }
        let long = "f".repeat(40);
        assert_eq!(IdRule::Any.forms(&long), [long]);
    }

    fn learn(pairs: &[(&str, &str)]) -> IdLearner {
        let mut learner = IdLearner::default();
        for (response, receipt) in pairs {
            learner.response(response);
            let kept = canonical_id(response);
            assert!(learner.rule().forms(receipt).contains(&kept), "{receipt} names {response}");
            learner.pair(&kept, receipt);
        }
        learner
    }

    #[test]
    fn an_smscs_habit_is_learned_from_its_first_pairs() {
        let pairs = [("1A", "026"), ("1B", "027"), ("1C", "028"), ("20", "032"), ("2F", "047"), ("30", "048")];
        let learner = learn(&pairs);
        let finding = learner.finding().unwrap();
        assert_eq!((finding.relation, finding.pairs, finding.padding), (Relation::HexToDecimal, 6, true));
        assert_eq!(learner.rule().forms("48"), ["30"], "no other reading is tried any more");
        assert_eq!(
            finding.to_string(),
            "hexadecimal in responses, decimal in receipts, with different padding (6 pairs)"
        );
        assert_eq!(learn(&pairs[..4]).rule(), IdRule::Any);
    }

    #[test]
    fn case_and_padding_are_seen_and_contradictions_keep_every_reading_open() {
        let mut learner = learn(&[("ab1", "AB1"), ("ab2", "AB2"), ("ab3", "AB3"), ("ab4", "AB4"), ("ab5", "AB5")]);
        assert!(learner.finding().is_some_and(|finding| finding.case && finding.relation == Relation::Same));
        assert_eq!(learner.rule(), IdRule::Text);
        learner.response("ff");
        learner.pair("ff", "255");
        assert_eq!(learner.finding().unwrap().contradictions, 1);
        assert_eq!(learner.rule(), IdRule::Any);
    }

    #[test]
    fn what_was_learned_holds_in_the_next_run_and_a_new_habit_opens_every_reading_again() {
        let pairs: Vec<(String, String)> = (0x1000..0x1040).map(|id| (format!("{id:x}"), id.to_string())).collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let finding = learn(&pairs).finding().unwrap();
        let mut learner = IdLearner::resumed(&finding);
        assert_eq!((learner.finding(), learner.rule()), (Some(finding.clone()), finding.rule()));
        assert!(!learner.pair("1041", "4161"), "nothing new");
        assert!(learner.pair("1042", "1042"), "the first that contradicts is news");
        assert!(!learner.pair("1043", "1043"));
        assert_eq!(learner.rule(), IdRule::Any);
        assert_eq!(IdLearner::resumed(&learner.finding().unwrap()).rule(), IdRule::Any);
    }

    #[test]
    fn an_smsc_that_counts_from_one_is_not_judged_by_its_first_nine() {
        let counted: Vec<(String, String)> = (1..=20).map(|id| (format!("{id:x}"), id.to_string())).collect();
        let counted: Vec<(&str, &str)> = counted.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let finding = learn(&counted).finding().unwrap();
        assert_eq!((finding.relation, finding.contradictions), (Relation::HexToDecimal, 0));
    }

    #[test]
    fn ids_that_do_not_come_of_each_other_teach_nothing() {
        assert_eq!(Relation::between("1a", "26"), Some(Relation::HexToDecimal));
        assert_eq!(Relation::between("26", "1a"), Some(Relation::DecimalToHex));
        assert_eq!(Relation::between("26", "26"), Some(Relation::Same));
        assert_eq!(Relation::between("c87c2273-7edb", "another"), None);
        assert_eq!(Relation::between("26", "27"), None);
    }
}
