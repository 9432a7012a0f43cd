//! 11: a bad answer is not a change, whatever is wrong with it.
//!
//! Whole answers to the real clients' questions are damaged at random. What a client then says of the heads is right
//! if it is an error or the truth; anything else must be what a reader of its own, [`judge`], finds in an answer that
//! is whole again: a digit of an id that became another digit is nothing that anybody could see.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sentry_apiserver::host::Host;
use sentry_core::forge::{ForgeErrorKind, HeadsAnswer, Validator};
use sentry_forge::credential::Credential;
use sentry_forge::http::Http;
use sentry_tests::promise::{cases, kept};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::clients::{KINDS, Kind, Whole, network, query, repo, whole};

mod damage;
mod judge;

use damage::{Dice, Sent};
use judge::{head, judge};

const MAIN: &str = "4f1c9e02ab37d85610fe2c4b9a7d3e5f60718293";
const DEV: &str = "b82d6f13c4e5a09718263f4d5c6b7a8990a1b2c3";
/// `gone` is asked for as well, and is not there.
const ASKED: [&str; 3] = ["main", "dev", "gone"];

/// Branches with their heads.
type Heads = BTreeMap<String, String>;

fn truth() -> Heads {
    [("main", MAIN), ("dev", DEV)].map(|(name, sha)| (name.to_owned(), sha.to_owned())).into()
}

/// Which answers of a case are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    All,
    Main,
    Repo,
}

/// What the server is about to do, and what it did: every answer as it was meant to be and as it was sent.
#[derive(Debug, Default)]
struct Plan {
    dice: Dice,
    target: Option<Target>,
    sent: Vec<(String, Sent)>,
}

#[derive(Debug, Clone, Default)]
struct Server(Arc<Mutex<Plan>>);

impl Server {
    fn start(&self) -> Host {
        let server = self.clone();
        Host::start("liar", move |stream| {
            let server = server.clone();
            // A client that goes away in the middle is not this server's trouble.
            Box::pin(async move { drop(server.converse(stream).await) })
        })
    }

    /// One request a connection: its end is part of the answer.
    async fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let origin = format!("http://{}", stream.local_addr()?);
        let (path, held) = read_request(&mut stream).await?;
        let heads = [("main", MAIN), ("dev", DEV)];
        let bytes = {
            let mut plan = self.0.lock().unwrap();
            let real = whole(&origin, &heads, &path, held.as_deref());
            let hit = match plan.target {
                None => false,
                Some(Target::All) => true,
                Some(Target::Main) => path.contains("main") || path.contains("upload-pack"),
                Some(Target::Repo) => path.ends_with("/r") || path.ends_with("%2Fr"),
            };
            let sent = if hit { plan.dice.damage(real) } else { Sent::whole(real) };
            let bytes = sent.bytes.clone();
            plan.sent.push((path, sent));
            bytes
        };
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    }
}

/// The path, and the validator that was sent.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<(String, Option<String>)> {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
                line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
            };
            let length = header("content-length:").and_then(|n| n.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                return Ok((path, header("if-none-match:")));
            }
        }
        if stream.read_buf(&mut seen).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What became of the cases.
#[derive(Debug, Default)]
struct Tally {
    errors: usize,
    unchanged: usize,
    whole: usize,
    effects: Vec<String>,
}

struct Court {
    server: Server,
    origin: String,
    http: Http,
    tally: Tally,
}

impl Court {
    /// One case: a client that knows the truth, or nothing, gets damaged answers.
    async fn try_one(&mut self, kind: Kind, target: Target, known: Option<Validator>) {
        // A new client each time: an older one would still obey what an earlier case asked it to wait for.
        let client = kind.client(&self.http, &self.origin, Credential::Anonymous);
        {
            let mut plan = self.server.0.lock().unwrap();
            plan.target = Some(target);
            plan.sent.clear();
        }
        let asked = query(&repo(&self.origin), &ASKED, known);
        let answer = client.heads.heads(&[asked]).await.remove(0);
        let sent = std::mem::take(&mut self.server.0.lock().unwrap().sent);
        let heads = match answer {
            Err(error) => {
                assert_ne!(error.kind(), ForgeErrorKind::Local, "{error:?}");
                self.tally.errors += 1;
                return;
            }
            Ok(HeadsAnswer::NotModified) => truth(),
            Ok(HeadsAnswer::Heads(heads)) => {
                assert_eq!(heads.renamed_to, None, "{sent:?}");
                heads.heads.iter().map(|(b, s)| (b.to_string(), s.to_string())).collect()
            }
        };
        // Each branch by itself: another one's answer may be damaged where nobody looks.
        let is_told = |branch: &&str| {
            let said = heads.get(*branch);
            said == truth().get(*branch)
                || head(kind, &truth(), &sent, branch) == Some(said.cloned())
        };
        if heads == truth() {
            self.tally.unchanged += 1;
        } else if ASKED.iter().all(is_told) && heads.keys().all(|b| ASKED.contains(&b.as_str())) {
            self.tally.whole += 1;
        } else {
            self.tally.effects.push(format!("{kind:?} {target:?}: {heads:?} from {sent:?}"));
        }
    }

    /// What a client keeps after a good answer.
    async fn validator(&self, kind: Kind) -> Option<Validator> {
        self.server.0.lock().unwrap().target = None;
        let client = kind.client(&self.http, &self.origin, Credential::Anonymous);
        let asked = query(&repo(&self.origin), &ASKED, None);
        let HeadsAnswer::Heads(heads) = client.heads.heads(&[asked]).await.remove(0).unwrap()
        else {
            panic!("a first answer is whole");
        };
        assert_eq!(heads.heads.len(), 2, "{heads:?}");
        heads.validator
    }
}

#[tokio::test]
async fn no_damaged_answer_moves_a_head_or_ends_a_branch() {
    let server = Server::default();
    let host = server.start();
    let origin = format!("http://127.0.0.1:{}", host.port());
    let mut court = Court { server, origin, http: network(), tally: Tally::default() };
    let mut known = Vec::new();
    for kind in KINDS {
        known.push((kind, court.validator(kind).await));
    }
    let all = cases(100_000, 1_500);
    for case in 0..all {
        let (kind, validator) = &known[case % known.len()];
        let target = match case / known.len() % 4 {
            0 | 1 => Target::All,
            2 => Target::Main,
            _ => Target::Repo,
        };
        let target = if kind.by_api() { target } else { Target::All };
        let validator = validator.clone().filter(|_| case / 16 % 2 == 0);
        court.try_one(*kind, target, validator).await;
    }
    let Tally { errors, unchanged, whole, effects } = &court.tally;
    let first: Vec<_> = effects.iter().take(5).collect();
    assert!(effects.is_empty(), "{} effects of {all}: {first:#?}", effects.len());
    assert!(*errors > all / 2, "the answers were hardly damaged: {errors} errors");
    assert!(*whole > 0, "the reader of its own was never needed");
    kept(
        11,
        "",
        &format!(
            "{all} damaged answers: 0 effects; {errors} were errors, {unchanged} changed nothing, \
             {whole} were whole answers of other heads"
        ),
    );
}

/// Nothing is damaged: what `whole` answers is what the clients take for whole.
#[test]
fn the_reader_finds_in_whole_answers_what_is_true() {
    for kind in [Kind::GitHub, Kind::GitLab, Kind::Git] {
        let paths: &[&str] = match kind {
            Kind::GitHub => &[
                "/api/v3/repos/o/r/commits/heads%2Fdev",
                "/api/v3/repos/o/r/commits/heads%2Fgone",
                "/api/v3/repos/o/r/commits/heads%2Fmain",
            ],
            Kind::GitLab => &[
                "/api/v4/projects/o%2Fr/repository/branches/dev",
                "/api/v4/projects/o%2Fr/repository/branches/gone",
                "/api/v4/projects/o%2Fr",
                "/api/v4/projects/o%2Fr/repository/branches/main",
            ],
            _ => &["/o/r.git/git-upload-pack"],
        };
        let heads = [("main", MAIN), ("dev", DEV)];
        let answer = |path: &&str| {
            let real: Whole = whole("http://127.0.0.1:1", &heads, path, None);
            ((*path).to_owned(), Sent::whole(real))
        };
        let sent: Vec<_> = paths.iter().map(answer).collect();
        assert_eq!(judge(kind, &Heads::new(), &sent), Some(truth()), "{kind:?}");
    }
}
