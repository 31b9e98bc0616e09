//! Sets the linker arguments of a Node addon, and compiles `src/store.cc` if Node's headers and a
//! C++ compiler are installed.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    napi_build::setup();
    for variable in ["NODE", "PATH", "npm_config_nodedir"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    for file in ["build.rs", "headers.mjs", "src/store.cc"] {
        println!("cargo:rerun-if-changed={file}");
    }
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // V8 frees memory through this library's code after Node has unloaded the addon.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    match headers() {
        Some(directory) => compile(&directory),
        None => without("Node's C++ headers (node.h) were not found"),
    }
}

/// Returns the directory of Node's headers, as `headers.mjs` finds it.
fn headers() -> Option<PathBuf> {
    let node = env::var_os("NODE").unwrap_or_else(|| "node".into());
    let output = Command::new(node).arg("headers.mjs").output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    match directory.trim() {
        "" => None,
        found => Some(found.into()),
    }
}

fn compile(headers: &PathBuf) {
    let compiled = cc::Build::new()
        .cpp(true)
        .std("c++20")
        .flag_if_supported("-fno-exceptions")
        .flag_if_supported("-fno-rtti")
        .flag_if_supported("-Wno-unused-parameter")
        .include(headers)
        .file("src/store.cc")
        .cargo_warnings(false)
        .try_compile("slabuf_store");
    match compiled {
        Ok(()) => println!("cargo:rustc-cfg=backing_stores"),
        Err(error) => without(&format!("src/store.cc did not compile: {error}")),
    }
}

fn without(reason: &str) {
    println!(
        "cargo:warning={reason}. The addon will use Node-API alone, which is slower, and leaks \
         the buffers that a worker holds when it ends"
    );
}
