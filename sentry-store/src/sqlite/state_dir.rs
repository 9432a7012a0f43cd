//! The state directory: who may open it when, how its file comes to be, and where a damaged one goes.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sentry_core::clock::{Clock as _, SystemClock};
use sentry_core::store::{StoreError, StoreErrorKind};

use super::failure::Failure;
use super::presence::Presence;
use super::schema::APPLICATION_ID;

/// How long an opener waits for another one that checks or makes the file.
const SETUP_TIMEOUT: Duration = Duration::from_secs(30);

/// What SQLite keeps beside a database: an index of the log, and the log.
const SIDE_FILES: [&str; 2] = ["-shm", LOG];
const LOG: &str = "-wal";
/// The bytes of a database's header (<https://www.sqlite.org/fileformat.html>, 1.3).
const HEADER: usize = 100;
const AGENT_LOCK: &str = "agent.lock";
/// What is beside a database that a read found damaged, until a start has read all of it.
const SUSPECT: &str = ".suspect";

/// A state directory.
#[derive(Debug, Clone)]
pub(super) struct StateDir {
    dir: PathBuf,
    db: PathBuf,
}

impl StateDir {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), db: dir.join("state.db") }
    }

    /// The database.
    pub(super) fn db(&self) -> &Path {
        &self.db
    }

    /// Where a new database is made before it takes its name.
    pub(super) fn draft(&self) -> PathBuf {
        beside(&self.db, ".new")
    }

    /// Makes the directory, for this user only, if it is not there.
    pub(super) fn make_dir(&self) -> Result<(), StoreError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.dir).map_err(|e| self.unavailable("can't be created", e))
    }

    pub(super) fn unavailable(&self, what: &str, error: io::Error) -> StoreError {
        let dir = self.dir.display();
        let message =
            format!("the state directory {dir} {what}; check its permissions and the disk");
        StoreError::new(StoreErrorKind::Unavailable, message).with_source(error)
    }

    /// Keeps other openers out until it is dropped: two of them must neither make nor move one file.
    pub(super) fn setup_lock(&self) -> Result<File, StoreError> {
        let start = Instant::now();
        let file = self.lock_file("setup.lock")?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(e)) => return Err(self.unavailable("can't be locked", e)),
                Err(TryLockError::WouldBlock) if start.elapsed() < SETUP_TIMEOUT => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    let message = format!(
                        "another program has been opening the state in {} for {} s; stop it",
                        self.dir.display(),
                        SETUP_TIMEOUT.as_secs()
                    );
                    return Err(StoreError::new(StoreErrorKind::Unavailable, message));
                }
            }
        }
    }

    /// The agent's lock, with the holder's name inside for whoever comes second.
    pub(super) fn agent_lock(&self, holder: &str) -> Result<File, StoreError> {
        let mut file = self.lock_file(AGENT_LOCK)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(e)) => return Err(self.unavailable("can't be locked", e)),
            Err(TryLockError::WouldBlock) => {
                let mut other = String::new();
                let known = file.read_to_string(&mut other).is_ok() && !other.is_empty();
                let message = format!(
                    "the state in {} is in use by {}; stop that agent first, or use another state \
                     directory",
                    self.dir.display(),
                    if known { other.as_str() } else { "another agent" }
                );
                return Err(StoreError::new(StoreErrorKind::Held, message));
            }
        }
        let mut name = || {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())
        };
        name().map_err(|e| self.unavailable("can't be written", e))?;
        Ok(file)
    }

    fn lock_file(&self, name: &str) -> Result<File, StoreError> {
        let open = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(self.dir.join(name));
        open.map_err(|e| self.unavailable("can't be written", e))
    }

    /// An empty file for [`StateDir::draft`], which only this user can read; what an earlier try left is removed.
    pub(super) fn make_draft(&self) -> Result<(), StoreError> {
        let draft = self.draft();
        for old in SIDE_FILES.iter().map(|side| beside(&draft, side)).chain([draft.clone()]) {
            if let Err(e) = fs::remove_file(old)
                && e.kind() != io::ErrorKind::NotFound
            {
                return Err(self.unavailable("can't be written", e));
            }
        }
        let made = private(OpenOptions::new().write(true).create_new(true)).open(draft);
        made.map(drop).map_err(|e| self.unavailable("can't be written", e))
    }

    /// Gives the draft the database's name, for good.
    pub(super) fn adopt_draft(&self) -> Result<(), StoreError> {
        let sync_dir = || File::open(&self.dir)?.sync_all();
        fs::rename(self.draft(), &self.db)
            .and_then(|()| sync_dir())
            .map_err(|e| self.unavailable("can't be written", e))
    }

    /// Whether there is a database. What can't be looked at is not absent: a directory that may not be entered, a link to a
    /// disk that is not mounted.
    pub(super) fn has_db(&self) -> Result<bool, StoreError> {
        let found = is_there(&self.dir).and_then(|dir| Ok(dir && is_there(&self.db)?));
        found.map_err(|e| self.unavailable("can't be read", e))
    }

    /// True if there is SQLite's log of a database. Without the database it is worth nothing, and SQLite would play it into
    /// a new one.
    pub(super) fn has_log(&self) -> Result<bool, StoreError> {
        let log = is_there(&beside(&self.db, LOG));
        log.map_err(|e| self.unavailable("can't be read", e))
    }

    /// Notes the files that are in use while a connection is open.
    pub(super) fn occupied(&self) -> Result<Presence, StoreError> {
        let presence = Presence::default();
        let mut noted = presence.note(&self.db, HEADER as u64);
        for side in SIDE_FILES {
            noted = noted.and_then(|()| presence.note(&beside(&self.db, side), 0));
        }
        noted.map_err(|e| self.unavailable("can't be read", e))?;
        Ok(presence)
    }

    pub(super) fn agent_lock_file(&self) -> PathBuf {
        self.dir.join(AGENT_LOCK)
    }

    /// Looks at the file's first bytes, which never change while it is ours.
    pub(super) fn check_header(&self) -> Result<(), Failure> {
        let mut header = [0; HEADER];
        let read = File::open(&self.db).and_then(|mut file| file.read_exact(&mut header));
        match read {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Failure::Damaged("it is shorter than a database's header".into()));
            }
            // SQLite meets the same error and words it.
            Err(_) => return Ok(()),
        }
        let wal = header[18..20] == [2, 2];
        if !header.starts_with(b"SQLite format 3\0") || !wal {
            return Err(Failure::Damaged("its first bytes are not those of a database".into()));
        }
        if header[68..72] != APPLICATION_ID.to_be_bytes() {
            return Err(Failure::Damaged("it is a database, but not Sentry's".into()));
        }
        if self.is_cut(&header) {
            return Err(Failure::Damaged("its end is missing".into()));
        }
        Ok(())
    }

    /// True if the file is shorter than its header says. SQLite takes a part of its last page for the whole of it. What is
    /// still in a log may not have its place yet.
    fn is_cut(&self, header: &[u8; HEADER]) -> bool {
        let has_log = fs::metadata(beside(&self.db, LOG)).is_ok_and(|log| log.len() > 0);
        let page = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 1 << 16,
            size => u64::from(size),
        };
        let pages = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
        let length = fs::metadata(&self.db).map_or(u64::MAX, |file| file.len());
        !has_log && length < page * u64::from(pages)
    }

    /// Has the next start read everything. Where that can't be noted, whoever reads the damage again tries again.
    pub(super) fn suspect(&self) {
        private(OpenOptions::new().write(true).create(true).truncate(true))
            .open(beside(&self.db, SUSPECT))
            .ok();
    }

    /// True if damage was found by a read. What can't be looked at is not absent.
    pub(super) fn is_suspect(&self) -> bool {
        is_there(&beside(&self.db, SUSPECT)).unwrap_or(true)
    }

    /// All of it was read, and is whole.
    pub(super) fn clear_suspicion(&self) {
        fs::remove_file(beside(&self.db, SUSPECT)).ok();
    }

    /// Moves a damaged database aside and says so, unless an agent has it open. Nothing is deleted.
    pub(super) fn quarantine(&self, failure: Failure) -> StoreError {
        let db = self.db.display();
        let what = match &failure {
            Failure::Damaged(what) => format!("the state in {db} is damaged ({what})"),
            _ => format!("the state in {db} is damaged"),
        };
        let message = match self.agent_lock("a program that moves damaged state aside") {
            Err(held) => format!("{what} and was left where it is: {held}"),
            Ok(_alone) => match self.move_aside() {
                Ok(aside) => format!(
                    "{what}. It was moved to {}, nothing was deleted. The next start begins with \
                     a fresh state: it records the head of every branch as its baseline and \
                     delivers nothing for it; a run that exists on the cluster is not created \
                     again, because its name is derived from its commit. Use `sentry trigger` \
                     for anything that was pushed but not delivered before",
                    aside.display()
                ),
                Err(e) => {
                    format!("{what} and can't be moved aside ({e}); move {db}* away manually")
                }
            },
        };
        failure.cause_of(StoreError::new(StoreErrorKind::Corrupt, message))
    }

    /// The side files go first: should it stop half-way, the database is still found damaged.
    /// Returns where the last of the files is now.
    fn move_aside(&self) -> io::Result<PathBuf> {
        let stamp = SystemClock.now().strftime("%Y%m%dT%H%M%S%.6fZ").to_string();
        let aside = beside(&self.db, &format!(".corrupt-{stamp}"));
        let mut moved = aside.clone();
        for side in SIDE_FILES.into_iter().chain([""]) {
            match fs::rename(beside(&self.db, side), beside(&aside, side)) {
                Ok(()) => moved = beside(&aside, side),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        self.clear_suspicion();
        File::open(&self.dir)?.sync_all()?;
        Ok(moved)
    }
}

/// Whether something is at a path. A link that leads nowhere is an error: what it should lead to is not known to be absent.
fn is_there(path: &Path) -> io::Result<bool> {
    if path.try_exists()? {
        return Ok(true);
    }
    if path.is_symlink() {
        let text = format!("the link {} is dangling", path.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(false)
}

/// The path with more text at its end.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut text = OsString::from(path);
    text.push(suffix);
    text.into()
}

/// Files that are made so are for this user only.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
