//! The room: the clients of the chat.
//!
//! # Invariants
//! 1. Nothing waits for a client while the room is locked: messages go into the client's queue,
//!    and a client whose queue is full is cut.
//! 2. Once the room has said good-bye, it sends nothing else. A client that joins later gets only
//!    that.

use hardstop::{ConnectionId, Handle};
use std::collections::HashMap;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::CloseFrame;
use tungstenite::Message;

/// The clients of the chat.
pub struct Room {
    /// Cuts clients that are too slow.
    handle: Handle,
    /// The time that a client may be silent before it is asked whether it is still there.
    pub(crate) ping_every: Duration,
    state: Mutex<State>,
}

struct State {
    is_closed: bool,
    /// The queue of each client. The thread that writes to the client takes messages out of it.
    clients: HashMap<ConnectionId, SyncSender<Message>>,
}

impl Room {
    /// Returns an empty room. The handle is that of the server whose handler uses it.
    pub fn new(handle: Handle, ping_every: Duration) -> Room {
        let state = State {
            is_closed: false,
            clients: HashMap::new(),
        };
        Room {
            handle,
            ping_every,
            state: Mutex::new(state),
        }
    }

    /// Says good-bye to every client, and to those that join later. Does not wait for anything.
    pub fn close(&self) {
        let mut state = self.lock();
        if !state.is_closed {
            self.send_to_all(&state, &going_away());
            state.is_closed = true;
        }
    }

    /// Lets a client in, and announces it.
    pub(crate) fn join(&self, id: ConnectionId, queue: SyncSender<Message>) -> Membership<'_> {
        let mut state = self.lock();
        if state.is_closed {
            let _ = queue.try_send(going_away()); // the queue is new, and has room
        } else {
            state.clients.insert(id, queue);
            let count = state.clients.len();
            let news = format!("* {id} has joined, now there are {count}");
            self.send_to_all(&state, &Message::text(news));
        }
        Membership { room: self, id }
    }

    /// Sends what a client has said to all clients, itself included. So all of them see the same
    /// order.
    pub(crate) fn say(&self, id: ConnectionId, text: &str) {
        let state = self.lock();
        if !state.is_closed {
            self.send_to_all(&state, &Message::text(format!("{id}: {text}")));
        }
    }

    fn send_to_all(&self, state: &State, message: &Message) {
        for (id, queue) in &state.clients {
            // The clone shares the text. If the queue is disconnected, the client is leaving.
            if let Err(TrySendError::Full(_)) = queue.try_send(message.clone()) {
                // The client takes less than the others say. Its reader wakes up, and leaves.
                self.handle.close(*id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // If a thread panics while it holds the lock, each client is still in the map or not.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's place in the room. Dropping it leaves the room, even if the client's thread panics.
pub(crate) struct Membership<'a> {
    room: &'a Room,
    id: ConnectionId,
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        if state.clients.remove(&self.id).is_some() && !state.is_closed {
            let news = format!("* {} has left", self.id);
            self.room.send_to_all(&state, &Message::text(news));
        }
    }
}

fn going_away() -> Message {
    Message::Close(Some(CloseFrame {
        code: CloseCode::Away,
        reason: "the server is going away".into(),
    }))
}
