//! What an operator may put on pages for people.

use super::url::is_authority;

/// The longest title, or text of a link, in characters: it stands in one line of most screens.
pub const PAGE_TEXT_CHARS_MAX: usize = 100;

/// The longest URL of the link, in bytes.
pub const PAGE_URL_BYTES_MAX: usize = 2048;

/// One line of text.
pub(super) fn page_text(text: &str) -> Result<String, &'static str> {
    let is_line = !text.trim().is_empty() && !text.chars().any(char::is_control);
    let good = is_line && text.chars().count() <= PAGE_TEXT_CHARS_MAX;
    let hint = "must be one line of text, at most 100 characters";
    good.then(|| text.trim().to_owned()).ok_or(hint)
}

/// Where the link leads.
pub(super) fn page_url(text: &str) -> Result<String, &'static str> {
    let Some(("http" | "https", rest)) = text.split_once("://") else {
        return Err("must begin with http:// or https://");
    };
    if text.len() > PAGE_URL_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be visible ASCII without spaces, at most 2048 bytes");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !is_authority(authority) {
        return Err("must name a host, without a user");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_page_of_the_web() {
        for good in [
            "https://example.com",
            "http://example.com:8080/imprint?lang=de#top",
            "https://[::1]/",
        ] {
            assert_eq!(page_url(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "example.com",
            "javascript:alert(1)",
            "javascript://example.com/%0aalert(1)",
            "HTTPS://example.com",
            "https://",
            "https:///imprint",
            "https://user@example.com/",
            "https://example.com/a b",
            "https://example.com/é",
            &format!("https://example.com/{}", "a".repeat(PAGE_URL_BYTES_MAX)),
        ] {
            assert!(page_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_text_is_one_line() {
        assert_eq!(
            page_text(" 株式会社 Näh & Söhne ").as_deref(),
            Ok("株式会社 Näh & Söhne")
        );
        assert!(page_text(&"é".repeat(PAGE_TEXT_CHARS_MAX)).is_ok());
        for bad in [
            "",
            " ",
            "a\nb",
            "a\u{7f}b",
            &"é".repeat(PAGE_TEXT_CHARS_MAX + 1),
        ] {
            assert!(page_text(bad).is_err(), "{bad:?}");
        }
    }
}
