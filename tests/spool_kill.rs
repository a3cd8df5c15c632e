//! The log alone, in a process of its own that is killed in the middle of its work, over and over.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use companion_segment::testing::SystemDisk;
use fastrand::Rng;

use crate::support::spool::{Life, Setup};

const ROLE: &str = "SPOOL_KILL_DIRECTORY";

/// Appends until it is killed. An id is noted, with a call of its own, once its append has returned.
fn write_for_ever(directory: &Path) {
    let mut life = Life::begin(Arc::new(SystemDisk), &setup(directory));
    let mut notes = OpenOptions::new().append(true).create(true).open(directory.join("notes")).unwrap();
    let first = u64::from(std::process::id()) << 32;
    for id in first.. {
        assert!(life.append(id));
        notes.write_all(&id.to_le_bytes()).unwrap();
    }
}

fn setup(directory: &Path) -> Setup {
    Setup { directory: directory.join("spool"), ..Setup::default() }
}

fn noted(directory: &Path) -> BTreeSet<u64> {
    let bytes = std::fs::read(directory.join("notes")).unwrap_or_default();
    bytes.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn no_append_that_returned_is_lost_to_a_kill() {
    if let Ok(directory) = std::env::var(ROLE) {
        write_for_ever(Path::new(&directory));
        return;
    }
    let kills: u32 = std::env::var("SPOOL_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(20);
    let directory = std::env::temp_dir().join(format!("companion-segment-kill-{}", std::process::id()));
    let (start, mut rng) = (Instant::now(), Rng::with_seed(u64::from(kills)));
    let (mut accepted, mut unnoted) = (0, 0);
    for _ in 0..kills {
        std::fs::create_dir_all(&directory).unwrap();
        kill_one(&directory, Duration::from_micros(rng.u64(500..8_000)));
        let noted = noted(&directory);
        let life = Life::begin(Arc::new(SystemDisk), &setup(&directory));
        let found: BTreeSet<u64> = life.open.values().copied().collect();
        let lost: Vec<_> = noted.difference(&found).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        assert_eq!(life.damaged, 0);
        accepted += noted.len();
        unnoted += found.len() - noted.len();
        std::fs::remove_dir_all(&directory).unwrap();
    }
    assert!(accepted > 0, "the kills hit a writer at work");
    println!(
        "chaos: {{\"row\":\"log-alone\",\"kills\":{kills},\"accepted\":{accepted},\"lost\":0,\"corrupted\":0,\
         \"unnoted\":{unnoted},\"seconds\":{:.1}}}",
        start.elapsed().as_secs_f64()
    );
}

/// Starts a writer, waits until it writes, lets it write for a while and kills it.
fn kill_one(directory: &PathBuf, after: Duration) {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "spool_kill::no_append_that_returned_is_lost_to_a_kill", "--nocapture"])
        .env(ROLE, directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let notes = directory.join("notes");
    while std::fs::metadata(&notes).map_or(0, |metadata| metadata.len()) == 0 {
        std::thread::yield_now();
    }
    // The moment of the kill is what varies; nothing is expected to have happened by then.
    std::thread::sleep(after);
    writer.kill().unwrap();
    writer.wait().unwrap();
}
