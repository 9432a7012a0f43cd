//! What a commit's own text says. Pure.

use sentry_core::clock::Timestamp;
use sentry_core::forge::CommitInfo;
use sentry_core::repo::CommitSha;

/// The root tree that a commit's text names in its first line.
pub(super) fn root_of(commit: &[u8]) -> Option<CommitSha> {
    let line = commit.split(|&b| b == b'\n').next()?.strip_prefix(b"tree ")?;
    // A tree's id has the same form as a commit's.
    std::str::from_utf8(line).ok()?.parse().ok()
}

/// A commit's metadata; what can't be read is empty.
pub(super) fn commit_info(commit: &[u8]) -> CommitInfo {
    let text = String::from_utf8_lossy(commit);
    let (head, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let line = |name| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let author = line("author ").split(" <").next().unwrap_or_default();
    let committed = committed(line("committer "));
    CommitInfo { message: message.to_owned(), author: author.to_owned(), committed }
}

/// The seconds since 1970 that stand between a committer's address and the zone (git-commit-tree(1), "Commit information").
fn committed(committer: &str) -> Option<Timestamp> {
    let (_, when) = committer.rsplit_once("> ")?;
    Timestamp::from_second(when.split(' ').next()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commits_text_is_read() {
        let sha = "9c5edb202dacd9799fd777dca310fd6cea918eed";
        let raw = format!(
            "tree {sha}\nauthor Ada L <a@b> 1 +0000\ncommitter B <b@b> 7 +0200\n\nSay\n\nmore\n"
        );
        assert_eq!(root_of(raw.as_bytes()).unwrap().as_str(), sha);
        let info = commit_info(raw.as_bytes());
        assert_eq!((info.author.as_str(), info.message.as_str()), ("Ada L", "Say\n\nmore\n"));
        assert_eq!(info.committed, Timestamp::from_second(7).ok());
        for odd in ["", "B <b@b>", "B <b@b> soon +0000", "B <b@b> 99999999999999 +0000"] {
            assert_eq!(committed(odd), None, "{odd}");
        }
        assert_eq!(root_of(b"tree --output=x\n"), None);
    }
}
