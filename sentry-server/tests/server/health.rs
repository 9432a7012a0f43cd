//! /livez says whether a restart would help, /readyz whether work can be done.

use sentry_core::forge::ForgeErrorKind;
use serde_json::Value;

use super::*;

async fn ready(server: &Router) -> (StatusCode, Value) {
    let (status, body) = get(server, "/readyz").await;
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_alive_from_the_start_and_ready_when_every_watch_was_asked() {
    let mut world = World::new();
    let server = Server::new(world.services()).router();
    assert_eq!(get(&server, "/livez").await, (StatusCode::OK, "alive\n".into()));
    let (status, body) = ready(&server).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["reasons"][0], "the engine has not started yet");
    world.run().await;
    let (status, body) = ready(&server).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["watches"][0]["name"], "qa");
    assert_eq!(body["watches"][0]["answered_seconds_ago"], 3, "{body}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_never_starts_is_not_alive_for_ever() {
    let world = World::new();
    let server = Server::new(world.services()).router();
    tokio::time::advance(Duration::from_secs(300)).await;
    assert_eq!(get(&server, "/livez").await.0, StatusCode::OK);
    seconds(1).await;
    let (status, body) = get(&server, "/livez").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body, "the engine has not started for 301 s\n");
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_never_answers_makes_the_loop_late_and_one_that_refuses_does_not() {
    let mut world = World::new();
    let server = Server::new(world.services()).router();
    world.run().await;
    world.forge.fail(Some(ForgeErrorKind::Unreachable));
    for _ in 0..60 {
        seconds(60).await;
        assert_eq!(get(&server, "/livez").await.0, StatusCode::OK);
    }
    let (status, body) = ready(&server).await;
    assert_eq!(status, StatusCode::OK, "an outage of the forge is waited for: {body}");
    let age = body["watches"][0]["answered_seconds_ago"].as_u64().unwrap();
    assert!(age >= 3590, "{body}");
    world.forge.fail(None);
    seconds(400).await;
    world.forge.answer_after(Duration::from_secs(3600));
    // The next question hangs; the interval is 60 s in the samples, so 3 intervals come before 5 minutes and a bit.
    let mut body = "alive\n".to_owned();
    for _ in 0..320 {
        if body != "alive\n" {
            break;
        }
        seconds(1).await;
        body = get(&server, "/livez").await.1;
    }
    let (every, late) = ("forge forge is polled every 60 s and is ", " s late\n");
    let late = body.strip_prefix(every).and_then(|rest| rest.strip_suffix(late));
    let late: u64 = late.unwrap_or_else(|| panic!("{body}")).parse().unwrap();
    assert!((180..=190).contains(&late), "three intervals, as the engine last said: {body}");
    world.forge.answer_after(Duration::ZERO);
    seconds(3600).await;
    assert_eq!(get(&server, "/livez").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_does_not_turn_is_not_alive() {
    let mut world = World::new();
    let server = Server::new(world.services()).router();
    world.run().await;
    world.store.hang();
    seconds(29).await;
    assert_eq!(get(&server, "/livez").await.0, StatusCode::OK);
    seconds(16).await;
    let (status, body) = get(&server, "/livez").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("has not run"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_state_that_cannot_be_written_is_alive_and_not_ready_and_comes_back_by_itself() {
    let mut world = World::new();
    let server = Server::new(world.services()).router();
    world.run().await;
    for _ in 0..50 {
        world.store.read_only(true);
        seconds(11).await;
        let (status, body) = ready(&server).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body["reasons"][0].as_str().unwrap().contains("can't be written"), "{body}");
        assert_eq!(get(&server, "/livez").await.0, StatusCode::OK);
        world.store.read_only(false);
        seconds(11).await;
        assert_eq!(ready(&server).await.0, StatusCode::OK);
    }
}
