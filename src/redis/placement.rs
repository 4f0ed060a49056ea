//! Which node should have a channel: the one that scores highest with it, so that only a channel whose node goes moves,
//! and only to a node that comes (rendezvous hashing; Thaler and Ravishankar, 1998).

use sha2::{Digest, Sha256};

use super::registry::Member;

/// The node that should have the channel, out of those that do not drain; `None` if there are none. The nodes' order
/// does not matter, and every node that knows the same nodes finds the same one.
pub(crate) fn place<'a>(channel: &str, nodes: &'a [Member]) -> Option<&'a Member> {
    let stay = nodes.iter().filter(|node| !node.draining);
    // Of equal scores, which nobody has seen yet, the ids decide.
    stay.max_by_key(|node| (score(&node.id, channel), &node.id))
}

/// The same in every version: nodes of different ones work together while the service is upgraded.
fn score(node: &str, channel: &str) -> [u8; 32] {
    // The length keeps apart what two different pairs make when they are put together.
    let length = u64::try_from(node.len()).unwrap_or(u64::MAX).to_be_bytes();
    Sha256::new().chain_update(length).chain_update(node).chain_update(channel).finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn node(id: &str) -> Member {
        Member { id: id.to_owned(), ..Member::default() }
    }

    fn nodes() -> impl Strategy<Value = Vec<Member>> {
        let ids = proptest::collection::btree_set("[a-f0-9]{1,4}|[0-9a-f]{32}", 1..8);
        ids.prop_map(|ids| ids.iter().map(|id| node(id)).collect::<Vec<_>>()).prop_shuffle()
    }

    fn channels() -> impl Strategy<Value = BTreeSet<String>> {
        proptest::collection::btree_set("[a-f0-9]{1,3}|[0-9a-f-]{36}", 1..100)
    }

    fn placed(channels: &BTreeSet<String>, nodes: &[Member]) -> BTreeMap<String, String> {
        let placed = channels.iter().filter_map(|channel| Some((channel.clone(), place(channel, nodes)?.id.clone())));
        placed.collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn only_what_must_move_moves(channels in channels(), nodes in nodes(), which: prop::sample::Index) {
            let before = placed(&channels, &nodes);
            prop_assert_eq!(before.len(), channels.len());
            let leaver = which.get(&nodes).id.clone();
            let mut rest = nodes.clone();
            rest.retain(|node| node.id != leaver);
            rest.reverse();
            let after = placed(&channels, &rest);
            for (channel, now) in &after {
                prop_assert!(*now != leaver && (before[channel] == *now || before[channel] == leaver));
            }
            prop_assert_eq!(after.is_empty(), rest.is_empty());
            // To drain is to leave, and coming is leaving, seen from its end: whatever moves goes to the one that comes.
            let mut draining = nodes;
            draining.iter_mut().for_each(|node| node.draining = node.id == leaver);
            prop_assert_eq!(placed(&channels, &draining), after);
        }

        #[test]
        fn each_has_its_share(seed: u64, count in 2..12_usize) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut id = || uuid::Uuid::from_u128(random.u128(..)).to_string();
            let nodes: Vec<_> = (0..count).map(|_| node(&id())).collect();
            let channels: BTreeSet<_> = (0..2000).map(|_| id()).collect();
            let placed = placed(&channels, &nodes);
            let (channels, share) = (2000.0, 1.0 / f64::from(u32::try_from(count).unwrap()));
            // Six standard deviations of what chance gives: once in 500 million.
            let bound = 6.0 * f64::sqrt(channels * share * (1.0 - share));
            for node in &nodes {
                let its = placed.values().filter(|id| **id == node.id).count();
                let off = (f64::from(u32::try_from(its).unwrap()) - channels * share).abs();
                prop_assert!(off < bound, "{} of 2000 channels for one of {} nodes", its, count);
            }
        }
    }

    /// A version that scores otherwise would move nearly all channels, and fight with the nodes of this one.
    #[test]
    fn scores_stay_what_they_are() {
        let nodes = ["one", "two", "three"].map(node);
        let placed = ["a", "b", "c", "d", "e", "f"].map(|channel| place(channel, &nodes).unwrap().id.clone());
        assert_eq!(placed.join(" "), "one one two one two three");
    }
}
