//! What git says when it fails, by kind. git has no exit codes for causes, so its English texts are recognised;
//! `LC_ALL=C` keeps them English.

use http::{HeaderMap, HeaderName, StatusCode};
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::process::ProcessError;
use sentry_core::repo::RepoUrl;
use sentry_core::text;

use super::ls_refs::cut;
use crate::status::{StatusError, is_limited, wait_asked};

use ForgeErrorKind::{
    Local, NoCommit, NotFound, OutOfMemory, RateLimited, TooLarge, Unauthorized, Unreachable,
    Unsupported, WrongAnswer,
};

const LIMITED: &str = "the server asks us to wait";
const NO_MEMORY: &str = "takes more memory than the 192 MiB that git may have";
/// What helps where a commit is gone.
const PUSH_AGAIN: &str = "a commit disappears after a force-push; push another one, or deliver the branch's head with `sentry trigger`";
/// How it is worded that an object is not given out by its id: by git's servers, by git on this side, and by JGit's
/// servers (`want … not valid`).
const WITHHELD: [&[&str]; 3] =
    [&["not our ref"], &["unadvertised object"], &["want ", " not valid"]];

/// What to look for in git's lower-cased output; the first hit counts. Texts of git 2.39 to 2.47 and OpenSSH 9.
const TEXTS: &[(&str, ForgeErrorKind, &str)] = &[
    ("out of memory", OutOfMemory, NO_MEMORY),
    ("cannot allocate memory", OutOfMemory, NO_MEMORY),
    // The system ends what takes more than a container or a machine has.
    ("died of signal 9", OutOfMemory, "was killed, as the system does when memory runs out"),
    ("file too large", TooLarge, "is larger than the limit for a fetch"),
    ("died of signal 25", TooLarge, "is larger than the limit for a fetch"),
    ("maximum allowed tree depth", TooLarge, "has directories nested too deeply"),
    ("no space left on device", Local, "the disk is full"),
    ("returned error: 429", RateLimited, LIMITED),
    ("returned error: 401", Unauthorized, "the token is refused"),
    ("returned error: 403", Unauthorized, "the token may not read this"),
    ("authentication failed", Unauthorized, "the token is refused"),
    ("could not read username", Unauthorized, "the server asks for a token"),
    ("could not read password", Unauthorized, "the server asks for a token"),
    ("terminal prompts disabled", Unauthorized, "the server asks for a token"),
    ("permission denied (", Unauthorized, "the ssh key is refused"),
    ("access denied", Unauthorized, "access is denied"),
    (
        "host key verification failed",
        Unauthorized,
        "the server's ssh host key is not in the known hosts file",
    ),
    ("returned error: 404", NotFound, "is not there, or the token may not see it"),
    ("returned error: 410", NotFound, "is not there any more"),
    ("returned error: 3", WrongAnswer, "is redirected to a place that is not followed"),
    ("returned error: 5", Unreachable, "the server has an error of its own"),
    ("not our ref", NoCommit, "the server does not have the commit (any more)"),
    ("unadvertised object", NoCommit, "the server does not give out the commit"),
    ("does not appear to be a git repository", NotFound, "is no git repository, or is not there"),
    ("repository not found", NotFound, "is not there, or the token may not see it"),
    // How git words a 404 over HTTP.
    ("' not found", NotFound, "is not there, or the token may not see it"),
    ("dubious ownership", Local, "belongs to another user of this machine"),
    ("is this a git repository", WrongAnswer, "what answers there is no git server"),
    ("bad line length", WrongAnswer, "the answer is not git's protocol"),
    ("protocol error", WrongAnswer, "the answer is not git's protocol"),
    ("invalid index-pack output", WrongAnswer, "the answer holds no whole pack"),
    // What git makes of any page with status 200.
    ("dumb http transport", WrongAnswer, "what answers there is no git server"),
    ("transport 'file' not allowed", Unsupported, "this transport is not allowed"),
    ("unsupported ssl backend", Local, "git can't speak TLS"),
    ("certificate", Unreachable, "the server's certificate is not trusted"),
    ("could not resolve host", Unreachable, "the host's name can't be resolved"),
    ("could not resolve hostname", Unreachable, "the host's name can't be resolved"),
    ("failed to connect", Unreachable, "can't be reached"),
    ("couldn't connect to server", Unreachable, "can't be reached"),
    ("connection refused", Unreachable, "can't be reached"),
    ("timed out", Unreachable, "did not answer in time"),
    ("timeout", Unreachable, "did not answer in time"),
    ("too slow", Unreachable, "answers too slowly"),
];

/// The error that a text of git stands for, with the wait that the server's headers ask for. `doing` is a clause:
/// `fetching .tekton`. The text must be redacted.
pub(crate) fn from_text(repo: &RepoUrl, doing: &str, text: &str) -> ForgeError {
    let headers = headers(text);
    let error = from_words(repo, doing, &spoken(text));
    let limited = StatusError::of(&error).filter(|_| is_limited(&headers));
    let error = match limited {
        Some(StatusCode::FORBIDDEN) => {
            let text = format!("{repo}: {LIMITED} ({doing})");
            ForgeError::new(RateLimited, text).with_source(StatusError(StatusCode::FORBIDDEN))
        }
        _ => error,
    };
    let waits = matches!(error.kind(), RateLimited | Unreachable);
    match wait_asked(&headers).filter(|_| waits) {
        Some(wait) => error.retry_after(wait),
        None => error,
    }
}

/// The error for a commit that a repository does not have, or does not give out; `why` is a clause.
pub(crate) fn no_commit(repo: &str, commit: &str, why: &str) -> ForgeError {
    let text = format!("{repo}: commit {commit} is not there (any more): {why}");
    ForgeError::new(NoCommit, text).with_hint(PUSH_AGAIN)
}

/// True if the server did not give out what was asked for by its id.
pub(crate) fn is_withheld(text: &str) -> bool {
    let text = spoken(text).to_ascii_lowercase();
    WITHHELD.iter().any(|signs| signs.iter().all(|sign| text.contains(sign)))
}

/// True if the server has no ref of the name that was asked for.
pub(crate) fn is_no_ref(text: &str) -> bool {
    spoken(text).to_ascii_lowercase().contains("couldn't find remote ref")
}

/// What git and the server's git say, without the trace of the requests.
pub(crate) fn spoken(text: &str) -> String {
    let own: Vec<&str> = text.lines().filter(|line| traced(line).is_none()).collect();
    own.join("\n")
}

/// A line of git's trace of its requests, which is asked for to see the headers: `TIME http.c:LINE TEXT`.
fn traced(line: &str) -> Option<&str> {
    let (time, rest) = line.split_once(' ')?;
    let is_time =
        time.len() == 15 && time.bytes().all(|b| b.is_ascii_digit() || b":.".contains(&b));
    let (place, text) = rest.trim_start().split_once(' ')?;
    (is_time && place.starts_with("http.c:")).then(|| text.trim_start())
}

/// The headers of the last answer that the trace shows.
fn headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.lines().filter_map(traced) {
        let Some(header) = line.strip_prefix("<= Recv header: ") else { continue };
        match header.split_once(": ") {
            Some((name, value)) => {
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.trim().parse()) {
                    headers.insert(name, value);
                }
            }
            None if header.starts_with("HTTP/") => headers.clear(),
            None => {}
        }
    }
    headers
}

fn from_words(repo: &RepoUrl, doing: &str, text: &str) -> ForgeError {
    let lower = text.to_ascii_lowercase();
    let known = TEXTS.iter().find(|(sign, ..)| lower.contains(sign));
    let (kind, what) = known.map_or((Unreachable, "git failed"), |&(_, kind, what)| (kind, what));
    let error = ForgeError::new(kind, format!("{repo}: {what} ({doing})"));
    let error = match kind {
        Unauthorized => error
            .with_hint("check the forge's token or ssh key and that it may read the repository"),
        NotFound => error.with_hint("check the repository's URL"),
        NoCommit => error.with_hint(PUSH_AGAIN),
        OutOfMemory => error.with_hint(
            "if the commit holds an object that large, push one without it; else give the process more memory",
        ),
        TooLarge => {
            error.with_hint("raise the limit, or keep the manifests in a smaller repository")
        }
        WrongAnswer => error.with_hint("configure the address where the repository is now"),
        Local if lower.contains("dubious ownership") => {
            error.with_hint("give the directory to the account that runs this")
        }
        _ => error,
    };
    match said(text) {
        Some(said) => {
            let status = status(&lower).map(StatusError);
            error.with_source(GitSaid { said, status })
        }
        None => error,
    }
}

/// The status that git met with: its number, or a 401 in other words.
fn status(lower: &str) -> Option<StatusCode> {
    const REFUSED: [&str; 3] =
        ["authentication failed", "could not read username", "could not read password"];
    let number = lower.split_once("returned error: ").and_then(|(_, rest)| rest.get(..3));
    let refused = REFUSED.iter().any(|sign| lower.contains(sign)).then_some("401");
    number.or(refused)?.parse().ok()
}

/// The error of a git that could not be run to its end.
pub(crate) fn from_process(repo: &RepoUrl, doing: &str, error: ProcessError) -> ForgeError {
    let (kind, what) = match &error {
        ProcessError::Timeout { .. } => (Unreachable, "did not answer in time"),
        ProcessError::TooMuchOutput { .. } => (TooLarge, "holds more than is read"),
        _ => (Local, "git can't be run"),
    };
    let is_missing = matches!(error, ProcessError::Start { .. });
    let failure = ForgeError::new(kind, format!("{repo}: {what} ({doing})")).with_source(error);
    match kind {
        Local if is_missing => failure.with_hint("install git, version 2.39 or later"),
        TooLarge => failure.with_hint("raise the limit, or keep less in the directory"),
        _ => failure,
    }
}

/// An error of this machine's disk.
pub(crate) fn from_disk(repo: &RepoUrl, what: &str, error: std::io::Error) -> ForgeError {
    ForgeError::new(Local, format!("{repo}: can't {what}")).with_source(error)
}

/// What git itself said, as a cause.
#[derive(Debug, thiserror::Error)]
#[error("git said: {said}")]
struct GitSaid {
    said: String,
    #[source]
    status: Option<StatusError>,
}

/// The lines that say why, without control characters, at most 300 characters. A text of the server
/// (`remote: …`) counts only where git itself says nothing.
fn said(text: &str) -> Option<String> {
    let why = |line: &&str| line.starts_with("fatal:") || line.starts_with("error:");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let chosen: Vec<&str> = match lines.iter().copied().filter(why).collect::<Vec<_>>() {
        none if none.is_empty() => lines.last().copied().into_iter().collect(),
        some => some,
    };
    let clean = text::line(&chosen.join("; "));
    (!clean.is_empty()).then(|| cut(&clean, 300))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sentry_core::retry::Retry;
    use std::error::Error as _;
    use std::time::Duration;

    fn kind(text: &str) -> ForgeErrorKind {
        let repo: RepoUrl = "https://git.example.com/a/b".parse().unwrap();
        from_text(&repo, "fetching", text).kind()
    }

    #[test]
    fn the_limit_that_is_told_is_the_one_that_is_set() {
        assert!(NO_MEMORY.contains(&format!(" {} MiB ", super::super::command::MEMORY >> 20)));
    }

    #[test]
    fn gits_texts_become_kinds() {
        let url = "unable to access 'https://git.example.com/a/b/'";
        for (text, expected) in [
            (format!("fatal: {url}: The requested URL returned error: 403"), Unauthorized),
            (format!("fatal: {url}: The requested URL returned error: 503"), Unreachable),
            (format!("fatal: {url}: The requested URL returned error: 429"), RateLimited),
            (format!("fatal: {url}: The requested URL returned error: 301"), WrongAnswer),
            (format!("fatal: {url}: Could not resolve host: git.example.com"), Unreachable),
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled".into(),
                Unauthorized,
            ),
            ("fatal: remote error: upload-pack: not our ref 1111".into(), NoCommit),
            (
                "fatal: Out of memory, malloc failed (tried to allocate 1610612737 bytes)\n\
                 fatal: fetch-pack: invalid index-pack output"
                    .into(),
                OutOfMemory,
            ),
            ("error: index-pack died of signal 9".into(), OutOfMemory),
            ("fatal: repository 'https://git.example.com/a/b/' not found".into(), NotFound),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository."
                    .into(),
                Unauthorized,
            ),
            ("something nobody has seen".into(), Unreachable),
        ] {
            assert_eq!(kind(&text), expected, "{text}");
        }
    }

    #[test]
    fn the_cause_is_gits_own_line_without_control_characters() {
        let repo: RepoUrl = "https://git.example.com/a/b".parse().unwrap();
        let text = "remote: hello\nfatal: bad \x1b[31mthing\nhint: do that";
        let error = from_text(&repo, "fetching", text);
        assert_eq!(error.source().unwrap().to_string(), "git said: fatal: bad \u{fffd}[31mthing");
    }

    #[test]
    fn the_headers_that_git_traces_say_how_long_to_wait_and_are_no_part_of_the_message() {
        let repo: RepoUrl = "https://git.example.com/a/b".parse().unwrap();
        for (status, header, kind, wait) in [
            (429, "Retry-After: 300", RateLimited, Retry::After(Duration::from_secs(301))),
            (429, "Server: x", RateLimited, Retry::Backoff),
            (403, "retry-after: 7", RateLimited, Retry::After(Duration::from_secs(8))),
            (403, "x-ratelimit-remaining: 0", RateLimited, Retry::Backoff),
            (403, "Server: x", Unauthorized, Retry::Backoff),
            (503, "Retry-After: 99", Unreachable, Retry::After(Duration::from_secs(100))),
        ] {
            let text = format!(
                "07:46:47.550095 http.c:913              == Info: timeout, certificate\n\
                 07:46:47.550096 http.c:888              <= Recv header: HTTP/1.1 200 OK\n\
                 07:46:47.550097 http.c:888              <= Recv header: Retry-After: 9999\n\
                 07:46:47.550098 http.c:888              <= Recv header: HTTP/1.1 {status} No\n\
                 07:46:47.550099 http.c:888              <= Recv header: {header}\n\
                 fatal: unable to access 'x': The requested URL returned error: {status}"
            );
            let error = from_text(&repo, "fetching", &text);
            assert_eq!((error.kind(), error.retry()), (kind, wait), "{status} {header}");
            let all = sentry_core::error_text(&error);
            assert!(!all.contains("http.c") && !all.contains("Recv"), "{all}");
        }
    }

    #[test]
    fn the_status_that_git_met_with_is_kept() {
        let repo: RepoUrl = "https://git.example.com/a/b".parse().unwrap();
        for (text, expected) in [
            ("fatal: unable to access 'x': The requested URL returned error: 308", Some(308)),
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled",
                Some(401),
            ),
            ("fatal: Authentication failed for 'https://x'", Some(401)),
            ("fatal: unable to access 'x': Could not resolve host: x", None),
        ] {
            let error = from_text(&repo, "fetching", text);
            assert_eq!(StatusError::of(&error).map(|s| s.as_u16()), expected, "{text}");
        }
    }
}
