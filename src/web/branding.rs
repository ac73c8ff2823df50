//! What the operator puts on every page: a title, a logo, and one link, such as to an imprint.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The largest logo, in bytes: it is in every page itself, so that it is there behind every proxy, under whatever path the
/// page is shown.
pub const LOGO_BYTES_MAX: usize = 32 * 1024;

/// The kinds of images that cannot run anything, by what their bytes begin with, and where. SVG is none.
const IMAGES: [(usize, &[u8], &str); 4] = [
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
];

/// What the operator puts on every page. Nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Branding {
    /// `pages.title`: whose gateway this is.
    pub title: Option<String>,
    /// `pages.logo`: the picture before the title. Without one it is not shown.
    pub logo: Option<Logo>,
    /// `pages.link_text` and `pages.link_url`: the link below all else.
    pub link: Option<PageLink>,
}

/// A link of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageLink {
    /// What it says.
    pub text: String,
    /// Where it leads: `http://` or `https://`.
    pub url: String,
}

/// A picture that is in the page itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    data_url: String,
}

impl Logo {
    /// Takes the bytes of a PNG, JPEG, GIF or WebP image: what kind it is, its bytes say.
    ///
    /// # Errors
    /// Another kind of file, or more than [`LOGO_BYTES_MAX`] bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() > LOGO_BYTES_MAX {
            return Err("must be at most 32 KiB");
        }
        let has =
            |at: usize, mark: &[u8]| bytes.get(at..).is_some_and(|bytes| bytes.starts_with(mark));
        let image = IMAGES.iter().find(|(at, mark, _)| has(*at, mark));
        let (_, _, kind) = image.ok_or("must be a PNG, JPEG, GIF or WebP image")?;
        Ok(Self {
            data_url: format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes)),
        })
    }

    /// Returns the picture as a URL (RFC 2397).
    pub fn data_url(&self) -> &str {
        &self.data_url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_logo_is_what_its_bytes_say() {
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\nrest"[..], "image/png"),
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"GIF89a", "image/gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ] {
            let logo = Logo::new(bytes).unwrap();
            let url = format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes));
            assert_eq!(logo.data_url(), url);
        }
        for bytes in [
            &b""[..],
            b"<svg xmlns=",
            b"\x89PNG",
            b"RIFF\0\0\0\0WAVE",
            b"BM",
        ] {
            assert_eq!(
                Logo::new(bytes),
                Err("must be a PNG, JPEG, GIF or WebP image")
            );
        }
        let mut bytes = b"GIF89a".to_vec();
        bytes.resize(LOGO_BYTES_MAX, 0);
        assert!(Logo::new(&bytes).is_ok());
        bytes.push(0);
        assert_eq!(Logo::new(&bytes), Err("must be at most 32 KiB"));
    }
}
