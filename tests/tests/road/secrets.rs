//! Tokens as people hand them over: what reaches the forge is the token or nothing, and what was wrong with it is named without
//! being repeated.

use std::fmt::Write as _;
use std::fs;

use sentry_config::{Environment, ForgeAuth};
use sentry_core::forge::{Heads as _, HeadsQuery};
use sentry_core::secret::Redactor;
use sentry_core::watch::BranchSelector;
use sentry_forge::credential::Credential;
use sentry_forge::git::{Transport, TransportSettings};
use sentry_forge::gitlab::{GitLabSettings, GitLabToken};
use sentry_forge::http::{Http, HttpSettings};
use sentry_forge::{Hosted, Polling};
use sentry_tests::forges::{ForgeOptions, gitlab::GitLab};
use sentry_tests::repo::BareRepo;
use tempfile::TempDir;

const TOKEN: &str = "glpat-c4nary/T0ken.9f2c_7a==";

/// Where a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// sentry.yaml itself.
    File,
    /// A variable of the environment.
    Environment,
    /// `.env` beside the configuration.
    DotEnv,
    /// A file of its own, there at the start.
    TokenFile,
    /// A file of its own that another one took the place of.
    Rotated,
}

const SOURCES: [Source; 5] =
    [Source::File, Source::Environment, Source::DotEnv, Source::TokenFile, Source::Rotated];

/// A slip, as the text that it makes of a token.
#[derive(Debug)]
struct Slip {
    text: Vec<u8>,
    /// What the refusal must name; empty if the token must arrive.
    named: String,
}

/// What is not seen.
const UNSEEN: &[char] = &[
    ' ',
    '\t',
    '\n',
    '\r',
    '\u{85}',
    '\u{a0}',
    '\u{ad}',
    '\u{34f}',
    '\u{61c}',
    '\u{180e}',
    '\u{2003}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{200e}',
    '\u{2028}',
    '\u{202e}',
    '\u{202f}',
    '\u{2060}',
    '\u{2066}',
    '\u{3000}',
    '\u{3164}',
    '\u{feff}',
    '\u{e0020}',
];
const MARKS: &[(&str, &str)] = &[
    ("\"", "\""),
    ("'", "'"),
    ("`", "`"),
    ("\u{201c}", "\u{201d}"),
    ("\u{2018}", "\u{2019}"),
    ("\u{ab}", "\u{bb}"),
];
/// What no text has, and no token.
const CONTROLS: &[char] = &['\u{0}', '\u{7}', '\u{1b}', '\u{7f}', '\u{9b}'];

fn slips() -> Vec<Slip> {
    let mut slips = Vec::new();
    let mut add = |text: String, named: String| slips.push(Slip { text: text.into_bytes(), named });
    let (front, back) = TOKEN.split_at(9);
    for &c in UNSEEN {
        for text in [
            format!("{c}{TOKEN}"),
            format!("{TOKEN}{c}"),
            format!("{c}{c}{TOKEN}{c}\n"),
            format!("\u{feff}{TOKEN}\r\n{c}"),
        ] {
            add(text, String::new());
        }
        add(format!("{front}{c}{back}"), format!("U+{:04X}", u32::from(c)));
        add(c.to_string().repeat(3), "empty".to_owned());
    }
    for &c in CONTROLS {
        for text in [format!("{c}{TOKEN}"), format!("{TOKEN}{c}"), format!("{front}{c}{back}")] {
            add(text, format!("U+{:04X}", u32::from(c)));
        }
    }
    for (open, close) in MARKS {
        let named = format!("U+{:04X}", open.chars().next().map_or(0, u32::from));
        add(format!("{open}{TOKEN}{close}"), named.clone());
        add(format!(" {open}{TOKEN}{close}\n"), named.clone());
        add(format!("{open}{TOKEN}"), named);
        add(
            format!("{TOKEN}{close}"),
            format!("U+{:04X}", close.chars().next().map_or(0, u32::from)),
        );
    }
    for before in ["Bearer ", "bearer ", "Basic ", "token "] {
        add(format!("{before}{TOKEN}"), "begins with the word".to_owned());
    }
    for before in ["GITLAB_TOKEN=", "export GITLAB_TOKEN=", "token="] {
        add(format!("{before}{TOKEN}\n"), "NAME=value".to_owned());
    }
    for text in [
        "<your token>",
        "changeme",
        "CHANGE_ME",
        "${GITLAB_TOKEN}x}",
        "xxxxxxxxxxxx",
        "your-token-here",
        "{{ token }}",
    ] {
        add(text.to_owned(), "is a placeholder".to_owned());
    }
    add(format!("{TOKEN}\n{TOKEN}"), "U+000A".to_owned());
    slips
}

/// What only a file can hold.
fn bytes() -> Vec<Slip> {
    let utf16 = |bom: [u8; 2], order: fn(u16) -> [u8; 2]| {
        bom.into_iter().chain(TOKEN.encode_utf16().flat_map(order)).collect::<Vec<u8>>()
    };
    let slip = |text: Vec<u8>, named: &str| Slip { text, named: named.to_owned() };
    vec![
        slip(utf16([0xff, 0xfe], u16::to_le_bytes), "UTF-16"),
        slip(utf16([0xfe, 0xff], u16::to_be_bytes), "UTF-16"),
        slip([TOKEN.as_bytes(), b"\xa0"].concat(), "byte 0xa0"),
        slip([b"\xe9", TOKEN.as_bytes()].concat(), "byte 0xe9"),
        slip(Vec::new(), "empty"),
        slip(TOKEN.as_bytes().repeat(4096), "64 KiB"),
        slip([b"\xef\xbb\xbf", TOKEN.as_bytes(), b"\r\n"].concat(), ""),
    ]
}

/// A text in YAML's double quotes.
fn quoted(text: &str) -> String {
    let mut yaml = String::from("\"");
    for c in text.chars() {
        write!(yaml, "\\U{:08x}", u32::from(c)).unwrap();
    }
    yaml + "\""
}

/// What the forge was shown, or why it was not asked.
async fn shown(
    lab: &GitLab,
    http: &Http,
    source: Source,
    slip: &Slip,
) -> Result<Vec<String>, String> {
    let dir = TempDir::new().unwrap();
    let text = String::from_utf8_lossy(&slip.text).into_owned();
    let (file, mut vars) = (dir.path().join("token"), Vec::new());
    let key = match source {
        Source::File => format!("token: {}", quoted(&text.replace("${", "$${"))),
        Source::Environment => {
            vars.push(("TOKEN".to_owned(), text));
            "token: '${TOKEN}'".to_owned()
        }
        Source::DotEnv => {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            fs::write(dir.path().join(".env"), format!("TOKEN=\"{escaped}\"\n")).unwrap();
            "token: '${TOKEN}'".to_owned()
        }
        Source::TokenFile => {
            fs::write(&file, &slip.text).unwrap();
            format!("token_file: '{}'", file.display())
        }
        Source::Rotated => {
            fs::write(&file, "the-one-before\n").unwrap();
            format!("token_file: '{}'", file.display())
        }
    };
    let (origin, url) = (lab.http().origin(), lab.clone_url("qa/app"));
    let yaml = format!(
        "forges: {{lab: {{type: gitlab, url: '{origin}', {key}}}}}\nwatches:\n  - name: qa\n    source: {{url: '{url}', branches: main}}\n    \
         manifests: {{url: '{url}', branch: main}}\n    cluster: {{context: default, namespace: qa, deployer: dry-run}}\n",
    );
    let path = dir.path().join("sentry.yaml");
    fs::write(&path, yaml).unwrap();
    let environment = Environment::new(vars.into_iter().collect());
    let config = sentry_config::load(&path, &environment).map_err(|error| error.to_string())?;
    if source == Source::Rotated {
        fs::write(&file, &slip.text).unwrap();
    }
    let credential = match &config.forges[0].auth {
        ForgeAuth::Token(source) => Credential::Token(source.clone()),
        other => panic!("{other:?}"),
    };
    ask(lab, http, credential).await
}

async fn ask(lab: &GitLab, http: &Http, credential: Credential) -> Result<Vec<String>, String> {
    let forge = Hosted::gitlab(GitLabSettings {
        name: "lab".to_owned(),
        url: Some(lab.http().origin().parse().unwrap()),
        credential,
        token_kind: GitLabToken::Private,
        report: None,
        polling: Polling::Api,
        http: http.clone(),
        git: Transport::new(TransportSettings::new(http.settings().clone())),
    })
    .unwrap();
    let repo = lab.clone_url("qa/app").parse().unwrap();
    let query = HeadsQuery {
        repo,
        subjects: BranchSelector::new(["main"]).unwrap().into(),
        validator: None,
    };
    lab.http().log().clear();
    let answer = forge.heads(&[query]).await.remove(0);
    answer.map_err(|error| error.told())?;
    let asked = lab.http().log().all();
    Ok(asked.iter().map(|one| one.header("authorization").unwrap_or_default().to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_reaches_the_forge_as_it_is_or_not_at_all_with_the_slip_named() {
    let repos = TempDir::new().unwrap();
    BareRepo::create(repos.path(), "qa/app.git").commit("main", &[], "first");
    let lab = GitLab::start(repos.path(), ForgeOptions::default());
    lab.tokens().grant(TOKEN);
    let http = Http::new(&HttpSettings::new(Redactor::new())).unwrap();
    let (mut cases, mut arrived) = (0, 0);
    for source in SOURCES {
        let files = matches!(source, Source::TokenFile | Source::Rotated);
        for slip in slips().into_iter().chain(bytes().into_iter().filter(|_| files)) {
            // Shells' files have no such character.
            if source == Source::DotEnv && slip.text.contains(&0) {
                continue;
            }
            lab.http().log().clear();
            match shown(&lab, &http, source, &slip).await {
                Ok(headers) => {
                    assert!(slip.named.is_empty(), "{source:?} {slip:?} arrived: {headers:?}");
                    let whole = format!("Bearer {TOKEN}");
                    assert!(
                        !headers.is_empty() && headers.iter().all(|h| *h == whole),
                        "{source:?} {slip:?}: {headers:?}"
                    );
                    arrived += 1;
                }
                Err(told) => {
                    assert!(
                        !slip.named.is_empty() && told.contains(&slip.named),
                        "{source:?} {slip:?}: {told}"
                    );
                    assert!(
                        !told.contains("c4nary") && !told.contains("T0ken"),
                        "{source:?}: {told}"
                    );
                    assert_eq!(
                        lab.http().log().requests(),
                        0,
                        "{source:?} {slip:?}: something was asked"
                    );
                }
            }
            cases += 1;
        }
    }
    println!(
        "{cases} tokens with a slip from {} sources: {arrived} arrived as they were meant, the others were named",
        SOURCES.len()
    );
}
