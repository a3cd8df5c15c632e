//! Events that are on disk only, in the order in which they are read. Pure.

use std::collections::VecDeque;

use crate::queue::SegmentId;

/// Consecutive events that are on disk only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Where they are.
    pub segment: SegmentId,
    /// The first of them, in this client's order of acceptance.
    pub first: u64,
    /// What the segment calls the first.
    pub first_on_disk: u64,
    /// How many.
    pub length: u64,
    /// Where in the file the first begins.
    pub offset: u64,
}

impl Unread {
    /// Whether this event is one of them.
    #[must_use]
    pub const fn covers(&self, sequence: u64) -> bool {
        self.first <= sequence && sequence < self.first + self.length
    }
}

/// All of one client, or of its recovery.
#[derive(Debug, Default)]
pub struct Backlog {
    stretches: VecDeque<Unread>,
    events: u64,
}

impl Backlog {
    /// More of them; joined to the last where they follow it.
    pub fn push(&mut self, unread: Unread) {
        self.events += unread.length;
        let follows = |last: &Unread| {
            last.segment == unread.segment
                && last.first + last.length == unread.first
                && last.first_on_disk + last.length == unread.first_on_disk
        };
        match self.stretches.back_mut() {
            Some(last) if follows(last) => {
                last.length += unread.length;
            }
            _ => self.stretches.push_back(unread),
        }
    }

    /// What is read next.
    #[must_use]
    pub fn front(&self) -> Option<Unread> {
        self.stretches.front().copied()
    }

    /// The first `count` events of a stretch were read; the next begins at `offset`. Returns how many that makes; `None`
    /// when they are no longer waited for.
    pub fn was_read(&mut self, stretch: Unread, count: u64, offset: u64) -> Option<u64> {
        let unread = self.stretches.front_mut().filter(|unread| unread.first == stretch.first)?;
        let count = count.min(unread.length);
        unread.first += count;
        unread.first_on_disk += count;
        unread.length -= count;
        unread.offset = offset;
        if unread.length == 0 {
            self.stretches.pop_front();
        }
        self.events -= count;
        Some(count)
    }

    /// Takes what is in this segment.
    pub fn drain(&mut self, segment: SegmentId) -> Vec<Unread> {
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.stretches).into_iter().partition(|unread| unread.segment == segment);
        self.stretches = kept.into();
        self.events -= gone.iter().map(|unread| unread.length).sum::<u64>();
        gone
    }

    /// Takes what was accepted from this sequence on. The order of acceptance is the one they are in.
    pub fn take_back(&mut self, from: u64) -> Vec<Unread> {
        let mut taken = Vec::new();
        while let Some(last) = self.stretches.back_mut().filter(|last| last.first + last.length > from) {
            let kept = from.saturating_sub(last.first);
            taken.push(Unread {
                first: last.first + kept,
                first_on_disk: last.first_on_disk + kept,
                length: last.length - kept,
                ..*last
            });
            self.events -= last.length - kept;
            last.length = kept;
            if kept > 0 {
                break;
            }
            self.stretches.pop_back();
        }
        taken
    }

    /// Takes everything.
    pub fn take(&mut self) -> Vec<Unread> {
        self.events = 0;
        std::mem::take(&mut self.stretches).into()
    }

    /// How many events.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// What has to hold after every step.
    ///
    /// # Panics
    /// When it does not.
    #[cfg(any(test, feature = "testing"))]
    pub fn check(&self, is_known: impl Fn(SegmentId) -> bool) {
        let events: u64 = self.stretches.iter().map(|unread| unread.length).sum();
        assert_eq!(events, self.events, "events on disk only");
        assert!(
            self.stretches.iter().all(|unread| is_known(unread.segment)),
            "a backlog without its segment"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread(segment: SegmentId, first: u64, length: u64) -> Unread {
        Unread { segment, first, first_on_disk: first + 100, length, offset: first * 10 }
    }

    #[test]
    fn what_waits_on_disk_alone_is_read_in_order() {
        let mut backlog = Backlog::default();
        for sequence in 6..=8 {
            backlog.push(unread(1, sequence, 1));
        }
        backlog.push(unread(2, 9, 2));
        assert_eq!((backlog.events(), backlog.front()), (5, Some(unread(1, 6, 3))));
        let plan = backlog.front().unwrap();
        assert_eq!(backlog.was_read(plan, 1, 70), Some(1));
        assert_eq!(backlog.was_read(plan, 1, 80), None, "a plan is good for once");
        assert_eq!(backlog.front(), Some(unread(1, 7, 2)));
        assert_eq!(backlog.was_read(unread(1, 7, 2), 9, 0), Some(2), "never more than there are");
        assert_eq!((backlog.drain(1), backlog.drain(2)), (vec![], vec![unread(2, 9, 2)]));
        assert!(backlog.is_empty() && backlog.take().is_empty());
        backlog.check(|_| true);
    }

    #[test]
    fn what_does_not_follow_in_the_file_stands_by_itself() {
        let mut backlog = Backlog::default();
        backlog.push(unread(1, 6, 2));
        backlog.push(Unread { first_on_disk: 300, ..unread(1, 8, 1) });
        assert_eq!(backlog.front(), Some(unread(1, 6, 2)));
    }

    #[test]
    fn what_is_taken_back_is_cut_where_it_begins() {
        let mut backlog = Backlog::default();
        backlog.push(unread(1, 6, 4));
        backlog.push(unread(2, 10, 3));
        assert!(backlog.take_back(13).is_empty());
        assert_eq!(backlog.take_back(10), [unread(2, 10, 3)]);
        backlog.push(unread(2, 10, 3));
        // What is before the cut stays, and the search for the rest begins where the stretch does.
        let behind = Unread { offset: 60, ..unread(1, 8, 2) };
        assert_eq!(backlog.take_back(8), [unread(2, 10, 3), behind]);
        assert_eq!((backlog.events(), backlog.front()), (2, Some(unread(1, 6, 2))));
        assert_eq!(backlog.take_back(1), [unread(1, 6, 2)]);
        assert!(backlog.is_empty());
        backlog.check(|_| true);
    }

    #[test]
    fn a_stretch_covers_what_is_in_it() {
        let stretch = unread(1, 6, 2);
        assert_eq!([5, 6, 7, 8].map(|sequence| stretch.covers(sequence)), [false, true, true, false]);
    }
}
