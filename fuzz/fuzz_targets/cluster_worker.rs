//! A worker of a cluster that says anything: the primary neither panics nor loses a connection. What the
//! worker has not adopted comes to an honest one.
//!
//! The input is a plan: replies that are right, late, doubled or to nobody, loads, and raw bytes.

#![no_main]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use rsipc_core::channel::{Channel, Event, Limits, Serialization};
use rsipc_core::cluster::{Announcement, FIRST_SEQUENCE, Primary, Seat};
use rsipc_core::runtime::Shared;
use rsipc_sys::claim;

const WATCHDOG: Duration = Duration::from_secs(15);

struct World {
    primary: Primary,
    listener: u32,
    port: u16,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let primary = Primary::new().expect("a primary");
        let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = socket.local_addr().expect("an address").port();
        let announcement = Announcement {
            before: br#"{"cmd":"NODE_HANDLE","type":"net.Native","msg":{"seq":"#.to_vec(),
            after: b"}}".to_vec(),
        };
        let listener = primary
            .listen(socket.into(), [announcement.clone(), announcement], false)
            .expect("listen");
        World {
            primary,
            listener,
            port,
        }
    })
}

struct Worker {
    id: u32,
    channel: Channel,
    seat: Arc<Seat>,
    got: Vec<(u64, OwnedFd)>,
}

impl Worker {
    fn new(world: &World) -> Worker {
        static IDS: AtomicU32 = AtomicU32::new(1);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let (ours, theirs) = rsipc_sys::stream::pair().expect("a pair");
        let end = |fd| Channel::new(fd, Serialization::Json, Limits::default()).expect("a channel");
        let seat = world
            .primary
            .seat(id, Shared::new(end(ours)), Serialization::Json)
            .expect("a seat");
        world.primary.claims(id); // else a connection is not kept for long that nobody touches
        world.primary.add(world.listener, id);
        Worker {
            id,
            channel: end(theirs),
            seat,
            got: Vec::new(),
        }
    }

    fn read(&mut self) {
        let mut events = Vec::new();
        self.channel.receive(usize::MAX, &mut events);
        for event in events {
            if let Event::Handle {
                frame,
                descriptor: Some(descriptor),
                ..
            } = event
            {
                let text = String::from_utf8(frame).expect("text");
                let (_, number) = text.rsplit_once("\"seq\":").expect("a number");
                let number = number.trim_end_matches('}').parse().expect("a number");
                let _ = claim::take(descriptor.as_raw_fd(), number);
                self.got.push((number, descriptor));
            }
        }
    }

    fn say(&mut self, text: &[u8]) {
        let _ = self.channel.send_slice(false, text);
    }

    fn answer(&mut self, number: u64, accepted: bool) {
        let reply =
            format!(r#"{{"cmd":"NODE_CLUSTER","ack":{number},"accepted":{accepted},"seq":0}}"#);
        self.say(reply.as_bytes());
    }
}

fn until(what: &str, mut found: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !found() {
        assert!(begin.elapsed() < WATCHDOG, "{what} has not happened");
        std::thread::yield_now();
    }
}

fn act(plan: &mut Unstructured<'_>, worker: &mut Worker, accepted: &mut usize) -> Result<()> {
    match plan.int_in_range(0..=6)? {
        0 | 1 if !worker.got.is_empty() => {
            let number = worker.got[plan.choose_index(worker.got.len())?].0;
            let accepts = plan.arbitrary()?;
            *accepted += usize::from(accepts);
            worker.answer(number, accepts);
        }
        2 => {
            let number = FIRST_SEQUENCE.wrapping_add(plan.arbitrary()?);
            worker.answer(number, plan.arbitrary()?);
            *accepted += 1; // it may have guessed one
        }
        3 => {
            let load: u64 = plan.arbitrary()?;
            let load = format!(r#"{{"cmd":"NODE_RSIPC_CLUSTER","act":"load","load":{load}}}"#);
            worker.say(load.as_bytes());
        }
        4 => {
            let length = usize::from(plan.arbitrary::<u8>()?).min(plan.len());
            let bytes = plan.bytes(length)?.to_vec();
            worker.say(&bytes);
        }
        5 => world().primary.pause(worker.id, plan.arbitrary()?),
        _ => worker.read(),
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    let world = world();
    let mut plan = Unstructured::new(input);
    let mut liar = Worker::new(world);
    let clients: [TcpStream; 3] =
        std::array::from_fn(|_| TcpStream::connect(("127.0.0.1", world.port)).expect("connect"));
    until("a connection", || {
        liar.read();
        !liar.got.is_empty()
    });
    let mut accepted = 0;
    while !plan.is_empty() && act(&mut plan, &mut liar, &mut accepted).is_ok() {}
    world.primary.read_to_end(liar.id, &liar.seat);
    let (adopted, _) = world.primary.counts(liar.id);
    assert!(adopted as usize <= accepted);
    let mut events = Vec::new();
    liar.seat.take(&mut events);
    world.primary.unseat(liar.id);
    drop(liar);
    // Nothing was touched, so an honest worker gets it all.
    let mut honest = Worker::new(world);
    let mut waiting: Vec<TcpStream> = clients.into();
    for client in &waiting {
        client.set_nonblocking(true).expect("a socket");
    }
    until("every client's answer", || {
        honest.read();
        for (number, connection) in std::mem::take(&mut honest.got) {
            TcpStream::from(connection).write_all(b"!").expect("write");
            honest.answer(number, true);
        }
        waiting.retain_mut(|client| client.read(&mut [0]).is_err());
        waiting.is_empty()
    });
    world.primary.unseat(honest.id);
});
