//! What `sentry lint` costs on a directory of 200 files, the program's start included.
//!
//! `cargo build --release -p sentry-cli && cargo bench -p sentry-tests --bench lint`; `FILES=200` is the number.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't measure has failed")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sentry_tests::sandbox::sentry_binary;

const HOW: &str = "\
Half of the files are Tasks of three steps, a quarter Pipelines of four tasks, a quarter PipelineRuns with annotations. Each
figure is the best of 20 calls of the program, from its start to its end.";

fn file(n: usize) -> String {
    let task = n / 4 * 4;
    match n % 4 {
        0 | 1 => format!(
            "apiVersion: tekton.dev/v1\nkind: Task\nmetadata: {{name: o{n}}}\nspec:\n  params: [{{name: b, default: main}}]\n  \
             steps:\n{}",
            "    - {name: s, image: busybox, script: 'echo \"$B\"', env: [{name: B, value: $(params.b)}]}\n".repeat(3)
        ),
        2 => format!(
            "apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata: {{name: o{n}}}\nspec:\n  tasks:\n{}",
            (0..4)
                .map(|t| format!("    - {{name: t{t}, taskRef: {{name: o{task}}}}}\n"))
                .collect::<String>()
        ),
        _ => format!(
            "apiVersion: tekton.dev/v1\nkind: PipelineRun\nmetadata:\n  name: o{n}\n  annotations:\n    \
             pipelinesascode.tekton.dev/on-event: '[push]'\n    pipelinesascode.tekton.dev/on-target-branch: '[main, release-*]'\n\
             spec: {{pipelineRef: {{name: o{}}}, params: [{{name: r, value: '{{{{ revision }}}}'}}]}}\n",
            n - 1
        ),
    }
}

fn main() {
    println!("{HOW}\n");
    let program = sentry_binary();
    let files = std::env::var("FILES").map_or(200, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    for n in 0..files {
        fs::write(dir.path().join(format!("{n:03}.yaml")), file(n)).unwrap();
    }
    for format in ["table", "json", "sarif", "junit", "github"] {
        let mut best = Duration::MAX;
        for _ in 0..20 {
            let mut command = Command::new(&program);
            command.arg("lint").arg(dir.path()).args(["-o", format]).stdout(Stdio::null());
            let begun = Instant::now();
            let status = command.status().unwrap();
            best = best.min(begun.elapsed());
            assert_eq!(status.code(), Some(0), "{format}");
        }
        println!("{files} files, -o {format}: {:.1} ms", best.as_secs_f64() * 1e3);
    }
}
