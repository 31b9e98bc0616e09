//! Parsers of the texts that the kernel writes. They make no system calls themselves.

use super::Constraint;

/// Cgroup v1 writes "no limit" as `i64::MAX` rounded down to a page; no real limit comes near it.
const NO_LIMIT_FROM: u64 = 1 << 62;

/// Returns the value of `key` in the format of `/proc/meminfo`, in bytes.
pub(super) fn meminfo(text: &str, key: &str) -> Option<u64> {
    let mut values = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = values.find(|(name, _)| *name == key)?;
    let kib: u64 = value.strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Returns the resident bytes from the format of `/proc/self/statm`, which counts pages.
pub(super) fn statm(text: &str, page_size: u64) -> Option<u64> {
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(page_size)
}

/// A cgroup that accounts a process's memory: its path, and the names of its version's files.
#[derive(Debug, PartialEq, Eq)]
struct MemoryCgroup<'a> {
    path: &'a str,
    mount: &'static str,
    limits: &'static [&'static str],
    usage: &'static str,
}

impl<'a> MemoryCgroup<'a> {
    fn v1(path: &'a str) -> Self {
        MemoryCgroup {
            path,
            mount: "/sys/fs/cgroup/memory",
            limits: &["memory.limit_in_bytes"],
            usage: "memory.usage_in_bytes",
        }
    }

    fn v2(path: &'a str) -> Self {
        MemoryCgroup {
            path,
            mount: "/sys/fs/cgroup",
            limits: &["memory.max", "memory.high"],
            usage: "memory.current",
        }
    }

    /// Finds the cgroup in the format of `/proc/self/cgroup`: lines of `number:controllers:path`.
    ///
    /// A controller belongs to one hierarchy. So a v1 line that names `memory` has priority over
    /// the v2 line, whose number is 0 and which names no controllers.
    fn find(text: &'a str) -> Option<Self> {
        let mut v2 = None;
        for line in text.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(number), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if controllers.split(',').any(|name| name == "memory") {
                return Some(Self::v1(path));
            }
            if number == "0" && controllers.is_empty() {
                v2 = Some(Self::v2(path));
            }
        }
        v2
    }

    /// Returns the directories of the cgroup and of each of its ancestors, below the mount point;
    /// `""` is the mount point.
    ///
    /// In a container the path may be that of the host, while the mount shows the container's part
    /// alone. Then the first directories of the path do not exist, and the last one is the right
    /// one. The same applies to a path with `..`, of a cgroup above the mounted one.
    fn levels(&self) -> impl Iterator<Item = &'a str> {
        let path = self.path.trim_end_matches('/');
        let visible = !path.split('/').any(|name| name == "..");
        let first = if visible { path } else { "" };
        std::iter::successors(Some(first), |path| {
            path.rfind('/').map(|parent| &path[..parent])
        })
    }
}

/// Returns a limit in bytes; `None` for `max`, which means no limit, and for text that is no
/// number.
fn limit(text: &str) -> Option<u64> {
    let limit = text.trim().parse().ok()?;
    (limit < NO_LIMIT_FROM).then_some(limit)
}

/// Returns the limits of the process of `cgroup` (the text of `/proc/self/cgroup`) on a machine
/// with `total` bytes.
///
/// A level whose limit is above `total` is ignored. A usage that cannot be read counts as 0.
pub(super) fn constraint(
    cgroup: &str,
    total: u64,
    read: impl Fn(&str) -> Option<String>,
) -> Option<Constraint> {
    let cgroup = MemoryCgroup::find(cgroup)?;
    let mut least: Option<Constraint> = None;
    for level in cgroup.levels() {
        let value = |file: &&str| limit(&read(&format!("{}{level}/{file}", cgroup.mount))?);
        let Some(limit) = cgroup.limits.iter().filter_map(value).min() else {
            continue;
        };
        if limit <= total {
            let headroom = limit.saturating_sub(value(&cgroup.usage).unwrap_or(0));
            least = Some(
                least.map_or(Constraint { limit, headroom }, |least| Constraint {
                    limit: limit.min(least.limit),
                    headroom: headroom.min(least.headroom),
                }),
            );
        }
    }
    least
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;
    const V1: &str = "/sys/fs/cgroup/memory";
    const V2: &str = "/sys/fs/cgroup";

    /// Calls `constraint` for a machine of 8 GiB, with a file system of the given files:
    /// `(directory, file, text)`.
    fn constraint_with(cgroup: &str, files: &[(&str, &str, &str)]) -> Option<(u64, u64)> {
        let read = |path: &str| {
            let file = |&&(dir, name, _): &&(&str, &str, &str)| path == format!("{dir}/{name}");
            files.iter().find(file).map(|(.., text)| text.to_string())
        };
        constraint(cgroup, 8 * GIB, read).map(|least| (least.limit, least.headroom))
    }

    #[test]
    fn meminfo_reads_the_key_and_no_other() {
        let text = "MemTotal:       24684084 kB\nMemFree:               7 kB\n\
                    MemAvailable:   24379072 kB\nHugePages_Total:       3\nMemAva";
        assert_eq!(meminfo(text, "MemTotal"), Some(24_684_084 * 1024));
        assert_eq!(meminfo(text, "MemFree"), Some(7 * 1024));
        assert_eq!(meminfo(text, "MemAvailable"), Some(24_379_072 * 1024));
        assert_eq!(meminfo(text, "MemAva"), None, "cut line");
        assert_eq!(meminfo(text, "Mem"), None, "part of a name");
        assert_eq!(meminfo(text, "HugePages_Total"), None, "no bytes");
    }

    #[test]
    fn meminfo_refuses_garbage() {
        for text in [
            "",
            "MemTotal:",
            "MemTotal: kB",
            "MemTotal: -1 kB",
            "MemTotal 1 kB",
            "\0:\0",
        ] {
            assert_eq!(meminfo(text, "MemTotal"), None, "{text:?}");
        }
        let (most, over) = (u64::MAX / 1024, u64::MAX / 1024 + 1);
        assert_eq!(
            meminfo(&format!("A: {most} kB"), "A"),
            Some(u64::MAX - 1023)
        );
        assert_eq!(meminfo(&format!("A: {over} kB"), "A"), None);
    }

    #[test]
    fn statm_counts_resident_pages() {
        assert_eq!(statm("1135 322 281 5 0 107 0\n", 4096), Some(322 * 4096));
        assert_eq!(statm("1135 322", 65_536), Some(322 * 65_536));
        for text in ["", "1135", "1135 x", "1135 -3", "1 18446744073709551615"] {
            assert_eq!(statm(text, 4096), None, "{text:?}");
        }
    }

    #[test]
    fn the_memory_line_of_v1_wins_over_v2() {
        let hybrid = "9:name=systemd:/\n4:cpu,memory:/a/b:c\n0::/d\n";
        assert_eq!(MemoryCgroup::find(hybrid), Some(MemoryCgroup::v1("/a/b:c")));
        let v2 = "9:name=memory:/\n3:memory_pressure:/\n0::/d e (deleted)\n";
        assert_eq!(
            MemoryCgroup::find(v2),
            Some(MemoryCgroup::v2("/d e (deleted)"))
        );
        for text in ["", "0:", "::", "4:memory", "1::/x", "\n\n"] {
            assert_eq!(MemoryCgroup::find(text), None, "{text:?}");
        }
    }

    #[test]
    fn levels_climb_to_the_mount_point() {
        let levels = |path| MemoryCgroup::v2(path).levels().collect::<Vec<_>>();
        assert_eq!(levels("/a/b/c"), ["/a/b/c", "/a/b", "/a", ""]);
        assert_eq!(levels("/a/"), ["/a", ""]);
        assert_eq!(levels("/a..b"), ["/a..b", ""]);
        for root in ["/", "", "/..", "/../a", "/a/../../b"] {
            assert_eq!(levels(root), [""], "{root:?}");
        }
    }

    #[test]
    fn a_limit_is_a_number_below_the_mark() {
        assert_eq!(limit("1073741824\n"), Some(GIB));
        assert_eq!(limit("0\n"), Some(0));
        for none in [
            "max\n",
            "",
            "-1",
            "x",
            "9223372036854771712\n",
            "18446744073709551615",
        ] {
            assert_eq!(limit(none), None, "{none:?}");
        }
        assert_eq!(
            limit(&(NO_LIMIT_FROM - 1).to_string()),
            Some(NO_LIMIT_FROM - 1)
        );
        assert_eq!(limit(&NO_LIMIT_FROM.to_string()), None);
    }

    #[test]
    fn v2_takes_the_least_level_of_each() {
        let (leaf, parent) = (&*format!("{V2}/a/b"), &*format!("{V2}/a"));
        let files = [
            (leaf, "memory.max", "3221225472\n"), // 3 GiB, 1 GiB used: 2 GiB left
            (leaf, "memory.high", "max\n"),
            (leaf, "memory.current", "1073741824\n"),
            (parent, "memory.max", "4294967296\n"), // 4 GiB, 3 GiB used: 1 GiB left
            (parent, "memory.current", "3221225472\n"),
        ];
        assert_eq!(constraint_with("0::/a/b\n", &files), Some((3 * GIB, GIB)));
        assert_eq!(constraint_with("0::/a\n", &files), Some((4 * GIB, GIB)));
        assert_eq!(constraint_with("0::/\n", &files), None);
        assert_eq!(constraint_with("0::/other\n", &files), None);
    }

    #[test]
    fn v2_heeds_memory_high() {
        let files = [
            (V2, "memory.max", "2147483648"),
            (V2, "memory.high", "1073741824"),
            (V2, "memory.current", "1048576"),
        ];
        assert_eq!(constraint_with("0::/", &files), Some((GIB, GIB - MIB)));
    }

    #[test]
    fn v1_in_a_container_finds_its_part_at_the_mount_point() {
        let files = [
            (V1, "memory.limit_in_bytes", "536870912\n"),
            (V1, "memory.usage_in_bytes", "1048576\n"),
        ];
        let cgroup = "5:memory:/docker/0123\n0::/docker/0123\n";
        assert_eq!(
            constraint_with(cgroup, &files),
            Some((512 * MIB, 511 * MIB))
        );
    }

    #[test]
    fn max_or_more_than_the_machine_has_is_no_limit() {
        for none in ["max", "9223372036854771712", "8589934593", "garbage", ""] {
            let files = [(V2, "memory.max", none), (V2, "memory.current", "1")];
            assert_eq!(constraint_with("0::/", &files), None, "{none:?}");
        }
        let files = [(V2, "memory.max", "8589934592")];
        assert_eq!(constraint_with("0::/", &files), Some((8 * GIB, 8 * GIB)));
    }

    #[test]
    fn a_usage_above_the_limit_leaves_nothing() {
        let files = [(V2, "memory.max", "4096"), (V2, "memory.current", "8192")];
        assert_eq!(constraint_with("0::/", &files), Some((4096, 0)));
    }
}
