//! What a file says that a server should be.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

/// Most bytes of a file.
const FILE_LIMIT: u64 = 16 << 20;

/// The tables of a file, in the order in which they are applied.
const TABLES: [&str; 6] = ["settings", "host", "tenants", "versions", "event_types", "endpoints"];

/// The tenant of an endpoint that names none.
const DEFAULT_TENANT: &str = "default";

/// A file, its variables replaced.
#[derive(Debug, Default, PartialEq)]
pub struct Description {
    /// As for `PATCH /v1/host`.
    pub host: Option<Object>,
    /// By name, as for `PATCH /v1/tenants/{name}`.
    pub tenants: Vec<(String, Object)>,
    /// As for `PUT /v1/versions`.
    pub versions: Option<Value>,
    /// By name, as for `PUT /v1/event-types/{name}`; samples and schema are JSON texts.
    pub event_types: Vec<(String, Object)>,
    /// As for `POST /v1/endpoints`; each has a tenant and a name.
    pub endpoints: Vec<Endpoint>,
}

pub type Object = Map<String, Value>;

#[derive(Debug, PartialEq)]
pub struct Endpoint {
    pub tenant: String,
    pub name: String,
    pub members: Object,
}

impl Endpoint {
    /// What holds after the endpoint was made, too. A secret is brought along once; from then on it is rotated.
    pub fn lasting(&self) -> Object {
        let mut members = self.members.clone();
        members.remove("secret");
        members
    }
}

impl Description {
    /// `variable` looks a variable of the environment up.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is not TOML, a table or member that has no place in it, a variable that is not
    /// set: as a sentence with its place.
    pub fn read(path: &Path, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let shown = path.display();
        let size = std::fs::metadata(path).with_context(|| format!("{shown} cannot be read"))?.len();
        if size > FILE_LIMIT {
            bail!("{shown} has more than {FILE_LIMIT} bytes; is it the right file?");
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
        Self::parse(&text, variable).with_context(|| format!("{shown} cannot be applied"))
    }

    /// As [`Description::read`], of a text.
    pub fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let file: toml::Table = text.parse().context("it is not TOML")?;
        if let Some(unknown) = file.keys().find(|name| !TABLES.contains(&name.as_str())) {
            bail!("there is no table `{unknown}`; there are `{}`", TABLES.join("`, `"));
        }
        let mut read = Reader { variable: &variable, file };
        Ok(Self {
            host: read.table("host")?,
            tenants: read.tenants()?,
            versions: read.take("versions")?,
            event_types: read.event_types()?,
            endpoints: read.endpoints()?,
        })
    }

    /// The tenants that the file says something about.
    pub fn concerned(&self) -> Vec<&str> {
        let mut tenants: Vec<&str> = self.endpoints.iter().map(|endpoint| endpoint.tenant.as_str()).collect();
        tenants.extend(self.tenants.iter().map(|(name, _)| name.as_str()));
        tenants.sort_unstable();
        tenants.dedup();
        tenants
    }
}

struct Reader<'v> {
    variable: &'v dyn Fn(&str) -> Option<String>,
    file: toml::Table,
}

impl Reader<'_> {
    fn take(&mut self, name: &str) -> anyhow::Result<Option<Value>> {
        self.file.remove(name).map(|value| self.value(name, value)).transpose()
    }

    fn table(&mut self, name: &str) -> anyhow::Result<Option<Object>> {
        self.take(name)?.map(|value| object(name, value)).transpose()
    }

    fn list(&mut self, name: &str) -> anyhow::Result<Vec<Object>> {
        let items = match self.take(name)? {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => bail!("`{name}` is not a list of tables: write [[{name}]]"),
        };
        let at = |index| format!("{name}[{index}]");
        items.into_iter().enumerate().map(|(index, item)| object(&at(index), item)).collect()
    }

    fn tenants(&mut self) -> anyhow::Result<Vec<(String, Object)>> {
        let tenants = self.table("tenants")?.unwrap_or_default().into_iter();
        tenants.map(|(name, value)| Ok((name.clone(), object(&format!("tenants.{name}"), value)?))).collect()
    }

    fn event_types(&mut self) -> anyhow::Result<Vec<(String, Object)>> {
        let types = self.list("event_types")?.into_iter().enumerate();
        types
            .map(|(index, mut members)| {
                let name = text(&mut members, "name")?;
                Ok((name.with_context(|| format!("event_types[{index}] has no `name`"))?, members))
            })
            .collect()
    }

    fn endpoints(&mut self) -> anyhow::Result<Vec<Endpoint>> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for (index, mut members) in self.list("endpoints")?.into_iter().enumerate() {
            let name = text(&mut members, "name")?;
            let name = name.with_context(|| format!("endpoints[{index}] has no `name`"))?;
            let tenant = text(&mut members, "tenant")?.unwrap_or_else(|| DEFAULT_TENANT.to_owned());
            if endpoints.iter().any(|other| other.name == name && other.tenant == tenant) {
                bail!(
                    "two endpoints of the tenant `{tenant}` are named `{name}`; a file tells them by their names"
                );
            }
            endpoints.push(Endpoint { tenant, name, members });
        }
        Ok(endpoints)
    }

    /// As JSON, variables replaced.
    fn value(&self, at: &str, value: toml::Value) -> anyhow::Result<Value> {
        Ok(match value {
            toml::Value::String(text) => Value::String(text),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => number.into(),
            toml::Value::Boolean(truth) => truth.into(),
            toml::Value::Datetime(time) => Value::String(time.to_string()),
            toml::Value::Array(items) => {
                let at = |index| format!("{at}[{index}]");
                let items = items.into_iter().enumerate().map(|(index, item)| self.value(&at(index), item));
                Value::Array(items.collect::<anyhow::Result<_>>()?)
            }
            toml::Value::Table(table) if is_variable(&table) => Value::String(self.variable(at, &table)?),
            toml::Value::Table(table) => {
                let members = table.into_iter().map(|(name, value)| {
                    let value = self.value(&format!("{at}.{name}"), value)?;
                    anyhow::Ok((name, value))
                });
                Value::Object(members.collect::<anyhow::Result<_>>()?)
            }
        })
    }

    fn variable(&self, at: &str, table: &toml::Table) -> anyhow::Result<String> {
        let word = |name| table.get(name).and_then(toml::Value::as_str);
        let Some(name) = word("env") else { bail!("{at}.env must be the name of a variable") };
        let found = (self.variable)(name).or_else(|| word("default").map(str::to_owned));
        found.with_context(|| format!("{name} is not set; set it in the environment, or remove {at}"))
    }
}

/// `{ env = "NAME" }`, with or without a `default`.
fn is_variable(table: &toml::Table) -> bool {
    table.contains_key("env") && table.keys().all(|name| name == "env" || name == "default")
}

fn object(at: &str, value: Value) -> anyhow::Result<Object> {
    match value {
        Value::Object(members) => Ok(members),
        _ => bail!("`{at}` is not a table"),
    }
}

fn text(members: &mut Object, name: &str) -> anyhow::Result<Option<String>> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => bail!("`{name}` is not a text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> anyhow::Result<Description> {
        Description::parse(text, |name| (name == "TOKEN").then(|| "hunter2".to_owned()))
    }

    #[test]
    fn variables_are_replaced() {
        let read = parse(
            "[tenants.acme]\nauth = { type = \"bearer\", token = { env = \"TOKEN\" } }\n\
             [[endpoints]]\nname = \"a\"\nurl = { env = \"URL\", default = \"https://a.example\" }\n",
        )
        .unwrap();
        assert_eq!(read.tenants[0].1["auth"], json!({"type": "bearer", "token": "hunter2"}));
        assert_eq!(read.endpoints[0].members["url"], "https://a.example");
        assert_eq!(read.endpoints[0].tenant, "default");
        assert_eq!(read.concerned(), ["acme", "default"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let table = [
            ("[endpoint]\n", "no table `endpoint`"),
            ("[[endpoints]]\nurl = \"x\"\n", "endpoints[0] has no `name`"),
            ("[endpoints]\nname = \"x\"\n", "write [[endpoints]]"),
            ("[[endpoints]]\nname = \"x\"\n[[endpoints]]\nname = \"x\"\n", "two endpoints"),
            ("[host]\nauth = { env = \"NOPE\" }\n", "NOPE is not set"),
            ("tenants = 1\n", "`tenants` is not a table"),
            ("= 1", "not TOML"),
        ];
        for (text, expected) in table {
            let error = format!("{:#}", parse(text).expect_err(text));
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
