//! Revocations that could not be written yet, and the lines in which processes tell each other of them.

use std::fmt;

use super::id::{FileId, OrganizationId};
use super::revocation::{Denial, Extent, LinkId, Revocations, SignedFor};
use super::time::UnixSeconds;

/// The longest line of an announcement, in bytes: of a link of the longest ids, with the highest counters.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 400;

/// A revocation that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldRevocation {
    /// One link.
    Link(Denial),
    /// All links of a file.
    File {
        /// The owner of the file.
        organization: OrganizationId,
        /// The file.
        file: FileId,
    },
    /// All links of an organization.
    Organization {
        /// The organization.
        organization: OrganizationId,
    },
}

impl HeldRevocation {
    /// Returns the owner of the links.
    pub const fn organization(&self) -> &OrganizationId {
        match self {
            Self::Link(Denial { organization, .. })
            | Self::File { organization, .. }
            | Self::Organization { organization } => organization,
        }
    }

    /// Returns which links ended, with the counters that are in force.
    pub fn extent(&self, written: &Revocations) -> Extent {
        match self {
            Self::Link(denial) => Extent::Link {
                expires: denial.expires,
            },
            Self::File { organization, file } => Extent::File {
                link_revision: written.revision(organization, file),
            },
            Self::Organization { organization } => Extent::Organization {
                epoch: written.epoch(organization),
            },
        }
    }

    /// Returns whether this ends all that another one does.
    pub fn covers(&self, other: &Self) -> bool {
        if self.organization() != other.organization() {
            return false;
        }
        match (self, other) {
            (Self::Organization { .. }, _) => true,
            (Self::File { file: own, .. }, Self::File { file, .. }) => own == file,
            (Self::File { file: own, .. }, Self::Link(other)) => {
                let signed = other.signed.as_ref();
                signed.is_some_and(|signed| signed.file == *own)
            }
            // One that is named by its id alone stays denied until the same end.
            (Self::Link(own), Self::Link(other)) => {
                own.link == other.link && (own.expires >= other.expires || other.signed.is_none())
            }
            (Self::File { .. } | Self::Link(_), _) => false,
        }
    }

    /// Returns whether all links of an organization end.
    pub const fn is_of_organization(&self) -> bool {
        matches!(self, Self::Organization { .. })
    }

    /// Has these revocations refuse the same.
    pub fn apply(&self, known: &mut Revocations) {
        match self {
            Self::Link(denial) => {
                let end = known.denied_until(&denial.organization, denial.link);
                let end = end.map_or(denial.expires, |end| end.max(denial.expires));
                known.deny(&denial.organization, [(denial.link, end)]);
            }
            Self::File { organization, file } => known.suspend_file(organization, file),
            Self::Organization { organization } => known.suspend_organization(organization),
        }
    }
}

/// The random number of a call that asked for a revocation; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldCall(u64);

impl HeldCall {
    /// Returns the call of this number; `None` of 0.
    pub const fn new(number: u64) -> Option<Self> {
        match number {
            0 => None,
            number => Some(Self(number)),
        }
    }

    /// Takes 16 hexadecimal digits.
    fn parse(text: &str) -> Option<Self> {
        let is_good = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok()?;
        is_good.then_some(number).and_then(Self::new)
    }
}

/// An announcement, as one line of ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// A call asked for a revocation that could not be written: it is to be held.
    Held(HeldCall, HeldRevocation),
    /// What a call asked for is written.
    Written(HeldCall),
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call, revocation) = match self {
            Self::Written(call) => return write!(f, "written {:016x}", call.0),
            Self::Held(call, revocation) => (call, revocation),
        };
        write!(f, "held {:016x} {} ", call.0, revocation.organization())?;
        match revocation {
            HeldRevocation::Organization { .. } => f.write_str("organization"),
            HeldRevocation::File { file, .. } => write!(f, "file {file}"),
            HeldRevocation::Link(denial) => {
                write!(f, "link {} {}", denial.link, denial.expires.get())?;
                match &denial.signed {
                    None => Ok(()),
                    Some(of) => write!(f, " {} {} {}", of.file, of.epoch, of.link_revision),
                }
            }
        }
    }
}

impl Announcement {
    /// Takes the line of an announcement; `None` of any other text.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let call = HeldCall::parse(words.next()?)?;
        let announced = match kind {
            "written" => Self::Written(call),
            "held" => Self::Held(call, revocation(&mut words)?),
            _ => return None,
        };
        words.next().is_none().then_some(announced)
    }
}

/// Takes a revocation, to the last of its words.
fn revocation<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<HeldRevocation> {
    let organization = OrganizationId::parse(words.next()?).ok()?;
    Some(match words.next()? {
        "organization" => HeldRevocation::Organization { organization },
        "file" => HeldRevocation::File {
            organization,
            file: FileId::parse(words.next()?).ok()?,
        },
        "link" => {
            let link = LinkId::parse(words.next()?)?;
            let expires = UnixSeconds::new(words.next()?.parse().ok()?)?;
            let signed = match words.next() {
                None => None,
                Some(file) => Some(SignedFor {
                    file: FileId::parse(file).ok()?,
                    epoch: words.next()?.parse().ok()?,
                    link_revision: words.next()?.parse().ok()?,
                }),
            };
            HeldRevocation::Link(Denial {
                organization,
                link,
                expires,
                signed,
            })
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::ID_BYTES_MAX;

    #[test]
    fn every_announcement_is_read_as_it_was_written_and_no_other_line_is() {
        let organization = OrganizationId::parse(&"o".repeat(ID_BYTES_MAX)).unwrap();
        let file = FileId::parse(&"f".repeat(ID_BYTES_MAX)).unwrap();
        let link = |signed| {
            HeldRevocation::Link(Denial {
                organization: organization.clone(),
                link: LinkId::parse("linklinklink").unwrap(),
                expires: UnixSeconds::new(99_999_999_999).unwrap(),
                signed,
            })
        };
        let signed = SignedFor {
            file: file.clone(),
            epoch: u64::MAX,
            link_revision: u64::MAX,
        };
        let call = HeldCall::new(u64::MAX).unwrap();
        let all = [
            Announcement::Written(call),
            Announcement::Held(call, link(None)),
            Announcement::Held(call, link(Some(signed))),
            Announcement::Held(
                call,
                HeldRevocation::File {
                    organization: organization.clone(),
                    file,
                },
            ),
            Announcement::Held(
                HeldCall::new(1).unwrap(),
                HeldRevocation::Organization { organization },
            ),
        ];
        for announced in all {
            let line = announced.to_string();
            assert!(line.len() <= ANNOUNCEMENT_BYTES_MAX, "{}", line.len());
            assert_eq!(Announcement::parse(&line), Some(announced), "{line}");
            let (less, _) = line.rsplit_once(' ').unwrap();
            for other in [less, &format!("{line} x"), &format!(" {line}")] {
                assert_eq!(Announcement::parse(other), None, "{other}");
            }
        }
        for line in [
            "",
            "held",
            "written 0000000000000000",
            "written 1",
            "written +000000000000001",
            "held 0000000000000001 o p",
            "held 0000000000000001 o file f/g",
            "held 0000000000000001 o link linklinklink -1",
            "held 0000000000000001 o link linklinklink 1 f 0",
        ] {
            assert_eq!(Announcement::parse(line), None, "{line}");
        }
    }
}
