//! Agents beside each other and beside commands.

use sentry_apiserver::ApiServer;
use sentry_tests::processes::script;
use sentry_tests::road::{By, Road, TREE};
use sentry_tests::sandbox::Agent;
use sentry_tests::tls::Tls;
use serde_json::{Value, json};

/// An agent that holds the state.
fn running(road: &Road) -> Agent {
    let mut agent = road.watch();
    agent.wait_for_log("started");
    agent
}

#[test]
fn a_trigger_works_with_and_without_a_running_agent() {
    let road = Road::new();
    let alone = road.sandbox.sentry(["trigger", "qa", "--branch", "main"]);
    assert_eq!(alone.code, Some(0), "{alone:?}");
    assert_eq!(road.runs().len(), 2);
    let agent = running(&road);
    let beside = road.sandbox.sentry(["trigger", "qa", "--branch", "main"]);
    assert_eq!(beside.code, Some(0), "{beside:?}");
    assert_eq!(road.runs().len(), 4);
    let ended = agent.term();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_second_agent_is_told_of_the_first_also_where_both_would_listen() {
    let road = Road::new();
    let mut first = road.sandbox.spawn(["watch", "--listen", "127.0.0.1:0"]);
    let listen = first.serves_at().to_string();
    let second = road.sandbox.sentry(["watch", "--listen", &listen]);
    assert_eq!(second.code, Some(4), "{second:?}");
    assert!(second.stderr.contains("process "), "who holds it: {second:?}");
    assert_eq!(first.term().code, Some(0));
}

/// Answers as a credential plugin does, and leaves its environment beside itself.
const PLUGIN: &str = r#"#!/bin/sh
env > "$0.env"
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}'
"#;

#[test]
fn a_credential_plugin_has_the_environment_of_a_shell_but_for_what_is_sentrys_own() {
    By::EACH.into_iter().for_each(is_run_as_from_a_shell);
}

fn is_run_as_from_a_shell(by: By) {
    let mut road = Road::by(by, TREE);
    // Credentials are used over TLS alone.
    let tls = Tls::with_names(&["localhost"]);
    road.cluster = ApiServer::start_tls(tls.server());
    road.cluster.add_namespace("qa");
    road.cluster.end_new_runs();
    let plugin = road.sandbox.work().join("plugin");
    script(&plugin, PLUGIN);
    let server = format!("https://localhost:{}", road.cluster.port());
    let kubeconfig = road.cluster.kubeconfig_for(road.sandbox.root(), &server, tls.ca_pem(), "t");
    let mut config: Value =
        serde_json::from_str(&std::fs::read_to_string(&kubeconfig).unwrap()).unwrap();
    config["users"][0]["user"] = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never"
    }});
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let shell = [
        ("AWS_PROFILE", "qa"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/keys/qa.json"),
        ("HTTPS_PROXY", "http://user:pr0xy-pass@proxy.example:3128"),
        ("NO_PROXY", "127.0.0.1,localhost"),
    ];
    let ours = ["GIT_TOKEN", "COPY_OF_IT", "SENTRY_STATE_DIR"];
    for (name, value) in shell {
        road.sandbox.env(name, value);
    }
    road.sandbox.env("COPY_OF_IT", format!("Bearer {}", sentry_tests::road::TOKEN));
    assert_eq!(road.sandbox.sentry(["trigger", "qa", "--branch", "main"]).code, Some(0));
    let seen = std::fs::read_to_string(plugin.with_extension("env")).unwrap();
    for (name, value) in shell {
        assert!(seen.lines().any(|line| line == format!("{name}={value}")), "{name}:\n{seen}");
    }
    for name in ours {
        assert!(!seen.lines().any(|line| line.starts_with(&format!("{name}="))), "{name}:\n{seen}");
    }
    assert!(!seen.contains(sentry_tests::road::TOKEN));
}
