//! What the page shows, made from the shapes of the API: pure, so that it can be tested without a server.
//!
//! Everything here is text; the templates escape it ([`super::text::Calm`]). Only what is a template of its own (below
//! `templates/part`) is put in as it is, by `.part()|safe`.

mod branch;
pub(crate) mod chart;
#[cfg(test)]
mod chinese;
pub(crate) mod delivery;
pub(crate) mod filter;
pub(crate) mod history;
pub(crate) mod home;
mod line;
mod prose;
#[cfg(test)]
pub(crate) mod sample;
mod times;
pub(crate) mod watch;

use askama::Template;
use sentry_api::ApiError;
use sentry_api::shape::{AgentStatus, FleetStatus};
use sentry_core::clock::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Failed;
use super::assets::{self, SCRIPT, STYLE};
use super::link::Repository;
use super::session::Visitor;
use super::words::{Language, Words};
use crate::api::Right;

pub(crate) use prose::Prose;
pub(crate) use times::{ago, span};

/// A state as shown: a colour, a shape, and a word beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Busy,
    Wait,
    Bad,
    Quiet,
}

impl Tone {
    /// The class, and the icon's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Wait => "wait",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }
}

/// A tone with its word.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/state.html")]
pub(crate) struct State {
    pub(crate) tone: Tone,
    pub(crate) word: String,
}

impl State {
    pub(crate) fn new(tone: Tone, word: impl Into<String>) -> Self {
        Self { tone, word: word.into() }
    }
}

/// A time, said from now.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/moment.html")]
pub(crate) struct Moment {
    exact: String,
    said: String,
}

impl Moment {
    pub(crate) fn new(reader: &Reader, at: Timestamp) -> Self {
        Self { exact: sentry_api::text::time(at), said: ago(reader.words, reader.now, at) }
    }
}

/// A few words with a time in them, wherever a language has it.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/timed.html")]
pub(crate) struct Timed {
    before: String,
    at: Moment,
    after: String,
}

impl Timed {
    /// `key` is of a message that takes the time as `$at`.
    pub(crate) fn new(reader: &Reader, key: &str, at: Timestamp) -> Self {
        const PLACE: char = '\0';
        let said = reader.words.put(key, "at", PLACE);
        let (before, after) = said.split_once(PLACE).unwrap_or((&said, ""));
        let (before, after) = (before.to_owned(), after.to_owned());
        Self { before, at: Moment::new(reader, at), after }
    }
}

/// A commit, with its page if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/commit.html")]
pub(crate) struct Commit {
    short: String,
    sha: String,
    address: Option<String>,
}

impl Commit {
    pub(crate) fn new(sha: &str, repository: Option<&Repository>) -> Self {
        let address = repository.and_then(|repository| repository.commit(sha));
        Self { short: sentry_api::text::short(sha).to_owned(), sha: sha.to_owned(), address }
    }
}

/// A button that does something: a form of its own.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "part/act.html")]
pub(crate) struct Act {
    action: String,
    form_token: String,
    fields: Vec<(&'static str, String)>,
    label: String,
    /// What exactly it does, for those who can't see the context.
    about: String,
}

/// What is a template of its own and has escaped what it holds: the one thing that another template may take as it is.
pub(crate) trait Part: Template {
    /// Itself; for `.part()|safe`, which a mere text has not.
    fn part(&self) -> &Self {
        self
    }
}

impl Part for State {}
impl Part for Moment {}
impl Part for Timed {}
impl Part for Commit {}
impl Part for Act {}
impl Part for Prose {}
impl Part for delivery::RunCard {}
impl Part for delivery::Graph {}
impl Part for chart::Chart {}
impl Part for line::BranchLine {}
impl Part for line::WatchLine {}

/// For whom a page is made.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) words: Words,
    pub(crate) now: Timestamp,
    pub(crate) form_token: String,
    pub(crate) may_act: bool,
    /// Whether that may be to let strangers' code run.
    pub(crate) may_approve: bool,
    /// Different for each page that is made.
    pub(crate) nonce: String,
}

impl Reader {
    /// # Errors
    /// As [`Visitor::form_token`].
    pub(crate) fn new(
        visitor: &Visitor,
        words: Words,
        now: Timestamp,
        nonce: String,
    ) -> Result<Self, ApiError> {
        let (form_token, right) = (visitor.form_token()?, visitor.holder.right);
        let (may_act, may_approve) = (right >= Right::Trigger, right >= Right::Approve);
        Ok(Self { words, now, form_token, may_act, may_approve, nonce })
    }

    /// A button; `None` for who may only read.
    pub(crate) fn act(
        &self,
        label: String,
        about: String,
        action: String,
        mut fields: Vec<(&'static str, String)>,
    ) -> Option<Act> {
        if !self.may_act {
            return None;
        }
        let key = self.key(&format!("{action} {fields:?}"));
        fields.push(("key", key));
        let form_token = self.form_token.clone();
        Some(Act { action, form_token, fields, label, about })
    }

    /// The idempotency key of one form on one page: a second press of its button asks for nothing more.
    pub(crate) fn key(&self, form: &str) -> String {
        let digest = Sha256::digest(format!("{} {form}", self.nonce));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The frame of every page.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) words: Words,
    pub(crate) title: String,
    /// The worst of what the page is about: the icon in the browser's tab tells it.
    pub(crate) worst: Tone,
    pub(crate) version: String,
    /// The form token of who is logged in.
    pub(crate) form_token: Option<String>,
    pub(crate) agent: Option<State>,
    pub(crate) may_act: bool,
    /// After so many seconds the page is asked for again, where no script keeps it fresh.
    pub(crate) refresh: Option<u32>,
    /// Asked for again every two seconds, script or not: for a page that waits for something.
    pub(crate) hurry: bool,
}

impl Frame {
    pub(crate) fn for_reader(title: impl Into<String>, version: &str, reader: &Reader) -> Self {
        Self {
            form_token: Some(reader.form_token.clone()),
            may_act: reader.may_act,
            refresh: Some(30),
            ..Self::for_stranger(title, version, reader.words)
        }
    }

    pub(crate) fn for_stranger(title: impl Into<String>, version: &str, words: Words) -> Self {
        Self {
            words,
            title: title.into(),
            worst: Tone::Good,
            version: version.to_owned(),
            form_token: None,
            agent: None,
            may_act: false,
            refresh: None,
            hurry: false,
        }
    }

    pub(crate) fn with_agent(mut self, agent: Option<&AgentStatus>) -> Self {
        self.agent = Some(match agent {
            None => State::new(Tone::Bad, self.words.say("agent-none")),
            Some(agent) if agent.healthy => State::new(Tone::Good, self.words.say("agent-works")),
            Some(agent) => State::new(Tone::Bad, agent.health.clone()),
        });
        self
    }

    /// Where several agents share the state, they stand for the one.
    pub(crate) fn with_fleet(mut self, fleet: Option<&FleetStatus>) -> Self {
        let Some(fleet) = fleet else { return self };
        let (lost, members) = (fleet.unowned.len(), fleet.members.len());
        if lost > 0 {
            self.agent = Some(State::new(Tone::Bad, self.words.count("agents-lack", lost)));
        } else if members > 0 {
            self.agent = Some(State::new(Tone::Good, self.words.count("agents-work", members)));
        }
        self
    }

    fn style(&self) -> &'static str {
        &STYLE.path
    }

    fn script(&self) -> &'static str {
        &SCRIPT.path
    }

    fn icon(&self) -> &'static str {
        &assets::icon(self.worst).path
    }

    /// The icons that the script chooses from.
    fn icons(&self) -> [(&'static str, &'static str); 3] {
        [Tone::Good, Tone::Busy, Tone::Bad].map(|tone| (tone.as_str(), &*assets::icon(tone).path))
    }

    /// What the script says, as JSON: it has no words of its own.
    fn script_words(&self) -> String {
        let words = self.words;
        let age = |key| words.put(key, "n", "{n}");
        let (one, many) = (|key| words.count(key, 1), |key| words.put(key, "n", "{n}"));
        let told = |key| {
            let [branch, watch, text] = ["branch", "watch", "text"];
            let places =
                [(branch, "{branch}".into()), (watch, "{watch}".into()), (text, "{text}".into())];
            words.with(key, places)
        };
        json!({
            "now": words.say("now"),
            "ago": words.put("ago", "age", "{age}"),
            "ahead": words.put("ahead", "age", "{age}"),
            "s": age("unit-s"), "min": age("unit-min"), "h": age("unit-h"), "days": age("unit-days"),
            "live": words.say("live"),
            "away": words.say("not-connected"),
            "zone": words.say("times-here"),
            "bad": [one("needs-you"), many("needs-you")],
            "open": [one("under-way"), many("under-way")],
            "sums": sums(words, ["{watches}", "{branches}", "{open}"]),
            "started": told("told-started"),
            "retrying": told("told-retrying"),
            "settled": told("told-settled"),
        })
        .to_string()
    }

    /// The languages that this page is not in.
    fn other_languages(&self) -> impl Iterator<Item = Language> {
        let here = self.words.0;
        Language::ALL.into_iter().filter(move |language| *language != here)
    }
}

/// How many there are of each, in words.
fn sums(words: Words, [watches, branches, open]: [impl ToString; 3]) -> String {
    let pairs = [("watches", watches), ("branches", branches), ("open", open)];
    words.with("sums", pairs.map(|(name, number)| (name, number.to_string().into())))
}

/// A page with a few sentences: an error, or a thing that is waited for.
#[derive(Debug, Template)]
#[template(path = "notice.html")]
pub(crate) struct Notice {
    pub(crate) frame: Frame,
    pub(crate) heading: String,
    pub(crate) lines: Vec<Prose>,
    /// Where to continue: address and text.
    pub(crate) onward: Option<(String, String)>,
}

impl Notice {
    /// An error: what was said of it, below a heading in the reader's language.
    pub(crate) fn of_error(words: Words, Failed { heading, lines }: Failed) -> Self {
        let heading = words.say(heading);
        let frame = Frame::for_stranger(&heading, env!("CARGO_PKG_VERSION"), words);
        let onward = Some(("/".to_owned(), words.say("all-watches")));
        let lines = lines.iter().map(|line| Prose::of(line)).collect();
        Self { frame, heading, lines, onward }
    }
}

/// The page that asks for a token.
#[derive(Debug, Template)]
#[template(path = "login.html")]
pub(crate) struct Login {
    pub(crate) frame: Frame,
    pub(crate) words: Words,
    pub(crate) problem: Option<String>,
    /// Where to continue.
    pub(crate) then: String,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn templates(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let read = |path: std::path::PathBuf| match path.is_dir() {
            true => templates(&path),
            false => vec![std::fs::read_to_string(path).unwrap()],
        };
        entries.flat_map(read).collect()
    }

    #[test]
    fn no_template_takes_a_mere_text_as_it_is() {
        let templates = templates(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"));
        assert!(templates.len() > 10);
        for template in templates {
            let (safe, parts) =
                (template.matches("|safe").count(), template.matches(".part()|safe }}").count());
            assert_eq!(safe, parts, "{template}");
            for banned in ["style=", " onclick", "javascript:", "|e(", "<style", "lang=\"en"] {
                assert!(!template.contains(banned), "{banned} in {template}");
            }
        }
    }
    #[test]
    fn the_same_button_has_one_key_on_one_page_and_no_other_button_or_page_has_it() {
        let reader = sample::reader();
        let again = Reader { nonce: "another".to_owned(), ..sample::reader() };
        let key = reader.key("/trigger");
        assert_eq!((key.len(), &key), (32, &reader.key("/trigger")));
        assert!(key != reader.key("/retry") && key != again.key("/trigger"));
        let act = |watch: &str| {
            let fields = vec![("watch", watch.to_owned())];
            reader.act("Retry".to_owned(), String::new(), "/trigger".to_owned(), fields).unwrap()
        };
        assert_eq!((act("qa"), act("qa").fields.len()), (act("qa"), 2));
        assert_ne!(act("qa").fields[1], act("other").fields[1]);
    }

    #[test]
    fn a_time_stands_where_a_language_has_it() {
        let at = sample::now() - std::time::Duration::from_secs(120);
        let said = Timed::new(&sample::reader(), "trouble-next", at).render().unwrap();
        assert!(said.starts_with("next try <time") && said.ends_with("</time>"), "{said}");
        let reader = Reader { words: Words(Language::Chinese), ..sample::reader() };
        let said = Timed::new(&reader, "trouble-next", at).render().unwrap();
        assert!(said.starts_with("<time") && said.ends_with("</time>再试"), "{said}");
    }

    #[test]
    fn a_page_counts_the_agents_that_share_the_state_and_says_where_one_is_missing() {
        let says = |members: usize, unowned: &[&str]| {
            let member =
                serde_json::json!({"holder": "h", "seconds": 1, "slots": [], "watches": 0});
            let fleet = serde_json::json!({"members": vec![member; members], "unowned": unowned});
            let fleet = serde_json::from_value(fleet).unwrap();
            let frame = Frame::for_reader("Watches", "1", &sample::reader()).with_agent(None);
            frame.with_fleet(Some(&fleet)).agent.unwrap()
        };
        let told = |state: State| (state.tone, state.word);
        assert_eq!(told(says(3, &[])), (Tone::Good, "3 agents work".to_owned()));
        assert_eq!(told(says(1, &[])), (Tone::Good, "1 agent works".to_owned()));
        assert_eq!(told(says(2, &["a"])), (Tone::Bad, "no agent works for 1 watch".to_owned()));
        assert_eq!(says(0, &[]).tone, Tone::Bad);
    }

    #[test]
    fn a_page_says_whether_an_agent_works() {
        let frame = |agent: Option<serde_json::Value>| {
            let agent = agent.map(|agent| serde_json::from_value(agent).unwrap());
            Frame::for_reader("Watches", "1", &sample::reader())
                .with_agent(agent.as_ref())
                .agent
                .unwrap()
        };
        let agent = |healthy: bool, health: &str| {
            let at = sample::NOW;
            Some(serde_json::json!({
                "holder": "h", "started": at, "beat": at, "healthy": healthy, "health": health, "forges": [],
            }))
        };
        assert_eq!(frame(None), State::new(Tone::Bad, "no agent has run here yet"));
        assert_eq!(frame(agent(true, "fine")), State::new(Tone::Good, "agent works"));
        assert_eq!(frame(agent(false, "has ended")), State::new(Tone::Bad, "has ended"));
    }
}
