//! Prometheus' text format 0.0.4, read strictly: what this program is not known to
//! write is an error, though a collector might take it.

use std::collections::{BTreeMap, BTreeSet};

/// A text that was read.
#[derive(Debug)]
pub struct Exposition {
    /// What is counted, by its name.
    pub families: BTreeMap<String, Family>,
    /// Numbers by name and labels, as they are written.
    pub samples: BTreeMap<String, f64>,
}

/// What has one name.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    pub kind: String,
    /// Labels with their values, but for `le`.
    pub labels: BTreeMap<String, BTreeSet<String>>,
}

/// A line that holds a number.
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Exposition {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut read = Self {
            families: BTreeMap::new(),
            samples: BTreeMap::new(),
        };
        let body = text.strip_suffix('\n').ok_or("no LF at the end")?;
        let mut lines = body.split('\n').peekable();
        while let Some(line) = lines.next() {
            let help = line.strip_prefix("# HELP ").ok_or(line)?;
            let (name, _) = help.split_once(' ').ok_or(line)?;
            is_name(name)?;
            let line = lines.next().ok_or("no TYPE")?;
            let kind = line.strip_prefix(&format!("# TYPE {name} ")).ok_or(line)?;
            let mut samples = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let sample = Sample::parse(line).ok_or(line)?;
                let (series, _) = line.rsplit_once(' ').ok_or(line)?;
                if read
                    .samples
                    .insert(series.to_owned(), sample.value)
                    .is_some()
                {
                    return Err(format!("twice: {series}"));
                }
                samples.push(sample);
            }
            let family = family(name, kind, &samples)?;
            if read.families.insert(name.to_owned(), family).is_some() {
                return Err(format!("twice: {name}"));
            }
        }
        Ok(read)
    }

    /// The number of a series.
    pub fn get(&self, series: &str) -> f64 {
        let value = self.samples.get(series);
        *value.unwrap_or_else(|| panic!("no {series} in {:#?}", self.samples))
    }

    /// The names of all series.
    pub fn series(&self) -> BTreeSet<&str> {
        self.samples.keys().map(String::as_str).collect()
    }
}

impl Sample {
    /// `name{label="value",…} number`
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, mut rest) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}')?),
            None => (series, ""),
        };
        is_name(name).ok()?;
        let mut labels = Vec::new();
        while !rest.is_empty() {
            let (label, quoted) = rest.split_once("=\"")?;
            is_name(label).ok()?;
            let (value, after) = unquoted(quoted)?;
            labels.push((label.to_owned(), value));
            rest = match after.strip_prefix(',') {
                Some("") => return None,
                Some(more) => more,
                None if after.is_empty() => "",
                None => return None,
            };
        }
        Some(Self {
            name: name.to_owned(),
            labels,
            value: number(value)?,
        })
    }

    fn labels_but_le(&self) -> Vec<&(String, String)> {
        let labels = self.labels.iter();
        labels.filter(|(label, _)| label != "le").collect()
    }
}

/// A number that no metric of ours is without.
fn number(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    (value.is_finite() && value >= 0.0 && text.starts_with(|c: char| c.is_ascii_digit()))
        .then_some(value)
}

fn is_name(name: &str) -> Result<(), String> {
    let is_right = !name.is_empty()
        && !name.starts_with("__")
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_right.then_some(()).ok_or(format!("no name: {name}"))
}

/// A value up to its closing quotes, and what comes after these.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            plain => value.push(plain),
        }
    }
    None
}

/// What all samples of one name are.
fn family(name: &str, kind: &str, samples: &[Sample]) -> Result<Family, String> {
    if samples.is_empty() {
        return Err(format!("nothing of {name}"));
    }
    let is_total = name.ends_with("_total");
    match kind {
        "counter" if is_total => {}
        "gauge" if !is_total => {}
        "histogram" if name.ends_with("_seconds") => histogram(name, samples)?,
        _ => return Err(format!("{name} is no {kind}")),
    }
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for sample in samples {
        if kind != "histogram" && sample.name != name {
            return Err(format!("{} among {name}", sample.name));
        }
        if kind == "counter" && sample.value.fract() != 0.0 {
            return Err(format!("a part of one: {name}"));
        }
        for (label, value) in sample.labels_but_le() {
            labels
                .entry(label.clone())
                .or_default()
                .insert(value.clone());
        }
    }
    Ok(Family {
        kind: kind.to_owned(),
        labels,
    })
}

/// Buckets upwards, each with those below it, up to all; then the sum, and the count.
fn histogram(name: &str, samples: &[Sample]) -> Result<(), String> {
    let wrong = || format!("no histogram: {name}");
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let of = first.labels_but_le();
        let is_bucket = |sample: &&Sample| {
            sample.name == format!("{name}_bucket") && sample.labels_but_le() == of
        };
        let buckets: Vec<&Sample> = rest.iter().take_while(is_bucket).collect();
        let mut ends = Vec::new();
        for bucket in &buckets {
            let (label, end) = bucket.labels.last().ok_or_else(wrong)?;
            if label != "le" || bucket.value.fract() != 0.0 {
                return Err(wrong());
            }
            ends.push(match end.as_str() {
                "+Inf" => f64::INFINITY,
                end => number(end).ok_or_else(wrong)?,
            });
        }
        let is_right = ends.is_sorted_by(|one, next| one < next)
            && ends.last() == Some(&f64::INFINITY)
            && buckets.is_sorted_by(|one, next| one.value <= next.value);
        let all = buckets.last().ok_or_else(wrong)?.value;
        let [sum, count, ..] = &rest[buckets.len()..] else {
            return Err(wrong());
        };
        if !is_right
            || sum.name != format!("{name}_sum")
            || count.name != format!("{name}_count")
            || count.value != all
            || [sum, count].iter().any(|one| one.labels_but_le() != of)
            || (all == 0.0) != (sum.value == 0.0)
        {
            return Err(wrong());
        }
        rest = &rest[buckets.len() + 2..];
    }
    Ok(())
}

#[test]
fn what_is_no_exposition_is_refused() {
    let counter = "# HELP a_total A.\n# TYPE a_total counter\n";
    let times = "# HELP a_seconds A.\n# TYPE a_seconds histogram\n";
    let right = |text: &str| Exposition::parse(text).is_ok();
    assert!(right(&format!("{counter}a_total 1\n")));
    assert!(right(&format!(
        "{counter}a_total{{x=\"\",y=\"\\\"\\n\"}} 1\na_total{{x=\"z\",y=\"z\"}} 0\n"
    )));
    let bucket = |end: &str, value: u8| format!("a_seconds_bucket{{le=\"{end}\"}} {value}\n");
    let rest = "a_seconds_sum 0.5\na_seconds_count 2\n";
    let whole = [&bucket("0.1", 1), &bucket("+Inf", 2), rest].concat();
    assert!(right(&format!("{times}{whole}")));
    for wrong in [
        String::new(),
        counter.to_owned(),
        format!("{counter}a_total 1"),
        format!("{counter}a_total one\n"),
        format!("{counter}a_total 1.5\n"),
        format!("{counter}a_total -1\n"),
        format!("{counter}a_total NaN\n"),
        format!("{counter}a_total 1 1700000000\n"),
        format!("{counter}a_total 1\n\n"),
        format!("{counter}a_total 1\na_total 1\n"),
        format!("{counter}a_total 1\nb_total 1\n"),
        format!("{counter}a_total{{x=\"y\" 1\n"),
        format!("{counter}a_total{{x=\"y\",}} 1\n"),
        format!("{counter}a_total{{x=\"\\x\"}} 1\n"),
        format!("{counter}a_total{{x=\"y\nz\"}} 1\n"),
        format!("{counter}a_total{{x-y=\"z\"}} 1\n"),
        format!("{counter}a_total 1\n{counter}a_total 2\n"),
        "a_total 1\n".to_owned(),
        "# TYPE a_total counter\na_total 1\n".to_owned(),
        "# HELP a A.\n# TYPE a counter\na 1\n".to_owned(),
        format!("{times}{}{rest}", bucket("0.1", 2)),
        format!("{times}{}{}{rest}", bucket("0.1", 3), bucket("+Inf", 2)),
        format!("{times}{}{}{rest}", bucket("0.1", 0), bucket("+Inf", 1)),
        format!("{times}{}{}{rest}", bucket("+Inf", 2), bucket("0.1", 2)),
        format!("{times}{}{}", bucket("0.1", 1), bucket("+Inf", 2)),
    ] {
        assert!(!right(&wrong), "{wrong}");
    }
}
