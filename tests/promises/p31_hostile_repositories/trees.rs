//! Names, modes and shapes of trees.

use sentry_tests::repo::{BareRepo, Entry};
use sentry_tests::road::FIXED;

use super::{Case, Ground, HONEST};

/// The honest files, and these beside them.
fn with(b: &BareRepo, entries: &[Entry]) {
    let mut all: Vec<_> = HONEST.iter().map(|(path, text)| Entry::file(path, text)).collect();
    all.extend_from_slice(entries);
    b.commit_entries("main", &all, "hostile");
}

/// The honest files, and these entries beside them in `.tekton`, written as given.
fn raw(b: &BareRepo, entries: &[(&str, &[u8], String)]) {
    let honest: Vec<_> =
        HONEST.iter().map(|(path, text)| (&path.as_bytes()[8..], b.blob(text))).collect();
    let mut all: Vec<(&str, &[u8], &str)> =
        honest.iter().map(|(name, blob)| ("100644", *name, &**blob)).collect();
    all.extend(entries.iter().map(|(mode, name, id)| (*mode, *name, &**id)));
    all.sort_by(|one, two| one.1.cmp(two.1));
    let inner = b.raw_tree(&all);
    let outer = b.raw_tree(&[("40000", b".tekton", &inner)]);
    b.commit_tree("main", &outer, "hostile");
}

/// A file of this name beside the honest ones.
fn name(b: &BareRepo, name: &[u8]) {
    raw(b, &[("100644", name, b.blob(FIXED))]);
}

/// A directory of this name, with a manifest in it, beside the honest ones.
fn directory(b: &BareRepo, name: &[u8]) {
    let inner = b.raw_tree(&[("100644", b"inner.yaml", &b.blob(FIXED))]);
    raw(b, &[("40000", name, inner)]);
}

fn link(name: &'static str, tries: &'static str, target: fn(&Ground) -> String) -> Case {
    Case::refused(name, tries, move |b, ground| {
        with(b, &[Entry::symlink(".tekton/link.yaml", &target(ground))]);
    })
}

fn odd(name: &'static str, tries: &'static str, bytes: &'static [u8]) -> Case {
    Case::refused(name, tries, move |b, _| self::name(b, bytes))
}

pub(super) fn cases() -> Vec<Case> {
    [links(), modules(), attributes(), names(), looks(), lengths(), modes(), sizes()]
        .into_iter()
        .flatten()
        .collect()
}

fn links() -> Vec<Case> {
    vec![
        link("absolute link", "a manifest that is a link to a file of this machine", |g| {
            g.file.clone()
        }),
        link("relative link", "a link that climbs out of the repository", |g| {
            format!("{}{}", "../".repeat(20), g.file.trim_start_matches('/'))
        }),
        link("link to a directory", "a link to a directory of this machine", |g| g.dir.clone()),
        link("link to a device", "a link to a file without end", |_| "/dev/zero".into()),
        link("link to the environment", "a link to this process's own environment", |_| {
            "/proc/self/environ".into()
        }),
        link("link to itself", "a link without end", |_| "link.yaml".into()),
        link("link to an account's token", "a link to the pod's token", |_| {
            "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
        }),
        Case::refused(
            "the directory is a link",
            ".tekton itself leads out of the repository",
            |b, g| {
                b.commit_entries("main", &[Entry::symlink(".tekton", &g.dir)], "hostile");
            },
        ),
        Case::refused(
            "link on the way",
            "a directory that is a link, with a manifest behind it",
            |b, g| {
                with(b, &[Entry::symlink(".tekton/sub", &g.dir)]);
            },
        ),
    ]
}

fn modules() -> Vec<Case> {
    vec![
        Case::refused("submodule", "a repository in the repository", move |b, _| {
            with(b, &[Entry::gitlink(".tekton/sub", &"ab".repeat(20))]);
        }),
        Case::refused(
            "the directory is a submodule",
            ".tekton is somebody else's repository",
            |b, _| {
                b.commit_entries("main", &[Entry::gitlink(".tekton", &"cd".repeat(20))], "hostile");
            },
        ),
        Case::refused(
            "submodule that runs a program",
            ".gitmodules with an ext:: URL and `update = !`",
            move |b, g| {
                let text = format!(
                    "[submodule \"x\"]\n\tpath = .tekton/sub\n\turl = ext::sh -c 'cat {0}'\n\tupdate = !cat {0}\n",
                    g.file
                );
                with(
                    b,
                    &[
                        Entry::file(".gitmodules", text),
                        Entry::gitlink(".tekton/sub", &"ab".repeat(20)),
                    ],
                );
            },
        ),
    ]
}

fn attributes() -> Vec<Case> {
    vec![
        Case::refused(
            "submodule with an option for a URL",
            ".gitmodules with `url = -u./payload`",
            move |b, g| {
                let text =
                    format!("[submodule \"x\"]\n\tpath = .tekton/sub\n\turl = -u{}\n", g.file);
                with(
                    b,
                    &[
                        Entry::file(".gitmodules", text),
                        Entry::gitlink(".tekton/sub", &"ab".repeat(20)),
                    ],
                );
            },
        ),
        Case::harmless(
            ".gitmodules alone",
            "a .gitmodules in the directory, without a submodule",
            |b, g| {
                let text =
                    format!("[submodule \"x\"]\n\tpath = ../../x\n\turl = file://{}\n", g.dir);
                with(b, &[Entry::file(".tekton/.gitmodules", text)]);
            },
        ),
        Case::harmless(
            "attributes",
            ".gitattributes with filters, diffs, merges and export-subst",
            |b, _| {
                let text = "*.yaml filter=evil diff=evil merge=evil export-subst text working-tree-encoding=UTF-16\n";
                with(
                    b,
                    &[
                        Entry::file(".gitattributes", text),
                        Entry::file(".tekton/.gitattributes", text),
                    ],
                );
            },
        ),
        Case::harmless(
            "LFS pointer",
            "a manifest that is a pointer to a file elsewhere",
            |b, g| {
                let text = format!(
                    "version {}/spec/v1\noid sha256:{}\nsize 12345\n",
                    g.url,
                    "ab".repeat(32)
                );
                with(
                    b,
                    &[
                        Entry::file(".lfsconfig", format!("[lfs]\n\turl = {}\n", g.url)),
                        Entry::file(".tekton/lfs.yaml", text),
                    ],
                );
            },
        ),
    ]
}

fn names() -> Vec<Case> {
    vec![
        odd("two dots as a file", "a file called `..`", b".."),
        odd("one dot as a file", "a file called `.`", b"."),
        Case::refused("two dots as a directory", "a directory called `..`", |b, _| {
            directory(b, b"..")
        }),
        Case::refused("a .git inside", "a directory `.git` with files in it", |b, _| {
            directory(b, b".git")
        }),
        Case::refused(
            "a .GIT inside",
            "the same in capitals, for file systems that fold case",
            |b, _| directory(b, b".GIT"),
        ),
        odd("a path for a name", "a file called `a/b.yaml`", b"a/b.yaml"),
        odd(
            "an absolute path for a name",
            "a file called `/etc/cron.d/x.yaml`",
            b"/etc/cron.d/x.yaml",
        ),
        odd("a climbing path for a name", "a file called `../../up.yaml`", b"../../up.yaml"),
        odd("backslashes", "a name that climbs on Windows", b"..\\..\\x.yaml"),
        odd(
            "terminal colours",
            "a name that writes in colours to the terminal",
            b"\x1b[31mred\x1b[0m.yaml",
        ),
    ]
}

fn looks() -> Vec<Case> {
    vec![
        odd(
            "a line's end in a name",
            "a name of two lines, to forge a line of a listing",
            b"a\n100644 blob b.yaml",
        ),
        odd("a tab in a name", "a name with a listing's separator", b"a\tb.yaml"),
        odd("bytes that are no text", "a name that is not UTF-8", b"\xff\xfe.yaml"),
        odd("no name at all", "a file without a name", b""),
        Case::harmless(
            "a name with a dash in front",
            "a file called `--kubeconfig=x.yaml`",
            |b, _| {
                with(
                    b,
                    &[
                        Entry::file(".tekton/--kubeconfig=x.yaml", "# nothing\n"),
                        Entry::file(".tekton/-f.yaml", "# nothing\n"),
                    ],
                );
            },
        ),
    ]
}

fn lengths() -> Vec<Case> {
    vec![
        Case::harmless(
            "a command in a name",
            "names with $(…), backquotes, semicolons and quotes",
            |b, g| {
                let name = format!(".tekton/$(cat {0});`id`'.yaml", g.file.replace('/', "_"));
                with(b, &[Entry::file(&name, "# nothing\n")]);
            },
        ),
        Case::harmless("a very long name", "a name of 4,000 bytes", |b, _| {
            with(b, &[Entry::file(&format!(".tekton/{}.yaml", "n".repeat(4000)), "# nothing\n")]);
        }),
        Case::harmless(
            "names that differ in case",
            "two files that are one where case is folded",
            |b, _| {
                with(
                    b,
                    &[
                        Entry::file(".tekton/x.yaml", "# nothing\n"),
                        Entry::file(".tekton/X.yaml", "# nothing\n"),
                    ],
                );
            },
        ),
        Case::harmless(
            "names that look the same",
            "one letter in two forms of Unicode, and letters that run backwards",
            |b, _| {
                with(
                    b,
                    &[
                        Entry::file(".tekton/\u{e9}.yaml", "# nothing\n"),
                        Entry::file(".tekton/e\u{301}.yaml", "# nothing\n"),
                        Entry::file(".tekton/\u{202e}lmay.yaml", "# nothing\n"),
                    ],
                );
            },
        ),
        Case::refused("one name twice", "two files of the same name in one tree", |b, _| {
            let (one, two) = (b.blob("# nothing\n"), b.blob(FIXED));
            raw(b, &[("100644", b"twice.yaml", one), ("100644", b"twice.yaml", two)]);
        }),
    ]
}

fn modes() -> Vec<Case> {
    let mode = |name, tries, mode: &'static str| {
        Case::refused(name, tries, move |b: &BareRepo, _: &Ground| {
            raw(b, &[(mode, b"odd.yaml", b.blob(FIXED))]);
        })
    };
    vec![
        mode("a socket", "a file with a socket's mode", "140000"),
        mode("a device", "a file with a device's mode", "60000"),
        mode("no mode", "a file of mode 0", "0"),
        Case::refused("the directory is a file", ".tekton is a file", |b, _| {
            b.commit("main", &[(".tekton", FIXED)], "hostile");
        }),
        Case::refused(
            "a file that is a tree",
            "a regular file's entry that names a tree",
            |b, _| {
                let tree = b.raw_tree(&[("100644", b"x", &b.blob("x"))]);
                raw(b, &[("100644", b"tree.yaml", tree)]);
            },
        ),
        Case::refused("a tree that is a file", "a directory's entry that names a file", |b, _| {
            raw(b, &[("40000", b"file", b.blob(FIXED))]);
        }),
        Case::refused(
            "a file that is missing",
            "an entry whose file the server does not have",
            |b, _| {
                raw(b, &[("100644", b"missing.yaml", "12".repeat(20))]);
            },
        ),
    ]
}

fn sizes() -> Vec<Case> {
    vec![
        Case::refused(
            "a tree of 10,000,000,000 files",
            "a tree that holds itself ten times, ten levels deep",
            |b, _| {
                let blob = b.blob(FIXED);
                let names: Vec<_> = (0..10).map(|n| format!("n{n}.yaml")).collect();
                let each = |mode: &'static str, id: &str| {
                    let entries: Vec<_> =
                        names.iter().map(|name| (mode, name.as_bytes(), id)).collect();
                    b.raw_tree(&entries)
                };
                let mut tree = each("100644", &blob);
                for _ in 1..10 {
                    tree = each("40000", &tree);
                }
                b.commit_tree("main", &b.raw_tree(&[("40000", b".tekton", &tree)]), "hostile");
            },
        ),
        Case::refused("5,000 directories deep", "a path of 5,000 directories", |b, _| {
            let mut tree = b.raw_tree(&[("100644", b"x.yaml", &b.blob(FIXED))]);
            let mut all = Vec::new();
            for _ in 0..500 {
                tree = b.raw_tree(&[("40000", b"ddddddddddddddddddddd", &tree)]);
                all.push(tree.clone());
            }
            raw(b, &[("40000", b"deep", tree)]);
        }),
        Case::refused("20,000 files", "a directory with more files than may be", |b, _| {
            let files: Vec<_> = (0..20_000)
                .map(|n| Entry::file(&format!(".tekton/{n}.yaml"), "# nothing\n"))
                .collect();
            with(b, &files);
        }),
        Case::refused(
            "a file of 64 MiB",
            "one file that is larger than may be, and packs small",
            |b, _| {
                with(b, &[Entry::file(".tekton/large.yaml", "#".repeat(64 << 20))]);
            },
        ),
        Case::refused("100 files of 900 KB", "files that are too large together", |b, _| {
            let text = format!("# {}\n", "x".repeat(900_000));
            let files: Vec<_> =
                (0..100).map(|n| Entry::file(&format!(".tekton/{n}.yaml"), &text)).collect();
            with(b, &files);
        }),
    ]
}
