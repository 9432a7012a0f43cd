//! `sentry lint`: what would be done with each document of a local directory. Asks nobody.

mod findings;
mod github;
mod junit;
mod sarif;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sentry_api::shape::{Document, Documents, RemoteDocument};
use sentry_api::words::Word::{Known, Unknown};
use sentry_core::clock::Timestamp;
use sentry_core::forge::{RefusedEntry, Tree, TreeFile, TreeLimits};
use sentry_core::ids::DeliveryId;
use sentry_core::manifest::{
    self, Decision, DocumentDecision, LOCK, ManifestSet, MissingRef, Remote, RemoteDocuments,
};
use sentry_core::names::ClusterRef;
use sentry_core::remote::MAX_DEPTH;
use sentry_core::repo::{CommitSha, DirPath, ParseError};
use sentry_core::revision::Revision;
use sentry_core::subject::{EventName, Subject};
use sentry_core::watch::{
    GitAuthSecret, Manifests, ManifestsBranch, NamespacePolicy, Reading, Source, SubjectSelector,
    Watch,
};

use self::findings::Linted;
use super::Context;
use crate::args::{LintArgs, LintFormat, OutputArg};
use crate::exit::{Exit, Failure};
use crate::table::{Rows, end, folded, middle, whole};
use crate::ui::{Tone, Ui, count, plain};

pub(crate) fn run(ctx: &Context, args: &LintArgs) -> Result<Exit, Failure> {
    let tree = read_tree(&args.dir)?;
    let mut set = judge(&tree, args).map_err(|e| Failure::usage("can't lint").with_source(e))?;
    let linted = || Linted::new(&args.dir, &set);
    match args.output {
        LintFormat::Sarif => ctx.ui.json(&sarif::log(&linted()))?,
        LintFormat::Junit => ctx.ui.write(&junit::render(&linted())),
        LintFormat::Github => ctx.ui.write(&github::render(&linted())),
        LintFormat::Plain(output) => {
            note_missing(&mut set);
            show_documents(&ctx.ui, &Documents::from(&set), OutputArg { output })?;
        }
    }
    let fine = set.missing.is_empty() && set.refusals().next().is_none();
    Ok(if fine { Exit::Done } else { Exit::Failed })
}

/// What is decided for any watch, and as notes what a watch's own settings decide.
pub(crate) fn judge(tree: &Tree, args: &LintArgs) -> Result<ManifestSet, ParseError> {
    let lenient = Reading {
        namespace_policy: NamespacePolicy::Override,
        git_auth_secret: GitAuthSecret::Named("git-auth-secret".to_owned()),
        ..Reading::default()
    };
    let strict = prepare(tree, args, Reading::default())?;
    let mut set = prepare(tree, args, lenient)?;
    let refused = |d: &DocumentDecision| d.decision == Decision::Refuse;
    for (own, strict) in set.decisions.iter().zip(&strict.decisions) {
        if !refused(own) && refused(strict) {
            let place = format!("{}:{}", strict.path, strict.line);
            set.notes.push(format!("{place}: {}{}", findings::SETTINGS, strict.reason));
        }
    }
    Ok(set)
}

/// No cluster is asked here, so what the directory does not hold is told as missing.
fn note_missing(set: &mut ManifestSet) {
    for missing in &set.missing {
        let MissingRef { path, document, .. } = missing;
        set.notes.push(format!("{path} (document {document}): {}", findings::told(missing)));
    }
}

/// The directory as a forge would give it: plain files that end in `.yaml` or `.yml`; nothing else is opened.
pub(crate) fn read_tree(dir: &Path) -> Result<Tree, Failure> {
    let cant = |path: &Path, e: io::Error| {
        Failure::usage(format!("can't read {}", path.display())).with_source(e)
    };
    if !fs::metadata(dir).map_err(|e| cant(dir, e))?.is_dir() {
        return Err(Failure::usage(format!("{} is not a directory", dir.display())));
    }
    let commit = placeholder().map_err(|e| Failure::usage("can't lint").with_source(e))?;
    let mut tree = Tree { commit, files: Vec::new(), refused: Vec::new() };
    let limits = TreeLimits::default();
    let (mut entries, mut total) = (0, 0);
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).map_err(|e| cant(&at, e))? {
            let entry = entry.map_err(|e| cant(&at, e))?;
            entries += 1;
            if entries > limits.entries {
                return Err(too_large(dir, &format!("more than {} entries", limits.entries)));
            }
            // Of the entry itself: a symbolic link is not followed.
            let meta = entry.metadata().map_err(|e| cant(&entry.path(), e))?;
            let Some(path) = relative(dir, &entry.path()) else {
                tree.refused.push(refused(&entry.path(), "has a name that is not UTF-8"));
                continue;
            };
            if meta.is_symlink() {
                tree.refused.push(refused(Path::new(&path), "is a symbolic link"));
            } else if meta.is_dir() {
                if entry.file_name() != ".git" {
                    open.push(entry.path());
                }
            } else if is_manifest(&path) {
                total += meta.len();
                if meta.len() > limits.file_bytes || total > limits.total_bytes {
                    return Err(too_large(&entry.path(), "more bytes than a delivery may hold"));
                }
                let bytes = fs::read(entry.path()).map_err(|e| cant(&entry.path(), e))?;
                tree.files.push(TreeFile { path, bytes });
            }
        }
    }
    tree.files.sort_by(|a, b| a.path.cmp(&b.path));
    tree.refused.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(tree)
}

/// True for what a forge gives of a directory.
fn is_manifest(path: &str) -> bool {
    [".yaml", ".yml"].iter().any(|end| path.ends_with(end)) || path == LOCK
}

fn relative(dir: &Path, path: &Path) -> Option<String> {
    path.strip_prefix(dir).ok()?.to_str().map(str::to_owned)
}

fn refused(path: &Path, what: &str) -> RefusedEntry {
    RefusedEntry { path: path.to_string_lossy().into_owned(), what: what.to_owned() }
}

fn too_large(path: &Path, what: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{} contains {what}", path.display()))
}

fn placeholder() -> Result<CommitSha, ParseError> {
    "1".repeat(40).parse()
}

/// A watch that stands for any: names that depend on a commit are made up.
fn prepare(tree: &Tree, args: &LintArgs, reading: Reading) -> Result<ManifestSet, ParseError> {
    let asked = Asked { branch: args.branch.as_ref(), event: args.event.event.as_deref() };
    let mut set = in_any_watch(tree, &asked, reading, |documents, context| {
        let locked = locked(documents, &context);
        let remote = locked.as_ref().map_or(Remote::Unasked, Remote::Got);
        manifest::prepare(documents, &manifest::Context { remote, ..context })
    })?;
    for run in set.decisions.iter_mut().filter(|d| d.decision == Decision::Run) {
        // The name that it would get here is made up; why it starts is not.
        let why = run.reason.split_once(": ").map(|(_, why)| format!(": {why}"));
        run.reason = format!("a new one for every commit{}", why.unwrap_or_default());
    }
    Ok(set)
}

/// What runs are evaluated for.
#[derive(Debug, Default)]
pub(crate) struct Asked<'a> {
    /// A's branch; `main` where it is left out.
    pub(crate) branch: Option<&'a Subject>,
    /// The event; the branch's own where it is left out.
    pub(crate) event: Option<&'a str>,
}

/// Does something with a directory's documents in a watch that stands for any.
pub(crate) fn in_any_watch<T>(
    tree: &Tree,
    asked: &Asked<'_>,
    reading: Reading,
    work: impl FnOnce(&manifest::Documents, manifest::Context<'_>) -> T,
) -> Result<T, ParseError> {
    let subject = match asked.branch {
        Some(subject) => subject.clone(),
        None => Subject::Branch("main".parse()?),
    };
    let event = asked.event.map_or_else(|| subject.event(), EventName::new);
    let source = Source {
        forge: "lint".to_owned(),
        repo: "https://example.com/lint/source".parse()?,
        subjects: SubjectSelector::named([&subject]),
    };
    let manifests = Manifests {
        forge: "lint".to_owned(),
        repo: "https://example.com/lint/manifests".parse()?,
        branches: vec![ManifestsBranch::SourceBranch],
        dir: DirPath::default(),
    };
    let cluster = ClusterRef {
        deployer: "dry-run".to_owned(),
        context: None,
        namespace: "your-namespace".parse()?,
    };
    let watch = Watch { reading, ..Watch::new("lint".parse()?, source, manifests, cluster) };
    let revision = Revision { subject, sha: tree.commit.clone() };
    let context = manifest::Context {
        watch: &watch,
        revision: &revision,
        pull: None,
        delivery: &DeliveryId::new(Timestamp::UNIX_EPOCH, 0),
        again: None,
        manifests: &revision,
        sender: None,
        title: "",
        event: &event,
        only: None,
        changed: None,
        remote: Remote::Unasked,
        kinds: None,
    };
    Ok(work(&manifest::parse(tree), context))
}

/// What the directory's lock says of everything from elsewhere; `None` without a lock: then nobody knows.
fn locked(
    documents: &manifest::Documents,
    context: &manifest::Context<'_>,
) -> Option<RemoteDocuments> {
    let lock = documents.lock()?;
    let mut found = RemoteDocuments::default();
    // A pipeline, then its tasks.
    for _ in 0..MAX_DEPTH {
        let context = manifest::Context { remote: Remote::Got(&found), ..*context };
        for wanted in manifest::remotes_wanted(documents, &context) {
            match lock.get(&wanted) {
                Ok((bytes, entry)) => found.add(wanted, entry.url.clone(), bytes),
                Err(why) => found.refuse(wanted, why),
            }
        }
    }
    Some(found)
}

/// All documents with what is done with them.
pub(crate) fn show_documents(
    ui: &Ui,
    answer: &Documents,
    output: OutputArg,
) -> Result<(), Failure> {
    ui.answer(output, answer, names, |answer| {
        if answer.documents.is_empty() {
            ui.line("no documents: files end in .yaml or .yml");
        } else {
            ui.table(&table(&answer.documents), output);
            ui.line("");
            ui.line(totals(&answer.documents));
        }
        for RemoteDocument { path, document, kind, name, origin, sha256, .. } in &answer.remotes {
            let of = format!("{path} (document {document})");
            let text = format!("{of} uses {kind} {name} from {origin}, sha256 {sha256}");
            ui.line(format!("from elsewhere: {}", plain(&text)));
        }
        for note in &answer.notes {
            ui.line(format!("note: {}", plain(note)));
        }
    })
}

/// `pipelinerun/smoke-`, as kubectl names objects; the place of a document that has no name.
fn names(answer: &Documents) -> Vec<String> {
    let name = |document: &Document| match (&document.kind, &document.name) {
        (Some(kind), Some(name)) => format!("{}/{name}", kind.to_lowercase()),
        _ => format!("{}:{}", document.path, document.line),
    };
    answer.documents.iter().map(name).collect()
}

fn table(documents: &[Document]) -> Rows {
    let mut rows = Rows::new(&[
        whole("decision"),
        middle("file"),
        end("kind"),
        middle("name"),
        folded("reason"),
    ]);
    for document in documents {
        let tone = match document.decision {
            Known(Decision::Apply | Decision::Run) => Tone::Good,
            Known(Decision::Skip) => Tone::Quiet,
            Known(Decision::Refuse) => Tone::Bad,
            Unknown => Tone::Plain,
        };
        let column = document.column.map(|c| format!(":{c}")).unwrap_or_default();
        rows.row([
            (document.decision.as_str(), tone),
            (&format!("{}:{}{column}", document.path, document.line), Tone::Plain),
            (document.kind.as_deref().unwrap_or("-"), Tone::Plain),
            (document.name.as_deref().unwrap_or("-"), Tone::Plain),
            (&document.reason, Tone::Plain),
        ]);
    }
    rows
}

/// `4 documents: 1 apply, 2 run, 1 refuse`.
fn totals(documents: &[Document]) -> String {
    let parts = Decision::ALL.iter().filter_map(|word| {
        let number = documents.iter().filter(|d| d.decision == *word).count();
        (number > 0).then(|| format!("{number} {word}"))
    });
    format!("{}: {}", count(documents.len(), "document"), parts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_yaml_files_are_read_and_links_are_refused_unopened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("tasks")).unwrap();
        fs::write(at("tasks/b.yml"), "b").unwrap();
        fs::write(at("a.yaml"), "a").unwrap();
        fs::write(at("README.md"), "no").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", at("evil.yaml")).unwrap();
        std::os::unix::fs::symlink("/", at("root")).unwrap();
        let tree = read_tree(dir.path()).unwrap();
        let files: Vec<&str> = tree.files.iter().map(|f| f.path.as_str()).collect();
        let refused: Vec<&str> = tree.refused.iter().map(|f| f.path.as_str()).collect();
        assert_eq!((files, refused), (vec!["a.yaml", "tasks/b.yml"], vec!["evil.yaml", "root"]));
    }

    #[test]
    fn a_file_larger_than_a_delivery_may_hold_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = fs::File::create(dir.path().join("a.yaml")).unwrap();
        file.set_len(2 << 20).unwrap();
        let failure = read_tree(dir.path()).unwrap_err();
        assert_eq!(failure.exit(), Exit::Failed);
        assert!(failure.to_string().contains("a.yaml"), "{failure}");
    }
}
