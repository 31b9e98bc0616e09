//! The example `copy` as a program: copies, refusals, and the files left after a failure.

#[cfg(target_os = "linux")]
mod direct;
#[path = "../common/example.rs"]
mod example;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use example::Ended;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Returns bytes that depend on their position.
fn contents(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|at| (at.wrapping_mul(0x9E37_79B9) >> 24) as u8)
        .collect()
}

/// Creates a directory that contains a `source` of `len` bytes.
fn directory(len: usize) -> (TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    fs::write(&source, contents(len)).unwrap();
    let destination = directory.path().join("destination");
    (directory, source, destination)
}

fn copy(options: &[&str], source: &Path, destination: &Path) -> Ended {
    let mut command = example::command("copy");
    command.args(options).arg(source).arg(destination);
    command.output().unwrap().into()
}

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Asserts that the copy ends with code 1 and a message that contains `parts`.
#[track_caller]
fn refused(source: &Path, destination: &Path, parts: &[&str]) {
    let ended = copy(&[], source, destination);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "{part:?}: {}", ended.stderr);
    }
}

#[test]
fn files_of_all_lengths_arrive_whole() {
    for len in [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_000] {
        let (directory, source, destination) = directory(len);
        fs::set_permissions(&source, Permissions::from_mode(0o640)).unwrap();
        let ended = copy(&["--chunk", "64K", "--fsync"], &source, &destination);
        ended.assert_success();
        assert_eq!(fs::read(&destination).unwrap(), contents(len), "{len}");
        let mode = fs::metadata(&destination).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
        assert_eq!(ended.number("copied "), len as f64);
        assert_eq!(ended.number("files equal           yes,"), len as f64);
        assert_eq!(names(&directory), ["destination", "source"]);
    }
}

#[test]
fn an_old_destination_is_replaced_and_a_link_to_it_stays() {
    let (directory, source, destination) = directory(100_000);
    fs::write(&destination, b"old").unwrap();
    let link = directory.path().join("link");
    symlink(&destination, &link).unwrap();
    copy(&["--no-verify"], &source, &link).assert_success();
    assert!(link.is_symlink());
    assert_eq!(fs::read(&destination).unwrap(), contents(100_000));
    assert_eq!(names(&directory), ["destination", "link", "source"]);
}

#[test]
fn names_may_be_relative() {
    let (directory, _, destination) = directory(10);
    let mut command = example::command("copy");
    command.current_dir(&directory);
    let output = command.args(["source", "destination"]).output();
    Ended::from(output.unwrap()).assert_success();
    assert_eq!(fs::read(destination).unwrap(), contents(10));
}

#[test]
fn a_source_that_is_no_file_is_refused() {
    let (directory, source, destination) = directory(10);
    fs::remove_file(&source).unwrap();
    refused(
        &source,
        &destination,
        &["cannot read", "source", "No such file"],
    );
    refused(directory.path(), &destination, &["is a directory"]);
    refused(
        Path::new("/dev/zero"),
        &destination,
        &["not a regular file"],
    );
    assert!(names(&directory).is_empty());
}

#[test]
fn a_destination_that_cannot_be_written_is_refused() {
    let (directory, source, _) = directory(10);
    let inside = |name: &str| directory.path().join(name);
    refused(&source, directory.path(), &["is a directory"]);
    refused(&source, Path::new("/dev/null"), &["not a regular file"]);
    refused(
        &source,
        &inside("none/destination"),
        &["none/destination", "No such file"],
    );
    refused(&source, &inside("source/destination"), &["Not a directory"]);
    symlink(inside("none"), inside("dangling")).unwrap();
    refused(
        &source,
        &inside("dangling"),
        &["cannot write", "dangling", "No such file"],
    );
    // No user can create files there, not even root.
    if cfg!(target_os = "linux") {
        refused(
            &source,
            Path::new("/proc/destination"),
            &["cannot create", "/proc/destination"],
        );
    }
    assert_eq!(names(&directory), ["dangling", "source"]);
}

#[test]
fn a_file_is_not_copied_to_itself() {
    let (directory, source, _) = directory(10);
    let link = directory.path().join("link");
    symlink(&source, &link).unwrap();
    let twin = directory.path().join("twin");
    fs::hard_link(&source, &twin).unwrap();
    for destination in [&source, &link, &twin] {
        refused(&source, destination, &["are the same file"]);
        refused(destination, &source, &["are the same file"]);
    }
    assert_eq!(fs::read(&source).unwrap(), contents(10));
    assert_eq!(names(&directory), ["link", "source", "twin"]);
}

#[test]
fn bad_arguments_are_named_with_what_is_allowed() {
    let cases: [(&[&str], &[&str]); 14] = [
        (&[], &["0 given"]),
        (&["a"], &["1 given"]),
        (&["a", "b", "c"], &["3 given"]),
        (
            &["--chunk", "1000", "a", "b"],
            &["--chunk 1000", "65536 to 1073741824"],
        ),
        (&["--chunk", "0", "a", "b"], &["--chunk 0", "65536"]),
        (
            &["--chunk", "100K", "a", "b"],
            &["--chunk 102400", "steps of 65536"],
        ),
        (
            &["--chunk", "2G", "a", "b"],
            &["--chunk 2147483648", "1073741824"],
        ),
        (
            &["--limit", "512K", "a", "b"],
            &["--limit 524288", "1048576"],
        ),
        (
            &["--limit", "8X", "a", "b"],
            &["--limit 8X", "K, M, G or T"],
        ),
        (&["--limit", "-1", "a", "b"], &["--limit -1", "not a size"]),
        (
            &["--limit", "9999999999T", "a", "b"],
            &["9999999999T", "9223372036854775807"],
        ),
        (
            &["--write-rate", "0", "a", "b"],
            &["--write-rate 0", "1 byte"],
        ),
        (
            &["--no-backpressure", "--limit", "8M", "a", "b"],
            &["exclude each other"],
        ),
        (&["--frob", "a", "b"], &["--frob"]),
    ];
    for (arguments, parts) in cases {
        let output = example::command("copy").args(arguments).output();
        let ended = Ended::from(output.unwrap());
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        for part in parts.iter().chain(&["Usage: copy"]) {
            assert!(ended.stderr.contains(part), "{part:?}: {}", ended.stderr);
        }
    }
}

/// Runs `script` in a shell, with `arguments` as `"$@"`.
fn in_shell(shell: &[&str], script: &str, arguments: &Command) -> std::io::Result<Ended> {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", script, "sh"]);
    command
        .arg(arguments.get_program())
        .args(arguments.get_args());
    command.output().map(Ended::from)
}

#[test]
fn a_write_that_fails_leaves_nothing() {
    let (directory, source, destination) = directory(MIB);
    let mut command = example::command("copy");
    command.args(["--chunk", "64K"]);
    command.arg(&source).arg(&destination);
    // 200 blocks of 512 or 1024 bytes, depending on the shell.
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
    let ended = in_shell(&["sh"], script, &command).unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for part in ["cannot write to", "destination", "File too large", "after "] {
        assert!(ended.stderr.contains(part), "{part:?}: {}", ended.stderr);
    }
    assert_eq!(names(&directory), ["source"]);
}

#[test]
fn a_full_disk_is_named() {
    let (directory, source, _) = directory(3 * MIB);
    let disk = directory.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // A small disk in a private mount namespace, which ends with the shell.
    let shell = ["unshare", "-m", "sh"];
    let mount = format!("mount -t tmpfs -o size=1m tmpfs '{}'", disk.display());
    let probe = in_shell(&shell, &mount, &Command::new("unused"));
    if !probe.is_ok_and(|probe| probe.code == Some(0)) {
        return println!("left out: it needs the right to mount a file system");
    }
    let mut command = example::command("copy");
    command.arg(&source).arg(disk.join("destination"));
    let rest = format!("\"$@\"; code=$?; ls -A '{}'; exit $code", disk.display());
    let ended = in_shell(&shell, &format!("{mount} && {rest}"), &command).unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for part in ["cannot write to", "destination", "No space left on device"] {
        assert!(ended.stderr.contains(part), "{part:?}: {}", ended.stderr);
    }
    assert_eq!(ended.stdout, "", "what is left on the disk");
}

#[test]
fn an_interrupt_removes_the_partial_file() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (directory, source, destination) = directory(8 * MIB);
        let mut command = example::command("copy");
        command.args(["--chunk", "64K", "--write-rate", "256K"]);
        command.arg(&source).arg(&destination);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Waits until the partial file exists.
        while partial_len(&directory) == 0 {
            assert_eq!(child.try_wait().unwrap(), None, "it ended too early");
            thread::sleep(Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
        assert_eq!(names(&directory), ["source"]);
    }
}

fn partial_len(directory: &TempDir) -> u64 {
    let entries = fs::read_dir(directory.path()).unwrap();
    let partial = entries
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension() == Some(OsStr::new("part")));
    // It may be removed between the two calls.
    partial
        .and_then(|path| fs::metadata(path).ok())
        .map_or(0, |metadata| metadata.len())
}

#[test]
fn memory_stays_within_the_limit_however_slow_the_writer() {
    let (_directory, source, destination) = directory(4 * MIB);
    let options = ["--limit", "1M", "--chunk", "128K", "--write-rate", "16M"];
    let ended = copy(&options, &source, &destination);
    ended.assert_success();
    let limit = MIB as f64;
    assert!(ended.number("peak external") <= limit);
    assert!(ended.number("peak queue") <= limit);
    assert!(ended.number("peak queue") >= (128 * KIB) as f64);
    assert!(ended.number("peak rss above start") <= limit + (8 * MIB) as f64);
    assert_eq!(ended.number("files equal           yes,"), (4 * MIB) as f64);
}

#[test]
fn without_backpressure_the_queue_outgrows_it() {
    let (_directory, source, destination) = directory(4 * MIB);
    let options = ["--no-backpressure", "--chunk", "128K", "--write-rate", "4M"];
    let ended = copy(&options, &source, &destination);
    ended.assert_success();
    assert!(ended.number("peak queue") > MIB as f64);
    assert!(ended.number("peak external") > MIB as f64);
}
