//! A reader of its own, written from the formats and not from Sentry's code: what heads do these answers tell?

use serde_json::Value;

use super::damage::Sent;
use super::{ASKED, Heads};
use crate::clients::{Kind, Whole};

/// The heads that the answers tell if every one that matters is whole; what a 304 stands for is `known`.
pub(super) fn judge(kind: Kind, known: &Heads, sent: &[(String, Sent)]) -> Option<Heads> {
    let mut heads = Heads::new();
    for branch in ASKED {
        let found = head(kind, known, sent, branch)?;
        heads.extend(found.map(|sha| (branch.to_owned(), sha)));
    }
    Some(heads)
}

/// The head that the answers about one branch tell, the inner `None` if it is gone; the outer one if they are not whole.
pub(super) fn head(
    kind: Kind,
    known: &Heads,
    sent: &[(String, Sent)],
    branch: &str,
) -> Option<Option<String>> {
    if !kind.by_api() {
        let last = sent.iter().rev().find(|(path, _)| path.contains("git-upload-pack"))?;
        return Some(refs(last)?.remove(branch));
    }
    let ends = |path: &str| {
        path.ends_with(&format!("heads%2F{branch}"))
            || path.ends_with(&format!("branches/{branch}"))
    };
    let (_, answer) = sent.iter().rev().find(|(path, _)| ends(path))?;
    let answer = answer.answer.as_ref()?;
    match (kind, answer.status) {
        (_, 304) => Some(known.get(branch).cloned()),
        (Kind::GitHub, 200) => Some(Some(id(std::str::from_utf8(&answer.body).ok()?.trim())?)),
        (_, 200) => {
            let body = json(answer)?;
            (body["name"] == branch).then_some(())?;
            Some(Some(id(body["commit"]["id"].as_str()?)?))
        }
        (Kind::GitHub, 422) if says(answer, "No commit found for") => Some(None),
        (Kind::GitHub, 409) if says(answer, "Git Repository is empty") => Some(None),
        // The branch is gone if the repository is there.
        (_, 404) if says(answer, "") => {
            let is_repo = |path: &str| path.ends_with("/r") || path.ends_with("%2Fr");
            let (_, repo) = sent.iter().rev().find(|(path, _)| is_repo(path))?;
            let repo = repo.answer.as_ref().filter(|repo| repo.status == 200)?;
            let name = if kind == Kind::GitHub { "full_name" } else { "path_with_namespace" };
            json(repo)?[name].as_str()?.eq_ignore_ascii_case("o/r").then_some(())?;
            Some(None)
        }
        _ => None,
    }
}

fn id(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let hex = matches!(lower.len(), 40 | 64) && lower.bytes().all(|b| b.is_ascii_hexdigit());
    (hex && lower.bytes().any(|b| b != b'0')).then_some(lower)
}

fn content(answer: &Whole) -> Option<&str> {
    let content = answer.headers.iter().find(|(name, _)| *name == "content-type");
    content.map(|(_, value)| value.split(';').next().unwrap_or_default())
}

fn json(answer: &Whole) -> Option<Value> {
    (content(answer)? == "application/json").then_some(())?;
    serde_json::from_slice(&answer.body).ok()
}

/// True if it is an error in the API's own words, beginning with these.
fn says(answer: &Whole, words: &str) -> bool {
    let body = json(answer);
    let message = body.as_ref().and_then(|body| body["message"].as_str());
    message.is_some_and(|message| message.starts_with(words) && !message.is_empty())
}

/// `<length><id> <name>[ <attributes>]` again and again, then `0000` and nothing.
fn refs((_, sent): &(String, Sent)) -> Option<Heads> {
    let answer = sent.answer.as_ref().filter(|answer| answer.status / 100 == 2)?;
    (content(answer)? == "application/x-git-upload-pack-result").then_some(())?;
    let mut rest = answer.body.as_slice();
    let (mut heads, mut any) = (Heads::new(), false);
    while rest != b"0000" {
        let digits = std::str::from_utf8(rest.get(..4)?).ok()?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(())?;
        let length = usize::from_str_radix(digits, 16).ok().filter(|n| *n > 4)?;
        let line = rest.get(4..length)?;
        rest = &rest[length..];
        let mut words = line.strip_suffix(b"\n").unwrap_or(line).split(|b| *b == b' ');
        let sha = id(std::str::from_utf8(words.next()?).ok()?)?;
        let name = words.next()?;
        any |= name == b"HEAD" || name.starts_with(b"refs/heads/");
        let branch = ASKED.iter().find(|asked| name == format!("refs/heads/{asked}").as_bytes());
        if let Some(branch) = branch {
            heads.insert((*branch).to_owned(), sha).is_none().then_some(())?;
        }
    }
    any.then_some(heads)
}
