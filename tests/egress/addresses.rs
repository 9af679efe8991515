//! Cases 43, 44, 45 and 47: addresses. What was not handed out for a granted name, or is not of a kind that a name may have,
//! is not dialled, by whatever form of it.

use crate::case::{CASE, Case, Phase, Scene, Suite, all_of};
use crate::dns::Script;
use crate::features::Feature;
use crate::namespaces::{MACHINE_V4, MACHINE_V6, ROUTER_V4};
use crate::support::expect::Rule;
use crate::support::expect::Want::{Fails, Works};
use crate::world::{Grants, Session, Stage};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

fn to(step: &str, place: &str) -> Value {
    json!({ "name": step, "to": place })
}

fn host(step: &str, name: &str, port: u16) -> Value {
    json!({ "name": step, "host": name, "port": port })
}

fn dial(targets: Vec<Value>) -> Value {
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

/// Names with an address of each kind; the kind is the step's name.
fn resolving_to(stage: &Stage, phase: Phase, kinds: &[(&str, IpAddr)], private: bool) -> Scene {
    let port = stage.port(phase);
    let mut scene = Scene::default();
    let (mut targets, mut plain, mut with_private) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, address) in kinds {
        let name = stage.world.name("api");
        stage.world.dns.set(&name, Script::Addresses(vec![*address]));
        targets.push(host(kind, &name, port));
        plain.push(format!("{name}:{port}"));
        with_private.push(format!("{{ to = \"{name}:{port}\", private = true }}"));
        // what nobody can be, stands for this machine
        let seen = match address.to_canonical() {
            IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            address => address,
        };
        scene.silent.push(SocketAddr::new(seen, port));
    }
    scene.attack = dial(targets);
    scene.granted = Grants::of(&with_private);
    scene.refused = Grants::of(if private { &with_private } else { &plain });
    scene
}

/// The last two bytes of an address that nobody else has.
fn own(stage: &Stage) -> [u8; 2] {
    let [_, _, high, low] = stage.world.unique().to_be_bytes();
    [high, low]
}

fn v6(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// This machine. No name may be that, with `private = true` or without.
fn to_this_machine(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let kinds = [
        ("127.0.0.1", [127, 0, 0, 1].into()),
        ("127.9.9.9", [127, 9, 9, 9].into()),
        ("0.0.0.0", [0, 0, 0, 0].into()),
        ("::1", v6("::1")),
        ("::", v6("::")),
        ("mapped", v6("::ffff:127.0.0.1")),
    ];
    Ok(resolving_to(stage, phase, &kinds, true))
}

/// Networks of one's own: only with `private = true`.
fn to_private(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let [high, low] = own(stage);
    let kinds = [
        ("10/8", [10, 3, high, low].into()),
        ("172.16/12", [172, 31, high, low].into()),
        ("192.168/16", [192, 168, 200 | high, low].into()),
        ("100.64/10", [100, 127, high, low].into()),
        ("fd00::/8", v6(&format!("fd12::{high:x}:{low:x}"))),
        ("fc00::/8", v6(&format!("fc12::{high:x}:{low:x}"))),
        ("mapped", v6(&format!("::ffff:10.4.{high}.{low}"))),
    ];
    Ok(resolving_to(stage, phase, &kinds, false))
}

/// What clouds have for their machines, and other places that no name leads to, with `private = true` or without.
fn to_metadata(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let [high, low] = own(stage);
    let kinds = [
        ("169.254.169.254", [169, 254, 169, 254].into()),
        ("169.254.170.2", [169, 254, 170, 2].into()),
        ("169.254.7.7", [169, 254, 7, 7].into()),
        ("100.100.100.200", [100, 100, 100, 200].into()),
        ("192.0.0.192", [192, 0, 0, 192].into()),
        ("168.63.129.16", [168, 63, 129, 16].into()),
        ("fd00:ec2::254", v6("fd00:ec2::254")),
        ("fd20:ce::254", v6("fd20:ce::254")),
        ("mapped", v6("::ffff:169.254.169.254")),
        ("documentation", [203, 0, 113, low].into()),
        ("benchmarks", [198, 18, high, low].into()),
        ("reserved", [240, 1, high, low].into()),
        ("documentation of ipv6", v6(&format!("2001:db8::{high:x}:{low:x}"))),
        ("discard", v6(&format!("100::{high:x}:{low:x}"))),
    ];
    Ok(resolving_to(stage, phase, &kinds, true))
}

/// Private and local addresses inside of IPv6 addresses, which a gateway would unpack.
fn to_embedded(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let [high, low] = own(stage);
    let inner = format!("{:02x}{:02x}:{:02x}{:02x}", 10, 5, high, low);
    let kinds = [
        ("nat64", v6(&format!("64:ff9b::{inner}"))),
        ("nat64 of the loopback", v6(&format!("64:ff9b::7f00:{low:x}"))),
        ("nat64 of metadata", v6("64:ff9b::169.254.169.254")),
        ("local nat64", v6(&format!("64:ff9b:1::{inner}"))),
        ("6to4", v6(&format!("2002:{inner}::1"))),
        ("compatible", v6(&format!("::10.6.{high}.{low}"))),
        ("teredo", v6(&format!("2001:0:5db8:d822:0:0:f5fa:{:x}{low:02x}", 0xff ^ high))),
    ];
    Ok(resolving_to(stage, phase, &kinds, false))
}

/// Of several addresses of a name, those that may not be are left out.
fn mixed(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let (name, good, port) = (stage.world.name("api"), stage.world.v4(), stage.port(phase));
    let [high, low] = own(stage);
    let private = IpAddr::from([10, 7, high, low]);
    stage.world.dns.set(&name, Script::Addresses(vec![private, good, [169, 254, 169, 254].into()]));
    let targets = [format!("{private}"), "169.254.169.254".into(), format!("{good}")];
    let mut targets: Vec<Value> = targets.iter().map(|at| to(at, &format!("{at}:{port}"))).collect();
    targets[0]["name"] = "private".into();
    targets[1]["name"] = "metadata".into();
    targets[2]["name"] = "good".into();
    targets.insert(0, host("name", &name, port));
    let grants = Grants::of(&[format!("{name}:{port}")]);
    Ok(Scene { attack: dial(targets), refused: grants, silent: vec![all_of(private)], ..Scene::default() })
}

/// Accepted in the jail and reset.
pub const RESET: &[&str] = &["ECONNRESET"];
/// Nothing listens there, in the jail.
pub const CLOSED: &[&str] = &["ECONNREFUSED"];
/// The name is granted, and none of its addresses may be.
pub const WITHHELD: &[&str] = &["EAI_NONAME", "EAI_NODATA"];

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
    Case {
        number: 47,
        name: "names-of-this-machine",
        needs: &[Feature::Ipv6],
        scene: to_this_machine,
        refused: Some(&[Rule("*", Fails(WITHHELD))]),
        ..CASE
    },
    Case {
        number: 47,
        name: "names-of-private-addresses",
        needs: &[Feature::Ipv6],
        scene: to_private,
        granted: Some(&[Rule("*", Works)]),
        refused: Some(&[Rule("*", Fails(WITHHELD))]),
        ..CASE
    },
    Case {
        number: 47,
        name: "names-of-metadata",
        needs: &[Feature::Ipv6],
        scene: to_metadata,
        refused: Some(&[Rule("*", Fails(WITHHELD))]),
        ..CASE
    },
    Case {
        number: 47,
        name: "names-of-embedded-addresses",
        needs: &[Feature::Ipv6],
        scene: to_embedded,
        refused: Some(&[Rule("*", Fails(WITHHELD))]),
        ..CASE
    },
    Case {
        number: 47,
        name: "one-good-address-of-three",
        scene: mixed,
        refused: Some(&[Rule("name", Works), Rule("good", Works), Rule("*", Fails(RESET))]),
        ..CASE
    },
];

pub fn trials(suite: &mut Suite) {
    suite.cases(CASES);
}
