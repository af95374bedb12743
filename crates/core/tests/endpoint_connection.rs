//! Connections without sockets: whatever pieces the bytes come in, the same is told; and over a socket pair, with
//! descriptors.

#![cfg(unix)]

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use rsipc_core::Error;
use rsipc_core::endpoint::{Connection, Driver, Event, Flushed, Framing, Kind, Limits, Scratch};

const FRAMINGS: [Framing; 4] = [Framing::Text, Framing::Bytes, Framing::Lines, Framing::Lsp];

fn limits() -> Limits {
    Limits {
        max_message_size: 100_000,
        ..Limits::default()
    }
}

/// What the events say, with runs of one kind joined as a reader would read them.
fn told(events: Vec<Event>) -> Vec<(String, Vec<u8>)> {
    let mut told: Vec<(String, Vec<u8>)> = Vec::new();
    for event in events {
        let (name, bytes) = match event {
            Event::Run { kind, bytes } => (format!("{kind:?}"), bytes),
            Event::Large { kind, bytes } => {
                let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
                framed.extend_from_slice(&bytes);
                (format!("{kind:?}"), framed)
            }
            Event::Hello(said) => ("hello".into(), said),
            Event::Bye(reason) => ("bye".into(), reason),
            Event::Problem(error) => (error.code().into(), Vec::new()),
            Event::Ended { truncated } => (format!("ended {truncated}"), Vec::new()),
            Event::Handles { bytes, .. } => ("handles".into(), bytes),
        };
        match told.last_mut() {
            Some((last, joined)) if *last == name && name != "hello" => joined.extend(bytes),
            _ => told.push((name, bytes)),
        }
    }
    told
}

fn session(framing: Framing) -> Vec<u8> {
    let mut sender = Connection::new(framing, limits());
    sender.hello(br#"{"codec":"json"}"#);
    let long = format!("\"{}\"\n", "x".repeat(40_000));
    for text in ["1\n2\n", "{\"a\":[]}\n", &long, "\"end\"\n"] {
        let sent = sender.send(Kind::Message, |out| out.extend_from_slice(text.as_bytes()));
        assert_eq!(sent, Ok(()));
    }
    if framing.is_own() {
        let sent = sender.send(Kind::Request, |out| out.extend_from_slice(b"[1,\"a\",0]\n"));
        assert_eq!(sent, Ok(()));
        assert_eq!(sender.send(Kind::Bye, |_| {}), Ok(()));
    }
    sender.take_outbox()
}

fn read(framing: Framing, pieces: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
    let mut receiver = Connection::new(framing, limits());
    let mut events = Vec::new();
    for piece in pieces {
        receiver.feed(piece, &mut events);
    }
    receiver.end(&mut events);
    told(events)
}

#[test]
fn a_stream_cut_in_two_anywhere_says_the_same() {
    for framing in FRAMINGS {
        let bytes = session(framing);
        let whole = read(framing, &[&bytes]);
        assert_eq!(whole.last().map(|(name, _)| name.as_str()), Some("ended 0"));
        let cuts = (0..400).chain((400..bytes.len() - 400).step_by(997));
        for cut in cuts.chain(bytes.len() - 400..bytes.len()) {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(read(framing, &[a, b]), whole, "{framing:?} cut at {cut}");
        }
    }
}

#[test]
fn a_stream_byte_by_byte_says_the_same() {
    for framing in FRAMINGS {
        let bytes = session(framing);
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(
            read(framing, &pieces),
            read(framing, &[&bytes]),
            "{framing:?}"
        );
    }
}

#[test]
fn a_stream_that_ends_early_says_how_much_of_a_frame_there_was() {
    for framing in FRAMINGS {
        let bytes = session(framing);
        let whole = read(framing, &[&bytes]);
        for end in 0..bytes.len().min(200) {
            let said = read(framing, &[&bytes[..end]]);
            let ended = said
                .last()
                .map(|(name, _)| name.clone())
                .unwrap_or_default();
            let truncated: usize = ended.trim_start_matches("ended ").parse().unwrap();
            assert!(truncated <= end, "{framing:?} {end}");
            assert!(said.len() <= whole.len());
        }
    }
}

#[test]
fn limits_are_checked_before_memory_is_taken() {
    let mut receiver = Connection::new(Framing::Bytes, limits());
    let mut events = Vec::new();
    receiver.feed(b"rsipc/1 {}\n", &mut events);
    for (length, good) in [
        (100_000u32, true),
        (100_001, false),
        (1 << 31, false),
        (u32::MAX, false),
    ] {
        let mut one = Connection::new(Framing::Bytes, limits());
        let mut events = Vec::new();
        one.feed(b"rsipc/1 {}\n", &mut events);
        let [a, b, c, d] = length.to_le_bytes();
        one.feed(&[a, b, c, d, 1, 0], &mut events);
        assert_eq!(events.len() == 1, good, "{length}");
        assert_eq!(one.is_over(), !good);
    }
    assert_eq!(receiver.partial(), 0);
}

#[test]
fn nothing_is_read_behind_a_problem() {
    let mut receiver = Connection::new(Framing::Text, limits());
    let mut events = Vec::new();
    receiver.feed(b"GET / HTTP/1.1\r\n", &mut events);
    receiver.feed(b"rsipc/1 {}\n", &mut events);
    assert_eq!(
        told(events),
        [("ERR_RSIPC_NOT_RSIPC".to_owned(), Vec::new())]
    );
    assert!(receiver.is_over());
}

#[test]
fn nothing_is_read_behind_a_problem_in_a_payload_that_came_in_pieces() {
    let mut stream = b"rsipc/1 {}\n".to_vec();
    let deep = [vec![b'['; 600], vec![b']'; 600], vec![b'\n']].concat();
    stream.extend_from_slice(&rsipc_core::endpoint::frame_head(
        Kind::Message,
        0,
        deep.len() as u32,
    ));
    let cut = stream.len() + 100;
    stream.extend_from_slice(&deep);
    stream.extend_from_slice(&[0xff; 6]); // the head of a frame that is too long
    let (first, second) = stream.split_at(cut);
    let problems = |told: Vec<(String, Vec<u8>)>| -> Vec<String> {
        told.into_iter()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("ERR"))
            .collect()
    };
    for pieces in [&[&stream[..]][..], &[first, second]] {
        assert_eq!(
            problems(read(Framing::Text, pieces)),
            ["ERR_RSIPC_TOO_DEEP"]
        );
    }
}

#[test]
fn a_run_may_be_longer_than_a_message_and_no_text_in_it() {
    let text = |length: usize| [vec![b'1'; length - 1], vec![b'\n']].concat();
    let run = |texts: &[Vec<u8>]| {
        let payload = texts.concat();
        let mut stream = b"rsipc/1 {}\n".to_vec();
        stream.extend(rsipc_core::endpoint::frame_head(
            Kind::Message,
            0,
            payload.len() as u32,
        ));
        stream.extend(payload);
        stream
    };
    let most = limits().max_message_size;
    let fits = vec![text(most), text(2), text(most)];
    let all = ("Message".to_owned(), fits.concat());
    let good = run(&fits);
    let bad = run(&[fits, vec![text(most + 1), text(2)]].concat());
    let too_long = run(&vec![text(1024); 513]);
    for cut in [0, 20, 150_000, 200_000] {
        let pieces = |stream: &[u8]| {
            let (first, second) = stream.split_at(cut);
            read(Framing::Text, &[first, second])
        };
        assert_eq!(
            pieces(&good)[1..],
            [all.clone(), ("ended 0".to_owned(), vec![])][..]
        );
        let told = pieces(&bad);
        assert_eq!(told[1], all);
        assert_eq!(told[2].0, "ERR_RSIPC_MESSAGE_TOO_LARGE");
        assert_eq!(pieces(&too_long)[1].0, "ERR_RSIPC_MESSAGE_TOO_LARGE");
    }
}

#[test]
fn one_pong_answers_any_number_of_pings() -> Result<(), Error> {
    let mut sender = Connection::new(Framing::Text, limits());
    sender.hello(b"{}");
    for _ in 0..1_000 {
        sender.send(Kind::Ping, |_| {})?;
    }
    let mut receiver = Connection::new(Framing::Text, limits());
    let mut events = Vec::new();
    receiver.feed(&sender.take_outbox(), &mut events);
    assert_eq!(receiver.take_outbox(), [0, 0, 0, 0, Kind::Pong as u8, 0]);
    Ok(())
}

fn drivers() -> (Driver, Driver) {
    let (a, b) = rsipc_sys::stream::pair().unwrap();
    let make = |fd| {
        let mut driver = Driver::new(fd, Connection::new(Framing::Text, limits())).unwrap();
        driver.connection().hello(b"{}");
        assert_eq!(driver.flush().unwrap(), Flushed::All);
        driver
    };
    (make(a), make(b))
}

fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

#[test]
fn descriptors_arrive_with_their_message_and_in_its_place() {
    let (mut near, mut far) = drivers();
    let send = |driver: &mut Driver, text: &str| {
        driver
            .connection()
            .send(Kind::Message, |out| out.extend_from_slice(text.as_bytes()))
            .unwrap();
    };
    send(&mut near, "1\n");
    near.connection()
        .send_handles(b"two", vec![null(), null()])
        .unwrap();
    send(&mut near, "3\n");
    near.connection()
        .send_handles(b"four", vec![null()])
        .unwrap();
    assert_eq!(near.flush().unwrap(), Flushed::All);
    let (mut scratch, mut events) = (Scratch::default(), Vec::new());
    while events.len() < 5 {
        far.receive(1 << 20, &mut scratch, &mut events);
    }
    let counts: Vec<Option<usize>> = events
        .iter()
        .map(|event| match event {
            Event::Handles { fds, announced, .. } => {
                assert_eq!(fds.len(), *announced);
                Some(fds.len())
            }
            _ => None,
        })
        .collect();
    assert_eq!(counts, [None, None, Some(2), None, Some(1)]);
    assert_eq!(far.unclaimed(), 0);
}

#[test]
fn descriptors_that_no_frame_names_are_closed() {
    let (near, mut far) = drivers();
    let fd = null();
    let bytes = [1, 0, 0, 0, 1, 0, b'1'];
    let raw = rsipc_sys::fd::duplicate_raw(near.raw_fd()).unwrap();
    let slices = [std::io::IoSlice::new(&bytes)];
    rsipc_sys::rights::send(raw.as_fd(), &slices, &[fd.as_fd(), fd.as_fd()]).unwrap();
    let (mut scratch, mut events) = (Scratch::default(), Vec::new());
    while events.len() < 2 {
        far.receive(1 << 20, &mut scratch, &mut events);
    }
    assert_eq!(far.unclaimed(), 2);
}

#[test]
fn a_full_socket_keeps_what_is_left_and_loses_nothing() {
    let (mut near, mut far) = drivers();
    let mut count = 0usize;
    while near.flush().unwrap() == Flushed::All {
        near.connection()
            .send(Kind::Message, |out| {
                out.extend_from_slice(format!("{count}\n").as_bytes())
            })
            .unwrap();
        near.connection()
            .send(Kind::Message, |out| {
                out.extend_from_slice(format!("\"{}\"\n", "x".repeat(9_000)).as_bytes())
            })
            .unwrap();
        count += 1;
    }
    let (mut scratch, mut events) = (Scratch::default(), Vec::new());
    while near.connection().queued() > 0 || far.receive(1 << 20, &mut scratch, &mut events) {
        far.receive(1 << 20, &mut scratch, &mut events);
        near.flush().unwrap();
    }
    far.receive(1 << 20, &mut scratch, &mut events);
    let all: Vec<u8> = told(events)
        .into_iter()
        .skip(1)
        .flat_map(|(_, bytes)| bytes)
        .collect();
    let numbers: Vec<usize> = String::from_utf8(all)
        .unwrap()
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

#[test]
fn descriptors_of_frames_that_leave_in_pieces_arrive_once_and_with_their_own() {
    let (mut near, mut far) = drivers();
    let copy = rsipc_sys::fd::duplicate_raw(near.raw_fd()).unwrap();
    rsipc_sys::stream::set_buffers(copy.as_fd(), 1).unwrap(); // the least there is
    let path = std::env::temp_dir().join(format!("rsipc-pieces-{}", std::process::id()));
    let mut inodes = Vec::new();
    const COUNT: usize = 20;
    for number in 0..COUNT {
        let files: Vec<OwnedFd> = (0..=number % 3)
            .map(|_| {
                let file = std::fs::File::create(&path).unwrap();
                std::fs::remove_file(&path).unwrap();
                inodes.push(file.metadata().unwrap().ino());
                file.into()
            })
            .collect();
        let connection = near.connection();
        connection
            .send_handles(&vec![number as u8; 50_000 + number], files)
            .unwrap();
        connection
            .send(Kind::Message, |out| out.extend_from_slice(b"between\n"))
            .unwrap();
    }
    let (mut scratch, mut events) = (Scratch::default(), Vec::new());
    let mut writes = 0;
    while events.len() < 1 + 2 * COUNT {
        near.flush().unwrap();
        writes += 1;
        far.receive(1, &mut scratch, &mut events);
    }
    assert!(writes > 2 * COUNT, "{writes} writes took all at once");
    let mut found = Vec::new();
    let mut next = 0;
    for event in events {
        if let Event::Handles {
            bytes,
            fds,
            announced,
        } = event
        {
            assert_eq!(bytes, vec![next as u8; 50_000 + next]);
            assert_eq!((fds.len(), announced), (next % 3 + 1, next % 3 + 1));
            let inode = |fd| std::fs::File::from(fd).metadata().unwrap().ino();
            found.extend(fds.into_iter().map(inode));
            next += 1;
        }
    }
    assert_eq!(found, inodes);
    assert_eq!(far.unclaimed(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_in_any_pieces_are_told_alike_and_never_panic(
        which in 0usize..4,
        greeted: bool,
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        cuts in proptest::collection::vec(0usize..600, 0..6),
    ) {
        let framing = FRAMINGS[which];
        let mut stream = if greeted { b"rsipc/1 {}\n".to_vec() } else { Vec::new() };
        stream.extend(bytes);
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < stream.len()).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&stream[from..cut]);
            from = cut;
        }
        pieces.push(&stream[from..]);
        let mut whole = read(framing, &[&stream]);
        let mut apart = read(framing, &pieces);
        // How much is missing behind a problem does not matter.
        for said in [&mut whole, &mut apart] {
            if said.iter().any(|(name, _)| name.starts_with("ERR_")) {
                said.retain(|(name, _)| !name.starts_with("ended"));
            }
        }
        prop_assert_eq!(whole, apart);
    }
}
