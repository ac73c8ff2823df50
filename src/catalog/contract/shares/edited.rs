//! Edits of shares, and of the files in them.

use super::*;

pub(super) async fn all(catalog: &dyn Catalog) {
    an_edit_changes_what_it_says_and_nothing_else(catalog).await;
    files_keep_their_positions(catalog).await;
}

async fn edited(catalog: &dyn Catalog, share: &Share, edit: ShareEdit) -> WholeShare {
    let edited = catalog.edit_share(&share.organization, &share.id, &edit);
    edited.await.unwrap()
}

async fn an_edit_changes_what_it_says_and_nothing_else(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_edit").await;
    let none = ShareEdit::default;
    let mut wanted = make(catalog, share_of(&owner, "edit"), &[]).await.share;
    let before = position(catalog).await;
    assert_eq!(edited(catalog, &wanted, none()).await.share, wanted);
    assert_eq!(position(catalog).await, before, "nothing was changed");
    let rich = rich_share(&owner);
    type Change = fn(&Share, &mut Share, &mut ShareEdit);
    let changes: [Change; 12] = [
        |rich, wanted, edit| {
            wanted.title.clone_from(&rich.title);
            edit.title = Some(rich.title.clone());
        },
        |rich, wanted, edit| {
            wanted.note.clone_from(&rich.note);
            edit.note = Some(rich.note.clone());
        },
        |rich, wanted, edit| {
            (wanted.expires, edit.expires) = (rich.expires, Some(rich.expires));
        },
        |rich, wanted, edit| {
            (wanted.not_before, edit.not_before) = (rich.not_before, Some(rich.not_before));
        },
        |rich, wanted, edit| {
            (wanted.allowed, edit.allowed) = (rich.allowed, Some(rich.allowed));
        },
        |rich, wanted, edit| {
            wanted.ip.clone_from(&rich.ip);
            edit.ip = Some(rich.ip.clone());
        },
        |rich, wanted, edit| {
            wanted.password.clone_from(&rich.password);
            wanted.pass_revision += 1;
            edit.password = Some(rich.password.clone());
        },
        // The same password, set again, ends the passes of those who gave it before.
        |rich, wanted, edit| {
            wanted.pass_revision += 1;
            edit.password = Some(rich.password.clone());
        },
        |_, wanted, edit| (wanted.state, edit.paused) = (ShareState::Paused, Some(true)),
        |_, wanted, edit| (wanted.state, edit.paused) = (ShareState::Active, Some(false)),
        |rich, wanted, edit| (wanted.options, edit.options) = (rich.options, Some(rich.options)),
        |_, wanted, edit| {
            (wanted.expires, wanted.allowed, wanted.ip) = (None, None, None);
            (wanted.password, wanted.not_before) = (None, None);
            wanted.pass_revision += 1;
            (edit.expires, edit.allowed, edit.ip) = (Some(None), Some(None), Some(None));
            (edit.password, edit.not_before) = (Some(None), Some(None));
        },
    ];
    for change in changes {
        let (before, mut edit) = (position(catalog).await, none());
        change(&rich, &mut wanted, &mut edit);
        assert_eq!(edited(catalog, &wanted, edit).await.share, wanted);
        assert_eq!(found(catalog, &wanted).await.unwrap().share, wanted);
        assert_eq!(changes_since(catalog, before).await, [changed(&wanted)]);
    }
    let nobody = share_id("nobody");
    assert_missing(catalog.edit_share(&owner, &nobody, &none()).await);
}

async fn files_keep_their_positions(catalog: &dyn Catalog) {
    let owner = organization(catalog, "share_files").await;
    for id in ["a", "b", "c", "d"] {
        catalog.add_file(&file(&owner, id, 1)).await.unwrap();
    }
    let share = make(catalog, share_of(&owner, "files"), &["a", "b"])
        .await
        .share;
    let before = position(catalog).await;
    let set = async |files: Vec<(String, FileId)>| {
        let edit = ShareEdit {
            files: Some(files),
            ..ShareEdit::default()
        };
        catalog.edit_share(&owner, &share.id, &edit).await
    };
    let places = |whole: &WholeShare| {
        let place = |file: &SharedFile| (file.position, file.path.clone());
        whole.files.iter().map(place).collect::<Vec<_>>()
    };
    let at_place = |position: u64, id: &str| (position, format!("dir/{id}.txt"));
    assert_missing(set(named(&["a", "never"])).await);
    let double = [
        ("p".to_owned(), file_id("a")),
        ("p".to_owned(), file_id("b")),
    ];
    assert_taken(set(double.to_vec()).await);
    assert_eq!(position(catalog).await, before, "nothing was changed");
    let whole = set(named(&["c", "b"])).await.unwrap();
    assert_eq!(places(&whole), [at_place(2, "b"), at_place(3, "c")]);
    let whole = set(named(&["a", "d", "b", "c"])).await.unwrap();
    let wanted = [(2, "b"), (3, "c"), (4, "a"), (5, "d")];
    let wanted = wanted.map(|(position, id)| at_place(position, id));
    assert_eq!(places(&whole), wanted, "a place is never given twice");
    assert_eq!(found(catalog, &share).await, Some(whole));
    // Two may have each other's paths.
    let swapped = [("dir/c.txt", "b"), ("dir/b.txt", "c")];
    let swapped = swapped.map(|(path, id)| (path.to_owned(), file_id(id)));
    let whole = set(swapped.to_vec()).await.unwrap();
    assert_eq!(places(&whole), [at_place(2, "c"), at_place(3, "b")]);
    assert_eq!(set(Vec::new()).await.unwrap().files, []);
    assert_eq!(changes_since(catalog, before).await.len(), 4);
    // More than one statement takes.
    let many = (0..1_201).map(|number| format!("many{number}"));
    let many: Vec<FileRecord> = many.map(|id| file(&owner, &id, 1)).collect();
    catalog.add_files(&many).await.unwrap();
    let files = many
        .iter()
        .map(|file| (file.id.to_string(), file.id.clone()));
    let whole = set(files.collect()).await.unwrap();
    assert_eq!(whole.files.len(), 1_201);
    assert_eq!(whole.files[1_200].position, 5 + 1_201);
    assert_eq!(found(catalog, &share).await, Some(whole));
}
