//! Joining the engine to byte streams.

mod codec;
mod driver;

pub use codec::{Codec, CodecError};
pub use driver::{Direction, Driver};
