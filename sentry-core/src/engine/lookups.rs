//! What attempts have to know of repositories. Where all heads of a repository move at once, all of them ask the same of B:
//! it is asked and parsed once for those who ask in the same moment.
//!
//! What stands under a commit's id never changes: of that the most recent is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::courier::{fetch, resolve};
use super::failure::AttemptError;
use super::single_flight::SingleFlight;
use crate::forge::{Audience, CommitInfo, ForgeError, Heads, Reporter, Source};
use crate::manifest::{self, Documents};
use crate::recent::Recent;
use crate::remote::{RemoteQuery, Remotes};
use crate::repo::{BranchName, CommitSha, DirPath, RepoUrl};
use crate::revision::Revision;
use crate::watch::Watch;

/// Bytes of the files of all directories that are kept. Parsed they take several times as much.
const DIRECTORIES: usize = 1 << 20;
/// Bytes of the messages of all commits that are kept.
const COMMITS: usize = 64 << 10;
/// What a kept value takes beside its text, in bytes.
const OVERHEAD: usize = 256;

/// How long it is believed who may read a repository, and that its forge does not say.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AN_HOUR: Duration = Duration::from_secs(60 * 60);

/// A repository, as the forge of this name sees it: with its credential.
type Place = (String, RepoUrl);

/// Which directory is wanted: B's, at a commit that was found as some head, within some time.
type DirectoryQuery = (Place, Revision, DirPath, Duration);

/// What was got from elsewhere.
type Document = Result<Arc<Vec<u8>>, ForgeError>;

#[derive(Debug)]
pub(super) struct Lookups {
    heads: SingleFlight<(Place, Vec<BranchName>), Result<Revision, AttemptError>>,
    commits: SingleFlight<(Place, Revision), Result<CommitInfo, ForgeError>>,
    directories: SingleFlight<DirectoryQuery, Result<(Arc<Documents>, usize), AttemptError>>,
    remotes: SingleFlight<(String, RemoteQuery), Document>,
    audiences: SingleFlight<Place, Audience>,
    /// Each until when it is believed.
    known_audiences: Mutex<HashMap<Place, (Audience, Instant)>>,
    known_commits: Mutex<Recent<(Place, CommitSha), CommitInfo>>,
    known_directories: Mutex<Recent<(Place, CommitSha, DirPath), Arc<Documents>>>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self {
            heads: SingleFlight::default(),
            commits: SingleFlight::default(),
            directories: SingleFlight::default(),
            remotes: SingleFlight::default(),
            audiences: SingleFlight::default(),
            known_audiences: Mutex::default(),
            known_commits: Mutex::new(Recent::new(COMMITS)),
            known_directories: Mutex::new(Recent::new(DIRECTORIES)),
        }
    }
}

impl Lookups {
    /// What a commit of A says of itself.
    pub(super) async fn commit(
        &self,
        forge: Arc<dyn Source>,
        watch: &Watch,
        revision: &Revision,
    ) -> Result<CommitInfo, ForgeError> {
        let place = (watch.source.forge.clone(), watch.source.repo.clone());
        let key = (place.clone(), revision.sha.clone());
        if let Some(info) = get(&self.known_commits, &key) {
            return Ok(info);
        }
        let (repo, of) = (watch.source.repo.clone(), revision.clone());
        let ask = async move { forge.commit(&repo, &of).await };
        let info = self.commits.fixed((place, revision.clone()), ask).await?;
        let bytes = OVERHEAD + info.message.len() + info.author.len();
        put(&self.known_commits, key, &info, bytes);
        Ok(info)
    }

    /// The first of these branches of B that is there, and its head now.
    pub(super) async fn head(
        &self,
        forge: Arc<dyn Heads>,
        watch: Arc<Watch>,
        names: Vec<BranchName>,
    ) -> Result<Revision, AttemptError> {
        let place = (watch.manifests.forge.clone(), watch.manifests.repo.clone());
        let question = (place, names.clone());
        let ask = async move { resolve(forge.as_ref(), &watch, names).await };
        self.heads.current(question, ask).await
    }

    /// Who may read A. It is asked once a day; where the forge does not say, once an hour.
    pub(super) async fn audience(&self, forge: Arc<dyn Reporter>, watch: &Watch) -> Audience {
        let place = (watch.source.forge.clone(), watch.source.repo.clone());
        let known = || self.known_audiences.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((audience, _)) = known().get(&place).filter(|(_, until)| now < *until) {
            return *audience;
        }
        let repo = watch.source.repo.clone();
        let ask = async move { forge.audience(&repo).await.unwrap_or(Audience::Unknown) };
        let audience = self.audiences.fixed(place.clone(), ask).await;
        let lasts = if audience == Audience::Unknown { AN_HOUR } else { A_DAY };
        known().insert(place, (audience, now + lasts));
        audience
    }

    /// A document from elsewhere as it is now, by way of the forge of this name.
    pub(super) async fn remote(
        &self,
        port: Arc<dyn Remotes>,
        forge: String,
        query: RemoteQuery,
    ) -> Document {
        let asked = query.clone();
        let ask = async move { port.document(&asked).await.map(Arc::new) };
        self.remotes.fixed((forge, query), ask).await
    }

    /// B's directory at a commit, parsed.
    pub(super) async fn documents(
        &self,
        forge: Arc<dyn Source>,
        watch: Arc<Watch>,
        pinned: &Revision,
        timeout: Duration,
    ) -> Result<Arc<Documents>, AttemptError> {
        let place = (watch.manifests.forge.clone(), watch.manifests.repo.clone());
        let dir = watch.manifests.dir.clone();
        let key = (place.clone(), pinned.sha.clone(), dir.clone());
        if let Some(documents) = get(&self.known_directories, &key) {
            return Ok(documents);
        }
        // Who has less time must not end the question of those who have more.
        let wanted = (place, pinned.clone(), dir, watch.timing.timeout);
        let pinned = pinned.clone();
        let ask = async move {
            let tree = fetch(forge.as_ref(), &watch, &pinned, timeout).await?;
            let bytes = tree.files.iter().map(|file| OVERHEAD + file.bytes.len()).sum::<usize>();
            Ok((Arc::new(manifest::parse(&tree)), OVERHEAD + bytes))
        };
        let (documents, bytes) = self.directories.fixed(wanted, ask).await?;
        put(&self.known_directories, key, &documents, bytes);
        Ok(documents)
    }
}

fn get<K: PartialEq, V: Clone>(kept: &Mutex<Recent<K, V>>, key: &K) -> Option<V> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).get(key)
}

fn put<K: PartialEq, V: Clone>(kept: &Mutex<Recent<K, V>>, key: K, value: &V, bytes: usize) {
    kept.lock().unwrap_or_else(PoisonError::into_inner).put(key, value.clone(), bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::fakes::FakeForge;
    use crate::testing::sample;
    use crate::watch::sample::watch;

    const A: &str = "https://example.com/product/app";
    const B: &str = "https://example.com/qa/tests";

    /// How many times two requests after each other for a directory with these files ask the forge.
    async fn fetches(files: &[(&str, usize)]) -> usize {
        let (forge, lookups) = (Arc::new(FakeForge::new()), Lookups::default());
        let texts: Vec<_> = files.iter().map(|(path, size)| (*path, "#".repeat(*size))).collect();
        let files: Vec<_> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let sha = forge.commit(B, "main", "tests", &files);
        let pinned = sample::at("main", sha.as_str());
        for _ in 0..2 {
            let watch = Arc::new(watch("qa", &["main"]));
            let timeout = watch.timing.timeout;
            let got = lookups.documents(Arc::clone(&forge) as _, watch, &pinned, timeout).await;
            assert!(got.is_ok(), "{got:?}");
        }
        forge.trees_asked().len()
    }

    #[tokio::test]
    async fn directories_are_kept_up_to_a_mebibyte_with_256_bytes_for_each_and_for_each_file() {
        let most = 1_048_576 - 256;
        assert_eq!(fetches(&[("a.yaml", most - 256)]).await, 1);
        assert_eq!(fetches(&[("a.yaml", most - 255)]).await, 2);
        assert_eq!(fetches(&[("a.yaml", 1_000), ("b.yaml", most - 2 * 256 - 1_000)]).await, 1);
        assert_eq!(fetches(&[("a.yaml", 1_000), ("b.yaml", most - 2 * 256 - 999)]).await, 2);
    }

    /// Whether what a commit with so long a message says is still known once its forge is away.
    async fn is_kept(message: usize) -> bool {
        let (forge, lookups) = (Arc::new(FakeForge::new()), Lookups::default());
        let sha = forge.commit(A, "main", &"m".repeat(message), &[]);
        let (revision, watch) = (sample::at("main", sha.as_str()), watch("qa", &["main"]));
        let info = lookups.commit(Arc::clone(&forge) as _, &watch, &revision).await.unwrap();
        assert_eq!((info.message.len(), info.author.as_str()), (message, "ada"));
        forge.fail(Some(crate::forge::ForgeErrorKind::Unreachable));
        lookups.commit(forge, &watch, &revision).await.is_ok()
    }

    #[tokio::test]
    async fn commits_are_kept_up_to_64_kibibytes_with_256_bytes_for_each() {
        let most = 65_536 - 256 - "ada".len();
        assert!(is_kept(most).await);
        assert!(!is_kept(most + 1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_read_a_repository_is_believed_for_a_day_and_for_an_hour_where_nobody_says() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (audience, lasts) in [
            (Audience::Members, hours(24)),
            (Audience::Public, hours(24)),
            (Audience::Unknown, hours(1)),
        ] {
            let (forge, lookups) = (Arc::new(FakeForge::new()), Lookups::default());
            forge.set_audience(audience);
            let ask = async || {
                let reporter: Arc<dyn Reporter> = Arc::clone(&forge) as _;
                lookups.audience(reporter, &watch("qa", &["main"])).await
            };
            assert_eq!(ask().await, audience);
            tokio::time::advance(lasts - Duration::from_millis(1)).await;
            assert_eq!((ask().await, forge.audience_calls()), (audience, 1));
            tokio::time::advance(Duration::from_millis(1)).await;
            assert_eq!((ask().await, forge.audience_calls()), (audience, 2));
        }
    }
}
