//! The file format `sentry.yaml`, usable without the command line.
//!
//! A text goes through these steps, each in its own module: YAML → a tree that knows its places → overrides from
//! `SENTRY__…` variables → `${VAR}` filled in → raw structures → [`Config`]. No step stops at its first problem:
//! all of them are told at once, each with its place and its remedy.
//!
//! ```
//! use sentry_config::Environment;
//!
//! let text = r#"
//! forges:
//!   local: {type: git}
//! watches:
//!   - name: qa
//!     source: {url: "file:///srv/git/a.git", branches: main}
//!     manifests: {url: "file:///srv/git/b.git", branch: main}
//!     cluster: {namespace: qa, deployer: dry-run}
//! "#;
//! let config = sentry_config::parse(text, "sentry.yaml", &Environment::default())?;
//! assert_eq!(config.watches[0].source.forge, "local");
//! # Ok::<(), sentry_config::Problems>(())
//! ```

mod config;
mod environment;
mod excerpt;
mod forge_kind;
mod interpolate;
mod locate;
mod node;
mod overrides;
mod place;
mod print;
mod problem;
pub mod raw;
mod read;
mod resolve;
mod schema;
mod values;
mod words;

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

pub use config::{
    Config, DeployerConfig, DeployerKind, ForgeAuth, ForgeConfig, ForgeKind, GitClient, LogLevel,
    Polling, PostgresState, ProxyUrl, ReceiverConfig, ReceiverKind, ServerConfig, SshConfig,
    TokenConfig, TokenKind, TokenRight,
};
pub use environment::Environment;
pub use locate::{NotFound, locate};
pub use place::{At, Place};
pub use print::to_long_form;
pub use problem::{Problem, Problems};
pub use schema::schema;
pub use values::{Kinds, Namespaces, Pulls, SecretName, SecretText, Span, Tags, Texts};
pub use words::{DeployerWord, Word};

use interpolate::Variables;
use node::{Kind, Node};
use problem::Report;
use raw::RawKept;

/// No configuration is larger: what is, is no configuration. In bytes; twenty thousand watches take some 6 MiB.
pub const MAX_SIZE: usize = 64 << 20;

const TOO_LARGE: &str = "is larger than 64 MiB";

/// Why a configuration can't be loaded. Never retried: a person must act.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is wrong.
    #[error("{0}")]
    Problems(Problems),
}

/// Loads a file, with the `.env` beside it.
///
/// # Errors
/// A file that can't be read, or every problem of the configuration.
pub fn load(path: &Path, env: &Environment) -> Result<Config, LoadError> {
    let text = read(path)?;
    let (dotenv, bad_lines) = beside(path)?;
    parse_with(&text, &path.display().to_string(), env, &dotenv, bad_lines)
        .map_err(LoadError::Problems)
}

/// The database that a file keeps the state in, if it names one. Nothing else of the file needs to be right, or to have its
/// variables set: who only asks has no tokens.
///
/// # Errors
/// A file that can't be read, or every problem of its `state`.
pub fn database(path: &Path, env: &Environment) -> Result<Option<PostgresState>, LoadError> {
    let (text, name) = (read(path)?, path.display().to_string());
    let (dotenv, _) = beside(path)?;
    let mut report = Report::new(&name, &text);
    let node = node::parse(&text, &mut report).map(|mut node| {
        overrides::apply(&mut node, &env.vars, &mut report);
        if let Kind::Map(entries) = &mut node.kind {
            entries.retain(|(key, _)| RawKept::KEYS.contains(&key.text.as_str()));
        }
        interpolate::fill(
            &mut node,
            "",
            &Variables { environment: &env.vars, dotenv: &dotenv },
            &mut report,
        );
        node
    });
    let raw = node.and_then(|node| read::root::<RawKept>(&node, &mut report));
    let base = path.parent().unwrap_or(Path::new(""));
    let found = raw.and_then(|raw| resolve::database(raw, env, base, &mut report));
    report.finish().map_err(LoadError::Problems)?;
    Ok(found)
}

/// What a `.env` beside a file sets, and which of its lines are wrong.
fn beside(path: &Path) -> Result<(BTreeMap<String, String>, Vec<Problem>), LoadError> {
    let path = path.with_file_name(".env");
    if !path.is_file() {
        return Ok(Default::default());
    }
    Ok(environment::dotenv(&path.display().to_string(), &read(&path)?))
}

/// Reads one byte more than is allowed, so that a file that is too large is seen and not read.
fn read(path: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_path_buf(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_SIZE {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, TOO_LARGE)));
    }
    String::from_utf8(bytes)
        .map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidData, "is not UTF-8 text")))
}

/// Reads a configuration from a text. `name` stands for the file in messages, and its directory is where relative
/// paths start. No `.env` is read.
///
/// # Errors
/// Every problem of the configuration.
pub fn parse(text: &str, name: &str, env: &Environment) -> Result<Config, Problems> {
    parse_with(text, name, env, &BTreeMap::new(), Vec::new())
}

fn parse_with(
    text: &str,
    name: &str,
    env: &Environment,
    dotenv: &BTreeMap<String, String>,
    bad_lines: Vec<Problem>,
) -> Result<Config, Problems> {
    if text.len() > MAX_SIZE {
        let hint = "split it: run one agent per group of watches";
        return Err(Problems::new(vec![Problem::at_line(name, 1, "", TOO_LARGE, hint)]));
    }
    let mut report = Report::new(name, text);
    report.extend(bad_lines);
    let config = tree(text, env, dotenv, &mut report).and_then(|node| {
        let raw = read::root(&node, &mut report)?;
        let base = Path::new(name).parent().unwrap_or(Path::new(""));
        resolve::resolve(raw, env, base, &mut report)
    });
    resolve::finish(config, report)
}

/// The document with overrides and variables in it.
fn tree(
    text: &str,
    env: &Environment,
    dotenv: &BTreeMap<String, String>,
    report: &mut Report,
) -> Option<Node> {
    let mut node = node::parse(text, report)?;
    overrides::apply(&mut node, &env.vars, report);
    interpolate::fill(&mut node, "", &Variables { environment: &env.vars, dotenv }, report);
    if matches!(node.kind, Kind::Null) {
        let hint = "run `sentry init`, or start from the sample sentry.yaml";
        report.error(&Place::root(), "the file is empty", hint);
        return None;
    }
    Some(node)
}
