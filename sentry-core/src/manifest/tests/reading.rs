//! What is read from files: values as kubectl reads them, errors with place and remedy, budgets.

use serde_json::{Value, json};

use super::{config_map, decided, prepared, tree};
use crate::forge::RefusedEntry;
use crate::manifest::parse::Content;
use crate::manifest::{Decision, MAX_DOCUMENTS, MAX_FILE_BYTES, parse};

/// What `data.x` is when it is sent.
fn sent(yaml: &str) -> Value {
    let set = prepared(&config_map("{name: a}", yaml));
    assert_eq!(set.decisions[0].decision, Decision::Apply, "{yaml}: {}", set.decisions[0].reason);
    set.objects[0].json["data"]["x"].clone()
}

#[test]
fn a_scalar_is_what_kubectl_reads() {
    // Each compared with `kubectl annotate --local -o jsonpath` of kubectl 1.32.
    for (yaml, want) in [
        ("0755", json!(493)),
        ("-0755", json!(-493)),
        ("0o14", json!(12)),
        ("0x1F", json!(31)),
        ("0b11", json!(3)),
        ("1_000", json!(1000)),
        ("0789", json!(789)),
        ("+1", json!(1)),
        ("1.0", json!(1)),
        ("-0.0", json!(0)),
        ("1e3", json!(1000)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("1e21", json!(1e21)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_f64)),
        ("123456789012345678901234567890", json!(1.234_567_890_123_456_8e29)),
        ("yes", json!(true)),
        ("on", json!(true)),
        ("n", json!(false)),
        ("~", Value::Null),
        ("null", Value::Null),
        ("2024-01-01", json!("2024-01-01")),
        ("1:30", json!("1:30")),
        ("0o8", json!("0o8")),
        ("1.2.3", json!("1.2.3")),
        ("'0755'", json!("0755")),
        ("\"yes\"", json!("yes")),
        ("!!str 12", json!("12")),
        ("!!binary aGk=", json!("hi")),
        ("-0o14", json!(-12)),
        ("0B11", json!(3)),
        ("1_", json!(1)),
        ("_1", json!("_1")),
        ("08.5", json!(8.5)),
        ("1.", json!(1)),
        ("0x", json!("0x")),
        ("0x1p3", json!("0x1p3")),
        ("Inf", json!("Inf")),
        (".e3", json!(".e3")),
        ("9007199254740993", json!(9_007_199_254_740_993_i64)),
        ("9007199254740993.0", json!(9_007_199_254_740_992_i64)),
        ("9223372036854774784.0", json!(9_223_372_036_854_775_000_i64)),
        ("1_0.5", json!(10.5)),
        ("0", json!(0)),
        ("+inf", json!("+inf")),
        ("-nan", json!("-nan")),
        ("-Infinity", json!("-Infinity")),
        ("0xFFFFFFFFFFFFFFFF", json!(1.844_674_407_370_955_2e19)),
    ] {
        assert_eq!(sent(yaml), want, "{yaml}");
    }
    assert_eq!(sent("1.0").to_string(), "1");
}

#[test]
fn what_looks_like_another_type_is_what_kubectl_takes_it_for() {
    for (yaml, want) in [
        ("190:20:30", json!("190:20:30")),
        ("2001-12-14t21:59:43.10-05:00", json!("2001-12-14t21:59:43.10-05:00")),
        ("=", json!("=")),
        ("<<", json!("<<")),
        ("Y", json!(true)),
        ("OFF", json!(false)),
        ("yEs", json!("yEs")),
        ("oN", json!("oN")),
        ("tRUE", json!("tRUE")),
        ("fALSE", json!("fALSE")),
        ("nULL", json!("nULL")),
        ("nil", json!("nil")),
        (".iNf", json!(".iNf")),
        ("!!str yes", json!("yes")),
        ("!!int \"3\"", json!(3)),
        ("!!float 3", json!(3)),
        ("!!bool 'yes'", json!(true)),
        ("!!null ''", Value::Null),
        ("!!map {a: !!seq [b]}", json!({"a": ["b"]})),
        ("!<tag:yaml.org,2002:str> 1", json!("1")),
        ("\"\\N\\L\\_\\x41\"", json!("\u{85}\u{2028}\u{a0}A")),
        ("a\tb", json!("a\tb")),
        ("{\"a\":1}", json!({"a": 1})),
        ("{a:1}", json!({"a:1": null})),
        ("[a: b, c]", json!([{"a": "b"}, "c"])),
    ] {
        assert_eq!(sent(yaml), want, "{yaml}");
    }
}

#[test]
fn what_is_merged_is_what_kubectl_merges() {
    for (yaml, want) in [
        ("{<<: {a: 1}, b: 2}", json!({"a": 1, "b": 2})),
        ("{<<: {a: 1}, a: 2}", json!({"a": 2})),
        ("{b: 2, <<: {a: 1}}", json!({"a": 1, "b": 2})),
        ("{a: 1, <<: {a: 1}}", json!({"a": 1})),
        ("{<<: [{a: 1}, {a: 2, b: 2}]}", json!({"a": 1, "b": 2})),
        ("{<<: {<<: {a: 1, b: 1}, b: 2}}", json!({"a": 1, "b": 2})),
        ("{<<: {a: 1}, <<: {b: 2}}", json!({"a": 1, "b": 2})),
        ("{m: &m {a: 1}, o: {<<: *m, a: 2}}", json!({"m": {"a": 1}, "o": {"a": 2}})),
        ("{m: &m {a: 1}, o: {<<: [*m]}}", json!({"m": {"a": 1}, "o": {"a": 1}})),
        ("{<<: []}", json!({})),
        ("{\"<<\": {a: 1}}", json!({"<<": {"a": 1}})),
        ("{'<<': 1}", json!({"<<": 1})),
        ("{m: &m a, *m : 1}", json!({"m": "a", "a": 1})),
        ("{m: &m 1, o: [*m, &m 2, *m]}", json!({"m": 1, "o": [1, 2, 2]})),
    ] {
        assert_eq!(sent(yaml), want, "{yaml}");
    }
}

#[test]
fn what_readers_disagree_about_is_refused_with_a_remedy() {
    for (yaml, word) in [
        ("{a: 1, a: 2}", "remove one of the two"),
        ("{on: 1}", "quote the key"),
        ("{1: 2}", "quote the key"),
        ("{~: 1}", "quote the key"),
        ("{? [a] : b}", "quote the key"),
        (".nan", "quote it"),
        ("-.inf", "quote it"),
        ("1e400", "quote it"),
        ("!foo x", "remove the tag"),
        ("! 12", "remove the tag"),
        ("!!set {a, b}", "remove the tag"),
        ("!!str {a: b}", "remove the tag"),
        ("!!seq {a: b}", "remove the tag"),
        ("!!map [a]", "remove the tag"),
        ("!!int 1.0", "remove the tag"),
        ("!!timestamp 2001-01-01", "remove the tag"),
        ("!!binary /w==", "write the string itself"),
        ("[!!str , a]", "remove the tag"),
        ("{p: \"9\", <<: {p: 1}}", "put `<<` first"),
        ("{<<: {p: 1}, <<: {p: 2}}", "put `<<` first"),
        ("{<<: [a]}", "give it a mapping"),
        ("{m: &m [], <<: *m}", "give it a mapping"),
        ("{<<: {p: 1}, q: 1, q: 2}", "remove one of the two"),
        ("0x1FFFFFFFFFFFFFFFFF", "quote it"),
        ("0777777777777777777777777", "quote it"),
        ("-0xFFFFFFFFFFFFFFFF", "quote it"),
        (&"9".repeat(400), "quote it"),
        ("0b-1", "quote it"),
        (".5_0", "quote it"),
        ("[a?b]", "quote it"),
        ("{a: :b}", "quote it"),
        ("[a:]", "quote it"),
        ("{\"a\n      b\": 1}", "write it on one line"),
        ("\"\\ud83d\\ude00\"", "write the character itself"),
        ("\"\\/\"", "write the character itself"),
        ("&a.b x", "use letters, digits"),
        ("*nowhere", "correct the YAML"),
        ("{{ revision }}", "quote it: \"{{ revision }}\""),
        ("[a, {{ env }}]", "quote it: \"{{ env }}\""),
    ] {
        let (decision, reason) = decided(&config_map("{name: a}", yaml));
        assert!(decision == "refuse" && reason.contains(word), "{yaml}: {reason}");
    }
}

#[test]
fn what_is_no_yaml_is_refused_at_its_place_with_an_excerpt() {
    for (text, line, excerpt) in [
        ("kind: a\nx: [1, 2\n", 2, "near `x: [1, 2`"),
        ("a: 1\n b: 2\n", 2, "near `b: 2`"),
        ("a: 'x\n", 1, "near `a: 'x`"),
        ("a: b: c\n", 1, "near `a: b: c`"),
        ("a: `x`\n", 1, "near `a: `x``"),
        ("---#x\nb: 2\n", 1, "(near `---#x`): start it on the next line"),
        ("--- {a: 1}\n", 1, "start it on the next line"),
        ("# x\n...\n---\na: 1\n", 2, "remove the line with `...`"),
        ("{a: 1}\n", 1, "start the file with a line `---`"),
        ("{\"a\": 1}\n---\na: 1\n", 1, "start the file with a line `---`"),
        ("a: 1 # x\u{2028}b: 2\n", 1, "write it as an escape in double quotes"),
        ("a: 1\rb: 2\n", 1, "write it as an escape in double quotes"),
        ("a: x\nb:\n\u{feff}  c: 1\n", 3, "write it as an escape in double quotes"),
        ("a:\n  - \tb\n", 2, "use spaces"),
        ("a: |\n  \tb\n", 2, "start it with another line"),
        ("a: 1\n\t\nb: |\n  x\n", 2, "use spaces"),
        ("{\"a\":1}{\"b\":2}", 1, "near `{\"a\":1}{\"b\":2}`"),
        ("a: 1\n...\nb: 2\n", 3, "put a line `---` between documents"),
        ("%YAML 1.1\n---\na: 1\n", 1, "(near `%YAML 1.1`): remove the line with `%`"),
        ("# x\n%A\n%B\n", 2, "remove the line with `%`"),
        ("a: 1\n...\n# x\n%A\n", 4, "remove the line with `%`"),
        ("\u{0}", 1, "near `\u{fffd}`"),
        ("a: 1\nb: \"\u{1b}[31m\" x\n", 2, "\u{fffd}[31m"),
        ("m:\n  - name: {{ repo_name }}-x\n", 2, "quote it: \"{{ repo_name }}\""),
    ] {
        let set = prepared(text);
        let d = &set.decisions[0];
        assert_eq!((d.decision, d.line), (Decision::Refuse, line), "{text:?}: {}", d.reason);
        assert!(d.column.is_some() && d.reason.contains(excerpt), "{text:?}: {}", d.reason);
        assert!(!d.reason.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn what_is_no_kubernetes_object_is_skipped() {
    for text in [
        "",
        "# only a comment\n",
        "---\n",
        "- a\n- b\n",
        "just text\n",
        "12\n",
        "replicas: 2\nimage: {tag: x}\n",
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
        "{{- if .Values.x }}\napiVersion: v1\n{{- end }}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n",
    ] {
        assert_eq!(decided(text).0, "skip", "{text:?}: {}", decided(text).1);
    }
    let set = super::Scene::default().files(&[("base/kustomization.yml", "resources: [x: y: z]")]);
    assert_eq!(set.decisions[0].decision, Decision::Skip);
}

#[test]
fn a_broken_object_that_only_mentions_helm_is_refused_not_skipped() {
    let text = format!(
        "{}broken: [\n",
        super::run("{name: a}").replace("spec: {}", "spec:\n  script: |\n    echo {{- .x }}")
    );
    assert_eq!(decided(&text).0, "refuse");
}

#[test]
fn every_document_is_looked_at_and_numbered_by_its_place_in_the_file() {
    let good = config_map("{name: a}", "1");
    let text = format!(
        "# header\n---\na: [\n--- # two\n# comment\n{good}---\nkey: 'x\n---\n{}",
        config_map("{name: b}", "1")
    );
    let set = prepared(&text);
    let got: Vec<_> =
        set.decisions.iter().map(|d| (d.document, d.line, d.decision.as_str())).collect();
    assert_eq!(got, [(1, 3, "refuse"), (2, 6, "apply"), (3, 11, "refuse"), (4, 13, "apply")]);
    assert_eq!(set.objects[1].object.line, 13);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let text = format!("\u{feff}---\n{}---\n{}", config_map("{name: a}", "1"), "a: [\n");
    let set = prepared(&text.replace('\n', "\r\n"));
    let got: Vec<_> = set.decisions.iter().map(|d| (d.line, d.decision.as_str())).collect();
    assert_eq!(got, [(2, "apply"), (7, "refuse")]);
}

#[test]
fn a_marker_inside_a_block_text_is_text() {
    let text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    ---\n    b\n";
    assert_eq!(prepared(text).objects[0].json["data"]["x"], "---\nb\n");
}

#[test]
fn entries_that_were_not_read_are_refused_by_name() {
    let mut tree = tree([("b.yaml", b"".as_slice()), ("z.yaml", b"\xff\xfe".as_slice())]);
    tree.refused.push(RefusedEntry {
        path: "c/link.yaml".into(),
        what: "is a symbolic link (mode 120000)".into(),
    });
    let entries = parse(&tree).entries;
    let paths: Vec<_> = entries.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["b.yaml", "c/link.yaml", "z.yaml"]);
    for (entry, word) in [(&entries[1], "symbolic link"), (&entries[2], "not UTF-8")] {
        let Content::Refused { reason, .. } = &entry.content else { panic!("{entry:?}") };
        assert!(reason.contains(word), "{reason}");
    }
}

#[test]
fn a_document_over_a_limit_is_told_by_its_place_and_nothing_after_it_is_read() {
    let breach = "a: &a [1]\nb: [".to_owned() + &"*a,".repeat(101) + "]\n---\n";
    let large = format!("{}- x\n---\n- b\n", "- a\n".repeat(49_998));
    for (text, documents, word) in [
        ("---\na: 1\n".repeat(MAX_DOCUMENTS), MAX_DOCUMENTS, ""),
        (
            "---\na: 1\n".repeat(MAX_DOCUMENTS + 1),
            MAX_DOCUMENTS + 1,
            "200 documents (at document 201)",
        ),
        (breach.repeat(5), 6, ""),
        (breach.repeat(8), 7, "too many documents exceed a limit (at document 6)"),
        (large + "---\n- c\n", 3, "nodes or 8 MiB of text in all (at document 2)"),
    ] {
        let set = prepared(&text);
        assert_eq!(set.decisions.len(), documents, "{word}");
        assert_eq!(
            word.is_empty(),
            !refusals(&text).contains("in all (at document")
                && !refusals(&text).contains("nothing after this"),
            "{word}"
        );
        assert!(refusals(&text).contains(word), "{}", refusals(&text));
    }
    let files: Vec<_> = (0..5).map(|n| (format!("{n}.yaml"), "#".repeat(MAX_FILE_BYTES))).collect();
    let mut files: Vec<_> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(super::Scene::default().files(&files).refusals().count(), 0);
    files.extend([("6.yaml", "#"), ("7.yaml", "#")]);
    let set = super::Scene::default().files(&files);
    let reasons: Vec<_> = set.refusals().map(|d| d.reason.as_str()).collect();
    assert_eq!((set.decisions.len(), reasons.len()), (6, 1));
    assert!(reasons[0].contains("more than 5 MiB in all; nothing after"), "{reasons:?}");
}

#[test]
fn quotes_are_advised_only_where_a_variable_is_a_whole_value() {
    for text in ["a: b: x {{ env }}\n", "a: {{ a b }}\n"] {
        let reason = refusals(text);
        assert!(!reason.is_empty() && !reason.contains("quote it:"), "{text}: {reason}");
    }
}

/// All reasons of refusals of one file, joined.
fn refusals(text: &str) -> String {
    prepared(text).refusals().map(|d| format!("{}\n", d.reason)).collect()
}

/// Nine levels of nine aliases each.
fn alias_bomb() -> String {
    let level = |i: usize| format!("l{i}: &l{i} [{}]\n", vec![format!("*l{}", i - 1); 9].join(","));
    format!("l0: &l0 [x,x,x,x,x,x,x,x,x]\n{}", (1..9).map(level).collect::<String>())
}

#[test]
fn hostile_files_are_refused() {
    let text_bomb = format!("a: &a {}\nb: [{}]\n", "x".repeat(900_000), vec!["*a"; 90].join(","));
    let one_breach = "a: &a [1]\nb: [".to_owned() + &"*a,".repeat(200) + "]\n---\n";
    for (what, text, word) in [
        ("alias bomb", alias_bomb(), "keep less in one document"),
        ("long text many times", text_bomb, "bytes of text in one document"),
        ("deep lists", "[".repeat(65) + &"]".repeat(65), "more than 64 nested mappings and lists"),
        ("deep mappings", (0..70).map(|i| " ".repeat(i) + "a:\n").collect(), "keep less"),
        ("many lists never closed", "[".repeat(100_000), ""),
        ("many nodes", "- a\n".repeat(50_001), "more than 50000 nodes"),
        ("many documents", "---\na: 1\n".repeat(MAX_DOCUMENTS + 1), "more than 200 documents"),
        ("a large file", "#".repeat(MAX_FILE_BYTES + 1), "split it"),
        (
            "many anchors",
            (0..200).map(|i| format!("- &a{i} x\n")).collect(),
            "more than 100 anchors",
        ),
        ("many breaches", one_breach.repeat(20), "too many documents exceed a limit"),
        ("itself", "a: &a [*a]\n".into(), "correct the YAML"),
    ] {
        let refusals = refusals(&text);
        assert!(!refusals.is_empty() && refusals.contains(word), "{what}: {refusals}");
    }
}

#[test]
fn budgets_are_shared_by_all_files() {
    let nodes = "- a\n".repeat(30_000);
    let bytes = format!("a: 1 # {}\n", "x".repeat(1_000_000));
    for (text, count, word) in [
        (nodes.as_str(), 2, "more than 50000 nodes"),
        (bytes.as_str(), 6, "more than 5 MiB in all"),
        ("---\na: 1\n", 201, "more than 200 documents"),
    ] {
        let names: Vec<_> = (0..count).map(|i| format!("{i:03}.yaml")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), text)).collect();
        let set = super::Scene::default().files(&files);
        let reasons: String = set.refusals().map(|d| d.reason.as_str()).collect();
        assert!(reasons.contains(word), "{reasons}");
        let fewer = super::Scene::default().files(&files[..count - 1]);
        assert_eq!(fewer.refusals().count(), 0, "{word}");
    }
}

#[test]
fn depth_up_to_the_limit_is_read() {
    let nested = |depth: usize| config_map("{name: a}", &("[".repeat(depth) + &"]".repeat(depth)));
    assert_eq!(decided(&nested(62)).0, "apply");
    assert_eq!(decided(&nested(63)).0, "refuse");
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let seed = format!("{}---\n{}", config_map("{name: &a b}", "*a"), alias_bomb());
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..500 {
        let mut bytes = seed.clone().into_bytes();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..3) {
                0 => bytes[at] = random.u8(..),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, *random.choice(b"{}[]:-#&*!|>'\"%@`,?\n\t ").unwrap()),
            }
        }
        assert!(!parse(&tree([("a.yaml", bytes.as_slice())])).entries.is_empty());
    }
}
