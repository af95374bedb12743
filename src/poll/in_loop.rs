//! A `uv_poll_t` in the environment's own libuv loop.
//!
//! libuv's functions are looked up by name when first needed.
//!
//! Teardown, in this order: the environment's asynchronous cleanup hook stops and closes the
//! poll handle, libuv calls `closed` from its loop, `closed` frees the memory and lets the
//! environment go on. A poll that was closed earlier has removed its hook already.

#![allow(unsafe_code, reason = "libuv and Node-API are C interfaces")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{BorrowedFd, RawFd};
use std::panic::{self, AssertUnwindSafe};
use std::ptr;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use napi::bindgen_prelude::{Either, ToNapiValue};
use napi::{Env, Error, Result, Status, sys};
use rsipc_sys::wait::{self, Interest};

use super::{LAST, Linger, MORE, READABLE, Turn};

/// After so many turns for one event of the loop, the loop gets its turn if it has anything else to do, or
/// if they have taken this long, which is as late as a timer can be for them.
const TURNS: usize = 16;
const LONGEST: Duration = Duration::from_millis(1);

/// `uv_handle_type` of a poll handle, the same since libuv 1.0.
const UV_POLL: c_int = 8;

type UvLoop = c_void;
type UvHandle = c_void;
type PollCallback = unsafe extern "C" fn(*mut UvHandle, c_int, c_int);
type CloseCallback = unsafe extern "C" fn(*mut UvHandle);

/// The functions of libuv this file uses.
pub(super) struct Uv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    set_data: unsafe extern "C" fn(*mut UvHandle, *mut c_void),
    get_data: unsafe extern "C" fn(*const UvHandle) -> *mut c_void,
    poll_init: unsafe extern "C" fn(*mut UvLoop, *mut UvHandle, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(*mut UvHandle, c_int, PollCallback) -> c_int,
    poll_stop: unsafe extern "C" fn(*mut UvHandle) -> c_int,
    close: unsafe extern "C" fn(*mut UvHandle, CloseCallback),
    add_ref: unsafe extern "C" fn(*mut UvHandle),
    remove_ref: unsafe extern "C" fn(*mut UvHandle),
    has_ref: unsafe extern "C" fn(*const UvHandle) -> c_int,
    backend_fd: unsafe extern "C" fn(*const UvLoop) -> c_int,
    backend_timeout: unsafe extern "C" fn(*const UvLoop) -> c_int,
}

impl Uv {
    /// The process's libuv, or `None` where it exports none.
    pub(super) fn get() -> Option<&'static Uv> {
        static UV: OnceLock<Option<Uv>> = OnceLock::new();
        UV.get_or_init(Uv::find).as_ref()
    }

    fn find() -> Option<Uv> {
        // SAFETY: each name is a function of libuv's stable C API with the signature of its field.
        unsafe {
            Some(Uv {
                handle_size: symbol(c"uv_handle_size")?,
                set_data: symbol(c"uv_handle_set_data")?,
                get_data: symbol(c"uv_handle_get_data")?,
                poll_init: symbol(c"uv_poll_init")?,
                poll_start: symbol(c"uv_poll_start")?,
                poll_stop: symbol(c"uv_poll_stop")?,
                close: symbol(c"uv_close")?,
                add_ref: symbol(c"uv_ref")?,
                remove_ref: symbol(c"uv_unref")?,
                has_ref: symbol(c"uv_has_ref")?,
                backend_fd: symbol(c"uv_backend_fd")?,
                backend_timeout: symbol(c"uv_backend_timeout")?,
            })
        }
    }
}

/// Looks a function up in the running program.
///
/// # Safety
///
/// `F` is the function pointer type of the symbol.
unsafe fn symbol<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    let name: *const c_char = name.as_ptr();
    // SAFETY: a NUL-terminated name; the default scope is always valid.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name) };
    if found.is_null() {
        return None;
    }
    // SAFETY: same size, checked above; the caller names the type.
    Some(unsafe { std::mem::transmute_copy(&found) })
}

/// What libuv's callbacks find behind the handle. Lives until `closed`.
struct Watched {
    env: sys::napi_env,
    /// The environment's, which outlives the handle.
    event_loop: *const UvLoop,
    turn: Turn,
    linger: Linger,
    /// The JavaScript function called with what `turn` answers.
    callback: sys::napi_ref,
    hook: sys::napi_async_cleanup_hook_handle,
    /// What `LoopPoll` calls the handle by; null once it closes.
    handle: Rc<Cell<*mut UvHandle>>,
    /// What `LoopPoll` has asked for.
    watching: Rc<Cell<u32>>,
}

/// A libuv poll handle.
pub(crate) struct LoopPoll {
    uv: &'static Uv,
    /// The environment's, which lives until the handle is closed.
    event_loop: *const UvLoop,
    /// Null once closed, be it by us or because the environment ended.
    handle: Rc<Cell<*mut UvHandle>>,
    watching: Rc<Cell<u32>>,
}

impl LoopPoll {
    pub(super) fn new(
        uv: &'static Uv,
        env: &Env,
        fd: RawFd,
        callback: sys::napi_value,
        (turn, linger): (Turn, Linger),
    ) -> Result<LoopPoll> {
        let event_loop = env.get_uv_event_loop()?;
        // SAFETY: a pure function of its argument.
        let size = unsafe { (uv.handle_size)(UV_POLL) };
        // SAFETY: `calloc` memory is aligned for any C type, as libuv's own allocations are.
        let handle = unsafe { libc::calloc(1, size) };
        if handle.is_null() {
            return Err(Error::from_reason("out of memory"));
        }
        // SAFETY: the loop belongs to this thread, the memory is as large as libuv asks.
        let status = unsafe { (uv.poll_init)(event_loop.cast(), handle, fd) };
        if status != 0 {
            // SAFETY: libuv keeps nothing of a handle whose initialisation failed.
            unsafe { libc::free(handle) };
            return Err(Error::from_reason(format!(
                "uv_poll_init: {}",
                std::io::Error::from_raw_os_error(-status)
            )));
        }
        let mut reference = ptr::null_mut();
        // SAFETY: `callback` is a live function of `env`: the caller holds its handle.
        let status = unsafe { sys::napi_create_reference(env.raw(), callback, 1, &mut reference) };
        let shared = Rc::new(Cell::new(handle));
        let watching = Rc::new(Cell::new(0));
        let watched = Box::into_raw(Box::new(Watched {
            env: env.raw(),
            event_loop: event_loop.cast(),
            turn,
            linger,
            callback: reference,
            hook: ptr::null_mut(),
            handle: shared.clone(),
            watching: watching.clone(),
        }));
        // SAFETY: the handle is initialised; `watched` lives until `closed`.
        unsafe { (uv.set_data)(handle, watched.cast()) };
        // SAFETY: `env` is live; `watched` is alive now and its hook field is not yet shared.
        let hooked = unsafe {
            sys::napi_add_async_cleanup_hook(
                env.raw(),
                Some(environment_ends),
                handle,
                &raw mut (*watched).hook,
            )
        };
        let poll = LoopPoll {
            uv,
            event_loop: event_loop.cast(),
            handle: shared,
            watching,
        };
        if Status::from(status) != Status::Ok || Status::from(hooked) != Status::Ok {
            let mut poll = poll;
            poll.close();
            return Err(Error::from_reason(
                "cannot watch a descriptor: the environment is ending",
            ));
        }
        Ok(poll)
    }

    pub(super) fn watch(&mut self, events: u32) -> Result<()> {
        let handle = self.handle.get();
        if handle.is_null() || events == self.watching.get() {
            return Ok(());
        }
        let status = if events == 0 {
            // SAFETY: the handle is open: it is null otherwise.
            unsafe { (self.uv.poll_stop)(handle) }
        } else {
            // SAFETY: the handle is open; `ready` has libuv's callback signature.
            unsafe { (self.uv.poll_start)(handle, events as c_int, ready) }
        };
        if status != 0 {
            return Err(Error::from_reason(format!(
                "uv_poll: {}",
                std::io::Error::from_raw_os_error(-status)
            )));
        }
        self.watching.set(events);
        Ok(())
    }

    pub(super) fn set_ref(&mut self, on: bool) {
        let handle = self.handle.get();
        if handle.is_null() {
            return;
        }
        let call = if on {
            self.uv.add_ref
        } else {
            self.uv.remove_ref
        };
        // SAFETY: the handle is open: it is null otherwise.
        unsafe { call(handle) };
    }

    pub(super) fn has_ref(&self) -> bool {
        let handle = self.handle.get();
        // SAFETY: the handle is open when it is asked.
        !handle.is_null() && unsafe { (self.uv.has_ref)(handle) } != 0
    }

    /// Whether the loop has nothing to do but wait for descriptors.
    pub(super) fn would_sleep(&self) -> bool {
        // SAFETY: the loop outlives the open handle, and this is its thread.
        !self.handle.get().is_null() && unsafe { would_sleep(self.uv, self.event_loop) }
    }

    /// Whether a descriptor that the loop waits for is ready.
    pub(super) fn others_wait(&self) -> bool {
        // SAFETY: the loop outlives the open handle.
        !self.handle.get().is_null() && unsafe { others_wait(self.uv, self.event_loop) }
    }

    pub(super) fn close(&mut self) {
        let handle = self.handle.get();
        if !handle.is_null() {
            // SAFETY: open, since not null, and this is the JS thread.
            unsafe { begin_close(self.uv, handle) };
        }
    }
}

/// Whether the loop has nothing to do but wait for descriptors and timers.
///
/// # Safety
///
/// The loop is alive, and this is its thread.
unsafe fn would_sleep(uv: &Uv, event_loop: *const UvLoop) -> bool {
    // SAFETY: as for this function.
    unsafe { (uv.backend_timeout)(event_loop) != 0 }
}

/// Whether a descriptor that the loop waits for is ready.
///
/// # Safety
///
/// The loop is alive.
unsafe fn others_wait(uv: &Uv, event_loop: *const UvLoop) -> bool {
    // SAFETY: as for this function.
    let backend = unsafe { (uv.backend_fd)(event_loop) };
    if backend < 0 {
        return false;
    }
    // SAFETY: the loop's own descriptor, which it closes when it ends.
    let backend = unsafe { BorrowedFd::borrow_raw(backend) };
    let interest = Interest {
        readable: true,
        writable: false,
    };
    wait::ready(backend, interest, Some(Duration::ZERO)).is_ok_and(|ready| ready.readable)
}

impl Drop for LoopPoll {
    fn drop(&mut self) {
        self.close();
    }
}

/// Stops the handle and has libuv call `closed`.
///
/// # Safety
///
/// JS thread only, and the handle is open.
unsafe fn begin_close(uv: &Uv, handle: *mut UvHandle) {
    // SAFETY: the box behind an open handle lives until `closed`.
    let shared = unsafe { &(*(uv.get_data)(handle).cast::<Watched>()).handle }.clone();
    shared.set(ptr::null_mut());
    // SAFETY: the handle is open.
    unsafe { (uv.poll_stop)(handle) };
    // SAFETY: the handle is open, and it is closed once: the shared cell is null from now on.
    unsafe { (uv.close)(handle, closed) };
}

/// Called by Node when the environment ends while the handle exists.
unsafe extern "C" fn environment_ends(
    _hook: sys::napi_async_cleanup_hook_handle,
    handle: *mut c_void,
) {
    let Some(uv) = Uv::get() else { return };
    // SAFETY: the hook is removed in `closed`, so the handle and its box are not freed yet.
    let open = unsafe {
        !(*(uv.get_data)(handle).cast::<Watched>())
            .handle
            .get()
            .is_null()
    };
    if open {
        // SAFETY: open, and Node calls hooks on the environment's thread.
        unsafe { begin_close(uv, handle) };
    }
}

/// libuv is done with the handle.
unsafe extern "C" fn closed(handle: *mut UvHandle) {
    let Some(uv) = Uv::get() else { return };
    // SAFETY: `set_data` in `new` stored a box; this is the one place that takes it back.
    let watched = unsafe { Box::from_raw((uv.get_data)(handle).cast::<Watched>()) };
    if !watched.callback.is_null() {
        // SAFETY: the reference was made in this environment, which waits for the hook below.
        unsafe { sys::napi_delete_reference(watched.env, watched.callback) };
    }
    if !watched.hook.is_null() {
        // SAFETY: added in `new`, removed here only.
        unsafe { sys::napi_remove_async_cleanup_hook(watched.hook) };
    }
    // SAFETY: allocated with `calloc` in `new`; libuv has let go of it.
    unsafe { libc::free(handle) };
}

/// libuv: the descriptor is ready.
unsafe extern "C" fn ready(handle: *mut UvHandle, status: c_int, events: c_int) {
    let Some(uv) = Uv::get() else { return };
    // SAFETY: libuv calls this only between `poll_start` and `poll_stop`, so before `closed`.
    let watched = unsafe { (uv.get_data)(handle) }.cast::<Watched>();
    // SAFETY: as above; a handle that JavaScript closes meanwhile is freed in a later turn of the loop.
    let watched = unsafe { &*watched };
    // A peer that closed without reading all is an error of the poll, and libuv has stopped it. It shows at
    // the last read; until then the turn asks for the rest anew.
    let events = if status < 0 {
        watched.watching.set(0);
        READABLE
    } else {
        events as u32
    };
    // SAFETY: the environment is alive while its loop runs, this is its thread, and no JavaScript is
    // running.
    unsafe { call(watched, events) };
    // Other descriptors and timers get their turn in between.
    let begin = Instant::now();
    for number in 1.. {
        if !(watched.linger)() {
            return;
        }
        // SAFETY: as above, the loop is running.
        let sleepy = || unsafe { would_sleep(uv, watched.event_loop) };
        // SAFETY: the same.
        let others = || unsafe { others_wait(uv, watched.event_loop) };
        let last = number % TURNS == 0 && (begin.elapsed() > LONGEST || !sleepy() || others());
        // SAFETY: as above.
        unsafe { call(watched, READABLE | MORE | if last { LAST } else { 0 }) };
        if last {
            return;
        }
    }
}

/// Takes the turn and calls JavaScript with what it found, as Node calls its own I/O callbacks: ticks
/// and promise jobs run behind it, and what it throws is an uncaught exception.
///
/// # Safety
///
/// The environment is alive, this is its thread, no JavaScript is running.
unsafe fn call(watched: &Watched, events: u32) {
    let raw = watched.env;
    let mut scope = ptr::null_mut();
    // SAFETY: a live environment on its own thread.
    if unsafe { sys::napi_open_handle_scope(raw, &mut scope) } != sys::Status::napi_ok {
        return;
    }
    let env = Env::from_raw(raw);
    let turn = panic::catch_unwind(AssertUnwindSafe(|| (watched.turn)(&env, events)))
        .unwrap_or_else(|_| {
            Err(Error::from_reason(
                "rsipc has met a bug of its own and stops reading this channel",
            ))
        });
    match turn {
        // Nothing to tell: the kernel took what was queued, and nobody waits for that.
        Ok(Either::A(0)) => {}
        Ok(found) => {
            // SAFETY: `found` is a value of the open scope.
            if let Ok(argument) = unsafe { ToNapiValue::to_napi_value(raw, found) } {
                // SAFETY: as for this function; `argument` is a value of the open scope.
                unsafe { call_with(watched, argument) };
            }
        }
        Err(error) => {
            // The descriptor would stay ready for ever.
            if let Some(uv) = Uv::get().filter(|_| !watched.handle.get().is_null()) {
                // SAFETY: the handle is open, since not null.
                unsafe { (uv.poll_stop)(watched.handle.get()) };
            }
            env.fatal_exception(error);
        }
    }
    // SAFETY: opened above.
    unsafe { sys::napi_close_handle_scope(raw, scope) };
}

/// Calls the JavaScript function.
///
/// # Safety
///
/// As for `call`, inside an open handle scope that `argument` belongs to.
unsafe fn call_with(watched: &Watched, argument: sys::napi_value) {
    let env = watched.env;
    let (mut function, mut receiver, mut result) =
        (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: the handle scope is open; each call only writes its own out pointer.
    let ready = unsafe {
        sys::napi_get_reference_value(env, watched.callback, &mut function) == sys::Status::napi_ok
            && sys::napi_get_global(env, &mut receiver) == sys::Status::napi_ok
    };
    if !ready || function.is_null() {
        return;
    }
    // SAFETY: all values belong to the open scope; a null context is allowed.
    let status = unsafe {
        sys::napi_make_callback(
            env,
            ptr::null_mut(),
            receiver,
            function,
            1,
            &argument,
            &mut result,
        )
    };
    if status == sys::Status::napi_pending_exception {
        let mut error = ptr::null_mut();
        // SAFETY: an exception is pending, as the status says.
        if unsafe { sys::napi_get_and_clear_last_exception(env, &mut error) }
            == sys::Status::napi_ok
        {
            // SAFETY: `error` is a value of the open scope.
            unsafe { sys::napi_fatal_exception(env, error) };
        }
    }
}
