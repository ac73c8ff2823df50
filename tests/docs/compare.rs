//! What a page shows against what was really printed. Ids, keys, tokens, times, ports and durations differ from
//! run to run: each is compared by its kind, and one that is shown twice must be the same one both times.

use std::collections::{BTreeMap, HashMap};

use regex::Regex;

/// How a value that differs from run to run is compared.
struct Kind {
    /// The value, in the first group, with what tells it from others around it.
    shown: Regex,
    /// What may stand in its place.
    real: &'static str,
    same: Same,
}

/// How far the same text stands for the same value.
#[derive(Clone, Copy, PartialEq)]
enum Same {
    /// On the whole page; and another text for another value.
    Only,
    /// On the whole page. Two links that are made in one second may be the same one.
    Page,
    /// In one line.
    Line,
    /// Nowhere: two times that are equal here may differ by a second there.
    Nowhere,
}
use Same::{Line, Nowhere, Only, Page};

const DATE: &str = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z";
const HTTP_DATE: &str = r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT";
const UUID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

const MAC_LENGTH: usize = 43;
const LINK_ID_LENGTH: usize = 12;

/// Before and behind a word of a key or an id.
const BEFORE: &str = "(?:^|[^A-Za-z0-9_-])";
const BEHIND: &str = "(?:$|[^A-Za-z0-9_-])";

/// Every kind: what it looks like, what introduces it, and how far it stands for the same.
const KINDS: &[(&str, &str, Same)] = &[
    (DATE, "", Nowhere),
    (HTTP_DATE, "", Nowhere),
    ("[0-9]{8}T[0-9]{6}Z", "", Nowhere),
    ("1[789][0-9]{8}", BEFORE, Line),
    ("[0-9.]+", "took_[a-z]+\"?[:=] ?", Nowhere),
    ("[0-9.]+ (?:ms|s)", " in ", Nowhere),
    ("[0-9]+", "Retry-After: ", Nowhere),
    ("hp_[A-Za-z0-9_-]{43}", BEFORE, Only),
    ("[0-9a-f]{16}", "hash:[0-9a-f]{8}:[0-9]+:", Page),
    (UUID, BEFORE, Only),
    ("(?:[a-z]+_)?[0-9a-f]{32}", BEFORE, Only),
    ("[A-Za-z0-9]{22}", "nonce=", Only),
    ("[A-Za-z0-9_-]{43}", BEFORE, Page),
    ("[0-9A-Za-z]{22}", "/s/", Only),
    (
        "[A-Za-z0-9_-]{12}",
        "(?:link |link_id\"?[:=] ?\"?|link-id )",
        Page,
    ),
    ("[0-9a-f]{8}", BEFORE, Only),
    (
        "(?:3[2-9]|[4-6][0-9])[0-9]{3}",
        r"(?:127\.0\.0\.1|192\.168\.1\.20):",
        Page,
    ),
    ("[0-9]{2}:[0-9]{2}", "open until ", Nowhere),
    ("[0-9]{2}:[0-9]{2}", "^", Nowhere),
];

/// The values that the page has shown so far, and what each really is.
pub(crate) struct Values {
    kinds: Vec<Kind>,
    real: HashMap<String, String>,
    shown: BTreeMap<String, String>,
    /// Texts of the page for what is called otherwise where the test runs.
    aliases: Vec<(String, String)>,
}

/// A value in a line: its place, and its kind's number.
type Found = (std::ops::Range<usize>, usize);

impl Values {
    pub(crate) fn new(aliases: Vec<(String, String)>) -> Self {
        let kinds = KINDS.iter().map(|(value, before, same)| Kind {
            shown: Regex::new(&format!("{before}({value}){BEHIND}")).unwrap(),
            real: value,
            same: *same,
        });
        Self {
            kinds: kinds.collect(),
            real: HashMap::new(),
            shown: BTreeMap::new(),
            aliases,
        }
    }

    /// A text of the page with the real values in it.
    ///
    /// # Errors
    /// A value that nothing on the page has printed.
    pub(crate) fn filled(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut at = 0;
        for (place, kind) in self.found(text) {
            filled.push_str(&text[at..place.start]);
            let value = &text[place.clone()];
            at = place.end;
            match self.real.get(value) {
                Some(real) => filled.push_str(real),
                None if matches!(self.kinds[kind].same, Only | Page) => {
                    return Err(format!("nothing has printed {value}"));
                }
                None => filled.push_str(value),
            }
        }
        filled.push_str(&text[at..]);
        for (shown, real) in &self.aliases {
            filled = filled.replace(shown, real);
        }
        Ok(filled)
    }

    /// What was really printed, as the page is to show it.
    pub(crate) fn shown(&self, real: &str) -> String {
        let mut text = real.to_owned();
        for (shown, real) in self.aliases.iter().chain(&self.shown_pairs()) {
            text = text.replace(real, shown);
        }
        text
    }

    fn shown_pairs(&self) -> Vec<(String, String)> {
        let pairs = self.shown.iter();
        pairs
            .filter(|(real, shown)| real != shown && real.len() >= 8)
            .map(|(real, shown)| (shown.clone(), real.clone()))
            .collect()
    }

    /// Whether these lines may stand for those; then their values are known from now on.
    ///
    /// # Errors
    /// The first line that differs.
    pub(crate) fn compare(&mut self, shown: &[String], real: &[String]) -> Result<(), String> {
        let gap = shown.iter().position(|line| line == "…");
        let Some(gap) = gap else {
            return self.compare_lines(shown, real);
        };
        let (before, behind) = (&shown[..gap], &shown[gap + 1..]);
        if real.len() < before.len() {
            return self.compare_lines(before, real);
        }
        self.compare_lines(before, &real[..before.len()])?;
        let mut why = Ok(());
        for begin in before.len()..=real.len() {
            why = self.compare(behind, &real[begin..]);
            if why.is_ok() {
                break;
            }
        }
        why
    }

    /// What the page is to show of what was really printed: of each line that it shows already, the page's own text.
    pub(crate) fn merged(&mut self, shown: &[String], real: &[String]) -> Vec<String> {
        let mut left: Vec<&String> = shown.iter().collect();
        let mut merged = Vec::new();
        for real in real {
            let is_it = |line: &&String| *line != "…" && self.line(line, real).is_ok();
            let line = match left.iter().position(is_it) {
                Some(at) => left.remove(at).clone(),
                None => self.shown(real),
            };
            if let Ok(learnt) = self.line(&line, real) {
                self.learn(learnt);
            }
            merged.push(line);
        }
        merged
    }

    fn learn(&mut self, learnt: Vec<(String, String)>) {
        for (shown, real) in learnt {
            self.shown.insert(real.clone(), shown.clone());
            self.real.insert(shown, real);
        }
    }

    fn compare_lines(&mut self, shown: &[String], real: &[String]) -> Result<(), String> {
        let mut learnt = Vec::new();
        for (index, line) in shown.iter().enumerate() {
            let Some(real) = real.get(index) else {
                return Err(format!("this line was not printed: {line}"));
            };
            learnt.extend(self.line(line, real)?);
        }
        if let Some(more) = real.get(shown.len()) {
            return Err(format!("this line is not shown: {more}"));
        }
        self.learn(learnt);
        Ok(())
    }

    /// The values of a line that is as it is shown.
    fn line(&self, shown: &str, real: &str) -> Result<Vec<(String, String)>, String> {
        let mut text = shown.to_owned();
        for (alias, real) in &self.aliases {
            text = text.replace(alias, real);
        }
        let found = self.found(&text);
        let mut pattern = String::from("^");
        let mut at = 0;
        for (place, kind) in &found {
            pattern.push_str(&literal(&text[at..place.start]));
            pattern.push_str(&format!("({})", self.kinds[*kind].real));
            at = place.end;
        }
        pattern.push_str(&literal(&text[at..]));
        pattern.push('$');
        let pattern = Regex::new(&pattern).unwrap();
        let Some(groups) = pattern.captures(real) else {
            return Err(format!("shown:   {shown}\nprinted: {real}"));
        };
        let mut values: Vec<(String, String)> = Vec::new();
        for (index, (place, kind)) in found.iter().enumerate() {
            let (value, real) = (&text[place.clone()], &groups[index + 1]);
            let same = self.kinds[*kind].same;
            let here = values.iter().map(|(value, real)| (value, real));
            let here = here.filter(|_| same != Nowhere);
            let before = self.real.iter().filter(|_| matches!(same, Only | Page));
            for (other, its) in here.chain(before) {
                let is_other = other == value && its != real;
                if is_other || (same == Only && other != value && its == real) {
                    return Err(format!("{value} is {real} here, and {other} was {its}"));
                }
            }
            values.push((value.to_owned(), real.to_owned()));
        }
        // A link's id is the beginning of its MAC.
        let macs = values.iter().filter(|(value, real)| {
            value.len() == MAC_LENGTH
                && real.len() == MAC_LENGTH
                && text.contains(&format!(".{value}"))
        });
        let ids = macs.map(|(value, real)| {
            let id = |mac: &str| mac[..LINK_ID_LENGTH].to_owned();
            (id(value), id(real))
        });
        let ids: Vec<_> = ids.collect();
        values.extend(ids);
        Ok(values)
    }

    /// The values in a text, in order; those of an earlier kind where two overlap.
    fn found(&self, text: &str) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for (number, kind) in self.kinds.iter().enumerate() {
            let mut at = 0;
            while let Some(groups) = kind.shown.captures_at(text, at) {
                let place = groups.get(1).unwrap().range();
                at = place.end;
                if !found
                    .iter()
                    .any(|(other, _)| other.start < place.end && place.start < other.end)
                {
                    found.push((place, number));
                }
            }
        }
        found.sort_by_key(|(place, _)| place.start);
        found
    }
}

/// A pattern for this text, in which `…` is anything.
fn literal(text: &str) -> String {
    let parts = text.split('…').map(regex::escape);
    parts.collect::<Vec<_>>().join(".*?")
}
