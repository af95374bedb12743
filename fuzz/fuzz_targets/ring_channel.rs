//! Two channels that share memory, driven by a script: sends of every kind, turns with any budget, pauses,
//! flushes, the switch at any moment, and, in half of the scripts, words of the memory that somebody spoils.
//!
//! Nothing panics and nothing goes on for ever. Unless the memory was spoilt, everything arrives in order and
//! once when both loops have had their turns. No descriptor is left when it is over.

#![no_main]

use std::fs::{self, File};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rsipc_core::channel::{Limits, Serialization};
use rsipc_ring::Region;
use rsipc_ring::layout::BODY;
use rsipc_sys::shm::Mapping;

#[path = "../../crates/core/tests/both/mod.rs"]
mod both;

use both::{Both, End, Got};

const STEPS: usize = 120;

/// One direction: what was sent, and what has come of it.
#[derive(Default)]
struct Stream {
    sent: u32,
    next: u32,
}

struct Script<'a> {
    plan: Unstructured<'a>,
    both: Both,
    memory: [Region<Mapping>; 2],
    /// By the sender: the parent's first.
    streams: [Stream; 2],
    spoils: bool,
    spoilt: bool,
}

fn end(both: &mut Both, index: usize) -> &mut End {
    match index {
        0 => &mut both.parent,
        _ => &mut both.child,
    }
}

fn number_of(text: &str) -> u32 {
    let digits = text.trim_start_matches('[');
    let end = digits
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().expect("a number")
}

impl Script<'_> {
    fn run(&mut self) -> Result<()> {
        for _ in 0..STEPS {
            if self.plan.is_empty() {
                break;
            }
            let index = usize::from(self.plan.arbitrary::<bool>()?);
            match self.plan.int_in_range(0..=15)? {
                0..=5 => self.send(index)?,
                6 => drop(end(&mut self.both, index).channel.flush()),
                7..=9 => {
                    end(&mut self.both, index).poll(Duration::ZERO);
                }
                10 => {
                    let budget = usize::from(self.plan.arbitrary::<u16>()?);
                    end(&mut self.both, index).turn_within(budget);
                }
                11 => end(&mut self.both, index).channel.pause(true),
                12 => end(&mut self.both, index).resume(),
                13 => drop(
                    end(&mut self.both, index)
                        .channel
                        .flush_blocking(Duration::ZERO),
                ),
                14 => {
                    // The parent answers the child's.
                    let _ = self.both.child.channel.share();
                }
                _ if self.spoils => self.spoil(index)?,
                _ => {}
            }
            self.look(index);
        }
        Ok(())
    }

    fn send(&mut self, index: usize) -> Result<()> {
        let number = self.streams[index].sent;
        let length = match self.plan.int_in_range(0..=31)? {
            0..=26 => usize::from(self.plan.arbitrary::<u8>()?),
            27..=30 => usize::from(self.plan.arbitrary::<u16>()?),
            _ => 700_000,
        };
        let gather = self.plan.arbitrary()?;
        let kind = self.plan.int_in_range(0..=7)?;
        let sender = end(&mut self.both, index);
        let channel = &mut sender.channel;
        let text = format!("[{number},\"{}\"]", "x".repeat(length));
        let sent = match kind {
            0 => {
                let descriptor = File::open("/dev/null").unwrap().into();
                let payload = both::envelope("fd", &number.to_string());
                let handle = rsipc_core::channel::Outgoing {
                    descriptor,
                    retry: false,
                };
                channel.send_handle(handle, |out| out.extend_from_slice(&payload))
            }
            1..=4 if channel.shares() => {
                let letter = if kind == 1 { "\u{4e2d}" } else { "\u{fc}" };
                let text = letter.repeat(length);
                let words = [number.to_le_bytes(), (length as u32).to_le_bytes()].concat();
                let units = text.encode_utf16().count();
                channel.send_encoded(gather, &words, units, |out| out.extend(text.encode_utf16()))
            }
            5 => {
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(1 + length / 3).collect();
                channel.send_slices(gather, &pieces)
            }
            6 => channel.send(gather, |out| out.extend_from_slice(text.as_bytes())),
            _ => channel.send_slice(gather, text.as_bytes()),
        };
        if sent.is_ok() {
            self.streams[index].sent += 1;
        } else {
            assert!(self.spoilt, "a write that failed");
        }
        Ok(())
    }

    /// Writes a word into the memory: positions, heads of records, doorbells, the table, anything.
    fn spoil(&mut self, index: usize) -> Result<()> {
        let memory = &self.memory[index];
        let at = match self.plan.int_in_range(0..=5)? {
            0 => BODY,
            1 => BODY + 128,
            2 => BODY + 256 + usize::from(self.plan.arbitrary::<u8>()?) * 8,
            3 => usize::from(self.plan.arbitrary::<u16>()?) % (BODY + 256) / 8 * 8,
            _ => {
                // Where the next record begins.
                let position = memory.word(BODY + 128).load(SeqCst) as usize;
                BODY + 256
                    + position % (memory.size() - BODY - 256 - 64) / 8 * 8
                    + 8 * self.plan.int_in_range(0..=4)?
            }
        };
        let old = memory.word(at).load(SeqCst);
        let value = match self.plan.int_in_range(0..=4)? {
            0 => old ^ 1 << self.plan.int_in_range(0..=63)?,
            1 => old.wrapping_add(u64::from(self.plan.arbitrary::<u16>()?) * 8),
            2 => old.wrapping_sub(u64::from(self.plan.arbitrary::<u16>()?) * 8),
            3 => 1 << 32 | u64::from(self.plan.arbitrary::<u32>()?),
            _ => self.plan.arbitrary()?,
        };
        memory.word(at).store(value, SeqCst);
        self.spoilt = true;
        Ok(())
    }

    /// Looks at what an end has been told.
    fn look(&mut self, index: usize) {
        let received = std::mem::take(&mut end(&mut self.both, index).got);
        for got in received {
            if matches!(got, Got::Switched) {
                let _ = end(&mut self.both, index).channel.share();
                continue;
            }
            if self.spoilt {
                continue;
            }
            let stream = &mut self.streams[1 - index];
            let mut arrived = |number: u32| {
                assert_eq!(number, stream.next, "the order of messages");
                stream.next += 1;
            };
            match got {
                Got::Frame(bytes) => {
                    let text = String::from_utf8(bytes).expect("text");
                    assert!(text.ends_with("\"]"));
                    arrived(number_of(&text));
                }
                Got::Batch(words, text, count) => {
                    assert_eq!(words.len(), 2 * count);
                    let lengths = words.iter().skip(1).step_by(2);
                    assert_eq!(lengths.sum::<u32>() as usize, text.len());
                    words.iter().step_by(2).for_each(|number| arrived(*number));
                }
                Got::Handle(frame, descriptor, problem) => {
                    assert!(descriptor.is_some() && problem.is_none());
                    let text = String::from_utf8(frame).expect("text");
                    let message = text.split_once("\"msg\":").expect("a message").1;
                    arrived(number_of(message));
                }
                Got::Taken(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Both loops have their turns until neither has one to take; then everything is there.
    fn finish(mut self) {
        for index in [0, 1] {
            end(&mut self.both, index).resume();
        }
        for _ in 0..100_000 {
            for index in [0, 1] {
                // What was gathered leaves at the end of a tick.
                let _ = end(&mut self.both, index).channel.flush();
            }
            let one = self.both.parent.poll(Duration::ZERO);
            let other = self.both.child.poll(Duration::ZERO);
            self.look(0);
            self.look(1);
            if !one && !other {
                break;
            }
            assert!(
                !self.spoilt || self.both.parent.turns < 50_000,
                "turns without end"
            );
        }
        if !self.spoilt {
            for index in [0, 1] {
                let stream = &self.streams[index];
                assert_eq!(stream.next, stream.sent, "messages that did not arrive");
                let channel = &end(&mut self.both, index).channel;
                assert_eq!((channel.queued_messages(), channel.queued_bytes()), (0, 0));
                assert_eq!(channel.unacknowledged(), 0);
            }
        }
    }
}

fn open_descriptors() -> usize {
    fs::read_dir("/dev/fd").map_or(0, Iterator::count)
}

fuzz_target!(|input: &[u8]| {
    let before = open_descriptors();
    let mut plan = Unstructured::new(input);
    let spoils = plan.arbitrary().unwrap_or_default();
    let both = Both::strangers(Serialization::Json, Limits::default());
    let memory = both
        .memory
        .clone()
        .map(|memory| Region::new(memory).unwrap());
    let mut script = Script {
        plan,
        both,
        memory,
        streams: Default::default(),
        spoils,
        spoilt: false,
    };
    script.both.settle();
    // The answers to the offer.
    script.both.parent.got.clear();
    let _ = script.run();
    script.finish();
    assert_eq!(open_descriptors(), before, "descriptors are left over");
});
