//! Which branches somebody wants to see. It stands in the address, so that it can be shared.

use sentry_api::shape::BranchStatus;
use sentry_core::clock::Timestamp;
use url::form_urlencoded;

use super::{Tone, branch};

/// What is asked for; an empty text asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) q: String,
    /// Names of tones, with commas between.
    pub(crate) state: String,
    pub(crate) watch: String,
    pub(crate) branch: String,
    pub(crate) author: String,
    pub(crate) commit: String,
    /// Where the page before this one ended.
    after: String,
}

/// What the address calls the tones.
pub(super) const STATES: [(Tone, &str); 5] = [
    (Tone::Bad, "failed"),
    (Tone::Busy, "moving"),
    (Tone::Wait, "waiting"),
    (Tone::Good, "succeeded"),
    (Tone::Quiet, "quiet"),
];

/// The place of a branch in a list: newest first, then by name.
pub(super) type Place<'a> = (std::cmp::Reverse<i128>, &'a str, &'a str);

pub(super) fn place<'a>(watch: &'a str, branch: &'a str, since: Timestamp) -> Place<'a> {
    (std::cmp::Reverse(since.as_nanosecond()), watch, branch)
}

/// Fills fields from the query of an address: what is not known is passed over, of what comes twice the last counts.
pub(super) fn read<const N: usize>(mut fields: [(&str, &mut String); N], query: &str) {
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if let Some((_, field)) = fields.iter_mut().find(|(known, _)| *known == name) {
            value.trim().clone_into(field);
        }
    }
}

/// The query of an address that has these fields; empty ones are left out.
pub(super) fn written<const N: usize>(fields: [(&str, &mut String); N]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    query.finish()
}

impl Filter {
    /// Of the query of an address.
    pub(crate) fn of(query: &str) -> Self {
        let mut filter = Self::default();
        read(filter.fields(), query);
        filter
    }

    fn fields(&mut self) -> [(&'static str, &mut String); 7] {
        [
            ("q", &mut self.q),
            ("state", &mut self.state),
            ("watch", &mut self.watch),
            ("branch", &mut self.branch),
            ("author", &mut self.author),
            ("commit", &mut self.commit),
            ("after", &mut self.after),
        ]
    }

    /// Whether everything is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        Self { after: String::new(), ..self.clone() } == Self::default()
    }

    /// Whether more is asked for than one word and a state.
    pub(crate) fn is_detailed(&self) -> bool {
        [&self.watch, &self.branch, &self.author, &self.commit].iter().any(|text| !text.is_empty())
    }

    /// The address that asks for this, from `after` on.
    pub(super) fn address(&self, after: Option<Place<'_>>) -> String {
        let after = after.map(|(since, watch, branch)| format!("{}.{watch}/{branch}", since.0));
        let mut asked = Self { after: after.unwrap_or_default(), ..self.clone() };
        match written(asked.fields()) {
            query if query.is_empty() => "/".to_owned(),
            query => format!("/?{query}"),
        }
    }

    /// Where the page before this one ended.
    pub(super) fn after(&self) -> Option<Place<'_>> {
        let (since, rest) = self.after.split_once('.')?;
        let (watch, branch) = rest.split_once('/')?;
        Some((std::cmp::Reverse(since.parse().ok()?), watch, branch))
    }

    /// Whether a branch is asked for.
    pub(super) fn selects(&self, watch: &str, status: &BranchStatus) -> bool {
        let head = status.observed.sha.as_str();
        let title = status.commit.as_ref().map_or("", |commit| &commit.title);
        let author = status.commit.as_ref().map_or("", |commit| &commit.author);
        let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        let starts = |digits: &str| head.starts_with(&digits.to_ascii_lowercase());
        let tone = branch::tone(status);
        let state = || self.state.split(',').any(|name| STATES.contains(&(tone, name)));
        (self.state.is_empty() || state())
            && has(watch, &self.watch)
            && has(&status.branch, &self.branch)
            && has(author, &self.author)
            && starts(&self.commit)
            && ([watch, &status.branch, title, author].iter().any(|text| has(text, &self.q))
                || starts(&self.q))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample;
    use super::*;

    #[test]
    fn a_filter_stands_in_the_address_and_is_read_back() {
        let query = "state=failed%2Cmoving&q=+pay%2Fx+&odd=1&watch=a&watch=shop";
        let filter = Filter::of(query);
        assert_eq!((filter.q.as_str(), filter.watch.as_str()), ("pay/x", "shop"));
        let place = place("shop", "release/2 %&=", sample::now());
        let address = filter.address(Some(place));
        let again = Filter::of(address.strip_prefix("/?").unwrap());
        assert_eq!(again.after(), Some(place));
        assert_eq!(Filter { after: String::new(), ..again }, filter);
        assert_eq!(Filter::default().address(None), "/");
        for odd in ["after=x", "after=1.x", "after=x.a/b", "after="] {
            let filter = Filter::of(odd);
            assert!(filter.is_empty() && filter.after().is_none(), "{odd}");
        }
    }

    #[test]
    fn branches_are_found_by_state_watch_branch_author_title_and_commit() {
        let commit = json!({"title": "Retry CARDS", "author": "Ada L.", "at": null});
        let said = json!({"branch": "release/Pay-2", "state": "parked", "commit": commit});
        let branch = sample::branch(said);
        for (query, found) in [
            ("", true),
            ("state=failed", true),
            ("state=moving,failed", true),
            ("state=moving", false),
            ("state=unknown", false),
            ("watch=sho", true),
            ("watch=other", false),
            ("branch=pay", true),
            ("branch=main", false),
            ("commit=1A2B", true),
            ("commit=a2b", false),
            ("author=ada", true),
            ("author=grace", false),
            ("q=cards", true),
            ("q=ada+l", true),
            ("q=SHOP", true),
            ("q=pay-2", true),
            ("q=1a2b3c", true),
            ("q=2b3c", false),
            ("q=pay&state=quiet", false),
        ] {
            assert_eq!(Filter::of(query).selects("shop", &branch), found, "{query}");
        }
    }
}
