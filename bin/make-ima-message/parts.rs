//! The parts: text, HTML and attachments, in the order of the message.

use std::path::Path;

use ima_message::{MediaType, Part};

use crate::args::Args;
use crate::attachment::Attachment;
use crate::failure::Failure;
use crate::line::Line;
use crate::source::{Origin, Source};

/// A part to be, before anything of it was read.
#[derive(Debug)]
pub(crate) struct Input {
    origin: Origin,
    media_type: MediaType,
    role: Role,
    option: &'static str,
    given: String,
}

#[derive(Debug)]
enum Role {
    /// Left out where it is empty.
    Text,
    /// Another form of the text.
    Html,
    Attachment(ima_message::FileName),
}

impl Input {
    /// What the options name.
    ///
    /// # Errors
    /// A file that cannot be attached under its name or as its type.
    pub(crate) fn of(args: &Args) -> Result<Vec<Self>, Failure> {
        let text = Origin::new(args.text.as_deref().unwrap_or(Path::new("-")));
        let mut inputs = vec![Self::inline(text, "text", Role::Text)?];
        if let Some(path) = &args.html {
            let html = Origin::new(path);
            if html == Origin::Stdin && inputs.iter().any(|input| input.origin == html) {
                return Err(Failure::StdinTwice);
            }
            inputs.push(Self::inline(html, "html", Role::Html)?);
        }
        for given in &args.attach {
            let shown = given.to_string_lossy().into_owned();
            let attachment = Attachment::parse(given).map_err(|source| Failure::Value {
                option: "attach",
                value: shown.clone(),
                source,
            })?;
            inputs.push(Self {
                origin: Origin::File(attachment.path),
                media_type: attachment.media_type,
                role: Role::Attachment(attachment.name),
                option: "attach",
                given: shown,
            });
        }
        Ok(inputs)
    }

    fn inline(origin: Origin, option: &'static str, role: Role) -> Result<Self, Failure> {
        let media_type = match role {
            Role::Html => "text/html",
            Role::Text | Role::Attachment(_) => "text/plain",
        };
        let given = origin.to_string();
        let media_type = MediaType::parse(media_type).map_err(|error| Failure::Value {
            option,
            value: given.clone(),
            source: error.into(),
        })?;
        Ok(Self {
            origin,
            media_type,
            role,
            option,
            given,
        })
    }

    /// Whether somebody at a terminal is to type it.
    pub(crate) fn awaits_terminal(&self) -> bool {
        self.origin.is_terminal()
    }
}

/// The parts with their open files.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    parts: Vec<(Part, Source)>,
    lines: Vec<(&'static str, String)>,
}

impl Parts {
    /// Reads every file to its end. An empty text makes no part.
    ///
    /// # Errors
    /// A file that cannot be read, or is text and not UTF-8.
    pub(crate) fn digest(inputs: Vec<Input>) -> Result<Self, Failure> {
        let mut parts = Self::default();
        for input in inputs {
            let source = Source::digest(input.origin, input.media_type.is_text())?;
            let has_text = !parts.parts.is_empty();
            let of = |name| Part::new(input.media_type, source.length, source.digest, name);
            let part = match input.role {
                Role::Text if source.length == 0 => continue,
                Role::Html if has_text => of(None).alternative_of(1),
                Role::Text | Role::Html => of(None),
                Role::Attachment(name) => of(Some(name)),
            };
            parts.parts.push((part, source));
            parts.lines.push((input.option, input.given));
        }
        Ok(parts)
    }

    /// The octets of all of them.
    pub(crate) fn size(&self) -> u128 {
        self.parts
            .iter()
            .map(|(part, _)| u128::from(part.length()))
            .sum()
    }

    /// Their `part` fields.
    ///
    /// # Errors
    /// None that parts of this type give.
    pub(crate) fn lines(&self) -> Result<Vec<Line>, Failure> {
        self.parts
            .iter()
            .zip(&self.lines)
            .map(|((part, _), (option, given))| Line::new("part", part, option, given))
            .collect()
    }

    /// Their files, in order.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.parts.iter().map(|(_, source)| source)
    }
}
