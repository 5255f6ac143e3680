//! Builds again when a file of the catalogue comes or goes: `include_dir` alone would not notice.

fn main() {
    println!("cargo::rerun-if-changed=catalogue");
    println!("cargo::rerun-if-changed=errors");
}
