//! Which deliveries of a watch somebody wants to see. It stands in the address, so that it can be shared.

use sentry_api::query::HistoryQuery;

use super::Words;
use super::filter::{read, written};

/// So many stand on a page.
const LISTED: u32 = 50;

/// What is asked for; an empty text asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HistoryFilter {
    pub(crate) q: String,
    /// Names of states, with commas between.
    pub(crate) state: String,
    pub(crate) branch: String,
    pub(crate) author: String,
    /// The delivery that the page before this one ended with.
    before: String,
}

impl HistoryFilter {
    /// Of the query of an address.
    pub(crate) fn of(query: &str) -> Self {
        let mut filter = Self::default();
        read(filter.fields(), query);
        filter
    }

    fn fields(&mut self) -> [(&'static str, &mut String); 5] {
        [
            ("q", &mut self.q),
            ("state", &mut self.state),
            ("branch", &mut self.branch),
            ("author", &mut self.author),
            ("before", &mut self.before),
        ]
    }

    /// Whether everything is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        Self { before: String::new(), ..self.clone() } == Self::default()
    }

    /// Whether it is not the first page.
    pub(crate) fn is_later(&self) -> bool {
        !self.before.is_empty()
    }

    /// The address that asks for this, from `before` on.
    pub(super) fn address(&self, watch: &str, before: Option<&str>) -> String {
        let mut asked = Self { before: before.unwrap_or_default().to_owned(), ..self.clone() };
        format!("/watches/{watch}?{}#deliveries", written(asked.fields()))
    }

    /// The question for the API.
    pub(crate) fn query(&self, watch: &str) -> HistoryQuery {
        let filled = |text: &String| (!text.is_empty()).then(|| text.clone());
        HistoryQuery {
            watch: Some(watch.to_owned()),
            branch: filled(&self.branch),
            state: filled(&self.state),
            author: filled(&self.author),
            q: filled(&self.q),
            before: filled(&self.before),
            limit: Some(LISTED),
            ..HistoryQuery::default()
        }
    }

    /// What may be chosen for a state: value and word.
    pub(super) fn states(words: Words) -> Vec<(&'static str, String)> {
        let all = [
            ("", words.say("filter-any")),
            ("failed,parked", words.say("tone-bad")),
            ("pending,fetching,checking,applying,following", words.say("filter-open")),
            ("succeeded", words.say("state-succeeded")),
            ("nothing_ran", words.say("state-nothing-ran")),
            ("superseded", words.say("state-superseded")),
            ("cancelled", words.say("state-cancelled")),
        ];
        all.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_the_history_stands_in_the_address_and_is_asked_of_the_api() {
        let filter =
            HistoryFilter::of("state=failed%2Cparked&q=+pay%2Fx+&odd=1&branch=a&branch=b&author=");
        assert!(!filter.is_empty() && !filter.is_later());
        let address = filter.address("qa", Some("01k9"));
        assert_eq!(
            address,
            "/watches/qa?q=pay%2Fx&state=failed%2Cparked&branch=b&before=01k9#deliveries"
        );
        let again = HistoryFilter::of(address.split(['?', '#']).nth(1).unwrap());
        assert_eq!(again, HistoryFilter { before: "01k9".to_owned(), ..filter });
        let query = again.query("qa");
        let text = |text: &str| Some(text.to_owned());
        assert_eq!((query.watch, query.q, query.branch), (text("qa"), text("pay/x"), text("b")));
        assert_eq!((query.author, query.before, query.limit), (None, text("01k9"), Some(LISTED)));
        assert!(HistoryFilter::of("before=x").is_empty());
    }

    #[test]
    fn every_state_that_can_be_chosen_is_one() {
        use sentry_api::words::{ClosedList as _, DeliveryState};

        let states = HistoryFilter::states(Words::default());
        let mut chosen: Vec<_> = states.iter().flat_map(|(value, _)| value.split(',')).collect();
        chosen.retain(|name| !name.is_empty());
        chosen.sort_unstable();
        let mut all: Vec<_> = DeliveryState::all().map(|state| state.as_str()).collect();
        all.sort_unstable();
        assert_eq!(chosen, all);
    }
}
