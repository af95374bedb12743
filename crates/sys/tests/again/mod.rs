//! This test binary once more, as another process: a test that finds itself in a role plays it
//! instead of testing.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

const ROLE: &str = "RSIPC_TEST_ROLE";
const MARK: &str = "\u{1}";

/// The role this process was started in.
pub(crate) fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// A command that runs the test `test` of this binary in `role`.
pub(crate) fn command(test: &str, role: &str) -> Command {
    wrapped(&[], test, role)
}

/// As [`command`], with a program and its arguments in front.
pub(crate) fn wrapped(wrapper: &[&str], test: &str, role: &str) -> Command {
    let program = env::current_exe().unwrap();
    let mut words = wrapper.iter();
    let mut command = match words.next() {
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    };
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Tells the process that started this one.
pub(crate) fn tell(text: &str) {
    let mut out = std::io::stdout().lock();
    // The harness has begun a line of its own.
    writeln!(out, "\n{MARK}{text}").unwrap();
    out.flush().unwrap();
}

/// Waits until the process that started this one says something or is gone.
pub(crate) fn listen() -> Option<String> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(1..) => Some(line.trim_end().to_owned()),
        _ => None,
    }
}

/// A process of this binary; killed and reaped with this value.
pub(crate) struct Player {
    child: Child,
    heard: std::io::Lines<BufReader<std::process::ChildStdout>>,
    said: ChildStdin,
}

impl Player {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Player {
        let mut child = command.spawn().unwrap();
        let heard = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = child.stdin.take().unwrap();
        Player { child, heard, said }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The next thing it tells; `None` when it has ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        loop {
            let line = self.heard.next()?.ok()?;
            if let Some(text) = line.strip_prefix(MARK) {
                return Some(text.to_owned());
            }
        }
    }

    /// Says a line to it.
    pub(crate) fn say(&mut self, text: &str) {
        // It may have ended meanwhile.
        let _ = writeln!(self.said, "{text}");
    }

    /// Ends it with SIGKILL, without asking how it ended: it stays a zombie.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Hears it out and waits until it ends; whether it succeeded.
    pub(crate) fn end(mut self) -> bool {
        while self.hear().is_some() {}
        self.child.wait().unwrap().success()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `condition` holds; panics when it takes longer than any machine would.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !condition() {
        assert!(begin.elapsed().as_secs() < 30, "still not: {what}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Whether this process may make namespaces and mount; says on stderr what is not tested if not.
pub(crate) fn may_unshare(what: &str) -> bool {
    let allowed = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--mount-proc", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !allowed {
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "NOT TESTED, no privilege to unshare: {what}");
    }
    allowed
}

/// A directory of mode 0700 in memory, removed with this value.
pub(crate) struct Scratch(std::path::PathBuf);

impl Scratch {
    /// A new one, empty.
    pub(crate) fn new() -> Scratch {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let shm = std::path::PathBuf::from("/dev/shm");
        let parent = if shm.is_dir() { shm } else { env::temp_dir() };
        let path = parent.join(format!("rsipc-test-{}-{next}", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).unwrap();
        Scratch(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }

    /// What is in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
