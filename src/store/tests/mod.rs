//! The store as a whole: kept, verified, tampered with, collected, killed.

mod collected;
mod committed;
mod crash;
mod kept;
mod listed;
mod room;
mod tamper;
mod together;

use super::*;
use crate::packages::{Component, Ecosystem, LocalRequest, Start};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

/// A store in a directory of its own.
struct World {
    dir: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(&dir.path().canonicalize().unwrap());
        World { dir, store }
    }

    /// A stage with a few files of every kind; `name` is in one of them.
    fn stage(&self, name: &str) -> Stage {
        stage(&self.store, name)
    }

    fn keep(&self, name: &str) -> Kept {
        self.store.keep(self.stage(name), &installed(name)).unwrap()
    }

    fn path(&self, tree: &Digest, path: &str) -> PathBuf {
        self.store.tree_dir(tree).join(path)
    }

    /// Everything below the store but locks: what an add that failed must not change.
    fn inventory(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut todo = vec![self.store.data_dir.clone()];
        while let Some(path) = todo.pop() {
            if path.symlink_metadata().unwrap().is_dir() {
                todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.file_name().unwrap() != "lock" && path.extension().is_none_or(|end| end != "busy") {
                found.push(path.strip_prefix(&self.store.data_dir).unwrap().to_string_lossy().into_owned());
            }
        }
        found.sort();
        found
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // As an ordinary user the read-only directories would stay.
        let _ = remove::remove(&self.store.dir());
    }
}

fn stage(store: &Store, name: &str) -> Stage {
    let stage = store.stage().unwrap();
    let root = stage.root();
    fs::create_dir_all(root.join("node_modules/dep/lib")).unwrap();
    fs::create_dir(root.join("node_modules/empty")).unwrap();
    fs::write(root.join("package.json"), format!("{{\"name\": \"{name}\"}}")).unwrap();
    fs::write(root.join("node_modules/dep/lib/shared.js"), "the same in all of them\n".repeat(1000)).unwrap();
    fs::write(root.join("node_modules/dep/nothing"), "").unwrap();
    fs::write(root.join("node_modules/dep/run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("node_modules/dep/run.sh"), Permissions::from_mode(0o755)).unwrap();
    symlink("dep/lib/shared.js", root.join("node_modules/link")).unwrap();
    fs::write(stage.meta().join("package-lock.json"), format!("lock of {name}")).unwrap();
    fs::write(stage.scratch().join("cache"), "not kept").unwrap();
    stage
}

fn installed(name: &str) -> Installed {
    Installed {
        release: release(name),
        start: Start::Node { options: vec![], script: "package.json".into() },
        components: vec![Component {
            name: name.into(),
            version: "1.0.0".into(),
            hashes: vec![],
            license: None,
            depends: vec![],
        }],
        skipped: vec![],
        ran: vec![],
    }
}

fn release(name: &str) -> Release {
    Release { ecosystem: Ecosystem::Npm, name: name.into(), extras: vec![], version: "1.0.0".into() }
}

fn record(name: &str, tree: Digest, before: Option<Digest>) -> Record {
    let request = Request::Local(LocalRequest { command: vec![name.into()] });
    Record {
        version: 1,
        release: release(name),
        tree,
        start: Start::Program { path: name.into() },
        request: request.clone(),
        scripts: vec![],
        network: vec![],
        at: "2026-11-21T00:00:00Z".into(),
        before: before.map(|tree| Before { release: release(name), tree, request, at: "2026-11-20T00:00:00Z".into() }),
    }
}

fn write_record(store: &Store, record: &Record, name: &str) {
    let claim = store.claim(name).unwrap();
    let text = serde_json::to_string(record).unwrap();
    store.commit(&claim, &[Change::Write { path: store.record_path(name), text }]).unwrap();
}
