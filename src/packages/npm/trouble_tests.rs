use super::*;
use std::time::Duration;

fn job() -> Job {
    Job {
        name: "npm ci".into(),
        argv: Vec::new(),
        env: Vec::new(),
        cwd: "/r".into(),
        grants: Vec::new(),
        network: Vec::new(),
        timeout: Duration::from_secs(7),
    }
}

fn done(status: i32, stderr: &str) -> Done {
    let stderr = stderr.to_owned();
    Done { status, stdout: Vec::new(), stderr, refused: Vec::new(), out_of_memory: false, timed_out: false }
}

fn error(stderr: &str) -> PackageError {
    let about = About { package: "main", registry: "https://r.test/npm/", root: Path::new("/r") };
    of(&job(), &done(1, stderr), &about).unwrap()
}

/// Both spellings: npm 10 changed its prefix.
fn both(stderr: &str) -> [PackageError; 2] {
    [error(stderr), error(&stderr.replace("npm error", "npm ERR!").replace("npm warn", "npm WARN"))]
}

#[test]
fn a_package_that_does_not_exist() {
    let text = "npm error code E404\nnpm error 404 Not Found - GET https://r.test/@s%2fgone - Not found\nnpm error 404\n\
                npm error 404  The requested resource '@s/gone@1.0.0' could not be found or you do not have permission to access it.\n\
                npm error A complete log of this run can be found in: /x\n";
    for error in both(text) {
        match error {
            PackageError::NoPackage { name, registry } => {
                assert_eq!((name.as_str(), registry.as_str()), ("@s/gone", "r.test"))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_version_that_does_not_exist() {
    let text = "npm error code ETARGET\nnpm error notarget No matching version found for @s/x@^99.0.0.\n\
                npm error notarget In most cases you or one of your dependencies are requesting\n";
    for error in both(text) {
        match error {
            PackageError::NoVersion { name, version, .. } => {
                assert_eq!((name.as_str(), version.as_str()), ("@s/x", "^99.0.0"))
            }
            other => panic!("{other:?}"),
        }
    }
    match error(
        "npm error code ETARGET\nnpm error notarget No matching version found for x@1.0.0 with a date before 1/1/2020.\n",
    ) {
        PackageError::NoVersion { name, version, .. } => assert_eq!((name.as_str(), version.as_str()), ("x", "1.0.0")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_archive_that_was_changed() {
    let text = "npm warn tarball tarball data for dep@https://r.test/dep/-/dep-1.0.0.tgz (sha512-AAA) seems to be corrupted. Trying again.\n\
                npm error code EINTEGRITY\nnpm error sha512-AAA integrity checksum failed when using sha512: wanted sha512-AAA but got sha512-BBB. (9 bytes)\n";
    for error in both(text) {
        match error {
            PackageError::Integrity { name, detail } => {
                assert_eq!(name, "dep");
                assert!(detail.contains("wanted sha512-AAA but got sha512-BBB"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn connections_that_did_not_come_about() {
    for code in ["ECONNREFUSED", "ENOTFOUND", "SELF_SIGNED_CERT_IN_CHAIN", "E503", "ERR_TLS_CERT_ALTNAME_INVALID"] {
        let text = format!(
            "npm error code {code}\nnpm error syscall connect\nnpm error errno {code}\n\
             npm error FetchError: request to https://user:secret@r.test/x failed, reason: no\n"
        );
        match error(&text) {
            PackageError::Unreachable { registry, detail, .. } => {
                assert_eq!(registry, "r.test");
                assert!(detail.contains("reason: no") && !detail.contains("secret"), "{detail}");
            }
            other => panic!("{other:?}"),
        }
    }
    let about = About { package: "main", registry: "https://r.test/", root: Path::new("/r") };
    let mut ended = done(1, "npm error code ENOTFOUND\n");
    ended.refused = vec!["cdn.test:443".into()];
    match of(&job(), &ended, &about).unwrap() {
        PackageError::Unreachable { registry, detail, refused } => {
            assert_eq!((registry.as_str(), detail.as_str(), refused.len()), ("r.test", "ENOTFOUND", 1));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_other_codes() {
    assert!(matches!(error("npm error code ENOSPC\nnpm error nospc no space\n"), PackageError::DiskFull { .. }));
    assert!(
        matches!(error("npm error code E401\nnpm error 401 Unauthorized\n"), PackageError::Denied { detail, .. } if detail == "Unauthorized")
    );
    match error(
        "npm error code ENOTCACHED\nnpm error request to https://r.test/@s%2fdep failed: cache mode is 'only-if-cached'\n",
    ) {
        PackageError::Offline { name } => assert_eq!(name, "@s/dep"),
        other => panic!("{other:?}"),
    }
    match error(
        "npm error code EBADPLATFORM\nnpm error notsup Unsupported platform for x@1.0.0: wanted {\"os\":\"win32\"}\n",
    ) {
        PackageError::Unfit { name, .. } => assert_eq!(name, "x"),
        other => panic!("{other:?}"),
    }
    match error(
        "npm error code 128\nnpm error An unknown git error occurred\nnpm error command git --no-replace-objects ls-remote ssh://git@github.com/x/y.git\n",
    ) {
        PackageError::Unpinned { from, .. } => assert_eq!(from, "ssh://github.com/x/y.git"),
        other => panic!("{other:?}"),
    }
    match error(
        "npm error code EALLOWGIT\nnpm error Fetching packages of type \"git\" have been disabled\nnpm error Refusing to fetch \"words@git+https://u:p@x.test/y.git\"\n",
    ) {
        PackageError::Unpinned { name, from } => {
            assert_eq!((name.as_str(), from.as_str()), ("words", "git+https://x.test/y.git"));
        }
        other => panic!("{other:?}"),
    }
    match error(
        "npm error code ERESOLVE\nnpm error ERESOLVE unable to resolve dependency tree\nnpm error \x1b[31mred\n",
    ) {
        PackageError::Failed { said, status: 1, .. } => {
            assert_eq!(said, ["ERESOLVE", "unable to resolve dependency tree", "\\u{1b}[31mred"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn words_that_a_registry_chose_name_no_package() {
    match error("npm error code E404\nnpm error 404 The requested resource '../../etc@1' could not be found\n") {
        PackageError::NoPackage { name, .. } => assert_eq!(name, "main"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_end_without_words() {
    let about = About { package: "main", registry: "", root: Path::new("/r") };
    assert!(of(&job(), &done(0, "npm error code E404\n"), &about).is_none());
    let mut late = done(137, "");
    late.timed_out = true;
    assert!(matches!(of(&job(), &late, &about), Some(PackageError::TimedOut { seconds: 7, .. })));
    let mut fat = done(137, "");
    fat.out_of_memory = true;
    match of(&job(), &fat, &about) {
        Some(PackageError::Failed { said, status: 137, .. }) => assert_eq!(said.len(), 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_script_that_failed_is_told_in_its_own_words() {
    let text =
        "npm warn something\nmake: *** [x.o] Error 1\n\nnpm error code 2\nnpm error path /r/x\ngyp ERR! build error\n";
    match of_script(&job(), &done(2, text), "x").unwrap() {
        PackageError::ScriptFailed { said, .. } => {
            assert_eq!(said, ["make: *** [x.o] Error 1", "gyp ERR! build error"])
        }
        other => panic!("{other:?}"),
    }
    assert!(of_script(&job(), &done(0, text), "x").is_none());
}

#[test]
fn packages_for_another_node_are_remarked_on() {
    let text = "npm warn EBADENGINE Unsupported engine {\nnpm warn EBADENGINE   package: 'x@1.0.0',\n\
                npm warn EBADENGINE   required: { node: '>=22' },\nnpm warn EBADENGINE   current: { node: 'v20' }\nnpm warn EBADENGINE }\n";
    assert_eq!(warnings(text), ["`x@1.0.0` asks for node >=22"]);
    assert!(warnings("npm warn deprecated x").is_empty());
}
