//! Where accepted events wait. A queue sees opaque bytes, never fields.

pub mod arena;
mod fifo;
pub mod memory;
pub mod spool;

use bytes::Bytes;

pub use fifo::Fifo;

/// Names a segment of the spool within this client.
pub type SegmentId = u32;

/// Where the copy of an event on disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment that holds it.
    pub segment: SegmentId,
    /// What the segment calls it.
    pub sequence: u64,
}

/// One accepted event.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The sealed JSON, a piece of an [`arena::Arena`].
    pub bytes: Bytes,
    /// Order of acceptance within the client, from 1.
    pub sequence: u64,
    /// When it was accepted, in milliseconds of the client's monotonic clock; below zero in an earlier process.
    pub accepted_at_ms: i64,
    /// Its copy on disk, if it has one.
    pub place: Option<Place>,
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
    /// What holding an event costs beside its bytes: its place in the queue and in the arena.
    pub const OVERHEAD: usize = 64;

    /// Bytes this event counts for against the bound.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.bytes.len() + Self::OVERHEAD
    }
}
