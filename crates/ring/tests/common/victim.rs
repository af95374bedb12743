//! Kills a process of the test's world at a failpoint: its thread stops there for ever.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Mutex, Once, mpsc};
use std::thread;
use std::time::Duration;

use rsipc_ring::failpoint::{Failpoint, set_hook};

use crate::common::Process;

struct Sentence {
    point: Failpoint,
    /// How many times it is passed unharmed.
    spared: u32,
    processes: Vec<Process>,
    told: mpsc::Sender<bool>,
    /// Whether what runs now is the victim's.
    acts: bool,
}

thread_local! {
    static SENTENCE: RefCell<Option<Sentence>> = const { RefCell::new(None) };
}

static DIED_AT: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
static HOOKED: Once = Once::new();

fn hook(point: Failpoint) {
    let executed = SENTENCE.with_borrow_mut(|sentence| match sentence {
        Some(sentence) if sentence.acts && sentence.point == point => {
            if sentence.spared == 0 {
                for process in &sentence.processes {
                    process.kill();
                }
                let mut died = DIED_AT.lock().expect("a lock");
                died.get_or_insert_default().insert(point.name());
                sentence.told.send(true).expect("a listener");
            }
            let executed = sentence.spared == 0;
            sentence.spared = sentence.spared.wrapping_sub(1);
            executed
        }
        _ => false,
    });
    if executed {
        loop {
            thread::park();
        }
    }
}

/// Runs `acts` in a thread of its own, which dies at the point when it has passed it `spared`
/// times inside of [`victim`], and all these processes with it. Answers whether it died.
pub(crate) fn dies_at(
    point: Failpoint,
    spared: u32,
    processes: Vec<Process>,
    acts: impl FnOnce() + Send + 'static,
) -> bool {
    HOOKED.call_once(|| set_hook(hook));
    let (told, answer) = mpsc::channel();
    let done = told.clone();
    let thread = thread::spawn(move || {
        SENTENCE.set(Some(Sentence {
            point,
            spared,
            processes,
            told,
            acts: false,
        }));
        acts();
        let _ = done.send(false);
    });
    match answer.recv_timeout(Duration::from_secs(30)) {
        Ok(true) => true,
        Ok(false) => {
            thread.join().expect("a thread");
            false
        }
        Err(error) => panic!("at {}: {error}", point.name()),
    }
}

/// What the process under sentence does itself.
pub(crate) fn victim<T>(acts: impl FnOnce() -> T) -> T {
    let set = |acts| {
        SENTENCE.with_borrow_mut(|sentence| {
            if let Some(sentence) = sentence {
                sentence.acts = acts;
            }
        });
    };
    set(true);
    let answer = acts();
    set(false);
    answer
}

/// The points of this list at which nobody has died yet.
pub(crate) fn spared(points: &[Failpoint]) -> Vec<&'static str> {
    let died = DIED_AT.lock().expect("a lock");
    let died = died.as_ref();
    points
        .iter()
        .map(|point| point.name())
        .filter(|name| !died.is_some_and(|died| died.contains(name)))
        .collect()
}
