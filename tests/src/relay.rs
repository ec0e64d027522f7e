//! `bvecd-suite relay PORT SOCKET`: takes TCP connections and brings each to the daemon's Unix socket, for clients
//! that know no other. Whoever connects and sends [`END`] ends it.

use std::io::{Read, Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

/// The word that chooses this instead of tests.
pub(crate) const RELAY: &str = "relay";

/// What ends it: no request of HTTP begins so.
const END: &[u8; 4] = b"END\n";

/// Serves until it is told to end.
pub(crate) fn run(words: &[String]) {
    let [port, socket] = words else {
        panic!("expected a port and a socket");
    };
    let port: u16 = port.parse().unwrap();
    let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
    println!("relay: ready");
    for client in listener.incoming() {
        let mut client = client.unwrap();
        let mut first = [0; END.len()];
        if client.read_exact(&mut first).is_err() {
            continue;
        }
        if first == *END {
            return;
        }
        join(client, &first, Path::new(socket));
    }
}

/// Brings both together until either is at its end.
fn join(client: TcpStream, first: &[u8], socket: &Path) {
    let Ok(mut server) = UnixStream::connect(socket) else {
        // The client sees a connection that is closed, as it would without a relay.
        return;
    };
    if server.write_all(first).is_err() {
        return;
    }
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        // Whatever ends it, the other side is told.
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let (mut from, mut to) = (client, server);
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
