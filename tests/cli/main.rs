//! The commands as a user runs them, the simulator as an ESME meets it, and the captures that we must understand.

mod capture;
mod captures;
mod decode;
mod esme;
mod send;
mod simulator;
mod support;
