//! A server's life: built, bound, running; and the accept loop.

use super::connection::{self, panic_message, Handler};
use super::registry::{current_thread_id, join_ended, Registry};
use super::sync::lock;
use super::transport::{wrap, BoxError, Wrap, Wrapped};
use super::{listener::Listener, ConnectionId, Event, Handle, Outcome, Request, Response};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::{io, time::Duration};

type Hook = Box<dyn Fn(Event) + Send + Sync>;

/// Declares each setting once: what it does, its setter's argument, its type and its default.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident($given:ty): $type:ty = $default:expr;)+) => {
        /// The settings of a server that is not bound yet. Every duration can be turned off with `None`.
        ///
        /// ```
        /// let builder = hardstop::Server::builder().max_connections(16).idle_timeout(None);
        /// let server = builder.on_event(|event| eprintln!("{event:?}")).bind("127.0.0.1:0")?;
        /// # Ok::<(), std::io::Error>(())
        /// ```
        #[must_use = "a builder does nothing until it is bound"]
        pub struct Builder {
            $(pub(crate) $name: $type,)+
            pub(crate) transport: Option<Wrap>,
            on_event: Option<Hook>,
        }

        impl Default for Builder {
            fn default() -> Builder {
                Builder { $($name: $default,)+ transport: None, on_event: None }
            }
        }

        impl Builder {
            $($(#[$doc])*
            pub fn $name(self, value: $given) -> Builder {
                Builder { $name: value.into(), ..self }
            })+
        }
    };
}

settings! {
    /// How many connections are served at a time: 256 unless set, as each costs a thread and two descriptors.
    ///
    /// When all are taken, the one that has waited longest for a request makes room for a new client; else the one whose
    /// head has taken longest; else one that lingers after its last response. (New ones and heads have a second first.)
    /// If all have handlers, the new one gets a 503 with `Retry-After`, for which 8 more threads are at hand, or is
    /// dropped, with an event. (While the end of a response is being written, it waits for that first, for at most a second.)
    /// A connection whose response has not left yet is never cut to make room. While those that were cut are slow to go, there may be up to twice as many threads.
    max_connections(usize): usize = 256;
    /// How long a head may take from its first byte to its last: 10 s unless set. Answered with 408. Also, how long the
    /// handshake of a [`transport`](Builder::transport) may take.
    header_timeout(impl Into<Option<Duration>>): Option<Duration> = Some(Duration::from_secs(10));
    /// How long a connection may wait for a request to begin, the first one included: 75 s unless set, longer than the
    /// 60 s of common proxies, so that it is they who end it.
    idle_timeout(impl Into<Option<Duration>>): Option<Duration> = Some(Duration::from_secs(75));
    /// How long reading a body may go without a byte: 30 s unless set. Answered with 408.
    body_timeout(impl Into<Option<Duration>>): Option<Duration> = Some(Duration::from_secs(30));
    /// How long sending may go without a byte being taken: 30 s unless set; the system may make it three times that.
    write_timeout(impl Into<Option<Duration>>): Option<Duration> = Some(Duration::from_secs(30));
    /// The fewest bytes a second at which a body may come and a response be taken: 240. Only time counts in which the
    /// connection is blocked reading that body or writing that response: slow handlers, long polls and server-sent events
    /// are not touched. A transfer may fall behind by 5 s of it, and by up to 30 s once it has been faster.
    min_rate(impl Into<Option<u32>>): Option<u32> = Some(240);
    /// How large a head may be: 16 KiB unless set. Answered with 431, or 414 if its first line does not fit.
    max_head_bytes(usize): usize = 16 * 1024;
    /// How many fields a head may have: 100 unless set. Answered with 431.
    max_headers(usize): usize = 100;
    /// How large a body may be that is read: 1 MiB unless set. Reading a larger one fails, which is answered with 413.
    /// [`Body::set_limit`](super::Body::set_limit) sets another limit for one request.
    max_body_bytes(u64): u64 = 1024 * 1024;
    /// How many fields [`Body::read_form`](super::Body::read_form) takes: 1,000 unless set, as in PHP and Django. Each takes
    /// some 100 bytes beside its name and value, so that a form of 1 MiB could take 42 MiB. Answered with 413.
    max_form_fields(usize): usize = 1000;
    /// The stack of a connection's thread, on which the handler runs: 256 KiB unless set, to fit small address spaces.
    stack_size(usize): usize = 256 * 1024;
    /// The permissions of the file that [`bind_unix`](Builder::bind_unix) makes, such as `0o600`; unless set, those that
    /// the process gives new files. To connect, a client must be allowed to write to it.
    ///
    /// Nobody can connect before the file has them. For that, the socket is made in a new directory of mode 0700 beside
    /// the path, named `.hs` and eight digits, and gets its name with a hard link; then the directory is removed. So the
    /// process must be allowed to make one, the path may be some bytes shorter than without a mode, tools such as `ss`
    /// show the first name, and where there are no hard links (as for apps on Android) `bind_unix` fails and says so.
    socket_mode(impl Into<Option<u32>>): Option<u32> = None;
}

impl Builder {
    /// The one hook that is told what happens, on the thread on which it happens, which waits for it. It is called
    /// outside of any lock, and may call every method of [`Handle`]. A hook that keeps one keeps the memory of both: let it
    /// go when the server has ended.
    pub fn on_event(self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Builder {
        Builder { on_event: Some(Box::new(move |event| tell(&hook, event))), ..self }
    }

    /// Wraps each connection's socket, for https above all. `examples/https` does it with rustls:
    /// `builder.transport(move |tcp, _id| Ok(StreamOwned::new(ServerConnection::new(config.clone())?, tcp)))`.
    ///
    /// The hook is called on the connection's own thread, then what it returns is flushed, so that a lazy one makes its
    /// handshake. All of that must be done within `header_timeout`; a failure ends the connection, with an event. Every
    /// write is flushed. At an orderly end the transport is dropped before the socket is, so that its `Drop` can say
    /// goodbye (close_notify). A stop cuts the socket itself, whatever the transport is doing.
    ///
    /// A read or write of the transport that takes a second longer than its timeout is cut, too, without a response: a
    /// client that sends a record byte by byte holds no thread. (On Linux that waits for the next client while signals
    /// come more often than once a second to the thread that accepts.) A connection takes three descriptors instead of two.
    pub fn transport<T: io::Read + io::Write + Send + 'static>(
        self,
        hook: impl Fn(TcpStream, ConnectionId) -> Result<T, BoxError> + Send + Sync + 'static,
    ) -> Builder {
        let hook = move |tcp, id| -> Result<Box<dyn Wrapped>, _> { Ok(Box::new(hook(tcp, id)?)) };
        Builder { transport: Some(Box::new(move |tcp, of| wrap(tcp, of, &hook))), ..self }
    }

    /// Opens the port, without serving yet: clients that connect wait.
    ///
    /// # Errors
    /// When a setting makes no sense, or the address is none or cannot be listened on. The message names what it can.
    pub fn bind(self, addr: impl ToSocketAddrs) -> io::Result<Server> {
        let none =
            |kind, why| io::Error::new(kind, format!("no address to listen on, such as `127.0.0.1:8080`: {why}"));
        let mut failed = none(io::ErrorKind::AddrNotAvailable, String::from("none was given"));
        for addr in addr.to_socket_addrs().map_err(|error| none(error.kind(), error.to_string()))? {
            match TcpListener::bind(addr).map_err(|error| error.kind()) {
                Ok(listener) => return self.open(listener, false),
                Err(why) => failed = io::Error::new(why, format!("cannot listen on {addr}: {why}")),
            }
        }
        Err(failed)
    }

    /// Uses a listener that was made elsewhere, and makes it nonblocking. A stop closes it, but not a clone of it, nor the
    /// one that a child process has until it runs its program.
    ///
    /// Each connection inherits the listener's options. With `SO_LINGER`, closing a connection blocks its own thread until
    /// the client has taken everything, at most for the time that was set. Nothing waits for that but [`Handle::wait`],
    /// [`Handle::shutdown`] and [`Running::join`], and accepting once twice `max_connections` and eight do so.
    ///
    /// As others may have one, the server does not wait for clients in the kernel, but looks for them every 0.5 to 10 ms.
    ///
    /// # Errors
    /// When a setting makes no sense, or the listener cannot be made nonblocking.
    pub fn listener(self, listener: TcpListener) -> io::Result<Server> {
        self.open(listener, true)
    }

    /// Listens on a Unix socket at that path. [`Server::local_addr`] is `0.0.0.0:0` then, as it has no other.
    ///
    /// A socket that is there already is replaced if nobody listens on it any more, as after a crash; any other file never
    /// is. (Of two servers that replace it at the same moment, one may be left without a file.) When the server stops
    /// accepting, the file is removed, unless another one has taken its place.
    ///
    /// ```no_run
    /// let server = hardstop::Server::builder().socket_mode(0o600).bind_unix("/run/me/admin.sock")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a setting makes no sense, or the path cannot be listened on. The message names it.
    #[cfg(unix)]
    pub fn bind_unix(self, path: impl AsRef<std::path::Path>) -> io::Result<Server> {
        self.check(false)?;
        let socket = super::listener::UnixSocket::bind(path.as_ref(), self.socket_mode)?;
        Ok(self.server(Listener::new(Box::new(socket), false)?, SocketAddr::from(([0, 0, 0, 0], 0))))
    }

    fn open(self, listener: TcpListener, is_shared: bool) -> io::Result<Server> {
        self.check(true)?;
        let local_addr = listener.local_addr()?;
        Ok(self.server(Listener::new(Box::new(listener), is_shared)?, local_addr))
    }

    fn server(self, listener: Listener, local_addr: SocketAddr) -> Server {
        let registry = Arc::new(Registry::new(listener, local_addr, self));
        Server { handle: Handle { registry } }
    }

    /// Tells the hook, if there is one. A hook that panics is told so, once.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(hook) = &self.on_event {
            hook(event());
        }
    }

    /// Refuses what could only fail later, naming the setting.
    fn check(&self, is_port: bool) -> io::Result<()> {
        let is_zero = |timeout| timeout == Some(Duration::ZERO);
        let wrong = match self {
            _ if self.max_connections == 0 => "max_connections is 0: nobody could connect",
            _ if is_zero(self.header_timeout) => "header_timeout is zero: use None to turn it off",
            _ if is_zero(self.idle_timeout) => "idle_timeout is zero: use None to turn it off",
            _ if is_zero(self.body_timeout) => "body_timeout is zero: use None to turn it off",
            _ if is_zero(self.write_timeout) => "write_timeout is zero: use None to turn it off",
            _ if self.min_rate == Some(0) => "min_rate is 0: use None to turn it off",
            _ if self.max_head_bytes < 64 => "max_head_bytes is below 64: no request would fit",
            _ if self.max_headers == 0 => "max_headers is 0: HTTP/1.1 requires a Host",
            _ if self.stack_size < 65_536 => "stack_size is below 64 KiB: the library needs some",
            _ if self.socket_mode.is_some() && is_port => "socket_mode is for bind_unix: a port has no file",
            _ if self.socket_mode > Some(0o777) => "socket_mode is above 0o777: those are all permissions",
            _ => return Ok(()),
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
    }
}

/// A server whose port is open. It serves once it [runs](Server::run); dropping it closes the port.
#[must_use = "dropping a server closes its port"]
pub struct Server {
    handle: Handle,
}

impl Server {
    /// Opens the port with the default settings, as [`Builder::bind`] does.
    ///
    /// # Errors
    /// When the address cannot be listened on. The message names it.
    pub fn bind(addr: impl ToSocketAddrs) -> io::Result<Server> {
        Server::builder().bind(addr)
    }

    /// The settings, to be changed before the port is opened.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address that it listens on; the port that the system chose, if it was asked for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.handle.registry.local_addr
    }

    /// What stops it, from anywhere.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves on this thread, until it has been stopped and every connection is gone.
    ///
    /// Each connection has a thread, on which `handler` is called for one request after the other, and which may serve
    /// another connection when that one has ended. The handler may borrow from the caller. If it panics, the client gets
    /// a 500 and the server goes on (unless panics abort the process).
    ///
    /// When this returns, the handler has been dropped, and no thread and no descriptor of the server is left. Handlers
    /// that ignore their [`CancelToken`](super::CancelToken) hold it back.
    pub fn run<F: Fn(&mut Request<'_>) -> R + Sync, R: Into<Response>>(self, handler: F) {
        let (server, handler) = (self, handler); // dropped after the handler, it tells that this is gone
        server.handle.registry.lock().serving = Some(Some(thread::current().id()));
        accept_loop(&server.handle, &|request| handler(request).into());
    }

    /// Serves on threads of its own, and returns at once.
    ///
    /// # Errors
    /// When the system has no thread for it. The port is closed then.
    pub fn spawn<F, R: Into<Response>>(self, handler: F) -> io::Result<Running>
    where
        F: Fn(&mut Request<'_>) -> R + Send + Sync + 'static,
    {
        let handle = self.handle();
        self.handle.registry.lock().serving = Some(None);
        let thread = thread::Builder::new().name(String::from("hardstop-accept"));
        let thread = Mutex::new(Some(thread.spawn(move || self.run(handler))?));
        Ok(Running { handle, thread })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.registry.lock().serving = None;
        self.handle.destroy();
        self.handle.registry.news.notify_all();
    }
}

/// A server that runs on threads of its own. Dropping it destroys the server, without waiting.
#[must_use = "dropping it destroys the server"]
pub struct Running {
    handle: Handle,
    /// Until somebody has joined or detached it: then there is nothing to destroy.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Running {
    /// What stops it, from anywhere.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The address that it listens on, or did.
    pub fn local_addr(&self) -> SocketAddr {
        self.handle.registry.local_addr
    }

    /// The same as [`Handle::destroy`].
    pub fn destroy(&self) -> usize {
        self.handle.destroy()
    }

    /// The same as [`Handle::shutdown`].
    pub fn shutdown(&self, grace: Duration) -> Outcome {
        self.handle.shutdown(grace)
    }

    /// Waits until the server has been stopped, which this does not do, and has no thread and no descriptor left;
    /// `false`, at once, on one of its own threads.
    pub fn join(&self) -> bool {
        let current = current_thread_id();
        if self.handle.registry.lock().is_own_thread(current) {
            return false;
        }
        let mut thread = lock(&self.thread);
        let _ = thread.take().map(JoinHandle::join); // only a panic in the drop of the handler's state would be in it
        true
    }

    /// Lets the server run on without an owner, until a [`Handle`] stops it.
    pub fn detach(mut self) -> Handle {
        let _ = self.thread.get_mut().map(Option::take); // nothing can have poisoned it
        self.handle()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.thread.get_mut(), Ok(None)) {
            self.handle.destroy();
        }
    }
}

fn tell(hook: &dyn Fn(&Event), event: Event) {
    // An error in an event is the user's, too, and is dropped in there.
    let tell = |event| catch_unwind(AssertUnwindSafe(move || hook(&event))).map_err(panic_message);
    if let Err(message) = tell(event) {
        let _ = tell(Event::HookPanicked { message }); // if it panics again, nobody is told
    }
}

/// Starts a thread for each connection, and joins them all before it returns.
fn accept_loop(server: &Handle, handler: &Handler<'_>) {
    thread::scope(|scope| {
        let mut threads = Vec::new();
        while server.next_job(&mut threads) {
            let spawn = || {
                let thread = thread::Builder::new().name(String::from("hardstop"));
                let thread = thread.stack_size(server.registry.config.stack_size);
                thread.spawn_scoped(scope, move || connection::serve(server, handler))
            };
            let spawned = spawn().or_else(|_| {
                join_ended(&mut threads); // their stacks may be what this one needs
                spawn()
            });
            match spawned {
                Ok(thread) => threads.push(thread),
                Err(error) => connection::turn_away(server, error),
            }
        }
        // A scope alone would return before the system's threads are gone.
        threads.into_iter().for_each(|thread| drop(thread.join()));
    });
    // Every connection has ended, and so has the thread that keeps a deadline, or it is about to.
    let clock = server.registry.lock().clock.take();
    if let Some(clock) = clock {
        let _ = clock.join(); // nothing in it panics
    }
}
