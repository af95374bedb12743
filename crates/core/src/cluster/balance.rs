//! Which worker is next.

use std::collections::VecDeque;

/// How workers are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The one that has been waiting longest, as Node does.
    #[default]
    RoundRobin,
    /// The one with the least of what is counted; of several, the one that has been waiting longest.
    Least,
}

/// The workers of a listener that can take a connection, the one that has been waiting longest first.
#[derive(Debug, Default)]
pub(super) struct Rota {
    workers: VecDeque<u32>,
}

impl Rota {
    /// Puts a worker at the end, wherever it was.
    pub(super) fn add(&mut self, worker: u32) {
        self.remove(worker);
        self.workers.push_back(worker);
    }

    /// Takes a worker out.
    pub(super) fn remove(&mut self, worker: u32) {
        self.workers.retain(|&other| other != worker);
    }

    /// Chooses the next worker, and puts it at the end. `load` says for each how much it has to do, and answers nothing
    /// for one that must not be chosen.
    pub(super) fn next(&mut self, load: impl Fn(u32) -> Option<u64>) -> Option<u32> {
        let mut best: Option<(u64, u32)> = None;
        for &worker in &self.workers {
            match load(worker) {
                Some(load) if best.is_none_or(|(least, _)| load < least) => {
                    best = Some((load, worker));
                }
                _ => {}
            }
            if best.is_some_and(|(least, _)| least == 0) {
                break;
            }
        }
        let (_, worker) = best?;
        self.add(worker);
        Some(worker)
    }

    /// The worker that is worth most, where all keep their places. Of two at one place the one that came last, which is
    /// there to replace the other.
    pub(super) fn favourite(&self, worth: impl Fn(u32) -> Option<u64>) -> Option<u32> {
        let worth = |&worker: &u32| worth(worker).map(|worth| (worth, worker));
        let (_, worker) = self.workers.iter().filter_map(worth).max()?;
        Some(worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rota() -> Rota {
        let mut rota = Rota::default();
        for worker in [1, 2, 3] {
            rota.add(worker);
        }
        rota
    }

    #[test]
    fn workers_take_turns() {
        let mut rota = rota();
        let order: Vec<_> = (0..6).filter_map(|_| rota.next(|_| Some(0))).collect();
        assert_eq!(order, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn the_least_loaded_is_chosen_and_of_equals_the_one_that_waited_longest() {
        let mut rota = rota();
        assert_eq!(rota.next(|worker| Some(u64::from(worker == 1))), Some(2));
        assert_eq!(rota.next(|_| Some(7)), Some(1));
    }

    #[test]
    fn a_worker_that_must_not_be_chosen_keeps_its_place() {
        let mut rota = rota();
        assert_eq!(rota.next(|worker| (worker != 1).then_some(0)), Some(2));
        assert_eq!(rota.next(|_| Some(0)), Some(1));
    }

    #[test]
    fn the_favourite_is_the_same_each_time_and_of_two_equals_the_newer_one() {
        let mut rota = rota();
        let worth = |worker: u32| (worker != 3).then_some(7);
        assert_eq!(rota.favourite(worth), Some(2));
        rota.add(1);
        assert_eq!(rota.favourite(worth), Some(2));
        assert_eq!(
            rota.favourite(|worker| Some(u64::from(worker == 1))),
            Some(1)
        );
        assert_eq!(rota.favourite(|_| None), None);
    }

    #[test]
    fn nobody_is_chosen_twice_for_being_added_twice() {
        let mut rota = rota();
        rota.add(1);
        let order: Vec<_> = (0..3).filter_map(|_| rota.next(|_| Some(0))).collect();
        assert_eq!(order, [2, 3, 1]);
        rota.remove(3);
        assert_eq!(rota.next(|worker| (worker == 3).then_some(0)), None);
    }
}
