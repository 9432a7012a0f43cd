//! A state that many processes share: how it is written, and what is told of one that is wrong.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail their test")]

use std::path::Path;

use sentry_config::{Config, Environment, Problems, database, load, to_long_form};

const URL: &str = "postgres://sentry@db.example:5432/sentry";

/// A directory with a password, and with a file whose `state` and deployer are these.
struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        files.put("password", "canary-passw0rd\n");
        files.put("empty", "");
        files
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn load(&self, state: &str, cluster: &str) -> Result<Config, Problems> {
        self.put(
            "sentry.yaml",
            &format!(
                "{state}\nforges: {{any: {{type: git, token: '${{TOKEN}}'}}}}\nwatches:\n  - name: qa\n    \
                 source: {{url: 'https://git.example/a', branches: main}}\n    \
                 manifests: {{url: 'https://git.example/b', branch: main}}\n    cluster: {cluster}\n"
            ),
        );
        let env = Environment::new([("TOKEN".to_owned(), "canary-token".to_owned())].into());
        load(Path::new(&self.path("sentry.yaml")), &env).map_err(|error| match error {
            sentry_config::LoadError::Problems(problems) => problems,
            other => panic!("{other}"),
        })
    }
}

const NATIVE: &str = "{namespace: qa, deployer: native}";

#[test]
fn a_database_is_read_with_its_files_and_printed_so_that_it_is_read_again() {
    let files = Files::new();
    for (state, password) in [
        (format!("state: {{postgres: {{url: '{URL}', password_file: password}}}}"), true),
        (format!("state:\n  postgres:\n    url: {URL}?sslmode=disable"), false),
        ("state: {postgres: {url: 'postgres:///ci?host=/run/pg&user=ada'}}".to_owned(), false),
        ("state: {postgres: {url: 'postgresql://ada@a:1,b:2/ci'}}".to_owned(), false),
    ] {
        let config = files.load(&state, NATIVE).unwrap();
        let postgres = config.postgres.clone().unwrap();
        assert!(state.contains(&postgres.url), "{state}");
        let file = postgres.password_file.clone();
        assert_eq!(file, password.then(|| files.dir.path().join("password")));
        assert_eq!(config.secret_files().count(), usize::from(password));
        let printed = to_long_form(&config);
        files.put("printed.yaml", &printed);
        let again = database(Path::new(&files.path("printed.yaml")), &Environment::default());
        assert_eq!(again.unwrap(), Some(postgres), "{printed}");
    }
    assert_eq!(files.load("log_level: info", "{namespace: qa}").unwrap().postgres, None);
}

/// The only problem of a state; a key that is misspelt is missing as well.
#[track_caller]
fn told(files: &Files, state: &str, (path, message, hint): (&str, &str, &str)) {
    let problems = files.load(state, NATIVE).expect_err(state);
    let one = problems.iter().find(|problem| problem.path == path);
    let one = one.unwrap_or_else(|| panic!("{state}: {problems}"));
    assert_eq!(problems.count(), 1 + usize::from(message == "unknown key"), "{problems}");
    assert!(one.message.contains(message) && one.hint.contains(hint), "{state}: {one}");
    assert!(!one.hint.is_empty() && one.line > 0, "{state}: {one}");
    assert!(!problems.to_string().contains("unter2"), "{problems}");
}

#[test]
fn a_wrong_url_is_told_with_its_remedy_and_never_with_its_password() {
    let files = Files::new();
    for (url, message, hint) in [
        ("mysql://ada@db/ci", "PostgreSQL", "postgres://"),
        ("postgres://ada:hunter2@db/ci", "password", "`password_file`"),
        ("postgres://ada:h/unter2@db/ci", "password", "`password_file`"),
        ("postgres://ada@db/ci?password=hunter2", "password", "`password_file`"),
        ("postgres://db/ci", "names no user", "USER@"),
        ("postgres:///ci?user=ada", "names no host", "HOST"),
        ("postgres://ada@db", "names no database", "DATABASE"),
        ("postgres://ada@db/ci?sslmode=prefer", "sslmode", "verify-full"),
        ("postgres://ada@db/ci?sslrootcert=x", "sslrootcert", "`ca_file`"),
        ("postgres://ada@db/ci?sslmod=disable", "sslmod", "`sslmode`?"),
    ] {
        let state = format!("state: {{postgres: {{url: '{url}'}}}}");
        told(&files, &state, ("state.postgres.url", message, hint));
    }
}

#[test]
fn a_key_that_is_wrong_or_missing_is_told_with_its_place_and_remedy() {
    let files = Files::new();
    for (state, path, message, hint) in [
        ("state: {}", "state.postgres", "is missing", "postgres: {url"),
        ("state: {postgre: {}}", "state.postgre", "unknown key", "`postgres`?"),
        ("state: {postgres: {urls: x}}", "state.postgres.urls", "unknown key", "`url`?"),
        ("state: {postgres: {url: 7}}", "state.postgres.url", "not a string", "quotes"),
    ] {
        told(&files, state, (path, message, hint));
    }
    let with = |what: &str| format!("state: {{postgres: {{url: '{URL}', {what}}}}}");
    for (what, path, message) in [
        ("ca_file: empty", "state.postgres.ca_file", ""),
        ("ca_file: none", "state.postgres.ca_file", "can't be read"),
        ("password_file: empty", "state.postgres.password_file", "empty"),
        ("password_file: none", "state.postgres.password_file", "can't be read"),
    ] {
        told(&files, &with(what), (path, message, ""));
    }
    let url = "state: {postgres: {password_file: password}}";
    told(&files, url, ("state.postgres.url", "is missing", "postgres://"));
    let both = format!("state_dir: /x\n{}", with("password_file: password"));
    told(&files, &both, ("state", "`state_dir` as well", "keep one"));
}

#[test]
fn with_a_database_every_deployer_must_be_the_native_one() {
    let files = Files::new();
    let state = format!("state: {{postgres: {{url: '{URL}'}}}}");
    for (cluster, defaults, path, named) in [
        ("{namespace: qa}", "", "watches[0].cluster.deployer", "kubectl"),
        ("{namespace: qa, deployer: kubectl}", "", "watches[0].cluster.deployer", "kubectl"),
        ("{namespace: qa, deployer: dry-run}", "", "watches[0].cluster.deployer", "dry-run"),
        (
            "{namespace: qa}",
            "\ndefaults: {cluster: {deployer: kubectl}}",
            "defaults.cluster.deployer",
            "kubectl",
        ),
    ] {
        let problems = files.load(&format!("{state}{defaults}"), cluster).expect_err(cluster);
        let one = problems.iter().next().unwrap();
        assert_eq!((problems.count(), one.path.as_str()), (1, path), "{problems}");
        assert!(one.message.contains(&format!("is {named}")), "{one}");
        assert!(one.hint.contains("`deployer: native`"), "{one}");
    }
    let defaults = format!("{state}\ndefaults: {{cluster: {{deployer: native}}}}");
    assert!(files.load(&defaults, "{namespace: qa}").is_ok());
}

#[test]
fn who_only_asks_for_the_database_needs_no_other_variable_and_is_told_of_no_other_fault() {
    let files = Files::new();
    let file = |text: &str| {
        files.put("sentry.yaml", text);
        database(
            Path::new(&files.path("sentry.yaml")),
            &Environment::new([("DB".to_owned(), "db.example".to_owned())].into()),
        )
    };
    let state = "state: {postgres: {url: 'postgres://ada@${DB}/ci'}}\n";
    let rest = "forges: {any: {token: '${UNSET}', typ: x}}\nwatches: 7\n";
    let found = file(&format!("{state}{rest}")).unwrap().unwrap();
    assert_eq!(found.url, "postgres://ada@db.example/ci");
    assert_eq!(file(rest).unwrap(), None);
    assert_eq!(file("state_dir: /var/lib/sentry\n").unwrap(), None);
    for wrong in ["state: {postgres: {url: '${UNSET}'}}", "state: [", "state: 7"] {
        assert!(file(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_short_form_has_no_database_and_says_where_it_belongs() {
    let env = Environment::default();
    let text = format!(
        "{}\nstate: {{postgres: {{url: '{URL}'}}}}\n",
        include_str!("../../docs/config/short.yaml")
    );
    let problems = sentry_config::parse(&text, "sentry.yaml", &env).unwrap_err();
    let one = problems.iter().find(|problem| problem.path == "state").unwrap();
    assert!(one.message.contains("belongs to the long form"), "{one}");
}
