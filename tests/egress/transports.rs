//! Cases 26, 32, 39, 41 and 42 again, with a network granted: packets by hand, other transports, other sockets, and the
//! jail's own listeners.

use crate::addresses::CLOSED;
use crate::case::{CASE, Case, Phase, Scene, Suite, all_of};
use crate::dns::Script;
use crate::features::Feature;
use crate::support::expect::Rule;
use crate::support::expect::Want::{Any, Fails, Nothing, Works, WorksOr};
use crate::world::{Grants, Stage};
use serde_json::{Value, json};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};

/// A granted name and its address, on port 7000.
fn granted(stage: &Stage) -> (String, std::net::IpAddr, Grants) {
    let (name, address) = (stage.world.name("api"), stage.world.v4());
    stage.world.dns.set(&name, Script::Addresses(vec![address]));
    let grants = Grants::of(&[format!("{name}:7000")]);
    (name, address, grants)
}

fn raw(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let (_, _, refused) = granted(stage);
    Ok(Scene { attack: json!({ "attack": "raw" }), refused, ..Scene::default() })
}

fn families(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let (_, _, refused) = granted(stage);
    Ok(Scene { attack: json!({ "attack": "families" }), refused, ..Scene::default() })
}

/// UDP to wherever it usually goes: a granted name's address, another one, the machine.
fn datagrams(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let (name, own, refused) = granted(stage);
    let other = stage.world.v4();
    let mut targets = Vec::new();
    for (step, address) in [("own", own), ("other", other)] {
        for port in [123, 443, 5353, 7000] {
            let place = std::net::SocketAddr::new(address, port);
            crate::internet::datagrams(&stage.world.internet, place).map_err(|error| format!("{place}: {error}"))?;
            targets.push(json!({ "name": format!("{step} {port}"), "type": "datagram", "to": place.to_string() }));
        }
    }
    targets.push(json!({ "name": "by name", "type": "datagram", "host": name, "port": 7000 }));
    let attack = json!({ "attack": "dial", "targets": targets });
    Ok(Scene { attack, refused, silent: vec![all_of(own), all_of(other)], ..Scene::default() })
}

/// Other ways to make a connection, to the granted name and to an address that nobody has.
fn transports(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let (name, _, refused) = granted(stage);
    let other = stage.world.v4();
    let mut targets = Vec::new();
    for (step, protocol, how, kind) in [
        ("tcp", 0, "connect", "stream"),
        ("mptcp", 262, "connect", "stream"),
        ("sctp", 132, "connect", "stream"),
        ("sctp-packets", 132, "connect", "seqpacket"),
        ("udplite", 136, "connect", "datagram"),
        ("fast-open", 0, "fast-open", "stream"),
        ("fast-open-connect", 0, "fast-open-connect", "stream"),
    ] {
        let target = json!({ "name": format!("{step} own"), "host": name, "port": 7000, "how": how, "protocol": protocol, "type": kind });
        targets.push(target.clone());
        targets.push(target);
        let last = targets.len() - 1;
        targets[last]["name"] = format!("{step} other").into();
        targets[last]["to"] = format!("{other}:7000").into();
    }
    let attack = json!({ "attack": "dial", "targets": targets });
    Ok(Scene { attack, refused, silent: vec![all_of(other)], ..Scene::default() })
}

/// A socket of the machine's that has a name and no file.
fn abstract_socket(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let (_, _, refused) = granted(stage);
    let name = format!("egress-suite-{}-{}", std::process::id(), stage.world.unique());
    let address = UnixAddress::from_abstract_name(&name).map_err(|error| error.to_string())?;
    let listener = UnixListener::bind_addr(&address).map_err(|error| error.to_string())?;
    let attack = json!({ "attack": "abstract", "name": name });
    Ok(Scene { attack, refused, held: vec![Box::new(listener)], ..Scene::default() })
}

/// The server listens itself where the jail's listeners are, to hear what its other processes say, or to be somebody.
fn listen(stage: &Stage, phase: Phase) -> Result<Scene, String> {
    let name = stage.world.name("api");
    stage.world.dns.set(&name, Script::Addresses(vec![stage.world.v4()]));
    let port = stage.port(phase) + 11_000;
    let high = ["0.0.0.0", "[::]", "127.0.0.1", "[::1]"].map(|at| ("high", "stream", format!("{at}:{port}")));
    let low = [
        ("low", "stream", "0.0.0.0:443".into()),
        ("low", "stream", "0.0.0.0:53".into()),
        ("low", "stream", "127.0.0.1:53".into()),
        ("low", "datagram", "0.0.0.0:53".into()),
        ("low", "datagram", "[::]:53".into()),
        ("low", "datagram", "127.0.0.1:53".into()),
    ];
    let place = |(step, kind, at): &(&str, &str, String)| json!({ "name": format!("{step} {kind} {at}"), "type": kind, "at": at });
    let places: Vec<Value> = high.iter().chain(&low).map(place).collect();
    let attack = json!({ "attack": "listen", "places": places });
    let refused = Grants::of(&[format!("{name}:443,{port}")]);
    Ok(Scene { attack, refused, ..Scene::default() })
}

/// Descriptors of other processes that are sockets, and what the kernel tells of listeners.
fn hunt(stage: &Stage, _phase: Phase) -> Result<Scene, String> {
    let (_, _, refused) = granted(stage);
    Ok(Scene { attack: json!({ "attack": "hunt" }), refused, ..Scene::default() })
}

const NO_SOCKET: &[&str] = &["EACCES", "EPERM", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"];

const CASES: &[Case] = &[
    Case {
        number: 26,
        name: "listeners-of-the-jail",
        needs: &[Feature::Ipv6],
        scene: listen,
        // the low ones want a capability, which only root has, and may be taken on the machine
        control: &[Rule("high*", Works), Rule("low*", WorksOr(&["EACCES", "EADDRINUSE"]))],
        refused: Some(&[Rule("high*", Fails(&["EADDRINUSE"])), Rule("low*", Fails(&["EADDRINUSE", "EACCES"]))]),
        ..CASE
    },
    Case {
        number: 26,
        name: "sockets-of-others",
        scene: hunt,
        control: &[Rule("of a child", Works), Rule("of others", Any("whatever this identity has running"))],
        refused: Some(&[Rule("of a child", Works), Rule("of others", Nothing)]),
        ..CASE
    },
    Case {
        number: 32,
        name: "families-with-a-network",
        scene: families,
        control: &[Rule("netlink-route", Works), Rule("*", Any("kernels are built without many of these"))],
        refused: Some(&[Rule("*", Fails(&["EAFNOSUPPORT"]))]),
        ..CASE
    },
    Case {
        number: 39,
        name: "abstract-sockets-with-a-network",
        scene: abstract_socket,
        refused: Some(&[Rule("*", Fails(&["ECONNREFUSED", "EPERM"]))]),
        ..CASE
    },
    Case {
        number: 41,
        name: "raw-sockets-with-a-network",
        scene: raw,
        // packets by hand want a capability, which only root has
        control: &[Rule("*", WorksOr(&["EPERM", "EACCES"]))],
        refused: Some(&[Rule("*", Fails(NO_SOCKET))]),
        ..CASE
    },
    Case { number: 41, name: "datagrams", scene: datagrams, refused: Some(&[Rule("*", Fails(CLOSED))]), ..CASE },
    Case {
        number: 42,
        name: "other-transports-with-a-network",
        needs: &[Feature::Mptcp],
        scene: transports,
        control: &[
            Rule("sctp*", WorksOr(&["EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "ECONNREFUSED"])),
            // sent, and answered at most by an error that is bounded in its rate
            Rule("udplite*", Fails(&["ECONNREFUSED", "EAGAIN"])),
            Rule("*", Works),
        ],
        refused: Some(&[
            Rule("tcp own", Works),
            Rule("tcp other", Fails(&["ECONNRESET"])),
            Rule("fast-open*", Fails(&["EACCES", "EPERM", "EOPNOTSUPP", "ENOPROTOOPT"])),
            Rule("*", Fails(NO_SOCKET)),
        ]),
        ..CASE
    },
];

pub fn trials(suite: &mut Suite) {
    suite.cases(CASES);
}
