//! 34: a token goes to its own scheme, host and port, whatever a server or a configuration says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use sentry_core::repo::RepoUrl;
use sentry_core::secret::Redactor;
use sentry_forge::http::HttpSettings;
use sentry_tests::ear::Ear;
use sentry_tests::http::{Fault, HttpServer, reply};
use sentry_tests::promise::{cases, kept};
use sentry_tests::proxy::HttpProxy;
use sentry_tests::sandbox::Sandbox;
use sentry_tests::tls::Tls;

use crate::forges::{Question, Site, TOKEN, WAYS, Way, ask, token};

/// Spellings of other places, where somebody listens: another port, name, scheme, or what only looks like the own one.
fn elsewhere(own: u16, port: u16) -> Vec<String> {
    [
        format!("http://127.0.0.1:{port}"),
        format!("//127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("https://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{own}@127.0.0.1:{port}"),
        format!("http:\\\\127.0.0.1:{port}"),
        format!("http://2130706433:{port}"),
        format!("HTTP://127.0.0.1:{port}/."),
        format!("http://127.0.0.1:{port}#http://127.0.0.1:{own}"),
        format!("http://127.0.0.1:{port}?http://127.0.0.1:{own}"),
    ]
    .into()
}

/// Whether bytes hold the token, plainly or as git sends it.
fn holds_token(bytes: &[u8]) -> bool {
    let basic = ["git", "x-access-token", "oauth2", "private-token"];
    let mut forms = vec![TOKEN.to_owned()];
    forms.extend(basic.map(|user| STANDARD.encode(format!("{user}:{TOKEN}"))));
    let text = String::from_utf8_lossy(bytes);
    forms.iter().any(|form| text.contains(form))
}

/// Where a redirect leads: the place with the path that was asked for, with a repository's number, and by way of the
/// own server.
fn redirects(way: Way, place: &str, status: u16) -> Vec<(&'static str, Fault)> {
    let number = if way.is_lab() { "/api/v4/projects/1000" } else { "/api/v3/repositories/1000" };
    let number = Fault::status(status).header("location", &format!("{place}{number}"));
    vec![
        ("the same path", Fault::Redirect { status, to: place.to_owned() }),
        ("a number", number),
        ("two steps", Fault::Redirect { status, to: "/step".to_owned() }),
    ]
}

#[tokio::test]
async fn no_redirect_takes_the_token_or_any_byte_elsewhere() {
    let (mut tried, statuses) = (0, [301, 302, 303, 307, 308]);
    for way in WAYS {
        let (site, ear) = (Site::start(way), Ear::start());
        let places = elsewhere(site.http().port(), ear.port());
        for (n, place) in places.iter().enumerate() {
            for status in statuses.iter().cycle().skip(n).take(cases(5, 1)) {
                for (turn, (form, fault)) in redirects(way, place, *status).into_iter().enumerate()
                {
                    let questions = way.questions().cycle().skip(n + turn);
                    for question in questions.take(cases(5, 1)) {
                        let faults = site.http().faults();
                        let onward = Fault::Redirect { status: *status, to: place.clone() };
                        faults.until_cleared(" /step", onward);
                        faults.until_cleared("", fault.clone());
                        let client = way.client(&site.http().origin(), token());
                        let answer = site.ask(&client, question).await;
                        faults.clear();
                        assert!(answer.is_err(), "{way:?} {question:?} {place} {form}: {answer:?}");
                        tried += 1;
                    }
                }
            }
            let heard = String::from_utf8_lossy(&ear.heard()).into_owned();
            assert_eq!(heard, "", "{way:?} {place}");
        }
        assert!(site.http().log().saw(TOKEN), "{way:?}: nothing was asked");
    }
    kept(34, "redirects", &format!("{tried} requests that were redirected: 0 bytes elsewhere"));
}

#[tokio::test]
async fn a_forge_that_says_its_repository_is_elsewhere_sends_nobody_there() {
    for way in [Way::HubApi, Way::HubGit, Way::LabApi, Way::LabGit] {
        let (mut site, ear) = (Site::start(way), Ear::start());
        site.rename(301);
        let url = format!("http://127.0.0.1:{}/new/app.git", ear.port());
        let body = serde_json::json!({ "id": 1000, "full_name": "new/app", "clone_url": url,
            "path_with_namespace": "new/app", "http_url_to_repo": url, "default_branch": "main" });
        let asked =
            if way.is_lab() { "/api/v4/projects/1000" } else { "/api/v3/repositories/1000" };
        site.http().faults().until_cleared(asked, Fault::status(200).body(&body.to_string()));
        for question in way.questions() {
            let client = way.client(&site.http().origin(), token());
            assert!(site.ask(&client, question).await.is_err(), "{way:?} {question:?}");
        }
        assert!(ear.heard().is_empty(), "{way:?}");
    }
}

#[tokio::test]
async fn gits_own_requests_carry_the_token_to_no_alternate() {
    let ear = Ear::start();
    let alternate = format!("http://127.0.0.1:{}/objects\n", ear.port());
    let sha = "9c5edb202dacd9799fd777dca310fd6cea918eed";
    let server = HttpServer::start("dumb", None, move |request| {
        let alternate = alternate.clone();
        Box::pin(async move {
            let text = [("content-type", "text/plain")];
            match request.uri().path() {
                path if path.ends_with("/info/refs") => {
                    reply(StatusCode::OK, &text, format!("{sha}\trefs/heads/main\n"))
                }
                path if path.ends_with("/HEAD") => {
                    reply(StatusCode::OK, &text, "ref: refs/heads/main\n")
                }
                path if path.ends_with("alternates") => reply(StatusCode::OK, &text, alternate),
                _ => reply(StatusCode::NOT_FOUND, &text, ""),
            }
        })
    });
    let url: RepoUrl = format!("{}/old/app", server.origin()).parse().unwrap();
    for way in WAYS {
        for question in [Question::Heads, Question::Tree, Question::Commit, Question::Changes] {
            let client = way.client(&server.origin(), token());
            let answer = ask(&client, question, &url, &[sha.to_owned(), "a".repeat(40)]).await;
            assert!(answer.is_err(), "{way:?} {question:?}: {answer:?}");
        }
    }
    assert!(server.log().saw(TOKEN), "nothing was asked");
    assert!(!holds_token(&ear.heard()), "{}", String::from_utf8_lossy(&ear.heard()));
}

#[tokio::test]
async fn a_repository_that_is_not_the_forges_is_not_asked_for() {
    let mut tried = 0;
    for way in WAYS {
        let (site, ear) = (Site::start(way), Ear::start());
        for place in elsewhere(site.http().port(), ear.port()) {
            let Ok(url) = format!("{place}/old/app").parse::<RepoUrl>() else { continue };
            for question in way.questions() {
                let client = way.client(&site.http().origin(), token());
                let answer = ask(&client, question, &url, &site.commits).await;
                assert!(answer.is_err(), "{way:?} {question:?} {place}: {answer:?}");
                tried += 1;
            }
            let client = way.client(&site.http().origin(), token());
            let lent = client.source.clone_credential(&url).await;
            assert!(!matches!(lent, Ok(Some(_))), "{way:?} {place}: lent");
        }
        assert_eq!(String::from_utf8_lossy(&ear.heard()), "", "{way:?}");
        assert_eq!(site.http().log().requests(), 0, "{way:?}");
    }
    kept(34, "foreign repositories", &format!("{tried} questions about them: 0 bytes sent"));
}

#[tokio::test]
async fn a_name_that_leads_to_another_machine_gets_no_token_there() {
    let mut refused = 0;
    for way in WAYS {
        let (tls, other_ca) = (Tls::with_names(&["forge.test"]), Tls::with_names(&["forge.test"]));
        let real = Site::start_tls(way, Some(&tls));
        let (impostor, ear) = (Site::start_tls(way, Some(&other_ca)), Ear::start());
        let proxy = HttpProxy::start(None);
        let mut network = HttpSettings::new(Redactor::new());
        network.proxy = Some(proxy.url().parse().unwrap());
        network.ca_file = Some(tls.ca_pem().to_owned());
        let url: RepoUrl = "https://forge.test/old/app".parse().unwrap();
        for question in [Question::Heads, Question::Tree] {
            for port in [impostor.http().port(), ear.port()] {
                let client = way.client_over(network.clone(), "https://forge.test", token());
                proxy.lead("forge.test:443", real.http().port());
                let answer = ask(&client, question, &url, &real.commits).await;
                answer.unwrap_or_else(|e| panic!("{way:?} {question:?}: {e:?}"));
                proxy.pause();
                proxy.resume();
                proxy.lead("forge.test:443", port);
                let answer = ask(&client, question, &url, &real.commits).await;
                assert!(answer.is_err(), "{way:?} {question:?}: {answer:?}");
                refused += 1;
            }
        }
        assert!(real.http().log().saw(TOKEN), "{way:?}");
        assert_eq!(impostor.http().log().requests(), 0, "{way:?}");
        assert!(!ear.heard().is_empty() && !holds_token(&ear.heard()), "{way:?}");
    }
    kept(
        34,
        "rebinding",
        &format!("{refused} times the name led to an impostor: 0 bytes of the token"),
    );
}

/// A configuration as a person edits it: A's repository is at `a`, B's at `b`.
fn config(kind: &str, forge_url: &str, a: &str, b: &str) -> String {
    format!(
        "forges:\n  own: {{type: {kind}, {forge_url}token: '${{TOKEN}}'}}\nwatches:\n  - name: qa\n    on_first_sight: deliver\n    \
         source: {{forge: own, url: '{a}', branches: main}}\n    manifests: {{forge: own, url: '{b}', branch: main}}\n    \
         cluster: {{namespace: qa, deployer: dry-run}}\n"
    )
}

#[test]
fn an_edited_url_in_the_configuration_takes_the_token_nowhere() {
    let (mut edits, mut sandbox) = (0, Sandbox::new());
    sandbox.env("TOKEN", TOKEN);
    for (kind, way) in [("github", Way::HubApi), ("gitlab", Way::LabApi), ("git", Way::Plain)] {
        let (site, ear) = (Site::start(way), Ear::start());
        let origin = site.http().origin();
        let (own, named) = (format!("{origin}/old/app"), format!("url: '{origin}', "));
        let forge_urls: &[&str] = if kind == "git" { &[&named, ""] } else { &[&named] };
        for forge_url in forge_urls {
            for place in elsewhere(site.http().port(), ear.port()) {
                let there = format!("{place}/old/app");
                for (a, b) in [(&there, &own), (&own, &there)] {
                    sandbox.write_config(&config(kind, forge_url, a, b));
                    let output = sandbox.sentry(["watch", "--once"]);
                    assert_eq!(output.code, Some(2), "{kind} {place}: {output:?}");
                    assert!(
                        output.stderr.contains("].source.url: ")
                            || output.stderr.contains("].manifests.url: "),
                        "{kind} {place}: {output:?}"
                    );
                    edits += 1;
                }
            }
        }
        assert_eq!(String::from_utf8_lossy(&ear.heard()), "", "{kind}");
        sandbox.write_config(&config(kind, &named, &own, &own));
        let output = sandbox.sentry(["watch", "--once"]);
        assert!(site.http().log().saw(TOKEN), "{kind}: the right file asks: {output:?}");
    }
    kept(34, "edited URLs", &format!("{edits} configurations with a URL elsewhere: 0 bytes sent"));
}
