//! Servers and clients as JavaScript reaches them: descriptors in its loop, bytes to messages and back.

mod beside;
mod connection;
mod listener;
mod packets;
