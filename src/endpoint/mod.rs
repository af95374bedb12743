//! Servers and clients as JavaScript reaches them: descriptors in its loop, bytes to messages and back.

mod address;
#[cfg(unix)]
mod beside;
#[cfg(unix)]
mod connection;
#[cfg_attr(
    not(unix),
    allow(dead_code, reason = "a connection in the loop has more to tell")
)]
mod crossing;
mod event;
mod fed;
#[cfg(unix)]
mod listener;
#[cfg(unix)]
mod packets;
#[cfg(unix)]
mod sending;
#[cfg(unix)]
mod turn;
