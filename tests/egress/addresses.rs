//! Cases 43, 44 and 45: addresses. What was not handed out for a granted name is not dialled, by whatever form of it.

use crate::case::{CASE, Case, Phase, Scene, Suite, all_of};
use crate::dns::Script;
use crate::features::Feature;
use crate::namespaces::{MACHINE_V4, MACHINE_V6, ROUTER_V4};
use crate::support::expect::Rule;
use crate::support::expect::Want::{Fails, Works};
use crate::world::{Grants, Session, Stage};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A target by its address.
pub fn to(step: &str, place: &str) -> Value {
    json!({ "name": step, "to": place })
}

/// A target by its name.
pub fn host(step: &str, name: &str, port: u16) -> Value {
    json!({ "name": step, "host": name, "port": port })
}

pub fn dial(targets: Vec<Value>) -> Value {
    json!({ "attack": "dial", "targets": targets })
}

/// A name with a public address, granted only so that the jail listens on this port.
fn excuse(stage: &Stage, port: u16) -> String {
    let name = stage.world.name("excuse");
    stage.world.dns.set(&name, Script::Addresses(vec![stage.world.v4()]));
    format!("{name}:{port}")
}

/// The machine's own loopback and its address on the network, by every way to write them.
fn machine(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let port = if phase == Phase::Granted { 7100 } else { stage.port(phase) };
    let local = ["127.0.0.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]"];
    let mut targets: Vec<Value> = local.iter().map(|at| to(&format!("local {at}"), &format!("{at}:{port}"))).collect();
    targets.push(host("local by name", "localhost", port));
    let machine_v6 = format!("[{MACHINE_V6}]");
    for at in ["127.1.2.3", MACHINE_V4, machine_v6.as_str(), &format!("[::ffff:{MACHINE_V4}]")] {
        targets.push(to(&format!("other {at}"), &format!("{at}:{port}")));
    }
    let refused = Grants::of(&[excuse(stage, port)]);
    let silent = [IpAddr::from([127, 0, 0, 1]), Ipv6Addr::LOCALHOST.into(), MACHINE_V4.parse().unwrap()];
    let silent = silent.map(|address| SocketAddr::new(address, port)).to_vec();
    Ok(Scene { attack: dial(targets), granted: Grants::of(&["localhost:7100"]), refused, silent, ..Scene::default() })
}

/// A granted name on ports that are not granted, or granted for another name; and another name on a granted port.
fn ports(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let world = &stage.world;
    let (first, second, third) = (world.name("first"), world.name("second"), world.name("third"));
    let shared = world.v4();
    world.dns.set(&first, Script::Addresses(vec![shared]));
    world.dns.set(&second, Script::Addresses(vec![world.v4()]));
    world.dns.set(&third, Script::Addresses(vec![shared]));
    let targets = vec![
        host("granted", &first, 7000),
        host("granted as well", &second, 7001),
        host("closed", &first, 7002),
        host("of another name", &first, 7001),
        host("of the first name", &second, 7000),
        host("name", &third, 7000),
    ];
    let granted = Grants::of(&[format!("{first}:7000-7002"), format!("{second}:7000,7001"), format!("{third}:7000")]);
    let refused = Grants::of(&[format!("{first}:7000"), format!("{second}:7001")]);
    Ok(Scene { attack: dial(targets), granted, refused, silent_names: vec![third], ..Scene::default() })
}

/// Addresses that no name of this run has.
fn bare(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let world = &stage.world;
    let port = stage.port(phase);
    let (v4, v6, mapped) = (world.v4(), world.v6(), world.v4());
    let targets = vec![
        to("v4", &format!("{v4}:{port}")),
        to("v6", &format!("[{v6}]:{port}")),
        to("v6 with a scope", &format!("[{v6}%1]:{port}")),
        to("mapped", &format!("[::ffff:{mapped}]:{port}")),
        to("metadata", &format!("169.254.169.254:{port}")),
        to("router", &format!("{ROUTER_V4}:{port}")),
    ];
    let granted = Grants::of(&[
        format!("{v4}:{port}"),
        format!("[{v6}]:{port}"),
        format!("{mapped}:{port}"),
        format!("{{ to = \"169.254.169.254:{port}\", dangerous = true }}"),
        format!("{ROUTER_V4}:{port}"),
    ]);
    let mut silent = vec![all_of(v4), all_of(v6), all_of(mapped)];
    silent.extend(["169.254.169.254", ROUTER_V4].map(|at| SocketAddr::new(at.parse().unwrap(), port)));
    Ok(Scene {
        attack: dial(targets),
        granted,
        refused: Grants::of(&[excuse(stage, port)]),
        silent,
        ..Scene::default()
    })
}

/// An address that was handed out for a granted name, in another jail.
fn of_another_run(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let world = &stage.world;
    let (name, address) = (world.name("api"), world.v4());
    world.dns.set(&name, Script::Addresses(vec![address]));
    let grants = Grants::of(&[format!("{name}:7000")]);
    let mut scene = Scene {
        attack: dial(vec![to("address", &format!("{address}:7000"))]),
        refused: grants.clone(),
        silent: vec![all_of(address)],
        ..Scene::default()
    };
    if phase == Phase::Refused {
        let mut other: Session = stage.jailed(&grants)?;
        let ask = json!({ "attack": "resolve", "targets": [{ "name": "name", "host": name }] });
        let answer = other.attack(&stage.program("attacker"), &ask)?;
        crate::support::expect::check(&answer, &[Rule("name", Works)])?;
        scene.held.push(Box::new(other));
    }
    Ok(scene)
}

/// Accepted in the jail and reset.
pub const RESET: &[&str] = &["ECONNRESET"];
/// Nothing listens there, in the jail.
pub const CLOSED: &[&str] = &["ECONNREFUSED"];

const CASES: &[Case] = &[
    Case {
        number: 43,
        name: "machine-from-the-network",
        needs: &[Feature::Ipv6],
        scene: machine,
        granted: Some(&[Rule("local *", Works), Rule("other *", Fails(RESET))]),
        refused: Some(&[Rule("*", Fails(RESET))]),
        ..CASE
    },
    Case {
        number: 44,
        name: "other-ports-and-names",
        scene: ports,
        granted: Some(&[Rule("*", Works)]),
        refused: Some(&[
            Rule("granted*", Works),
            Rule("closed", Fails(CLOSED)),
            Rule("of *", Fails(RESET)),
            Rule("name", Fails(&["EAI_NONAME"])),
        ]),
        ..CASE
    },
    Case {
        number: 45,
        name: "bare-addresses",
        needs: &[Feature::Ipv6],
        scene: bare,
        granted: Some(&[Rule("*", Works)]),
        refused: Some(&[Rule("*", Fails(RESET))]),
        ..CASE
    },
    Case {
        number: 45,
        name: "address-of-another-run",
        scene: of_another_run,
        refused: Some(&[Rule("*", Fails(RESET))]),
        ..CASE
    },
];

pub fn trials(suite: &mut Suite) {
    suite.cases(CASES);
}
