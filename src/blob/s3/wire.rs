//! The store's list of unfinished uploads (Amazon S3 API Reference, "ListMultipartUploads").

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

use crate::model::time::UnixSeconds;

/// One answer to a list of uploads.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UploadsPage {
    /// `true`, or another word.
    #[serde(default)]
    is_truncated: String,
    #[serde(default)]
    next_key_marker: String,
    #[serde(default)]
    next_upload_id_marker: String,
    #[serde(default, rename = "Upload")]
    pub(super) uploads: Vec<Unfinished>,
}

/// An upload that was begun and neither completed nor aborted.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Unfinished {
    pub(super) key: String,
    pub(super) upload_id: String,
    #[serde(deserialize_with = "unix_seconds")]
    pub(super) initiated: UnixSeconds,
}

impl UploadsPage {
    /// Reads an answer of the store. `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        quick_xml::de::from_str(text).ok()
    }

    /// Returns the key and the upload after which the next page begins, if there is one.
    pub(super) fn next(&self) -> Option<(String, String)> {
        let next = (
            self.next_key_marker.clone(),
            self.next_upload_id_marker.clone(),
        );
        (self.is_truncated == "true" && !next.0.is_empty()).then_some(next)
    }
}

fn unix_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixSeconds, D::Error> {
    let time: Timestamp = String::deserialize(deserializer)?
        .parse()
        .map_err(de::Error::custom)?;
    Ok(UnixSeconds::clamped(time.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_uploads_is_read() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
            <ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Bucket>b</Bucket><NextKeyMarker>p/blobs/m</NextKeyMarker>\
            <NextUploadIdMarker>2~Vj&amp;</NextUploadIdMarker><IsTruncated>true</IsTruncated>\
            <Upload><Key>p/blobs/m</Key><UploadId>2~Vj&amp;</UploadId><Initiator><ID>t</ID></Initiator>\
            <Initiated>1970-01-02T00:00:01.471Z</Initiated></Upload></ListMultipartUploadsResult>";
        let page = UploadsPage::parse(text).unwrap();
        let upload = Unfinished {
            key: "p/blobs/m".into(),
            upload_id: "2~Vj&".into(),
            initiated: UnixSeconds::EPOCH.plus(86_401),
        };
        assert_eq!(page.uploads, [upload]);
        assert_eq!(page.next(), Some(("p/blobs/m".into(), "2~Vj&".into())));
        let last = text.replace(">true<", ">false<");
        assert_eq!(UploadsPage::parse(&last).unwrap().next(), None);
        assert_eq!(UploadsPage::parse(&text.replace("01-02T", "01-02?")), None);
        assert_eq!(UploadsPage::parse(&text[..text.len() - 9]), None);
        assert_eq!(UploadsPage::parse("<a></b>"), None);
        let none = UploadsPage::parse("<ListMultipartUploadsResult/>").unwrap();
        assert_eq!(
            (none.uploads, none.is_truncated),
            (Vec::new(), String::new())
        );
    }
}
