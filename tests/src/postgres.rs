//! A PostgreSQL server on this machine: one for a program of tests, which ends with it, and a database for each test.
//!
//! It knows nothing of this workspace, so that the store's own tests have the same file as a module.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// The role that owns the databases.
pub const ROLE: &str = "sentry";
/// Its password, which is asked for over the network.
pub const PASSWORD: &str = "correct-horse";

/// A server.
#[derive(Debug)]
pub struct Server {
    directory: PathBuf,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    databases: AtomicU32,
}

/// The one server of this program.
///
/// # Panics
/// If it can't be started: `scripts/setup` installs it.
#[must_use]
pub fn server() -> &'static Arc<Server> {
    static SERVER: OnceLock<Arc<Server>> = OnceLock::new();
    SERVER.get_or_init(|| Arc::new(Server::start()))
}

impl Server {
    /// One that may be stopped.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            clear();
        }
        let id = std::process::id();
        // A program may have several, and knows all of them by its id.
        let name = if number == 0 { format!("{NAME}{id}") } else { format!("{MORE}{id}-{number}") };
        let directory = std::env::temp_dir().join(name);
        let mut initdb = unprivileged(&program("initdb"));
        initdb.args(["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256"]);
        initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--pgdata"]);
        let made = initdb.arg(&directory).output().expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let server = Self { directory, port: free_port(), databases: AtomicU32::new(0) };
        server.run();
        let role =
            format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'; CREATE EXTENSION pg_trgm");
        server.sql("template1", &role);
        server
    }

    /// Runs it until this program has ended. A thread of its own waits for it: the signal of a parent's death is that of the
    /// thread which made the child (prctl(2)).
    fn run(&self) {
        let mut postgres = unprivileged(&program("postgres"));
        postgres.arg("-D").arg(&self.directory).arg("-k").arg(&self.directory);
        postgres.args(["-p", &self.port.to_string(), "-h", "127.0.0.1"]);
        for set in
            ["fsync=off", "full_page_writes=off", "max_connections=300", "logging_collector=off"]
        {
            postgres.args(["-c", set]);
        }
        let log = self.directory.with_extension("log");
        let log = fs::File::options().create(true).append(true).open(log).expect("a log");
        postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let waits = std::thread::spawn(move || {
            let mut child: Child = postgres.spawn().expect("postgres runs");
            child.wait().expect("its end");
        });
        while !self.is_ready() {
            assert!(!waits.is_finished(), "it ended at its start: {}", self.log());
            std::thread::yield_now();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.with_extension("log")).unwrap_or_default()
    }

    /// Ends it as a crash would: nothing is written back, and every connection is gone.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn crash(&self) {
        let mut stops = unprivileged(&program("pg_ctl"));
        stops.arg("-D").arg(&self.directory).args(["-s", "-w", "-m", "immediate", "stop"]);
        assert!(stops.status().expect("pg_ctl runs").success(), "the server can be stopped");
    }

    /// Starts it again after [`Self::crash`], where it was.
    pub fn recover(&self) {
        self.run();
    }

    fn is_ready(&self) -> bool {
        let mut asks = Command::new(program("pg_isready"));
        asks.arg("-q").arg("-h").arg(&self.directory).args(["-p", &self.port.to_string()]);
        asks.status().expect("pg_isready runs").success()
    }

    /// A database of its own, which [`ROLE`] owns.
    ///
    /// # Panics
    /// If it can't be made.
    #[must_use]
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template1 OWNER {ROLE}"));
        name
    }

    /// The URL of a database for [`ROLE`], over the network.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_at(self.port, database)
    }

    /// The same for who reaches the server at another port.
    #[must_use]
    pub fn url_at(&self, port: u16, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// The URL of a database for its superuser, over the server's socket.
    #[must_use]
    pub fn admin_url(&self, database: &str) -> String {
        format!(
            "postgres:///{database}?host={}&port={}&user=postgres",
            self.directory.display(),
            self.port
        )
    }

    /// From here on connections over the network may be encrypted, with this certificate and key, in PEM.
    ///
    /// # Panics
    /// If the server does not take them.
    pub fn encrypt(&self, certificate: &str, key: &str) {
        for (file, pem) in [("server.crt", certificate), ("server.key", key)] {
            let write = format!("umask 077; read -r pem; printf %b \"$pem\" > {file}");
            self.sql("postgres", &format!("COPY (SELECT '{pem}') TO PROGRAM '{write}'"));
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.sql("postgres", "SELECT pg_reload_conf()");
        while self.sql("postgres", "SHOW ssl") != "on" {}
    }

    /// Has its superuser carry out statements; what they print, a line for each row.
    ///
    /// # Panics
    /// If one fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            database,
        ]);
        psql.arg("-h").arg(&self.directory).args(["-p", &self.port.to_string(), "-c", statements]);
        let output = psql.output().expect("psql runs");
        assert!(
            output.status.success(),
            "{statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// What the directories of servers begin with; the id of the program follows.
const NAME: &str = "sentry-postgres-";
/// The same of further servers of a program.
const MORE: &str = "sentry-more-postgres-";

/// One that no connection and no other server is given meanwhile: below those that the system hands out
/// (`net.ipv4.ip_local_port_range`).
fn free_port() -> u16 {
    let mut ports = (0..).map(|n| 12_000 + (std::process::id() * 37 + n * 101) % 20_000);
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find_map(|port| u16::try_from(port).ok().filter(is_free)).expect("a port")
}

/// Removes what programs left behind that have ended.
fn clear() {
    for entry in fs::read_dir(std::env::temp_dir()).expect("a directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.strip_prefix(NAME).or_else(|| name.strip_prefix(MORE));
        let id = id.map(|id| id.split(['-', '.']).next().unwrap_or_default());
        if id.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // Another program may be at it too.
            drop(fs::remove_dir_all(entry.path()));
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// A program of the newest server that is installed.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<u32> =
        versions.filter_map(|version| version.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable();
    versions.last().map_or_else(
        || PathBuf::from(name),
        |version| Path::new("/usr/lib/postgresql").join(version.to_string()).join("bin").join(name),
    )
}

/// A program as a user who may do nothing: the server refuses to run as root. It is ended once the thread that starts it is.
fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    });
    if is_root {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
    }
    // It shuts down at once (postgres(1), SIGQUIT).
    command.args(["--pdeathsig", "QUIT"]).arg(program).current_dir("/");
    command
}
