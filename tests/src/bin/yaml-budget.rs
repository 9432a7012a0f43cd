//! Reads and prepares the manifests of one directory, and tells what that took: one line of JSON.

#![expect(clippy::print_stdout, reason = "a program that measures prints")]

use std::error::Error;
use std::fs;

use sentry_tests::judge::scene::Scene;
use serde_json::json;

/// A figure of `/proc/self/status`, in KiB.
fn status(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
}

/// Nanoseconds that this thread was on a processor: a busy machine does not add to it.
fn on_processor() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("give a directory")?;
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
    }
    files.sort();
    let files: Vec<_> = files.iter().map(|(path, bytes)| (&**path, &**bytes)).collect();
    let scene = Scene::default();
    let (rss, begin) = (status("VmHWM"), on_processor());
    let set = scene.prepare(&files);
    let (end, high) = (on_processor(), status("VmHWM"));
    let taken = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
    println!(
        "{}",
        json!({
            "ms": taken(begin, end).map(|ns| ns / 1_000_000),
            "kib": taken(rss, high),
            "refused": set.refusals().count(),
            "objects": set.objects.len(),
            "why": set.refusals().last().map(|refused| &refused.reason),
        })
    );
    Ok(())
}
