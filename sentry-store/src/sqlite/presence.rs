//! Whether the files of an open state are still those that lie in its directory. SQLite does not ask: it goes on with files
//! that were removed or moved, and what it keeps in them is gone with the process
//! (<https://www.sqlite.org/howtocorrupt.html>, 1.4 and 4.1).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Access, access};

use super::failure::Failure;

/// A file, whatever it is called: its device and inode.
type FileId = (u64, u64);

/// What lies where, for as long as it is in use, and the bytes that it has at least. All clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Presence(Arc<Mutex<BTreeMap<PathBuf, (FileId, u64)>>>);

impl Presence {
    /// Notes what is at a path now; nothing where nothing is.
    pub(super) fn note(&self, path: &Path, least: u64) -> io::Result<()> {
        match fs::metadata(path) {
            Ok(about) => drop(self.files().insert(path.to_owned(), (id(&about), least))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Looks at every file again. By their paths alone: to open and close the database here would take SQLite's locks away
    /// (`fcntl`(2), "advisory record locking").
    pub(super) fn check(&self, writes: bool) -> Result<(), Failure> {
        let wanted = if writes { Access::READ_OK | Access::WRITE_OK } else { Access::READ_OK };
        for (path, (noted, least)) in self.files().iter() {
            let displaced = |what| Failure::Displaced(path.clone(), what);
            match fs::metadata(path) {
                Ok(about) if id(&about) != *noted => {
                    return Err(displaced("was replaced by another file"));
                }
                Ok(about) if about.len() < *least => return Err(displaced("was emptied")),
                Ok(_) => access(path, wanted)
                    .map_err(|_| displaced("can no longer be read or written"))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(displaced("was removed or moved"));
                }
                Err(_) => return Err(displaced("can't be reached any more")),
            }
        }
        Ok(())
    }

    /// Notes a lock's file until the lock is dropped.
    pub(super) fn hold(&self, path: PathBuf, lock: File) -> io::Result<HeldFile> {
        self.note(&path, 0)?;
        Ok(HeldFile { presence: self.clone(), path, _lock: lock })
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, (FileId, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(about: &fs::Metadata) -> FileId {
    (about.dev(), about.ino())
}

/// A lock, and its file's place among those that must stay.
#[derive(Debug)]
pub(super) struct HeldFile {
    presence: Presence,
    path: PathBuf,
    _lock: File,
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        self.presence.files().remove(&self.path);
    }
}
