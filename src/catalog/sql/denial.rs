//! Denied links: one link that opens nothing any more, or more links in its place where there is no room.

use std::collections::BTreeMap;

use super::dialect::{SqlText, text};
use super::fault::Fault;
use super::revocation::{
    Counter, Counters, DENIED_ID_COUNT, DENIED_LINK_COUNT, count, lock, lock_revision, raise,
    raise_epoch,
};
use super::session::{Session, Value, query};
use super::{ORGANIZATIONS_LOCKED_MAX, changes, rows};
use crate::catalog::changes::Change;
use crate::catalog::{CatalogError, DENIED_IDS};
use crate::model::id::OrganizationId;
use crate::model::revocation::{Denial, Extent, LinkId, RevocationBounds, SignedFor};
use crate::model::time::UnixSeconds;

/// The most dead links that one revocation forgets to make room.
const FORGOTTEN_AT_ONCE_MAX: u32 = 100;

/// Deletes the commit markers that no gateway has used for a day: it is gone, or writes them anew.
const FORGET_MARKERS: &str = "DELETE FROM change_mark WHERE slot IN (SELECT slot FROM change_mark \
     WHERE at < extract(epoch FROM now())::bigint - 86400 FOR UPDATE SKIP LOCKED)";

/// Finds dead links, to forget them.
const DEAD: &str =
    "SELECT organization, link FROM denied_link WHERE expires <= $1 ORDER BY expires LIMIT $2";

const FORGET_LINKS: SqlText = text!(
    "DELETE FROM denied_link WHERE organization = $1 AND expires <= $2 AND link ", [in "$3"],
    " RETURNING id_alone, epoch"
);

/// Forgets dead links of one organization and epoch, whole ones or ids alone, those first that died first.
const FORGET_DEAD: &str = "DELETE FROM denied_link WHERE organization = $1 AND link IN (\
     SELECT link FROM denied_link WHERE organization = $1 AND epoch = $2 AND id_alone = $3 AND expires <= $4 \
     ORDER BY expires LIMIT $5)";

pub(super) async fn deny_link(
    session: &mut Session<'_>,
    denial: &Denial,
    now: UnixSeconds,
    bounds: RevocationBounds,
) -> Result<Extent, Fault> {
    let organization = &denial.organization;
    let mut counted = lock(session, organization).await?;
    let epoch = counted.epoch;
    if denial.signed.as_ref().is_some_and(|of| of.epoch < epoch) {
        return Ok(Extent::Organization { epoch });
    }
    let known = query(
        "SELECT expires FROM denied_link WHERE organization = $1 AND link = $2 AND epoch = $3",
    );
    let known = known.bind(organization).bind(denial.link.as_str());
    let known = known.bind(rows::stored(epoch)?);
    let known = session.optional(known, |row| rows::time(row, "expires"));
    if let Some(expires) = known.await? {
        let stays = denial.signed.is_none() && expires > now;
        if stays || expires >= denial.expires {
            return Ok(Extent::Link { expires });
        }
        let extend =
            query("UPDATE denied_link SET expires = $1 WHERE organization = $2 AND link = $3");
        let extend = extend.bind(denial.expires).bind(organization);
        session.execute(extend.bind(denial.link.as_str())).await?;
        return append(session, denial).await;
    }
    if !counted.has_capacity(denial, bounds) {
        forget_some_dead(session, denial, now, &mut counted).await?;
    }
    if counted.has_capacity(denial, bounds) {
        return write_denial(session, denial, epoch).await;
    }
    match &denial.signed {
        Some(signed) => widen(session, denial, signed, &counted, bounds).await,
        None => {
            let (what, limit) = (DENIED_IDS, bounds.ids);
            Err(CatalogError::Limit { what, limit }.into())
        }
    }
}

impl Counters {
    const fn has_capacity(&self, denial: &Denial, bounds: RevocationBounds) -> bool {
        match denial.signed {
            Some(_) => self.links < bounds.links,
            None => self.ids < bounds.ids,
        }
    }
}

/// Denies a link that is not. It may have been denied in an earlier epoch.
async fn write_denial(
    session: &mut Session<'_>,
    denial: &Denial,
    epoch: u64,
) -> Result<Extent, Fault> {
    let (id_alone, counter) = kind_of(denial);
    let deny = query(
        "INSERT INTO denied_link (organization, link, expires, id_alone, epoch) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (organization, link) DO UPDATE SET expires = excluded.expires, \
         id_alone = excluded.id_alone, epoch = excluded.epoch",
    );
    let deny = deny
        .bind(&denial.organization)
        .bind(denial.link.as_str())
        .bind(denial.expires)
        .bind(id_alone)
        .bind(rows::stored(epoch)?);
    session.execute(deny).await?;
    count(session, &denial.organization, counter, 1).await?;
    append(session, denial).await
}

/// Adds a denial to the feed.
async fn append(session: &mut Session<'_>, denial: &Denial) -> Result<Extent, Fault> {
    let expires = denial.expires;
    let change = Change::LinkDenied {
        organization: denial.organization.clone(),
        link: denial.link,
        expires,
    };
    changes::append(session, &[change]).await?;
    Ok(Extent::Link { expires })
}

/// The column `id_alone` of a link, and the counter that counts it.
fn kind_of(denial: &Denial) -> (i64, Counter) {
    match denial.signed {
        Some(_) => (0, DENIED_LINK_COUNT),
        None => (1, DENIED_ID_COUNT),
    }
}

/// Ends all links of a link's file in its place, or all of its organization.
async fn widen(
    session: &mut Session<'_>,
    denial: &Denial,
    signed: &SignedFor,
    counted: &Counters,
    bounds: RevocationBounds,
) -> Result<Extent, Fault> {
    let (organization, id) = (&denial.organization, &signed.file);
    match lock_revision(session, organization, id, counted.epoch).await? {
        // Its links open nothing, and its id is not free before those that a mint made are dead.
        Some((_, true)) => {
            let expires = denial.expires;
            Ok(Extent::Link { expires })
        }
        Some((link_revision, false)) if link_revision > signed.link_revision => {
            Ok(Extent::File { link_revision })
        }
        Some((revision, false)) => {
            raise(session, organization, id, revision, counted, bounds.files).await
        }
        // It may be there later.
        None => {
            let epoch = raise_epoch(session, organization).await?;
            Ok(Extent::Organization { epoch })
        }
    }
}

/// Forgets some dead links of an organization that is locked, of the kind that there is no room for.
async fn forget_some_dead(
    session: &mut Session<'_>,
    denial: &Denial,
    now: UnixSeconds,
    counted: &mut Counters,
) -> Result<(), Fault> {
    let (id_alone, counter) = kind_of(denial);
    let forget = query(FORGET_DEAD)
        .bind(&denial.organization)
        .bind(rows::stored(counted.epoch)?)
        .bind(id_alone)
        .bind(now)
        .bind(FORGOTTEN_AT_ONCE_MAX);
    let forgotten = session.execute(forget).await?;
    if forgotten > 0 {
        let fewer = -rows::stored(forgotten)?;
        count(session, &denial.organization, counter, fewer).await?;
    }
    let there = match denial.signed {
        Some(_) => &mut counted.links,
        None => &mut counted.ids,
    };
    *there = there.saturating_sub(forgotten);
    Ok(())
}

/// Forgets dead links, organization by organization. A process that holds them forgets them by itself.
pub(super) async fn forget_denied(
    session: &mut Session<'_>,
    now: UnixSeconds,
    limit: u32,
) -> Result<u64, Fault> {
    session.execute_if_postgres(query(FORGET_MARKERS)).await?;
    let find = query(DEAD).bind(now).bind(limit);
    let found = session.all(find, |row| {
        let link = rows::value(row, "link", LinkId::parse)?;
        Ok((rows::organization_id(row, "organization")?, link))
    });
    let mut dead: BTreeMap<OrganizationId, Vec<LinkId>> = BTreeMap::new();
    for (organization, link) in found.await? {
        dead.entry(organization).or_default().push(link);
    }
    let mut forgotten = 0;
    for (organization, links) in dead.iter().take(ORGANIZATIONS_LOCKED_MAX) {
        let epoch = lock(session, organization).await?.epoch;
        let links: Value<'_> = links.iter().map(LinkId::as_str).collect();
        let forget = query(FORGET_LINKS).bind(organization).bind(now).bind(links);
        let gone = session.all(forget, |row| {
            Ok((
                rows::number(row, "id_alone")? == 1,
                rows::number(row, "epoch")? == epoch,
            ))
        });
        let gone = gone.await?;
        forgotten += gone.len() as u64;
        for (id_alone, counter) in [(false, DENIED_LINK_COUNT), (true, DENIED_ID_COUNT)] {
            let counted = gone.iter().filter(|of| **of == (id_alone, true)).count();
            if counted > 0 {
                let fewer = -rows::stored(counted as u64)?;
                count(session, organization, counter, fewer).await?;
            }
        }
    }
    Ok(forgotten)
}
