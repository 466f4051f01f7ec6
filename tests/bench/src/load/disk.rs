//! What the machine can do: files made durable, as a Maildir is written.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::Fault;
use crate::args::DiskOptions;
use crate::report::{Report, processor_time};

/// Octets of a file.
const SIZE: usize = 4096;

/// Each thread makes a file in `tmp`, syncs it, renames it into `new`, and syncs
/// that, until the time is over.
///
/// # Errors
/// What the disk says.
pub fn run(options: &DiskOptions) -> Result<Report, Fault> {
    for folder in ["", "tmp", "new"] {
        fs::create_dir(options.folder.join(folder))?;
    }
    let new = options.folder.join("new");
    let one = |thread: usize, number: usize, folder: &File| -> io::Result<()> {
        let name = format!("{thread}.{number}");
        let path = options.folder.join("tmp").join(&name);
        let mut file = File::create_new(&path)?;
        file.write_all(&[b'x'; SIZE])?;
        file.sync_all()?;
        fs::rename(&path, new.join(&name))?;
        folder.sync_all()
    };
    let (begin, wall, used) = (Instant::now(), SystemTime::now(), processor_time());
    let end = begin + Duration::try_from_secs_f64(options.seconds)?;
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads.max(1))
            .map(|thread| {
                let (all, new, one) = (&all, &new, &one);
                scope.spawn(move || -> io::Result<()> {
                    let folder = File::open(new)?;
                    let mut times = Vec::new();
                    while Instant::now() < end {
                        let since = Instant::now();
                        one(thread, times.len(), &folder)?;
                        times.push(since.elapsed());
                    }
                    if let Ok(mut all) = all.lock() {
                        all.extend(times);
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        })
    })?;
    let time = begin.elapsed();
    let mut times = all.into_inner().unwrap_or_default();
    times.sort_unstable();
    Ok(Report {
        begin: wall,
        time,
        times,
        failed: 0,
        connections: 0,
        processor: processor_time().saturating_sub(used),
        octets: (0, 0),
    })
}
