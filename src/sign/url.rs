//! Takes a link apart that a person pasted.

use crate::model::address::is_name_in_path;

/// The name of the byte route, which is the last segment of a link's path or the one before it.
const DOWNLOAD: &str = "download";

/// The organization, the file and the query of a link, as they stand in it; an absent query is empty.
/// `url` is absolute or only a path; scheme, host, a fragment, whatever stands before
/// `/v1/organizations/`, and the name behind `/download/` say nothing. `None` if the path is not that of a
/// download. Nothing is decoded or checked besides.
pub fn split(url: &str) -> Option<(&str, &str, &str)> {
    let url = url.split('#').next().unwrap_or_default();
    let (location, query) = url.split_once('?').unwrap_or((url, ""));
    let path = match location.split_once("://") {
        Some((_, host_and_path)) => host_and_path.split_once('/')?.1,
        None => location.strip_prefix('/')?,
    };
    let unnamed = || {
        let (rest, name) = path.rsplit_once('/')?;
        is_name_in_path(name).then(|| ids(rest)).flatten()
    };
    let (organization, file) = ids(path).or_else(unnamed)?;
    Some((organization, file, query))
}

/// The organization and the file in a path that ends with the byte route's own name.
fn ids(path: &str) -> Option<(&str, &str)> {
    let mut segments = path.rsplit('/');
    let mut next = || segments.next();
    let (download, file, files) = (next()?, next()?, next()?);
    let (organization, organizations, version) = (next()?, next()?, next()?);
    let route = [version, organizations, files, download];
    (route == ["v1", "organizations", "files", DOWNLOAD]).then_some((organization, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_host_and_prefix_say_nothing() {
        for before in [
            "",
            "http://127.0.0.1:8080",
            "https://files.example.com",
            "https://files.example.com/a/prefix",
            "/prefix",
            "http://user@[::1]:8080",
        ] {
            let url = format!("{before}/v1/organizations/o/files/f/download?a=b://c/d?e#f");
            assert_eq!(split(&url), Some(("o", "f", "a=b://c/d?e")), "{url}");
        }
        for name in ["a.txt", "%2e%2e", "%D0%BE%2Fx", "download", "a;b=c", "..."] {
            let url = format!("https://h/p/v1/organizations/o/files/f/download/{name}?a=b");
            assert_eq!(split(&url), Some(("o", "f", "a=b")), "{url}");
        }
        let bare = "/v1/organizations/o/files/f/download";
        assert_eq!(split(bare), Some(("o", "f", "")));
    }

    #[test]
    fn other_paths_are_no_download() {
        for url in [
            "",
            "/",
            "https://v1/organizations/o/files/f/download",
            "v1/organizations/o/files/f/download",
            "/v2/organizations/o/files/f/download",
            "/v1/organizations/o/files/f/download/",
            "/v1/organizations/o/files/f/download/.",
            "/v1/organizations/o/files/f/download/..",
            "/v1/organizations/o/files/f/download//a",
            "/v1/organizations/o/files/f/download/a/",
            "/v1/organizations/o/files/f/download/a/b",
            "/v1/organizations/o/files/f/content/a",
            "/v1/organizations/o/files/f/content",
            "/v1/organizations/o/f/download",
            "/v1/organizations/o/files/f/g/download",
            "?/v1/organizations/o/files/f/download",
            "https://example.com",
        ] {
            assert_eq!(split(url), None, "{url}");
        }
    }
}
