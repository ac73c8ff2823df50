//! The last resort: a panic in the midst of a request is that request's failure, and one line in the log.
//!
//! The message of a panic may repeat a caller's text: the standard library quotes a text that is cut between two
//! bytes of one character, for one. So the log shows a message only if the standard library hands it on as a literal
//! of the program (`panic!("…")`, `assert!(…)`), and of any other its length. The text of an `expect` is among the
//! others: the library formats it, with the error if there is one, so that nothing tells it from a caller's text. The
//! log always shows the place.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, Write as _};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::pin::Pin;
use std::process;
use std::sync::Once;
use std::task::Poll;
use std::thread;

/// The beginning of the names that the SQLite driver gives its threads.
const SQLITE_THREADS: &str = "sqlx-sqlite-worker";

thread_local! {
    /// True if a panic on this thread is caught.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// The message of the last panic that was caught on this thread.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Installs the hook: from now on a panic that [`caught`] catches is reported to its caller alone, any other in one line
/// on standard error. One on a thread of the SQLite driver then aborts the process: the driver would end the rows of
/// its statement as if there were no more, and what is revoked could seem not to be.
///
/// No line has a backtrace, also where `RUST_BACKTRACE` asks for one. The standard library locks while it makes one, and
/// where memory ends meanwhile, it waits for that lock for ever instead of ending the process.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        panic::set_hook(Box::new(|panicked| {
            let said = said(panicked);
            if IS_CAUGHT.get() {
                SAID.set(said);
            } else {
                let thread = thread::current();
                let name = thread.name().unwrap_or("without a name");
                let _ = writeln!(io::stderr(), "thread '{name}' {said}");
                if name.starts_with(SQLITE_THREADS) {
                    process::abort();
                }
            }
        }));
    });
}

/// The outcome of a future; of one that panics, what the panic said and where. The future is not polled
/// again then.
///
/// # Errors
/// The message and the place of the panic.
pub async fn caught<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Result<T, String> {
    poll_fn(|context| {
        let was_caught = IS_CAUGHT.replace(true);
        let polled = panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        IS_CAUGHT.set(was_caught);
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(SAID.take())),
        }
    })
    .await
}

fn said(panicked: &PanicHookInfo<'_>) -> String {
    let payload = panicked.payload();
    let place = panicked.location().map(ToString::to_string);
    let place = place.unwrap_or_default();
    if let Some(what) = payload.downcast_ref::<&'static str>() {
        return format!("panicked at {place}: {what}");
    }
    match payload.downcast_ref::<String>() {
        Some(what) => format!(
            "panicked at {place}, with a message of {} bytes that may repeat what was sent",
            what.len()
        ),
        None => format!("panicked at {place}: no message"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::pin::pin;
    use std::process::Command;

    use super::*;

    /// The name of the thread that panics in the process of a test.
    const PANICS_ON: &str = "HALLPASS_TEST_PANICS_ON";
    const SIGABRT: i32 = 6;

    #[test]
    fn a_panic_on_a_thread_of_the_sqlite_driver_ends_the_process() {
        if let Some(name) = std::env::var_os(PANICS_ON) {
            install();
            let thread = thread::Builder::new().name(name.into_string().unwrap());
            let _ = thread.spawn(|| panic!("no row")).unwrap().join();
            return;
        }
        let end_after_panic_on = |name: &str| {
            let test = "telemetry::panics::tests::a_panic_on_a_thread_of_the_sqlite_driver_ends_the_process";
            let ended = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test])
                .env(PANICS_ON, name)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert!(
                said.contains(&format!("thread '{name}' panicked at")),
                "{said}"
            );
            ended.status
        };
        let of_the_driver = end_after_panic_on(&format!("{SQLITE_THREADS}-3"));
        assert_eq!(of_the_driver.signal(), Some(SIGABRT));
        assert!(end_after_panic_on("another").success());
    }

    #[tokio::test]
    async fn a_panic_is_an_outcome_and_the_next_one_is_told_apart() {
        install();
        assert_eq!(caught(pin!(async { 1 })).await, Ok(1));
        let secret = String::from("hp_\u{e9}");
        for (number, end) in [
            (0, ": the first"),
            (1, ": the second"),
            (
                2,
                ", with a message of 8 bytes that may repeat what was sent",
            ),
            (3, " bytes that may repeat what was sent"),
            (4, ": no message"),
            // It stands in the program, and nothing tells it from what does not.
            (
                5,
                ", with a message of 8 bytes that may repeat what was sent",
            ),
        ] {
            let panics = async {
                tokio::task::yield_now().await;
                match number {
                    0 => panic!("the first"),
                    1 => panic!("the second"),
                    2 => panic!("{secret}{number}{number}{number}"),
                    // The standard library repeats the text that it cannot cut there.
                    3 => assert!(!secret[..4].is_empty()),
                    5 => secret.get(..4).map(drop).expect("a reason"),
                    _ => panic::panic_any(number),
                }
            };
            let said = caught(pin!(panics)).await.unwrap_err();
            assert!(
                said.starts_with("panicked at src/telemetry/panics.rs:"),
                "{said}"
            );
            assert!(said.ends_with(end), "{said}");
            assert!(!said.contains("hp_"), "{said}");
        }
    }
}
