//! Threads of the library, which are counted, and whose start may fail.
//!
//! A thread is gone a step after its closure has returned, as the system's is: a caller that waits
//! only for the end of a scope may find it still there. Threads that a scene starts itself are not counted;
//! they come from [`user`].

use super::clock;
use super::faults::{self, Call};
use super::kernel::{self, block, switch, with};
use super::panic::catch_unwind;
use shuttle_engine::runtime::execution::ExecutionState;
use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use shuttle::thread::{current, scope, yield_now, Scope, Thread, ThreadId};
pub use std::thread::Result;

/// More of the library's threads than any scene needs.
const TOO_MANY: usize = 200;

/// What is known of the library's threads.
#[derive(Default)]
pub struct Threads {
    /// How many have been asked for.
    pub asked: usize,
    /// How many threads there are in all, the scene's own included.
    pub alive: usize,
    /// How many of the library's are there.
    pub running: usize,
    /// How many handles of ended or running threads have not been joined or dropped: each holds a
    /// stack.
    pub unjoined: usize,
    /// Those that cannot be started, counted from 0 as they are asked for.
    pub failing: Vec<usize>,
}

#[derive(Default)]
pub struct Builder {
    name: Option<String>,
}

impl Builder {
    pub fn new() -> Builder {
        Builder::default()
    }

    pub fn name(self, name: String) -> Builder {
        Builder { name: Some(name) }
    }

    pub fn stack_size(self, _bytes: usize) -> Builder {
        self
    }

    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        admit()?;
        let exit = Exit::of_library();
        let body = exit.body(f);
        let mut builder = shuttle::thread::Builder::new();
        if let Some(name) = self.name {
            builder = builder.name(name);
        }
        builder.spawn(body)?;
        Ok(JoinHandle {
            exit,
            _stack: Stack::new(),
        })
    }

    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        admit()?;
        let exit = Exit::of_library();
        scope.spawn(exit.body(f));
        let handle = JoinHandle {
            exit,
            _stack: Stack::new(),
        };
        Ok(ScopedJoinHandle {
            handle,
            _scope: PhantomData,
        })
    }
}

fn admit() -> io::Result<()> {
    switch();
    faults::ask(Call::Spawn, None)?;
    let (is_failing, running) = with(|world| {
        let number = world.threads.asked;
        world.threads.asked += 1;
        let is_failing = world.threads.failing.contains(&number);
        (is_failing, world.threads.running)
    });
    if running > TOO_MANY {
        kernel::fail("threads are started without end");
    }
    if is_failing {
        return Err(io::Error::from_raw_os_error(11)); // EAGAIN
    }
    Ok(())
}

/// How a thread ends. A thread that joins it waits here, as shuttle's own way of waiting in a scope
/// may end early.
struct Exit<T> {
    result: Mutex<Option<Result<T>>>,
    is_finished: AtomicBool,
    gone: Arc<Gone>,
}

/// What is left to do when a thread's closure has returned.
struct Gone {
    is_library: bool,
    is_gone: AtomicBool,
    waiters: Mutex<Vec<usize>>,
}

impl<T> Exit<T> {
    fn new(is_library: bool) -> Arc<Exit<T>> {
        with(|world| world.threads.alive += 1);
        let gone = Gone {
            is_library,
            is_gone: AtomicBool::new(false),
            waiters: Mutex::default(),
        };
        Arc::new(Exit {
            result: Mutex::new(None),
            is_finished: AtomicBool::new(false),
            gone: Arc::new(gone),
        })
    }

    fn of_library() -> Arc<Exit<T>> {
        with(|world| world.threads.running += 1);
        Exit::new(true)
    }

    /// What the thread runs.
    fn body<F: FnOnce() -> T>(self: &Arc<Self>, f: F) -> impl FnOnce() + use<F, T> {
        let exit = Arc::clone(self);
        move || {
            let gone = Arc::clone(&exit.gone);
            PRESENCE.with(|presence| *presence.0.borrow_mut() = Some(gone));
            let result = catch_unwind(AssertUnwindSafe(f));
            *exit.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            exit.is_finished.store(true, Ordering::SeqCst);
        }
    }

    fn join(&self) -> Result<T> {
        switch();
        while !self.gone.is_gone.load(Ordering::SeqCst) {
            self.gone.waiters().push(kernel::me());
            block("the end of a thread", None);
        }
        let result = self
            .result
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        result.unwrap_or_else(|| kernel::fail("a thread has ended without a result"))
    }
}

impl Gone {
    fn waiters(&self) -> MutexGuard<'_, Vec<usize>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

shuttle::thread_local! {
    static PRESENCE: Presence = Presence(RefCell::new(None));
}

/// Dropped after the thread's closure has returned, and left its scope.
struct Presence(RefCell<Option<Arc<Gone>>>);

impl Drop for Presence {
    fn drop(&mut self) {
        if ExecutionState::should_stop() {
            return;
        }
        switch();
        let Some(gone) = self.0.take() else {
            return;
        };
        let last_waiter = with(|world| {
            world.threads.alive -= 1;
            if gone.is_library {
                world.threads.running -= 1;
            }
            world.last_waiter
        });
        gone.is_gone.store(true, Ordering::SeqCst);
        kernel::wake_all(&mut gone.waiters());
        if let Some(waiter) = last_waiter {
            kernel::wake(waiter);
        }
    }
}

/// A handle holds a thread's stack, also after its end.
struct Stack;

impl Stack {
    fn new() -> Stack {
        with(|world| world.threads.unjoined += 1);
        Stack
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        with(|world| world.threads.unjoined -= 1);
    }
}

pub struct JoinHandle<T> {
    exit: Arc<Exit<T>>,
    _stack: Stack,
}

impl<T> JoinHandle<T> {
    pub fn join(self) -> Result<T> {
        self.exit.join()
    }

    pub fn is_finished(&self) -> bool {
        self.exit.is_finished.load(Ordering::SeqCst)
    }
}

pub struct ScopedJoinHandle<'scope, T> {
    handle: JoinHandle<T>,
    _scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    pub fn join(self) -> Result<T> {
        self.handle.join()
    }

    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

/// Starts a thread of the scene's own: a client, or somebody who stops a server.
pub fn user<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> User<T> {
    let exit = Exit::new(false);
    shuttle::thread::spawn(exit.body(f));
    User(exit)
}

pub struct User<T>(Arc<Exit<T>>);

impl<T> User<T> {
    /// Waits for its end; `None` if it has panicked on purpose.
    pub fn join(self) -> Option<T> {
        self.0.join().ok()
    }
}

/// Waits for the ends of all of them.
pub fn join_all<T>(users: impl IntoIterator<Item = User<T>>) {
    for user in users {
        user.join();
    }
}

pub fn sleep(time: Duration) {
    switch();
    if !time.is_zero() {
        block("the end of a sleep", clock::deadline(time));
    }
}

pub fn panicking() -> bool {
    kernel::is_unwinding()
}
