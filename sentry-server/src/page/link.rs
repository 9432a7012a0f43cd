//! What the page knows of the configuration, and the links made from it.

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
    use super::*;

    fn repository(commits: &'static [&'static str], base: &str, path: &str) -> Repository {
        let web = Some(Web { commits, base: base.parse().unwrap() });
        Repository { path: path.to_owned(), web }
    }

    #[test]
    fn links_lead_to_the_configured_forge_and_nowhere_else() {
        let hub = repository(&["commit"], "https://github.com", "example/repo-a");
        let there = hub.commit("1a2b").unwrap();
        assert_eq!(there, "https://github.com/example/repo-a/commit/1a2b");
        assert_eq!(hub.address().unwrap(), "https://github.com/example/repo-a");
        let lab = repository(&["-", "commit"], "https://u:p@lab.example.com/git/?x#y", "qa/sub/b");
        let there = lab.commit("1a2b").unwrap();
        assert_eq!(there, "https://lab.example.com/git/qa/sub/b/-/commit/1a2b");
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
