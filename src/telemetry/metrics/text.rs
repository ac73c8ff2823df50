//! Numbers as text: OpenMetrics 1.0 as Prometheus asks for it, or its older text format 0.0.4.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// The media type of each format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The media type in `Accept` of a scraper that reads OpenMetrics.
const OPEN_METRICS_ACCEPTED: &str = "application/openmetrics-text";

/// The labels of a number: names and values that are few and fixed.
pub type Labels = Vec<(&'static str, &'static str)>;

/// A metric family.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name, without `_total`.
    pub name: &'static str,
    /// The description in the scrape.
    pub help: &'static str,
    /// Its numbers.
    pub numbers: Numbers,
}

/// The numbers of a family.
#[derive(Clone, Debug)]
pub enum Numbers {
    /// They only grow.
    Counter(Vec<(Labels, u64)>),
    /// They are what they are now.
    Gauge(Vec<(Labels, u64)>),
    /// Durations in seconds.
    Histogram(Vec<(Labels, Durations)>),
}

/// A histogram of durations.
#[derive(Clone, Debug)]
pub struct Durations {
    /// The sum in seconds.
    pub sum: f64,
    /// The number of durations.
    pub count: u64,
    /// Upper bounds in seconds, and how many lie in each bucket alone.
    pub buckets: Vec<(f64, u64)>,
}

impl Family {
    /// A family of these numbers.
    pub fn new(name: &'static str, help: &'static str, numbers: Numbers) -> Self {
        Self {
            name,
            help,
            numbers,
        }
    }

    /// A family of counters with one label.
    pub fn counters(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Self {
        Self::new(name, help, Numbers::Counter(labelled(label, values)))
    }

    /// A family of gauges with one label.
    pub fn gauges(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Self {
        Self::new(name, help, Numbers::Gauge(labelled(label, values)))
    }

    /// Returns a family of one counter.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::new(name, help, Numbers::Counter(vec![(Labels::new(), value)]))
    }

    /// Returns a family of one gauge.
    pub fn gauge(name: &'static str, help: &'static str, value: u64) -> Self {
        Self::new(name, help, Numbers::Gauge(vec![(Labels::new(), value)]))
    }
}

fn labelled(
    label: &'static str,
    values: impl IntoIterator<Item = (&'static str, u64)>,
) -> Vec<(Labels, u64)> {
    let one = |(value, number)| (vec![(label, value)], number);
    values.into_iter().map(one).collect()
}

/// The families as text, in the format that `accept` asks for, and its media type.
pub fn text(families: Vec<Family>, accept: &str) -> (String, &'static str) {
    let is_counter = |family: &&Family| matches!(family.numbers, Numbers::Counter(_));
    let counters = families.iter().filter(is_counter);
    let counters: Vec<&'static str> = counters.map(|family| family.name).collect();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(families)));
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = encode(&mut text, &registry);
    if accept.contains(OPEN_METRICS_ACCEPTED) {
        (text, OPEN_METRICS)
    } else {
        (plain(text, &counters), PLAIN)
    }
}

/// The older format, in which a counter's family has the name of its numbers, and there is no end mark.
fn plain(mut text: String, counters: &[&str]) -> String {
    for name in counters {
        for comment in ["# HELP", "# TYPE"] {
            let (family, numbers) = (
                format!("{comment} {name} "),
                format!("{comment} {name}_total "),
            );
            text = text.replacen(&family, &numbers, 1);
        }
    }
    text.replacen("# EOF\n", "", 1)
}

/// The families of one scrape.
#[derive(Debug)]
struct Scrape(Vec<Family>);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for family in &self.0 {
            let kind = match family.numbers {
                Numbers::Counter(_) => MetricType::Counter,
                Numbers::Gauge(_) => MetricType::Gauge,
                Numbers::Histogram(_) => MetricType::Histogram,
            };
            let mut of = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            match &family.numbers {
                Numbers::Counter(values) => {
                    for (labels, value) in values {
                        if labels.is_empty() {
                            of.encode_counter::<NoLabelSet, _, f64>(value, None)?;
                        } else {
                            let mut one = of.encode_family(labels)?;
                            one.encode_counter::<NoLabelSet, _, f64>(value, None)?;
                        }
                    }
                }
                Numbers::Gauge(values) => {
                    for (labels, value) in values {
                        // Without labels there are no braces.
                        if labels.is_empty() {
                            of.encode_gauge(value)?;
                        } else {
                            of.encode_family(labels)?.encode_gauge(value)?;
                        }
                    }
                }
                Numbers::Histogram(values) => {
                    for (labels, took) in values {
                        let mut one = of.encode_family(labels)?;
                        let (sum, count) = (took.sum, took.count);
                        one.encode_histogram::<NoLabelSet>(sum, count, &took.buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let took = Durations {
            sum: 1.5,
            count: 3,
            buckets: vec![(0.1, 1), (1.0, 0), (f64::INFINITY, 2)],
        };
        vec![
            Family::counters("a", "What a is", "kind", [("x", 1), ("y", 2)]),
            Family::gauge("b", "What b is", 7),
            Family {
                name: "c_seconds",
                help: "What c is",
                numbers: Numbers::Histogram(vec![(vec![("route", "r")], took)]),
            },
            Family::counters("d", "What nobody did", "kind", []),
        ]
    }

    #[test]
    fn both_formats_are_as_their_specifications_have_them() {
        let (text, media_type) = text(families(), "application/openmetrics-text;version=1.0.0");
        assert!(media_type.starts_with("application/openmetrics-text"));
        let open = "# HELP a What a is\n# TYPE a counter\na_total{kind=\"x\"} 1\na_total{kind=\"y\"} 2\n\
                    # HELP b What b is\n# TYPE b gauge\nb 7\n\
                    # HELP c_seconds What c is\n# TYPE c_seconds histogram\n\
                    c_seconds_sum{route=\"r\"} 1.5\nc_seconds_count{route=\"r\"} 3\n\
                    c_seconds_bucket{le=\"0.1\",route=\"r\"} 1\n\
                    c_seconds_bucket{le=\"1.0\",route=\"r\"} 1\n\
                    c_seconds_bucket{le=\"+Inf\",route=\"r\"} 3\n\
                    # HELP d What nobody did\n# TYPE d counter\n# EOF\n";
        assert_eq!(text, open);
        let (text, media_type) = super::text(families(), "*/*");
        assert!(media_type.starts_with("text/plain; version=0.0.4"));
        let plain = open
            .replace("# HELP a ", "# HELP a_total ")
            .replace("# TYPE a ", "# TYPE a_total ")
            .replace("# HELP d ", "# HELP d_total ")
            .replace("# TYPE d ", "# TYPE d_total ")
            .replace("# EOF\n", "");
        assert_eq!(text, plain);
    }
}
