//! Linux: processes in `/proc`, futexes, memory files that are sealed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;
use std::{process, ptr};

use nix::errno::Errno;
use nix::fcntl::{
    AT_FDCWD, AtFlags, FallocateFlags, FcntlArg, OFlag, SealFlag, fallocate, fcntl, openat,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::stat::{Mode, SFlag, mknodat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::linkat;

use super::dir::retry;
use super::file::Error;

/// Milliseconds since the boot, those included in which the machine slept. Costs no system call.
pub(crate) fn now_ms() -> u64 {
    // Fails for clocks that a kernel does not know, and all that rsipc runs on know this one.
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    now.as_millis() as u64
}

/// What `/proc` tells of a process.
pub(crate) struct Status {
    /// When it started, in clock ticks since the boot.
    pub(crate) start: u64,
    /// It has ended and waits for its parent to ask how.
    pub(crate) ended: bool,
}

/// What the process with this number is. `NotFound` if there is none, or if it is hidden.
pub(crate) fn status(pid: i32) -> io::Result<Status> {
    let mut file = File::open(format!("/proc/{pid}/stat"))?;
    // The fields up to the start time take 16 bytes of name and 21 numbers of up to 20 digits.
    let mut text = [0; 1024];
    let mut length = 0;
    loop {
        match file.read(&mut text[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The process ended between the open and the read.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            Err(error) => return Err(error),
        }
    }
    parse(&text[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Reads a line of `/proc/<pid>/stat`: number, name in parentheses, state, and numbers.
fn parse(text: &[u8]) -> Option<Status> {
    // The name is whatever the process chose, parentheses and spaces among it.
    let after_name = text.iter().rposition(|byte| *byte == b')')? + 2;
    let rest = str::from_utf8(text.get(after_name..)?).ok()?;
    // proc_pid_stat(5) counts from 1 and the state is the third.
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let threads: u64 = fields.nth(20 - 4)?.parse().ok()?;
    let start = fields.nth(22 - 21)?.parse().ok()?;
    // A main thread that has ended is a zombie while others still run, and so is the main thread
    // of a killed process whose others are on their way out: they may still write.
    let ended = matches!(state, "Z" | "X" | "x") && threads <= 1;
    Some(Status { start, ended })
}

/// An error unless the numbers in `/proc` are those this process knows.
pub(crate) fn require_own_processes() -> io::Result<()> {
    let shown = fs::read_link("/proc/self").ok();
    let shown = shown.as_ref().and_then(|link| link.to_str());
    if shown.and_then(|pid| pid.parse().ok()) == Some(process::id()) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "/proc is missing or shows another pid namespace",
    ))
}

/// One word for boot, pid namespace and time namespace: start times are told in the latter.
pub(crate) fn world() -> io::Result<u64> {
    require_own_processes()?;
    // Some sandboxes have no boot id; their files do not outlive them either.
    let mut text = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    for namespace in ["/proc/self/ns/pid", "/proc/self/ns/time"] {
        // A kernel without such namespaces has one of the kind.
        let inode = fs::metadata(namespace).map_or(0, |found| found.ino());
        text.extend_from_slice(&inode.to_le_bytes());
    }
    // FNV-1a: https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    Ok(hash.max(1))
}

/// A word that a child made by `fork` finds 0, whatever call makes it; `None` if the kernel has
/// no such memory (before 4.14).
pub(crate) fn wiped_on_fork() -> Option<&'static AtomicU64> {
    static WORD: OnceLock<Option<&'static AtomicU64>> = OnceLock::new();
    *WORD.get_or_init(|| {
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let length = NonZeroUsize::new(size_of::<AtomicU64>())?;
        // SAFETY: the system chooses an address where nothing is, so no memory in use changes.
        let page = unsafe { mmap_anonymous(None, length, rights, MapFlags::MAP_PRIVATE) }.ok()?;
        // SAFETY: the page is the one just made; the advice concerns children only.
        let rc = unsafe { libc::madvise(page.as_ptr(), length.get(), libc::MADV_WIPEONFORK) };
        // SAFETY: at the start of a page that is never unmapped, zero, and used as this word only.
        (rc == 0).then(|| unsafe { AtomicU64::from_ptr(page.cast().as_ptr()) })
    })
}

/// A descriptor, close-on-exec, that can be read once the process with this number has ended.
/// `None` if there is no such process, no descriptor left, or no such call (before 5.3).
pub(crate) fn open_process(pid: i32) -> Option<OwnedFd> {
    // SAFETY: takes two numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: just opened, and nobody else has it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sleeps while `*word == expected`; `ETIMEDOUT`, `EINTR`, or `EAGAIN` if it was not.
pub(crate) fn futex_wait(
    word: &AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
) -> Result<(), Errno> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX).into(),
        // Below 10^9, which every width holds.
        tv_nsec: timeout.subsec_nanos() as _,
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word outlives the call, which only reads it; the time is null or a local's.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            timeout,
        )
    };
    Errno::result(rc).map(drop)
}

/// Wakes up to `count` sleepers; how many there were.
pub(crate) fn futex_wake(word: &AtomicU32, count: u32) -> u32 {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // SAFETY: the word is only an address to the call; it stays mapped meanwhile.
    let rc = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
    // Fails only for an address that is not mapped.
    u32::try_from(rc).unwrap_or(0)
}

/// What opens a directory although it may not be listed.
pub(crate) const REACH: OFlag = OFlag::O_PATH;
/// A child made by `fork` does not have this memory.
pub(crate) const DONT_FORK: libc::c_int = libc::MADV_DONTFORK;
/// Enters every page into the tables, as if each had been written to. Linux 5.14.
pub(crate) const POPULATE: libc::c_int = libc::MADV_POPULATE_WRITE;

/// Against a change of the size, and against a change of the seals.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SEAL);

/// An empty file without a name that lives in memory.
pub(crate) fn memory_file(label: &str) -> Result<OwnedFd, Error> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // Since Linux 6.3, where a system may insist on it: the memory is never a program.
    let no_program = flags | MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    match memfd_create(label, no_program) {
        Err(Errno::EINVAL) => memfd_create(label, flags),
        other => other,
    }
    .map_err(Error::os("memfd_create"))
}

/// Seals the size of a file in memory for ever.
pub(crate) fn seal(file: BorrowedFd<'_>) -> Result<(), Error> {
    fcntl(file, FcntlArg::F_ADD_SEALS(SEALS))
        .map(drop)
        .map_err(Error::os("fcntl"))
}

/// An error unless it is a file in memory whose size is sealed.
pub(crate) fn require_sealed(file: BorrowedFd<'_>) -> Result<(), Error> {
    // Files on a disk have no seals, and those on huge pages may run out of pages when touched.
    let in_memory = fstatfs(file).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC);
    let seals = fcntl(file, FcntlArg::F_GET_SEALS).unwrap_or(0);
    let needed = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    if in_memory && SealFlag::from_bits_retain(seals).contains(needed) {
        Ok(())
    } else {
        Err(Error::Unsealed)
    }
}

/// Gives every byte up to `size` its room. On failure the file is as large as it got.
pub(crate) fn reserve(file: BorrowedFd<'_>, size: u64) -> Result<(), Error> {
    // A signal undoes the whole call on some kernels, so that with frequent signals a large one
    // would never end.
    const STEP: u64 = 4 << 20;
    let mut done = 0;
    while done < size {
        let step = STEP.min(size - done);
        let (Ok(offset), Ok(length)) = (done.try_into(), step.try_into()) else {
            return Err(Error::Size { size });
        };
        retry(|| fallocate(file, FallocateFlags::empty(), offset, length))
            .map_err(Error::os("fallocate"))?;
        done += step;
    }
    Ok(())
}

/// A file of mode 0600, less what the umask takes, in a directory, without a name.
pub(crate) fn unnamed_file(dir: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    retry(|| openat(dir, ".", flags, mode)).map_err(Error::os("openat"))
}

/// Names a file that has no name yet; `EEXIST` if the name is taken.
pub(crate) fn link(file: BorrowedFd<'_>, dir: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    // By number and without `/proc` it would take a privilege.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(
        AT_FDCWD,
        path.as_str(),
        dir,
        name,
        AtFlags::AT_SYMLINK_FOLLOW,
    )
}

/// Makes a FIFO of mode 0600, less what the umask takes.
pub(crate) fn make_fifo(dir: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    mknodat(dir, name, SFlag::S_IFIFO, Mode::S_IRUSR | Mode::S_IWUSR, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, state: char, threads: u32) -> String {
        let before = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0";
        format!("17 ({name}) {state} {before} {threads} 0 4711 999 1 18446744073709551615\n")
    }

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        for name in ["sh", "a b", ") R 1 1", "(((", "", ")) Z 0 0 0"] {
            let status = parse(line(name, 'S', 1).as_bytes()).unwrap();
            assert_eq!((status.start, status.ended), (4711, false), "{name}");
        }
    }

    #[test]
    fn a_zombie_has_ended_only_when_its_last_thread_has() {
        for (state, threads, ended) in [
            ('Z', 1, true),
            ('Z', 0, true),
            ('X', 0, true),
            ('Z', 2, false),
            ('T', 1, false),
            ('D', 1, false),
        ] {
            let status = parse(line("x", state, threads).as_bytes()).unwrap();
            assert_eq!(status.ended, ended, "{state} {threads}");
        }
    }

    #[test]
    fn half_a_line_is_no_status() {
        let whole = line("name", 'S', 1);
        let needed = whole.find("4711").unwrap();
        for length in 0..needed {
            assert!(parse(&whole.as_bytes()[..length]).is_none(), "{length}");
        }
    }
}
