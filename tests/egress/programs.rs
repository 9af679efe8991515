//! The clients, one by one: how they are called, and by which words they say that they failed.

use crate::clients::{Client, End, Line};
use crate::features::{self, Feature};
use crate::world::Stage;
use std::path::PathBuf;

const NODE_FETCH: &str = "
fetch(process.argv[1]).then((answer) => answer.text()).then((text) => console.log(text), (error) => {
  console.log(`error ${error.cause?.code}: ${error.cause?.message}`);
  process.exit(1);
});";

const NODE_HTTPS: &str = "
require('https').get(process.argv[1], (answer) => answer.pipe(process.stdout)).on('error', (error) => {
  console.log(`error ${error.code}: ${error.message}`);
  process.exit(1);
});";

/// By c-ares, which reads /etc/resolv.conf itself.
const NODE_CARES: &str = "
const [host, port] = process.argv.slice(1);
const fail = (error) => { console.log(`error ${error.code}: ${error.message}`); process.exit(1); };
const get = (address) => {
  const options = { host: address, port, headers: { host } };
  require('http').get(options, (answer) => answer.pipe(process.stdout)).on('error', fail);
};
if (require('net').isIP(host)) get(host);
else require('dns').promises.resolve4(host).then(([address]) => get(address), fail);";

const PYTHON_URLLIB: &str = "
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().decode())";

const PYTHON_REQUESTS: &str = "
import sys, requests
print(requests.get(sys.argv[1]).text)";

const PYTHON_ASYNCIO: &str = "
import asyncio, ssl, sys
async def main(host, port):
    reader, writer = await asyncio.open_connection(host, int(port), ssl=ssl.create_default_context())
    writer.write(f'GET / HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n'.encode())
    print((await reader.read()).decode())
asyncio.run(main(*sys.argv[1:]))";

/// The clone is shown and removed again: without a jail, `/tmp` is everybody's.
const GIT_CLONE: &str = "
directory=$(mktemp -d) && git clone --quiet \"$1\" \"$directory/clone\"
status=$?
cat \"$directory/clone/greeting\"
rm -rf \"$directory\"
exit $status";

fn url(scheme: &str, host: &str, port: u16) -> String {
    format!("{scheme}://{host}:{port}/")
}

fn shown(path: Option<PathBuf>) -> String {
    path.unwrap_or_default().display().to_string()
}

fn line(argv: &[&str], env: &[(&'static str, String)]) -> Line {
    Line { argv: argv.iter().map(|word| (*word).to_owned()).collect(), env: env.to_vec() }
}

/// The authority's file by the variable that the client knows.
fn trusting(stage: &Stage, variable: &'static str) -> [(&'static str, String); 1] {
    [(variable, shown(Some(stage.world.services.authority())))]
}

fn python(stage: &Stage, variable: &'static str, program: &str, words: &[&str]) -> Line {
    let python = shown(features::python());
    line(&[&[&python, "-c", program], words].concat(), &trusting(stage, variable))
}

fn curl(stage: &Stage, version: &str, host: &str, port: u16) -> Line {
    line(&["curl", "-sS", version, &url("https", host, port)], &trusting(stage, "CURL_CA_BUNDLE"))
}

fn dialler(stage: &Stage, program: &str, how: &str, host: &str, port: u16) -> Line {
    line(&[&stage.program(program), how, host, &port.to_string()], &[])
}

const HTTPS: [u16; 2] = [443, 8443];
const HTTP: [u16; 2] = [80, 8080];
const GREETED: End = End(&["exit 0"], &["hello from"]);

/// A client of HTTPS.
const TLS: Client = Client {
    name: "",
    needs: &[Feature::Node],
    service: |stage| stage.world.services.https(),
    ports: HTTPS,
    line: |_, _, _| line(&[], &[]),
    works: GREETED,
    no_such_name: End(&[], &[]),
    no_such_port: End(&[], &[]),
    reset: End(&[], &[]),
};

/// A reset that comes early is a connection that failed, for curl; 28 would be its own time-out.
const CURL: Client = Client {
    needs: &[Feature::Curl, Feature::Node],
    no_such_name: End(&["exit 6"], &["Could not resolve host"]),
    no_such_port: End(&["exit 7"], &["Failed to connect", "Couldn't connect"]),
    reset: End(&["exit 35", "exit 7"], &["Connection reset by peer", "Failed to connect", "Couldn't connect"]),
    ..TLS
};

const NODE: Client = Client {
    needs: &[Feature::Node],
    no_such_name: End(&["exit 1"], &["error ENOTFOUND"]),
    no_such_port: End(&["exit 1"], &["error ECONNREFUSED"]),
    reset: End(&["exit 1"], &["error ECONNRESET"]),
    ..TLS
};

const PYTHON: Client = Client {
    needs: &[Feature::Python, Feature::Node],
    no_such_name: End(&["exit 1"], &["[Errno -2] Name or service not known"]),
    no_such_port: End(&["exit 1"], &["[Errno 111] Connection refused", "[Errno 111] Connect call failed"]),
    reset: End(&["exit 1"], &["[Errno 104]", "ConnectionResetError(104"]),
    ..TLS
};

/// Rust's standard library with one C library or the other.
const DIALLER: Client = Client {
    needs: &[],
    service: |_| Ok(()),
    ports: HTTP,
    no_such_name: End(&["exit 1"], &["Name or service not known"]),
    no_such_port: End(&["exit 1"], &["error: ConnectionRefused"]),
    reset: End(&["exit 1"], &["error: ConnectionReset"]),
    ..TLS
};

pub const CLIENTS: &[Client] = &[
    Client { name: "curl-http1", line: |stage, host, port| curl(stage, "--http1.1", host, port), ..CURL },
    Client {
        name: "curl-http2",
        line: |stage, host, port| curl(stage, "--http2", host, port),
        works: End(&["exit 0"], &["by HTTP/2.0"]),
        ..CURL
    },
    Client { name: "curl-ipv4", line: |stage, host, port| curl(stage, "-4", host, port), ..CURL },
    Client {
        name: "curl-plain-http",
        needs: &[Feature::Curl],
        service: |_| Ok(()),
        ports: HTTP,
        line: |_, host, port| line(&["curl", "-sS", &url("http", host, port)], &[]),
        reset: End(&["exit 56", "exit 7"], &["Connection reset by peer", "Failed to connect", "Couldn't connect"]),
        ..CURL
    },
    Client {
        name: "node-fetch",
        line: |stage, host, port| {
            let words = [&shown(features::node()), "-e", NODE_FETCH, &url("https", host, port)];
            line(&words, &trusting(stage, "NODE_EXTRA_CA_CERTS"))
        },
        ..NODE
    },
    Client {
        name: "node-https",
        line: |stage, host, port| {
            let words = [&shown(features::node()), "-e", NODE_HTTPS, &url("https", host, port)];
            line(&words, &trusting(stage, "NODE_EXTRA_CA_CERTS"))
        },
        ..NODE
    },
    Client {
        name: "node-c-ares",
        service: |_| Ok(()),
        ports: HTTP,
        line: |_, host, port| line(&[&shown(features::node()), "-e", NODE_CARES, host, &port.to_string()], &[]),
        ..NODE
    },
    Client {
        name: "python-urllib",
        line: |stage, host, port| python(stage, "SSL_CERT_FILE", PYTHON_URLLIB, &[&url("https", host, port)]),
        ..PYTHON
    },
    Client {
        name: "python-requests",
        needs: &[Feature::Requests, Feature::Node],
        line: |stage, host, port| python(stage, "REQUESTS_CA_BUNDLE", PYTHON_REQUESTS, &[&url("https", host, port)]),
        ..PYTHON
    },
    Client {
        name: "python-asyncio",
        line: |stage, host, port| python(stage, "SSL_CERT_FILE", PYTHON_ASYNCIO, &[host, &port.to_string()]),
        ..PYTHON
    },
    Client {
        name: "git-clone",
        needs: &[Feature::Git, Feature::Node],
        line: |stage, host, port| {
            let url = format!("{}git/repository.git", url("https", host, port));
            line(&["sh", "-c", GIT_CLONE, "sh", &url], &trusting(stage, "GIT_SSL_CAINFO"))
        },
        works: End(&["exit 0"], &["hello from git"]),
        no_such_name: End(&["exit 128"], &["Could not resolve host"]),
        no_such_port: End(&["exit 128"], &["Failed to connect", "Couldn't connect"]),
        reset: End(&["exit 128"], &["Connection reset by peer", "Failed to connect", "Couldn't connect"]),
        ..TLS
    },
    Client {
        name: "psql",
        needs: &[Feature::Psql],
        service: |stage| stage.world.services.postgres(),
        ports: [5432, 15432],
        line: |stage, host, port| {
            let place = format!("host={host} port={port} dbname=postgres user=tester sslmode=verify-full");
            line(&["psql", &place, "-Atc", "select 'hello from PostgreSQL'"], &trusting(stage, "PGSSLROOTCERT"))
        },
        no_such_name: End(&["exit 2"], &["Name or service not known"]),
        no_such_port: End(&["exit 2"], &["Connection refused"]),
        reset: End(&["exit 2"], &["server closed the connection unexpectedly", "Connection reset by peer"]),
        ..TLS
    },
    Client {
        name: "redis-cli",
        needs: &[Feature::Redis],
        service: |stage| stage.world.services.redis(),
        ports: [6379, 16379],
        line: |_, host, port| {
            line(&["redis-cli", "-h", host, "-p", &port.to_string(), "ECHO", "hello from Redis"], &[])
        },
        no_such_name: End(&["exit 1"], &["Name or service not known"]),
        no_such_port: End(&["exit 1"], &["Connection refused"]),
        reset: End(&["exit 1"], &["Connection reset by peer", "Server closed the connection"]),
        ..TLS
    },
    Client { name: "rust-glibc", line: |stage, host, port| dialler(stage, "dialler", "std", host, port), ..DIALLER },
    Client {
        name: "rust-musl",
        needs: &[Feature::Musl],
        line: |stage, host, port| dialler(stage, "dialler-static", "std", host, port),
        no_such_name: End(&["exit 1"], &["Name does not resolve", "Name has no usable address"]),
        ..DIALLER
    },
    Client {
        name: "own-resolver",
        line: |stage, host, port| dialler(stage, "dialler", "own", host, port),
        no_such_name: End(&["exit 1"], &["error: NotFound: no such host"]),
        ..DIALLER
    },
    Client {
        name: "own-resolver-static",
        needs: &[Feature::Musl],
        line: |stage, host, port| dialler(stage, "dialler-static", "own", host, port),
        no_such_name: End(&["exit 1"], &["error: NotFound: no such host"]),
        ..DIALLER
    },
];
