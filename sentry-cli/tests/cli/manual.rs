//! The manual: a page for each command, whole and without a warning of who sets it.

use crate::sandbox::Sandbox;

/// The pages by file name.
fn pages(sandbox: &Sandbox) -> Vec<String> {
    sandbox.ok(&["man", "--dir", "man1"]);
    let mut names = sandbox.entries("man1");
    names.sort();
    names
}

#[test]
fn every_command_has_a_page_with_status_environment_files_and_examples() {
    let sandbox = Sandbox::new();
    let names = pages(&sandbox);
    assert!(names.len() > 20, "{names:?}");
    for name in &names {
        let page = sandbox.read(&format!("man1/{name}"));
        for section in ["NAME", "SYNOPSIS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"] {
            let (plain, quoted) = (format!(".SH {section}\n"), format!(".SH \"{section}\"\n"));
            assert!(page.contains(&plain) || page.contains(&quoted), "{name}: {section}");
        }
    }
    let one = sandbox.ok(&["man", "status"]);
    assert_eq!(one, sandbox.read("man1/sentry-status.1"));
    assert_eq!(sandbox.run(&["man", "nope"]).code, 2);
}

#[cfg(feature = "man")]
#[test]
fn man_sets_every_page_without_a_warning() {
    let sandbox = Sandbox::new();
    for name in pages(&sandbox) {
        let page = sandbox.path("man1").join(&name).display().to_string();
        let args = ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", &page];
        let (_, stderr) = sandbox.outside("man", &args);
        assert_eq!(stderr, "", "{name}");
    }
}
