//! Programs written by others against ours: npm `smpp` and PyPI `smpplib` as ESMEs, npm `smpp` as SMSC, Kannel's
//! bearerbox as ESME, tshark as judge of our octets. `tests/run` installs them.

mod kannel;
mod node;
mod pcap;
mod python;
mod support;
mod tshark;
