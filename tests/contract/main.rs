//! What every store must do, over the engines that there are.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod embedded_directory;
mod place;
mod store_basics;
mod store_faults;
mod store_marks;
mod store_model;
mod store_retention;
mod store_schedule;
mod store_search;
mod store_support;
mod store_withdraw;
