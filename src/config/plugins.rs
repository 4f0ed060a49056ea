//! The key `plugins`: of Junebug's plugins, which are classes, the one for nginx has a counterpart (Junebug reference §8).

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::model::JsonObject;

/// An entry of `plugins`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "JsonObject")]
pub enum Plugin {
    /// `junebug.plugins.nginx.NginxPlugin`.
    Nginx(NginxConfig),
}

/// The class of [`Plugin::Nginx`].
const NGINX: &str = "junebug.plugins.nginx.NginxPlugin";

/// How channels that are reached over HTTP are put behind nginx.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NginxConfig {
    /// Name of the virtual host.
    pub server_name: String,
    /// Where its configuration is written.
    #[serde(default = "default_vhost_file")]
    pub vhost_file: PathBuf,
    /// Where each channel's location is written, `CHANNEL.conf`.
    #[serde(default = "default_locations_dir")]
    pub locations_dir: PathBuf,
    /// A file with placeholders `%(server_name)s` and `%(includes)s`, in place of the built-in one.
    #[serde(default)]
    pub vhost_template: Option<PathBuf>,
    /// A file with placeholders `%(external_path)s` and `%(internal_url)s`, in place of the built-in one.
    #[serde(default)]
    pub location_template: Option<PathBuf>,
}

fn default_vhost_file() -> PathBuf {
    "/etc/nginx/sites-enabled/junebug.conf".into()
}

fn default_locations_dir() -> PathBuf {
    "/etc/nginx/includes/junebug/".into()
}

impl TryFrom<JsonObject> for Plugin {
    type Error = String;

    fn try_from(mut entry: JsonObject) -> Result<Self, String> {
        match entry.remove("type") {
            Some(Value::String(class)) if class == NGINX => serde_json::from_value(Value::Object(entry))
                .map(Self::Nginx)
                .map_err(|error| format!("the plugin {NGINX}: {error}")),
            Some(Value::String(class)) => Err(format!(
                "there is no plugin '{class}': Python classes cannot be loaded, and of Junebug's own only {NGINX} has a \
                 counterpart"
            )),
            _ => Err(format!("a plugin has a `type`, for instance {NGINX}")),
        }
    }
}
