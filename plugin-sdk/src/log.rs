//! Lines for the plugin log of the attempt.

#[doc(hidden)]
pub use self::sink::write;

/// Writes a debug line to the attempt's plugin log.
#[macro_export]
macro_rules! debug {
    ($($line:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($line)+)) };
}

/// Writes an information line to the attempt's plugin log.
///
/// ```
/// hookwright_plugin::info!("{} fields left out", 3);
/// ```
#[macro_export]
macro_rules! info {
    ($($line:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($line)+)) };
}

/// Writes a warning to the attempt's plugin log.
#[macro_export]
macro_rules! warn {
    ($($line:tt)+) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($line)+)) };
}

/// Writes an error line to the attempt's plugin log.
#[macro_export]
macro_rules! error {
    ($($line:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($line)+)) };
}

#[doc(hidden)]
pub use crate::bindings::log::Level;

#[cfg(target_family = "wasm")]
mod sink {
    pub use crate::bindings::log::write;
}

/// Without a host, in a test, lines go to stderr.
#[cfg(not(target_family = "wasm"))]
mod sink {
    #[doc(hidden)]
    pub fn write(level: super::Level, line: &str) {
        eprintln!("{level:?}: {line}");
    }
}
