//! 53: what a pusher of A chooses never becomes program text. Hostile branches, authors, titles and paths go through
//! expressions, lists of patterns, documents and chats, statuses and their links, the page, the API, the terminal and the
//! logs, and each comes out as an inert one of the same properties.

mod sessions;
mod shown;
mod statuses;

use std::sync::Arc;

use sentry_core::clock::SystemClock;
use sentry_core::forge::ChangedPaths;
use sentry_core::manifest::{Decision, ManifestSet};
use sentry_core::notifier::Notifier as _;
use sentry_core::secret::{Redactor, Secret, SecretSource};
use sentry_core::subject::Subject;
use sentry_core::testing::sample;
use sentry_notify::{Kind, Receiver, Settings};
use sentry_tests::judge::scene::Scene;
use sentry_tests::promise::{cases, kept};
use sentry_tests::receiver::Receiver as Chat;
use serde_json::Value;

/// Parts of hostile values: programs of the languages that they could end up in.
const PARTS: &[&str] = &[
    "\"||true||\"",
    "'||true||'",
    "\"\"\"||true||\"\"\"",
    "')||true||('",
    "true",
    "||",
    "&&",
    "//",
    "main",
    "release/",
    ".*",
    "(a|b)",
    "+",
    "$",
    "^",
    "\\",
    "\\Q",
    "[a-z]",
    "]",
    "[",
    "{main,x}",
    "}",
    "{",
    "*",
    "**",
    "?",
    "!",
    ",",
    "&#44;",
    "{{ revision }}",
    "{{revision}}",
    "$(params.x)",
    "`id`",
    "$(id)",
    ";id;",
    "\n",
    "\t",
    "---",
    ": ",
    "# ",
    "<!channel>",
    "<@U1>",
    "@here",
    "@all",
    "<http://evil.example|x>",
    "http://evil.example",
    "www.evil.example",
    "evil.example",
    "[x](http://e.example)",
    "javascript:alert(1)",
    "mailto:a@b.example",
    "<script>",
    "%0a",
    "refs/heads/",
    "refs/tags/",
    "push",
    "qa",
    "\u{1b}[31m",
    "\u{1b}[2J\u{1b}[45m",
    "\u{1b}]8;;http://evil.example\u{7}",
    "\u{9b}31m",
    "\u{202e}",
    "\u{2066}",
    "\u{2028}",
    "\u{2029}",
    "\u{61c}",
    "\u{200f}",
    "\u{200b}",
    "\u{feff}",
    "\r",
    "é",
    "🦀\u{200d}",
];

struct Hostile(fastrand::Rng);

impl Hostile {
    fn text(&mut self) -> String {
        (0..self.0.usize(1..5)).map(|_| *self.0.choice(PARTS).unwrap()).collect()
    }

    /// A branch as git lets it be called.
    fn branch(&mut self) -> Subject {
        loop {
            let text = self.text();
            if let Ok(name) = text.parse() {
                return Subject::Branch(name);
            }
        }
    }
}

/// A run with an annotation, and with values in other places.
fn run(name: &str, value: &str) -> String {
    let value = serde_json::to_string(value).unwrap();
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: qa\n  annotations:\n    \
         pipelinesascode.tekton.dev/{name}: {value}\nspec:\n  params:\n  - {{name: b, value: '<{{{{ source_branch }}}}>'}}\n  \
         - {{name: s, value: '<{{{{ sender }}}}>'}}\n"
    )
}

/// A push by which everything is decided.
struct Push {
    branch: String,
    sender: String,
    title: String,
    paths: Vec<String>,
}

impl Push {
    fn prepare(&self, text: &str) -> ManifestSet {
        let mut scene = Scene::default();
        scene.revision.subject = Subject::Branch(self.branch.parse().unwrap());
        scene.sender.clone_from(&self.sender);
        scene.title.clone_from(&self.title);
        scene.changed = Some(ChangedPaths { paths: self.paths.clone(), truncated: false });
        scene.prepare(&[("a.yaml", text.as_bytes())])
    }
}

/// What an annotation decides for a push.
type Oracle = fn(&Push) -> bool;

/// Annotations that use what a pusher chooses, each with what it says, told by plain comparisons of texts.
const DOORS: &[(&str, &str, Oracle)] = &[
    (
        "on-cel-expression",
        "event == \"push\" && \"{{ source_branch }}\".startsWith(\"release/\")",
        |p| p.branch.starts_with("release/"),
    ),
    ("on-cel-expression", "'{{ source_branch }}' == 'main'", |p| p.branch == "main"),
    ("on-cel-expression", "'''{{ source_branch }}''' == source_branch", |_| true),
    ("on-cel-expression", "r\"{{ sender }}\" == 'qa' || \"\"\"{{ sender }}\"\"\" == 'main'", |p| {
        ["qa", "main"].contains(&p.sender.as_str())
    }),
    ("on-cel-expression", "size('a{{ sender }}b') == size('ab')", |p| p.sender.is_empty()),
    ("on-cel-expression", "'main'.matches('^({{ source_branch }}|x)$')", |p| p.branch == "main"),
    ("on-cel-expression", "source_branch.matches('^{{ source_branch }}$')", |p| {
        !p.branch.contains('\n')
    }),
    ("on-cel-expression", "'zz{{ sender }}.go'.pathChanged()", |p| {
        p.paths.contains(&format!("zz{}.go", p.sender))
    }),
    ("on-cel-expression", "files.all.exists(f, f == '{{ sender }}')", |p| {
        p.paths.contains(&p.sender)
    }),
    (
        "on-cel-expression",
        "event_title.contains('release') && files.all.exists(f, f.startsWith('docs/'))",
        |p| p.title.contains("release") && p.paths.iter().any(|path| path.starts_with("docs/")),
    ),
    ("on-cel-expression", "event_title == 'main' && source_branch != 'main'", |p| {
        p.title == "main" && p.branch != "main"
    }),
    ("on-event", "[x{{ source_branch }}, {{ sender }}x]", |_| false),
    ("on-target-branch", "[zz{{ sender }}]", |p| p.branch == format!("zz{}", p.sender)),
    ("on-target-branch", "[zz, y{{ source_branch }}]", |p| p.branch == "zz"),
    ("on-path-change", "[zz{{ sender }}.go]", |p| p.paths.contains(&format!("zz{}.go", p.sender))),
    ("on-path-change", "zz/{{ sender }}", |p| p.paths.contains(&format!("zz/{}", p.sender))),
];

#[test]
fn a_hostile_value_decides_what_an_inert_one_would_and_stands_where_it_was_put() {
    let mut hostile = Hostile(fastrand::Rng::with_seed(53));
    let number = cases(10_000, 150);
    let (mut decided, mut started) = (0, 0);
    for case in 0..number {
        let mut push = Push {
            branch: hostile.branch().name().to_owned(),
            sender: hostile.text(),
            title: hostile.text(),
            paths: (0..3).map(|_| hostile.text()).collect(),
        };
        let sender = &push.sender;
        let near =
            [format!("zz{sender}.go"), format!("zz/{sender}"), sender.clone(), "docs/a".to_owned()];
        push.paths.extend(near.into_iter().filter(|_| hostile.0.bool()));
        let (name, value, says) = DOORS[case % DOORS.len()];
        let set = push.prepare(&run(name, value));
        let starts = set.decisions[0].decision == Decision::Run;
        let Push { branch, sender, .. } = &push;
        assert_eq!(
            starts,
            says(&push),
            "{name}: {value}: {branch:?} {sender:?}: {:?}",
            set.decisions[0]
        );
        decided += 1;
        if let Some(object) = set.objects.first() {
            started += 1;
            let params = &object.json["spec"]["params"];
            assert_eq!(params.as_array().map(Vec::len), Some(2));
            assert_eq!(params[0]["value"], Value::from(format!("<{branch}>")));
            assert_eq!(params[1]["value"], Value::from(format!("<{sender}>")));
        }
        let said = set.decisions.iter().map(|d| &d.reason).chain(&set.notes);
        said.for_each(|text| assert!(!text.contains(sentry_core::text::is_hidden), "{text:?}"));
    }
    kept(
        53,
        "decisions",
        &format!("{decided} pushes, {started} runs: 0 decisions changed by a value"),
    );
}

#[test]
fn an_expression_of_tektons_takes_no_value_at_all() {
    let mut hostile = Hostile(fastrand::Rng::with_seed(54));
    let number = cases(10_000, 100);
    for case in 0..number {
        let cel =
            ["'{{ source_branch }}' == 'x'", "'$(params.b)' == 'x'", "'$(params[\"s\"])' == 'x'"]
                [case % 3];
        let cel = serde_json::to_string(cel).unwrap();
        let text = run("on-event", "push")
            + &format!(
                "  pipelineSpec: {{tasks: [{{name: t, when: [{{cel: {cel}}}], taskSpec: {{steps: []}}}}]}}\n"
            );
        let push = Push {
            branch: hostile.branch().name().to_owned(),
            sender: hostile.text(),
            title: String::new(),
            paths: Vec::new(),
        };
        let set = push.prepare(&text);
        assert!(set.objects.is_empty() && set.decisions[0].decision == Decision::Refuse, "{text}");
    }
    kept(53, "when", &format!("{number} pushes: 0 values in Tekton's expressions"));
}

#[tokio::test]
async fn a_hostile_value_calls_nobody_in_a_chat_and_makes_no_link() {
    let mut hostile = Hostile(fastrand::Rng::with_seed(55));
    let number = cases(10_000, 100);
    for kind in [Kind::Slack, Kind::Mattermost] {
        let chat = Chat::start();
        let receiver = Receiver::new(Settings {
            name: "chat".to_owned(),
            kind,
            url: SecretSource::Value(Secret::new(chat.url("/hook"))),
            secret: None,
            template: Some("{{ branch }} {{ reason }}".to_owned()),
            ca_file: None,
            clock: Arc::new(SystemClock),
            redactor: Redactor::new(),
        })
        .unwrap();
        for _ in 0..number {
            let mut notice = sample::notice(1);
            notice.revision.subject = hostile.branch();
            notice.reason = Some(hostile.text());
            receiver.notify(&notice).await.unwrap();
        }
        let told = chat.told();
        assert_eq!(told.len(), number);
        for body in told {
            let text = body["text"].as_str().unwrap();
            let found = if kind == Kind::Slack { in_slack(text) } else { in_mattermost(text) };
            assert_eq!(found, None, "{text:?}");
        }
    }
    kept(
        53,
        "chats",
        &format!(
            "{number} messages for each: 0 links, 0 mentions, 0 control or direction characters"
        ),
    );
}

/// The first line with a character that nothing may hand on as it is: a control other than a tab, or one that turns the
/// writing direction, ends lines, or shows nothing.
fn raw(text: &str) -> Option<&str> {
    let hidden = |c: char| c != '\t' && sentry_core::text::is_hidden(c);
    text.split('\n').find(|line| line.contains(hidden))
}

/// What a chat must not be given, beside the space of no width by which calls and links are taken apart.
fn hidden(text: &str) -> Option<&'static str> {
    let seen = |c: char| c != '\u{200b}' && sentry_core::text::is_hidden(c);
    text.contains(seen).then_some("a hidden character")
}

/// What Slack would make of a text: marks in `<…>`, addresses and names of hosts, calls.
fn in_slack(text: &str) -> Option<&'static str> {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && !".:/@-".contains(c)).collect();
    let host = |word: &str| {
        word.split('.').collect::<Vec<_>>().windows(2).any(|pair| {
            pair[0].ends_with(char::is_alphanumeric) && pair[1].starts_with(char::is_alphabetic)
        })
    };
    let is_mail = |word: &str| word.split_once("mailto:").is_some_and(|(_, to)| !to.is_empty());
    if text.contains(['<', '>']) {
        return Some("a mark");
    }
    if words.iter().any(|word| host(word) || word.contains("://") || is_mail(word)) {
        return Some("a link");
    }
    let call =
        |word: &&str| word.split('@').skip(1).any(|name| name.starts_with(char::is_alphanumeric));
    words.iter().any(call).then_some("a call").or_else(|| hidden(text))
}

/// What Mattermost would make of a text: what has a meaning and no backslash before it.
fn in_mattermost(text: &str) -> Option<&'static str> {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '~' | '|' | '!' | '&' | ':' | '.' => {
                return Some("a mark without a backslash");
            }
            '@' if chars.peek() != Some(&'\u{200b}') => return Some("a call"),
            _ => {}
        }
    }
    hidden(text)
}
