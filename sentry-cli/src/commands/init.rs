//! `sentry init`: asks, or takes flags, and writes a commented sentry.yaml and .env.example.

mod files;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sentry_config::{Environment, ForgeKind};
use sentry_core::names::Namespace;
use sentry_core::repo::{BranchName, DirPath, RepoUrl, Scheme};
use sentry_core::watch::BranchSelector;

use super::Context;
use crate::args::InitArgs;
use crate::args::values::TypedUrl;
use crate::exit::{Exit, Failure};

pub(crate) fn run(ctx: &Context, args: &InitArgs) -> Result<Exit, Failure> {
    let place = |name: &str| {
        if args.dir == Path::new(".") { PathBuf::from(name) } else { args.dir.join(name) }
    };
    let (config, env) = (place("sentry.yaml"), place(".env.example"));
    if !args.force {
        for file in [&config, &env] {
            if file.exists() {
                return Err(Failure::usage(format!("{} already exists", file.display()))
                    .with_hint("use --force to replace it"));
            }
        }
    }
    let answers = Answers::collect(ctx, args)?;
    let forges = forges(&answers);
    let text = files::yaml(&answers, &forges);
    must_load(&text, &forges)?;
    std::fs::create_dir_all(&args.dir).map_err(|e| cant_write(&args.dir, e))?;
    write(&config, &text, args.force)?;
    write(&env, &files::dotenv(&forges), args.force)?;
    ctx.ui.line(format!("wrote {} and {}", config.display(), env.display()));
    for note in notes(&answers, &forges, ctx.env.in_cluster) {
        ctx.ui.line(format!("note: {note}"));
    }
    ctx.ui.line("next:");
    if forges.iter().any(|f| f.token.is_some()) {
        ctx.ui.line("  1. copy .env.example to .env and fill in the tokens");
        ctx.ui.line("  2. sentry validate --online");
        ctx.ui.line("  3. sentry watch");
    } else {
        ctx.ui.line("  1. sentry validate --online");
        ctx.ui.line("  2. sentry watch");
    }
    Ok(Exit::Done)
}

/// What is written can be read back, once the tokens are filled in.
fn must_load(text: &str, forges: &[ForgeEntry]) -> Result<(), Failure> {
    let tokens = forges.iter().filter_map(|f| f.token.clone());
    let vars = tokens.map(|name| (name, "in-place-of-a-token".to_owned())).collect();
    match sentry_config::parse(text, "sentry.yaml", &Environment::new(vars)) {
        Err(problems) if problems.iter().any(|problem| !problem.path.contains(".ssh.")) => {
            Err(Failure::usage(problems.to_string()))
        }
        // The keys may still have to be made.
        _ => Ok(()),
    }
}

fn cant_write(path: &Path, error: io::Error) -> Failure {
    Failure::usage(format!("can't write {}", path.display())).with_source(error)
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    // Without --force a file that another program made meanwhile is not replaced either.
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options.open(path).map_err(|e| cant_write(path, e))?;
    file.write_all(text.as_bytes()).map_err(|e| cant_write(path, e))
}

/// What the file is made of.
struct Answers {
    source: TypedUrl,
    branches: BranchSelector,
    manifests: TypedUrl,
    manifests_branch: BranchName,
    manifests_dir: DirPath,
    /// `None`: whatever the kubeconfig's current one is, or the pod's own account.
    context: Option<String>,
    namespace: Namespace,
    dry_run: bool,
}

impl Answers {
    fn collect(ctx: &Context, args: &InitArgs) -> Result<Self, Failure> {
        let ask = Asker { ctx, interactive: io::stdin().is_terminal() };
        let source = ask.or(args.source.clone(), "--source", "Repository to watch (URL)", None)?;
        let branches = ask.or(args.branches.clone(), "--branches", "Its branches", Some("main"))?;
        let branches = BranchSelector::new(branches.split(',').map(str::trim))
            .map_err(|e| Failure::usage(format!("--branches: {e}")))?;
        let variable = |name: &str| ctx.env.vars.get(name).map(OsString::from);
        let current = sentry_deploy::current_context(variable).unwrap_or_default();
        let context: String =
            ask.or(args.context.clone(), "--context", "Kubeconfig context", Some(&current))?;
        Ok(Self {
            source,
            branches,
            manifests: ask.or(
                args.manifests.clone(),
                "--manifests",
                "Repository with the pipelines (URL)",
                None,
            )?,
            manifests_branch: ask.or(
                args.manifests_branch.clone(),
                "--manifests-branch",
                "Its branch",
                Some("main"),
            )?,
            manifests_dir: ask.or(
                args.manifests_dir.clone(),
                "--manifests-dir",
                "Its directory",
                Some(".tekton"),
            )?,
            context: Some(context).filter(|name| !name.is_empty()),
            namespace: ask.or(
                args.namespace.clone(),
                "--namespace",
                "Kubernetes namespace",
                Some("qa"),
            )?,
            dry_run: args.dry_run,
        })
    }
}

/// Takes a flag's value, else the person's answer, else the default.
struct Asker<'a> {
    ctx: &'a Context,
    interactive: bool,
}

impl Asker<'_> {
    fn or<T>(
        &self,
        given: Option<T>,
        flag: &str,
        question: &str,
        default: Option<&str>,
    ) -> Result<T, Failure>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        if let Some(value) = given {
            return Ok(value);
        }
        if !self.interactive {
            let text = default.ok_or_else(|| {
                Failure::usage(format!("{flag} is missing"))
                    .with_hint("without a terminal, pass every answer as a flag")
            })?;
            return text.parse().map_err(|e| Failure::usage(format!("{flag}: {e}")));
        }
        loop {
            let text = self.ask(question, default)?;
            match text.parse() {
                Ok(value) => return Ok(value),
                Err(problem) => self.ctx.ui.complain(&format!("error: {problem}")),
            }
        }
    }

    fn ask(&self, question: &str, default: Option<&str>) -> Result<String, Failure> {
        let shown = default.filter(|d| !d.is_empty()).map(|d| format!(" [{d}]"));
        self.ctx.ui.prompt(&format!("{question}{}: ", shown.unwrap_or_default()));
        let mut text = String::new();
        let read = io::stdin()
            .lock()
            .read_line(&mut text)
            .map_err(|e| Failure::usage("can't read the answer").with_source(e))?;
        match (read, text.trim()) {
            (0, _) => Err(Failure::new(Exit::Aborted, "no answer given")),
            (_, "") => Ok(default.unwrap_or_default().to_owned()),
            (_, answer) => Ok(answer.to_owned()),
        }
    }
}

/// A forge of the file.
#[derive(Debug, PartialEq, Eq)]
struct ForgeEntry {
    name: String,
    kind: ForgeKind,
    /// `scheme://host`, where it isn't the kind's own.
    url: Option<String>,
    /// The variable that holds its token.
    token: Option<String>,
    scheme: Scheme,
    origin: String,
}

/// The forges of both repositories: one where both are on the same host.
fn forges(answers: &Answers) -> Vec<ForgeEntry> {
    let first = forge(&answers.source.url);
    let mut second = forge(&answers.manifests.url);
    if second.origin == first.origin {
        return vec![first];
    }
    if second.name == first.name {
        second.name.push_str("-b");
        second.token = second.token.map(|token| token.replace("_TOKEN", "_B_TOKEN"));
    }
    vec![first, second]
}

fn forge(repo: &RepoUrl) -> ForgeEntry {
    let host = repo.host().unwrap_or_default();
    let scheme = repo.scheme();
    let is_web = matches!(scheme, Scheme::Https | Scheme::Http);
    let kind = if is_web { ForgeKind::of_host(host) } else { ForgeKind::Git };
    // A name may not tell what it is: with the address there, another `type` is all that has to be changed.
    let wants_url = is_web && kind.public_host() != Some(host);
    ForgeEntry {
        name: kind.as_str().to_owned(),
        kind,
        url: wants_url.then(|| repo.origin()),
        token: (scheme == Scheme::Https).then(|| format!("{}_TOKEN", kind.as_str().to_uppercase())),
        scheme,
        origin: repo.origin(),
    }
}

/// What a person should know of what they chose, and what they can do about it.
fn notes(answers: &Answers, forges: &[ForgeEntry], in_cluster: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let source = &answers.source;
    let what = "Sentry can set no statuses on A's commits and takes no webhooks";
    match (forges[0].kind, forges[0].scheme) {
        (ForgeKind::Git, Scheme::Ssh) => {
            let remedy = by_https(&source.url)
                .map_or_else(|| "an https URL of a forge".into(), |url| format!("--source {url}"));
            notes.push(format!("{} is an ssh address: {what}; {remedy} allows both", source.text));
        }
        (ForgeKind::Git, Scheme::File) => {
            notes.push(format!("{} is a directory: {what}", source.text));
        }
        (ForgeKind::Git, _) => notes.push(format!(
            "{} is taken for a plain git server: {what}; if it is a GitHub Enterprise, GitLab, \
             Gitea or Forgejo, set `type` of its forge to github, gitlab or gitea",
            forges[0].origin
        )),
        _ => {}
    }
    if answers.context.is_none() && !answers.dry_run && !in_cluster {
        notes.push(
            "no kubeconfig with a current context was found: set `context` of the cluster".into(),
        );
    }
    notes
}

/// The same repository by https, where the host is a forge's: that is where tokens and statuses are for.
fn by_https(repo: &RepoUrl) -> Option<String> {
    let host = repo.host()?;
    let kind = ForgeKind::of_host(host);
    // GitHub and GitLab take ssh on port 443 at names of their own, such as ssh.github.com.
    let public = kind.public_host().filter(|public| host.ends_with(&format!(".{public}")));
    (kind != ForgeKind::Git).then(|| format!("https://{}/{}", public.unwrap_or(host), repo.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(source: &str, manifests: &str) -> Answers {
        Answers {
            source: source.parse().unwrap(),
            branches: BranchSelector::new(["main", "release/*"]).unwrap(),
            manifests: manifests.parse().unwrap(),
            manifests_branch: "main".parse().unwrap(),
            manifests_dir: ".tekton".parse().unwrap(),
            context: Some("kind-qa".into()),
            namespace: "qa".parse().unwrap(),
            dry_run: false,
        }
    }

    fn names(source: &str, manifests: &str) -> Vec<(String, Option<String>)> {
        forges(&answers(source, manifests)).into_iter().map(|f| (f.name, f.token)).collect()
    }

    fn noted(source: &str) -> String {
        let answers = answers(source, "https://github.com/c/d");
        notes(&answers, &forges(&answers), false).join("\n")
    }

    #[test]
    fn two_repositories_of_one_host_share_a_forge() {
        let one = [("github".to_owned(), Some("GITHUB_TOKEN".to_owned()))];
        assert_eq!(names("https://github.com/a/b", "https://github.com/c/d"), one);
        assert_eq!(names("https://GitHub.com:443/a/b.git", "https://github.com/c/d/"), one);
    }

    #[test]
    fn two_hosts_of_one_kind_get_a_name_and_a_token_each() {
        let two = names("https://gitlab.com/a/b", "https://gitlab.example.com/c/d");
        assert_eq!(two[0], ("gitlab".to_owned(), Some("GITLAB_TOKEN".to_owned())));
        assert_eq!(two[1], ("gitlab-b".to_owned(), Some("GITLAB_B_TOKEN".to_owned())));
        let ports = names("https://gitlab.example.com/a/b", "https://gitlab.example.com:8443/c/d");
        assert_eq!(ports[1].0, "gitlab-b");
    }

    #[test]
    fn a_directory_or_an_ssh_url_needs_no_token() {
        assert_eq!(names("file:///srv/a.git", "file:///srv/b.git"), [("git".to_owned(), None)]);
        assert_eq!(names("git@github.com:a/b.git", "file:///srv/b.git")[0], ("git".into(), None));
    }

    #[test]
    fn an_ssh_address_is_told_what_it_can_not_do_and_the_url_that_can() {
        for (source, remedy) in [
            ("git@github.com:a/b.git", "--source https://github.com/a/b "),
            (
                "ssh://git@gitlab.example.com:2222/a/sub/b.git",
                "--source https://gitlab.example.com/a/sub/b ",
            ),
            ("[git@codeberg.org:2222]:a/b", "--source https://codeberg.org/a/b "),
            ("ssh://git@ssh.github.com:443/a/b.git", "--source https://github.com/a/b "),
            ("git@altssh.gitlab.com:a/b.git", "--source https://gitlab.com/a/b "),
            ("git@host.example.com:a/b.git", "an https URL of a forge "),
        ] {
            let noted = noted(source);
            assert!(noted.starts_with(&format!("{source} is an ssh address: ")), "{noted}");
            assert!(noted.contains("no statuses") && noted.contains(remedy), "{noted}");
        }
    }

    #[test]
    fn whatever_has_no_statuses_is_told_and_nothing_else_is() {
        assert!(noted("file:///srv/a.git").contains("is a directory: Sentry can set no statuses"));
        for server in ["https://code.example.com/a/b", "http://127.0.0.1:3000/a/b"] {
            assert!(noted(server).contains("set `type` of its forge"), "{server}");
        }
        for forge in ["https://github.com/a/b", "https://gitlab.example.com/a/b.git"] {
            assert_eq!(noted(forge), "", "{forge}");
        }
    }

    #[test]
    fn a_context_that_is_nowhere_is_asked_for() {
        let mut answers = answers("https://github.com/a/b", "https://github.com/c/d");
        answers.context = None;
        let forges = forges(&answers);
        assert!(notes(&answers, &forges, false)[0].contains("set `context`"));
        assert_eq!(notes(&answers, &forges, true), Vec::<String>::new(), "a pod has its account");
        answers.dry_run = true;
        assert_eq!(notes(&answers, &forges, false), Vec::<String>::new());
    }
}
