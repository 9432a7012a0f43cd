//! The Chinese documents say what the English ones say: the same commands, keys and options, section by section.

use std::collections::BTreeSet;

use super::{code_spans, documents, read, split};

/// Documents that are there in both languages.
const TRANSLATED: [(&str, &str); 6] = [
    ("README.md", "README.zh-CN.md"),
    ("docs/quickstart.md", "docs/zh/quickstart.md"),
    ("docs/config.md", "docs/zh/config.md"),
    ("docs/cli.md", "docs/zh/cli.md"),
    ("docs/operations.md", "docs/zh/operations.md"),
    ("docs/tekton.md", "docs/zh/tekton.md"),
];

/// A heading's level, and what follows it up to the next.
struct Section {
    level: usize,
    heading: String,
    text: String,
}

fn sections(document: &str) -> Vec<Section> {
    let (mut sections, mut is_code) = (Vec::new(), false);
    for line in document.lines() {
        is_code ^= line.trim_start().starts_with("```");
        let level = line.len() - line.trim_start_matches('#').len();
        if level > 0 && !is_code {
            sections.push(Section { level, heading: line.to_owned(), text: String::new() });
        }
        let Some(section) = sections.last_mut() else { continue };
        section.text.push_str(line);
        section.text.push('\n');
    }
    sections
}

/// Code without its comments, which are translated.
fn code(text: &str) -> Vec<String> {
    let blocks = split(text).0.into_iter().filter(|block| block.language != "text");
    let lines = blocks.flat_map(|block| {
        let lines = block.text.lines().map(|line| {
            let comment = if line.starts_with('#') { Some(0) } else { line.find(" #") };
            line[..comment.unwrap_or(line.len())].trim_end().to_owned()
        });
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>()
    });
    lines.collect()
}

#[test]
fn each_section_names_the_same_commands_keys_and_options_in_both_languages() {
    for (english, chinese) in TRANSLATED {
        let (ours, theirs) = (read(english), read(chinese));
        let (ours, theirs) = (sections(&ours), sections(&theirs));
        let levels = |sections: &[Section]| sections.iter().map(|s| s.level).collect::<Vec<_>>();
        assert_eq!(levels(&ours), levels(&theirs), "{chinese} has other sections than {english}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let place = format!("{chinese}: {} ({})", theirs.heading, ours.heading);
            assert_eq!(code(&ours.text), code(&theirs.text), "{place}: the code differs");
            let (ours, theirs) = (split(&ours.text).1, split(&theirs.text).1);
            let spans = |text| {
                let spans = code_spans(text).into_iter();
                spans
                    .map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "))
                    .collect::<BTreeSet<_>>()
            };
            let (ours, theirs) = (spans(&ours), spans(&theirs));
            let lacks: Vec<_> = ours.difference(&theirs).collect();
            let adds: Vec<_> = theirs.difference(&ours).collect();
            assert!(lacks.is_empty() && adds.is_empty(), "{place}: lacks {lacks:?}, adds {adds:?}");
        }
    }
}

/// The text of links without where they lead.
fn without_targets(prose: &str) -> String {
    let mut pieces = prose.split("](");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once(')').map_or(piece, |(_, rest)| rest))
}

#[test]
fn chinese_sentences_have_chinese_punctuation() {
    let is_han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    for (path, text) in documents().iter().filter(|(path, _)| path.contains("zh")) {
        let prose = without_targets(&split(text).1);
        let chars: Vec<_> = prose.chars().collect();
        for (at, pair) in chars.windows(2).enumerate() {
            let wrong = is_han(pair[0]) && ",;:!?()".contains(pair[1])
                || ",;!?(".contains(pair[0]) && is_han(pair[1]);
            let around: String = chars[at.saturating_sub(20)..].iter().take(40).collect();
            assert!(!wrong, "{path}: {around}");
        }
    }
}
