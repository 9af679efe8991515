//! Case 49: addresses that several names share. Who is meant stands in the first bytes, in the clear; they must name what
//! is granted there, in whatever pieces they come.

use crate::addresses::RESET;
use crate::case::{CASE, Case, Phase, Scene, Suite};
use crate::dns::Script;
use crate::hello::{self, HOST, extension, hex, message, records, server_name};
use crate::internet::Behaviour;
use crate::support::expect::Rule;
use crate::support::expect::Want::{Fails, Works};
use crate::world::{Grants, Stage};
use serde_json::{Value, json};

/// A granted name and a foreign one at the same address, where everything is answered.
struct Tenants {
    granted: String,
    foreign: String,
}

fn tenants(stage: &Stage) -> Tenants {
    let world = &stage.world;
    let (granted, foreign, address) = (world.name("granted"), world.name("foreign"), world.v4());
    for name in [&granted, &foreign] {
        world.dns.set(name, Script::Addresses(vec![address]));
    }
    world.servers.behave(address, Behaviour::Echo);
    Tenants { granted, foreign }
}

impl Tenants {
    /// Says this to the granted name's address, in segments of that size where it is not 0.
    fn say(&self, step: &str, port: u16, bytes: &[u8], segment: usize) -> Value {
        json!({ "name": step, "host": self.granted, "port": port, "say_hex": hex(bytes), "segment": segment })
    }

    fn scene(&self, port: u16, targets: Vec<Value>) -> Scene {
        let raw = format!("{{ to = \"{}:{port}\", raw = true }}", self.granted);
        Scene {
            attack: json!({ "attack": "dial", "targets": targets }),
            granted: Grants::of(&[raw]),
            refused: Grants::of(&[format!("{}:{port}", self.granted)]),
            ..Scene::default()
        }
    }
}

/// One name, in one piece and in many. In the refused phase it is foreign; granted, it is the granted one.
fn one_name(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let tenants = tenants(stage);
    let name = if phase == Phase::Granted { &tenants.granted } else { &tenants.foreign };
    let plain = message(&[server_name(&[(HOST, name.as_bytes())])]);
    let upper = message(&[server_name(&[(HOST, name.to_ascii_uppercase().as_bytes())])]);
    let late = message(&[extension(21, &[0; 6000]), server_name(&[(HOST, name.as_bytes())])]);
    let one = records(&plain, 16_000);
    let targets = vec![
        tenants.say("whole", 443, &one, 0),
        tenants.say("bytes", 443, &one, 1),
        tenants.say("first byte alone", 443, &one, one.len() - 1),
        tenants.say("records of one byte", 443, &records(&plain, 1), 0),
        tenants.say("records and segments", 443, &records(&plain, 7), 3),
        tenants.say("upper case", 443, &records(&upper, 16_000), 0),
        tenants.say("after six thousand bytes", 443, &records(&late, 16_000), 1400),
    ];
    let mut scene = tenants.scene(443, targets);
    scene.granted = scene.refused.clone();
    Ok(scene)
}

/// Hellos that two readers could read in two ways, or that name nobody.
fn odd_names(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let tenants = tenants(stage);
    let (granted, foreign) = (tenants.granted.as_bytes(), tenants.foreign.as_bytes());
    let with = |extra: &[u8]| [granted, extra].concat();
    let one = |name: &[u8]| vec![server_name(&[(HOST, name)])];
    let mut cut = message(&one(granted));
    // the length of all extensions says less than there is
    let at = 4 + 2 + 32 + 1 + 6 + 2;
    cut[at + 1] -= 1;
    let hellos = [
        ("no extension", message(&[])),
        ("an empty list", message(&[extension(0, &[0, 0])])),
        ("an empty extension", message(&[extension(0, &[])])),
        ("an empty name", message(&one(b""))),
        ("two names", message(&[server_name(&[(HOST, granted), (HOST, foreign)])])),
        ("two names, foreign first", message(&[server_name(&[(HOST, foreign), (HOST, granted)])])),
        ("two extensions", message(&[one(granted), one(foreign)].concat())),
        ("another type of name", message(&[server_name(&[(1, granted)])])),
        ("a nul behind it", message(&one(&with(b"\0")))),
        ("a nul and more", message(&one(&[granted, b"\0.", foreign].concat()))),
        ("a blank behind it", message(&one(&with(b" ")))),
        ("a label behind it", message(&one(&with(b".example.org")))),
        ("a port behind it", message(&one(&with(b":443")))),
        ("an address", message(&one(b"93.184.216.34"))),
        ("a wildcard", message(&one(b"*.example.net"))),
        ("wrong lengths", cut),
    ];
    let targets = hellos.iter().map(|(step, hello)| tenants.say(step, 443, &records(hello, 16_000), 0)).collect();
    Ok(tenants.scene(443, targets))
}

/// What is no TLS, where TLS is looked for.
fn no_tls(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let tenants = tenants(stage);
    let hello = hello::for_name(&tenants.granted);
    let mut other_handshake = hello.clone();
    other_handshake[5] = 2;
    let mut alert = hello.clone();
    alert[0] = 21;
    let http = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", tenants.granted);
    let targets = vec![
        tenants.say("text", 443, b"hello\n", 0),
        tenants.say("http", 443, http.as_bytes(), 0),
        tenants.say("ssh", 443, b"SSH-2.0-x\r\n", 0),
        tenants.say("ssl 2", 443, &[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10], 0),
        tenants.say("alert", 443, &alert, 0),
        tenants.say("no client hello", 443, &other_handshake, 0),
        tenants.say("zeros", 443, &[0; 600], 0),
    ];
    Ok(tenants.scene(443, targets))
}

/// On other ports anything may be said; but a ClientHello is looked at there, too.
fn other_port(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let tenants = tenants(stage);
    let foreign = hello::for_name(&tenants.foreign);
    let targets = vec![
        tenants.say("passes: text", 8443, b"hello\n", 0),
        tenants.say("passes: granted", 8443, &hello::for_name(&tenants.granted), 0),
        tenants.say("passes: granted in bytes", 8443, &hello::for_name(&tenants.granted), 1),
        tenants.say("foreign", 8443, &foreign, 0),
        tenants.say("foreign in bytes", 8443, &foreign, 1),
        tenants.say("nobody", 8443, &records(&message(&[]), 16_000), 0),
    ];
    Ok(tenants.scene(8443, targets))
}

/// Requests that are meant for somebody else, or could be.
fn hosts(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let tenants = tenants(stage);
    let (granted, foreign) = (tenants.granted.as_str(), tenants.foreign.as_str());
    let requests = [
        ("passes: plain", format!("GET / HTTP/1.1\r\nHost: {granted}\r\n\r\n")),
        ("passes: with a port", format!("GET / HTTP/1.1\r\nHost: {granted}:80\r\n\r\n")),
        // the same server by name, whatever it makes of the port
        ("passes: with another port", format!("GET / HTTP/1.1\r\nHost: {granted}:8080\r\n\r\n")),
        ("passes: upper case", format!("GET / HTTP/1.1\r\nHOST: {}\r\n\r\n", granted.to_ascii_uppercase())),
        ("passes: last", format!("POST /x HTTP/1.1\r\nA: b\r\nContent-Length: 0\r\nHost:{granted}\r\n\r\n")),
        ("passes: absolute", format!("GET http://{granted}/ HTTP/1.1\r\nHost: {granted}\r\n\r\n")),
        ("foreign", format!("GET / HTTP/1.1\r\nHost: {foreign}\r\n\r\n")),
        ("none", "GET / HTTP/1.1\r\nA: b\r\n\r\n".into()),
        ("none, version 1.0", "GET / HTTP/1.0\r\n\r\n".into()),
        ("two", format!("GET / HTTP/1.1\r\nHost: {granted}\r\nHost: {foreign}\r\n\r\n")),
        ("two, foreign first", format!("GET / HTTP/1.1\r\nHost: {foreign}\r\nHost: {granted}\r\n\r\n")),
        ("a list", format!("GET / HTTP/1.1\r\nHost: {granted}, {foreign}\r\n\r\n")),
        ("absolute, foreign", format!("GET http://{foreign}/ HTTP/1.1\r\nHost: {granted}\r\n\r\n")),
        ("folded", format!("GET / HTTP/1.1\r\nA: b\r\n Host: {granted}\r\nHost: {foreign}\r\n\r\n")),
        ("folded name", format!("GET / HTTP/1.1\r\nHost:\r\n {foreign}\r\n\r\n")),
        ("blank before the colon", format!("GET / HTTP/1.1\r\nHost : {foreign}\r\nHost: {granted}\r\n\r\n")),
        ("bare line feeds", format!("GET / HTTP/1.1\nHost: {foreign}\n\nHost: {granted}\r\n\r\n")),
        ("carriage return inside", format!("GET / HTTP/1.1\r\nA: b\rHost: {foreign}\r\nHost: {granted}\r\n\r\n")),
        ("user information", format!("GET / HTTP/1.1\r\nHost: {granted}@{foreign}\r\n\r\n")),
        ("a nul", format!("GET / HTTP/1.1\r\nHost: {granted}\0.{foreign}\r\n\r\n")),
        ("percent", format!("GET / HTTP/1.1\r\nHost: {granted}%00.{foreign}\r\n\r\n")),
        ("connect", format!("CONNECT {foreign}:443 HTTP/1.1\r\nHost: {granted}\r\n\r\n")),
        ("http 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        ("version 0.9", "GET /\r\n".into()),
        ("no http", "hello\r\n\r\n".into()),
        ("blank lines first", format!("\r\n\r\nGET / HTTP/1.1\r\nHost: {foreign}\r\n\r\n")),
    ];
    let foreign = format!("GET / HTTP/1.1\r\nHost: {foreign}\r\n\r\n");
    let mut targets: Vec<Value> =
        requests.iter().map(|(step, request)| tenants.say(step, 80, request.as_bytes(), 0)).collect();
    targets.push(tenants.say("passes: in bytes", 80, requests[0].1.as_bytes(), 1));
    targets.push(tenants.say("foreign in bytes", 80, foreign.as_bytes(), 1));
    Ok(tenants.scene(80, targets))
}

const CASES: &[Case] = &[
    Case {
        number: 49,
        name: "foreign-server-name",
        scene: one_name,
        granted: Some(&[Rule("*", Works)]),
        refused: Some(&[Rule("*", Fails(RESET))]),
        ..CASE
    },
    Case {
        number: 49,
        name: "two-readings-of-a-hello",
        scene: odd_names,
        granted: Some(&[Rule("*", Works)]),
        refused: Some(&[Rule("*", Fails(RESET))]),
        ..CASE
    },
    Case {
        number: 49,
        name: "no-tls",
        scene: no_tls,
        granted: Some(&[Rule("*", Works)]),
        refused: Some(&[Rule("*", Fails(RESET))]),
        ..CASE
    },
    Case {
        number: 49,
        name: "hello-on-another-port",
        scene: other_port,
        granted: Some(&[Rule("*", Works)]),
        refused: Some(&[Rule("passes*", Works), Rule("*", Fails(RESET))]),
        ..CASE
    },
    Case {
        number: 49,
        name: "foreign-host",
        scene: hosts,
        granted: Some(&[Rule("*", Works)]),
        refused: Some(&[Rule("passes*", Works), Rule("*", Fails(RESET))]),
        ..CASE
    },
];

pub fn trials(suite: &mut Suite) {
    suite.cases(CASES);
}
