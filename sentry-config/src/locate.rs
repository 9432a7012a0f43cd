//! Where the configuration file is looked for.

use std::path::{Path, PathBuf};

use crate::environment::Environment;

const PLACES: [&str; 3] = ["sentry.yaml", "/config/sentry.yaml", "/etc/sentry/sentry.yaml"];

/// No configuration file was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no configuration file; looked for {}", list(.looked))]
pub struct NotFound {
    /// Where it was looked for, in order.
    pub looked: Vec<PathBuf>,
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Finds the file: the given one, `$SENTRY_CONFIG`, `./sentry.yaml`, `/config/sentry.yaml`, `/etc/sentry/sentry.yaml`.
/// One that is named must exist; the next places are then not tried.
///
/// # Errors
/// Nothing is there; says where it was looked for. Not retried.
pub fn locate(given: Option<&Path>, env: &Environment) -> Result<PathBuf, NotFound> {
    let named = given.map(Path::to_path_buf).or_else(|| {
        env.vars.get("SENTRY_CONFIG").filter(|text| !text.is_empty()).map(PathBuf::from)
    });
    let looked = match named {
        Some(path) => vec![path],
        None => PLACES.iter().map(PathBuf::from).collect(),
    };
    match looked.iter().find(|path| path.exists() && !path.is_dir()) {
        Some(found) => Ok(found.clone()),
        None => Err(NotFound { looked }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_comes_first_and_a_missing_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, "").unwrap();
        let missing = dir.path().join("b.yaml");
        let vars = [("SENTRY_CONFIG".to_owned(), missing.display().to_string())].into();
        let env = Environment::new(vars);
        assert_eq!(locate(Some(&file), &env).unwrap(), file);
        let error = locate(None, &env).unwrap_err();
        assert_eq!(error.looked, [missing]);
    }

    #[test]
    fn without_a_name_every_place_is_listed() {
        let error = locate(None, &Environment::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            "no configuration file; looked for sentry.yaml, /config/sentry.yaml, /etc/sentry/sentry.yaml"
        );
    }
}
