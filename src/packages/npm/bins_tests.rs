use super::*;
use std::os::unix::fs::symlink;

/// A root with one package `@s/server`, whose files are these.
fn package(manifest: Manifest, files: &[(&str, &str)]) -> (tempfile::TempDir, Package) {
    let root = tempfile::tempdir().unwrap();
    let directory = PathBuf::from("node_modules/@s/server");
    for (path, text) in files {
        let path = root.path().join(&directory).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir_all(root.path().join(&directory)).unwrap();
    (root, Package { name: "@s/server".into(), directory, manifest })
}

fn bins(programs: &[(&str, &str)]) -> Manifest {
    let bins = programs.iter().map(|(name, path)| ((*name).into(), (*path).into())).collect();
    Manifest { name: "@s/server".into(), bins, ..Manifest::default() }
}

fn script(start: Start) -> String {
    let Start::Node { options, script } = start else { panic!("{start:?}") };
    format!("{} {}", options.join(" "), script.display()).trim().to_owned()
}

const JS: &str = "#!/usr/bin/env node\n";

#[test]
fn the_program_is_chosen_as_npx_chooses_it() {
    let files = [("a.js", JS), ("b.js", JS)];
    for (programs, expected) in [
        (vec![("x", "./a.js")], Some("a.js")),
        (vec![("x", "a.js"), ("y", "a.js")], Some("a.js")),
        (vec![("x", "a.js"), ("server", "b.js")], Some("b.js")),
        (vec![("x", "a.js"), ("y", "b.js")], None),
        (vec![("x", "/lib/../a.js")], Some("a.js")),
    ] {
        let (root, package) = package(bins(&programs), &files);
        let found = start(root.path(), &[package], None, &[]);
        match expected {
            Some(path) => assert_eq!(script(found.unwrap()), format!("node_modules/@s/server/{path}")),
            None => assert!(matches!(found, Err(PackageError::SeveralEntries { .. }))),
        }
    }
    let (root, package) = package(bins(&[]), &files);
    assert!(matches!(start(root.path(), &[package], None, &[]), Err(PackageError::NoEntry { .. })));
}

#[test]
fn a_program_may_be_asked_for_and_be_of_another_package() {
    let (root, main) = package(bins(&[("x", "a.js"), ("y", "b.js")]), &[("a.js", JS), ("b.js", JS)]);
    let other = Package { name: "other".into(), manifest: bins(&[("z", "a.js")]), ..main.clone() };
    let packages = [main, other];
    assert_eq!(script(start(root.path(), &packages, Some("y"), &[]).unwrap()), "node_modules/@s/server/b.js");
    assert_eq!(script(start(root.path(), &packages, Some("z"), &[]).unwrap()), "node_modules/@s/server/a.js");
    match start(root.path(), &packages, Some("w"), &[]).unwrap_err() {
        PackageError::NoSuchEntry { programs, .. } => assert_eq!(programs, ["x", "y"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_that_leads_out_or_is_no_file_is_refused() {
    for path in ["../../../x", "a/../../other.js", "..", ".", "", "link.js", "linked/x.js", "dir", "gone.js"] {
        let (root, package) = package(bins(&[("x", path)]), &[("dir/x.js", JS)]);
        let directory = root.path().join(&package.directory);
        fs::write(root.path().join("x"), JS).unwrap();
        fs::write(directory.parent().unwrap().join("other.js"), JS).unwrap();
        symlink("dir/x.js", directory.join("link.js")).unwrap();
        symlink("dir", directory.join("linked")).unwrap();
        let found = start(root.path(), &[package], None, &[]);
        assert!(matches!(found, Err(PackageError::Malformed { .. })), "{path}: {found:?}");
    }
}

#[test]
fn directories_bin_names_programs_by_their_files() {
    let manifest = Manifest { bin_directory: Some("./bin".into()), ..bins(&[]) };
    let (root, package) = package(manifest, &[("bin/one.js", JS), ("bin/.hidden", JS), ("bin/sub/x.js", JS)]);
    assert_eq!(script(start(root.path(), &[package.clone()], None, &[]).unwrap()), "node_modules/@s/server/bin/one.js");
    let manifest = Manifest { bin_directory: Some("../../..".into()), ..bins(&[]) };
    let leads_out = Package { manifest, ..package };
    assert!(matches!(start(root.path(), &[leads_out], None, &[]), Err(PackageError::Malformed { .. })));
}

#[test]
fn what_is_not_javascript_is_a_program_and_gets_its_bit() {
    let (root, package) = package(bins(&[("x", "x.sh")]), &[("x.sh", "#!/bin/sh\nexit\n")]);
    let path = root.path().join(&package.directory).join("x.sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let found = start(root.path(), &[package], None, &[]).unwrap();
    assert_eq!(found, Start::Program { path: "node_modules/@s/server/x.sh".into() });
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0o111);
}

#[test]
fn kinds() {
    let node = |options: &[&str]| Kind::Node(options.iter().map(|word| (*word).to_owned()).collect());
    for (head, path, expected) in [
        ("#!/usr/bin/env node\r\nx", "x", node(&[])),
        (
            "#!/usr/bin/env -S node --no-warnings --max-old-space-size=1\nx",
            "x",
            node(&["--no-warnings", "--max-old-space-size=1"]),
        ),
        ("#!/usr/bin/env -S A=B node\n", "x", node(&[])),
        ("#! /usr/local/bin/node --x\n", "x.mjs", node(&["--x"])),
        ("#!/usr/bin/env bun\n", "x.js", Kind::Program),
        ("#!/usr/bin/env nodemon\n", "x.js", Kind::Program),
        ("#!\n", "x.js", Kind::Program),
        ("\x7fELF", "x.js", Kind::Program),
        ("import x", "x.mjs", node(&[])),
        ("import x", "x", Kind::Unknown),
        ("", "x.txt", Kind::Unknown),
    ] {
        assert_eq!(kind(head.as_bytes(), Path::new(path)), expected, "{head:?}");
    }
}

#[test]
fn options_that_were_asked_for_go_first() {
    let (root, package) = package(bins(&[("x", "x.js")]), &[("x.js", "#!/usr/bin/env -S node --own\n")]);
    let found = start(root.path(), &[package], None, &["--asked".into()]).unwrap();
    assert_eq!(script(found), "--asked --own node_modules/@s/server/x.js");
}
