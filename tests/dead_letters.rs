//! What Segment refused is kept, the newest of it, and within its bound.

use std::path::PathBuf;
use std::sync::Arc;

use companion_segment::testing::{Disk, Done, Durability, Job, Maintenance, Secret, Settings, SpoolConfig};

use crate::support::disk::SimulatedDisk;

const MOST_BYTES: usize = 16 * 1024 * 1024;
const FILE_BYTES: usize = 1024 * 1024;
/// With what is beside its text on disk, 32 of them fill a file.
const LETTER_BYTES: usize = 32 * 1024;

fn letters(disk: &SimulatedDisk) -> Vec<PathBuf> {
    disk.files()
        .into_iter()
        .filter(|path| path.parent().is_some_and(|parent| parent.ends_with("dead")))
        .collect()
}

#[test]
fn the_oldest_dead_letters_give_way_to_new_ones() {
    let config = SpoolConfig {
        directory: "/spool".into(),
        durability: Durability::Process,
        max_bytes: 1 << 30,
        encryption_keys: Vec::new(),
    };
    let settings = Arc::new(Settings::new(&config, &Secret::new("key".to_owned())));
    let disk = SimulatedDisk::default();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut maintenance = Maintenance::new(settings, shared, fastrand::Rng::with_seed(1));
    let mut bury = |number: u64| {
        let mut letter = format!("letter {number:06} ").into_bytes();
        letter.resize(LETTER_BYTES, b'x');
        let done =
            maintenance.run(Job::Bury { letters: vec![letter.into()], at: 1_767_225_600_000 + number });
        assert!(matches!(done, Done::Buried(Ok(()))));
    };
    (0..32).for_each(&mut bury);
    assert_eq!(letters(&disk).len(), 1);
    (32..700).for_each(&mut bury);
    let files = letters(&disk);
    let sizes: Vec<_> = files.iter().map(|path| disk.content(path).len()).collect();
    let bytes: usize = sizes.iter().sum();
    assert!((MOST_BYTES - 2 * FILE_BYTES..=MOST_BYTES).contains(&bytes), "{bytes}");
    assert!(sizes.iter().all(|size| *size < FILE_BYTES + 2 * LETTER_BYTES), "{sizes:?}");
    let all: Vec<u8> = files.iter().flat_map(|path| disk.content(path)).collect();
    let number = |at: usize| std::str::from_utf8(&all[at + 7..at + 13]).unwrap().parse::<u64>().unwrap();
    let kept: Vec<_> = memchr::memmem::find_iter(&all, b"letter ").map(number).collect();
    assert!(kept[0] > 100 && kept.iter().copied().eq(kept[0]..700), "the newest, without a gap: {kept:?}");
    // Where records are encrypted, a number that came twice would be a nonce that is used twice.
    let sequence = |content: &[u8]| u64::from_le_bytes(*content[72..].first_chunk().unwrap());
    let numbers: Vec<_> = files.iter().map(|path| sequence(&disk.content(path))).collect();
    assert!(numbers.is_sorted_by(|left, right| left < right), "{numbers:?}");
}
