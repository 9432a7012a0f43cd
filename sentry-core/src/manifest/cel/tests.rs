//! What expressions say, and that none of them costs much.

use std::collections::BTreeMap;

use super::super::fuel::Fuel;
use super::super::globs::Globs;
use super::super::marked::Marked;
use super::super::selection::Means;
use super::{
    Facts, NoAnswer, STACK_BYTES, Truth, evaluate, evaluate_here, guard, may_ask_for_paths,
    on_a_stack,
};
use crate::forge::ChangedPaths;

/// Facts about nothing.
const FACTS: Facts<'static> = Facts {
    event: "",
    source_branch: "",
    target_branch: "",
    heads: "refs/heads/",
    url: "",
    title: "",
    own: &BTreeMap::new(),
    changed: None,
};

fn paths(paths: &[&str]) -> ChangedPaths {
    ChangedPaths { paths: paths.iter().map(|p| (*p).to_owned()).collect(), truncated: false }
}

/// What so many runs are decided with.
fn means(runs: usize, changed: Option<&ChangedPaths>) -> Means<'_> {
    let mut means = Means { fuel: Fuel::new(runs), globs: Globs::new(changed) };
    means.fuel.next();
    means
}

fn why_of(error: NoAnswer) -> String {
    let (NoAnswer::Payload(why) | NoAnswer::Unclear(why)) = error;
    why
}

/// A push to `main` that changed the given paths.
fn says(text: &str, changed: Option<&ChangedPaths>) -> Result<Truth, NoAnswer> {
    let own = BTreeMap::from([("team".to_owned(), "qa".to_owned())]);
    let facts = Facts {
        event: "push",
        source_branch: "main",
        target_branch: "main",
        heads: "refs/heads/",
        url: "https://example.com/a/b",
        title: "feat: a shop",
        own: &own,
        changed,
    };
    let mut means = means(1, changed);
    means.fuel.refill();
    evaluate_here(&Marked::plain(text), &facts, &mut means)
}

/// A push to `main` that changed `docs/a.md` and `cmd/x.go`.
fn with_paths(text: &str) -> Result<Truth, NoAnswer> {
    says(text, Some(&paths(&["cmd/x.go", "docs/a.md"])))
}

#[test]
fn an_expression_is_true_or_false_for_a_push() {
    for (text, want) in [
        ("event == \"push\" && target_branch == \"main\"", Truth::Yes),
        ("event == 'push' && source_branch == 'dev'", Truth::No),
        ("event == 'pull_request'", Truth::No),
        ("event_type == 'push' && team == 'qa'", Truth::Yes),
        ("target_branch == 'refs/heads/main'", Truth::Yes),
        ("target_branch.startsWith('refs/heads/')", Truth::Yes),
        ("target_branch.startsWith('refs/tags/')", Truth::No),
        ("target_branch.matches('^(master|main)$')", Truth::Yes),
        ("matches(target_branch, 'ai')", Truth::Yes),
        ("source_url == target_url && source_url.endsWith('/b')", Truth::Yes),
        ("event_title.startsWith('feat') && !event_title.contains('skip')", Truth::Yes),
        ("event in ['push', 'incoming']", Truth::Yes),
        ("{'push': true}[event] && 'push' in {'push': 1}", Truth::Yes),
        ("size(event) == 4 && event.size() < 5 && [1, 2].size() == 2", Truth::Yes),
        ("event == 'push' ? 1 + 2 * 3 == 7 : false", Truth::Yes),
        ("has({'a': 1}.a) && !has({'a': 1}.b)", Truth::Yes),
        ("[1, 2, 3].filter(x, x > 1).map(x, x * 2) == [4, 6]", Truth::Yes),
        ("[1, 2, 3].exists_one(x, x == 2) && ['a'].all(x, x == 'a')", Truth::Yes),
        ("string(1) + 'a' == '1a' && int('7') == 7 && 7 % 4 == 3 && -1 < 0", Truth::Yes),
        ("1 == 1.0 && 1u == 1 && !(1 == '1') && null == null", Truth::Yes),
        ("1 < 2 && !(2 < 1) && !(1 < 1) && 'a' < 'b' && false < true", Truth::Yes),
        ("1 <= 1 && 1 <= 2 && !(2 <= 1) && 2 > 1 && !(1 > 2) && !(1 > 1)", Truth::Yes),
        ("1 >= 1 && 2 >= 1 && !(1 >= 2) && !('b' < 'a') && !(true < false)", Truth::Yes),
        ("-(2) < 0 && -(1.5) < 0.0 && 5 - 3 == 2 && 6 / 3 == 2 && dyn(1) == 1", Truth::Yes),
        ("size({'a': 1}) == 1 && string('a') == 'a' && string(true) == 'true'", Truth::Yes),
        ("string(2u) == '2' && int(7) == 7 && int(2u) == 2", Truth::Yes),
        ("true == true && true != false && 9007199254740993 != 9007199254740992", Truth::Yes),
        ("{'a': 1} == {'a': 1} && {'a': 1} != {'a': 2} && {'a': 1} != {'b': 1}", Truth::Yes),
        ("{'a': 1} != {'a': 1, 'b': 2} && [1] != [2] && [1] != [1, 1]", Truth::Yes),
        ("[[1]].all(x, x == [1] && x.size() == 1)", Truth::Yes),
        ("\"a\\\"b\".size() == 3 && r'\\d' == '\\\\d' && '''a'b''' != \"\"", Truth::Yes),
    ] {
        assert_eq!(says(text, None), Ok(want), "{text}");
    }
}

#[test]
fn paths_that_changed_are_asked_for() {
    for (text, want) in [
        ("'docs/***'.pathChanged()", Truth::Yes),
        ("'***/*.go'.pathChanged() && !'*.rs'.pathChanged()", Truth::Yes),
        ("'*.go'.pathChanged() && 'cmd/x.go'.pathChanged()", Truth::Yes),
        ("files.all.exists(x, x.matches('^cmd/'))", Truth::Yes),
        ("files['all'].size() == 2 && has(files.all)", Truth::Yes),
        ("files.all.all(x, x.startsWith('docs/'))", Truth::No),
        ("files.added.exists(x, x == 'cmd/x.go')", Truth::DependsOnPaths),
        ("event == 'pull_request' && files.deleted.size() > 0", Truth::No),
    ] {
        assert_eq!(with_paths(text), Ok(want), "{text}");
    }
    assert_eq!(says("files.added.size() == 0", Some(&paths(&[]))), Ok(Truth::Yes));
    let cut = ChangedPaths { paths: vec!["a".into()], truncated: true };
    assert_eq!(says("'a'.pathChanged()", Some(&cut)), Ok(Truth::DependsOnPaths));
}

#[test]
fn what_is_not_known_about_paths_matters_only_where_it_decides() {
    for (text, want) in [
        ("'a'.pathChanged()", Truth::DependsOnPaths),
        ("!'a'.pathChanged()", Truth::DependsOnPaths),
        ("'a'.pathChanged() && event == 'pull_request'", Truth::No),
        ("'a'.pathChanged() || event == 'push'", Truth::Yes),
        ("event == 'push' && (files.all.exists(x, x == 'a') || false)", Truth::DependsOnPaths),
        ("['a', 'b'].exists(x, x.pathChanged())", Truth::DependsOnPaths),
        ("['a', 'b'].exists(x, x.pathChanged() || x == 'b')", Truth::Yes),
    ] {
        assert_eq!(says(text, None), Ok(want), "{text}");
    }
}

#[test]
fn a_webhooks_payload_has_no_value_and_matters_only_where_it_decides() {
    for (text, want) in [
        ("event == 'pull_request' && body.action == 'opened'", Truth::No),
        ("body.action == 'opened' && event == 'pull_request'", Truth::No),
        ("event == 'push' || has(body.pull_request)", Truth::Yes),
        ("headers['x-y'] == 'z' || event == 'push'", Truth::Yes),
    ] {
        assert_eq!(says(text, None), Ok(want), "{text}");
    }
    for text in ["body.x == 1", "!has(body.x)", "headers['a'] == 'b' && event == 'push'"] {
        let error = says(text, None).unwrap_err();
        let payload = matches!(&error, NoAnswer::Payload(why) if why.contains("webhook's payload"));
        assert!(payload, "{text}: {error:?}");
    }
    let both = says("'a'.pathChanged() && body.x == 1", None);
    assert!(matches!(both, Err(NoAnswer::Payload(_))), "{both:?}");
    let wrong = says("body.x == 1 && 1 / 0 == 1", None);
    assert!(matches!(wrong, Err(NoAnswer::Unclear(_))), "{wrong:?}");
}

#[test]
fn an_expression_without_an_answer_says_why() {
    for (text, word) in [
        ("event ==", "can't be read"),
        ("", "can't be read"),
        ("event == 'push' || nobody == 1", "no variable `nobody`"),
        ("event == 'push' || foo(1)", "function `foo` is not supported"),
        ("event.lowerAscii() == 'push'", "function `lowerAscii`"),
        ("'push'", "it is a string, not true or false"),
        ("event && true", "used as a condition"),
        ("1 < 'a'", "can't be compared"),
        ("1 / 0 == 1", "too large"),
        ("9223372036854775807 + 1 > 0", "too large"),
        ("[1][5] == 1", "no index 5"),
        ("{'a': 1}.b == 1", "no field `b`"),
        ("target_branch.matches('(')", "not a regular expression"),
        ("'['.pathChanged() && true", "unclosed"),
        ("Foo{a: 1} == null", "typed object"),
        ("event == 'push' || Foo{a: 1} == null", "typed object"),
        ("[1].exists(q, q == 1) || q == 1", "no variable `q`"),
        ("[1] - [2] == []", "does not take a list and a list"),
        ("b'a' == b'a'", "bytes"),
    ] {
        let error = why_of(with_paths(text).unwrap_err());
        assert!(error.contains(word), "{text}: {error}");
    }
}

/// Steps that an expression takes.
fn steps(text: &str, changed: Option<&ChangedPaths>) -> u64 {
    let facts = Facts { changed, event: "push", ..FACTS };
    let mut means = means(1, changed);
    means.fuel.refill();
    let before = means.fuel.left();
    evaluate_here(&Marked::plain(text), &facts, &mut means).unwrap();
    before - means.fuel.left()
}

#[test]
fn each_step_is_paid_for_and_what_it_looks_at_as_well() {
    let x = |n: usize| "x".repeat(n);
    let items = |n: usize| format!("[{}]", vec!["1"; n].join(","));
    let steep = "(a{1,40}){1,10}";
    // What so many bytes or items more cost: sixteen bytes a step, of two texts together eight, an item four beside its own.
    for (expression, from, to, cost) in [
        ((&|n| format!("'{}' == ''", x(n))) as &dyn Fn(usize) -> String, 1600, 3200, 100),
        (&|n| format!("'{}'.size() == 0", x(n)), 1600, 3200, 100 + 100),
        (&|n| format!("'{0}' == '{0}'", x(n)), 1600, 3200, 200 + 100),
        (&|n| format!("'{0}' < '{0}'", x(n)), 1600, 3200, 200 + 100),
        (&|n| format!("('{0}' + '{0}') == ''", x(n)), 1600, 3200, 200 + 400),
        (&|n| format!("'{}'.contains('y')", x(n)), 1600, 3200, 100 + 200),
        (&|n| format!("'{}'.matches('y')", x(n)), 1600, 3200, 100 + 200 + 400),
        (&|n| format!("'{}'.matches('{steep}')", x(n)), 1600, 3200, 100 + 200 + 16 * 400),
        (&|n| format!("size({}) == 0", items(n)), 100, 200, 500),
        (&|n| format!("size({0} + {0}) == 0", items(n)), 100, 200, 1000 + 400),
        (&|n| format!("[{}].exists(l, size(l + [1]) == 0)", items(n)), 100, 200, 500 + 400),
        (
            &|n| {
                format!(
                    "size({{{}}}) == 0",
                    (0..n).map(|n| format!("{n}: 1")).collect::<Vec<_>>().join(",")
                )
            },
            1,
            2,
            2 + 4 + 1,
        ),
    ] {
        let more = steps(&expression(to), None) - steps(&expression(from), None);
        assert_eq!(more, cost, "{}", expression(3));
    }
    for (count, bytes, cost) in [(2, 1600, 4 + 100), (3, 1600, 4 + 100), (2, 3200, 4 + 200)] {
        let path = x(bytes);
        let (fewer, more) = (paths(&vec![&*path; count]), paths(&vec![&*path; count + 1]));
        let steps = |changed| steps("size(files.all) == 0", Some(changed));
        assert_eq!(steps(&more) - steps(&fewer), cost, "{count} paths of {bytes} bytes");
    }
    assert_eq!(steps("event == 'push'", None), 4, "a step for each part and the comparison");
    assert_eq!(steps("'a'.matches('a') && 'b'.matches('a')", None), 7 + 5_000 + 2 * 8);
    let mut means = means(1, None);
    means.fuel.refill();
    let before = means.fuel.left();
    evaluate(&Marked::plain("true"), &FACTS, &mut means).unwrap();
    assert_eq!(before - means.fuel.left(), 4 * 50 + 1, "fifty for each byte that is read");
}

#[test]
fn it_is_known_which_expressions_may_ask_for_paths() {
    for (text, want) in [
        ("event == 'push' && 'a'.pathChanged()", true),
        ("files.all.size() > 0", true),
        ("event == 'push'", false),
        ("event ==", false),
    ] {
        assert_eq!(may_ask_for_paths(text), want, "{text}");
    }
}

/// Small expressions of every kind, put together.
fn random_expression(random: &mut fastrand::Rng, depth: usize) -> String {
    let leaf = ["1", "2", "0", "true", "false", "'a'", "'ab'", "[1, 2]", "['a']", "x", "null"];
    if depth == 0 {
        return (*random.choice(leaf).unwrap()).to_owned();
    }
    let mut part = || random_expression(random, depth - 1);
    let (a, b, c) = (part(), part(), part());
    match random.u8(0..14) {
        0 => format!("({a} && {b})"),
        1 => format!("({a} || {b})"),
        2 => format!("!({a})"),
        3 => format!("({a} == {b})"),
        4 => format!("({a} < {b})"),
        5 => format!("({a} + {b})"),
        6 => format!("({a} ? {b} : {c})"),
        7 => format!("({a} in {b})"),
        8 => format!("({a}).exists(y, y == {b})"),
        9 => format!("({a}).all(y, {b})"),
        10 => format!("({a}).map(y, {b}, {c})"),
        11 => format!("({a}).filter(y, y != {b})"),
        12 => format!("size({a})"),
        _ => format!("({a} % {b})"),
    }
}

#[test]
fn it_agrees_with_the_evaluator_of_the_library() {
    let mut random = fastrand::Rng::with_seed(5);
    let own = BTreeMap::from([("x".to_owned(), "a".to_owned())]);
    let facts = Facts { own: &own, ..FACTS };
    let mut context = cel::Context::default();
    context.add_variable_from_value("x", "a");
    let (mut yes, mut no, mut errors) = (0, 0, 0);
    for _ in 0..3_000 {
        let depth = random.usize(1..4);
        let text = random_expression(&mut random, depth);
        let theirs = cel::Program::compile(&text).unwrap().execute(&context);
        match (evaluate(&Marked::plain(&text), &facts, &mut means(1, None)), theirs) {
            (Ok(Truth::Yes), Ok(cel::Value::Bool(true))) => yes += 1,
            (Ok(Truth::No), Ok(cel::Value::Bool(false))) => no += 1,
            (Err(_), Err(_)) => errors += 1,
            (Err(why), Ok(value)) => {
                let why = why_of(why);
                assert!(why.contains("not true or false"), "{text}: {why}, theirs {value:?}");
            }
            (ours, theirs) => panic!("{text}: {ours:?}, theirs {theirs:?}"),
        }
    }
    assert!(yes > 50 && no > 50 && errors > 50, "{yes} {no} {errors}");
}

/// What an expression says about a push of 3,000 paths, with half the stack that it gets.
fn on_half_the_stack(text: &str) -> Result<Truth, NoAnswer> {
    guard::check(text)?;
    let many: Vec<String> = (0..3_000).map(|i| format!("some/path/of/{i}/file.go")).collect();
    let changed = ChangedPaths { paths: many, truncated: false };
    on_a_stack(STACK_BYTES / 2, || says(text, Some(&changed)))?
}

#[test]
fn no_expression_overflows_the_stack() {
    let chain = |part: &str, times: usize| format!("1{}", part.repeat(times));
    for text in [
        "(".repeat(4_000) + &")".repeat(4_000),
        "(".repeat(24) + "1" + &")".repeat(24),
        "(".repeat(25) + "1" + &")".repeat(25),
        "[".repeat(24) + "1" + &"]".repeat(24),
        "{1:".repeat(20) + "1" + &"}".repeat(20),
        "!".repeat(399) + "true",
        "-".repeat(399) + "1",
        chain("+1", 399),
        chain(".a", 399),
        chain("==1", 199),
        chain("?1:1", 199),
        "true?".repeat(199) + "1" + &":1".repeat(199),
        "true&&".repeat(199) + "false",
        "a[".repeat(24) + "1" + &"]".repeat(24),
        "f(".repeat(24) + "1" + &")".repeat(24),
        "[1].map(x,".repeat(20) + "x" + &")".repeat(20),
        "[1]".to_owned() + &".map(x,x)".repeat(80),
        "((((((((((((((((((((((((".to_owned() + &"a".repeat(4_000),
        "'".to_owned() + &"(".repeat(4_000),
        "\u{0}\u{1}".repeat(1_000),
        "é".repeat(2_000),
    ] {
        let outcome = on_half_the_stack(&text);
        assert!(outcome != Ok(Truth::Yes), "{text}");
    }
}

#[test]
fn no_expression_takes_long_or_fills_the_memory() {
    let double = |start: &str, times: usize| format!("{start}{}", ".map(x,x+x)".repeat(times));
    for text in [
        "files.all.all(a, files.all.all(b, files.all.all(c, a != b || b != c || true)))".to_owned(),
        "files.all.map(a, files.all.map(b, files.all)).size() > 0".to_owned(),
        "files.all.all(a, files.all.all(b, !(a in files.all) || a + b != b + a || true))"
            .to_owned(),
        double("['aaaaaaaaaaaaaaaa']", 80) + ".size() > 0",
        double("[[1]]", 80) + ".size() > 0",
        "files.all.all(a, a.matches('(a|b|c|some)*(path|file)[a-z]{1,50}') || a.matches(a))"
            .to_owned(),
        "'aaaaaaaaaaaaaaaaaaaa'.matches('((a{1,100}){1,100}){1,100}')".to_owned(),
        format!("files.all.all(a, !a.matches('{}x'))", "(e?){60}".repeat(8)),
        format!("files.all.all(a, !a.matches('{}'))", r"[\\w/]*x".repeat(40)),
        format!("files.all.all(a, !'{}x'.pathChanged())", "*/".repeat(400)),
        format!("files.all.all(a, !(a + a + '{}').matches('(.*)*$z'))", "y".repeat(1_000)),
        format!("[{}].all(a, files.all.all(b, files == files || true))", "1,".repeat(150) + "1"),
    ] {
        let outcome = on_half_the_stack(&text);
        assert_ne!(outcome, Ok(Truth::No), "{text}");
    }
}

#[test]
fn a_limit_that_paths_exceed_counts_as_changed_and_one_of_the_expressions_own_is_told() {
    let many: Vec<String> = (0..3_000).map(|i| format!("{}{i}", "a/".repeat(480))).collect();
    let changed = ChangedPaths { paths: many, truncated: false };
    for text in [
        "files.all.all(x, files.all.all(y, x != '' || y != ''))",
        "event == 'push' && !files.all.map(x, x + x + x + x).exists(x, x == 'z')",
    ] {
        assert_eq!(says(text, Some(&changed)), Ok(Truth::DependsOnPaths), "{text}");
        let none = format!("{text} && event == 'pull_request'");
        assert_eq!(says(&none, Some(&changed)), Ok(Truth::No), "{none}");
    }
    let own = (0..40).map(|n| format!("event.matches('z{n}') || ")).collect::<String>() + "false";
    for (text, word) in [
        (own.as_str(), "more than 32 patterns"),
        ("event.matches('(a{1,100}){1,100}')", "too complex"),
    ] {
        let error = why_of(says(text, Some(&changed)).unwrap_err());
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn no_text_makes_the_parser_fail() {
    let seed = "event == \"push\" && (files.all.exists(x, !x.matches('^a\\\\.')) || [1, {2u: 'b'}][0] ? r'c' : -1.5e3)";
    let mut random = fastrand::Rng::with_seed(3);
    let mut read = 0;
    for _ in 0..1_500 {
        let mut text: Vec<char> = seed.chars().collect();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(0..text.len());
            match random.u8(0..4) {
                0 => text[at] = random.char(..),
                1 => text.truncate(at.max(1)),
                2 => text.swap(at, 0),
                _ => text.insert(
                    at,
                    *random
                        .choice(&['"', '\'', '(', ')', '[', '{', '\\', '.', 'x', '`', '?'])
                        .unwrap(),
                ),
            }
        }
        let text: String = text.into_iter().collect();
        let outcome = evaluate(&Marked::plain(&text), &FACTS, &mut means(1, None));
        read += usize::from(
            !matches!(&outcome, Err(NoAnswer::Unclear(why)) if why.contains("can't be read")),
        );
        assert_ne!(outcome, Err("the parser failed".to_owned().into()), "{text}");
    }
    assert!(read > 10, "{read}");
}

#[test]
fn a_large_push_and_a_real_expression_stay_within_the_fuel() {
    let text = r#"event == "push" && target_branch == "main" && (
        (files.all.exists(x, x.matches(".*\\.rs$")) && (
          files.all.exists(x, x.matches("^cmd/sink/")) || files.all.exists(x, !x.matches("^some/"))
        )) ||
        files.all.exists(x, x.matches("go\\.(mod|sum)$")) ||
        files.all.exists(x, x.matches("^.tekton/ko-build-pipeline.yaml$")) ||
        "docs/***".pathChanged())"#;
    assert_eq!(on_half_the_stack(text), Ok(Truth::No));
}
