//! What may be asked of a share.

use super::*;

type Change = fn(&mut ShareFields);

/// What is wrong, by its field.
const FAULTS: [(&str, Change); 24] = [
    ("files", |of| of.files = None),
    ("files", |of| *of = of_files(&[])),
    ("files", |of| *of = of_files(&["a", "a"])),
    ("files", |of| *of = of_files(&["a", "nobody"])),
    ("files", |of| *of = of_files(&["a", "no id at all"])),
    ("files", |of| *of = of_files(&["c"])),
    ("files", |of| {
        of.files = Some((0..10_001).map(|n| n.to_string()).collect())
    }),
    ("folder_id", |of| of.folder_id = Some("none".into())),
    ("folder_id", |of| of.folder_id = Some("/".into())),
    ("title", |of| of.title = Some("x".repeat(201))),
    ("title", |of| of.title = Some("a\u{202e}b".into())),
    ("title", |of| of.title = Some("a\nb".into())),
    ("note", |of| of.note = Some("x".repeat(2_001))),
    ("note", |of| of.note = Some("a\0".into())),
    ("expires_in", |of| of.expires_in = Some(Some(0))),
    ("expires_in", |of| of.expires_in = Some(Some(2_592_001))),
    ("expires_in", |of| of.expires_in = Some(None)),
    ("not_before", |of| of.not_before = Some(Some(u64::MAX))),
    ("not_before", |of| {
        of.not_before = Some(Some(NOW + 2_592_000))
    }),
    ("max_downloads", |of| of.max_downloads = Some(Some(0))),
    ("max_downloads", |of| {
        of.max_downloads = Some(Some(1_000_001))
    }),
    ("ip", |of| of.ip = Some(Some("192.0.2.1/24".into()))),
    ("ip", |of| of.ip = Some(Some(String::new()))),
    ("state", |of| of.state = Some("paused".into())),
];

#[tokio::test]
async fn what_is_wrong_is_said_of_its_field() {
    let place = Place::new().await;
    let create = async |fields: ShareFields| {
        let made = place.gateway.create_share(&place.operator, fields).await;
        fault(made)
    };
    place
        .gateway
        .delete(&place.owner, &file_id("c"))
        .await
        .unwrap();
    for (field, change) in FAULTS {
        let mut fields = of_files(&["a"]);
        change(&mut fields);
        assert_eq!(create(fields).await, field);
    }
    let made = place.made(of_files(&["a"])).await;
    let edit = async |fields: ShareFields| {
        let id = &made.share.id;
        fault(place.gateway.edit_share(&place.operator, id, fields).await)
    };
    let state = ShareFields {
        state: Some("revoked".into()),
        ..ShareFields::default()
    };
    assert_eq!(edit(state).await, "state");
    assert_eq!(edit(of_files(&[])).await, "files");
    let listed = place.gateway.shares(&place.operator, None, 9).await;
    assert_eq!(listed.unwrap().len(), 1, "nothing else was made");
}

#[tokio::test]
async fn a_share_without_an_end_is_for_those_who_let_it_be() {
    let mut place = Place::new().await;
    place.gateway.settings.share_lifetime_max = None;
    let forever = ShareFields {
        expires_in: Some(None),
        ..of_files(&["a"])
    };
    assert_eq!(place.made(forever).await.share.expires, None);
    let unsaid = place.made(of_files(&["a"])).await;
    assert_eq!(
        unsaid.share.expires.unwrap().get(),
        NOW + SHARE_LIFETIME_DEFAULT
    );
    place.gateway.settings.share_lifetime_max = Some(60);
    let unsaid = place.made(of_files(&["a"])).await;
    assert_eq!(unsaid.share.expires.unwrap().get(), NOW + 60);
}

#[tokio::test]
async fn a_folder_is_shared_as_it_is_now() {
    let place = Place::new().await;
    let folder = crate::model::tenancy::Folder {
        organization: place.owner.clone(),
        id: crate::model::id::FolderId::parse("dir").unwrap(),
        name: String::new(),
        members: Vec::new(),
        created_at: UnixSeconds::EPOCH,
    };
    place.catalog.create_folder(&folder).await.unwrap();
    let ids = ["a", "b", "c"].map(file_id);
    let put = place
        .catalog
        .add_to_folder(&place.owner, &folder.id, &ids[..2]);
    put.await.unwrap();
    let gone = place.gateway.delete(&place.owner, &ids[1]).await;
    gone.unwrap();
    let fields = ShareFields {
        folder_id: Some("dir".into()),
        ..of_files(&["c", "a"])
    };
    let made = place.made(fields).await;
    let files: Vec<&str> = made
        .files
        .iter()
        .map(|of| of.shared.file.as_str())
        .collect();
    assert_eq!(files, ["c", "a"], "each once, and none that is deleted");
}
