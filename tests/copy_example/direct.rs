//! `--direct`, past the page cache.

use super::*;
use rustix::fs::{Mode, OFlags, open};

/// A directory on a file system that takes direct I/O, with a `source` of `len` bytes in it.
/// `None`: there is none, and the reason was printed.
fn direct_directory(len: usize) -> Option<(TempDir, PathBuf, PathBuf)> {
    let places = [
        std::env::temp_dir(),
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        PathBuf::from("/var/tmp"),
        PathBuf::from("/dev/shm"),
    ];
    for place in places {
        let Ok(directory) = tempfile::tempdir_in(place) else {
            continue;
        };
        let source = directory.path().join("source");
        fs::write(&source, contents(len)).unwrap();
        if open(&source, OFlags::RDONLY | OFlags::DIRECT, Mode::empty()).is_ok() {
            let destination = directory.path().join("destination");
            return Some((directory, source, destination));
        }
    }
    println!("left out: no file system here takes direct I/O");
    None
}

#[test]
fn files_of_all_lengths_arrive_whole() {
    for len in [0, 1, 4095, 4096, 4097, 65_536, 65_537, 131_072, 1_000_000] {
        let Some((directory, source, destination)) = direct_directory(len) else {
            return;
        };
        let options = ["--direct", "--chunk", "64K", "--limit", "256K"];
        let ended = copy(&options, &source, &destination);
        ended.assert_success();
        assert_eq!(ended.stderr, "", "{len}");
        let both = "direct I/O            reads and writes\n";
        assert!(ended.stdout.contains(both), "{}", ended.stdout);
        assert_eq!(fs::read(&destination).unwrap(), contents(len), "{len}");
        assert_eq!(ended.number("files equal           yes,"), len as f64);
        assert_eq!(names(&directory), ["destination", "source"]);
    }
}

/// While it runs, the kernel has `O_DIRECT` among the flags of both files.
#[test]
fn both_files_pass_the_cache_by() {
    let Some((directory, source, destination)) = direct_directory(8 * MIB) else {
        return;
    };
    let mut command = example::command("copy");
    command.args(["--direct", "--chunk", "64K", "--write-rate", "256K"]);
    command.arg(&source).arg(&destination);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    while partial_len(&directory) == 0 {
        assert_eq!(child.try_wait().unwrap(), None, "it ended too early");
        thread::sleep(Duration::from_millis(1));
    }
    let direct = direct_files(child.id(), directory.path());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(direct, 2, "{}", ended.stderr);
}

/// How many of the files that a process has open below `directory` are open for direct I/O.
fn direct_files(process: u32, directory: &Path) -> usize {
    let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let numbers = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let is_direct = |number: &String| {
        let path = fs::read_link(format!("/proc/{process}/fd/{number}"));
        let info = fs::read_to_string(format!("/proc/{process}/fdinfo/{number}"));
        let flags = info.ok().and_then(|info| {
            let line = info.lines().find_map(|line| line.strip_prefix("flags:"));
            u32::from_str_radix(line?.trim(), 8).ok()
        });
        path.is_ok_and(|path| path.starts_with(directory))
            && flags.is_some_and(|flags| flags & OFlags::DIRECT.bits() != 0)
    };
    numbers.filter(is_direct).count()
}

/// A source whose file system refuses: it says so, and copies.
#[test]
fn a_source_that_refuses_is_read_without() {
    let (directory, _, destination) = directory(0);
    let source = Path::new("/proc/version");
    let ended = copy(&["--direct"], source, &destination);
    ended.assert_success();
    let note = "note: no direct I/O for /proc/version: Invalid argument";
    assert!(ended.stderr.starts_with(note), "{}", ended.stderr);
    assert!(ended.stderr.contains("continuing without it"));
    assert!(!ended.stdout.contains("reads and"), "{}", ended.stdout);
    assert_eq!(fs::read(&destination).unwrap(), fs::read(source).unwrap());
    assert!(names(&directory).contains(&"destination".to_owned()));
}

/// A destination whose file system refuses: the same. Every file system that is always there for a
/// test takes direct I/O or takes no new files, so this mounts one.
#[test]
fn a_destination_that_refuses_is_written_without() {
    let (directory, source, _) = directory(200_001);
    let disk = directory.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let shell = ["unshare", "-m", "sh"];
    let mount = format!("mount -t ramfs ramfs '{}'", disk.display());
    let probe = in_shell(&shell, &mount, &Command::new("unused"));
    if !probe.is_ok_and(|probe| probe.code == Some(0)) {
        return println!("left out: it needs the right to mount a file system");
    }
    let mut command = example::command("copy");
    command.args(["--direct", "--chunk", "64K"]);
    command.arg(&source).arg(disk.join("destination"));
    let compare = format!(
        "cmp '{}' '{}/destination'",
        source.display(),
        disk.display()
    );
    let script = format!("{mount} && \"$@\" && {compare}");
    let ended = in_shell(&shell, &script, &command).unwrap();
    ended.assert_success();
    let refused = format!("note: no direct I/O for {}", disk.display());
    assert!(ended.stderr.contains(&refused), "{}", ended.stderr);
    assert!(!ended.stdout.contains("and writes"), "{}", ended.stdout);
    assert_eq!(ended.number("files equal           yes,"), 200_001.0);
}

/// Without `--direct` it is not even tried.
#[test]
fn not_unless_asked_for() {
    let (_directory, source, destination) = directory(100_000);
    let ended = copy(&[], &source, &destination);
    ended.assert_success();
    assert!(ended.stdout.contains("direct I/O            none\n"));
}
