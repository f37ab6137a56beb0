//! Cobertura XML: `class` elements with a `filename`, relative to one of the `source` folders, and their `line`s.

use quick_xml::events::BytesStart;

use super::{
    super::{
        Around, Broken, place,
        place::Place,
        plain,
        source::Source,
        xml::{self, attribute},
    },
    Collector, Measured, ran,
};

/// Most source folders, and most bytes of one.
const MAX_SOURCES: usize = 64;
const MAX_SOURCE: usize = 4096;

pub(super) fn read(source: &dyn Source, around: &Around<'_>) -> Result<Measured, Broken> {
    let mut document = Document::default();
    xml::walk("Cobertura", &["coverage"], source, &mut document)?;
    let folders: Vec<String> =
        document.sources.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect();
    Ok(document.collector.finish(|name| path(name, &folders, around)))
}

/// The path of a class's file. The tool says in which folders it looked, not in which it found the file:
/// if several may be meant it is the first that has such a file. A tool that ran somewhere else (in a
/// container of its own) names folders that are not here; then the name is taken as relative to the work tree.
fn path(name: &str, folders: &[String], around: &Around<'_>) -> Option<String> {
    let inside = |name: &str| match place::of_path(name, around.root) {
        Place::Inside(path) => Some(path),
        Place::Nowhere | Place::Outside(_) => None,
    };
    if name.starts_with('/') {
        return inside(name);
    }
    let mut candidates: Vec<String> =
        folders.iter().filter_map(|folder| inside(&format!("{}/{name}", folder.trim_end_matches('/')))).collect();
    candidates.dedup();
    if candidates.len() > 1 {
        let found = candidates.iter().position(|path| (around.lines)(path, 1).is_some());
        return Some(candidates.swap_remove(found.unwrap_or(0)));
    }
    candidates.pop().or_else(|| inside(name))
}

#[derive(Default)]
struct Document {
    sources: Vec<String>,
    /// Depth of the source folder whose text is being collected.
    saying: Option<usize>,
    /// Depth and file of the open class.
    class: Option<(usize, String)>,
    collector: Collector,
}

impl xml::Sink for Document {
    fn open(&mut self, element: &BytesStart<'_>, depth: usize) -> Result<(), Broken> {
        match (element.local_name().as_ref(), &self.class) {
            ("source", None) => {
                if self.sources.len() >= MAX_SOURCES {
                    return Err(Broken::invalid(format!("more than {MAX_SOURCES} source folders")));
                }
                self.sources.push(String::new());
                self.saying = Some(depth);
                Ok(())
            }
            ("class", None) => {
                let file = attribute(element, "filename").into_owned();
                if file.is_empty() {
                    return Err(Broken::invalid("a class has no filename"));
                }
                self.collector.file(&file)?;
                self.class = Some((depth, file));
                Ok(())
            }
            ("line", Some((_, file))) => {
                let (number, hits) = (attribute(element, "number"), attribute(element, "hits"));
                let wrong = |what: &str, value: &str| {
                    let (file, value) = (plain(file, 200), plain(value, 50));
                    Broken::invalid(format!("{file}: {what} of a line is {value:?}, not a whole number"))
                };
                let line = number.trim().parse::<u32>().map_err(|_| wrong("number", &number))?;
                let ran = ran(&hits).ok_or_else(|| wrong("hits", &hits))?;
                self.collector.line(file, line, ran)
            }
            _ => Ok(()),
        }
    }

    fn say(&mut self, text: &str) {
        if let (Some(_), Some(source)) = (self.saying, self.sources.last_mut()) {
            let room = MAX_SOURCE.saturating_sub(source.len());
            source.push_str(&text[..text.floor_char_boundary(room)]);
        }
    }

    fn close(&mut self, depth: usize) -> Result<(), Broken> {
        self.saying.take_if(|saying| *saying == depth);
        self.class.take_if(|class| class.0 == depth);
        Ok(())
    }
}
