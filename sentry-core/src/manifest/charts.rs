//! Helm charts that stand in the tree: what is in them is for Helm.

use std::collections::BTreeSet;

/// The directories that hold a `Chart.yaml`, with a slash at the end; the top is empty.
#[derive(Debug, Default)]
pub(super) struct Charts(BTreeSet<String>);

impl Charts {
    pub(super) fn of<'p>(paths: impl Iterator<Item = &'p str>) -> Self {
        let chart = |path: &'p str| {
            let directory = path.strip_suffix("Chart.yaml")?;
            (directory.is_empty() || directory.ends_with('/')).then(|| directory.to_owned())
        };
        Self(paths.filter_map(chart).collect())
    }

    /// Why a file is nothing for the cluster, if it is part of a chart.
    pub(super) fn part(&self, path: &str) -> Option<String> {
        let inside = self.0.iter().find_map(|directory| {
            let rest = path.strip_prefix(directory.as_str())?;
            let values = rest.starts_with("values") && !rest.contains('/');
            let part = rest == "Chart.yaml"
                || values
                || ["templates/", "charts/", "crds/"].iter().any(|d| rest.starts_with(d));
            part.then_some(directory.as_str())
        })?;
        let name = if inside.is_empty() { "." } else { inside.trim_end_matches('/') };
        Some(format!("part of the Helm chart in `{name}`: not an object until Helm renders it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_own_file_its_values_and_three_directories() {
        let charts = Charts::of(["a/Chart.yaml", "b/NoChart.yaml"].into_iter());
        let top = Charts::of(std::iter::once("Chart.yaml"));
        for (path, is_part) in [
            ("Chart.yaml", true),
            ("values.yaml", true),
            ("values-prod.yaml", true),
            ("templates/x/y.yaml", true),
            ("charts/x.yaml", true),
            ("crds/x.yaml", true),
            ("task.yaml", false),
            ("values/x.yaml", false),
            ("other/templates/x.yaml", false),
        ] {
            assert_eq!(charts.part(&format!("a/{path}")).is_some(), is_part, "{path}");
            assert_eq!(top.part(path).is_some(), is_part, "{path}");
            assert_eq!(charts.part(&format!("b/{path}")), None, "{path}");
        }
        assert!(charts.part("a/values.yaml").unwrap().contains("chart in `a`"));
        assert!(top.part("values.yaml").unwrap().contains("chart in `.`"));
    }
}
