//! Connections to the database, and calls on them: each with an end.

use std::fmt;
use std::future::poll_fn;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sentry_core::store::{StoreError, StoreErrorKind};
use sentry_net::Authorities;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Notification, Row, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::PostgresConfig;
use super::failure::Failure;
use super::schema;

/// How every connection begins. What a client that stands still holds is soon free again; what a role or a database is set to
/// otherwise holds here as well: a commit is kept once it is answered.
const BEGIN: &str = "SET idle_in_transaction_session_timeout = '3s';
    SET statement_timeout = '10s';
    SET lock_timeout = '2s';
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// How long a call may take here: a little longer than the database lets a statement take.
pub(super) const CALL: Duration = Duration::from_secs(15);

/// A connection that listens is given up where the database says nothing for so long.
const ALIVE: Duration = Duration::from_secs(4);

/// A value of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Slot(i16),
    Texts(Vec<String>),
    Count(i32),
    MaybeText(Option<String>),
    Seconds(f64),
    Bytes(Vec<u8>),
}

impl Value {
    fn typed(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Text(text) => (text, Type::TEXT),
            Self::Int(number) => (number, Type::INT8),
            Self::Slot(number) => (number, Type::INT2),
            Self::Texts(texts) => (texts, Type::TEXT_ARRAY),
            Self::Count(number) => (number, Type::INT4),
            Self::MaybeText(text) => (text, Type::TEXT),
            Self::Seconds(seconds) => (seconds, Type::FLOAT8),
            Self::Bytes(bytes) => (bytes, Type::BYTEA),
        }
    }

    /// No text of the database holds a NUL, and it refuses to look for one.
    fn has_nul(&self) -> bool {
        match self {
            Self::Text(text) => text.contains('\0'),
            Self::Texts(texts) => texts.iter().any(|text| text.contains('\0')),
            _ => false,
        }
    }
}

/// The connections of a process.
pub(super) struct Pool {
    pub(super) config: PostgresConfig,
    tls: Option<MakeRustlsConnect>,
    places: Semaphore,
    idle: Mutex<Vec<Arc<Session>>>,
    /// Set once the tables are as this program needs them. Pools of one database share it.
    ready: Arc<OnceCell<()>>,
}

/// A connection.
struct Session {
    client: Client,
    /// What moves its bytes, and ends with it.
    _moves: JoinSet<()>,
}

/// A connection beside the pool, for as long as it is kept.
pub(super) struct Listening(Session);

/// A connection that is lent. It goes back when it is dropped, unless it is in the middle of something.
pub(super) struct Lent<'a> {
    pool: &'a Pool,
    session: Arc<Session>,
    /// Calls without an answer, and transactions without an end.
    open: AtomicUsize,
    within: Duration,
    _place: SemaphorePermit<'a>,
}

impl Pool {
    pub(super) fn new(
        config: PostgresConfig,
        ready: Arc<OnceCell<()>>,
    ) -> Result<Self, StoreError> {
        let tls = config.has_tls.then(|| tls(config.ca_file.as_deref())).transpose()?;
        let places = Semaphore::new(config.connections);
        Ok(Self { config, tls, places, idle: Mutex::default(), ready })
    }

    /// A connection, whose calls take so long at most. The first one of all brings the tables forward.
    pub(super) async fn session(&self, within: Duration) -> Result<Lent<'_>, Failure> {
        self.ready.get_or_try_init(|| schema::migrate(self)).await?;
        self.lend(within).await
    }

    /// A connection to whatever tables there are.
    pub(super) async fn lend(&self, within: Duration) -> Result<Lent<'_>, Failure> {
        let place = timeout(within, self.places.acquire()).await;
        let Ok(Ok(place)) = place else {
            return Err(Failure::Busy(self.config.connections, within));
        };
        let kept = {
            let mut idle = self.idle();
            idle.retain(|session| !session.client.is_closed());
            idle.pop()
        };
        let session = match kept {
            Some(session) => session,
            None => {
                let within = within.min(CALL);
                let connecting = timeout(within, self.connect(None)).await;
                Arc::new(connecting.unwrap_or(Err(Failure::Silent(within)))?)
            }
        };
        Ok(Lent { pool: self, session, open: AtomicUsize::new(0), within, _place: place })
    }

    /// The rows of one statement on any connection.
    pub(super) async fn rows(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Failure> {
        self.session(CALL).await?.rows(sql, values).await
    }

    /// A connection that none of the others waits for, and what it is notified of. Where more than so many notifications are
    /// not yet taken, it ends.
    pub(super) async fn listening(
        &self,
        behind: usize,
    ) -> Result<(Listening, mpsc::Receiver<Notification>), Failure> {
        let (told, notifications) = mpsc::channel(behind);
        let connecting = timeout(CALL, self.connect(Some(told))).await;
        let session = connecting.unwrap_or(Err(Failure::Silent(CALL)))?;
        Ok((Listening(session), notifications))
    }

    async fn connect(&self, told: Option<mpsc::Sender<Notification>>) -> Result<Session, Failure> {
        let mut config = self.config.addressed().await.map_err(Failure::Host)?;
        if let Some(password) = &self.config.password {
            let secret = password.read().await.map_err(Failure::Password)?;
            config.password(secret.expose());
        }
        let session = match &self.tls {
            Some(tls) => Session::new(config.connect(tls.clone()).await?, told),
            None => Session::new(config.connect(NoTls).await?, told),
        };
        session.client.batch_execute(BEGIN).await?;
        Ok(session)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tls(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, StoreError> {
    let unavailable = |text: String| StoreError::new(StoreErrorKind::Unavailable, text);
    let authorities = Authorities::of(ca_file)
        .map_err(|error| unavailable(error.to_string()).with_hint(error.hint()))?;
    let config = sentry_net::tls(&authorities).map_err(|error| {
        let text = "the database's certificate can't be verified: the system has no authorities";
        unavailable(text.to_owned()).with_source(error).with_hint("give a ca_file")
    })?;
    Ok(MakeRustlsConnect::new(config))
}

impl Session {
    fn new<T>(
        (client, mut connection): (Client, Connection<Socket, T>),
        told: Option<mpsc::Sender<Notification>>,
    ) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut moves = JoinSet::new();
        moves.spawn(async move {
            // How it ended is what its calls tell.
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let (AsyncMessage::Notification(it), Some(told)) = (message, &told)
                    && told.try_send(it).is_err()
                {
                    return;
                }
            }
        });
        Self { client, _moves: moves }
    }
}

impl Listening {
    /// The rows of a statement.
    pub(super) async fn rows(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Failure> {
        let values: Vec<_> = values.iter().map(Value::typed).collect();
        self.call(self.0.client.query_typed(sql, &values)).await
    }

    /// Carries out a statement without values.
    pub(super) async fn run(&self, sql: &str) -> Result<(), Failure> {
        self.call(self.0.client.batch_execute(sql)).await
    }

    async fn call<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        let answer = timeout(ALIVE, answer).await;
        answer.map_err(|_| Failure::Silent(ALIVE))?.map_err(Failure::Sql)
    }
}

impl Lent<'_> {
    /// The rows of a statement, in one round trip; none where a text that is looked for can't be kept. Statements that are
    /// waited for together are sent together, and answered in their order.
    pub(super) async fn rows(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Failure> {
        if values.iter().any(Value::has_nul) {
            return Ok(Vec::new());
        }
        let values: Vec<_> = values.iter().map(Value::typed).collect();
        self.call(self.session.client.query_typed(sql, &values)).await
    }

    /// Carries out statements without values.
    pub(super) async fn run(&self, sql: &str) -> Result<(), Failure> {
        self.call(self.session.client.batch_execute(sql)).await
    }

    /// Begins a transaction, in these words.
    pub(super) async fn begin(&self, sql: &str) -> Result<(), Failure> {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.run(sql).await
    }

    /// Ends a transaction. One that is dropped without an end ends with its connection.
    pub(super) async fn end(self) -> Result<(), Failure> {
        self.run("COMMIT").await?;
        self.open.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    async fn call<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        self.open.fetch_add(1, Ordering::Relaxed);
        let answer = match timeout(self.within, answer).await {
            Ok(answer) => answer.map_err(Failure::Sql),
            Err(_) => Err(Failure::Silent(self.within)),
        };
        if answer.as_ref().err().is_none_or(Failure::is_answer) {
            self.open.fetch_sub(1, Ordering::Relaxed);
        } else {
            // The others are most likely as dead as this one.
            self.pool.idle().clear();
        }
        answer
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if self.open.load(Ordering::Relaxed) == 0 {
            self.pool.idle().push(Arc::clone(&self.session));
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.config.place).finish()
    }
}
