//! What the page knows of the configuration, and the links made from it.

use sentry_api::shape::Object;
use url::Url;

/// A watch, as far as the page needs to know how it is configured.
#[derive(Debug, Clone)]
pub struct WatchPlace {
    /// Its name.
    pub name: String,
    /// Repository A.
    pub source: Repository,
    /// A's branches as they are configured: names and globs.
    pub branches: Vec<String>,
    /// Repository B.
    pub manifests: Repository,
    /// The directory of B.
    pub dir: String,
    /// Where it goes: context and namespace.
    pub target: String,
    /// A template of the address at which a run is looked at, with `{namespace}`, `{kind}` and `{run}`.
    pub dashboard: Option<String>,
}

impl WatchPlace {
    /// The page of a run. What is filled in is percent-encoded: it stays within its place.
    pub(crate) fn run(&self, object: &Object) -> Option<String> {
        let template = Some(self.dashboard.as_ref()?).filter(|text| is_web(text))?;
        let kind = format!("{}s", object.kind.to_lowercase());
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let values = [("{namespace}", namespace), ("{kind}", &kind), ("{run}", &object.name)];
        let mut address = template.clone();
        for (place, value) in values {
            // A value holds no brace once it is encoded: it is not taken for a place itself.
            address = address.replace(place, &encoded(value));
        }
        Some(address)
    }
}

/// What may stand anywhere in an address stays as it is (<https://www.rfc-editor.org/rfc/rfc3986#section-2.3>).
fn encoded(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}

fn is_web(address: &str) -> bool {
    address.starts_with("https://") || address.starts_with("http://")
}

/// A repository, as the page names it and leads to it.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its path on its host: `owner/name`.
    pub path: String,
    /// Where people look at it; `None` where there is no such place.
    pub web: Option<Web>,
}

/// The pages of a forge.
#[derive(Debug, Clone)]
pub struct Web {
    /// Where its commit pages are: what is between a repository's path and the commit.
    pub commits: &'static [&'static str],
    /// The same of the pages that compare two commits, which follow as `A...B`.
    pub compare: &'static [&'static str],
    /// Its address.
    pub base: Url,
}

impl Repository {
    /// The page of the repository; only `http` and `https`.
    pub(crate) fn address(&self) -> Option<String> {
        self.page(&[])
    }

    /// The page of a commit.
    pub(crate) fn commit(&self, sha: &str) -> Option<String> {
        self.page(&[self.web.as_ref()?.commits, &[sha]].concat())
    }

    /// The page that compares two commits.
    pub(crate) fn compare(&self, from: &str, to: &str) -> Option<String> {
        self.page(&[self.web.as_ref()?.compare, &[&format!("{from}...{to}")]].concat())
    }

    fn page(&self, more: &[&str]) -> Option<String> {
        let mut url = self.web.as_ref()?.base.clone();
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        // Credentials, a query or a fragment of the configured address are nobody's business.
        url.set_username("").and_then(|()| url.set_password(None)).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        url.path_segments_mut().ok()?.pop_if_empty().extend(self.path.split('/')).extend(more);
        Some(url.into())
    }
}

#[cfg(test)]
mod tests {
    use sentry_api::words::Word;

    use super::super::view::sample;
    use super::*;

    fn repository(commits: &'static [&'static str], base: &str, path: &str) -> Repository {
        let compare = if commits.len() == 1 { &["compare"][..] } else { &["-", "compare"][..] };
        let web = Some(Web { commits, compare, base: base.parse().unwrap() });
        Repository { path: path.to_owned(), web }
    }

    #[test]
    fn links_lead_to_the_configured_forge_and_nowhere_else() {
        let hub = repository(&["commit"], "https://github.com", "example/repo-a");
        let there = hub.commit("1a2b").unwrap();
        assert_eq!(there, "https://github.com/example/repo-a/commit/1a2b");
        assert_eq!(hub.address().unwrap(), "https://github.com/example/repo-a");
        let there = hub.compare("1a2b", "3c4d").unwrap();
        assert_eq!(there, "https://github.com/example/repo-a/compare/1a2b...3c4d");
        let lab = repository(&["-", "commit"], "https://u:p@lab.example.com/git/?x#y", "qa/sub/b");
        let there = lab.commit("1a2b").unwrap();
        assert_eq!(there, "https://lab.example.com/git/qa/sub/b/-/commit/1a2b");
        let there = lab.compare("../x?y", "#z").unwrap();
        assert_eq!(there, "https://lab.example.com/git/qa/sub/b/-/compare/..%2Fx%3Fy...%23z");
    }

    #[test]
    fn a_run_is_looked_at_where_the_template_says_and_its_names_stay_in_their_place() {
        let run = |dashboard: &str, name: &str| {
            let place = WatchPlace { dashboard: Some(dashboard.to_owned()), ..sample::place() };
            place.run(&Object {
                path: String::new(),
                line: 1,
                kind: "PipelineRun".to_owned(),
                namespace: Some("qa".to_owned()),
                name: name.to_owned(),
                run: true,
                action: Word::Unknown,
                reason: None,
            })
        };
        let tekton = "https://t.example/#/namespaces/{namespace}/{kind}/{run}";
        let there = "https://t.example/#/namespaces/qa/pipelineruns/ci-1a2b";
        assert_eq!(run(tekton, "ci-1a2b").as_deref(), Some(there));
        for (name, end) in [
            ("../../x", "..%2F..%2Fx"),
            ("a b&c=d?e#f", "a%20b%26c%3Dd%3Fe%23f"),
            ("\"><script>", "%22%3E%3Cscript%3E"),
            ("{kind}", "%7Bkind%7D"),
            ("测", "%E6%B5%8B"),
        ] {
            assert_eq!(
                run("https://t.example/x?r={run}", name).unwrap(),
                format!("https://t.example/x?r={end}")
            );
        }
        for bad in ["javascript:alert({run})", "data:text/html,{run}", "{run}", "//evil/{run}"] {
            assert_eq!(run(bad, "x"), None, "{bad}");
        }
    }

    #[test]
    fn no_path_of_a_repository_leaves_its_place_in_the_address() {
        for (path, shown) in [
            ("a/\"><script>", "https://h.example/a/%22%3E%3Cscript%3E"),
            ("a/b?x=1#y", "https://h.example/a/b%3Fx=1%23y"),
            ("..//evil", "https://h.example/evil"),
        ] {
            let there = repository(&["commit"], "https://h.example", path).address().unwrap();
            assert_eq!(there, shown);
        }
        for base in ["javascript:alert(1)", "data:text/html,x", "ssh://git@host/", "file:///x"] {
            assert_eq!(repository(&["commit"], base, "a/b").address(), None, "{base}");
        }
    }
}
