//! `sentry diff` over the real kubectl: what would change before a delivery, and nothing after it.

use sentry_tests::road::Road;

const DIFF: [&str; 3] = ["diff", "--branch", "main"];
const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: canary}\nstringData: {word: canary-5ecret}\n";

#[test]
fn a_diff_shows_what_a_delivery_would_change_and_nothing_after_it() {
    let road = Road::new();
    road.b.commit("main", &[(".tekton/s.yaml", SECRET)], "secret");
    road.once();
    let before = road.sandbox.sentry(DIFF);
    assert_eq!(before.code, Some(1), "{before:?}");
    assert!(before.stdout.contains("+ created    Task/unit"), "{}", before.stdout);
    assert!(before.stdout.contains("    +kind: Task"), "{}", before.stdout);
    assert!(!before.stdout.contains("sentry-gitops.dev/delivery"), "{}", before.stdout);
    assert_eq!(road.cluster.writes(), 0);

    road.push();
    assert_eq!(road.once().code, Some(0));
    let writes = road.cluster.writes();
    let after = road.sandbox.sentry(DIFF);
    assert_eq!(after.code, Some(0), "{after:?}");

    let task = "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {name: unit}\n\
                spec: {steps: [{name: s, image: busybox, script: 'false'}]}\n";
    let secret = SECRET.replace("5ecret", "0ther");
    road.b.commit("main", &[(".tekton/t.yml", task), (".tekton/s.yaml", &secret)], "changed");
    let changed = road.sandbox.sentry(DIFF);
    assert_eq!(changed.code, Some(1), "{changed:?}");
    for part in ["~ configured Task/unit", "script: \"true\"", "script: \"false\""] {
        assert!(changed.stdout.contains(part), "{part}: {}", changed.stdout);
    }
    assert!(changed.stdout.contains("~ configured Secret/canary"), "{}", changed.stdout);
    let json = road.sandbox.sentry([&DIFF[..], &["-o", "json"]].concat()).stdout;
    for secret in ["canary-", "Y2FuYXJ5L"] {
        assert!(!changed.stdout.contains(secret) && !json.contains(secret), "{secret}: {json}");
    }
    assert_eq!(road.cluster.writes(), writes, "a question wrote");

    road.cluster.pause();
    assert_eq!(road.sandbox.sentry(DIFF).code, Some(3));
}
