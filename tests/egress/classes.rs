//! Case 47: what a granted name resolves to. This machine, private networks, the metadata services of clouds, and addresses
//! that hold one of them, are not handed out and not dialled.

use crate::addresses::{RESET, dial, host, to};
use crate::case::{CASE, Case, Phase, Scene, Suite, all_of};
use crate::dns::Script;
use crate::features::Feature;
use crate::namespaces::{MACHINE_V4, MACHINE_V6};
use crate::support::expect::Rule;
use crate::support::expect::Want::{Fails, Works};
use crate::world::{Grants, Stage};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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

/// This machine by the addresses that it has on its network, one of which looks public: only with `private = true`.
fn to_own_addresses(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let kinds = [("v4", v6(MACHINE_V4)), ("v6", v6(MACHINE_V6))];
    Ok(resolving_to(stage, phase, &kinds, false))
}

/// Names that mean this machine to resolvers, by a rule for every name.
fn localhost(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let port = stage.port(phase);
    let names = ["localhost.example.net", "a.localhost", "localhost.localdomain", "localhost6", "ip6-localhost"];
    names.iter().for_each(|name| stage.world.dns.set(name, Script::Addresses(vec![[127, 0, 0, 1].into()])));
    let targets = names.iter().map(|name| host(name, name, port)).collect();
    let grants = Grants::of(&[format!("{{ to = \"*:{port}\", private = true, dangerous = true }}")]);
    let silent = vec![SocketAddr::new([127, 0, 0, 1].into(), port)];
    Ok(Scene { attack: dial(targets), refused: grants, silent, ..Scene::default() })
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
        // not to be used by anybody, and used by networks as their own
        ("documentation", [203, 0, 113, low].into()),
        ("benchmarks", [198, 18, high, low].into()),
        ("documentation of ipv6", v6(&format!("2001:db8::{high:x}:{low:x}"))),
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
        ("reserved", [240, 1, high, low].into()),
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

/// The name is granted, and none of its addresses may be.
const WITHHELD: &[&str] = &["EAI_NONAME", "EAI_NODATA"];

const CASES: &[Case] = &[
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
        name: "names-of-this-machine-on-its-network",
        needs: &[Feature::Ipv6],
        scene: to_own_addresses,
        granted: Some(&[Rule("*", Works)]),
        refused: Some(&[Rule("*", Fails(WITHHELD))]),
        ..CASE
    },
    Case {
        number: 47,
        name: "names-below-localhost",
        scene: localhost,
        // some C libraries do not ask for the one that is below
        refused: Some(&[
            Rule("a.localhost", Fails(&["EAI_NONAME", "EAI_NODATA", "ECONNRESET"])),
            Rule("*", Fails(WITHHELD)),
        ]),
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
