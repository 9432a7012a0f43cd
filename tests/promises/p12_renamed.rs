//! 12: a renamed repository goes on under its old name; a redirect to another server gets nothing.

use sentry_tests::ear::Ear;
use sentry_tests::http::Fault;
use sentry_tests::promise::{cases, kept};

use crate::forges::{Question, Site, TOKEN, WAYS, Way, token};

const REDIRECTS: [u16; 3] = [301, 307, 308];

/// What each way may be asked first after a rename. GitLab moves no request that writes, and none comes before the
/// heads were asked for.
fn first_questions(way: Way) -> impl Iterator<Item = Question> {
    way.questions().filter(move |q| *q != Question::Status || way == Way::HubApi)
}

#[tokio::test]
async fn a_renamed_repository_goes_on_whatever_is_asked_first_and_however_it_is_redirected() {
    let mut seen = 0;
    for way in WAYS {
        for (place, question) in first_questions(way).enumerate().step_by(cases(1, 2)) {
            for status in REDIRECTS.into_iter().cycle().skip(place).take(cases(3, 1)) {
                let mut site = Site::start(way);
                let origin = site.http().origin();
                let before = site.ask(&way.client(&origin, token()), question).await;
                let before = before.unwrap_or_else(|e| panic!("{way:?} {question:?}: {e:?}"));
                site.rename(status);
                let client = way.client(&origin, token());
                let after = site.ask(&client, question).await;
                let after =
                    after.unwrap_or_else(|e| panic!("{way:?} {question:?} {status}: {e:?}"));
                assert_eq!(after, before, "{way:?} {question:?} {status}");
                let pushed = site.push();
                let heads = site.ask(&client, Question::Heads).await.unwrap();
                assert!(heads.contains(&pushed), "{way:?} {question:?} {status}: {heads}");
                if !way.is_plain() {
                    let shown = site.ask(&client, Question::Status).await;
                    shown.unwrap_or_else(|e| panic!("{way:?} {question:?} {status}: {e:?}"));
                }
                seen += 1;
            }
        }
    }
    kept(12, "goes on", &format!("{seen} of {seen} renamed repositories went on (301, 307, 308)"));
}

#[tokio::test]
async fn a_rename_that_leads_to_another_server_gets_no_byte() {
    let mut refused = 0;
    for way in WAYS {
        let (site, ear) = (Site::start(way), Ear::start());
        for question in way.questions() {
            for status in REDIRECTS.into_iter().take(cases(3, 1)) {
                let to = format!("http://127.0.0.1:{}", ear.port());
                site.http().log().clear();
                site.http().faults().until_cleared("", Fault::Redirect { status, to });
                let client = way.client(&site.http().origin(), token());
                assert!(site.ask(&client, question).await.is_err(), "{way:?} {question:?}");
                assert!(site.http().log().saw(TOKEN), "{way:?} {question:?}: nothing was asked");
                site.http().faults().clear();
                refused += 1;
            }
            let heard = String::from_utf8_lossy(&ear.heard()).into_owned();
            assert_eq!(heard, "", "{way:?} {question:?}");
        }
    }
    kept(12, "another server", &format!("{refused} redirects to another server: 0 bytes there"));
}
