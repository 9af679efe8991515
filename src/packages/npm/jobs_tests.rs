use super::*;
use std::path::Path;

fn place() -> Place {
    let path = |name: &str| PathBuf::from(format!("/s/{name}"));
    let (root, home, temporary) = (path("root"), path("home"), path("tmp"));
    Place { root, home, temporary, cache: path("cache"), script: path("script") }
}

fn given() -> Given {
    Given {
        env: vec![("NPM_TOKEN".into(), "secret".into()), ("npm_config_userconfig".into(), "/h/.npmrc".into())],
        grants: vec![("/h/.npmrc".into(), Access::Read)],
        ..Given::default()
    }
}

fn to(host: &str) -> Written {
    Written { to: host.into(), ..Written::default() }
}

fn config() -> Config {
    Config {
        registry: "https://r.test/".into(),
        origins: vec!["r.test:443".into()],
        network: vec![to("r.test:443")],
        grants: vec![("/ca.pem".into(), Access::Read)],
        nodedir: None,
        globalconfig: None,
    }
}

fn has(job: &Job, word: &str) -> bool {
    job.argv.iter().any(|other| other == word)
}

fn access(job: &Job, path: &str) -> Option<Access> {
    job.grants.iter().find(|(granted, _)| granted == Path::new(path)).map(|(_, access)| *access)
}

#[test]
fn what_talks_to_the_registry_runs_nothing_of_a_package() {
    let (place, given) = (place(), given());
    let bench = Bench { place: &place, given: &given, path: OsStr::new("/bin"), offline: false };
    let more = [to("cdn.test:443")];
    for job in [bench.resolve(&config(), &["@s/x@^1".into()], &more), bench.unpack(&config(), &more)] {
        assert!(has(&job, "--ignore-scripts=true") && !has(&job, "--ignore-scripts=false"));
        assert_eq!(job.network, [to("r.test:443"), to("cdn.test:443")]);
        assert_eq!(access(&job, "/h/.npmrc"), Some(Access::Read));
        assert_eq!(access(&job, "/ca.pem"), Some(Access::Read));
        assert_eq!(access(&job, "/s/root"), Some(Access::Write));
        assert!(job.grants.iter().all(|(_, access)| !matches!(access, Access::Exec | Access::WriteAndExec)));
        assert!(job.env.iter().any(|(name, _)| name == "NPM_TOKEN"));
    }
    let job = bench.resolve(&config(), &["@s/x@^1".into()], &more);
    assert_eq!(job.argv[job.argv.len() - 2..], ["--", "@s/x@^1"]);
    assert_eq!(bench.configuration().network, []);
}

#[test]
fn offline_there_is_no_network() {
    let (place, given) = (place(), given());
    let bench = Bench { place: &place, given: &given, path: OsStr::new("/bin"), offline: true };
    for job in [bench.resolve(&config(), &["x@1".into()], &[to("a:1")]), bench.unpack(&config(), &[to("a:1")])] {
        assert!(has(&job, "--offline=true") && has(&job, "--allow-git=none") && has(&job, "--git=/bin/false"));
        assert_eq!(job.network, []);
    }
}

#[test]
fn install_scripts_get_no_credentials_no_registry_and_no_shared_cache() {
    let (place, given) = (place(), given());
    let bench = Bench { place: &place, given: &given, path: OsStr::new("/bin"), offline: false };
    let job = bench.scripts("x", Path::new("node_modules/x"), None, &[]);
    // by where it lies: other packages may go by its name
    assert_eq!(job.argv.last().unwrap(), "./node_modules/x/");
    assert!(!has(&job, "x"));
    assert!(has(&job, "--ignore-scripts=false") && !has(&job, "--ignore-scripts=true"));
    assert_eq!(job.network, []);
    assert!(job.env.iter().all(|(name, value)| name != "NPM_TOKEN" && value != "secret" && value != "/h/.npmrc"));
    for (path, expected) in [
        ("/h/.npmrc", None),
        ("/s/cache", None),
        ("/s/home", None),
        ("/s/tmp", None),
        ("/s/root", Some(Access::Exec)),
        ("/s/script", Some(Access::WriteAndExec)),
        ("/s/root/node_modules/x", Some(Access::WriteAndExec)),
    ] {
        assert_eq!(access(&job, path), expected, "{path}");
    }
    let job = bench.scripts("x", Path::new("node_modules/x"), None, &[to("github.com:443")]);
    assert_eq!(job.network, [to("github.com:443")]);
}

#[test]
fn an_audit_prints_json_and_fixes_nothing() {
    let (place, given) = (place(), given());
    let job = Bench { place: &place, given: &given, path: OsStr::new("/bin"), offline: false }.audit(&config());
    assert!(has(&job, "--json=true") && has(&job, "--package-lock-only=true"));
    assert!(!has(&job, "fix") && !has(&job, "--json=false") && !has(&job, "--audit=false"));
    assert_eq!(job.network, [to("r.test:443")]);
}

#[test]
fn no_setting_can_take_the_next_word_for_its_value() {
    assert!(SETTINGS.iter().all(|setting| setting.starts_with("--") && setting.contains('=')));
}
