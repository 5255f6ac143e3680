//! The little Markdown that a file of the catalogue is made of: a fenced head, a title, a text, sections.

use super::EntryError;

/// A file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The TOML between the fences.
    pub head: String,
    /// The text of the `# ` line.
    pub title: String,
    /// What stands between the title and the first section.
    pub summary: String,
    /// Headings of second order and what stands below them.
    pub sections: Vec<(String, String)>,
}

impl Page {
    /// Takes a file apart.
    ///
    /// # Errors
    ///
    /// Says what the file lacks. Headings inside fenced code are text.
    pub fn read(text: &str) -> Result<Self, EntryError> {
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim_end()));
        if lines.find(|(_, line)| !line.is_empty()).is_none_or(|(_, line)| line != "```toml") {
            return Err(EntryError::NoHead);
        }
        let mut head = String::new();
        loop {
            let (_, line) = lines.next().ok_or(EntryError::OpenHead)?;
            if line == "```" {
                break;
            }
            head.push_str(line);
            head.push('\n');
        }
        let (mut title, mut sections, mut summary) =
            (None, Vec::<(String, String)>::new(), String::new());
        let mut fenced = false;
        for (number, line) in lines {
            fenced ^= line.trim_start().starts_with("```");
            let heading = |mark: &str| {
                line.strip_prefix(mark).filter(|_| !fenced).map(|text| text.trim().to_owned())
            };
            if let Some(text) = heading("# ") {
                if title.is_some() {
                    return Err(EntryError::Title { line: number });
                }
                title = Some(text);
            } else if let Some(text) = heading("## ") {
                sections.push((text, String::new()));
            } else {
                if title.is_none() && !line.is_empty() {
                    return Err(EntryError::Title { line: number });
                }
                let to = sections.last_mut().map_or(&mut summary, |(_, text)| text);
                to.push_str(line);
                to.push('\n');
            }
        }
        let title = title.filter(|title| !title.is_empty()).ok_or(EntryError::NoTitle)?;
        let summary = summary.trim().to_owned();
        if summary.is_empty() {
            return Err(EntryError::NoSummary);
        }
        for (_, text) in &mut sections {
            *text = text.trim().to_owned();
        }
        Ok(Self { head, title, summary, sections })
    }
}
