//! The `maybug` binary.

fn main() {}
