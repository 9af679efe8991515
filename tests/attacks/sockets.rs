//! Cases 32, 37-43: sockets of every family.

use crate::case::{CASE, Case, Launch, TierB};
use crate::context::{Ctx, Listener, Phase};
use crate::support::expect::{Rule, Want::*};
use crate::support::probe::{Feature::*, landlock_abi};
use crate::support::world::World;
use serde_json::{Value, json};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// Where engines, buses and agents listen. Only a jailed attacker is sent there.
const WELL_KNOWN: &[&str] = &[
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/var/run/libvirt/libvirt-sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/journal/socket",
    "/run/udev/control",
    "/run/snapd.socket",
    "/run/nscd/socket",
    "/tmp/.X11-unix/X0",
    "/dev/log",
];

/// Names in the runtime directory and elsewhere; each gets a listener of the suite's own.
const PLANTED: &[&str] = &["docker.sock", "bus", "S.gpg-agent", "agent.1", "tmux", "wayland-0", "X0", "keyring"];

fn listen(ctx: &mut Ctx, path: std::path::PathBuf) -> std::io::Result<()> {
    let listener = UnixListener::bind(&path)?;
    ctx.world.identity.own(&path)?;
    ctx.held.push(Box::new(listener));
    ctx.aims.push(path);
    Ok(())
}

/// An abstract name of this run's own.
fn abstract_name(ctx: &Ctx) -> String {
    format!("attack-suite-{}", ctx.out.display())
}

fn addresses(ctx: &Ctx, tcp: usize, udp: usize, hosts: &[&str]) -> Value {
    let mut targets = Vec::new();
    for host in hosts {
        targets.push(json!({ "name": format!("tcp {host}"), "address": format!("{host}:{}", ctx.port(tcp)) }));
        for how in ["connect", "sendto", "sendmsg"] {
            let address = format!("{host}:{}", ctx.port(udp));
            let name = format!("udp-{how} {host}");
            targets.push(json!({ "name": name, "address": address, "type": "datagram", "how": how }));
        }
    }
    json!({ "attack": "connect", "targets": targets })
}

/// The suite's own listeners saw the control, and nothing else.
pub fn unreached(ctx: &Ctx) -> Result<(), String> {
    match (ctx.phase, ctx.reached()) {
        (Phase::Control, true) | (Phase::Granted | Phase::Refused, false) => Ok(()),
        (Phase::Control, false) => Err("the control did not reach its listener".into()),
        _ => Err("something arrived at a listener outside".into()),
    }
}

/// Where the suite listens in a granted tree, in a directory of each trial's own below the root that the launches grant.
fn door(world: &World, root: &str, phase: Phase, tier_b: bool) -> PathBuf {
    world.path(root).join(format!("doors {phase:?} {tier_b}")).join("an agent")
}

/// Listeners that are there before the jail is, which no other case starts.
fn listen_in_grants(ctx: &mut Ctx) -> std::io::Result<()> {
    for root in ["ro", "rw"] {
        let path = door(&ctx.world, root, ctx.phase, ctx.tier_b);
        let dir = path.parent().unwrap_or(&path);
        std::fs::create_dir(dir)?;
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        ctx.world.identity.own(dir)?;
        ctx.listeners.push(Listener::Unix(listener));
        ctx.aims.push(path);
    }
    Ok(())
}

/// The trees and nothing else: what [`listen_in_grants`] made is not meant.
const DOORS_SHUT: Launch = Launch { name: "doors-shut", ..crate::context::STRICT };

/// The sockets themselves too.
const DOORS_OPEN: Launch = Launch {
    name: "doors-open",
    options: |world, tier_b| {
        let [ro, rw] = ["ro", "rw"].map(|root| world.path(root));
        let [in_ro, in_rw] = ["ro", "rw"].map(|root| door(world, root, Phase::Granted, tier_b));
        let profile = world.profile(&format!(
            "version = 1\n[jail.files]\nread = [{ro:?}, {{ path = {in_ro:?}, dangerous = true }}]\n\
             write = [{rw:?}, {{ path = {in_rw:?}, dangerous = true }}]\n",
        ))?;
        Ok(vec!["--profile".into(), profile.into()])
    },
    env: &[],
};

/// As [`unreached`], but that a socket which was granted is reached. From Landlock ABI 9 on none can be granted.
fn reached_where_granted(ctx: &Ctx) -> Result<(), String> {
    match (ctx.phase, ctx.reached()) {
        (Phase::Granted, true) => Ok(()),
        (Phase::Granted, false) if landlock_abi() < 9 => Err("the granted sockets were not reached".into()),
        (phase, true) if phase != Phase::Control => Err("a listener in a granted directory was reached".into()),
        _ => Ok(()),
    }
}

/// No inet socket without a network grant.
const NO_NETWORK: &[Rule] = &[Rule("*", Fails(&["EACCES"]))];

/// A private loopback, on which the suite's listeners are not. What is sent there is lost.
const PRIVATE_LOOPBACK: &[Rule] = &[Rule("tcp *", Fails(&["ECONNREFUSED"])), Rule("udp-*", WorksOr(&["ECONNREFUSED"]))];

fn exotic(ctx: &Ctx) -> Value {
    let address = format!("127.0.0.1:{}", ctx.port(0));
    let target = |name: &str, kind: &str, protocol: i32, how: &str| json!({ "name": name, "address": address, "type": kind, "protocol": protocol, "how": how });
    json!({ "attack": "connect", "targets": [
        target("mptcp", "stream", 262, "connect"),
        target("sctp", "stream", 132, "connect"),
        target("udplite", "datagram", 136, "sendto"),
        target("fast-open", "stream", 0, "fast-open"),
        target("fast-open-connect", "stream", 0, "fast-open-connect"),
    ] })
}

pub const CASES: &[Case] = &[
    Case {
        number: 32,
        name: "families",
        attack: |_| json!({ "attack": "families" }),
        control: &[
            Rule("netlink-route", Works),
            Rule("packet-*", Works),
            Rule("high:netlink", Works),
            Rule("unknown", Fails(&["EAFNOSUPPORT"])),
            Rule("*", Any("kernels are built without many of these")),
        ],
        control_user: Some((
            "packets by hand want CAP_NET_RAW",
            &[
                Rule("netlink-route", Works),
                Rule("packet-*", Fails(&["EPERM", "EAFNOSUPPORT"])),
                Rule("high:netlink", Works),
                Rule("unknown", Fails(&["EAFNOSUPPORT"])),
                Rule("*", Any("kernels are built without many of these")),
            ],
        )),
        refused: &[Rule("*", Fails(&["EAFNOSUPPORT"]))],
        ..CASE
    },
    Case {
        number: 37,
        name: "sockets-of-engines-and-agents",
        prepare: |ctx| {
            for name in PLANTED {
                listen(ctx, ctx.out.join(name))?;
            }
            let runtime = ctx.world.path("run").join(format!("bus-{}", ctx.world.unique()));
            listen(ctx, runtime)
        },
        attack: |ctx| {
            let mut paths = ctx.aims.clone();
            if ctx.phase == Phase::Refused {
                paths.extend(WELL_KNOWN.iter().map(Into::into));
            }
            json!({ "attack": "unix-connect", "paths": paths })
        },
        refused: &[Rule("*", Fails(&["ENOENT"]))],
        tier_b: TierB::Differs(&[Rule("*", Fails(&["EACCES", "EPERM", "EAFNOSUPPORT", "ENOENT", "ENOTDIR"]))]),
        ..CASE
    },
    Case {
        number: 37,
        name: "sockets-in-granted-trees",
        prepare: listen_in_grants,
        attack: |ctx| json!({ "attack": "unix-connect", "paths": ctx.aims }),
        granted: Some(&[Rule("*", Works)]),
        // a cover is a file without the right to write; before Landlock ABI 9 there is nothing else
        refused: &[Rule("*", Fails(&["EACCES"]))],
        granted_by: DOORS_OPEN,
        refused_by: DOORS_SHUT,
        verify: reached_where_granted,
        ..CASE
    },
    Case {
        number: 38,
        name: "sockets-in-the-shared-tmp",
        prepare: |ctx| {
            let dir = tempfile::Builder::new().prefix("attack-suite-").tempdir()?;
            listen(ctx, dir.path().join("agent"))?;
            ctx.world.identity.own(dir.path())?;
            ctx.held.push(Box::new(dir));
            Ok(())
        },
        attack: |ctx| json!({ "attack": "unix-connect", "paths": ctx.aims }),
        refused: &[Rule("*", Fails(&["ENOENT"]))],
        tier_b: TierB::Differs(&[Rule("*", Fails(&["EACCES", "EPERM", "EAFNOSUPPORT"]))]),
        ..CASE
    },
    Case {
        number: 39,
        name: "abstract-sockets",
        prepare: |ctx| {
            let address = std::os::unix::net::SocketAddr::from_abstract_name(abstract_name(ctx))?;
            ctx.held.push(Box::new(UnixListener::bind_addr(&address)?));
            Ok(())
        },
        attack: |ctx| json!({ "attack": "abstract", "name": abstract_name(ctx) }),
        refused: &[Rule("*", Fails(&["ECONNREFUSED", "EPERM"]))],
        tier_b: TierB::Differs(&[Rule("*", Fails(&["EPERM", "EACCES", "EAFNOSUPPORT"]))]),
        ..CASE
    },
    Case {
        number: 40,
        name: "own-unix-sockets",
        attack: |ctx| {
            let name = format!("attack-suite-own-{}-{}", std::process::id(), ctx.world.unique());
            json!({ "attack": "unix-own", "listen": std::env::temp_dir().join(name) })
        },
        refused: &[Rule("*", Works)],
        tier_b: TierB::Differs(&[
            // half of a pair could be sent to any socket of the machine
            Rule("pair:dgram", Fails(&["EACCES"])),
            Rule("pair:*", Works),
            Rule("pass-descriptor", Works),
            Rule("*", Any("a listener needs a directory that tier B may not have")),
        ]),
        ..CASE
    },
    Case {
        number: 41,
        name: "raw-sockets",
        attack: |_| json!({ "attack": "raw" }),
        control: &[Rule("ping*", WorksOr(&["EACCES"])), Rule("*", Works)],
        control_user: Some((
            "packets by hand want CAP_NET_RAW; ping a group of net.ipv4.ping_group_range",
            &[Rule("ping*", WorksOr(&["EACCES"])), Rule("*", Fails(&["EPERM"]))],
        )),
        // Even where the loopback is granted.
        granted: Some(&[Rule("*", Fails(&["EACCES", "EPERM", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"]))]),
        refused: NO_NETWORK,
        ..CASE
    },
    Case {
        number: 41,
        name: "own-loopback",
        attack: |_| json!({ "attack": "own-loopback" }),
        granted: Some(&[Rule("*", Works)]),
        refused: NO_NETWORK,
        needs: &[Ipv6],
        ..CASE
    },
    Case {
        number: 42,
        name: "other-transports",
        prepare: |ctx| ctx.listen_tcp("127.0.0.1:0"),
        attack: exotic,
        control: &[
            Rule("sctp", WorksOr(&["EPROTONOSUPPORT", "ECONNREFUSED"])),
            Rule("fast-open*", WorksOr(&["EOPNOTSUPP"])),
            Rule("*", Works),
        ],
        granted: Some(&[
            Rule("mptcp", Fails(&["EACCES", "EPERM", "EPROTONOSUPPORT"])),
            Rule("sctp", Fails(&["EACCES", "EPERM", "EPROTONOSUPPORT"])),
            Rule("udplite", Fails(&["EACCES", "EPERM", "EPROTONOSUPPORT"])),
            Rule("*", Fails(&["ECONNREFUSED", "EACCES", "EPERM", "EOPNOTSUPP", "ENOPROTOOPT"])),
        ]),
        refused: NO_NETWORK,
        needs: &[Mptcp],
        verify: unreached,
        ..CASE
    },
    Case {
        number: 43,
        name: "loopback-of-the-machine",
        prepare: |ctx| {
            ctx.listen_tcp("127.0.0.1:0")?;
            ctx.listen_udp("127.0.0.1:0")
        },
        attack: |ctx| addresses(ctx, 0, 1, &["127.0.0.1", "0.0.0.0", "127.1.2.3"]),
        control: &[
            // The listeners are on 127.0.0.1 alone.
            Rule("tcp 127.1.2.3", Fails(&["ECONNREFUSED"])),
            Rule("*", Works),
        ],
        granted: Some(PRIVATE_LOOPBACK),
        refused: NO_NETWORK,
        verify: unreached,
        ..CASE
    },
    Case {
        number: 43,
        name: "loopback-of-the-machine-by-ipv6",
        prepare: |ctx| {
            ctx.listen_tcp("[::]:0")?;
            ctx.listen_udp("[::]:0")
        },
        attack: |ctx| addresses(ctx, 0, 1, &["[::1]", "[::]", "[::ffff:127.0.0.1]", "127.0.0.1"]),
        granted: Some(PRIVATE_LOOPBACK),
        refused: NO_NETWORK,
        needs: &[Ipv6],
        verify: unreached,
        ..CASE
    },
];
