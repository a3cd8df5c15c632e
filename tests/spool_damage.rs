//! Every single fault of a small spool: each bit flipped, each truncation. Every reopen ends, and a flip costs one
//! record at most.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use companion_segment::testing::Secret;

use crate::support::disk::SimulatedDisk;
use crate::support::spool::{Life, Setup};

const EVENTS: u64 = 24;
const SETTLED: u64 = 3;

/// Three segments, the first of them partly acknowledged.
fn small_spool(setup: &Setup) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let mut life = Life::begin(Arc::new(disk.clone()), setup);
    for id in 1..=EVENTS {
        assert!(life.append(id));
    }
    life.settle(usize::try_from(SETTLED).unwrap());
    disk.kill();
    disk
}

fn reopen(disk: &SimulatedDisk, setup: &Setup) -> (BTreeSet<u64>, u64) {
    let life = Life::begin(Arc::new(disk.clone()), setup);
    (life.open.values().copied().collect(), life.damaged)
}

fn every_single_fault(setup: &Setup, every_bit: bool) -> (u64, u64) {
    let (mut flips, mut truncations) = (0, 0);
    let disk = small_spool(setup);
    let expected: BTreeSet<u64> = (SETTLED + 1..=EVENTS).collect();
    let settled: BTreeSet<u64> = (1..=SETTLED).collect();
    assert_eq!(reopen(&disk.copy(), setup), (expected.clone(), 0));
    assert!(disk.files().len() >= 4, "three segments and acknowledgements");
    for path in disk.files() {
        let sound = disk.content(&path);
        let is_segment = path.extension().is_some_and(|extension| extension == "seg");
        for index in 0..sound.len() {
            for bit in if every_bit { 0..8 } else { 5..6 } {
                let copy = disk.copy();
                let mut bytes = sound.clone();
                bytes[index] ^= 1 << bit;
                copy.replace(&path, bytes);
                let (found, damaged) = reopen(&copy, setup);
                flips += 1;
                let lost = expected.difference(&found).count() as u64;
                assert!(lost <= 1, "{}, byte {index}, bit {bit}: {lost} records lost", path.display());
                // The length of the last record may make it look like one whose writing was cut short.
                assert!(lost <= damaged || index + 250 > sound.len(), "byte {index}: a loss is counted");
                let revived: BTreeSet<_> = found.difference(&expected).copied().collect();
                assert!(revived.is_subset(&settled) && (revived.is_empty() || !is_segment));
            }
            let copy = disk.copy();
            copy.replace(&path, sound[..index].to_vec());
            let (found, _) = reopen(&copy, setup);
            truncations += 1;
            // What is before the cut is there, in this file and in all others.
            let lost = expected.difference(&found).count();
            assert!(lost <= (sound.len() - index) / 30 + 1, "byte {index}: {lost} records lost");
        }
    }
    (flips, truncations)
}

#[test]
fn a_flipped_bit_costs_one_record_and_a_cut_only_what_is_behind_it() {
    let every_bit = std::env::var("SPOOL_DAMAGE").is_ok_and(|extent| extent == "all");
    let start = Instant::now();
    let (flips, truncations) = every_single_fault(&Setup::default(), every_bit);
    let encrypted = Setup { keys: vec![Secret::new([7; 32])], ..Setup::default() };
    let (encrypted_flips, encrypted_truncations) = every_single_fault(&encrypted, every_bit);
    println!(
        "chaos: {{\"row\":\"flip-and-truncate\",\"accepted\":{EVENTS},\"flips\":{},\"truncations\":{},\"faults\":{},\
         \"lost\":0,\"corrupted\":0,\"lostPerFlip\":1,\"seconds\":{:.1}}}",
        flips + encrypted_flips,
        truncations + encrypted_truncations,
        flips + encrypted_flips + truncations + encrypted_truncations,
        start.elapsed().as_secs_f64()
    );
}

#[test]
fn a_missing_or_wrong_key_keeps_the_files() {
    let setup = |keys: &[u8]| Setup {
        keys: keys.iter().map(|byte| Secret::new([*byte; 32])).collect(),
        ..Setup::default()
    };
    let disk = small_spool(&setup(&[1]));
    let files = disk.files();
    for wrong in [setup(&[]), setup(&[2])] {
        assert_eq!(reopen(&disk, &wrong), (BTreeSet::new(), 0));
        disk.kill();
        assert_eq!(disk.files(), files);
    }
    let (found, _) = reopen(&disk, &setup(&[2, 1]));
    assert_eq!(found.len() as u64, EVENTS - SETTLED, "rotation: the old key still reads");
}

#[test]
fn a_missing_key_keeps_a_file_whose_header_is_destroyed_too() {
    let setup = |keys: Vec<Secret<[u8; 32]>>| Setup { keys, ..Setup::default() };
    let disk = small_spool(&setup(vec![Secret::new([1; 32])]));
    for path in disk.files().into_iter().filter(|path| path.extension().is_some_and(|name| name == "seg")) {
        let mut bytes = disk.content(&path);
        bytes[34] ^= 1;
        disk.replace(&path, bytes);
    }
    let files = disk.files();
    assert_eq!(reopen(&disk, &setup(Vec::new())), (BTreeSet::new(), 0));
    disk.kill();
    assert_eq!(disk.files(), files);
    let (found, _) = reopen(&disk, &setup(vec![Secret::new([1; 32])]));
    assert_eq!(found.len() as u64, EVENTS - SETTLED);
}

#[test]
fn a_newer_version_is_left_alone() {
    let disk = small_spool(&Setup::default());
    let path =
        disk.files().into_iter().find(|path| path.extension().is_some_and(|name| name == "seg")).unwrap();
    let mut bytes = disk.content(&path);
    bytes[8] = 9;
    let checksum = crc32c::crc32c(&bytes[..60]).to_le_bytes();
    bytes[60..64].copy_from_slice(&checksum);
    disk.replace(&path, bytes.clone());
    let (found, damaged) = reopen(&disk, &Setup::default());
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let is_elsewhere = |id: &u64| !text.contains(&format!(r#"{{"id":{id},"#));
    assert!(found.into_iter().eq((1..=EVENTS).filter(is_elsewhere)), "nothing of it is taken over");
    assert_eq!((damaged, disk.content(&path)), (0, bytes));
}

#[test]
fn what_nobody_can_read_is_set_aside_and_counted() {
    let disk = small_spool(&Setup::default());
    let path =
        disk.files().into_iter().find(|path| path.extension().is_some_and(|name| name == "seg")).unwrap();
    disk.replace(&path, vec![0xaa; 5_000]);
    let (_, damaged) = reopen(&disk, &Setup::default());
    assert!(damaged >= 1);
    assert_eq!(disk.content(&path.with_extension("corrupt")), vec![0xaa; 5_000]);
}
