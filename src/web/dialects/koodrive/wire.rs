//! KooDrive's JSON, field by field in the vendor's order (its page "Obtaining Download Links").

use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};

use super::codes::{self, Code};
use crate::gateway::batch::BatchOutcome;
use crate::gateway::mint::MintOptions;
use crate::gateway::refusal::FieldFault;
use crate::model::name::FileName;
use crate::web::problem::Problem;
use crate::web::wire::{json, push_text};

/// The most files in one call.
const FILES_MAX: usize = 100;
/// Room in the answer for what stands around one file's id, link and name; more is made where that is not enough.
const ROOM_OF_A_FILE: usize = 100;
/// The longest id, in characters.
const ID_CHARS_MAX: usize = 128;

/// The body of a call, parsed. Ids are texts of the right length, not yet ids.
#[derive(Debug)]
pub struct WantedLinks {
    /// The space that the files lie in.
    pub container: String,
    /// The files, 1 to 100, in the order they were named in.
    pub files: Vec<String>,
    /// The options of each link.
    pub options: MintOptions,
}

/// One file's link, or why it has none. The code is a text here.
struct FileLink<'a> {
    file_id: &'a str,
    url: Option<&'a str>,
    file_name: Option<&'a str>,
    code: u32,
    msg: &'static str,
}

/// The envelope of every error. The code is a number here.
#[derive(Serialize)]
struct CodeAndMessage<'a> {
    code: u32,
    msg: &'a str,
}

/// Reads the body of a call: one JSON object and nothing else, no key twice at any depth. Fields that
/// nobody knows are ignored.
pub fn wanted(body: &[u8]) -> Result<WantedLinks, Problem> {
    const NOT_JSON: &str = "it is not JSON";
    let text = std::str::from_utf8(body).map_err(|error| {
        let cause = format!("no UTF-8 behind {} bytes", error.valid_up_to());
        Problem::unreadable_body(NOT_JSON, cause)
    })?;
    let Strict(json) = serde_json::from_str(text).map_err(|error: serde_json::Error| {
        let (kind, line, column) = (error.classify(), error.line(), error.column());
        // The library's own words may repeat the body.
        let cause = format!("{kind:?} in line {line}, column {column}").to_lowercase();
        Problem::unreadable_body(NOT_JSON, cause)
    })?;
    let Value::Object(mut fields) = json else {
        return Err(FieldFault::missing("body", "a JSON object").into());
    };
    let container = container(fields.remove("containerId"))?;
    let files = files(fields.remove("fileIds"))?;
    let mut options = MintOptions::default();
    for (name, value) in &fields {
        if let Some(text) = option_text(name, value)? {
            options.take(name, &text)?;
        }
    }
    if options.filename.is_some() && files.len() > 1 {
        return Err(FieldFault::missing("filename", "the name of one file, and no more").into());
    }
    Ok(WantedLinks {
        container,
        files,
        options,
    })
}

/// Returns the vendor's `batchCode` of all files together: 1 if each has a link, 2 if none does, else 0.
pub(super) fn batch_code(outcomes: &[BatchOutcome]) -> u8 {
    let minted = |outcome: &&BatchOutcome| matches!(outcome, BatchOutcome::Minted(_));
    match outcomes.iter().filter(minted).count() {
        0 => 2,
        count if count == outcomes.len() => 1,
        _ => 0,
    }
}

/// The answer to a call: the files in the order they were named in. It is written without the library, which looks at
/// each byte of each link by itself.
pub(super) fn links(wanted: &WantedLinks, outcomes: &[BatchOutcome]) -> Vec<u8> {
    let own_name = wanted.options.filename.as_ref();
    let files = wanted.files.iter().zip(outcomes);
    let downloads: Vec<FileLink<'_>> = files
        .map(|(id, outcome)| download(id, own_name, outcome))
        .collect();
    let room: usize = downloads.iter().map(FileLink::room).sum();
    let mut json = Vec::with_capacity(ROOM_OF_A_FILE + room);
    json.extend_from_slice(b"{\"downloads\":[");
    for (place, file) in downloads.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        file.push_to(&mut json);
    }
    json.extend_from_slice(b"],\"batchCode\":");
    push_number(&mut json, u32::from(batch_code(outcomes)));
    json.extend_from_slice(b",\"code\":0,\"msg\":\"Success.\"}");
    json
}

impl FileLink<'_> {
    /// Returns about how many bytes of JSON it takes.
    fn room(&self) -> usize {
        let texts = [Some(self.file_id), self.url, self.file_name];
        let texts = texts.into_iter().flatten().map(str::len);
        ROOM_OF_A_FILE + texts.sum::<usize>()
    }

    fn push_to(&self, json: &mut Vec<u8>) {
        json.extend_from_slice(b"{\"fileId\":");
        push_text(json, self.file_id);
        if let Some(url) = self.url {
            json.extend_from_slice(b",\"url\":");
            push_text(json, url);
        }
        if let Some(name) = self.file_name {
            json.extend_from_slice(b",\"fileName\":");
            push_text(json, name);
        }
        json.extend_from_slice(b",\"code\":\"");
        push_number(json, self.code);
        json.extend_from_slice(b"\",\"msg\":");
        push_text(json, self.msg);
        json.push(b'}');
    }
}

fn push_number(json: &mut Vec<u8>, number: u32) {
    json.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// An error.
pub(super) fn error(Code(code, msg): Code) -> Vec<u8> {
    json(&CodeAndMessage { code, msg })
}

/// A link's name is the one that it saves the file under.
fn download<'a>(
    file_id: &'a str,
    own_name: Option<&'a FileName>,
    outcome: &'a BatchOutcome,
) -> FileLink<'a> {
    let Code(code, msg) = codes::of_outcome(outcome);
    let (url, file_name) = match outcome {
        BatchOutcome::Minted(minted) => {
            let name = own_name.unwrap_or(&minted.file.name);
            (Some(minted.download_url.as_str()), Some(name))
        }
        BatchOutcome::Exhausted(name) | BatchOutcome::Deleted(name) => (None, Some(name)),
        BatchOutcome::Elsewhere | BatchOutcome::Unknown => (None, None),
    };
    FileLink {
        file_id,
        url,
        file_name: file_name.map(|name| name.as_str()),
        code,
        msg,
    }
}

fn container(value: Option<Value>) -> Result<String, FieldFault> {
    match value {
        Some(Value::String(text)) if is_id_long(&text) => Ok(text),
        _ => Err(FieldFault::missing(
            "containerId",
            "a text of 1 to 128 characters",
        )),
    }
}

fn files(value: Option<Value>) -> Result<Vec<String>, FieldFault> {
    let fault = || FieldFault::missing("fileIds", "1 to 100 texts of 1 to 128 characters");
    let Some(Value::Array(items)) = value else {
        return Err(fault());
    };
    if !(1..=FILES_MAX).contains(&items.len()) {
        return Err(fault());
    }
    let id = |item| match item {
        Value::String(text) if is_id_long(&text) => Ok(text),
        _ => Err(fault()),
    };
    items.into_iter().map(id).collect()
}

fn is_id_long(text: &str) -> bool {
    let is_short = || text.len() <= ID_CHARS_MAX || text.chars().count() <= ID_CHARS_MAX;
    !text.is_empty() && is_short()
}

/// The value of a mint option as a text: a JSON number where the option is one, else a JSON string, and no
/// other spelling of either. `None` where it is no option.
fn option_text(name: &str, value: &Value) -> Result<Option<String>, FieldFault> {
    let is_number = match name {
        "expires_in" | "expiry_window" | "not_before" | "max_downloads" => true,
        "disposition" | "filename" | "content_type" | "ip" | "redeem" => false,
        _ => return Ok(None),
    };
    match value {
        Value::String(text) if !is_number => Ok(Some(text.clone())),
        Value::Number(number) if is_number => Ok(Some(number.to_string())),
        _ if is_number => Err(FieldFault::missing(name, "a whole number")),
        _ => Err(FieldFault::missing(name, "a text")),
    }
}

/// Any JSON in which no object has a key twice. Too deep a nesting is refused by `serde_json`.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Anything).map(Self)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = pairs.next_entry::<String, _>()? {
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key is there twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each field in the vendor's order, with the vendor's types, and texts as the JSON library writes them.
    #[test]
    fn an_answer_is_json_with_the_vendor_s_fields_in_order() {
        let wanted = WantedLinks {
            container: "c".into(),
            files: ["a", "\"b\\\n", "\u{e9}", "d", "e"]
                .map(String::from)
                .to_vec(),
            options: MintOptions::default(),
        };
        let name = |text| FileName::from_client(text).unwrap();
        let outcomes = [
            BatchOutcome::Exhausted(name("a \"x\".txt")),
            BatchOutcome::Deleted(name("\u{1f600}.txt")),
            BatchOutcome::Elsewhere,
            BatchOutcome::Unknown,
            BatchOutcome::Unknown,
        ];
        let file = |id: &str, name: &str, code: u32, msg: &str| {
            let texts =
                [id, name, &code.to_string(), msg].map(|text| Value::from(text).to_string());
            let [id, name, code, msg] = texts;
            let name = match &*name {
                "\"\"" => String::new(),
                name => format!(",\"fileName\":{name}"),
            };
            format!("{{\"fileId\":{id}{name},\"code\":{code},\"msg\":{msg}}}")
        };
        let downloads = [
            file("a", "a \"x\".txt", 13_000_408, "File download failed."),
            file(
                "\"b\\\n",
                "\u{1f600}.txt",
                13_000_306,
                "File is in the recycle bin.",
            ),
            file(
                "\u{e9}",
                "",
                13_000_302,
                "File is not in the specified space.",
            ),
            file("d", "", 13_000_309, "Resource not found."),
            file("e", "", 13_000_309, "Resource not found."),
        ];
        let written = String::from_utf8(links(&wanted, &outcomes)).unwrap();
        let (before, behind) = (
            "{\"downloads\":[",
            "],\"batchCode\":2,\"code\":0,\"msg\":\"Success.\"}",
        );
        assert_eq!(written, format!("{before}{}{behind}", downloads.join(",")));
        assert!(serde_json::from_str::<Value>(&written).is_ok());
    }

    fn read(body: &str) -> Result<WantedLinks, &'static str> {
        wanted(body.as_bytes()).map_err(|problem| problem.label())
    }

    #[test]
    fn options_have_the_type_that_they_are_of() {
        let with = |option: &str| {
            let body = format!(r#"{{"containerId":"c","fileIds":["f"],{option}}}"#);
            read(&body).map(|wanted| wanted.options)
        };
        assert_eq!(with(r#""expires_in":60"#).unwrap().expires_in, Some(60));
        assert_eq!(with(r#""not_before":60"#).unwrap().not_before, Some(60));
        let window = with(r#""expiry_window":60"#).unwrap().expiry_window;
        assert_eq!(window, Some(60));
        assert!(with(r#""disposition":"inline","unknown":[{"a":null}]"#).is_ok());
        for bad in [
            r#""expires_in":"60""#,
            r#""expiry_window":"60""#,
            r#""not_before":"60""#,
            r#""expires_in":"""#,
            r#""disposition":true"#,
            r#""content_type":7"#,
            r#""ip":["192.0.2.1"]"#,
            r#""filename":{"a":"b"}"#,
            r#""expires_in":-1"#,
            r#""expires_in":60.0"#,
            r#""expires_in":1e30"#,
            r#""expires_in":true"#,
            r#""expires_in":null"#,
            r#""not_before":[1]"#,
            r#""filename":5"#,
            r#""ip":null"#,
            r#""disposition":"Inline""#,
            r#""max_downloads":"1""#,
            r#""max_downloads":0"#,
            r#""max_downloads":1e3"#,
            r#""max_downloads":1.0"#,
            r#""max_downloads":1000001"#,
            r#""max_downloads":null"#,
            r#""redeem":"GET""#,
            r#""redeem":true"#,
        ] {
            assert_eq!(with(bad).err(), Some("field"), "{bad}");
        }
    }

    #[test]
    fn anything_that_two_readers_could_read_in_two_ways_is_no_json() {
        let deep = format!(
            r#"{{"containerId":"c","fileIds":["f"],"x":{}{}}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        for bad in [
            "",
            "{",
            "nonsense",
            "\u{feff}{}",
            "{} {}",
            r#"{"containerId":"c","fileIds":["f"]} x"#,
            r#"{"containerId":"c","containerId":"c","fileIds":["f"]}"#,
            r#"{"containerId":"c","fileIds":["f"],"x":{"a":{"b":1,"b":1}}}"#,
            r#"{"containerId":"c","fileIds":["f"],"x":1e400}"#,
            r#"{"containerId":"c","fileIds":["\ud800"]}"#,
            r#"{"containerId":"c","fileIds":["f"],}"#,
            "{'containerId':'c'}",
            &deep,
        ] {
            assert_eq!(read(bad).err(), Some("bad_body"), "{bad:.80}");
        }
        let utf16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bad in [utf16.as_slice(), b"{\"x\":\"\xff\"}", b"\x1f\x8b\x08\x00"] {
            assert!(matches!(wanted(bad), Err(Problem::BadBody { .. })));
        }
    }
}
