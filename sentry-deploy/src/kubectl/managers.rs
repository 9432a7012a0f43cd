//! Whose fields an apply met. Pure; the texts are those of kubectl 1.32.

use sentry_core::deployer::DeployErrorKind;

use super::answer;

/// True if an apply is kept from its work by nothing but what kubectl wrote before it applied on the server's side.
///
/// The server names each manager: `conflict with "NAME" using v1: .field`, of several fields `conflicts with "NAME" …`
/// (managedfields/internal/conflict.go of k8s.io/apimachinery).
pub(super) fn is_left_by_kubectl(error: &str) -> bool {
    const LEFT: &[&str] = &["kubectl-client-side-apply", "kubectl-create"];
    let managers: Vec<&str> = ["conflict with \"", "conflicts with \""]
        .iter()
        .flat_map(|words| error.split(words).skip(1))
        .map(|rest| rest.split('"').next().unwrap_or_default())
        .collect();
    // What was taken out of the text may be a manager.
    let whole = !error.contains('…');
    whole
        && answer::classify(error).0 == DeployErrorKind::Conflict
        && !managers.is_empty()
        && managers.iter().all(|m| LEFT.contains(m))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_kubectl_left_is_taken_over() {
        for (error, left) in [
            (
                "error: Apply failed with 1 conflict: conflict with \"kubectl-create\" using v1: .data.a Please review",
                true,
            ),
            (
                "error: Apply failed with 3 conflicts: conflicts with \"kubectl-client-side-apply\" using v1: - .data.a - .data.b conflicts with \"kubectl-create\" using v1: - .data.c",
                true,
            ),
            (
                "error: Apply failed with 2 conflicts: conflicts with \"kubectl-create\" using v1: - .data.a conflicts with \"helm\" using v1: - .data.b",
                false,
            ),
            (
                "error: Apply failed with 1 conflict: conflict with \"kubectl-edit\" using v1: .data.a",
                false,
            ),
            (
                "error: Apply failed with 1 conflict: conflict with \"kubectl-create\\\" x\": .data.a",
                false,
            ),
            (
                "error: Apply failed with 9 conflicts: conflicts with \"kubectl-create\" using v1: - .da…",
                false,
            ),
            ("Error from server (Invalid): conflict with \"kubectl-create\"", false),
            ("error: Apply failed with 1 conflict", false),
        ] {
            assert_eq!(is_left_by_kubectl(error), left, "{error}");
        }
    }
}
