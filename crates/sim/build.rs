//! Builds again when a scenario comes or goes: `include_dir` alone would not notice.

fn main() {
    println!("cargo::rerun-if-changed=scenarios");
}
