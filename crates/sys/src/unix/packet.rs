//! Packets of UNIX sockets: datagrams, and the records of a connection that keeps them apart.
//!
//! Where the system tells who has sent a packet, it does so for every one. Descriptors that come
//! with one are closed.

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::rights::retry_if_interrupted;
use super::socket::Peer;
use super::stream::option;
use super::{rights, system};

/// Where a packet comes from or goes to: a path, or a name of the namespace that belongs to nobody
/// behind a zero byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(Box<[u8]>);

/// Where the name begins in an address.
const NAME: usize = mem::offset_of!(libc::sockaddr_un, sun_path);

impl Address {
    /// The address of these bytes; `None` if they do not fit into one.
    pub fn new(bytes: &[u8]) -> Option<Address> {
        let room = mem::size_of::<libc::sockaddr_un>() - NAME;
        // A path has a zero byte behind it.
        let length = bytes.len() + usize::from(bytes.first() != Some(&0));
        (!bytes.is_empty() && length <= room).then(|| Address(bytes.into()))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn parse(address: &libc::sockaddr_un, length: usize) -> Option<Address> {
        let length = length.min(mem::size_of::<libc::sockaddr_un>());
        let name = address.sun_path.get(..length.checked_sub(NAME)?)?;
        #[allow(
            clippy::unnecessary_cast,
            reason = "c_char has a sign on some systems and none on others"
        )]
        let mut name: Vec<u8> = name.iter().map(|byte| *byte as u8).collect();
        if name.first() != Some(&0) {
            let end = name.iter().position(|byte| *byte == 0);
            name.truncate(end.unwrap_or(name.len()));
        } else if name.iter().all(|byte| *byte == 0) {
            return None;
        }
        Address::new(&name)
    }

    fn build(&self) -> (libc::sockaddr_un, libc::socklen_t) {
        // SAFETY: all zeroes is a valid sockaddr_un: no name.
        let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        for (place, byte) in address.sun_path.iter_mut().zip(&self.0) {
            *place = *byte as libc::c_char;
        }
        let zero = usize::from(self.0.first() != Some(&0));
        (address, (NAME + self.0.len() + zero) as libc::socklen_t)
    }
}

/// What one receive has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// How long it was. More than was asked for means that the rest is lost.
    pub length: usize,
    /// Where it came from, if that has a name.
    pub from: Option<Address>,
    /// Who has sent it, where the system tells. Of the end of a connection nobody is told.
    pub sender: Option<Peer>,
}

/// Has the system tell of each packet who has sent it, where it can.
pub fn tell_senders(fd: BorrowedFd<'_>) -> io::Result<()> {
    system::pass_credentials(fd)
}

/// How long the next packet is; of the end of a connection, 0.
pub fn next_length(fd: BorrowedFd<'_>) -> io::Result<usize> {
    system::next_length(fd)
}

/// Receives one packet: up to `max` bytes of it in `buf`, in place of what it holds. Never waits.
pub fn receive(fd: BorrowedFd<'_>, buf: &mut Vec<u8>, max: usize) -> io::Result<Packet> {
    buf.clear();
    buf.reserve(max);
    let spare = buf.spare_capacity_mut();
    let mut iov = libc::iovec {
        iov_base: spare.as_mut_ptr().cast(),
        iov_len: max,
    };
    let mut header = rights::message(&mut iov, 1);
    let mut control = MaybeUninit::<rights::Control>::uninit();
    // SAFETY: all zeroes is a valid sockaddr_un: no name.
    let mut from: libc::sockaddr_un = unsafe { mem::zeroed() };
    let flags = system::RECEIVE_FLAGS | libc::MSG_DONTWAIT | system::WHOLE_LENGTH;
    let length = loop {
        header.msg_name = ptr::from_mut(&mut from).cast();
        header.msg_namelen = mem::size_of_val(&from) as libc::socklen_t;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = rights::CONTROL_SPACE as _;
        // SAFETY: the header points at `from`, at `control` and at the spare capacity of `buf`, at
        // least `max` long; all outlive the call and nothing else refers to them.
        let got = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, flags) };
        match usize::try_from(got) {
            Ok(got) => break got,
            Err(_) => retry_if_interrupted()?,
        }
    };
    let mut sender = None;
    if header.msg_controllen > 0 {
        let mut unasked = Vec::new();
        rights::collect(&header, &mut unasked);
        sender = system::sender(&header).map(|(pid, uid, gid)| Peer { pid, uid, gid });
    }
    // SAFETY: the kernel has written the packet from the front on, at most `max` bytes of it.
    unsafe { buf.set_len(length.min(max)) };
    let lost = usize::from(header.msg_flags & libc::MSG_TRUNC != 0 && length <= max);
    Ok(Packet {
        length: length + lost,
        from: Address::parse(&from, header.msg_namelen as usize),
        sender,
    })
}

/// Sends one packet, whole or not at all: to `to`, or to where the socket is connected. Never waits:
/// `WouldBlock` if the receiver has too many that it has not read.
pub fn send(fd: BorrowedFd<'_>, bytes: &[u8], to: Option<&Address>) -> io::Result<()> {
    let address = to.map(Address::build);
    let (name, length) = match &address {
        Some((address, length)) => (ptr::from_ref(address).cast(), *length),
        None => (ptr::null(), 0),
    };
    loop {
        // SAFETY: the pointers and lengths are those of live memory, which the call only reads.
        let sent = unsafe {
            libc::sendto(
                fd.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                system::SEND_FLAGS | libc::MSG_DONTWAIT,
                name,
                length,
            )
        };
        if sent >= 0 {
            return Ok(());
        }
        retry_if_interrupted()?;
    }
}

/// How long a packet can be that the socket sends.
pub fn longest(fd: BorrowedFd<'_>) -> io::Result<usize> {
    // Linux keeps 32 bytes of the buffer to itself.
    let room = option(fd, libc::SO_SNDBUF)?;
    Ok(usize::try_from(room).unwrap_or(0).saturating_sub(32))
}

/// The error of a connection whose other end has been closed before it had read everything. What it
/// has sent before is there all the same.
pub fn is_reset(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECONNRESET)
}

/// The number of the error of a message that no packet can carry.
pub const TOO_LONG: i32 = libc::EMSGSIZE;
