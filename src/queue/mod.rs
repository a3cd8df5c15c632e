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
    /// Somebody waits for this event's own fate.
    pub tracked: bool,
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
