//! Presets: what known systems promise their customers, as data.

use clap::builder::PossibleValue;

/// One system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    pub name: &'static str,
    pub about: &'static str,
    /// TOML: `[settings]` for the configuration, and the rest for `apply`.
    pub text: &'static str,
}

pub const ALL: [Preset; 4] = [
    Preset {
        name: "recordskeeper",
        about: "RecordsKeeper.AI: records, files, syncs and insights",
        text: include_str!("../../presets/recordskeeper.toml"),
    },
    Preset {
        name: "revkeen",
        about: "RevKeen: payments, signed over the body as JavaScript writes it",
        text: include_str!("../../presets/revkeen.toml"),
    },
    Preset {
        name: "rkt",
        about: "RKT chatbots: an envelope, and endpoints at /api/webhooks-config",
        text: include_str!("../../presets/rkt.toml"),
    },
    Preset {
        name: "recordengine",
        about: "RecordEngine: seven channels with one token",
        text: include_str!("../../presets/recordengine.toml"),
    },
];

impl Preset {
    /// The settings of the host, and what `apply` makes of a server: two files' texts.
    pub fn split(self) -> (String, String) {
        let Some((head, rest)) = self.text.split_once("[settings]\n") else {
            return (String::new(), self.text.to_owned());
        };
        let (settings, rest) = rest.split_once("\n\n").unwrap_or((rest, ""));
        (format!("{settings}\n"), format!("{head}{rest}"))
    }
}

impl clap::ValueEnum for Preset {
    fn value_variants<'a>() -> &'a [Self] {
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name).help(self.about))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::apply::description::Description;

    #[test]
    fn every_preset_can_be_read() {
        for preset in ALL {
            let (settings, catalogue) = preset.split();
            assert!(settings.parse::<toml::Table>().is_ok_and(|table| !table.is_empty()), "{}", preset.name);
            let read = Description::parse(&catalogue, |_| Some("x".to_owned()));
            let read = read.unwrap_or_else(|error| panic!("{}: {error:#}", preset.name));
            assert!(!read.event_types.is_empty() && read.host.is_some(), "{}", preset.name);
            assert!(!catalogue.contains("[settings]"), "{}", preset.name);
        }
    }
}
