//! A log, while it is written or after.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use rezolus_store::cache::Cache;
use rezolus_store::promql::Error;
use rezolus_store::recording::{ParquetPart, Part, Recording};
use rezolus_store::{Labels, Matcher, Metadata, Series, Source};

use super::tail::{Tail, described};
use crate::log::{HEADER_KEY, Header, checksum, files, ticks, told};

/// The folder is looked at no more often than this.
const LEAST_AGE: Duration = Duration::from_millis(500);

/// The folder of a recorder or hindsight. Its segments are opened as they come,
/// and let go when they are deleted; the ticks at hand are read again.
pub struct LogSource {
    folder: PathBuf,
    known: RwLock<Known>,
    /// When the folder was looked at; held while it is.
    looked: Mutex<Instant>,
}

struct Known {
    recording: Recording,
    /// Of the segments, which are the first parts.
    segments: VecDeque<(u64, Arc<ParquetPart>)>,
    /// The last segment that was looked at.
    last: u64,
    /// Parts after those: ticks that are no segment yet.
    tails: usize,
    interval: Duration,
    /// What the newest ticks at hand say of themselves.
    header: Option<Header>,
}

/// What a look at the folder found.
struct Found {
    segments: BTreeMap<u64, PathBuf>,
    /// Of files that are no segment yet.
    ticks: Vec<Tail>,
    header: Option<Header>,
}

impl LogSource {
    /// Opens the log in a folder.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no log.
    pub fn open(folder: &Path, extra: &[(String, String)], cache: Arc<Cache>) -> Result<Self, String> {
        let known = Known {
            recording: Recording::new(extra, cache),
            segments: VecDeque::new(),
            last: 0,
            tails: 0,
            interval: LEAST_AGE,
            header: None,
        };
        let log =
            Self { folder: folder.into(), known: RwLock::new(known), looked: Mutex::new(Instant::now()) };
        let found = log.find()?;
        if found.segments.is_empty() && found.ticks.is_empty() {
            return Err(format!("{}: this folder is not a log, or an empty one", folder.display()));
        }
        log.take(found);
        Ok(log)
    }

    /// Looks at the folder again if the last look was an interval ago.
    fn refresh(&self) -> Result<(), Error> {
        let mut looked = self.looked.lock();
        if looked.elapsed() >= self.known.read().interval {
            self.take(self.find().map_err(Error::execution)?);
            *looked = Instant::now();
        }
        Ok(())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What its recording would say of its sources so far.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let header = self.header().map(|header| header.metadata).unwrap_or_default();
        header.into_iter().chain(told(&self.folder)).collect()
    }

    /// What whoever writes it says of itself.
    pub fn header(&self) -> Option<Header> {
        let known = self.known.read();
        known.header.clone().or_else(|| {
            let (_, segment) = known.segments.back()?;
            let keys = segment.keys().ok()?;
            let (_, text) = keys.iter().find(|(key, _)| key == HEADER_KEY)?;
            serde_json::from_str(text).ok()
        })
    }

    /// As if an interval had passed.
    #[cfg(test)]
    pub fn look_again(&self) {
        let mut looked = self.looked.lock();
        self.take(self.find().unwrap());
        *looked = Instant::now();
    }

    fn find(&self) -> Result<Found, String> {
        let fail = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        // Ticks first: while we look they may become a segment, not the reverse.
        let loose: Vec<_> = files(&self.folder, "ticks")
            .map_err(fail)?
            .into_iter()
            .map(|(number, path)| (number, ticks::read(&path)))
            .collect();
        let segments = files(&self.folder, "parquet").map_err(fail)?;
        let mut found = Found { segments, ticks: Vec::new(), header: None };
        for (number, contents) in loose {
            let Ok(contents) = contents else { continue };
            let interval = contents.header.interval_ns;
            found.header = Some(contents.header);
            if !found.segments.contains_key(&number) {
                let columns = Arc::new(described(&contents.columns, &[]));
                let interval = i64::try_from(interval).unwrap_or(i64::MAX);
                found.ticks.extend(Tail::new(Arc::new(contents.columns), columns, interval));
            }
        }
        Ok(found)
    }

    fn take(&self, found: Found) {
        // Opened without keeping those who ask from what is known.
        let (last, mut like) = {
            let known = self.known.read();
            (known.last, known.segments.back().map(|(_, part)| part.clone()))
        };
        let mut new = Vec::new();
        for (&number, path) in found.segments.iter().filter(|(number, _)| **number > last) {
            let checked = checksum::check(path).map_err(|why| format!("{}: {why}", path.display()));
            match checked.and_then(|()| ParquetPart::open(path, like.as_deref())) {
                Ok(part) => {
                    let part = Arc::new(part);
                    like = Some(part.clone());
                    new.push((number, part));
                }
                // Deleted meanwhile, or damaged; the rest is as good as before.
                Err(why) => tracing::warn!("{why}; it is left out"),
            }
        }
        let mut known = self.known.write();
        for _ in 0..std::mem::take(&mut known.tails) {
            known.recording.pop_back();
        }
        while known.segments.front().is_some_and(|(first, _)| !found.segments.contains_key(first)) {
            known.segments.pop_front();
            known.recording.pop_front();
        }
        for (number, part) in new {
            known.segments.push_back((number, part.clone()));
            known.recording.push(part);
        }
        // An emptied folder may begin anew.
        known.last = found.segments.keys().next_back().copied().unwrap_or_default();
        known.tails = found.ticks.len();
        for tail in found.ticks {
            known.recording.push(Arc::new(tail) as Arc<dyn Part>);
        }
        if let Some(header) = found.header {
            known.interval = Duration::from_nanos(header.interval_ns).max(LEAST_AGE);
            known.header = Some(header);
        }
    }
}

impl Source for LogSource {
    fn select(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Series>, Error> {
        self.refresh()?;
        self.known.read().recording.select(matchers, start, end)
    }

    fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>, Error> {
        self.refresh()?;
        self.known.read().recording.series(matchers, start, end)
    }

    fn metadata(&self) -> BTreeMap<String, Metadata> {
        let _ = self.refresh();
        self.known.read().recording.metadata()
    }

    fn seams(&self, start: i64, end: i64) -> Vec<i64> {
        self.known.read().recording.seams(start, end)
    }

    fn range(&self) -> Option<(i64, i64)> {
        let _ = self.refresh();
        self.known.read().recording.range()
    }
}
