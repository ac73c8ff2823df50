//! `hallpass sign`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::audit::Recorder;
use super::failure::{Failure, complain};
use super::session::{Global, Logging, Session, expect_organization, of_file, public_base};
use super::{link_base, value_parsers, wire};
use crate::config::seconds_of;
use crate::gateway::mint::MintOptions;
use crate::gateway::refusal::Refusal;
use crate::model::disposition::Disposition;
use crate::model::id::{DEFAULT_ORGANIZATION, FileId, OrganizationId};
use crate::model::media::MediaType;
use crate::model::name::FileName;
use crate::model::network::Network;
use crate::model::time::UnixSeconds;
use crate::server::setup::SetupPolicy;
use crate::sign::claims::{ClaimName, Claims, LinkKind};
use crate::sign::counted::{CountedClaims, MaxDownloads, Nonce, RedeemMethod};
use crate::sign::grant::{Grant, SignedLink, URL_CHARS_MAX};
use crate::sign::keyring::Kid;
use crate::sign::organization_key::OrganizationKey;

#[derive(Args, Debug)]
pub(super) struct Sign {
    /// Organization that owns the file
    #[arg(long, value_name = "ID", default_value = DEFAULT_ORGANIZATION)]
    organization: OrganizationId,
    /// Id of the file
    #[arg(long, value_name = "ID")]
    file: FileId,
    /// How long the link lives: seconds, or a number with s, m, h, d or w, such as 1h30m [default: links.lifetime]
    #[arg(long, value_name = "TIME", value_parser = seconds_of, conflicts_with = "expires_at")]
    expires_in: Option<u64>,
    /// When the link ends: Unix seconds or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = value_parsers::moment)]
    expires_at: Option<UnixSeconds>,
    /// Whether a browser shows the file or saves it: inline or attachment
    #[arg(long, value_name = "WORD", value_parser = value_parsers::disposition)]
    disposition: Option<Disposition>,
    /// Name to show or save the file under [default: its own]
    #[arg(long, value_name = "NAME", value_parser = FileName::from_command_line)]
    filename: Option<FileName>,
    /// Media type to serve the file as [default: its own]
    #[arg(long, value_name = "TYPE", value_parser = MediaType::parse_asked)]
    content_type: Option<MediaType>,
    /// Address or network (CIDR) that alone may open the link
    #[arg(long, value_name = "ADDR", value_parser = network)]
    ip: Option<String>,
    /// When the link begins to open: Unix seconds or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = value_parsers::moment)]
    not_before: Option<UnixSeconds>,
    /// How many downloads the link starts, 1 to 1000000: it opens a page with a button then [default: no end of them]
    #[arg(long, value_name = "NUMBER", value_parser = value_parsers::max_downloads)]
    max_downloads: Option<MaxDownloads>,
    /// What starts a download: a POST, which is a person's click, or a GET, for machines alone: get or post [default: post]
    #[arg(long, value_name = "WORD", value_parser = value_parsers::redeem, requires = "max_downloads")]
    redeem: Option<RedeemMethod>,
    /// Sign with the organization's key in this file, without keyring and catalogue
    #[arg(long, value_name = "FILE", requires_all = ["kid", "public_base_url"])]
    organization_key: Option<PathBuf>,
    /// Signing key that the organization's key was derived from
    #[arg(long, value_name = "KID", requires = "organization_key")]
    kid: Option<Kid>,
    /// How often all links of the file were revoked [default: 0]
    #[arg(long, value_name = "NUMBER", requires = "organization_key")]
    link_revision: Option<u64>,
    /// What links begin with [default: what a gateway that runs here says, else server.public_base_url, else http:// or https:// and the first listener]
    #[arg(long, value_name = "URL")]
    public_base_url: Option<String>,
}

impl Sign {
    /// Prints a link, made with the keyring and the catalogue, or with an organization's key alone.
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let flags = public_base(self.public_base_url.as_deref());
        let mut session = Session::begin(global, flags, Logging::Warnings)?;
        self.expect_lifetime(&session)?;
        let mut recorder = Recorder::open(&session, "sign")?;
        let link = match (&self.organization_key, &self.kid) {
            (Some(path), Some(kid)) => self.link_of_key(&session, path, kid)?,
            _ => self.link_of_installation(&session).await?,
        };
        recorder.minted(&self.organization, &link);
        session.output.one(&link)
    }

    /// Refuses a link that no gateway would open.
    fn expect_lifetime(&self, session: &Session) -> Result<(), Failure> {
        let links = &session.config.links;
        if let Some(seconds) = self.expires_in {
            value_parsers::expect_lifetime("--expires-in", seconds, links)?;
        }
        if let Some(end) = self.expires_at {
            let seconds = end.since(session.clock.now());
            value_parsers::expect_lifetime("--expires-at", seconds, links)?;
        }
        Ok(())
    }

    async fn link_of_installation(&self, session: &Session) -> Result<wire::Link, Failure> {
        let base = link_base::of_installation(session, self.public_base_url.is_some())?;
        let url = base.url.as_str().to_owned();
        let gateway = session.gateway_at(SetupPolicy::Existing, url).await?;
        expect_organization(&gateway, &self.organization).await?;
        let options = MintOptions {
            expires_in: self.expires_in,
            expires_at: self.expires_at,
            expiry_window: None,
            not_before: self.not_before.map(UnixSeconds::get),
            disposition: self.disposition,
            filename: self.filename.clone(),
            content_type: self.content_type.clone(),
            ip: self.ip.clone(),
            max_downloads: self.max_downloads,
            redeem: self.redeem,
        };
        let organization = &self.organization;
        let minted = gateway
            .mint_for(organization, self.file.as_str(), &options)
            .await;
        match minted {
            Ok(minted) => {
                base.note.iter().for_each(|note| complain(note));
                Ok(minted.into())
            }
            Err(Refusal::Field(fault)) => {
                let flag = fault.field.replace('_', "-");
                Err(Failure::Usage(format!("--{flag} {}", fault.why)))
            }
            Err(refusal) => Err(of_file(organization, &self.file, refusal)),
        }
    }

    /// Signs with an organization's key alone, as a tenant does that knows nothing else of the installation.
    fn link_of_key(
        &self,
        session: &Session,
        path: &Path,
        kid: &Kid,
    ) -> Result<wire::Link, Failure> {
        let config = &session.config;
        let text = value_parsers::key_file(path)?;
        let key = OrganizationKey::from_base64url(&text).ok_or_else(|| {
            Failure::Failed(format!(
                "{} holds no key of 43 base64url characters: `hallpass key derive --organization {}` prints one",
                path.display(),
                self.organization
            ))
        })?;
        // The flag is required beside the organization's key.
        let base = config.server.public_base_url.as_ref();
        let base = base.ok_or_else(|| {
            Failure::Usage("--public-base-url must say what the link begins with".into())
        })?;
        let base = base.as_str();
        let lifetime = self.expires_in.unwrap_or(config.links.lifetime);
        let expires = self.expires_at;
        let expires = expires.unwrap_or_else(|| session.clock.now().plus(lifetime));
        let claims = self.claims(expires)?;
        let Some(max) = self.max_downloads else {
            let grant = self.grant(claims, expires);
            let link = key.mint(kid, &grant, self.link_revision.unwrap_or_default());
            let url = match &self.filename {
                Some(name) => link.url_with_name(base, name.as_str()),
                None => link.url(base),
            };
            return self.signed(&link, base, url);
        };
        let method = self.redeem.unwrap_or(RedeemMethod::Post);
        let claims = CountedClaims::new(claims, max, method, nonce()?);
        let grant = self.grant(claims, expires);
        let link = key.mint(kid, &grant, self.link_revision.unwrap_or_default());
        self.signed(&link, base, link.url(base))
    }

    fn grant<K>(&self, claims: K, expires: UnixSeconds) -> Grant<K> {
        Grant {
            organization: self.organization.clone(),
            file: self.file.clone(),
            expires,
            claims,
        }
    }

    /// Refuses a name that makes the link too long, with or without it at the end of the URL.
    fn signed<K: LinkKind>(
        &self,
        link: &SignedLink<'_, K>,
        base: &str,
        download_url: String,
    ) -> Result<wire::Link, Failure> {
        if self.filename.is_some() && link.url(base).len() > URL_CHARS_MAX {
            let why = format!(
                "--filename must be shorter: the link would have more than {URL_CHARS_MAX} characters"
            );
            return Err(Failure::Usage(why));
        }
        Ok(wire::Link {
            file_id: self.file.to_string(),
            filename: self.filename.as_ref().map(ToString::to_string),
            download_url,
            token: link.token.clone(),
            expires: link.expires.get(),
            link_id: link.link_id.to_string(),
            kid: link.kid.to_string(),
        })
    }

    /// Returns the claims that the gateway signs for these flags. Without a name the disposition is a word alone: the
    /// gateway that opens the link knows the file's own name.
    fn claims(&self, expires: UnixSeconds) -> Result<Claims, Failure> {
        let disposition = match (&self.filename, self.disposition) {
            (None, None) => None,
            (Some(name), word) => Some(word.unwrap_or(Disposition::Inline).header(name)),
            (None, Some(word)) => Some(word.as_str().to_owned()),
        };
        if self.not_before.is_some_and(|start| start >= expires) {
            let why = format!(
                "--not-before must be before the link expires, at {}",
                expires.get()
            );
            return Err(Failure::Usage(why));
        }
        let start = self.not_before.map(|start| start.get().to_string());
        let content_type = self.content_type.as_ref().map(ToString::to_string);
        let texts = [
            (ClaimName::Ip, self.ip.clone()),
            (ClaimName::NotBefore, start),
            (ClaimName::ContentDisposition, disposition),
            (ClaimName::ContentType, content_type),
        ];
        let mut given = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)));
        let claims = given.try_fold(Claims::none(), |claims, (name, text)| {
            claims.with(name, text)
        });
        claims.map_err(|error| Failure::Usage(error.to_string()))
    }
}

/// Draws what tells a counted link from others of the same file, claims and end.
fn nonce() -> Result<Nonce, Failure> {
    let mut random = [0; 32];
    let drawn = getrandom::fill(&mut random);
    drawn.map_err(|error| Failure::Failed(format!("drawing random bytes: {error}")))?;
    Ok(Nonce::from_random(random))
}

/// An `ip` claim is signed as it was typed.
fn network(text: &str) -> Result<String, &'static str> {
    let why = "must be an address, or a CIDR without host bits";
    Network::parse(text).map(|_| text.to_owned()).ok_or(why)
}
