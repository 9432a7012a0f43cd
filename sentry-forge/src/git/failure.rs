//! What git says when it fails, as errors: what it means is in `wording`, how long to wait in the trace of its requests.

use http::{HeaderMap, HeaderName, StatusCode};
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::repo::{RepoUrl, Scheme};
use sentry_core::text;
use sentry_process::ProcessError;

use super::ls_refs::cut;
use super::wording::{LIMITED, NO_PROXY_THERE, PUSH_AGAIN, Wording};
use crate::status::{StatusError, is_limited, wait_asked};

use ForgeErrorKind::{Local, NoCommit, RateLimited, TooLarge, Unreachable};

const INSTALL: &str = "install git, version 2.39 or later: ssh and file URLs need it, as do servers that speak no version 2 of its \
protocol, and `git: program`";

/// How it is worded that an object is not given out by its id: by git's servers, by git on this side, and by JGit's
/// servers (`want … not valid`).
const WITHHELD: [&[&str]; 3] =
    [&["not our ref"], &["unadvertised object"], &["want ", " not valid"]];

/// The error that a text of git means, with the wait that the server's headers ask for. `doing` is a clause:
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
    let text = format!("{repo}: commit {commit} does not exist (anymore): {why}");
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
    let known = if is_of_proxy(repo, &lower) { Some(&NO_PROXY_THERE) } else { Wording::of(&lower) };
    let (kind, what) = known.map_or((Unreachable, "git failed"), |known| (known.kind, known.what));
    let mut error = ForgeError::new(kind, format!("{repo}: {what} ({doing})"));
    if let Some(hint) = known.and_then(Wording::hint) {
        error = error.with_hint(hint);
    }
    match said(text) {
        Some(said) => {
            let status = status(&lower).map(StatusError);
            error.with_source(GitSaid { said, status })
        }
        None => error,
    }
}

/// True if a connection failed that does not lead to the repository's own host.
fn is_of_proxy(repo: &RepoUrl, lower: &str) -> bool {
    let after = ["failed to connect to ", "could not connect to "]
        .iter()
        .find_map(|sign| lower.split_once(sign));
    let tried = after.and_then(|(_, rest)| rest.split_whitespace().next());
    let is_http = matches!(repo.scheme(), Scheme::Https | Scheme::Http);
    // A colon may end a name as it ends a sentence's part, and `::1` begins with some: both sides lose theirs.
    let bare = |host: &str| host.trim_matches(['[', ']', ':']).to_ascii_lowercase();
    is_http
        && tried
            .is_some_and(|tried| tried != "server" && Some(bare(tried)) != repo.host().map(bare))
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
        ProcessError::TooMuchOutput { .. } => (TooLarge, "contains more than the limit"),
        _ => (Local, "can't run git"),
    };
    let is_missing = matches!(error, ProcessError::Start { .. });
    let failure = ForgeError::new(kind, format!("{repo}: {what} ({doing})")).with_source(error);
    match kind {
        Local if is_missing => failure.with_hint(INSTALL),
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

/// What says nothing of the cause: git's own end of every failure over ssh, ssh's alarms around the line that counts, and
/// progress.
const NOISE: &[&str] = &[
    "@",
    "hint:",
    "fatal: Could not read from remote repository",
    "Please make sure you have the correct access rights",
    "and the repository exists",
    "IT IS POSSIBLE THAT",
    "Someone could be eavesdropping",
    "It is also possible",
    "Please contact your system administrator",
    "Add correct host key in",
    "remove with:",
    "ssh-keygen -f",
    "It is required that your private key",
    "This private key will be ignored",
    "Pseudo-terminal",
    "remote: Enumerating",
    "remote: Counting",
    "remote: Compressing",
    "remote: Total",
    "Receiving objects",
    "Resolving deltas",
];

/// The lines that say why, the server's own among them, without control characters, at most 400 characters.
fn said(text: &str) -> Option<String> {
    let noise = |line: &&str| NOISE.iter().any(|noise| line.starts_with(noise));
    let is_word = |line: &&str| line.trim_start_matches("remote:").contains(char::is_alphanumeric);
    let lines = text.lines().map(str::trim).filter(is_word).filter(|line| !noise(line));
    let clean = text::line(&lines.collect::<Vec<_>>().join("; "));
    (!clean.is_empty()).then(|| cut(&clean, 400))
}

#[cfg(test)]
mod tests {
    use super::super::wording::NO_MEMORY;
    use super::*;
    use ForgeErrorKind::{NotFound, OutOfMemory, Unauthorized, Unsupported, WrongAnswer};
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

    /// What ssh says, the kind that it is, what it means, and the remedy.
    const SSH_SAYS: [(&str, ForgeErrorKind, &str, &str); 11] = [
        (
            "error: cannot run ssh: No such file or directory",
            Local,
            "can't run ssh",
            "openssh-client",
        ),
        ("No user exists for uid 12345", Local, "this account has no name", "/etc/passwd"),
        (
            "Permissions 0644 for '/k' are too open.\nLoad key \"/k\": bad permissions",
            Local,
            "others can access",
            "chmod 600",
        ),
        (
            "Load key \"/k\": error in libcrypto",
            Local,
            "has no key that ssh can read",
            "sentry validate",
        ),
        (
            "Load key \"/k\": incorrect passphrase supplied to decrypt private key",
            Local,
            "has a passphrase",
            "without a passphrase",
        ),
        (
            "Warning: Identity file /k not accessible: No such file or directory.",
            Local,
            "does not exist",
            "sentry validate",
        ),
        (
            "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures",
            Unauthorized,
            "the ssh key is refused",
            "deploy key",
        ),
        (
            "ssh: Could not resolve hostname git.example.com: Name or service not known",
            Unreachable,
            "name can't be resolved",
            "host and port",
        ),
        (
            "ssh: connect to host git.example.com port 22: Connection timed out",
            Unreachable,
            "did not answer in time",
            "host and port",
        ),
        (
            "bash: line 1: git-upload-pack: command not found",
            Unsupported,
            "the server has no git",
            "install git",
        ),
        (
            "remote: ERROR: The project you were looking for could not be found",
            Unreachable,
            "git failed",
            "",
        ),
    ];

    #[test]
    fn what_ssh_says_before_git_gives_up_is_the_cause_and_brings_its_own_remedy() {
        let repo: RepoUrl = "git@git.example.com:a/b".parse().unwrap();
        let end = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\n\
                   and the repository exists.";
        let denied = "git@git.example.com: Permission denied (publickey).";
        for (said, kind, what, remedy) in SSH_SAYS {
            for text in [format!("{said}\n{end}"), format!("{said}\n{denied}\n{end}")] {
                if text.contains(denied) && kind != Local {
                    continue;
                }
                let error = from_text(&repo, "fetching", &text);
                let told = sentry_core::error::text(&error);
                assert_eq!(error.kind(), kind, "{told}");
                let quoted = said.lines().last().unwrap_or_default();
                assert!(
                    told.contains(what) && told.contains(quoted) && !told.contains("make sure"),
                    "{told}"
                );
                assert!(
                    error.hint().unwrap_or_default().contains(remedy),
                    "{told}: {:?}",
                    error.hint()
                );
            }
        }
    }

    #[test]
    fn a_connection_that_fails_is_the_proxys_only_where_it_leads_to_another_host() {
        for (url, text, is_of_proxy) in [
            ("https://git.example.com/a/b", "Failed to connect to git.example.com port 443", false),
            ("https://git.example.com/a/b", "Failed to connect to GIT.example.com: refused", false),
            ("https://[::1]:8443/a/b", "Failed to connect to ::1 port 8443", false),
            ("https://git.example.com/a/b", "Could not connect to server", false),
            ("https://git.example.com/a/b", "Could not resolve host: git.example.com", false),
            ("https://git.example.com/a/b", "Failed to connect to proxy.local port 3128", true),
            ("https://git.example.com/a/b", "Could not connect to 10.0.0.1: refused", true),
            ("git@git.example.com:a/b", "Failed to connect to jump.example.com port 22", false),
        ] {
            let text = format!("fatal: unable to access 'x': {text}");
            let error = from_text(&url.parse().unwrap(), "fetching", &text).to_string();
            assert_eq!(
                error.contains("the proxy can't be reached"),
                is_of_proxy,
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn only_gits_own_trace_is_left_out_of_what_is_said() {
        let trace = "12:34:56.123456 http.c:664 <= Recv header: HTTP/1.1 200 OK";
        let own = [
            "12345 http.c:664 no time of a trace",
            "a-line-of-text: http.c:664 no digits",
            "12:34:56.123456 remote-curl.c:1 another file",
            "fatal: refused",
        ];
        let said = format!("{trace}\n{}\n{trace}", own.join("\n"));
        assert_eq!(spoken(&said), own.join("\n"));
    }

    #[test]
    fn the_cause_is_gits_own_line_without_control_characters() {
        let repo: RepoUrl = "https://git.example.com/a/b".parse().unwrap();
        let text = "remote: Counting objects: 3\nremote: not \u{202e}you\nremote: \nfatal: bad \x1b[31mthing\nhint: do that";
        let error = from_text(&repo, "fetching", text);
        let said = "git said: remote: not \u{fffd}you; fatal: bad \u{fffd}[31mthing";
        assert_eq!(error.source().unwrap().to_string(), said);
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
                 07:46:47.550100 http.c:888              <= Recv header: x-empty:\n\
                 fatal: unable to access 'x': The requested URL returned error: {status}"
            );
            let error = from_text(&repo, "fetching", &text);
            assert_eq!((error.kind(), error.retry()), (kind, wait), "{status} {header}");
            let all = sentry_core::error::text(&error);
            assert!(!all.contains("http.c") && !all.contains("Recv"), "{all}");
        }
    }

    #[test]
    fn each_kind_of_failure_has_the_remedy_that_helps_there() {
        let url = "fatal: unable to access 'https://git.example.com/a/b/'";
        for (text, kind, remedy) in [
            (&*format!("{url}: The requested URL returned error: 401"), Unauthorized, "token"),
            (
                &format!("{url}: The requested URL returned error: 404"),
                NotFound,
                "repository's URL",
            ),
            (&format!("{url}: The requested URL returned error: 301"), WrongAnswer, "new address"),
            ("fatal: remote error: upload-pack: not our ref 1111", NoCommit, "sentry trigger"),
            ("error: index-pack died of signal 9", OutOfMemory, "more memory"),
            ("error: index-pack died of signal 25", TooLarge, "raise the limit"),
            ("something nobody has seen", Unreachable, ""),
        ] {
            let error =
                from_text(&"https://git.example.com/a/b".parse().unwrap(), "fetching", text);
            let hint = error.hint().unwrap_or_default();
            assert_eq!(
                (error.kind(), hint.is_empty()),
                (kind, remedy.is_empty()),
                "{text}: {hint}"
            );
            assert!(hint.contains(remedy), "{text}: {hint}");
        }
    }

    #[test]
    fn a_git_that_could_not_be_run_to_its_end_is_told_by_what_stopped_it() {
        let (program, deadline) = (|| "git".to_owned(), Duration::from_secs(1));
        let io = || std::io::Error::from(std::io::ErrorKind::NotFound);
        for (error, kind, what, hint) in [
            (
                ProcessError::Timeout { program: program(), deadline, stdout: Vec::new() },
                Unreachable,
                "did not answer in time (reading)",
                None,
            ),
            (
                ProcessError::TooMuchOutput { program: program(), cap: 1 },
                TooLarge,
                "contains more than the limit (reading)",
                Some("raise the limit, or keep less in the directory"),
            ),
            (
                ProcessError::Start { program: program(), source: io() },
                Local,
                "can't run git (reading)",
                Some(INSTALL),
            ),
            (
                ProcessError::Io { program: program(), source: io() },
                Local,
                "can't run git (reading)",
                None,
            ),
        ] {
            let error =
                from_process(&"https://git.example.com/a/b".parse().unwrap(), "reading", error);
            let text = format!("https://git.example.com/a/b: {what}");
            assert_eq!((error.kind(), error.to_string(), error.hint()), (kind, text, hint));
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
