//! The bodies of the fuzz targets.

include!("bodies.rs");

// By path, for the server that it belongs to is long to build.
#[path = "../../src/capture/mod.rs"]
pub mod capture;

mod captures {
    //! The body of the target `capture`.

    use crate::capture;

    include!("captures.rs");
}

/// The target `capture`.
pub fn capture_file(data: &[u8]) {
    captures::read_capture(data);
}
