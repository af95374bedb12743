//! Channels that share memory: order, blocking, waking, the switch, the end, damage.

#![cfg(target_os = "linux")]

mod both;
mod peer;

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;
use std::time::{Duration, Instant};

use both::{BUDGET, Both, End, Got, PATIENCE, envelope};
use peer::socket;
use rsipc_core::channel::{Left, Limits, Sent, Serialization};
use rsipc_core::runtime::{self, Shared};
use rsipc_ring::Region;
use rsipc_sys::shm::{Mapping, Private};
use rsipc_sys::{fd, stream};

/// Bytes of a ring.
const CAPACITY: usize = 2 * 1024 * 1024;
const STALL: Duration = Duration::from_secs(5);

fn texts(got: Vec<Got>) -> Vec<String> {
    got.into_iter()
        .map(|got| match got {
            Got::Frame(bytes) => String::from_utf8(bytes).unwrap(),
            Got::Batch(words, text, count) => {
                format!("{words:?} {} {count}", String::from_utf16_lossy(&text))
            }
            Got::Handle(frame, descriptor, problem) => {
                let frame = String::from_utf8(frame).unwrap();
                let message = frame.split_once("\"msg\":").unwrap().1;
                let what = if descriptor.is_some() {
                    "with"
                } else {
                    "without"
                };
                format!("{} {what} {problem:?}", message.trim_end_matches('}'))
            }
            Got::Problem(code) => code.to_owned(),
            other => format!("{other:?}"),
        })
        .collect()
}

fn big(length: usize) -> String {
    format!("\"{}\"", "x".repeat(length))
}

/// Fills what the child sends until it has no room left, with frames of this length.
fn fill(both: &mut Both, length: usize) -> usize {
    let text = big(length);
    let mut sent = 0;
    while both.child.frame(&text) == Sent::Written {
        sent += 1;
    }
    sent + 1
}

#[test]
fn frames_and_batches_arrive_in_the_order_of_their_sends_both_ways() {
    let mut both = Both::new();
    for turn in 0..50 {
        for end in [&mut both.parent, &mut both.child] {
            end.channel.send_slice(turn % 3 == 0, b"\"slice\"").unwrap();
            end.encoded(true, &[turn, 1], "ab");
            end.encoded(turn % 2 == 0, &[2], "\u{fc}");
            let push = |out: &mut Vec<u8>| out.extend_from_slice(b"\"pushed\"");
            end.channel.send(true, push).unwrap();
            let pieces: [&[u8]; 3] = [b"[1", b",", b"2]"];
            end.channel.send_slices(true, &pieces).unwrap();
            end.encoded(true, &[3], "\u{4e2d}");
            end.channel.flush().unwrap();
        }
        both.settle();
        for end in [&mut both.parent, &mut both.child] {
            let got = texts(end.messages());
            let joined = format!("[{turn}, 1, 2] ab\u{fc} 2");
            let apart = [format!("[{turn}, 1] ab 1"), "[2] \u{fc} 1".to_owned()];
            assert!(
                got == [
                    "\"slice\"",
                    &joined,
                    "\"pushed\"",
                    "[1,2]",
                    "[3] \u{4e2d} 1"
                ] || got
                    == [
                        "\"slice\"",
                        &apart[0],
                        &apart[1],
                        "\"pushed\"",
                        "[1,2]",
                        "[3] \u{4e2d} 1"
                    ],
                "{got:?}"
            );
        }
    }
    for end in [&both.parent, &both.child] {
        assert_eq!(end.channel.accepted(), end.channel.written());
        assert_eq!(end.channel.queued_bytes(), 0);
    }
}

#[test]
fn values_arrive_in_the_order_of_their_sends() {
    let mut both = Both::with(Serialization::Advanced, Limits::default());
    for size in [1, 100, 70_000, 3_000_000] {
        both.parent
            .channel
            .send_slice(true, &vec![7; size])
            .unwrap();
        both.parent.channel.send_slice(true, &[8]).unwrap();
        both.parent.channel.flush().unwrap();
        both.until("both arrive", |both| both.child.got.len() == 2);
        let got = both.child.messages();
        assert!(matches!(&got[0], Got::Frame(bytes) if bytes == &vec![7; size]));
        assert!(matches!(&got[1], Got::Frame(bytes) if bytes == &[8]));
    }
}

#[test]
fn messages_longer_than_the_ring_arrive_whole() {
    let mut both = Both::new();
    for size in [200_000, 5_000_000] {
        let frame = big(size);
        both.child.frame(&frame);
        let numbers: Vec<u32> = (0..size as u32 / 8).collect();
        both.child.encoded(false, &numbers, &frame);
        both.child.encoded(false, &[9], "\u{4e2d}");
        both.until("all arrive", |both| {
            let messages = |got: &Got| match got {
                Got::Batch(_, _, count) => *count,
                _ => 1,
            };
            both.parent.got.iter().map(messages).sum::<usize>() == 3
        });
        let got = both.parent.messages();
        assert!(matches!(&got[0], Got::Frame(bytes) if bytes == frame.as_bytes()));
        let (mut words, mut units) = (Vec::new(), Vec::new());
        for got in &got[1..] {
            let Got::Batch(some, text, _) = got else {
                panic!("{got:?}");
            };
            words.extend_from_slice(some);
            units.extend_from_slice(text);
        }
        assert!(words[..words.len() - 1] == numbers && words.last() == Some(&9));
        assert!(String::from_utf16(&units).unwrap() == format!("{frame}\u{4e2d}"));
    }
}

#[test]
fn a_handle_arrives_between_the_messages_it_was_sent_between() {
    let mut both = Both::new();
    for round in 0..100 {
        both.parent.encoded(true, &[round], "");
        both.parent.handle("\"a\"", socket(), true);
        both.parent.channel.send_slice(true, b"1").unwrap();
        both.parent.handle("\"b\"", socket(), false);
        both.parent.handle("\"c\"", socket(), true);
        both.parent.channel.send_slice(true, b"2").unwrap();
        both.parent.channel.flush().unwrap();
        if round % 10 == 9 {
            both.settle();
        }
    }
    both.until("all are written", |both| {
        both.parent.channel.queued_messages() == 0
    });
    both.settle();
    let got = texts(both.child.messages());
    let expected: Vec<String> = (0..100)
        .flat_map(|round| {
            [
                format!("[{round}]  1"),
                "\"a\" with None".into(),
                "1".into(),
                "\"b\" with None".into(),
                "\"c\" with None".into(),
                "2".into(),
            ]
        })
        .collect();
    assert_eq!(got, expected);
    assert_eq!(both.parent.channel.unacknowledged(), 0);
}

#[test]
fn an_end_that_looks_in_memory_alone_misses_no_handle_whose_place_it_has_come_to() {
    let mut both = Both::new();
    for round in 0..20 {
        both.parent.frame(&round.to_string());
        both.child.look();
        assert_eq!(texts(both.child.messages()), [round.to_string()]);
        both.parent.frame("1");
        both.parent.handle("\"a\"", socket(), true);
        both.parent.frame("2");
        both.child.look();
        assert_eq!(texts(both.child.messages()), ["1"]);
        both.child.look();
        let got = texts(both.child.messages());
        assert_eq!(got, ["\"a\" with None", "2"]);
        assert!(!both.child.channel.lanes_readable());
        both.settle();
    }
    assert_eq!(both.parent.channel.unacknowledged(), 0);
    both.child.channel.pause(true);
    both.parent.frame("3");
    both.child.look();
    assert_eq!(both.child.got.len(), 0);
}

#[test]
fn handles_and_messages_keep_their_order_although_the_ring_is_full() {
    let mut both = Both::new();
    both.parent.channel.pause(true);
    fill(&mut both, 30_000);
    for number in 0..300 {
        both.child.handle(&number.to_string(), socket(), true);
        both.child.frame(&number.to_string());
    }
    both.settle();
    both.parent.resume();
    both.until("all are written", |both| {
        both.child.channel.queued_messages() == 0
    });
    both.settle();
    let got: Vec<String> = texts(both.parent.messages())
        .into_iter()
        .filter(|text| text.len() < 1000)
        .collect();
    let expected: Vec<String> = (0..300)
        .flat_map(|number| [format!("{number} with None"), number.to_string()])
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn what_was_queued_before_the_switch_arrives_before_what_was_sent_after_it() {
    let mut both = Both::strangers(Serialization::Json, Limits::default());
    let mut sent = 0;
    while both.child.frame(&format!("[{sent}, {}]", big(5_000))) == Sent::Written {
        sent += 1;
    }
    for _ in 0..10 {
        both.child
            .handle(&format!("[{}]", sent + 1), socket(), true);
        sent += 1;
    }
    both.child.channel.share().unwrap();
    assert!(both.child.channel.shares());
    for number in 1..=100 {
        if number % 10 == 0 {
            both.child
                .handle(&format!("[{}]", sent + number), socket(), true);
        } else {
            both.child.frame(&format!("[{}]", sent + number));
        }
    }
    both.until("all are written", |both| {
        both.child.channel.queued_messages() == 0
    });
    both.settle();
    let numbers: Vec<usize> = texts(both.parent.messages())
        .iter()
        .map(|text| text[1..].split([',', ']']).next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..=sent + 100).collect::<Vec<_>>());
}

#[test]
fn a_blocked_writer_is_woken_by_its_reader_and_a_sleeping_reader_by_its_writer() {
    let mut both = Both::new();
    let (mut sent, mut read) = (0, 0);
    for _ in 0..20 {
        both.settle();
        assert!(!both.parent.poll(Duration::ZERO), "it does not sleep");
        sent += fill(&mut both, 50_000);
        assert!(both.child.channel.queued_messages() > 0);
        both.until("the writer goes on", |both| {
            both.child.channel.queued_messages() == 0
        });
        both.settle();
        read += both.parent.messages().len();
        assert_eq!(read, sent);
    }
}

#[test]
fn a_loop_without_anything_to_read_has_no_turns() {
    let mut both = Both::new();
    both.parent.frame("1");
    both.settle();
    let before = both.parent.turns + both.child.turns;
    for _ in 0..20 {
        both.parent.poll(Duration::from_millis(1));
        both.child.poll(Duration::from_millis(1));
    }
    assert_eq!(both.parent.turns + both.child.turns, before);
}

#[test]
fn what_is_in_the_ring_arrives_before_the_end() {
    let mut both = Both::new();
    for number in 0..1000 {
        both.child.frame(&number.to_string());
    }
    let Both {
        mut parent, child, ..
    } = both;
    drop(child);
    let begin = Instant::now();
    while !matches!(parent.got.back(), Some(Got::Ended(0))) {
        assert!(begin.elapsed() < PATIENCE);
        parent.poll(Duration::from_millis(1));
    }
    parent.got.pop_back();
    let expected: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    assert_eq!(texts(parent.messages()), expected);
}

#[test]
fn what_is_in_the_ring_arrives_before_the_end_although_the_reader_was_paused_and_full() {
    let mut both = Both::new();
    // The parent has filled its ring and waits for room; it does not read.
    let text = big(30_000);
    both.parent.channel.pause(true);
    both.child.channel.pause(true);
    while both.parent.frame(&text) == Sent::Written {}
    let mut sent = 0;
    while both.child.frame(&text) == Sent::Written {
        sent += 1;
    }
    let Both {
        mut parent, child, ..
    } = both;
    drop(child);
    for _ in 0..20 {
        parent.poll(Duration::from_millis(1));
    }
    parent.resume();
    let begin = Instant::now();
    while !matches!(parent.got.back(), Some(Got::Ended(_))) {
        assert!(begin.elapsed() < PATIENCE);
        parent.poll(Duration::from_millis(1));
    }
    let whole = |got: &Got| matches!(got, Got::Frame(bytes) if bytes.len() == text.len());
    assert!(parent.got.iter().filter(|got| whole(got)).count() >= sent);
}

#[test]
fn a_handle_whose_sender_was_killed_before_it_could_mark_its_place_is_the_last_that_arrives() {
    let mut both = Both::new();
    both.parent.channel.pause(true);
    // Frames whose records fill the ring to the last byte: the mark has no room.
    let mut sent = 0;
    while both.child.frame("\"fifteen bytes\"") == Sent::Written && sent < CAPACITY / 32 - 1 {
        sent += 1;
    }
    both.child.handle("1", socket(), false);
    assert_eq!(both.child.channel.queued_messages(), 0);
    let Both {
        mut parent, child, ..
    } = both;
    drop(child);
    parent.resume();
    let begin = Instant::now();
    while !matches!(parent.got.back(), Some(Got::Ended(0))) {
        assert!(begin.elapsed() < PATIENCE);
        parent.poll(Duration::from_millis(1));
    }
    parent.got.pop_back();
    let got = texts(parent.messages());
    assert_eq!(got.len(), CAPACITY / 32 + 1);
    assert_eq!(got[got.len() - 1], "1 with None");
}

#[test]
fn a_paused_end_goes_on_writing_when_there_is_room() {
    let mut both = Both::new();
    both.parent.channel.pause(true);
    // An answer to a handle comes by socket as well, and is kept.
    both.parent.handle("1", socket(), true);
    both.settle();
    let text = big(30_000);
    while both.parent.frame(&text) == Sent::Written {}
    for _ in 0..3 {
        both.parent.handle("2", socket(), true);
        both.parent.frame(&text);
    }
    for _ in 0..1000 {
        both.child.frame("3");
    }
    both.until("the paused end has written all", |both| {
        both.parent.channel.queued_messages() == 0
    });
    assert!(
        both.parent
            .got
            .iter()
            .all(|got| !matches!(got, Got::Frame(_)))
    );
    both.parent.resume();
    both.until("it reads again", |both| {
        both.parent.messages().len() == 1000
    });
}

#[test]
fn a_paused_end_that_waits_for_room_has_no_turns_meanwhile() {
    let mut both = Both::new();
    let text = big(30_000);
    both.parent.channel.pause(true);
    both.child.channel.pause(true);
    while both.parent.frame(&text) == Sent::Written {}
    // More handles than wait for their places.
    for _ in 0..300 {
        both.child.handle("1", socket(), false);
        both.child.channel.flush().unwrap();
        both.parent.poll(Duration::ZERO);
        both.child.poll(Duration::ZERO);
    }
    let before = both.parent.turns;
    for _ in 0..50 {
        both.parent.poll(Duration::from_millis(1));
    }
    assert!(both.parent.turns - before < 5, "it turns and turns");
    both.child.resume();
    both.parent.resume();
    both.until("all arrive", |both| both.parent.got.len() == 300);
}

#[test]
fn a_paused_end_that_is_told_of_no_room_says_so_and_writes_on_when_it_flushes() {
    let mut both = Both::new();
    let text = big(30_000);
    both.parent.channel.pause(true);
    for _ in 0..300 {
        both.parent.frame(&text);
    }
    let mut handles = 0;
    while !both.parent.channel.blind() {
        assert!(handles < 1_000, "it reads on and on");
        both.child.handle("1", socket(), false);
        handles += 1;
        // The answer comes with a little of what makes room, and more is waiting for that than there is.
        both.parent.poll(Duration::ZERO);
        both.child.turn_within(1);
    }
    // Nothing wakes it, whatever room there is.
    both.child.turn();
    both.settle();
    assert!(both.parent.channel.queued_messages() > 0);
    both.parent.channel.flush().unwrap();
    both.until("all is written", |both| {
        both.parent.channel.flush().unwrap();
        both.parent.channel.queued_messages() == 0
    });
    assert!(!both.parent.channel.blind());
    both.parent.resume();
    both.until("all arrive", |both| {
        both.parent
            .got
            .iter()
            .filter(|got| matches!(got, Got::Handle(..)))
            .count()
            == handles
    });
}

#[test]
fn what_is_sent_to_a_peer_that_is_gone_fails_before_its_end_was_read() {
    let mut both = Both::new();
    both.parent.frame("1");
    both.settle();
    let Both {
        mut parent,
        mut child,
        ..
    } = both;
    // The peer was busy: it has not asked to be woken, so nothing would be written to the socket.
    child.channel.spin(true);
    parent.frame("2");
    child.turn();
    drop(child);
    std::thread::sleep(Duration::from_millis(1));
    let sent = parent.channel.send_slice(false, b"3");
    assert_eq!(sent.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    let sent = parent.channel.send_slice(true, b"4");
    assert_eq!(sent.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    parent.turn();
    assert!(matches!(parent.got.back(), Some(Got::Ended(0))));
}

#[test]
fn two_ends_that_flush_at_once_make_room_for_each_other() {
    const COUNT: usize = 150;
    let text = big(100_000);
    for round in 0..3 {
        let mut both = Both::new();
        // The one begins with a ring full of what it has not read.
        while both.child.frame("1") == Sent::Written {}
        let flushed = AtomicUsize::new(0);
        let flush = |mut end: End, more: &str| {
            for _ in 0..COUNT {
                end.channel.send_slice(true, more.as_bytes()).unwrap();
            }
            if round == 1 {
                end.channel.pause(true);
            }
            let left = end.channel.flush_blocking(STALL);
            // It goes on reading for the one that has more to write.
            flushed.fetch_add(1, SeqCst);
            end.resume();
            while flushed.load(SeqCst) < 2 {
                end.poll(Duration::from_millis(1));
            }
            (end, left)
        };
        let Both { parent, child, .. } = both;
        let ((mut parent, left_there), (mut child, left_here)) = thread::scope(|scope| {
            let one = scope.spawn(|| flush(parent, &text));
            let other = scope.spawn(|| flush(child, &text));
            (one.join().unwrap(), other.join().unwrap())
        });
        // Something is left of what stands still for so long.
        assert_eq!((left_there, left_here), (Left::default(), Left::default()));
        for end in [&mut parent, &mut child] {
            let begin = Instant::now();
            let whole = |got: &Got| matches!(got, Got::Frame(bytes) if bytes.len() == text.len());
            while end.got.iter().filter(|got| whole(got)).count() < COUNT {
                assert!(begin.elapsed() < PATIENCE, "messages are missing");
                end.poll(Duration::from_millis(1));
            }
        }
    }
}

#[test]
fn large_texts_of_one_burst_are_no_batch_above_the_limit() {
    let limits = Limits {
        max_message_size: 1024 * 1024,
        ..Limits::default()
    };
    let mut both = Both::with(Serialization::Json, limits);
    let text = "x".repeat(900_000);
    for number in 0..20 {
        both.parent.encoded(true, &[number], &text);
    }
    let wide = "\u{4e2d}".repeat(60_000);
    for number in 0..20 {
        both.parent.encoded(true, &[number], &wide);
    }
    both.parent.channel.flush().unwrap();
    both.until("all arrive", |both| {
        both.parent.channel.queued_messages() == 0
    });
    both.settle();
    let got = both.child.messages();
    assert!(
        got.iter().all(|got| matches!(got, Got::Batch(..))),
        "{:?}",
        got.last()
    );
    let words: Vec<u32> = got
        .into_iter()
        .flat_map(|got| match got {
            Got::Batch(words, ..) => words,
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(words, (0..20).chain(0..20).collect::<Vec<_>>());
}

#[test]
fn a_message_within_the_limit_as_text_is_taken_as_numbers() {
    let limits = Limits {
        max_message_size: 300_000,
        ..Limits::default()
    };
    let mut both = Both::with(Serialization::Json, limits);
    // 100,000 numbers of two characters of JSON each; and of one character outside of Latin-1 among others.
    both.parent.encoded(false, &vec![1; 100_000], "");
    both.parent
        .encoded(false, &[1], &("x".repeat(290_000) + "\u{4e2d}"));
    both.settle();
    let got = both.child.messages();
    assert!(got.len() == 2 && got.iter().all(|got| matches!(got, Got::Batch(..))));
    both.parent.encoded(false, &[1], &"x".repeat(800_000));
    both.settle();
    assert_eq!(
        texts(both.child.messages()),
        ["ERR_RSIPC_MESSAGE_TOO_LARGE"]
    );
}

#[test]
fn the_time_of_an_incomplete_message_begins_with_that_message() {
    let mut both = Both::new();
    let text = big(100_000);
    for number in 0..8 {
        both.parent.encoded(false, &[number], &text);
    }
    let mut begun = Vec::new();
    let begin = Instant::now();
    // So much that each read ends within a message.
    while both.child.got.len() < 8 {
        assert!(begin.elapsed() < PATIENCE);
        let mut events = Vec::new();
        both.child.channel.receive(80_000, &mut events);
        both.child.got.extend(events.iter().map(|_| Got::Switched));
        begun.extend(both.child.channel.partial().map(|(since, _)| since));
        thread::sleep(Duration::from_millis(2));
    }
    begun.dedup();
    assert!(begun.len() >= 7, "one message is taken for another");
}

#[test]
fn an_offer_is_taken_once() {
    let mut both = Both::new();
    let other = Both::strangers(Serialization::Json, Limits::default());
    let copies = || {
        let copy = |at: usize| fd::duplicate(other.memory[at].file()).unwrap();
        [copy(0), copy(1)]
    };
    assert!(both.child.channel.accept_lanes(copies()).is_err());
    assert!(both.parent.channel.accept_lanes(copies()).is_err());
    let offer = envelope("fd", "1");
    assert!(both.parent.channel.offer_lanes([&offer, &offer]).is_err());
    both.parent.frame("1");
    both.child.frame("2");
    both.settle();
    assert_eq!(texts(both.child.messages()), ["1"]);
    assert_eq!(texts(both.parent.messages()), ["2"]);
}

#[test]
fn memory_that_is_none_of_ours_is_refused() {
    let strangers = || {
        let (a, b) = stream::pair().unwrap();
        (End::new(a, Serialization::Json, Limits::default()), b)
    };
    let good = Both::strangers(Serialization::Json, Limits::default());
    let copy = |mapping: &Mapping| fd::duplicate(mapping.file()).unwrap();
    let (mut end, _other) = strangers();
    let small = Mapping::anonymous("rsipc-test", 4096).unwrap();
    let empty = Mapping::anonymous("rsipc-test", 1024 * 1024).unwrap();
    let file: std::os::fd::OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let offers = [
        [copy(&small), copy(&small)],
        [copy(&empty), copy(&empty)],
        [file, copy(&empty)],
        [socket(), socket()],
        // One file twice: nobody can be at both its ends.
        [copy(&good.memory[0]), copy(&good.memory[0])],
        [copy(&good.memory[1]), copy(&good.memory[0])],
    ];
    for offer in offers {
        assert!(end.channel.accept_lanes(offer).is_err());
        assert!(end.channel.share().is_err());
    }
    assert_eq!(end.frame("1"), Sent::Written);
}

/// How large a ring the memory of a channel holds, and a look at it.
fn region(memory: &Mapping) -> Region<Mapping> {
    Region::new(memory.clone()).unwrap()
}

fn wake(both: &mut Both) {
    both.child.turn();
    both.parent.turn();
    both.settle();
}

#[test]
fn damaged_memory_is_a_problem_and_no_more() {
    use rsipc_ring::layout::{BODY, STATE};
    const TAIL: usize = BODY;
    const HEAD: usize = BODY + 128;
    const FIRST: usize = BODY + 256;
    for (at, value) in [
        (TAIL, u64::MAX),
        (TAIL, 4),
        (TAIL, 1 << 40),
        (FIRST, 0),
        (FIRST, u64::MAX),
        (FIRST, 1 << 32 | 0xFFFF_FFFF),
        (FIRST, 1 << 32),
        (FIRST, 1 << 32 | 7),
        (FIRST, 3 << 32 | 8),
        (FIRST + 8, 0),
        (FIRST + 8, 4),
        (FIRST + 8, u64::MAX),
        (STATE, 2),
        (STATE, 77),
    ] {
        let mut both = Both::new();
        both.parent.channel.pause(true);
        both.child.frame("\"a message\"");
        let spoilt = region(&both.memory[1]);
        spoilt.word(at).store(value, SeqCst);
        both.parent.resume();
        wake(&mut both);
        let got = texts(both.parent.messages());
        // What was read before the fault was found is told.
        let got: &[String] = got
            .strip_prefix(&["\"a message\"".to_owned()][..])
            .unwrap_or(&got);
        assert!(
            got == ["ERR_RSIPC_DAMAGED"] || at == STATE && got.is_empty(),
            "{at} {value:x}: {got:?}"
        );
        if !got.is_empty() {
            // Nothing more is taken from there, and the socket still is.
            both.child.turn();
            both.settle();
            assert!(both.parent.messages().is_empty());
        }
    }
    // The writer's own ring: it learns that it writes no more.
    for (at, value) in [(HEAD, 1), (HEAD, 1 << 40), (STATE, 2)] {
        let mut both = Both::new();
        let spoilt = region(&both.memory[0]);
        spoilt.word(at).store(value, SeqCst);
        let mut failed = None;
        for _ in 0..2000 {
            if let Err(error) = both
                .parent
                .channel
                .send_slice(false, big(30_000).as_bytes())
            {
                failed = Some(error);
                break;
            }
            if both.parent.channel.queued_messages() > 0 {
                both.child.turn();
                both.parent.turn();
            }
        }
        failed.expect("an error");
        let again = both.parent.channel.send_slice(false, b"1").unwrap_err();
        assert!(
            again.raw_os_error().is_some_and(|number| number > 0),
            "{again:?}"
        );
        let failure = both.parent.channel.failure().expect("remembered");
        assert!(failure.raw_os_error().is_some_and(|number| number > 0));
    }
}

#[test]
fn a_peer_that_writes_for_ever_does_not_keep_a_turn_for_ever() {
    // Records without a stretch, faster than they are read, by somebody with the child's memory.
    let both = Both::new();
    let Both {
        mut parent,
        child,
        memory,
    } = both;
    drop(child);
    let spoilt = region(&memory[1]);
    let tail = spoilt.word(rsipc_ring::layout::BODY);
    let head = spoilt.word(rsipc_ring::layout::BODY + 128);
    let first = rsipc_ring::layout::BODY + 256;
    let capacity = (memory[1].len() - first) as u64 & !0xFFFF;
    let capacity = 1 << (63 - capacity.leading_zeros());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = tail.load(SeqCst);
            while !over.load(SeqCst) {
                if at.wrapping_sub(head.load(SeqCst)) + 16 > capacity {
                    continue;
                }
                let place = first + (at & (capacity - 1)) as usize;
                spoilt.word(place).store(1 << 32 | 8, SeqCst);
                spoilt.word(place + 8).store(1, SeqCst);
                at += 16;
                tail.store(at, SeqCst);
            }
        });
        let begin = Instant::now();
        let mut events = Vec::new();
        let mut turns = 0;
        while begin.elapsed() < Duration::from_millis(300) {
            let _ = parent.channel.receive(BUDGET, &mut events);
            turns += 1;
        }
        over.store(true, SeqCst);
        assert!(turns > 3, "{turns} turns");
    });
}

#[test]
fn what_lies_on_the_stage_leaves_although_its_thread_is_busy() {
    use rsipc_core::channel::stage::{SIZE, TEXT, WORDS};
    let mut both = Both::new();
    let memory = Private::new(SIZE as u64).unwrap();
    both.parent.channel.open_stage(memory.clone()).unwrap();
    let stage = Region::new(memory).unwrap();
    let Both {
        parent, mut child, ..
    } = both;
    let shared = Shared::new(parent.channel);
    let (mut words, mut text) = (0, 0);
    for number in 1..=100u32 {
        stage.half(WORDS + words * 4).store(number, Relaxed);
        stage
            .half((TEXT + text) & !3)
            .fetch_or(u32::from(b'x') << (text % 4 * 8), Relaxed);
        words += 1;
        text += 1;
        let place = 16 + (number as usize & 1) * 16;
        for (at, value) in [words, text, number as usize].into_iter().enumerate() {
            stage.half(place + at * 4).store(value as u32, Relaxed);
        }
        stage.half(0).store(number, SeqCst);
        if stage.half(4).load(SeqCst) == 0 {
            runtime::watch_stage(&shared);
        }
        if number % 20 == 0 {
            thread::sleep(Duration::from_millis(if number == 60 { 120 } else { 3 }));
        }
    }
    let begin = Instant::now();
    let mut numbers = Vec::new();
    let mut letters = 0;
    while numbers.len() < 100 {
        assert!(begin.elapsed() < PATIENCE, "{numbers:?}");
        child.poll(Duration::from_millis(1));
        for got in child.messages() {
            let Got::Batch(words, text, _) = got else {
                panic!("{got:?}");
            };
            numbers.extend(words);
            letters += text.len();
        }
    }
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    assert_eq!(letters, 100);
    // The thread's own flush finds nothing, and begins anew.
    let mut channel = shared.lock();
    assert_eq!(channel.flush_stage().unwrap(), Sent::Written);
    assert_eq!((channel.accepted(), channel.written()), (102, 102));
}
