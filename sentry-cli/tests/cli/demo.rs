//! `sentry demo`, as somebody sees it who has nothing but the program.

use rustix::process::Signal;

use crate::sandbox::{Sandbox, block_on};

/// What the demo shows, in order.
const PLOT: [&str; 12] = [
    "Stand-ins in this process: the forge, and the cluster",
    ".tekton/unit.yaml",
    "deployer: native",
    "recorded as the baseline",
    "A commit is pushed to A",
    "differs from the baseline",
    "delivered in",
    "PipelineRun  unit-",
    "failed     task greeting, step test",
    "as the forge has it",
    "failure  1 of 2 runs failed: unit",
    "sentry why ",
];

#[test]
fn the_demo_shows_the_road_and_leaves_nothing_behind() {
    // Nothing that a person's environment leads to is asked.
    let nowhere = "http://127.0.0.1:9";
    let environments: [&[(&str, &str)]; 4] = [
        &[("COLUMNS", "80")],
        &[
            ("http_proxy", nowhere),
            ("HTTP_PROXY", nowhere),
            ("https_proxy", nowhere),
            ("HTTPS_PROXY", nowhere),
            ("ALL_PROXY", nowhere),
        ],
        &[
            ("KUBECONFIG", "/nowhere"),
            ("SENTRY_CONFIG", "/nowhere"),
            ("TOKEN", "x"),
            ("KUBERNETES_SERVICE_HOST", "192.0.2.1"),
        ],
        &[("SSL_CERT_DIR", "tmp")],
    ];
    for environment in environments {
        let sandbox = Sandbox::new();
        let run = sandbox.run_in(environment, &["demo"]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{environment:?}: {run:?}");
        let mut rest = run.stdout.as_str();
        for part in PLOT {
            let at = rest.find(part);
            let at = at.unwrap_or_else(|| panic!("{part} does not come in\n{}", run.stdout));
            rest = &rest[at..];
        }
        if environment[0].0 == "COLUMNS" {
            let (told, _) = run.stdout.split_once("\n7  ").unwrap();
            let wide: Vec<_> = told.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(wide.is_empty(), "{wide:#?}");
        }
        assert_eq!(sandbox.entries("tmp"), [""; 0], "left in the temporary directory");
        assert!(!sandbox.path("state").exists());
    }
}

#[test]
fn the_demo_starts_no_program() {
    let sandbox = Sandbox::new();
    let run = sandbox.run_in(&[("PATH", "/nowhere")], &["demo"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
}

#[test]
fn a_signal_at_any_moment_ends_it_and_leaves_nothing_behind() {
    for moment in ["2  A watch", "3  Sentry sees", "4  A commit", "5  Both runs"] {
        for signal in [Signal::INT, Signal::TERM] {
            let sandbox = Sandbox::new();
            let demo = sandbox.start(&["demo"]);
            sandbox.eventually(|| sandbox.read("demo.out").contains(moment));
            let code = demo.stop_by(signal);
            // A machine with much to do may bring the signal after the end.
            let ended = sandbox.read("demo.out").contains("That's all");
            let want = if ended { 0 } else { 130 };
            assert_eq!(code, Some(want), "{moment}: {}", sandbox.read("demo.err"));
            assert_eq!(sandbox.entries("tmp"), [""; 0], "{moment}: left behind");
        }
    }
}

#[test]
fn the_page_shows_the_delivery_until_somebody_asks_to_stop() {
    let sandbox = Sandbox::new();
    let demo = sandbox.start(&["demo", "--page"]);
    sandbox.eventually(|| sandbox.read("demo.out").contains("All watches"));
    let told = sandbox.read("demo.out");
    let after = |word: &str| {
        let rest = told.split_once(word).unwrap_or_else(|| panic!("{word} is not in\n{told}")).1;
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let (place, token, commit) =
        (after("until Ctrl-C\n"), after("with the token"), after("sentry why"));
    let page = block_on(async {
        let client = reqwest::Client::builder().no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let origin = place.split("/deliveries").next().unwrap();
        let login = client.post(format!("{origin}/login")).header("origin", origin);
        let login = login.header("content-type", "application/x-www-form-urlencoded");
        let login = login.body(format!("token={token}")).send().await.unwrap();
        let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap();
        client.get(&place).header("cookie", cookie).send().await.unwrap().text().await.unwrap()
    });
    for part in ["Greet politely", commit.as_str(), "greeting", "FAIL: want"] {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }
    assert_eq!(demo.stop_by(Signal::INT), Some(0), "{}", sandbox.read("demo.err"));
    assert!(sandbox.read("demo.out").contains("That's all"));
    assert_eq!(sandbox.entries("tmp"), [""; 0], "left behind");
}
