//! Frames at the wrong time, on the wrong stream, of the wrong length or with wrong values (RFC 9113, §4 to §6; RFC
//! 7541): each is the error that its section names, of the stream or of the connection, and what may be passed over
//! is. The cases are those of the suite h2spec that do not stand in `frames_refused` and `floods`.
#![allow(clippy::too_many_lines)] // A table is as long as it is.

use tokio::io::AsyncWriteExt as _;

use crate::support::app::TestApp;

use super::frames::*;
use super::frames_refused::{LIST, app};

// Error codes (RFC 9113, §7).
const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const COMPRESSION: u32 = 9;

/// The outcome that the standard asks for.
#[derive(Debug)]
enum Due {
    /// It is passed over, and the next request answered.
    Nothing,
    /// An error of the stream; whoever makes it one of the connection is right, too (§5.4.2).
    Stream(u32),
    /// An error of the connection, with or without a GOAWAY (§5.4.1).
    Connection(u32),
}
use Due::{Connection, Nothing, Stream};

type Row = (&'static str, Vec<Vec<u8>>, Due);

/// Sends these frames and then a good request, and answers what was wrong.
async fn wrong(app: &TestApp, (what, sent, due): Row) -> Option<String> {
    let (mut frames, mut writer) = open(app.client.0, &[]).await;
    let good = [request("GET", LIST), vec![("x-api-key", "k1")]].concat();
    let good = frame(HEADERS, END_HEADERS | END_STREAM, 99, &block(&good));
    // Where it closes at once, not all of it is taken.
    let _ = writer.write_all(&[sent.concat(), good].concat()).await;
    let code = |payload: &[u8]| u32::from_be_bytes(payload[..4].try_into().unwrap());
    // The HTTP library calls what it cannot decode by the one that is not specific (§7).
    let is = |due: &u32, code: u32| code == *due || code == PROTOCOL;
    loop {
        let Some(came) = frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await else {
            // The end of a connection without a word is an error of it.
            let is_right = !matches!(due, Nothing);
            return (!is_right).then(|| format!("{what}: it ended, not {due:?}"));
        };
        let is_right = match (&due, came.kind) {
            (Connection(due) | Stream(due), GOAWAY) => is(due, code(&came.payload[4..])),
            // One that says nothing is wrong stands for a body that nobody wants (§8.1).
            (_, RST_STREAM) if code(&came.payload) == 0 => continue,
            (Stream(due), RST_STREAM) => came.stream != 99 && is(due, code(&came.payload)),
            // What was asked before is answered, and the error may be on its way still.
            (_, HEADERS) if came.stream != 99 => continue,
            (Stream(_), HEADERS) => continue,
            (Nothing, HEADERS) => true,
            _ => false,
        };
        println!("{what}: {came:?}");
        return (!is_right).then(|| format!("{what}: {came:?}, not {due:?}"));
    }
}

async fn check(rows: Vec<Row>) {
    let (app, mut all) = (app().await, Vec::new());
    for row in rows {
        all.extend(wrong(&app, row).await);
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    let list = app.client.get(LIST, &[("X-API-Key", "k1")]).await;
    assert_eq!(list.status, 200);
}

fn get(stream: u32) -> Vec<u8> {
    let head = block(&request("GET", "/nowhere"));
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)
}

/// The head of a request whose body is to come; the gateway waits for it.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&upload()))
}

fn upload() -> Vec<(&'static str, &'static str)> {
    [
        request("POST", "/v1/organizations/org_123/files/upload"),
        vec![
            ("x-api-key", "k1"),
            ("content-type", "multipart/form-data; boundary=b"),
        ],
    ]
    .concat()
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

fn setting(name: u16, value: u32) -> Vec<u8> {
    let payload = [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &payload)
}

fn priority(stream: u32, on: u32) -> Vec<u8> {
    frame(
        PRIORITY,
        0,
        stream,
        &[&on.to_be_bytes()[..], &[15]].concat(),
    )
}

#[tokio::test]
async fn frames_keep_to_the_states_of_their_streams() {
    let more = |stream| frame(CONTINUATION, END_HEADERS, stream, &block(&[("a", "b")]));
    let data = |stream| frame(DATA, END_STREAM, stream, b"x");
    check(vec![
        ("idle: DATA", vec![data(1)], Connection(PROTOCOL)),
        ("idle: RST_STREAM", vec![reset(1)], Connection(PROTOCOL)),
        (
            "idle: WINDOW_UPDATE",
            vec![window(1, 1)],
            Connection(PROTOCOL),
        ),
        ("idle: CONTINUATION", vec![more(1)], Connection(PROTOCOL)),
        ("idle: PRIORITY", vec![priority(1, 0)], Nothing),
        ("half-closed: DATA", vec![get(1), data(1)], Stream(CLOSED)),
        ("half-closed: HEADERS", vec![get(1), get(1)], Stream(CLOSED)),
        (
            "half-closed: CONTINUATION",
            vec![get(1), more(1)],
            Connection(PROTOCOL),
        ),
        (
            "half-closed: WINDOW_UPDATE",
            vec![get(1), window(1, 1)],
            Nothing,
        ),
        (
            "half-closed: PRIORITY",
            vec![get(1), priority(1, 0)],
            Nothing,
        ),
        ("half-closed: RST_STREAM", vec![get(1), reset(1)], Nothing),
        (
            "closed: DATA",
            vec![post(1), reset(1), data(1)],
            Stream(CLOSED),
        ),
        (
            "closed: HEADERS",
            vec![post(1), reset(1), get(1)],
            Stream(CLOSED),
        ),
        (
            "closed: CONTINUATION",
            vec![post(1), reset(1), more(1)],
            Connection(PROTOCOL),
        ),
        ("an even stream", vec![get(2)], Connection(PROTOCOL)),
        (
            "a stream below another",
            vec![get(5), get(3)],
            Connection(PROTOCOL),
        ),
        (
            "a stream that depends on itself",
            vec![frame(
                HEADERS,
                END_HEADERS | END_STREAM | PRIORITIZED,
                1,
                &[&[0, 0, 0, 1, 15][..], &block(&request("GET", LIST))].concat(),
            )],
            Stream(PROTOCOL),
        ),
        ("PRIORITY on itself", vec![priority(1, 1)], Stream(PROTOCOL)),
        (
            "a second HEADERS that does not end the stream",
            vec![
                post(1),
                frame(HEADERS, END_HEADERS, 1, &block(&[("a", "b")])),
            ],
            Stream(PROTOCOL),
        ),
        // Malformed (§8.1), but the HTTP library drops such fields, and nobody reads trailers here.
        (
            "a pseudo-header field as a trailer",
            vec![
                post(1),
                frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    1,
                    &block(&[(":method", "GET")]),
                ),
            ],
            Nothing,
        ),
        (
            "trailers",
            vec![
                post(1),
                frame(DATA, 0, 1, b"--b--\r\n"),
                frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("a", "b")])),
            ],
            Nothing,
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_head_that_is_sent_in_pieces_is_not_interrupted() {
    let head = block(&request("GET", LIST));
    let begun = || frame(HEADERS, END_STREAM, 1, &head[..10]);
    let rest = || frame(CONTINUATION, END_HEADERS, 1, &head[10..]);
    check(vec![
        ("two pieces", vec![begun(), rest()], Nothing),
        (
            "PRIORITY between",
            vec![begun(), priority(1, 0), rest()],
            Connection(PROTOCOL),
        ),
        (
            "HEADERS between",
            vec![begun(), get(3), rest()],
            Connection(PROTOCOL),
        ),
        (
            "DATA between",
            vec![begun(), frame(DATA, 0, 1, b"x"), rest()],
            Connection(PROTOCOL),
        ),
        (
            "an unknown frame between",
            vec![begun(), frame(0x16, 0, 1, b"x"), rest()],
            Connection(PROTOCOL),
        ),
        (
            "another stream's CONTINUATION",
            vec![begun(), frame(CONTINUATION, END_HEADERS, 3, &head[10..])],
            Connection(PROTOCOL),
        ),
        (
            "CONTINUATION of the connection",
            vec![begun(), frame(CONTINUATION, END_HEADERS, 0, &head[10..])],
            Connection(PROTOCOL),
        ),
        (
            "CONTINUATION behind the end",
            vec![get(1), rest()],
            Connection(PROTOCOL),
        ),
    ])
    .await;
}

#[tokio::test]
async fn frames_have_their_lengths_and_their_streams() {
    let large = vec![0; (1 << 14) + 1];
    let padded = [&[200][..], &block(&request("GET", LIST))].concat();
    check(vec![
        (
            "an unknown frame",
            vec![frame(0x16, 0xff, 0, b"x")],
            Nothing,
        ),
        (
            "unknown flags",
            vec![frame(PING, 0x16, 0, b"01234567")],
            Nothing,
        ),
        (
            "the reserved bit",
            vec![frame(PING, 0, 1 << 31, b"01234567")],
            Nothing,
        ),
        (
            "an answer to no PING",
            vec![frame(PING, ACK, 0, b"01234567")],
            Nothing,
        ),
        (
            "the largest DATA",
            vec![post(1), frame(DATA, END_STREAM, 1, &large[1..])],
            Nothing,
        ),
        (
            "a larger DATA",
            vec![post(1), frame(DATA, 0, 1, &large)],
            Stream(FRAME_SIZE),
        ),
        (
            "a larger HEADERS",
            vec![frame(HEADERS, 0, 1, &large)],
            Connection(FRAME_SIZE),
        ),
        (
            "DATA of the connection",
            vec![frame(DATA, 0, 0, b"x")],
            Connection(PROTOCOL),
        ),
        (
            "more padding than DATA",
            vec![post(1), frame(DATA, PADDED, 1, &[6, 0, 0])],
            Connection(PROTOCOL),
        ),
        (
            "HEADERS of the connection",
            vec![frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                0,
                &block(&request("GET", LIST)),
            )],
            Connection(PROTOCOL),
        ),
        (
            "more padding than HEADERS",
            vec![frame(
                HEADERS,
                END_HEADERS | END_STREAM | PADDED,
                1,
                &padded,
            )],
            Connection(PROTOCOL),
        ),
        (
            "PRIORITY of the connection",
            vec![priority(0, 1)],
            Connection(PROTOCOL),
        ),
        (
            "a PRIORITY of four",
            vec![frame(PRIORITY, 0, 1, &[0; 4])],
            Stream(FRAME_SIZE),
        ),
        (
            "RST_STREAM of the connection",
            vec![reset(0)],
            Connection(PROTOCOL),
        ),
        (
            "a RST_STREAM of three",
            vec![post(1), frame(RST_STREAM, 0, 1, &[0; 3])],
            Connection(FRAME_SIZE),
        ),
        (
            "a PING of six",
            vec![frame(PING, 0, 0, &[0; 6])],
            Connection(FRAME_SIZE),
        ),
        (
            "PING of a stream",
            vec![frame(PING, 0, 1, &[0; 8])],
            Connection(PROTOCOL),
        ),
        (
            "GOAWAY of a stream",
            vec![frame(GOAWAY, 0, 1, &[0; 8])],
            Connection(PROTOCOL),
        ),
        (
            "PUSH_PROMISE",
            vec![frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 8])],
            Connection(PROTOCOL),
        ),
        (
            "a RST_STREAM for no known reason",
            vec![get(1), frame(RST_STREAM, 0, 1, &[0xff; 4])],
            Nothing,
        ),
    ])
    .await;
}

#[tokio::test]
async fn settings_and_windows_have_their_bounds() {
    let most = (1 << 31) - 1;
    check(vec![
        (
            "SETTINGS of a stream",
            vec![frame(SETTINGS, 0, 1, b"")],
            Connection(PROTOCOL),
        ),
        (
            "a SETTINGS of three",
            vec![frame(SETTINGS, 0, 0, &[0; 3])],
            Connection(FRAME_SIZE),
        ),
        (
            "an ACK with settings",
            vec![frame(SETTINGS, ACK, 0, &[0; 6])],
            Connection(FRAME_SIZE),
        ),
        (
            "ENABLE_PUSH of 2",
            vec![setting(2, 2)],
            Connection(PROTOCOL),
        ),
        (
            "INITIAL_WINDOW_SIZE of 2^31",
            vec![setting(4, 1 << 31)],
            Connection(FLOW_CONTROL),
        ),
        (
            "MAX_FRAME_SIZE below 2^14",
            vec![setting(5, (1 << 14) - 1)],
            Connection(PROTOCOL),
        ),
        (
            "MAX_FRAME_SIZE of 2^24",
            vec![setting(5, 1 << 24)],
            Connection(PROTOCOL),
        ),
        ("an unknown setting", vec![setting(0xff, 1)], Nothing),
        (
            "a window that grows by nothing",
            vec![window(0, 0)],
            Connection(PROTOCOL),
        ),
        (
            "a stream's window that grows by nothing",
            vec![post(1), window(1, 0)],
            Stream(PROTOCOL),
        ),
        (
            "a window past 2^31",
            vec![window(0, most), window(0, most)],
            Connection(FLOW_CONTROL),
        ),
        (
            "a stream's window past 2^31",
            vec![post(1), window(1, most), window(1, most)],
            Stream(FLOW_CONTROL),
        ),
        (
            "a WINDOW_UPDATE of three",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0; 3])],
            Connection(FRAME_SIZE),
        ),
    ])
    .await;
}

/// Of HPACK (RFC 7541): what cannot be decoded ends the connection, since nothing behind it can (§4.3).
#[tokio::test]
async fn a_header_block_that_cannot_be_decoded_ends_the_connection() {
    let of = |bytes: &[u8]| {
        let block = [&block(&request("GET", LIST))[..], bytes].concat();
        vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)]
    };
    check(vec![
        ("index 0", of(&[0x80]), Connection(COMPRESSION)),
        (
            "an index of nothing",
            of(&[0x80 | 70]),
            Connection(COMPRESSION),
        ),
        (
            "a name of nothing",
            of(&[0x40 | 62, 1, b'x']),
            Connection(COMPRESSION),
        ),
        (
            "a text that breaks off",
            of(&[0, 1, b'a', 9, b'x']),
            Connection(COMPRESSION),
        ),
        (
            "a size update at the end",
            of(&[0x20]),
            Connection(COMPRESSION),
        ),
        (
            "a larger table than was allowed",
            vec![frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &[integer(4097, 5, 0x20), block(&request("GET", LIST))].concat(),
            )],
            Connection(COMPRESSION),
        ),
        // `a` is 00011 in Huffman's code; ones up to the end of a byte are padding, and no more than that.
        (
            "Huffman's code, padded",
            of(&[0, 1, b'a', 0x81, 0x1f]),
            Nothing,
        ),
        (
            "padded by a byte more",
            of(&[0, 1, b'a', 0x82, 0x1f, 0xff]),
            Connection(COMPRESSION),
        ),
        (
            "padded with zeros",
            of(&[0, 1, b'a', 0x81, 0x18]),
            Connection(COMPRESSION),
        ),
        (
            "the code for the end within",
            of(&[0, 1, b'a', 0x84, 0xff, 0xff, 0xff, 0xff]),
            Connection(COMPRESSION),
        ),
    ])
    .await;
}
