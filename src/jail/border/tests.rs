//! Each test confines a process of its own, in namespaces of its own, and looks at what is left.

use super::*;
use crate::egress::dns;
use crate::sys::epoll::Epoll;
use crate::sys::message;
use crate::sys::netlink::Netlink;
use crate::sys::own_network::{cover, in_own_network, open_now, own_mounts};
use crate::sys::resolve::{ResolveError, resolve};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

fn die_with_parent() {
    process::die_with_parent(libc::SIGKILL).unwrap();
}

#[test]
fn the_proxy_moves_bytes_and_does_nothing_else() {
    in_own_network("jail::border::tests::the_proxy_moves_bytes_and_does_nothing_else", || {
        die_with_parent();
        Netlink::open().unwrap().bring_up_loopback().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (ours, theirs) = message::packet_pair().unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let secret = tempfile::NamedTempFile::new().unwrap();
        confine_proxy(&open_now()).unwrap();
        // what it is for
        let (mut accepted, _) = listener.accept().unwrap();
        client.write_all(b"question").unwrap();
        let mut room = [0; 8];
        accepted.read_exact(&mut room).unwrap();
        accepted.set_nodelay(true).unwrap();
        assert!(accepted.take_error().unwrap().is_none());
        let (reader, mut writer) = io::pipe().unwrap();
        let _epoll = Epoll::new().unwrap();
        message::send(ours.as_fd(), b"x", &[reader.as_fd()], true).unwrap();
        let (_, received) = message::receive(theirs.as_fd(), &mut room, true).unwrap();
        writer.write_all(b"passed").unwrap();
        let mut file = File::from(received.into_iter().next().unwrap());
        assert_eq!(file.read(&mut room).unwrap(), 6);
        assert_eq!(vec![7u8; 1 << 20].iter().map(|byte| u64::from(*byte)).sum::<u64>(), 7 << 20);
        // what it must not do
        assert_eq!(errno(File::open(secret.path())), Some(libc::ENOSYS));
        assert_eq!(errno(std::fs::metadata("/")), Some(libc::ENOSYS));
        assert_eq!(errno(TcpStream::connect(listener.local_addr().unwrap())), Some(libc::ENOSYS));
        assert_eq!(errno(UdpSocket::bind("127.0.0.1:0")), Some(libc::ENOSYS));
        assert_eq!(errno(message::packet_pair()), Some(libc::ENOSYS));
        assert_eq!(errno(process::fork().map(drop)), Some(libc::ENOSYS));
        assert!(thread::Builder::new().spawn(|| ()).is_err());
        assert_eq!(errno(process::die_with_parent(0)), Some(libc::EPERM));
        assert_eq!(errno(process::signal(process::parent(), 0)), Some(libc::ENOSYS));
        assert_eq!(errno(process::unshare(libc::CLONE_NEWUSER)), Some(libc::ENOSYS));
        assert_eq!(errno(crate::sys::pidfd::open(std::process::id())), Some(libc::ENOSYS));
        // its limit of open files is asked for by name, and nobody else's
        assert!(process::soft_limit(7).is_ok());
        assert_eq!(errno(process::limit(7, 16)), Some(libc::EPERM));
    });
}

#[test]
fn a_failed_connection_cannot_be_led_elsewhere() {
    in_own_network("jail::border::tests::a_failed_connection_cannot_be_led_elsewhere", || {
        die_with_parent();
        Netlink::open().unwrap().bring_up_loopback().unwrap();
        let granted = UdpSocket::bind("127.0.0.1:0").unwrap(); // nothing listens there over TCP
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        other.set_nonblocking(true).unwrap();
        let dialled = || crate::sys::dial::connect(granted.local_addr().unwrap());
        // the control: fast open makes a connection of a socket that failed
        let fast_open = |socket: &OwnedFd| crate::sys::socket::tests::fast_open(socket, other.local_addr().unwrap());
        if let Ok(socket) = dialled() {
            TcpStream::from(socket.try_clone().unwrap()).take_error().unwrap();
            // the first one learns of the failure
            let _aborted = fast_open(&socket);
            fast_open(&socket).unwrap();
            other.accept().unwrap();
        }
        let socket = dialled();
        confine_proxy(&open_now()).unwrap();
        if let Ok(socket) = socket {
            TcpStream::from(socket.try_clone().unwrap()).take_error().unwrap();
            assert_eq!([(); 2].map(|()| errno(fast_open(&socket))), [Some(libc::EPERM); 2]);
            assert_eq!(other.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    });
}

#[test]
fn what_is_open_beyond_what_is_kept_is_a_failure() {
    in_own_network("jail::border::tests::what_is_open_beyond_what_is_kept_is_a_failure", || {
        die_with_parent();
        let forgotten = File::open("/dev/zero").unwrap();
        let mut kept = open_now();
        kept.retain(|fd| fd.as_raw_fd() != forgotten.as_raw_fd());
        for failure in [confine_proxy(&kept).unwrap_err(), confine_broker(&kept, &[]).unwrap_err()] {
            assert_eq!(failure.layer, Layer::Descriptors);
            assert!(failure.what.contains(&forgotten.as_raw_fd().to_string()), "{}", failure.what);
        }
    });
}

#[test]
fn who_would_outlive_its_parent_is_not_started() {
    in_own_network("jail::border::tests::who_would_outlive_its_parent_is_not_started", || {
        let failure = confine_proxy(&open_now()).unwrap_err();
        assert_eq!((failure.layer, failure.what.as_str()), (Layer::Egress, "it does not die with its parent"));
    });
}

/// A name server on 127.0.0.1 that answers over UDP as far as there is room, and over TCP; and what leads there.
fn name_server() -> [tempfile::NamedTempFile; 2] {
    let answer = |packet: &[u8], tcp: bool, into: &mut Vec<u8>| {
        let query = dns::query(packet).unwrap();
        let (rcode, addresses): (_, Vec<IpAddr>) = match &query.asked {
            dns::Asked::Name(name) if name.as_str() == "small.test" => {
                (dns::Rcode::NoError, vec![Ipv4Addr::new(192, 0, 2, 5).into(), "2001:db8::5".parse().unwrap()])
            }
            dns::Asked::Name(name) if name.as_str() == "large.test" => {
                (dns::Rcode::NoError, (1..=200).map(|n| Ipv4Addr::new(192, 0, 2, n).into()).collect())
            }
            _ => (dns::Rcode::NxDomain, Vec::new()),
        };
        dns::respond(&query, rcode, &addresses, 60, if tcp { usize::MAX } else { 512 }, into);
    };
    let datagrams = UdpSocket::bind("127.0.0.1:53").unwrap();
    thread::spawn(move || {
        let mut room = [0; 4096];
        while let Ok((count, from)) = datagrams.recv_from(&mut room) {
            let mut reply = Vec::new();
            answer(&room[..count], false, &mut reply);
            datagrams.send_to(&reply, from).unwrap();
        }
    });
    let streams = TcpListener::bind("127.0.0.1:53").unwrap();
    thread::spawn(move || {
        for stream in streams.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut packet = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut packet).unwrap();
                let mut reply = vec![0; 2];
                answer(&packet, true, &mut reply);
                let length = u16::try_from(reply.len() - 2).unwrap();
                reply[..2].copy_from_slice(&length.to_be_bytes());
                stream.write_all(&reply).unwrap();
            }
        }
    });
    [
        cover(c"/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:5 attempts:1\n"),
        cover(c"/etc/hosts", "127.0.0.1 localhost\n198.51.100.9 by-file.test\n"),
    ]
}

#[test]
fn the_broker_resolves_by_files_and_over_udp_and_tcp_on_threads() {
    in_own_network("jail::border::tests::the_broker_resolves_by_files_and_over_udp_and_tcp_on_threads", || {
        die_with_parent();
        own_mounts();
        Netlink::open().unwrap().bring_up_loopback().unwrap();
        let _files = (name_server(), cover(c"/etc/nsswitch.conf", "hosts: files dns\n"));
        confine_broker(&open_now(), &[443]).unwrap();
        // a thread of its own, as the broker does it
        let lookup = |name: &'static CStr| thread::spawn(move || resolve(name, 256)).join().unwrap();
        let sorted = |name| {
            lookup(name).map(|mut found| {
                found.sort();
                found.iter().map(ToString::to_string).collect::<Vec<_>>()
            })
        };
        assert_eq!(sorted(c"by-file.test").unwrap(), ["198.51.100.9"]);
        assert_eq!(sorted(c"small.test").unwrap(), ["192.0.2.5", "2001:db8::5"]);
        // 30 fit into a datagram; musl takes no more than 48
        assert!(sorted(c"large.test").unwrap().len() >= 48, "what does not fit a datagram comes over TCP");
        assert_eq!(sorted(c"absent.test").unwrap_err(), ResolveError::NoName);
    });
}

/// Whatever manages the network writes `resolv.conf` anew, as another file of the same name.
#[test]
fn the_broker_reads_what_has_been_replaced() {
    in_own_network("jail::border::tests::the_broker_reads_what_has_been_replaced", || {
        die_with_parent();
        own_mounts();
        Netlink::open().unwrap().bring_up_loopback().unwrap();
        let _files = (name_server(), cover(c"/etc/nsswitch.conf", "hosts: files dns\n"));
        let (mut asks, mut answers) = (io::pipe().unwrap(), io::pipe().unwrap());
        // threads that were started before are not confined
        let replace = thread::spawn(move || {
            asks.0.read_exact(&mut [0]).unwrap();
            let file = cover(c"/etc/hosts", "198.51.100.10 by-file.test\n");
            answers.1.write_all(&[1]).unwrap();
            file
        });
        confine_broker(&open_now(), &[443]).unwrap();
        assert_eq!(resolve(c"by-file.test", 8).unwrap(), ["198.51.100.9".parse::<IpAddr>().unwrap()]);
        asks.1.write_all(&[1]).unwrap();
        answers.0.read_exact(&mut [0]).unwrap();
        let _file = replace.join().unwrap();
        assert_eq!(resolve(c"by-file.test", 8).unwrap(), ["198.51.100.10".parse::<IpAddr>().unwrap()]);
    });
}

/// Modules are loaded after the walls are up, and ask their daemons by socket.
#[cfg(target_env = "gnu")]
#[test]
fn the_broker_loads_modules_that_ask_daemons() {
    use crate::sys::own_network::load;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;
    in_own_network("jail::border::tests::the_broker_loads_modules_that_ask_daemons", || {
        die_with_parent();
        own_mounts();
        Netlink::open().unwrap().bring_up_loopback().unwrap();
        let _file = cover(c"/etc/nsswitch.conf", "hosts: mdns4_minimal\n");
        let run = crate::sys::mount::file_system(c"tmpfs", &[], 0).unwrap();
        crate::sys::mount::attach(run.as_fd(), None, c"/run").unwrap();
        drop(run);
        std::fs::create_dir("/run/avahi-daemon").unwrap();
        let daemon = UnixListener::bind("/run/avahi-daemon/socket").unwrap();
        thread::spawn(move || {
            for stream in daemon.incoming() {
                let mut stream = stream.unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                assert!(line.starts_with("RESOLVE-HOSTNAME"), "{line}");
                stream.write_all(b"+ 2 0 printer.local 192.0.2.77\n").unwrap();
            }
        });
        let module = load(c"libnss_mdns4_minimal.so.2");
        confine_broker(&open_now(), &[443]).unwrap();
        assert!(load(c"libnss_compat.so.2"), "a module that every GNU C library has");
        // only where the module is installed: it is a package of its own
        if module {
            assert_eq!(resolve(c"printer.local", 8).unwrap(), ["192.0.2.77".parse::<IpAddr>().unwrap()]);
        }
    });
}

#[test]
fn the_broker_connects_to_granted_ports_alone() {
    in_own_network("jail::border::tests::the_broker_connects_to_granted_ports_alone", || {
        die_with_parent();
        Netlink::open().unwrap().bring_up_loopback().unwrap();
        let [granted, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [granted_at, other_at] = [&granted, &other].map(|listener| listener.local_addr().unwrap());
        assert!(TcpStream::connect(other_at).is_ok(), "the control");
        let abi = landlock::abi().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        std::fs::write(&secret, "x").unwrap();
        confine_broker(&open_now(), &[granted_at.port()]).unwrap();
        assert!(TcpStream::connect(granted_at).is_ok());
        assert!(errno(TcpStream::connect(other_at)) == Some(libc::EACCES) || abi < 4);
        assert_eq!(errno(TcpListener::bind("127.0.0.1:0")), Some(if abi < 4 { libc::ENOSYS } else { libc::EACCES }));
        assert_eq!(errno(other.accept()), Some(libc::ENOSYS));
        // no file of the user's, nothing written, no program
        assert_eq!(errno(File::open(&secret)), Some(libc::EACCES));
        assert_eq!(errno(File::open("/proc/self/environ")), Some(libc::EACCES));
        assert_eq!(errno(std::fs::read_dir(directory.path()).map(drop)), Some(libc::EACCES));
        assert_eq!(errno(File::create(directory.path().join("new"))), Some(libc::EACCES));
        assert_eq!(errno(std::fs::remove_file(&secret)), Some(libc::ENOSYS));
        assert_eq!(errno(std::fs::rename(&secret, directory.path().join("b"))), Some(libc::ENOSYS));
        assert!(std::process::Command::new("/bin/true").status().is_err());
        // by clone(2) or by fork(2), as the C library does it
        assert!([Some(libc::EPERM), Some(libc::ENOSYS)].contains(&errno(process::fork().map(drop))));
        assert_eq!(errno(process::signal(process::parent(), 0)), Some(libc::ENOSYS));
        assert_eq!(errno(process::unshare(libc::CLONE_NEWUSER)), Some(libc::ENOSYS));
        assert_eq!(errno(attempt::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)), Some(libc::EAFNOSUPPORT));
        assert!(attempt::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE).is_ok());
        std::mem::forget(directory);
    });
}

#[test]
fn links_out_of_etc_are_followed_to_a_directory_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().canonicalize().unwrap().join("resolv.conf");
    std::fs::write(&target, "").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let behind = |path: &Path| behind(path).map(|path| path.to_string_lossy().into_owned());
    assert_eq!(behind(&link), Some(target.to_string_lossy().into_owned()), "not its whole directory");
    assert_eq!(behind(Path::new("/etc/passwd")), None);
    assert_eq!(behind(&folder.path().join("gone")), None);
}
