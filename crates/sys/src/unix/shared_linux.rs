//! Linux: processes in `/proc`, futexes, memory files that are sealed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::process;

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
