//! Organizations, and their spaces and folders.

use serde::Serialize;

use crate::cli::output::Show;
use crate::model::tenancy::{Folder, Organization, Space};

/// An organization, a space or a folder.
#[derive(Default, Serialize)]
pub(in crate::cli) struct TenancyEntry {
    organization_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    space_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder_id: Option<String>,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<String>>,
}

impl From<&Organization> for TenancyEntry {
    fn from(organization: &Organization) -> Self {
        Self {
            organization_id: organization.id.to_string(),
            name: organization.name.clone(),
            ..Self::default()
        }
    }
}

impl From<&Space> for TenancyEntry {
    fn from(space: &Space) -> Self {
        Self {
            organization_id: space.organization.to_string(),
            space_id: Some(space.id.to_string()),
            name: space.name.clone(),
            ..Self::default()
        }
    }
}

impl From<&Folder> for TenancyEntry {
    fn from(folder: &Folder) -> Self {
        let members = folder.members.iter();
        Self {
            organization_id: folder.organization.to_string(),
            folder_id: Some(folder.id.to_string()),
            name: folder.name.clone(),
            members: Some(members.map(ToString::to_string).collect()),
            ..Self::default()
        }
    }
}

impl Show for TenancyEntry {
    fn lines(&self) -> Vec<String> {
        let members = self.members.as_ref().map(|members| members.join(","));
        let shared = members.filter(|members| !members.is_empty());
        let shared = shared.map(|members| format!("shared with {members}"));
        let parts = [
            Some(&self.organization_id),
            self.space_id.as_ref(),
            self.folder_id.as_ref(),
            shared.as_ref(),
            Some(&self.name).filter(|name| !name.is_empty()),
        ];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        vec![parts.join("  ")]
    }
}
