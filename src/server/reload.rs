//! The reload of files on SIGHUP: the report of a running gateway on its configuration.
//!
//! Only the signing keys and the certificates are reloaded while it runs: a listener, a limit or a directory that
//! changed under requests in flight would be neither the old nor the new one to some of them. So the configuration is
//! only checked, and the log says whether the next start would find it good.

use crate::config::{ConfigError, Setting};

/// Reads the settings again, from where they were read at the start.
pub type ReadSettings = Box<dyn Fn() -> Result<Vec<Setting>, Vec<ConfigError>> + Send>;

/// The settings as they were at the start, and the way to read them again.
pub struct ConfigurationCheck {
    at_start: Vec<Setting>,
    read: ReadSettings,
}

impl ConfigurationCheck {
    /// Reads the settings a first time.
    ///
    /// # Errors
    /// The problems of the settings.
    pub fn new(read: ReadSettings) -> Result<Self, Vec<ConfigError>> {
        let at_start = read()?;
        Ok(Self { at_start, read })
    }

    /// Reads the settings again and logs the result: every problem, or the keys that changed, never a value. Blocks
    /// on a small local file.
    pub(super) fn say(&self) {
        match (self.read)() {
            Err(problems) => {
                for problem in &problems {
                    tracing::error!(%problem, "the configuration cannot be used: the old one stays, and a restart would fail");
                }
            }
            Ok(now) => match self.changed(&now).join(", ") {
                none if none.is_empty() => {
                    tracing::info!("the configuration is good, and the one that is used");
                }
                keys => {
                    tracing::warn!(
                        keys,
                        "the configuration is good and was changed: the old one stays until a restart"
                    );
                }
            },
        }
    }

    /// The keys whose values are others now. Both lists have all keys, in one order.
    fn changed(&self, now: &[Setting]) -> Vec<&'static str> {
        let pairs = self.at_start.iter().zip(now);
        let others = pairs.filter(|(then, now)| then.value != now.value);
        others.map(|(then, _)| then.key).collect()
    }
}
