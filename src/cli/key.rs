//! `hallpass key …`: the signing keys. A running gateway reads their file again by itself.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::audit::Recorder;
use super::failure::{Failure, complain};
use super::session::{Global, Logging, Session, expect_organization};
use super::wire;
use crate::config::keyring_file::{self, KeyringFileError};
use crate::model::id::OrganizationId;
use crate::model::time::UnixSeconds;
use crate::server::disk_reserve;
use crate::server::installation::drawn_key;
use crate::server::setup::{CatalogSetupLock, SetupPolicy};
use crate::sign::keyring::{Keyring, Kid};
use crate::telemetry::audit::Event;

/// The name of these commands in the audit stream.
const COMMAND: &str = "key";

#[derive(Subcommand, Debug)]
pub(super) enum KeyCommand {
    /// Add a key that verifies and does not sign yet; the first key of all signs
    Generate,
    /// List the keys, without their secrets
    List,
    /// Sign with another key from now on; the one that signed goes on verifying
    Rotate(Rotate),
    /// End all links of a key, and forget its secret
    Retire(Retire),
    /// Print the key with which an organization signs its own links
    Derive(Derive),
}

#[derive(Args, Debug)]
pub(super) struct Rotate {
    /// Key that shall sign [default: a fresh one]
    #[arg(long, value_name = "KID")]
    to: Option<Kid>,
}

#[derive(Args, Debug)]
pub(super) struct Retire {
    /// Key whose links shall end
    #[arg(value_name = "KID")]
    kid: Kid,
}

#[derive(Args, Debug)]
pub(super) struct Derive {
    /// Organization that the key is for
    #[arg(long, value_name = "ID")]
    organization: OrganizationId,
}

impl KeyCommand {
    /// Changes or prints the keyring.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut session = Session::begin(global, Vec::new(), Logging::Warnings)?;
        // A recorder is opened before the keyring is changed.
        let (mut recorder, changed) = match self {
            Self::List => return list(&mut session),
            Self::Derive(derive) => return derive.run(&mut session).await,
            Self::Generate => (
                Recorder::open(&session, COMMAND)?,
                generate(&session).await?,
            ),
            Self::Rotate(rotate) => {
                let recorder = Recorder::open(&session, COMMAND)?;
                let changed = change(&session, |keyring, now| {
                    let (keyring, kid) = match rotate.to {
                        Some(kid) => (keyring, kid),
                        None => with_fresh_key(Some(keyring), now)?,
                    };
                    Ok((keyring_file::rotate(keyring, &kid)?, kid))
                });
                (recorder, changed?)
            }
            Self::Retire(Retire { kid }) => {
                let recorder = Recorder::open(&session, COMMAND)?;
                let changed = change(&session, |keyring, _| {
                    Ok((keyring_file::retire(keyring, &kid)?, kid))
                });
                (recorder, changed?)
            }
        };
        recorder.record(&changed.event());
        session.output.one(&changed)
    }
}

impl Derive {
    async fn run(self, session: &mut Session) -> Result<(), Failure> {
        let mut recorder = Recorder::open(session, COMMAND)?;
        let gateway = session.gateway(SetupPolicy::Existing).await?;
        expect_organization(&gateway, &self.organization).await?;
        let epoch = gateway.refresh().await?.epoch(&self.organization);
        let keyring = gateway.keyring();
        let key = keyring.organization_key(&self.organization, epoch);
        recorder.record(&Event {
            event: "organization_key",
            organization_id: Some(self.organization.as_str()),
            kid: Some(keyring.active().as_str()),
            organization_epoch: Some(epoch),
            ..Event::default()
        });
        if !session.output.is_json() {
            complain(&format!("sign with --kid {}", keyring.active()));
        }
        session.output.one(&wire::DerivedKey {
            organization_id: self.organization.to_string(),
            kid: keyring.active().to_string(),
            organization_epoch: epoch,
            organization_key: &key.reveal_base64url(),
        })
    }
}

/// The installation's keyring, from its file or from the environment.
pub(super) fn keyring(session: &Session) -> Result<Keyring, Failure> {
    Ok(match &session.config.keyring_text {
        Some(text) => keyring_file::parse(text.reveal())?,
        None => keyring_file::read(&existing_file(session)?)?,
    })
}

fn list(session: &mut Session) -> Result<(), Failure> {
    let keyring = keyring(session)?;
    let keys = keyring.keys().iter();
    session.output.many(keys.map(wire::SigningKeyEntry::listed))
}

/// Adds a key to the keyring. Where there is none, this makes it, and an empty data directory is set up.
async fn generate(session: &Session) -> Result<wire::SigningKeyEntry, Failure> {
    let path = editable_file(session)?;
    if path.exists() {
        return change(session, |keyring, now| with_fresh_key(Some(keyring), now));
    }
    let made = {
        // A gateway that sets this directory up at the same time makes a keyring of its own. And where the
        // catalogue is in a database that cannot be reached, no keyring is made for it.
        let _setup = CatalogSetupLock::take(&session.config).await?;
        make_parent(&path)?;
        let _lock = lock(&path)?;
        let before = path.exists().then(|| keyring_file::read(&path));
        let (keyring, kid) = with_fresh_key(before.transpose()?, session.clock.now())?;
        keyring_file::write(&path, &keyring)?;
        of(&keyring, &kid)?
    };
    session.installation(SetupPolicy::SetUp).await?;
    Ok(made)
}

/// Changes the keyring as `edit` says, while nobody else does.
fn change(
    session: &Session,
    edit: impl FnOnce(Keyring, UnixSeconds) -> Result<(Keyring, Kid), Failure>,
) -> Result<wire::SigningKeyEntry, Failure> {
    editable_file(session)?;
    let path = existing_file(session)?;
    let _lock = lock(&path)?;
    let keyring = keyring_file::read(&path)?;
    let (keyring, kid) = edit(keyring, session.clock.now())?;
    let data_dir = &session.config.server.data_dir;
    disk_reserve::spend_if_full(data_dir, KeyringFileError::is_full, || {
        keyring_file::write(&path, &keyring)
    })?;
    of(&keyring, &kid)
}

fn of(keyring: &Keyring, kid: &Kid) -> Result<wire::SigningKeyEntry, Failure> {
    let key = keyring.key(kid);
    let unknown = || KeyringFileError::Unknown { kid: kid.clone() };
    Ok(wire::SigningKeyEntry::changed(key.ok_or_else(unknown)?))
}

/// The keyring with one more key. A kid that happens to be taken is drawn again.
fn with_fresh_key(keyring: Option<Keyring>, now: UnixSeconds) -> Result<(Keyring, Kid), Failure> {
    let taken = |kid: &Kid| keyring.as_ref().is_some_and(|ring| ring.key(kid).is_some());
    let (kid, secret) = loop {
        let (kid, secret) = drawn_key()?;
        if !taken(&kid) {
            break (kid, secret);
        }
    };
    let keyring = keyring_file::generate(keyring, kid.clone(), secret, now)?;
    Ok((keyring, kid))
}

/// The keyring's file, which must be what the keys come from.
fn editable_file(session: &Session) -> Result<PathBuf, Failure> {
    if session.config.keyring_text.is_some() {
        let why = "the keys come from HALLPASS_KEYRING, which a command cannot change";
        return Err(Failure::Usage(why.into()));
    }
    Ok(session.config.keyring_file())
}

fn existing_file(session: &Session) -> Result<PathBuf, Failure> {
    let path = session.config.keyring_file();
    if path.exists() {
        return Ok(path);
    }
    Err(Failure::Failed(format!(
        "there is no keyring {}: `hallpass key generate` makes one",
        path.display()
    )))
}

/// Takes the lock that keeps two changes of the keyring apart; it is given back when dropped. It is on a
/// file of its own, since a change replaces the keyring's file.
fn lock(keyring: &Path) -> Result<File, Failure> {
    let mut name = OsString::from(keyring);
    name.push(".lock");
    let path = PathBuf::from(name);
    let failed = |error| {
        let directory = path.parent().unwrap_or(&path);
        Failure::in_directory(format!("locking {}", path.display()), directory, &error)
    };
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    lock.lock().map_err(failed)?;
    Ok(lock)
}

fn make_parent(path: &Path) -> Result<(), Failure> {
    let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) else {
        return Ok(());
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
    let doing = format!("making {}", parent.display());
    made.map_err(|error| Failure::in_directory(doing, parent, &error))
}
