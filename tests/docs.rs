//! The documentation against the binary and the source: what is written must be so, and what can be typed must be written.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Every document that a person reads.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "docs/THREAT_MODEL.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "examples/mcpjail-check.yml",
];
/// Codes that `mcpjail help` lists although no error carries them: they stand in answers of a session that goes on.
const NEVER_CARRIED: &[&str] = &["bad-message", "legacy-server", "no-handshake", "no-host", "not-approved-item"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn document(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn command(home: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpjail"));
    command.env_clear().env("HOME", home).env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(home);
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

/// What mcpjail prints, which must be a success.
fn print(args: &[&str]) -> String {
    let output = command(&std::env::temp_dir(), args);
    assert!(output.status.success(), "mcpjail {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of `mcpjail help` between a heading and the next empty line.
fn section(help: &str, heading: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    lines.take_while(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn subcommands() -> BTreeSet<String> {
    let help = print(&["help"]);
    // names stand two columns in; continued descriptions stand further in
    let names = section(&help, "Commands:").into_iter().filter(|line| !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

fn codes() -> BTreeSet<String> {
    section(&print(&["help"]), "Error codes").into_iter().map(|line| line.trim().to_owned()).collect()
}

/// The long options of a subcommand, without the hyphens.
fn options(subcommand: &str) -> BTreeSet<String> {
    let help = print(&["help", subcommand]);
    let lines = section_until_blank_heading(&help);
    let option = |line: &str| {
        let at = line.find("--")?;
        let name: String = line[at + 2..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        (!name.is_empty()).then_some(name)
    };
    lines.iter().filter(|line| line.trim_start().starts_with('-')).filter_map(|line| option(line)).collect()
}

/// The options of a long help text: from `Options:` to the next line that stands at the margin.
fn section_until_blank_heading(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Options:").skip(1);
    lines.take_while(|line| line.is_empty() || line.starts_with(' ')).map(str::to_owned).collect()
}

/// Everything in a document that is code: inline, indented or fenced.
fn code(text: &str) -> Vec<String> {
    let (mut found, mut fenced) = (Vec::new(), false);
    for line in text.lines() {
        // a comment in code is prose, but for what is indented in it
        let comment = line.trim_start().strip_prefix("# ").filter(|_| text.starts_with("# A workflow"));
        if let Some(prose) = comment {
            found.extend(prose.strip_prefix("    ").map(str::to_owned));
            found.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
        } else if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            found.push(line.trim().to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// The fenced blocks of one kind.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let start = format!("```{kind}\n");
    text.split(&start).skip(1).filter_map(|rest| rest.split("```").next().map(str::to_owned)).collect()
}

#[test]
fn every_option_is_written_down() {
    let manual = print(&["man"]).replace("\\-", "-");
    let readme = document("README.md");
    for subcommand in subcommands() {
        for option in options(&subcommand) {
            let flag = format!("--{option}");
            assert!(manual.contains(&flag) || readme.contains(&flag), "`{flag}` of `{subcommand}`");
        }
    }
    // a parser that finds nothing would find nothing wrong
    assert!(options("run").contains("deny-write"), "{:?}", options("run"));
}

#[test]
fn every_code_is_explained() {
    let codes = codes();
    assert!(codes.contains("protected-path"), "{codes:?}");
    for code in &codes {
        let text = print(&["help", code]);
        let about = text.strip_prefix(code.as_str()).unwrap_or_else(|| panic!("{code}: {text}")).trim();
        assert!(about.len() > 15, "{code}: {text}");
    }
}

#[test]
fn every_rule_is_explained() {
    let rules = section(&print(&["help"]), "Rules of the inspectors");
    let ids: Vec<&str> = rules.iter().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(ids.contains(&"hidden-tag-text") && ids.len() == mcpjail::inspect::RULES.len(), "{ids:?}");
    let codes = codes();
    for id in ids {
        assert!(!codes.contains(id), "`{id}` is a rule and a code: one of them cannot be explained");
        let text = print(&["help", id]);
        assert!(text.starts_with(id) && text.len() > 100, "{id}: {text}");
    }
}

#[test]
fn answers_carry_the_codes_that_are_listed_as_theirs() {
    let mut sources = String::new();
    for folder in ["src/gate", "src/relay"] {
        for entry in fs::read_dir(path(folder)).unwrap() {
            sources.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    for code in NEVER_CARRIED {
        assert!(sources.contains(&format!("\"{code}\"")), "no answer carries `{code}`");
    }
}

/// What stands in quotes in the bodies of all `fn code`.
fn carried() -> BTreeSet<String> {
    fn files(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path, into),
                false => into.push(path),
            }
        }
    }
    let mut sources = Vec::new();
    files(&path("src"), &mut sources);
    let mut found = BTreeSet::new();
    for source in sources {
        let text = fs::read_to_string(source).unwrap();
        for body in text.split("fn code(&self) -> &'static str {").skip(1) {
            let body = body.split("\n    }\n").next().unwrap_or_default();
            found.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

#[test]
fn help_lists_the_codes_that_errors_carry() {
    let (listed, carried) = (codes(), carried());
    let unlisted: Vec<_> = carried.difference(&listed).collect();
    assert!(unlisted.is_empty(), "carried by errors and not listed: {unlisted:?}");
    let idle: Vec<_> = listed.difference(&carried).filter(|code| !NEVER_CARRIED.contains(&code.as_str())).collect();
    assert!(idle.is_empty(), "listed and carried by no error: {idle:?}");
}

#[test]
fn the_profile_of_the_readme_is_valid() {
    let readme = document("README.md");
    let profile = blocks(&readme, "toml").into_iter().next().expect("a profile in the README");
    assert!(profile.lines().count() <= 13, "{profile}");
    let home = tempfile::tempdir().unwrap();
    // a temporary directory may lie behind a symlink
    let home = home.path().canonicalize().unwrap();
    fs::create_dir_all(home.join("notes/templates")).unwrap();
    let file = home.join("notes.toml");
    fs::write(&file, profile.replace("/home/user", home.to_str().unwrap())).unwrap();
    let notes = home.join("notes");
    let args = ["explain", "--profile", file.to_str().unwrap(), "--", "/bin/cat", notes.to_str().unwrap()];
    let output = command(&home, &args);
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{error}");
    for (rights, what) in [("read+write", notes.to_str().unwrap()), ("read", &format!("{}/templates", notes.display()))]
    {
        let stands = text.lines().map(words).any(|line| line.starts_with(&format!("{rights} {what} ")));
        assert!(stands, "no line `{rights} {what}` in\n{text}");
    }
    assert!(text.contains("NODE_ENV") && text.contains("512 MiB"), "{text}");
}

#[test]
fn the_network_rules_of_the_readme_are_rules() {
    let readme = document("README.md");
    let profile = blocks(&readme, "toml").into_iter().find(|block| block.contains("[jail.network]")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("network.toml");
    fs::write(&file, &profile).unwrap();
    let output = command(home.path(), &["explain", "--json", "--profile", file.to_str().unwrap(), "--", "/bin/cat"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rules = json["network"]["rules"].as_array().unwrap();
    assert!(rules.len() >= 7, "{rules:?}");
    for rule in rules {
        let to = rule["to"].as_str().unwrap();
        assert!(profile.contains(&format!("\"{to}\"")), "`{to}` does not stand there as it is read");
        assert_eq!(rule["dangerous"], false);
    }
    // What is called dangerous is, and what is shown as the way to say it works.
    let section = readme.split_once("\n## Network").unwrap().1.split_once("\n## ").unwrap().0;
    let text = section.split_once("**Dangerous**").unwrap().1.split("\n\n").next().unwrap();
    let mut seen = 0;
    for rule in code(text).iter().filter(|code| code.starts_with('*')) {
        let output = command(home.path(), &["explain", "--net", rule, "--", "/bin/cat"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("error[dangerous-network-rule]"), "{rule}: {error}");
        seen += 1;
    }
    let line = code(text).into_iter().find(|code| code.starts_with("{ to")).unwrap();
    fs::write(&file, format!("version = 1\n[jail.network]\nallow = [{line}]\n")).unwrap();
    let output = command(home.path(), &["explain", "--profile", file.to_str().unwrap(), "--", "/bin/cat"]);
    assert!(output.status.success() && seen >= 2, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_configurations_of_the_readme_are_json() {
    let blocks = blocks(&document("README.md"), "json");
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        serde_json::from_str::<serde_json::Value>(&block).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
}

#[test]
fn built_in_profiles_are_the_files() {
    let names: BTreeSet<String> =
        print(&["profiles"]).lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
    let files: BTreeSet<String> = fs::read_dir(path("profiles"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, files);
    for name in names {
        assert_eq!(print(&["profiles", &name]), document(&format!("profiles/{name}.toml")), "{name}");
    }
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let help = words(&print(&["help"]));
    let list = help.split_once("Exit codes: ").unwrap().1.split_once(". ").unwrap().0;
    let readme = document("README.md");
    let table = readme.split_once("## Exit codes").unwrap().1.split_once("\n\n## ").unwrap().0;
    let rows: Vec<(&str, &str)> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
        .filter(|(code, _)| code.parse::<u8>().is_ok())
        .collect();
    let listed: Vec<(&str, &str)> = list.split(", ").map(|item| item.split_once(' ').unwrap()).collect();
    assert_eq!(listed.len(), rows.len(), "{listed:?} {rows:?}");
    for ((code, meaning), (row, text)) in listed.iter().zip(&rows) {
        assert_eq!(code, row);
        assert!(text.starts_with(meaning), "{code}: the help says {meaning:?}, the README {text:?}");
    }
}

#[test]
fn documents_name_only_subcommands_and_options_that_exist() {
    let known = subcommands();
    let mut seen = BTreeSet::new();
    for name in DOCUMENTS {
        for fragment in code(&document(name)) {
            for rest in fragment.split("mcpjail ").skip(1) {
                let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
                if word.is_empty() || word.starts_with('-') {
                    continue;
                }
                assert!(known.contains(&word), "{name} names `mcpjail {word}` in `{fragment}`");
                let options = options(&word);
                // what follows a lone `--` is the server's
                let own = rest.split(" -- ").next().unwrap_or_default();
                for flag in own.split_whitespace().filter_map(|word| word.strip_prefix("--")) {
                    let flag = flag.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
                    assert!(options.contains(flag), "{name}: `mcpjail {word}` has no `--{flag}`");
                }
                seen.insert(word);
            }
        }
    }
    assert!(seen.contains("run") && seen.contains("explain"), "{seen:?}");
}

#[test]
fn links_lead_somewhere() {
    for name in DOCUMENTS {
        let text = document(name);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("https://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let linked = match file {
                "" => path(name),
                file => path(name).parent().unwrap().join(file),
            };
            assert!(linked.exists(), "{name} links to {target}");
            if !anchor.is_empty() {
                let text = fs::read_to_string(linked).unwrap();
                let slug = |line: &str| {
                    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
                    let line: String =
                        line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect();
                    line.replace(' ', "-")
                };
                let stands = text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
                assert!(stands, "{name} links to {target}");
            }
        }
    }
}

/// `NUMBER-NAME` of every case of the attack suite and the egress suite, but those of number 54, which are made of a table.
fn cases() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in ["tests/attacks", "tests/egress"].iter().flat_map(|suite| fs::read_dir(path(suite)).unwrap()) {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for rest in text.split("number: ").skip(1) {
            let Some((number, rest)) = rest.split_once(',') else { continue };
            let name = rest.trim_start().strip_prefix("name: \"").and_then(|rest| rest.split('"').next());
            if let (Ok(number), Some(name)) = (number.parse::<u8>(), name.filter(|name| !name.is_empty())) {
                found.insert(format!("{number:02}-{name}"));
            }
        }
        // launches have their numbers in their names
        let bare = text.split('"').map(|text| text.strip_prefix("tierB::").unwrap_or(text));
        for quoted in bare.filter_map(|text| text.split_once("::")) {
            let digits = quoted.0.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 2 && quoted.0[2..].starts_with('-') && !quoted.0.contains('{') {
                found.insert(quoted.0.to_owned());
            }
        }
    }
    found
}

#[test]
fn the_threat_model_names_every_attack_and_no_other() {
    let numbered = |fragment: &String| {
        let mut bytes = fragment.bytes();
        let digits = bytes.by_ref().take(2).filter(u8::is_ascii_digit).count();
        digits == 2 && bytes.next() == Some(b'-') && !fragment.contains(':')
    };
    let named: BTreeSet<String> = code(&document("docs/THREAT_MODEL.md")).into_iter().filter(numbered).collect();
    let suite = cases();
    assert!(suite.len() > 80, "{suite:?}");
    let unnamed: Vec<_> = suite.difference(&named).collect();
    assert!(unnamed.is_empty(), "in the suite and not in the threat model: {unnamed:?}");
    let layers = document("tests/attacks/layers.rs");
    let gone = named.difference(&suite).filter(|name| {
        let broken = name.strip_prefix("54-").and_then(|name| name.rsplit_once('-'));
        broken.is_none_or(|(calls, _)| !layers.contains(&format!("\"{}\"", calls.replace('+', " "))))
    });
    assert_eq!(gone.collect::<Vec<_>>(), Vec::<&String>::new(), "in the threat model and not in the suite");
}

#[test]
fn the_threat_model_names_trials_of_packages_that_exist() {
    let mut trials = String::new();
    for entry in fs::read_dir(path("tests/packages")).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            trials.push_str(&fs::read_to_string(file).unwrap());
        }
    }
    let text = document("docs/THREAT_MODEL.md");
    let rows = text.split_once("`tests/packages`").unwrap().1.split_once("Real servers stand").unwrap().0;
    let named: Vec<String> =
        code(rows).into_iter().filter(|code| code.contains("::") && !code.contains("GROUP")).collect();
    assert!(named.len() > 30, "{named:?}");
    for name in named {
        assert!(trials.contains(&format!("\"{name}\"")), "no trial is called `{name}`");
    }
}

#[test]
fn what_the_threat_model_shows_of_etc_is_in_the_default_profile() {
    let profile = print(&["profiles", "default"]);
    let text = document("docs/THREAT_MODEL.md");
    let mounts = blocks(&text, "text").into_iter().find(|block| block.starts_with("$ mount")).unwrap();
    let shown: Vec<&str> = mounts.split(" on ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
    assert!(shown.contains(&"/usr"), "{shown:?}");
    for path in shown.into_iter().filter(|path| path.starts_with("/etc/")) {
        assert!(profile.contains(&format!("\"{path}\"")), "`{path}` is no longer granted by default: print it again");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest: toml::Table = document("Cargo.toml").parse().unwrap();
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut add = |table: Option<&toml::Value>| {
        names.extend(table.and_then(toml::Value::as_table).into_iter().flat_map(|table| table.keys().cloned()));
    };
    add(manifest.get("dependencies"));
    add(manifest.get("dev-dependencies"));
    for target in manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|table| table.values()) {
        add(target.get("dependencies"));
    }
    let changelog = document("CHANGELOG.md");
    let reasons = changelog.split_once("### Dependencies").unwrap().1.split("\n## ").next().unwrap();
    for name in &names {
        assert!(reasons.contains(&format!("`{name}`")), "`{name}` has no reason in the changelog");
    }
}
