//! The program from outside: what it prints, what it leaves behind, which code it ends with.

#[cfg(test)]
mod demo;
#[cfg(test)]
mod init;
#[cfg(test)]
mod linting;
#[cfg(test)]
mod look;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod online;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod sandbox;
#[cfg(test)]
mod shells;
#[cfg(test)]
mod watching;

use sandbox::Sandbox;
use sentry_core::delivery::{Delivery, DeliveryState, TriggerKind};
use sentry_core::store::{WatchState, Write};
use sentry_core::testing::sample;
use serde_json::Value;

#[test]
fn help_lists_every_command_of_the_contract() {
    let help = Sandbox::new().ok(&["--help"]);
    for command in [
        "watch",
        "trigger",
        "validate",
        "status",
        "history",
        "show",
        "why",
        "explain",
        "lint",
        "diff",
        "retry",
        "rerun",
        "suspend",
        "resume",
        "init",
        "demo",
        "schema",
        "completions",
        "man",
        "open",
        "version",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in\n{help}");
    }
}

#[test]
fn a_wrong_command_line_is_exit_code_2_and_prints_nothing_to_stdout() {
    let sandbox = Sandbox::new();
    for args in [&["no-such-command"][..], &["status", "--nope"], &[], &["why", "main"]] {
        let run = sandbox.run(args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}");
        assert!(!run.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn without_a_configuration_every_place_is_named_with_the_remedy() {
    let run = Sandbox::new().run(&["validate"]);
    assert_eq!(run.code, 2);
    insta::assert_snapshot!(run.stderr, @r"
    error: no configuration file; looked for sentry.yaml, /config/sentry.yaml, /etc/sentry/sentry.yaml
    hint: create one with `sentry init`, or name one with --config
    ");
}

#[test]
fn all_problems_of_a_file_are_printed_at_once_with_line_and_remedy() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "sentry.yaml",
        "forges:\n  hub: {type: github, token: \"${GITHUB_TOKEN}\"}\nwatchs: []\n",
    );
    let run = sandbox.run(&["validate"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("sentry.yaml:2:") && run.stderr.contains("GITHUB_TOKEN"),
        "{run:?}"
    );
    assert!(run.stderr.contains("sentry.yaml:3:") && run.stderr.contains("watches"), "{run:?}");
    let json = sandbox.run(&["validate", "-o", "json"]);
    let value: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &value["valid"]), (2, &Value::Bool(false)));
    assert!(value["problems"].as_array().unwrap().len() >= 2);
}

#[test]
fn the_one_dash_form_means_the_command() {
    let sandbox = Sandbox::with_repositories();
    assert_eq!(sandbox.ok(&["-action=validate"]), sandbox.ok(&["validate"]));
    assert_eq!(sandbox.ok(&["-action", "status"]), sandbox.ok(&["status"]));
    assert_eq!(sandbox.run(&["-action=nonsense"]).code, 2);
}

#[test]
fn before_the_first_watch_every_question_has_an_answer() {
    let sandbox = Sandbox::new();
    assert_eq!(
        sandbox.json(&["status", "-o", "json"]),
        serde_json::json!({"version": 1, "watches": []})
    );
    let history = sandbox.json(&["history", "-o", "json"]);
    assert_eq!(history, serde_json::json!({"version": 1, "deliveries": []}));
    let unknown = sandbox.run(&["why", "abcdef1"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert_eq!(sandbox.run(&["status", "--check"]).code, 1);
    assert_eq!(sandbox.run(&["show", "01hf7y"]).code, 2);
    assert!(!sandbox.path("state").exists(), "a question made state");
}

#[test]
fn a_change_is_delivered_once_and_can_be_explained() {
    let sandbox = Sandbox::with_repositories();
    let first = sandbox.ok(&["watch", "--once"]);
    assert_eq!(first, "nothing to deliver\n");
    let base = sandbox.head("a");
    assert!(sandbox.ok(&["why", &base[..7]]).contains(&format!("{base}: baseline")));
    let sha = sandbox.commit("a", "file", "2");
    assert!(sandbox.ok(&["watch", "--once"]).contains(&format!("main@sha1:{sha}  succeeded")));
    let history = sandbox.json(&["history", "-o", "json"]);
    let delivery = &history["deliveries"][0];
    assert_eq!(delivery["revision"], sha.as_str());
    assert_eq!((&delivery["state"], &delivery["trigger"]), (&"succeeded".into(), &"change".into()));
    assert_eq!(delivery["manifests_revision"], sandbox.head("b").as_str());
    let keys: Vec<&String> = delivery.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "branch",
            "commit",
            "dry_run",
            "error",
            "finished",
            "following_since",
            "id",
            "manifests_revision",
            "objects",
            "revision",
            "runs",
            "started",
            "state",
            "subject",
            "trigger",
            "verdict",
            "watch"
        ]
    );
    let id = delivery["id"].as_str().unwrap();
    assert!(sandbox.ok(&["show", &id[..20]]).contains(&format!("commit     main@sha1:{sha}")));
    assert_eq!(sandbox.json(&["show", id, "-o", "json"])["delivery"], *delivery);
}

#[test]
fn the_status_has_exactly_the_documented_shape() {
    let sandbox = Sandbox::with_repositories();
    sandbox.ok(&["watch", "--once"]);
    let mut status = sandbox.json(&["status", "-o", "json"]);
    let observed = &mut status["watches"][0]["branches"][0]["observed"];
    assert_eq!(observed["sha"], sandbox.head("a").as_str());
    *observed = Value::from("checked");
    assert_eq!(status["agent"]["forges"][0]["forge"], "git");
    status["agent"] = Value::from("checked");
    insta::assert_snapshot!(status.to_string(), @r#"{"agent":"checked","version":1,"watches":[{"branches":[{"attempted":null,"branch":"main","delivered":null,"last_error":null,"manifests_revision":null,"next_attempt":null,"observed":"checked","runs":{"failed":0,"running":0,"succeeded":0,"total":0},"state":"baseline","subject":{"kind":"branch","name":"main"},"verdict":null}],"name":"qa","suspended":false}]}"#);
    assert_eq!(sandbox.run(&["status", "nope"]).code, 2);
}

#[test]
fn a_trigger_delivers_the_head_now_and_a_dry_run_writes_nothing() {
    let sandbox = Sandbox::with_repositories();
    let dry = sandbox.ok(&["trigger", "--dry-run"]);
    assert!(dry.contains("would write 2 objects; nothing was written"), "{dry}");
    assert!(!sandbox.path("state").exists(), "a dry run made state");
    let text = sandbox.ok(&["trigger", "qa", "--idempotency-key", "k"]);
    assert!(text.contains("trigger    manual"), "{text}");
    let once = sandbox.ok(&["trigger", "qa", "--idempotency-key", "k"]);
    assert_eq!(once.lines().next(), text.lines().next(), "the same key made another delivery");
    assert_eq!(sandbox.json(&["history", "-o", "json"])["deliveries"].as_array().unwrap().len(), 1);
}

#[test]
fn a_trigger_keeps_the_event_and_the_run_that_it_names() {
    let sandbox = Sandbox::with_repositories();
    let id = sandbox.ok(&["trigger", "--event", "nightly", "--run", "r-", "--no-wait"]);
    let kept = sandbox.trigger(id.trim());
    let Some(TriggerKind::Deliver { selection, .. }) = kept.map(|t| t.kind) else { panic!("{id}") };
    assert_eq!(
        (selection.event.unwrap().as_str(), selection.run.as_deref()),
        ("nightly", Some("r-"))
    );
    for args in [["--event", ""], ["--run", ""]] {
        assert_eq!(sandbox.run(&[&["trigger"][..], &args].concat()).code, 2, "{args:?}");
    }
}

/// Delivers to a cluster that does not answer.
fn without_a_cluster(sandbox: &Sandbox) {
    let away = "{deployer: kubectl, context: none, namespace: qa}";
    let config = sandbox.read("sentry.yaml").replace("{deployer: dry-run, namespace: qa}", away);
    sandbox.write("sentry.yaml", &config);
    let kubeconfig = "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n\
                      contexts: [{name: none, context: {cluster: c, user: ''}}]\n";
    sandbox.write(".kube/config", kubeconfig);
}

#[test]
fn a_diff_from_who_can_not_tell_one_names_the_reason() {
    let sandbox = Sandbox::with_repositories();
    without_a_cluster(&sandbox);
    let run = sandbox.run(&["diff"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    assert!(!sandbox.path("state").exists(), "a question made state");
    assert_eq!(sandbox.run(&["diff", "--branch", "other"]).code, 2);
}

#[test]
fn a_diff_of_refused_documents_says_that_nothing_would_be_delivered() {
    let sandbox = Sandbox::with_repositories();
    sandbox.commit("b", ".tekton/bad.yaml", "kind: Task\napiVersion: tekton.dev/v1\n");
    let run = sandbox.run(&["diff"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("bad.yaml:1"), "{}", run.stderr);
    assert!(run.stdout.contains("nothing would be delivered"), "{}", run.stdout);
}

#[test]
fn a_trigger_for_a_commit_that_is_not_there_fails_and_says_so() {
    let sandbox = Sandbox::with_repositories();
    let run = sandbox.run(&["trigger", "--revision", &"1".repeat(40)]);
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains(&"1".repeat(40)), "{run:?}");
}

#[test]
fn a_dry_watch_shows_and_keeps_nothing() {
    let sandbox = Sandbox::with_repositories();
    let config = sandbox.read("sentry.yaml").replace("dry-run", "kubectl");
    sandbox.write("sentry.yaml", &format!("{config}    on_first_sight: deliver\n"));
    let text = sandbox.ok(&["watch", "--once", "--dry-run"]);
    assert!(text.contains("2 objects: 2 created"), "{text}");
    assert!(!sandbox.path("state").exists(), "a dry run made state");
}

#[test]
fn a_trigger_for_what_is_not_watched_names_what_is() {
    let sandbox = Sandbox::with_repositories();
    let run = sandbox.run(&["trigger", "--branch", "other"]);
    assert_eq!(run.code, 2);
    insta::assert_snapshot!(run.stderr, @r"
    error: watch qa does not watch branch other
    hint: its branches are main
    ");
    assert_eq!(sandbox.run(&["trigger", "nope"]).code, 2);
}

#[test]
fn a_request_that_does_not_wait_is_kept_and_answered_by_the_next_pass() {
    let sandbox = Sandbox::with_repositories();
    let id = sandbox.ok(&["trigger", "--no-wait"]);
    assert_eq!(id.trim().len(), 26, "{id}");
    sandbox.ok(&["watch", "--once"]);
    let history = sandbox.json(&["history", "-o", "json"]);
    assert_eq!(history["deliveries"][0]["trigger"], "manual");
    let delivery = history["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let retry = sandbox.run(&["retry", &delivery]);
    assert_eq!(retry.code, 2, "a succeeded delivery was retried");
    assert!(sandbox.ok(&["rerun", &delivery]).contains("trigger    rerun"));
}

#[test]
fn a_suspended_watch_starts_nothing_until_it_is_resumed() {
    let sandbox = Sandbox::with_repositories();
    sandbox.ok(&["watch", "--once"]);
    sandbox.ok(&["suspend", "qa", "--reason", "holiday", "--for", "2h"]);
    assert!(sandbox.ok(&["status"]).contains("holiday"));
    let sha = sandbox.commit("a", "file", "2");
    sandbox.ok(&["watch", "--once"]);
    assert!(sandbox.ok(&["why", &sha]).starts_with(&format!("{sha}: suspended")));
    sandbox.ok(&["resume", "qa"]);
    assert!(sandbox.ok(&["watch", "--once"]).contains(&sha));
    assert_eq!(sandbox.run(&["suspend", "nope"]).code, 2);
}

#[test]
fn the_audit_log_names_who_gave_each_command_and_is_told_to_its_end() {
    let sandbox = Sandbox::with_repositories();
    sandbox.ok(&["watch", "--once"]);
    assert!(sandbox.ok(&["audit"]).starts_with("nobody asked for anything"));
    sandbox.ok(&["trigger", "--no-wait"]);
    sandbox.ok(&["suspend", "qa", "--reason", "holiday"]);
    sandbox.ok(&["resume", "qa"]);
    sandbox.run(&["suspend", "nope"]);
    let audit = sandbox.json(&["audit", "-o", "json"]);
    let acts = audit["acts"].as_array().unwrap();
    let told: Vec<_> = acts.iter().map(|act| act["act"].as_str().unwrap()).collect();
    assert_eq!(told, ["resume", "suspend", "trigger"]);
    let by = acts[0]["by"].as_str().unwrap();
    assert!(!by.is_empty() && acts.iter().all(|act| act["by"] == by), "{audit}");
    let mine = sandbox.json(&["audit", "--by", by, "-n", "2", "-o", "json"]);
    let (found, next) = (mine["acts"].as_array().unwrap().len(), mine["next"].to_string());
    assert_eq!(found, 2);
    let rest = sandbox.json(&["audit", "--before", &next, "-o", "json"]);
    assert_eq!((rest["acts"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let table = sandbox.ok(&["audit", "--since", "1h"]);
    assert!(table.contains("holiday") && table.contains("main"), "{table}");
    assert!(sandbox.ok(&["audit", "--by", "nobody-else"]).starts_with("nobody asked"));
}

#[test]
fn a_cancelled_delivery_never_starts_and_its_head_is_settled() {
    let sandbox = Sandbox::with_repositories();
    without_a_cluster(&sandbox);
    sandbox.ok(&["watch", "--once"]);
    std::fs::remove_dir_all(sandbox.path("b/.tekton")).unwrap();
    sandbox.commit("b", "other", "no directory");
    let sha = sandbox.commit("a", "file", "2");
    sandbox.run(&["watch", "--once"]);
    let history = sandbox.json(&["history", "-o", "json"]);
    let id = history["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let state = history["deliveries"][0]["state"].as_str().unwrap();
    assert!(["parked", "pending"].contains(&state), "{history}");
    let done = sandbox.run(&["cancel", &id]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("cancelled"), "{done:?}");
    let status = sandbox.json(&["status", "-o", "json"]);
    assert_eq!(status["watches"][0]["branches"][0]["state"], "cancelled", "{status}");
    assert!(sandbox.ok(&["why", &sha]).starts_with(&format!("{sha}: cancelled")));
    let again = sandbox.run(&["cancel", &id]);
    assert_eq!(again.code, 2, "{again:?}");
}

#[test]
fn lint_and_explain_say_what_would_be_done_with_each_document() {
    let sandbox = Sandbox::with_repositories();
    let lint = sandbox.json(&["lint", "b/.tekton", "-o", "json"]);
    let documents = lint["documents"].as_array().unwrap();
    let decisions: Vec<_> = documents.iter().map(|d| d["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["apply", "run"]);
    let explain = sandbox.json(&["explain", "-o", "json"]);
    assert_eq!(explain["documents"].as_array().unwrap().len(), 2);
    sandbox.write(
        "b/.tekton/bad.yaml",
        "kind: ClusterRole\napiVersion: rbac.authorization.k8s.io/v1\nmetadata: {name: x}\n",
    );
    let refused = sandbox.run(&["lint", "b/.tekton"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stdout.contains("bad.yaml"), "{}", refused.stdout);
}

const ANNOTATED: &str = "apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  generateName: nightly-
  annotations:
    pipelinesascode.tekton.dev/on-event: nightly
    pipelinesascode.tekton.dev/on-target-branch: main
spec: {pipelineRef: {name: suite}, params: [{name: s, value: '{{ git_auth_secret }}'}]}
";

#[test]
fn lint_judges_runs_for_an_event_and_a_branch_and_tells_what_is_missing() {
    let sandbox = Sandbox::new();
    sandbox.write("t/run.yaml", ANNOTATED);
    let decision = |args: &[&str]| {
        let run = sandbox.run(&[&["lint", "t", "-o", "json"], args].concat());
        let value: Value = serde_json::from_str(&run.stdout).unwrap();
        (run.code, value["documents"][0]["decision"].clone(), value["notes"].to_string())
    };
    let (code, word, _) = decision(&[]);
    assert_eq!((code, word), (0, "skip".into()));
    let (code, word, _) = decision(&["--event", "nightly", "--branch", "dev"]);
    assert_eq!((code, word), (0, "skip".into()));
    let (code, word, notes) = decision(&["--event", "nightly"]);
    assert_eq!((code, word), (1, "run".into()), "the pipeline is missing: {notes}");
    assert!(notes.contains("Pipeline suite is not in the directory"), "{notes}");
    assert!(notes.contains("depends on the watch's settings: `{{ git_auth_secret }}`"), "{notes}");
    let pipeline = "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: suite, namespace: qa}\n\
                    spec: {tasks: []}\n";
    sandbox.write("t/p.yaml", pipeline);
    let (code, _, notes) = decision(&["--event", "nightly"]);
    assert_eq!(code, 0, "{notes}");
    assert!(notes.contains("depends on the watch's settings: `metadata.namespace: qa`"), "{notes}");
}

#[test]
fn a_trigger_for_a_run_that_is_not_there_names_those_that_are() {
    let sandbox = Sandbox::with_repositories();
    let dry = sandbox.run(&["trigger", "--run", "nope", "--dry-run"]);
    assert_eq!(dry.code, 1, "{dry:?}");
    assert!(dry.stderr.contains("there is no run nope") && dry.stderr.contains("r-"), "{dry:?}");
    let one = sandbox.ok(&["trigger", "--run", "r-", "--dry-run"]);
    assert!(one.contains("PipelineRun"), "{one}");
}

#[test]
fn one_agent_holds_the_state_and_triggers_of_others_are_followed() {
    let sandbox = Sandbox::with_repositories();
    let agent = sandbox.start(&["watch"]);
    sandbox.eventually(|| sandbox.run(&["status", "--check"]).code == 0);
    let second = sandbox.run(&["watch", "--once"]);
    assert_eq!(second.code, 4, "{second:?}");
    let holder = format!("process {}", agent.id());
    assert!(second.stderr.contains(&holder), "{}", second.stderr);
    let text = sandbox.ok(&["trigger"]);
    assert!(text.contains("state      succeeded"), "{text}");
    assert_eq!(agent.stop(), Some(0));
    let check = sandbox.run(&["status", "--check"]);
    assert!(check.code == 1 && check.stdout.contains(&format!("{holder} on ")), "{check:?}");
    for told in [check.stdout, sandbox.ok(&["status"])] {
        assert!(
            told.contains("no agent is running on this state") && told.contains(" stopped "),
            "{told}"
        );
    }
}

#[test]
fn log_lines_go_to_stderr_as_text_or_json_and_colours_only_where_asked() {
    let sandbox = Sandbox::with_repositories();
    let json = sandbox.run(&["watch", "--once", "--log-format", "json"]);
    for line in json.stderr.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(value["level"].is_string() && value["message"].is_string(), "{line}");
    }
    assert!(json.stderr.contains(&format!("main@sha1:{}", sandbox.head("a"))), "{}", json.stderr);
    assert_eq!(json.stdout, "nothing to deliver\n");
    assert_eq!(sandbox.run(&["watch", "--once", "--log-level", "error"]).stderr, "");
    let colored = sandbox.ok(&["status", "--color", "always"]);
    assert!(colored.contains('\u{1b}'), "{colored:?}");
    assert!(!sandbox.ok(&["status"]).contains('\u{1b}'));
}

#[test]
fn generated_texts_are_whole() {
    let sandbox = Sandbox::new();
    let schema = sandbox.json(&["schema"]);
    assert!(schema["$schema"].is_string(), "{schema}");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(sandbox.ok(&["completions", shell]).contains("SENTRY_COMPLETE"), "{shell}");
    }
    let version = sandbox.json(&["version", "-o", "json"]);
    assert_eq!(version["release"], env!("CARGO_PKG_VERSION"));
    assert!(version["features"]["forges"].as_array().unwrap().len() > 3, "{version}");
}

#[test]
fn the_page_of_everything_a_watch_or_a_delivery_has_an_address() {
    let sandbox = Sandbox::with_repositories();
    let none = sandbox.run(&["open"]);
    assert!(none.code == 2 && none.stderr.contains("server.public_url"), "{none:?}");
    let config = sandbox.read("sentry.yaml");
    let public = "server: {public_url: 'https://sentry.example.com/qa/'}\n";
    sandbox.write("sentry.yaml", &format!("{public}{config}"));
    sandbox.ok(&["watch", "--once"]);
    sandbox.commit("a", "file", "2");
    sandbox.ok(&["watch", "--once"]);
    let id = sandbox.ok(&["history", "-o", "name"]);
    let base = "https://sentry.example.com/qa/";
    assert_eq!(sandbox.ok(&["open"]), format!("{base}\n"));
    assert_eq!(sandbox.ok(&["open", "qa"]), format!("{base}watches/qa\n"));
    assert_eq!(sandbox.ok(&["open", &id[..12]]), format!("{base}deliveries/{id}"));
    let unknown = sandbox.run(&["open", "nope"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("neither a watch nor"), "{unknown:?}");
}

#[test]
fn a_history_is_filtered_and_its_end_is_reached_page_by_page() {
    let sandbox = Sandbox::with_repositories();
    let delivery = |n: u32| {
        let mut delivery = Delivery { watch: sample::watch("qa"), ..sample::delivery(n) };
        delivery.state = [DeliveryState::Failed, DeliveryState::Succeeded][n as usize % 2];
        delivery.revision.subject = sample::subject(["main", "pay/1", "pay/2"][n as usize % 3]);
        Write::Delivery(Box::new(delivery))
    };
    sandbox.keep(&(1..=6).map(delivery).collect::<Vec<_>>());
    for (args, found) in [
        (&["--branch", "pay/1"][..], &[4, 1][..]),
        (&["--failed"], &[6, 4, 2]),
        (&["--state", "succeeded,parked"], &[5, 3, 1]),
        (&["--since", "2026-09-21T14:13:25Z"], &[6, 5]),
        (&["--author", "ADA", "--search", "pay/"], &[5, 4, 2, 1]),
        (&["--search", "empty cart", "-n", "2"], &[6, 5]),
        (&["--before", sample::id(3).as_str()], &[2, 1]),
        (&["--author", "eve"], &[]),
    ] {
        let history = sandbox.json(&[&["history", "-o", "json"], args].concat());
        let ids = history["deliveries"].as_array().unwrap().iter();
        let ids: Vec<_> = ids.map(|d| d["id"].as_str().unwrap().to_owned()).collect();
        let found: Vec<_> = found.iter().map(|n| sample::id(*n).to_string()).collect();
        assert_eq!(ids, found, "{args:?}");
    }
    let page = sandbox.ok(&["history", "-n", "4"]);
    assert!(page.contains(&format!("older ones: --before {}", sample::id(3))), "{page}");
    assert!(!sandbox.ok(&["history"]).contains("--before"));
    let wrong = sandbox.run(&["history", "--search", "pa"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("fewer than 3 characters"), "{wrong:?}");
}

#[test]
fn a_commit_that_no_watch_has_seen_is_said_once_with_what_to_do() {
    let sandbox = Sandbox::with_repositories();
    let seen = |name| {
        let watch = sample::watch(name);
        Write::Watch(WatchState { watch, unreachable: None, ..sample::watch_state(1) })
    };
    sandbox.keep(&[seen("qa"), seen("one"), seen("two")]);
    let all = sandbox.run(&["why", "abcdef1"]);
    assert_eq!((all.code, all.stdout.as_str()), (2, ""), "{all:?}");
    assert!(all.stderr.contains("none of 3 watches has seen commit abcdef1"), "{all:?}");
    assert!(all.stderr.contains("--watch"), "{all:?}");
    let one = sandbox.run(&["why", "abcdef1", "--watch", "one"]);
    assert!(
        one.code == 2 && one.stderr.contains("watch one has not seen commit abcdef1"),
        "{one:?}"
    );
    assert_eq!(sandbox.run(&["why", "abcdef1", "-o", "json"]).code, 2);
}
