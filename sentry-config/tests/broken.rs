//! Files that are wrong: what is said, where, and what to do.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use sentry_config::{Environment, Problems, load, parse};

fn problems_of(text: &str) -> Problems {
    let vars = [("TOKEN", "canary-token-value"), ("EMPTY", "")];
    let env = Environment::new(vars.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    parse(text, "sentry.yaml", &env).expect_err(text)
}

/// A right file with one line of it replaced.
fn long(line: &str, by: &str) -> String {
    let good = "\
forges:
  hub: {type: github, token: '${TOKEN}'}
  lab: {type: gitlab, url: 'https://lab.example.com'}
  any: {type: git}
defaults: {timeout: 60}
watches:
  - name: qa
    source:
      forge: hub
      url: https://github.com/a/b
      branches: [main]
    manifests:
      url: https://lab.example.com/a/b
      branch: main
    cluster:
      namespace: qa
";
    assert!(good.contains(line), "{line}");
    good.replacen(line, by, 1)
}

/// One kind of broken file: the line that is replaced and by what; line, column, path, and parts of message and hint.
type Case = (&'static str, &'static str, usize, usize, &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    (
        "defaults: {timeout: 60}",
        "defaults: {timeout: [}",
        5,
        21,
        "",
        "mismatched bracket",
        "fix the YAML",
    ),
    ("defaults: {timeout: 60}", "\tdefaults: x", 5, 2, "", "tabs", "fix the YAML"),
    ("defaults: {timeout: 60}", "defaults: *none", 5, 11, "", "alias", "fix the YAML"),
    (
        "timeout: 60",
        "timeot: 60",
        5,
        12,
        "defaults.timeot",
        "unknown key",
        "did you mean `timeout`?",
    ),
    (
        "timeout: 60",
        "timeout: 60, timeout: 61",
        5,
        25,
        "defaults.timeout",
        "twice, first on line 5",
        "remove one",
    ),
    ("timeout: 60", "timeout: soon", 5, 21, "defaults.timeout", "is not a duration", "5m"),
    ("timeout: 60", "timeout: -5", 5, 21, "defaults.timeout", "is not a duration", "5m"),
    ("timeout: 60", "timeout: []", 5, 21, "defaults.timeout", "is a list, not a duration", "5m"),
    (
        "timeout: 60",
        "max_retries: '3'",
        5,
        25,
        "defaults.max_retries",
        "is a string, not a number",
        "such as 3",
    ),
    (
        "timeout: 60",
        "max_retries: -1",
        5,
        25,
        "defaults.max_retries",
        "not a whole number",
        "such as 3",
    ),
    (
        "timeout: 60",
        "watch_manifests: yes",
        5,
        29,
        "defaults.watch_manifests",
        "not true or false",
        "without quotes",
    ),
    (
        "timeout: 60",
        "refusals: strickt",
        5,
        22,
        "defaults.refusals",
        "not one of the allowed values",
        "`strict`?",
    ),
    (
        "timeout: 60",
        "on_first_sight: run",
        5,
        28,
        "defaults.on_first_sight",
        "not one of the allowed values",
        "record, deliver",
    ),
    (
        "timeout: 60",
        "allow_kinds: teckton",
        5,
        25,
        "defaults.allow_kinds",
        "not a known group",
        "`tekton`",
    ),
    (
        "timeout: 60",
        "allow_kinds: [configMap]",
        5,
        26,
        "defaults.allow_kinds[0]",
        "not a kind's name",
        "ConfigMap",
    ),
    (
        "timeout: 60",
        "allow_kinds: [Certificate]",
        5,
        26,
        "defaults.allow_kinds[0]",
        "add its group, Certificate.GROUP",
        "Certificate.cert-manager.io",
    ),
    (
        "timeout: 60",
        "run_timeot: 60",
        5,
        12,
        "defaults.run_timeot",
        "unknown key",
        "`run_timeout`?",
    ),
    ("timeout: 60", "run_timeout: 0", 5, 25, "defaults.run_timeout", "is not a duration", "5m"),
    ("timeout: 60", "inlin: true", 5, 12, "defaults.inlin", "unknown key", "`inline`?"),
    (
        "timeout: 60",
        "inline: 'yes'",
        5,
        20,
        "defaults.inline",
        "not true or false",
        "without quotes",
    ),
    (
        "timeout: 60",
        "allow_missing_refs: 1",
        5,
        32,
        "defaults.allow_missing_refs",
        "not true or false",
        "without quotes",
    ),
    (
        "timeout: 60",
        "namespace_policy: overide",
        5,
        30,
        "defaults.namespace_policy",
        "not one of the allowed values",
        "`override`?",
    ),
    (
        "timeout: 60",
        "namespace_policy: qa-data",
        5,
        30,
        "defaults.namespace_policy",
        "not one of the allowed values",
        "a list of namespaces",
    ),
    (
        "timeout: 60",
        "namespace_policy: []",
        5,
        30,
        "defaults.namespace_policy",
        "is empty",
        "refuse",
    ),
    (
        "timeout: 60",
        "namespace_policy: 1",
        5,
        30,
        "defaults.namespace_policy",
        "a number",
        "refuse",
    ),
    (
        "timeout: 60",
        "namespace_policy: [a, B]",
        5,
        34,
        "defaults.namespace_policy[1]",
        "only a-z",
        "qa-data",
    ),
    (
        "timeout: 60",
        "unannotated: skipp",
        5,
        25,
        "defaults.unannotated",
        "not one of the allowed values",
        "`skip`?",
    ),
    (
        "timeout: 60",
        "unknown_fields: drip",
        5,
        28,
        "defaults.unknown_fields",
        "not one of the allowed values",
        "`drop`?",
    ),
    (
        "timeout: 60",
        "remote_tasks: fetsh",
        5,
        26,
        "defaults.remote_tasks",
        "not one of the allowed values",
        "`fetch`?",
    ),
    (
        "timeout: 60",
        "report_detail: reason",
        5,
        27,
        "defaults.report_detail",
        "not one of the allowed values",
        "`reasons`?",
    ),
    (
        "timeout: 60",
        "remote_hub: ftp://hub.example.com",
        5,
        24,
        "defaults.remote_hub",
        "reached by https or http",
        "https://hub.example.com",
    ),
    (
        "timeout: 60",
        "remote_hub: 'https://u:p@hub.example.com'",
        5,
        24,
        "defaults.remote_hub",
        "contains credentials",
        "https://hub.example.com",
    ),
    (
        "timeout: 60",
        "remote_hosts: [tasks.example.com, tasks.example.com/x]",
        5,
        46,
        "defaults.remote_hosts[1]",
        "has a path",
        "tasks.example.com:8443",
    ),
    (
        "timeout: 60",
        "cluster: {force_conflicts: frist}",
        5,
        39,
        "defaults.cluster.force_conflicts",
        "not one of the allowed values",
        "`first`?",
    ),
    (
        "timeout: 60",
        "git_auth_secret: Git_Secret",
        5,
        29,
        "defaults.git_auth_secret",
        "is not a Secret name",
        "git-credentials",
    ),
    (
        "timeout: 60",
        "git_auth_secret: {per_run: false}",
        5,
        29,
        "defaults.git_auth_secret",
        "other than {per_run: true}",
        "git-credentials",
    ),
    (
        "timeout: 60",
        "max_active_runs: 0",
        5,
        29,
        "defaults.max_active_runs",
        "nothing would ever run",
        "1 or more",
    ),
    (
        "timeout: 60",
        "report: per_task",
        5,
        20,
        "defaults.report",
        "not one of the allowed values",
        "per_watch",
    ),
    (
        "timeout: 60",
        "when_nothing_runs: neutrl",
        5,
        31,
        "defaults.when_nothing_runs",
        "not one of the allowed values",
        "neutral",
    ),
    ("timeout: 60", "report: false", 5, 20, "defaults.report", "is true or false", "in quotes"),
    (
        "timeout: 60",
        "report_context: 'qa/{wach}'",
        5,
        28,
        "defaults.report_context",
        "an unknown placeholder",
        "`{watch}`?",
    ),
    (
        "timeout: 60",
        "report_context: \"a\\nb\"",
        5,
        28,
        "defaults.report_context",
        "a line break",
        "qa/{watch}",
    ),
    (
        "timeout: 60",
        "report_link: 'https://x.example.com/{delivry}'",
        5,
        25,
        "defaults.report_link",
        "an unknown placeholder",
        "`{delivery}`?",
    ),
    (
        "timeout: 60",
        "report_link: 'https://x.example.com/{sha}'",
        5,
        25,
        "defaults.report_link",
        "an unknown placeholder",
        "{watch}, {delivery}, {branch}, {revision}, {namespace}, {run}",
    ),
    (
        "timeout: 60",
        "report_link: 'https://x.example.com/{run'",
        5,
        25,
        "defaults.report_link",
        "without a closing `}`",
        "close it",
    ),
    (
        "timeout: 60",
        "report_link: 'x.example.com/{run}'",
        5,
        25,
        "defaults.report_link",
        "not an http or https",
        "{namespace}/{run}",
    ),
    (
        "timeout: 60",
        "report_link: 'https://u:canary-pw@x.example.com'",
        5,
        25,
        "defaults.report_link",
        "contains credentials",
        "address",
    ),
    (
        "timeout: 60",
        "variables: {x: 1}",
        5,
        27,
        "defaults.variables.x",
        "is a number, not a string",
        "in quotes",
    ),
    (
        "timeout: 60",
        "polling_interval: 59",
        5,
        30,
        "defaults.polling_interval",
        "shorter than 60",
        "60 or more",
    ),
    (
        "defaults: {timeout: 60}",
        "log_level: loud",
        5,
        12,
        "log_level",
        "not one of the allowed values",
        "debug, info, warn, error",
    ),
    ("defaults: {timeout: 60}", "max_parallel: 0", 5, 15, "max_parallel", "is 0", "1 or more"),
    (
        "defaults: {timeout: 60}",
        "target_repo: {}",
        5,
        1,
        "target_repo",
        "short form",
        "one of the two forms",
    ),
    ("defaults: {timeout: 60}", "state_dir: ''", 5, 12, "state_dir", "is empty", "write a value"),
    (
        "type: github",
        "type: githup",
        2,
        15,
        "forges.hub.type",
        "not one of the allowed values",
        "`github`?",
    ),
    ("type: gitlab, ", "", 3, 8, "forges.lab.type", "is missing", "github, gitlab, gitea or git"),
    (
        "'${TOKEN}'",
        "'${TOKN}'",
        2,
        30,
        "forges.hub.token",
        "environment variable TOKN is not set",
        ".env",
    ),
    ("'${TOKEN}'", "'${EMPTY}'", 2, 30, "forges.hub.token", "is empty", "write a value"),
    ("'${TOKEN}'", "'${TOKEN'", 2, 30, "forges.hub.token", "without a closing `}`", "close it"),
    (
        "'${TOKEN}'",
        "'${TO KEN}'",
        2,
        30,
        "forges.hub.token",
        "without a variable name",
        "${NAME:-default}",
    ),
    (
        "'${TOKEN}'",
        "'${TOKEN}', token_file: sentry.yaml.none",
        2,
        54,
        "forges.hub.token_file",
        "already has other credentials",
        "keep one of",
    ),
    (
        "token: '${TOKEN}'",
        "token_file: ./none",
        2,
        35,
        "forges.hub.token_file",
        "can't be read",
        "fix the path",
    ),
    (
        "token: '${TOKEN}'",
        "ca_file: ./none",
        2,
        32,
        "forges.hub.ca_file",
        "can't be read",
        "fix the path",
    ),
    (
        "token: '${TOKEN}'",
        "app: {id: 1, installation_id: 2}",
        2,
        28,
        "forges.hub.app.private_key_file",
        "is missing",
        "an app needs",
    ),
    (
        "'${TOKEN}'",
        "'${TOKEN}', report_token: '${TOKEN}', report_token_file: sentry.yaml.none",
        2,
        87,
        "forges.hub.report_token_file",
        "already has a report_token",
        "keep one of",
    ),
    (
        "token: '${TOKEN}'",
        "report_token_file: ./none",
        2,
        42,
        "forges.hub.report_token_file",
        "can't be read",
        "fix the path",
    ),
    (
        "any: {type: git}",
        "any: {type: git, report_token: '${TOKEN}'}",
        4,
        34,
        "forges.any.report_token",
        "has no commit statuses",
        "github, gitlab and gitea",
    ),
    (
        "any: {type: git}",
        "any: {type: gitea}",
        4,
        8,
        "forges.any.url",
        "missing",
        "https://git.example.com",
    ),
    (
        "any: {type: git}",
        "any: {type: gitea, url: 'https://gitea.example.com', polling: api}",
        4,
        65,
        "forges.any.polling",
        "polled with git",
        "auto or git",
    ),
    (
        "any: {type: git}",
        "any: {type: gitea, url: 'https://github.com'}",
        4,
        27,
        "forges.any.url",
        "github.com is not a forge of type gitea",
        "type: github",
    ),
    (
        "any: {type: git}",
        "any: {type: git, webhook_secret: '${TOKEN}'}",
        4,
        36,
        "forges.any.webhook_secret",
        "sends no webhooks",
        "github, gitlab and gitea",
    ),
    (
        "url: 'https://lab.example.com'",
        "url: 'https://lab.example.com', webhook_secret: 'whsec_%%'",
        3,
        71,
        "forges.lab.webhook_secret",
        "not a signing token",
        "base64",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: chat, type: slak, url: 'https://x.example/1'}]",
        5,
        29,
        "notify[0].type",
        "not one of the allowed values",
        "did you mean `slack`?",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: chat, type: slack}]",
        5,
        10,
        "notify[0].url",
        "is missing",
        "url_file",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: chat, type: slack, url: '${TOKEN}'}]",
        5,
        41,
        "notify[0].url",
        "not an http or https URL",
        "full address",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{type: slack, url: 'https://x.example/1'}]",
        5,
        10,
        "notify[0].name",
        "is missing",
        "qa-chat",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: Chat, type: slack, url: 'https://x.example/1'}]",
        5,
        17,
        "notify[0].name",
        "a-z",
        "qa-chat",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: chat, type: slack, url: 'https://x.example/1', secret: '${TOKEN}'}]",
        5,
        72,
        "notify[0].secret",
        "does not verify signatures",
        "webhook",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: chat, type: webhook, url: 'https://x.example/1', routes: [test_failed]}]",
        5,
        75,
        "notify[0].routes[0]",
        "not one of the allowed values",
        "`tests_failed`?",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: chat, type: webhook, url: 'https://x.example/1', on: [failed]}]",
        5,
        71,
        "notify[0].on[0]",
        "not one of the allowed values",
        "failure, recovery",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: chat, type: webhook, url: 'https://x.example/1', on: []}]",
        5,
        70,
        "notify[0].on",
        "is empty",
        "remove `on`",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: chat, type: webhook, url: 'https://x.example/1', template: '{{ watch'}]",
        5,
        76,
        "notify[0].template",
        "not a valid template",
        "minijinja",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: chat, type: webhook, url: 'https://x.example/1', template: '{{ brnch }}'}]",
        5,
        76,
        "notify[0].template",
        "uses `brnch`",
        "did you mean `branch`?",
    ),
    (
        "defaults: {timeout: 60}",
        "notify: [{name: chat, type: webhook, url: 'https://x.example/1', urls: x}]",
        5,
        66,
        "notify[0].urls",
        "unknown key",
        "did you mean `url`?",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {listen: ':8080'}",
        5,
        18,
        "server.listen",
        "not an address with a port",
        "127.0.0.1:8080",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {read_token: '${TOKEN}', trigger_token: '${TOKEN}'}",
        5,
        49,
        "server.trigger_token",
        "is the same token as read_token",
        "different token",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {read_token: '${TOKEN}', tokens: [{name: bot, token: '${TOKEN}', may: [read]}]}",
        5,
        43,
        "server.tokens[0]",
        "is the same token as read_token",
        "different token",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {tokens: [{token: '${TOKEN}', may: [read]}]}",
        5,
        19,
        "server.tokens[0].name",
        "is missing",
        "release-bot",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {tokens: [{name: Bot_1, token: '${TOKEN}', may: [read]}]}",
        5,
        26,
        "server.tokens[0].name",
        "may contain only a-z",
        "release-bot",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {tokens: [{name: bot, may: [read]}]}",
        5,
        19,
        "server.tokens[0].token",
        "is missing",
        "token_file",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {tokens: [{name: bot, token: '${TOKEN}'}]}",
        5,
        19,
        "server.tokens[0].may",
        "is missing",
        "[read]",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {tokens: [{name: bot, token: '${TOKEN}', may: []}]}",
        5,
        55,
        "server.tokens[0].may",
        "good for nothing",
        "[read]",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {tokens: [{name: bot, token: '${TOKEN}', may: [raed]}]}",
        5,
        56,
        "server.tokens[0].may[0]",
        "not one of the allowed values",
        "did you mean `read`?",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {public_url: sentry.example.com}",
        5,
        22,
        "server.public_url",
        "not an http or https URL",
        "https://sentry.example.com",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {public_url: 'https://sentry.example.com/?a=b'}",
        5,
        22,
        "server.public_url",
        "a query or a fragment",
        "where the page begins",
    ),
    (
        "defaults: {timeout: 60}",
        "server: {public_url: 'https://u:canary-pw@sentry.example.com'}",
        5,
        22,
        "server.public_url",
        "contains credentials",
        "https://sentry.example.com",
    ),
    (
        "timeout: 60",
        "dashboard_url: 'https://x.example.com/{name}'",
        5,
        27,
        "defaults.dashboard_url",
        "unknown placeholder",
        "{run}",
    ),
    (
        "timeout: 60",
        "dashboard_url: 'ssh://x.example.com'",
        5,
        27,
        "defaults.dashboard_url",
        "not an http or https URL",
        "https://tekton.example.com",
    ),
    (
        "token: '${TOKEN}'",
        "token_kind: job",
        2,
        35,
        "forges.hub.token_kind",
        "does not apply",
        "gitlab",
    ),
    (
        "token: '${TOKEN}'",
        "proxy: 'socks4:x'",
        2,
        30,
        "forges.hub.proxy",
        "not the http or https URL",
        "3128",
    ),
    (
        "https://lab.example.com'",
        "http://lab.example.com'",
        3,
        28,
        "forges.lab.url",
        "in the clear",
        "https",
    ),
    (
        "https://lab.example.com'",
        "https://u:canary-pw@lab.example.com'",
        3,
        28,
        "forges.lab.url",
        "contains credentials",
        "`token`",
    ),
    (
        "https://lab.example.com'",
        "https://github.com'",
        3,
        28,
        "forges.lab.url",
        "not a forge of type gitlab",
        "type: github",
    ),
    (
        "https://lab.example.com'",
        "lab.example.com'",
        3,
        28,
        "forges.lab.url",
        "is not a URL",
        "https://gitlab",
    ),
    (
        "forge: hub",
        "forge: hob",
        9,
        14,
        "watches[0].source.forge",
        "no forge has this name",
        "`hub`?",
    ),
    (
        "forge: hub",
        "forge: lab",
        10,
        12,
        "watches[0].source.url",
        "is not on lab.example.com",
        "fix the URL",
    ),
    (
        "https://github.com/a/b",
        "git@github.com:a/b",
        10,
        12,
        "watches[0].source.url",
        "accessed over https",
        "type git",
    ),
    (
        "https://github.com/a/b",
        "https://u:canary-pw@github.com/a/b",
        10,
        12,
        "watches[0].source.url",
        "contains credentials",
        "https://host",
    ),
    (
        "https://github.com/a/b",
        "http://github.com/a/b",
        10,
        12,
        "watches[0].source.url",
        "in the clear",
        "https://host",
    ),
    (
        "https://github.com/a/b",
        "github.com/a/b",
        10,
        12,
        "watches[0].source.url",
        "expected https",
        "https://host",
    ),
    ("[main]", "[]", 11, 17, "watches[0].source.branches", "is empty", "at least one"),
    (
        "branches: [main]",
        "tags: ['v*', 'a[b']",
        11,
        20,
        "watches[0].source.tags[1]",
        "unclosed",
        "glob such as v*",
    ),
    (
        "branches: [main]",
        "tags: {semver: '>=x'}",
        11,
        22,
        "watches[0].source.tags.semver",
        "unexpected character",
        "Cargo's notation",
    ),
    (
        "branches: [main]",
        "tags: {range: '1'}",
        11,
        14,
        "watches[0].source.tags.range",
        "unknown key",
        "semver",
    ),
    (
        "branches: [main]",
        "tags: {}",
        11,
        13,
        "watches[0].source.tags.semver",
        "is missing",
        ">=1.2",
    ),
    (
        "branches: [main]",
        "tags: refs/tags/v1",
        11,
        13,
        "watches[0].source.tags",
        "full ref name",
        "tag's name: v1",
    ),
    ("branches: [main]", "tags: ['!v0.*']", 11, 13, "watches[0].source.tags", "exclusions", "v*"),
    ("branches: [main]", "tags: 1", 11, 13, "watches[0].source.tags", "is a number", "in quotes"),
    (
        "branches: [main]",
        "pull_requests: {forks: trusted_authors}",
        11,
        30,
        "watches[0].source.pull_requests.forks",
        "not one of",
        "approve",
    ),
    ("      branches: [main]\n", "", 9, 7, "watches[0].source.branches", "is missing", "name tags"),
    ("[main]", "''", 11, 17, "watches[0].source.branches", "is empty", "at least one"),
    (
        "[main]",
        "[main, 'a[b']",
        11,
        24,
        "watches[0].source.branches[1]",
        "unclosed",
        "glob such as",
    ),
    (
        "[main]",
        "[1.0]",
        11,
        18,
        "watches[0].source.branches[0]",
        "is a number, not a string",
        "in quotes",
    ),
    ("[main]", "{a: b}", 11, 17, "watches[0].source.branches", "is a mapping", "in quotes"),
    (
        "branch: main",
        "branch: 'release/*'",
        14,
        15,
        "watches[0].manifests.branch",
        "*",
        "globs don't work",
    ),
    (
        "branch: main",
        "branch: main\n      dir: ../x",
        15,
        12,
        "watches[0].manifests.dir",
        "relative path",
        ".tekton",
    ),
    (
        "      branch: main\n",
        "",
        13,
        7,
        "watches[0].manifests.branch",
        "is missing",
        "source_branch",
    ),
    (
        "namespace: qa",
        "namespace: QA_1",
        16,
        18,
        "watches[0].cluster.namespace",
        "only a-z",
        "such as qa",
    ),
    (
        "    cluster:\n      namespace: qa\n",
        "",
        7,
        5,
        "watches[0].cluster.namespace",
        "is missing",
        "B's runs",
    ),
    (
        "namespace: qa",
        "namespace: qa\n      deployer: kubctl",
        17,
        17,
        "watches[0].cluster.deployer",
        "not one of the allowed values",
        "`kubectl`?",
    ),
    (
        "namespace: qa",
        "namespace: qa\n      kubectl: {kubeconfig: ./none}",
        17,
        29,
        "watches[0].cluster.kubectl.kubeconfig",
        "can't be read",
        "fix the path",
    ),
    ("name: qa", "name: Q A", 7, 11, "watches[0].name", "only a-z", "short name"),
    ("name: qa\n    source:", "source:", 7, 5, "watches[0].name", "is missing", "short name"),
];

#[test]
fn each_kind_of_broken_file_is_told_with_line_column_path_and_remedy() {
    let mut wrong = String::new();
    for (line, by, row, column, path, message, hint) in CASES {
        let problems = problems_of(&long(line, by));
        let all: Vec<_> = problems.iter().collect();
        let fits = all.len() == 1
            && (all[0].line, all[0].column, all[0].path.as_str()) == (*row, *column, *path)
            && all[0].message.contains(message)
            && all[0].hint.contains(hint)
            && !all[0].message.is_empty();
        if !fits {
            let _ = writeln!(
                wrong,
                "{by:?}, expected {row}:{column} {path} {message:?} {hint:?}:\n{problems}\n"
            );
        }
        assert!(!problems.to_string().contains("canary"), "{problems}");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What is told of a file: where, and what.
fn told(text: &str) -> BTreeSet<(String, String)> {
    problems_of(text).iter().map(|p| (p.path.clone(), p.message.clone())).collect()
}

/// The file with both slips; `None` where one of them leaves no room for the other.
fn both((line, by): (&str, &str), (other, other_by): (&str, &str)) -> Option<String> {
    let key = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    if line == other && line == "timeout: 60" {
        let apart = key(by) != key(other_by);
        return apart.then(|| long(line, &format!("{by}, {other_by}")));
    }
    let first = long(line, by);
    let apart = !line.contains(other) && !other.contains(line) && !by.contains(other);
    (apart && first.contains(other)).then(|| first.replacen(other, other_by, 1))
}

/// A repository and its forge that don't belong together can't be told where one of them is not known.
fn is_of_both(message: &str) -> bool {
    [
        "is not on ",
        "is not a forge of type",
        "is shorter than 60 seconds",
        "is accessed over https",
        "does not apply to a forge",
        "is not a signing token",
    ]
    .iter()
    .any(|part| message.contains(part))
}

/// Two slips of one file are told as each alone is: neither hides the other, and none makes a third.
#[test]
fn any_two_kinds_of_broken_file_in_one_are_both_told_and_nothing_else() {
    let slips: Vec<_> =
        CASES.iter().map(|case| ((case.0, case.1), told(&long(case.0, case.1)))).collect();
    // What is no YAML says nothing else.
    let is_read = |told: &BTreeSet<(String, String)>| told.iter().all(|(path, _)| !path.is_empty());
    let (mut pairs, mut wrong) = (0, String::new());
    for (i, (slip, alone)) in slips.iter().enumerate().filter(|(_, (_, told))| is_read(told)) {
        for (other, second) in slips[i + 1..].iter().filter(|(_, told)| is_read(told)) {
            let paths = |told: &BTreeSet<(String, String)>| -> BTreeSet<_> {
                told.iter().map(|(path, _)| path.clone()).collect()
            };
            let Some(text) =
                both(*slip, *other).filter(|_| paths(alone).is_disjoint(&paths(second)))
            else {
                continue;
            };
            pairs += 1;
            let together = told(&text);
            let expected: BTreeSet<_> = alone.union(second).cloned().collect();
            let hidden: Vec<_> = expected
                .difference(&together)
                .filter(|(_, message)| !is_of_both(message))
                .collect();
            let more: Vec<_> = together.difference(&expected).collect();
            if !hidden.is_empty() || !more.is_empty() {
                let _ = writeln!(wrong, "{slip:?} and {other:?}: hidden {hidden:?}, more {more:?}");
            }
        }
    }
    println!("{pairs} pairs of slips are told as each alone");
    assert!(wrong.is_empty() && pairs > 2_000, "{pairs}\n{wrong}");
}

/// Slips of the short form: the line that is replaced and by what, and the paths of what is told.
const SHORT_CASES: &[(&str, &str, &[&str])] = &[
    ("type: github", "type: gitbub", &["target_repo.type"]),
    (", type: github", "", &["target_repo.type"]),
    ("https://github.com/a/b", "https://u:canary@github.com/a/b", &["target_repo.url"]),
    ("https://github.com/a/b", "github.com/a/b", &["target_repo.url"]),
    ("branches: main", "branches: refs/heads/main", &["target_repo.branches"]),
    ("branches: main", "branchs: main", &["target_repo.branchs", "target_repo.branches"]),
    ("type: git}", "type: gti}", &["qa_repo.type"]),
    (", type: git}", "}", &["qa_repo.type"]),
    ("https://git.example.com/a/c", "''", &["qa_repo.url"]),
    ("branch: main,", "branch: 'a..b',", &["qa_repo.branch"]),
    ("polling_interval: 60", "polling_interval: 30", &["polling_interval"]),
    ("polling_interval: 60", "polling_intervall: 60", &["polling_intervall"]),
    ("namespace: qa", "namespace: QA", &["namespace"]),
    ("namespace: qa", "", &["namespace"]),
    ("max_retries: 3", "max_retries: many", &["max_retries"]),
    ("timeout: 5m", "timeout: soon", &["timeout"]),
    ("report: off", "report: of", &["report"]),
    ("log_level: info", "log_level: loud", &["log_level"]),
    ("github_token: '${TOKEN}'", "github_token: '${EMPTY}'", &["auth.github_token"]),
    ("github_token: '${TOKEN}'", "github_tokn: '${TOKEN}'", &["auth.github_tokn"]),
    ("tekton_dir: .tekton", "tekton_dir: ../x", &["tekton_dir"]),
];

const SHORT: &str = "\
target_repo: {url: 'https://github.com/a/b', branches: main, type: github}
qa_repo: {url: https://git.example.com/a/c, branch: main, type: git}
auth: {github_token: '${TOKEN}'}
polling_interval: 60
tekton_dir: .tekton
namespace: qa
max_retries: 3
timeout: 5m
report: off
log_level: info
";

#[test]
fn any_two_slips_of_the_short_form_are_both_told_and_nothing_else() {
    for (i, (line, by, paths)) in SHORT_CASES.iter().enumerate() {
        assert!(SHORT.contains(line), "{line}");
        let first = SHORT.replacen(line, by, 1);
        let told = |text: &str| problems_of(text).iter().map(|p| p.path.clone()).collect();
        let alone: BTreeSet<String> = told(&first);
        assert_eq!(alone, paths.iter().map(|&path| path.to_owned()).collect(), "{by}");
        for (other, other_by, other_paths) in &SHORT_CASES[i + 1..] {
            let apart = !line.contains(other) && !other.contains(line) && first.contains(other);
            // How often one may ask hangs on whom.
            let asks = paths == &["target_repo.url"] && other_paths == &["polling_interval"];
            if !apart || asks {
                continue;
            }
            let both: BTreeSet<String> = told(&first.replacen(other, other_by, 1));
            let each = paths.iter().chain(*other_paths);
            let expected: BTreeSet<String> = each.map(|&path| path.to_owned()).collect();
            assert_eq!(both, expected, "{by} and {other_by}");
        }
    }
}

#[test]
fn a_tag_needs_a_fixed_branch_of_b() {
    let text =
        long("branches: [main]", "tags: 'v*'").replace("branch: main", "branch: '{source_branch}'");
    let problems = problems_of(&text);
    let problem = problems.iter().next().unwrap();
    let place = (problems.count(), problem.line, problem.path.as_str());
    assert_eq!(place, (1, 14, "watches[0].manifests.branch"));
    assert!(problem.hint.contains("a fixed branch"), "{problem}");
}

#[test]
fn a_repeated_watch_name_is_told_with_the_first_ones_line() {
    let text = long("name: qa", "name: qa");
    let (head, watch) = text.split_once("watches:\n").unwrap();
    let problems = problems_of(&format!("{head}watches:\n{watch}{watch}"));
    let problem = problems.iter().next().unwrap();
    assert_eq!((problems.count(), problem.line, problem.path.as_str()), (1, 17, "watches[1].name"));
    assert!(problem.message.contains("on line 7"), "{problem}");
}

#[test]
fn watches_that_would_overwrite_each_others_status_are_told() {
    let text = long("timeout: 60", "report_context: ci/qa");
    let (head, watch) = text.split_once("watches:\n").unwrap();
    let other = watch.replace("name: qa", "name: other");
    let both = format!("{head}watches:\n{watch}{other}");
    let problems = problems_of(&both);
    let problem = problems.iter().next().unwrap();
    assert_eq!((problem.line, problem.path.as_str()), (5, "defaults.report_context"));
    assert!(problem.message.contains("qa and other"), "{problem}");
    let env = Environment::new([("TOKEN".to_owned(), "x".to_owned())].into());
    for good in ["report_context: 'ci/{watch}'", "report: off, report_context: ci/qa"] {
        let text = both.replace("report_context: ci/qa", good);
        parse(&text, "sentry.yaml", &env).unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn a_host_that_fits_no_forge_or_several_is_told() {
    let none = problems_of(
        &long("  any: {type: git}\n", "").replace("lab.example.com/a", "other.example.com/a"),
    );
    assert!(none.to_string().contains("no forge matches this URL's host"), "{none}");
    let two = problems_of(&long(
        "  any: {type: git}",
        "  lab2: {type: gitlab, url: 'https://lab.example.com'}",
    ));
    assert!(two.to_string().contains("`forge:` to one of lab, lab2"), "{two}");
}

#[test]
fn a_token_that_would_go_to_two_servers_is_told() {
    let git = "  any: {type: git, token: '${TOKEN}'}";
    let text = |a: &str, b: &str| {
        let both = long("  any: {type: git}", git).replace("forge: hub", "forge: any");
        let both = both.replace("https://github.com/a/b", a);
        both.replace("url: https://lab.example.com/a/b", &format!("forge: any\n      url: {b}"))
    };
    for b in ["https://other.example/a/b", "https://git.example:8443/a/b", "http://127.0.0.1/a/b"] {
        let problems = problems_of(&text("https://git.example/a/b", b));
        let problem = problems.iter().next().unwrap();
        assert_eq!(problem.path, "watches[0].manifests.url", "{problem}");
        assert!(problem.message.contains("https://git.example"), "{problem}");
        assert!(problem.message.contains("token of forge `any`"), "{problem}");
    }
    let dir = tempfile::tempdir().unwrap();
    let ssh = ssh_block(dir.path());
    let env = Environment::new([("TOKEN".to_owned(), "canary-token-value".to_owned())].into());
    for b in ["https://git.example:443/c/d", "ssh://git@other.example/a/b", "file:///srv/b.git"] {
        let text =
            text("https://git.example/a/b", b).replace("type: git,", &format!("type: git, {ssh},"));
        let config = parse(&text, "sentry.yaml", &env).expect(b);
        let origin = config.forge("any").and_then(|forge| forge.origin.as_deref());
        assert_eq!(origin, Some("https://git.example"));
    }
}

/// A forge's `ssh`, with files that hold what they must.
fn ssh_block(dir: &Path) -> String {
    use base64::Engine as _;
    use std::os::unix::fs::PermissionsExt as _;
    let (key, hosts) = (dir.join("key"), dir.join("hosts"));
    let body = base64::engine::general_purpose::STANDARD.encode(b"openssh-key-v1\0\0\0\0\x04none");
    let begin = "OPENSSH PRIVATE KEY-----";
    std::fs::write(&key, format!("-----BEGIN {begin}\n{body}\n-----END {begin}\n")).expect("a key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("its rights");
    std::fs::write(&hosts, "other.example ssh-ed25519 AAAA\n").expect("hosts");
    format!("ssh: {{key_file: '{}', known_hosts: '{}'}}", key.display(), hosts.display())
}

#[test]
fn a_repository_by_another_scheme_than_its_forge_is_told() {
    let text = long("url: 'https://lab.example.com'", "url: 'http://127.0.0.1:8443'");
    let named = "forge: lab\n      url: https://127.0.0.1:8443/a";
    let problems = problems_of(&text.replace("url: https://lab.example.com/a", named));
    assert!(problems.to_string().contains("manifests.url"), "{problems}");
}

#[test]
fn ten_problems_of_a_file_are_told_at_once_in_its_order() {
    let text = "\
log_level: loud
defaults: {timeout: soon, retries: 3}
forges:
  hub: {type: githup}
  lab: {type: gitlab, url: 'http://lab.example.com'}
watches:
  - name: Q
    source: {forge: hub, url: 'https://u:p@github.com/a/b', branches: []}
    manifests: {url: 'https://lab.example.com/a/b', branch: 'a..b'}
    cluster: {namespace: '-', context: '${NONE}'}
";
    let problems = problems_of(text);
    let places: Vec<_> =
        problems.iter().map(|p| format!("{}:{} {}", p.line, p.column, p.path)).collect();
    assert_eq!(
        places,
        [
            "1:12 log_level",
            "2:21 defaults.timeout",
            "2:27 defaults.retries",
            "4:15 forges.hub.type",
            "5:28 forges.lab.url",
            "7:11 watches[0].name",
            "8:31 watches[0].source.url",
            "8:71 watches[0].source.branches",
            "9:61 watches[0].manifests.branch",
            "10:26 watches[0].cluster.namespace",
            "10:40 watches[0].cluster.context",
        ],
        "{problems}"
    );
}

#[test]
fn a_problem_is_shown_with_its_line_a_caret_and_the_remedy() {
    let problems = problems_of(&long("timeout: 60", "timeot: 60"));
    insta::assert_snapshot!(problems.to_string(), @r"
    sentry.yaml:5:12: defaults.timeot: unknown key
        5 | defaults: {timeot: 60}
          |            ^
      hint: did you mean `timeout`?
    ");
}

#[test]
fn an_empty_file_and_one_that_is_no_mapping_are_told() {
    for text in ["", "# nothing\n", "- a\n", "text", "3"] {
        let problems = problems_of(text);
        assert_eq!(problems.count(), 1, "{problems}");
    }
    assert!(problems_of("log_level: info\n").to_string().contains("watches: is missing"));
}

#[test]
fn no_message_repeats_a_secret() {
    let secret = "canary-5ecret-value";
    for text in [
        long("'${TOKEN}'", &format!("{secret}, tokn: {secret}, typ: x")),
        long("'${TOKEN}'", &format!("[{secret}]")),
        long("'${TOKEN}'", &format!("\"{secret}")),
        long(
            "  any: {type: git}",
            &format!("  any:\n    type: git\n    token: >\n      {secret}\n   broken"),
        ),
        long("  any: {type: git}", &format!("  any:\n    token \"{secret}\n    type: git")),
        long("'${TOKEN}'", &format!("'${{TOKEN}} {secret}'")),
        long("token: '${TOKEN}'", &format!("proxy: 'http://u:{secret}@'")),
        long("namespace: qa", &format!("password: {secret}")),
        format!("auth: {secret}\n"),
        format!("auth:\n  github_token: {secret}\n  github_tokn: {secret}\ntarget_repo: 1\n"),
        long("namespace: qa", "namespace: '${TOKEN}_X'"),
        long("https://github.com/a/b", "${TOKEN}"),
        long("forge: hub", "forge: '${TOKEN}'"),
        long("'${TOKEN}'", &format!("!!int {secret}")),
        long("'${TOKEN}'", &format!("*{secret}")),
    ] {
        let problems = problems_of(&text);
        for shown in [problems.to_string(), format!("{problems:?}")] {
            assert!(!shown.contains("5ecret") && !shown.contains("canary"), "{text}\n{shown}");
        }
    }
}

#[test]
fn hostile_files_are_refused_without_being_expanded() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let items = vec![format!("*a{}", i - 1); 10].join(", ");
        let _ = writeln!(bomb, "a{i}: &a{i} [{items}]");
    }
    let deep = format!("watches: {}", "[".repeat(10_000));
    let wide = format!("watches: [{}]", "{},".repeat(3_000));
    let scalar = format!("x: &x {}\ny: [{}]\n", "s".repeat(900_000), vec!["*x"; 5000].join(","));
    let keys: String = (0..5_000).map(|i| format!("k{i}: 1\n")).collect();
    let large = "x".repeat(65 << 20);
    for text in [&bomb, &deep, &wide, &scalar, &keys, &large, &"\0".to_owned(), &"%".to_owned()] {
        let problems = problems_of(text);
        assert!(problems.to_string().len() < 100_000);
    }
    for text in [&bomb, &scalar] {
        let told = problems_of(text).to_string();
        assert!(
            told.contains("exceeds a limit for configurations") && told.contains("split"),
            "{told}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sentry.yaml");
    for (bytes, expected) in
        [(large.into_bytes(), "larger than 64 MiB"), (vec![0xff, 0xfe], "not UTF-8")]
    {
        std::fs::write(&file, bytes).unwrap();
        let error = load(&file, &Environment::default()).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(expected), "{error}: {source}");
    }
}

#[test]
fn receivers_that_share_a_name_and_names_that_nobody_has_are_told() {
    let chat = "{name: chat, type: webhook, url: 'https://x.example/1'}";
    let doubled = format!("defaults: {{timeout: 60}}\nnotify: [{chat}, {chat}]");
    let problems = problems_of(&long("defaults: {timeout: 60}", &doubled));
    let one = problems.iter().next().unwrap();
    assert_eq!((problems.count(), one.path.as_str()), (1, "notify[1].name"));
    assert!(one.message.contains("another receiver has this name, on line 6"), "{one}");

    let global = format!("defaults: {{timeout: 60}}\nnotify: [{chat}]");
    let text = long("defaults: {timeout: 60}", &global);
    let text = text.replacen("  - name: qa\n", "  - name: qa\n    notify: [chta, chat, chat]\n", 1);
    let problems = problems_of(&text);
    let told: Vec<String> =
        problems.iter().map(|p| format!("{} {} {}", p.path, p.message, p.hint)).collect();
    assert_eq!(
        told,
        [
            "watches[0].notify[0] no receiver has this name did you mean `chat`?",
            "watches[0].notify[2] appears twice remove one of the two",
        ]
    );
}

#[test]
fn the_address_of_a_chat_is_in_no_message_about_it() {
    let chat = "{name: chat, type: slack, url: 'https://hooks.slack.com/services/T0/B0/canary0123456789', on: [x]}";
    let text = long("defaults: {timeout: 60}", &format!("notify: [{chat}]"));
    let problems = problems_of(&text);
    assert!(!problems.to_string().contains("canary"), "{problems}");
}
