use super::*;

fn context(home: &Path, env: &[(&str, &str)]) -> Context {
    let env: BTreeMap<OsString, OsString> = env.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Context { cwd: home.to_owned(), home: home.to_owned(), path: "/nowhere".into(), env }
}

fn rules(config: &Config) -> Vec<&str> {
    assert!(config.network.iter().all(|written| written.private && !written.dangerous && !written.raw));
    config.network.iter().map(|written| written.to.as_str()).collect()
}

fn names(given: &Given) -> Vec<&str> {
    given.env.iter().map(|(name, _)| name.to_str().unwrap()).collect()
}

#[test]
fn without_a_configuration_it_is_the_public_registry() {
    let home = tempfile::tempdir().unwrap();
    let given = Given::of(&context(home.path(), &[("AWS_SECRET", "x"), ("NPM_TOKEN", "x")]), &[]);
    assert_eq!((given.env.len(), given.grants.len()), (0, 0));
    let config = Config::read(br#"{"registry":"https://registry.npmjs.org/","https-proxy":null}"#, &given).unwrap();
    assert_eq!(rules(&config), ["registry.npmjs.org:443"]);
    assert_eq!(config.origins, ["registry.npmjs.org:443"]);
}

#[test]
fn a_configuration_gives_registries_and_only_the_variables_that_it_names() {
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("client.key");
    std::fs::write(&key, "").unwrap();
    std::fs::write(
        home.path().join(".npmrc"),
        "; a comment with ${NOT_THIS}\n@acme:registry = https://user:${ACME_PW}@npm.acme.test:8443/x/\n\
         //npm.acme.test:8443/x/:_authToken=${ACME_TOKEN?}\n//npm.acme.test:8443/x/:keyfile=~/client.key\n\
         //npm.acme.test:8443/x/:certfile=/nowhere\nhttps-proxy=http://u:p@proxy.test:3128\nx=${PATH}${bad name}\n",
    )
    .unwrap();
    let env =
        [("ACME_TOKEN", "t"), ("ACME_PW", "p"), ("NOT_THIS", "x"), ("OTHER", "x"), ("HTTP_PROXY", "plain.test:80")];
    let given = Given::of(&context(home.path(), &env), &[]);
    assert_eq!(names(&given), ["npm_config_userconfig", "HTTP_PROXY", "ACME_PW", "ACME_TOKEN"]);
    assert!(given.grants.contains(&(key, Access::Read)));
    assert!(given.grants.iter().all(|(path, access)| path.exists() && *access == Access::Read));
    // npm tells nothing that has a password in it.
    let config = Config::read(br#"{"registry":"https://registry.npmjs.org/"}"#, &given).unwrap();
    assert_eq!(rules(&config), ["npm.acme.test:8443", "plain.test:80", "proxy.test:3128", "registry.npmjs.org:443"]);
    assert_eq!(config.origins, ["npm.acme.test:8443", "registry.npmjs.org:443"]);
}

#[test]
fn another_default_registry_takes_the_place_of_the_public_one() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".npmrc"), "registry=https://u:secret@one.test/\n").unwrap();
    let given = Given::of(&context(home.path(), &[]), &[]);
    let config = Config::read(b"{}", &given).unwrap();
    assert_eq!((rules(&config), config.registry.as_str()), (vec!["one.test:443"], "https://one.test/"));
    // What npm says goes before what the files say.
    let config = Config::read(br#"{"registry":"http://127.0.0.1:4873/"}"#, &given).unwrap();
    assert_eq!(rules(&config), ["localhost:4873"]);
    // A lock that names the public registry is good: npm asks the configured one for it.
    assert_eq!(config.origins, ["localhost:4873", "registry.npmjs.org:443"]);
}

#[test]
fn variables_of_npm_are_passed_but_not_those_of_another_place() {
    let home = tempfile::tempdir().unwrap();
    let env = [
        ("npm_config_local_prefix", "/x"),
        ("npm_config_cache", "/x"),
        ("NPM_CONFIG_LOGS-DIR", "/x"),
        ("npm_config_node_options", "--require=/x"),
        ("NPM_CONFIG_REGISTRY", "https://env.test"),
        ("npm_config_//env.test/:_authToken", "t"),
        ("npm_lifecycle_event", "x"),
        ("PREFIX", "/x"),
    ];
    let given = Given::of(&context(home.path(), &env), &[]);
    assert_eq!(names(&given), ["NPM_CONFIG_REGISTRY", "npm_config_//env.test/:_authToken"]);
    let config = Config::read(b"{}", &given).unwrap();
    assert_eq!(rules(&config), ["env.test:443"]);
}

#[test]
fn the_persons_file_may_lie_elsewhere_and_be_a_link() {
    let home = tempfile::tempdir().unwrap();
    let real = home.path().canonicalize().unwrap().join("dotfiles");
    std::fs::write(&real, "registry=https://linked.test/\n").unwrap();
    std::os::unix::fs::symlink(&real, home.path().join("rc")).unwrap();
    let given = Given::of(&context(home.path(), &[("NPM_CONFIG_USERCONFIG", "rc")]), &[]);
    assert_eq!(given.env, [("npm_config_userconfig".into(), real.clone().into_os_string())]);
    assert_eq!(given.grants, [(real, Access::Read)]);
    assert_eq!(rules(&Config::read(b"{}", &given).unwrap()), ["linked.test:443"]);
}

#[test]
fn a_registry_that_no_rule_can_name_is_an_error_without_its_password() {
    let home = tempfile::tempdir().unwrap();
    let given = Given::of(&context(home.path(), &[]), &[]);
    for registry in ["ftp://u:secret@x.test/", "https://169.254.169.254/", "https://bad_host!/"] {
        let listed = format!(r#"{{"registry":"{registry}"}}"#);
        let error = Config::read(listed.as_bytes(), &given).unwrap_err();
        assert!(matches!(error, PackageError::Malformed { .. }), "{registry}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for listed in ["", "[]", "npm warn"] {
        assert!(matches!(Config::read(listed.as_bytes(), &given), Err(PackageError::Malformed { .. })));
    }
}

#[test]
fn headers_are_where_the_configuration_or_the_installation_has_them() {
    let home = tempfile::tempdir().unwrap();
    let given = Given::of(&context(home.path(), &[]), &[]);
    std::fs::create_dir_all(home.path().join("include/node")).unwrap();
    let listed = format!(r#"{{"nodedir":"/nowhere","prefix":"{}"}}"#, home.path().display());
    assert_eq!(Config::read(listed.as_bytes(), &given).unwrap().nodedir, None);
    std::fs::write(home.path().join("include/node/node_version.h"), "").unwrap();
    assert_eq!(Config::read(listed.as_bytes(), &given).unwrap().nodedir.as_deref(), Some(home.path()));
}
