//! Call sites of samples in a program without symbols.

use slabuf::Pool;
use std::env;
use std::fs;
use std::process::Command;

const CHILD: &str = "SLABUF_STRIPPED_CHILD";

/// The C library's functions, which start every program, still have names.
#[test]
fn the_site_in_a_stripped_program_is_unknown() {
    if env::var_os(CHILD).is_some() {
        let pool = Pool::builder().sample(1).build().unwrap();
        let held = pool.alloc(100);
        println!("site: {}.", pool.live_samples()[0].site());
        drop(held);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("stripped");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    match Command::new("strip").arg(&program).status() {
        Ok(status) => assert!(status.success(), "{status}"),
        Err(error) => {
            println!("left out: no `strip` ({error})");
            return;
        }
    }
    let mut command = Command::new(&program);
    command.args(["--exact", "the_site_in_a_stripped_program_is_unknown"]);
    let output = command.arg("--nocapture").env(CHILD, "1").output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.contains("site: unknown."), "{stdout}");
}
