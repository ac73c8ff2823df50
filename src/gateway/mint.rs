//! Minting signed URLs.

use std::sync::Arc;

use super::Gateway;
use super::principal::Principal;
use super::refusal::{FieldFault, Refusal};
use super::tenants::random;
use crate::model::address::FileRef;
use crate::model::disposition::Disposition;
use crate::model::file::FileRecord;
use crate::model::id::OrganizationId;
use crate::model::media::MediaType;
use crate::model::name::FileName;
use crate::model::revocation::{LinkId, Revocations};
use crate::model::time::UnixSeconds;
use crate::sign::claims::{ClaimName, Claims, LinkKind};
use crate::sign::counted::{CountedClaims, DOWNLOADS_MAX, MaxDownloads, Nonce, RedeemMethod};
use crate::sign::grant::{Grant, SignedLink, URL_CHARS_MAX};
use crate::sign::keyring::{Kid, LinkSigner};

/// A minted signed URL and the file it opens.
#[derive(Clone, Debug)]
pub struct Minted {
    /// The file.
    pub file: Arc<FileRecord>,
    /// The signed URL, absolute.
    pub download_url: String,
    /// Its token.
    pub token: String,
    /// From when on it no longer opens.
    pub expires: UnixSeconds,
    /// Names it in logs and in revocation.
    pub link_id: LinkId,
    /// The signing key it was made with.
    pub kid: Kid,
}

/// A file that was looked up and may be minted for, and what was asked for.
pub struct Mintable<'a> {
    /// The file.
    pub file: Arc<FileRecord>,
    terms: Terms<'a>,
}

/// The terms that all links minted now have in common, whatever their file.
pub(super) struct Terms<'a> {
    options: &'a MintOptions,
    default_disposition: Option<Disposition>,
    now: UnixSeconds,
    expires: UnixSeconds,
    claims: Claims,
    /// True if the URL ends with the file's name, where there is room for it; else with that of the byte route, as in
    /// the vendors' own samples.
    name_in_url: bool,
}

/// A maker of the links of one organization: what signs them, and what was revoked by then.
pub(super) struct Sealer<'a> {
    organization: OrganizationId,
    signer: LinkSigner,
    revocations: &'a Revocations,
}

/// The options that a caller may ask of a link, each at most once.
#[derive(Clone, Debug, Default)]
pub struct MintOptions {
    /// Lifetime in seconds, 1 to `links.lifetime_max`; else `links.lifetime`.
    pub expires_in: Option<u64>,
    /// The end of the link, in place of a lifetime; it is not rounded. An operator's option, which no call over the
    /// network takes.
    pub expires_at: Option<UnixSeconds>,
    /// Round the end up to a multiple of so many seconds; else `links.expiry_window`.
    pub expiry_window: Option<u64>,
    /// Unix seconds from which on the link opens.
    pub not_before: Option<u64>,
    /// Shown or saved; else the dialect's own.
    pub disposition: Option<Disposition>,
    /// The name to show or save under; else the file's own.
    pub filename: Option<FileName>,
    /// The type to serve it as; else the file's own.
    pub content_type: Option<MediaType>,
    /// The address or network that may open it.
    pub ip: Option<String>,
    /// How many downloads the link starts: it is a counted one then, which opens nothing itself. Else it opens as
    /// often as anybody asks.
    pub max_downloads: Option<MaxDownloads>,
    /// The method that starts a download of a counted link; else POST.
    pub redeem: Option<RedeemMethod>,
}

impl MintOptions {
    /// Takes the option `name` with the text `value`. Answers whether there is such an option. One that
    /// was taken already, or a value that cannot be one, is a fault of that field.
    pub fn take(&mut self, name: &str, value: &str) -> Result<bool, FieldFault> {
        let fault = |why: &str| FieldFault::new(name, value, why);
        let seconds =
            || whole_number(value).ok_or_else(|| fault("must be a whole number of seconds"));
        let again = match name {
            "expires_in" => self.expires_in.replace(seconds()?).is_some(),
            "expiry_window" => self.expiry_window.replace(seconds()?).is_some(),
            "not_before" => self.not_before.replace(seconds()?).is_some(),
            "disposition" => {
                let word = Disposition::parse(value)
                    .ok_or_else(|| fault("must be inline or attachment"))?;
                self.disposition.replace(word).is_some()
            }
            "filename" => {
                let name = FileName::from_client(value)
                    .map_err(|error| FieldFault::invalid(name, value, error))?;
                self.filename.replace(name).is_some()
            }
            "content_type" => {
                let kind = MediaType::parse_asked(value)
                    .map_err(|error| FieldFault::invalid(name, value, error))?;
                self.content_type.replace(kind).is_some()
            }
            "ip" => self.ip.replace(value.to_owned()).is_some(),
            "max_downloads" => {
                let number = MaxDownloads::parse(value).ok_or_else(|| {
                    fault(&format!("must be a whole number from 1 to {DOWNLOADS_MAX}"))
                })?;
                self.max_downloads.replace(number).is_some()
            }
            "redeem" => {
                let method =
                    RedeemMethod::parse(value).ok_or_else(|| fault("must be get or post"))?;
                self.redeem.replace(method).is_some()
            }
            _ => return Ok(false),
        };
        if again {
            Err(fault("must not be given twice"))
        } else {
            Ok(true)
        }
    }
}

/// Decimal digits and nothing else, no leading zero.
fn whole_number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

impl Gateway {
    /// Mints a signed URL for a file of the caller's organization. Without options that need it no disposition is
    /// signed, and the file is shown inline under its own name.
    pub async fn mint(
        &self,
        caller: &Principal,
        file: &str,
        options: &MintOptions,
    ) -> Result<Minted, Refusal> {
        let asked = self.mintable(&caller.organization, file, options, None);
        self.mint_asked(asked.await?).await
    }

    /// The first half of [`Gateway::mint`], for a caller that has a look at the file before a link for it
    /// is made: checks the options, and looks the file up. `default_disposition` is the one that the caller's API
    /// dialect signs unless told otherwise.
    pub async fn mintable<'a>(
        &self,
        organization: &OrganizationId,
        file: &str,
        options: &'a MintOptions,
        default_disposition: Option<Disposition>,
    ) -> Result<Mintable<'a>, Refusal> {
        let terms = self.terms(options, default_disposition)?;
        let file = FileRef::parse_file(organization, file);
        let file = file.map_err(|_| Refusal::FileNotFound)?;
        let file = self.row(file, self.rows_at()).await?;
        Ok(Mintable { file, terms })
    }

    /// The second half of [`Gateway::mint`]: makes the link.
    pub async fn mint_asked(&self, asked: Mintable<'_>) -> Result<Minted, Refusal> {
        let known = self.current().await?;
        let Mintable { file, terms } = asked;
        let sealer = self.sealer(&file.organization, &known.revocations);
        self.seal(&terms, file, &sealer)
    }

    /// As [`Gateway::mint`], for an operator, who needs no API key, and whose process may have all that
    /// was revoked to read first: it waits for that as long as the catalogue takes. The URL ends with the
    /// file's name, whatever `links.name_in_url` says.
    pub async fn mint_for(
        &self,
        organization: &OrganizationId,
        file: &str,
        options: &MintOptions,
    ) -> Result<Minted, Refusal> {
        let asked = self.mintable(organization, file, options, None);
        let Mintable { file, mut terms } = asked.await?;
        terms.name_in_url = true;
        let revocations = self.refresh().await?;
        let sealer = self.sealer(organization, &revocations);
        self.seal(&terms, file, &sealer)
    }

    /// Checks the options that do not need the file.
    pub(super) fn terms<'a>(
        &self,
        options: &'a MintOptions,
        default_disposition: Option<Disposition>,
    ) -> Result<Terms<'a>, FieldFault> {
        if let (Some(method), None) = (options.redeem, options.max_downloads) {
            let why = "must not be given without max_downloads";
            return Err(FieldFault::new("redeem", method.as_str(), why));
        }
        let now = self.clock.now();
        let expires = self.expiry(now, options)?;
        Ok(Terms {
            options,
            default_disposition,
            now,
            expires,
            claims: plain_claims(options, expires)?,
            name_in_url: self.settings.name_in_url,
        })
    }

    /// Returns what makes the links of this organization, all by one look at what was revoked.
    pub(super) fn sealer<'a>(
        &self,
        organization: &OrganizationId,
        revocations: &'a Revocations,
    ) -> Sealer<'a> {
        let epoch = revocations.epoch(organization);
        Sealer {
            organization: organization.clone(),
            signer: self.keyring().link_signer(organization, epoch),
            revocations,
        }
    }

    /// Makes the link for a file of the sealer's organization that was looked up before the revocations were. A name that makes its URL
    /// longer than [`URL_CHARS_MAX`] is not signed where it is the file's own: the byte route has it from
    /// the row. One that was asked for is a fault of that field.
    pub(super) fn seal(
        &self,
        terms: &Terms<'_>,
        file: Arc<FileRecord>,
        sealer: &Sealer<'_>,
    ) -> Result<Minted, Refusal> {
        let options = terms.options;
        let name = options.filename.as_ref().unwrap_or(&file.name);
        let asked = options.disposition.or(terms.default_disposition);
        // A name of its own is signed in a disposition.
        let disposition = asked.or(options.filename.as_ref().map(|_| Disposition::Inline));
        let make = |claims| self.make(terms, claims, name, sealer, &file);
        let Some(disposition) = disposition else {
            return make(terms.claims.clone());
        };
        // A claim that is longer than any may be makes a URL that is, too.
        if let Ok(claims) = terms.claims.clone().with_disposition(disposition, name) {
            let minted = make(claims)?;
            if minted.download_url.len() <= URL_CHARS_MAX {
                return Ok(minted);
            }
        }
        if options.filename.is_some() {
            let max = URL_CHARS_MAX;
            let why = format!("must be shorter: the link would have more than {max} characters");
            return Err(FieldFault::new("filename", name.as_str(), why).into());
        }
        let (claims, word) = (terms.claims.clone(), disposition.as_str());
        let claims = claims.with(ClaimName::ContentDisposition, word);
        make(claims.map_err(|error| Refusal::Internal(error.to_string()))?)
    }

    /// Returns the end of a link that is minted now.
    fn expiry(&self, now: UnixSeconds, options: &MintOptions) -> Result<UnixSeconds, FieldFault> {
        let max = self.settings.lifetime_max;
        if let Some(end) = options.expires_at {
            let good = (1..=max).contains(&end.since(now));
            let why = || format!("must be 1 to {max} seconds from now");
            let fault = || FieldFault::new("expires_at", end.get().to_string(), why());
            return if good { Ok(end) } else { Err(fault()) };
        }
        let lifetime = options.expires_in.unwrap_or(self.settings.lifetime);
        if !(1..=max).contains(&lifetime) {
            return Err(FieldFault::new(
                "expires_in",
                lifetime.to_string(),
                format!("must be 1 to {max} seconds"),
            ));
        }
        let window = options.expiry_window.unwrap_or(self.settings.expiry_window);
        if window > max {
            return Err(FieldFault::new(
                "expiry_window",
                window.to_string(),
                format!("must be 0 to {max} seconds"),
            ));
        }
        let end = now.plus(lifetime);
        // Each counted link is one of its own, whatever its end, so there is nothing for a cache to share.
        if window == 0 || options.max_downloads.is_some() {
            return Ok(end);
        }
        let up = UnixSeconds::EPOCH.plus(end.get().div_ceil(window).saturating_mul(window));
        let rounded = if up > now.plus(max) {
            up.minus(window)
        } else {
            up
        };
        // A window so long that its last edge is past leaves nothing to round to.
        Ok(if rounded > now { rounded } else { end })
    }

    /// Makes a link of the kind that was asked for. A counted one has a nonce: without it two links of one file,
    /// claims and end would be one, and share what they allow.
    fn make(
        &self,
        terms: &Terms<'_>,
        claims: Claims,
        name: &FileName,
        sealer: &Sealer<'_>,
        file: &Arc<FileRecord>,
    ) -> Result<Minted, Refusal> {
        let base = self.settings.public_base_url.as_str();
        let Some(max) = terms.options.max_downloads else {
            let url = |link: &SignedLink<'_>| match terms.name_in_url {
                false => link.url(base),
                true => link.url_with_name(base, name.as_str()),
            };
            return self.mint_undenied(terms, claims, url, sealer, file);
        };
        let method = terms.options.redeem.unwrap_or(RedeemMethod::Post);
        let nonce = Nonce::from_random(random()?);
        let claims = CountedClaims::new(claims, max, method, nonce);
        let url = |link: &SignedLink<'_, CountedClaims>| link.url(base);
        self.mint_undenied(terms, claims, url, sealer, file)
    }

    /// Seals the grant. The same file, claims and end are one link, so where that link was revoked, the
    /// next second's is made; the seconds before are taken where a later one would live too long.
    ///
    /// # Errors
    /// [`Refusal::RevocationHeld`] while all links of the file are revoked and that is not written yet.
    fn mint_undenied<K: LinkKind>(
        &self,
        terms: &Terms<'_>,
        claims: K,
        url: impl Fn(&SignedLink<'_, K>) -> String,
        sealer: &Sealer<'_>,
        file: &Arc<FileRecord>,
    ) -> Result<Minted, Refusal> {
        const TRIES_MAX: usize = 1_000;
        debug_assert_eq!(sealer.organization, file.organization);
        let revocations = sealer.revocations;
        // Nobody knows yet with which counters it would be good.
        if revocations.is_suspended(&file.organization, &file.id) {
            return Err(Refusal::RevocationHeld);
        }
        let now = terms.now;
        let mut grant = Grant {
            organization: file.organization.clone(),
            file: file.id.clone(),
            expires: terms.expires,
            claims,
        };
        let revision = revocations.revision(&grant.organization, &grant.file);
        let wanted = grant.expires.get();
        let later = wanted..=now.plus(self.settings.lifetime_max).get();
        let earlier = (now.get() + 1..wanted).rev();
        for expires in later.chain(earlier).take(TRIES_MAX) {
            grant.expires = UnixSeconds::EPOCH.plus(expires);
            let link = sealer.signer.mint(&grant, revision);
            if revocations.is_denied(&grant.organization, link.link_id) {
                continue;
            }
            return Ok(Minted {
                download_url: url(&link),
                token: link.token,
                expires: link.expires,
                link_id: link.link_id,
                kid: link.kid,
                file: Arc::clone(file),
            });
        }
        Err(Refusal::Limit {
            what: "revoked links of one file and end",
            limit: 1_000,
        })
    }
}

/// Returns the claims that do not need the file.
fn plain_claims(options: &MintOptions, expires: UnixSeconds) -> Result<Claims, FieldFault> {
    let with = |claims: Claims, name, field: &str, text: &str| {
        let claims = claims.with(name, text);
        claims.map_err(|error| FieldFault::invalid(field, text, error))
    };
    let mut claims = Claims::none();
    if let Some(kind) = &options.content_type {
        let kind = kind.as_str();
        claims = with(claims, ClaimName::ContentType, "content_type", kind)?;
    }
    if let Some(start) = options.not_before {
        let text = start.to_string();
        if start >= expires.get() {
            let why = format!("must be before the link expires, at {}", expires.get());
            return Err(FieldFault::new("not_before", text, why));
        }
        claims = with(claims, ClaimName::NotBefore, "not_before", &text)?;
    }
    if let Some(ip) = &options.ip {
        claims = with(claims, ClaimName::Ip, "ip", ip)?;
    }
    Ok(claims)
}
