//! Several agents, one state in PostgreSQL: they share the work, and take over from each other.

use rustix::process::Signal;
use sentry_tests::crew::{Crew, Member};
use sentry_tests::postgres::PASSWORD;
use sentry_tests::proxy::Link;
use sentry_tests::sandbox::{Agent, eventually};
use sentry_tests::wire::{Wired, borrowed, github};
use serde_json::Value;

fn started(crew: &Crew, member: &Member) -> Wired {
    Wired::of(crew.start(member))
}

fn until_ready(agent: &Wired) {
    eventually("it is ready", || agent.get("/readyz").0 == 200);
}

/// Pushes to each branch and waits until all is delivered and reported, each head once.
#[track_caller]
fn push_and_judge(crew: &mut Crew) {
    let before = crew.runs();
    crew.branches().for_each(|branch| crew.push(&branch));
    eventually("each head is delivered", || crew.is_delivered());
    eventually("each verdict is shown", || crew.is_reported());
    assert_eq!((crew.runs() - before, crew.doubled()), (crew.runs_of_all(), 0));
    assert_eq!(crew.older_after_newer(), 0);
}

fn told_nothing_secret(agent: Agent) {
    let ended = agent.term();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for secret in [PASSWORD, HOOK, PAGE] {
        assert!(!ended.stderr.contains(secret), "{ended:?}");
    }
}

#[test]
fn two_agents_deliver_each_head_once_and_one_takes_over_when_the_other_is_killed_or_ends() {
    let mut crew = Crew::new(4);
    let (one, two) = (crew.member("one"), crew.member("two"));
    let (first, second) = (started(&crew, &one), started(&crew, &two));
    crew.until_seen();
    until_ready(&first);
    until_ready(&second);
    push_and_judge(&mut crew);

    // Killed is whoever owns something: both were there before anything was pushed.
    let (killed, other) = match crew.slots_of(first.agent.id()) {
        0 => (second, first),
        _ => (first, second),
    };
    let lost = crew.slots_of(killed.agent.id());
    assert!(lost > 0);
    killed.agent.kill9();
    push_and_judge(&mut crew);
    assert!(crew.slots_of(other.agent.id()) >= lost);

    let third = started(&crew, &one);
    until_ready(&third);
    let ended = other.agent.id();
    told_nothing_secret(other.agent);
    // Before its lease is over.
    assert_eq!(crew.slots_of(ended), 0, "what it owned is given back");
    push_and_judge(&mut crew);
    told_nothing_secret(third.agent);
    assert_eq!(crew.unowned().to_string(), crew.sql("SELECT count(*) FROM slots"));
}

#[test]
fn a_database_that_is_away_is_waited_for_and_nothing_is_delivered_meanwhile() {
    let mut crew = Crew::new(2);
    let one = crew.member("one");
    one.link.refuse();
    let mut agent = started(&crew, &one);
    agent.agent.wait_for_log("can't write the state");
    let (code, body) = agent.get("/readyz");
    assert!(code == 503 && body.contains("the state can't be written"), "{body}");
    assert_eq!(agent.get("/livez").0, 200);
    let status = crew.sentry(&one, &["status"]);
    assert_eq!(status.code, Some(2), "{status:?}");
    assert!(status.stderr.contains("hint: check that the database runs"), "{status:?}");
    one.link.accept();
    crew.until_seen();
    until_ready(&agent);
    push_and_judge(&mut crew);

    let (runs, writes) = (crew.runs(), crew.cluster.writes());
    one.link.refuse();
    crew.branches().for_each(|branch| crew.push(&branch));
    agent.agent.wait_for_log("slot lost");
    assert_eq!(agent.get("/readyz").0, 503);
    assert_eq!((crew.runs(), crew.cluster.writes()), (runs, writes), "from memory");
    one.link.accept();
    eventually("each head is delivered", || crew.is_delivered());
    assert_eq!(crew.doubled(), 0);
    until_ready(&agent);
    told_nothing_secret(agent.agent);
}

#[test]
fn commands_read_and_write_the_state_that_the_agents_share() {
    let mut crew = Crew::new(1);
    let one = crew.member("one");
    let run = |crew: &Crew, args: &[&str]| crew.sentry(&one, args);
    let empty = run(&crew, &["status"]);
    assert!(empty.stdout.contains("no state in postgres://"), "{empty:?}");
    assert_eq!(crew.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
    let online = run(&crew, &["validate", "--online"]);
    assert_eq!(online.code, Some(0), "{online:?}");
    let agent = started(&crew, &one);
    crew.until_seen();
    push_and_judge(&mut crew);
    let head = crew.heads().remove(0);
    let why = run(&crew, &["why", &head]);
    assert!(why.code == Some(0) && why.stdout.contains("delivered"), "{why:?}");
    let suspended = run(&crew, &["suspend", "w0", "--reason", "lunch"]);
    assert_eq!(suspended.code, Some(0), "{suspended:?}");
    let status = run(&crew, &["status"]);
    assert!(
        status.stdout.contains("lunch") && status.stdout.contains("agent process"),
        "{status:?}"
    );
    assert_eq!(run(&crew, &["resume", "w0"]).code, Some(0));
    let triggered = run(&crew, &["trigger", "w0", "--branch", "b0"]);
    assert_eq!(triggered.code, Some(0), "{triggered:?}");
    assert!(triggered.stderr.contains("another agent is running"), "{triggered:?}");
    let history = run(&crew, &["history", "-o", "json"]);
    let history: Value = serde_json::from_str(&history.stdout).unwrap();
    let id = history["deliveries"][0]["id"].as_str().unwrap();
    assert_eq!(history["deliveries"].as_array().unwrap().len(), 2, "{history}");
    assert_eq!(run(&crew, &["show", id]).code, Some(0));
    let audit = run(&crew, &["audit"]);
    assert!(audit.stdout.contains("suspend") && audit.stdout.contains("trigger"), "{audit:?}");
    assert_eq!(run(&crew, &["explain", "w0"]).code, Some(0));
    told_nothing_secret(agent.agent);

    let waits = run(&crew, &["trigger", "w0", "--branch", "b0", "--no-wait"]);
    assert_eq!(waits.code, Some(0), "{waits:?}");
    for (args, why) in [
        (&["watch", "--once"][..], "--once"),
        (&["watch", "--state-dir", "/nowhere"], "--state-dir"),
    ] {
        let refused = run(&crew, args);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains(why) && refused.stderr.contains("hint:"), "{refused:?}");
    }
    let dry = run(&crew, &["watch", "--once", "--dry-run"]);
    assert_eq!(dry.code, Some(0), "{dry:?}");
}

#[test]
fn a_new_configuration_is_taken_by_one_agent_after_the_other() {
    let mut crew = Crew::new(3);
    let (one, two) = (crew.member("one"), crew.member("two"));
    for member in [&one, &two] {
        std::fs::write(member.config(), crew.config(member.link.port(), 2)).unwrap();
    }
    let (first, second) = (started(&crew, &one), started(&crew, &two));
    until_ready(&first);
    until_ready(&second);
    for (member, agent) in [(&one, &first), (&two, &second)] {
        std::fs::write(member.config(), crew.config(member.link.port(), 3)).unwrap();
        agent.agent.signal(Signal::HUP);
        eventually("it is taken", || {
            agent.agent.stderr_so_far().contains("loading the new configuration")
        });
        until_ready(agent);
    }
    crew.until_seen();
    push_and_judge(&mut crew);
    let elsewhere = crew.config(one.link.port(), 3).replace("/test_", "/other_");
    std::fs::write(one.config(), elsewhere).unwrap();
    first.agent.signal(Signal::HUP);
    eventually("it is refused", || {
        first.agent.stderr_so_far().contains("`state` can't change while the agent is running")
    });
    told_nothing_secret(first.agent);
    told_nothing_secret(second.agent);
}

#[test]
fn a_state_goes_to_a_database_and_back_whole_and_never_over_another_one_or_from_under_an_agent() {
    let mut crew = Crew::new(2);
    let one = crew.member("one");
    let shared = std::fs::read_to_string(one.config()).unwrap();
    let (_, alone) = shared.split_once('\n').unwrap();
    let [first, last] = ["first", "last"].map(|name| crew.sandbox.work().join(name));
    let alone = |dir: &std::path::Path| format!("state_dir: '{}'\n{alone}", dir.display());
    let copy = |crew: &Crew, from: &std::path::Path, to: &std::path::Path| {
        let [from, to] = [from, to].map(|place| place.display().to_string());
        crew.sentry(&one, &["state", "copy", "--from", &from, "--to", &to])
    };
    let postgres = std::path::Path::new("postgres");

    std::fs::write(one.config(), alone(&first)).unwrap();
    let agent = started(&crew, &one);
    until_ready(&agent);
    push_and_judge(&mut crew);
    std::fs::write(one.config(), &shared).unwrap();
    let held = copy(&crew, &first, postgres);
    assert_eq!(held.code, Some(4), "{held:?}");
    assert_eq!(agent.agent.term().code, Some(0));
    let told = |crew: &Crew| {
        let history = crew.sentry(&one, &["history", "-o", "json"]);
        assert_eq!(history.code, Some(0), "{history:?}");
        history.stdout
    };
    std::fs::write(one.config(), alone(&first)).unwrap();
    let before = told(&crew);
    std::fs::write(one.config(), &shared).unwrap();
    let copied = copy(&crew, &first, postgres);
    assert_eq!(copied.code, Some(0), "{copied:?}");
    assert_eq!(told(&crew), before);
    let again = copy(&crew, &first, postgres);
    assert!(again.code == Some(2) && again.stderr.contains("is not empty"), "{again:?}");

    let agent = started(&crew, &one);
    until_ready(&agent);
    push_and_judge(&mut crew);
    let held = copy(&crew, postgres, &last);
    assert_eq!(held.code, Some(4), "{held:?}");
    told_nothing_secret(agent.agent);
    let before = told(&crew);
    let back = copy(&crew, postgres, &last);
    assert_eq!(back.code, Some(0), "{back:?}");
    std::fs::write(one.config(), alone(&last)).unwrap();
    assert_eq!(told(&crew), before);
    let agent = started(&crew, &one);
    until_ready(&agent);
    push_and_judge(&mut crew);
    assert_eq!(agent.agent.term().code, Some(0));
}

/// The secret of the forge's webhooks.
const HOOK: &str = "canary-s3cret-of-the-hooks";

/// The page's token.
const PAGE: &str = "canary-t0ken-of-the-page";

/// Two agents that share a state with a watch, and which of them works for it. An hour lies between two polls: what is
/// delivered is delivered because the owner was told.
struct Told {
    crew: Crew,
    owner: Wired,
    other: Wired,
    /// The owner's link to the database, and the other's.
    links: [Member; 2],
}

impl Told {
    fn start() -> Self {
        let mut crew = Crew::new(1);
        crew.sandbox.env("HOOK", HOOK).env("PAGE", PAGE);
        let (one, two) = (crew.member("one"), crew.member("two"));
        for member in [&one, &two] {
            let config = crew.config(member.link.port(), 1);
            let hourly = config
                .replace("polling_interval: 1", "polling_interval: 3600")
                .replace("token: '${HUB}'", "token: '${HUB}', webhook_secret: '${HOOK}'");
            let served = format!("server: {{trigger_token: '${{PAGE}}'}}\n{hourly}");
            std::fs::write(member.config(), served).unwrap();
        }
        let (owner, other) = (started(&crew, &one), started(&crew, &two));
        crew.until_seen();
        until_ready(&owner);
        until_ready(&other);
        let (owner, other, links) = match crew.slots_of(owner.agent.id()) {
            0 => (other, owner, [two, one]),
            _ => (owner, other, [one, two]),
        };
        Self { crew, owner, other, links }
    }

    #[track_caller]
    fn until_delivered(&self) {
        eventually("the head is delivered", || self.crew.is_delivered());
        assert_eq!(self.crew.doubled(), 0);
        for agent in [&self.owner, &self.other] {
            assert!(!agent.agent.stderr_so_far().contains("slot lost"), "it was taken over");
        }
    }

    fn end(self) {
        for agent in [self.owner.agent, self.other.agent] {
            told_nothing_secret(agent);
        }
    }
}

/// A webhook about the newest push to A.
fn hook(crew: &Crew, agent: &Wired) {
    let push = format!(
        r#"{{"ref":"refs/heads/b0","after":"{}","repository":{{"id":1,"full_name":"product/app"}}}}"#,
        crew.heads()[0]
    );
    let headers = github(HOOK, "push", push.as_bytes());
    let (code, text) = agent.post("/webhooks/github", &borrowed(&headers), push.as_bytes());
    assert!(code == 202 && text.contains("polled now"), "{text}");
}

#[test]
fn a_webhook_at_any_agent_has_the_owner_poll_now() {
    let mut told = Told::start();
    for agent in [&told.other, &told.owner, &told.other] {
        told.crew.push("b0");
        hook(&told.crew, agent);
        told.until_delivered();
    }
    told.end();
}

#[test]
fn an_owner_whose_link_was_cut_for_a_moment_looks_for_what_it_was_not_told() {
    let mut told = Told::start();
    // Nobody tells of this one: as if its webhook had come while the link was cut.
    told.crew.push("b0");
    told.links[0].link.turn(Link::Fine);
    told.until_delivered();
    // And is told again from then on.
    told.crew.push("b0");
    hook(&told.crew, &told.other);
    told.until_delivered();
    told.end();
}

/// What a browser does at an agent: the answer to a form.
fn posted(agent: &Wired, path: &str, cookie: &str, form: &str) -> String {
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "same-origin"),
        ("cookie", cookie),
    ];
    agent.whole("POST", path, &headers, form.as_bytes())
}

/// The first page, for who has this cookie.
fn first_page(agent: &Wired, cookie: &str) -> (u16, String) {
    agent.exchange("GET", "/", &[("cookie", cookie)], b"")
}

#[test]
fn who_is_logged_in_at_one_agent_is_at_all_until_a_logout_at_any() {
    let told = Told::start();
    let entered = posted(&told.owner, "/login", "", &format!("token={PAGE}"));
    let (_, cookie) = entered.split_once("set-cookie: ").unwrap();
    let (cookie, _) = cookie.split_once(';').unwrap();
    for agent in [&told.owner, &told.other] {
        assert_eq!(first_page(agent, cookie).0, 200);
        assert_eq!(
            first_page(agent, &cookie.replace("session=", "session=0")).0,
            303,
            "a forged one"
        );
    }
    let (_, page) = first_page(&told.owner, cookie);
    let (_, form) =
        page.split_once(r#"action="/logout"><input type="hidden" name="form" value=""#).unwrap();
    let (form, _) = form.split_once('"').unwrap();
    let wrong = posted(&told.other, "/logout", cookie, &format!("form={}", "0".repeat(128)));
    assert!(wrong.starts_with("HTTP/1.1 403"), "{wrong}");
    // A form that one has made is sent to the other.
    let left = posted(&told.other, "/logout", cookie, &format!("form={form}"));
    assert!(left.starts_with("HTTP/1.1 303"), "{left}");
    for agent in [&told.other, &told.owner] {
        assert_eq!(first_page(agent, cookie).0, 303);
    }
    told.end();
}
