//! Requests of providers that wait for their reply: a phone's turn comes as an HTTP request, and what the application
//! answers is the response.
//!
//! A request is held under the id of its MO and answered by the MT that names it. Where such requests come in is in
//! [`ports`], what they say in [`request`].

mod ports;
mod request;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(super) use self::ports::{Hook, Ports};
pub(super) use self::request::{BadEncoding, Credentials, Whole, unauthorised};
use crate::model::MessageId;
use crate::web::Response;

/// Most requests of one channel that are held at a time; the next one is answered 503. Half of what a port has, so that one
/// whose application is silent leaves room to the other channels there.
pub(super) const MOST: usize = 2_048;

/// See the file's head. One for each channel.
pub(super) struct Held {
    /// `None` once the channel has ended.
    waiting: Mutex<Option<HashMap<MessageId, Entry>>>,
    most: usize,
}

struct Entry {
    since: Instant,
    reply: oneshot::Sender<Reply>,
}

/// A response, and where to say that its request was still there.
type Reply = (Response, oneshot::Sender<()>);

/// Ends every wait when it goes, however its channel ends.
pub(super) struct Ending(pub(super) Arc<Held>);

/// A request that is held; dropped, it is no more.
pub(super) struct Waiting {
    held: Arc<Held>,
    id: MessageId,
    reply: oneshot::Receiver<Reply>,
}

/// Why a request is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotHeld {
    /// The bound has been reached.
    #[error("too many requests are waiting for their reply")]
    TooMany,
    /// The channel ends or has ended.
    #[error("the channel is ending")]
    Ended,
}

/// No response came for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unanswered {
    /// In time.
    #[error("the application did not answer in time")]
    Timeout,
    /// The channel ends.
    #[error("the channel is ending")]
    Ended,
}

/// Nobody waits for this reply, or any more: answered, timed out, or the connection has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Could not find original request.")]
pub(super) struct Gone;

impl Held {
    /// Holds at most so many requests.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::new(Some(HashMap::new())), most })
    }

    /// Holds a request. To be done before its MO is told to anybody: the reply may come at once.
    pub(super) fn hold(self: &Arc<Self>, id: MessageId) -> Result<Waiting, NotHeld> {
        let mut waiting = self.waiting();
        let waiting = waiting.as_mut().ok_or(NotHeld::Ended)?;
        if waiting.len() >= self.most {
            return Err(NotHeld::TooMany);
        }
        let (reply, receiver) = oneshot::channel();
        waiting.insert(id, Entry { since: Instant::now(), reply });
        Ok(Waiting { held: self.clone(), id, reply: receiver })
    }

    /// Answers a request; tells how long it was held, once the response has been handed to a connection that was there.
    pub(super) async fn answer(&self, id: MessageId, response: Response) -> Result<Duration, Gone> {
        let entry = self.waiting().as_mut().and_then(|waiting| waiting.remove(&id)).ok_or(Gone)?;
        let (taken, was_taken) = oneshot::channel();
        entry.reply.send((response, taken)).map_err(|_| Gone)?;
        was_taken.await.map_err(|_| Gone)?;
        Ok(entry.since.elapsed())
    }

    /// Ends every wait, and holds nothing any more.
    fn end(&self) {
        *self.waiting() = None;
    }

    fn waiting(&self) -> MutexGuard<'_, Option<HashMap<MessageId, Entry>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Waiting {
    /// Waits for the response, which is to be returned to the connection at once.
    pub(super) async fn answered(mut self, within: Duration) -> Result<Response, Unanswered> {
        match tokio::time::timeout(within, &mut self.reply).await {
            Ok(Ok((response, taken))) => {
                // Whoever answered may have gone.
                let _ = taken.send(());
                Ok(response)
            }
            Ok(Err(_)) => Err(Unanswered::Ended),
            Err(_) => Err(Unanswered::Timeout),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(waiting) = self.held.waiting().as_mut() {
            waiting.remove(&self.id);
        }
    }
}

/// A plain response.
pub(super) fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// That the provider should try again soon.
pub(super) fn unavailable(why: &str) -> Response {
    let mut response = response(StatusCode::SERVICE_UNAVAILABLE, "text/plain", why.to_owned());
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test(start_paused = true)]
    async fn a_reply_answers_its_own_request_once_and_says_how_long_it_took() {
        let held = Held::new(2);
        let (first, second) = (MessageId::mint(), MessageId::mint());
        let waiting = held.hold(first).unwrap();
        let other = held.hold(second).unwrap();
        assert_eq!(held.hold(MessageId::mint()).err(), Some(NotHeld::TooMany));
        let request = tokio::spawn(waiting.answered(LONG));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(held.answer(first, unavailable("one")).await, Ok(Duration::from_secs(3)));
        assert_eq!(request.await.unwrap().unwrap().headers()[RETRY_AFTER], "1");
        assert_eq!(held.answer(first, unavailable("again")).await, Err(Gone));
        assert_eq!(other.answered(Duration::from_secs(1)).await.err(), Some(Unanswered::Timeout));
        assert_eq!(held.answer(second, unavailable("late")).await, Err(Gone));
        assert!(held.waiting().as_ref().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_request_that_goes_while_it_is_answered_was_not_answered() {
        let held = Held::new(1);
        let id = MessageId::mint();
        let waiting = held.hold(id).unwrap();
        let mut answer = std::pin::pin!(held.answer(id, unavailable("x")));
        assert!(futures_util::poll!(&mut answer).is_pending());
        drop(waiting);
        assert_eq!(answer.await, Err(Gone));
    }

    #[tokio::test]
    async fn the_end_of_the_channel_ends_every_wait() {
        let held = Held::new(9);
        let waiting = held.hold(MessageId::mint()).unwrap();
        drop(Ending(held.clone()));
        assert_eq!(waiting.answered(LONG).await.err(), Some(Unanswered::Ended));
        assert_eq!(held.hold(MessageId::mint()).err(), Some(NotHeld::Ended));
    }
}
