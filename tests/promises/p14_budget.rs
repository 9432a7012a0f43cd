//! 14: what polls cost where nothing moves: questions that are not counted, or one question for all branches and tags. What fails
//! is asked an eighth as often at most.

use std::collections::BTreeMap;
use std::time::Duration;

use sentry_core::secret::Secret;
use sentry_forge::credential::Credential;
use sentry_tests::http::{Fault, Logged};
use sentry_tests::promise::{cases, kept};

use crate::clients::{KINDS, Kind};
use crate::town::{Town, repositories};
use crate::world::seconds;

const HOUR: u64 = 3600;

/// Repositories of which one branch is watched, two, a pattern, twenty, and a branch with tags.
fn shapes(each: usize) -> Vec<(String, Vec<String>)> {
    let many = (0..20).map(|n| format!("release-{n}")).chain(["main".to_owned()]).collect();
    let shapes: [Vec<String>; 5] = [
        vec!["main".to_owned()],
        vec!["main".to_owned(), "dev".to_owned()],
        vec!["main".to_owned(), "dev*".to_owned()],
        many,
        vec!["main".to_owned(), "tags v1".to_owned()],
    ];
    let names = repositories(each * shapes.len()).into_iter();
    names.zip(shapes.iter().cycle()).map(|((name, _), shape)| (name, shape.clone())).collect()
}

/// Whether a request is a question for heads: of one branch, or of all.
fn is_poll(asked: &Logged) -> bool {
    let one =
        asked.path.contains("/commits/heads%2F") || asked.path.contains("/repository/branches/");
    one || is_batched(asked)
}

fn is_batched(asked: &Logged) -> bool {
    asked.method == "POST" && asked.path.ends_with("/git-upload-pack")
}

/// Questions that cost nothing: with nothing new to tell, or of git, one for all branches.
fn is_free(asked: &Logged) -> bool {
    is_batched(asked) || asked.status == Some(304)
}

#[tokio::test(start_paused = true)]
async fn polls_that_find_nothing_new_are_conditional_or_one_for_all_branches() {
    let (mut polls, mut requests, mut free) = (0, 0, 0);
    for kind in KINDS {
        fastrand::seed(14);
        let repos = shapes(cases(12, 2));
        let mut town = Town::new(kind, &repos).await;
        town.start(Credential::Token(Secret::new("a-token-51d0").into()));
        // The first answers are news.
        seconds(200).await;
        town.forges.http.log().clear();
        seconds(HOUR).await;
        let mut asked = town.asked();
        // The hour may end in the middle of a poll.
        asked.retain(|asked| asked.status.is_some());
        for (name, branches) in &repos {
            let mut questions = BTreeMap::<&str, usize>::new();
            for one in asked.iter().filter(|asked| asked.path.contains(name)) {
                *questions.entry(&one.path).or_default() += 1;
            }
            // A small number of exact branches is asked for one by one, where that is not counted.
            let by_api = matches!(kind, Kind::GitHub | Kind::GitLab);
            let exact = branches.iter().all(|branch| !branch.contains(['*', ' ']));
            let each = if by_api && exact && branches.len() <= 5 { branches.len() } else { 1 };
            assert_eq!(questions.len(), each, "{kind:?} {branches:?}: {questions:?}");
            let times = || questions.values().copied();
            assert!(
                times().all(|times| (55..=61).contains(&times)),
                "{kind:?} {branches:?} in an hour: {questions:?}"
            );
            polls += times().max().unwrap_or(0);
        }
        requests += asked.len();
        free += asked.iter().filter(|asked| is_free(asked)).count();
        let dear: Vec<_> = asked.iter().filter(|asked| !is_free(asked)).take(3).collect();
        assert!(dear.is_empty(), "{kind:?}: {dear:?}");
    }
    assert!(free * 1000 >= requests * 999, "{free} of {requests}");
    let seen = format!(
        "{polls} idle polls of repositories with 1, 2, 21 branches, a pattern and a tag, by GitHub's and GitLab's APIs and by git: \
         {free} of {requests} requests were answered \"not modified\" or were one for all branches",
    );
    kept(14, "idle", &seen);
}

/// Ways in which one repository of a host can be broken, while the host is well.
fn failures() -> Vec<Fault> {
    let moved = Fault::Redirect { status: 301, to: String::new() };
    vec![Fault::status(404), Fault::Html, Fault::Garbage, Fault::status(400), moved]
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_fails_is_asked_an_eighth_as_often_as_one_that_is_well() {
    let hours = u32::try_from(cases(12, 4)).unwrap();
    let mut worst: f64 = 0.0;
    for kind in KINDS.into_iter().step_by(cases(1, 3)) {
        fastrand::seed(14);
        let (failures, repos) = (failures(), repositories(2 * failures().len()));
        let mut town = Town::new(kind, &repos).await;
        for ((name, _), fault) in repos.iter().zip(&failures) {
            town.forges.http.faults().until_cleared(name, fault.clone());
        }
        town.start(Credential::Token(Secret::new("a-token-51d0").into()));
        // It comes down step by step.
        seconds(HOUR).await;
        town.forges.http.log().clear();
        tokio::time::sleep(Duration::from_secs(HOUR) * hours).await;
        let asked = town.asked();
        let polls = |(name, _): &(String, Vec<String>)| {
            let polls = asked.iter().filter(|asked| asked.path.contains(name) && is_poll(asked));
            polls.count()
        };
        let counts: Vec<usize> = repos.iter().map(polls).collect();
        let (failing, well) = counts.split_at(failures.len());
        let normal = *well.iter().min().unwrap();
        for (count, fault) in failing.iter().zip(&failures) {
            let share = *count as f64 / normal as f64;
            assert!(
                *count > 0 && share <= 1.0 / 8.0,
                "{kind:?} {fault:?}: {count} polls, {normal} normally"
            );
            worst = worst.max(share);
        }
    }
    let seen = format!(
        "repositories that are missing, moved in circles or answer pages, garbage and refusals, for {hours} h each: at most \
         1/{:.1} of the polls of those that are well",
        1.0 / worst,
    );
    kept(14, "failing", &seen);
}
