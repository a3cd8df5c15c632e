//! A disk in memory that can lose power, run full, fail, and keep what it should have forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use companion_segment::testing::{Disk, Item, LOCK_FILE, Lock, LogFile};
use fastrand::Rng;

/// What the disk does wrong until it is told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It is full.
    Full,
    /// It takes only a part of what is written.
    Short,
    /// It fails to sync.
    Sync,
    /// It fails at everything.
    All,
}

#[derive(Clone, Debug, Default)]
struct Content {
    live: Vec<u8>,
    /// Bytes that a power loss can't take.
    durable: usize,
    is_linked: bool,
}

type Inode = Arc<Mutex<Content>>;

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Inode>,
    /// Names as a power loss would leave them.
    durable_files: BTreeMap<PathBuf, Inode>,
    directories: BTreeSet<PathBuf>,
    locked: BTreeMap<PathBuf, u64>,
    last_lock: u64,
    fault: Fault,
    file_syncs: u64,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on it fails in this way.
    pub fn set_fault(&self, fault: Fault) {
        self.state().fault = fault;
    }

    /// The process ended: nothing is lost, and nobody holds a lock.
    pub fn kill(&self) {
        self.state().locked.clear();
    }

    /// The power failed: of what was not synced, any part is there; the last of it perhaps torn.
    pub fn lose_power(&self, rng: &mut Rng) {
        let mut state = self.state();
        let state = &mut *state;
        state.locked.clear();
        let names: BTreeSet<_> = state.files.keys().chain(state.durable_files.keys()).cloned().collect();
        let mut files = BTreeMap::new();
        for name in names {
            let survivor = match (state.files.get(&name), state.durable_files.get(&name)) {
                (Some(live), Some(_)) => Some(live),
                // Made or removed without a sync of the directory.
                (live, durable) => [live, durable][rng.usize(..2)],
            };
            let Some(inode) = survivor else { continue };
            let mut content = inode.lock().unwrap();
            let unsynced = content.live.len() - content.durable;
            let kept = content.durable + rng.usize(..=unsynced);
            content.live.truncate(kept);
            content.durable = kept;
            content.is_linked = true;
            drop(content);
            files.insert(name, Arc::clone(inode));
        }
        state.durable_files.clone_from(&files);
        state.files = files;
    }

    /// All files but locks, by name.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().files.keys().filter(|path| !path.ends_with(LOCK_FILE)).cloned().collect()
    }

    /// How often a file was made safe from a power loss.
    pub fn file_syncs(&self) -> u64 {
        self.state().file_syncs
    }

    /// The content of a file.
    pub fn content(&self, path: &Path) -> Vec<u8> {
        self.state().files[path].lock().unwrap().live.clone()
    }

    /// Replaces the content of a file behind everybody's back.
    pub fn replace(&self, path: &Path, bytes: Vec<u8>) {
        let state = self.state();
        let mut content = state.files[path].lock().unwrap();
        content.durable = bytes.len();
        content.live = bytes;
    }

    /// Removes a file behind everybody's back.
    pub fn delete(&self, path: &Path) {
        let mut state = self.state();
        if let Some(inode) = state.files.remove(path) {
            inode.lock().unwrap().is_linked = false;
        }
        state.durable_files.remove(path);
    }

    /// A disk with the same content, as safe as it is here, and no locks.
    pub fn copy(&self) -> Self {
        let state = self.state();
        let mut inodes: BTreeMap<*const Mutex<Content>, Inode> = BTreeMap::new();
        let mut copied = |files: &BTreeMap<PathBuf, Inode>| -> BTreeMap<PathBuf, Inode> {
            let mut copy = |inode: &Inode| {
                let copy = || Arc::new(Mutex::new(inode.lock().unwrap().clone()));
                Arc::clone(inodes.entry(Arc::as_ptr(inode)).or_insert_with(copy))
            };
            files.iter().map(|(path, inode)| (path.clone(), copy(inode))).collect()
        };
        Self(Arc::new(Mutex::new(State {
            files: copied(&state.files),
            durable_files: copied(&state.durable_files),
            directories: state.directories.clone(),
            ..State::default()
        })))
    }
}

fn check(fault: Fault) -> Result<()> {
    if fault == Fault::All { Err(Error::from_raw_os_error(5)) } else { Ok(()) }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    inode: Inode,
}

struct Held(SimulatedDisk, u64);

impl Drop for Held {
    fn drop(&mut self) {
        // After a kill somebody else may hold it.
        self.0.state().locked.retain(|_, number| *number != self.1);
    }
}

impl Disk for SimulatedDisk {
    fn prepare(&self, directory: &Path) -> Result<()> {
        let mut state = self.state();
        check(state.fault)?;
        state.directories.extend(directory.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn lock(&self, directory: &Path) -> Result<Option<Lock>> {
        let mut state = self.state();
        check(state.fault)?;
        if !state.directories.contains(directory) {
            return Err(ErrorKind::NotFound.into());
        }
        let content = Content { is_linked: true, ..Content::default() };
        let inode = Arc::new(Mutex::new(content));
        state.files.entry(directory.join(LOCK_FILE)).or_insert(inode);
        if state.locked.contains_key(directory) {
            return Ok(None);
        }
        state.last_lock += 1;
        let number = state.last_lock;
        state.locked.insert(directory.to_path_buf(), number);
        Ok(Some(Box::new(Held(self.clone(), number))))
    }

    fn check(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn is_locked(&self, directory: &Path) -> Result<bool> {
        Ok(self.state().locked.contains_key(directory))
    }

    fn create(&self, file: &Path) -> Result<Arc<dyn LogFile>> {
        let mut state = self.state();
        check(state.fault)?;
        if !file.parent().is_some_and(|parent| state.directories.contains(parent)) {
            return Err(ErrorKind::NotFound.into());
        }
        if state.files.contains_key(file) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let inode = Arc::new(Mutex::new(Content { is_linked: true, ..Content::default() }));
        state.files.insert(file.to_path_buf(), Arc::clone(&inode));
        Ok(Arc::new(SimulatedFile { disk: self.clone(), inode }))
    }

    fn open(&self, file: &Path) -> Result<Arc<dyn LogFile>> {
        let existing = self.state().files.get(file).cloned();
        match existing {
            Some(inode) => Ok(Arc::new(SimulatedFile { disk: self.clone(), inode })),
            None => self.create(file),
        }
    }

    fn read(&self, file: &Path, offset: u64, limit: usize) -> Result<Vec<u8>> {
        let state = self.state();
        check(state.fault)?;
        let content = state.files.get(file).ok_or(ErrorKind::NotFound)?.lock().unwrap();
        let rest = content.live.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        Ok(rest[..rest.len().min(limit)].to_vec())
    }

    fn list(&self, directory: &Path) -> Result<Vec<Item>> {
        let state = self.state();
        check(state.fault)?;
        if !state.directories.contains(directory) {
            return Err(ErrorKind::NotFound.into());
        }
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let below = |path: &&PathBuf| path.parent() == Some(directory);
        let directories = state.directories.iter().filter(below);
        let directories = directories.map(|path| Item { name: name(path), is_directory: true, length: 0 });
        let files = state.files.iter().filter(|(path, _)| path.parent() == Some(directory));
        let files = files.map(|(path, inode)| Item {
            name: name(path),
            is_directory: false,
            length: inode.lock().unwrap().live.len() as u64,
        });
        Ok(directories.chain(files).collect())
    }

    fn remove_file(&self, file: &Path) -> Result<()> {
        let mut state = self.state();
        check(state.fault)?;
        let inode = state.files.remove(file).ok_or(ErrorKind::NotFound)?;
        inode.lock().unwrap().is_linked = false;
        Ok(())
    }

    fn remove_directory(&self, directory: &Path) -> Result<()> {
        let mut state = self.state();
        check(state.fault)?;
        if state.files.keys().any(|path| path.parent() == Some(directory)) {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        state.directories.remove(directory);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.state();
        check(state.fault)?;
        let moved = |path: &PathBuf| path.strip_prefix(from).ok().map(|rest| to.join(rest));
        let state = &mut *state;
        let files = std::mem::take(&mut state.files);
        state.files =
            files
                .into_iter()
                .map(|(path, inode)| {
                    if path == from {
                        (to.to_path_buf(), inode)
                    } else {
                        (moved(&path).unwrap_or(path), inode)
                    }
                })
                .collect();
        let directories = std::mem::take(&mut state.directories);
        state.directories =
            directories.into_iter().map(|path| if path == from { to.to_path_buf() } else { path }).collect();
        let locked = std::mem::take(&mut state.locked);
        state.locked = locked
            .into_iter()
            .map(|(path, number)| if path == from { (to.to_path_buf(), number) } else { (path, number) })
            .collect();
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> Result<()> {
        let mut state = self.state();
        check(state.fault)?;
        if state.fault == Fault::Sync {
            return Err(Error::from_raw_os_error(5));
        }
        let state = &mut *state;
        state.durable_files.retain(|path, _| path.parent() != Some(directory));
        let here = state.files.iter().filter(|(path, _)| path.parent() == Some(directory));
        state.durable_files.extend(here.map(|(path, inode)| (path.clone(), Arc::clone(inode))));
        Ok(())
    }
}

impl LogFile for SimulatedFile {
    fn append(&self, parts: [&[u8]; 2]) -> Result<usize> {
        let fault = self.disk.state().fault;
        check(fault)?;
        let bytes = parts.concat();
        let taken = match fault {
            Fault::Full => return Err(ErrorKind::StorageFull.into()),
            Fault::Short => bytes.len() / 2,
            _ => bytes.len(),
        };
        self.inode.lock().unwrap().live.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn truncate(&self, length: u64) -> Result<()> {
        check(self.disk.state().fault)?;
        let mut content = self.inode.lock().unwrap();
        content.live.truncate(usize::try_from(length).unwrap());
        content.durable = content.durable.min(content.live.len());
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let fault = {
            let mut state = self.disk.state();
            state.file_syncs += 1;
            state.fault
        };
        check(fault)?;
        let mut content = self.inode.lock().unwrap();
        if fault == Fault::Sync {
            // As Linux does: the pages count as clean from now on, and what was in them may be gone.
            return Err(Error::from_raw_os_error(5));
        }
        content.durable = content.live.len();
        Ok(())
    }

    fn is_linked(&self) -> Result<bool> {
        Ok(self.inode.lock().unwrap().is_linked)
    }
}
