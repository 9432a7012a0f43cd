//! A small disk, for states that have no room.

use std::path::Path;
use std::process::Command;

/// A small disk of its own, which goes with this value.
pub(crate) struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    /// `None` where this user may not mount one.
    pub(crate) fn mount(place: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(place).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(place)
            .output();
        done.is_ok_and(|done| done.status.success()).then_some(Self(place))
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) {
        let path = self.0.join("filler");
        let mut size = 2 << 20;
        while size > 0 {
            let filler = vec![0; size];
            let mut file =
                std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
            if std::io::Write::write_all(&mut file, &filler).is_err() {
                size /= 2;
            }
        }
    }

    /// Makes room again for this many bytes.
    pub(crate) fn free(&self, bytes: u64) {
        let filler = std::fs::OpenOptions::new().write(true).open(self.0.join("filler")).unwrap();
        filler.set_len(filler.metadata().unwrap().len() - bytes).unwrap();
    }

    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).output().ok();
    }
}
