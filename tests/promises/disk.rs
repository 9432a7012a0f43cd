//! A small disk, for states that have no room.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, TryRecvError};
use std::thread::JoinHandle;

/// A small disk of its own, which goes with this value.
pub(crate) struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    pub(crate) fn mount(place: &'a Path) -> Self {
        std::fs::create_dir_all(place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(place);
        let done = mount.output().unwrap();
        assert!(done.status.success(), "only who may mount a disk can try this: {done:?}");
        Self(place)
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) {
        let path = self.0.join("filler");
        let mut size = 2 << 20;
        while size > 0 {
            let filler = vec![0; size];
            let mut file =
                std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
            if file.write_all(&filler).is_err() {
                size /= 2;
            }
        }
    }

    /// Takes all room that there is, and what comes free, until this value goes. A state that meets a full disk empties its
    /// log and writes into the room of it, if it is faster than we are: it runs out of luck soon.
    pub(crate) fn keep_full(&self) -> Full {
        let path = self.0.join("taken");
        let mut file = File::create(&path).unwrap();
        let (stop, stopped) = mpsc::channel::<()>();
        let taker = std::thread::spawn(move || {
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                if file.write_all(&[0; 4096]).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        Full { path, stop: Some(stop), taker: Some(taker) }
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

/// A disk without room, see [`Disk::keep_full`].
pub(crate) struct Full {
    path: PathBuf,
    stop: Option<mpsc::Sender<()>>,
    taker: Option<JoinHandle<()>>,
}

impl Drop for Full {
    fn drop(&mut self) {
        self.stop = None;
        self.taker.take().map(JoinHandle::join);
        std::fs::remove_file(&self.path).ok();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).output().ok();
    }
}
