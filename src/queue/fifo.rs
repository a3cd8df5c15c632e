//! First in, first out, in blocks: growing never copies what waits, and what a burst needed is given back.

use std::collections::VecDeque;

/// Items of one block.
const BLOCK: usize = 512;

/// A queue that grows and shrinks by blocks.
#[derive(Debug)]
pub struct Fifo<T> {
    blocks: VecDeque<VecDeque<T>>,
    /// One block that is empty, so that a queue of a few items does not allocate again and again.
    spare: Option<VecDeque<T>>,
    length: usize,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { blocks: VecDeque::new(), spare: None, length: 0 }
    }
}

impl<T> Fifo<T> {
    /// Appends an item.
    pub fn push(&mut self, item: T) {
        self.length += 1;
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK => block.push_back(item),
            _ => {
                let mut block = self.spare.take().unwrap_or_else(|| VecDeque::with_capacity(BLOCK));
                block.push_back(item);
                self.blocks.push_back(block);
            }
        }
    }

    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        let block = self.blocks.front_mut()?;
        let item = block.pop_front()?;
        self.length -= 1;
        if block.is_empty() {
            self.spare = self.blocks.pop_front();
        }
        Some(item)
    }

    /// Takes the newest item.
    pub fn pop_newest(&mut self) -> Option<T> {
        let block = self.blocks.back_mut()?;
        let item = block.pop_back()?;
        self.length -= 1;
        if block.is_empty() {
            self.spare = self.blocks.pop_back();
        }
        Some(item)
    }

    /// Takes the items that are meant, oldest first, wherever they are; it stops looking once it has so many.
    pub fn take(&mut self, count: u64, is_meant: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        let mut looked_at = 0;
        while (taken.len() as u64) < count
            && let Some(block) = self.blocks.get_mut(looked_at)
        {
            if block.iter().any(&is_meant) {
                let (meant, others): (VecDeque<T>, VecDeque<T>) = block.drain(..).partition(&is_meant);
                taken.extend(meant);
                block.extend(others);
            }
            if block.is_empty() {
                self.spare = self.blocks.remove(looked_at);
            } else {
                looked_at += 1;
            }
        }
        self.length -= taken.len();
        taken
    }

    /// The oldest item.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.blocks.front()?.front()
    }

    /// The newest item.
    #[must_use]
    pub fn back(&self) -> Option<&T> {
        self.blocks.back()?.back()
    }

    /// Items.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// The first item whose key is at least `from`. Keys ascend; the search costs the logarithm of what waits.
    pub fn first_from(&mut self, from: u64, key: impl Fn(&T) -> u64) -> Option<&mut T> {
        let index = self.blocks.partition_point(|block| block.back().is_none_or(|last| key(last) < from));
        let block = self.blocks.get_mut(index)?;
        let index = block.partition_point(|item| key(item) < from);
        block.get_mut(index)
    }

    /// All items, oldest first.
    #[cfg(any(test, feature = "testing"))]
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flatten()
    }

    /// Gives back memory that nothing needs now.
    pub fn trim(&mut self) {
        self.spare = None;
        if self.blocks.is_empty() {
            self.blocks = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_across_blocks_and_any_item_is_found() {
        let mut fifo = Fifo::default();
        for item in 0..2_000_u64 {
            fifo.push(item * 2);
        }
        assert_eq!(fifo.blocks.len(), 4, "blocks are filled before another is begun");
        assert_eq!(
            (0..700).map(|_| fifo.pop().unwrap()).collect::<Vec<_>>(),
            (0..700).map(|n| n * 2).collect::<Vec<_>>()
        );
        assert_eq!((fifo.len(), fifo.front()), (1_300, Some(&1_400)));
        for (from, found) in [(0, Some(1_400)), (1_401, Some(1_402)), (3_998, Some(3_998)), (3_999, None)] {
            assert_eq!(fifo.first_from(from, |item| *item).copied(), found);
        }
        assert_eq!(fifo.iter().count(), 1_300);
        assert_eq!((0..600).filter_map(|_| fifo.pop_newest()).last(), Some(2_800));
        assert_eq!((fifo.len(), fifo.back()), (700, Some(&2_798)));
        let among = fifo.take(3, |item| (1_500..1_506).contains(item) || *item == 2_798);
        assert_eq!((among.as_slice(), fifo.len()), ([1_500, 1_502, 1_504].as_slice(), 697));
        assert_eq!(fifo.first_from(1_500, |item| *item).copied(), Some(1_506));
        assert_eq!(fifo.take(u64::MAX, |item| *item < 2_700).len(), 647);
        assert_eq!((fifo.len(), fifo.front(), fifo.back()), (50, Some(&2_700), Some(&2_798)));
        while fifo.pop().is_some() {}
        assert!(fifo.len() == 0 && fifo.front().is_none());
        assert!(fifo.spare.is_some());
        fifo.trim();
        assert!(fifo.spare.is_none() && fifo.blocks.capacity() == 0, "nothing is kept for a rest");
    }
}
