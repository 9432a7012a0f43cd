//! A plain-git forge with directories of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sentry_core::forge::{
    ForgeError, HeadList, Heads as _, HeadsAnswer, HeadsQuery, Source as _, Tree, TreeLimits,
    TreeQuery,
};
use sentry_core::repo::RepoUrl;
use sentry_core::secret::{Redactor, Secret};
use sentry_core::subject::Subject;
use sentry_core::testing::sample;
use sentry_core::watch::BranchSelector;
use sentry_forge::credential::Credential;
use sentry_forge::git::{GitForge, GitSettings, SshSettings, Transport, TransportSettings};
use sentry_forge::http::{Http, HttpSettings};
use tempfile::TempDir;

use super::repo::Repo;
use super::server::GitServer;

pub(crate) const TOKEN: &str = "s3cr3t-t0ken-0123";

/// What fetches from http(s) repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Git {
    Within,
    Program,
}

pub(crate) const BOTH: [Git; 2] = [Git::Within, Git::Program];

impl Git {
    /// Its own of two values.
    pub(crate) fn of<T>(self, within: T, program: T) -> T {
        if self == Self::Within { within } else { program }
    }
}

/// Repositories below `repos`, the forge's temporary files below `temp`.
pub(crate) struct Lab {
    pub(crate) repos: TempDir,
    pub(crate) temp: TempDir,
    pub(crate) forge: GitForge,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::of(Git::Within)
    }

    pub(crate) fn of(git: Git) -> Self {
        Self::with_http("git".as_ref(), &HttpSettings::new(Redactor::new()), git)
    }

    /// One that reaches everything through this proxy.
    pub(crate) fn behind(proxy: &str, git: Git) -> Self {
        let mut http = HttpSettings::new(Redactor::new());
        http.proxy = Some(proxy.parse().unwrap());
        Self::with_http("git".as_ref(), &http, git)
    }

    /// One whose git is this program, for everything.
    pub(crate) fn with_git(git: &Path) -> Self {
        Self::with_http(git, &HttpSettings::new(Redactor::new()), Git::Program)
    }

    /// One whose git runs these lines of a shell before it does what it is told.
    pub(crate) fn around_git(place: &Path, before: &str) -> Self {
        let git = place.join("git-with-more");
        write_script(&git, &format!("#!/bin/sh\n{before}\nexec git \"$@\"\n"));
        Self::with_git(&git)
    }

    fn with_http(program: &Path, http: &HttpSettings, git: Git) -> Self {
        let (repos, temp) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let http = Http::new(http).unwrap();
        let mut settings = TransportSettings::new(http.settings().clone());
        settings.git = program.to_owned();
        settings.within = (git == Git::Within).then(|| http.clone());
        settings.temp_dir = Some(temp.path().to_owned());
        let (key_file, known_hosts_file) = ("/key".into(), "/hosts".into());
        settings.ssh = Some(SshSettings { key_file, known_hosts_file });
        let forge = GitForge::new(GitSettings {
            name: "plain".into(),
            credential: Credential::Token(Secret::new(TOKEN).into()),
            username: "git".into(),
            http,
            transport: Arc::new(Transport::new(settings)),
        });
        Self { repos, temp, forge }
    }

    /// One whose ssh is a stand-in that runs the server's side here, as an sshd does that takes no `GIT_PROTOCOL`. Its
    /// files are in `place`.
    pub(crate) fn with_ssh(place: &Path) -> Self {
        let (git, ssh) = (place.join("git-with-ssh"), place.join("ssh"));
        write_script(&git, &format!("#!/bin/sh\nPATH={}:$PATH exec git \"$@\"\n", place.display()));
        write_script(
            &ssh,
            "#!/bin/sh\nfor last; do :; done\nexec env -i PATH=\"$PATH\" sh -c \"$last\"\n",
        );
        Self::with_git(&git)
    }

    pub(crate) fn repo(&self) -> Repo {
        Repo::new(self.repos.path(), "b.git")
    }

    pub(crate) fn serve(&self, token: Option<&str>) -> (GitServer, RepoUrl) {
        let server = GitServer::start(self.repos.path(), token);
        let url = format!("{}/b.git", server.url).parse().unwrap();
        (server, url)
    }

    pub(crate) fn ssh_url(&self) -> RepoUrl {
        format!("ssh://git@127.0.0.1{}/b.git", self.repos.path().display()).parse().unwrap()
    }

    pub(crate) fn file_url(&self) -> RepoUrl {
        format!("file://{}/b.git", self.repos.path().display()).parse().unwrap()
    }

    pub(crate) async fn heads(
        &self,
        repo: &RepoUrl,
        branches: &[&str],
    ) -> Result<HeadList, ForgeError> {
        match self.ask(repo, branches, None).await? {
            HeadsAnswer::Heads(heads) => Ok(heads),
            HeadsAnswer::NotModified => panic!("no validator was given"),
        }
    }

    pub(crate) async fn ask(
        &self,
        repo: &RepoUrl,
        branches: &[&str],
        earlier: Option<&HeadList>,
    ) -> Result<HeadsAnswer, ForgeError> {
        let query = HeadsQuery {
            repo: repo.clone(),
            subjects: BranchSelector::new(branches.iter().copied()).unwrap().into(),
            validator: earlier.and_then(|heads| heads.validator.clone()),
        };
        self.forge.heads(&[query]).await.remove(0)
    }

    /// The tree, after a look that nothing was left on the disk.
    pub(crate) async fn tree(&self, query: &TreeQuery) -> Result<Tree, ForgeError> {
        let tree = self.forge.tree(query).await;
        assert_eq!(std::fs::read_dir(self.temp.path()).unwrap().count(), 0, "a fetch left files");
        tree
    }
}

/// Writes a script that can be run at once. Another program writes it: children that other tests start meanwhile would
/// inherit a file that is open here, and what is open for writing can't be run.
pub(crate) fn write_script(path: &Path, text: &str) {
    let mut writer = Command::new("sh")
        .args(["-c", r#"cat > "$0" && chmod 755 "$0""#])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success());
}

pub(crate) fn query(repo: &RepoUrl, commit: &str, dir: &str) -> TreeQuery {
    TreeQuery {
        repo: repo.clone(),
        revision: sample::at("main", commit),
        dir: dir.parse().unwrap(),
        limits: TreeLimits::default(),
        timeout: Duration::from_secs(60),
    }
}

pub(crate) fn names(heads: &HeadList) -> Vec<&str> {
    heads.heads.keys().map(Subject::name).collect()
}

pub(crate) fn paths(tree: &Tree) -> Vec<&str> {
    tree.files.iter().map(|file| file.path.as_str()).collect()
}

pub(crate) fn refused(tree: &Tree) -> Vec<String> {
    tree.refused.iter().map(|entry| format!("{} {}", entry.path, entry.what)).collect()
}
