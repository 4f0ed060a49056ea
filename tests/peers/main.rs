//! Programs written by others against ours: npm `smpp` and PyPI `smpplib` as ESMEs, npm `smpp` as SMSC, Kannel's
//! bearerbox as ESME, tshark as judge of our octets. `tests/run` installs them.

#[path = "../support/capture.rs"]
mod capture;
mod kannel;
mod node;
mod python;
mod support;
mod tshark;
