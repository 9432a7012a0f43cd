//! The processes of this machine, as /proc tells them, and programs that tests write.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: u32,
    /// Its parent's id.
    pub parent: u32,
    /// The letter of its state: `Z` is one that has ended and that nobody has waited for.
    pub state: char,
    /// Its arguments, with blanks between them; empty for a kernel's thread and for one that has ended.
    pub words: String,
}

impl Process {
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name may hold blanks and brackets: the last bracket ends it.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ").trim_end().to_owned();
        Some(Self { id, parent, state, words })
    }

    /// True if it has ended and nobody has waited for it.
    #[must_use]
    pub fn is_zombie(&self) -> bool {
        self.state == 'Z'
    }
}

/// CPU that a process has used with all its threads, in seconds: fields 14 and 15 of its stat, in ticks of a hundredth
/// (proc(5)).
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn cpu_seconds(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("the process is there");
    let (_, rest) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks = rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / 100.0
}

/// All that run now.
///
/// # Panics
/// When there is no /proc.
#[must_use]
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("a /proc");
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(Process::read).collect()
}

/// The children of a process, zombies among them.
#[must_use]
pub fn children_of(parent: u32) -> Vec<Process> {
    all().into_iter().filter(|process| process.parent == parent).collect()
}

/// Those that were started with this text in their environment, whatever became of their parents.
#[must_use]
pub fn marked(text: &str) -> Vec<Process> {
    let holds = |process: &Process| {
        let environment = fs::read(format!("/proc/{}/environ", process.id)).unwrap_or_default();
        environment.windows(text.len()).any(|window| window == text.as_bytes())
    };
    all().into_iter().filter(holds).collect()
}

/// The memory that a process has, in KiB.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn rss_kib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

/// Writes a program that can be run at once. Another program writes it: children that other tests start meanwhile would
/// inherit a file that is open here, and what is open for writing can't be run.
///
/// # Panics
/// If it can't be written.
pub fn script(path: &Path, text: &str) {
    let mut writer = Command::new("sh")
        .args(["-c", r#"cat > "$0" && chmod 755 "$0""#])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut input = writer.stdin.take().expect("its stdin");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    assert!(writer.wait().expect("its end").success(), "{} can be written", path.display());
}
