//! Systems on which nothing lies beside a connection's messages: memory is not shared there.

use std::convert::Infallible;

/// What a connection has that lies beside its messages: nothing.
pub(super) type Beside = Option<Infallible>;
