//! What the page says, in each of its languages: one catalogue, `words/*.ftl`, part of the binary.
//!
//! What an engine, a forge or a cluster said stays as it was said. A message that one catalogue lacks, that nobody says, or
//! that takes other arguments in another language fails a test.

use std::fmt;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, COOKIE};
use unic_langid::LanguageIdentifier;

use super::view::Prose;

/// The cookie that keeps the language somebody chose.
pub(super) const COOKIE_NAME: &str = "sentry_language";

/// A language of the page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    English,
    Chinese,
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// Its tag: of the `lang` attribute, the cookie and the address that chooses it.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// Its name in itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    /// Of a tag such as `zh-Hans-CN`.
    pub(crate) fn of_tag(tag: &str) -> Option<Self> {
        let first = tag.split('-').next()?.trim();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(first))
    }

    /// What was chosen, else the first that the browser wants of those there are.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = text(COOKIE).flat_map(|line| line.split(';'));
        let chosen = cookies.find_map(|one| {
            let (name, tag) = one.split_once('=')?;
            (name.trim() == COOKIE_NAME).then(|| Self::of_tag(tag)).flatten()
        });
        chosen.or_else(|| text(ACCEPT_LANGUAGE).find_map(preferred)).unwrap_or_default()
    }

    fn text(self) -> &'static str {
        match self {
            Self::English => include_str!("../../words/en.ftl"),
            Self::Chinese => include_str!("../../words/zh.ftl"),
        }
    }
}

/// The language with the highest weight in `Accept-Language` (<https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4>); of
/// equal ones the first.
fn preferred(wanted: &str) -> Option<Language> {
    let weighted = wanted.split(',').filter_map(|one| {
        let (tag, rest) = one.split_once(';').unwrap_or((one, ""));
        let weight = rest.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.parse::<f32>().ok())?;
        Some((Language::of_tag(tag.trim())?, weight))
    });
    let mut best = None;
    for (language, weight) in weighted.filter(|(_, weight)| *weight > 0.0) {
        if best.is_none_or(|(_, most)| weight > most) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

/// The messages of one language.
struct Catalogue(FluentBundle<FluentResource>);

impl Catalogue {
    /// What can't be read of it is left out, and then fails a test.
    fn new(language: Language) -> Self {
        let resource = FluentResource::try_new(language.text().to_owned());
        let resource = resource.unwrap_or_else(|(read, _)| read);
        let tag: LanguageIdentifier = language.tag().parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![tag]);
        // Marks around what is put in would themselves be shown, as all hidden characters are.
        bundle.set_use_isolating(false);
        bundle.add_resource_overriding(resource);
        Self(bundle)
    }
}

static CATALOGUES: LazyLock<[Catalogue; 2]> = LazyLock::new(|| Language::ALL.map(Catalogue::new));

/// How the page talks to one reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Language);

impl Words {
    /// A message without arguments.
    pub(crate) fn say(self, key: &str) -> String {
        self.format(key, None)
    }

    /// A message without arguments, with its commands as code.
    pub(crate) fn prose(self, key: &str) -> Prose {
        Prose::of(&self.say(key))
    }

    /// A message about a number, as `$n`.
    pub(crate) fn count(self, key: &str, n: usize) -> String {
        self.with(key, [("n", n.into())])
    }

    /// A message with one text put in.
    pub(crate) fn put(self, key: &str, name: &'static str, text: impl fmt::Display) -> String {
        self.with(key, [(name, text.to_string().into())])
    }

    /// A message with all that it takes.
    pub(crate) fn with<const N: usize>(
        self,
        key: &str,
        arguments: [(&'static str, FluentValue<'_>); N],
    ) -> String {
        self.format(key, Some(&FluentArgs::from_iter(arguments)))
    }

    /// Parts of a list, one after the other.
    pub(crate) fn list(self, parts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
        let comma = match self.0 {
            Language::English => ", ",
            Language::Chinese => "，",
        };
        let mut said = String::new();
        for part in parts {
            said.push_str(if said.is_empty() { "" } else { comma });
            said.push_str(part.as_ref());
        }
        said
    }

    /// The key itself where there is no such message: tests see to it that there is.
    fn format(self, key: &str, arguments: Option<&FluentArgs<'_>>) -> String {
        let [english, chinese] = &*CATALOGUES;
        let Catalogue(bundle) = match self.0 {
            Language::English => english,
            Language::Chinese => chinese,
        };
        let pattern = bundle.get_message(key).and_then(|message| message.value());
        debug_assert!(pattern.is_some(), "the catalogue has no message {key}");
        let Some(pattern) = pattern else { return key.to_owned() };
        let mut errors = Vec::new();
        let said = bundle.format_pattern(pattern, arguments, &mut errors);
        debug_assert!(errors.is_empty(), "{key}: {errors:?}");
        said.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use http::HeaderValue;

    use super::*;

    /// The messages of a catalogue, each with the arguments that it takes.
    fn messages(language: Language) -> BTreeMap<String, BTreeSet<String>> {
        let mut found = BTreeMap::<String, BTreeSet<String>>::new();
        let mut last = String::new();
        for line in language.text().lines().filter(|line| !line.starts_with('#')) {
            if let Some((key, _)) = line.split_once(" =").filter(|_| !line.starts_with(' ')) {
                assert!(found.insert(key.to_owned(), BTreeSet::new()).is_none(), "{key} twice");
                last = key.to_owned();
            }
            let name = |piece: &str| piece.split([' ', '}']).next().unwrap().to_owned();
            let arguments = line.split("{ $").skip(1).map(name);
            found.entry(last.clone()).or_default().extend(arguments);
        }
        found.retain(|key, _| !key.is_empty());
        found
    }

    /// Everything that can say something: the views and the templates, without tests.
    fn sources(folder: &Path) -> String {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let read = |path: std::path::PathBuf| match path.is_dir() {
            true => sources(&path),
            false if path.ends_with("tests.rs") => String::new(),
            false => {
                let text = std::fs::read_to_string(path).unwrap();
                text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()
            }
        };
        entries.map(read).collect()
    }

    #[test]
    fn every_language_has_every_message_with_the_same_arguments_and_none_that_nobody_says() {
        for language in Language::ALL {
            let read = FluentResource::try_new(language.text().to_owned());
            assert!(read.is_ok(), "{language:?}: {:?}", read.map_err(|(_, errors)| errors).err());
        }
        let (english, chinese) = (messages(Language::English), messages(Language::Chinese));
        assert!(english.len() > 80, "{}", english.len());
        assert_eq!(english, chinese);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = sources(&root.join("src/page")) + &sources(&root.join("templates"));
        for key in english.keys() {
            assert!(text.contains(&format!("\"{key}\"")), "nobody says {key}");
        }
        for call in [".say(\"", ".prose(\"", ".count(\"", ".put(\"", ".with(\""] {
            for said in text.split(call).skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(english.contains_key(said), "there is no message {said}");
            }
        }
    }

    #[test]
    fn no_english_is_left_in_the_chinese_catalogue() {
        // Commands, keys and names of the configuration are the same in every language.
        let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        for key in messages(Language::Chinese).keys() {
            let all =
                ["n", "all", "at", "age", "time", "name", "watches", "branches", "open", "runs"];
            let all = all
                .iter()
                .chain(&[
                    "namespace",
                    "failed",
                    "branch",
                    "watch",
                    "text",
                    "cause",
                    "id",
                    "by",
                    "commit",
                    "run",
                ])
                .chain(&["took", "usual", "tasks", "event", "day"]);
            let arguments = FluentArgs::from_iter(all.map(|name| (*name, "…")));
            let said = Words(Language::Chinese).format(key, Some(&arguments));
            assert!(is_chinese(&said), "{key}: {said}");
        }
    }

    #[test]
    fn a_reader_is_told_in_the_language_they_chose_or_their_browser_wants() {
        let of = |name: http::HeaderName, value: &'static str| {
            Language::of(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
        };
        for (wanted, language) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-GB,en;q=0.9,zh;q=0.8", Language::English),
            ("de-DE,de;q=0.9,zh-TW;q=0.5", Language::Chinese),
            ("en;q=0.1, zh;q=0.2", Language::Chinese),
            ("zh;q=0, fr", Language::English),
            ("zh;q=odd", Language::English),
            ("*", Language::English),
            ("", Language::English),
        ] {
            assert_eq!(of(ACCEPT_LANGUAGE, wanted), language, "{wanted}");
        }
        assert_eq!(of(COOKIE, "a=b; sentry_language=zh"), Language::Chinese);
        assert_eq!(of(COOKIE, "sentry_language=tlh"), Language::English);
        assert_eq!(Language::default(), Language::English);
    }

    #[test]
    fn numbers_are_said_as_a_language_says_them() {
        let said = |language, n| Words(language).count("needs-you", n);
        assert_eq!(said(Language::English, 1), "1 branch needs you");
        assert_eq!(said(Language::English, 2), "2 branches need you");
        assert_eq!(said(Language::Chinese, 1), "1 个分支需要处理");
        assert_eq!(said(Language::Chinese, 4000), "4000 个分支需要处理");
    }
}
