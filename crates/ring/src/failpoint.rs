//! Places at which a test may end the process, all in one list.
//!
//! With the feature `failpoints` each [`failpoint!`] calls what [`set_hook`] was given; without it
//! nothing is compiled there. The hook kills, stops or panics: this crate knows no system.

/// Marks a place by a name of the list.
macro_rules! failpoint {
    ($name:ident) => {
        #[cfg(feature = "failpoints")]
        $crate::failpoint::hit($crate::failpoint::Failpoint::$name);
    };
}
pub(crate) use failpoint;

macro_rules! list {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A named place.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Failpoint {
            $($(#[$doc])* $name,)*
        }

        impl Failpoint {
            /// Every place there is.
            pub const ALL: &[Failpoint] = &[$(Failpoint::$name,)*];

            /// The place's name, as tests and environment variables write it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Failpoint::$name => stringify!($name),)*
                }
            }

            /// The place of this name.
            pub fn named(name: &str) -> Option<Failpoint> {
                Failpoint::ALL.iter().copied().find(|point| point.name() == name)
            }
        }
    };
}

list! {
    /// A new object has its header and is not yet said to be ready.
    CreateBeforeReady,
    /// A slot carries an identity and no role yet.
    ClaimBeforeRole,
    /// A party that leaves has no role any more and still its slot.
    ReleaseBeforeFree,
    /// The sweeper holds the latch and has found a dead party.
    SweepBeforeCleanup,
    /// What the dead party held is given back, its slot is not yet empty.
    SweepBeforeClear,
    /// The slot is empty but for its identity.
    SweepBeforeFree,
    /// All dead slots are free and nobody was told.
    SweepBeforeRing,
    /// Sleepers were taken off the list and are not yet woken.
    RingBeforeWake,
    /// A record is reserved in a ring and its owner has yet to fill it.
    RecordReserved,
    /// A record is filled and not yet committed.
    RecordBeforeCommit,
    /// A record is committed in the ring's own terms, and cannot be seen before the position moves.
    RecordBeforePublish,
    /// A record can be seen and nobody was told.
    RecordBeforeRing,
    /// The consumer has seen a record and not yet released it.
    RecordBeforeRelease,
    /// A record is released and nobody was told.
    ReleaseBeforeRing,
    /// Many producers: the heads are written under the latch, the position has not moved.
    MpscBeforeTail,
    /// Many producers: the position has moved and the latch is still held.
    MpscBeforeUnlatch,
    /// Broadcast: old records are given up and not yet written over.
    BroadcastBeforeOverwrite,
    /// Cell: part of the new value is written.
    CellBeforePublish,
    /// Cell: the new value can be read and the latch is still held.
    CellBeforeUnlatch,
}

#[cfg(feature = "failpoints")]
static HOOK: std::sync::OnceLock<fn(Failpoint)> = std::sync::OnceLock::new();

/// Has `hook` called at every place from now on. The first call counts.
#[cfg(feature = "failpoints")]
pub fn set_hook(hook: fn(Failpoint)) {
    let _ = HOOK.set(hook);
}

#[cfg(feature = "failpoints")]
pub(crate) fn hit(point: Failpoint) {
    if let Some(hook) = HOOK.get() {
        hook(point);
    }
}
