//! The third generation of the API, as the vendor's own clients speak it, beside the first.

use hallpass::model::id::{FileId, OrganizationId};

use super::*;
use crate::support::form::{FORM, Form};

const LANG: (&str, &str) = ("X-Qoder-Lang", "python");
const VERSION: (&str, &str) = ("X-Qoder-Package-Version", "0.11.0");

async fn get(app: &TestApp, target: &str) -> Reply {
    app.client.get(target, &[PAT_A, LANG]).await
}

async fn listed(app: &TestApp, query: &str) -> Value {
    let reply = get(app, &format!("{FILES}?{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {}", text(&reply));
    let page = reply.json();
    let keys: Vec<&String> = page.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["data", "first_id", "has_more", "last_id", "next_page"]
    );
    page
}

fn of_page(page: &Value) -> Vec<&str> {
    let files = page["data"].as_array().unwrap().iter();
    files.map(|file| file["id"].as_str().unwrap()).collect()
}

async fn upload(app: &TestApp, form: Form) -> Reply {
    app.client
        .request("POST", FILES, &[PAT_A, LANG, FORM], &form.close())
        .await
}

/// Asserts an error of the third generation, and answers its `error`.
#[track_caller]
fn is_refused(reply: &Reply, status: u16, kind: &str) -> Value {
    let answer = reply.json();
    assert_eq!(reply.status, status, "{answer}");
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["error", "request_id", "type"]);
    assert_eq!(
        (&answer["type"], &answer["error"]["type"]),
        (&json!("error"), &json!(kind))
    );
    assert_eq!(
        reply.header("x-request-id"),
        answer["request_id"].as_str(),
        "{answer}"
    );
    answer["error"].clone()
}

#[tokio::test]
async fn clients_that_name_themselves_have_the_third_generation() {
    for (setting, of_sdk, of_curl) in [("auto", 3, 1), ("1", 1, 1), ("3", 3, 3)] {
        let app = fixture_with(&[("qoder.generation", setting)]).await;
        for root in ROOTS {
            let one = format!("{root}/{F1}");
            for (headers, wanted) in [
                (vec![PAT_A, LANG], of_sdk),
                (vec![PAT_A, VERSION], of_sdk),
                (vec![PAT_A, ("X-Qoder-OS", "Linux")], of_curl),
                (vec![PAT_A], of_curl),
            ] {
                let file = app.client.get(&one, &headers).await.json();
                let field = if wanted == 3 { "id" } else { "file_id" };
                assert_eq!(file[field], F1, "{setting} {headers:?} {file}");
                let content = app.client.get(&format!("{one}/content"), &headers).await;
                assert_eq!(content.status, if wanted == 3 { 200 } else { 302 });
            }
        }
    }
}

#[tokio::test]
async fn objects_pages_and_deletions_are_those_of_the_third_generation() {
    let app = accounts().await;
    add_report(&app).await;
    let report = format!(
        "{{\"id\":\"{F2}\",\"type\":\"file\",\"created_at\":\"2026-05-18T15:33:53Z\",\
         \"filename\":\"report.txt\",\"mime_type\":\"text/plain\",\"size_bytes\":110,\
         \"metadata\":{{\"project\":\"test\"}},\"status\":\"ready\",\"downloadable\":false,\
         \"scope\":null,\"expires_at\":null}}"
    );
    let one = get(&app, &format!("{FILES}/{F2}")).await;
    assert_eq!((one.status, text(&one)), (200, report.as_str()));
    let list = get(&app, FILES).await;
    let whole = format!(
        "{{\"data\":[{report}],\"first_id\":\"{F2}\",\"has_more\":false,\"last_id\":\"{F2}\",\"next_page\":null}}"
    );
    assert_eq!((list.status, text(&list)), (200, whole.as_str()));
    let path = format!("{FILES}/{F2}");
    let gone = app.client.request("DELETE", &path, &[PAT_A, LANG], b"");
    let gone = gone.await;
    let said = format!("{{\"id\":\"{F2}\",\"type\":\"file_deleted\"}}");
    assert_eq!((gone.status, text(&gone)), (200, said.as_str()));
    let list = get(&app, FILES).await;
    let empty =
        "{\"data\":[],\"first_id\":null,\"has_more\":false,\"last_id\":null,\"next_page\":null}";
    assert_eq!(text(&list), empty);
}

#[tokio::test]
async fn a_link_is_named_and_not_followed() {
    let app = fixture().await;
    let reply = get(&app, &format!("{FILES}/{F1}/content")).await;
    assert_eq!(reply.status, 200, "{}", text(&reply));
    assert_eq!(reply.header("location"), None);
    let answer = reply.json();
    assert_eq!(answer["expires_at"], "2026-05-18T16:34:52Z");
    let url = crate::support::app::target(answer["url"].as_str().unwrap());
    let opened = app.client.get(&url, &[]).await;
    assert_eq!((opened.status, opened.body.as_slice()), (200, F1_BYTES));
    let denied = get(&app, &format!("{FILES}/{F2}/content")).await;
    is_refused(&denied, 403, "permission_error");
}

#[tokio::test]
async fn errors_have_the_request_s_id() {
    let app = fixture().await;
    is_refused(
        &get(&app, &format!("{FILES}/nope")).await,
        404,
        "not_found_error",
    );
    let nobody = app.client.get(FILES, &[LANG]).await;
    is_refused(&nobody, 401, "authentication_error");
    for (method, path, status, kind) in [
        ("PUT", FILES, 405, "invalid_request_error"),
        ("GET", "/api/v1/cloud/sessions", 404, "not_found_error"),
    ] {
        let headers = [PAT_A, LANG, ("X-Request-Id", "mine-1")];
        let reply = app.client.request(method, path, &headers, b"").await;
        is_refused(&reply, status, kind);
        assert_eq!(reply.json()["request_id"], "mine-1");
    }
    let first = app.client.get(&format!("{FILES}/nope"), &[PAT_A]).await;
    assert_eq!(
        first.json()["request_id"],
        Value::Null,
        "the first has none"
    );
}

#[tokio::test]
async fn next_pages_walk_over_every_file_once() {
    let app = accounts().await;
    let mut made = Vec::new();
    for number in 0..45 {
        app.at(number / 2);
        let new = NewFile {
            id: None,
            ..file("drawn", "x.txt", Purpose::UserUpload)
        };
        made.push(app.put(new, b"x").await.id.to_string());
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut query = String::new();
    loop {
        let page = listed(&app, &query).await;
        seen.extend(of_page(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next_page"].as_str() else {
            assert_eq!(page["has_more"], false);
            break;
        };
        assert_eq!(next, format!("page_{}", seen.last().unwrap()));
        query = format!("page={next}");
    }
    assert_eq!(seen, made);
    assert_eq!(of_page(&listed(&app, "limit=1000").await).len(), 45);
    let after = listed(&app, &format!("limit=2&after_id={}", made[3])).await;
    assert_eq!(of_page(&after), [&made[4], &made[5]]);
    let before = listed(&app, &format!("limit=2&before_id={}", made[3])).await;
    assert_eq!(of_page(&before), [&made[1], &made[2]]);
    // Older files follow, whether or not there are newer ones.
    assert_eq!(before["next_page"], format!("page_{}", made[2]));
    let newest = listed(&app, &format!("limit=9&before_id={}", made[3])).await;
    assert_eq!(newest["has_more"], false);
    assert_eq!(newest["next_page"], format!("page_{}", made[2]));
    for (query, field) in [
        ("limit=1001", "limit"),
        ("limit=0", "limit"),
        ("limit=1.5", "limit"),
        ("page=", "page"),
        ("page=nonsense", "page"),
        ("page=page_", "page"),
        ("page=page_x&after_id=y", "after_id"),
        ("after_id=x&before_id=y", "before_id"),
        ("limit=1&limit=1", "limit"),
    ] {
        let reply = get(&app, &format!("{FILES}?{query}")).await;
        let error = is_refused(&reply, 400, "invalid_request_error");
        assert_eq!(error["param"], field, "{query}");
    }
}

/// A list that ignores what it was asked for is a list of everything, and somebody deletes it.
#[tokio::test]
async fn a_filter_that_is_not_served_is_refused_and_never_ignored() {
    let app = fixture().await;
    let named = |query: &str| format!("{FILES}?{query}");
    for query in [
        "purpose=tool_output",
        "after=x",
        "before=x",
        "order=asc",
        "session_id=x",
        "include_deleted=true",
        "identity_id=x",
        "ids=x",
        "Name=x",
    ] {
        let reply = get(&app, &named(query)).await;
        let error = is_refused(&reply, 400, "invalid_request_error");
        let name = query.split('=').next().unwrap();
        assert_eq!(error["param"], name, "{query}");
    }
    let reply = get(&app, &named("status=nonsense")).await;
    is_refused(&reply, 400, "invalid_request_error");
    let reply = get(&app, &named(&vec!["ids[]=file_user"; 101].join("&"))).await;
    is_refused(&reply, 400, "invalid_request_error");
}

#[tokio::test]
async fn a_list_has_what_its_filters_name_and_nothing_else() {
    let app = fixture().await;
    app.put(file("file_two", "x.bin", Purpose::UserUpload), b"x")
        .await;
    let all = ["file_user", "file_two", "file_skill", "file_agent", F1, F2];
    for (query, wanted) in [
        ("name=report.txt", vec![F2]),
        (
            "name=x.bin",
            vec!["file_user", "file_two", "file_skill", "file_agent"],
        ),
        ("name=x.bin&limit=2", vec!["file_user", "file_two"]),
        (
            "name=x.bin&after_id=file_two",
            vec!["file_skill", "file_agent"],
        ),
        ("name=X.bin", vec![]),
        ("name=x", vec![]),
        ("name=", vec![]),
        ("name=a/report.txt", vec![]),
        ("name=%00", vec![]),
        ("status=ready", all.to_vec()),
        ("status=uploading", vec![]),
        ("status=error", vec![]),
        ("status=deleted", vec![]),
        ("scope_id=session_x", vec![]),
        ("scope_id=", vec![]),
        (
            "ids[]=file_two&ids%5B%5D=nobody&ids[]=file_two",
            vec!["file_two"],
        ),
        (
            "ids[]=file_agent&ids[]=file_user",
            vec!["file_user", "file_agent"],
        ),
        ("ids[]=file_two&name=report.txt", vec![]),
        ("ids[]=file_two&status=deleted", vec![]),
        ("ids[]=%27", vec![]),
        ("ids[]=", vec![]),
    ] {
        let page = listed(&app, query).await;
        assert_eq!(of_page(&page), wanted, "{query}");
    }
    let path = format!("{FILES}/file_two");
    app.client.request("DELETE", &path, &[PAT_A], b"").await;
    for query in [
        "status=deleted",
        "status=deleted&name=x.bin",
        "status=deleted&ids[]=file_two&ids[]=file_user",
    ] {
        let page = listed(&app, query).await;
        assert_eq!(of_page(&page), ["file_two"], "{query}");
        assert_eq!(page["data"][0]["status"], "deleted");
    }
    assert_eq!(of_page(&listed(&app, "ids[]=file_two").await), [""; 0]);
    let most = vec!["ids[]=file_user"; 100].join("&");
    assert_eq!(of_page(&listed(&app, &most).await), ["file_user"]);
    let theirs = app
        .client
        .get(&format!("{FILES}?ids[]=file_user"), &[PAT_B, LANG])
        .await;
    assert_eq!(theirs.json()["data"], json!([]));
}

#[tokio::test]
async fn pages_among_named_ids_go_both_ways() {
    let app = fixture().await;
    let ids = "ids[]=file_user&ids[]=file_skill&ids[]=file_agent&limit=2";
    let first = listed(&app, ids).await;
    assert_eq!(of_page(&first), ["file_user", "file_skill"]);
    assert_eq!(first["next_page"], "page_file_skill");
    let rest = listed(&app, &format!("{ids}&page=page_file_skill")).await;
    assert_eq!(of_page(&rest), ["file_agent"]);
    assert_eq!(
        (&rest["has_more"], &rest["next_page"]),
        (&json!(false), &Value::Null)
    );
    let back = listed(&app, &format!("{ids}&before_id=file_agent")).await;
    assert_eq!(of_page(&back), ["file_user", "file_skill"]);
}

#[tokio::test]
async fn an_upload_takes_a_name_and_an_expiry() {
    let app = accounts().await;
    let form = Form::default()
        .text("name", "ж.txt")
        .text("metadata", "{\"project\":\"demo\"}")
        .file("upload", b"bytes")
        .text("purpose", "tool_output")
        .text("expires_in_seconds", "60");
    let reply = upload(&app, form).await;
    let answer = reply.json();
    assert_eq!(reply.status, 200, "{answer}");
    assert_eq!(
        (
            &answer["filename"],
            &answer["downloadable"],
            &answer["expires_at"]
        ),
        (
            &json!("ж.txt"),
            &json!(true),
            &json!("2026-05-18T15:35:52Z")
        )
    );
    let id = answer["id"].as_str().unwrap();
    let link = get(&app, &format!("{FILES}/{id}/content")).await.json();
    let link = crate::support::app::target(link["url"].as_str().unwrap());
    let statuses = async || {
        let mut statuses = vec![app.client.get(&link, &[]).await.status];
        for headers in [vec![PAT_A, LANG], vec![PAT_A]] {
            for path in [format!("{FILES}/{id}"), format!("{FILES}/{id}/content")] {
                statuses.push(app.client.get(&path, &headers).await.status);
            }
        }
        let count = page(&app, "").await["data"].as_array().unwrap().len();
        let list = "/v1/organizations/account_a/files";
        let total = app.client.get(list, &[("X-API-Key", "pt-a")]).await;
        (statuses, count, total.json()["total"].as_u64().unwrap())
    };
    app.at(59);
    assert_eq!(statuses().await, (vec![200, 200, 200, 200, 302], 1, 1));
    // Whether or not it is marked by then.
    app.at(60);
    assert_eq!(statuses().await, (vec![404; 5], 0, 0));
    let owner = OrganizationId::parse("account_a").unwrap();
    let file = FileId::parse(id).unwrap();
    let shown = app.gateway.file_in_any_state(&owner, &file).await.unwrap();
    assert_eq!(shown.unwrap().state.as_str(), "deleted");
    let path = format!("{FILES}/{id}");
    let gone = app.client.request("DELETE", &path, &[PAT_A], b"").await;
    assert_eq!(gone.status, 404);
    app.gateway.expire_files().await.unwrap();
    assert_eq!(statuses().await, (vec![404; 5], 0, 0));
    let bin = listed(&app, "status=deleted").await;
    assert_eq!(of_page(&bin), [id]);
    for bad in ["0", "-1", "1.5", "", "1e3", "99999999999999999999"] {
        let form = Form::default()
            .file("a", b"x")
            .text("expires_in_seconds", bad);
        let error = is_refused(&upload(&app, form).await, 400, "invalid_request_error");
        assert_eq!(error["param"], "expires_in_seconds");
    }
    let form = Form::default()
        .file("a", b"x")
        .text("name", "b")
        .text("filename", "c");
    let error = is_refused(&upload(&app, form).await, 400, "invalid_request_error");
    assert_eq!(error["param"], "filename");
}

/// The vendor's clients write what is not given as `null`, and a file that has no name as `upload`.
#[tokio::test]
async fn what_is_null_is_not_given() {
    let app = accounts().await;
    let form = Form::default()
        .text("name", "null")
        .text("metadata", "null")
        .file("upload", b"bytes")
        .text("expires_in_seconds", "null");
    let answer = upload(&app, form).await.json();
    assert_eq!(
        (
            &answer["filename"],
            &answer["metadata"],
            &answer["expires_at"]
        ),
        (&json!("upload"), &json!({}), &Value::Null)
    );
}

#[tokio::test]
async fn the_first_generation_takes_a_name_too() {
    let app = accounts().await;
    let form = Form::default().file("upload", b"x");
    let form = form.text("name", "a b.txt").close();
    let reply = app
        .client
        .request("POST", FILES, &[PAT_A, FORM], &form)
        .await;
    assert_eq!(
        (reply.status, &reply.json()["filename"]),
        (201, &json!("a b.txt"))
    );
}

/// Rows from before names were composed have theirs as macOS sent them.
#[tokio::test]
async fn a_name_is_found_in_both_normalization_forms() {
    let app = accounts().await;
    for id in ["n1", "n2", "n3", "n4"] {
        app.put(file(id, "r\u{e9}sum\u{e9}.pdf", Purpose::UserUpload), b"x")
            .await;
    }
    app.put(file("n5", "resume.pdf", Purpose::UserUpload), b"x")
        .await;
    app.sql("UPDATE file SET name = 're\u{301}sume\u{301}.pdf' WHERE id IN ('n1', 'n3')");
    for name in ["r%C3%A9sum%C3%A9.pdf", "re%CC%81sume%CC%81.pdf"] {
        for (query, wanted, has_more) in [
            ("", vec!["n4", "n3", "n2", "n1"], false),
            ("&limit=3", vec!["n4", "n3", "n2"], true),
            ("&after_id=n3&limit=1", vec!["n2"], true),
            ("&before_id=n1&limit=2", vec!["n3", "n2"], true),
            ("&ids[]=n1&ids[]=n4&ids[]=n5", vec!["n4", "n1"], false),
        ] {
            let page = listed(&app, &format!("name={name}{query}")).await;
            assert_eq!(of_page(&page), wanted, "{name}{query}");
            assert_eq!(page["has_more"], has_more, "{name}{query}");
        }
    }
}
