//! The Node.js binding: what JavaScript can reach of rsipc, and nothing more.
//!
//! Every file translates and delegates. `env`, `poll` and `external` hold raw pointers and are
//! the only ones with unsafe code; the shapes JavaScript users see are made in `lib/`.

#![deny(unsafe_code)]
#![cfg_attr(
    test,
    allow(dead_code, reason = "a test build registers nothing with Node")
)]
#![expect(
    unreachable_pub,
    reason = "`#[napi]` exports to JavaScript, not to Rust"
)]

#[cfg(unix)]
mod activation;
#[cfg(unix)]
mod beside;
#[cfg(unix)]
mod channel;
#[cfg(unix)]
mod cluster;
mod endpoint;
mod env;
#[cfg(unix)]
mod external;
#[cfg(unix)]
mod handle;
#[cfg(unix)]
mod intake;
#[cfg(unix)]
mod parent;
#[cfg(unix)]
mod peek;
#[cfg(unix)]
mod poll;
#[cfg(unix)]
mod shared;
#[cfg(unix)]
mod state;

/// The version of the JavaScript layer this binary belongs to.
#[napi_derive::napi]
pub const BINDING_VERSION: &str = env!("CARGO_PKG_VERSION");
