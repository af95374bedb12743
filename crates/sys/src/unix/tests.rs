//! What the platform promises, checked on the real thing.

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::fd::{Kind, adopt, duplicate, duplicate_raw, inherited, kind};
use super::wait::{Interest, ready};
use super::{rights, stream};

fn close_on_exec(fd: BorrowedFd<'_>) -> bool {
    let flags = FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD).unwrap());
    flags.contains(FdFlag::FD_CLOEXEC)
}

#[test]
fn kinds_are_told_apart() {
    let (a, _b) = stream::pair().unwrap();
    let pipe = nix::unistd::pipe().unwrap();
    let directory = std::env::temp_dir();
    let path = directory.join(format!("rsipc-kinds-{}", std::process::id()));
    let file = File::create(&path).unwrap();
    let listener = UnixListener::bind(path.with_extension("sock")).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(path.with_extension("sock")).unwrap();
    let table: Vec<(Kind, OwnedFd)> = vec![
        (Kind::Pipe, a),
        (Kind::Pipe, listener.into()),
        (Kind::Fifo, pipe.0),
        (Kind::Fifo, pipe.1),
        (Kind::Tcp, TcpListener::bind("127.0.0.1:0").unwrap().into()),
        (Kind::Udp, UdpSocket::bind("127.0.0.1:0").unwrap().into()),
        (Kind::UnixDatagram, UnixDatagram::unbound().unwrap().into()),
        (Kind::File, file.into()),
        (Kind::Directory, File::open(&directory).unwrap().into()),
        (Kind::CharDevice, File::open("/dev/null").unwrap().into()),
    ];
    for (expected, fd) in table {
        assert_eq!(kind(fd.as_fd()), expected);
    }
}

#[test]
fn duplicates_are_close_on_exec_and_never_standard_streams() {
    let (a, _b) = stream::pair().unwrap();
    for copy in [
        duplicate(a.as_fd()).unwrap(),
        duplicate_raw(a.as_raw_fd()).unwrap(),
    ] {
        assert!(close_on_exec(copy.as_fd()) && copy.as_raw_fd() > 2);
    }
    assert!(close_on_exec(a.as_fd()));
}

#[test]
fn a_number_that_is_no_descriptor_is_refused() {
    for raw in [-1, i32::MAX, 1_000_000] {
        assert_eq!(adopt(raw).unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(
            duplicate_raw(raw).unwrap_err().raw_os_error(),
            Some(libc::EBADF)
        );
    }
}

#[test]
fn the_most_descriptors_a_message_can_carry_all_arrive_and_one_more_is_refused() {
    let (a, b) = stream::pair().unwrap();
    let file = File::open("/dev/null").unwrap();
    let rights = vec![file.as_fd(); rights::MAX_RIGHTS + 1];
    let bufs = [IoSlice::new(b"x")];
    assert!(rights::send(a.as_fd(), &bufs, &rights).is_err());
    assert_eq!(rights::send(a.as_fd(), &bufs, &rights[1..]).unwrap(), 1);
    let (mut buf, mut fds) = (Vec::new(), Vec::new());
    let received = rights::receive(b.as_fd(), &mut buf, 10, &mut fds).unwrap();
    assert_eq!(
        received,
        rights::Received {
            bytes: 1,
            truncated: false
        }
    );
    assert_eq!(fds.len(), rights::MAX_RIGHTS);
    assert!(
        fds.iter()
            .all(|fd| close_on_exec(fd.as_fd()) && kind(fd.as_fd()) == Kind::CharDevice)
    );
}

#[test]
fn a_closed_peer_is_an_error_and_not_a_signal() {
    let (a, b) = stream::pair().unwrap();
    drop(b);
    let error = stream::send(a.as_fd(), &[IoSlice::new(b"x")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let mut buf = Vec::new();
    assert_eq!(
        rights::receive(a.as_fd(), &mut buf, 10, &mut Vec::new())
            .unwrap()
            .bytes,
        0
    );
}

#[test]
fn received_bytes_are_appended_and_no_more_than_asked_for() {
    let (a, b) = stream::pair().unwrap();
    stream::send(
        a.as_fd(),
        &[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cd")],
    )
    .unwrap();
    let mut buf = b"> ".to_vec();
    rights::receive(b.as_fd(), &mut buf, 3, &mut Vec::new()).unwrap();
    assert_eq!(buf, b"> abc");
}

#[test]
fn waiting_ends_with_the_deadline_with_readiness_or_with_the_peer() {
    let (a, b) = stream::pair().unwrap();
    let readable = Interest {
        readable: true,
        writable: false,
    };
    let begin = Instant::now();
    let timeout = Duration::from_micros(20_500);
    assert_eq!(
        ready(b.as_fd(), readable, Some(timeout)).unwrap(),
        Interest::default()
    );
    assert!(begin.elapsed() >= timeout);
    let both = Interest {
        readable: true,
        writable: true,
    };
    let writable = Interest {
        readable: false,
        writable: true,
    };
    assert_eq!(ready(b.as_fd(), both, None).unwrap(), writable);
    File::from(duplicate(a.as_fd()).unwrap())
        .write_all(b"x")
        .unwrap();
    assert_eq!(ready(b.as_fd(), both, None).unwrap(), both);
    drop(a);
    assert!(
        ready(b.as_fd(), Interest::default(), None)
            .unwrap()
            .readable
    );
}

#[test]
fn the_parent_must_be_the_parent() {
    let error = super::process::die_with(std::process::id()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ESRCH));
    assert!(super::process::die_with(u32::MAX).is_err());
}

#[test]
fn what_was_opened_here_was_not_inherited() {
    let (a, _b) = stream::pair().unwrap();
    assert_eq!(inherited(a.as_raw_fd()).unwrap(), None);
    fcntl(a.as_fd(), FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    assert_eq!(inherited(a.as_raw_fd()).unwrap(), Some(Kind::Pipe));
    for raw in [-1, 1_000_000] {
        let error = inherited(raw).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }
}

#[test]
fn a_descriptor_is_handed_down_under_its_number_and_closed_with_the_command() {
    use std::io::Read;
    use std::process::{Command, Stdio};
    for same in [false, true] {
        let (ours, theirs) = stream::pair().unwrap();
        let raw = theirs.as_raw_fd();
        // A shell takes redirections to numbers of one digit only.
        let (number, script) = if same {
            (raw, "ls /dev/fd/")
        } else {
            (9, "echo here >&9; ls /dev/fd/")
        };
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        super::process::hand_down(&mut command, theirs, number);
        let child = command.spawn().unwrap();
        drop(command);
        let output = child.wait_with_output().unwrap();
        let listing = String::from_utf8(output.stdout).unwrap();
        assert!(
            listing.lines().any(|line| line == number.to_string()),
            "{listing}"
        );
        let mut received = String::new();
        File::from(ours).read_to_string(&mut received).unwrap();
        assert_eq!(received, if same { "" } else { "here\n" });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_clock_that_processes_share_goes_on() {
    use super::shared;
    let begin = shared::now_ms();
    std::thread::sleep(Duration::from_millis(5));
    assert!(shared::now_ms() >= begin + 5);
}
