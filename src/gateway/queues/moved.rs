//! What is owed to a queue that is called otherwise by now: it goes to the queue that its channel or destination has
//! instead.

use super::super::Gateway;
use super::super::directory::Directory;
use crate::model::{Callback, CallbackKind, CallbackTarget};
use crate::store::{CallbackDelivery, Change, ReadError};

impl Gateway {
    /// What moves it, if its queue is not any more the one that such things go to. It stays where nobody wants it otherwise:
    /// an application may still read a queue that its channel has given up.
    pub(super) fn moved(
        &self,
        directory: &Directory,
        delivery: &CallbackDelivery,
    ) -> Result<Option<Change>, ReadError> {
        let callback = &*delivery.callback;
        let CallbackTarget::Queue { queue } = &callback.target else { return Ok(None) };
        if directory.has_queue(queue, &callback.channel) {
            return Ok(None);
        }
        let wanted = self.queues_now(directory, callback)?;
        if wanted.is_empty() || wanted.contains(queue) {
            return Ok(None);
        }
        // Which of several has got another name, nobody knows: rather twice to one than not at all to the other.
        let to = |queue| Callback { target: CallbackTarget::Queue { queue }, ..callback.clone() };
        Ok(Some(Change::CallbackMoved(delivery.ticket, wanted.into_iter().map(to).collect())))
    }

    /// The queues that this would be owed to now.
    fn queues_now(&self, directory: &Directory, callback: &Callback) -> Result<Vec<String>, ReadError> {
        let owned = |queues: Vec<&str>| queues.into_iter().map(ToOwned::to_owned).collect();
        Ok(match (callback.kind, directory.router_of(&callback.channel)) {
            (CallbackKind::Event, _) => {
                let stored = self.0.store.message(callback.message)?;
                stored.map(|stored| owned(directory.event_queues(&stored.message))).unwrap_or_default()
            }
            (CallbackKind::Mo, None) => {
                let channel = directory.channels.get(&callback.channel);
                owned(channel.and_then(|channel| channel.amqp_queue()).into_iter().collect())
            }
            (CallbackKind::Mo, Some(router)) => {
                let message = self.0.store.inbound(&callback.channel, callback.message)?;
                let destinations = message.map(|message| message.destinations).unwrap_or_default();
                let queue = |id| directory.destination(&router.properties.id, id)?.amqp_queue();
                owned(destinations.iter().filter_map(queue).collect())
            }
            (CallbackKind::Status, _) => Vec::new(),
        })
    }
}
