use super::*;
use crate::packages::npm::package_lock::Entry;
use std::fs;

fn entry(name: &str, version: &str, depends: &[&str]) -> Entry {
    Entry {
        archive: name.into(),
        name: name.into(),
        version: version.into(),
        hashes: Vec::new(),
        license: None,
        optional: false,
        depends: depends.iter().map(|name| (*name).into()).collect(),
    }
}

fn lock(entries: &[(&str, Entry)]) -> Lock {
    let entries = entries.iter().map(|(path, entry)| ((*path).into(), entry.clone())).collect();
    Lock { direct: BTreeMap::new(), entries }
}

fn put(root: &Path, path: &str, manifest: &str) {
    fs::create_dir_all(root.join(path)).unwrap();
    fs::write(root.join(path).join("package.json"), manifest).unwrap();
}

#[test]
fn components_are_what_lies_on_the_disk() {
    let root = tempfile::tempdir().unwrap();
    let mut other_system = entry("native-win32", "1.0.0", &["in-it"]);
    other_system.optional = true;
    let lock = lock(&[
        ("node_modules/server", entry("server", "2.0.0", &["b", "alias", "native-win32", "gone"])),
        ("node_modules/b", entry("b", "1.0.0", &["c"])),
        ("node_modules/alias", entry("c", "3.0.0", &[])),
        ("node_modules/c", entry("c", "1.0.0", &["b"])),
        ("node_modules/server/node_modules/b", entry("b", "1.0.0", &["c"])),
        ("node_modules/native-win32", other_system),
        ("node_modules/native-win32/node_modules/in-it", entry("in-it", "1.0.0", &[])),
    ]);
    for path in lock.entries.keys().filter(|path| !path.contains("win32")) {
        put(root.path(), path, r#"{"license":"ISC"}"#);
    }
    let parts = on_disk(root.path(), &lock).unwrap();
    let found = components(&lock, &parts, "node_modules/server");
    let shown: Vec<String> = found.iter().map(|c| format!("{}@{} {:?}", c.name, c.version, c.depends)).collect();
    assert_eq!(shown, ["server@2.0.0 [1, 3]", "b@1.0.0 [2]", "c@1.0.0 [1]", "c@3.0.0 []"]);
    assert_eq!(found[0].license.as_deref(), Some("ISC"));
}

#[test]
fn what_must_be_there_and_is_not_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let lock = lock(&[("node_modules/a", entry("a", "1.0.0", &[]))]);
    assert!(matches!(on_disk(root.path(), &lock), Err(PackageError::Malformed { .. })));
    fs::create_dir_all(root.path().join("elsewhere")).unwrap();
    put(root.path(), "elsewhere", "{}");
    fs::create_dir_all(root.path().join("node_modules")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", root.path().join("node_modules/a")).unwrap();
    assert!(matches!(on_disk(root.path(), &lock), Err(PackageError::Malformed { .. })));
}
