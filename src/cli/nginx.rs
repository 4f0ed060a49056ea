//! `maybug check --nginx`: what nginx needs to pass requests on to the channels that listen for them, as Junebug's plugin
//! wrote it (Junebug reference §8.1).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::args::CheckArgs;
use super::target::Target;
use crate::config::{Config, NginxConfig, Plugin};
use crate::model::JsonObject;

/// The server, with the locations of all channels.
const VHOST: &str = "server {\n    listen 80;\n    server_name %(server_name)s;\n\n    include %(includes)s;\n}\n";
/// A channel. The prefix alone counts, and what comes behind it is passed on with it.
const LOCATION: &str = "location %(external_path)s {\n    proxy_pass %(internal_url)s;\n    proxy_set_header Host $host;\n    \
                        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n}\n";

/// Begins the files of channels: those without it are somebody else's.
const MARK: &str = "# written by maybug for channel";

/// A file to be written.
struct Written {
    path: PathBuf,
    text: String,
}

pub(super) async fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let config = Config::load(Some(&args.file), |name| std::env::var(name).ok(), JsonObject::new());
    let config = config.with_context(|| args.file.display().to_string())?;
    let Some(Plugin::Nginx(nginx)) = config.plugins.first() else {
        anyhow::bail!("{} has no plugin junebug.plugins.nginx.NginxPlugin", args.file.display())
    };
    ensure!(config.plugins.len() == 1, "{} has several nginx plugins: leave one", args.file.display());
    let data = args.data.as_ref().unwrap_or(&config.data);
    ensure!(args.api.is_some() || data.is_dir(), "{} is no directory of a server; name one, or --api", data.display());
    let target = match Target::named(args).await? {
        Some(target) => target,
        None => Target::stopped(data).await?,
    };
    let channels = target.channels().await;
    target.close().await;
    let files = files(nginx, &channels?)?;
    if args.write {
        return write(nginx, &files, args.json);
    }
    for Written { path, text } in &files {
        match args.json {
            true => println!("{}", json!({"path": path, "text": text})),
            false => println!("# {}\n{text}", path.display()),
        }
    }
    Ok(())
}

/// The virtual host and a location per channel that is to be reached.
fn files(nginx: &NginxConfig, channels: &[(String, JsonObject)]) -> anyhow::Result<Vec<Written>> {
    let directory = std::path::absolute(&nginx.locations_dir)?;
    let vhost = template(nginx.vhost_template.as_deref(), VHOST)?;
    let includes = directory.join("*.conf");
    let includes = includes.to_str().context("the locations_dir is no UTF-8")?;
    let text = fill(&vhost, &[("server_name", &nginx.server_name), ("includes", includes)])?;
    let mut files = vec![Written { path: nginx.vhost_file.clone(), text }];
    let location = template(nginx.location_template.as_deref(), LOCATION)?;
    for (id, properties) in channels {
        let Some((path, port)) = reached_at(properties) else { continue };
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let path = plain(&path).with_context(|| format!("channel {id} has a web_path that nginx would misread"))?;
        let url = format!("http://localhost:{port}{path}");
        let text = fill(&location, &[("external_path", path), ("internal_url", &url)])?;
        let text = format!("{MARK} {id}\n{text}");
        // Imported ids may be anything but a slash.
        ensure!(!id.starts_with('.'), "channel {id} cannot have a file of its name");
        files.push(Written { path: nginx.locations_dir.join(format!("{id}.conf")), text });
    }
    Ok(files)
}

/// Path and port of a channel that listens: `public_http` before `config`; nothing when either is missing, or when it is
/// not to be reached.
fn reached_at(properties: &JsonObject) -> Option<(String, u16)> {
    let empty = JsonObject::new();
    let object = |key: &str| properties.get(key).and_then(Value::as_object).unwrap_or(&empty);
    let (config, public) = (object("config"), object("public_http"));
    if public.get("enabled") == Some(&Value::Bool(false)) {
        return None;
    }
    let key = |key: &str| public.get(key).or_else(|| config.get(key));
    let port = match key("web_port")? {
        Value::String(text) => text.parse().ok()?,
        port => u16::try_from(port.as_u64()?).ok()?,
    };
    Some((key("web_path")?.as_str()?.to_owned(), port))
}

fn template(file: Option<&Path>, built_in: &str) -> anyhow::Result<String> {
    match file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("the template {}", file.display())),
        None => Ok(built_in.to_owned()),
    }
}

/// What must not end a directive or begin another one.
fn plain(text: &str) -> anyhow::Result<&str> {
    let odd = |character: char| character.is_whitespace() || character.is_control() || ";{}\"'\\$#".contains(character);
    ensure!(!text.is_empty() && !text.contains(odd), "{text:?} cannot stand in nginx's configuration");
    Ok(text)
}

/// Python's `%(name)s`, and `%%` for a percent sign.
fn fill(template: &str, values: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let named = after.strip_prefix('(').and_then(|after| after.split_once(")s"));
        let (name, after) = named.context("a template has a '%' that is neither '%(name)s' nor '%%'")?;
        let known = values.iter().find(|(known, _)| *known == name);
        let (_, value) = known.with_context(|| {
            let known: Vec<&str> = values.iter().map(|(known, _)| *known).collect();
            format!("a template has '%({name})s'; known are {}", known.join(" and "))
        })?;
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

/// Writes what differs, and removes the locations of channels that are gone.
fn write(nginx: &NginxConfig, files: &[Written], json: bool) -> anyhow::Result<()> {
    let told = |done: &str, path: &Path| match json {
        true => println!("{}", json!({"path": path, "outcome": done})),
        false => println!("{}: {done}", path.display()),
    };
    let directory = &nginx.locations_dir;
    std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    for Written { path, text } in files {
        if std::fs::read_to_string(path).is_ok_and(|there| there == *text) {
            told("unchanged", path);
            continue;
        }
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        told("written", path);
    }
    let wanted: BTreeSet<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    let entries = std::fs::read_dir(directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let ours = || std::fs::read_to_string(&path).is_ok_and(|text| text.starts_with(MARK));
        if !wanted.contains(path.as_path()) && ours() {
            std::fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
            told("removed", &path);
        }
    }
    if !json {
        println!("now: nginx -t && nginx -s reload");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_http_goes_before_config() {
        let at = |properties: Value| reached_at(properties.as_object().unwrap());
        let config = json!({"web_path": "/in", "web_port": 9001});
        assert_eq!(at(json!({"config": config})), Some(("/in".to_owned(), 9001)));
        let public = json!({"web_path": "/out", "web_port": "9002"});
        assert_eq!(at(json!({"config": config, "public_http": public})), Some(("/out".to_owned(), 9002)));
        assert_eq!(at(json!({"config": config, "public_http": {"enabled": false}})), None);
        assert_eq!(at(json!({"config": {}, "public_http": public})), Some(("/out".to_owned(), 9002)));
        for config in [json!({"web_path": "/in"}), json!({"web_port": 1}), json!({"web_path": "/", "web_port": 70_000})]
        {
            assert_eq!(at(json!({"config": config})), None);
        }
    }

    #[test]
    fn templates_are_pythons() {
        assert_eq!(fill("100%% of %(a)s, %(a)s", &[("a", "x%")]).unwrap(), "100% of x%, x%");
        for (template, why) in [("%(b)s", "'%(b)s'; known are a"), ("50% off", "neither"), ("%(a)", "neither")] {
            let said = fill(template, &[("a", "x")]).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn nothing_of_a_channel_becomes_a_directive() {
        for path in ["/a;", "/a b", "/a{", "/$host", ""] {
            assert!(plain(path).is_err(), "{path}");
        }
        assert!(plain("/a/b-c_d.e~1").is_ok());
    }
}
