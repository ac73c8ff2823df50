//! The JSON of shares, in the manner of Aitronos.

use std::fmt;

use serde::Serialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::Value;

use crate::gateway::passwords::Password;
use crate::gateway::refusal::FieldFault;
use crate::gateway::shares::{ShareFields, ShareView, SharedEntry};
use crate::model::time::UnixSeconds;
use crate::web::problem::Problem;
use crate::web::wire::{json, json_with_capacity};

/// The room in an answer's text for each file of a share, in bytes.
const FILE_ROOM: usize = 192;

/// A share, with its files where it is the only one.
#[derive(Serialize)]
struct ShareObject<'a> {
    share_id: &'a str,
    organization_id: &'a str,
    /// None while it is stale.
    share_url: Option<&'a str>,
    link_id: Option<&'a str>,
    state: &'static str,
    title: &'a str,
    note: &'a str,
    expires: Option<u64>,
    not_before: Option<u64>,
    max_downloads: Option<u64>,
    done: u64,
    open: u64,
    downloads: u64,
    bytes_sent: u64,
    last_download_at: Option<String>,
    opened: u64,
    first_opened_at: Option<String>,
    has_password: bool,
    ip: Option<&'a str>,
    preview: bool,
    zip: bool,
    created_at: String,
    created_by_api_key_id: Option<&'a str>,
    file_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<FileOfShare<'a>>>,
}

/// A file of a share.
#[derive(Serialize)]
struct FileOfShare<'a> {
    n: u64,
    path: &'a str,
    file_id: &'a str,
    /// None where the file is not there any more.
    file_size: Option<u64>,
    mime_type: Option<&'a str>,
    state: &'static str,
}

/// A page of shares.
#[derive(Serialize)]
struct Page<'a> {
    shares: Vec<ShareObject<'a>>,
    has_more: bool,
    /// What `after` is for the next page.
    next_after: Option<&'a str>,
}

/// One share with its files.
pub(super) fn share(view: &ShareView) -> Vec<u8> {
    let files = view.files.iter().map(file).collect();
    let object = ShareObject {
        files: Some(files),
        ..object(view)
    };
    json_with_capacity((view.files.len() + 4) * FILE_ROOM, &object)
}

/// A page of shares, without their files.
pub(super) fn page(views: &[ShareView], has_more: bool) -> Vec<u8> {
    let last = views.last().filter(|_| has_more);
    json(&Page {
        shares: views.iter().map(object).collect(),
        has_more,
        next_after: last.map(|view| view.share.id.as_str()),
    })
}

fn object(view: &ShareView) -> ShareObject<'_> {
    let share = &view.share;
    let counts = &view.counts;
    let at = |time: UnixSeconds| time.to_string();
    ShareObject {
        share_id: share.id.as_str(),
        organization_id: share.organization.as_str(),
        share_url: view.url.as_deref(),
        link_id: view.link_id.as_ref().map(|id| id.as_str()),
        state: view.standing.as_str(),
        title: &share.title,
        note: &share.note,
        expires: share.expires.map(UnixSeconds::get),
        not_before: share.not_before.map(UnixSeconds::get),
        max_downloads: share.allowed,
        done: counts.done,
        open: counts.open,
        downloads: counts.counts.downloads,
        bytes_sent: counts.counts.bytes_sent,
        last_download_at: counts.counts.last_at.map(at),
        opened: counts.opened,
        first_opened_at: counts.first_opened_at.map(at),
        has_password: share.password.is_some(),
        ip: share.ip.as_ref().map(|network| network.as_str()),
        preview: share.options.preview,
        zip: share.options.zip,
        created_at: at(share.created_at),
        created_by_api_key_id: share.created_by.as_ref().map(|key| key.as_str()),
        file_count: view.file_count,
        files: None,
    }
}

fn file(entry: &SharedEntry) -> FileOfShare<'_> {
    let record = entry.file.as_ref();
    FileOfShare {
        n: entry.shared.position,
        path: &entry.shared.path,
        file_id: entry.shared.file.as_str(),
        file_size: record.map(|record| record.size),
        mime_type: record.map(|record| record.media_type.as_str()),
        state: entry.standing.as_str(),
    }
}

/// Reads what is asked of a share. A field that is not known is a fault: one that was misspelled would else leave a
/// share open that was to be closed.
///
/// # Errors
/// A body that is no JSON object, and the fault of the first field that is wrong.
pub(super) fn share_fields(body: &[u8]) -> Result<ShareFields, Problem> {
    let unreadable = || Problem::bad_body("it is no JSON object");
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let pairs = deserializer.deserialize_map(Pairs);
    let pairs = pairs.and_then(|pairs| deserializer.end().map(|()| pairs));
    let pairs = pairs.map_err(|_| unreadable())?;
    let mut fields = ShareFields::default();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &pairs {
        if seen.contains(&name.as_str()) {
            return Err(FieldFault::missing(name, "must not be given twice").into());
        }
        take(&mut fields, name, value)?;
        seen.push(name);
    }
    Ok(fields)
}

fn take(fields: &mut ShareFields, name: &str, value: &Value) -> Result<(), FieldFault> {
    match name {
        "files" => fields.files = Some(texts(name, value)?),
        "folder_id" => fields.folder_id = Some(text(name, value)?),
        "title" => fields.title = Some(text(name, value)?),
        "note" => fields.note = Some(text(name, value)?),
        "expires_in" => fields.expires_in = Some(or_null(name, value, number)?),
        "not_before" => fields.not_before = Some(or_null(name, value, number)?),
        "max_downloads" => fields.max_downloads = Some(or_null(name, value, number)?),
        "password" => fields.password = Some(or_null(name, value, password)?),
        "ip" => fields.ip = Some(or_null(name, value, text)?),
        "preview" => fields.preview = Some(flag(name, value)?),
        "zip" => fields.zip = Some(flag(name, value)?),
        "state" => fields.state = Some(text(name, value)?),
        _ => return Err(FieldFault::missing(name, "is not known")),
    }
    Ok(())
}

fn or_null<T>(
    name: &str,
    value: &Value,
    read: impl Fn(&str, &Value) -> Result<T, FieldFault>,
) -> Result<Option<T>, FieldFault> {
    match value {
        Value::Null => Ok(None),
        value => read(name, value).map(Some),
    }
}

fn text(name: &str, value: &Value) -> Result<String, FieldFault> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| FieldFault::missing(name, "must be a text"))
}

/// No fault repeats it.
fn password(name: &str, value: &Value) -> Result<Password, FieldFault> {
    let password = Password::new(text(name, value)?);
    password.map_err(|unfit| FieldFault::missing(name, unfit.to_string()))
}

fn texts(name: &str, value: &Value) -> Result<Vec<String>, FieldFault> {
    let texts = value.as_array().and_then(|items| {
        let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
        texts.collect::<Option<Vec<String>>>()
    });
    texts.ok_or_else(|| FieldFault::missing(name, "must be a list of texts"))
}

fn number(name: &str, value: &Value) -> Result<u64, FieldFault> {
    let fault = || match value {
        Value::Number(number) => {
            FieldFault::new(name, number.to_string(), "must be a whole number")
        }
        _ => FieldFault::missing(name, "must be a whole number"),
    };
    value.as_u64().ok_or_else(fault)
}

fn flag(name: &str, value: &Value) -> Result<bool, FieldFault> {
    let flag = value.as_bool();
    flag.ok_or_else(|| FieldFault::missing(name, "must be true or false"))
}

/// The pairs of an object in the order they stand in, a repeated key twice.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        /// More than there are fields: one of them is unknown, or there twice.
        const PAIRS_MAX: usize = 64;
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            if pairs.len() == PAIRS_MAX {
                return Err(serde::de::Error::custom("too many fields"));
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::refusal::Refusal;

    fn fault(body: &str) -> (String, Option<String>) {
        match share_fields(body.as_bytes()) {
            Err(Problem::Refused(Refusal::Field(fault))) => (fault.field, fault.value),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn fields_are_read_and_null_takes_away_what_may_be_missing() {
        let fields = share_fields(
            br#"{"files":["a","b"],"title":"T","expires_in":60,"ip":null,"max_downloads":null,"zip":false}"#,
        );
        let fields = fields.unwrap();
        assert_eq!(fields.files.unwrap(), ["a", "b"]);
        assert_eq!(fields.expires_in, Some(Some(60)));
        assert_eq!((fields.ip, fields.max_downloads), (Some(None), Some(None)));
        assert_eq!((fields.zip, fields.preview), (Some(false), None));
        assert!(share_fields(b" {} ").is_ok());
    }

    #[test]
    fn whatever_is_no_such_object_is_a_fault() {
        for bad in ["", "[]", "null", "\"a\"", "{", "{} {}", "{\"a\":1,}", "1"] {
            let read = share_fields(bad.as_bytes());
            assert!(matches!(read, Err(Problem::BadBody { .. })), "{bad}");
        }
        for (body, field) in [
            (r#"{"file":["a"]}"#, "file"),
            (r#"{"max_download":1}"#, "max_download"),
            (r#"{"files":"a"}"#, "files"),
            (r#"{"files":[1]}"#, "files"),
            (r#"{"title":null}"#, "title"),
            (r#"{"title":"a","title":"b"}"#, "title"),
            (r#"{"preview":"true"}"#, "preview"),
            (r#"{"zip":null}"#, "zip"),
            (r#"{"ip":["192.0.2.1"]}"#, "ip"),
            (r#"{"expires_in":"60"}"#, "expires_in"),
            (r#"{"state":true}"#, "state"),
            (r#"{"password":""}"#, "password"),
            (r#"{"password":"a\u0000b"}"#, "password"),
            (r#"{"password":5}"#, "password"),
        ] {
            assert_eq!(fault(body), (field.to_owned(), None), "{body}");
        }
        for value in ["1.5", "-1", "1e3"] {
            let (field, said) = fault(&format!("{{\"max_downloads\":{value}}}"));
            assert_eq!(field, "max_downloads");
            assert!(said.is_some(), "{value}");
        }
    }
}
