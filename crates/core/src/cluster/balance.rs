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
    free: VecDeque<u32>,
}

impl Rota {
    /// Puts a worker at the end, unless it is in already.
    pub(super) fn add(&mut self, worker: u32) {
        if !self.free.contains(&worker) {
            self.free.push_back(worker);
        }
    }

    /// Takes a worker out.
    pub(super) fn remove(&mut self, worker: u32) {
        self.free.retain(|&free| free != worker);
    }

    /// Takes the next worker out, of those for which `load` answers.
    pub(super) fn next(
        &mut self,
        policy: Policy,
        load: impl Fn(u32) -> Option<u64>,
    ) -> Option<u32> {
        let ready = self
            .free
            .iter()
            .enumerate()
            .filter_map(|(place, &worker)| load(worker).map(|load| (load, place)));
        let (_, place) = match policy {
            Policy::RoundRobin => ready.min_by_key(|&(_, place)| place),
            Policy::Least => ready.min(),
        }?;
        self.free.remove(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rota() -> Rota {
        let mut rota = Rota::default();
        for worker in [1, 2, 3, 2] {
            rota.add(worker);
        }
        rota
    }

    #[test]
    fn workers_take_turns() {
        let mut rota = rota();
        let mut order = Vec::new();
        for _ in 0..6 {
            let worker = rota
                .next(Policy::RoundRobin, |_| Some(0))
                .expect("a worker");
            order.push(worker);
            rota.add(worker);
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn the_least_loaded_is_chosen_and_of_equals_the_one_that_waited_longest() {
        let mut rota = rota();
        assert_eq!(
            rota.next(Policy::Least, |worker| Some(u64::from(worker == 1))),
            Some(2)
        );
        assert_eq!(rota.next(Policy::Least, |_| Some(7)), Some(1));
    }

    #[test]
    fn a_worker_that_must_not_be_chosen_keeps_its_place() {
        let mut rota = rota();
        assert_eq!(
            rota.next(Policy::RoundRobin, |worker| (worker != 1).then_some(0)),
            Some(2)
        );
        assert_eq!(rota.next(Policy::RoundRobin, |_| Some(0)), Some(1));
        rota.remove(3);
        assert_eq!(rota.next(Policy::RoundRobin, |_| Some(0)), None);
    }
}
