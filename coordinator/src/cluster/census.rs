//! How all Nodes are, in the fewest bytes: as the table that `kubectl get nodes` prints, without the objects. A list of the objects
//! themselves is a hundred times as large in a cluster of thousands, and a roll wants to know before each machine.

use http::{Request, header::ACCEPT};
use kube::core::request::Error;
use serde::Deserialize;
use serde_json::Value;

use super::{Cluster, ClusterError};
use crate::facts::Census;

/// The table if the server can make one (all do since Kubernetes 1.10), else the objects: a proxy may not let it through.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

const PATH: &str = "/api/v1/nodes?includeObject=None";

/// `meta.k8s.io/v1` `Table`, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Table {
    column_definitions: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Row {
    cells: Vec<Value>,
}

impl Cluster {
    /// How many Nodes there are, which of them are not Ready, and how many are cordoned.
    ///
    /// # Errors
    ///
    /// If the API does not answer or forbids it.
    pub async fn census(&self) -> Result<Census, ClusterError> {
        let doing = "look at all nodes";
        let request = || Request::get(PATH).header(ACCEPT, TABLE).body(Vec::new());
        let table: Table = self
            .patiently(doing, || async {
                let request = request().map_err(|error| kube::Error::BuildRequest(Error::BuildRequest(error)))?;
                self.client.request(request).await
            })
            .await?;
        match census_of(&table) {
            Some(census) => Ok(census),
            None => Ok(Census::of(self.nodes().await?.values())),
        }
    }
}

/// None if the table has not the columns that say how a Node is.
fn census_of(table: &Table) -> Option<Census> {
    let column = |name: &str| table.column_definitions.iter().position(|column| column.name == name);
    let (name, status) = (column("Name")?, column("Status")?);
    let mut census = Census::default();
    for Row { cells } in &table.rows {
        let name = cells.get(name)?.as_str()?;
        let words: Vec<_> = cells.get(status)?.as_str()?.split(',').collect();
        census.count(name, words.contains(&"Ready"), words.contains(&"SchedulingDisabled"));
    }
    Some(census)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_words_of_kubectls_table_say_how_each_node_is() {
        let table = json!({
            "kind": "Table",
            "columnDefinitions": [{"name": "Name", "type": "string"}, {"name": "Status"}, {"name": "Roles"}],
            "rows": [
                {"cells": ["w1", "Ready", "<none>"]},
                {"cells": ["w2", "Ready,SchedulingDisabled", "<none>"]},
                {"cells": ["w3", "NotReady,SchedulingDisabled", "<none>"], "object": null},
                {"cells": ["w4", "Unknown", "<none>"]},
            ],
        });
        let census = census_of(&serde_json::from_value(table).unwrap()).unwrap();
        assert_eq!((census.nodes, census.cordoned), (4, 2));
        assert_eq!(census.not_ready.into_iter().collect::<Vec<_>>(), ["w3", "w4"]);
    }

    #[test]
    fn a_list_of_objects_is_no_table() {
        let list = json!({"kind": "NodeList", "items": [{"metadata": {"name": "w1"}}]});
        assert!(census_of(&serde_json::from_value(list).unwrap()).is_none());
    }
}
