//! `sentry init`: asks, or takes flags, and writes a commented sentry.yaml and .env.example.

use std::fmt::Write as _;
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
    let text = yaml(&answers, &forges);
    must_load(&text, &forges)?;
    std::fs::create_dir_all(&args.dir).map_err(|e| cant_write(&args.dir, e))?;
    write(&config, &text, args.force)?;
    write(&env, &dotenv(&forges), args.force)?;
    ctx.ui.line(format!("wrote {} and {}", config.display(), env.display()));
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
    source: RepoUrl,
    branches: BranchSelector,
    manifests: RepoUrl,
    manifests_branch: BranchName,
    manifests_dir: DirPath,
    context: String,
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
            context: ask.or(
                args.context.clone(),
                "--context",
                "Kubeconfig context",
                Some("default"),
            )?,
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
        let shown = default.map(|d| format!(" [{d}]")).unwrap_or_default();
        self.ctx.ui.prompt(&format!("{question}{shown}: "));
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
    /// True if it is reached by ssh.
    by_ssh: bool,
    origin: String,
}

/// The forges of both repositories: one where both are on the same host.
fn forges(answers: &Answers) -> Vec<ForgeEntry> {
    let first = forge(&answers.source);
    let mut second = forge(&answers.manifests);
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
    let by_ssh = repo.scheme() == Scheme::Ssh;
    let kind = if by_ssh { ForgeKind::Git } else { ForgeKind::of_host(host) };
    let wants_url = kind.is_hosted() && kind.public_host() != Some(host);
    let wants_token = repo.scheme() == Scheme::Https;
    ForgeEntry {
        name: kind.as_str().to_owned(),
        kind,
        url: wants_url.then(|| repo.origin()),
        token: wants_token.then(|| format!("{}_TOKEN", kind.as_str().to_uppercase())),
        by_ssh,
        origin: repo.origin(),
    }
}

/// A text as a double-quoted YAML scalar: JSON's strings are YAML's, too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn yaml(answers: &Answers, forges: &[ForgeEntry]) -> String {
    let mut text = String::from(
        "# What Sentry watches and what it runs. `sentry validate` checks this file,\n\
         # `sentry schema` prints its JSON Schema, docs/config.md explains every key.\n\n\
         log_level: info                # debug, info, warn, error\n\n\
         forges:                        # where the repositories are, and the credentials to use\n",
    );
    for forge in forges {
        writeln!(text, "  {}:", forge.name).ok();
        writeln!(text, "    type: {}", forge.kind.as_str()).ok();
        if let Some(url) = &forge.url {
            writeln!(text, "    url: {}", quoted(url)).ok();
        }
        if forge.by_ssh {
            text.push_str(
                "    ssh:                       # no ssh-agent and no other key is used\n\
                 \x20     key_file: ~/.ssh/id_ed25519\n\
                 \x20     known_hosts: ~/.ssh/known_hosts\n",
            );
        }
        if let Some(token) = &forge.token {
            writeln!(
                text,
                "    token: \"${{{token}}}\"   # from the environment, else from .env next to \
                 this file"
            )
            .ok();
        }
    }
    let (source, manifests) = (&forges[0].name, &forges[forges.len() - 1].name);
    let branches: Vec<String> = answers.branches.patterns().map(quoted).collect();
    write!(
        text,
        "\nwatches:\n\
         \x20 - name: qa\n\
         \x20   polling_interval: {interval}       # at least 60 s for remote hosts\n\
         \x20   source:                    # when a head of these branches moves ...\n\
         \x20     forge: {source}\n\
         \x20     url: {source_url}\n\
         \x20     branches: [{branches}]      # names or globs, such as \"release/*\"\n\
         \x20   manifests:                 # ... what this directory holds ...\n\
         \x20     forge: {manifests}\n\
         \x20     url: {manifests_url}\n\
         \x20     branch: {manifests_branch}\n\
         \x20     dir: {dir}\n\
         \x20   cluster:                   # ... is run here\n\
         \x20     deployer: {deployer}        # kubectl, or dry-run to only see what would happen\n\
         \x20     context: {context}\n\
         \x20     namespace: {namespace}\n\
         \x20   max_retries: 3             # failed attempts; outages do not count\n\
         \x20   timeout: 5m                # for one attempt\n\
         \x20   report: per_watch          # statuses on A's commits; per_run: one per run as well; off: none\n\
         \x20   on_first_sight: record     # or deliver: run the heads found at the first start\n",
        interval = if answers.source.is_local() { "5s" } else { "1m" },
        source_url = quoted(answers.source.as_str()),
        branches = branches.join(", "),
        manifests_url = quoted(answers.manifests.as_str()),
        manifests_branch = quoted(answers.manifests_branch.as_str()),
        dir = quoted(answers.manifests_dir.as_str()),
        deployer = if answers.dry_run { "dry-run" } else { "kubectl" },
        context = quoted(&answers.context),
        namespace = answers.namespace,
    )
    .ok();
    text
}

fn dotenv(forges: &[ForgeEntry]) -> String {
    let mut text = String::from(
        "# Copy to .env and fill in; never commit .env. Variables set in the environment take \
         precedence.\n",
    );
    if forges.iter().all(|f| f.token.is_none()) {
        text.push_str("# sentry.yaml uses no variables yet.\n");
    }
    for forge in forges {
        let Some(token) = &forge.token else { continue };
        let rights = forge.kind.token_rights();
        writeln!(text, "\n# {}: {rights}\n{token}=", forge.origin).ok();
    }
    text
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
            context: "default".into(),
            namespace: "qa".parse().unwrap(),
            dry_run: false,
        }
    }

    fn names(source: &str, manifests: &str) -> Vec<(String, Option<String>)> {
        forges(&answers(source, manifests)).into_iter().map(|f| (f.name, f.token)).collect()
    }

    #[test]
    fn two_repositories_of_one_host_share_a_forge() {
        let one = names("https://github.com/a/b", "https://github.com/c/d");
        assert_eq!(one, [("github".to_owned(), Some("GITHUB_TOKEN".to_owned()))]);
    }

    #[test]
    fn two_hosts_of_one_kind_get_a_name_and_a_token_each() {
        let two = names("https://gitlab.com/a/b", "https://gitlab.example.com/c/d");
        assert_eq!(two[0], ("gitlab".to_owned(), Some("GITLAB_TOKEN".to_owned())));
        assert_eq!(two[1], ("gitlab-b".to_owned(), Some("GITLAB_B_TOKEN".to_owned())));
    }

    #[test]
    fn a_directory_or_an_ssh_url_needs_no_token() {
        assert_eq!(names("file:///srv/a.git", "file:///srv/b.git"), [("git".to_owned(), None)]);
        assert_eq!(names("git@github.com:a/b.git", "file:///srv/b.git")[0], ("git".into(), None));
    }

    #[test]
    fn what_is_not_plain_is_quoted() {
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
    }
}
