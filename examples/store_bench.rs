//! What keeping and verifying a tree costs: `cargo run --release --example store_bench -- DIRECTORY…`
//!
//! Each directory is copied into a stage of a fresh store (below `$STORE_BENCH_DIR`, or the working directory), kept, kept
//! once more, and verified. Warm: everything was just written.
#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use mcpjail::packages::{Ecosystem, Installed, Release, Start};
use mcpjail::store::{Depth, Stage, Store, StoreError};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const TURNS: u32 = 31;

fn main() -> Result<(), Box<dyn Error>> {
    let above = std::env::var_os("STORE_BENCH_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dir = above.join(format!("store-bench-{}", std::process::id()));
    std::fs::create_dir(&dir)?;
    let store = Store::new(&dir.canonicalize()?);
    for source in std::env::args_os().skip(1) {
        measure(&store, Path::new(&source))?;
    }
    // Read-only directories are no matter for `rm` of their owner once they can be written.
    Command::new("chmod").args(["-R", "u+w"]).arg(&dir).status()?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn measure(store: &Store, source: &Path) -> Result<(), Box<dyn Error>> {
    let (stage, installed) = (filled(store, source)?, installed(source));
    let (kept, fresh) = timed(|| store.keep(stage, &installed))?;
    let stage = filled(store, source)?;
    let (_, again) = timed(|| store.keep(stage, &installed))?;
    let stage = filled(store, source)?;
    std::fs::write(stage.root().join("one-more"), "x")?;
    let (other, shared) = timed(|| store.keep(stage, &installed))?;
    let mut quick = Vec::new();
    for _ in 0..TURNS {
        quick.push(timed(|| store.verify(&kept.tree, Depth::Quick))?.1);
    }
    quick.sort_unstable();
    let (checked, deep) = timed(|| store.verify(&kept.tree, Depth::Deep))?;
    let after = store.verify(&kept.tree, Depth::Quick)?.hashed;
    let median = quick.get(quick.len() / 2).copied().unwrap_or_default();
    let least = quick.first().copied().unwrap_or_default();
    println!(
        "{}: {} paths, {} files, {:.1} MB; keep {fresh:.1?}, the same again {again:.1?}, all but one shared {shared:.1?} \
         ({:.1} MB); verify {median:.2?} (least {least:.2?}, per 3000 paths {:.2?}), deep {deep:.1?}, hashed after all \
         that: {after}",
        source.display(),
        checked.paths,
        kept.files,
        millions(kept.bytes),
        millions(other.shared),
        median * 3000 / u32::try_from(checked.paths)?,
    );
    Ok(())
}

fn millions(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 100_000).unwrap_or(u32::MAX)) / 10.0
}

fn timed<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<(T, Duration), StoreError> {
    let start = Instant::now();
    work().map(|done| (done, start.elapsed()))
}

fn filled(store: &Store, source: &Path) -> Result<Stage, Box<dyn Error>> {
    let stage = store.stage()?;
    let copied = Command::new("cp").arg("-a").arg(source).arg(stage.root().join("copy")).status()?;
    if copied.success() { Ok(stage) } else { Err("cp failed".into()) }
}

fn installed(source: &Path) -> Installed {
    let release = Release {
        ecosystem: Ecosystem::Local,
        name: source.display().to_string(),
        extras: Vec::new(),
        version: String::new(),
    };
    let start = Start::Program { path: "copy".into() };
    Installed { release, start, components: Vec::new(), skipped: Vec::new(), ran: Vec::new() }
}
