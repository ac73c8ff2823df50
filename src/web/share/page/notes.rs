//! What is to be known of what is shared, besides what it is: said of each file, or once of all.

use super::{Access, EntryState, FileOnPage, PageView};
use crate::gateway::share_files::OfferedArchive;
use crate::model::time::UnixSeconds;
use crate::web::html::fill;
use crate::web::people;
use crate::web::texts::Texts;

/// What is true of all that is shared.
pub(super) struct Notes {
    /// The end of the share, which is said once.
    expires: Option<UnixSeconds>,
    /// True if all files that are there are served from where they lay before.
    are_in_place: bool,
    /// True if there is no zip though each file is had by itself, as their names are too long for one.
    is_without_zip: bool,
    /// True if there is a zip, and the checksum of a file in it is still being taken.
    is_pending: bool,
}

impl Notes {
    pub(super) fn of(share: &PageView<'_>) -> Self {
        let (mut ready, mut in_place, mut pending) = (0_usize, 0_usize, 0_usize);
        for file in &share.files {
            if let EntryState::Ready {
                is_in_place,
                is_checksum_pending,
                ..
            } = file.state
            {
                ready += 1;
                in_place += usize::from(is_in_place);
                pending += usize::from(is_checksum_pending);
            }
        }
        Self {
            expires: share.expires,
            are_in_place: ready > 0 && in_place == ready,
            is_without_zip: share.zip == OfferedArchive::NamesTooLong
                && !matches!(share.access, Access::Counted { .. }),
            is_pending: matches!(share.zip, OfferedArchive::Bytes(_)) && pending > 0,
        }
    }

    /// What is said of all, above the list.
    pub(super) fn of_all(&self, texts: &Texts) -> Vec<&'static str> {
        let in_place = self.are_in_place.then_some(texts.all_in_place);
        let pending = self.is_pending.then_some(texts.checksums_pending);
        let without_zip = self.is_without_zip.then_some(texts.names_too_long);
        let all = [without_zip, in_place, pending];
        all.into_iter().flatten().collect()
    }

    /// What is said below the name of this file.
    pub(super) fn of_one(&self, texts: &Texts, file: &FileOnPage<'_>) -> Vec<String> {
        let EntryState::Ready {
            is_in_place,
            expires,
            ..
        } = file.state
        else {
            return Vec::new();
        };
        let is_sooner = |end: &UnixSeconds| self.expires.is_none_or(|of_share| *end < of_share);
        let end = expires.filter(is_sooner);
        let end = end.map(|end| fill(texts.file_expires, &[people::time(texts, end)]));
        let is_told = is_in_place && !self.are_in_place;
        let in_place = is_told.then(|| texts.in_place.to_owned());
        end.into_iter().chain(in_place).collect()
    }
}
