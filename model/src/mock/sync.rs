//! Locks, condition variables and atomics that the scheduler controls.
//!
//! Any waiter may get a lock that becomes free, and any may be woken by `notify_one`. In the early
//! mode, a condition variable may also wake somebody for no reason, as std allows. A lock is poisoned
//! as std's is.

use super::clock::{self, Instant};
use super::kernel::{self, block, choose, switch, with, Woken};
use std::ops::{Deref, DerefMut};
use std::sync as real;
use std::time::Duration;

pub use real::{Arc, LockResult, PoisonError, TryLockError, TryLockResult, Weak};

pub struct Mutex<T: ?Sized> {
    gate: real::Mutex<Gate>,
    data: real::Mutex<T>,
}

#[derive(Default)]
struct Gate {
    holder: Option<usize>,
    waiters: Vec<usize>,
    is_poisoned: bool,
}

impl<T> Mutex<T> {
    pub fn new(data: T) -> Mutex<T> {
        Mutex {
            gate: real::Mutex::default(),
            data: real::Mutex::new(data),
        }
    }

    pub fn into_inner(self) -> LockResult<T> {
        let is_poisoned = self.is_poisoned();
        let data = self
            .data
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if is_poisoned {
            Err(PoisonError::new(data))
        } else {
            Ok(data)
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T: ?Sized> Mutex<T> {
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        switch();
        self.take()
    }

    pub fn is_poisoned(&self) -> bool {
        self.gate().is_poisoned
    }

    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        let is_poisoned = self.is_poisoned();
        let data = self.data.get_mut().unwrap_or_else(PoisonError::into_inner);
        if is_poisoned {
            Err(PoisonError::new(data))
        } else {
            Ok(data)
        }
    }

    /// Waits for the lock without giving way first.
    fn take(&self) -> LockResult<MutexGuard<'_, T>> {
        let me = kernel::me();
        loop {
            let mut gate = self.gate();
            match gate.holder {
                None => {
                    gate.holder = Some(me);
                    break;
                }
                Some(holder) if holder == me => {
                    drop(gate);
                    kernel::fail("a task takes a lock that it holds");
                }
                Some(_) => gate.waiters.push(me),
            }
            drop(gate);
            block("a lock", None);
        }
        with(|world| *world.held.entry(me).or_default() += 1);
        let data = self.data.try_lock().unwrap_or_else(|error| match error {
            TryLockError::Poisoned(poisoned) => poisoned.into_inner(),
            TryLockError::WouldBlock => kernel::fail("the mock's lock has two holders"),
        });
        let guard = MutexGuard {
            lock: self,
            data: Some(data),
            was_unwinding: kernel::is_unwinding(),
        };
        if self.is_poisoned() {
            Err(PoisonError::new(guard))
        } else {
            Ok(guard)
        }
    }

    fn gate(&self) -> real::MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    data: Option<real::MutexGuard<'a, T>>,
    was_unwinding: bool,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.data
            .as_ref()
            .expect("it is there until the guard is dropped")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.data
            .as_mut()
            .expect("it is there until the guard is dropped")
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        drop(self.data.take());
        let mut gate = self.lock.gate();
        gate.is_poisoned |= !self.was_unwinding && kernel::is_unwinding();
        let holder = gate.holder.take();
        let mut waiters = std::mem::take(&mut gate.waiters);
        drop(gate);
        with(|world| {
            let held = holder.and_then(|holder| world.held.get_mut(&holder));
            *held.expect("a guard has a holder") -= 1;
        });
        kernel::wake_all(&mut waiters);
    }
}

#[derive(Default)]
pub struct Condvar {
    waiters: real::Mutex<Vec<usize>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub fn new() -> Condvar {
        Condvar::default()
    }

    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        match self.wait_until(guard, None) {
            Ok((guard, _)) => Ok(guard),
            Err(error) => Err(PoisonError::new(error.into_inner().0)),
        }
    }

    pub fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        self.wait_until(guard, clock::deadline(timeout))
    }

    /// As std does it, early returns included.
    pub fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let began = Instant::now();
        loop {
            if !condition(&mut guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            let Some(left) = timeout.checked_sub(began.elapsed()) else {
                return Ok((guard, WaitTimeoutResult(true)));
            };
            guard = self.wait_timeout(guard, left)?.0;
            // Unlike std, whose clock goes on: at the deadline itself, the time is over.
            if began.elapsed() >= timeout {
                let is_over = condition(&mut guard);
                return Ok((guard, WaitTimeoutResult(is_over)));
            }
        }
    }

    fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Duration>,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let me = kernel::me();
        let lock = guard.lock;
        switch();
        self.waiters().push(me);
        drop(guard);
        let is_spurious = with(|world| world.is_early) && choose(8) == 0;
        let woken = if is_spurious {
            switch();
            Woken::Rung
        } else {
            block("a condition variable", deadline)
        };
        self.waiters().retain(|waiter| *waiter != me);
        let is_late = WaitTimeoutResult(woken == Woken::TimedOut);
        match lock.take() {
            Ok(guard) => Ok((guard, is_late)),
            Err(error) => Err(PoisonError::new((error.into_inner(), is_late))),
        }
    }

    pub fn notify_one(&self) {
        switch();
        let mut waiters = self.waiters();
        if waiters.is_empty() {
            return;
        }
        let chosen = choose(waiters.len());
        let waiter = waiters.remove(chosen);
        drop(waiters);
        kernel::wake(waiter);
    }

    pub fn notify_all(&self) {
        switch();
        let mut waiters = std::mem::take(&mut *self.waiters());
        kernel::wake_all(&mut waiters);
    }

    fn waiters(&self) -> real::MutexGuard<'_, Vec<usize>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub mod atomic {
    //! Atomics: each access is one step.

    use super::super::kernel::switch;
    use std::sync::atomic as real;

    pub use real::Ordering;

    macro_rules! counting {
        ($($name:ident: $value:ty,)+) => {
            $(
                impl $name {
                    pub fn fetch_add(&self, value: $value, _order: Ordering) -> $value {
                        switch();
                        self.0.fetch_add(value, Ordering::SeqCst)
                    }

                    pub fn fetch_sub(&self, value: $value, _order: Ordering) -> $value {
                        switch();
                        self.0.fetch_sub(value, Ordering::SeqCst)
                    }
                }
            )+
        };
    }

    macro_rules! atomics {
        ($($name:ident: $value:ty,)+) => {
            $(
                #[derive(Default, Debug)]
                pub struct $name(real::$name);

                impl $name {
                    pub const fn new(value: $value) -> $name {
                        $name(real::$name::new(value))
                    }

                    pub fn load(&self, _order: Ordering) -> $value {
                        switch();
                        self.0.load(Ordering::SeqCst)
                    }

                    pub fn store(&self, value: $value, _order: Ordering) {
                        switch();
                        self.0.store(value, Ordering::SeqCst);
                    }

                    pub fn swap(&self, value: $value, _order: Ordering) -> $value {
                        switch();
                        self.0.swap(value, Ordering::SeqCst)
                    }
                }
            )+
        };
    }

    atomics! {
        AtomicBool: bool,
        AtomicU8: u8,
        AtomicU32: u32,
        AtomicU64: u64,
        AtomicUsize: usize,
    }

    counting! {
        AtomicU8: u8,
        AtomicU32: u32,
        AtomicU64: u64,
        AtomicUsize: usize,
    }
}
