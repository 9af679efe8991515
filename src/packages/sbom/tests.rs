use super::*;
use crate::packages::{Release, Script, Start};
use proptest::prelude::*;
use serde_json::Value;

fn tree() -> Digest {
    Digest(std::array::from_fn(|index| u8::try_from(index).unwrap() | 0xf0))
}

fn hash(algorithm: &str, digits: usize) -> Hash {
    Hash { algorithm: algorithm.into(), hex: "ab".repeat(digits / 2) }
}

fn component(name: &str, version: &str, depends: &[usize]) -> Component {
    Component {
        name: name.into(),
        version: version.into(),
        hashes: Vec::new(),
        license: None,
        depends: depends.to_vec(),
    }
}

fn installed(components: Vec<Component>) -> Installed {
    Installed {
        release: Release {
            ecosystem: Ecosystem::Npm,
            name: "@s/server".into(),
            extras: Vec::new(),
            version: "1.2.3".into(),
        },
        start: Start::Node { options: Vec::new(), script: "x.js".into() },
        components,
        skipped: vec![Script { package: "esbuild".into(), command: "node install.js".into() }],
        ran: vec!["sqlite3".into()],
    }
}

fn bom(installed: &Installed) -> Value {
    let text = cyclonedx("notes", &tree(), installed, "2026-11-21T06:00:00Z");
    assert!(text.ends_with("}\n"));
    let value: Value = serde_json::from_str(&text).unwrap();
    valid(&value);
    value
}

/// Members that an object may have, and those that it must.
fn members(value: &Value, must: &[&str], may: &[&str]) {
    let object = value.as_object().unwrap();
    for name in must {
        assert!(object.contains_key(*name), "{name} is missing in {value}");
    }
    for name in object.keys() {
        assert!(must.contains(&name.as_str()) || may.contains(&name.as_str()), "{name} is not in the schema");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// What bom-1.6.schema.json demands of the parts that are written here: required members, no other ones, enumerations,
/// patterns, and that references are unique and lead somewhere.
fn valid(bom: &Value) {
    members(bom, &["bomFormat", "specVersion"], &["serialNumber", "version", "metadata", "components", "dependencies"]);
    assert_eq!((text(&bom["bomFormat"]), text(&bom["specVersion"])), ("CycloneDX", "1.6"));
    assert!(bom["version"].as_u64().unwrap() >= 1);
    let uuid = text(&bom["serialNumber"]).strip_prefix("urn:uuid:").unwrap();
    let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert!(uuid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-')));
    members(&bom["metadata"], &[], &["timestamp", "tools", "component", "properties"]);
    members(&bom["metadata"]["tools"], &[], &["components"]);
    for tool in bom["metadata"]["tools"]["components"].as_array().unwrap() {
        members(tool, &["type", "name"], &["version"]);
    }
    for property in bom["metadata"]["properties"].as_array().unwrap() {
        members(property, &["name", "value"], &[]);
    }
    let mut references = BTreeSet::new();
    for component in std::iter::once(&bom["metadata"]["component"]).chain(bom["components"].as_array().unwrap()) {
        members(component, &["type", "name"], &["bom-ref", "group", "version", "hashes", "licenses", "purl"]);
        assert!(["application", "library"].contains(&text(&component["type"])));
        assert!(!text(&component["bom-ref"]).is_empty() && text(&component["purl"]).starts_with("pkg:"));
        assert!(references.insert(text(&component["bom-ref"]).to_owned()), "{component} twice");
        for hash in component.get("hashes").and_then(Value::as_array).into_iter().flatten() {
            members(hash, &["alg", "content"], &[]);
            assert!(["MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"].contains(&text(&hash["alg"])));
            assert!([32, 40, 64, 96, 128].contains(&text(&hash["content"]).len()));
        }
        for license in component.get("licenses").and_then(Value::as_array).into_iter().flatten() {
            members(license, &[], &["license", "expression"]);
            if let Some(license) = license.get("license") {
                members(license, &[], &["id", "name"]);
                assert_eq!(license.as_object().unwrap().len(), 1);
            }
        }
    }
    let mut listed = BTreeSet::new();
    for dependency in bom["dependencies"].as_array().unwrap() {
        members(dependency, &["ref"], &["dependsOn"]);
        assert!(listed.insert(text(&dependency["ref"]).to_owned()), "{dependency} twice");
        let on: Vec<&str> = dependency["dependsOn"].as_array().unwrap().iter().map(text).collect();
        assert!(on.is_sorted_by(|a, b| a < b));
        assert!(on.iter().all(|to| references.contains(*to)), "{dependency}");
    }
    assert_eq!(listed, references);
}

#[test]
fn a_tree_of_npm() {
    let mut main = component("@s/server", "1.2.3", &[2, 1]);
    main.hashes = vec![hash("sha512", 128)];
    main.license = Some("MIT".into());
    let mut zod = component("zod", "3.0.0+x", &[]);
    zod.license = Some("(MIT OR Apache-2.0)".into());
    zod.hashes = vec![hash("sha1", 40), hash("sha512", 128), hash("sha512", 64), hash("blake3", 64)];
    let bom = bom(&installed(vec![main, zod, component("ajv", "8.0.0", &[1])]));
    assert_eq!(bom["serialNumber"], "urn:uuid:f0f1f2f3-f4f5-86f7-b8f9-fafbfcfdfeff");
    let server = &bom["metadata"]["component"];
    assert_eq!((text(&server["group"]), text(&server["name"]), text(&server["version"])), ("@s", "server", "1.2.3"));
    assert_eq!(server["purl"], "pkg:npm/%40s/server@1.2.3");
    assert_eq!(
        (text(&server["hashes"][0]["alg"]), text(&server["hashes"][0]["content"])),
        ("SHA-256", tree().hex().as_str())
    );
    assert_eq!(bom["metadata"]["timestamp"], "2026-11-21T06:00:00Z");
    let names: Vec<&str> = bom["components"].as_array().unwrap().iter().map(|part| text(&part["bom-ref"])).collect();
    assert_eq!(names, ["pkg:npm/%40s/server@1.2.3", "pkg:npm/ajv@8.0.0", "pkg:npm/zod@3.0.0%2Bx"]);
    assert_eq!(bom["components"][0]["licenses"][0]["license"]["id"], "MIT");
    assert_eq!(bom["components"][2]["licenses"][0]["expression"], "(MIT OR Apache-2.0)");
    // Those of a wrong length and of an unknown algorithm are left out.
    assert_eq!(bom["components"][2]["hashes"].as_array().unwrap().len(), 2);
    let expected = serde_json::json!([
        { "ref": "mcpjail:notes", "dependsOn": ["pkg:npm/%40s/server@1.2.3"] },
        { "ref": "pkg:npm/%40s/server@1.2.3", "dependsOn": ["pkg:npm/ajv@8.0.0", "pkg:npm/zod@3.0.0%2Bx"] },
        { "ref": "pkg:npm/ajv@8.0.0", "dependsOn": ["pkg:npm/zod@3.0.0%2Bx"] },
        { "ref": "pkg:npm/zod@3.0.0%2Bx", "dependsOn": [] },
    ]);
    assert_eq!(bom["dependencies"], expected);
    let properties = bom["metadata"]["properties"].to_string();
    for value in ["notes", "sha256:f0f1", "sqlite3", "esbuild"] {
        assert!(properties.contains(value), "{properties}");
    }
}

#[test]
fn the_same_version_twice_is_one() {
    // npm puts a version in several places; one of them depends on more than the other.
    let parts = vec![
        component("m", "1", &[1, 2]),
        component("a", "1", &[3]),
        component("a", "1", &[1, 0, 99]),
        component("b", "1", &[]),
    ];
    let bom = bom(&installed(parts));
    assert_eq!(bom["components"].as_array().unwrap().len(), 3);
    assert_eq!(bom["dependencies"][1]["dependsOn"], serde_json::json!(["pkg:npm/b@1", "pkg:npm/m@1"]));
}

#[test]
fn trees_of_python_and_of_this_machine() {
    let mut python = installed(vec![component("Mcp_Server", "1.0", &[1]), component("zope.interface", "2", &[])]);
    python.release = Release {
        ecosystem: Ecosystem::Pypi,
        name: "Mcp_Server".into(),
        extras: vec!["x".into()],
        version: "1.0".into(),
    };
    let bom_of_python = bom(&python);
    assert_eq!(bom_of_python["components"][0]["purl"], "pkg:pypi/mcp-server@1.0");
    assert!(bom_of_python["components"][0].get("group").is_none());
    let mut local = installed(Vec::new());
    local.release =
        Release { ecosystem: Ecosystem::Local, name: "my/server".into(), extras: Vec::new(), version: String::new() };
    let bom_of_local = bom(&local);
    assert_eq!(bom_of_local["metadata"]["component"]["purl"], "pkg:generic/my%2Fserver");
    assert!(bom_of_local["metadata"]["component"].get("version").is_none());
    assert_eq!(bom_of_local["dependencies"][0]["dependsOn"], serde_json::json!([]));
}

proptest! {
    #[test]
    fn every_tree_gives_a_valid_bill_and_the_same_again(
        parts in proptest::collection::vec(
            (".{0,8}", "[0-9.]{0,4}", proptest::option::of(any::<String>()), proptest::collection::vec(0_usize..12, 0..5)), 0..10),
        name in any::<String>(),
    ) {
        let components: Vec<Component> = parts
            .into_iter()
            .map(|(name, version, license, depends)| Component { license, ..component(&format!("n{name}"), &version, &depends) })
            .collect();
        let installed = installed(components);
        let text = cyclonedx(&name, &tree(), &installed, "2026-11-21T06:00:00Z");
        valid(&serde_json::from_str(&text).unwrap());
        prop_assert_eq!(cyclonedx(&name, &tree(), &installed, "2026-11-21T06:00:00Z"), text);
    }
}
