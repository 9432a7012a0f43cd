//! What every process calls the same cluster.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sentry_core::deployer::DeployErrorKind;
use sentry_deploy::cluster_identity;
use sentry_tests::tls::Tls;
use serde_json::json;

/// A kubeconfig with one context, which is the current one.
fn kubeconfig(dir: &Path, context: &str, server: &str, ca: Option<&Path>) -> PathBuf {
    let pem = ca.map(|path| STANDARD.encode(std::fs::read(path).unwrap()));
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [{"name": context, "cluster": {"server": server, "certificate-authority-data": pem}}],
        "users": [{"name": "nobody", "user": {"tokenFile": "/nowhere/token"}}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": "nobody"}}],
    });
    let path = dir.join(format!("{}.json", fastrand::u64(..)));
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[tokio::test]
async fn a_cluster_is_the_same_by_its_address_and_authority_whatever_its_context_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (tls, other) = (Tls::new(), Tls::new());
    let server = "https://cluster.example:6443";
    let of = async |context: &str, server: &str, ca: Option<&Path>| {
        let file = kubeconfig(dir.path(), context, server, ca);
        let named = cluster_identity(Some(&file), Some(context)).await.unwrap();
        assert_eq!(cluster_identity(Some(&file), None).await.unwrap(), named);
        named
    };
    let one = of("prod", server, Some(tls.ca_pem())).await;
    assert_eq!(
        of("somebody's prod", "https://Cluster.example:6443/", Some(tls.ca_pem())).await,
        one
    );
    for another in [
        of("prod", "https://cluster.example:6444", Some(tls.ca_pem())).await,
        of("prod", "https://cluster.example:6443/k8s/clusters/c", Some(tls.ca_pem())).await,
        of("prod", server, Some(other.ca_pem())).await,
        of("prod", server, None).await,
    ] {
        assert_ne!(another, one);
    }
    assert_eq!(of("x", "https://h", None).await, of("y", "https://h:443", None).await);
}

#[tokio::test]
async fn a_context_that_is_not_there_is_an_error_and_no_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let file = kubeconfig(dir.path(), "prod", "https://cluster.example", None);
    let missing = dir.path().join("none");
    for (file, context) in [(&file, Some("test")), (&missing, None)] {
        let error = cluster_identity(Some(file), context).await.unwrap_err();
        assert_eq!(error.kind(), DeployErrorKind::Local, "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}
