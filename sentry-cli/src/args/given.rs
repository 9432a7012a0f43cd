//! The words of a command line before clap reads them, and after it has refused them.

use std::ffi::OsString;

use sentry_core::repo;

/// Rewrites the form that older scripts use, `sentry -action=watch`, to `sentry watch`.
pub(crate) fn modernised(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let args: Vec<OsString> = args.into_iter().collect();
    let action = |arg: &OsString| {
        let text = arg.to_str()?;
        let rest = text.strip_prefix("--action").or_else(|| text.strip_prefix("-action"))?;
        (rest.is_empty() || rest.starts_with('=')).then(|| rest.trim_start_matches('=').to_owned())
    };
    let Some(at) = args.iter().position(|arg| action(arg).is_some()) else { return args };
    let mut rest = args;
    let inline = action(&rest.remove(at)).filter(|value| !value.is_empty());
    let command = match inline {
        Some(value) => OsString::from(value),
        None if at < rest.len() => rest.remove(at),
        None => OsString::from(""),
    };
    let program = if rest.is_empty() { OsString::from("sentry") } else { rest.remove(0) };
    let rest = rest.into_iter().map(two_dashes);
    [program, command].into_iter().chain(rest).collect()
}

/// `-config=x` as `--config=x`: with one dash clap would read it as `-c onfig=x`.
fn two_dashes(arg: OsString) -> OsString {
    match arg.to_str() {
        Some(text) if text.len() > 2 && text.starts_with('-') && !text.starts_with("--") => {
            OsString::from(format!("-{text}"))
        }
        _ => arg,
    }
}

/// What the parser complains of, without the credentials that somebody wrote into an argument: it repeats them as they are.
pub(crate) fn without_credentials(complaint: &str, args: &[OsString]) -> String {
    let texts: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let values = texts.iter().filter_map(|text| Some(text.split_once('=')?.1));
    let written = texts.iter().map(AsRef::as_ref).chain(values);
    written.fold(complaint.to_owned(), |shown, text| {
        shown.replace(text, &repo::without_credentials(text))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    fn modern(args: &[&str]) -> Vec<String> {
        modernised(args.iter().map(OsString::from))
            .into_iter()
            .map(|arg| arg.into_string().unwrap())
            .collect()
    }

    #[test]
    fn the_one_dash_form_means_the_command() {
        assert_eq!(modern(&["sentry", "-action=watch"]), ["sentry", "watch"]);
        assert_eq!(modern(&["sentry", "-action", "status"]), ["sentry", "status"]);
        assert_eq!(
            modern(&["sentry", "-config=/etc/s.yaml", "--action=trigger", "-branch", "main"]),
            ["sentry", "trigger", "--config=/etc/s.yaml", "--branch", "main"]
        );
        assert_eq!(modern(&["sentry", "-c", "x", "why", "-h"]), ["sentry", "-c", "x", "why", "-h"]);
    }

    #[test]
    fn no_complaint_about_an_argument_repeats_a_credential_in_it() {
        let token = "glpat-AAAABBBBCCCCDDDD";
        let mut urls = Vec::new();
        for scheme in [
            "https://",
            "HTTPS://",
            "http://",
            "ssh://",
            "git://",
            "https:/",
            "https:",
            "https:\\\\",
            "",
        ] {
            for place in
                ["h.example/o/r.git", "h.example:99999/o/r", "[::1/o", ":o/r", "", "h ex/o"]
            {
                for user in ["", "u:", "oauth2:", "x-access-token:", ":"] {
                    urls.push(format!("{scheme}{user}{token}@{place}"));
                }
                urls.push(format!("{scheme}u:{token}@b@{place}"));
                urls.push(format!("{scheme}{place}?private_token={token}"));
                urls.push(format!("{scheme}{place}#{token}"));
            }
        }
        let mut refused = 0;
        for url in &urls {
            for form in [
                "init --source @",
                "init --source=@",
                "init --manifests @",
                "init @",
                "@",
                "--server=@ status",
                "status --server @",
                "validate --@",
            ] {
                let args = form.split(' ').map(|part| OsString::from(part.replace('@', url)));
                let args: Vec<_> = std::iter::once("sentry".into()).chain(args).collect();
                let Err(error) = Cli::try_parse_from(&args) else { continue };
                refused += 1;
                let shown = without_credentials(&error.render().to_string(), &args);
                let is_user = url.starts_with(token);
                assert!(is_user || !shown.contains(token), "{form} {url}: {shown}");
            }
        }
        println!("{refused} refused command lines repeat no credential");
        assert!(refused > 1_000);
    }
}
