use super::*;

/// What a pattern says of a text: the word of the recorded answers.
fn says(pattern: &str, text: &str) -> &'static str {
    let Ok(glob) = Glob::new(pattern) else { return "error" };
    let mut fuel = Fuel::new(1);
    fuel.refill();
    match glob.matches(text, &mut fuel) {
        Ok(true) => "match",
        Ok(false) => "no",
        Err(Halt::Crash) => "panic",
        Err(Halt::Exhausted) => "exhausted",
    }
}

#[test]
fn a_glob_says_what_the_library_of_pipelines_as_code_says() {
    let mut rows = 0;
    for line in include_str!("../tests/recorded/globs.tsv").lines().filter(|l| !l.starts_with('#'))
    {
        let [pattern, text, want] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not three columns: {line}")
        };
        assert_eq!(says(pattern, text), want, "{pattern} {text}");
        rows += 1;
    }
    println!("{rows} recorded answers agree");
    assert_eq!(rows, 4_000);
}

#[test]
fn a_glob_has_the_slips_that_files_are_written_for() {
    for (pattern, text, want) in [
        ("release/**", "release/1/2", "match"),
        ("release/**", "release", "no"),
        // The beginning and the end may share what stands in both.
        ("docs/**/x.md", "docs/x.md", "match"),
        ("docs/*/x.md", "docs/x.md", "match"),
        ("docs/**/*.md", "docs/x.md", "no"),
        // An alternative whose length is known hides that the one before it has none.
        ("{*.go,md}", "main.go", "match"),
        ("src/{*.go,md}", "src/main.go", "no"),
        ("src/{md,*.go}", "src/main.go", "match"),
        // Two lists of what must not be there are one text that must not be there.
        ("[!ab][!ab]", "ba", "match"),
        ("[!ab][!ab]", "ab", "no"),
        // A brace that stays open, and a `\` at the end.
        ("*.{go", "x.go", "match"),
        ("md}", "md}", "match"),
        ("a\\", "a", "match"),
        ("[]", "a", "error"),
        ("[a", "a", "error"),
        ("[b-a]", "a", "error"),
        ("ab{}", "ab", "panic"),
    ] {
        assert_eq!(says(pattern, text), want, "{pattern} {text}");
    }
}

#[test]
fn a_pattern_over_a_limit_is_refused_with_the_limit() {
    for (pattern, word) in [("a".repeat(1_001), "1000 bytes"), ("{".repeat(17), "16 nested `{`")] {
        assert!(Glob::new(&pattern).unwrap_err().contains(word), "{word}");
    }
}

#[test]
fn a_pattern_is_paid_for_by_its_bytes_and_a_search_by_what_it_looks_through() {
    for (pattern, price) in [("", 50), ("ab", 70), (&"a".repeat(2_000), 50 + 10_000)] {
        assert_eq!(Glob::price(pattern), price, "{}", pattern.len());
    }
    let steps = |pattern: &str, text: &str| {
        let (glob, mut fuel) = (Glob::new(pattern).unwrap(), Fuel::new(1));
        fuel.refill();
        let before = fuel.left();
        glob.matches(text, &mut fuel).unwrap();
        before - fuel.left()
    };
    let row = "?a".repeat(8);
    for (pattern, cost, more) in [
        ("*", 1, 0),
        ("*b*", 2 + 10, 10),
        ("*[bc]*", 3 + 10, 10),
        // Each place where two characters are left, and the first of them.
        ("*[bc]?*", 2 + 2 * 79, 2 * 80),
        // Both alternatives are looked for, and both sides fit.
        ("*{?*,b}*", 6 + 20, 20),
        ("*{*,b}*", 6 + 20, 20),
        (row.as_str(), 1 + 2, 0),
    ] {
        let (short, long) = (steps(pattern, &"a".repeat(80)), steps(pattern, &"a".repeat(160)));
        assert_eq!((short, long - short), (cost, more), "{pattern}");
    }
}

#[test]
fn no_pattern_takes_long_or_goes_deep() {
    let text = "ab/".repeat(1_300);
    let parts = ["*a", "*ab", "?*a", "{*a,b}", "{a*,b*}*", "[!a]*b", "a*b?", "{a,ab}", "*{a,}"];
    for part in parts {
        for tail in ["", "x", "*", "{*x,y*}"] {
            let pattern = part.repeat((1_000 - tail.len()) / part.len()) + tail;
            let (glob, mut fuel) = (Glob::new(&pattern).unwrap(), Fuel::new(1));
            fuel.refill();
            // It ends, with an answer or without.
            _ = glob.matches(&text, &mut fuel);
        }
    }
    let nested = "{a*,".repeat(16) + &"}b".repeat(16);
    assert_ne!(says(&nested, &text), "match");
}
