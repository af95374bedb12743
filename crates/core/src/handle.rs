//! The types of handle that travel in a `NODE_HANDLE` envelope.

/// The `type` of an envelope. All but [`HandleType::Descriptor`] are Node's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HandleType {
    /// `net.Socket`: a connection that is given away.
    NetSocket,
    /// `net.Server`: a listening socket that is shared.
    NetServer,
    /// `net.Native`: a stream socket without an object around it.
    NetNative,
    /// `dgram.Socket`: a bound datagram socket that is shared.
    DgramSocket,
    /// `dgram.Native`: a datagram socket without an object around it.
    DgramNative,
    /// `net.BoundSocket`: bound, neither listening nor connected (Node 26).
    NetBoundSocket,
    /// `fd`: any descriptor, between two ends that both know the type.
    Descriptor,
}

impl HandleType {
    /// All of them.
    pub const ALL: [HandleType; 7] = [
        HandleType::NetSocket,
        HandleType::NetServer,
        HandleType::NetNative,
        HandleType::DgramSocket,
        HandleType::DgramNative,
        HandleType::NetBoundSocket,
        HandleType::Descriptor,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            HandleType::NetSocket => "net.Socket",
            HandleType::NetServer => "net.Server",
            HandleType::NetNative => "net.Native",
            HandleType::DgramSocket => "dgram.Socket",
            HandleType::DgramNative => "dgram.Native",
            HandleType::NetBoundSocket => "net.BoundSocket",
            HandleType::Descriptor => "fd",
        }
    }

    /// The type with this name on the wire.
    pub fn from_name(name: &str) -> Option<HandleType> {
        HandleType::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether a descriptor of this kind can be what the type says. What does not fit would
    /// abort a plain Node process.
    #[cfg(unix)]
    pub fn fits(self, kind: rsipc_sys::fd::Kind) -> bool {
        use rsipc_sys::fd::Kind;
        match self {
            HandleType::NetSocket
            | HandleType::NetServer
            | HandleType::NetNative
            | HandleType::NetBoundSocket => matches!(kind, Kind::Tcp | Kind::Pipe | Kind::Fifo),
            HandleType::DgramSocket | HandleType::DgramNative => kind == Kind::Udp,
            HandleType::Descriptor => true,
        }
    }
}

/// A set of handle types.
///
/// ```
/// use rsipc_core::handle::{HandleType, KindSet};
///
/// let set = KindSet::NODE.without(HandleType::NetServer);
/// assert!(set.contains(HandleType::NetSocket) && !set.contains(HandleType::NetServer));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindSet(u8);

impl KindSet {
    /// No type at all.
    pub const NONE: KindSet = KindSet(0);
    /// The types a plain Node sends and takes.
    pub const NODE: KindSet = KindSet(0b011_1111);
    /// Every type, `fd` among them.
    pub const ALL: KindSet = KindSet(0b111_1111);

    /// The set and one more.
    #[must_use]
    pub const fn with(self, kind: HandleType) -> KindSet {
        KindSet(self.0 | 1 << kind as u8)
    }

    /// The set without one.
    #[must_use]
    pub const fn without(self, kind: HandleType) -> KindSet {
        KindSet(self.0 & !(1 << kind as u8))
    }

    /// Whether a type is in the set.
    pub const fn contains(self, kind: HandleType) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

impl FromIterator<HandleType> for KindSet {
    fn from_iter<T: IntoIterator<Item = HandleType>>(kinds: T) -> KindSet {
        kinds.into_iter().fold(KindSet::NONE, KindSet::with)
    }
}
