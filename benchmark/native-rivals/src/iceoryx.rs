//! iceoryx2: a publisher and a subscriber of its `ipc` variant. It publishes each sample by itself. Nothing is dropped:
//! a sample that finds the buffer full is sent again.

use std::hint::{black_box, spin_loop};
use std::path::Path;
use std::{fs, process};

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;

use crate::race::race;
use crate::{RECORDS, ROOM, SIZE, TRIPS, record};

type Out = Publisher<ipc::Service, [u8; SIZE], ()>;
type In = Subscriber<ipc::Service, [u8; SIZE], ()>;

/// Where what it maps has its names.
const MEMORY: &str = "/dev/shm";

/// The configuration of all nodes of a run.
pub struct Iceoryx {
    config: Config,
    prefix: String,
}

impl Drop for Iceoryx {
    fn drop(&mut self) {
        // One name outlives the last node.
        for entry in fs::read_dir(MEMORY).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name
                .to_str()
                .is_some_and(|name| name.starts_with(&self.prefix))
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn send(publisher: &Out, record: [u8; SIZE]) {
    loop {
        let sample = publisher.loan_uninit().expect("a sample");
        if sample.write_payload(record).send().expect("a subscriber") == 1 {
            return;
        }
        spin_loop();
    }
}

fn receive(subscriber: &In) -> [u8; SIZE] {
    loop {
        if let Some(sample) = subscriber.receive().expect("a sound connection") {
            return *sample;
        }
        spin_loop();
    }
}

impl Iceoryx {
    pub fn new(scratch: &Path) -> Iceoryx {
        set_log_level(LogLevel::Error);
        let mut config = Config::default();
        let root = scratch.join("iceoryx2");
        let root = root.to_str().expect("a path of text").as_bytes();
        config
            .global
            .set_root_path(&iceoryx2::prelude::Path::new(root).expect("a short path"));
        let prefix = format!("rsipc-rivals-{}-", process::id());
        config.global.prefix = FileName::new(prefix.as_bytes()).expect("a short name");
        Iceoryx { config, prefix }
    }

    /// One end of each of two services.
    fn ends(&self, out: &str, back: &str) -> (Node<ipc::Service>, Out, In) {
        let node = NodeBuilder::new()
            .config(&self.config)
            .create::<ipc::Service>();
        let node = node.expect("a node");
        let service = |name: &str| {
            let name = name.try_into().expect("a name");
            let service = node
                .service_builder(&name)
                .publish_subscribe::<[u8; SIZE]>();
            let service = service
                .enable_safe_overflow(false)
                .subscriber_max_buffer_size(ROOM);
            service.open_or_create().expect("a service")
        };
        let out = service(out);
        let publisher = out
            .publisher_builder()
            .backpressure_strategy(BackpressureStrategy::DiscardData);
        let publisher = publisher.create().expect("a publisher");
        let subscriber = service(back).subscriber_builder().create();
        (node, publisher, subscriber.expect("a subscriber"))
    }

    /// Nanoseconds of a round trip.
    pub fn trip(&self) -> f64 {
        let took = race(
            (
                || self.ends("there", "back"),
                |(_node, asks, gets): (_, Out, In)| {
                    for number in 0..TRIPS {
                        send(&asks, record(number));
                        assert_eq!(black_box(&receive(&gets))[..8], number.to_le_bytes());
                    }
                },
            ),
            (
                || self.ends("back", "there"),
                |(_node, answers, hears): (_, Out, In)| {
                    for _ in 0..TRIPS {
                        send(&answers, receive(&hears));
                    }
                },
            ),
        );
        took.as_nanos() as f64 / TRIPS as f64
    }

    /// Millions of records a second.
    pub fn one_way(&self) -> f64 {
        let took = race(
            (
                || self.ends("there", "back"),
                |(_node, publisher, _): (_, Out, In)| {
                    for number in 0..RECORDS {
                        send(&publisher, record(number));
                    }
                },
            ),
            (
                || self.ends("back", "there"),
                |(_node, _, subscriber): (_, Out, In)| {
                    for number in 0..RECORDS {
                        assert_eq!(black_box(&receive(&subscriber))[..8], number.to_le_bytes());
                    }
                },
            ),
        );
        RECORDS as f64 / took.as_secs_f64() / 1e6
    }
}
