//! The sockets of a run, and what one operation does to both sides of a connection.
//!
//! - Clones share a socket: its modes, its timeouts, and its end. It is closed when the last
//!   descriptor is dropped; ending a direction acts at once.
//! - Closing a socket with unread data, and sending to a closed one, reset the connection. What the
//!   other side has received already it still can read, unless [`Network::reset_loses`] is set: on
//!   other systems, and on a network with loss, it may be gone.
//! - Ending the reading side leaves what is queued, and even what still comes, to be read.
//! - A client is connected as soon as it is in the accept queue. Closing or shutting down the
//!   listener resets those that are in it.
//! - Descriptors of the library are counted and may run out; clients' are not.
//!
//! Not imitated: loss and delay, and a full accept queue.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::time::Duration;

pub const EMFILE: i32 = 24;
pub const EINVAL: i32 = 22;

/// The first port that the system chooses.
const FIRST_PORT: u16 = 40_000;

/// All sockets of a run.
pub struct Network {
    sockets: BTreeMap<usize, Socket>,
    last_id: usize,
    last_port: u16,
    /// How many descriptors the library has, and may have.
    pub descriptors: usize,
    pub limit: usize,
    /// How many bytes a socket holds for its reader.
    pub buffer: usize,
    /// Whether a reset takes what the other side has received and not read.
    pub reset_loses: bool,
    /// How long closing a connection of the library's takes, as `SO_LINGER` may have it.
    pub linger: Option<Duration>,
}

impl Default for Network {
    fn default() -> Network {
        Network {
            sockets: BTreeMap::new(),
            last_id: 0,
            last_port: FIRST_PORT,
            descriptors: 0,
            limit: usize::MAX,
            buffer: 64 * 1024,
            reset_loses: false,
            linger: None,
        }
    }
}

pub struct Socket {
    /// How many descriptors there are of it.
    pub descriptors: usize,
    pub is_client: bool,
    pub is_nonblocking: bool,
    pub read_timeout: Option<Duration>,
    pub write_timeout: Option<Duration>,
    pub addr: SocketAddr,
    /// The tasks that wait for it to change.
    pub waiters: Vec<usize>,
    pub kind: Kind,
}

pub enum Kind {
    Listener(Listener),
    Stream(Stream),
}

#[derive(Default)]
pub struct Listener {
    /// The server's ends of those that have connected.
    pub queue: VecDeque<usize>,
    pub is_shut: bool,
}

pub struct Stream {
    pub peer: usize,
    pub peer_addr: SocketAddr,
    pub received: VecDeque<u8>,
    /// Whether the other side has ended its sending.
    pub is_ended: bool,
    pub is_reset: bool,
    pub is_read_shut: bool,
    pub is_write_shut: bool,
    /// Whether the system has refused to shut it down, so that nobody could end it.
    is_refused_shutdown: bool,
}

impl Network {
    pub fn add(&mut self, is_client: bool, addr: SocketAddr, kind: Kind) -> usize {
        self.last_id += 1;
        let socket = Socket {
            descriptors: 0,
            is_client,
            is_nonblocking: false,
            read_timeout: None,
            write_timeout: None,
            addr,
            waiters: Vec::new(),
            kind,
        };
        self.sockets.insert(self.last_id, socket);
        self.last_id
    }

    pub fn socket(&mut self, id: usize) -> &mut Socket {
        self.sockets
            .get_mut(&id)
            .expect("a socket with a descriptor exists")
    }

    pub fn stream(&mut self, id: usize) -> io::Result<&mut Stream> {
        match self.sockets.get_mut(&id).map(|socket| &mut socket.kind) {
            Some(Kind::Stream(stream)) => Ok(stream),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }

    pub fn listener(&mut self, id: usize) -> io::Result<&mut Listener> {
        match self.sockets.get_mut(&id).map(|socket| &mut socket.kind) {
            Some(Kind::Listener(listener)) => Ok(listener),
            _ => Err(io::Error::from_raw_os_error(EINVAL)),
        }
    }

    /// The listener at that address, if clients can connect to it.
    pub fn listener_at(&self, addr: SocketAddr) -> Option<usize> {
        let mut found = self.sockets.iter().filter(|(_, socket)| {
            matches!(&socket.kind, Kind::Listener(listener) if !listener.is_shut)
                && socket.addr == addr
        });
        found.next().map(|(id, _)| *id)
    }

    pub fn new_port(&mut self) -> SocketAddr {
        self.last_port += 1;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.last_port)
    }

    /// Wakes all who wait for this socket, or for room in the other side's buffer.
    pub fn changed(&mut self, id: usize, woken: &mut Vec<usize>) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            woken.append(&mut socket.waiters);
        }
    }

    /// Ends what one side sends.
    pub fn end_sending(&mut self, id: usize, woken: &mut Vec<usize>) {
        let Ok(stream) = self.stream(id) else {
            return;
        };
        stream.is_write_shut = true;
        let peer = stream.peer;
        if let Ok(other) = self.stream(peer) {
            other.is_ended = true;
        }
        self.changed(id, woken);
        self.changed(peer, woken);
    }

    /// What one side gets when the other one resets the connection.
    pub fn reset(&mut self, id: usize, woken: &mut Vec<usize>) {
        let is_lost = self.reset_loses;
        if let Ok(stream) = self.stream(id) {
            stream.is_reset = true;
            if is_lost {
                stream.received.clear();
            }
            self.changed(id, woken);
        }
    }

    /// Ends one direction of a connection, or both. A listener ends as a whole.
    pub fn shut_down(
        &mut self,
        id: usize,
        how: Shutdown,
        woken: &mut Vec<usize>,
    ) -> io::Result<()> {
        if let Ok(listener) = self.listener(id) {
            if how != Shutdown::Write {
                listener.is_shut = true;
                let queue = std::mem::take(&mut listener.queue);
                self.refuse_queue(queue, woken);
                self.changed(id, woken);
            }
            return Ok(());
        }
        let stream = self.stream(id)?;
        if stream.is_reset {
            return Err(ErrorKind::NotConnected.into());
        }
        if how != Shutdown::Write {
            stream.is_read_shut = true;
            self.changed(id, woken);
        }
        if how != Shutdown::Read {
            self.end_sending(id, woken);
        }
        Ok(())
    }

    /// Reads what has come; `None` if the reader must wait.
    pub fn read(
        &mut self,
        id: usize,
        buf: &mut [u8],
        is_peek: bool,
        woken: &mut Vec<usize>,
    ) -> Option<io::Result<usize>> {
        let stream = match self.stream(id) {
            Ok(stream) => stream,
            Err(error) => return Some(Err(error)),
        };
        if buf.is_empty() {
            return Some(Ok(0));
        }
        if stream.received.is_empty() {
            if stream.is_reset {
                return Some(Err(ErrorKind::ConnectionReset.into()));
            }
            let is_end = stream.is_ended || stream.is_read_shut;
            return is_end.then_some(Ok(0));
        }
        let n = buf.len().min(stream.received.len());
        for (to, from) in buf.iter_mut().zip(&stream.received) {
            *to = *from;
        }
        if !is_peek {
            stream.received.drain(..n);
            let peer = stream.peer;
            self.changed(peer, woken); // there is room again
        }
        Some(Ok(n))
    }

    /// Writes what fits; `None` if the writer must wait.
    pub fn write(
        &mut self,
        id: usize,
        bytes: &[u8],
        woken: &mut Vec<usize>,
    ) -> Option<io::Result<usize>> {
        let size = self.buffer;
        let stream = match self.stream(id) {
            Ok(stream) => stream,
            Err(error) => return Some(Err(error)),
        };
        if stream.is_reset {
            return Some(Err(ErrorKind::ConnectionReset.into()));
        }
        if stream.is_write_shut {
            return Some(Err(ErrorKind::BrokenPipe.into()));
        }
        let peer = stream.peer;
        let room = match self.stream(peer) {
            Ok(other) if other.is_read_shut && other.is_write_shut => None,
            Ok(other) => Some(size.saturating_sub(other.received.len())),
            Err(_) => None,
        };
        let Some(room) = room else {
            // The other side is closed, and answers with a reset.
            self.reset(id, woken);
            return Some(Ok(bytes.len()));
        };
        let n = bytes.len().min(room);
        if n == 0 && !bytes.is_empty() {
            return None;
        }
        if let Ok(other) = self.stream(peer) {
            other.received.extend(&bytes[..n]);
        }
        self.changed(peer, woken);
        Some(Ok(n))
    }

    /// Closes a socket whose last descriptor is gone.
    pub fn close(&mut self, id: usize, woken: &mut Vec<usize>) {
        let Some(mut socket) = self.sockets.remove(&id) else {
            return;
        };
        woken.append(&mut socket.waiters);
        match socket.kind {
            Kind::Stream(stream) => {
                if let Ok(other) = self.stream(stream.peer) {
                    other.is_ended = true;
                }
                if stream.received.is_empty() {
                    self.changed(stream.peer, woken);
                } else {
                    self.reset(stream.peer, woken);
                }
            }
            Kind::Listener(listener) => self.refuse_queue(listener.queue, woken),
        }
    }

    pub fn refuse_queue(&mut self, queue: VecDeque<usize>, woken: &mut Vec<usize>) {
        for id in queue {
            let socket = self.sockets.remove(&id);
            if let Some(Kind::Stream(stream)) = socket.map(|socket| socket.kind) {
                self.reset(stream.peer, woken);
            }
        }
    }

    /// The address of the client whose connection this is.
    pub fn client_of(&mut self, id: usize) -> Option<SocketAddr> {
        Some(self.stream(id).ok()?.peer_addr)
    }

    /// Loses the first client in the queue of a listener. Returns its address.
    pub fn abort_first(&mut self, id: usize, woken: &mut Vec<usize>) -> Option<SocketAddr> {
        let first = self.listener(id).ok()?.queue.pop_front()?;
        let client = self.client_of(first);
        self.refuse_queue(VecDeque::from([first]), woken);
        client
    }

    /// Notes that the system has refused to shut a connection down.
    pub fn refuse_shutdown(&mut self, id: usize) {
        if let Ok(stream) = self.stream(id) {
            stream.is_refused_shutdown = true;
        }
    }

    /// How many connections of the server at that address can still carry bytes.
    pub fn alive(&self, addr: SocketAddr) -> usize {
        let streams = self.of_server(addr);
        let alive = streams.filter(|socket| match &socket.kind {
            Kind::Stream(stream) => {
                let is_shut = stream.is_read_shut && stream.is_write_shut;
                !(stream.is_reset || is_shut || stream.is_refused_shutdown)
            }
            Kind::Listener(_) => false,
        });
        alive.count()
    }

    /// How many descriptors the server at that address has.
    pub fn descriptors_at(&self, addr: SocketAddr) -> usize {
        self.of_server(addr).map(|socket| socket.descriptors).sum()
    }

    fn of_server(&self, addr: SocketAddr) -> impl Iterator<Item = &Socket> {
        let sockets = self.sockets.values();
        sockets.filter(move |socket| !socket.is_client && socket.addr == addr)
    }
}

impl Stream {
    pub fn new(peer: usize, peer_addr: SocketAddr) -> Stream {
        Stream {
            peer,
            peer_addr,
            received: VecDeque::new(),
            is_ended: false,
            is_reset: false,
            is_read_shut: false,
            is_write_shut: false,
            is_refused_shutdown: false,
        }
    }
}
