//! What Linux tells about this machine and its processes.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

/// Of `/proc/<pid>/stat`, the same on every Linux machine.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time that a process has used, in user and kernel mode, in steps of 10 ms.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = stat(pid)?;
    Ok(ticks(stat.own))
}

/// As [`cpu_time`], of a process and all children that it has or had.
pub fn cpu_time_with_children(pid: u32) -> anyhow::Result<Duration> {
    let Stat { own, ended_children, .. } = stat(pid)?;
    let mut sum = own + ended_children;
    for entry in fs::read_dir("/proc")? {
        let Some(other) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may end meanwhile.
        if let Ok(stat) = stat(other)
            && stat.parent == pid
        {
            sum += stat.own;
        }
    }
    Ok(ticks(sum))
}

/// Of `/proc/<pid>/stat`, in ticks.
struct Stat {
    parent: u32,
    own: u64,
    ended_children: u64,
}

fn stat(pid: u32) -> anyhow::Result<Stat> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything. After it come the state, the parent as the 4th field, and utime, stime,
    // cutime and cstime as the 14th and the following.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().take(15).collect();
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
    let read = || {
        Some(Stat {
            parent: u32::try_from(number(4)?).ok()?,
            own: number(14)? + number(15)?,
            ended_children: number(16)? + number(17)?,
        })
    };
    read().with_context(|| format!("/proc/{pid}/stat is not what it used to be"))
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count * 1_000 / TICKS_PER_SECOND)
}

/// Memory of a process in MiB, by the kernel's name for it: `VmRSS`, or `VmHWM` for its peak.
pub fn memory(pid: u32, name: &str) -> anyhow::Result<f64> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(name)).context("no such figure in /proc")?;
    let kib: f64 = line.split_whitespace().nth(1).unwrap_or_default().parse()?;
    Ok(kib / 1_024.0)
}

/// Forgets the peak so far.
pub fn reset_peak(pid: u32) {
    // Needs no permission for a child of this user; where it fails the peak holds the start as well.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// One line for the head of a report.
pub fn describe() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{} processors ({}), load before {}",
        thread::available_parallelism().map_or(1, usize::from),
        model.map_or("unknown", |(_, name)| name.trim()),
        load.split(' ').next().unwrap_or("unknown"),
    )
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{path} cannot be read; these benchmarks need Linux"))
}
