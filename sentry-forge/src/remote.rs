//! Tasks and pipelines from elsewhere: the hub's entries and plain addresses, without any credential.

use async_trait::async_trait;
use http::{StatusCode, header};
use sentry_core::forge::{ForgeError, ForgeErrorKind};
use sentry_core::remote::{MAX_BYTES, Reach, RemoteQuery, Remotes, origin};
use url::Url;

use crate::http::{Answer, Http, HttpSettings};
use crate::status::{StatusError, check_status};

/// The largest answer of the hub that is read: a document, and what else it says of it.
const HUB_CAP: usize = 4 << 20;
/// Redirects within one origin that are followed.
const MAX_REDIRECTS: usize = 5;

/// Gets documents by way of a forge's network: its proxy, and the authorities that it trusts.
#[derive(Debug)]
pub struct RemoteFiles {
    /// For places that somebody named in the configuration.
    named: Http,
    /// For public places: it connects to no address of a private network.
    public: Http,
}

impl RemoteFiles {
    /// Uses this network.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn new(settings: &HttpSettings) -> Result<Self, ForgeError> {
        Ok(Self { named: Http::new(settings)?, public: Http::public(settings)? })
    }

    async fn answer(&self, http: &Http, query: &RemoteQuery) -> Result<Answer, ForgeError> {
        let cap = if query.is_hub { HUB_CAP } else { MAX_BYTES };
        let mut url = query.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let accept = if query.is_hub { "application/json" } else { "text/plain, */*;q=0.5" };
            let request = http.client().get(url.clone()).header(header::ACCEPT, accept);
            let request = request.build().map_err(|e| {
                let text = format!("{} can't be asked for", shown(&url));
                ForgeError::new(ForgeErrorKind::Unsupported, text).with_source(e.without_url())
            })?;
            let answer = http.send(request, cap).await?;
            if !answer.status.is_redirection() || answer.status == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            url = redirected(&url, &answer)?;
        }
        let text = format!("{} redirects more than {MAX_REDIRECTS} times", shown(&query.url));
        Err(ForgeError::new(ForgeErrorKind::Unsupported, text))
    }
}

#[async_trait]
impl Remotes for RemoteFiles {
    async fn document(&self, query: &RemoteQuery) -> Result<Vec<u8>, ForgeError> {
        let http = match query.reach {
            Reach::Named => &self.named,
            Reach::Public => &self.public,
        };
        let answer = self.answer(http, query).await?;
        let what = shown(&query.url);
        if let StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN = answer.status {
            let limited = check_status(&answer, &what);
            if limited.as_ref().is_err_and(|e| e.kind() == ForgeErrorKind::RateLimited) {
                limited?;
            }
            let text = format!("{what} asks for a token, and none is sent there");
            return Err(ForgeError::new(ForgeErrorKind::Unsupported, text)
                .with_source(StatusError(answer.status))
                .with_hint(
                    "put the document into the directory, or into a repository on B's own forge",
                ));
        }
        check_status(&answer, &what)?;
        if answer.status != StatusCode::OK {
            let text = format!("{what}: the answer is {}", answer.status);
            return Err(ForgeError::new(ForgeErrorKind::WrongAnswer, text));
        }
        if query.is_hub { entry(&answer, &what) } else { Ok(answer.body.to_vec()) }
    }
}

/// The document in the hub's answer: <https://artifacthub.io/docs/api/>, a package's `data.manifestRaw`.
fn entry(answer: &Answer, what: &str) -> Result<Vec<u8>, ForgeError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Data {
        manifest_raw: String,
    }
    #[derive(serde::Deserialize)]
    struct Package {
        data: Data,
    }
    let package: Package = crate::hosted::api::json(answer)
        .map_err(|why| ForgeError::new(ForgeErrorKind::WrongAnswer, format!("{what}: {why}")))?;
    let bytes = package.data.manifest_raw.into_bytes();
    if bytes.len() > MAX_BYTES {
        let text = format!("{what}: the document has more than {MAX_BYTES} bytes");
        return Err(ForgeError::new(ForgeErrorKind::TooLarge, text));
    }
    Ok(bytes)
}

/// Where an answer leads, within the same origin.
fn redirected(from: &Url, answer: &Answer) -> Result<Url, ForgeError> {
    let what = shown(from);
    let elsewhere = |where_to: &str| {
        let text = format!("{what} redirects to {where_to}, which is not followed");
        ForgeError::new(ForgeErrorKind::Unsupported, text)
            .with_hint("write the address that it redirects to, if its host may be asked")
    };
    let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let to = location.and_then(|location| from.join(location).ok());
    let Some(to) = to else { return Err(elsewhere("nowhere")) };
    let is_clean = to.username().is_empty() && to.password().is_none();
    if origin(&to) != origin(from) || !is_clean {
        return Err(elsewhere(to.host_str().unwrap_or("another scheme")));
    }
    Ok(to)
}

/// An address without what may be a secret in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use sentry_core::secret::Redactor;
    use wiremock::matchers::{any, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    fn files() -> RemoteFiles {
        RemoteFiles::new(&HttpSettings::new(Redactor::new())).unwrap()
    }

    fn query(url: &str) -> RemoteQuery {
        RemoteQuery { url: url.parse().unwrap(), is_hub: false, reach: Reach::Named }
    }

    async fn told(query: &RemoteQuery) -> (ForgeErrorKind, String) {
        let error = files().document(query).await.unwrap_err();
        (error.kind(), sentry_core::error::text(&error))
    }

    #[tokio::test]
    async fn a_status_that_is_definite_is_told_from_one_that_may_pass() {
        for (status, kind) in [
            (404, ForgeErrorKind::NotFound),
            (410, ForgeErrorKind::NotFound),
            (401, ForgeErrorKind::Unsupported),
            (403, ForgeErrorKind::Unsupported),
            (429, ForgeErrorKind::RateLimited),
            (500, ForgeErrorKind::Unreachable),
            (503, ForgeErrorKind::Unreachable),
            (206, ForgeErrorKind::WrongAnswer),
        ] {
            let server = MockServer::start().await;
            Mock::given(any()).respond_with(ResponseTemplate::new(status)).mount(&server).await;
            assert_eq!(told(&query(&server.uri())).await.0, kind, "{status}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_followed_within_its_origin_alone_and_not_for_ever() {
        let (server, other) = (MockServer::start().await, MockServer::start().await);
        let to = |location: &str| ResponseTemplate::new(302).insert_header("location", location);
        let found = ResponseTemplate::new(200).set_body_string("kind: Task");
        for (at, reply) in [
            ("/near", to("/found")),
            ("/found", found.clone()),
            ("/far", to(&format!("{}/found", other.uri()))),
            ("/loop", to("/loop")),
            ("/nowhere", ResponseTemplate::new(302)),
            ("/secret", to("//user:pass@127.0.0.1/found")),
        ] {
            Mock::given(path(at)).respond_with(reply).mount(&server).await;
        }
        Mock::given(any()).respond_with(found).expect(0).mount(&other).await;
        let at = |path: &str| query(&format!("{}{path}", server.uri()));
        assert_eq!(files().document(&at("/near")).await.unwrap(), b"kind: Task");
        for bad in ["/far", "/loop", "/nowhere", "/secret"] {
            assert_eq!(told(&at(bad)).await.0, ForgeErrorKind::Unsupported, "{bad}");
        }
    }

    #[tokio::test]
    async fn a_public_place_leads_to_no_private_address() {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(200)).expect(0).mount(&server).await;
        // A name that resolves to this machine.
        let url = server.uri().replace("127.0.0.1", "localhost");
        let public = RemoteQuery { reach: Reach::Public, ..query(&url) };
        let (kind, text) = told(&public).await;
        assert!(text.contains("private") && kind == ForgeErrorKind::Unreachable, "{text}");
    }

    #[tokio::test]
    async fn an_entry_of_the_hub_is_what_stands_in_its_answer() {
        for (body, found) in [
            (serde_json::json!({"name": "x", "data": {"manifestRaw": "kind: Task"}}), true),
            (serde_json::json!({"data": {}}), false),
            (serde_json::json!([]), false),
        ] {
            let server = MockServer::start().await;
            let reply = ResponseTemplate::new(200).set_body_json(body.clone());
            Mock::given(any()).respond_with(reply).mount(&server).await;
            let query = RemoteQuery { is_hub: true, ..query(&server.uri()) };
            assert_eq!(files().document(&query).await.is_ok(), found, "{body}");
        }
    }
}
