//! What things are called: watches, namespaces, and where deliveries go.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::repo::ParseError;

/// A watch's name: a DNS label (RFC 1123), so that it is also a valid label value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchName(Arc<str>);

impl WatchName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WatchName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        dns_label(text).map_err(|problem| ParseError::new("watch name", text, problem))?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for WatchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A Kubernetes namespace's name: a DNS label (RFC 1123).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Namespace {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        dns_label(text).map_err(|problem| ParseError::new("namespace", text, problem))?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn dns_label(text: &str) -> Result<(), &'static str> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 63 {
        return Err("must have 1 to 63 characters");
    }
    if !text.chars().all(inner) || text.starts_with('-') || text.ends_with('-') {
        return Err("may contain only a-z, 0-9 and `-`, with a letter or digit at both ends");
    }
    Ok(())
}

/// Where a delivery goes. Two watches with equal references share a target: they deliver one after the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterRef {
    /// The name of the deployer, as registered with the engine.
    pub deployer: String,
    /// The kubeconfig's context; `None` is the in-cluster account or the current context.
    pub context: Option<String>,
    /// The namespace everything goes into.
    pub namespace: Namespace,
}

impl fmt::Display for ClusterRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.context {
            Some(context) => write!(f, "{context}/{}", self.namespace),
            None => write!(f, "namespace {}", self.namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_labels_are_refused() {
        for bad in ["", "A", "a_b", "-a", "a-", &"a".repeat(64), "a.b"] {
            assert!(
                bad.parse::<WatchName>().is_err() && bad.parse::<Namespace>().is_err(),
                "{bad}"
            );
        }
    }
}
