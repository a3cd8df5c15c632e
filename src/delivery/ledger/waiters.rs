//! Flushes that are not over, and how they learn that they are.

use std::time::Duration;

use crate::delivery::notice::Report;
use crate::stats::Stats;

/// A flush that is not over.
#[derive(Debug)]
pub struct Waiter {
    /// The owner's name for it.
    pub id: u32,
    /// It waits for events up to this sequence.
    pub up_to: u64,
    /// How many of them are open.
    pub remaining: u64,
    /// When it began.
    pub since: Duration,
    /// When its time is up.
    pub deadline: Option<Duration>,
    /// It closes the client.
    pub closes: bool,
}

impl Waiter {
    /// It is over.
    pub fn end(&self, stats: Stats, now: Duration) -> Ended {
        let duration = now.saturating_sub(self.since);
        Ended { id: self.id, report: Report { stats, duration, unflushed: Vec::new() } }
    }
}

/// A flush that is over.
#[derive(Debug)]
pub struct Ended {
    /// The owner's name for it.
    pub id: u32,
    /// What it came to.
    pub report: Report,
}

/// All flushes that are not over.
#[derive(Debug, Default)]
pub struct Waiters(Vec<Waiter>);

impl Waiters {
    /// One more.
    pub fn push(&mut self, waiter: Waiter) {
        self.0.push(waiter);
    }

    /// When the first of them runs out of time.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.0.iter().filter_map(|waiter| waiter.deadline).min()
    }

    /// Removes those whose time is up.
    pub fn take_due(&mut self, now: Duration) -> Vec<Waiter> {
        self.take(|waiter| waiter.deadline.is_some_and(|deadline| deadline <= now))
    }

    /// Ranges of events (first, how many) are over. Removes those that waited for nothing else.
    pub fn tick_off(&mut self, ranges: impl Iterator<Item = (u64, u64)>) -> Vec<Waiter> {
        if self.0.is_empty() {
            return Vec::new();
        }
        for (first, length) in ranges {
            for waiter in &mut self.0 {
                let concerned = (waiter.up_to + 1).saturating_sub(first).min(length);
                waiter.remaining = waiter.remaining.saturating_sub(concerned);
            }
        }
        self.take(|waiter| waiter.remaining == 0)
    }

    fn take(&mut self, is_taken: impl Fn(&Waiter) -> bool) -> Vec<Waiter> {
        let (taken, open) = std::mem::take(&mut self.0).into_iter().partition(is_taken);
        self.0 = open;
        taken
    }
}
