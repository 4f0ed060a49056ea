//! The body of an answer: whole, or a stream whose maker waits for the peer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

/// See the file's head.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Whole(Full<Bytes>),
    /// Piece by piece.
    Stream(mpsc::Receiver<Result<Bytes, CutOff>>),
}

/// The rest of a stream could not be made; the peer sees its connection end in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rest of the answer could not be made")]
pub struct CutOff;

/// Where the pieces of a stream come from; the stream ends in order when it is dropped.
pub type Pieces = mpsc::Sender<Result<Bytes, CutOff>>;

/// Pieces that may wait for the peer.
const AHEAD: usize = 2;

impl Body {
    /// A stream and where its pieces come from. Whoever makes them waits while the peer takes none, and is refused once the
    /// peer has gone.
    #[must_use]
    pub fn stream() -> (Pieces, Self) {
        let (pieces, stream) = mpsc::channel(AHEAD);
        (pieces, Self::Stream(stream))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl From<Bytes> for Body {
    fn from(whole: Bytes) -> Self {
        Self::Whole(Full::new(whole))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Self::Stream(stream) => stream.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
