//! Metrics of changes.

use std::{ffi::OsString, path::PathBuf};

use serde::Serialize;

/// Where changes tell of themselves for Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// A file in the folder of node-exporter's textfile collector, with `{cluster}` for the cluster's name. None: no file.
    pub textfile: Option<PathBuf>,
}

impl Metrics {
    /// The file for changes of this cluster: `variable`, which an empty text unsets, else the site's.
    pub fn textfile_of(&self, cluster: &str, variable: Option<OsString>) -> Option<PathBuf> {
        let path = match variable {
            Some(path) => Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty()),
            None => self.textfile.clone(),
        }?;
        // A name with a slash in it must not lead to another folder.
        let name = cluster.replace('/', "-");
        Some(path.to_str().map(|path| path.replace("{cluster}", &name).into()).unwrap_or(path))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_file_has_the_clusters_name_and_the_variable_wins_even_if_it_is_empty() {
        let metrics = Metrics { textfile: Some("/m/usher-{cluster}.prom".into()) };
        assert_eq!(metrics.textfile_of("a/eqiad", None).as_deref(), Some(Path::new("/m/usher-a-eqiad.prom")));
        assert_eq!(metrics.textfile_of("eqiad", Some("/v.prom".into())).as_deref(), Some(Path::new("/v.prom")));
        assert_eq!(metrics.textfile_of("eqiad", Some("".into())), None);
        assert_eq!(Metrics::default().textfile_of("eqiad", None), None);
    }
}
