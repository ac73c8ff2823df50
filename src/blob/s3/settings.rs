//! Where a store is, and by what it knows us.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

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

/// A bucket, and what the names of our objects in it begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The bucket's name.
    pub name: String,
    /// Empty, or names that each end with a slash.
    pub prefix: String,
}

/// How a store is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where in the store.
    pub bucket: Bucket,
    /// Its URL, without a slash at its end; that of AWS if `None`.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Whether the bucket is the first name of a URL's path; else it is the first of the host.
    pub path_style: bool,
    /// By which id the store knows us, and the file of the secret that belongs to it.
    pub key: Option<(String, PathBuf)>,
    /// What the environment says of all that.
    pub ambient: Ambient,
    /// The most bytes in one blob.
    pub size_max: u64,
}

/// The values of [`VARIABLES`], secrets among them: they are never printed, and wiped when dropped.
#[derive(Clone, Default)]
pub struct Ambient(BTreeMap<&'static str, Zeroizing<String>>);

impl Bucket {
    /// Reads `s3://bucket` or `s3://bucket/prefix`, both of plain names. The error is the end of a sentence
    /// that begins with what was read.
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
        let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
        named.into_iter().find_map(|name| self.get(name))
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
