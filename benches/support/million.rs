//! A million files of an organization: rows alone, whose bytes nobody asks for.

use hallpass::catalog::{Catalog, FILES_ADDED_MAX};
use hallpass::model::digest::Sha256Digest;
use hallpass::model::file::{BlobLocation, FileRecord, FileState, Purpose};
use hallpass::model::id::{BlobKey, FileId, OrganizationId, SpaceId};
use hallpass::model::media::MediaType;
use hallpass::model::metadata::Metadata;
use hallpass::model::name::FileName;
use hallpass::model::time::UnixSeconds;

/// The oldest file's time: 2026-05-18T15:34:52Z. Seven files are made in each second after it.
const FIRST_MILLIS: u64 = 1_779_118_492_000;
const MILLIS_BETWEEN: u64 = 143;
/// One in so many files is the output of an agent; none is that of a skill.
const RARE: u64 = 10_000;

/// Adds so many files to an organization.
pub(crate) async fn fill(catalog: &dyn Catalog, organization: &OrganizationId, files: u64) {
    let numbers: Vec<u64> = (1..=files).collect();
    for numbers in numbers.chunks(FILES_ADDED_MAX) {
        let records: Vec<FileRecord> = numbers
            .iter()
            .map(|number| record(organization, *number))
            .collect();
        catalog.add_files(&records).await.unwrap();
    }
}

/// The file of this number, counted from the oldest, 1.
fn record(organization: &OrganizationId, number: u64) -> FileRecord {
    let created_at = UnixSeconds::EPOCH.plus(millis_of(number) / 1000);
    let purpose = match number {
        _ if number.is_multiple_of(RARE) => Purpose::AgentOutput,
        _ if number.is_multiple_of(2) => Purpose::ToolOutput,
        _ => Purpose::UserUpload,
    };
    let pairs = [("project".to_owned(), format!("number {}", number % 100))];
    FileRecord {
        organization: organization.clone(),
        id: file_id(number),
        space: SpaceId::default_space(),
        name: FileName::from_client(&format!("report {number}.txt")).unwrap(),
        media_type: MediaType::parse("text/plain").unwrap(),
        size: number,
        sha256: Some(Sha256Digest::new([7; 32])),
        purpose,
        state: FileState::Ready,
        metadata: Metadata::new(pairs).unwrap(),
        created_at,
        updated_at: created_at,
        uploaded_by: None,
        damaged_at: None,
        link_revision: 0,
        is_text: None,
        crc32: None,
        expires_at: None,
        location: BlobLocation::Stored(BlobKey::from_random(spread(number))),
    }
}

fn millis_of(number: u64) -> u64 {
    FIRST_MILLIS + number * MILLIS_BETWEEN
}

/// A UUIDv7 as the gateway draws them: the time, then digits that tell nothing.
pub(crate) fn file_id(number: u64) -> FileId {
    let mut bytes = spread(number);
    for (byte, of_time) in bytes
        .iter_mut()
        .zip(millis_of(number).to_be_bytes().into_iter().skip(2))
    {
        *byte = of_time;
    }
    for (place, (kept, version)) in [(6, (0x0f, 0x70)), (8, (0x3f, 0x80))] {
        if let Some(byte) = bytes.get_mut(place) {
            *byte = *byte & kept | version;
        }
    }
    FileId::from_uuid(bytes)
}

/// Sixteen bytes of a number, scattered as random ones are, and never those of another.
fn spread(number: u64) -> [u8; 16] {
    let odd = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128;
    u128::from(number).wrapping_mul(odd).to_be_bytes()
}
