//! Apps.

use sqlx::{SqliteConnection, query, query_scalar};

use super::fault::Fault;
use super::{Sqlite, answer, keys, rows};
use crate::catalog::apps::Apps;
use crate::catalog::{Answer, missing, taken};
use crate::model::app::App;
use crate::model::id::{ApiKeyId, AppId, OrganizationId};
use crate::model::key::ApiKey;

/// An app and its key in one look, so that a key that was paused a moment ago is paused here.
const OF_ID: &str = "SELECT app.id AS app, app.secret, app.created_at AS app_created_at, \
     api_key.id, organization, name, digest, scopes, state, api_key.created_at, expires_at \
     FROM app JOIN api_key ON api_key.id = app.api_key WHERE app.id = ?";

const OF_ORGANIZATION: &str = "SELECT app.id AS app, api_key.id FROM app JOIN api_key ON api_key.id = app.api_key \
     WHERE ?1 IS NULL OR api_key.organization = ?1 ORDER BY app.created_at, app.id";

impl Apps for Sqlite {
    fn create_app<'a>(&'a self, key: &'a ApiKey, app: &'a App) -> Answer<'a, ()> {
        answer("making an app", async move {
            let mut change = self.change().await?;
            keys::create(&mut change, key).await?;
            create(&mut change, key, app).await?;
            Ok(change.commit().await?)
        })
    }

    fn app<'a>(&'a self, id: &'a AppId) -> Answer<'a, Option<(App, ApiKey)>> {
        answer("looking for an app", async move {
            let mut look = self.look().await?;
            let row = query(OF_ID)
                .bind(id.as_str())
                .fetch_optional(&mut *look)
                .await?;
            let both = row.map(|row| Ok((rows::app(&row)?, rows::api_key(&row)?)));
            both.transpose()
        })
    }

    fn apps<'a>(
        &'a self,
        organization: Option<&'a OrganizationId>,
    ) -> Answer<'a, Vec<(AppId, ApiKeyId)>> {
        answer("listing the apps", async move {
            let mut look = self.look().await?;
            let found = query(OF_ORGANIZATION)
                .bind(organization.map(|organization| organization.as_str()))
                .fetch_all(&mut *look)
                .await?;
            found.iter().map(rows::app_of_key).collect()
        })
    }
}

async fn create(connection: &mut SqliteConnection, key: &ApiKey, app: &App) -> Result<(), Fault> {
    if app.key != key.id {
        return Err(missing("the API key").into());
    }
    let is_taken: bool = query_scalar("SELECT EXISTS (SELECT 1 FROM app WHERE id = ?)")
        .bind(app.id.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if is_taken {
        return Err(taken("the app").into());
    }
    query("INSERT INTO app (id, api_key, secret, created_at) VALUES (?, ?, ?, ?)")
        .bind(app.id.as_str())
        .bind(app.key.as_str())
        .bind(app.secret.reveal())
        .bind(rows::stored_time(app.created_at))
        .execute(connection)
        .await?;
    Ok(())
}
