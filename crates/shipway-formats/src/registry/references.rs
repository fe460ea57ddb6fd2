//! What a schema builds on, gathered from the registry: each text once, and after all those that it uses itself.

use std::collections::{HashMap, HashSet};

use futures::{FutureExt as _, future::BoxFuture};

use super::{
    Fetched, Missing, RegistryClient,
    client::{Reference, Registered},
};

/// How long a chain of schemas may be that build on each other, and how many there may be in all.
const DEEPEST: u32 = 16;
const MOST: usize = 100;

impl RegistryClient {
    /// The schema of `id` with everything that it builds on.
    pub(crate) async fn fetch(&self, id: u32) -> Result<Fetched, Missing> {
        let registered = self.schema(id).await?;
        let schema_type = registered.schema_type().map_err(Missing::Unusable)?;
        let mut gathered =
            Gathered { client: self, versions: HashMap::new(), names: HashSet::new(), texts: Vec::new() };
        gathered.all(&registered, 1).await?;
        Ok(Fetched { schema_type, text: registered.schema, references: gathered.texts })
    }
}

struct Gathered<'a> {
    client: &'a RegistryClient,
    /// What was asked for already, and the version that stands for each subject.
    versions: HashMap<String, i64>,
    names: HashSet<String>,
    texts: Vec<(String, String)>,
}

impl Gathered<'_> {
    fn all<'f>(&'f mut self, registered: &'f Registered, depth: u32) -> BoxFuture<'f, Result<(), Missing>> {
        async move {
            for reference in &registered.references {
                self.one(reference, depth).await?;
            }
            Ok(())
        }
        .boxed()
    }

    async fn one(&mut self, reference: &Reference, depth: u32) -> Result<(), Missing> {
        let Reference { name, subject, version } = reference;
        let unusable = |what: String| Err(Missing::Unusable(what));
        if depth > DEEPEST {
            return unusable(format!("schemas build on each other more than {DEEPEST} deep"));
        }
        match self.versions.get(subject) {
            Some(known) if known == version && self.names.contains(name) => return Ok(()),
            Some(known) if known != version => {
                return unusable(format!("it builds on versions {known} and {version} of subject {subject}"));
            }
            _ => {}
        }
        if self.names.len() >= MOST {
            return unusable(format!("it builds on more than {MOST} schemas"));
        }
        self.versions.insert(subject.clone(), *version);
        if !self.names.insert(name.clone()) {
            return unusable(format!("two schemas that it builds on have the name {name}"));
        }
        let registered = match self.client.version(subject, *version).await {
            Ok(registered) => registered,
            Err(Missing::Unknown) => {
                return unusable(format!("version {version} of subject {subject} is not in the registry"));
            }
            Err(other) => return Err(other),
        };
        self.all(&registered, depth + 1).await?;
        self.texts.push((name.clone(), registered.schema));
        Ok(())
    }
}
