//! 28: the cluster breaks off after k of n objects: the status says k of n, the next attempt reaches n of n, and no run
//! is made twice.

use sentry_tests::promise::{cases, kept};
use sentry_tests::road::{By, PIPELINE, Road, TASK};
use sentry_tests::tally::{DOCUMENTS, Tally, tree};
use serde_json::Value;

/// Four named objects and two runs.
const OBJECTS: usize = 6;
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n";

fn road(by: By) -> Road {
    let (one, two) = (MAP.replace("NAME", "one"), MAP.replace("NAME", "two"));
    let mut files = tree();
    files.extend([(".tekton/c.yaml", one), (".tekton/d.yaml", two)]);
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    let road = Road::by(by, &files);
    // One pass makes one attempt, so that the state between two attempts can be looked at.
    road.configure_watch("max_retries: 0");
    assert_eq!(road.once().code, Some(0));
    road
}

/// The newest delivery.
fn delivery(road: &Road) -> Value {
    let history = road.json(&["history", "-o", "json"]);
    let id = history["deliveries"][0]["id"].as_str().unwrap().to_owned();
    road.json(&["show", &id, "-o", "json"])["delivery"].clone()
}

/// How many objects a delivery calls acknowledged, and of how many.
fn acknowledged(delivery: &Value) -> (usize, usize) {
    let objects = delivery["objects"].as_array().unwrap();
    let done = ["created", "configured", "unchanged", "exists"];
    let is_done = |object: &&Value| done.iter().any(|action| object["action"] == *action);
    (objects.iter().filter(is_done).count(), objects.len())
}

/// What the cluster holds of the tree.
fn there(road: &Road) -> usize {
    let named = [("Task", TASK), ("Pipeline", PIPELINE), ("ConfigMap", MAP)];
    named.iter().map(|(kind, _)| road.cluster.objects_of(kind).len()).sum::<usize>()
        + road.runs().len()
}

#[test]
fn broken_off_after_k_of_n_objects_a_delivery_says_so_and_the_next_attempt_completes_it() {
    let repeats = cases(10, 1);
    let mut tried = 0;
    let each = |by: By| (0..OBJECTS).cycle().take(OBJECTS * repeats).map(move |k| (by, k));
    for (by, k) in By::EACH.into_iter().flat_map(each) {
        let road = road(by);
        road.cluster.faults().drop_writes_after(k);
        let sha = road.push();
        let broken = road.once();
        assert_ne!(broken.code, Some(0), "{broken:?}");
        assert_eq!(there(&road), k, "the cluster took {k}");
        let first = delivery(&road);
        assert_eq!(acknowledged(&first), (k, OBJECTS), "{first}");
        let shown = road.sandbox.sentry(["show", first["id"].as_str().unwrap()]).stdout;
        assert!(!road.why(&sha).contains("delivered"), "{shown}");

        road.cluster.faults().heal();
        let whole = road.once();
        assert_eq!(whole.code, Some(0), "{whole:?}");
        let second = delivery(&road);
        assert_eq!(acknowledged(&second), (OBJECTS, OBJECTS), "{second}");
        assert_eq!(second["id"], first["id"], "the same delivery");
        let tally = Tally::of(&road.cluster);
        assert_eq!((tally.runs_of(&sha), tally.doubled()), (DOCUMENTS.len(), 0), "{k}");
        tried += 1;
    }
    let n = OBJECTS;
    kept(
        28,
        "",
        &format!(
            "{tried} deliveries broken off after each k of {n}, by kubectl and natively: k/{n} said, then {n}/{n}, 0 \
             duplicates"
        ),
    );
}
