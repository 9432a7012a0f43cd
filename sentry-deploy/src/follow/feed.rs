//! The runs of one kind: one list, then one watch, whatever their number; reopened when contact is lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sentry_core::deployer::{DeployError, FollowQuery, RunStatus};
use sentry_core::plan::commit_label;
use sentry_core::retry::Retry;
use serde_json::Value;
use tokio::time::Instant;

use super::{Lines as _, Reader, Trouble, lost};
use crate::api::{documents, object, paths};
use crate::tekton::failure;
use crate::tekton::runs::{self, Followed};

/// The time that a page of a list has.
const LIST: Duration = Duration::from_secs(30);
/// A watch that ends sooner without an event counts as failed.
const SHORTEST: Duration = Duration::from_secs(1);
/// How often contact may be lost in a row before the stream ends; the waits between are [`FIRST_WAIT`] and doubled.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// What one kind's feed reports.
#[derive(Debug)]
pub(crate) enum News {
    /// A run, with its object: a failed one is looked into.
    Run(RunStatus, Box<Value>),
    Gone(String, String),
    /// All existing runs of this kind were reported.
    Synced,
}

pub(crate) type Told = Result<News, DeployError>;

/// Where a feed is.
enum Position<L> {
    /// Everything must be read.
    List,
    /// What happened after this resource version must be watched.
    After(String),
    /// The cluster reports what happens.
    Watching { lines: Box<L>, since: Instant, after: String, heard: bool },
    /// It ended with an error.
    Ended,
}

/// What is known of one kind's runs, and how more is learned.
pub(crate) struct Feed<'a, R: Reader> {
    reader: &'a R,
    query: Arc<FollowQuery>,
    api_version: String,
    kind: String,
    followed: &'static Followed,
    known: BTreeMap<String, RunStatus>,
    told: VecDeque<News>,
    place: Position<R::Lines>,
    synced: bool,
    /// How often contact was lost since something was heard.
    tries: u32,
}

impl<'a, R: Reader> Feed<'a, R> {
    pub(crate) fn new(
        reader: &'a R,
        query: Arc<FollowQuery>,
        followed: &'static Followed,
        api_version: &str,
    ) -> Self {
        Self {
            reader,
            query,
            api_version: api_version.to_owned(),
            kind: followed.kind.to_owned(),
            followed,
            known: BTreeMap::new(),
            told: VecDeque::new(),
            place: Position::List,
            synced: false,
            tries: 0,
        }
    }

    /// The next news, and the feed as it is then; an error is its last.
    pub(crate) async fn step(mut self) -> Option<(Told, Self)> {
        loop {
            if let Some(news) = self.told.pop_front() {
                return Some((Ok(news), self));
            }
            let done = match std::mem::replace(&mut self.place, Position::List) {
                Position::List => self.list().await,
                Position::After(after) => self.open(after).await,
                Position::Watching { lines, since, after, heard } => {
                    self.read(lines, since, after, heard).await
                }
                Position::Ended => return None,
            };
            let Err(trouble) = done else { continue };
            let (error, old) = match trouble {
                Trouble::Error(error) => (error, false),
                Trouble::Old => (self.lost("its history is too short to follow"), true),
            };
            let passes = matches!(error.retry(), Retry::Backoff | Retry::After(_));
            if !passes || self.tries >= TRIES {
                self.place = Position::Ended;
                return Some((Err(error), self));
            }
            if old {
                self.place = Position::List;
            }
            let wait = wait(self.tries, old);
            self.tries += 1;
            tracing::debug!(cluster = %self.query.cluster, kind = self.kind, %error, ?wait, "following again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Reads all runs, and reports those whose state is new.
    async fn list(&mut self) -> Result<(), Trouble> {
        let (items, version) = self.pages(self.followed.plural).await?;
        let mut gone: BTreeSet<String> = self.known.keys().cloned().collect();
        for object in items {
            if let Some(name) = self.see(object) {
                gone.remove(&name);
            }
        }
        for name in gone {
            self.forget(&name);
        }
        if !std::mem::replace(&mut self.synced, true) {
            self.told.push_back(News::Synced);
        }
        self.place = Position::After(version);
        Ok(())
    }

    /// The objects of all pages, and the version they are of.
    async fn pages(&mut self, plural: &str) -> Result<(Vec<Value>, String), Trouble> {
        let collection = self.collection(plural);
        let (mut items, mut next) = (Vec::new(), None::<String>);
        loop {
            let path = paths::page(&collection, &paths::commits(&self.query), next.as_deref());
            let text = self.reader.get(&self.query.cluster, &path, LIST).await?;
            let Some(page) = documents::page(&text) else {
                return Err(Trouble::Error(self.lost("its answer is not a list of runs")));
            };
            items.extend(page.items);
            next = page.next;
            if next.is_none() {
                let none = || Trouble::Error(self.lost("its list of runs has no version"));
                return Ok((items, page.version.ok_or_else(none)?));
            }
        }
    }

    fn collection(&self, plural: &str) -> String {
        paths::collection(&self.api_version, self.query.cluster.namespace.as_str(), plural)
    }

    async fn open(&mut self, after: String) -> Result<(), Trouble> {
        let (collection, selector) =
            (self.collection(self.followed.plural), paths::commits(&self.query));
        let length = self.reader.length().max(SHORTEST);
        let path = paths::watch(&collection, &selector, &after, length.as_secs());
        // Where it can't be opened, it is opened again from here.
        self.place = Position::After(after.clone());
        let lines = Box::new(self.reader.watch(&self.query.cluster, &path).await?);
        self.place = Position::Watching { lines, since: Instant::now(), after, heard: false };
        Ok(())
    }

    /// Takes in the next line of a watch, or its end.
    async fn read(
        &mut self,
        mut lines: Box<R::Lines>,
        since: Instant,
        mut after: String,
        mut heard: bool,
    ) -> Result<(), Trouble> {
        let line = match lines.next().await {
            Ok(line) => line,
            Err(trouble) => {
                self.place = Position::After(after);
                return Err(trouble);
            }
        };
        let Some(line) = line else {
            self.place = Position::After(after);
            if !heard && since.elapsed() < SHORTEST {
                return Err(Trouble::Error(self.lost("it closes every watch immediately")));
            }
            return Ok(());
        };
        // A line that was cut in the middle: the end comes next.
        if let Ok(event) = serde_json::from_slice::<Value>(&line) {
            after = self.event(event)?.unwrap_or(after);
            (heard, self.tries) = (true, 0);
        }
        self.place = Position::Watching { lines, since, after, heard };
        Ok(())
    }

    /// Takes in one event. Returns the version to continue from, if it names one.
    fn event(&mut self, mut event: Value) -> Result<Option<String>, Trouble> {
        let object = event["object"].take();
        let version = object::resource_version(&object);
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => drop(self.see(object)),
            Some("DELETED") => {
                // It may have ended since it was last seen.
                if let Some(name) = self.see(object) {
                    self.forget(&name);
                }
            }
            Some("ERROR") if object["code"] == 410 => return Err(Trouble::Old),
            Some("ERROR") => {
                self.place = Position::List;
                let text = object["message"].as_str().unwrap_or("no reason given");
                // Redacted before it is cut: half a secret is known to no redactor.
                let text = self.reader.redactor().redact(text);
                return Err(Trouble::Error(self.lost(&failure::printable(&text, 300))));
            }
            _ => {}
        }
        Ok(version)
    }

    /// Records an object's state, and reports it if it is new. Its name, if it is a wanted run.
    fn see(&mut self, object: Value) -> Option<String> {
        let commit = runs::commit(&object)?;
        if !self.query.commits.iter().any(|wanted| commit_label(wanted) == commit) {
            return None;
        }
        let redactor = self.reader.redactor();
        let status = runs::status(&self.api_version, &self.kind, &object, redactor)?;
        let name = status.name.clone();
        if self.known.get(&name) != Some(&status) {
            self.known.insert(name.clone(), status.clone());
            self.told.push_back(News::Run(status, Box::new(object)));
        }
        Some(name)
    }

    fn forget(&mut self, name: &str) {
        if self.known.remove(name).is_some() {
            self.told.push_back(News::Gone(self.kind.clone(), name.to_owned()));
        }
    }

    fn lost(&self, why: &str) -> DeployError {
        lost(&self.query.cluster, why)
    }
}

/// How long is waited after so many tries. The first list after an old version is no sign of an outage.
fn wait(tries: u32, old: bool) -> Duration {
    if old && tries == 0 { Duration::ZERO } else { FIRST_WAIT * 2u32.pow(tries) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::follow::Lines;
    use async_trait::async_trait;
    use sentry_core::delivery::RunState;
    use sentry_core::names::ClusterRef;
    use sentry_core::plan::COMMIT_LABEL;
    use sentry_core::repo::CommitSha;
    use sentry_core::secret::{Redactor, Secret};
    use serde_json::json;

    /// Knows a secret, and reads nothing.
    struct Fake(Redactor);

    /// What is left to come of a watch.
    struct Rest(Option<Trouble>);

    #[async_trait]
    impl Reader for Fake {
        type Lines = Rest;
        async fn get(&self, _: &ClusterRef, _: &str, _: Duration) -> Result<String, Trouble> {
            Ok(String::new())
        }
        async fn watch(&self, _: &ClusterRef, _: &str) -> Result<Rest, Trouble> {
            Ok(Rest(None))
        }
        fn length(&self) -> Duration {
            SHORTEST
        }
        fn redactor(&self) -> &Redactor {
            &self.0
        }
    }

    #[async_trait]
    impl Lines for Rest {
        async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
            self.0.take().map_or(Ok(None), Err)
        }
    }

    fn reader() -> Fake {
        let redactor = Redactor::new();
        redactor.learn(&Secret::new("s3cr3t-t0ken"));
        Fake(redactor)
    }

    fn commit() -> CommitSha {
        "a".repeat(40).parse().unwrap()
    }

    fn feed(reader: &Fake) -> Feed<'_, Fake> {
        let cluster =
            ClusterRef { deployer: "k".into(), context: None, namespace: "qa".parse().unwrap() };
        let (commits, kinds, known) = (vec![commit()], Vec::new(), BTreeSet::new());
        let query = FollowQuery { cluster, commits, kinds, known };
        let runs = runs::followed("tekton.dev/v1", "PipelineRun").unwrap();
        Feed::new(reader, Arc::new(query), runs, "tekton.dev/v1")
    }

    #[test]
    fn each_wait_is_twice_the_one_before_and_a_first_old_version_takes_none() {
        let waits = |old| [0, 1, 2, 3].map(|tries| wait(tries, old).as_millis());
        assert_eq!(waits(false), [500, 1_000, 2_000, 4_000]);
        assert_eq!(waits(true), [0, 1_000, 2_000, 4_000]);
    }

    #[test]
    fn an_error_in_a_watch_is_old_or_told_without_secrets_and_a_bookmark_goes_on() {
        let reader = reader();
        let error = |code: u16| {
            let message = "no\nwith s3cr3t-t0ken";
            feed(&reader)
                .event(json!({"type": "ERROR", "object": {"code": code, "message": message}}))
        };
        assert!(matches!(error(410), Err(Trouble::Old)));
        let Err(Trouble::Error(told)) = error(500) else { panic!("an error is none") };
        assert!(told.to_string().ends_with("no with [redacted]"), "{told}");
        let bookmark =
            json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}});
        assert_eq!(feed(&reader).event(bookmark).ok().flatten().as_deref(), Some("9"));
    }

    #[tokio::test]
    async fn a_watch_that_ends_soon_and_told_nothing_is_trouble_as_is_one_that_failed() {
        let reader = reader();
        let (now, past) =
            (Instant::now() + SHORTEST, Instant::now().checked_sub(SHORTEST).unwrap());
        let failed = || Some(Trouble::Error(feed(&reader).lost("it failed")));
        for (rest, since, heard, trouble) in [
            (None, now, false, "it closes every watch immediately"),
            (None, now, true, ""),
            (None, past, false, ""),
            (failed(), past, true, "it failed"),
            (Some(Trouble::Old), past, true, "old"),
        ] {
            let mut feed = feed(&reader);
            let told = match feed.read(Box::new(Rest(rest)), since, "7".into(), heard).await {
                Ok(()) => String::new(),
                Err(Trouble::Old) => "old".to_owned(),
                Err(Trouble::Error(error)) => error.to_string(),
            };
            assert!(told.ends_with(trouble) && told.is_empty() == trouble.is_empty(), "{told}");
            assert!(matches!(feed.place, Position::After(version) if version == "7"), "{told}");
        }
    }

    #[test]
    fn a_run_whose_end_comes_with_its_deletion_is_told_to_have_ended_before_it_is_gone() {
        let reader = reader();
        let mut feed = feed(&reader);
        let event = json!({"type": "DELETED", "object": {
            "metadata": {
                "name": "run", "resourceVersion": "7",
                "labels": {COMMIT_LABEL: commit().as_str()},
                "annotations": {"sentry-gitops.dev/key": "k"},
            },
            "status": {"conditions": [{"type": "Succeeded", "status": "True"}]},
        }});
        assert_eq!(feed.event(event).ok().flatten().as_deref(), Some("7"));
        let told = |news: &News| match news {
            News::Run(status, _) => Some((status.name.clone(), status.state)),
            News::Gone(..) | News::Synced => None,
        };
        let told: Vec<_> = feed.told.iter().map(told).collect();
        assert_eq!(told, [Some(("run".into(), RunState::Succeeded)), None]);
    }
}
