//! Messages for people. Every value is escaped for the place where it is shown, whatever the template says: an
//! untrusted branch or log line can mention nobody and create no link.

use std::io;

use minijinja::{Environment, Error, ErrorKind, Output, UndefinedBehavior, Value};
use sentry_core::notifier::Notice;
use sentry_core::subscription::Route;
use sentry_core::text::{clean, is_hidden, line};

use crate::fields::Fields;

/// So many steps may a template take.
const FUEL: u64 = 50_000;
/// The longest text, in bytes. Slack cuts a text after 40,000 characters, Mattermost refuses a post of more than 16,383.
/// <https://docs.slack.dev/changelog/2018-truncating-really-long-messages/>
const LONGEST: usize = 8_000;

const TESTS_FAILED: &str = "\
{%- if occasion == 'failure' -%}
Tests failed: {{ watch }}, {{ branch }} at {{ short_revision }}: {{ reason }}
{%- elif occasion == 'recovery' -%}
Tests pass again: {{ watch }}, {{ branch }} at {{ short_revision }}
{%- elif occasion == 'first_success' -%}
First success after tests could not be started: {{ watch }}, {{ branch }} at {{ short_revision }}
{%- elif occasion == 'success' -%}
Tests passed: {{ watch }}, {{ branch }} at {{ short_revision }}
{%- else -%}
This is a test of Sentry's notifications about tests that failed; nothing has happened.
{%- endif -%}
{%- if title and occasion != 'test' %}
{{ title }}, by {{ author }}
{%- endif -%}
{%- if link %}
{{ url(link) }}
{%- endif -%}";

const COULD_NOT_START: &str = "\
{%- if occasion == 'failure' -%}
Tests could not be started: {{ watch }}, {{ branch }} at {{ short_revision }}, delivery {{ delivery }}: {{ reason }}
{%- elif occasion == 'recovery' -%}
Tests can be started again: {{ watch }}, {{ branch }} at {{ short_revision }}; it was: {{ reason }}
{%- else -%}
This is a test of Sentry's notifications about tests that could not be started; nothing has happened.
{%- endif -%}
{%- if title and occasion != 'test' %}
{{ title }}, by {{ author }}
{%- endif -%}
{%- if link %}
{{ url(link) }}
{%- endif -%}";

/// Where a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    Slack,
    Mattermost,
}

impl Format {
    /// A value shown literally, without markup.
    fn escape(self, text: &str) -> String {
        let text = if self == Self::Plain { clean(text) } else { line(text) };
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        let mut before = ' ';
        while let Some(c) = chars.next() {
            let next = chars.peek().copied().unwrap_or(' ');
            match (self, c) {
                (Self::Plain, c) => out.push(c),
                // Three characters have a meaning; `<!channel>` and `<@user>` begin with one of them.
                // https://docs.slack.dev/messaging/formatting-message-text/#escaping
                (Self::Slack, '&') => out.push_str("&amp;"),
                (Self::Slack, '<') => out.push_str("&lt;"),
                (Self::Slack, '>') => out.push_str("&gt;"),
                // A name after it mentions nobody: a zero-width space separates them.
                (Self::Slack | Self::Mattermost, '@') => out.push_str("@\u{200b}"),
                // Slack links addresses and host names automatically, and has no way to turn that off.
                (Self::Slack, ':') if before.is_alphanumeric() && !next.is_whitespace() => {
                    out.push_str(":\u{200b}");
                }
                (Self::Slack, '.') if before.is_alphanumeric() && next.is_alphabetic() => {
                    out.push_str(".\u{200b}");
                }
                (Self::Slack, c) => out.push(c),
                // https://docs.mattermost.com/end-user-guide/collaborate/format-messages.html: a backslash takes the meaning.
                (Self::Mattermost, c) if "\\`*_{}[]<>#~|!&$:.".contains(c) => {
                    out.push('\\');
                    out.push(c);
                }
                (Self::Mattermost, c) => out.push(c),
            }
            before = c;
        }
        out
    }

    /// An address that can be followed, and ends where it ends.
    fn url(self, address: &str) -> String {
        let mut out = String::new();
        for c in address.chars() {
            match c {
                '<' => out.push_str("%3C"),
                '>' => out.push_str("%3E"),
                '|' => out.push_str("%7C"),
                '&' if self == Self::Slack => out.push_str("&amp;"),
                c if c.is_whitespace() || is_hidden(c) => out.push_str("%20"),
                c => out.push(c),
            }
        }
        if self == Self::Plain { out } else { format!("<{out}>") }
    }
}

/// A template for one receiver.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    /// The person's own; without it each route has one of ours.
    own: Option<String>,
}

impl Template {
    pub(crate) fn new(format: Format, own: Option<String>) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        // These say that a text needs no escaping: that is never true of a value.
        for filter in ["safe", "escape", "e"] {
            environment.remove_filter(filter);
        }
        environment.set_formatter(move |out, _, value| write_value(format, out, value));
        environment.add_function("url", move |address: Option<String>| {
            Value::from_safe_string(address.map(|url| format.url(&url)).unwrap_or_default())
        });
        Self { environment, own }
    }

    /// The text for a notice. A template of the person's own that fails is an error only here: [`Template::text`] falls
    /// back on ours.
    pub(crate) fn render(&self, notice: &Notice) -> Result<String, Error> {
        let source = match (&self.own, notice.route) {
            (Some(own), _) => own.as_str(),
            (None, Route::TestsFailed) => TESTS_FAILED,
            (None, Route::CouldNotStart) => COULD_NOT_START,
        };
        self.fill(source, notice)
    }

    /// The text for a notice, whatever is wrong with the person's template: then ours is taken.
    pub(crate) fn text(&self, receiver: &str, notice: &Notice) -> String {
        self.render(notice).unwrap_or_else(|error| {
            tracing::warn!(receiver, error = problem(&error), "a template can't be used");
            let source = match notice.route {
                Route::TestsFailed => TESTS_FAILED,
                Route::CouldNotStart => COULD_NOT_START,
            };
            self.fill(source, notice).unwrap_or_default()
        })
    }

    fn fill(&self, source: &str, notice: &Notice) -> Result<String, Error> {
        let template = self.environment.template_from_named_str("template", source)?;
        let mut page = Page::default();
        match template.render_captured_to(Fields::of(notice), &mut page).map(drop) {
            Err(error) if !page.full => Err(error),
            _ => Ok(page.text()),
        }
    }
}

/// What is wrong with a template, and in which of its lines.
pub(crate) fn problem(error: &Error) -> String {
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    let line = error.line().map(|line| format!(", on line {line}")).unwrap_or_default();
    format!("{}{detail}{line}", error.kind())
}

fn write_value(format: Format, out: &mut Output<'_>, value: &Value) -> Result<(), Error> {
    let text = if value.is_none() { String::new() } else { value.to_string() };
    let text = if value.is_safe() { text } else { format.escape(&text) };
    out.write_str(&text).map_err(|error| {
        Error::new(ErrorKind::WriteFailure, "the text is too long").with_source(error)
    })
}

/// A text that grows to [`LONGEST`] and no further.
#[derive(Debug, Default)]
struct Page {
    bytes: Vec<u8>,
    full: bool,
}

impl Page {
    /// What was written; if that is not all, up to the last white space, so that no escaped character is cut.
    fn text(self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        if !self.full {
            return text.trim_end().to_owned();
        }
        let end = text.rfind(char::is_whitespace).unwrap_or_default();
        format!("{} …", &text[..end])
    }
}

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LONGEST - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            self.full = true;
            return Err(io::Error::from(io::ErrorKind::WriteZero));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::subscription::Occasion;
    use sentry_core::testing::sample;

    use super::*;

    fn notice(route: Route, occasion: Occasion) -> Notice {
        Notice { route, occasion, ..sample::notice(1) }
    }

    #[test]
    fn each_route_and_occasion_has_a_text_of_its_own() {
        let template = Template::new(Format::Plain, None);
        let text = |route, occasion| template.render(&notice(route, occasion)).unwrap();
        let failed = text(Route::TestsFailed, Occasion::Failure);
        assert!(failed.starts_with("Tests failed: app, main at 0a1b2c3d: 1 of 2 runs"), "{failed}");
        let (_, more) = failed.split_once('\n').unwrap();
        assert!(more.starts_with("Fix the \"total\" of an empty cart "), "{failed}");
        assert!(more.ends_with(", by ada\nhttps://dash.example/run?a=1&b=2"), "{failed}");
        let all = Route::ALL.iter().flat_map(|route| {
            [Occasion::Failure, Occasion::Recovery, Occasion::Test].map(|o| text(*route, o))
        });
        let all: std::collections::BTreeSet<String> = all.collect();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn a_value_calls_nobody_and_formats_nothing() {
        let mut hostile = sample::notice(1);
        hostile.reason = Some("<!channel> <@U1> & *b*\n# @here [x](http://e) `c` ~~s~~".into());
        let text = |format| Template::new(format, Some("{{ reason }}".into())).render(&hostile);
        assert_eq!(
            text(Format::Slack).unwrap(),
            "&lt;!channel&gt; &lt;@\u{200b}U1&gt; &amp; *b* # @\u{200b}here [x](http:\u{200b}//e) `c` ~~s~~"
        );
        assert_eq!(
            text(Format::Mattermost).unwrap(),
            "\\<\\!channel\\> \\<@\u{200b}U1\\> \\& \\*b\\* \\# @\u{200b}here \\[x\\](http\\://e) \\`c\\` \\~\\~s\\~\\~"
        );
    }

    #[test]
    fn no_filter_turns_the_escaping_off() {
        let mut hostile = sample::notice(1);
        hostile.reason = Some("<!here>".into());
        for filter in ["safe", "escape", "e"] {
            let template = Template::new(Format::Slack, Some(format!("{{{{ reason|{filter} }}}}")));
            assert!(template.render(&hostile).is_err(), "{filter}");
        }
        let upper = Template::new(Format::Slack, Some("{{ reason|upper }}".into()));
        assert_eq!(upper.render(&hostile).unwrap(), "&lt;!HERE&gt;");
    }

    #[test]
    fn an_address_ends_where_it_ends() {
        assert_eq!(
            Format::Slack.url("https://x/?a=1&b=<|y z"),
            "<https://x/?a=1&amp;b=%3C%7Cy%20z>"
        );
        assert_eq!(Format::Mattermost.url("https://x/a_b?c=1&d"), "<https://x/a_b?c=1&d>");
        assert_eq!(Format::Plain.url("https://x"), "https://x");
    }

    #[test]
    fn a_template_that_never_ends_or_writes_too_much_is_stopped() {
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
        let template = Template::new(Format::Plain, Some(endless.into()));
        assert_eq!(template.render(&sample::notice(1)).unwrap_err().kind(), ErrorKind::OutOfFuel);
        let long = "{% for a in range(9999) %}0123456789 {% endfor %}";
        let long = Template::new(Format::Plain, Some(long.into()));
        let text = long.render(&sample::notice(1)).unwrap();
        assert!(text.len() <= LONGEST + 4 && text.ends_with("0123456789 …"), "{}", text.len());
    }

    #[test]
    fn a_template_that_fails_gives_way_to_ours() {
        let wrong = Template::new(Format::Plain, Some("{{ nobody.knows }}".into()));
        let error = wrong.render(&sample::notice(1)).unwrap_err();
        assert!(problem(&error).ends_with("on line 1"), "{}", problem(&error));
        assert!(wrong.text("x", &sample::notice(1)).starts_with("Tests failed"));
    }
}
