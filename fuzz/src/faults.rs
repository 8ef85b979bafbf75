//! One connection whose surroundings fail: at the n-th call, the transport or the user's code fails, panics, or stops it.
//!
//! The first line of an input is the script of the transport: its n-th byte says what happens in the n-th call of the
//! transport. The second line is the script of the user's code: the handler, bodies, the stream of an upgrade, and the
//! event hook. `script.rs` lists the bytes. With a `w` in front of the first line, the transport is one of
//! `Builder::transport`, below the library's own socket. What follows is what the client sends, and then the end.
//!
//! 1. There is one `Opened`, which is the first event, and one `Closed`, which is the last one.
//! 2. No call of the handler begins after a cut, and at most one after the beginning of a drain.
//! 3. The first cut is the reason in `Closed`. Without a cut, the reason is one that the script can have caused.
//! 4. A response that looks complete has the whole body, and its handler has given all of it without an error.
//! 5. As long as bytes can leave, each call of the handler has a response, also after a panic.
//! 6. `Responded` is reported for each complete response, and for none that is known to be lost.
//! 7. Nothing is written after a failed write, nor after the end of the writing side.
//! 8. The stop calls return how many connections they have cut, the socket is shut down when they return, and the tokens
//!    of requests agree.
//! 9. The connection ends, leaves the registry, and nothing keeps the handler or the transport.

mod check;
mod handler;
mod parse;
mod script;
mod wire;
mod world;

use self::handler::{echo, handle};
use self::script::{Script, Step};
use self::wire::{take_step, Wire};
use self::world::{Door, World};
use crate::hardstop::config::Hooks;
use crate::hardstop::conn::{serve_over, Socket, Transport};
use crate::hardstop::lifecycle::{Handle, Registration, Registry, Work};
use crate::hardstop::sys::listener::Listener;
use crate::hardstop::{Builder, CloseReason, Request, Upgraded};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// Small enough for the fuzzer to reach.
const MAX_HEAD_BYTES: usize = 512;
const MAX_BODY_BYTES: u64 = 64;

pub fn faults(input: &[u8]) {
    let (first, rest) = split_line(input);
    let (second, bytes) = split_line(rest);
    let is_wrapped = first.first() == Some(&b'w');
    let wire_script = Script::new(first.strip_prefix(b"w").unwrap_or(first));
    let world = Arc::new(World::new(wire_script, Script::new(second), bytes));
    let (server, hooks) = server(&world, is_wrapped);
    world.set_server(Some(server.clone()));
    let (tcp, registration) = world.connect_first();
    serve(&world, &hooks, tcp, registration);
    end(&world, &server, &hooks);
    drop(hooks);

    world.set_server(None);
    drop(server);
    let world = Arc::into_inner(world).expect("something of the connection is left");
    check::check(&world.into_state(), is_wrapped);
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, b""),
    }
}

/// Returns a server with one place, whose only client is the one that the world connects, and its hooks.
fn server(world: &Arc<World>, is_wrapped: bool) -> (Handle, Hooks) {
    let reports = Arc::clone(world);
    let mut builder = Builder::default()
        .max_connections(1)
        .max_head_bytes(MAX_HEAD_BYTES)
        .max_body_bytes(MAX_BODY_BYTES)
        .on_event(move |event| reports.report(event));
    if is_wrapped {
        let world = Arc::clone(world);
        builder = builder.transport(move |tcp, _| match take_step(&world) {
            Step::Failed(kind) => {
                world.note_receive_failure(kind);
                Err(io::Error::from(kind).into())
            }
            step => {
                let wire = Wire::new(&world, Some(tcp));
                wire.end(step);
                Ok(wire)
            }
        });
    }
    let listener = Listener::new(Box::new(Door(Arc::clone(world))), true).unwrap();
    let addr = SocketAddr::from(([127, 0, 0, 1], 80));
    let server = Handle {
        registry: Arc::new(Registry::new(listener, addr, builder.config)),
    };
    (server, builder.hooks)
}

fn serve(world: &Arc<World>, hooks: &Hooks, tcp: TcpStream, mut registration: Registration) {
    let handler = |request: &mut Request<'_>| handle(request, world);
    let open = |registration: &Registration| -> Result<Box<dyn Transport>, CloseReason> {
        if hooks.transport.is_some() {
            return Socket::open(tcp, registration, hooks.transport.as_ref());
        }
        Ok(Box::new(Wire::new(world, Some(tcp))))
    };
    registration.events = hooks.events.clone();
    serve_over(open, registration, &handler);
    world.leave_library();
    if let Some(stream) = world.take_kept() {
        use_kept(stream, world);
    }
}

/// Uses an upgraded stream that its closure has kept. Nothing of the library would catch a panic here.
fn use_kept(stream: Upgraded, world: &World) {
    if !matches!(world.user_step(), Step::Panic) {
        echo(stream, world);
        return;
    }
    // A thread of the user's drops the stream while it panics. The accept loop reports the end.
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _stream = stream;
        resume_unwind(Box::new("the script says so"));
    }));
    assert!(panicked.is_err());
}

/// Does what the accept loop does at the end, and checks that nothing is left.
fn end(world: &World, server: &Handle, hooks: &Hooks) {
    assert_eq!(server.connection_count(), 0, "the connection is still open");
    // From here on, no other client can come, whatever the script says in an event.
    world.note_stop();
    server.destroy();
    loop {
        match server.registry.next_work(0) {
            Work::Finish => break,
            Work::Report(event) => hooks.events.emit(|| event),
            Work::Close(sockets) => drop(sockets),
            _ => panic!("work is left: {:?}", world.state().facts),
        }
    }
    assert!(server.wait_timeout(Duration::ZERO));
}
