use super::*;

pub(super) fn sh(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

/// True if a process is there and not only waiting to be reaped.
pub(super) fn lives(pid: &[u8]) -> bool {
    let pid = String::from_utf8_lossy(pid);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Until none of the processes lives.
pub(super) async fn all_die(pids: &[Vec<u8>]) {
    until(|| !pids.iter().any(|pid| lives(pid))).await;
}

/// Until it is true. It gives up long before a `sleep 987` ends by itself.
async fn until(is_true: impl Fn() -> bool) {
    let look = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), look).await.expect("it never became true");
}

/// What a script that hangs had written at its deadline. On a busy machine a short one may pass before its first word:
/// then it has a longer one.
async fn hung(script: &str) -> Vec<u8> {
    for seconds in [0.3, 3.0, 30.0, 120.0] {
        let program = sh(script).deadline(Duration::from_secs_f64(seconds));
        let error = program.run().await.unwrap_err();
        let ProcessError::Timeout { stdout, .. } = error else { panic!("{error}") };
        if !stdout.is_empty() {
            return stdout;
        }
    }
    panic!("it wrote nothing")
}

#[tokio::test]
async fn output_and_exit_code_are_returned_and_stdin_is_fed() {
    let out = sh("cat; echo problem >&2; exit 3").stdin("hello").run().await.unwrap();
    assert_eq!(
        (out.stdout.as_slice(), out.stderr_text().as_str()),
        (b"hello".as_slice(), "problem")
    );
    assert_eq!(out.status.code(), Some(3));
}

#[tokio::test]
async fn the_environment_holds_only_what_is_named() {
    let out = sh("env").env("CHOSEN", "1").run().await.unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("CHOSEN=1") && !text.contains("CARGO"), "{text}");
}

#[tokio::test]
async fn a_program_is_the_first_of_its_name_in_its_own_path_that_can_be_run_and_is_called_so() {
    use std::os::unix::fs::PermissionsExt as _;
    let dirs = ["directory", "plain", "first", "second"].map(|_| tempfile::tempdir().unwrap());
    std::fs::create_dir(dirs[0].path().join("which")).unwrap();
    for (dir, mode) in dirs.iter().zip([0, 0o600, 0o700, 0o700]).skip(1) {
        let file = dir.path().join("which");
        std::fs::write(&file, "#!/bin/sh\necho \"$0\"\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let path = std::env::join_paths(dirs.iter().map(tempfile::TempDir::path)).unwrap();
    let out = Program::new("which").env("PATH", &path).run().await.unwrap();
    let first = dirs[2].path().join("which");
    assert_eq!(String::from_utf8(out.stdout).unwrap().trim(), first.to_str().unwrap());
    let sh = dirs[3].path().join("sh");
    std::os::unix::fs::symlink("/bin/sh", &sh).unwrap();
    let out = Program::new("sh").env("PATH", &path).args(["-c", "echo $0"]).run().await.unwrap();
    assert_eq!(out.stdout, b"sh\n", "it is called by its name");
    let error = Program::new("nowhere").env("PATH", &path).run().await.unwrap_err();
    assert!(matches!(error, ProcessError::Start { .. }), "{error}");
}

#[tokio::test]
async fn a_hung_child_and_its_own_children_die_at_the_deadline() {
    let script = "trap '' TERM; sleep 987 & echo $!; wait; wait; sleep 987";
    let grandchild = hung(script).await;
    all_die(&[grandchild]).await;
}

#[tokio::test]
async fn what_a_hung_child_had_written_is_kept() {
    assert_eq!(hung("echo done; sleep 987").await, b"done\n");
}

#[tokio::test]
async fn a_child_that_floods_stdout_is_killed_and_a_flood_of_stderr_is_cut() {
    let error = sh("yes").output_cap(1000).run().await.unwrap_err();
    assert!(matches!(error, ProcessError::TooMuchOutput { cap: 1000, .. }), "{error}");
    let out = sh("yes | head -c 1000000 >&2").run().await.unwrap();
    assert_eq!(out.stderr.len(), 64 << 10);
    let out = sh("{ yes | head -c 65530; echo s3cret-token; } >&2").run().await.unwrap();
    assert_eq!(out.stderr.len(), 65530, "half a word is no word");
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = Program::new("no-such-program").run().await.unwrap_err();
    assert_eq!(error.to_string(), "can't start no-such-program");
}

#[tokio::test]
async fn a_file_may_not_grow_beyond_its_cap() {
    let file = std::env::temp_dir().join(format!("sentry-fsize-{}", std::process::id()));
    // It begins once it is fed, which is after its cap was set.
    let script = format!("read go; yes | head -c 100000 > {}", file.display());
    sh(&script).file_cap(1024).stdin("go\n").run().await.unwrap();
    let size = std::fs::metadata(&file).unwrap().len();
    std::fs::remove_file(&file).unwrap();
    assert!(size <= 1024, "{size}");
}

#[tokio::test]
async fn memory_beyond_the_cap_is_not_given() {
    let script = "read go; head -c 300000000 /dev/zero | tail -c 200000000 | wc -c";
    let count = async |cap| {
        let out = sh(script).memory_cap(cap).stdin("go\n").run().await.unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(count(1 << 30).await.trim(), "200000000");
    assert_ne!(count(64 << 20).await.trim(), "200000000");
}

#[tokio::test]
async fn what_falls_to_us_from_a_child_that_ended_is_no_zombie_of_ours() {
    // As the first process of a container is, for whatever loses its parent.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    for ignoring in ["", "trap '' TERM; "] {
        let script = format!("{ignoring}sleep 987 >/dev/null 2>&1 & echo $!");
        let out = sh(&script).run().await.unwrap();
        let grandchild = String::from_utf8(out.stdout).unwrap();
        let place = format!("/proc/{}", grandchild.trim());
        // On a busy system it is waited for by a thread beside us.
        until(|| !Path::new(&place).exists()).await;
    }
}
