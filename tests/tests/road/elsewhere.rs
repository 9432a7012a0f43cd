//! Tasks and pipelines from elsewhere, with the real binary, a hub, plain servers and a git server: what is sent, what is asked
//! of whom and with which credentials, what happens where a place misbehaves.

use std::sync::Arc;

use hyper::StatusCode;
use sentry_tests::ear::Ear;
use sentry_tests::http::{Fault, HttpServer, reply, target};
use sentry_tests::road::{By, Road, TOKEN};
use serde_json::{Value, json};

const HUB_PATH: &str = "/api/v1/packages/tekton-task/tekton-catalog-tasks/git-clone/0.9.0";

fn task(name: &str, image: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {{name: {name}}}\n\
         spec: {{steps: [{{name: s, image: {image}, script: 'true'}}]}}\n"
    )
}

fn run(annotations: &[(&str, &str)], task: &str) -> String {
    let more: String = annotations
        .iter()
        .map(|(name, value)| format!("    pipelinesascode.tekton.dev/{name}: \"{value}\"\n"))
        .collect();
    format!(
        "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  generateName: r-\n  annotations:\n    \
         pipelinesascode.tekton.dev/on-event: push\n    pipelinesascode.tekton.dev/on-target-branch: main\n{more}\
         spec: {{pipelineSpec: {{tasks: [{{name: x, taskRef: {{name: {task}}}}}]}}}}\n"
    )
}

/// A server that answers with these texts by path: `/api/…` as the hub does.
fn server(held: &[(&str, String)]) -> HttpServer {
    let held: Arc<Vec<(String, String)>> =
        Arc::new(held.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect());
    HttpServer::start("elsewhere", None, move |request| {
        let held = Arc::clone(&held);
        Box::pin(async move {
            let path = target(&request);
            match held.iter().find(|(own, _)| *own == path) {
                Some((_, text)) if path.starts_with("/api/") => {
                    let body = json!({"name": "x", "data": {"manifestRaw": text}}).to_string();
                    reply(StatusCode::OK, &[("content-type", "application/json")], body)
                }
                Some((_, text)) => {
                    reply(StatusCode::OK, &[("content-type", "text/plain")], text.clone())
                }
                None => reply(StatusCode::NOT_FOUND, &[], "no"),
            }
        })
    })
}

/// A road whose B holds these files, and whose watch may ask the server; the first head is recorded.
fn road(files: &[(&str, &str)], server: &HttpServer) -> Road {
    let road = Road::by(By::Native, files);
    let origin = server.origin();
    road.configure_b(
        &road.git.url("b.git"),
        &format!("remote_hub: '{origin}'\n    remote_hosts: ['{origin}']\n    max_retries: 0"),
    );
    assert_eq!(road.once().code, Some(0));
    road
}

fn image(run: &Value) -> &str {
    run.pointer("/spec/pipelineSpec/tasks/0/taskSpec/steps/0/image")
        .and_then(Value::as_str)
        .unwrap()
}

fn images(road: &Road) -> Vec<String> {
    road.runs().iter().map(|run| image(run).to_owned()).collect()
}

#[test]
fn each_kind_of_place_is_put_into_the_run_that_is_sent_and_no_token_goes_to_any() {
    let held = [
        (HUB_PATH, task("git-clone", "hub")),
        ("/plain/t.yaml", task("t", "plain")),
        ("/plain/p.yaml", "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {name: p, annotations: \
            {pipelinesascode.tekton.dev/task: t.yaml}}\nspec: {tasks: [{name: x, taskRef: {name: t}}]}\n".to_owned()),
    ];
    let server = server(&held);
    let address = |path: &str| format!("{}{path}", server.origin());
    let by_pipeline = run(&[("pipeline", &address("/plain/p.yaml"))], "t").replace(
        "spec: {pipelineSpec: {tasks: [{name: x, taskRef: {name: t}}]}}",
        "spec: {pipelineRef: {name: p}}",
    );
    let shared = task("t", "shared");
    for (text, want) in [
        (run(&[("task", "git-clone:0.9.0")], "git-clone"), "hub"),
        (run(&[("task", &address("/plain/t.yaml"))], "t"), "plain"),
        (run(&[("task", "share/tasks/t.yaml")], "t"), "shared"),
        (by_pipeline, "plain"),
    ] {
        let files = [(".tekton/run.yaml", text.as_str()), ("share/tasks/t.yaml", &shared)];
        let road = road(&files, &server);
        road.push();
        let done = road.once();
        assert_eq!((done.code, images(&road)), (Some(0), vec![want.to_owned()]), "{done:?}");
        let kinds =
            road.cluster.objects_of("Task").len() + road.cluster.objects_of("Pipeline").len();
        assert_eq!(kinds, 0, "nothing of it is an object");
        let explained = road.json(&["explain", "-o", "json"]);
        assert!(!explained["remotes"].as_array().unwrap().is_empty(), "{explained}");
        assert!(road.git.http().log().saw(TOKEN));
    }
    assert!(!server.log().saw(TOKEN), "the forge's token went elsewhere");
    assert!(server.log().all().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn a_place_that_misbehaves_costs_its_run_and_neither_memory_nor_time_nor_the_token() {
    let ear = Ear::start();
    let mut served = 0;
    let large = |status: u16| Fault::status(status).header("content-length", "10000000000");
    for (fault, is_definite) in [
        (Fault::status(404), true),
        (Fault::status(401), true),
        (Fault::status(500), false),
        (Fault::Html, true),
        (Fault::Garbage, true),
        (Fault::Truncated, false),
        (Fault::Redirect { status: 302, to: String::new() }, true),
        (Fault::Redirect { status: 302, to: format!("http://127.0.0.1:{}", ear.port()) }, true),
        (Fault::Redirect { status: 307, to: "//localhost:1".to_owned() }, true),
        (large(200), true),
        (Fault::status(200).header("content-type", "text/plain").body(&"x".repeat(2 << 20)), true),
    ] {
        let server = server(&[("/t.yaml", task("t", "x"))]);
        let address = format!("{}/t.yaml", server.origin());
        let text = run(&[("task", &address)], "t");
        let road = road(&[(".tekton/run.yaml", &text)], &server);
        server.faults().until_cleared("/t.yaml", fault.clone());
        let sha = road.push();
        let done = road.once();
        assert_ne!(done.code, Some(0), "{fault:?}: {done:?}");
        assert_eq!(road.runs().len(), 0, "{fault:?}");
        let why = road.json(&["why", &sha, "-o", "json"]);
        let reason = why["answers"][0]["reason"].as_str().unwrap();
        assert_eq!(reason, if is_definite { "parked" } else { "waiting" }, "{fault:?}: {why}");
        served += 1;
    }
    assert_eq!(String::from_utf8_lossy(&ear.heard()), "", "a redirect was followed elsewhere");
    assert_eq!(served, 11);
}

#[test]
fn what_vendor_locks_is_what_is_delivered_and_nobody_is_asked() {
    let server = server(&[(HUB_PATH, task("git-clone", "hub")), ("/t.yaml", task("t", "plain"))]);
    let address = format!("{}/t.yaml", server.origin());
    let first = run(&[("task", "git-clone:0.9.0")], "git-clone");
    let second = run(&[("task", &address)], "t").replace("generateName: r-", "generateName: s-");
    let road = road(&[(".tekton/a.yaml", &first), (".tekton/b.yaml", &second)], &server);
    road.push();
    assert_eq!(road.once().code, Some(0));
    let online = images(&road);
    assert_eq!(online, ["hub", "plain"]);
    // The directory as a person has it.
    let dir = road.sandbox.work().join("qa");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("a.yaml"), &first).unwrap();
    std::fs::write(dir.join("b.yaml"), &second).unwrap();
    let origin = server.origin();
    let vendor = ["vendor", "qa", "--hub", &origin, "--host", &origin, "-o", "json"];
    let locked = road.json(&vendor);
    assert_eq!(locked["documents"].as_array().unwrap().len(), 2, "{locked}");
    let read = |path: &str| std::fs::read_to_string(dir.join(path)).unwrap();
    let lock = read("sentry.lock");
    assert_eq!(road.json(&vendor), locked, "it is the same again");
    assert_eq!(read("sentry.lock"), lock);
    let files: Vec<(String, String)> = locked["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|document| document["file"].as_str().unwrap())
        .map(|file| (format!(".tekton/{file}"), read(file)))
        .collect();
    let mut tree = vec![
        (".tekton/a.yaml", first.as_str()),
        (".tekton/b.yaml", &second),
        (".tekton/sentry.lock", &lock),
    ];
    tree.extend(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    road.b.commit("main", &tree, "lock");
    let asked = server.log().requests();
    server.pause();
    road.push();
    assert_eq!(road.once().code, Some(0));
    assert_eq!(images(&road)[2..], online, "offline equals online");
    let lint = road.sandbox.sentry(["lint", "qa"]);
    assert!(lint.code == Some(0) && lint.stdout.contains("from elsewhere: "), "{lint:?}");
    // A changed byte.
    let changed: Vec<_> =
        tree.iter().map(|(path, text)| (*path, text.replace("image: hub", "image: hug"))).collect();
    let changed: Vec<_> = changed.iter().map(|(path, text)| (*path, text.as_str())).collect();
    road.b.commit("main", &changed, "change a byte");
    let sha = road.push();
    assert_eq!(road.once().code, Some(1));
    let why = road.why(&sha);
    assert!(why.contains("is not what sentry.lock names"), "{why}");
    server.resume();
    assert_eq!((server.log().requests(), road.runs().len()), (asked, 4));
}

#[test]
fn a_host_that_is_not_listed_is_never_asked_whatever_a_document_names() {
    let ear = Ear::start();
    let hub = server(&[]);
    for address in [
        format!("http://127.0.0.1:{}/t.yaml", ear.port()),
        format!("http://localhost:{}/t.yaml", ear.port()),
        format!("http://127.0.0.1:{}@127.0.0.1:{}/t.yaml", hub.port(), ear.port()),
        format!("http://0x7f.1:{}/t.yaml", ear.port()),
        format!("http://[::ffff:127.0.0.1]:{}/t.yaml", ear.port()),
    ] {
        // In a list, as an address of IPv6 has brackets of its own.
        let text = run(&[("task", &format!("[{address}]"))], "t");
        let road = road(&[(".tekton/run.yaml", &text)], &hub);
        let sha = road.push();
        assert_eq!(road.once().code, Some(1), "{address}");
        let why = road.why(&sha);
        assert!(
            why.contains("may not be asked") || why.contains("credentials"),
            "{address}: {why}"
        );
    }
    assert_eq!(String::from_utf8_lossy(&ear.heard()), "");
}
