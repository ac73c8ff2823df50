//! Tests of media types: their grammar, what they say, and the charset of text.

use super::*;

fn name(text: &str) -> FileName {
    FileName::from_client(text).unwrap()
}

#[test]
fn types_are_tokens_and_keep_their_parameters() {
    for good in [
        "image/png",
        "text/plain; charset=utf-8",
        "application/vnd.a+json",
        "a/b;",
        "a/b ; x=y;; z=\"q; \\\" r\"; ",
    ] {
        assert_eq!(MediaType::parse(good).unwrap().as_str(), good);
    }
    let long = format!("a/{}", "b".repeat(MEDIA_TYPE_BYTES_MAX));
    for bad in [
        "",
        "text",
        "text/",
        "/plain",
        "a b/c",
        "text/plain\r\nX: y",
        "text/plain;\u{e9}",
        "a/b ",
        "a/b x=y",
        "a/b;x",
        "a/b;x=",
        "a/b;=y",
        "a/b;x =y",
        "a/b;x=y z",
        "a/b;x=y ",
        "a/b;x=\"y",
        "a/b;x=\"y\\\"",
        "a/b;x=\"y\"z",
        "a/b;\tx=y",
        "a/b;x=\"\u{7f}\"",
        &long,
    ] {
        assert!(MediaType::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn claims_have_one_charset_and_nothing_else() {
    for good in [
        "text/html",
        "Text/HTML;charset=utf-8",
        "text/plain ; Charset=\"shift_jis\"",
        "image/*",
    ] {
        assert_eq!(MediaType::parse_claim(good).unwrap().as_str(), good);
    }
    for bad in [
        "text/html;",
        "text/html; ",
        "text/html; x=y",
        "text/html; charset=utf-8; x=y",
        "text/html; x=y; charset=utf-8",
        "text/html; charset=utf-8; charset=utf-8",
        "text/html; charset",
        "text/html; charset=",
        "text/html; charset=utf-8 x",
    ] {
        assert!(MediaType::parse_claim(bad).is_err(), "{bad}");
        assert!(MediaType::parse_asked(bad).is_err(), "{bad}");
    }
    for bad in ["*/*", "image/*", "*/png", "text/*; charset=utf-8"] {
        assert!(MediaType::parse_asked(bad).is_err(), "{bad}");
    }
    assert!(MediaType::parse_asked("text/html; charset=utf-8").is_ok());
}

#[test]
fn a_second_type_behind_a_comma_is_refused() {
    for bad in [
        "image/png,text/html",
        "image/png, text/html",
        "image/png; ,text/html",
        "image/png;,text/html",
        "image/png; a=b,text/html",
        "image/png; a=\"b,text/html\"",
        "font/x;, image/svg+xml",
    ] {
        assert!(MediaType::parse(bad).is_err(), "{bad}");
        assert!(MediaType::parse_claim(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_type_that_says_nothing_leaves_it_to_the_name() {
    let of = |declared, file| {
        let declared = MediaType::parse(declared).ok();
        MediaType::of_file(declared, &name(file), false).to_string()
    };
    for placeholder in [
        "*/*",
        "image/*",
        "*/png",
        "Image/*; q=0.8",
        "application/octet-stream",
        "Application/Octet-Stream; charset=binary",
        "binary/octet-stream",
        "application/x-unknown",
        "unknown/unknown",
        "application/force-download",
        "application/download",
        "application/octetstream",
        "multipart/form-data",
        "multipart/form-data; charset=utf-8",
        "multipart/mixed",
        "nonsense",
    ] {
        assert_eq!(of(placeholder, "a.png"), "image/png", "{placeholder}");
    }
    for good in [
        "image/webp",
        "image/x-*",
        "application/x-unknown-content",
        "multipart/mixed; boundary=x",
        "text/plain",
    ] {
        assert_eq!(of(good, "a.png"), good);
    }
    assert_eq!(of("", "a.unknown-extension"), "application/octet-stream");
}

#[test]
fn text_without_a_charset_gets_one() {
    for (said, sent) in [
        ("text/plain", "text/plain; charset=utf-8"),
        ("Text/HTML", "Text/HTML; charset=utf-8"),
        (
            "text/markdown; variant=GFM",
            "text/markdown; variant=GFM; charset=utf-8",
        ),
        ("text/plain; ;", "text/plain; charset=utf-8"),
        (
            "application/javascript",
            "application/javascript; charset=utf-8",
        ),
        (
            "application/ecmascript",
            "application/ecmascript; charset=utf-8",
        ),
        (
            "application/x-javascript",
            "application/x-javascript; charset=utf-8",
        ),
    ] {
        assert_eq!(MediaType::parse(said).unwrap().with_utf8(), sent);
    }
    for same in [
        "text/plain; charset=shift_jis",
        "text/plain; a=b; CHARSET=\"iso-8859-1\"",
        "text/xml",
        "text/vnd.x+xml",
        "text/json",
        "text/x+JSON",
        "application/json",
        "application/xml",
        "application/xhtml+xml",
        "image/svg+xml",
        "image/png",
        "application/octet-stream",
    ] {
        assert_eq!(MediaType::parse(same).unwrap().with_utf8(), same);
    }
}

#[test]
fn passive_types_cannot_run() {
    let passive = |text| MediaType::parse(text).unwrap().is_passive();
    for yes in [
        "image/png",
        "IMAGE/GIF",
        "audio/ogg",
        "video/mp4",
        "font/woff2",
        "application/pdf",
    ] {
        assert!(passive(yes), "{yes}");
    }
    for no in [
        "image/svg+xml",
        "Image/SVG+xml; x=y",
        "image/x+XML",
        "font/x+xml ; x=y",
        "text/html",
        "text/xml",
        "application/json",
        "text/plain",
        "image/*",
        "Audio/*; x=y",
        "*/png",
    ] {
        assert!(!passive(no), "{no}");
    }
}
