//! Which events lie where on disk, and which of them wait there alone. Pure: what has to be done about it on disk
//! is handed out as [`Chore`]s.
//!
//! An event's place is found by its sequence: a run is a stretch of consecutive sequences in one segment.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use super::record::{ACKNOWLEDGEMENT_LENGTH, Acknowledgement};

/// Names a segment within this client.
pub type SegmentId = u64;

/// A file of records.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    number: u64,
    bytes: u64,
    unsettled: u64,
    /// When its oldest record was accepted, in milliseconds since 1970.
    oldest_at: u64,
    /// What the wall clock that its times are compared with said when the client's monotonic clock was at zero.
    epoch: u64,
    /// Written by this client, not adopted.
    is_own: bool,
    /// First sequences of its runs.
    runs: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    length: u64,
    segment: SegmentId,
    /// What the file calls the first of them.
    first_on_disk: u64,
}

/// Consecutive events that are on disk only.
#[derive(Clone, Copy, Debug)]
struct Unread {
    first: u64,
    length: u64,
    segment: SegmentId,
    /// Where in the file to look for the first.
    offset: u64,
}

/// Work on disk that nobody has to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chore {
    /// Note what is settled.
    Acknowledge(PathBuf, Vec<Acknowledgement>),
    /// Remove a segment that is settled.
    Reclaim(PathBuf),
}

/// Where to read events that are on disk only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPlan {
    /// The file.
    pub path: PathBuf,
    /// Its number.
    pub segment_number: u64,
    /// Where the first of them begins.
    pub offset: u64,
    /// The sequence of the first.
    pub first: u64,
    /// What the file calls the first.
    pub first_on_disk: u64,
    /// How many they are.
    pub length: u64,
    /// The moment, in milliseconds since 1970, at which the client's monotonic clock was at zero, as far as the times
    /// in this file are concerned.
    pub epoch: u64,
}

/// A segment of an ended process, as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The file.
    pub path: PathBuf,
    /// Its number.
    pub number: u64,
    /// Bytes on disk, acknowledgements included.
    pub bytes: u64,
    /// When its oldest unsettled record was accepted, in milliseconds since 1970.
    pub oldest_at: u64,
    /// What the wall clock, as it was when the segment was found, makes of the client's start.
    pub epoch: u64,
    /// Its unsettled events.
    pub stretches: Vec<Stretch>,
    /// Records that can't be read any more.
    pub damaged: u64,
}

/// Consecutive unsettled records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What the file calls the first.
    pub first_on_disk: u64,
    /// How many.
    pub length: u64,
    /// Where the first begins.
    pub offset: u64,
}

impl Adopted {
    /// Events that can be delivered.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.length).sum()
    }
}

/// The books.
#[derive(Debug, Default)]
pub struct Books {
    segments: BTreeMap<SegmentId, Segment>,
    runs: BTreeMap<u64, Run>,
    backlog: VecDeque<Unread>,
    last_segment: SegmentId,
    suspects: BTreeSet<SegmentId>,
    bytes: u64,
    chores: Vec<Chore>,
}

impl Books {
    /// Opens the page of a new segment of our own.
    pub fn open(&mut self, path: PathBuf, number: u64, bytes: u64, now: u64, epoch: u64) -> SegmentId {
        self.insert(Segment {
            path,
            number,
            bytes,
            unsettled: 0,
            oldest_at: now,
            epoch,
            is_own: true,
            runs: BTreeSet::new(),
        })
    }

    fn insert(&mut self, segment: Segment) -> SegmentId {
        self.last_segment += 1;
        self.bytes += segment.bytes;
        self.segments.insert(self.last_segment, segment);
        self.last_segment
    }

    /// An event was written.
    pub fn record(&mut self, sequence: u64, segment: SegmentId, bytes: u64) {
        let Some(page) = self.segments.get_mut(&segment) else { return };
        page.unsettled += 1;
        page.bytes += bytes;
        self.bytes += bytes;
        if let Some((first, run)) = self.runs.range_mut(..sequence).next_back()
            && run.segment == segment
            && first + run.length == sequence
        {
            run.length += 1;
            return;
        }
        self.runs.insert(sequence, Run { length: 1, segment, first_on_disk: sequence });
        page.runs.insert(sequence);
    }

    /// The event just written is kept on disk only.
    pub fn postpone(&mut self, sequence: u64, segment: SegmentId, offset: u64) {
        match self.backlog.back_mut() {
            Some(last) if last.segment == segment && last.first + last.length == sequence => last.length += 1,
            _ => self.backlog.push_back(Unread { first: sequence, length: 1, segment, offset }),
        }
    }

    fn run_of(&self, sequence: u64) -> Option<(u64, Run)> {
        let (first, run) = self.runs.range(..=sequence).next_back()?;
        (sequence < first + run.length).then_some((*first, *run))
    }

    /// Whether an event is on disk.
    #[must_use]
    pub fn covers(&self, sequence: u64) -> bool {
        self.run_of(sequence).is_some()
    }

    /// These segments may have lost what a commit should have kept.
    pub fn suspect(&mut self, segments: impl Iterator<Item = SegmentId>) {
        self.suspects.extend(segments);
    }

    /// Whether an event is on disk, in a segment above suspicion.
    #[must_use]
    pub fn is_safe(&self, sequence: u64) -> bool {
        self.segment_of(sequence).is_some_and(|segment| !self.suspects.contains(&segment))
    }

    /// An event is about to be recorded elsewhere: its old copy is settled.
    pub fn take_out(&mut self, sequence: u64) {
        let Some((first, run)) = self.run_of(sequence) else { return };
        self.settle(std::iter::once(sequence));
        let before = sequence - first;
        let after = run.length - before - 1;
        let Some(segment) = self.segments.get_mut(&run.segment) else { return };
        self.runs.remove(&first);
        segment.runs.remove(&first);
        let parts =
            [(first, before, run.first_on_disk), (sequence + 1, after, run.first_on_disk + before + 1)];
        for (first, length, first_on_disk) in parts.into_iter().filter(|(_, length, _)| *length > 0) {
            self.runs.insert(first, Run { length, segment: run.segment, first_on_disk });
            segment.runs.insert(first);
        }
    }

    /// The segment that an event is in.
    #[must_use]
    pub fn segment_of(&self, sequence: u64) -> Option<SegmentId> {
        self.run_of(sequence).map(|(_, run)| run.segment)
    }

    /// These events need no disk any more. Those that are not on it are passed over.
    pub fn settle(&mut self, sequences: impl Iterator<Item = u64>) {
        let mut settled: BTreeMap<SegmentId, Vec<Acknowledgement>> = BTreeMap::new();
        for sequence in sequences {
            let Some((first, run)) = self.run_of(sequence) else { continue };
            let on_disk = run.first_on_disk + (sequence - first);
            let ranges = settled.entry(run.segment).or_default();
            match ranges.last_mut() {
                Some(range) if range.last + 1 == on_disk => range.last = on_disk,
                _ => ranges.push(Acknowledgement { first: on_disk, last: on_disk }),
            }
        }
        for (id, ranges) in settled {
            let Some(segment) = self.segments.get_mut(&id) else { continue };
            let count: u64 = ranges.iter().map(|range| range.last - range.first + 1).sum();
            segment.unsettled = segment.unsettled.saturating_sub(count);
            if segment.unsettled == 0 {
                self.reclaim(id);
            } else {
                let bytes = (ranges.len() * ACKNOWLEDGEMENT_LENGTH) as u64;
                segment.bytes += bytes;
                self.bytes += bytes;
                self.chores.push(Chore::Acknowledge(segment.path.clone(), ranges));
            }
        }
    }

    fn reclaim(&mut self, id: SegmentId) {
        if let Some(segment) = self.forget(id) {
            self.chores.push(Chore::Reclaim(segment.path));
        }
    }

    fn forget(&mut self, id: SegmentId) -> Option<Segment> {
        let segment = self.segments.remove(&id)?;
        self.suspects.remove(&id);
        self.bytes -= segment.bytes;
        for first in &segment.runs {
            self.runs.remove(first);
        }
        Some(segment)
    }

    /// A segment is gone. Returns the events that were nowhere else.
    pub fn lose(&mut self, id: SegmentId) -> Vec<ReadPlan> {
        let lost = self.drain_backlog(id);
        self.forget(id);
        lost
    }

    fn drain_backlog(&mut self, id: SegmentId) -> Vec<ReadPlan> {
        let (gone, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.backlog).into_iter().partition(|unread| unread.segment == id);
        self.backlog = kept;
        gone.iter().filter_map(|unread| self.plan_for(unread)).collect()
    }

    /// Gives up the oldest segment in which nothing is busy, and returns it with the events that were on disk only.
    pub fn evict(&mut self, is_busy: impl Fn(SegmentId) -> bool) -> Option<(SegmentId, Vec<ReadPlan>)> {
        let candidates = self.segments.iter().filter(|(id, _)| !is_busy(**id));
        let (&id, _) = candidates.min_by_key(|(id, segment)| (segment.oldest_at, **id))?;
        Some((id, self.drain_backlog(id)))
    }

    /// Removes an evicted segment, once the ledger has looked up what was in it.
    pub fn discard(&mut self, id: SegmentId) {
        self.reclaim(id);
    }

    /// Takes in a segment of an ended process. Its events get sequences from `first` on.
    pub fn adopt(&mut self, adopted: Adopted, first: u64) {
        let id = self.insert(Segment {
            unsettled: adopted.events(),
            path: adopted.path,
            number: adopted.number,
            bytes: adopted.bytes,
            oldest_at: adopted.oldest_at,
            epoch: adopted.epoch,
            is_own: false,
            runs: BTreeSet::new(),
        });
        let mut next = first;
        for Stretch { first_on_disk, length, offset } in adopted.stretches {
            self.runs.insert(next, Run { length, segment: id, first_on_disk });
            self.backlog.push_back(Unread { first: next, length, segment: id, offset });
            if let Some(segment) = self.segments.get_mut(&id) {
                segment.runs.insert(next);
            }
            next += length;
        }
        if next == first {
            self.reclaim(id);
        }
    }

    /// What to read next.
    #[must_use]
    pub fn next_unread(&self) -> Option<ReadPlan> {
        self.backlog.front().and_then(|unread| self.plan_for(unread))
    }

    fn plan_for(&self, unread: &Unread) -> Option<ReadPlan> {
        let segment = self.segments.get(&unread.segment)?;
        let (first, run) = self.run_of(unread.first)?;
        Some(ReadPlan {
            path: segment.path.clone(),
            segment_number: segment.number,
            offset: unread.offset,
            first: unread.first,
            first_on_disk: run.first_on_disk + (unread.first - first),
            length: unread.length,
            epoch: segment.epoch,
        })
    }

    /// The first `count` events of a plan were read; the next begins at `offset`. False when they are no longer
    /// waited for.
    pub fn was_read(&mut self, plan: &ReadPlan, count: u64, offset: u64) -> bool {
        let Some(unread) = self.backlog.front_mut().filter(|unread| unread.first == plan.first) else {
            return false;
        };
        unread.first += count;
        unread.length = unread.length.saturating_sub(count);
        unread.offset = offset;
        if unread.length == 0 {
            self.backlog.pop_front();
        }
        true
    }

    /// Forgets what is on disk only: it stays there.
    pub fn leave_backlog(&mut self) -> Vec<ReadPlan> {
        std::mem::take(&mut self.backlog).iter().filter_map(|unread| self.plan_for(unread)).collect()
    }

    /// Events that are on disk only.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.backlog.iter().map(|unread| unread.length).sum()
    }

    /// Whether no event is on disk only.
    #[must_use]
    pub fn all_read(&self) -> bool {
        self.backlog.is_empty()
    }

    /// When the oldest event that is on disk only was accepted, at the latest.
    #[must_use]
    pub fn oldest_unread_at(&self) -> Option<u64> {
        let segments = self.backlog.iter().filter_map(|unread| self.segments.get(&unread.segment));
        segments.map(|segment| segment.oldest_at).min()
    }

    /// Our own segments, by id and file name.
    pub fn own_segments(&self) -> impl Iterator<Item = (SegmentId, &PathBuf)> {
        self.segments.iter().filter(|(_, segment)| segment.is_own).map(|(id, segment)| (*id, &segment.path))
    }

    /// Whether a segment is still known.
    #[must_use]
    pub fn has(&self, id: SegmentId) -> bool {
        self.segments.contains_key(&id)
    }

    /// Bytes of all segments.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes what is to be done on disk.
    pub fn take_chores(&mut self) -> Vec<Chore> {
        std::mem::take(&mut self.chores)
    }

    /// Whether something is to be done on disk.
    #[must_use]
    pub const fn has_chores(&self) -> bool {
        !self.chores.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books() -> (Books, SegmentId) {
        let mut books = Books::default();
        let id = books.open("1.seg".into(), 1, 64, 0, 0);
        for sequence in 1..=5 {
            books.record(sequence, id, 10);
        }
        (books, id)
    }

    #[test]
    fn a_segment_is_acknowledged_in_ranges_and_reclaimed_when_all_of_it_is_settled() {
        let (mut books, _) = books();
        books.settle([1, 2, 4].into_iter());
        let ranges = vec![Acknowledgement { first: 1, last: 2 }, Acknowledgement { first: 4, last: 4 }];
        assert_eq!(books.take_chores(), [Chore::Acknowledge("1.seg".into(), ranges)]);
        assert_eq!(books.bytes(), 64 + 50 + 40);
        books.settle([3, 5, 99].into_iter());
        assert_eq!(books.take_chores(), [Chore::Reclaim("1.seg".into())]);
        assert_eq!((books.bytes(), books.covers(1)), (0, false));
    }

    #[test]
    fn what_waits_on_disk_alone_is_read_in_order() {
        let (mut books, id) = books();
        books.record(6, id, 10);
        books.postpone(6, id, 114);
        books.record(7, id, 10);
        books.postpone(7, id, 124);
        assert_eq!(books.unread(), 2);
        let plan = books.next_unread().unwrap();
        assert_eq!((plan.first, plan.length, plan.offset), (6, 2, 114));
        assert!(books.was_read(&plan, 1, 124));
        assert!(!books.was_read(&plan, 1, 134), "a plan is good for once");
        let plan = books.next_unread().unwrap();
        assert_eq!((plan.first, plan.length, plan.offset), (7, 1, 124));
        assert!(books.was_read(&plan, 1, 134) && books.all_read());
    }

    #[test]
    fn adopted_events_are_acknowledged_under_the_names_their_writer_gave_them() {
        let (mut books, _) = books();
        let stretches = vec![
            Stretch { first_on_disk: 40, length: 2, offset: 64 },
            Stretch { first_on_disk: 50, length: 1, offset: 200 },
        ];
        let adopted = Adopted {
            path: "old.seg".into(),
            number: 9,
            bytes: 300,
            oldest_at: 1,
            epoch: 0,
            stretches,
            damaged: 0,
        };
        books.adopt(adopted, 6);
        assert_eq!((books.unread(), books.next_unread().unwrap().first_on_disk), (3, 40));
        books.settle([7, 8].into_iter());
        let ranges = vec![Acknowledgement { first: 41, last: 41 }, Acknowledgement { first: 50, last: 50 }];
        assert_eq!(books.take_chores(), [Chore::Acknowledge("old.seg".into(), ranges)]);
    }

    #[test]
    fn a_suspected_copy_is_replaced() {
        let (mut books, first) = books();
        books.suspect([first].into_iter());
        assert!(books.covers(3) && !books.is_safe(3));
        let second = books.open("2.seg".into(), 2, 64, 5, 0);
        books.take_out(3);
        books.record(3, second, 10);
        assert!(books.is_safe(3) && !books.is_safe(2) && books.covers(4));
        let settled = |number| vec![Acknowledgement { first: number, last: number }];
        assert_eq!(books.take_chores(), [Chore::Acknowledge("1.seg".into(), settled(3))]);
        books.settle([1, 2, 3, 4, 5].into_iter());
        let both = [Chore::Reclaim("1.seg".into()), Chore::Reclaim("2.seg".into())];
        assert_eq!(books.take_chores(), both);
        assert_eq!(books.bytes(), 0);
    }

    #[test]
    fn the_oldest_idle_segment_gives_way() {
        let (mut books, first) = books();
        let second = books.open("2.seg".into(), 2, 64, 5, 0);
        books.record(6, second, 10);
        books.postpone(6, second, 64);
        let (evicted, unread) = books.evict(|id| id == first).unwrap();
        assert_eq!((evicted, unread[0].first, unread[0].length), (second, 6, 1));
        books.discard(second);
        assert_eq!(books.take_chores(), [Chore::Reclaim("2.seg".into())]);
        assert_eq!(books.evict(|_| false), Some((first, vec![])));
    }

    #[test]
    fn a_lost_segment_uncovers_its_events() {
        let (mut books, id) = books();
        books.record(6, id, 10);
        books.postpone(6, id, 114);
        let lost = books.lose(id);
        assert_eq!((lost[0].first, lost[0].length), (6, 1));
        assert!(!books.covers(3) && books.bytes() == 0 && books.all_read());
    }
}
