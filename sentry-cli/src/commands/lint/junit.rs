//! Findings as JUnit's XML, as CI systems read it: a test case for each document, which failed if it is refused or refers to
//! something that is missing. No standard describes it; what is written here is what all of these read:
//! <https://docs.gitlab.com/ci/testing/unit_test_reports/>, <https://github.com/jenkinsci/xunit-plugin> (its schema for
//! JUnit), <https://llg.cubic.org/docs/junit/>.

use std::fmt::Write as _;

use sentry_core::manifest::{Decision, DocumentDecision};
use sentry_core::text;

use super::findings::{Finding, Level, Linted, called};

/// The whole file.
pub(super) fn render(linted: &Linted<'_>) -> String {
    let cases: Vec<Case<'_>> = linted.decisions.iter().map(|one| Case::of(one, linted)).collect();
    let failed = cases.iter().filter(|case| !case.failures.is_empty()).count();
    let skipped = cases.iter().filter(|case| case.is_skipped()).count();
    let counts = format!(
        "tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"0\"",
        cases.len()
    );
    let suite = if linted.dir.is_empty() { "." } else { &linted.dir };
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    writeln!(out, "<testsuites name=\"sentry lint\" {counts}>").ok();
    writeln!(out, "  <testsuite name=\"{}\" {counts}>", xml(suite)).ok();
    cases.iter().for_each(|case| case.write(linted, &mut out));
    let general: Vec<&Finding> = linted.findings.iter().filter(|f| f.path.is_none()).collect();
    lines("system-out", &general, "    ", &mut out);
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

struct Case<'a> {
    decision: &'a DocumentDecision,
    failures: Vec<&'a Finding>,
    notes: Vec<&'a Finding>,
}

impl<'a> Case<'a> {
    fn of(decision: &'a DocumentDecision, linted: &'a Linted<'_>) -> Self {
        let own = linted.findings.iter().filter(|finding| {
            finding.path.as_ref() == Some(&decision.path) && finding.document == decision.document
        });
        let (failures, notes) = own.partition(|finding| finding.rule.level() == Level::Error);
        Self { decision, failures, notes }
    }

    fn is_skipped(&self) -> bool {
        self.failures.is_empty() && self.decision.decision == Decision::Skip
    }

    /// Readers differ in how many failures of a case they take: there is one, with all of them.
    fn write(&self, linted: &Linted<'_>, out: &mut String) {
        let Self { decision, failures, notes } = self;
        let file = linted.file(&decision.path);
        // Two documents of one file may be called alike; two test cases may not.
        let name = format!("{} ({}:{})", called(decision), decision.path, decision.document);
        write!(
            out,
            "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\" time=\"0\"",
            xml(&file),
            xml(&name),
            xml(&file),
            decision.line.max(1)
        )
        .ok();
        if failures.is_empty() && notes.is_empty() && !self.is_skipped() {
            out.push_str("/>\n");
            return;
        }
        out.push_str(">\n");
        if let [first, ..] = failures.as_slice() {
            let (rule, message) = (first.rule.id(), xml(&first.message));
            write!(out, "      <failure type=\"{rule}\" message=\"{message}\">").ok();
            let all: Vec<String> = failures.iter().map(|f| placed(f, linted)).collect();
            writeln!(out, "{}</failure>", all.join("\n")).ok();
        } else if self.is_skipped() {
            writeln!(out, "      <skipped message=\"{}\"/>", xml(&decision.reason)).ok();
        }
        lines("system-out", notes, "      ", out);
        out.push_str("    </testcase>\n");
    }
}

fn lines(element: &str, findings: &[&Finding], indent: &str, out: &mut String) {
    if findings.is_empty() {
        return;
    }
    let lines: Vec<String> = findings.iter().map(|finding| xml(&finding.message)).collect();
    writeln!(out, "{indent}<{element}>{}</{element}>", lines.join("\n")).ok();
}

fn placed(finding: &Finding, linted: &Linted<'_>) -> String {
    let file = finding.path.as_deref().map(|path| linted.file(path)).unwrap_or_default();
    let column = finding.column.map(|column| format!(":{column}")).unwrap_or_default();
    xml(&format!("{file}:{}{column}: {}", finding.line, finding.message))
}

/// A text for an attribute or an element. What XML has no way to write, not even escaped, is replaced
/// (<https://www.w3.org/TR/xml/#charsets>).
fn xml(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in text::line(value).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push(text::HIDDEN),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_attribute_or_element_and_none_is_no_xml() {
        for c in [
            '\0', '\u{1b}', '\u{8}', '\u{b}', '\u{7f}', '\u{85}', '\u{fffe}', '\u{ffff}',
            '\u{202e}',
        ] {
            assert_eq!(xml(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        assert_eq!(xml("\"><x y='&amp;'>]]>"), "&quot;&gt;&lt;x y=&apos;&amp;amp;&apos;&gt;]]&gt;");
        assert_eq!(xml("a\n\tb\r\nc"), "a b c");
    }
}
