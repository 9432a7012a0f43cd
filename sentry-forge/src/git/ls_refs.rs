//! Heads by protocol v2 `ls-refs` (gitprotocol-v2(5)): one POST per repository, whatever the number of branches and tags.
//!
//! The capability advertisement that git asks for first is left out: a server that speaks v2 answers the command
//! alone as well, and one that does not gives an answer without packets, which is recognised.

use http::{HeaderValue, header};
use sentry_core::forge::{
    ForgeError, ForgeErrorKind, HeadList, HeadsAnswer, HeadsQuery, Validator,
};
use sentry_core::repo::{CommitSha, RepoUrl};
use sentry_core::subject::Subject;

use sha2::{Digest as _, Sha256};

use super::pkt_line::{Packet, Packets, push_line};
use super::within::id::Algorithm;
use crate::http::{Answer, Http, UPLOAD_PACK};
use crate::status::{StatusError, check_status};

/// The largest answer that is read: about 200,000 branches.
pub(crate) const ANSWER_CAP: usize = 16 << 20;
/// What we call ourselves.
pub(crate) const AGENT: &str = concat!("sentry/", env!("CARGO_PKG_VERSION"));

pub(crate) const RESULT_TYPE: &str = "application/x-git-upload-pack-result";
const BRANCHES: &str = "refs/heads/";
pub(crate) const TAGS: &str = "refs/tags/";

/// The branches and tags that a server named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RefList {
    /// In the server's order, a tag with what it stands for. Names that no branch and no tag can have are left out.
    pub(crate) refs: Vec<(Subject, CommitSha)>,
    /// True if it also said where HEAD is.
    pub(crate) had_head: bool,
}

/// A server's answer. It is read only where it is another one than whoever asked knows.
#[derive(Debug)]
pub(crate) struct Listed {
    digest: Digest,
    /// `None` where it is known.
    refs: Option<RefList>,
}

/// An answer in short: equal answers have equal ones.
#[derive(Debug)]
pub(crate) struct Digest(String);

/// Whether an answer is known, by its digest.
pub(crate) type IsKnown<'a> = &'a (dyn Fn(&Digest) -> bool + Sync);

/// Nothing is known: the answer is read whatever it is.
pub(crate) const NEW: IsKnown<'static> = &|_| false;

impl Digest {
    /// What stands for an answer in the state, with where the repository was then.
    pub(crate) fn validator(&self, renamed_to: Option<&RepoUrl>) -> Validator {
        let place = renamed_to.map(|to| format!(" {to}")).unwrap_or_default();
        Validator(format!("refs {}{place}", self.0))
    }
}

impl Listed {
    /// Reads an answer unless it is known.
    pub(crate) fn of(
        text: &[u8],
        is_known: IsKnown<'_>,
        read: fn(&[u8]) -> Result<RefList, NoList>,
    ) -> Result<Self, NoList> {
        let digest = Digest(format!("{:x}", Sha256::digest(text)));
        let refs = (!is_known(&digest)).then(|| read(text)).transpose()?;
        Ok(Self { digest, refs })
    }

    /// An empty list never means "no branches": a server that lost its repository answers the same.
    pub(crate) fn not_empty(self, repo: &RepoUrl) -> Result<Self, ForgeError> {
        if self.refs.as_ref().is_some_and(|list| list.refs.is_empty() && !list.had_head) {
            let text = format!("{repo}: the server names no branch and no HEAD");
            return Err(ForgeError::new(ForgeErrorKind::WrongAnswer, text)
                .with_hint("push a first commit; if there is one, the server's answer is wrong"));
        }
        Ok(self)
    }

    /// What was read; nothing where it was known.
    pub(crate) fn into_refs(self) -> RefList {
        self.refs.unwrap_or_default()
    }

    /// The answer to one of the queries that it was asked for.
    pub(crate) fn answer(&self, query: &HeadsQuery, renamed_to: Option<RepoUrl>) -> HeadsAnswer {
        let validator = Some(self.digest.validator(renamed_to.as_ref()));
        let Some(list) = self.refs.as_ref().filter(|_| query.validator != validator) else {
            return HeadsAnswer::NotModified;
        };
        let mine = list.refs.iter().filter(|(subject, _)| query.subjects.matches(subject));
        let heads = mine.cloned().collect();
        HeadsAnswer::Heads(HeadList { heads, validator, renamed_to })
    }
}

/// Why a message is no list of refs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoList {
    /// Not one packet: the server does not speak protocol v2, or stores SHA-256 while SHA-1 was assumed.
    Silent,
    /// The server says why, in a text of its own.
    Refused(String),
    /// It is not what the protocol promises; a clause.
    Garbled(String),
}

/// The references of a repository that start with one of `prefixes` (`refs/heads/main`; none means all branches), and
/// perhaps others: the caller filters.
///
/// # Errors
/// [`ForgeErrorKind::Unsupported`] if the server does not speak protocol v2, [`ForgeErrorKind::WrongAnswer`] if it
/// names neither a branch nor HEAD, and what [`check_status`] and [`Http::send`] say.
pub(crate) async fn ls_refs(
    http: &Http,
    repo: &RepoUrl,
    prefixes: &[String],
    authorization: Option<&HeaderValue>,
    is_known: IsKnown<'_>,
) -> Result<Listed, ForgeError> {
    asked(http, repo, request(prefixes, Algorithm::Sha1), authorization, is_known)
        .await?
        .not_empty(repo)
}

/// As [`ls_refs`], with a body of one's own; the list may be empty.
pub(crate) async fn asked(
    http: &Http,
    repo: &RepoUrl,
    body: Vec<u8>,
    authorization: Option<&HeaderValue>,
    is_known: IsKnown<'_>,
) -> Result<Listed, ForgeError> {
    let request = post(http, repo, body, authorization).build().map_err(|e| unaskable(repo, e))?;
    let answer = http.send(request, ANSWER_CAP).await?;
    check_answer(http, repo, &answer, RESULT_TYPE)?;
    Listed::of(&answer.body, is_known, parse)
        .map_err(|no| no.into_error(repo, &|text| http.redact(text)))
}

/// A command of protocol 2.
pub(crate) fn post(
    http: &Http,
    repo: &RepoUrl,
    body: Vec<u8>,
    authorization: Option<&HeaderValue>,
) -> reqwest::RequestBuilder {
    let request = http
        .client()
        .post(format!("{}/git-upload-pack", repo.as_str().trim_end_matches('/')))
        .header(header::CONTENT_TYPE, UPLOAD_PACK)
        .header(header::ACCEPT, RESULT_TYPE)
        .header("git-protocol", "version=2")
        .body(body);
    match authorization {
        Some(value) => request.header(header::AUTHORIZATION, value),
        None => request,
    }
}

/// The error of a request that can't be made.
pub(crate) fn unaskable(repo: &RepoUrl, error: reqwest::Error) -> ForgeError {
    let text = format!("{repo}: can't be asked over HTTP");
    ForgeError::new(ForgeErrorKind::Local, text).with_source(error.without_url())
}

/// Ok for an answer of git's own, by its status and the type that it says it is of.
pub(crate) fn check_answer(
    http: &Http,
    repo: &RepoUrl,
    answer: &Answer,
    expected: &str,
) -> Result<(), ForgeError> {
    check_status(answer, repo.as_str()).map_err(|error| redirected(error, http, repo, answer))?;
    let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind == Some(expected) {
        return Ok(());
    }
    let said = kind.map_or_else(|| "nothing".to_owned(), |kind| http.redact(kind));
    let text = format!("{repo}: answered {:?} to a request of git's", cut(&said, 80));
    Err(ForgeError::new(ForgeErrorKind::WrongAnswer, text).with_hint(
        "check that the URL is a git repository, and that no sign-in page or proxy answers instead",
    ))
}

/// Where a server says that a repository is now, as the cause of an error.
#[derive(Debug, thiserror::Error)]
#[error("the server says that it moved to {to}")]
pub(crate) struct Redirected {
    to: RepoUrl,
    #[source]
    status: StatusError,
}

impl Redirected {
    /// The new address that an error names, which has the old one's scheme, host and port.
    pub(crate) fn of(error: &ForgeError) -> Option<&RepoUrl> {
        let source = std::error::Error::source(error)?;
        source.downcast_ref::<Self>().map(|redirected| &redirected.to)
    }
}

/// Adds the new place, if the answer names one that keeps the request as it is and leads to git on the same server.
fn redirected(error: ForgeError, http: &Http, repo: &RepoUrl, answer: &Answer) -> ForgeError {
    let keeps = [301, 307, 308].contains(&answer.status.as_u16());
    let location = answer.headers.get(header::LOCATION).filter(|_| keeps);
    let location = location.and_then(|value| value.to_str().ok());
    // A server may echo anything; what had a secret in it leads nowhere.
    let location = location.filter(|text| http.redact(text) == *text);
    let place = location.and_then(|text| repo.url().join(text).ok());
    let to = place.and_then(|url| url.as_str().strip_suffix("/git-upload-pack")?.parse().ok());
    match to.filter(|to: &RepoUrl| to.origin() == repo.origin() && to != repo) {
        Some(to) => error.with_source(Redirected { to, status: StatusError(answer.status) }),
        None => error,
    }
}

/// The body of the request. HEAD is requested as well: it distinguishes a repository without the branch from a wrong
/// answer.
pub(crate) fn request(prefixes: &[String], algorithm: Algorithm) -> Vec<u8> {
    let has_tags = prefixes.iter().any(|prefix| prefix.starts_with(TAGS));
    listing(prefixes, algorithm, has_tags.then_some("peel"))
}

/// The same, but of a tag its own id is requested, and not that of what it stands for.
pub(crate) fn request_tips(prefixes: &[String], algorithm: Algorithm) -> Vec<u8> {
    listing(prefixes, algorithm, None)
}

fn listing(prefixes: &[String], algorithm: Algorithm, option: Option<&str>) -> Vec<u8> {
    let mut body = command("ls-refs", algorithm);
    body.extend_from_slice(b"0001");
    option.into_iter().for_each(|option| push_line(&mut body, option));
    for prefix in needed(prefixes) {
        push_line(&mut body, &format!("ref-prefix {prefix}"));
    }
    body.extend_from_slice(b"0000");
    body
}

/// How a request begins. A server takes SHA-1 for granted where nothing else is said.
pub(crate) fn command(name: &str, algorithm: Algorithm) -> Vec<u8> {
    let mut body = Vec::new();
    push_line(&mut body, &format!("command={name}"));
    push_line(&mut body, &format!("agent={AGENT}"));
    if algorithm != Algorithm::Sha1 {
        push_line(&mut body, &format!("object-format={}", algorithm.word()));
    }
    body
}

/// HEAD and the prefixes without those that another one covers; all branches if there is none.
fn needed(prefixes: &[String]) -> Vec<&str> {
    let all = [BRANCHES].into_iter().filter(|_| prefixes.is_empty());
    let mut sorted: Vec<&str> = prefixes.iter().map(String::as_str).chain(all).collect();
    sorted.push("HEAD");
    sorted.sort_unstable();
    let mut needed: Vec<&str> = Vec::new();
    for prefix in sorted {
        if !needed.last().is_some_and(|last| prefix.starts_with(last)) {
            needed.push(prefix);
        }
    }
    needed
}

/// Reads the answer: `<id> SP <ref> [SP <attribute>…] LF` per packet, then one flush, then nothing.
pub(crate) fn parse(body: &[u8]) -> Result<RefList, NoList> {
    if body.is_empty() {
        return Err(NoList::Silent);
    }
    let mut list = RefList::default();
    let mut packets = Packets::new(body);
    loop {
        let packet = packets.next().unwrap_or(Err("ends before its flush packet"));
        match packet.map_err(|problem| NoList::Garbled(problem.into()))? {
            Packet::Data(line) => add(&mut list, line)?,
            Packet::Delimiter => return Err(NoList::Garbled("has an extra section".into())),
            Packet::Flush if packets.next().is_none() => return Ok(list),
            Packet::Flush => return Err(NoList::Garbled("goes on after its end".into())),
        }
    }
}

/// Reads what `git ls-remote --heads --tags` prints: `<id> TAB <ref> LF` per branch and tag, and after a tag that is an
/// object of its own a line for what it stands for, `<ref>^{}`.
pub(crate) fn parse_ls_remote(output: &[u8]) -> Result<RefList, NoList> {
    let mut list = RefList::default();
    for line in output.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
        let tab = line.iter().position(|&b| b == b'\t');
        let mut line = line.to_vec();
        tab.into_iter().for_each(|at| line[at] = b' ');
        add(&mut list, &line)?;
    }
    Ok(list)
}

fn add(list: &mut RefList, line: &[u8]) -> Result<(), NoList> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if let Some(text) = line.strip_prefix(b"ERR ") {
        return Err(NoList::Refused(String::from_utf8_lossy(text).into_owned()));
    }
    let garbled = |what: &str| {
        NoList::Garbled(format!("{what}: {:?}", cut(&line.escape_ascii().to_string(), 80)))
    };
    let space =
        line.iter().position(|&b| b == b' ').ok_or_else(|| garbled("has a line without a ref"))?;
    let read = |id: &[u8]| std::str::from_utf8(id).ok().and_then(|id| id.parse::<CommitSha>().ok());
    let id = read(&line[..space]).ok_or_else(|| garbled("has an invalid id"))?;
    // A ref's name holds no space: what follows one is an attribute.
    let mut words = line[space + 1..].split(|&b| b == b' ');
    let name = words.next().unwrap_or_default();
    if name == b"HEAD" {
        list.had_head = true;
        return Ok(());
    }
    let (name, stands_for) = match name.strip_suffix(b"^{}") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let subject = std::str::from_utf8(name).ok().and_then(|name| Subject::at(name).ok());
    let Some(subject) = subject else {
        tracing::trace!(line = %line.escape_ascii(), "left out: nothing can have this name");
        return Ok(());
    };
    let last = list.refs.last_mut().filter(|(last, _)| *last == subject);
    match (last, stands_for) {
        (Some((Subject::Tag(_), commit)), true) => *commit = id,
        (Some(_), _) => return Err(garbled("names a ref twice")),
        (None, true) => return Err(garbled("says what an unknown tag stands for")),
        (None, false) => {
            let peeled = words.find_map(|word| word.strip_prefix(b"peeled:"));
            let peeled = peeled
                .filter(|_| subject.tag().is_some())
                .map(|id| read(id).ok_or_else(|| garbled("has an invalid id")));
            list.refs.push((subject, peeled.transpose()?.unwrap_or(id)));
        }
    }
    Ok(())
}

impl NoList {
    /// The error to report; `redact` takes secrets out of a text of the server.
    pub(crate) fn into_error(self, repo: &RepoUrl, redact: &dyn Fn(&str) -> String) -> ForgeError {
        match self {
            Self::Silent => ForgeError::new(
                ForgeErrorKind::Unsupported,
                format!("{repo}: the server does not answer protocol v2"),
            ),
            Self::Refused(text) => {
                super::failure::from_text(repo, "reading its refs", &redact(&text))
            }
            Self::Garbled(problem) => ForgeError::new(
                ForgeErrorKind::WrongAnswer,
                format!("{repo}: the server's list of refs {problem}"),
            ),
        }
    }
}

/// The first `most` characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "9c5edb202dacd9799fd777dca310fd6cea918eed";
    const OTHER: &str = "1c5edb202dacd9799fd777dca310fd6cea918eed";

    fn answer(lines: &[&str]) -> Vec<u8> {
        let mut body = Vec::new();
        lines.iter().for_each(|line| push_line(&mut body, line));
        body.extend_from_slice(b"0000");
        body
    }

    fn names(list: &RefList) -> Vec<&str> {
        list.refs.iter().map(|(subject, _)| subject.name()).collect()
    }

    #[test]
    fn the_request_is_exactly_what_git_would_send() {
        let agent = format!("{:04x}agent={AGENT}\n", AGENT.len() + 11);
        let main = "001fref-prefix refs/heads/main\n";
        for (prefixes, options, rest) in [
            (&["refs/heads/main"][..], "", main.to_owned()),
            (
                &["refs/heads/main", "refs/tags/v"],
                "0009peel\n",
                format!("{main}001bref-prefix refs/tags/v\n"),
            ),
        ] {
            let prefixes: Vec<String> = prefixes.iter().map(|&prefix| prefix.into()).collect();
            let body = String::from_utf8(request(&prefixes, Algorithm::Sha1)).unwrap();
            let rest = format!("0014ref-prefix HEAD\n{rest}0000");
            assert_eq!(body, format!("0014command=ls-refs\n{agent}0001{options}{rest}"));
        }
    }

    #[test]
    fn prefixes_that_another_one_covers_are_not_sent_and_none_means_all() {
        let given = ["refs/heads/r/1", "refs/tags/v1", "refs/heads/r/", "HEAD", "refs/tags/v"];
        let given: Vec<String> = given.map(Into::into).into();
        assert_eq!(needed(&given), ["HEAD", "refs/heads/r/", "refs/tags/v"]);
        assert_eq!(needed(&[]), ["HEAD", "refs/heads/"]);
    }

    #[test]
    fn branches_and_tags_are_read_and_other_refs_are_not() {
        let list = parse(&answer(&[
            &format!("{SHA} HEAD symref-target:refs/heads/main"),
            &format!("{SHA} refs/heads/feat/x#1 peeled:{SHA}"),
            &format!("{SHA} refs/heads/main"),
            &format!("{SHA} refs/heads/-upload-pack=x"),
            &format!("{SHA} refs/notes/commits"),
            &format!("{SHA} refs/pull/1/head"),
            &format!("{SHA} refs/tags/v1"),
            &format!("{SHA} refs/tags/v2 peeled:{OTHER}"),
            &format!("{SHA} refs/tags/v3 x:y peeled:{OTHER}"),
        ]))
        .unwrap();
        assert_eq!(names(&list), ["feat/x#1", "main", "v1", "v2", "v3"]);
        let shas: Vec<&str> = list.refs.iter().map(|(_, sha)| sha.as_str()).collect();
        assert_eq!(shas, [SHA, SHA, SHA, OTHER, OTHER], "a tag has what it stands for");
        assert!(list.had_head);
    }

    #[test]
    fn ls_remote_says_what_a_tag_stands_for_in_a_line_of_its_own() {
        let lines = [
            format!("{SHA}\trefs/heads/main"),
            format!("{SHA}\trefs/tags/v1"),
            format!("{SHA}\trefs/tags/v2"),
            format!("{OTHER}\trefs/tags/v2^{{}}"),
        ];
        let list = parse_ls_remote(lines.join("\n").as_bytes()).unwrap();
        let told: Vec<_> = list.refs.iter().map(|(s, sha)| (s.label(), sha.as_str())).collect();
        let expected = [("main", SHA), ("tag v1", SHA), ("tag v2", OTHER)];
        assert_eq!(told, expected.map(|(name, sha)| (name.into(), sha)));
        for bad in [&lines[3..], &[lines[0].clone(), format!("{OTHER}\trefs/heads/main^{{}}")]] {
            assert!(parse_ls_remote(bad.join("\n").as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_branch_whose_name_is_not_utf_8_is_left_out() {
        let mut body = format!("{:04x}{SHA} refs/heads/", SHA.len() + 17).into_bytes();
        body.extend_from_slice(b"\xff0000");
        assert_eq!(parse(&body).unwrap(), RefList::default());
    }

    #[test]
    fn every_cut_of_an_answer_is_an_error() {
        let whole = answer(&[&format!("{SHA} HEAD"), &format!("{SHA} refs/heads/main")]);
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "cut at {end}");
        }
        assert!(parse(&whole).is_ok());
    }

    #[test]
    fn what_is_no_list_is_never_taken_for_one() {
        let null = "0".repeat(40);
        for bad in [
            answer(&["<html>"]),
            answer(&[&format!("{null} refs/heads/main")]),
            answer(&[&format!("{SHA} refs/heads/a"), &format!("{SHA} refs/heads/a")]),
            answer(&["abc refs/heads/main"]),
            answer(&[&format!("{SHA} refs/tags/a peeled:abc")]),
            answer(&[&format!("{SHA} refs/tags/a"), &format!("{SHA} refs/tags/a")]),
            b"<!DOCTYPE html>".to_vec(),
            b"00000000".to_vec(),
            b"0000garbage".to_vec(),
            b"00010000".to_vec(),
        ] {
            assert!(matches!(parse(&bad), Err(NoList::Garbled(_))), "{bad:?}");
        }
        assert_eq!(parse(b""), Err(NoList::Silent));
        let refused = answer(&["ERR access denied"]);
        assert_eq!(parse(&refused), Err(NoList::Refused("access denied".into())));
    }

    #[test]
    fn an_answer_without_any_ref_is_a_wrong_answer() {
        let repo: RepoUrl = "https://git.example.com/a/b".parse().unwrap();
        let error = Listed::of(b"0000", NEW, parse).unwrap().not_empty(&repo).unwrap_err();
        assert_eq!(error.kind(), ForgeErrorKind::WrongAnswer);
    }

    #[test]
    fn an_answer_that_is_known_is_not_read_and_any_other_one_is() {
        let (one, other) = (answer(&[&format!("{SHA} refs/heads/main")]), answer(&["garbage"]));
        let first = Listed::of(&one, NEW, parse).unwrap();
        let moved: RepoUrl = "https://git.example.com/a/new".parse().unwrap();
        let query = |validator| HeadsQuery {
            repo: "https://git.example.com/a/b".parse().unwrap(),
            subjects: sentry_core::watch::BranchSelector::new(["*"]).unwrap().into(),
            validator,
        };
        let HeadsAnswer::Heads(list) = first.answer(&query(None), None) else { panic!("heads") };
        assert_eq!(list.heads.len(), 1);
        let is_known = |digest: &Digest| Some(digest.validator(None)) == list.validator;
        let read: fn(&[u8]) -> Result<RefList, NoList> = |_| panic!("it is known");
        let again = Listed::of(&one, &is_known, read).unwrap();
        let known = query(list.validator.clone());
        assert_eq!(again.answer(&known, None), HeadsAnswer::NotModified);
        assert!(Listed::of(&other, &is_known, parse).is_err(), "another one is read");
        let renamed = first.answer(&known, Some(moved));
        assert!(matches!(renamed, HeadsAnswer::Heads(list) if list.renamed_to.is_some()));
        let old = Validator(r#"{"v":1,"heads":{"main":{"sha":"x"}}}"#.into());
        assert!(matches!(first.answer(&query(Some(old)), None), HeadsAnswer::Heads(_)));
    }
}
