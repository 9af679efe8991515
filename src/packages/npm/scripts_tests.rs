use super::*;
use crate::packages::npm::manifest::Manifest;
use crate::packages::npm::package_lock::Entry;
use std::os::unix::fs::symlink;

fn fixture(packages: &[(&str, &str, &[&str])]) -> (Lock, Vec<Part>) {
    let mut entries = BTreeMap::new();
    let mut parts = Vec::new();
    for (path, name, scripts) in packages {
        let (name, version) = ((*name).to_owned(), "1.0.0".to_owned());
        let depends = BTreeSet::new();
        entries.insert(
            (*path).to_owned(),
            Entry { archive: name.clone(), name, version, hashes: Vec::new(), license: None, optional: false, depends },
        );
        let scripts = scripts.iter().map(|script| (*script).into()).collect();
        parts.push(Part { path: (*path).into(), manifest: Manifest { scripts, ..Manifest::default() } });
    }
    (Lock { direct: BTreeMap::new(), entries }, parts)
}

#[test]
fn only_what_was_named_may_run() {
    let (lock, parts) = fixture(&[
        ("node_modules/a", "a", &["build a"]),
        ("node_modules/alias", "b", &["build b"]),
        ("node_modules/c/node_modules/b", "b", &["build b"]),
        ("node_modules/c", "c", &[]),
    ]);
    let (allowed, skipped) = sorted_out(&lock, &parts, &[]).unwrap();
    assert_eq!(allowed, []);
    let shown: Vec<_> = skipped.iter().map(|script| (script.package.as_str(), script.command.as_str())).collect();
    assert_eq!(shown, [("a", "build a"), ("b", "build b")]);
    let (allowed, skipped) = sorted_out(&lock, &parts, &["b".into(), "b".into()]).unwrap();
    assert_eq!((allowed.len(), skipped.len()), (1, 1));
    assert_eq!(allowed[0].directories, [PathBuf::from("node_modules/alias"), "node_modules/c/node_modules/b".into()]);
    assert_eq!(allowed[0].names, BTreeSet::from(["b".into()]));
    for name in ["c", "alias", "gone"] {
        match sorted_out(&lock, &parts, &[name.into()]).unwrap_err() {
            PackageError::NoSuchScript { known, .. } => assert_eq!(known, ["a", "b"]),
            other => panic!("{other:?}"),
        }
    }
}

/// Whoever bundles something under a well-known name does not get its scripts run by that name.
#[test]
fn what_is_bundled_is_its_archives() {
    let bundled = "node_modules/evil/node_modules/sharp";
    let (mut lock, parts) = fixture(&[
        ("node_modules/sharp", "sharp", &["build"]),
        (bundled, "sharp", &["steal"]),
        ("node_modules/evil", "evil", &[]),
    ]);
    lock.entries.get_mut(bundled).unwrap().archive = "evil".into();
    let (allowed, skipped) = sorted_out(&lock, &parts, &["sharp".into()]).unwrap();
    assert_eq!(allowed[0].directories, [PathBuf::from("node_modules/sharp")]);
    assert_eq!(skipped, [Script { package: "evil".into(), command: "steal".into() }]);
    let (allowed, _) = sorted_out(&lock, &parts, &["evil".into()]).unwrap();
    assert_eq!((allowed[0].directories.clone(), allowed[0].names.len()), (vec![PathBuf::from(bundled)], 1));
}

#[test]
fn a_change_outside_of_a_package_is_found() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir_all(path("node_modules/a/sub")).unwrap();
    fs::create_dir_all(path("node_modules/b")).unwrap();
    fs::write(path("node_modules/b/x.js"), "1").unwrap();
    symlink("x.js", path("node_modules/b/link")).unwrap();
    let except = [PathBuf::from("node_modules/a")];
    let changes: [(&dyn Fn(), Option<&str>); 5] = [
        (&|| fs::write(path("node_modules/a/sub/new"), "x").unwrap(), None),
        (&|| fs::write(path("node_modules/b/x.js"), "2").unwrap(), Some("node_modules/b/x.js")),
        (&|| fs::write(path("new"), "x").unwrap(), Some("new")),
        (&|| fs::remove_file(path("node_modules/b/link")).unwrap(), Some("node_modules/b")),
        (
            &|| fs::set_permissions(path("new"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap(),
            Some("new"),
        ),
    ];
    for (change, expected) in changes {
        let before = stamps(root.path(), &except).unwrap();
        // Times of files move with the kernel's clock, which has ticks.
        let settled = fs::metadata(path("node_modules/b/x.js")).unwrap().ctime_nsec();
        while fs::write(path("tick"), "").is_ok() && fs::metadata(path("tick")).unwrap().ctime_nsec() == settled {}
        fs::remove_file(path("tick")).unwrap();
        change();
        let after = stamps(root.path(), &except).unwrap();
        assert_eq!(difference(&before, &after), expected.map(Path::new));
    }
}

#[test]
fn leftovers_of_a_build_go_and_its_result_stays() {
    let root = tempfile::tempdir().unwrap();
    let build = root.path().join("p/build");
    fs::create_dir_all(build.join("Release/.deps/x")).unwrap();
    fs::create_dir_all(build.join("Release/obj.target")).unwrap();
    fs::create_dir_all(build.join("node_gyp_bins")).unwrap();
    symlink("/usr/bin/python3", build.join("node_gyp_bins/python3")).unwrap();
    for name in ["Makefile", "x.target.mk", "binding.Makefile", "Release/x.a", "Release/x.node", "kept.js"] {
        fs::write(build.join(name), "").unwrap();
    }
    // Another tool's directory of that name is left as it is.
    clear_build(root.path(), Path::new("p")).unwrap();
    assert!(build.join("Makefile").exists());
    fs::write(build.join("config.gypi"), "").unwrap();
    clear_build(root.path(), Path::new("p")).unwrap();
    let mut left: Vec<_> = fs::read_dir(&build).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["Release", "kept.js"]);
    assert_eq!(fs::read_dir(build.join("Release")).unwrap().count(), 1);
}

#[test]
fn leftovers_are_not_looked_for_behind_a_link() {
    let root = tempfile::tempdir().unwrap();
    let other = root.path().join("other");
    fs::create_dir_all(&other).unwrap();
    for name in ["config.gypi", "Makefile", "x.a"] {
        fs::write(other.join(name), "").unwrap();
    }
    // What is removed with all that lies in it, in the place of a project of the person's.
    fs::create_dir_all(other.join("obj/precious")).unwrap();
    fs::create_dir_all(other.join("build/Release/obj")).unwrap();
    fs::write(other.join("build/config.gypi"), "").unwrap();
    let package = root.path().join("package");
    fs::create_dir(&package).unwrap();
    let clear = |package: &str| clear_build(root.path(), Path::new(package)).unwrap();
    symlink(&other, package.join("build")).unwrap();
    clear("package");
    fs::remove_file(package.join("build")).unwrap();
    fs::create_dir(package.join("build")).unwrap();
    fs::write(package.join("build/config.gypi"), "").unwrap();
    symlink(&other, package.join("build/Release")).unwrap();
    symlink(&other, package.join("build/node_gyp_bins")).unwrap();
    clear("package");
    fs::create_dir(package.join("node_modules")).unwrap();
    symlink(&other, package.join("node_modules/own")).unwrap();
    clear("package/node_modules/own");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 5);
    assert!(other.join("obj/precious").is_dir() && other.join("build/Release/obj").is_dir());
}
