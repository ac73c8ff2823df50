//! An event of the audit stream, and the line that it becomes.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// The longest line, in bytes, its newline among them: a pipe takes so many whole or not at all (`PIPE_BUF`).
/// Every field is bounded, so none of ours comes near.
pub const LINE_BYTES_MAX: usize = 4096;

/// One audit event. A field that says nothing of it is left out of its line.
///
/// None of these fields may ever hold a token, a key, a signature or a URL.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Event<'a> {
    /// Time of the event, in milliseconds since 1970.
    #[serde(serialize_with = "rfc3339")]
    pub time: u64,
    /// Its name: `mint`, `download` and so on, as `config/docs/audit.md` lists them.
    pub event: &'a str,
    /// The request, as answers and the log name it; none for what a command did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
    /// The command that did it; none for a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<&'a str>,
    /// The client's address, as far as trusted proxies say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// The API key that it was asked with, or that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<&'a str>,
    /// The organization that owns the file or link. Of a refused call that proves nothing, the keyed hash of the id
    /// in its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<&'a str>,
    /// The file's id; its keyed hash in the same case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_id: Option<&'a str>,
    /// The share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_id: Option<&'a str>,
    /// The user that a KooDrive caller names: the length and a keyed hash of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub koodrive_user_id: Option<&'a str>,
    /// The link id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_id: Option<&'a str>,
    /// The signing key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<&'a str>,
    /// End of the link, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The route's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    /// Its method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'a str>,
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The reason for a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The outcome of a download: `whole`, `part`, `aborted`, `revoked` or `handed_over`. Of a revocation that there was no
    /// room to write: `held`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'a str>,
    /// Bytes of the answer's body that were handed to the socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    /// Bytes of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_due: Option<u64>,
    /// Duration of the call, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_millis: Option<u64>,
    /// The size of a file that was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// A file's new link revision: all its links were revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_revision: Option<u64>,
    /// An organization's new epoch: all its links were revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_epoch: Option<u64>,
    /// The state of a key, or of a share, as it is then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'a str>,
    /// The number of lines dropped before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Event<'_> {
    /// The event as one line of JSON, with its newline. `None` if it were longer than [`LINE_BYTES_MAX`],
    /// which no bounded fields make it.
    pub(super) fn line(&self) -> Option<Vec<u8>> {
        let mut line = serde_json::to_vec(self).ok()?;
        line.push(b'\n');
        (line.len() <= LINE_BYTES_MAX).then_some(line)
    }
}

/// Writes a time with its milliseconds, in UTC.
fn rfc3339<S: Serializer>(millis: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = i64::try_from(*millis).unwrap_or(i64::MAX);
    // A clock beyond the year 9999 says the last moment that has a name.
    let time = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    serializer.collect_str(&format_args!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_known_and_nothing_else() {
        let event = Event {
            time: 1_779_118_492_050,
            event: "mint",
            client: Some([192, 0, 2, 1].into()),
            link_id: Some("a\n\"b"),
            expires: Some(7),
            ..Event::default()
        };
        let line = String::from_utf8(event.line().unwrap()).unwrap();
        assert_eq!(
            line,
            "{\"time\":\"2026-05-18T15:34:52.050Z\",\"event\":\"mint\",\"client\":\"192.0.2.1\",\
             \"link_id\":\"a\\n\\\"b\",\"expires\":7}\n"
        );
        let event = Event {
            time: u64::MAX,
            ..event
        };
        assert!(event.line().unwrap().starts_with(b"{\"time\":\"9999-12-"));
    }

    #[test]
    fn a_line_with_every_field_at_its_longest_is_not_too_long() {
        let id = "x".repeat(128);
        let id = Some(id.as_str());
        let word = Some("a_word_of_ours_that_is_quite_long");
        let event = Event {
            time: u64::MAX,
            event: "download",
            trace_id: id,
            command: word,
            client: Some([0xffff; 8].into()),
            api_key_id: id,
            organization_id: id,
            file_id: id,
            share_id: id,
            koodrive_user_id: id,
            link_id: id,
            kid: word,
            expires: Some(u64::MAX),
            route: word,
            method: word,
            status: Some(999),
            reason: word,
            outcome: word,
            bytes_sent: Some(u64::MAX),
            bytes_due: Some(u64::MAX),
            took_millis: Some(u64::MAX),
            size_bytes: Some(u64::MAX),
            link_revision: Some(u64::MAX),
            organization_epoch: Some(u64::MAX),
            state: word,
            count: Some(u64::MAX),
        };
        assert!(event.line().unwrap().len() < LINE_BYTES_MAX / 2);
        let long = "x".repeat(LINE_BYTES_MAX);
        let event = Event {
            reason: Some(&long),
            ..event
        };
        assert_eq!(event.line(), None);
    }
}
