//! Who lives: every open connection, the one lock that decides about them, and the calls that stop
//! a server.
//!
//! An auditor reads `registry` first: what there is, what always holds, and the only way out. Above
//! it are `cuts` (how a connection is ended), `places` (who makes room), `admission` (how a client
//! gets in), `pool` (which thread serves whom), `stop` (how a server ends) and `work` (what the
//! accept loop does next). `handle` and `token` are the public calls. `entry` (one connection's
//! state), `place_count`, `endings` and `listener_users` are below it.

mod admission;
mod cuts;
mod endings;
mod entry;
mod handle;
mod listener_users;
mod place_count;
mod places;
mod pool;
mod registry;
mod stop;
mod token;
mod work;

pub(crate) use self::entry::Entry;
pub(crate) use self::registry::{Registration, Registry, Reported};
pub(crate) use self::work::Work;
pub use self::{handle::Handle, stop::Outcome, token::CancelToken};
