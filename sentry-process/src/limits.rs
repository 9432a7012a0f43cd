//! What a started program, and all that it starts, may take: limits that the system itself keeps.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getpgid, prlimit};

/// Limits in bytes; `None` leaves what this process has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    pub(super) file: Option<u64>,
    pub(super) memory: Option<u64>,
}

impl Limits {
    /// Sets them for a process group's leader, which hands them on to what it starts. What it has started already,
    /// where this thread had to wait before it came here, gets them as well.
    pub(super) fn set(self, leader: Pid) -> io::Result<()> {
        let file = (Resource::Fsize, "Max file size", self.file);
        let memory = (Resource::Data, "Max data size", self.memory);
        for (resource, name, bytes) in [file, memory] {
            let Some(bytes) = bytes else { continue };
            set(leader, leader, &Limit { resource, name, bytes })?;
        }
        Ok(())
    }
}

/// One limit, with its name in /proc.
struct Limit {
    resource: Resource,
    name: &'static str,
    bytes: u64,
}

fn set(group: Pid, process: Pid, limit: &Limit) -> io::Result<()> {
    let both = Rlimit { current: Some(limit.bytes), maximum: Some(limit.bytes) };
    match prlimit(Some(process), limit.resource, both) {
        // It has ended, and takes nothing any more.
        Err(Errno::SRCH) => return Ok(()),
        // Only the administrator may raise what this process was given.
        Err(Errno::PERM) if has_less(process, limit) => {}
        set => drop(set?),
    }
    // What is not in the list yet inherits the limit.
    for child in children(process).into_iter().filter(|child| getpgid(Some(*child)) == Ok(group)) {
        set(group, child, limit)?;
    }
    Ok(())
}

/// True if the process can't have as much in any case.
fn has_less(process: Pid, limit: &Limit) -> bool {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.as_raw_nonzero()));
    let limits = limits.unwrap_or_default();
    let values = limits.lines().find_map(|line| line.strip_prefix(limit.name));
    let hard = values.and_then(|values| values.split_whitespace().nth(1)?.parse::<u64>().ok());
    hard.is_some_and(|hard| hard <= limit.bytes)
}

/// The processes that a process has started; none where the kernel does not list them.
fn children(process: Pid) -> Vec<Pid> {
    let id = process.as_raw_nonzero();
    let list = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
    let ids = list.unwrap_or_default();
    ids.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// Two processes that each print their limits of memory and of files, once they are fed.
    const SCRIPT: &str = "exec 3<&0; sh -c 'read go <&3; cat /proc/self/limits' & echo begun; wait; \
                          read go; cat /proc/self/limits";

    #[test]
    fn what_was_started_before_has_the_limits_as_well() {
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let leader = Pid::from_child(&child);
        Limits { file: Some(12_345), memory: Some(123_456_789) }.set(leader).unwrap();
        child.stdin.take().unwrap().write_all(b"go\ngo\n").unwrap();
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        let lines = |name: &str, bytes: &str| {
            text.lines().filter(|line| line.starts_with(name) && line.contains(bytes)).count()
        };
        assert_eq!(lines("Max file size", "12345 "), 2, "{text}");
        assert_eq!(lines("Max data size", "123456789 "), 2, "{text}");
    }

    #[test]
    fn what_a_process_was_given_less_of_before_is_enough() {
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -d 1000; echo begun; read end"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let less = |name, bytes| {
            has_less(Pid::from_child(&child), &Limit { resource: Resource::Data, name, bytes })
        };
        assert!(less("Max data size", 1_024_000) && !less("Max data size", 1_023_999));
        assert!(!less("Max file size", u64::MAX), "that is unlimited");
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_has_ended_needs_no_limit() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = Pid::from_child(&child);
        child.wait().unwrap();
        Limits { file: None, memory: Some(1 << 20) }.set(pid).unwrap();
    }
}
