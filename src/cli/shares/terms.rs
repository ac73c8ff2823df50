//! What a share may be given when it is made, and later, by the flags of commands.

use std::path::PathBuf;

use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::{password, value_parsers};
use crate::config::seconds_of;
use crate::gateway::shares::ShareFields;
use crate::model::time::UnixSeconds;
use crate::sign::counted::MaxDownloads;

/// What a share may be given when it is made, and later.
#[derive(Args, Debug)]
pub(super) struct Terms {
    /// Heading of the page, for people
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Text under the heading
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// How long it opens from now on: seconds, or a number with s, m, h, d or w, such as 7d; never: until it is revoked [default: 30d, or shares.lifetime_max]
    #[arg(long, value_name = "TIME", value_parser = Lifetime::parse)]
    expires_in: Option<Lifetime>,
    /// When it begins to open: Unix seconds or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = value_parsers::moment)]
    not_before: Option<UnixSeconds>,
    /// How many downloads it allows, 1 to 1000000; any: they are not counted [default: any]
    #[arg(long, value_name = "NUMBER", value_parser = Downloads::parse)]
    max_downloads: Option<Downloads>,
    /// Address or network (CIDR) that alone may open it; any: everybody [default: any]
    #[arg(long, value_name = "ADDR")]
    ip: Option<String>,
    /// Whether the page shows pictures and plays media [default: true]
    #[arg(long, value_name = "BOOL")]
    preview: Option<bool>,
    /// Whether the page offers all files as one archive [default: true]
    #[arg(long, value_name = "BOOL")]
    zip: Option<bool>,
    /// File with the password that opens it, alone on its first line [default: none]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Ask for the password that opens it, on the terminal
    #[arg(long, conflicts_with = "password_file")]
    ask_password: bool,
}

/// A lifetime in seconds, or none.
#[derive(Clone, Copy, Debug)]
struct Lifetime(Option<u64>);

impl Lifetime {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self(None)),
            text => seconds_of(text).map(|seconds| Self(Some(seconds))),
        }
    }
}

/// A number of downloads, or any.
#[derive(Clone, Copy, Debug)]
struct Downloads(Option<u64>);

impl Downloads {
    fn parse(text: &str) -> Result<Self, String> {
        let of = |number: MaxDownloads| Self(Some(u64::from(number.get())));
        match text {
            "any" => Ok(Self(None)),
            text => value_parsers::max_downloads(text).map(of),
        }
    }
}

impl Terms {
    pub(super) fn into_fields(self) -> Result<ShareFields, Failure> {
        let password = match (&self.password_file, self.ask_password) {
            (Some(path), _) => Some(password::in_file(path)?),
            (None, true) => Some(password::asked("--ask-password")?),
            (None, false) => None,
        };
        Ok(ShareFields {
            password: password.map(Some),
            title: self.title,
            note: self.note,
            expires_in: self.expires_in.map(|Lifetime(seconds)| seconds),
            not_before: self.not_before.map(|begin| Some(begin.get())),
            max_downloads: self.max_downloads.map(|Downloads(number)| number),
            ip: self.ip.map(|text| (text != "any").then_some(text)),
            preview: self.preview,
            zip: self.zip,
            ..ShareFields::default()
        })
    }
}
