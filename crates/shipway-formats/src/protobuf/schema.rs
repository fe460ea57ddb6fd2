//! The text of `.proto` files to descriptors, without touching a disk.

use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::{
    Compiler, Error,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};

/// A `.proto` text and those that it imports.
#[derive(Debug)]
pub(crate) struct Schema {
    file: FileDescriptor,
}

/// The most brackets that may be open at one place of a `.proto` text: the compiler goes as deep as these do.
const DEEPEST: usize = 64;

/// The name that the text itself has for its compiler. A registry gives it none, and no import names it.
const OWN_NAME: &str = "shipway/schema.proto";

impl Schema {
    /// Compiles `text`; each of `imports` has the name that it is imported by.
    pub(crate) fn compile(text: &str, imports: Vec<(String, String)>) -> Result<Self, String> {
        for text in imports.iter().map(|(_, text)| text.as_str()).chain([text]) {
            check_depth(text)?;
        }
        let mut files = imports;
        files.push((OWN_NAME.to_owned(), text.to_owned()));
        let mut resolver = ChainFileResolver::new();
        resolver.add(Texts(files));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        compiler.open_file(OWN_NAME).map_err(|error| format!("not a .proto text: {error}"))?;
        let pool: DescriptorPool = compiler.descriptor_pool();
        let file = pool.get_file_by_name(OWN_NAME).ok_or("not a .proto text")?;
        Ok(Self { file })
    }

    /// The message that a user names; or the only one there is.
    pub(crate) fn message(&self, name: Option<&str>) -> Result<MessageDescriptor, String> {
        if let Some(name) = name {
            let found = self.file.parent_pool().get_message_by_name(name);
            return found.ok_or_else(|| format!("it has no message {name}"));
        }
        let mut messages = self.file.messages();
        match (messages.next(), messages.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err("it has no message".to_owned()),
            (Some(_), Some(_)) => Err("it has several messages; say which with message".to_owned()),
        }
    }

    /// The message at `indexes`: that of the file, then one in the other.
    pub(crate) fn message_at(&self, indexes: &[usize]) -> Option<MessageDescriptor> {
        let (first, rest) = indexes.split_first()?;
        rest.iter().try_fold(self.file.messages().nth(*first)?, |message, index| {
            // Entries of maps are messages to the compiler, not to the one who wrote the text.
            message.child_messages().filter(|child| !child.is_map_entry()).nth(*index)
        })
    }
}

fn check_depth(text: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' | b'<' => depth += 1,
            b'}' | b']' | b')' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!("more than {DEEPEST} brackets are open at once"));
        }
    }
    Ok(())
}

/// Texts by the names that they are imported by.
struct Texts(Vec<(String, String)>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        let found = self.0.iter().find(|(known, _)| known == name);
        let (_, text) = found.ok_or_else(|| Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}
