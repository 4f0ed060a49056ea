//! Request bodies: read whole, within a size and a time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

/// A request's body.
#[derive(Debug)]
pub enum Asked {
    /// It arrives.
    Arriving(Incoming),
    /// It has been read.
    Whole(Bytes),
}

/// A body that was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Longer than allowed.
    #[error("the request body is longer than {limit} octets")]
    TooLarge {
        /// The limit in octets.
        limit: usize,
    },
    /// It did not arrive in time.
    #[error("the request body did not arrive within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The connection broke.
    #[error("the request body was cut off")]
    Broken,
}

/// Reads a body of at most `limit` octets within `timeout`.
///
/// # Errors
/// [`BodyError`].
pub async fn read_asked(body: Asked, limit: usize, timeout: Duration) -> Result<Bytes, BodyError> {
    match body {
        Asked::Arriving(body) => read(body, limit, timeout).await,
        Asked::Whole(whole) => Ok(whole),
    }
}

/// The same of a body that arrives.
///
/// # Errors
/// [`BodyError`].
pub async fn read(body: Incoming, limit: usize, timeout: Duration) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(timeout, Limited::new(body, limit).collect()).await {
        Err(_) => Err(BodyError::TooSlow(timeout)),
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge { limit }),
        Ok(Err(_)) => Err(BodyError::Broken),
    }
}
