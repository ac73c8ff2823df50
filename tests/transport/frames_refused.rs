//! Requests that are malformed in HTTP/2's own ways (RFC 9113, §8): they are reset, or answered 400, and nothing
//! is stored.

use tokio::io::AsyncWriteExt as _;

use crate::support::app::TestApp;

use super::frames::*;

/// PROTOCOL_ERROR.
pub(super) const PROTOCOL: [u8; 4] = [0, 0, 0, 1];

pub(super) const LIST: &str = "/v1/organizations/org_123/files";

pub(super) async fn app() -> TestApp {
    TestApp::start_with(&[("server.http2", "on")])
        .await
        .with_org_123()
        .await
}

/// What becomes of a request: a status, or the code of its reset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Status(String),
    Reset(Vec<u8>),
    /// The whole connection was ended, with this code.
    Gone(Vec<u8>),
}

/// Sends this on stream 1, and then a good request on stream 3, which must be answered.
pub(super) async fn fate(app: &TestApp, sent: &[Vec<u8>]) -> Fate {
    let (mut frames, mut writer) = open(app.client.0, &[]).await;
    writer.write_all(&sent.concat()).await.unwrap();
    let fate = frames
        .next_of(&[HEADERS, RST_STREAM, GOAWAY])
        .await
        .unwrap();
    if fate.kind == GOAWAY {
        return Fate::Gone(fate.payload[4..8].to_vec());
    }
    assert_eq!(fate.stream, 1, "{fate:?}");
    let good = [request("GET", LIST), vec![("x-api-key", "k1")]].concat();
    writer
        .write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &block(&good)))
        .await
        .unwrap();
    let answered = loop {
        let frame = frames
            .next_of(&[HEADERS, RST_STREAM, GOAWAY])
            .await
            .unwrap();
        if frame.stream != 1 {
            break frame;
        }
    };
    assert_eq!(
        (answered.kind, answered.stream),
        (HEADERS, 3),
        "{answered:?}"
    );
    assert_eq!(status(&answered), "200");
    match fate.kind {
        HEADERS => Fate::Status(status(&fate)),
        _ => Fate::Reset(fate.payload),
    }
}

/// The status in a head: indexed as HPACK's static table has it, or of its own.
fn status(head: &Frame) -> String {
    let named = [
        (8, "200"),
        (9, "204"),
        (10, "206"),
        (11, "304"),
        (12, "400"),
        (13, "404"),
        (14, "500"),
    ];
    // An update of the table's size may come first.
    let block = match head.payload[0] & 0xe0 {
        0x20 => &head.payload[1..],
        _ => &head.payload[..],
    };
    let first = block[0];
    if let Some((_, status)) = named.iter().find(|(index, _)| first == 0x80 | index) {
        return (*status).to_owned();
    }
    // A literal with the name `:status`, in Huffman's code or not: digits only.
    let length = usize::from(block[1] & 0x7f);
    let text = &block[2..2 + length];
    if block[1] & 0x80 == 0 {
        return String::from_utf8(text.to_vec()).unwrap();
    }
    huffman_digits(text)
}

/// Digits in HPACK's Huffman code: 0, 1 and 2 have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut rest, mut digits) = (bits.as_str(), String::new());
    while rest.len() >= 5 {
        let five = u8::from_str_radix(&rest[..5], 2).unwrap();
        if five <= 2 {
            digits.push(char::from(b'0' + five));
            rest = &rest[5..];
        } else if rest.len() >= 6 {
            let six = u8::from_str_radix(&rest[..6], 2).unwrap();
            if !(0x19..=0x1f).contains(&six) {
                break;
            }
            digits.push(char::from(b'3' + six - 0x19));
            rest = &rest[6..];
        } else {
            break;
        }
    }
    digits
}

pub(super) fn whole(fields: &[(&str, &str)]) -> Vec<Vec<u8>> {
    vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))]
}

#[tokio::test]
async fn malformed_heads_are_reset() {
    let app = app().await;
    let with = |name: &'static str, value: &'static str| {
        [
            request("GET", LIST),
            vec![("x-api-key", "k1"), (name, value)],
        ]
        .concat()
    };
    for fields in [
        with("X-Upper", "x"),
        with("connection", "keep-alive"),
        with("connection", "close"),
        with("transfer-encoding", "chunked"),
        with("upgrade", "h2c"),
        with("keep-alive", "1"),
        with("proxy-connection", "x"),
        with("te", "gzip"),
        with("x", "a\r\nb: c"),
        with("x", "a\nb"),
        with("x", "a\0b"),
        with("a b", "x"),
        with("", "x"),
        with(":path", "/other"),
        with(":unknown", "x"),
        request("GET", ""),
        request("GET", LIST)[1..].to_vec(),
        [&request("GET", LIST)[..1], &request("GET", LIST)[2..]].concat(),
        request("GET", LIST)[..3].to_vec(),
    ] {
        let fate = fate(&app, &whole(&fields)).await;
        println!("{fate:?}: {:?}", fields.last());
        // Who breaks the header block itself may lose the connection (RFC 9113, §5.4.1).
        let refused = [
            Fate::Reset(PROTOCOL.to_vec()),
            Fate::Gone(PROTOCOL.to_vec()),
        ];
        assert!(refused.contains(&fate), "{fate:?}: {fields:?}");
    }
    let list = app.client.get(LIST, &[("X-API-Key", "k1")]).await;
    assert_eq!(list.status, 200);
}

#[tokio::test]
async fn the_authority_is_there_and_is_one() {
    let app = app().await;
    let of = |authority: &'static str, host: &'static [&'static str]| {
        let mut fields = request("GET", LIST);
        fields[2].1 = authority;
        fields.retain(|(_, value)| !value.is_empty());
        fields.push(("x-api-key", "k1"));
        fields.extend(host.iter().map(|host| ("host", *host)));
        fields
    };
    for (authority, host, status) in [
        ("a", &[][..], "200"),
        ("a:1", &["a:1"], "200"),
        ("", &["a"], "200"),
        ("", &[], "400"),
        ("", &["a", "a"], "400"),
        ("", &["a b"], "400"),
        ("a", &["b"], "400"),
        ("a", &["a", "a"], "400"),
        ("user@a", &[], "400"),
    ] {
        let fate = fate(&app, &whole(&of(authority, host))).await;
        assert_eq!(fate, Fate::Status(status.into()), "{authority} {host:?}");
    }
}

#[tokio::test]
async fn a_length_that_is_not_true_stores_nothing() {
    let app = app().await;
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nbytes\r\n--b--\r\n";
    let upload = |length: usize| {
        let length: &'static str = length.to_string().leak();
        let fields = [
            request("POST", "/v1/organizations/org_123/files/upload"),
            vec![
                ("x-api-key", "k1"),
                ("content-type", "multipart/form-data; boundary=b"),
                ("content-length", length),
            ],
        ];
        frame(HEADERS, END_HEADERS, 1, &block(&fields.concat()))
    };
    for (said, sent) in [
        (form.len() + 1, form.len()),
        (form.len() - 1, form.len()),
        (1, form.len()),
        (form.len(), 0),
    ] {
        let body = frame(DATA, END_STREAM, 1, &form.as_bytes()[..sent]);
        let fate = fate(&app, &[upload(said), body]).await;
        let is_refused = matches!(&fate, Fate::Status(status) if status == "400");
        assert!(
            is_refused || fate == Fate::Reset(PROTOCOL.to_vec()),
            "{said} {sent}: {fate:?}"
        );
        let list = app.client.get(LIST, &[("X-API-Key", "k1")]).await;
        assert_eq!(list.json()["total"], 2, "{said} {sent}");
    }
    // Two that differ, and such as are no numbers (RFC 9110, §8.6).
    let other = (form.len() + 1).to_string();
    let own = form.len().to_string();
    for lengths in [
        &[&*own, &*other][..],
        &[&*other, &*own],
        &["+5"],
        &["0x5"],
        &["5, 5"],
    ] {
        let mut fields = request("POST", "/v1/organizations/org_123/files/upload");
        fields.extend([
            ("x-api-key", "k1"),
            ("content-type", "multipart/form-data; boundary=b"),
        ]);
        fields.extend(lengths.iter().map(|length| ("content-length", *length)));
        let head = frame(HEADERS, END_HEADERS, 1, &block(&fields));
        let body = frame(DATA, END_STREAM, 1, form.as_bytes());
        let fate = fate(&app, &[head, body]).await;
        assert_eq!(fate, Fate::Reset(PROTOCOL.to_vec()), "{lengths:?}");
    }
    let body = frame(DATA, END_STREAM, 1, form.as_bytes());
    assert_eq!(
        fate(&app, &[upload(form.len()), body]).await,
        Fate::Status("201".into())
    );
}

#[tokio::test]
async fn heads_and_methods_have_their_limits() {
    let app = app().await;
    let long = "x".repeat(70_000);
    let large = [request("GET", LIST), vec![("x", long.as_str())]].concat();
    let head = block(&large);
    let mut sent = vec![frame(HEADERS, END_STREAM, 1, &head[..16_000])];
    let pieces: Vec<_> = head[16_000..].chunks(16_000).collect();
    for (at, piece) in pieces.iter().enumerate() {
        let is_last = at + 1 == pieces.len();
        sent.push(frame(
            CONTINUATION,
            if is_last { END_HEADERS } else { 0 },
            1,
            piece,
        ));
    }
    assert_eq!(fate(&app, &sent).await, Fate::Status("431".into()));
    let target = format!("{LIST}?{}", "x".repeat(9_000));
    assert_eq!(
        fate(&app, &whole(&request("GET", &target))).await,
        Fate::Status("414".into())
    );
    for (method, status) in [("TRACE", "405"), ("FOO", "501")] {
        let fate = fate(&app, &whole(&request(method, LIST))).await;
        assert_eq!(fate, Fate::Status(status.into()), "{method}");
    }
    let connect = vec![(":method", "CONNECT"), (":authority", "a:80")];
    let fate = fate(&app, &whole(&connect)).await;
    assert!(
        matches!(&fate, Fate::Status(status) if status.starts_with('4') || status == "501"),
        "{fate:?}"
    );
}
