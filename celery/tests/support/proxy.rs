//! [`Proxy`]: a TCP proxy of the broker whose connections a test can cut.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// Passes bytes to a broker and back, until it is cut.
pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    /// Bytes are held back, and neither side notices.
    is_silent: bool,
    /// The number of the connection that loses bytes, counted from the first one that was made, and whether it loses
    /// those to the broker or those from it.
    lossy: Option<(usize, bool)>,
    /// Whether bytes were lost.
    has_lost: bool,
    /// Both ends of each connection.
    connections: Vec<[TcpStream; 2]>,
    /// How many connections were cut before those.
    cut: usize,
}

impl Proxy {
    /// Starts a proxy of the broker at `url`.
    pub(crate) fn new(url: &str) -> Self {
        let (login, broker) = url.rsplit_once('@').expect("a URL with a login");
        let broker: SocketAddr = broker.parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("{login}@{}", listener.local_addr().expect("an address"));
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let shared = Arc::clone(&state);
        // The thread ends with the program.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut state = shared.0.lock().unwrap();
                if state.is_cut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(broker) else { continue };
                let number = state.cut + state.connections.len();
                for (from, to, is_to_broker) in [(&client, &server, true), (&server, &client, false)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || {
                        let mut bytes = vec![0; 1 << 16];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            let state = shared.0.lock().unwrap();
                            let mut state = shared.1.wait_while(state, |state| state.is_silent).unwrap();
                            if state.lossy == Some((number, is_to_broker)) {
                                state.has_lost = true;
                                shared.1.notify_all();
                                continue;
                            }
                            drop(state);
                            if to.write_all(&bytes[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                state.connections.push([client, server]);
            }
        });
        Self { url, state }
    }

    /// Cuts all connections, and refuses new ones.
    pub(crate) fn cut(&self) {
        let mut state = self.state.0.lock().unwrap();
        state.is_cut = true;
        state.cut += state.connections.len();
        for end in state.connections.drain(..).flatten() {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Drops the bytes on the newest connection from now on: those to the broker, or those from it.
    pub(crate) fn lose(&self, is_to_broker: bool) {
        let mut state = self.state.0.lock().unwrap();
        state.lossy = Some((state.cut + state.connections.len() - 1, is_to_broker));
    }

    /// Blocks until bytes were lost, and then cuts that connection.
    pub(crate) fn cut_lossy(&self) {
        let state = self.state.0.lock().unwrap();
        let state = self.state.1.wait_while(state, |state| !state.has_lost).unwrap();
        let (lossy, _) = state.lossy.expect("a connection that loses");
        for end in &state.connections[lossy - state.cut] {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Holds back all bytes from now on.
    pub(crate) fn be_silent(&self) {
        self.state.0.lock().unwrap().is_silent = true;
    }

    /// Lets connections and bytes through again.
    pub(crate) fn mend(&self) {
        let mut state = self.state.0.lock().unwrap();
        (state.is_cut, state.is_silent) = (false, false);
        self.state.1.notify_all();
    }
}
