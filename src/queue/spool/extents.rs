//! The segments that a client has written itself: what is in them, and how many bytes they take. Pure.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::record::ACKNOWLEDGEMENT_LENGTH;
use crate::queue::{Place, SegmentId};

/// A segment of this client's own. All counts are of events.
#[derive(Debug)]
pub struct Extent {
    /// The file.
    pub path: Arc<Path>,
    /// Its number.
    pub number: u64,
    /// On disk, acknowledgements included.
    pub bytes: u64,
    /// Records in it.
    pub written: u64,
    /// Those that nobody needs any more.
    pub settled: u64,
    /// Taken from the queue or read back, and not settled.
    pub busy: u64,
    /// A commit that should have covered it failed.
    pub is_suspect: bool,
    /// Records up to this sequence survive a power loss.
    pub synced_up_to: u64,
    /// What the wall clock said at the zero of the client's own clock, in milliseconds since 1970: by it the times in
    /// this segment were written.
    pub epoch: i64,
    /// The same as it is known now.
    pub corrected_epoch: i64,
    /// When its oldest record was accepted, in milliseconds since 1970.
    pub oldest_at: u64,
}

/// What becomes of a segment after events in it were settled.
#[derive(Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing of it is needed any more.
    Reclaim(Arc<Path>),
    /// The acknowledgements are to be noted.
    Acknowledge(Arc<Path>),
    /// It is gone already.
    Unknown,
}

/// All of one client.
#[derive(Debug, Default)]
pub struct Extents {
    segments: BTreeMap<SegmentId, Extent>,
    bytes: u64,
}

impl Extents {
    /// One more, with its header.
    pub fn insert(&mut self, id: SegmentId, path: Arc<Path>, number: u64, bytes: u64, epoch: i64) {
        self.bytes += bytes;
        let extent = Extent {
            path,
            number,
            bytes,
            written: 0,
            settled: 0,
            busy: 0,
            is_suspect: false,
            synced_up_to: 0,
            epoch,
            corrected_epoch: epoch,
            oldest_at: u64::MAX,
        };
        self.segments.insert(id, extent);
    }

    /// A record of so many bytes was written.
    pub fn wrote(&mut self, id: SegmentId, bytes: u64, accepted_at: u64) {
        self.bytes += bytes;
        if let Some(extent) = self.segments.get_mut(&id) {
            extent.written += 1;
            extent.bytes += bytes;
            extent.oldest_at = extent.oldest_at.min(accepted_at);
        }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: SegmentId) -> Option<&Extent> {
        self.segments.get(&id)
    }

    /// One of them, for what does not change its bytes.
    pub fn get_mut(&mut self, id: SegmentId) -> Option<&mut Extent> {
        self.segments.get_mut(&id)
    }

    /// All of them, for what does not change their bytes.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Extent> {
        self.segments.values_mut()
    }

    /// Those that are like this.
    pub fn find_all(&self, is_like: impl Fn(SegmentId, &Extent) -> bool) -> Vec<SegmentId> {
        self.segments.iter().filter(|(id, extent)| is_like(**id, extent)).map(|(id, _)| *id).collect()
    }

    /// The oldest in which nothing is busy.
    #[must_use]
    pub fn oldest_idle(&self) -> Option<SegmentId> {
        self.segments.iter().find(|(_, extent)| extent.busy == 0).map(|(id, _)| *id)
    }

    /// So many events of a segment need no disk any more; with `ranges` acknowledgements if it stays. `was_busy`: they
    /// had been taken out.
    pub fn settle(&mut self, id: SegmentId, count: u64, ranges: usize, was_busy: bool) -> Settled {
        let Some(extent) = self.segments.get_mut(&id) else { return Settled::Unknown };
        extent.settled += count;
        if was_busy {
            extent.busy = extent.busy.saturating_sub(count);
        }
        if extent.settled >= extent.written {
            return self.remove(id).map_or(Settled::Unknown, |extent| Settled::Reclaim(extent.path));
        }
        let bytes = (ranges * ACKNOWLEDGEMENT_LENGTH) as u64;
        extent.bytes += bytes;
        self.bytes += bytes;
        Settled::Acknowledge(Arc::clone(&extent.path))
    }

    /// It is gone.
    pub fn remove(&mut self, id: SegmentId) -> Option<Extent> {
        let extent = self.segments.remove(&id)?;
        self.bytes -= extent.bytes;
        Some(extent)
    }

    /// The segment of a copy.
    #[must_use]
    pub fn of(&self, place: Option<Place>) -> Option<&Extent> {
        place.and_then(|place| self.segments.get(&place.segment))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Bytes of all.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What has to hold after every step.
    ///
    /// # Panics
    /// When it does not.
    #[cfg(any(test, feature = "testing"))]
    pub fn check(&self) {
        let bytes: u64 = self.segments.values().map(|extent| extent.bytes).sum();
        assert_eq!(bytes, self.bytes, "bytes of segments");
        for extent in self.segments.values() {
            assert!(extent.settled + extent.busy <= extent.written, "{extent:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_acknowledged_and_reclaimed_when_all_of_it_is_settled() {
        let mut extents = Extents::default();
        extents.insert(1, Path::new("1.seg").into(), 1, 64, 0);
        for _ in 0..5 {
            extents.wrote(1, 10, 7);
        }
        extents.get_mut(1).unwrap().busy = 3;
        assert_eq!(extents.oldest_idle(), None);
        assert_eq!(extents.settle(1, 3, 2, true), Settled::Acknowledge(Path::new("1.seg").into()));
        assert_eq!((extents.bytes(), extents.oldest_idle()), (64 + 50 + 40, Some(1)));
        extents.check();
        assert_eq!(extents.settle(1, 2, 1, false), Settled::Reclaim(Path::new("1.seg").into()));
        assert_eq!((extents.bytes(), extents.settle(1, 1, 1, false)), (0, Settled::Unknown));
    }
}
