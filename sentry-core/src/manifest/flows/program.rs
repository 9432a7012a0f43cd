//! Which texts of a container are programs.

use serde_json::Value;

use super::refs;

/// What runs a text that is handed to it, by the names of its programs.
const INTERPRETERS: &[&str] = &[
    "ash",
    "awk",
    "bash",
    "bun",
    "busybox",
    "csh",
    "dash",
    "deno",
    "eval",
    "fish",
    "gawk",
    "groovy",
    "ksh",
    "lua",
    "mawk",
    "mksh",
    "node",
    "nodejs",
    "perl",
    "php",
    "powershell",
    "psql",
    "pwsh",
    "python",
    "ruby",
    "sed",
    "sh",
    "tclsh",
    "tcsh",
    "zsh",
];

/// Long options after which a program follows.
const PROGRAM_OPTIONS: &[&str] =
    &["--command", "--eval", "--execute", "--expression", "--print", "--run", "-Command"];

/// A container, step or sidecar, and what it takes from elsewhere where it says nothing itself: a step from its task's
/// template, a step action from its step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Container<'c> {
    pub(super) own: &'c Value,
    pub(super) other: Option<&'c Value>,
}

impl<'c> Container<'c> {
    fn field(self, field: &str) -> Option<&'c Value> {
        self.own.get(field).or_else(|| self.other?.get(field))
    }

    fn list(self, field: &str) -> &'c [Value] {
        self.field(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// How many words its command line has.
    pub(super) fn words(self) -> usize {
        self.list("command").len() + self.list("args").len()
    }

    /// The entries of its environment, a later one of the same name counts.
    pub(super) fn env(self) -> impl Iterator<Item = &'c Value> {
        self.other.into_iter().chain([self.own]).flat_map(|holder| refs::list(holder, "env"))
    }
}

/// A text that is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program<'c> {
    /// The field that it stands in.
    pub(super) field: &'static str,
    pub(super) text: &'c str,
    /// True if the kubelet puts environment variables into it, `$(NAME)`.
    pub(super) expands_environment: bool,
}

/// The programs of a container.
pub(super) fn programs(container: Container<'_>) -> Vec<Program<'_>> {
    let mut found = Vec::new();
    if let Some(text) = container.field("script").and_then(Value::as_str) {
        found.push(Program { field: "script", text, expands_environment: false });
    }
    let words = |field: &'static str| {
        let texts = container.list(field).iter().filter_map(Value::as_str);
        texts.map(move |text| Program { field, text, expands_environment: true })
    };
    let command: Vec<_> = words("command").collect();
    // What is called like a command is run as one.
    found.extend(command.first());
    let line: Vec<_> = command.into_iter().chain(words("args")).collect();
    match line.iter().position(|word| is_interpreter(word.text)) {
        Some(at) => found.extend(interpreted(&line[at..])),
        // Another program, or the image's own, may hand on what follows `-c` to a shell.
        None => {
            let after = line.windows(2).filter(|pair| is_short(pair[0].text, &['c']));
            found.extend(after.map(|pair| pair[1]));
        }
    }
    found
}

fn is_interpreter(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default();
    // `python3.12`, `ruby2`
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    INTERPRETERS.contains(&name.trim_end_matches(".exe"))
}

/// True for options of one letter, or several in one word, that hold one of the letters.
fn is_short(word: &str, letters: &[char]) -> bool {
    word.strip_prefix('-').is_some_and(|rest| !rest.starts_with('-') && rest.contains(letters))
}

/// What an interpreter is given to run: what follows an option for it, or stands in it; else its first operand. What
/// comes after that is handed to the program as values.
fn interpreted<'c>(words: &[Program<'c>]) -> Vec<Program<'c>> {
    let mut found = Vec::new();
    let mut words = words.iter().copied().peekable();
    while let Some(word) = words.next() {
        let text = word.text;
        let long = PROGRAM_OPTIONS.iter().any(|option| text.split('=').next() == Some(option));
        if is_interpreter(text) {
            // `busybox sh`, `env -S bash`
        } else if is_short(text, &['c']) || long {
            // `-c -e …`, `-c -- …`: the program is the first word that is no option.
            let is_option =
                |next: &Program<'_>| next.text.starts_with('-') && !next.text.contains(' ');
            while words.next_if(is_option).is_some() {}
            found.push(word);
            found.extend(words.next());
            break;
        } else if is_short(text, &['e', 'E', 'r', 'p']) {
            // `-e … -e …`, and `-e` of a shell, after which a file may follow.
            found.push(word);
            found.extend(words.next_if(|next| !next.text.starts_with('-')));
        } else if text.starts_with(['-', '+']) {
            // `-o pipefail`
            let takes_value = text.ends_with(['o', 'O']) && !text.starts_with("--");
            takes_value.then(|| words.next());
        } else {
            found.push(word);
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_an_interpreter_runs_is_a_program_and_what_it_hands_on_is_not() {
        for (command, args, want) in [
            (json!(["sh", "-c"]), json!(["echo X"]), true),
            (json!(["/bin/bash", "-ec", "echo X"]), json!([]), true),
            (json!(["bash"]), json!(["-euo", "pipefail", "-c", "echo X"]), true),
            (json!(["bash", "-o", "pipefail", "-c", "echo X"]), json!(null), true),
            (json!(["bash", "-c", "--", "echo X"]), json!(null), true),
            (json!(["/usr/bin/env", "bash", "-c", "echo X"]), json!(null), true),
            (json!(["timeout", "60", "sh", "-c"]), json!(["echo X"]), true),
            (json!(["busybox", "sh", "-c", "echo X"]), json!(null), true),
            (json!(null), json!(["-c", "echo X"]), true),
            (json!(null), json!(["sh", "-c", "echo X"]), true),
            (json!(["su", "bob", "-c", "echo X"]), json!(null), true),
            (json!(["python3.12", "-c", "print('X')"]), json!(null), true),
            (json!(["perl", "-pe", "s/a/X/"]), json!(null), true),
            (json!(["perl", "-es/a/X/"]), json!(null), true),
            (json!(["node", "--eval=X"]), json!(null), true),
            (json!(["sed", "-e", "s/a/b/", "-e", "s/a/X/"]), json!(["file"]), true),
            (json!(["awk", "/X/"]), json!(null), true),
            (json!(["bash", "X.sh"]), json!(null), true),
            (json!(["bash-5.2", "X.sh"]), json!(null), true),
            (json!(["/usr/bin/python3.12", "X.py"]), json!(null), true),
            (json!(["bash", "-x", "X.sh"]), json!(null), true),
            (json!(["sh", "-c", "X"]), json!(null), true),
            (json!(["X"]), json!(null), true),
            // Values.
            (json!(["sh", "-c", "echo \"$1\"", "--", "X"]), json!(null), false),
            (json!(["sh", "-ec", "echo \"$1\"", "--flag=X"]), json!(null), false),
            (json!(["bash", "run.sh", "X"]), json!(null), false),
            (json!(["python", "run.py"]), json!(["--branch", "X"]), false),
            (json!(["sed", "s/a/b/", "X"]), json!(null), false),
            (json!(["git", "checkout", "X"]), json!(null), false),
            (json!(null), json!(["--branch=X", "X"]), false),
            (json!(["/ko-app/git-init"]), json!(["-revision", "X"]), false),
        ] {
            let container = json!({"command": command, "args": args});
            let programs = programs(Container { own: &container, other: None });
            assert_eq!(programs.iter().any(|p| p.text.contains('X')), want, "{container}");
        }
    }
}
