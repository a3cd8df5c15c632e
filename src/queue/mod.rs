//! Where accepted events wait. A queue sees opaque bytes, never fields.

pub mod memory;
pub mod spool;

/// One accepted event.
#[derive(Debug)]
pub struct Entry {
    /// The sealed JSON.
    pub bytes: Box<[u8]>,
    /// Order of acceptance within the client, from 1.
    pub sequence: u64,
    /// When it was accepted, in milliseconds of the client's monotonic clock; below zero in an earlier process.
    pub accepted_at_ms: i64,
    /// Whether somebody waits for this event's own fate.
    pub tracking: Tracking,
}

/// Who waits for the fate of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracking {
    /// Nobody.
    #[default]
    Nobody,
    /// Somebody who wants to see the event then.
    Whole,
    /// Somebody who has the event still.
    Fate,
}

impl Tracking {
    /// Whether there is anybody to tell.
    #[must_use]
    pub fn is_on(self) -> bool {
        self != Self::Nobody
    }
}

impl Entry {
    /// What holding an event costs beside its bytes: its place in the queue and the allocator's share.
    pub(crate) const OVERHEAD: usize = 64;

    /// Bytes this event counts for against the bound.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.bytes.len() + Self::OVERHEAD
    }
}
