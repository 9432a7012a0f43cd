//! Refs, commits, and what a repository's own files say.

use std::os::unix::fs::PermissionsExt as _;

use sentry_tests::repo::{BareRepo, Entry};
use sentry_tests::road::FIXED;

use super::{Case, Ground, HONEST};

fn honest(b: &BareRepo) -> String {
    b.commit("main", &HONEST, "honest")
}

/// Writes a file into the bare repository itself.
fn file(b: &BareRepo, path: &str, text: &str) {
    let path = b.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Lets `main` name what no commit is.
fn head(b: &BareRepo, id: &str) {
    honest(b);
    file(b, "refs/heads/main", &format!("{id}\n"));
}

/// An object of this kind with exactly this text, unchecked.
fn object(b: &BareRepo, kind: &str, text: &str) -> String {
    let source = b.path().join("object.txt");
    std::fs::write(&source, text).unwrap();
    b.git(&["hash-object", "-t", kind, "--literally", "-w", source.to_str().unwrap()])
}

const PEOPLE: &str = "author Ada <a@b> 1700000000 +0000\ncommitter Ada <a@b> 1700000000 +0000\n";

pub(super) fn cases() -> Vec<Case> {
    [heads(), refs(), commits(), local()].into_iter().flatten().collect()
}

fn heads() -> Vec<Case> {
    vec![
        Case::refused("a head that is a tree", "main names a tree", |b, _| {
            honest(b);
            head(b, &b.git(&["rev-parse", "main^{tree}"]));
        }),
        Case::refused("a head that is a file", "main names a file", |b, _| head(b, &b.blob(FIXED))),
        Case::refused(
            "a head that is a tag of a tree",
            "main names a tag that names a tree",
            |b, _| {
                honest(b);
                let tree = b.git(&["rev-parse", "main^{tree}"]);
                let tag = object(
                    b,
                    "tag",
                    &format!(
                        "object {tree}\ntype tree\ntag x\ntagger Ada <a@b> 1700000000 +0000\n\nx\n"
                    ),
                );
                head(b, &tag);
            },
        ),
        Case::refused(
            "a head that is not there",
            "main names a commit that the server does not have",
            |b, _| head(b, &"12".repeat(20)),
        ),
        Case::refused("a head of zeros", "main names the id that stands for none", |b, _| {
            head(b, &"0".repeat(40))
        }),
    ]
}

fn refs() -> Vec<Case> {
    vec![
        Case::refused("a head that is an option", "main names `--upload-pack=…`", |b, g| {
            head(b, &format!("--upload-pack=cat {}", g.file))
        }),
        Case::harmless(
            "refs with odd names",
            "branches and tags called like options, commands and paths",
            |b, _| {
                let sha = honest(b);
                for name in [
                    "refs/heads/-upload-pack=x",
                    "refs/tags/main",
                    "refs/heads/$(id)",
                    "refs/heads/a`id`",
                    "refs/heads/heads/main",
                    "refs/heads/%2e%2e",
                ] {
                    file(b, name, &format!("{sha}\n"));
                }
            },
        ),
        Case::harmless("20,000 branches", "more branches than anyone has", |b, _| {
            let sha = honest(b);
            b.branches((0..20_000).map(|n| format!("b/{n}")), &sha);
        }),
        Case::harmless(
            "replaced objects",
            "refs/replace that swaps the head for another commit",
            |b, _| {
                let other = b.commit("other", &[(".tekton/evil.yaml", "kind: Evil\n")], "other");
                let sha = honest(b);
                file(b, &format!("refs/replace/{sha}"), &format!("{other}\n"));
            },
        ),
        Case::harmless(
            "grafts and shallow files",
            "files of the repository that change its history",
            |b, _| {
                let sha = honest(b);
                file(b, "info/grafts", &format!("{sha} {}\n", "12".repeat(20)));
                file(b, "shallow", &format!("{sha}\n"));
            },
        ),
        Case::harmless("a head elsewhere", "HEAD leads out of the repository", |b, g| {
            honest(b);
            file(b, "HEAD", &format!("ref: refs/heads/../../../../{}\n", g.file));
            // Without a HEAD that can be read git sees no repository.
            file(b, "HEAD", "ref: refs/heads/-x\n");
        }),
    ]
}

fn commits() -> Vec<Case> {
    let commit = |name, tries, text: fn(&str, &Ground) -> String| {
        Case::refused(name, tries, move |b: &BareRepo, g: &Ground| {
            honest(b);
            let tree = b.git(&["rev-parse", "main^{tree}"]);
            let id = object(b, "commit", &text(&tree, g));
            head(b, &id);
        })
    };
    vec![
        commit(
            "a tree that is an option",
            "a commit whose tree is called `--output=…`",
            |_, g| format!("tree --output={}\n{PEOPLE}\nx\n", g.file),
        ),
        commit("a tree that is a path", "a commit whose tree is called `main:../..`", |_, _| {
            format!("tree main:../../../../../../../../../../etc\n{PEOPLE}\nx\n")
        }),
        commit("a commit without a tree", "a commit that names no tree", |_, _| {
            format!("{PEOPLE}\nx\n")
        }),
        commit("a tree that is missing", "a commit whose tree the server does not have", |_, _| {
            format!("tree {}\n{PEOPLE}\nx\n", "12".repeat(20))
        }),
        Case::harmless(
            "a commit that talks",
            "a message and an author with colours, NULs and commands",
            |b, g| {
                honest(b);
                let tree = b.git(&["rev-parse", "main^{tree}"]);
                let text = format!(
                    "tree {tree}\nauthor \x1b[2J$(cat {0}) <a@b> 1 +0000\ncommitter `id` <--x> 99999999999999999999 +9999\n\n\x1b]0;x\x07 {0}\n",
                    g.file.replace("canary", "c")
                );
                let id = object(b, "commit", &text);
                head(b, &id);
            },
        ),
        Case::harmless("a commit of 512 KiB", "a message without end", |b, _| {
            honest(b);
            let tree = b.git(&["rev-parse", "main^{tree}"]);
            let id =
                object(b, "commit", &format!("tree {tree}\n{PEOPLE}\n{}\n", "x".repeat(1 << 19)));
            head(b, &id);
        }),
        Case::refused("a commit of 4 MiB", "a message that is too long", |b, _| {
            honest(b);
            let tree = b.git(&["rev-parse", "main^{tree}"]);
            let id =
                object(b, "commit", &format!("tree {tree}\n{PEOPLE}\n{}\n", "x".repeat(4 << 20)));
            head(b, &id);
        }),
    ]
}

/// Repositories of this machine: there git's other side runs here as well.
fn local() -> Vec<Case> {
    vec![
        Case::local("hooks", "hooks of every name in a repository on this machine", |b, g| {
            honest(b);
            for hook in [
                "post-checkout",
                "reference-transaction",
                "pre-receive",
                "post-update",
                "pre-auto-gc",
                "fsmonitor-watchman",
            ] {
                let path = b.path().join("hooks").join(hook);
                file(b, &format!("hooks/{hook}"), &format!("#!/bin/sh\ncat {}\n", g.file));
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        }),
        Case::local(
            "settings that run programs",
            "a repository whose config names programs for everything",
            |b, g| {
                honest(b);
                let program = format!("cat {}", g.file);
                for key in [
                    "core.fsmonitor",
                    "core.sshCommand",
                    "core.pager",
                    "core.editor",
                    "core.askPass",
                    "credential.helper",
                    "diff.external",
                    "uploadpack.packObjectsHook",
                    "filter.evil.smudge",
                    "core.alternateRefsCommand",
                    "gpg.program",
                ] {
                    b.git(&["config", key, &program]);
                }
            },
        ),
        Case::local(
            "settings that offer bundles",
            "a repository whose config advertises a bundle elsewhere",
            |b, g| {
                honest(b);
                for (key, value) in [
                    ("uploadpack.advertiseBundleURIs", "true"),
                    ("bundle.version", "1"),
                    ("bundle.mode", "all"),
                    ("bundle.x.uri", &*g.url),
                ] {
                    b.git(&["config", key, value]);
                }
            },
        ),
        Case::local("attributes of the repository", "info/attributes with filters", |b, _| {
            b.commit_entries("main", &HONEST.map(|(path, text)| Entry::file(path, text)), "honest");
            file(b, "info/attributes", "*.yaml filter=evil diff=evil export-subst\n");
        }),
    ]
}
