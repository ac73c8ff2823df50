//! The settings of a store: its place, and our credentials.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::model::id::InstallationId;

/// The longest name of a bucket and prefix, in bytes: the names of objects have 1,024, ours included.
const URL_BYTES_MAX: usize = 512;

/// The variables that every tool for S3 reads. They count where no setting says otherwise.
pub const VARIABLES: [&str; 13] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// The variables among them that name the store's URL, the more special one first.
pub(super) const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

/// A bucket, and the prefix of the names of our objects in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The bucket's name.
    pub name: String,
    /// Empty, or names that each end with a slash.
    pub prefix: String,
}

/// The settings of a store.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The bucket and the prefix.
    pub bucket: Bucket,
    /// Its URL, without a slash at its end; if `None`, that of the environment, else that of AWS.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// True if the bucket is the first name of a URL's path; else it is the first of the host.
    pub path_style: bool,
    /// The id of our access key, and the file of the secret that belongs to it.
    pub key: Option<(String, PathBuf)>,
    /// The values of the environment.
    pub ambient: Ambient,
    /// The most bytes in one blob.
    pub size_max: u64,
    /// The most bytes of blobs that this process holds.
    pub memory_max: u64,
    /// The installation that the bytes must belong to; any if `None`.
    pub owner: Option<InstallationId>,
}

/// The values of [`VARIABLES`], secrets among them: they are never printed, and wiped when dropped.
#[derive(Clone, Default)]
pub struct Ambient(BTreeMap<&'static str, Zeroizing<String>>);

impl StoreSettings {
    /// Returns whether credentials and bytes go to another machine unencrypted.
    pub fn is_in_the_clear(&self) -> bool {
        let url = self.store_url().and_then(|url| url.strip_prefix("http://"));
        url.is_some_and(|rest| {
            let host = host_of(rest);
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            let is_here = address.map_or(host == "localhost", |address| address.is_loopback());
            !is_here
        })
    }

    /// Refuses settings that contradict each other. The error is a sentence that begins with a key.
    ///
    /// # Errors
    /// The contradiction.
    pub fn check(&self) -> Result<(), &'static str> {
        self.endpoint_url().map(drop)
    }

    /// The URL whose paths are the names of objects, or of the bucket and objects, if it is not AWS's own.
    /// Where the bucket is named in the host, it stands in front of the store's name: both must be names.
    pub(super) fn endpoint_url(&self) -> Result<Option<String>, &'static str> {
        let Some(url) = self.store_url() else {
            return Ok(None);
        };
        let Some((scheme @ ("http" | "https"), rest)) = url.split_once("://") else {
            return Err("AWS_ENDPOINT_URL: must begin with http:// or https://");
        };
        if self.path_style {
            return Ok(Some(url.to_owned()));
        }
        let (bucket, host) = (&self.bucket.name, host_of(rest));
        if host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
            return Err(
                "blobs.path_style: must be true where the store's URL has an address and no name: the bucket's \
                 name cannot stand in front of it",
            );
        }
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        if !bucket.bytes().all(is_plain) {
            return Err(
                "blobs.path_style: must be true for a bucket whose name is no host's (a-z, 0-9, . and -)",
            );
        }
        Ok(Some(format!("{scheme}://{bucket}.{rest}")))
    }

    fn store_url(&self) -> Option<&str> {
        let ambient = self.ambient.endpoint();
        let url = self.endpoint.as_deref().or(ambient)?;
        Some(url.trim_end_matches('/'))
    }
}

/// Returns the host of a URL, from its text behind the scheme.
fn host_of(rest: &str) -> &str {
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        // The last colon of a bare `[::1]` belongs to the host.
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

impl Bucket {
    /// Reads `s3://bucket` or `s3://bucket/prefix`, both of plain names. The error is the end of a sentence
    /// that begins with the text.
    ///
    /// # Errors
    /// The form that it must have.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const HINT: &str = "must be s3://BUCKET or s3://BUCKET/PREFIX, of a-z, A-Z, 0-9 and . _ -";
        let rest = text.strip_prefix("s3://").ok_or(HINT)?;
        let mut names = rest.trim_end_matches('/').split('/');
        let is_plain = |name: &&str| {
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !matches!(*name, "" | "." | "..") && name.bytes().all(good)
        };
        let name = names.next().filter(is_plain).ok_or(HINT)?;
        let mut prefix = String::new();
        for name in names {
            if !is_plain(&name) {
                return Err(HINT);
            }
            prefix.push_str(name);
            prefix.push('/');
        }
        if text.len() > URL_BYTES_MAX {
            return Err("must be at most 512 bytes long");
        }
        let name = name.to_owned();
        Ok(Self { name, prefix })
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.prefix.trim_end_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{prefix}", self.name)
    }
}

impl Ambient {
    /// Keeps a variable if it is one of [`VARIABLES`] and says something.
    pub fn keep(&mut self, name: &str, value: &str) {
        let known = VARIABLES.iter().find(|known| **known == name);
        if let Some(known) = known.filter(|_| !value.is_empty()) {
            self.0.insert(known, Zeroizing::new(value.to_owned()));
        }
    }

    /// The store's URL, where these variables name one.
    pub fn endpoint(&self) -> Option<&str> {
        ENDPOINTS.iter().find_map(|name| self.get(name))
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_a_plain_name_and_perhaps_a_prefix() {
        for (text, name, prefix, shown) in [
            ("s3://files", "files", "", "s3://files"),
            ("s3://files/", "files", "", "s3://files"),
            ("s3://a.b-c/d/e_f/", "a.b-c", "d/e_f/", "s3://a.b-c/d/e_f"),
        ] {
            let bucket = Bucket::parse(text).unwrap();
            assert_eq!((&*bucket.name, &*bucket.prefix), (name, prefix), "{text}");
            assert_eq!(bucket.to_string(), shown);
        }
        let long = format!("s3://a/{}", "b".repeat(600));
        for bad in [
            "",
            "files",
            "s3://",
            "s3:///a",
            "s3://a//b",
            "s3://a/../b",
            "s3://a/b c",
            "s3://a?b",
            "https://a/b",
            "s3://k:s@a",
            &long,
        ] {
            assert!(Bucket::parse(bad).is_err(), "{bad}");
        }
    }

    fn reached(
        endpoint: Option<&str>,
        ambient: &[(&str, &str)],
        path_style: bool,
    ) -> StoreSettings {
        let mut kept = Ambient::default();
        for (name, value) in ambient {
            kept.keep(name, value);
        }
        StoreSettings {
            bucket: Bucket::parse("s3://files/a").unwrap(),
            endpoint: endpoint.map(str::to_owned),
            region: None,
            path_style,
            key: None,
            ambient: kept,
            size_max: 1,
            memory_max: 1 << 30,
            owner: None,
        }
    }

    #[test]
    fn a_bucket_in_the_host_stands_in_front_of_the_stores_name_whoever_says_it() {
        let (one, all) = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
        for (endpoint, ambient, path_style, wanted) in [
            (None, vec![], false, None),
            (
                Some("https://s3.a"),
                vec![(all, "http://b")],
                true,
                Some("https://s3.a"),
            ),
            (
                Some("https://s3.a"),
                vec![(one, "http://b")],
                false,
                Some("https://files.s3.a"),
            ),
            (
                None,
                vec![(all, "https://s3.a:1/")],
                false,
                Some("https://files.s3.a:1"),
            ),
            (
                None,
                vec![(all, "http://b"), (one, "http://c/d")],
                false,
                Some("http://files.c/d"),
            ),
            (
                None,
                vec![(all, "http://127.0.0.1:9")],
                true,
                Some("http://127.0.0.1:9"),
            ),
        ] {
            let settings = reached(endpoint, &ambient, path_style);
            assert_eq!(settings.endpoint_url().unwrap().as_deref(), wanted);
        }
        for (endpoint, why) in [
            ("http://127.0.0.1:9", "blobs.path_style: must be true where"),
            ("https://[::1]", "blobs.path_style: must be true where"),
            ("s3.a", "AWS_ENDPOINT_URL: must begin with"),
        ] {
            let refused = reached(None, &[(all, endpoint)], false).check();
            assert!(refused.unwrap_err().starts_with(why), "{endpoint}");
        }
        let mut settings = reached(Some("https://s3.a"), &[], false);
        settings.bucket.name = "Fi_les".into();
        assert!(settings.check().unwrap_err().contains("no host's"));
    }

    #[test]
    fn what_goes_to_another_machine_in_the_clear_is_known() {
        for (url, is_clear) in [
            ("http://s3.example.com", true),
            ("http://192.0.2.1:80/a", true),
            ("http://[2001:db8::1]:80", true),
            ("https://s3.example.com", false),
            ("http://localhost:7480", false),
            ("http://127.0.0.1:7480", false),
            ("http://[::1]", false),
        ] {
            assert_eq!(
                reached(Some(url), &[], true).is_in_the_clear(),
                is_clear,
                "{url}"
            );
            let said = [("AWS_ENDPOINT_URL", url)];
            assert_eq!(
                reached(None, &said, true).is_in_the_clear(),
                is_clear,
                "{url}"
            );
        }
        assert!(!reached(None, &[], true).is_in_the_clear());
    }

    #[test]
    fn what_the_environment_says_is_kept_by_name_and_never_shown() {
        let mut ambient = Ambient::default();
        for (name, value) in [
            ("AWS_SECRET_ACCESS_KEY", "very-secret"),
            ("AWS_REGION", "eu-1"),
            ("AWS_SESSION_TOKEN", ""),
            ("HOME", "/root"),
        ] {
            ambient.keep(name, value);
        }
        assert_eq!(ambient.get("AWS_REGION"), Some("eu-1"));
        assert_eq!(ambient.pairs().count(), 2);
        let shown = format!("{ambient:?}");
        assert_eq!(shown, r#"["AWS_REGION", "AWS_SECRET_ACCESS_KEY"]"#);
    }
}
