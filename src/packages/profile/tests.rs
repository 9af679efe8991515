use super::*;
use crate::config::{Flags, Locations, Variables, load_server};
use crate::packages::Ecosystem;
use proptest::prelude::*;
use std::ffi::OsString;

fn release(version: &str) -> Release {
    Release { ecosystem: Ecosystem::Npm, name: "@scope/server".into(), extras: Vec::new(), version: version.into() }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn full() -> Draft {
    Draft {
        package: Some(release("1.2.3")),
        args: strings(&["--root", "/home/me/notes"]),
        read: strings(&["~/notes"]),
        write: strings(&["/srv/a b"]),
        exec: strings(&["/opt/tool"]),
        list: strings(&["/srv"]),
        deny_write: strings(&["/srv/a b/.env"]),
        proposed: strings(&["/home/me/project"]),
        network: strings(&["api.example.com:443"]),
        loopback: true,
        pass: strings(&["API_KEY", "LC_*"]),
        set: vec![("MODE".into(), "x".into()), ("MODE".into(), "y".into())],
        uses: strings(&["node"]),
    }
}

/// Loads a profile as `mcpjail run` does; `package` and `args` are read by the loader of packages.
fn loaded(text: &str) -> crate::config::Profile {
    let dir = tempfile::tempdir().unwrap();
    let loc = Locations {
        config_dir: dir.path().join("config"),
        data_dir: dir.path().join("data"),
        state_dir: dir.path().join("state"),
        cache_dir: dir.path().join("cache"),
        policy: dir.path().join("policy.toml"),
        administrator: 0,
        user_runtime_dir: None,
        home: "/home/me".into(),
        uid: std::os::unix::fs::MetadataExt::uid(&dir.path().metadata().unwrap()),
    };
    let file = loc.server("s");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text).unwrap();
    let layers = load_server("s", &Flags::default(), &loc).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let args: Vec<OsString> = Vec::new();
    let variables = Variables::new("/", "/home/me", args);
    layers.finish("native", &variables).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The value of a key, by TOML's own parser.
fn value<'a>(table: &'a ::toml::Table, path: &str) -> Option<&'a ::toml::Value> {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let value = table.get(first)?;
    if rest.is_empty() { Some(value) } else { self::value(value.as_table()?, rest) }
}

fn array_of(table: &::toml::Table, path: &str) -> Vec<String> {
    let values = value(table, path).and_then(|value| value.as_array()).cloned().unwrap_or_default();
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_full_profile() {
    let text = text(&full());
    let expected = r##"# Nothing is granted but what stands here; `mcpjail explain NAME` shows all of it.
version = 1
package = "npm:@scope/server@1.2.3"
args = ["--root", "/home/me/notes"]
use = ["node"]

[jail.files]
read = ["~/notes"]
write = ["/srv/a b"]
exec = ["/opt/tool"]
list = ["/srv"]
deny-write = ["/srv/a b/.env"]
# The server was given these paths and cannot reach them; take the `#` away, `read` is the other choice:
# write = ["/srv/a b", "/home/me/project"] # in place of the `write` above

[jail.network]
allow = ["api.example.com:443"]
loopback = true

[jail.env]
pass = ["API_KEY", "LC_*"]
set = { MODE = "y" }
"##;
    assert_eq!(text, expected);
    assert!(text.lines().count() <= 30);
}

#[test]
fn an_empty_profile_says_what_is_denied_and_how_to_grant_it() {
    let text = text(&Draft { package: Some(release("1")), ..Draft::default() });
    assert!(text.lines().count() <= 16, "{text}");
    for piece in ["No file", "read = [", "No host", "allow = [", "No variable", "pass = ["] {
        assert!(text.contains(piece), "{piece}");
    }
    let table: ::toml::Table = text.parse().unwrap();
    assert_eq!(value(&table, "package").unwrap().as_str(), Some("npm:@scope/server@1"));
    assert!(value(&table, "args").is_none());
}

#[test]
fn the_loader_of_profiles_takes_what_is_written() {
    // `package` and `args` are checked by name below; everything else goes through the real loader.
    let own = Draft { package: None, args: Vec::new(), ..full() };
    let profile = loaded(&text(&own));
    let path =
        |list: &[crate::config::PathGrant], path: &str| list.iter().any(|grant| grant.path.to_str() == Some(path));
    assert!(path(&profile.files.read, "/home/me/notes"));
    assert!(path(&profile.files.write, "/srv/a b"));
    assert!(path(&profile.files.exec, "/opt/tool"));
    assert!(path(&profile.files.list, "/srv"));
    assert!(path(&profile.files.deny_write, "/srv/a b/.env"));
    assert!(!path(&profile.files.write, "/home/me/project"));
    assert_eq!(profile.network.allow.len(), 1);
    assert!(profile.network.loopback.value);
    assert!(profile.env.pass.iter().any(|name| name.value == "API_KEY"));
    assert!(profile.env.set.iter().any(|(name, value)| name == "MODE" && value.value == "y"));
    assert!(loaded(&text(&Draft::default())).network.allow.is_empty());
}

#[test]
fn what_examples_in_comments_show_is_a_profile() {
    // The lines that a person is told to uncomment must be right.
    let draft = Draft { proposed: strings(&["/home/me/project", "/x\n\"y"]), ..Draft::default() };
    let text = text(&draft);
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.strip_prefix("# write = ").map_or(line, |_| line.trim_start_matches("# ")))
        .collect();
    let profile = loaded(&lines.join("\n"));
    assert!(profile.files.write.iter().any(|grant| grant.path.to_str() == Some("/home/me/project")));
    assert!(profile.files.write.iter().any(|grant| grant.path.to_str() == Some("/x\n\"y")));
}

#[test]
fn hostile_words_stay_words() {
    let words = strings(&[
        "\"]\ndangerous = true\n#",
        "'''",
        "\\",
        "\u{1b}[2J",
        "a\r\nb\0\u{7f}",
        "\u{202e}gpj",
        "\t",
        "",
        "ü 🦀",
        "#",
    ]);
    let draft = Draft {
        package: Some(Release { version: "1\"\nx".into(), ..release("") }),
        args: words.clone(),
        proposed: words.clone(),
        set: words.iter().map(|word| (word.clone(), word.clone())).collect(),
        pass: words.clone(),
        ..Draft::default()
    };
    let text = text(&draft);
    let table: ::toml::Table = text.parse().unwrap();
    assert_eq!(array_of(&table, "args"), words);
    assert_eq!(array_of(&table, "jail/env/pass"), words);
    assert_eq!(value(&table, "jail/env/set").unwrap().as_table().unwrap().len(), words.len());
    assert!(value(&table, "dangerous").is_none() && value(&table, "jail/files/write").is_none());
    assert!(text.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202e}')), "{text}");
}

#[test]
fn long_arrays_are_wrapped() {
    let args: Vec<String> = (0..40).map(|index| format!("--argument-{index}")).collect();
    let text = text(&Draft { args: args.clone(), ..Draft::default() });
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!(text.lines().count() <= 30, "{text}");
    assert_eq!(array_of(&text.parse().unwrap(), "args"), args);
    // A value that is longer than any line has one of its own.
    let long = vec!["x".repeat(300), "y".into()];
    let text = super::text(&Draft { args: long.clone(), ..Draft::default() });
    assert_eq!(array_of(&text.parse().unwrap(), "args"), long);
}

#[test]
fn only_the_package_changes() {
    let text = text(&full()).replace("\n\n", "\r\n\t\n# package = \"no\"\n");
    let changed = with_package(&text, &release("2.0.0")).unwrap();
    assert_eq!(changed, text.replace("npm:@scope/server@1.2.3", "npm:@scope/server@2.0.0"));
    for (before, after) in [
        ("package='npm:a@1' # mine\n", "package=\"npm:@scope/server@2\" # mine\n"),
        ("  package = \"\"\"npm:a@1\"\"\"", "  package = \"npm:@scope/server@2\""),
        ("\"package\" = \"x\"\n[jail]\n", "\"package\" = \"npm:@scope/server@2\"\n[jail]\n"),
        (
            "args = [\"\"\"\npackage = \"x\"\n\"\"\"]\npackage = \"y\"\n",
            "args = [\"\"\"\npackage = \"x\"\n\"\"\"]\npackage = \"npm:@scope/server@2\"\n",
        ),
    ] {
        assert_eq!(with_package(before, &release("2")).as_deref(), Some(after));
    }
    for without in [
        "",
        "version = 1\n",
        "# package = \"x\"\n",
        "[jail]\npackage = \"x\"\n",
        "package = 1\n",
        "package = \"x",
        "][",
    ] {
        assert_eq!(with_package(without, &release("2")), None, "{without}");
    }
}

#[test]
fn what_a_host_is_given() {
    let entry = host_entry("notes", "/usr/local/bin/mcpjail", &strings(&["API_KEY", "LC_*", "TOKEN"]));
    let expected = r#"  "notes": {
    "command": "/usr/local/bin/mcpjail",
    "args": ["run", "notes"],
    "env": {
      "API_KEY": "<API_KEY>",
      "TOKEN": "<TOKEN>"
    }
  }
"#;
    assert_eq!(entry, expected);
    assert_eq!(host_entry("n", "p", &[]), "  \"n\": {\n    \"command\": \"p\",\n    \"args\": [\"run\", \"n\"]\n  }\n");
}

fn draft() -> impl Strategy<Value = Draft> {
    let words = || proptest::collection::vec(any::<String>(), 0..6);
    (words(), words(), words(), words(), proptest::collection::vec((any::<String>(), any::<String>()), 0..4)).prop_map(
        |(args, read, proposed, pass, set)| Draft {
            package: Some(release("1")),
            args,
            read,
            proposed,
            pass,
            set,
            ..Draft::default()
        },
    )
}

proptest! {
    #[test]
    fn every_profile_is_toml_and_holds_what_it_was_given(draft in draft()) {
        let table: ::toml::Table = text(&draft).parse().unwrap();
        prop_assert_eq!(array_of(&table, "args"), draft.args);
        prop_assert_eq!(array_of(&table, "jail/files/read"), draft.read);
        prop_assert_eq!(array_of(&table, "jail/env/pass"), draft.pass);
        for (name, _) in &draft.set {
            let last = draft.set.iter().rev().find(|(other, _)| other == name).unwrap();
            prop_assert_eq!(value(&table, "jail/env/set").unwrap().get(name).and_then(|value| value.as_str()), Some(last.1.as_str()));
        }
    }

    #[test]
    fn every_entry_is_json(name in any::<String>(), program in any::<String>(), pass in proptest::collection::vec(any::<String>(), 0..4)) {
        let text = format!("{{\"mcpServers\": {{\n{}}}}}", host_entry(&name, &program, &pass));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let entry = &json["mcpServers"][&name];
        prop_assert_eq!(entry["command"].as_str(), Some(program.as_str()));
        prop_assert_eq!(entry["args"][1].as_str(), Some(name.as_str()));
        for variable in pass.iter().filter(|name| !name.contains('*') && !name.is_empty()) {
            prop_assert!(entry["env"][variable].is_string());
        }
    }
}
