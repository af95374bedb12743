//! rsipc's rings beside iceoryx2, both in memory that processes share, between two threads on two cores that never
//! sleep: `cargo run --release`. Interleaved rounds, medians; the ratio is formed within a round.

mod iceoryx;
mod race;
mod rings;

use std::path::PathBuf;
use std::{env, fs, process};

const ROUNDS: usize = 7;

/// Bytes of a record.
const SIZE: usize = 64;

/// Records of a round, those on their way at most, and those between two publications of the ring.
const RECORDS: u64 = 2_000_000;
const ROOM: usize = 4096;
const BATCH: u64 = 64;

/// Round trips of a round.
const TRIPS: u64 = 50_000;

/// The directory in which both keep what has a name, gone at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The record with a number: its receiver knows the first bytes, and reads all.
fn record(number: u64) -> [u8; SIZE] {
    let mut record = [7; SIZE];
    record[..8].copy_from_slice(&number.to_le_bytes());
    record
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Runs both in turns and says how much better ours is: `more` is better, or less.
fn compare(name: &str, unit: &str, more: bool, ours: impl Fn() -> f64, theirs: impl Fn() -> f64) {
    let (mut own, mut rival, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(ours());
        rival.push(theirs());
        let ratio = own[own.len() - 1] / rival[rival.len() - 1];
        ratios.push(if more { ratio } else { 1.0 / ratio });
    }
    println!(
        "{name:<36} rsipc {:>9.2} {unit:<4}  iceoryx2 {:>9.2} {unit:<4}  {:.2}x",
        median(own),
        median(rival),
        median(ratios)
    );
}

fn main() {
    let scratch = Scratch(env::temp_dir().join(format!("rsipc-rivals-{}", process::id())));
    fs::create_dir(&scratch.0).expect("a directory");
    let (rings, iceoryx) = (
        rings::Rings::new(&scratch.0),
        iceoryx::Iceoryx::new(&scratch.0),
    );
    compare(
        "64 B round trip, spinning",
        "ns",
        false,
        || rings.trip(),
        || iceoryx.trip(),
    );
    compare(
        "64 B one way, each published",
        "M/s",
        true,
        || rings.one_way(1),
        || iceoryx.one_way(),
    );
    compare(
        "64 B one way, published by 64",
        "M/s",
        true,
        || rings.one_way(BATCH),
        || iceoryx.one_way(),
    );
}
