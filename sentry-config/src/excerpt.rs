//! Lines of the file for messages, with every secret taken out.

use std::sync::OnceLock;

use sentry_core::secret::{Redactor, Secret};

const MASK: &str = "[secret]";
const WIDTH: usize = 160;
/// A file with more literal secrets than this gets no excerpts: looking for each of them in each line would not end.
const MOST_SECRETS: usize = 200;
/// How the forges' own tokens begin.
const TOKEN_STARTS: [&str; 9] =
    ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glptt-", "gldt-"];

/// Words that hold none of the usual ones when two of their letters are wrong.
const MISTYPED: [&str; 6] =
    ["token", "password", "webhook_secret", "read_token", "report_token", "trigger_token"];
/// How the secret part of addresses of Slack and Mattermost begins.
const HOOK_PATHS: [&str; 2] = ["/services/", "/hooks/"];
const SHORTEST_HOOK: usize = 16;

#[derive(Debug)]
pub(crate) struct Excerpts {
    file: String,
    text: String,
    /// Looked for once something has to be said: most files are right.
    shown: OnceLock<Shown>,
}

#[derive(Debug)]
struct Shown {
    lines: Vec<String>,
    redactor: Redactor,
}

impl Shown {
    fn new(text: &str) -> Self {
        let redactor = Redactor::new();
        let secrets = literal_secrets(text);
        let showable = secrets.len() <= MOST_SECRETS;
        for secret in secrets.iter().take(MOST_SECRETS) {
            redactor.learn(&Secret::new(*secret));
        }
        let lines = text.lines().filter(|_| showable).map(str::to_owned).collect();
        Self { lines, redactor }
    }
}

impl Excerpts {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        Self { file: file.to_owned(), text: text.to_owned(), shown: OnceLock::new() }
    }

    fn shown(&self) -> &Shown {
        self.shown.get_or_init(|| Shown::new(&self.text))
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// A message without any of the file's secrets.
    pub(crate) fn clean(&self, text: &str) -> String {
        mask_tokens(&self.shown().redactor.redact(text))
    }

    /// The line with its number and a caret below the column.
    pub(crate) fn line(&self, line: usize, column: usize) -> Option<String> {
        let text = self.shown().lines.get(line.checked_sub(1)?)?;
        if text.chars().count() > WIDTH || column > WIDTH {
            return None;
        }
        let text = mask_urls(&mask_values(&self.clean(&text.replace('\t', " "))));
        let head = format!("{line:>5} | {text}");
        let column = column.saturating_sub(1);
        if column > text.chars().count() {
            return Some(head);
        }
        Some(format!("{head}\n      | {}^", " ".repeat(column)))
    }
}

/// True for a key whose value is a secret, also for one that is mistyped.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if key.ends_with("_file") || key == "token_kind" {
        return false;
    }
    ["tok", "passw", "secret", "credential", "private_key", "auth"].iter().any(|w| key.contains(w))
        || MISTYPED.iter().any(|w| strsim::damerau_levenshtein(w, &key) <= 2)
}

/// The secret key that ends right before each `:` of a line, with the rest of the line after it.
fn secret_values(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.match_indices([':', '=']).filter_map(|(at, _)| {
        let key = line[..at].trim_end_matches(['"', '\'', ' ']);
        let start = key.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
        // A separator of several bytes can't end inside a character: the slice is at a boundary or there is no key.
        let word = key.get(start..)?;
        is_secret_key(word).then(|| (at + 1, &line[at + 1..]))
    })
}

/// True for `"${NAME}"`, which may be shown.
fn is_reference(value: &str) -> bool {
    let value = value.trim().trim_end_matches([',', '}', ']', ' ']).trim_start();
    let value = value.trim_matches(['"', '\'']);
    let name = value.strip_prefix("${").map(|v| v.trim_end_matches('}'));
    name.is_some_and(|n| n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

fn mask_values(line: &str) -> String {
    for (start, value) in secret_values(line) {
        let first = value.split_inclusive('}').next().unwrap_or_default();
        if !(value.trim().is_empty() || is_reference(value) || is_reference(first)) {
            return format!("{} {MASK}", &line[..start]);
        }
    }
    line.to_owned()
}

fn mask_urls(line: &str) -> String {
    match (line.find("://"), line.rfind('@')) {
        (Some(start), Some(end)) if end > start => {
            format!("{}://{MASK}{}", &line[..start], &line[end..])
        }
        _ => line.to_owned(),
    }
}

fn mask_tokens(text: &str) -> String {
    let mut clean = text.to_owned();
    for start in TOKEN_STARTS {
        let mut from = 0;
        while let Some(at) = clean[from..].find(start).map(|i| from + i) {
            let tail = &clean[at..];
            let end = tail
                .find(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c))
                .unwrap_or(tail.len());
            clean.replace_range(at..at + end, MASK);
            from = at + MASK.len();
        }
    }
    mask_hooks(clean)
}

/// Whoever knows the address of a chat's incoming webhook may write there.
fn mask_hooks(mut text: String) -> String {
    for start in HOOK_PATHS {
        let mut from = 0;
        while let Some(at) = text[from..].find(start).map(|i| from + i + start.len()) {
            let tail = &text[at..];
            let odd = |c: char| c.is_whitespace() || "\"'`,}]".contains(c);
            let end = tail.find(odd).unwrap_or(tail.len());
            if end >= SHORTEST_HOOK {
                text.replace_range(at..at + end, MASK);
            }
            from = at;
        }
    }
    text
}

/// What the text holds as values of secret keys: on the key's line, and on the deeper lines below it.
fn literal_secrets(text: &str) -> Vec<&str> {
    let mut secrets = Vec::new();
    let mut below: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let mut found = false;
        for (_, value) in secret_values(line) {
            found = true;
            let value = value.trim();
            if !is_reference(value) && !value.starts_with(['|', '>', '{', '#']) {
                secrets.push(value.trim_matches(['"', '\'', ',', '}', ' ']));
            }
        }
        if found {
            below = Some(indent);
        } else if below.is_some_and(|parent| indent > parent) {
            if !line.contains(": ") && !is_reference(line) {
                secrets.push(line.trim().trim_matches(['"', '\'']));
            }
        } else if !line.trim().is_empty() {
            below = None;
        }
        if secrets.len() > MOST_SECRETS {
            break;
        }
    }
    secrets.retain(|s| !s.is_empty());
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_in_no_form_of_writing() {
        let text = "a:\n  token: s3cr3t-value\n  b: {type: git, token: 's3cr3t-two', x: 1}\n  \
                    tokn: s3cr3t-four\n  password: |\n    s3cr3t-three\n    more-s3cr3t\nurl: https://u:s3cr3t@h/a\n\
                    x: ghp_s3cr3tabcdef\n";
        let excerpts = Excerpts::new("f", text);
        for line in 1..=9 {
            let shown = excerpts.line(line, 3).unwrap();
            assert!(!shown.contains("s3cr3t"), "{shown}");
        }
        assert!(
            !excerpts.clean("did not expect s3cr3t-value and glpat-s3cr3tx").contains("s3cr3t")
        );
    }

    #[test]
    fn the_address_of_a_chat_is_shown_up_to_its_secret_part() {
        let text = "notify: [{url: 'https://hooks.slack.com/services/T0/B0/s3cr3ts3cr3t', on: 1}]\n\
                    url: https://chat.example.com/hooks/s3cr3t0123456789\n\
                    url: https://git.example.com/services/billing\n";
        let excerpts = Excerpts::new("f", text);
        let line = |n| excerpts.line(n, 150).unwrap();
        assert_eq!(
            line(1),
            "    1 | notify: [{url: 'https://hooks.slack.com/services/[secret]', on: 1}]"
        );
        assert_eq!(line(2), "    2 | url: https://chat.example.com/hooks/[secret]");
        assert_eq!(line(3), "    3 | url: https://git.example.com/services/billing");
    }

    #[test]
    fn references_and_other_lines_are_shown_with_a_caret() {
        let excerpts =
            Excerpts::new("f", "auth:\n  github_token: \"${GITHUB_TOKEN}\"\nbranch: x\n");
        assert_eq!(
            excerpts.line(2, 17).unwrap(),
            "    2 |   github_token: \"${GITHUB_TOKEN}\"\n      |                 ^"
        );
        assert_eq!(excerpts.line(3, 9).unwrap(), "    3 | branch: x\n      |         ^");
    }

    #[test]
    fn many_secrets_end_quickly_without_excerpts() {
        let text: String = (0..50_000).map(|i| format!("token: secret-{i}\n")).collect();
        assert_eq!(Excerpts::new("f", &text).line(1, 1), None);
    }
}
