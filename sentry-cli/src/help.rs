//! The command line as it is shown: each command's own options first, then an example or two, and the options that all
//! commands have folded to one line.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use crate::args::Cli;

/// Command lines that do something as they are, each with what it does.
type Examples = &'static [(&'static str, &'static str)];

/// The program as a whole.
const PROGRAM: Examples = &[
    ("sentry demo", "See all of it on this machine, without any setup"),
    (
        "sentry init && sentry validate --online",
        "Write a configuration, then check all that it names",
    ),
    ("sentry watch", "Deliver what changes until stopped"),
];

const COMMANDS: &[(&str, Examples)] = &[
    (
        "watch",
        &[
            ("sentry watch --listen 127.0.0.1:8080", "Run the agent with its page and API"),
            (
                "sentry watch --once",
                "Deliver what changed, wait for the runs, exit: for cron and CI",
            ),
        ],
    ),
    (
        "trigger",
        &[
            ("sentry trigger qa --branch main", "Deliver the head of main now and follow its runs"),
            ("sentry trigger qa -b main --event nightly", "Start the runs for the event `nightly`"),
        ],
    ),
    (
        "validate",
        &[
            ("sentry validate", "Check the configuration"),
            (
                "sentry validate --online",
                "Check tokens, repositories, branches and the cluster too",
            ),
        ],
    ),
    (
        "status",
        &[
            ("sentry status -w", "Watch all branches until stopped"),
            ("sentry status --state retrying,parked", "Show what needs somebody"),
            (
                "sentry status --server https://sentry.example.com",
                "Ask a server instead of this machine",
            ),
        ],
    ),
    (
        "history",
        &[
            ("sentry history qa -n 50", "List the last 50 deliveries of the watch qa"),
            ("sentry history -o json", "The same for a program, with whole ids and times"),
        ],
    ),
    ("show", &[("sentry show 01hf7yat", "Show the delivery whose id starts with 01hf7yat")]),
    ("why", &[("sentry why 1a2b3c4", "Explain what became of the commit 1a2b3c4 of A")]),
    (
        "explain",
        &[
            (
                "sentry explain qa",
                "Show which documents of B would run, and why the others would not",
            ),
            ("sentry explain qa -b main --event nightly", "The same for the event `nightly`"),
        ],
    ),
    (
        "lint",
        &[
            ("sentry lint", "Check ./.tekton before it is pushed"),
            (
                "sentry lint qa/.tekton --branch release/1",
                "The same as if release/1 were delivered",
            ),
            ("sentry lint -o sarif > sentry.sarif", "Write the findings for code scanning"),
        ],
    ),
    (
        "vendor",
        &[
            ("sentry vendor", "Lock what ./.tekton uses of Artifact Hub"),
            (
                "sentry vendor qa/.tekton --host tasks.example.com",
                "The same where some of it is on another host",
            ),
        ],
    ),
    ("diff", &[("sentry diff qa --branch main", "Compare B's manifests with the cluster")]),
    (
        "approve",
        &[(
            "sentry approve qa 12 --revision 8d1c5c94e0a7a2c6f6c1d9b0a4e7f3b2c1d0e9f8",
            "Run what is for pull request 12 with the head that was reviewed",
        )],
    ),
    ("retry", &[("sentry retry 01hf7yat", "Resume the delivery and follow it")]),
    (
        "rerun",
        &[
            ("sentry rerun 01hf7yat", "Run everything again for the same commits"),
            ("sentry rerun 01hf7yat --failed", "Run again only what failed"),
        ],
    ),
    (
        "cancel",
        &[("sentry cancel 01hf7yat", "Cancel the delivery and wait until its runs have ended")],
    ),
    (
        "suspend",
        &[(
            "sentry suspend qa --for 2h --reason 'cluster upgrade'",
            "Start nothing new for two hours",
        )],
    ),
    ("resume", &[("sentry resume qa", "End the suspension now")]),
    (
        "state",
        &[
            (
                "sentry state copy --from /var/lib/sentry --to postgres",
                "Move to the database that the configuration names",
            ),
            ("sentry state copy --from postgres --to ./state", "Move back to a directory"),
        ],
    ),
    (
        "open",
        &[
            ("sentry open qa", "Open the page of the watch qa"),
            ("sentry open 01hf7yat --print", "Print the address of a delivery"),
        ],
    ),
    (
        "audit",
        &[
            ("sentry audit qa --since 7d", "Who asked for what in the last week"),
            ("sentry audit --by ci", "What the token `ci` was used for"),
        ],
    ),
    ("notify", &[("sentry notify --test", "Send a test notification to every receiver")]),
    (
        "init",
        &[
            ("sentry init", "Ask for what is needed and write the files here"),
            (
                "sentry init --source https://github.com/acme/app --manifests https://github.com/acme/qa",
                "Write them without questions",
            ),
        ],
    ),
    (
        "demo",
        &[
            ("sentry demo", "Takes a few seconds and leaves nothing behind"),
            ("sentry demo --page", "Look at the page as well"),
        ],
    ),
    ("version", &[("sentry version -o json", "Print it for a program")]),
    (
        "schema",
        &[("sentry schema > sentry.schema.json", "Let an editor check and complete sentry.yaml")],
    ),
    (
        "completions",
        &[
            ("source <(sentry completions bash)", "Complete commands and names in this bash"),
            ("sentry completions fish > ~/.config/fish/completions/sentry.fish", "In every fish"),
            ("echo 'source <(sentry completions zsh)' >> ~/.zshrc", "In every zsh"),
        ],
    ),
    (
        "man",
        &[
            ("sentry man status | man -l -", "Read the page of one command"),
            ("sentry man --dir /usr/local/share/man/man1", "Write all pages"),
        ],
    ),
];

/// The examples of a command, or of the program.
pub(crate) fn examples(command: &str) -> Examples {
    let found = COMMANDS.iter().find(|(name, _)| *name == command);
    found.map_or(PROGRAM, |(_, examples)| examples)
}

/// The command line with its examples, and the global options of each command folded.
pub(crate) fn command() -> Command {
    let mut command = Cli::command().after_help(after(PROGRAM, ""));
    command.build();
    let folded = folded(&command);
    command.mut_subcommands(|sub| {
        let after = after(examples(sub.get_name()), &folded);
        sub.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg }).after_help(after)
    })
}

/// `-c, --config; --state-dir; …`.
fn folded(command: &Command) -> String {
    let global = command.get_arguments().filter(|arg| arg.is_global_set());
    let names = global.filter_map(|arg| {
        let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        Some(format!("{short}--{}", arg.get_long()?))
    });
    names.collect::<Vec<_>>().join("  ")
}

fn after(examples: Examples, folded: &str) -> String {
    let header = clap::builder::Styles::styled().get_header().to_owned();
    let mut text = String::new();
    if !folded.is_empty() {
        writeln!(text, "{header}Global options:{header:#} (`sentry --help` explains them)").ok();
        writeln!(text, "  {folded}\n").ok();
    }
    write!(text, "{header}Examples:{header:#}").ok();
    for (line, what) in examples {
        write!(text, "\n  {line}\n      {what}").ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_examples_and_each_of_them_is_a_command_line() {
        let command = command();
        for sub in command.get_subcommands() {
            let found = COMMANDS.iter().find(|(name, _)| *name == sub.get_name());
            let (name, examples) = found.unwrap_or_else(|| panic!("{}", sub.get_name()));
            for (line, _) in *examples {
                let start = line.find("sentry").unwrap();
                let words = line[start..].split(['|', '>', ')']).next().unwrap().replace('\'', "");
                let words = words.replace("cluster upgrade", "upgrade");
                let parsed = command.clone().try_get_matches_from(words.split_whitespace());
                let parsed = parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
                assert_eq!(parsed.subcommand_name(), Some(*name), "{line}");
            }
        }
        assert_eq!(command.get_subcommands().count(), COMMANDS.len());
    }

    #[test]
    fn a_global_option_is_folded_and_works() {
        let mut command = command();
        let help = command.find_subcommand_mut("status").unwrap().render_help().to_string();
        assert!(!help.contains("--log-format <"), "{help}");
        assert!(help.contains("--log-format"), "{help}");
        assert!(help.find("--check").unwrap() < help.find("--log-format").unwrap(), "{help}");
        let parsed = command.try_get_matches_from(["sentry", "status", "--state-dir", "/s"]);
        assert!(parsed.unwrap().subcommand().unwrap().1.contains_id("state_dir"));
    }
}
