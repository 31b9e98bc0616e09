//! Sets the linker arguments of the shared library.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let version = |part: &str| var(format!("CARGO_PKG_VERSION_{part}")).unwrap_or_default();
    match var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => {
            // Threads have their caches in the library, so it stays loaded until the process ends.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
            let soname = format!("libslabuf.so.{}", version("MAJOR"));
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");
        }
        Ok("macos") => {
            let name = format!("@rpath/libslabuf.{}.dylib", version("MAJOR"));
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,{name}");
        }
        _ => (),
    }
}
