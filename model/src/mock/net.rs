//! Sockets that behave as Linux's do.
//!
//! - Clones share a socket: its modes, its timeouts, and its end. It is closed when the last
//!   descriptor is dropped; `shutdown` acts at once.
//! - Closing a socket with unread data, and sending to a closed one, reset the connection. What the
//!   other side has received already it still can read, unless [`Network::reset_loses`] is set: on
//!   other systems, and on a network with loss, it may be gone.
//! - Ending the reading side leaves what is queued, and even what still comes, to be read.
//! - A write waits for room in the other side's buffer, which is small, and takes what fits.
//! - `accept` takes a descriptor before it waits, waits for the listener's receive timeout, and fails
//!   once the listener has been shut down.
//! - A client is connected as soon as it is in the accept queue. Closing or shutting down the
//!   listener resets those that are in it.
//! - Descriptors of the library are counted and may run out; clients' are not.
//!
//! Not imitated: loss and delay, a full accept queue, `SO_LINGER` except for [`Network::linger`], and
//! sockets in the file system.

use super::clock;
use super::kernel::{self, block, switch, with, Woken};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};

use std::path::Path;
use std::time::Duration;

pub use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs};

const EMFILE: i32 = 24;
const EINVAL: i32 = 22;

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

struct Socket {
    /// How many descriptors there are of it.
    descriptors: usize,
    is_client: bool,
    is_nonblocking: bool,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    addr: SocketAddr,
    /// The tasks that wait for it to change.
    waiters: Vec<usize>,
    kind: Kind,
}

enum Kind {
    Listener(Listener),
    Stream(Stream),
}

#[derive(Default)]
struct Listener {
    /// The server's ends of those that have connected.
    queue: VecDeque<usize>,
    is_shut: bool,
}

struct Stream {
    peer: usize,
    peer_addr: SocketAddr,
    received: VecDeque<u8>,
    /// Whether the other side has ended its sending.
    is_ended: bool,
    is_reset: bool,
    is_read_shut: bool,
    is_write_shut: bool,
}

impl Network {
    fn add(&mut self, is_client: bool, addr: SocketAddr, kind: Kind) -> usize {
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

    fn socket(&mut self, id: usize) -> &mut Socket {
        self.sockets
            .get_mut(&id)
            .expect("a socket with a descriptor exists")
    }

    fn stream(&mut self, id: usize) -> io::Result<&mut Stream> {
        match self.sockets.get_mut(&id).map(|socket| &mut socket.kind) {
            Some(Kind::Stream(stream)) => Ok(stream),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn listener(&mut self, id: usize) -> io::Result<&mut Listener> {
        match self.sockets.get_mut(&id).map(|socket| &mut socket.kind) {
            Some(Kind::Listener(listener)) => Ok(listener),
            _ => Err(io::Error::from_raw_os_error(EINVAL)),
        }
    }

    /// The listener at that address, if clients can connect to it.
    fn listener_at(&self, addr: SocketAddr) -> Option<usize> {
        let mut found = self.sockets.iter().filter(|(_, socket)| {
            matches!(&socket.kind, Kind::Listener(listener) if !listener.is_shut)
                && socket.addr == addr
        });
        found.next().map(|(id, _)| *id)
    }

    fn new_port(&mut self) -> SocketAddr {
        self.last_port += 1;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.last_port)
    }

    /// Wakes all who wait for this socket, or for room in the other side's buffer.
    fn changed(&mut self, id: usize, woken: &mut Vec<usize>) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            woken.append(&mut socket.waiters);
        }
    }

    /// Ends what one side sends.
    fn end_sending(&mut self, id: usize, woken: &mut Vec<usize>) {
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
    fn reset(&mut self, id: usize, woken: &mut Vec<usize>) {
        let is_lost = self.reset_loses;
        if let Ok(stream) = self.stream(id) {
            stream.is_reset = true;
            if is_lost {
                stream.received.clear();
            }
            self.changed(id, woken);
        }
    }

    /// Closes a socket whose last descriptor is gone.
    fn close(&mut self, id: usize, woken: &mut Vec<usize>) {
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

    fn refuse_queue(&mut self, queue: VecDeque<usize>, woken: &mut Vec<usize>) {
        for id in queue {
            if let Some(Socket {
                kind: Kind::Stream(stream),
                ..
            }) = self.sockets.remove(&id)
            {
                self.reset(stream.peer, woken);
            }
        }
    }

    /// How many connections of the server at that address can still carry bytes.
    pub fn alive(&self, addr: SocketAddr) -> usize {
        let streams = self.of_server(addr);
        let alive = streams.filter(|socket| match &socket.kind {
            Kind::Stream(stream) => {
                !(stream.is_reset || stream.is_read_shut && stream.is_write_shut)
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

/// A descriptor.
struct Descriptor {
    id: usize,
}

impl Descriptor {
    fn new(id: usize) -> io::Result<Descriptor> {
        with(|world| {
            let net = &mut world.net;
            if !net.socket(id).is_client {
                if net.descriptors >= net.limit {
                    return Err(io::Error::from_raw_os_error(EMFILE));
                }
                net.descriptors += 1;
            }
            net.socket(id).descriptors += 1;
            Ok(Descriptor { id })
        })
    }

    fn set(&self, f: impl FnOnce(&mut Socket)) -> io::Result<()> {
        switch();
        with(|world| f(world.net.socket(self.id)));
        Ok(())
    }

    fn set_timeout(
        &self,
        timeout: Option<Duration>,
        place: fn(&mut Socket) -> &mut Option<Duration>,
    ) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(ErrorKind::InvalidInput.into());
        }
        with(|world| *place(world.net.socket(self.id)) = timeout);
        Ok(())
    }

    /// Tries until there is a result, the deadline has come, or the socket is nonblocking.
    fn patiently<R>(
        &self,
        what: &'static str,
        timeout: fn(&Socket) -> Option<Duration>,
        mut once: impl FnMut(&mut Network, &mut Vec<usize>) -> Option<io::Result<R>>,
    ) -> io::Result<R> {
        switch();
        let timeout = with(|world| timeout(world.net.socket(self.id)));
        let deadline = timeout.and_then(clock::deadline);
        let me = kernel::me();
        loop {
            let mut woken = Vec::new();
            let result = with(|world| {
                let result = once(&mut world.net, &mut woken);
                let socket = world.net.socket(self.id);
                if result.is_none() && socket.is_nonblocking {
                    return Some(Err(ErrorKind::WouldBlock.into()));
                }
                if result.is_none() {
                    socket.waiters.push(me);
                }
                result
            });
            kernel::wake_all(&mut woken);
            if let Some(result) = result {
                return result;
            }
            let is_late = block(what, deadline) == Woken::TimedOut;
            with(|world| {
                world
                    .net
                    .socket(self.id)
                    .waiters
                    .retain(|waiter| *waiter != me)
            });
            if is_late {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut woken = Vec::new();
        let id = self.id;
        switch();
        kernel::log(|| format!("shuts {how:?} of socket {id} down"));
        let result = with(|world| {
            let net = &mut world.net;
            if let Ok(listener) = net.listener(id) {
                if how != Shutdown::Write {
                    listener.is_shut = true;
                    let queue = std::mem::take(&mut listener.queue);
                    net.refuse_queue(queue, &mut woken);
                    net.changed(id, &mut woken);
                }
                return Ok(());
            }
            let stream = net.stream(id)?;
            if stream.is_reset {
                return Err(ErrorKind::NotConnected.into());
            }
            if how != Shutdown::Write {
                stream.is_read_shut = true;
                net.changed(id, &mut woken);
            }
            if how != Shutdown::Read {
                net.end_sending(id, &mut woken);
            }
            Ok(())
        });
        kernel::wake_all(&mut woken);
        result
    }

    fn read(&self, buf: &mut [u8], is_peek: bool) -> io::Result<usize> {
        let id = self.id;
        let result = self.patiently(
            "a read",
            |socket| socket.read_timeout,
            |net, woken| {
                let stream = match net.stream(id) {
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
                    net.changed(peer, woken); // there is room again
                }
                Some(Ok(n))
            },
        );
        kernel::log(|| format!("has read {result:?} from socket {id}"));
        result
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let id = self.id;
        let result = self.patiently(
            "a write",
            |socket| socket.write_timeout,
            |net, woken| {
                let room = net.buffer;
                let stream = match net.stream(id) {
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
                let other = match net.stream(peer) {
                    Ok(other) => other,
                    Err(_) => {
                        // The other side is closed, and answers with a reset.
                        net.reset(id, woken);
                        return Some(Ok(bytes.len()));
                    }
                };
                if other.is_read_shut && other.is_write_shut {
                    net.reset(id, woken);
                    return Some(Ok(bytes.len()));
                }
                let n = bytes.len().min(room.saturating_sub(other.received.len()));
                if n == 0 && !bytes.is_empty() {
                    return None;
                }
                other.received.extend(&bytes[..n]);
                net.changed(peer, woken);
                Some(Ok(n))
            },
        );
        kernel::log(|| format!("has written {result:?} to socket {id}"));
        result
    }

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let id = self.id;
        // The system takes a descriptor first, and has it while it waits.
        switch();
        with(|world| {
            if world.net.descriptors >= world.net.limit {
                return Err(io::Error::from_raw_os_error(EMFILE));
            }
            world.net.descriptors += 1;
            Ok(())
        })?;
        let accepted = self.patiently(
            "a client",
            |socket| socket.read_timeout,
            |net, _| {
                let listener = match net.listener(id) {
                    Ok(listener) => listener,
                    Err(error) => return Some(Err(error)),
                };
                if listener.is_shut {
                    return Some(Err(io::Error::from_raw_os_error(EINVAL)));
                }
                listener.queue.pop_front().map(Ok)
            },
        );
        let accepted = with(|world| {
            let net = &mut world.net;
            let end = match accepted {
                Ok(end) => end,
                Err(error) => {
                    net.descriptors -= 1;
                    return Err(error);
                }
            };
            net.socket(end).descriptors += 1;
            let peer = net.stream(end)?.peer_addr;
            let fd = OwnedFd(Descriptor { id: end });
            Ok((TcpStream { fd }, peer))
        });
        let id = accepted.as_ref().map(|(stream, _)| stream.fd.0.id);
        kernel::log(|| format!("has accepted {id:?}"));
        accepted
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        switch();
        let linger = with(|world| {
            let net = &mut world.net;
            let socket = net.socket(self.id);
            let is_last = socket.descriptors == 1 && !socket.is_client;
            let is_connection = matches!(socket.kind, Kind::Stream(_));
            net.linger.filter(|_| is_last && is_connection)
        });
        if let Some(time) = linger {
            block("a close that lingers", clock::deadline(time));
        }
        let mut woken = Vec::new();
        let is_last = with(|world| {
            let net = &mut world.net;
            let socket = net.socket(self.id);
            socket.descriptors -= 1;
            let is_last = socket.descriptors == 0;
            if !socket.is_client {
                net.descriptors -= 1;
            }
            if is_last {
                net.close(self.id, &mut woken);
            }
            is_last
        });
        if is_last {
            kernel::log(|| format!("has closed socket {}", self.id));
        }
        kernel::wake_all(&mut woken);
    }
}

/// Any socket, as a bare descriptor.
pub struct OwnedFd(Descriptor);

macro_rules! sockets {
    ($($name:ident)+) => {
        $(
            pub struct $name {
                fd: OwnedFd,
            }

            impl $name {
                pub fn try_clone(&self) -> io::Result<$name> {
                    switch();
                    let fd = OwnedFd(Descriptor::new(self.fd.0.id)?);
                    Ok($name { fd })
                }

                pub fn set_nonblocking(&self, is_nonblocking: bool) -> io::Result<()> {
                    self.fd.0.set(|socket| socket.is_nonblocking = is_nonblocking)
                }
            }

            impl From<OwnedFd> for $name {
                fn from(fd: OwnedFd) -> $name {
                    $name { fd }
                }
            }

            impl From<$name> for OwnedFd {
                fn from(socket: $name) -> OwnedFd {
                    socket.fd
                }
            }
        )+
    };
}

sockets! { TcpListener TcpStream UnixListener UnixStream }

impl TcpListener {
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let mut addr = addr
            .to_socket_addrs()?
            .next()
            .ok_or(ErrorKind::InvalidInput)?;
        switch();
        let id = with(|world| {
            if addr.port() == 0 {
                addr = world.net.new_port();
            }
            if world.net.listener_at(addr).is_some() {
                return Err(io::Error::from(ErrorKind::AddrInUse));
            }
            let kind = Kind::Listener(Listener::default());
            Ok(world.net.add(false, addr, kind))
        })?;
        let fd = OwnedFd(Descriptor::new(id)?);
        Ok(TcpListener { fd })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(with(|world| world.net.socket(self.fd.0.id).addr))
    }

    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.fd.0.accept()
    }
}

impl TcpStream {
    /// Connects a client.
    pub fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
        switch();
        let mut woken = Vec::new();
        let client = with(|world| {
            let net = &mut world.net;
            let listener = net.listener_at(addr).ok_or(ErrorKind::ConnectionRefused)?;
            let own_addr = net.new_port();
            let client = net.add(true, own_addr, Kind::Stream(Stream::new(0, addr)));
            let server = net.add(false, addr, Kind::Stream(Stream::new(client, own_addr)));
            net.stream(client)?.peer = server;
            net.listener(listener)?.queue.push_back(server);
            net.changed(listener, &mut woken);
            io::Result::Ok(client)
        })?;
        kernel::wake_all(&mut woken);
        let fd = OwnedFd(Descriptor::new(client)?);
        Ok(TcpStream { fd })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(with(|world| world.net.socket(self.fd.0.id).addr))
    }

    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        with(|world| Ok(world.net.stream(self.fd.0.id)?.peer_addr))
    }

    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.fd
            .0
            .set_timeout(timeout, |socket| &mut socket.read_timeout)
    }

    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.fd
            .0
            .set_timeout(timeout, |socket| &mut socket.write_timeout)
    }

    pub fn set_nodelay(&self, _is_on: bool) -> io::Result<()> {
        Ok(())
    }

    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.fd.0.shutdown(how)
    }

    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.fd.0.read(buf, true)
    }
}

impl Stream {
    fn new(peer: usize, peer_addr: SocketAddr) -> Stream {
        Stream {
            peer,
            peer_addr,
            received: VecDeque::new(),
            is_ended: false,
            is_reset: false,
            is_read_shut: false,
            is_write_shut: false,
        }
    }
}

impl Read for TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.fd.0.read(buf, false)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fd.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.fd.0.read(buf, false)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fd.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl UnixListener {
    pub fn bind(_path: impl AsRef<Path>) -> io::Result<UnixListener> {
        Err(ErrorKind::Unsupported.into())
    }

    pub fn accept(&self) -> io::Result<(UnixStream, ())> {
        Err(ErrorKind::Unsupported.into())
    }
}

pub struct UnixDatagram;

impl UnixDatagram {
    pub fn unbound() -> io::Result<UnixDatagram> {
        Err(ErrorKind::Unsupported.into())
    }

    pub fn connect(&self, _path: impl AsRef<Path>) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}
