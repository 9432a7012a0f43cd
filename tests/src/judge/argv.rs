//! Which arguments a program may be given: every option that Sentry uses, as a person wrote it down here. Whatever
//! else starts with a dash was brought in by a ref, a URL, a path or a name.

use std::ffi::OsString;

/// What git is asked to do, with the options it may be given.
const GIT: &[(&str, &[&str])] = &[
    ("--exec-path", &[]),
    (
        "fetch",
        &[
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
            "--depth=1",
            "--depth=16",
            "--filter=tree:1",
            "--filter=tree:0",
            "--filter=blob:none",
            "--no-filter",
        ],
    ),
    ("ls-remote", &["--quiet", "--heads"]),
    ("ls-tree", &["-z", "-l"]),
    ("cat-file", &["--batch", "--batch-check", "--buffer"]),
    (
        "diff-tree",
        &["-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=none"],
    ),
    ("upload-pack", &["--stateless-rpc"]),
];

/// The options before kubectl's command, each with one value of Sentry's in the same argument.
const KUBECTL_GLOBAL: &[&str] =
    &["--cache-dir=", "--namespace=", "--kubeconfig=", "--context=", "--request-timeout="];
/// What kubectl is asked to do, with how many words and which options may follow.
const KUBECTL: &[(&str, &[&str])] = &[
    (
        "apply",
        &[
            "-f",
            "-",
            "--server-side",
            "--field-manager=sentry",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "--validate=true",
            "--validate=false",
            "-o",
        ],
    ),
    (
        "create",
        &[
            "-f",
            "-",
            "--dry-run=server",
            "--validate=strict",
            "--validate=true",
            "--validate=false",
            "-o",
        ],
    ),
    ("get", &["-f", "-", "--ignore-not-found", "-o", "--raw"]),
    ("delete", &["-f", "-", "--ignore-not-found", "--wait=false"]),
    ("patch", &["-f", "-", "--type=merge", "--field-manager=sentry", "-p"]),
    ("version", &["--client", "-o"]),
    ("api-resources", &["--no-headers"]),
];

/// What is wrong with the arguments of a program, if something is.
pub fn problem(program: &str, args: &[OsString]) -> Option<String> {
    let mut words = Vec::new();
    for arg in args {
        match arg.to_str() {
            Some(text) => words.push(text),
            None => words.push("(not UTF-8)"),
        }
    }
    match program.rsplit('/').next() {
        Some("git") => git(&words),
        Some("kubectl") => kubectl(&words),
        _ => Some(format!("a program {program:?}")),
    }
}

fn git(words: &[&str]) -> Option<String> {
    let Some((command, rest)) = words.split_first() else { return Some("no command".to_owned()) };
    let Some((_, known)) = GIT.iter().find(|(name, _)| name == command) else {
        return Some(format!("git {command}"));
    };
    let end = rest.iter().position(|word| *word == "--end-of-options");
    let (options, names) = rest.split_at(end.unwrap_or(rest.len()));
    if let Some(stranger) = options.iter().find(|word| !known.contains(word)) {
        return Some(format!("git {command} {stranger:?}"));
    }
    let wanted = match *command {
        "cat-file" | "--exec-path" => 0..=0,
        "fetch" => 3..=4,
        "upload-pack" | "ls-remote" => 2..=2,
        _ => 2..=3,
    };
    (!wanted.contains(&names.len())).then(|| format!("git {command} with {} words", names.len()))
}

fn kubectl(words: &[&str]) -> Option<String> {
    let global = |word: &&str| KUBECTL_GLOBAL.iter().any(|known| word.starts_with(known));
    let before = words.iter().take_while(|word| global(word)).count();
    let mut seen: Vec<_> =
        words[..before].iter().filter_map(|word| word.split('=').next()).collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        return Some(format!("an option twice in {seen:?}"));
    }
    let Some((command, rest)) = words[before..].split_first() else {
        return Some("no command".to_owned());
    };
    let Some((_, known)) = KUBECTL.iter().find(|(name, _)| name == command) else {
        return Some(format!("kubectl {command:?}"));
    };
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        if !known.contains(word) {
            return Some(format!("kubectl {command} {word:?}"));
        }
        let value = match *word {
            "-o" => rest.next().map(|value| matches!(*value, "json" | "name")),
            "-f" => rest.next().map(|value| *value == "-"),
            "-p" => rest.next().map(|value| value.starts_with('{')),
            "--raw" => rest.next().map(|value| value.starts_with("/api")),
            _ => Some(true),
        };
        if value != Some(true) {
            return Some(format!("kubectl {command} {word} with a value of somebody else's"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(program: &str, words: &str) -> Option<String> {
        problem(program, &words.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn what_sentry_says_passes() {
        assert_eq!(judge("git", "ls-tree -z --end-of-options 1a2b --output=x"), None);
        assert_eq!(judge("/bin/kubectl", "--namespace=qa --context=-x get --raw /api/v1"), None);
        assert_eq!(judge("kubectl", "--namespace=qa apply -f - --server-side -o json"), None);
    }

    #[test]
    fn what_a_name_brings_in_is_seen() {
        for (program, words) in [
            ("git", "fetch --upload-pack=sh --end-of-options origin 1a2b"),
            ("git", "ls-tree -z -x"),
            ("git", "-c x=y fetch"),
            ("git", "upload-pack --stateless-rpc /path --strict"),
            ("kubectl", "--namespace=qa --namespace=x get --raw /api"),
            ("kubectl", "--namespace=qa --token=x get --raw /api"),
            ("kubectl", "--namespace=qa get --raw https://x"),
            ("kubectl", "--namespace=qa apply -f x"),
            ("sh", "-c id"),
        ] {
            assert!(judge(program, words).is_some(), "{program} {words}");
        }
    }
}
