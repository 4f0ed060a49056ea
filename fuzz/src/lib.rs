//! The bodies of the fuzz targets.

include!("bodies.rs");
