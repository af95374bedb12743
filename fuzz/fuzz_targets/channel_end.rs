//! One end of a channel over a real socket pair, driven by a script: sends of every kind, reads, flushes,
//! and a peer that writes frames, halves of frames, garbage and descriptors, and reads as it likes.
//!
//! Nothing panics; what leaves is what was accepted, in its order; each handle that came was answered
//! once at most; nothing told is above a limit; and no descriptor is left when it is over.

#![no_main]

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use memchr::memchr;
use rsipc_core::channel::{Channel, Event, Limits, Outgoing, Serialization};
use rsipc_core::codec::encode;
use rsipc_core::codec::envelope::{Envelope, classify};
use rsipc_core::handle::HandleType;
use rsipc_sys::{fd, rights, socket, stream};

const MAX_SIZE: usize = 4096;
const STEPS: usize = 100;
/// Enough for a handle in every step, each sent four times.
const MOST_ANSWERS: usize = 4 * STEPS;

struct Script<'a> {
    plan: Unstructured<'a>,
    serialization: Serialization,
    channel: Channel,
    peer: OwnedFd,
    /// What travels: one that Node takes for a stream, one that it does not.
    wares: [OwnedFd; 2],
    /// Payloads that were accepted, and what the peer has read.
    accepted: Vec<Vec<u8>>,
    read: Vec<u8>,
    /// Handle frames the peer has written, whole or not.
    handles_written: usize,
}

impl Script<'_> {
    fn run(&mut self) -> Result<()> {
        for _ in 0..STEPS {
            if self.plan.is_empty() {
                break;
            }
            match self.plan.int_in_range(0..=11)? {
                0..=2 => self.send()?,
                3 => self.send_handle()?,
                4 => drop(self.channel.flush()),
                5 | 6 => self.receive()?,
                7 | 8 => self.peer_writes()?,
                9 => {
                    let most = usize::from(self.plan.arbitrary::<u16>()?);
                    self.peer_reads(most);
                }
                10 => self.channel.pause(self.plan.ratio(1, 4)?),
                _ => drop(self.channel.flush_blocking(Duration::ZERO)),
            }
            self.check_counts();
        }
        Ok(())
    }

    /// The next payload: its number, and some length.
    fn payload(&mut self, kind: Option<HandleType>) -> Result<Vec<u8>> {
        let length = match self.plan.int_in_range(0..=31)? {
            0..=28 => usize::from(self.plan.arbitrary::<u8>()?),
            29 | 30 => usize::from(self.plan.arbitrary::<u16>()?),
            _ => 100_000,
        };
        let text = format!("\"{} {}\"", self.accepted.len(), "x".repeat(length));
        Ok(match kind {
            Some(kind) => envelope(self.serialization, kind.name(), &text),
            None => text.into_bytes(),
        })
    }

    fn send(&mut self) -> Result<()> {
        let payload = self.payload(None)?;
        let gather = self.plan.arbitrary()?;
        let sent = match self.plan.int_in_range(0..=2)? {
            0 => self.channel.send_slice(gather, &payload),
            1 => {
                let write = |buf: &mut Vec<u8>| buf.extend_from_slice(&payload);
                self.channel.send(gather, write)
            }
            _ => {
                let size = self.plan.int_in_range(1..=payload.len())?;
                let pieces: Vec<&[u8]> = payload.chunks(size.max(payload.len() / 300)).collect();
                self.channel.send_slices(gather, &pieces)
            }
        };
        if sent.is_ok() {
            self.accepted.push(payload);
        }
        Ok(())
    }

    fn send_handle(&mut self) -> Result<()> {
        let kind = *self.plan.choose(&HandleType::ALL)?;
        let payload = self.payload(Some(kind))?;
        let handle = Outgoing {
            descriptor: fd::duplicate(self.wares[0].as_fd()).unwrap(),
            retry: self.plan.arbitrary()?,
        };
        let write = |buf: &mut Vec<u8>| buf.extend_from_slice(&payload);
        if self.channel.send_handle(handle, write).is_ok() {
            self.accepted.push(payload);
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        let mut events = Vec::new();
        let budget = usize::from(self.plan.arbitrary::<u16>()?);
        self.channel.receive(budget, &mut events);
        for event in events {
            self.check(event);
        }
        Ok(())
    }

    fn check(&self, event: Event) {
        match event {
            Event::Messages { bytes, count } => {
                let payloads = split(self.serialization, &bytes);
                assert_eq!(payloads.len(), count, "the count of a run");
                assert!(payloads.iter().all(|payload| payload.len() <= MAX_SIZE));
                assert!(payloads.iter().all(|payload| !payload.is_empty()));
            }
            Event::Handle {
                frame,
                kind,
                descriptor,
                fd_kind,
                problem,
                ..
            } => {
                assert!(frame.len() <= MAX_SIZE);
                assert_ne!(descriptor.is_some(), problem.is_some());
                let kind = HandleType::from_name(kind).expect("a known type");
                if descriptor.is_some() {
                    assert!(kind.fits(fd_kind.expect("its kind")));
                }
            }
            Event::HandleTaken { sequence } | Event::HandleLost { sequence } => {
                assert!(sequence > 0 && sequence <= self.channel.accepted());
            }
            _ => {}
        }
    }

    fn peer_writes(&mut self) -> Result<()> {
        let bytes = match self.plan.int_in_range(0..=7)? {
            0 => encode::answer(self.serialization, true).to_vec(),
            1 => encode::answer(self.serialization, false).to_vec(),
            2..=4 => {
                let kind = *self.plan.choose(&[
                    "net.Socket",
                    "net.Server",
                    "net.Native",
                    "fd",
                    "net.Martian",
                ])?;
                let text = *self.plan.choose(&["1", "\"a\"", "null"])?;
                let mut bytes = Vec::new();
                let payload = envelope(self.serialization, kind, text);
                let write = |buf: &mut Vec<u8>| buf.extend_from_slice(&payload);
                encode::frame(self.serialization, &mut bytes, write).unwrap();
                self.handles_written += 1;
                bytes
            }
            5 => {
                let mut bytes = Vec::new();
                let length = self.plan.int_in_range(1..=2 * MAX_SIZE)?;
                let write = |buf: &mut Vec<u8>| buf.resize(buf.len() + length, b'7');
                encode::frame(self.serialization, &mut bytes, write).unwrap();
                bytes
            }
            _ => {
                let length = usize::from(self.plan.arbitrary::<u8>()?).min(self.plan.len());
                let bytes = self.plan.bytes(length)?;
                // Garbage can be the end of one envelope that was cut; count it as that.
                self.handles_written += bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
                bytes.to_vec()
            }
        };
        // In up to two parts, descriptors with the first.
        let cut = self.plan.int_in_range(0..=bytes.len())?;
        let count = self.plan.int_in_range(0..=3)?;
        let ware = self.wares[usize::from(self.plan.ratio(1, 4)?)].as_fd();
        let wares: Vec<BorrowedFd<'_>> = vec![ware; count];
        for (part, wares) in [(&bytes[..cut], &wares[..]), (&bytes[cut..], &[])] {
            if !part.is_empty() {
                // A full socket cuts what the peer says; that is a case as well.
                let _ = rights::send(self.peer.as_fd(), &[IoSlice::new(part)], wares);
            }
        }
        Ok(())
    }

    fn peer_reads(&mut self, most: usize) {
        let mut wares = Vec::new();
        let _ = rights::receive(self.peer.as_fd(), &mut self.read, most.max(1), &mut wares);
    }

    fn check_counts(&self) {
        let channel = &self.channel;
        assert_eq!(channel.accepted(), self.accepted.len() as u64);
        assert!(channel.written() <= channel.accepted());
        if channel.failure().is_none() {
            let queued = channel.accepted() - channel.written();
            assert_eq!(channel.queued_messages() as u64, queued);
            assert!(channel.queued_bytes() >= channel.queued_messages());
        }
    }

    /// The peer reads and confirms everything; then the stream is what it should be.
    fn finish(mut self) {
        self.channel.pause(false);
        if self.serialization == Serialization::Json {
            // The end of whatever the peer has begun: its answers are lines of their own.
            let _ = rights::send(self.peer.as_fd(), &[IoSlice::new(b"\n")], &[]);
        }
        let mut confirmed = 0;
        for _ in 0..10_000 {
            let before = (self.read.len(), confirmed);
            let _ = self.channel.flush();
            self.peer_reads(65_536);
            let outstanding = self.channel.unacknowledged();
            if self.read.len() == before.0 && outstanding > 0 && confirmed < MOST_ANSWERS {
                let answer = encode::answer(self.serialization, true);
                confirmed +=
                    rights::send(self.peer.as_fd(), &[IoSlice::new(answer)], &[]).map_or(0, |_| 1);
            }
            let mut events = Vec::new();
            self.channel.receive(usize::MAX, &mut events);
            for event in events {
                self.check(event);
            }
            self.check_counts();
            if (self.read.len(), confirmed) == before {
                break;
            }
        }
        self.check_stream();
        self.channel.close();
        assert_eq!(self.channel.unacknowledged(), 0);
    }

    /// What the peer has read: every accepted payload whole, in order, and answers.
    fn check_stream(&self) {
        let mut next = 0;
        let mut answers = 0;
        let mut repeatable = HashSet::new();
        for payload in split(self.serialization, &self.read) {
            match classify(self.serialization, payload) {
                Some(Envelope::Ack | Envelope::Nack) => {
                    answers += 1;
                    continue;
                }
                Some(Envelope::Handle { .. }) if !repeatable.insert(payload) => continue,
                _ => {}
            }
            assert!(
                self.accepted
                    .get(next)
                    .is_some_and(|frame| frame == payload),
                "message {next} is missing, broken or out of order"
            );
            next += 1;
        }
        assert!(
            answers <= self.handles_written,
            "a handle was answered twice"
        );
        // A peer whose garbage is taken for a frame without an end gets its answers all the same.
        if self.channel.failure().is_none() && self.channel.unacknowledged() == 0 {
            assert_eq!(next, self.accepted.len(), "something was kept back");
        }
    }
}

/// The whole frames at the front of a stream.
fn split(serialization: Serialization, stream: &[u8]) -> Vec<&[u8]> {
    let mut payloads = Vec::new();
    let mut rest = stream;
    loop {
        let (payload, after) = match serialization {
            Serialization::Json => match memchr(b'\n', rest) {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => return payloads,
            },
            Serialization::Advanced => {
                let Some((length, after)) = rest.split_first_chunk::<4>() else {
                    return payloads;
                };
                let length = u32::from_be_bytes(*length) as usize;
                match after.split_at_checked(length) {
                    Some(found) => found,
                    None => return payloads,
                }
            }
        };
        payloads.push(payload);
        rest = after;
    }
}

/// An envelope around JSON text, or around a string of it in V8's format.
fn envelope(serialization: Serialization, kind: &str, text: &str) -> Vec<u8> {
    if serialization == Serialization::Json {
        return format!(r#"{{"cmd":"NODE_HANDLE","type":"{kind}","msg":{text}}}"#).into_bytes();
    }
    let mut bytes = b"\xff\x0fo".to_vec();
    for word in ["cmd", "NODE_HANDLE", "type", kind, "msg", text] {
        bytes.push(b'"');
        let mut length = word.len();
        while length > 0x7f {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes.extend_from_slice(b"{\x03");
    bytes
}

fn open_descriptors() -> usize {
    fs::read_dir("/dev/fd").map_or(0, Iterator::count)
}

fuzz_target!(|input: &[u8]| {
    let before = open_descriptors();
    let (ours, peer) = stream::pair().unwrap();
    stream::set_nonblocking(peer.as_fd(), true).unwrap();
    let mut plan = Unstructured::new(input);
    let flags: u8 = plan.arbitrary().unwrap_or_default();
    if flags & 2 != 0 {
        stream::set_buffers(ours.as_fd(), 1).unwrap();
    }
    let serialization = if flags & 1 == 0 {
        Serialization::Json
    } else {
        Serialization::Advanced
    };
    let limits = Limits {
        max_message_size: MAX_SIZE,
        max_depth: 8,
        max_waiting_descriptors: 4,
        ..Limits::default()
    };
    let mut script = Script {
        plan,
        serialization,
        channel: Channel::new(ours, serialization, limits).unwrap(),
        peer,
        wares: [
            socket::unconnected(true).unwrap(),
            File::open("/dev/null").unwrap().into(),
        ],
        accepted: Vec::new(),
        read: Vec::new(),
        handles_written: 0,
    };
    // A script that is too short ends in the middle.
    let _ = script.run();
    script.finish();
    assert_eq!(open_descriptors(), before, "descriptors are left over");
});
