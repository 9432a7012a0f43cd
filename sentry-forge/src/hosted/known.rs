//! The validator: what an earlier answer held, as an opaque text that the store keeps.

use std::collections::BTreeMap;

use sentry_core::forge::{HeadList, HeadsAnswer, Validator};
use sentry_core::repo::{BranchName, CommitSha, RepoUrl};
use serde::{Deserialize, Serialize};

/// The form of the text; another is ignored, as if there was no validator.
const VERSION: u32 = 1;

/// One branch's head with the forge's own validator for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) sha: CommitSha,
    pub(crate) etag: Option<String>,
}

/// The heads of one repository, as found or as known from before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) heads: BTreeMap<BranchName, Head>,
    pub(crate) renamed_to: Option<RepoUrl>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    v: u32,
    heads: BTreeMap<String, TextHead>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renamed_to: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct TextHead {
    sha: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

impl Known {
    /// Reads a validator; `None` for a text that is not one of ours.
    pub(crate) fn read(validator: &Validator) -> Option<Self> {
        let text: Text = serde_json::from_str(&validator.0).ok()?;
        if text.v != VERSION {
            return None;
        }
        let head = |(name, head): (String, TextHead)| {
            let (branch, sha) = (name.parse().ok()?, head.sha.parse().ok()?);
            Some((branch, Head { sha, etag: head.etag }))
        };
        Some(Self {
            heads: text.heads.into_iter().map(head).collect::<Option<_>>()?,
            renamed_to: text.renamed_to.map(|url| url.parse()).transpose().ok()?,
        })
    }

    fn write(&self) -> Option<Validator> {
        let head = |head: &Head| TextHead { sha: head.sha.to_string(), etag: head.etag.clone() };
        let text = Text {
            v: VERSION,
            heads: self.heads.iter().map(|(name, h)| (name.to_string(), head(h))).collect(),
            renamed_to: self.renamed_to.as_ref().map(ToString::to_string),
        };
        serde_json::to_string(&text).ok().map(Validator)
    }

    /// The answer to a query whose validator was `before`.
    pub(crate) fn answer(self, before: Option<&Self>) -> HeadsAnswer {
        if before.is_some_and(|before| before.says_the_same(&self)) {
            return HeadsAnswer::NotModified;
        }
        let validator = self.write();
        let heads =
            self.heads.into_iter().map(|(branch, head)| (branch.into(), head.sha)).collect();
        HeadsAnswer::Heads(HeadList { heads, validator, renamed_to: self.renamed_to })
    }

    fn says_the_same(&self, other: &Self) -> bool {
        let shas = |known: &'_ Self| -> Vec<(BranchName, CommitSha)> {
            known.heads.iter().map(|(name, head)| (name.clone(), head.sha.clone())).collect()
        };
        self.renamed_to == other.renamed_to && shas(self) == shas(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(sha: char, etag: Option<&str>) -> Known {
        let head = Head {
            sha: sha.to_string().repeat(40).parse().unwrap(),
            etag: etag.map(ToOwned::to_owned),
        };
        Known { heads: [("fix#1".parse().unwrap(), head)].into(), renamed_to: None }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut known = known('a', Some("W/\"x\""));
        known.renamed_to = Some("https://github.com/o/new".parse().unwrap());
        assert_eq!(Known::read(&known.write().unwrap()), Some(known));
    }

    #[test]
    fn a_foreign_or_damaged_validator_is_ignored() {
        for text in
            ["", "abc", "{}", r#"{"v":2,"heads":{}}"#, r#"{"v":1,"heads":{"a":{"sha":"x"}}}"#]
        {
            assert_eq!(Known::read(&Validator(text.into())), None, "{text}");
        }
    }

    #[test]
    fn only_the_same_heads_are_not_modified() {
        let before = known('a', Some("one"));
        assert_eq!(known('a', Some("two")).answer(Some(&before)), HeadsAnswer::NotModified);
        assert_ne!(known('b', None).answer(Some(&before)), HeadsAnswer::NotModified);
        assert_ne!(Known::default().answer(Some(&before)), HeadsAnswer::NotModified);
        let mut moved = known('a', None);
        moved.renamed_to = Some("https://github.com/o/new".parse().unwrap());
        assert_ne!(moved.answer(Some(&before)), HeadsAnswer::NotModified);
    }
}
