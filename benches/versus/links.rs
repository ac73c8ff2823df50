//! Links in great numbers: signed here, with the keyring of an installation, as an application that signs for itself does.

use std::fs;

use hallpass::config::keyring_file;
use hallpass::model::id::{FileId, OrganizationId};
use hallpass::model::time::UnixSeconds;
use hallpass::sign::claims::Claims;
use hallpass::sign::counted::{CountedClaims, MaxDownloads, Nonce, RedeemMethod};
use hallpass::sign::grant::Grant;
use hallpass::sign::keyring::Keyring;

use super::process::Outcome;
use super::site::{LIFETIME_SECONDS, Site};

/// A signer of links of one installation, which all end at one time.
pub(crate) struct Signer {
    keyring: Keyring,
    expires: UnixSeconds,
}

impl Signer {
    /// Makes one with the keyring of this installation.
    pub(crate) fn new(site: &Site) -> Outcome<Self> {
        let text = fs::read_to_string(site.data_dir().join("keyring.toml"))?;
        let now = u64::try_from(jiff::Timestamp::now().as_second())?;
        Ok(Self {
            keyring: keyring_file::parse(&text)?,
            expires: UnixSeconds::EPOCH.plus(now + u64::from(LIFETIME_SECONDS)),
        })
    }

    /// The start of one download of a file that its link allows once; the request target. `number` tells it from others.
    pub(crate) fn counted_link(&self, file: &str, number: u64) -> Outcome<String> {
        let once = MaxDownloads::parse("1").ok_or("1 is a number of downloads")?;
        let mut random = [0; 32];
        random
            .iter_mut()
            .zip(number.to_be_bytes())
            .for_each(|(to, of)| *to = of);
        let nonce = Nonce::from_random(random);
        let grant = Grant {
            organization: OrganizationId::default_organization(),
            file: FileId::parse(file).map_err(|_| "no file id")?,
            expires: self.expires,
            claims: CountedClaims::new(Claims::none(), once, RedeemMethod::Post, nonce),
        };
        Ok(self.keyring.mint(&grant, 0, 0).url(""))
    }

    /// A link to a file; the request target.
    pub(crate) fn link(&self, organization: &str, file: &str) -> Outcome<String> {
        let grant = Grant {
            organization: OrganizationId::parse(organization).map_err(|_| "no organization id")?,
            file: FileId::parse(file).map_err(|_| "no file id")?,
            expires: self.expires,
            claims: Claims::none(),
        };
        Ok(self.keyring.mint(&grant, 0, 0).url(""))
    }
}
