//! What /metrics tells of a delivery, in a form that strict readers take.

use sentry_core::deployer::DeployerPorts;
use std::collections::{BTreeMap, BTreeSet};

use super::openmetrics::{Family, lint, read};
use super::*;

async fn scrape(server: &Router) -> BTreeMap<String, Family> {
    let (status, text) = get(server, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    read(&text)
}

fn value(families: &BTreeMap<String, Family>, series: &str) -> f64 {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let key = (name.to_owned(), labels.to_owned());
    let found = families.values().find_map(|family| family.samples.get(&key));
    *found.unwrap_or_else(|| panic!("no {series} in {families:#?}"))
}

#[tokio::test(start_paused = true)]
async fn every_series_is_there_from_the_start_with_good_names_and_bounded_labels() {
    let mut world = World::new();
    let routes = world.serve().await;
    let families = scrape(&routes).await;
    assert_eq!(lint(&families), Vec::<String>::new());
    assert_eq!(value(&families, "sentry_deliveries_total{watch=\"qa\",outcome=\"parked\"}"), 0.0);
    assert_eq!(value(&families, "sentry_oldest_undelivered_head_age_seconds{watch=\"qa\"}"), 0.0);
    world.run().await;
    world.push();
    seconds(120).await;
    let later = scrape(&routes).await;
    assert_eq!(lint(&later), Vec::<String>::new());
    let mut labels = BTreeSet::new();
    for (_, series) in later.values().flat_map(|family| family.samples.keys()) {
        let names = series.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
        labels.extend(names);
    }
    let allowed = [
        "door",
        "forge",
        "le",
        "namespace",
        "outcome",
        "result",
        "status",
        "step",
        "version",
        "watch",
    ];
    assert_eq!(labels.iter().map(String::as_str).collect::<Vec<_>>(), allowed);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_with_its_steps_and_runs_is_counted_once() {
    let mut world = World::new();
    let routes = world.serve().await;
    world.run().await;
    world.push();
    seconds(120).await;
    let families = scrape(&routes).await;
    let is = |series: &str, wanted: f64| assert_eq!(value(&families, series), wanted, "{series}");
    is("sentry_deliveries_total{watch=\"qa\",outcome=\"succeeded\"}", 1.0);
    is("sentry_runs_total{watch=\"qa\",outcome=\"succeeded\"}", 1.0);
    is("sentry_change_to_delivered_seconds_count{watch=\"qa\"}", 1.0);
    is("sentry_step_duration_seconds_count{step=\"fetch\"}", 1.0);
    is("sentry_step_duration_seconds_count{step=\"apply\"}", 1.0);
    is("sentry_oldest_undelivered_head_age_seconds{watch=\"qa\"}", 0.0);
    is("sentry_state_writable", 1.0);
    is("sentry_forge_requests_total{forge=\"forge\",status=\"3xx\"}", 7.0);
    assert_eq!(scrape(&routes).await.len(), families.len());
    let again = scrape(&routes).await;
    assert_eq!(value(&again, "sentry_forge_requests_total{forge=\"forge\",status=\"3xx\"}"), 7.0);
    is("sentry_queue_length{namespace=\"qa\"}", 0.0);
    assert!(value(&families, "sentry_polls_total{forge=\"forge\",result=\"answered\"}") >= 2.0);
    let last = value(&families, "sentry_last_success_timestamp_seconds{watch=\"qa\"}");
    assert!(last > 1_767_225_600.0, "{last}");
}

#[tokio::test(start_paused = true)]
async fn the_size_of_the_state_is_that_of_the_files_in_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("state.db"), [0; 4096]).unwrap();
    std::fs::write(dir.path().join("lock"), [0; 10]).unwrap();
    std::fs::create_dir(dir.path().join("below")).unwrap();
    let world = World::new();
    let mut services = world.services();
    services.state_dir = Some(dir.path().to_owned());
    let families = scrape(&Server::new(services).router()).await;
    assert_eq!(value(&families, "sentry_state_size_bytes"), 4106.0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_can_not_be_delivered_grows_old_even_while_the_state_can_not_be_written() {
    let mut world = World::new();
    let routes = world.serve().await;
    world.run().await;
    world.forge.lose_trees(Some(sentry_core::forge::ForgeErrorKind::Unreachable));
    world.push();
    seconds(600).await;
    world.store.read_only(true);
    seconds(600).await;
    let families = scrape(&routes).await;
    let age = value(&families, "sentry_oldest_undelivered_head_age_seconds{watch=\"qa\"}");
    assert!((1100.0..=1200.0).contains(&age), "{age}");
    assert_eq!(value(&families, "sentry_state_writable"), 0.0);
    assert!(value(&families, "sentry_retries_total{watch=\"qa\"}") >= 2.0);
}

#[tokio::test(start_paused = true)]
async fn a_poll_loop_is_late_by_its_forge_and_by_an_engine_that_says_nothing() {
    let mut world = World::new();
    let routes = world.serve().await;
    world.run().await;
    let late = async || {
        let families = scrape(&routes).await;
        value(&families, "sentry_poll_lateness_seconds{forge=\"forge\"}")
    };
    seconds(100).await;
    assert_eq!(late().await, 0.0);
    world.forge.answer_after(Duration::from_secs(3600));
    seconds(200).await;
    let by_forge = late().await;
    assert!((100.0..=200.0).contains(&by_forge), "{by_forge}");
    world.store.hang();
    seconds(200).await;
    let by_both = late().await;
    assert!((by_forge + 150.0..=by_forge + 200.0).contains(&by_both), "{by_forge}, {by_both}");
}

#[tokio::test(start_paused = true)]
async fn under_another_configuration_counters_go_on_and_what_is_gone_is_not_measured() {
    let mut world = World::new();
    let server = Server::new(world.services());
    let (counters, first) = (server.counters(), server.router());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.tasks.spawn(server.serve(listener, std::future::pending()));
    world.run().await;
    world.push();
    seconds(120).await;
    let oldest = "sentry_oldest_undelivered_head_age_seconds";
    let measures = |families: &BTreeMap<String, Family>, watch: &str| {
        let key = (oldest.to_owned(), format!("watch=\"{watch}\"}}"));
        families.values().any(|family| family.samples.contains_key(&key))
    };
    let before = scrape(&first).await;
    assert!(measures(&before, "qa"));
    assert_eq!(value(&before, "sentry_config_last_reload_successful"), 1.0);
    counters.config_reloaded(false);
    assert_eq!(value(&scrape(&first).await, "sentry_config_last_reload_successful"), 0.0);
    counters.config_is_as_taken();
    assert_eq!(value(&scrape(&first).await, "sentry_config_last_reload_successful"), 1.0);
    counters.config_reloaded(false);

    let other = Engine::builder(world.store.state())
        .watch(watch("two", &["main"]))
        .forge("forge", limited(&world.forge))
        .deployer("deployer", DeployerPorts::new(Arc::new(FakeDeployer::new())))
        .build()
        .unwrap();
    let mut services = Services::new(other, world.store.state());
    services.counters = Some(counters.clone());
    let second = Server::new(services).router();
    counters.config_reloaded(true);
    let after = scrape(&second).await;
    assert_eq!(lint(&after), Vec::<String>::new());
    let is = |series: &str, wanted: f64| assert_eq!(value(&after, series), wanted, "{series}");
    is("sentry_deliveries_total{watch=\"qa\",outcome=\"succeeded\"}", 1.0);
    is("sentry_deliveries_total{watch=\"two\",outcome=\"succeeded\"}", 0.0);
    is("sentry_forge_requests_total{forge=\"forge\",status=\"3xx\"}", 7.0);
    is("sentry_config_reloads_total{result=\"refused\"}", 2.0);
    is("sentry_config_reloads_total{result=\"taken\"}", 1.0);
    is("sentry_config_last_reload_successful", 1.0);
    assert!(measures(&after, "two") && !measures(&after, "qa"));
}

#[tokio::test(start_paused = true)]
async fn each_metric_of_a_start_says_in_one_line_what_it_measures() {
    let families = scrape(&World::new().serve().await).await;
    let said: Vec<_> = families.iter().map(|(name, f)| format!("{name}: {}", f.help)).collect();
    assert_eq!(said, HELP);
}

const HELP: [&str; 19] = [
    "sentry_build: The running program.",
    "sentry_change_to_delivered_seconds: Time from seeing a change to its last object being acknowledged.",
    "sentry_config_last_reload_successful: 1 if the last configuration seen is the one in use, else 0.",
    "sentry_config_reloads: Changed configurations, by result.",
    "sentry_deliveries: Deliveries that ended, by outcome.",
    "sentry_events_lagged: Events that came faster than they could be counted, and are missing from counters.",
    "sentry_guesses: Wrong tokens and signatures, by where they were tried.",
    "sentry_members: Live agents that share the state.",
    "sentry_oldest_undelivered_head_age_seconds: How long the oldest head that is neither delivered nor parked has waited.",
    "sentry_parked: Heads parked until something changes or somebody retries them.",
    "sentry_polls: Polls for heads, by result.",
    "sentry_queue_length: Runs queued until the namespace has room.",
    "sentry_retries: Attempts that failed and will be retried.",
    "sentry_runs: Runs of deliveries that ended, by result.",
    "sentry_slots_owned: Slots of a shared state that this agent works for.",
    "sentry_state_size_bytes: Size of the state.",
    "sentry_state_writable: 1 if the last write of the state succeeded, else 0.",
    "sentry_step_duration_seconds: Durations of the steps of delivery attempts.",
    "sentry_watches_unowned: Watches of a shared state that no agent works for.",
];
