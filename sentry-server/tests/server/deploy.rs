//! Alerts and dashboard name nothing that is not exported, and every metric and alert is explained.

use std::collections::BTreeSet;

use super::openmetrics::{lint, read};
use super::webhooks::endpoint;
use super::*;

const ALERTS: &str = include_str!("../../../deploy/prometheus/alerts.yaml");
const ALERT_TESTS: &str = include_str!("../../../deploy/prometheus/alerts_test.yaml");
const DASHBOARD: &str = include_str!("../../../deploy/grafana/sentry.json");
const DOCS: &str = include_str!("../../../docs/operations.md");

/// Every sample's name that a server exports once it has delivered something.
async fn exported() -> BTreeSet<String> {
    let mut world = World::new();
    let mut services = world.services();
    services.webhooks = vec![endpoint("forge", "github")];
    services.state_dir = Some(std::env::temp_dir());
    let server = Server::new(services);
    let routes = server.router();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.tasks.spawn(server.serve(listener, std::future::pending()));
    world.run().await;
    world.push();
    seconds(120).await;
    let families = read(&get(&routes, "/metrics").await.1);
    assert_eq!(lint(&families), Vec::<String>::new());
    families
        .values()
        .flat_map(|family| family.samples.keys())
        .map(|(name, _)| name.clone())
        .collect()
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("sentry_")).map(str::to_owned).collect()
}

fn alerts(text: &str, key: &str) -> BTreeSet<String> {
    let names = text.split(key).skip(1).filter_map(|rest| rest.split([',', '\n']).next());
    names.map(|name| name.trim().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn no_alert_and_no_panel_names_a_metric_that_is_not_exported() {
    let exported = exported().await;
    for (what, text) in [("alerts", ALERTS), ("their tests", ALERT_TESTS), ("panels", DASHBOARD)] {
        let unknown: Vec<_> = named(text).difference(&exported).cloned().collect();
        assert!(unknown.is_empty(), "{what} name {unknown:?}; exported are {exported:?}");
        assert!(named(text).len() > 5, "{what}: nothing was read");
    }
}

#[tokio::test(start_paused = true)]
async fn every_metric_has_its_place_in_the_handbook() {
    let docs = named(DOCS);
    for name in exported().await {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
        assert!(docs.contains(family.unwrap_or(&name)), "docs/operations.md lacks {name}");
    }
}

#[test]
fn every_alert_has_a_test_that_fires_and_a_remedy() {
    let all = alerts(ALERTS, "- alert: ");
    assert!(all.len() > 5);
    assert_eq!(alerts(ALERT_TESTS, "- alertname: "), all, "each fires");
    assert_eq!(alerts(ALERT_TESTS, "{alertname: "), all, "each is silent");
    for alert in &all {
        let link = format!("runbook: docs/operations.md#{}", alert.to_lowercase());
        assert!(ALERTS.contains(&link), "{link}");
        assert!(DOCS.contains(&format!("### {alert}\n")), "docs/operations.md lacks {alert}");
    }
    assert_eq!(ALERTS.matches("severity: page").count(), 1, "one alert pages");
    assert_eq!(ALERTS.matches("severity: ").count(), all.len());
}

#[test]
fn every_panel_is_titled_explained_and_on_the_chosen_source() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    for panel in panels {
        for key in ["title", "description"] {
            assert!(!panel[key].as_str().unwrap().is_empty(), "{panel}");
        }
        assert_eq!(panel["datasource"]["uid"], "${source}", "{panel}");
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
    }
}
