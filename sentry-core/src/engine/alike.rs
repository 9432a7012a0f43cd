//! Whether two reasons are the same: what differs with each attempt (ids, times, addresses) makes no new reason.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use crate::notifier::REASON_CHARS;

/// What differs with each attempt. A pattern may take more than it should: that matters only where two reasons
/// differ in nothing else. What holds others comes first.
const MADE_ANEW: &[&str] = &[
    // A run's name ends in its commit and its key (`naming.rs`), and the names of its pods begin with it.
    r"-[0-9a-f]{8}-[a-z2-7]{16}",
    // UUIDs, and the ids of GitHub's requests. A part of them may look like a date or a span of time.
    r"\b[0-9A-Fa-f]{4,}(?:[-:][0-9A-Fa-f]{4,}){2,}\b",
    // RFC 3339 and its kin, the dates of RFC 9110 and of C, and the time of day alone.
    r"\b\d{4}[-/]\d\d[-/]\d\d(?:[T _]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?)?(?: ?(?:Z|UTC|GMT|[-+]\d\d:?\d\d)\b)?",
    r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\w*,? (?:\d+ \w{3}|\w{3} +\d+)\b(?: \d{4}\b)?",
    r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:[AP]M|Z|UTC|GMT|[-+]\d\d:?\d\d)\b)?(?: \d{4}\b)?",
    // Addresses: the servers behind a name take turns, and so do the client's ports.
    r"\b\d{1,3}(?:[.-]\d{1,3}){3}\b(?::\d+)?",
    r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%\w+)?\](?::\d+)?",
    // Spans of time, such as `1m30s`, `1.5 s`, `30 seconds`.
    r"\b(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h|d))+\b",
    r"\b\d+(?:\.\d+)? (?:ns|us|µs|ms|s|sec|secs|min|mins|h|(?:milli|micro|nano)?seconds?|minutes?|hours?|days?)\b",
    // What is called an id or a number of its own, with the unit of one that is a span as well (`retry 30 seconds`).
    r#"\b(?:(?i:attempt|try|retry|pid|goroutine|generation|resource ?version|(?:\w+[-_])*(?:id|u[ui]d|guid))|[a-z]+Id)\b["']?[ :=#]+(?:is )?["']?[\w-]*\d[\w:.-]*(?: (?:[nuµm]?s|m|h|secs?|mins?|\w*(?:second|minute|hour|day)s?)\b)?"#,
    // Hexadecimal: digests, commits, addresses in memory.
    r"\b0x[0-9A-Fa-f]+\b",
    r"\b[0-9A-Fa-f]{7,}\b",
    // Letters and digits in turn, as in a ULID; a long number.
    r"\b[A-Za-z_]*\d+[A-Za-z_]+\d+[A-Za-z_]+\d\w*",
    r"\b[A-Za-z_]*\d\w{12,}",
    r"\b\d{5,}\b",
    // What Kubernetes puts behind a `generateName`: `SafeEncodeString` of k8s.io/apimachinery/pkg/util/rand.
    r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b",
];

static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&MADE_ANEW.join("|")).ok());

/// True if the two say the same to a reader. Both may be cut at [`REASON_CHARS`].
pub(super) fn alike(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let cut = [one, other].iter().any(|text| text.chars().count() >= REASON_CHARS);
    let (one, other) = (outline(one), outline(other));
    if !cut {
        return one == other;
    }
    // Where they were cut depends on how long their ids are.
    let shared = one.chars().count().min(other.chars().count()) * 3 / 4;
    one.chars().take(shared).eq(other.chars().take(shared))
}

fn outline(text: &str) -> Cow<'_, str> {
    match PATTERN.as_ref() {
        Some(pattern) => pattern.replace_all(text, "#"),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What differs each time, as common programs write it.
    fn made_anew() -> impl Strategy<Value = (String, String)> {
        let two = |pattern: &str| {
            let one = || proptest::string::string_regex(pattern).unwrap();
            (one(), one()).boxed()
        };
        prop_oneof![
            // Ids: UUIDs, commits, digests, ULIDs, requests of GitHub, pods, runs, addresses in memory.
            two("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
            two("[0-9a-f]{7}|[0-9a-f]{40}"),
            two("sha256:[0-9a-f]{64}"),
            two("01[0-7][0-9][A-Z][0-9][A-HJKMNP-TV-Z][0-9A-HJKMNP-TV-Z]{19}"),
            two("[0-9A-F]{4}:[0-9A-F]{6}:[0-9A-F]{7}:[0-9A-F]{8}:[0-9A-F]{8}"),
            two("unit-7d9f8[bcdf]{2}456-[bcdfghjklmnpqrstvwxz2456789]{5}"),
            two("unit-[0-9a-f]{8}-[a-z2-7]{16}-test-pod"),
            two("0xc000[0-9a-f]{6}"),
            two("request ID: req_[0-9]{3}[A-Z]{2}[a-z0-9]{8}"),
            two("correlation_id=[a-z0-9]{3,8}[0-9]"),
            two("attempt [1-9]"),
            two("retry #[1-9]"),
            two("resourceVersion: \"[1-9][0-9]{1,8}\""),
            // Times of day, dates, spans.
            two(
                "20[2-4][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z"
            ),
            two("20[2-4][0-9]/[01][0-9]/[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9]"),
            two(
                "(Mon|Tue|Sun), [0-3][0-9] (Jan|Nov) 20[2-4][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9] GMT"
            ),
            two("[0-2][0-9]:[0-5][0-9]:[0-5][0-9]"),
            two("1[0-9]{9}"),
            two("[1-9][0-9]?(\\.[0-9]{1,3})?(s|ms)|[1-9]m[1-5][0-9]s"),
            two("[1-9][0-9]?(\\.[0-9])? (s|seconds|minutes)"),
            // Addresses and ports.
            two("10\\.[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]{1,2}:[1-6][0-9]{4}"),
            two("\\[fe80::[0-9a-f]{1,4}\\]:[1-6][0-9]{4}"),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn ids_times_and_addresses_make_no_other_reason(
            (one, other) in made_anew(),
            (begin, end) in ("([a-z]{2,8} ){0,4}", "( [a-z]{2,8}){0,4}"),
            (open, close) in prop_oneof![Just(("", "")), Just(("\"", "\"")), Just(("(", ")")), Just(("", ": "))],
        ) {
            let say = |it: &str| format!("{begin}{open}{it}{close}{end}");
            prop_assert!(alike(&say(&one), &say(&other)), "{} / {}", say(&one), say(&other));
        }

        #[test]
        fn another_word_is_another_reason(
            one in "[a-z]{3,12}",
            other in "[a-z]{3,12}",
            (made, again) in made_anew(),
        ) {
            prop_assume!(one != other);
            let say = |word: &str, it: &str| format!("the {word} is refused ({it})");
            prop_assert!(!alike(&say(&one, &made), &say(&other, &again)));
        }
    }

    #[test]
    fn what_somebody_has_to_do_something_else_about_is_another_reason() {
        for (one, other) in [
            ("answered 502", "answered 503"),
            ("api-1.yaml: line 12: no such field", "api-1.yaml: line 14: no such field"),
            ("api-1.yaml is refused", "api-2.yaml is refused"),
            ("2 of 7 documents are refused", "3 of 7 documents are refused"),
            ("kubectl exited with 1", "kubectl exited with 126"),
            ("tekton.dev/v1 is not served", "tekton.dev/v1beta1 is not served"),
            ("namespace \"qa\" not found", "namespace \"qa2\" not found"),
            ("the field is invalid: api-1", "the field is invalid: api-2"),
            ("no space left on device", "no space left on device: /tmp"),
            ("", "forbidden"),
        ] {
            assert!(!alike(one, other), "{one} / {other}");
        }
    }

    #[test]
    fn a_span_that_reads_like_an_id_makes_no_other_reason_nor_an_id_that_begins_like_a_span() {
        let begins = ["0000000d", "1234567d", "20241130", "0a0a0a0a"];
        for (one, other) in begins.iter().zip(begins.iter().skip(1)) {
            let id = |begin: &str| format!("{begin}-0a0a-40aa-800a-0000aa0000aa");
            assert!(alike(&id(one), &id(other)), "{one} {other}");
        }
        for (one, other) in [("1 s", "1 seconds"), ("9 s", "1.5 minutes"), ("2 days", "36 h")] {
            for of in ["id", "retry", "attempt"] {
                assert!(alike(&format!("{of} {one}: no"), &format!("{of} {other}: no")), "{one}");
            }
        }
    }

    #[test]
    fn reasons_that_were_cut_are_compared_by_what_is_there() {
        let long = |id: &str, word: &str| {
            let text = format!("request {id} {word} {}", "and so on ".repeat(200));
            crate::text::cut(&text, REASON_CHARS)
        };
        let uuid = "8f14e45f-ceea-467f-a8f1-0c0f1f2f3f4f";
        assert!(alike(&long("1234567", "failed"), &long(uuid, "failed")));
        assert!(!alike(&long("1234567", "failed"), &long(uuid, "is refused")));
    }

    #[test]
    fn of_reasons_that_were_cut_the_first_three_quarters_of_the_shorter_one_count() {
        let cut = "x ".repeat(REASON_CHARS / 2);
        let with = |at: usize| {
            let mut text: Vec<char> = cut.chars().collect();
            text[at] = '!';
            text.into_iter().collect::<String>()
        };
        let edge = REASON_CHARS * 3 / 4;
        assert!(!alike(&cut, &with(edge - 1)));
        assert!(alike(&cut, &with(edge)));
    }
}
