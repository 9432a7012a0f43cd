//! 31: hostile repositories. Judged by strace, by the API server, and by a server that nobody has a reason to ask.

mod documents;
mod objects;
mod servers;
mod trees;

pub(crate) use servers::delta_bomb;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sentry_tests::http::{HttpServer, reply};
use sentry_tests::liar::{GitLiar, Lies};
use sentry_tests::processes::script;
use sentry_tests::promise::{cases, full, kept, leave};
use sentry_tests::repo::BareRepo;
use sentry_tests::road::{FIXED, Fetch, PIPELINE, Road, TASK};
use sentry_tests::strace::Strace;

use crate::p42_least_privilege::{grant, shipped};

/// What a hostile repository may refer to and nobody may touch.
struct Ground {
    /// A file with a manifest in it, and its directory.
    file: String,
    dir: String,
    /// A server that must not be asked.
    url: String,
}

/// Makes B what it is.
type Build = Box<dyn Fn(&BareRepo, &Ground)>;
/// Makes a server say what it says.
type Lying = Box<dyn Fn(&BareRepo, &Ground) -> Lies>;

/// Where B comes from.
enum Source {
    /// A repository that an honest server serves.
    Repo(Build),
    /// The same, on this machine: git's other side runs here.
    Local(Build),
    /// A server that says this.
    Liar(Lying),
}

/// What may reach the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaches {
    /// Nothing at all.
    Nothing,
    /// Tekton's own kinds in the watch's namespace: the hostile part is without effect.
    Harmless,
}

/// One hostile repository.
struct Case {
    name: &'static str,
    tries: &'static str,
    source: Source,
    reaches: Reaches,
}

impl Case {
    /// Its repository is to be refused.
    fn refused(
        name: &'static str,
        tries: &'static str,
        build: impl Fn(&BareRepo, &Ground) + 'static,
    ) -> Self {
        Self { name, tries, source: Source::Repo(Box::new(build)), reaches: Reaches::Nothing }
    }

    /// What is honest in its repository is delivered, the rest is without effect.
    fn harmless(
        name: &'static str,
        tries: &'static str,
        build: impl Fn(&BareRepo, &Ground) + 'static,
    ) -> Self {
        Self { reaches: Reaches::Harmless, ..Self::refused(name, tries, build) }
    }

    /// As [`Case::harmless`], from a directory of this machine.
    fn local(
        name: &'static str,
        tries: &'static str,
        build: impl Fn(&BareRepo, &Ground) + 'static,
    ) -> Self {
        Self { name, tries, source: Source::Local(Box::new(build)), reaches: Reaches::Harmless }
    }

    /// Its server lies.
    fn liar(
        name: &'static str,
        tries: &'static str,
        reaches: Reaches,
        lies: impl Fn(&BareRepo, &Ground) -> Lies + 'static,
    ) -> Self {
        Self { name, tries, source: Source::Liar(Box::new(lies)), reaches }
    }
}

fn all() -> Vec<Case> {
    [trees::cases(), objects::cases(), servers::cases(), documents::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// The files of an honest B.
const HONEST: [(&str, &str); 3] =
    [(".tekton/run.yaml", FIXED), (".tekton/suite.yaml", PIPELINE), (".tekton/unit.yaml", TASK)];

/// What is opened in some runs and in others not, whatever a repository holds.
fn at_times() -> BTreeSet<String> {
    // The C library's allocator reads these once several threads ask for memory or give it back.
    let allocator = ["/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu/online"];
    // git looks for names like the one of a command that it does not find.
    let path = std::env::var("PATH").unwrap();
    allocator.into_iter().chain(path.split(':')).map(usual_form).collect()
}

/// The road, and what an honest delivery on it opens and runs.
struct Judge {
    road: Road,
    ground: Ground,
    other: HttpServer,
    usual: BTreeSet<String>,
    /// True while it learns what an honest delivery opens.
    honest: bool,
}

/// What was seen of one delivery.
#[derive(Debug)]
struct Seen {
    /// Files outside the home directory that an honest delivery does not open, and canaries.
    outside: Vec<String>,
    /// Programs beside git and kubectl.
    programs: Vec<String>,
    /// The other files outside.
    opened: BTreeSet<String>,
    writes: usize,
    /// Writes that are none of Tekton's kinds in the namespace.
    foreign: Vec<String>,
    outcome: String,
}

impl Judge {
    fn new() -> Self {
        let road = Road::new();
        grant(&road.cluster, &shipped());
        assert_eq!(road.once().code, Some(0));
        let canary = road.sandbox.write("canary/canary.yaml", FIXED);
        let other = HttpServer::start("other", None, |_| {
            Box::pin(async { reply(hyper::StatusCode::OK, &[], "") })
        });
        let ground = Ground {
            file: canary.display().to_string(),
            dir: canary.parent().unwrap().display().to_string(),
            url: other.origin(),
        };
        let mut judge = Self { road, ground, other, usual: at_times(), honest: true };
        for round in 0..6 {
            judge.road.fetch = if round < 4 { Fetch::Program } else { Fetch::Within };
            let name = format!("honest-{round}.git");
            let b = judge.repo(&name);
            b.commit("main", &HONEST, "honest");
            let local = format!("file://{}", b.path().display());
            let url = if !(2..4).contains(&round) { judge.road.git.url(&name) } else { local };
            let seen = judge.deliver(&url);
            assert!(seen.writes > 0, "{}", seen.outcome);
            judge.usual.extend(seen.opened);
        }
        judge.honest = false;
        judge
    }

    fn repo(&self, name: &str) -> BareRepo {
        BareRepo::create(self.road.b.path().parent().unwrap(), name)
    }

    fn try_case(&mut self, number: usize, case: &Case, fetch: Fetch) -> Seen {
        self.road.fetch = fetch;
        let name = format!("hostile-{number}-{fetch:?}.git");
        let b = self.repo(&name);
        match &case.source {
            Source::Repo(build) => {
                build(&b, &self.ground);
                self.deliver(&self.road.git.url(&name))
            }
            Source::Local(build) => {
                build(&b, &self.ground);
                self.deliver(&format!("file://{}", b.path().display()))
            }
            Source::Liar(lies) => {
                let liar = GitLiar::start(lies(&b, &self.ground));
                self.deliver(&liar.url("b.git"))
            }
        }
    }

    /// One delivery from B at this URL, seen by strace and the API server.
    fn deliver(&self, url: &str) -> Seen {
        let road = &self.road;
        road.configure_b(url, "timeout: 30\n    max_retries: 0");
        road.push();
        let before = road.cluster.requests().len();
        let strace = Strace::of_the_tree("%file");
        let output = road.sandbox.spawn_under(&strace, ["watch", "--once"]).wait();
        let ended = output.code.is_some() && !output.stderr.contains("panicked");
        assert!(ended, "it ends in order: {output:?}");
        let home = road.sandbox.root().display().to_string();
        let (mut opened, mut outside, mut programs) = (BTreeSet::new(), Vec::new(), Vec::new());
        for line in whole_calls(strace.lines()) {
            let Some((call, path)) = call_of(&line) else { continue };
            if path.contains("canary") {
                outside.push(line.clone());
            }
            if call.starts_with("execve") && !line.contains("-1 E") {
                let program = path.rsplit('/').next().unwrap_or_default().to_owned();
                // A repository of this machine is reached by a shell of git's own, which starts the other side.
                let local =
                    url.starts_with("file:") && ["sh", "git-upload-pack"].contains(&&*program);
                if !local && !["sentry", "git", "git-remote-http", "kubectl"].contains(&&*program) {
                    programs.push(program);
                }
            }
            let is_open = call.contains("open") && !line.contains("-1 E");
            let own = path.starts_with(&home)
                || url.strip_prefix("file://").is_some_and(|b| path.starts_with(b));
            if is_open && !own && (path.starts_with('/') || path.contains("..")) {
                let usual = usual_form(path);
                if !self.honest && !self.usual.contains(&usual) {
                    outside.push(line.clone());
                }
                opened.insert(usual);
            }
        }
        let requests = road.cluster.requests().split_off(before);
        let writes: Vec<_> = requests.iter().filter(|request| request.is_write()).collect();
        // What was refused changed nothing.
        let taken = || writes.iter().filter(|request| request.status < 300);
        let own =
            |path: &str| path.starts_with("/apis/tekton.dev/") && path.contains("/namespaces/qa/");
        let foreign = taken().filter(|request| !own(&request.path));
        let foreign =
            foreign.map(|request| format!("{} {}", request.method, request.path)).collect();
        Seen {
            outside,
            programs,
            opened,
            writes: taken().count(),
            foreign,
            outcome: self.outcome(url, &output.stdout, &output.stderr),
        }
    }

    /// What Sentry says became of it, without what differs from run to run.
    fn outcome(&self, url: &str, stdout: &str, stderr: &str) -> String {
        let history = self.road.json(&["history", "-o", "json"]);
        let newest = &history["deliveries"][0];
        let said = match (newest["error"].as_str(), newest["state"].as_str()) {
            (Some(error), Some(state)) => format!("{state}: {error}"),
            (None, Some(state)) => {
                format!("{state}, {} objects", newest["objects"].as_array().map_or(0, Vec::len))
            }
            _ => format!("{stdout}{stderr}"),
        };
        let said =
            said.replace(url, "B").replace(&self.road.sandbox.work().display().to_string(), "…");
        let words = said.split_whitespace().map(|word| {
            let hex = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            if hex.len() >= 8 && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                word.replace(hex, "…")
            } else {
                word.to_owned()
            }
        });
        let mut text = words.collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = text.char_indices().nth(180) {
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

/// The lines of calls, each in one piece: strace writes one in two where another thread came in between. One whose end was
/// not seen, because its process ended first, has opened nothing.
fn whole_calls(lines: Vec<String>) -> Vec<String> {
    let mut begun = BTreeMap::<String, String>::new();
    let mut whole = Vec::new();
    for line in lines {
        let (thread, rest) = line.split_once(' ').unwrap_or_default();
        if let Some(beginning) = line.strip_suffix(" <unfinished ...>") {
            begun.insert(thread.to_owned(), beginning.to_owned());
        } else if let Some((_, end)) = rest.split_once(" resumed>") {
            let beginning = begun.remove(thread).unwrap_or_default();
            whole.push(format!("{beginning}{end}"));
        } else {
            whole.push(line);
        }
    }
    let unseen = |line| format!("{line} = -1 EINTR");
    whole.extend(begun.into_values().map(unseen));
    whole
}

/// The call of a line and the first path in it.
fn call_of(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(' ')?;
    let (call, arguments) = rest.trim_start().split_once('(')?;
    let path = arguments.split('"').nth(1)?;
    Some((call, path))
}

/// A path with the numbers in it taken out: processes' and threads' ids, however long they are.
fn usual_form(path: &str) -> String {
    let mut form: String = path.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
    while form.contains("##") {
        form = form.replace("##", "#");
    }
    form
}

#[test]
fn hostile_repositories_open_nothing_run_nothing_and_reach_nothing() {
    let mut judge = Judge::new();
    let all = all();
    assert!(all.len() >= 60, "{}", all.len());
    let names: BTreeSet<_> = all.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), all.len(), "every case has a name of its own");
    let step = all.len().div_ceil(cases(all.len(), 8));
    let (mut rows, mut wrong, mut tried) = (String::new(), Vec::new(), 0);
    // In every run the one by which git itself would be led elsewhere.
    let chosen =
        |number: usize, case: &Case| number.is_multiple_of(step) || case.name == "packfile-uris";
    for (number, case) in all.iter().enumerate().filter(|(number, case)| chosen(*number, case)) {
        let both = Fetch::EACH.map(|fetch| {
            let seen = judge.try_case(number, case, fetch);
            let asked = judge.other.log().all();
            judge.other.log().clear();
            let reached = (seen.writes > 0) == (case.reaches == Reaches::Harmless);
            let clean =
                seen.outside.is_empty() && seen.programs.is_empty() && seen.foreign.is_empty();
            if !(reached && clean && asked.is_empty()) {
                wrong.push(format!("{} {fetch:?}: {seen:?}, {asked:?}", case.name));
            }
            seen
        });
        let [seen, _] = both;
        let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
        let writes = if seen.writes == 0 {
            "nothing".to_owned()
        } else {
            format!("{} of Tekton's", seen.writes)
        };
        _ = writeln!(
            rows,
            "| {} | {} | {} | {writes} |",
            cell(case.name),
            cell(case.tries),
            cell(&seen.outcome)
        );
        tried += 1;
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    if full() {
        leave("hostile-repositories.md", &format!("{HEAD}{rows}"));
    }
    let seen = format!(
        "{tried} hostile repositories ([each of them](hostile-repositories.md)), each within the process and by git: 0 files opened outside, 0 programs but git \
         and kubectl, 0 requests elsewhere, 0 foreign writes"
    );
    kept(31, "", &seen);
}

const HEAD: &str = "\
# Hostile repositories, and what became of them

Made by `make promises`; do not edit. Each row is a repository B, or a git server that serves one, made to do harm, and a
delivery from it by the real program with the real kubectl and the shipped Role, fetched within the process, then once more
by the real git, whose words are not here. In every row: strace saw no file
opened that an honest delivery does not open and no program started but git and kubectl; no other server was asked; the API
server took nothing but what the last column says, in the watch's namespace.

| repository | what it tries | what Sentry says | what the cluster took |
|---|---|---|---|
";

#[test]
fn the_judge_sees_an_opened_canary_and_a_foreign_program() {
    let judge = Judge::new();
    let stub = judge.road.sandbox.work().join("kubectl");
    script(&stub, &format!("#!/bin/sh\ncat {}\n", judge.ground.file));
    let mut judge = judge;
    let path = format!("{}:{}", stub.parent().unwrap().display(), std::env::var("PATH").unwrap());
    judge.road.sandbox.env("PATH", path);
    let seen = judge.deliver(&judge.road.git.url("honest-0.git"));
    assert!(seen.outside.iter().any(|line| line.contains("canary.yaml")), "{:?}", seen.outside);
    assert!(seen.programs.iter().any(|program| program == "cat"), "{:?}", seen.programs);
}
