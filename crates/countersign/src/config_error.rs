//! What is wrong with a configuration file: where, why, and what to do next, for people to read.
//!
//! ```text
//! error: there is no key "lisener" here
//!   --> countersign.toml:3:1
//!    |
//!  3 | lisener = "127.0.0.1:8080"
//!    | ^^^^^^^
//!    = help: did you mean "listener"?
//! ```

use std::fmt;
use std::ops::Range;

/// One thing that is wrong, or that the operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it stops the start.
    pub severity: Severity,
    /// Where, in bytes of the file; nowhere in particular when absent.
    pub span: Option<Range<usize>>,
    /// What.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// A part of the file that is not printed, because it may be a secret.
    pub hidden: Option<Range<usize>>,
}

/// Whether a finding stops the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Finding {
    /// Something that stops the start.
    pub fn error(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, span, message: message.into(), help: None, hidden: None }
    }

    /// Something that the operator should know.
    pub fn warning(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// This finding, with what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// This finding, with a part of the file that is not printed.
    #[must_use]
    pub fn hiding(mut self, part: Range<usize>) -> Self {
        self.hidden = Some(part);
        self
    }
}

/// Everything that was found in one file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// What the file is called, as the operator wrote it.
    pub name: String,
    /// The text of the file.
    pub source: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// A configuration that cannot be used. Prints every finding with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadConfig(pub Findings);

impl Findings {
    /// Line and column of a place, both from 1; columns count characters.
    pub fn position(&self, at: usize) -> (usize, usize) {
        let before = self.source.get(..at.min(self.source.len())).unwrap_or(&self.source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// How many findings stop the start.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    fn write_place(&self, f: &mut fmt::Formatter<'_>, span: &Range<usize>, hidden: Option<&Range<usize>>) -> fmt::Result {
        let (line, column) = self.position(span.start);
        let start = self.source.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let text = self.source.get(start..).unwrap_or_default().lines().next().unwrap_or_default();
        let end = start + text.len();
        let (shown, carets) = match hidden {
            // The caret stands where the hidden part starts, or under what is left of the span.
            Some(hidden) => {
                let (from, to) = (hidden.start.clamp(start, end), hidden.end.clamp(start, end));
                let head = self.source.get(start..from).unwrap_or_default();
                let tail = self.source.get(to..end).unwrap_or_default();
                (format!("{head}...{tail}"), if span.start < from { span.end.min(from) - span.start } else { 3 })
            }
            None => {
                let marked = self.source.get(span.start..span.end.min(end)).unwrap_or_default();
                (text.to_owned(), marked.chars().count())
            }
        };
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        // Tabs are kept, so that the caret stands under its word on every terminal.
        let indent: String = shown.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{gutter} --> {}:{line}:{column}", self.name)?;
        writeln!(f, " {gutter} |")?;
        writeln!(f, " {number} | {shown}")?;
        writeln!(f, " {gutter} | {indent}{}", "^".repeat(carets.max(1)))
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.findings.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{}: {}", finding.severity.as_str(), finding.message)?;
            let gutter = match &finding.span {
                Some(span) => {
                    self.write_place(f, span, finding.hidden.as_ref())?;
                    " ".repeat(self.position(span.start).0.to_string().len())
                }
                None => {
                    writeln!(f, "  --> {}", self.name)?;
                    " ".into()
                }
            };
            if let Some(help) = &finding.help {
                writeln!(f, " {gutter} = help: {help}")?;
            }
        }
        Ok(())
    }
}
