//! `sentry vendor`: fetches what a directory uses of elsewhere, keeps it below `vendor/`, and writes the lock. With it nothing
//! else is used, and nobody is asked.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sentry_core::error;
use sentry_core::forge::{ForgeErrorKind, Tree};
use sentry_core::manifest::{self, LOCK, Lock, LockEntry, Remote, RemoteDocuments, VENDOR};
use sentry_core::remote::{
    self, MAX_BYTES, MAX_DEPTH, MAX_DOCUMENTS, Place, RemoteQuery, RemoteRules, Remotes, Wanted,
};
use sentry_core::repo::RepoUrl;
use sentry_core::watch::Reading;

use super::Context;
use super::explain::uninterrupted;
use super::lint::{Asked, in_any_watch, read_tree};
use crate::args::VendorArgs;
use crate::compose;
use crate::exit::{Exit, Failure};
use crate::json::{Vendored, VendoredDocument};
use crate::table::{Rows, middle, whole};
use crate::ui::{Tone, count};

pub(crate) async fn run(ctx: &Context, args: &VendorArgs) -> Result<Exit, Failure> {
    let tree = read_tree(&args.dir)?;
    let files = compose::remote_files(&ctx.redactor)?;
    let rules = RemoteRules {
        hub: args.hub.clone(),
        hosts: args.host.iter().map(remote::origin).collect(),
        ..RemoteRules::default()
    };
    let mut fetcher = Fetcher {
        files: files.as_ref(),
        rules,
        nowhere: "https://nowhere.invalid/a/b".parse().map_err(cant)?,
        root: root_of(&args.dir),
        found: RemoteDocuments::default(),
        locked: Vec::new(),
    };
    let problems = uninterrupted::<_, Failure>(fetcher.gather(&tree)).await?;
    if !problems.is_empty() {
        let all: Vec<String> = problems.into_iter().collect();
        let failure = Failure::new(Exit::Failed, all.join("\nerror: "));
        return Err(failure.with_hint("nothing was written"));
    }
    fetcher.locked.sort_by(|(a, _), (b, _)| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    write(&args.dir, &fetcher.locked)?;
    show(ctx, args, &fetcher.locked)?;
    Ok(Exit::Done)
}

fn cant(source: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::usage("can't vendor").with_source(source)
}

struct Fetcher<'a> {
    files: &'a dyn Remotes,
    rules: RemoteRules,
    /// Stands for A and B: no host is allowed because of them.
    nowhere: RepoUrl,
    /// The root of the repository that the directory belongs to.
    root: Option<PathBuf>,
    found: RemoteDocuments,
    locked: Vec<(LockEntry, Vec<u8>)>,
}

impl Fetcher<'_> {
    /// Gets everything that any run of the directory may need; why that can't be had or told.
    async fn gather(&mut self, tree: &Tree) -> Result<BTreeSet<String>, Failure> {
        let mut problems = BTreeSet::new();
        // Once more than there can be, so that what the last one got is judged as well.
        for _ in 0..=MAX_DEPTH {
            let found = &self.found;
            let (wanted, told) =
                in_any_watch(tree, &Asked::default(), Reading::default(), |documents, context| {
                    let context = manifest::Context { remote: Remote::Got(found), ..context };
                    manifest::remotes_of_all(documents, &context)
                })
                .map_err(cant)?;
            problems.extend(told);
            if wanted.is_empty() {
                break;
            }
            for one in wanted {
                if self.found.len() >= MAX_DOCUMENTS {
                    let most = format!("more than {MAX_DOCUMENTS} documents from elsewhere");
                    return Err(Failure::new(Exit::Failed, most).with_hint("use fewer"));
                }
                self.get(one).await?;
            }
        }
        Ok(problems)
    }

    /// Gets one. What is definite is told by the documents that need it.
    async fn get(&mut self, wanted: Wanted) -> Result<(), Failure> {
        if let Place::File(path) = &wanted.place {
            // The repository's own commit says what it holds.
            match self.root.as_ref().map(|root| root.join(path)).and_then(|file| plain(&file)) {
                Some(bytes) => self.found.add(wanted.clone(), path.clone(), &bytes),
                None => {
                    let why = format!("is not here: this repository has no plain file {path}");
                    self.found.refuse(wanted.clone(), why);
                }
            }
            return Ok(());
        }
        let url = wanted.address(&self.rules);
        let reach = url.as_ref().and_then(|u| self.rules.reach(u, &self.nowhere, &self.nowhere));
        let (Some(url), Some(reach)) = (url.clone(), reach) else {
            let host = url.as_ref().map(remote::origin).unwrap_or_default();
            let why = format!("is at {host}, which may not be asked: add --host {host}");
            self.found.refuse(wanted, why);
            return Ok(());
        };
        let is_hub = matches!(wanted.place, Place::Hub { .. });
        let query = RemoteQuery { url: url.clone(), is_hub, reach };
        let bytes = match self.files.document(&query).await {
            Ok(bytes) => bytes,
            Err(error) => {
                let is_definite = matches!(
                    error.kind(),
                    ForgeErrorKind::NotFound
                        | ForgeErrorKind::TooLarge
                        | ForgeErrorKind::Unsupported
                );
                if !is_definite {
                    return Err(error.into());
                }
                let why = format!("can't be used: {}", error::told(&error, error.hint()));
                self.found.refuse(wanted, why);
                return Ok(());
            }
        };
        let sha256 = remote::digest(&bytes);
        let version = match &wanted.place {
            Place::Hub { version, .. } => version.clone(),
            _ => None,
        };
        self.found.add(wanted.clone(), url.to_string(), &bytes);
        let entry = LockEntry {
            kind: wanted.kind,
            name: wanted.place.to_string(),
            url: url.to_string(),
            version,
            file: file_of(&wanted, &sha256),
            sha256,
        };
        self.locked.push((entry, bytes));
        Ok(())
    }
}

/// The name of the file for a document: what people call it, and what makes it the only one.
fn file_of(wanted: &Wanted, sha256: &str) -> String {
    let name = wanted.place.to_string();
    let name = name.rsplit('/').next().unwrap_or_default();
    let name = name.trim_end_matches(".yaml").trim_end_matches(".yml");
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).take(60).collect();
    let name = name.trim_matches(['.', '-']);
    format!("{VENDOR}/{}-{name}-{}.yaml", wanted.kind, &sha256[..8])
}

/// The root of the repository that a directory belongs to.
fn root_of(dir: &Path) -> Option<PathBuf> {
    let dir = fs::canonicalize(dir).ok()?;
    dir.ancestors().find(|at| at.join(".git").exists()).map(Path::to_owned)
}

/// What stands in a plain file of moderate size; nothing of a link.
fn plain(file: &Path) -> Option<Vec<u8>> {
    let meta = fs::symlink_metadata(file).ok()?;
    let is_small = usize::try_from(meta.len()).is_ok_and(|length| length <= MAX_BYTES);
    (meta.is_file() && is_small).then(|| fs::read(file).ok()).flatten()
}

/// Writes the files, then the lock, then deletes what only the lock before it named.
fn write(dir: &Path, locked: &[(LockEntry, Vec<u8>)]) -> Result<(), Failure> {
    let failed = |path: &Path, e: io::Error| {
        Failure::usage(format!("can't write {}", path.display())).with_source(e)
    };
    let vendor = dir.join(VENDOR);
    if fs::symlink_metadata(&vendor).is_ok_and(|meta| !meta.is_dir()) {
        let text = format!("{} is not a directory", vendor.display());
        return Err(Failure::usage(text).with_hint("remove it: only a directory is written to"));
    }
    if !locked.is_empty() {
        fs::create_dir_all(&vendor).map_err(|e| failed(&vendor, e))?;
    }
    let entries: Vec<LockEntry> = locked.iter().map(|(entry, _)| entry.clone()).collect();
    for (entry, bytes) in locked {
        let path = dir.join(&entry.file);
        replace(&path, bytes).map_err(|e| failed(&path, e))?;
    }
    let lock = dir.join(LOCK);
    let before = fs::read_to_string(&lock).unwrap_or_default();
    replace(&lock, Lock::text(&entries).as_bytes()).map_err(|e| failed(&lock, e))?;
    for file in Lock::files_of(&before) {
        if !entries.iter().any(|entry| entry.file == file) {
            let path = dir.join(&file);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(&path, e)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The whole file or the one before it; a link in its place is replaced, not followed.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let draft = PathBuf::from(name);
    fs::remove_file(&draft).ok();
    let mut file = fs::File::create_new(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn show(ctx: &Context, args: &VendorArgs, locked: &[(LockEntry, Vec<u8>)]) -> Result<(), Failure> {
    let documents = locked.iter().map(|(entry, _)| VendoredDocument {
        kind: entry.kind.to_string(),
        name: entry.name.clone(),
        url: entry.url.clone(),
        version: entry.version.clone(),
        sha256: entry.sha256.clone(),
        file: entry.file.clone(),
    });
    let answer = Vendored { version: crate::json::VERSION, documents: documents.collect() };
    let names = |answer: &Vendored| {
        answer.documents.iter().map(|d| format!("{}/{}", d.kind, d.name)).collect()
    };
    ctx.ui.answer(args.output, &answer, names, |answer| {
        if answer.documents.is_empty() {
            ctx.ui.line("nothing from elsewhere is used; the lock says so");
            return;
        }
        let mut rows = Rows::new(&[whole("kind"), whole("name"), middle("file"), middle("from")]);
        for one in &answer.documents {
            rows.row([
                (one.kind.as_str(), Tone::Plain),
                (&one.name, Tone::Plain),
                (&one.file, Tone::Quiet),
                (&one.url, Tone::Quiet),
            ]);
        }
        ctx.ui.table(&rows, args.output);
        let number = count(answer.documents.len(), "document");
        ctx.ui.line(format!("\nlocked {number}: commit {VENDOR}/ and {LOCK}"));
    })
}
