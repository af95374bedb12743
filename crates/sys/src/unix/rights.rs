//! Descriptors that travel with bytes (`SCM_RIGHTS`).
//!
//! A received descriptor is an [`OwnedFd`] before anything else happens, so that no early
//! return can leak it. The kernel drops descriptors the receiver has no room for and sets
//! `MSG_CTRUNC`; [`Received::truncated`] passes that on.

use std::io::{self, IoSlice};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::system;

/// The most descriptors one message can carry on Linux (`SCM_MAX_FD`).
pub const MAX_RIGHTS: usize = 253;

/// Whether a few kilobytes that are sent with descriptors are received with one call, by whoever has the room.
pub const TRAVEL_TOGETHER: bool = system::RIGHTS_TRAVEL_TOGETHER;

/// What one receive brought besides bytes in the buffer and descriptors in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes were appended. Zero is the end of the stream.
    pub bytes: usize,
    /// Descriptors were lost on the way in: this process could not open more.
    pub truncated: bool,
}

pub(super) const CONTROL_SPACE: usize = {
    let payload = (MAX_RIGHTS * mem::size_of::<RawFd>()) as libc::c_uint;
    // SAFETY: CMSG_SPACE only does arithmetic.
    unsafe { libc::CMSG_SPACE(payload) as usize }
};

/// Room for the control data of one message. The alignment is that of `cmsghdr`.
#[repr(C)]
pub(super) union Control {
    _align: libc::cmsghdr,
    bytes: [MaybeUninit<u8>; CONTROL_SPACE],
}

pub(super) fn message(iov: *mut libc::iovec, count: usize) -> libc::msghdr {
    // SAFETY: all zeroes is a valid msghdr: no name, no buffers, no control data.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = iov;
    header.msg_iovlen = count as _;
    header
}

/// Sends bytes and, with the first of them, descriptors (at most [`MAX_RIGHTS`]).
///
/// When fewer bytes than offered were taken the descriptors have gone all the same: the rest
/// must be sent without them. A closed peer is `EPIPE`, never a signal.
pub fn send(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    rights: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    if rights.len() > MAX_RIGHTS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // IoSlice has the layout of iovec by its documentation; sendmsg does not write through it.
    let mut header = message(bufs.as_ptr().cast_mut().cast(), bufs.len());
    let mut control = MaybeUninit::<Control>::uninit();
    if !rights.is_empty() {
        let length = mem::size_of_val(rights) as libc::c_uint;
        header.msg_control = control.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE only does arithmetic.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as _;
        // Padding inside the control data goes to the kernel as well.
        // SAFETY: `control` is at least `msg_controllen` long: the count was checked above.
        unsafe { ptr::write_bytes(control.as_mut_ptr().cast::<u8>(), 0, CONTROL_SPACE) };
        // SAFETY: the header describes `control`, which has room for one cmsghdr.
        let first = unsafe { libc::CMSG_FIRSTHDR(&header) };
        // SAFETY: `first` points at the start of `control`, aligned for a cmsghdr.
        let cmsg = unsafe { &mut *first };
        cmsg.cmsg_level = libc::SOL_SOCKET;
        cmsg.cmsg_type = libc::SCM_RIGHTS;
        // SAFETY: CMSG_LEN only does arithmetic.
        cmsg.cmsg_len = unsafe { libc::CMSG_LEN(length) } as _;
        // SAFETY: `first` is a valid cmsghdr whose payload lies inside `control`.
        let payload = unsafe { libc::CMSG_DATA(first) };
        // SAFETY: BorrowedFd is a transparent RawFd; the payload has room for `length` bytes
        // and does not overlap the caller's slice.
        unsafe { ptr::copy_nonoverlapping(rights.as_ptr().cast(), payload, length as usize) };
    }
    loop {
        // SAFETY: every pointer in the header is to memory that outlives the call.
        let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &header, system::SEND_FLAGS) };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => retry_if_interrupted()?,
        }
    }
}

/// Whether a send failed only because too many descriptors are on their way, or because the
/// system is short of memory for it: it may succeed later, and nothing tells when.
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ETOOMANYREFS | libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// Appends up to `max` bytes to `buf` and the descriptors that came with them to `fds`.
///
/// Bytes land in the spare capacity of `buf`, which is enlarged only when it is less than
/// `max`; nothing is zeroed. On an error nothing was appended.
///
/// ```
/// use std::io::IoSlice;
/// use std::os::fd::AsFd;
/// use rsipc_sys::{rights, stream};
///
/// let (a, b) = stream::pair()?;
/// rights::send(a.as_fd(), &[IoSlice::new(b"hello")], &[a.as_fd()])?;
/// let (mut bytes, mut fds) = (Vec::new(), Vec::new());
/// let received = rights::receive(b.as_fd(), &mut bytes, 64, &mut fds)?;
/// assert_eq!((received.bytes, bytes.as_slice(), fds.len()), (5, &b"hello"[..], 1));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn receive(
    fd: BorrowedFd<'_>,
    buf: &mut Vec<u8>,
    max: usize,
    fds: &mut Vec<OwnedFd>,
) -> io::Result<Received> {
    if buf.capacity() - buf.len() < max {
        buf.reserve(max);
    }
    let mut control = MaybeUninit::<Control>::uninit();
    let spare = buf.spare_capacity_mut();
    let mut iov = libc::iovec {
        iov_base: spare.as_mut_ptr().cast(),
        iov_len: max,
    };
    let mut header = message(&mut iov, 1);
    let bytes = loop {
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_SPACE as _;
        // SAFETY: the header points at the spare capacity of `buf`, at least `max` long, and
        // at `control`; both outlive the call and nothing else refers to them.
        let got = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, system::RECEIVE_FLAGS) };
        match usize::try_from(got) {
            Ok(got) => break got,
            Err(_) => retry_if_interrupted()?,
        }
    };
    if header.msg_controllen > 0 {
        collect(&header, fds);
    }
    // SAFETY: the kernel has written `bytes` bytes, at most `max`, into the spare capacity.
    unsafe { buf.set_len(buf.len() + bytes) };
    Ok(Received {
        bytes,
        truncated: header.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// Takes ownership of every descriptor in the control data of a received message.
pub(super) fn collect(header: &libc::msghdr, fds: &mut Vec<OwnedFd>) {
    // SAFETY: recvmsg has filled in the header; its control data is still in place.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: a pointer from the CMSG macros is null or points at a whole cmsghdr.
    while let Some(cmsg) = unsafe { next.as_ref() } {
        if cmsg.cmsg_level == libc::SOL_SOCKET && cmsg.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: `next` is a valid cmsghdr.
            let payload = unsafe { libc::CMSG_DATA(next) };
            let overhead = payload as usize - next as usize;
            #[allow(
                clippy::unnecessary_cast,
                reason = "cmsg_len is narrower on other systems"
            )]
            let length = cmsg.cmsg_len as usize;
            let count = length.saturating_sub(overhead) / mem::size_of::<RawFd>();
            for index in 0..count {
                // SAFETY: the kernel wrote `count` descriptors there; they need not be aligned.
                let raw = unsafe { payload.cast::<RawFd>().add(index).read_unaligned() };
                // SAFETY: the kernel made this descriptor for this message and told no one else.
                let fd = unsafe { OwnedFd::from_raw_fd(raw) };
                // SAFETY: `fd` keeps the number open for the whole call.
                system::received(unsafe { BorrowedFd::borrow_raw(raw) });
                fds.push(fd);
            }
        }
        // SAFETY: `next` came from the same header, which is unchanged.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
}

pub(super) fn retry_if_interrupted() -> io::Result<()> {
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}
