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
    /// A lock is taken and its fencing number not yet counted.
    LockBeforeFence,
    /// A lock is taken, by a party that still has its place among those who wait.
    LockBeforeLeave,
    /// A lock is held.
    LockHeld,
    /// A party waits for a lock and is entered everywhere.
    LockWaiting,
    /// A wait has ended, and the lock may still be kept for who waited.
    LeaveBeforePassing,
    /// A lock is about to be let go.
    UnlockBeforeFree,
    /// A lock is free and nobody was told.
    UnlockBeforeRing,
    /// A reader is counted and has not yet looked whether there is a writer.
    ReadBeforeLook,
    /// A writer keeps readers out and has not yet seen the last one leave.
    WriteBeforeDrained,
    /// A reader is not counted any more and the writer was not told.
    ReadBeforeRing,
    /// Semaphore: the slot has the permits, the sum not yet.
    PermitsBeforeSum,
    /// Semaphore: permits are given back and nobody was told.
    PermitsBeforeRing,
    /// Event: it is set, the settings are not yet counted.
    EventBeforeCount,
    /// Barrier: this party has arrived, and whether it was the last is not yet looked at.
    BarrierArrived,
    /// Barrier: everybody may pass and nobody was told.
    BarrierBeforeRing,
    /// Map: units are taken for an entry that is not yet written.
    MapAllocated,
    /// Map: an entry is written and nothing links to it.
    MapBeforePublish,
    /// Map: nothing links to an entry any more, and its readers do not know.
    MapBeforeVersion,
    /// Map: an entry is taken out and its units are not yet free.
    MapBeforeFree,
    /// Map: all is done and the mark of a change is still there.
    MapBeforeDone,
    /// Map: a counter has its new value under its old version.
    MapCounted,
    /// Map: what a dead writer left is being counted.
    MapBeforeMended,
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
