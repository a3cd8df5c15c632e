//! Where the bytes of events are: chunks that are filled one after the other and used again.
//!
//! Fresh memory is what accepting an event costs most: each page that the system has to hand out stops the caller. So an
//! event is written straight into the free end of a chunk, and a chunk whose events are all gone is filled anew.

use bytes::{BufMut as _, Bytes, BytesMut};
use std::collections::VecDeque;

/// Bytes of a chunk.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that are kept although nothing in them is needed.
const SPARE_CHUNKS: usize = 4;
/// Chunks that are looked at when one is needed.
const TRIES: usize = 8;

/// Chunks of one client.
#[derive(Debug, Default)]
pub struct Arena {
    /// What is being filled; its written part is the text of one event that nobody has taken yet.
    current: BytesMut,
    is_chunk: bool,
    /// Chunks that are full, in the order in which their events will be gone.
    full: VecDeque<BytesMut>,
}

impl Arena {
    /// Writes a text of these pieces. It is there until [`Arena::keep`] or [`Arena::discard`].
    pub fn write(&mut self, pieces: &[&[u8]]) -> &[u8] {
        let size = pieces.iter().map(|piece| piece.len()).sum();
        if self.current.capacity() - self.current.len() < size {
            self.next_chunk(size);
        }
        for piece in pieces {
            self.current.put_slice(piece);
        }
        &self.current
    }

    fn next_chunk(&mut self, size: usize) {
        let wanted = size.max(CHUNK_BYTES);
        // The rest of a chunk is of use only once its events are gone; one that never was a chunk is not.
        let full = std::mem::take(&mut self.current);
        if std::mem::replace(&mut self.is_chunk, true) {
            self.full.push_back(full);
        }
        for _ in 0..self.full.len().min(TRIES) {
            let Some(mut oldest) = self.full.pop_front() else { break };
            if oldest.try_reclaim(wanted) {
                self.current = oldest;
                return;
            }
            // An event in it is kept for longer than others.
            self.full.push_back(oldest);
        }
        self.current = BytesMut::with_capacity(wanted);
    }

    /// Keeps the text that was written.
    pub fn keep(&mut self) -> Bytes {
        self.current.split().freeze()
    }

    /// Forgets the text that was written.
    pub fn discard(&mut self) {
        self.current.clear();
    }

    /// Lets go of chunks: each is freed with the last of its events. A few stay, for the next burst, unless the client
    /// rests.
    pub fn trim(&mut self, rests: bool) {
        let kept = if rests { 0 } else { SPARE_CHUNKS };
        while self.full.len() > kept {
            self.full.pop_front();
        }
        if rests && self.current.is_empty() {
            (self.current, self.is_chunk) = (BytesMut::new(), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_whole_and_apart() {
        let mut arena = Arena::default();
        let mut kept = Vec::new();
        for index in 0..5_000_usize {
            let text = format!("event {index}");
            assert_eq!(arena.write(&[b"<", text.as_bytes(), b">"]), format!("<{text}>").as_bytes());
            if index % 3 == 0 {
                arena.discard();
            } else {
                kept.push((index, arena.keep()));
            }
        }
        assert!(kept.iter().all(|(index, bytes)| *bytes == format!("<event {index}>").as_bytes()));
    }

    #[test]
    fn a_chunk_whose_events_are_gone_is_filled_again() {
        let mut arena = Arena::default();
        let event = vec![b'x'; 32 * 1024];
        let mut chunks = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            arena.write(&[&event]);
            let kept = arena.keep();
            chunks.insert(kept.as_ptr() as usize);
        }
        assert!(chunks.len() <= 16, "{} addresses for 1,000 events that were gone at once", chunks.len());
    }

    #[test]
    fn an_event_larger_than_a_chunk_gets_one_of_its_own() {
        let mut arena = Arena::default();
        let event = vec![b'x'; CHUNK_BYTES + 1];
        assert_eq!(arena.write(&[&event]).len(), event.len());
        assert_eq!(arena.keep(), event);
    }

    #[test]
    fn a_few_chunks_stay_for_the_next_burst_and_none_for_a_rest() {
        let mut arena = Arena::default();
        let event = vec![b'x'; CHUNK_BYTES];
        let kept: Vec<_> = (0..10)
            .map(|_| {
                arena.write(&[&event]);
                arena.keep()
            })
            .collect();
        assert_eq!(arena.full.len(), 9);
        arena.trim(false);
        assert_eq!(arena.full.len(), SPARE_CHUNKS);
        arena.write(&[b"not kept yet"]);
        arena.trim(true);
        assert_eq!((arena.full.len(), arena.keep().as_ref()), (0, b"not kept yet".as_slice()));
        arena.trim(true);
        assert_eq!(arena.current.capacity(), 0);
        assert!(kept.iter().all(|bytes| *bytes == event));
    }
}
