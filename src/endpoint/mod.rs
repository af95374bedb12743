//! Servers and clients as JavaScript reaches them: descriptors in its loop, bytes to messages and back.

mod beside;
mod connection;
mod event;
mod listener;
mod packets;
mod sending;
mod turn;
