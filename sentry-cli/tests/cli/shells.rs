//! Completion as real shells do it: they run the script that we print, and ask us for names.

use crate::sandbox::Sandbox;

/// A sandbox whose state has one delivery; and its id.
fn delivered() -> (Sandbox, String) {
    let sandbox = Sandbox::with_repositories();
    let config = sandbox.read("sentry.yaml").replace("branches: main", "branches: [main, dev/x]");
    sandbox.write("sentry.yaml", &config);
    sandbox.branch("a", "dev/x");
    sandbox.ok(&["watch", "--once"]);
    sandbox.commit("a", "file", "2");
    sandbox.ok(&["watch", "--once"]);
    let id = sandbox.ok(&["history", "-o", "name"]);
    (sandbox, id.trim().to_owned())
}

/// In these lines a shell offers exactly, or among others, these words.
fn offers(sandbox: &Sandbox, id: &str, offered: impl Fn(&[&str]) -> Vec<String>) {
    for (line, wanted) in [
        (&["sentry", "statu"][..], &["status"][..]),
        (&["sentry", "trigger", "q"], &["qa"]),
        (&["sentry", "trigger", "qa", "--branch", "d"], &["dev/x"]),
        (&["sentry", "trigger", "qa", "-b", ""], &["dev/x", "main"]),
        (&["sentry", "show", "01"], &[id]),
        (&["sentry", "rerun", &id[..12]], &[id]),
        (&["sentry", "status", "-o", "y"], &["yaml"]),
        (&["sentry", "--state-dir", "/nowhere", "show", "01"], &[]),
    ] {
        assert_eq!(offered(line), wanted, "{line:?}");
    }
    assert_eq!(sandbox.entries("tmp"), [""; 0], "completion left something behind");
}

#[test]
fn bash_completes_commands_watches_branches_and_deliveries() {
    let (sandbox, id) = delivered();
    offers(&sandbox, &id, |line| {
        let (current, before) = (line.last().unwrap(), line[line.len() - 2]);
        let words: Vec<_> = line.iter().map(|word| format!("'{word}'")).collect();
        let script = format!(
            "source <(sentry completions bash); COMP_WORDS=({}); COMP_CWORD={}; COMP_TYPE=9; \
             _clap_complete_sentry sentry '{current}' '{before}'; \
             for word in \"${{COMPREPLY[@]}}\"; do echo \"$word\"; done",
            words.join(" "),
            line.len() - 1,
        );
        sandbox.shell("bash", &["--norc", "-c", &script])
    });
}

#[cfg(feature = "fish")]
#[test]
fn fish_completes_commands_watches_branches_and_deliveries() {
    let (sandbox, id) = delivered();
    offers(&sandbox, &id, |line| {
        let script = format!(
            "sentry completions fish | source; complete -C '{}' | string split -f1 \\t",
            line.join(" ")
        );
        sandbox.shell("fish", &["--no-config", "-c", &script])
    });
}

/// zsh has no way to ask for completions but a terminal: `compadd` is made to print what it is given.
#[cfg(feature = "zsh")]
#[test]
fn zsh_completes_commands_watches_branches_and_deliveries() {
    let (sandbox, id) = delivered();
    offers(&sandbox, &id, |line| {
        let words: Vec<_> = line.iter().map(|word| format!("'{word}'")).collect();
        let script = format!(
            "compdef() {{ :; }}; _describe() {{ for given in \"${{(@P)3}}\"; do print -r -- ${{given%%:*}}; done; }}; \
             words=({}); CURRENT={}; source <(sentry completions zsh); _clap_dynamic_completer_sentry",
            words.join(" "),
            line.len(),
        );
        sandbox.shell("zsh", &["-f", "-c", &script])
    });
}

#[test]
fn a_name_that_would_drive_the_terminal_is_not_offered() {
    let sandbox = Sandbox::new();
    let answer = sandbox.run_in(
        &[("SENTRY_COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "2")],
        &["--", "sentry", "trigger", ""],
    );
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{answer:?}");
    let unknown = sandbox.run_in(&[("SENTRY_COMPLETE", "tcsh")], &["--", "sentry", ""]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (0, ""), "{unknown:?}");
}
