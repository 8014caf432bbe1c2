//! `plugin test`: a plugin's own examples and the cases beside it, in the engine that runs deliveries.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::case::{Case, Ran};
use super::component::Component;
use super::outcome::{Expect, Outcome};
use super::project::Project;
use super::watch::Watch;
use crate::cli::screen::{Paint, indented, one_line, say};
use crate::plugin::{Call, Example, Plugin};

const CASES: &str = "cases";

#[derive(Debug, clap::Args)]
pub struct Test {
    /// Folder of the project, which is built first, or a .wasm file
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    plugin: PathBuf,
    /// Folder of the cases; unless said otherwise `cases` in the project, or beside the file
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Take what the plugin does now for what is expected
    #[arg(long)]
    update: bool,
    /// Test again whenever a file changes
    #[arg(long)]
    watch: bool,
}

/// One example or case, for programs.
#[derive(Serialize)]
struct Tested {
    /// The case's file; none for an example.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    title: String,
    passed: bool,
    /// It was not as expected, and now is what is expected.
    updated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<Expect>,
    came: Expect,
    log: Vec<String>,
    time_us: u128,
    memory_peak: usize,
    #[serde(skip)]
    difference: Option<String>,
}

impl Test {
    pub async fn run(self, json: bool) -> anyhow::Result<()> {
        if !self.watch {
            return self.once(json).await;
        }
        let mut watch = Watch::new(&self.plugin);
        loop {
            if let Err(error) = self.once(json).await {
                eprintln!("error: {error:#}");
            }
            eprintln!("waiting for a change");
            watch.changed().await;
        }
    }

    async fn once(&self, json: bool) -> anyhow::Result<()> {
        let component = Component::of(&self.plugin)?;
        let loaded = component.load().await?;
        let plugin = &loaded.plugin;
        let mut tested = Vec::new();
        for example in &plugin.description().examples {
            tested.push(try_example(plugin, example).await);
        }
        for file in case_files(&self.folder()?)? {
            tested.push(self.try_case(plugin, &file).await?);
        }
        report(plugin, &tested, json)?;
        verdict(&tested)
    }

    fn folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.cases {
            return Ok(folder.clone());
        }
        if self.plugin.is_dir() {
            return Ok(Project::open(&self.plugin)?.cases());
        }
        let beside = self.plugin.parent().unwrap_or(Path::new("")).join(CASES);
        // `dist/name.wasm` has them one folder up.
        let above = self.plugin.parent().and_then(Path::parent).map(|above| above.join(CASES));
        Ok(above.filter(|above| !beside.is_dir() && above.is_dir()).unwrap_or(beside))
    }

    async fn try_case(&self, plugin: &Plugin, file: &Path) -> anyhow::Result<Tested> {
        let mut case = Case::read(file)?;
        let ran = case.run(plugin).await.with_context(|| format!("{} cannot be run", file.display()))?;
        let title = case.title.clone().unwrap_or_else(|| file.display().to_string());
        let mut tested = Tested::of(title, ran, case.expect.clone());
        tested.file = Some(file.to_owned());
        if self.update && !tested.passed {
            case.expect = Some(tested.came.clone());
            case.write(file)?;
            (tested.passed, tested.updated) = (true, true);
        }
        Ok(tested)
    }
}

/// Sorted by name. None where there is no such folder.
fn case_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    Ok(files)
}

async fn try_example(plugin: &Plugin, example: &Example) -> Tested {
    let (event, message) = (example.event(), example.message());
    let run =
        plugin.transform(Call { event, message: &message, config: &example.config, seed: [0; 32] }).await;
    let outcome = match plugin.check_config(&example.config).await {
        Err(errors) => Outcome::Refused(errors),
        Ok(()) => run.result.map_or_else(Outcome::Failed, Outcome::Decided),
    };
    let expected = Outcome::Decided(example.expect.clone());
    let as_expected = outcome == expected;
    let ran = Ran { outcome, log: run.log, time: run.time, memory_peak: run.memory_peak };
    let mut tested = Tested::of(format!("example: {}", example.title), ran, Some(expected.written(None)));
    if !as_expected && tested.passed {
        tested.passed = false;
        tested.difference =
            Some("the white space of its JSON differs; examples count to the byte\n".to_owned());
    }
    tested
}

impl Tested {
    fn of(title: String, ran: Ran, expected: Option<Expect>) -> Self {
        let came = ran.outcome.written(expected.as_ref());
        let difference = match &expected {
            Some(expected) => expected.difference(&came, Paint::stdout()),
            None => Some(format!(
                "it expects nothing yet; `--update` writes what it came to:\n{}\n",
                came.lines()
            )),
        };
        Self {
            file: None,
            title,
            passed: difference.is_none(),
            updated: false,
            expected,
            came,
            log: ran.log.iter().map(|line| format!("{}: {}", line.level.as_str(), line.text)).collect(),
            time_us: ran.time.as_micros(),
            memory_peak: ran.memory_peak,
            difference,
        }
    }

    fn shown(&self, paint: Paint) -> String {
        let mark = match (self.updated, self.passed) {
            (true, _) => paint.odd("updated"),
            (false, true) => paint.good("ok     "),
            (false, false) => paint.bad("FAILED "),
        };
        let cost = format!("{:.1} ms", Duration::from_micros(self.time_us as u64).as_secs_f64() * 1e3);
        let mut text = format!("{mark} {}  {}\n", one_line(&self.title), paint.dim(&cost));
        let Some(difference) = self.difference.as_ref().filter(|_| !self.passed) else { return text };
        if let Some(file) = &self.file {
            text += &format!("        {}\n", file.display());
        }
        text += &indented("        ", difference);
        self.log.iter().for_each(|line| text += &format!("        log {}\n", one_line(line)));
        text
    }
}

fn report(plugin: &Plugin, tested: &[Tested], json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(say(&serde_json::to_string(tested)?)?);
    }
    let paint = Paint::stdout();
    let title = format!("{} {}", one_line(plugin.name()), one_line(plugin.version()));
    let mut text = format!("{}  sha256:{}\n", paint.bold(&title), plugin.digest());
    tested.iter().for_each(|tested| text += &tested.shown(paint));
    Ok(say(&text)?)
}

fn verdict(tested: &[Tested]) -> anyhow::Result<()> {
    let failed: Vec<&Tested> = tested.iter().filter(|tested| !tested.passed).collect();
    if tested.is_empty() {
        bail!("there is nothing to test: the plugin has no examples, and there are no cases");
    }
    if failed.is_empty() {
        eprintln!("{} passed", tested.len());
        return Ok(());
    }
    let hint = match failed.iter().any(|tested| tested.file.is_some()) {
        true => "\nhint: `--update` takes what the plugin does now for what its cases expect",
        false => "",
    };
    bail!("{} of {} did not come to what they say{hint}", failed.len(), tested.len())
}
