//! Where an application's queue is read: in one process, so that it is read in order, and in that which runs all channels
//! whose MTs come out of it, since elsewhere they cannot be accepted.

use std::collections::BTreeMap;

use super::super::Gateway;
use super::super::directory::Directory;
use crate::model::{ChannelId, QueueOwner};

impl Gateway {
    /// Which channels have to run in one process because they share an AMQP queue, directly or by way of others: each with
    /// the one by whose name it is to be placed. Those that share none are not in it.
    #[must_use]
    pub fn placed_by(&self) -> BTreeMap<ChannelId, ChannelId> {
        let directory = self.0.directory.load();
        let channels = |owners: &Vec<QueueOwner>| -> Vec<_> {
            owners.iter().filter_map(|owner| self.channel_of(&directory, owner)).collect()
        };
        together(directory.queues().values().map(channels))
    }

    /// The channel where which runs the AMQP queue of a channel or destination is read; `None` where there is no queue, or
    /// no router can tell.
    #[must_use]
    pub fn read_with(&self, owner: &QueueOwner) -> Option<ChannelId> {
        let directory = self.0.directory.load();
        self.first_of(&directory, directory.queue_of(owner)?)
    }

    /// Whether an AMQP queue is read here.
    pub(in super::super) fn reads(&self, directory: &Directory, queue: &str) -> bool {
        // Where no router can tell whose its MTs are nothing is read, and that is said.
        directory.queues().contains_key(queue)
            && self.first_of(directory, queue).is_none_or(|channel| directory.assigned.includes(&channel))
    }

    /// The channel of the first owner of a queue that has one.
    fn first_of(&self, directory: &Directory, queue: &str) -> Option<ChannelId> {
        directory.queues().get(queue)?.iter().find_map(|owner| self.channel_of(directory, owner))
    }

    /// The channel that MTs out of an owner's queue go to, if its router can tell.
    pub(super) fn channel_of(&self, directory: &Directory, owner: &QueueOwner) -> Option<ChannelId> {
        match owner {
            QueueOwner::Channel(channel) => Some(channel.clone()),
            QueueOwner::Destination(router, id) => self.choose(directory, directory.router(router)?, "", Some(id)).ok(),
        }
    }
}

/// Channels that are in one of these groups with another one, each with the least of all that it is together with.
fn together(groups: impl Iterator<Item = Vec<ChannelId>>) -> BTreeMap<ChannelId, ChannelId> {
    let mut by: BTreeMap<ChannelId, ChannelId> = BTreeMap::new();
    for group in groups {
        let mut least: Vec<_> = group.iter().map(|channel| first(&by, channel)).collect();
        least.sort_unstable();
        least.dedup();
        let [one, others @ ..] = &least[..] else { continue };
        by.extend(others.iter().map(|other| (other.clone(), one.clone())));
    }
    let named: Vec<_> = by.keys().chain(by.values()).cloned().collect();
    named.into_iter().map(|channel| (channel.clone(), first(&by, &channel))).collect()
}

fn first(by: &BTreeMap<ChannelId, ChannelId>, channel: &ChannelId) -> ChannelId {
    let mut channel = channel;
    while let Some(less) = by.get(channel) {
        channel = less;
    }
    channel.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_one_queue_are_together_and_those_of_its_channels_other_queues_too() {
        let groups = ["g", "fe", "dc", "b", "ba", "ec", "hh"];
        let groups = groups.map(|group| group.chars().map(|id| ChannelId::from(id.to_string().as_str())).collect());
        let together = together(groups.into_iter());
        let together: Vec<_> = together.iter().map(|(channel, by)| (channel.as_str(), by.as_str())).collect();
        assert_eq!(together, [("a", "a"), ("b", "a"), ("c", "c"), ("d", "c"), ("e", "c"), ("f", "c")]);
    }
}
