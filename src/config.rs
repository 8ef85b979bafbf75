//! The settings of a server, and its two hooks.
//!
//! A [`Builder`] collects a `Config` and the `Hooks`. From the moment a server is bound, both are
//! fixed. The registry has the `Config`, which is plain data. The server's owner has the `Hooks`,
//! as it has the handler: they may own anything, such as a handle of their own server.

use super::error::BoxError;
use super::event::{ConnectionId, Event};
use super::sys::{panic, DEFAULT_STACK_SIZE};
use std::io::{self, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// The longest idle time that is announced to clients: a day. Some of them count milliseconds in 32
/// bits.
const MAX_ANNOUNCED_SECONDS: u64 = 24 * 60 * 60;

type OnEvent = dyn Fn(&Event) + Send + Sync;

/// The hook of [`Builder::on_event`], if there is one. A clone is the same hook.
#[derive(Clone, Default)]
pub(crate) struct EventHook(Option<Arc<OnEvent>>);

/// The hook of [`Builder::transport`].
pub(crate) type TransportHook =
    Box<dyn Fn(TcpStream, ConnectionId) -> Result<Box<dyn Wrapped>, BoxError> + Send + Sync>;

/// What the hook of [`Builder::transport`] makes of a socket.
pub(crate) trait Wrapped: Read + Write + Send {}

impl<T: Read + Write + Send> Wrapped for T {}

/// Declares each setting once: its documentation, its setter's argument, its type and its default.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident($given:ty): $type:ty = $default:expr;)+) => {
        pub(crate) struct Config {
            $(pub(crate) $name: $type,)+
            pub(crate) has_transport: bool,
        }

        impl Default for Config {
            fn default() -> Config {
                Config {
                    $($name: $default,)+
                    has_transport: false,
                }
            }
        }

        impl Builder {
            $($(#[$doc])*
            pub fn $name(mut self, value: $given) -> Builder {
                self.config.$name = value.into();
                self
            })+
        }

        impl std::fmt::Debug for Builder {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct("Builder")
                    $(.field(stringify!($name), &self.config.$name))+
                    .finish_non_exhaustive()
            }
        }
    };
}

/// The settings of a server that is not bound yet. Every duration can be turned off with `None`.
/// One of more than 24 days may count as 24 days, as not every system takes a longer one.
///
/// ```
/// let builder = hardstop::Server::builder().max_connections(16).idle_timeout(None);
/// let server = builder.on_event(|event| eprintln!("{event}")).bind("127.0.0.1:0")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
#[must_use = "a builder does nothing until it is bound"]
pub struct Builder {
    pub(crate) config: Config,
    pub(crate) hooks: Hooks,
}

/// What a server calls of the user's, besides the handler.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) events: EventHook,
    pub(crate) transport: Option<TransportHook>,
}

settings! {
    /// Sets how many connections are served at a time: 256 by default. Each costs a thread and two
    /// descriptors.
    ///
    /// When every place is taken, a new client takes the place of the connection that has waited
    /// longest for a request, else of the one whose request head has taken longest, else of one
    /// that lingers after its last response. A new connection is spared for a second, in which its
    /// first request should come. A connection whose response has not left yet is never cut to make
    /// room.
    ///
    /// If no connection can make room, the new client gets a 503 with `Retry-After`. Eight more
    /// threads are at hand for that; beyond them, a client is closed, with an event. While the end
    /// of a response is being written, a new client waits for it, for at most a second. Over a
    /// [`transport`](Builder::transport), a client that is to be refused has a second for its
    /// handshake.
    ///
    /// While connections that were cut are slow to end, there may be twice as many threads.
    #[doc(alias("threads", "workers", "pool"))]
    max_connections(usize): usize = 256;
    /// Sets how long a request head may take from its first byte to its last: 10 s by default.
    ///
    /// Beyond it, the client gets a 408. The handshake of a [`transport`](Builder::transport) has
    /// the same limit.
    header_timeout(impl Into<Option<Duration>>): Option<Duration> = Some(Duration::from_secs(10));
    /// Sets how long a connection may wait for a request to begin, including the first one: 75 s by
    /// default.
    ///
    /// That is longer than the 60 s of common proxies, so that the proxy ends the connection.
    ///
    /// The response to a client that asks for keep-alive, with `Connection: keep-alive` in its
    /// request, announces one second less, in whole seconds: `Keep-Alive: timeout=74`. Browsers and
    /// many libraries ask. Some of those, such as Node's agent and Apache's client, then stop using
    /// a connection in time, and do not send a request just when it is closed. There is no such
    /// header if the time is less than 2 s or turned off.
    #[doc(alias = "keep_alive")]
    idle_timeout(impl Into<Option<Duration>>): Option<Duration> = Some(Duration::from_secs(75));
    /// Sets how long reading a request body may go without a byte: 30 s by default. Beyond it, the
    /// client gets a 408.
    ///
    /// It also bounds two waits for bytes that are discarded:
    ///
    /// - If the handler has left a part of the body unread, the response waits for it at most this
    ///   long.
    /// - After a last response, the connection lingers at most this long, but never less than a
    ///   second, and 30 s if this is turned off. It ends earlier if the client pauses for 5 s (for
    ///   1 s if nothing of its request is missing or the server drains), and after 16 MiB. So the
    ///   sender of a larger upload may lose a response that came early.
    body_timeout(impl Into<Option<Duration>>): Option<Duration> = Some(Duration::from_secs(30));
    /// Sets how long sending may go without a byte being taken: 60 s by default. Beyond it, the
    /// connection is closed.
    ///
    /// It is the system that takes bytes, into its own buffers, and it reports in steps what a slow
    /// client reads. On Linux's loopback interface, a step is up to 130 KB, for which a client that
    /// reads 3 kB/s takes 45 s. So do not set this to much less if you want to serve such clients.
    write_timeout(impl Into<Option<Duration>>): Option<Duration> = Some(Duration::from_secs(60));
    /// Sets the fewest bytes a second at which a request body may come and a response be taken: 240
    /// by default.
    ///
    /// Only the time counts during which the connection is blocked in reading that body or writing
    /// that response, so slow handlers, long polls and server-sent events are not affected.
    ///
    /// A body may fall behind by twice `body_timeout`. So no single pause within `body_timeout`
    /// ends an upload that is fast enough afterwards, and one that sends a byte now and then ends
    /// after that time: after a minute by default. A response may fall behind by `write_timeout`.
    /// If one of the two timeouts is turned off, it counts as 30 s here.
    min_rate(impl Into<Option<u32>>): Option<u32> = Some(240);
    /// Sets how large a request head may be: 16 KiB by default. Beyond it, the client gets a 431,
    /// or a 414 if the request line alone does not fit.
    max_head_bytes(usize): usize = 16 * 1024;
    /// Sets how many headers a request may have: 100 by default. Beyond it, the client gets a 431.
    max_headers(usize): usize = 100;
    /// Sets how large a request body may be that is read: 1 MiB by default.
    ///
    /// Reading a larger one fails, and the client gets a 413.
    /// [`Body::set_limit`](super::Body::set_limit) sets another limit for one request.
    max_body_bytes(u64): u64 = 1024 * 1024;
    /// Sets how many fields [`Body::read_form`](super::Body::read_form) takes: 1,000 by default, as
    /// in PHP and Django. Beyond it, the client gets a 413.
    ///
    /// Each field takes some 100 bytes besides its name and value, so that a form of 1 MiB could
    /// take 42 MiB.
    max_form_fields(usize): usize = 1000;
    /// Sets the stack size of a connection's thread: 2 MiB by default, as for std's threads, and
    /// 512 KiB on 32-bit systems, where more would take much of the address space.
    ///
    /// The handler runs on this stack, and so do the closures of responses and upgrades, the
    /// transport, and the event hook for everything that happens on a connection. A stack is
    /// address space: it takes memory only as far as it has been used.
    ///
    /// **A stack overflow aborts the whole process**, not only the connection: it is no panic, and
    /// nothing can catch it. So bound every recursion whose depth a client chooses, such as the
    /// nesting of a document. Debug builds need several times the stack of release builds.
    stack_size(usize): usize = DEFAULT_STACK_SIZE;
    /// Sets the permissions of the file that [`bind_unix`](Builder::bind_unix) makes, such as
    /// `0o600`. By default they are those that the process gives to new files.
    ///
    /// To connect, a client must be allowed to write to the file. Nobody can connect before the
    /// file has these permissions: the socket is made in a new directory of mode 0700 beside the
    /// path, named `.hs` and eight digits, and gets its name with a hard link; then the directory
    /// is removed. This has consequences:
    ///
    /// - The process must be allowed to make that directory.
    /// - The path may be some bytes shorter than without a mode.
    /// - Tools such as `ss` show the first name.
    /// - Where there are no hard links (as for apps on Android), `bind_unix` fails and says so.
    socket_mode(impl Into<Option<u32>>): Option<u32> = None;
}

impl Builder {
    /// Sets the hook that receives every [`Event`].
    ///
    /// Without a hook, nothing is reported, as the library prints nothing. In particular, this is
    /// the only way to the text of an error that its client gets as a bare 500, such as an
    /// [`io::Error`] that a handler returns with `?`. A hook that prints failures is enough to
    /// begin with:
    ///
    /// ```
    /// use hardstop::{Event, Server};
    /// let builder = Server::builder().on_event(|event| match event {
    ///     Event::RequestFailed { .. } | Event::HandlerPanicked { .. } => eprintln!("{event}"),
    ///     _ => {}
    /// });
    /// # let _ = builder;
    /// ```
    ///
    /// The hook is called on the thread where the event occurs, which waits for it. No lock is held
    /// meanwhile, so the hook may call every method of [`Handle`](super::Handle).
    ///
    /// The hook is dropped once the last event has been delivered, before
    /// [`wait`](super::Handle::wait), [`join`](super::Running::join) and
    /// [`run`](super::Server::run) return. A server that never runs drops it when the
    /// [`Server`](super::Server) is dropped. So the hook may own anything, including a handle of
    /// its own server: nothing is kept after the end. Its drop must not wait for a thread that
    /// waits for the server.
    #[doc(alias("log", "access_log", "metrics", "tracing"))]
    pub fn on_event(mut self, hook: impl Fn(&Event) + Send + Sync + 'static) -> Builder {
        self.hooks.events = EventHook(Some(Arc::new(hook)));
        self
    }

    /// Wraps each connection's socket, mainly for https. `examples/https` does it with rustls:
    /// `builder.transport(move |tcp, _id|
    /// Ok(StreamOwned::new(ServerConnection::new(config.clone())?, tcp)))`.
    ///
    /// The hook is called on the connection's own thread. Then the result is flushed, so that a
    /// lazy transport makes its handshake. Both must be done within `header_timeout`, and within a
    /// second for a client that came while every place was taken. If they fail, the connection
    /// ends, with an event. Every write is flushed.
    ///
    /// At an orderly end, the transport is dropped before the socket is, so that its `Drop` can say
    /// goodbye (`close_notify`). A stop cuts the socket itself, whatever the transport is doing.
    ///
    /// A read or write of the transport that takes a second longer than its timeout is cut as well,
    /// without a response. So a client that sends a record byte by byte does not hold a thread. (On
    /// Linux, this is delayed until the next client while signals reach the accepting thread more
    /// than once a second.) A connection takes three descriptors instead of two.
    ///
    /// The hook is dropped when the server has ended, as that of [`on_event`](Builder::on_event)
    /// is.
    #[doc(alias("tls", "https", "ssl", "rustls"))]
    pub fn transport<T: Read + Write + Send + 'static>(
        mut self,
        hook: impl Fn(TcpStream, ConnectionId) -> Result<T, BoxError> + Send + Sync + 'static,
    ) -> Builder {
        self.config.has_transport = true;
        self.hooks.transport = Some(Box::new(move |tcp, id| {
            let wrapped = hook(tcp, id)?;
            Ok(Box::new(wrapped))
        }));
        self
    }
}

impl Hooks {
    /// Returns whether there is a hook that has not been dropped.
    pub(crate) fn are_left(&self) -> bool {
        self.transport.is_some() || self.events.0.is_some()
    }

    /// Drops the hooks, which is the user's code. So it is never done under a lock.
    pub(crate) fn drop_each(&mut self) {
        let transport = self.transport.take();
        let events = mem::take(&mut self.events);
        // If one of them panics, nothing is left that could report it.
        let _ = panic::catch(move || drop(transport));
        let _ = panic::catch(move || drop(events));
    }
}

impl EventHook {
    /// Reports an event, which is made only if there is a hook.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        match &self.0 {
            Some(hook) => report(&**hook, event()),
            None => {
                // It may own an error of the user's, whose drop may panic.
                let _ = panic::catch(move || drop(event));
            }
        }
    }
}

impl Config {
    /// Returns the idle time that is announced to clients, in seconds.
    pub(crate) fn announced_idle_seconds(&self) -> Option<u64> {
        // A client's clock starts when it has read the response, and its request takes some time as
        // well. Some clients subtract a second for that, and others do not.
        let seconds = self.idle_timeout?.as_secs().checked_sub(1)?;
        if seconds == 0 {
            return None;
        }
        Some(seconds.min(MAX_ANNOUNCED_SECONDS))
    }

    /// Refuses a setting that could only fail later, and names it.
    pub(crate) fn check(&self) -> io::Result<()> {
        ensure(
            self.max_connections > 0,
            "max_connections is 0: nobody could connect",
        )?;
        ensure_not_zero(
            self.header_timeout,
            "header_timeout is zero: use None to turn it off",
        )?;
        ensure_not_zero(
            self.idle_timeout,
            "idle_timeout is zero: use None to turn it off",
        )?;
        ensure_not_zero(
            self.body_timeout,
            "body_timeout is zero: use None to turn it off",
        )?;
        ensure_not_zero(
            self.write_timeout,
            "write_timeout is zero: use None to turn it off",
        )?;
        ensure(
            self.min_rate != Some(0),
            "min_rate is 0: use None to turn it off",
        )?;
        ensure(
            self.max_head_bytes >= 64,
            "max_head_bytes is below 64: no request would fit",
        )?;
        ensure(
            self.max_headers > 0,
            "max_headers is 0: HTTP/1.1 requires a Host",
        )?;
        ensure(
            self.stack_size >= 65_536,
            "stack_size is below 64 KiB: the library needs some",
        )?;
        let mode = self.socket_mode.unwrap_or(0);
        ensure(
            mode <= 0o777,
            "socket_mode is above 0o777: those are all permissions",
        )
    }

    /// Refuses a setting that has no meaning for a port.
    pub(crate) fn check_port(&self) -> io::Result<()> {
        ensure(
            self.socket_mode.is_none(),
            "socket_mode is for bind_unix: a port has no file",
        )
    }
}

/// Calls the hook, and once more if it panics.
#[inline(never)] // one copy is enough: events are reported in many places
fn report(hook: &OnEvent, event: Event) {
    if let Err(message) = call_hook(hook, event) {
        // If the hook panics again, nothing else can report it.
        let _ = call_hook(hook, Event::HookPanicked { message });
    }
}

/// Calls the hook. Returns the text of its panic if it panics, also while it drops the event: an
/// error in there is of the user's own type.
#[inline(never)] // it is called in two places
fn call_hook(hook: &OnEvent, event: Event) -> Result<(), String> {
    panic::catch(move || hook(&event))
}

fn ensure_not_zero(timeout: Option<Duration>, message: &'static str) -> io::Result<()> {
    ensure(timeout != Some(Duration::ZERO), message)
}

fn ensure(is_valid: bool, message: &'static str) -> io::Result<()> {
    if is_valid {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}
