//! Tells a release which commit it is made from. Where the sources come without their history, as in an image, whoever
//! builds sets SENTRY_COMMIT and SENTRY_COMMIT_DATE. A build for development names none: it would be made anew at each commit.

use std::env;
use std::process::Command;

fn main() {
    for variable in ["SENTRY_COMMIT", "SENTRY_COMMIT_DATE"] {
        say(&format!("rerun-if-env-changed={variable}"));
    }
    if env::var("PROFILE").as_deref() != Ok("release") || env::var_os("SENTRY_COMMIT").is_some() {
        return;
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        say(&format!("rerun-if-changed={log}"));
    }
    for (variable, format) in [("SENTRY_COMMIT", "%H"), ("SENTRY_COMMIT_DATE", "%cI")] {
        if let Some(value) = git(&["show", "-s", &format!("--format={format}"), "HEAD"]) {
            say(&format!("rustc-env={variable}={value}"));
        }
    }
}

/// To cargo.
fn say(line: &str) {
    println!("cargo::{line}");
}

/// What git prints, in one line.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|line| !line.is_empty())
}
