//! A page of documentation as text: its fenced blocks, and the comments that a reader does not see.
//!
//! | written in the page | means |
//! |---|---|
//! | a block of `console` | commands, typed in order. `$ ` begins one; a line after `\`, or that begins with `> `, goes on with it; all else is what it prints |
//! | `^C` as the first line of such a block | Ctrl-C in the terminal of the server that was started last |
//! | `…` in what is printed | any text; alone on a line, any lines |
//! | `<!-- file: NAME -->` before a block | the block is the content of this file |
//! | `<!-- setup: COMMANDS -->` | commands that a reader has no need to type here |
//! | `<!-- not run: REASON -->` before a block of `console` | the block cannot be run |

use std::ops::Range;

/// One thing of a page, with its line (from 1).
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) what: What,
}

pub(crate) enum What {
    Console(Console),
    NotRun { reason: String },
    Setup { commands: String },
    File { name: String, text: String },
    Other { language: String, text: String },
}

/// A block of commands.
pub(crate) struct Console {
    /// Whether Ctrl-C comes first.
    pub(crate) interrupts: bool,
    pub(crate) commands: Vec<Command>,
}

pub(crate) struct Command {
    /// The line that it begins on, from 1.
    pub(crate) line: usize,
    /// What bash is given.
    pub(crate) text: String,
    /// What it prints, line by line.
    pub(crate) output: Vec<String>,
    /// Where that stands: indices of lines, from 0.
    pub(crate) place: Range<usize>,
}

/// Splits a page into its steps.
///
/// # Panics
/// If a block or a comment does not end, or means nothing.
pub(crate) fn parse(page: &str) -> Vec<Step> {
    let lines: Vec<&str> = page.lines().collect();
    let mut steps = Vec::new();
    let mut directive: Option<(String, String)> = None;
    let mut at = 0;
    while at < lines.len() {
        let begun = at;
        if let Some(language) = lines[at].strip_prefix("```") {
            let length = lines[at + 1..].iter().position(|line| *line == "```");
            let length = length.unwrap_or_else(|| panic!("line {}: no end", begun + 1));
            let body = &lines[at + 1..at + 1 + length];
            at += length + 2;
            let what = block(language, body, begun + 1, directive.take());
            steps.push(Step {
                line: begun + 1,
                what,
            });
        } else if lines[at].starts_with("<!-- ") {
            let length = lines[at..].iter().position(|line| line.ends_with("-->"));
            let length = length.unwrap_or_else(|| panic!("line {}: no end", begun + 1));
            let text = lines[at..=at + length].join("\n");
            at += length + 1;
            let text = text.trim_start_matches("<!-- ").trim_end_matches("-->");
            let (word, rest) = text.split_once(':').expect("a comment with a word");
            match word {
                "setup" => steps.push(Step {
                    line: begun + 1,
                    what: What::Setup {
                        commands: rest.trim().to_owned(),
                    },
                }),
                "file" | "not run" => {
                    directive = Some((word.to_owned(), rest.trim().to_owned()));
                }
                word => panic!("line {}: what is {word:?}?", begun + 1),
            }
        } else {
            at += 1;
        }
    }
    steps
}

fn block(language: &str, body: &[&str], first: usize, directive: Option<(String, String)>) -> What {
    let text = body.iter().map(|line| format!("{line}\n")).collect();
    let Some((word, rest)) = directive else {
        let language = language.to_owned();
        return match language.as_str() {
            "console" => What::Console(console(body, first)),
            _ => What::Other { language, text },
        };
    };
    match (word.as_str(), language) {
        ("file", _) => What::File { name: rest, text },
        ("not run", "console") => What::NotRun { reason: rest },
        _ => panic!("line {first}: {word:?} before {language:?}"),
    }
}

/// The commands of a block whose first line is `lines[first]` of the page.
fn console(body: &[&str], first: usize) -> Console {
    let interrupts = body.first() == Some(&"^C");
    let mut commands: Vec<Command> = Vec::new();
    for (index, line) in body.iter().enumerate().skip(usize::from(interrupts)) {
        let after = first + index + 1;
        if let Some(text) = line.strip_prefix("$ ") {
            commands.push(Command {
                line: after,
                text: text.to_owned(),
                output: Vec::new(),
                place: after..after,
            });
            continue;
        }
        let command = commands.last_mut();
        let command = command.unwrap_or_else(|| panic!("line {after}: no command before it"));
        let more = match line.strip_prefix("> ") {
            _ if !command.output.is_empty() => None,
            None if command.text.ends_with('\\') => Some(*line),
            more => more,
        };
        command.place.end = after;
        if let Some(more) = more {
            command.text.push('\n');
            command.text.push_str(more);
            command.place.start = after;
        } else {
            command.output.push(line.trim_end().to_owned());
        }
    }
    Console {
        interrupts,
        commands,
    }
}
