//! 27: one bad document among twenty, at each position: nothing is written.

use std::fmt::Write as _;

use sentry_tests::promise::{cases, kept};
use sentry_tests::road::Road;

const DOCUMENTS: usize = 20;
/// What is wrong with it, and a word that the reason must hold. The last one only the server can know.
const BAD: &[(&str, &str)] = &[
    ("kind: Broken\n", "apiVersion"),
    ("apiVersion: v1\nkind: ConfigMap\nkind: Secret\nmetadata: {name: bad}\n", "twice"),
    ("apiVersion: v1\nkind: Namespace\nmetadata: {name: bad}\n", "Namespace"),
    ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, namespace: other}\n", "other"),
    ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: refused}\n", "refused"),
];

/// Twenty documents in four files, the one at `place` being `bad`.
fn tree(place: usize, bad: &str) -> Vec<(String, String)> {
    let mut files = vec![String::new(); 4];
    for number in 0..DOCUMENTS {
        let file = &mut files[number / 5];
        if number == place {
            _ = write!(file, "---\n{bad}");
        } else {
            _ = write!(
                file,
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: good-{number}}}\n"
            );
        }
    }
    let named = |(number, text)| (format!(".tekton/{number}.yaml"), text);
    files.into_iter().enumerate().map(named).collect()
}

fn commit(road: &Road, files: &[(String, String)]) {
    let files: Vec<_> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    road.b.commit("main", &files, "twenty documents");
}

#[test]
fn one_bad_document_of_twenty_at_any_position_writes_nothing() {
    let road = Road::new();
    assert_eq!(road.once().code, Some(0));
    road.cluster.faults().refuse_always("ConfigMap", "refused", 422, "it is refused");
    let step = cases(1, 19);
    let mut tried = 0;
    for place in (0..DOCUMENTS).step_by(step) {
        for (bad, word) in BAD {
            commit(&road, &tree(place, bad));
            let sha = road.push();
            let output = road.once();
            assert_eq!(output.code, Some(1), "{bad} at {place}: {output:?}");
            assert_eq!(road.cluster.writes(), 0, "{bad} at {place}");
            let why = road.why(&sha);
            assert!(why.contains("parked") && why.contains(word), "{bad} at {place}: {why}");
            tried += 1;
        }
    }
    let good = tree(DOCUMENTS, "");
    commit(&road, &good);
    road.push();
    assert_eq!(road.once().code, Some(0), "the judge sees writes");
    assert!(road.cluster.writes() > 0, "the judge sees writes");
    kept(27, "", &format!("{tried} deliveries with a bad document: 0 writes"));
}
