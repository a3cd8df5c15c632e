//! Events of a turn of JavaScript's event loop that has not come to its end: they do not leave yet, so that a plugin which
//! is registered in the same turn can still see them. A turn that takes in more than a share of the queue goes on with
//! holding the newest only: what came before leaves beside it, and the queue does not fill up for nothing. Pure.

use crate::queue::Entry;

/// The most that is kept of events whose place is on disk only. Of a turn with more of them, the rest is not called back.
const MOST_BYTES_ON_DISK: usize = 8 * 1024 * 1024;

/// What of one client is held. Everything that was accepted after the first such event is held with it.
#[derive(Debug, Default)]
pub struct Held {
    from: Option<u64>,
    /// The first event of the turn, though it may leave by now.
    began_at: Option<u64>,
    in_queue: Share,
    on_disk: Vec<Entry>,
    on_disk_bytes: usize,
}

/// What of a queue is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Events.
    pub events: usize,
    /// Bytes of their JSON.
    pub bytes: usize,
    /// Of those events, the ones that somebody waits for.
    pub awaited: usize,
}

impl Held {
    /// From this event on everything is held, if it is not already. Of what waits in the queue, no more than `most` bytes
    /// are: beyond, all before this event may leave.
    pub fn begin(&mut self, sequence: u64, most: usize) {
        self.began_at.get_or_insert(sequence);
        if self.in_queue.bytes >= most {
            (self.from, self.in_queue) = (None, Share::default());
        }
        self.from.get_or_insert(sequence);
    }

    /// The first event that was held in this turn.
    #[must_use]
    pub const fn began_at(&self) -> Option<u64> {
        self.began_at
    }

    /// The first event that is held.
    #[must_use]
    pub const fn from(&self) -> Option<u64> {
        self.from
    }

    /// Whether this event is.
    #[must_use]
    pub fn holds(&self, sequence: u64) -> bool {
        self.from.is_some_and(|from| from <= sequence)
    }

    /// What of the queue is held.
    #[must_use]
    pub const fn in_queue(&self) -> Share {
        self.in_queue
    }

    /// An event came into the queue.
    pub fn queued(&mut self, entry: &Entry) {
        if self.from.is_some() {
            self.in_queue.events += 1;
            self.in_queue.bytes += entry.bytes.len();
            self.in_queue.awaited += usize::from(entry.tracking.is_on());
        }
    }

    /// An event left the queue because it had to.
    pub fn evicted(&mut self, entry: &Entry) {
        if self.holds(entry.sequence) {
            self.in_queue.events = self.in_queue.events.saturating_sub(1);
            self.in_queue.bytes = self.in_queue.bytes.saturating_sub(entry.bytes.len());
            let awaited = usize::from(entry.tracking.is_on());
            self.in_queue.awaited = self.in_queue.awaited.saturating_sub(awaited);
        }
    }

    /// Whether an event that goes to disk only is to be shown to [`Held::keep`].
    #[must_use]
    pub const fn keeps(&self, length: usize) -> bool {
        self.from.is_some() && self.on_disk_bytes + length <= MOST_BYTES_ON_DISK
    }

    /// Keeps an event that went to disk only.
    pub fn keep(&mut self, entry: Entry) {
        self.on_disk_bytes += entry.bytes.len();
        self.on_disk.push(entry);
    }

    /// The turn is over. Returns what was held.
    pub fn end(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Of the events that went to disk only, those that are there still.
    pub fn on_disk(self, is_there: impl Fn(&Entry) -> bool) -> impl Iterator<Item = Entry> {
        self.on_disk.into_iter().filter(move |entry| is_there(entry))
    }

    /// Whether something that is on disk only is held.
    #[must_use]
    pub fn has_on_disk(&self) -> bool {
        !self.on_disk.is_empty()
    }
}
