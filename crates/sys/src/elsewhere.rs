//! Systems on which descriptors do not travel: what stands there for those that do elsewhere.

/// Descriptors that travel. There are none.
pub mod fd {
    /// A descriptor that has travelled or will.
    #[derive(Debug)]
    pub enum OwnedFd {}
}
