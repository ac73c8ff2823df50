//! The last resort: a panic in the midst of a request is that request's failure, and one line in the log.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::pin::Pin;
use std::sync::Once;
use std::task::Poll;

thread_local! {
    /// Whether what runs on this thread is caught when it panics.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// What the last panic that was caught on this thread said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From now on a panic that [`caught`] catches is told to its caller alone. Any other is told on standard
/// error, as ever.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            if IS_CAUGHT.get() {
                SAID.set(said(panicked));
            } else {
                usual(panicked);
            }
        }));
    });
}

/// The outcome of a future; of one that panics, what the panic said and where. The future is not polled
/// again then.
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
    let what = panicked.payload_as_str().unwrap_or("no message");
    let place = panicked.location().map(ToString::to_string);
    format!("a panic at {}: {what}", place.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_outcome_and_the_next_one_is_told_apart() {
        install();
        assert_eq!(caught(pin!(async { 1 })).await, Ok(1));
        for what in ["first", "second"] {
            let panics = async {
                tokio::task::yield_now().await;
                if !what.is_empty() {
                    panic!("{what}");
                }
            };
            let said = caught(pin!(panics)).await.unwrap_err();
            assert!(
                said.starts_with("a panic at src/telemetry/panics.rs:"),
                "{said}"
            );
            assert!(said.ends_with(what), "{said}");
        }
    }
}
