//! Directories for children to work in: for this user only, locked while in use, removed afterwards, and swept away by the
//! next process if this one is killed.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LOCK: &str = "lock";
/// A directory without a lock is being made or removed for so long at most.
const UNLOCKED: Duration = Duration::from_secs(60);

/// A directory with mode 0700, locked while it is in use, and gone when this is dropped.
#[derive(Debug)]
pub struct Workdir {
    path: PathBuf,
    _lock: File,
}

impl Workdir {
    /// Makes one under `parent` whose name begins with `prefix`.
    ///
    /// # Errors
    /// `parent` can't be written to.
    pub fn new(parent: &Path, prefix: &str) -> io::Result<Self> {
        let name = loop {
            let name = format!("{prefix}{:016x}", fastrand::u64(..));
            // It gets its final name only once the lock is held, so that no sweep takes it for a leftover.
            match DirBuilder::new().mode(0o700).create(parent.join(format!(".{name}"))) {
                Ok(()) => break name,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let (draft, path) = (parent.join(format!(".{name}")), parent.join(name));
        let made = || {
            let lock = File::create_new(draft.join(LOCK))?;
            lock.lock()?;
            fs::rename(&draft, &path)?;
            Ok(lock)
        };
        match made() {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(error) => {
                fs::remove_dir_all(&draft).ok();
                Err(error)
            }
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Workdir {
    fn drop(&mut self) {
        // A killed child may still be writing for an instant: the directory is then not empty when it is removed.
        for _ in 0..20 {
            match fs::remove_dir_all(&self.path) {
                Ok(()) => return,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return,
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        tracing::warn!(directory = %self.path.display(), "can't remove a temporary directory");
    }
}

/// Removes what killed processes left under `parent`: directories of this user with such a name that nobody holds.
pub fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let user = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let named = name.strip_prefix('.').unwrap_or(name).starts_with(prefix);
        let Ok(about) = entry.metadata() else { continue };
        if !named || !about.is_dir() || about.uid() != user {
            continue;
        }
        let old = || {
            let age = about.modified().ok().and_then(|at| at.elapsed().ok());
            age.is_some_and(|age| age >= UNLOCKED)
        };
        let (lock, draft) = (File::open(entry.path().join(LOCK)), name.starts_with('.'));
        let free = match &lock {
            Ok(lock) => lock.try_lock().is_ok() && (!draft || old()),
            Err(error) => error.kind() == io::ErrorKind::NotFound && old(),
        };
        if free && fs::remove_dir_all(entry.path()).is_ok() {
            tracing::info!(directory = %entry.path().display(), "removed a directory left behind \
                                                                 by a killed process");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const PREFIX: &str = "sentry-test-";

    /// A directory of this test alone.
    fn parent() -> Workdir {
        Workdir::new(&std::env::temp_dir(), "workdir-").unwrap()
    }

    fn leave(parent: &Path, name: &str, locked: bool, age: Duration) {
        let dir = parent.join(name);
        fs::create_dir(&dir).unwrap();
        if locked {
            fs::write(dir.join(LOCK), "").unwrap();
        }
        let dir = File::open(dir).unwrap();
        dir.set_modified(dir.metadata().unwrap().modified().unwrap() - age).unwrap();
    }

    #[test]
    fn it_is_private_and_gone_when_dropped() {
        let parent = parent();
        let workdir = Workdir::new(parent.path(), PREFIX).unwrap();
        let (path, about) = (workdir.path().to_owned(), fs::metadata(workdir.path()).unwrap());
        assert_eq!(about.permissions().mode() & 0o777, 0o700);
        drop(workdir);
        assert!(!path.exists());
        assert!(Workdir::new(&path, PREFIX).is_err(), "there is no such parent");
    }

    #[test]
    fn a_sweep_takes_what_killed_processes_left_at_any_moment_and_spares_the_rest() {
        let parent = parent();
        let used = Workdir::new(parent.path(), PREFIX).unwrap();
        let (new, old) = (Duration::ZERO, 2 * UNLOCKED);
        let gone = [
            ("sentry-test-left", true, new),
            ("sentry-test-half-removed", false, old),
            (".sentry-test-not-named", true, old),
            (".sentry-test-not-locked", false, old),
        ];
        let kept = [
            ("sentry-test-being-removed", false, new),
            (".sentry-test-being-made", true, new),
            (".sentry-test-just-made", false, new),
            ("sentry-other", true, old),
            ("something", false, old),
        ];
        for (name, locked, age) in gone.into_iter().chain(kept) {
            leave(parent.path(), name, locked, age);
        }
        std::os::unix::fs::symlink(used.path(), parent.path().join("sentry-test-link")).unwrap();
        sweep(parent.path(), PREFIX);
        assert!(used.path().exists() && parent.path().join("sentry-test-link").is_symlink());
        for (name, ..) in gone {
            assert!(!parent.path().join(name).exists(), "{name}");
        }
        for (name, ..) in kept {
            assert!(parent.path().join(name).exists(), "{name}");
        }
    }
}
