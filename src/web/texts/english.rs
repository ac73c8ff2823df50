//! Pages in English.

use super::table::{Message, Plural, Texts};

pub(super) const TEXTS: Texts = Texts {
    lang: "en",
    decimal: '.',
    thousands: ',',
    bytes: Plural {
        one: "{} byte",
        other: "{} bytes",
    },
    time: "{day} {month} {year}, {time} UTC",
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    moment: "less than a minute",
    minutes: Plural {
        one: "{} minute",
        other: "{} minutes",
    },
    hours: Plural {
        one: "{} hour",
        other: "{} hours",
    },
    days: Plural {
        one: "{} day",
        other: "{} days",
    },
    file_count: Plural {
        one: "{} file",
        other: "{} files",
    },
    download_count: Plural {
        one: "{} download",
        other: "{} downloads",
    },
    title: "A file was shared with you",
    file: "File",
    files: "Files",
    files_of: "Files {} to {} of {}",
    name: "Name",
    size: "Size",
    kind: "Type",
    download: "Download",
    download_of: "Download {}",
    all_as_zip: "Download all as zip, {}",
    preview_of: "Preview of {}",
    expires: "Opens until",
    ends_in: "{} ({} from now)",
    left: "Downloads left",
    left_of: "{} of {}",
    total: "All together",
    total_of: "{}, {}",
    gone: "No longer here",
    damaged: "Cannot be read",
    file_expires: "Here until {}",
    in_place: "Lies at its original place: if it is changed there, it no longer opens here.",
    all_in_place: "What is shared here lies at its original place: what is changed there no longer opens here.",
    checksums_pending: "The checksums of some files are still being taken. Until then, a zip whose download breaks off \
                        has to start anew.",
    names_too_long: "There is no zip of all of them, because their names are too long together. Please download them one by one.",
    names_too_long_to_count: "These files cannot be downloaded: this share gives them only together, in one zip, and their names are too long \
                              for that. Please ask whoever sent you this page for another one, with fewer files.",
    counted: "You may look at this page as often as you like: a download is counted once you press the button. One that \
              breaks off can be resumed.",
    all_started: "All downloads that this share allows have been started. If one of them was yours, the button goes on \
                  with it, until ten minutes after its end.",
    nothing: "There is no file in this share any more.",
    next: "Next files",
    previous: "Previous files",
    qr: "QR code with the address of this page",
    password_heading: "Please enter the password",
    password_label: "Password",
    password_button: "Open",
    password_why: "Whoever sent you the address of this page knows it.",
    password_wrong: "This is not the password. Please try again.",
    share_held: "This is being downloaded",
    share_held_for: "All downloads that this share allows have been started. One that was broken off may be free again \
                     in {}.",
    share_held_no_more: "All downloads that this share allows have been started. One that was broken off may be free \
                         again now.",
    link_held: "This file is being downloaded",
    link_held_for: "All downloads that this link allows have been started. One that was broken off may be free again in \
                    {}.",
    link_held_no_more: "All downloads that this link allows have been started. One that was broken off may be free again \
                        now.",
    again: "Try again",
    link_spent: Message {
        heading: "This link has been used",
        text: "It was for {}. Please ask whoever sent it to you for a new one.",
    },
    trace: "Trace {}",
    no_route: Message {
        heading: "There is nothing here",
        text: "Please check whether the address is complete, as it was sent to you.",
    },
    link_invalid: Message {
        heading: "This link does not open",
        text: "It has expired or is not valid. Please ask whoever sent it to you for a new one.",
    },
    file_missing: Message {
        heading: "This file is not here",
        text: "It does not exist or has been deleted.",
    },
    in_use: Message {
        heading: "Please try again later",
        text: "This link is being used by somebody else. It may be free again later.",
    },
    used_up: Message {
        heading: "This link has been used",
        text: "It can be used no more often. Please ask whoever sent it to you for a new one.",
    },
    too_many: Message {
        heading: "Please wait a moment",
        text: "There were too many requests just now. A little later it works again.",
    },
    unavailable: Message {
        heading: "Please try again",
        text: "The service is busy. A moment later it may work.",
    },
    not_possible: Message {
        heading: "This cannot be done",
        text: "The request asks for something that this link does not give.",
    },
    failed: Message {
        heading: "Something went wrong",
        text: "The fault is on our side. A moment later it may work.",
    },
};
