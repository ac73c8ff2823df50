//! Reloads a changed keyring file while the gateway runs. If the file cannot be used, the old keyring stays, and the
//! log says so once.

use std::path::PathBuf;

use super::fingerprint::FileFingerprint;
use crate::config::keyring_file;
use crate::gateway::Gateway;
use crate::gateway::refusal::with_causes;

/// Watches one keyring file.
pub(super) struct KeyringWatch {
    path: PathBuf,
    /// The file at the last look, if there was a file then. `None` before the first look.
    seen: Option<Option<FileFingerprint>>,
}

impl KeyringWatch {
    /// Watches from now on: the file as it is counts as new, so that a change since it was first read is
    /// not missed.
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Reads the file again if it changed since the last look. Blocks on a small local file.
    pub(super) fn check(&mut self, gateway: &Gateway) {
        // A file that is missing is said once, too.
        let found = Some(FileFingerprint::of(&self.path));
        if found != self.seen {
            let is_first = self.seen.is_none();
            self.seen = found;
            self.read(gateway, is_first);
        }
    }

    /// Reads the file again, changed or not. The next look does not report it once more.
    pub(super) fn reload(&mut self, gateway: &Gateway) {
        self.seen = Some(FileFingerprint::of(&self.path));
        self.read(gateway, false);
    }

    fn read(&self, gateway: &Gateway, quiet: bool) {
        match keyring_file::read(&self.path) {
            Ok(keyring) => {
                let kid = keyring.active().clone();
                gateway.replace_keyring(keyring);
                if !quiet {
                    tracing::info!(%kid, "the keyring was read again");
                }
            }
            Err(error) => {
                tracing::error!(error = %with_causes(&error), "the keyring cannot be used: the old one stays");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::catalog::testing::TestCatalog;
    use crate::gateway::testing;

    /// A writer that keeps the logged lines.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        /// The lines since the last call.
        fn take(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            let text = String::from_utf8(bytes).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    fn put(path: &std::path::Path, kid: &str) {
        keyring_file::write(path, &testing::keyring(kid)).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_was_gone_is_said_once_and_said_again_when_it_is_back() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let _logged = tracing::subscriber::set_default(subscriber);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring.toml");
        let gateway = testing::gateway(Arc::new(TestCatalog::new().await), testing::memory_blobs());
        let mut watch = KeyringWatch::new(path.clone());

        watch.check(&gateway);
        let said = log.take();
        assert!(
            said.len() == 1 && said[0].contains("the old one stays"),
            "{said:?}"
        );
        watch.check(&gateway);
        assert_eq!(log.take(), [""; 0]);
        put(&path, "b");
        watch.check(&gateway);
        let said = log.take();
        assert!(
            said.len() == 1 && said[0].contains("was read again"),
            "{said:?}"
        );
        assert_eq!(gateway.keyring().active().as_str(), "b");

        fs::remove_file(&path).unwrap();
        watch.check(&gateway);
        watch.check(&gateway);
        assert_eq!(log.take().len(), 1);
        watch.reload(&gateway);
        watch.check(&gateway);
        assert_eq!(log.take().len(), 1, "who asks is told");
        put(&path, "c");
        watch.check(&gateway);
        let said = log.take();
        assert!(
            said.len() == 1 && said[0].contains("was read again"),
            "{said:?}"
        );
        assert_eq!(gateway.keyring().active().as_str(), "c");
    }

    #[tokio::test]
    async fn the_first_look_at_a_good_file_says_nothing() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        let _logged = tracing::subscriber::set_default(subscriber);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keyring.toml");
        put(&path, "b");
        let gateway = testing::gateway(Arc::new(TestCatalog::new().await), testing::memory_blobs());
        KeyringWatch::new(path).check(&gateway);
        assert_eq!(log.take(), [""; 0]);
        assert_eq!(gateway.keyring().active().as_str(), "b");
    }
}
