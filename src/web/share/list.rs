//! The page of a share: `GET|HEAD /s/{code}`. It is for people; a program is told how downloads are started.

use hyper::header::SET_COOKIE;
use hyper::{Response, StatusCode};

use super::page::{self, Access, EntryState, FileOnPage, PageView};
use super::{cookies, page_url, path};
use crate::gateway::refusal::Refusal;
use crate::gateway::share_access::UnlockedShare;
use crate::gateway::shares::{FileStanding, OpenShare, SharedEntry};
use crate::model::file::BlobLocation;
use crate::web::body::Body;
use crate::web::context::RequestContext;
use crate::web::problem::Problem;
use crate::web::{client_cookie, html, page as refusal_page};

/// Answers who looks at a share. Nothing is spent.
pub(super) async fn answer(
    context: &RequestContext<'_>,
    code: &str,
    share: &OpenShare,
) -> Result<Response<Body>, Problem> {
    let (gateway, headers) = (context.gateway(), &context.request.headers);
    if !refusal_page::is_wanted(headers) {
        let share_url = page_url(context, code);
        return Err(Problem::ShareNotStarted { share_url });
    }
    let path = path::page(&context.shared.mount, code);
    let (page, trace) = (context.page_context(), &context.trace);
    let unlocked = match gateway.unlock(share, cookies::passes(headers)).await {
        Ok(unlocked) => unlocked,
        Err(Refusal::PasswordNeeded { .. }) => {
            let html = page::password(page, &path, false);
            return Ok(html::answer(StatusCode::OK, html, page, trace));
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let number = page_number(context.query(), share.files().len()).ok_or(Problem::NoRoute)?;
    let entries = gateway.files_of_share(share).await?;
    let view = view(context, &path, unlocked, &entries).await?;
    let now = gateway.clock().now();
    let html = page::files(page, &view, number, now);
    let mut response = html::answer(StatusCode::OK, html, page, trace);
    if client_cookie::of(headers).is_none() {
        let value = gateway.draw_client_cookie()?;
        let cookie = client_cookie::line(&value, &path, context.is_secure());
        crate::web::reply::set(&mut response, SET_COOKIE, &cookie);
    }
    gateway.note_share_opened(share);
    Ok(response)
}

/// Returns what the page says.
async fn view<'a>(
    context: &RequestContext<'_>,
    path: &'a str,
    unlocked: UnlockedShare<'a>,
    entries: &'a [SharedEntry],
) -> Result<PageView<'a>, Problem> {
    let row = unlocked.open().share();
    let access = match row.allowed {
        None if row.password.is_some() => Access::Starts,
        None => Access::Links,
        Some(allowed) => Access::Counted {
            left: context.gateway().downloads_left(unlocked, allowed).await?,
            allowed,
        },
    };
    let is_there = |text: &'a str| (!text.is_empty()).then_some(text);
    Ok(PageView {
        path,
        title: is_there(&row.title),
        note: is_there(&row.note),
        files: entries.iter().map(file).collect(),
        access,
        zip: context
            .gateway()
            .offered_archive(unlocked.open(), entries)
            .await?,
        expires: row.expires,
        has_previews: row.options.preview,
        is_named_to_previews: context.gateway().settings().share_preview_names,
    })
}

fn file(entry: &SharedEntry) -> FileOnPage<'_> {
    let state = match (entry.standing, &entry.file) {
        (FileStanding::Ready, Some(file)) => EntryState::Ready {
            size: file.size,
            media_type: file.media_type.as_str(),
            is_passive: file.media_type.is_passive(),
            is_in_place: matches!(file.location, BlobLocation::InPlace(_)),
            // Of no bytes everybody knows it, and of a file that was registered unread nobody ever takes it.
            is_checksum_pending: file.size > 0 && file.crc32.is_none() && file.sha256.is_some(),
            expires: file.expires_at,
        },
        (FileStanding::Damaged, _) => EntryState::Damaged,
        (FileStanding::Ready | FileStanding::Deleted | FileStanding::Revoked, _) => {
            EntryState::Gone
        }
    };
    FileOnPage {
        position: entry.shared.position,
        name: &entry.shared.path,
        state,
    }
}

/// Returns the number of the page that the query asks for, from 0 on: `page`, from 1 on. `None` for one that is not
/// there; a query that says nothing of it asks for the first.
fn page_number(query: &str, files: usize) -> Option<usize> {
    let pieces = query.split('&');
    let asked = pieces
        .filter_map(|piece| piece.strip_prefix("page="))
        .next();
    let Some(asked) = asked else {
        return Some(0);
    };
    let number: usize = asked.parse().ok()?;
    let is_there = (1..=page::pages(files)).contains(&number) && !asked.starts_with(['0', '+']);
    is_there.then(|| number - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_asked_for_by_its_number() {
        for (query, number) in [
            ("", Some(0)),
            ("utm_source=x", Some(0)),
            ("page=1", Some(0)),
            ("a=b&page=3", Some(2)),
            ("page=4", None),
            ("page=0", None),
            ("page=01", None),
            ("page=-1", None),
            ("page=", None),
            ("page=99999999999999999999", None),
        ] {
            assert_eq!(page_number(query, 1_001), number, "{query}");
        }
        assert_eq!(page_number("page=1", 0), Some(0));
    }
}
