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
