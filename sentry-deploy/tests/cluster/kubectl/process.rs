//! The kubectl that watches.

use std::time::Duration;

use super::{Lab, lab, patiently};

/// How many programs run for this lab.
fn children(lab: &Lab) -> usize {
    let kubeconfig = lab.kubeconfig.to_string_lossy().into_owned();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&kubeconfig)).count()
}

/// Until so many programs run for this lab.
async fn until_children(lab: &Lab, count: usize) {
    patiently(async {
        while children(lab) != count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn many_runs_are_followed_by_one_process_that_dies_with_the_stream() {
    let lab = lab();
    lab.make("PipelineRun", &["one", "two", "three"]).await;
    let mut told = lab.follow(&["PipelineRun"]);
    for _ in 0..3 {
        told.status().await;
    }
    told.synced().await;
    let news = told.next();
    tokio::select! {
        news = news => panic!("nothing happened: {news:?}"),
        () = until_children(&lab, 1) => {}
    }
    drop(told);
    until_children(&lab, 0).await;
}
