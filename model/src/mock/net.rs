//! Sockets that behave as Linux's do: what std offers of them.
//!
//! - A write waits for room in the other side's buffer, which may be small, and takes what fits.
//! - `accept` takes a descriptor before it waits, waits for the listener's receive timeout, and fails
//!   once the listener has been shut down.
//! - Whether a call waits is decided when it begins, also if the socket's mode changes meanwhile.
//! - Closing a connection takes as long as [`Network::linger`] says.
//!
//! Not imitated: sockets in the file system. `network.rs` says how connections behave.

use super::clock;
use super::faults::{self, Call};
use super::kernel::{self, block, switch, with, Woken};
use super::network::{Kind, Listener, Network, Socket, Stream, EINVAL, EMFILE};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

pub use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs};

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
        faults::ask(Call::SetMode, Some(self.id))?;
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
        faults::ask(Call::SetTimeout, Some(self.id))?;
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
        let (timeout, is_nonblocking) = with(|world| {
            let socket = world.net.socket(self.id);
            (timeout(socket), socket.is_nonblocking)
        });
        let deadline = timeout.and_then(clock::deadline);
        let me = kernel::me();
        loop {
            let mut woken = Vec::new();
            let result = with(|world| {
                let result = once(&mut world.net, &mut woken);
                let socket = world.net.socket(self.id);
                if result.is_none() && is_nonblocking {
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
                let socket = world.net.socket(self.id);
                socket.waiters.retain(|waiter| *waiter != me);
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
        faults::ask(Call::Shutdown, Some(id))?;
        kernel::log(|| format!("shuts {how:?} of socket {id} down"));
        let result = with(|world| world.net.shut_down(id, how, &mut woken));
        kernel::wake_all(&mut woken);
        result
    }

    fn read(&self, buf: &mut [u8], is_peek: bool) -> io::Result<usize> {
        let id = self.id;
        let call = if is_peek { Call::Peek } else { Call::Read };
        faults::ask(call, Some(id))?;
        let result = self.patiently(
            "a read",
            |socket| socket.read_timeout,
            |net, woken| net.read(id, buf, is_peek, woken),
        );
        kernel::log(|| format!("has read {result:?} from socket {id}"));
        result
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let id = self.id;
        faults::ask(Call::Write, Some(id))?;
        let result = self.patiently(
            "a write",
            |socket| socket.write_timeout,
            |net, woken| net.write(id, bytes, woken),
        );
        kernel::log(|| format!("has written {result:?} to socket {id}"));
        result
    }

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let id = self.id;
        // The system takes a descriptor first, and has it while it waits.
        switch();
        faults::ask(Call::Accept, Some(id))?;
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
                    faults::ask(Call::Clone, Some(self.fd.0.id))?;
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
        faults::ask(Call::SetNodelay, Some(self.fd.0.id))
    }

    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.fd.0.shutdown(how)
    }

    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.fd.0.read(buf, true)
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
