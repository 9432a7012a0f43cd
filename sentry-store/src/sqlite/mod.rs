//! State in one SQLite file: WAL, every commit synced to the disk, tables that people can query.

mod check;
mod deliveries;
mod failure;
mod past;
mod presence;
mod rows;
mod schema;
mod side;
mod state_dir;
mod views;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{
    Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, ffi,
};
use sentry_core::delivery::{Delivery, HeadRecord, Trigger};
use sentry_core::ids::{DeliveryId, TriggerId};
use sentry_core::names::WatchName;
use sentry_core::remote::digest;
use sentry_core::store::{
    Archive, AuditEntry, AuditQuery, Blobs, Claim, DeliveryQuery, Hold, Inbox, InventoryItem,
    Journal, Overview, OverviewQuery, Requests, Snapshot, StoreError, StoreErrorKind, Write,
};

use self::check::{Check, Damage};
use self::failure::Failure;
use self::presence::{HeldFile, Presence};
use self::state_dir::StateDir;

/// How long a write waits for another program's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of 4 KiB that the log holds before SQLite brings them into the database: with the usual 1,000 it grows to 4 MiB,
/// which a small disk may not have (<https://www.sqlite.org/pragma.html#pragma_wal_autocheckpoint>).
const LOG_PAGES: u32 = 256;

/// Keeps state in `state.db` of a directory.
///
/// Any number of handles, in any number of programs, may be open at a time; [`Journal::claim`] lets one agent
/// among them. Every call works on a thread of tokio's blocking pool, and ends there even if its future is dropped:
/// a commit is never half.
///
/// For people: `sqlite3 -readonly DIR/state.db 'SELECT watch, subject, delivered FROM cursors'`.
#[derive(Clone)]
pub struct SqliteStore {
    place: StateDir,
    presence: Presence,
    damage: Damage,
    session: Arc<Mutex<Session>>,
}

/// A connection, with what was last seen by it: what waited for the agent at a data version.
struct Session {
    connection: Connection,
    requests: Option<(i64, Requests)>,
    /// Whether the last write found no room.
    is_full: bool,
    /// Whether it may write.
    writes: bool,
}

impl SqliteStore {
    /// Opens the state in a directory, and makes both where they are not there: the directory for this user only.
    ///
    /// Reads what is live once, to find damage before an agent works with it; that takes time in proportion to what is
    /// watched and open, on the calling thread. What is past is read beside the agent while it holds its [claim]: damage is
    /// then the error of whatever is asked next, and the start after it reads everything, as does the first one after a
    /// change of the schema.
    ///
    /// [claim]: Journal::claim
    ///
    /// # Errors
    /// - [`StoreErrorKind::Corrupt`] if it is damaged. The file was then moved to `state.db.corrupt-<time>` beside
    ///   it, and the next call begins with fresh state; while an agent holds the lock it stays where it is.
    /// - [`StoreErrorKind::Newer`] if a newer Sentry has written it.
    /// - [`StoreErrorKind::Unavailable`] if the directory or the disk can't be used.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let place = StateDir::new(dir);
        place.make_dir()?;
        let _alone = place.setup_lock()?;
        if !place.has_db()? {
            if place.has_log()? {
                let what = "the database is missing, only its log is there";
                return Err(place.quarantine(Failure::Damaged(what.into())));
            }
            place.make_draft()?;
            make(&place.draft()).map_err(|failure| failure.at(place.db()))?;
            place.adopt_draft()?;
        }
        match open_existing(&place) {
            Ok(connection) => Self::new(place, connection, true),
            Err(failure) if failure.kind() == StoreErrorKind::Corrupt => {
                Err(place.quarantine(failure))
            }
            Err(failure) => Err(failure.at(place.db())),
        }
    }

    /// Opens the state for reading beside an agent; `None` if no agent has made one yet. Nothing is made, moved or checked
    /// beforehand; a write is [`StoreErrorKind::Unavailable`].
    ///
    /// A state of an older Sentry stays as it is until an agent brings it forward: what is read then is a copy in memory, of
    /// this moment.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`] if it can't be looked at; [`StoreErrorKind::Corrupt`] and
    /// [`StoreErrorKind::Newer`] as in [`SqliteStore::open`].
    pub fn open_read_only(dir: &Path) -> Result<Option<Self>, StoreError> {
        let place = StateDir::new(dir);
        if !place.has_db()? {
            return Ok(None);
        }
        let connection = open_for_reading(&place).map_err(|failure| failure.at(place.db()))?;
        Self::new(place, connection, false).map(Some)
    }

    fn new(place: StateDir, connection: Connection, writes: bool) -> Result<Self, StoreError> {
        let presence = place.occupied()?;
        let damage = Damage::none(&place);
        let session = Session { connection, requests: None, is_full: false, writes };
        Ok(Self { place, presence, damage, session: Arc::new(Mutex::new(session)) })
    }

    /// Reads everything that is kept, and finds damage that nobody asked for yet: what a claim does beside its holder.
    ///
    /// # Errors
    /// As those of any read: [`StoreErrorKind::Corrupt`] if it is damaged; the next [`SqliteStore::open`] moves it aside.
    pub async fn verify(&self) -> Result<(), StoreError> {
        self.with(|session| schema::verify(&session.connection)).await
    }

    /// The last requests, if it can be told at once that no other program has written since. Nearly always it can, and
    /// then no thread of the pool is woken for an agent that looks each second.
    fn unchanged_requests(&self) -> Option<Requests> {
        let session = self.session.try_lock().ok()?;
        let (at, requests) = session.requests.as_ref()?;
        self.presence.check(session.writes).ok()?;
        session.connection.busy_timeout(Duration::ZERO).ok()?;
        let version = rows::data_version(&session.connection);
        session.connection.busy_timeout(BUSY_TIMEOUT).ok()?;
        (version.ok()? == *at).then(|| requests.clone())
    }

    /// Works on the session on a thread that may block, while its files are where they were: before, so that nothing is
    /// begun without them, and after, so that nothing that went with them is taken for kept.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (session, presence) = (Arc::clone(&self.session), self.presence.clone());
        let damage = self.damage.clone();
        let work = move || {
            // A panic under the lock has rolled its transaction back: the session is whole.
            let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
            presence.check(session.writes)?;
            damage.check()?;
            let done = work(&mut session);
            if let (Err(failure), true) = (&done, session.writes) {
                damage.note(failure);
            }
            presence.check(session.writes)?;
            done
        };
        blocking(work).await?.map_err(|failure| failure.at(self.place.db()))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        StoreError::new(StoreErrorKind::Unavailable, "the thread for the state stopped")
            .with_source(e)
    })
}

/// Makes a whole, empty database, closed and in WAL mode.
fn make(path: &Path) -> Result<(), Failure> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    schema::migrate(&mut connection)?;
    connection.close().map_err(|(_, error)| error.into())
}

fn open_existing(place: &StateDir) -> Result<Connection, Failure> {
    place.check_header()?;
    let mut connection = connect(place.db(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let is_old = schema::existing(&connection)? < schema::VERSION;
    schema::migrate(&mut connection)?;
    if is_old || place.is_suspect() {
        schema::verify(&connection)?;
        place.clear_suspicion();
    } else {
        schema::verify_live(&connection)?;
    }
    Ok(connection)
}

fn open_for_reading(place: &StateDir) -> Result<Connection, Failure> {
    place.check_header()?;
    let connection = connect(place.db(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    if schema::existing(&connection)? == schema::VERSION {
        return Ok(connection);
    }
    let mut copy = Connection::open_in_memory()?;
    // All pages in one step, and so of one moment.
    if Backup::new(&connection, &mut copy)?.step(-1)? != StepResult::Done {
        let busy = ffi::Error::new(ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None).into());
    }
    schema::migrate(&mut copy)?;
    copy.pragma_update(None, "query_only", true)?;
    Ok(copy)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Failure> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

impl Session {
    /// Carries out the work as one transaction, which no other program's can come between. Where the log fills the disk,
    /// once more without it; where others fill it, the database gets what room there is before the log does.
    fn write<T>(
        &mut self,
        work: impl Fn(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let is_full =
            |answer: &Result<T, Failure>| answer.as_ref().is_err_and(Failure::is_full_disk);
        if self.is_full {
            self.empty_log();
        }
        let mut answer = self.attempt(&work);
        if is_full(&answer) && self.empty_log() {
            answer = self.attempt(&work);
        }
        self.is_full = is_full(&answer);
        answer
    }

    fn attempt<T>(
        &mut self,
        work: impl Fn(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let answer = work(&transaction)?;
        transaction.commit()?;
        Ok(answer)
    }

    /// Brings the log into the database and gives its room back; whether that could be done. SQLite does it by itself
    /// only after a write that went through, and on a full disk none does
    /// (<https://www.sqlite.org/pragma.html#pragma_wal_checkpoint>).
    fn empty_log(&self) -> bool {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy = self.connection.query_row(checkpoint, [], |row| row.get::<_, bool>(0));
        busy.is_ok_and(|busy| !busy)
    }

    /// Reads all at one moment.
    fn read<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let read = self.connection.transaction()?;
        let answer = work(&read)?;
        read.commit()?;
        Ok(answer)
    }

    /// SQLite tells by a number whether another program has written: while it has not, the last answer holds.
    fn requests(&mut self) -> Result<Requests, Failure> {
        let version = rows::data_version(&self.connection)?;
        match &self.requests {
            Some((at, requests)) if *at == version => Ok(requests.clone()),
            _ => {
                let requests = self.read(rows::requests)?;
                self.requests = Some((version, requests.clone()));
                Ok(requests)
            }
        }
    }
}

#[async_trait]
impl Journal for SqliteStore {
    async fn claim(&self, holder: &str) -> Result<Box<dyn Claim>, StoreError> {
        let (place, presence, name) =
            (self.place.clone(), self.presence.clone(), holder.to_owned());
        let locked = blocking(move || {
            // An agent must not lock one directory and write to the files of another.
            presence.check(true).map_err(|failure| failure.at(place.db()))?;
            // Whoever finds the lock taken finds its holder's name in it too, not an empty file or the last one's.
            let _alone = place.setup_lock()?;
            let lock = place.agent_lock(&name)?;
            let held = presence.hold(place.agent_lock_file(), lock);
            held.map_err(|e| place.unavailable("can't be read", e))
        });
        let lock = locked.await??;
        let name = holder.to_owned();
        let epoch = self.with(move |session| session.write(|db| rows::claim(db, &name))).await?;
        let (place, damage) = (self.place.clone(), self.damage.clone());
        let check = blocking(move || {
            Check::begin(&place, damage).map_err(|failure| failure.at(place.db()))
        });
        Ok(Box::new(Claimed { _check: check.await??, store: self.clone(), epoch, _lock: lock }))
    }
}

/// A claim: the lock keeps others out, and the number shows that none came in all the same.
#[derive(Debug)]
struct Claimed {
    /// The first to go: the last connection to close takes the log away, and this one may not write.
    _check: Check,
    store: SqliteStore,
    epoch: i64,
    _lock: HeldFile,
}

impl Claimed {
    /// Works on the session. That the claim is lost comes before that a file is away: with the lock's file it may be both.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let epoch = self.epoch;
        let done = self.store.with(work).await;
        if done.is_ok() {
            return done;
        }
        let session = Arc::clone(&self.store.session);
        let stands = blocking(move || {
            let session = session.lock().unwrap_or_else(PoisonError::into_inner);
            rows::fence(&session.connection, epoch)
        });
        match stands.await? {
            Err(fenced @ Failure::Fenced(_)) => Err(fenced.at(self.store.place.db())),
            _ => done,
        }
    }
}

#[async_trait]
impl Claim for Claimed {
    async fn load(&self) -> Result<Snapshot, StoreError> {
        let epoch = self.epoch;
        self.with(move |session| {
            session.read(|db| {
                rows::fence(db, epoch)?;
                rows::snapshot(db)
            })
        })
        .await
    }

    async fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let (writes, epoch) = (writes.to_vec(), self.epoch);
        self.with(move |session| {
            if writes.iter().any(rows::is_for_the_inbox) {
                session.requests = None;
            }
            session.write(|db| {
                rows::fence(db, epoch)?;
                writes.iter().try_for_each(|write| rows::apply(db, write))
            })
        })
        .await
    }
}

#[async_trait]
impl Inbox for SqliteStore {
    async fn request(&self, trigger: &Trigger) -> Result<Trigger, StoreError> {
        let trigger = trigger.clone();
        self.with(move |session| {
            session.requests = None;
            session.write(|db| rows::request(db, &trigger))
        })
        .await
    }

    async fn trigger(&self, id: &TriggerId) -> Result<Option<Trigger>, StoreError> {
        let id = id.clone();
        self.with(move |session| rows::trigger(&session.connection, &id)).await
    }

    async fn hold(&self, hold: &Hold) -> Result<(), StoreError> {
        let hold = hold.clone();
        self.with(move |session| {
            session.requests = None;
            session.write(|db| rows::hold(db, &hold))
        })
        .await
    }

    async fn requests(&self) -> Result<Requests, StoreError> {
        match self.unchanged_requests() {
            Some(requests) => Ok(requests),
            None => self.with(Session::requests).await,
        }
    }
}

#[async_trait]
impl Archive for SqliteStore {
    async fn overview(&self, query: &OverviewQuery) -> Result<Overview, StoreError> {
        let query = query.clone();
        self.with(move |session| session.read(|db| views::overview(db, &query))).await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>, StoreError> {
        let query = query.clone();
        self.with(move |session| session.read(|db| views::deliveries(db, &query))).await
    }

    async fn heads(&self, sha: &str) -> Result<Vec<HeadRecord>, StoreError> {
        let sha = sha.to_owned();
        self.with(move |session| rows::heads(&session.connection, &sha)).await
    }

    async fn acts(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        let query = query.clone();
        self.with(move |session| views::acts(&session.connection, &query)).await
    }

    async fn inventory(&self, watch: &WatchName) -> Result<Vec<InventoryItem>, StoreError> {
        let watch = watch.clone();
        self.with(move |session| rows::inventory(&session.connection, &watch)).await
    }
}

#[async_trait]
impl Blobs for SqliteStore {
    async fn put(&self, delivery: &DeliveryId, bytes: &[u8]) -> Result<(), StoreError> {
        let (delivery, bytes) = (delivery.to_string(), bytes.to_owned());
        self.with(move |session| {
            session.write(|db| {
                let sql = "INSERT OR REPLACE INTO blobs (delivery, sha256, bytes)
                    SELECT id, ?2, ?3 FROM deliveries WHERE id = ?1 AND final = 0";
                db.execute(sql, (&delivery, digest(&bytes), &bytes))?;
                Ok(())
            })
        })
        .await
    }

    async fn get(
        &self,
        delivery: &DeliveryId,
        sha256: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (delivery, sha256) = (delivery.to_string(), sha256.to_owned());
        self.with(move |session| {
            let sql = "SELECT bytes FROM blobs WHERE delivery = ?1 AND sha256 = ?2";
            let found = session.connection.query_row(sql, (&delivery, &sha256), |row| row.get(0));
            let bytes: Option<Vec<u8>> = found.optional()?;
            Ok(bytes.filter(|bytes| digest(bytes) == sha256))
        })
        .await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqliteStore").field(&self.place.db()).finish()
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::testing::{commit, load, sample};

    use super::*;

    fn set(store: &SqliteStore, pragma: &str, value: i64) {
        store.session.lock().unwrap().connection.pragma_update(None, pragma, value).unwrap();
    }

    /// A commit whose last write is the one that no longer fits.
    fn large() -> Vec<Write> {
        let notes = vec!["x".repeat(1 << 18)];
        let delivery = Delivery { notes, ..sample::delivery(1) };
        vec![Write::Cursors(sample::cursors(1)), Write::Delivery(Box::new(delivery))]
    }

    #[tokio::test]
    async fn a_full_disk_keeps_nothing_of_a_commit_and_passes() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        set(&store, "max_page_count", 40);
        let error = commit(&store, &large()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert_eq!(load(&store).await.unwrap(), Snapshot::default());
        set(&store, "max_page_count", 4000);
        commit(&store, &large()).await.unwrap();
        assert_eq!(load(&store).await.unwrap().cursors, [sample::cursors(1)]);
    }

    #[tokio::test]
    async fn a_write_that_cant_be_kept_takes_its_whole_commit_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        store.session.lock().unwrap().connection.execute_batch("DROP TABLE heads").unwrap();
        let writes = [Write::Cursors(sample::cursors(1)), Write::Head(sample::head(1))];
        assert_eq!(commit(&store, &writes).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
        // The state is damaged then, and answers nobody.
        assert_eq!(load(&store).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
        let session = store.session.lock().unwrap();
        assert_eq!(rows::snapshot(&session.connection).unwrap(), Snapshot::default());
    }

    #[tokio::test]
    async fn an_idle_inbox_is_answered_without_reading_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        store.request(&sample::trigger(1)).await.unwrap();
        let inbox = store.requests().await.unwrap();
        // This connection's own change does not count as another's: only a cached answer survives it.
        store.session.lock().unwrap().connection.execute_batch("DROP TABLE triggers").unwrap();
        assert_eq!(store.requests().await.unwrap(), inbox);
    }

    #[tokio::test]
    async fn a_panic_in_the_middle_of_a_write_leaves_the_store_usable() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        let panicked: Result<(), StoreError> = store
            .with(|session| {
                session.write(|db| {
                    rows::apply(db, &Write::Cursors(sample::cursors(1)))?;
                    panic!("a test's panic")
                })
            })
            .await;
        assert_eq!(panicked.unwrap_err().kind(), StoreErrorKind::Unavailable);
        assert_eq!(load(&store).await.unwrap(), Snapshot::default());
        commit(&store, &large()).await.unwrap();
    }

    #[tokio::test]
    async fn what_goes_with_its_files_in_the_middle_of_the_work_is_not_taken_for_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        let db = store.place.db().to_owned();
        let kept = store.with(move |session| {
            session.write(|db| rows::apply(db, &Write::Cursors(sample::cursors(1))))?;
            std::fs::remove_file(&db).unwrap();
            Ok(())
        });
        let error = kept.await.unwrap_err();
        assert!(error.to_string().contains("was removed or moved"), "{error}");
    }

    #[tokio::test]
    async fn every_query_of_the_hot_path_uses_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        let session = store.session.lock().unwrap();
        for query in [
            "SELECT record FROM triggers WHERE pending = 1 ORDER BY at, id",
            "SELECT record FROM triggers WHERE key = 'k'",
            "SELECT record FROM triggers WHERE id = 'i'",
            &format!("SELECT record FROM deliveries WHERE {}", rows::OPEN),
            "SELECT record FROM reports WHERE due = 1 ORDER BY at, context",
            "SELECT record FROM inventory WHERE watch = 'w' ORDER BY identity",
            "SELECT record FROM heads WHERE sha BETWEEN 'a' AND 'a~'",
            "DELETE FROM cursors WHERE watch = 'w' AND subject = 's'",
        ] {
            let sql = format!("EXPLAIN QUERY PLAN {query}");
            let plan: String =
                session.connection.query_row(&sql, [], |row| row.get("detail")).unwrap();
            assert!(plan.contains("USING INDEX"), "{query}: {plan}");
            let reads_the_history =
                plan.contains("deliveries") && !plan.contains("deliveries_open");
            assert!(!reads_the_history, "{query}: {plan}");
        }
    }
}
