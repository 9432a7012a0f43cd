//! The contracts of [`Heads`](crate::forge::Heads), [`Source`](crate::forge::Source) and
//! [`Reporter`](crate::forge::Reporter), clause by clause: whoever writes a forge of their own runs it against those of the
//! ports that it has.
//!
//! Each clause is a function that takes a [`Scene`] and panics, as a test does, where the forge breaks it.
//! [`heads_contract_tests!`](crate::heads_contract_tests), [`source_contract_tests!`](crate::source_contract_tests) and
//! [`reporter_contract_tests!`](crate::reporter_contract_tests) make one test of each, so that the name of the failing
//! test says what is broken. The crate that uses them needs `tokio` with the features `macros` and `rt`.

use std::fmt::Debug;
use std::time::Duration;

use super::sample;
use crate::forge::{
    ChangedPaths, ChangesQuery, CommitStatus, ForgeError, ForgeErrorKind, ForgePorts, HeadList,
    HeadsAnswer, HeadsQuery, StatusState, Tree, TreeLimits, TreeQuery, Validator,
};
use crate::repo::{CommitSha, RepoUrl};
use crate::subject::Subject;
use crate::watch::{BranchSelector, SubjectSelector, TagSelector};

/// Longer than any call of a clause takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A forge, and a repository of it that has no commit yet.
#[derive(Debug)]
pub struct Scene {
    /// The forge.
    pub forge: ForgePorts,
    /// The repository.
    pub repo: RepoUrl,
    /// One beside it that stays empty.
    pub empty: RepoUrl,
    /// One that is not there.
    pub missing: RepoUrl,
    /// Who pushes.
    pub host: Box<dyn Host>,
}

/// What happens to the repository, and to the answers about it, behind the port.
pub trait Host: Debug + Send + Sync {
    /// Commits on top of a branch, made if it isn't there, and returns the commit. The files, by their paths in the
    /// repository, are added or replaced.
    fn commit(&self, branch: &str, message: &str, files: &[(&str, &str)]) -> CommitSha;

    /// Deletes a branch, or what a whole reference names.
    fn delete(&self, branch: &str);

    /// Sets a tag to a commit: as an object of its own as often as said, each around the one before; with 0 the tag names
    /// the commit itself.
    fn tag(&self, name: &str, commit: &CommitSha, objects: usize);

    /// From now on every answer is wrong in this way.
    fn answer_wrongly(&self, wrong: Wrong);
}

/// What comes instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// A web page, as of a wall that asks people to sign in.
    Page,
    /// What is no answer in any format.
    Garbage,
    /// Half of it, and the end of the connection.
    Half,
}

impl Wrong {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Page, Self::Garbage, Self::Half];
}

/// One `#[tokio::test]` per clause of the port [`Heads`](crate::forge::Heads); the argument is the path of an
/// `async fn() -> Scene`.
#[macro_export]
macro_rules! heads_contract_tests {
    ($make:path) => {
        $crate::forge_contract_clauses! { $make:
            answers_come_in_the_order_of_the_questions
            a_branch_that_is_not_there_is_absent_and_no_error
            only_selected_branches_are_told
            a_tag_is_told_with_the_commit_that_it_stands_for
            a_moved_tag_and_a_deleted_one_are_told
            a_validator_allows_not_modified_and_nothing_else
            a_repository_that_is_not_there_is_an_error
            an_empty_list_is_a_wrong_answer_and_never_no_branches
            a_wrong_answer_is_an_error_and_never_no_branches
        }
    };
}

/// One `#[tokio::test]` per clause of the port [`Source`](crate::forge::Source); the argument is the path of an
/// `async fn() -> Scene`.
#[macro_export]
macro_rules! source_contract_tests {
    ($make:path) => {
        $crate::forge_contract_clauses! { $make:
            a_tree_has_every_manifest_below_its_directory_sorted_by_path
            a_tree_is_that_of_its_commit_whatever_the_branch_holds_now
            a_directory_that_is_missing_is_no_directory
            a_commit_that_is_not_there_is_no_commit
            what_is_larger_than_the_limits_is_too_large
            a_commit_that_only_a_tag_leads_to_is_read_and_compared
            a_commit_says_its_whole_message_who_wrote_it_and_when_it_was_made
            a_commit_differs_from_itself_in_nothing
            changed_paths_are_sorted_and_the_same_in_both_directions
            a_commit_that_is_gone_cant_be_compared
            a_credential_that_is_lent_is_not_shown
            a_wrong_answer_is_an_error_and_never_an_empty_tree
        }
    };
}

/// One `#[tokio::test]` per clause of the port [`Reporter`](crate::forge::Reporter); the argument is the path of an
/// `async fn() -> Scene`.
#[macro_export]
macro_rules! reporter_contract_tests {
    ($make:path) => {
        $crate::forge_contract_clauses! { $make:
            a_status_that_is_there_already_is_no_error
            every_state_can_be_shown_and_the_next_delivery_begins_again
            a_status_of_a_commit_that_is_not_there_is_an_error
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! forge_contract_clauses {
    ($make:path: $($clause:ident)*) => {
        $(
            #[tokio::test]
            async fn $clause() {
                $crate::testing::forge_contract::$clause($make().await).await;
            }
        )*
    };
}

impl Scene {
    fn query(&self, branches: &[&str], validator: Option<Validator>) -> HeadsQuery {
        let branches = BranchSelector::new(branches.iter().copied()).expect("branches");
        HeadsQuery { repo: self.repo.clone(), subjects: branches.into(), validator }
    }

    /// A question for `main` and for these tags.
    fn query_tags(&self, tags: &[&str], validator: Option<Validator>) -> HeadsQuery {
        let tags = TagSelector::names(tags.iter().copied()).expect("tags");
        let query = self.query(&["main"], validator);
        HeadsQuery { subjects: SubjectSelector { tags: Some(tags), ..query.subjects }, ..query }
    }

    async fn ask(&self, query: HeadsQuery) -> Result<HeadsAnswer, ForgeError> {
        let mut answers = self.forge.heads.heads(&[query]).await;
        assert_eq!(answers.len(), 1, "one answer per question");
        answers.remove(0)
    }

    async fn heads(&self, branches: &[&str]) -> HeadList {
        list(self.ask(self.query(branches, None)).await)
    }

    fn tree_query(&self, commit: &CommitSha) -> TreeQuery {
        TreeQuery {
            repo: self.repo.clone(),
            revision: sample::at("main", commit.as_str()),
            dir: sample::parse(".tekton"),
            limits: TreeLimits::default(),
            timeout: TIMEOUT,
        }
    }

    async fn tree(&self, commit: &CommitSha) -> Result<Tree, ForgeError> {
        self.forge.source.tree(&self.tree_query(commit)).await
    }

    async fn changes(&self, from: &CommitSha, to: &CommitSha) -> Result<ChangedPaths, ForgeError> {
        let (repo, to) = (self.repo.clone(), sample::at("main", to.as_str()));
        let from = from.clone().into();
        let query = ChangesQuery { repo, from, to, timeout: TIMEOUT };
        self.forge.source.changes(&query).await
    }

    async fn show(&self, commit: &CommitSha, state: StatusState, n: u32) -> Result<(), ForgeError> {
        let status = CommitStatus {
            revision: sample::at("main", commit.as_str()),
            context: "sentry-gitops/qa".into(),
            state,
            description: "what is said".into(),
            link: None,
            delivery: Some(sample::id(n)),
            subjects: vec![sample::subject("main")],
        };
        let reporter = self.forge.reporter.as_ref().expect("a forge with statuses");
        reporter.set_status(&self.repo, &status).await
    }
}

fn list(answer: Result<HeadsAnswer, ForgeError>) -> HeadList {
    match answer.expect("an answer") {
        HeadsAnswer::Heads(heads) => heads,
        HeadsAnswer::NotModified => panic!("not modified, without a validator"),
    }
}

fn shown(heads: &HeadList) -> Vec<(&str, &CommitSha)> {
    heads.heads.iter().map(|(subject, sha)| (subject.name(), sha)).collect()
}

fn kind<T: Debug>(answer: Result<T, ForgeError>) -> ForgeErrorKind {
    answer.expect_err("no error").kind()
}

fn paths(tree: &Tree) -> Vec<&str> {
    tree.files.iter().map(|file| file.path.as_str()).collect()
}

/// See the name.
pub async fn answers_come_in_the_order_of_the_questions(at: Scene) {
    let main = at.host.commit("main", "one", &[("a", "1")]);
    let release = at.host.commit("release/1", "two", &[("a", "2")]);
    let missing = HeadsQuery { repo: at.missing.clone(), ..at.query(&["main"], None) };
    let queries = [at.query(&["release/*"], None), missing, at.query(&["main"], None)];
    let mut answers = at.forge.heads.heads(&queries).await.into_iter();
    let mut next = || answers.next().expect("one answer per question");
    assert_eq!(shown(&list(next())), [("release/1", &release)]);
    assert!(next().is_err());
    assert_eq!(shown(&list(next())), [("main", &main)]);
    assert!(answers.next().is_none());
    assert!(at.forge.heads.heads(&[]).await.is_empty());
}

/// See the name.
pub async fn a_branch_that_is_not_there_is_absent_and_no_error(at: Scene) {
    let main = at.host.commit("main", "one", &[("a", "1")]);
    assert_eq!(shown(&at.heads(&["main", "gone"]).await), [("main", &main)]);
    assert_eq!(shown(&at.heads(&["gone"]).await), []);
    assert_eq!(shown(&at.heads(&["gone/*"]).await), []);
}

/// See the name.
pub async fn only_selected_branches_are_told(at: Scene) {
    let main = at.host.commit("main", "one", &[("a", "1")]);
    let release = at.host.commit("release/1", "two", &[("a", "2")]);
    at.host.commit("releases", "three", &[("a", "3")]);
    at.host.commit("mainline", "four", &[("a", "4")]);
    assert_eq!(shown(&at.heads(&["main"]).await), [("main", &main)]);
    assert_eq!(shown(&at.heads(&["release/*"]).await), [("release/1", &release)]);
}

/// See the name.
pub async fn a_validator_allows_not_modified_and_nothing_else(at: Scene) {
    for branches in [&["main", "dev"][..], &["*"]] {
        at.host.commit("main", "one", &[("a", "1")]);
        at.host.commit("dev", "two", &[("a", "2")]);
        let before = at.heads(branches).await;
        if let HeadsAnswer::Heads(again) =
            at.ask(at.query(branches, before.validator.clone())).await.expect("an answer")
        {
            assert_eq!(again.heads, before.heads);
        }
        let main = at.host.commit("main", "three", &[("a", "3")]);
        let moved = list(at.ask(at.query(branches, before.validator)).await);
        assert_eq!(moved.heads.get(&sample::subject("main")), Some(&main));
        at.host.delete("dev");
        let gone = list(at.ask(at.query(branches, moved.validator)).await);
        assert_eq!(shown(&gone), [("main", &main)]);
    }
}

/// See the name.
pub async fn a_tag_is_told_with_the_commit_that_it_stands_for(at: Scene) {
    let one = at.host.commit("main", "one", &[("a", "1")]);
    let two = at.host.commit("main", "two", &[("a", "2")]);
    at.host.commit("v1", "a branch of a tag's name", &[("a", "3")]);
    for (name, commit, objects) in
        [("v1", &one, 0), ("v2", &two, 1), ("v3", &one, 2), ("x", &two, 1)]
    {
        at.host.tag(name, commit, objects);
    }
    let told = list(at.ask(at.query_tags(&["v*"], None)).await);
    let told: Vec<(&Subject, &CommitSha)> = told.heads.iter().collect();
    let expected =
        [("main", &two), ("refs/tags/v1", &one), ("refs/tags/v2", &two), ("refs/tags/v3", &one)];
    let expected = expected.map(|(text, sha)| (sample::subject(text), sha));
    assert_eq!(told, expected.iter().map(|(subject, sha)| (subject, *sha)).collect::<Vec<_>>());
    assert_eq!(shown(&list(at.ask(at.query_tags(&["gone"], None)).await)), [("main", &two)]);
}

/// See the name.
pub async fn a_moved_tag_and_a_deleted_one_are_told(at: Scene) {
    let one = at.host.commit("main", "one", &[("a", "1")]);
    let two = at.host.commit("main", "two", &[("a", "2")]);
    for objects in [0, 1] {
        at.host.tag("v1", &one, objects);
        at.host.tag("v2", &one, objects);
        let before = list(at.ask(at.query_tags(&["v*"], None)).await);
        at.host.tag("v1", &two, objects);
        let moved = list(at.ask(at.query_tags(&["v*"], before.validator)).await);
        assert_eq!(shown(&moved), [("main", &two), ("v1", &two), ("v2", &one)]);
        at.host.delete("refs/tags/v2");
        let gone = list(at.ask(at.query_tags(&["v*"], moved.validator)).await);
        assert_eq!(shown(&gone), [("main", &two), ("v1", &two)]);
    }
}

/// See the name.
pub async fn a_repository_that_is_not_there_is_an_error(at: Scene) {
    for branches in [&["main"][..], &["*"]] {
        let query = HeadsQuery { repo: at.missing.clone(), ..at.query(branches, None) };
        assert!(at.ask(query).await.is_err(), "{branches:?}");
    }
}

/// A server that lost its repositories says the same.
pub async fn an_empty_list_is_a_wrong_answer_and_never_no_branches(at: Scene) {
    let query = HeadsQuery { repo: at.empty.clone(), ..at.query(&["*"], None) };
    assert_eq!(kind(at.ask(query).await), ForgeErrorKind::WrongAnswer);
}

/// See the name.
pub async fn a_wrong_answer_is_an_error_and_never_no_branches(at: Scene) {
    at.host.commit("main", "one", &[("a", "1")]);
    let validator = at.heads(&["main"]).await.validator;
    for wrong in Wrong::ALL {
        at.host.answer_wrongly(wrong);
        for (branches, validator) in
            [(&["main"][..], None), (&["*"], None), (&["main"], validator.clone())]
        {
            let has_validator = validator.is_some();
            let answer = at.ask(at.query(branches, validator)).await;
            // "Not modified" has no body that could be cut, and is the truth.
            let is_unchanged = matches!(answer, Ok(HeadsAnswer::NotModified));
            if wrong == Wrong::Half && has_validator && is_unchanged {
                continue;
            }
            let kind = kind(answer);
            let is_cut = wrong == Wrong::Half && kind == ForgeErrorKind::Unreachable;
            assert!(is_cut || kind == ForgeErrorKind::WrongAnswer, "{wrong:?}: {kind:?}");
        }
    }
}

/// See the name.
pub async fn a_tree_has_every_manifest_below_its_directory_sorted_by_path(at: Scene) {
    let files = [
        (".tekton/b.yaml", "b"),
        (".tekton/a/z.yml", "z"),
        (".tekton/a.yaml", "a"),
        (".tekton-not/n.yaml", "n"),
    ];
    let commit = at.host.commit("main", "one", &files);
    let tree = at.tree(&commit).await.expect("a tree");
    assert_eq!((paths(&tree), &tree.commit), (vec!["a.yaml", "a/z.yml", "b.yaml"], &commit));
    assert_eq!(tree.files[1].bytes, b"z");
    assert_eq!(tree.refused, []);
}

/// See the name.
pub async fn a_tree_is_that_of_its_commit_whatever_the_branch_holds_now(at: Scene) {
    let old = at.host.commit("main", "one", &[(".tekton/a.yaml", "old")]);
    let new = at.host.commit("main", "two", &[(".tekton/a.yaml", "new")]);
    for (commit, content) in [(old, "old"), (new, "new")] {
        let tree = at.tree(&commit).await.expect("a tree");
        assert_eq!(tree.files[0].bytes, content.as_bytes(), "{commit}");
    }
}

/// See the name.
pub async fn a_directory_that_is_missing_is_no_directory(at: Scene) {
    let commit = at.host.commit("main", "one", &[("README.md", "none")]);
    assert_eq!(kind(at.tree(&commit).await), ForgeErrorKind::NoDirectory);
}

/// See the name.
pub async fn a_commit_that_is_not_there_is_no_commit(at: Scene) {
    at.host.commit("main", "one", &[(".tekton/a.yaml", "a")]);
    let gone = sample::revision(9);
    assert_eq!(kind(at.tree(&gone.sha).await), ForgeErrorKind::NoCommit);
    let told = at.forge.source.commit(&at.repo, &gone).await;
    assert_eq!(kind(told), ForgeErrorKind::NoCommit);
}

/// See the name.
pub async fn what_is_larger_than_the_limits_is_too_large(at: Scene) {
    let commit =
        at.host.commit("main", "one", &[(".tekton/a.yaml", "abcd"), (".tekton/b.yaml", "abcd")]);
    let full = TreeLimits::default();
    for limits in [
        TreeLimits { file_bytes: 3, ..full },
        TreeLimits { total_bytes: 7, ..full },
        TreeLimits { entries: 1, ..full },
    ] {
        let query = TreeQuery { limits, ..at.tree_query(&commit) };
        let tree = at.forge.source.tree(&query).await;
        assert_eq!(kind(tree), ForgeErrorKind::TooLarge, "{limits:?}");
    }
    let limits = TreeLimits { file_bytes: 4, total_bytes: 8, ..full };
    let query = TreeQuery { limits, ..at.tree_query(&commit) };
    assert!(at.forge.source.tree(&query).await.is_ok());
}

/// See the name.
pub async fn a_commit_that_only_a_tag_leads_to_is_read_and_compared(at: Scene) {
    at.host.commit("main", "one", &[("a", "1")]);
    for (tag, objects) in [("refs/tags/v1", 0), ("refs/tags/v2", 1)] {
        let old = at.host.commit("side", "old", &[(".tekton/a.yaml", "old")]);
        let new = at.host.commit("side", "new", &[(".tekton/a.yaml", "new"), ("b", tag)]);
        at.host.tag(tag.trim_start_matches("refs/tags/"), &new, objects);
        at.host.delete("side");
        let revision = sample::at(tag, new.as_str());
        let query = TreeQuery { revision: revision.clone(), ..at.tree_query(&new) };
        let tree = at.forge.source.tree(&query).await.expect("a tree");
        assert_eq!(tree.files[0].bytes, b"new");
        let info = at.forge.source.commit(&at.repo, &revision).await.expect("a commit");
        assert_eq!(info.title(), "new");
        let (repo, from) = (at.repo.clone(), old.into());
        let query = ChangesQuery { repo, from, to: revision, timeout: TIMEOUT };
        let changed = at.forge.source.changes(&query).await.expect("a difference");
        assert_eq!(changed.paths, [".tekton/a.yaml", "b"]);
    }
}

/// See the name.
pub async fn a_commit_says_its_whole_message_who_wrote_it_and_when_it_was_made(at: Scene) {
    let commit = at.host.commit("main", "A title\n\nand more", &[("a", "1")]);
    let revision = sample::at("main", commit.as_str());
    let info = at.forge.source.commit(&at.repo, &revision).await.expect("a commit");
    assert_eq!((info.title(), info.message.trim_end()), ("A title", "A title\n\nand more"));
    assert!(!info.author.is_empty() && info.committed.is_some(), "{info:?}");
}

/// See the name.
pub async fn a_commit_differs_from_itself_in_nothing(at: Scene) {
    let commit = at.host.commit("main", "one", &[("a", "1")]);
    let changed = at.changes(&commit, &commit).await.expect("a difference");
    assert_eq!(changed, ChangedPaths::default());
}

/// See the name.
pub async fn changed_paths_are_sorted_and_the_same_in_both_directions(at: Scene) {
    let one = at.host.commit("main", "one", &[("z", "1"), ("same", "1")]);
    let two = at.host.commit("main", "two", &[("z", "2"), ("a/new", "2"), ("b", "2")]);
    for (from, to) in [(&one, &two), (&two, &one)] {
        let changed = at.changes(from, to).await.expect("a difference");
        assert_eq!(
            (changed.paths, changed.truncated),
            (vec!["a/new".into(), "b".into(), "z".into()], false)
        );
    }
}

/// Whoever asks then takes everything for changed.
pub async fn a_commit_that_is_gone_cant_be_compared(at: Scene) {
    let commit = at.host.commit("main", "one", &[("a", "1")]);
    let changed = at.changes(&sample::sha(9), &commit).await;
    assert_eq!(kind(changed), ForgeErrorKind::Unsupported);
}

/// See the name.
pub async fn a_credential_that_is_lent_is_not_shown(at: Scene) {
    at.host.commit("main", "one", &[("a", "1")]);
    if let Some(lent) = at.forge.source.clone_credential(&at.repo).await.expect("an answer") {
        assert!(!lent.username.is_empty() && !lent.token.expose().is_empty());
        assert!(!format!("{lent:?} {:?}", at.forge).contains(lent.token.expose()));
    }
}

/// See the name.
pub async fn a_wrong_answer_is_an_error_and_never_an_empty_tree(at: Scene) {
    let one = at.host.commit("main", "one", &[(".tekton/a.yaml", "a")]);
    let two = at.host.commit("main", "two", &[(".tekton/a.yaml", "b")]);
    for wrong in Wrong::ALL {
        at.host.answer_wrongly(wrong);
        assert!(at.tree(&one).await.is_err(), "{wrong:?}");
        assert!(at.forge.source.commit(&at.repo, &sample::at("main", one.as_str())).await.is_err());
        assert!(at.changes(&one, &two).await.is_err(), "{wrong:?}");
    }
}

/// See the name.
pub async fn a_status_that_is_there_already_is_no_error(at: Scene) {
    let commit = at.host.commit("main", "one", &[("a", "1")]);
    for state in
        [StatusState::Pending, StatusState::Pending, StatusState::Success, StatusState::Success]
    {
        at.show(&commit, state, 1).await.unwrap_or_else(|error| panic!("{state:?}: {error:?}"));
    }
}

/// See the name.
pub async fn every_state_can_be_shown_and_the_next_delivery_begins_again(at: Scene) {
    let commit = at.host.commit("main", "one", &[("a", "1")]);
    for (state, n) in StatusState::ALL.iter().zip(1..) {
        for state in [StatusState::Pending, *state] {
            at.show(&commit, state, n).await.unwrap_or_else(|error| panic!("{state:?}: {error:?}"));
        }
    }
}

/// See the name.
pub async fn a_status_of_a_commit_that_is_not_there_is_an_error(at: Scene) {
    at.host.commit("main", "one", &[("a", "1")]);
    let shown = at.show(&sample::sha(9), StatusState::Pending, 1).await;
    // Some forges fail where they can't find it.
    let kind = kind(shown);
    assert!(matches!(kind, ForgeErrorKind::NotFound | ForgeErrorKind::Unreachable), "{kind:?}");
}
