//! A strict reader of OpenMetrics 1.0, for what this server writes:
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>.

use std::collections::{BTreeMap, BTreeSet};

/// One family: its type, its unit, and its samples as (name, labels) → value.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) unit: String,
    pub(crate) help: String,
    pub(crate) samples: BTreeMap<(String, String), f64>,
}

pub(crate) fn read(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("ends with # EOF and a line break");
    let mut families = BTreeMap::<String, Family>::new();
    let mut open = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let (word, rest) = rest.split_once(' ').expect(line);
            let (name, value) = rest.split_once(' ').expect(line);
            if open != name {
                assert!(!families.contains_key(name), "{name} is interrupted: {line}");
                open = name.to_owned();
            }
            let family = families.entry(name.to_owned()).or_default();
            assert!(family.samples.is_empty(), "descriptions come before samples: {line}");
            let slot = match word {
                "TYPE" => &mut family.kind,
                "UNIT" => &mut family.unit,
                "HELP" => &mut family.help,
                other => panic!("{other} is no descriptor: {line}"),
            };
            assert!(slot.is_empty(), "{word} twice: {line}");
            *slot = value.to_owned();
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let value: f64 = value.parse().expect(line);
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        check_labels(labels, line);
        let family = families.get_mut(&open).expect(line);
        let suffix = name.strip_prefix(open.as_str()).unwrap_or_else(|| panic!("outside: {line}"));
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total", "_created"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count", "_created"],
            "info" => &["_info"],
            other => panic!("{other} is no type of ours: {line}"),
        };
        assert!(allowed.contains(&suffix), "a {} has no {suffix:?}: {line}", family.kind);
        assert!(!value.is_nan() && (family.kind == "gauge" || value >= 0.0), "{line}");
        let fresh = family.samples.insert((name.to_owned(), labels.to_owned()), value).is_none();
        assert!(fresh, "a series twice: {line}");
    }
    families
}

fn check_labels(labels: &str, line: &str) {
    if labels.is_empty() {
        return;
    }
    let inner = labels.strip_suffix('}').expect(line);
    let mut names = BTreeSet::new();
    for pair in inner.split("\",").filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once("=\"").expect(line);
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
        assert!(!value.trim_end_matches('"').contains(['"', '\n']), "{line}");
        assert!(names.insert(name), "a label twice: {line}");
    }
}

/// What is wrong with the names.
pub(crate) fn lint(families: &BTreeMap<String, Family>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, family) in families {
        let mut check = |good: bool, what: &str| {
            if !good {
                wrong.push(format!("{name} {what}"));
            }
        };
        check(name.starts_with("sentry_"), "has no prefix");
        check(!family.help.is_empty() && !family.kind.is_empty(), "is not described");
        check(!name.ends_with("_total"), "is a family and no sample: no _total");
        check(
            name.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "has other characters than a-z and _",
        );
        let timed = ["age", "duration", "timestamp", "lateness", "reset"];
        let needs = timed.iter().any(|word| name.contains(word)) || family.kind == "histogram";
        check(!needs || family.unit == "seconds", "measures time without _seconds");
        check(!name.contains("size") || family.unit == "bytes", "measures size without _bytes");
        let suffix = format!("_{}", family.unit);
        check(family.unit.is_empty() || name.ends_with(&suffix), "does not end with its unit");
    }
    wrong
}

#[test]
fn the_reader_and_the_lint_see_what_is_wrong() {
    let good = "# HELP sentry_x Help.\n# TYPE sentry_x counter\nsentry_x_total{a=\"b\"} 1\n# EOF\n";
    assert!(lint(&read(good)).is_empty());
    for (from, to) in [
        ("# EOF\n", ""),
        ("sentry_x_total", "sentry_x"),
        ("sentry_x_total", "sentry_y_total"),
        (" 1\n", " one\n"),
        (" 1\n", " -1\n"),
        ("a=\"b\"", "a=\"b\",a=\"c\""),
        ("counter", "count"),
    ] {
        let bad = good.replace(from, to);
        assert!(std::panic::catch_unwind(|| read(&bad)).is_err(), "{bad}");
    }
    for (from, to) in [("sentry_x", "x"), ("sentry_x", "sentry_age"), ("sentry_x", "sentry_X")] {
        assert!(!lint(&read(&good.replace(from, to))).is_empty(), "{to}");
    }
}
