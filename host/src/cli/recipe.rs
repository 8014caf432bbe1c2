//! Recipes: flows from an event to a service that people know, as files for `apply`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use clap::builder::PossibleValue;
use serde_json::json;

use super::apply::description::Description;
use super::screen::say;
use super::table::Table;

/// One flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    pub name: &'static str,
    /// TOML for `apply`, a comment first that begins with a sentence of what it does.
    pub text: &'static str,
}

macro_rules! recipes {
    ($($name:literal),* $(,)?) => {
        pub const ALL: &[Recipe] = &[
            $(Recipe { name: $name, text: include_str!(concat!("../../presets/recipes/", $name, ".toml")) },)*
        ];
    };
}

recipes![
    "contract-to-slack",
    "document-to-feishu",
    "document-to-make",
    "document-to-sheets",
    "document-to-slack",
    "insight-to-jira",
    "lead-to-crm",
    "lead-to-make",
    "lead-to-zapier",
    "sensitive-to-audit",
    "sync-to-elt",
];

/// Flows that are ready to use, as files for `apply`
#[derive(Debug, clap::Args)]
pub struct Recipes {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what there is
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a recipe to stdout, or into a file to be changed and applied
    Show {
        /// The recipe
        name: Recipe,
        /// The file, which must not exist
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

impl Recipes {
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::List { json: true } => Ok(say(&as_json())?),
            Command::List { json: false } => Ok(say(&as_table())?),
            Command::Show { name, output: None } => Ok(say(name.text)?),
            Command::Show { name, output: Some(file) } => {
                let written = OpenOptions::new().write(true).create_new(true).open(&file);
                let written = written.and_then(|mut opened| opened.write_all(name.text.as_bytes()));
                written.with_context(|| format!("{} cannot be written", file.display()))
            }
        }
    }
}

impl Recipe {
    /// What it does, in a sentence.
    pub fn about(self) -> String {
        let comment = self.text.lines().map_while(|line| line.strip_prefix("# "));
        comment.collect::<Vec<_>>().join(" ")
    }

    /// The variables of the environment that it reads, by name.
    fn variables(self) -> Vec<String> {
        let read = RefCell::new(BTreeSet::new());
        let variable = |name: &str| {
            read.borrow_mut().insert(name.to_owned());
            Some(String::new())
        };
        // One that cannot be read has none; a test reads all.
        let _ = Description::parse(self.text, variable);
        read.into_inner().into_iter().collect()
    }
}

fn as_table() -> String {
    let mut table = Table::new(["NAME", "NEEDS", "WHAT IT DOES"]);
    for recipe in ALL {
        table.row([recipe.name.to_owned(), recipe.variables().join(" "), recipe.about()]);
    }
    format!(
        "{table}\nApply one as it stands with `hookwright apply --recipe NAME`, its variables set; or write it into a file \
         with `hookwright recipe show NAME -o FILE` and change it first."
    )
}

fn as_json() -> String {
    let recipes: Vec<_> = ALL
        .iter()
        .map(|recipe| json!({"name": recipe.name, "about": recipe.about(), "variables": recipe.variables()}))
        .collect();
    json!({ "recipes": recipes }).to_string()
}

impl clap::ValueEnum for Recipe {
    fn value_variants<'a>() -> &'a [Self] {
        ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name).help(self.about()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_says_what_it_does_and_can_be_read() {
        for recipe in ALL {
            let read = Description::parse(recipe.text, |_| Some("x".to_owned()));
            let read = read.unwrap_or_else(|error| panic!("{}: {error:#}", recipe.name));
            assert_eq!(read.endpoints.len(), 1, "{}", recipe.name);
            assert!(recipe.about().ends_with('.'), "{}: {}", recipe.name, recipe.about());
            assert!(!recipe.variables().is_empty(), "{}", recipe.name);
        }
    }

    #[test]
    fn every_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/presets/recipes");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let mut files: Vec<String> =
            files.map(|name| name.to_string_lossy().trim_end_matches(".toml").to_owned()).collect();
        files.sort();
        assert_eq!(files, ALL.iter().map(|recipe| recipe.name).collect::<Vec<_>>());
    }
}
