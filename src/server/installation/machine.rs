//! The memory that this process may have, for caches that are sized by it.

use std::fs;
use std::path::Path;

use rustix::system::sysinfo;

/// The root of the tree of control groups, version 2.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Returns the bytes of memory that the process may have: the machine's, or what its control group or one above it allows
/// (cgroups(7), version 2), where that is less. That of containers and of systemd's units is such a limit.
fn memory_bytes() -> u64 {
    let found = sysinfo();
    let machine = u64::from(found.mem_unit) * found.totalram;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = group_limit(Path::new(CONTROL_GROUPS), &groups);
    limit.map_or(machine, |limit| limit.min(machine))
}

/// Returns the nth part of the memory that the process may have, within these bounds.
pub(super) fn share_of_memory(nth: u64, bounds: (u64, u64)) -> u64 {
    share(memory_bytes(), nth, bounds)
}

fn share(memory: u64, nth: u64, (least, most): (u64, u64)) -> u64 {
    (memory / nth).clamp(least, most)
}

/// Returns the least limit of the group that `/proc/self/cgroup` names, and of all above it. None where there is no limit.
fn group_limit(root: &Path, groups: &str) -> Option<u64> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let limit = |directory: &Path| -> Option<u64> {
        let text = fs::read_to_string(root.join(directory).join("memory.max")).ok()?;
        text.trim().parse().ok()
    };
    Path::new(group).ancestors().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_a_group_and_those_above_it_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |group: &str, text: &str| {
            let directory = root.path().join(group);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("memory.max"), text).unwrap();
        };
        let limit = |groups: &str| group_limit(root.path(), groups);
        assert_eq!(limit("0::/a/b\n"), None);
        write("a/b", "max\n");
        assert_eq!(limit("0::/a/b\n"), None);
        write("a", "1000\n");
        assert_eq!(limit("1:cpu:/x\n0::/a/b\n"), Some(1_000));
        write("a/b", "700\n");
        assert_eq!(limit("0::/a/b\n"), Some(700));
        // A container sees its own group as the root.
        write("", "600\n");
        assert_eq!(limit("0::/\n"), Some(600));
        // Version 1 alone says nothing of it.
        assert_eq!(limit("9:memory:/a/b\n"), None);
    }

    #[test]
    fn a_share_has_bounds() {
        assert_eq!(share(64 << 30, 64, (8 << 20, 256 << 20)), 256 << 20);
        assert_eq!(share(4 << 30, 64, (8 << 20, 256 << 20)), 64 << 20);
        assert_eq!(share(64 << 20, 64, (8 << 20, 256 << 20)), 8 << 20);
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(memory_bytes() > 1 << 20);
    }
}
