//! A fresh directory with an empty bare repository for one attempt, removed whatever becomes of the attempt.
//!
//! A repository that is kept after a killed fetch holds locks that make later fetches fail; so none is kept.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PREFIX: &str = "sentry-git-";
const LOCK: &str = "lock";

/// The directory of one attempt: mode 0700, locked while it is in use, gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one under `parent`, with a repository for commits of `algorithm` (`sha1`, `sha256`).
    pub(crate) fn new(parent: &Path, algorithm: &str) -> io::Result<Self> {
        // It gets its final name only once the lock is held, so that no sweep takes it for a leftover.
        let unnamed = tempfile::Builder::new()
            .prefix(&format!(".{PREFIX}"))
            .rand_bytes(12)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let lock = File::create_new(unnamed.path().join(LOCK))?;
        lock.lock()?;
        let name = unnamed.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let path = parent.join(name.unwrap_or_default().trim_start_matches('.'));
        fs::rename(unnamed.path(), &path)?;
        // From here on our own drop removes it.
        _ = unnamed.keep();
        let this = Self { path, _lock: lock };
        this.init(algorithm)?;
        Ok(this)
    }

    /// What `git init --bare` would make, without its templates and without starting a program.
    fn init(&self, algorithm: &str) -> io::Result<()> {
        let repo = self.repository();
        fs::create_dir_all(repo.join("objects"))?;
        fs::create_dir(repo.join("refs"))?;
        fs::write(repo.join("HEAD"), "ref: refs/heads/none\n")?;
        let config = match algorithm {
            "sha1" => "[core]\n\trepositoryformatversion = 0\n\tbare = true\n".to_owned(),
            other => format!(
                "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = {other}\n"
            ),
        };
        fs::write(repo.join("config"), config)
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bare repository in it.
    pub(crate) fn repository(&self) -> PathBuf {
        self.path.join("repo")
    }

    /// The helpers that git may start here, once [`Scratch::confine`] has chosen them.
    pub(crate) fn helpers(&self) -> PathBuf {
        self.path.join("helpers")
    }

    /// Lets git start these of its helpers and no other one.
    pub(crate) fn confine(&self, from: &Path, names: &[&str]) -> io::Result<()> {
        if self.helpers().exists() {
            return Ok(());
        }
        fs::create_dir(self.helpers())?;
        for name in names.iter().filter(|name| from.join(name).exists()) {
            std::os::unix::fs::symlink(from.join(name), self.helpers().join(name))?;
        }
        Ok(())
    }

    /// Bytes of all files in it, and of the largest one.
    pub(crate) fn bytes(&self) -> io::Result<(u64, u64)> {
        fn add(dir: &Path, sizes: &mut (u64, u64)) -> io::Result<()> {
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                let about = entry.metadata()?;
                if about.is_dir() {
                    add(&entry.path(), sizes)?;
                } else {
                    *sizes = (sizes.0 + about.len(), sizes.1.max(about.len()));
                }
            }
            Ok(())
        }
        let mut sizes = (0, 0);
        add(&self.path, &mut sizes)?;
        Ok(sizes)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A killed git may still be writing for an instant: the directory is then not empty when it is removed.
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

/// Removes what killed processes left under `parent`: directories of this user whose lock nobody holds.
pub(crate) fn sweep(parent: &Path, uid: u32) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && entry.metadata().is_ok_and(|about| about.is_dir() && about.uid() == uid);
        let free = || File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if ours && free() && fs::remove_dir_all(entry.path()).is_ok() {
            tracing::info!(directory = %entry.path().display(), "removed what a killed process left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn it_is_private_and_gone_when_dropped() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(parent.path(), "sha1").unwrap();
        let about = fs::metadata(scratch.path()).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o700);
        assert!(scratch.bytes().unwrap().0 > 0);
        drop(scratch);
        assert!(names(parent.path()).is_empty());
    }

    #[test]
    fn a_sweep_takes_leftovers_and_spares_what_is_in_use() {
        let parent = tempfile::tempdir().unwrap();
        let uid = fs::metadata(parent.path()).unwrap().uid();
        let used = Scratch::new(parent.path(), "sha1").unwrap();
        let left = parent.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        fs::create_dir(parent.path().join("something-else")).unwrap();
        sweep(parent.path(), uid + 1);
        assert!(left.exists());
        sweep(parent.path(), uid);
        assert!(!left.exists() && used.repository().exists());
        assert_eq!(names(parent.path()).len(), 2);
    }
}
