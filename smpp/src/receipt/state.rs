//! What the state words of receipts mean for the message (field guide §3.4).

use std::collections::HashMap;

/// What a receipt means for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// On its way.
    Pending,
    /// On the phone.
    Delivered,
    /// It will not arrive.
    Failed,
}

/// State words and what they mean; words without a row are pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusMapping(HashMap<String, Delivery>);

const DEFAULT_MAPPING: [(&str, Delivery); 20] = [
    ("delivered", Delivery::Delivered),
    ("failed", Delivery::Failed),
    ("pending", Delivery::Pending),
    ("ENROUTE", Delivery::Pending),
    ("DELIVERED", Delivery::Delivered),
    ("EXPIRED", Delivery::Failed),
    ("DELETED", Delivery::Failed),
    ("UNDELIVERABLE", Delivery::Failed),
    ("ACCEPTED", Delivery::Delivered),
    ("UNKNOWN", Delivery::Pending),
    ("REJECTED", Delivery::Failed),
    ("DELIVRD", Delivery::Delivered),
    ("REJECTD", Delivery::Failed),
    ("FAILED", Delivery::Failed),
    ("0", Delivery::Delivered),
    ("UNDELIV", Delivery::Failed),
    ("ACCEPTD", Delivery::Pending),
    ("SCHEDULED", Delivery::Pending),
    ("SKIPPED", Delivery::Failed),
    ("BUFFRED", Delivery::Pending),
];

impl Default for StatusMapping {
    fn default() -> Self {
        Self::new(DEFAULT_MAPPING.iter().map(|(word, delivery)| ((*word).to_owned(), *delivery)))
    }
}

impl StatusMapping {
    /// A mapping of one's own; replaces the default as a whole.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = (String, Delivery)>) -> Self {
        Self(rows.into_iter().collect())
    }

    /// What a state word means; letter case matters only where rows differ in nothing else.
    #[must_use]
    pub fn delivery(&self, state: &str) -> Delivery {
        let exact = self.0.get(state).or_else(|| self.0.get(&state.to_ascii_uppercase()));
        exact.copied().unwrap_or(Delivery::Pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_the_table_says() {
        let mapping = StatusMapping::default();
        for (word, delivery) in [
            ("DELIVRD", Delivery::Delivered),
            ("delivrd", Delivery::Delivered),
            ("UNDELIV", Delivery::Failed),
            ("ACCEPTD", Delivery::Pending),
            ("BOGUS", Delivery::Pending),
        ] {
            assert_eq!(mapping.delivery(word), delivery, "{word}");
        }
    }
}
