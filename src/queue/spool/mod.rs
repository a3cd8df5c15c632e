//! The queue on disk: a log of segments in a directory of this instance's own.
//!
//! An event is appended to the [`tail`] before it is accepted and acknowledged once it is settled; a segment goes when all
//! of it is. What an ended process left behind is taken over by the next ([`recovery`]). Everything that can wait is done
//! by [`maintenance`], elsewhere. `docs/RELIABILITY.md` says what this promises.

pub mod backlog;
pub mod cipher;
mod commit;
pub mod dead_letters;
pub mod disk;
pub mod extents;
#[cfg(not(target_arch = "wasm32"))]
pub mod inspect;
pub mod jobs;
pub mod lease;
pub mod maintenance;
pub mod reader;
mod reading;
pub mod record;
pub mod recovery;
mod settings;
pub mod survey;
pub mod tail;
pub mod writer;

pub use commit::SyncJob;
pub use settings::Settings;
