//! [`OomCounter`]: detects the out-of-memory killer. The kernel does not say which process it killed, but it counts.
#![forbid(unsafe_code)]

use std::fs;

/// How often the out-of-memory killer has struck here, if that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::process) struct OomCounter(Option<u64>);

impl OomCounter {
    /// Reads the counter of our control group, or else of the machine, from two or three small files.
    pub(in crate::process) fn read() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let files = groups.lines().filter_map(counted_in).chain(["/proc/vmstat".into()]);
        Self(files.filter_map(|file| kills(&fs::read_to_string(file).ok()?)).next())
    }

    /// Returns `true` if it has struck since the earlier reading. Then a SIGKILL that no other process sent was
    /// probably its doing, the more so the less time lies between. Returns `false` if either reading failed.
    pub(in crate::process) fn rose_since(self, earlier: Self) -> bool {
        self.0.zip(earlier.0).is_some_and(|(now, then)| now > then)
    }
}

/// Returns the file with the counter of a control group, given by a line of `/proc/self/cgroup`: `0::/path` in version
/// 2, `4:memory:/path` in version 1.
fn counted_in(line: &str) -> Option<String> {
    let mut parts = line.splitn(3, ':').skip(1);
    match (parts.next()?, parts.next()?) {
        ("", path) => Some(format!("/sys/fs/cgroup{path}/memory.events")),
        ("memory", path) => Some(format!("/sys/fs/cgroup/memory{path}/memory.oom_control")),
        _ => None,
    }
}

fn kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_groups_of_both_versions_are_found() {
        assert_eq!(counted_in("0::/user.slice/a:b").unwrap(), "/sys/fs/cgroup/user.slice/a:b/memory.events");
        assert_eq!(counted_in("4:memory:/job").unwrap(), "/sys/fs/cgroup/memory/job/memory.oom_control");
        assert_eq!(counted_in("1:cpu:/"), None);
        assert_eq!(counted_in("nonsense"), None);
    }

    #[test]
    fn the_counter_is_read_from_its_line() {
        assert_eq!(kills("low 0\nmax 6\noom 2\noom_kill 3\noom_group_kill 4\n"), Some(3));
        assert_eq!(kills("oom_kill_disable 1\nunder_oom 0\n"), None);
    }

    #[test]
    fn a_hint_needs_a_rise_between_two_readings() {
        let [none, three, four] = [None, Some(3), Some(4)].map(OomCounter);
        assert!(four.rose_since(three));
        for (now, then) in [(three, three), (three, four), (none, three), (three, none), (none, none)] {
            assert!(!now.rose_since(then), "{now:?} since {then:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_has_a_counter() {
        assert_ne!(OomCounter::read(), OomCounter(None));
    }
}
