//! A fresh directory with an empty bare repository for one attempt, removed whatever becomes of the attempt.
//!
//! A repository that is kept after a killed fetch holds locks that make later fetches fail; so none is kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sentry_process::Workdir;

/// How the directories of all attempts begin.
pub(crate) const PREFIX: &str = "sentry-git-";

/// The directory of one attempt: gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(Workdir);

impl Scratch {
    /// Makes one under `parent`, with a repository for commits of `algorithm` (`sha1`, `sha256`).
    pub(crate) fn new(parent: &Path, algorithm: &str) -> io::Result<Self> {
        let this = Self(Workdir::new(parent, PREFIX)?);
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
        self.0.path()
    }

    /// The bare repository in it.
    pub(crate) fn repository(&self) -> PathBuf {
        self.path().join("repo")
    }

    /// The helpers that git may start here, once [`Scratch::confine`] has chosen them.
    pub(crate) fn helpers(&self) -> PathBuf {
        self.path().join("helpers")
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

    /// True if the history that was fetched is cut off: git keeps a list of the places.
    pub(crate) fn is_shallow(&self) -> bool {
        self.repository().join("shallow").exists()
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
        add(self.path(), &mut sizes)?;
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_a_repository_and_is_gone_when_dropped() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(parent.path(), "sha1").unwrap();
        assert!(scratch.bytes().unwrap().0 > 0 && scratch.repository().join("HEAD").exists());
        drop(scratch);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
