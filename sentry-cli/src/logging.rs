//! Log lines on stderr: text or JSON, without secrets, and never through the live lines.

use std::io::{self, IsTerminal as _, Write};

use indicatif::MultiProgress;
use sentry_config::LogLevel;
use sentry_core::clock::{Clock as _, SystemClock};
use sentry_core::secret::Redactor;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::{Color, LogFormat};
use crate::ui::with_colours;

/// What log lines pass on their way to stderr.
#[derive(Clone)]
pub(crate) struct Sink {
    redactor: Redactor,
    lines: MultiProgress,
}

impl Sink {
    pub(crate) fn new(redactor: Redactor, lines: MultiProgress) -> Self {
        Self { redactor, lines }
    }

    fn clean(&self, bytes: &[u8]) -> String {
        // tracing-subscriber escapes what starts a terminal's command; the colours are its own.
        with_colours(&self.redactor.redact(&String::from_utf8_lossy(bytes)))
    }
}

/// One log line: tracing-subscriber writes each event into a writer of its own and drops it.
pub(crate) struct Line<'a> {
    sink: &'a Sink,
    bytes: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Kept until the line is whole: a secret that two writes cut in half would not be recognised.
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = self.sink.clean(&self.bytes);
        self.sink.lines.suspend(|| io::stderr().lock().write_all(text.as_bytes()).ok());
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { sink: self, bytes: Vec::new() }
    }
}

/// How logging is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) level: LogLevel,
    pub(crate) format: LogFormat,
    pub(crate) color: Color,
    /// Live lines tell what INFO would: only warnings and errors are logged beside them.
    pub(crate) live: bool,
}

/// Sends the process's log lines to the sink. A second call changes nothing.
pub(crate) fn init(settings: Settings, sink: Sink) {
    let ansi = match settings.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    let own = match settings.level {
        LogLevel::Info if settings.live => LevelFilter::WARN,
        chosen => level(chosen),
    };
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(LevelFilter::WARN)
        // Libraries below us log requests with their headers: only our own crates go to DEBUG.
        .with_targets(OURS.iter().map(|target| (*target, own)));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(sink).with_timer(Millis);
    match settings.format {
        LogFormat::Text => registry.with(layer.with_ansi(ansi).with_target(false)).try_init().ok(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init().ok(),
    };
}

/// The time of a line, in UTC and to the millisecond.
struct Millis;

impl FormatTime for Millis {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", SystemClock.now())
    }
}

const OURS: &[&str] = &[
    "sentry_api",
    "sentry_cli",
    "sentry_config",
    "sentry_core",
    "sentry_deploy",
    "sentry_forge",
    "sentry_notify",
    "sentry_server",
    "sentry_store",
];

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    }
}

#[cfg(test)]
mod tests {
    use sentry_core::secret::Secret;

    use super::*;

    #[test]
    fn a_secret_cut_by_two_writes_is_still_taken_out() {
        let redactor = Redactor::new();
        redactor.learn(&Secret::new("ghp_canary_token"));
        let sink = Sink::new(redactor, MultiProgress::new());
        let mut line = sink.make_writer();
        line.write_all(b"asked with ghp_can").unwrap();
        line.write_all(b"ary_token\n").unwrap();
        let text = sink.clean(&std::mem::take(&mut line.bytes));
        assert_eq!(text, "asked with [redacted]\n");
    }
}
