//! `enginehouse config`, `profiles`, `shortcuts` and `run`: what people keep under names, and one model without a file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::configurations::{BASE, Home};
use crate::support::{eventually, http};

/// An editor that runs this script on the file that it is given.
fn editor(home: &Home, script: &str) -> String {
    let path = home.0.path().join("editor.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
    path.display().to_string()
}

async fn edited(home: &Home, name: &str, script: &str) -> (Option<i32>, String) {
    let mut command = home.command(&["config", "edit", name]);
    command.env_remove("VISUAL").env("EDITOR", editor(home, script));
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("joined").expect("run");
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).expect("text"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("read")
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_are_imported_listed_shown_exported_and_deleted() {
    let home = Home::new();
    let said = home.run(&["config", "list"]).await;
    assert_eq!(said.code, Some(0));
    assert!(said.out.contains("Nothing is saved in"), "{}", said.out);
    let file = home.0.path().join("my.yaml");
    std::fs::write(&file, format!("# Mine\n{BASE}")).expect("written");
    let said = home.run(&["config", "import", "my.yaml"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("enginehouse serve my"), "{}", said.out);
    let saved = home.configs().join("my.yaml");
    assert_eq!(std::fs::metadata(&saved).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(home.run(&["config", "show", "my"]).await.out, format!("# Mine\n{BASE}"), "as it is written");
    assert_eq!(home.run(&["config", "path", "my"]).await.out, format!("{}\n", saved.display()));
    let again = home.run(&["config", "import", "my.yaml"]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("--force"), "{}", again.err);
    assert_eq!(home.run(&["config", "import", "my.yaml", "--force"]).await.code, Some(0));
    std::fs::write(&file, "listne: 1\n").expect("written");
    let bad = home.run(&["config", "import", "my.yaml", "other"]).await;
    assert_eq!(bad.code, Some(1));
    assert!(bad.err.contains("not saved") && bad.err.contains("listne, line 1"), "{}", bad.err);

    home.save("bad", "listne: 1\n");
    let list: Value = serde_json::from_str(&home.run(&["config", "list", "--json"]).await.out).expect("JSON");
    let rows = list.as_array().expect("a list");
    let seen: Vec<_> = rows.iter().map(|row| (row["name"].as_str(), row["valid"].as_bool())).collect();
    assert_eq!(seen, [(Some("bad"), Some(false)), (Some("my"), Some(true))]);
    assert_eq!((&rows[1]["models"][0], rows[1]["listen"].as_str()), (&Value::from("m"), Some("127.0.0.1:0")));
    let table = home.run(&["config", "list"]).await.out;
    assert!(table.contains("enginehouse check bad") && table.contains("valid"), "{table}");

    let said = home.run(&["config", "export", "my", "out.yaml"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(read(&home.0.path().join("out.yaml")), format!("# Mine\n{BASE}"));
    assert_eq!(home.run(&["config", "export", "my", "out.yaml"]).await.code, Some(1), "it is there");
    let said = home.run(&["config", "delete", "my"]).await;
    assert_eq!(said.code, Some(1), "nobody can be asked");
    assert!(said.err.contains("--yes") && saved.exists(), "{}", said.err);
    assert_eq!(home.run(&["config", "delete", "my", "--yes"]).await.code, Some(0));
    let said = home.run(&["config", "show", "my"]).await;
    assert_eq!(said.code, Some(1));
    assert!(!saved.exists() && said.err.contains("There are: bad"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_takes_the_place_of_the_old_text_only_when_it_is_valid() {
    let home = Home::new();
    let file = home.save("my", BASE);
    let (code, said) = edited(&home, "my", "true").await;
    assert_eq!((code, said.as_str()), (Some(0), "Nothing was changed.\n"));
    let (code, said) = edited(&home, "my", "echo 'listne: 1' >> \"$1\"").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("listne, line 5") && said.contains(".my.yaml.edited"), "{said}");
    assert_eq!(read(&file), BASE, "the old one stays");
    assert!(read(&home.configs().join(".my.yaml.edited")).contains("listne"), "what was written is kept");
    let (code, said) = edited(&home, "my", "sed -i 's/^listne: 1$/threads: 2/' \"$1\"").await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Goes on with ") && said.contains(".my.yaml.edited"), "{said}");
    assert!(said.contains("goes on as it is until `enginehouse reload`"), "{said}");
    assert_eq!(read(&file), format!("{BASE}threads: 2\n"));
    assert!(!home.configs().join(".my.yaml.edited").exists());
    // A bug: it was said that a gateway which watches its file has to be reloaded.
    home.save("watched", &format!("{BASE}watch: true\n"));
    let (code, said) = edited(&home, "watched", "echo 'threads: 2' >> \"$1\"").await;
    assert!(code == Some(0) && said.contains("reloads it by itself") && !said.contains("until"), "{said}");
    let (code, said) = edited(&home, "my", "exit 3").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(!home.configs().join(".my.yaml.edited").exists(), "nothing was written");
    let (code, said) = edited(&home, "my", "echo '# more' >> \"$1\"; exit 3").await;
    assert!(code == Some(1) && said.contains("what you wrote is in"), "{said}");
    std::fs::remove_file(home.configs().join(".my.yaml.edited")).expect("kept");
    let mut command = home.command(&["config", "edit", "my"]);
    command.env_remove("VISUAL").env_remove("EDITOR");
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("joined").expect("run");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Set the environment variable VISUAL"));
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_of_the_user_are_kept_used_and_reset() {
    let home = Home::new();
    assert!(home.run(&["profiles", "low_memory"]).await.out.contains("quantization: fp8"), "as before");
    let file = home.0.path().join("low_memory.yaml");
    std::fs::write(&file, "description: ours\nargs: { seed: 7 }\n").expect("written");
    let said = home.run(&["profiles", "set", "low_memory", "low_memory.yaml"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let config = "models:\n  m: { source: s, command: [enginehouse, sim], profile: low_memory }\n";
    home.save("my", config);
    let said = home.run(&["check", "my"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let own = home.configs().join("profiles/low_memory.yaml");
    assert!(
        said.out.contains("--seed 7") && said.out.contains(&format!("is the one in {}", own.display())),
        "{}",
        said.out
    );
    let list: Value = serde_json::from_str(&home.run(&["profiles", "list", "--json"]).await.out).expect("JSON");
    let row = list.as_array().expect("a list").iter().find(|row| row["name"] == "low_memory").expect("listed");
    assert_eq!((&row["source"], &row["replaces_builtin"]), (&Value::from("user"), &Value::from(true)));
    let part = home.run(&["profiles", "export", "low_memory"]).await.out;
    assert_eq!(part, "profiles:\n  low_memory:\n    description: ours\n    args: { seed: 7 }\n");
    assert_eq!(home.run(&["profiles", "reset", "low_memory"]).await.code, Some(0));
    assert!(!own.exists() && home.run(&["profiles", "show", "low_memory"]).await.out.contains("fp8"));
    std::fs::write(&file, format!("{part}  fast:\n    args: {{ seed: 1 }}\n")).expect("written");
    let said = home.run(&["profiles", "import", "low_memory.yaml"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(home.run(&["profiles", "list"]).await.out.contains("fast"));
    assert_eq!(home.run(&["profiles", "delete", "fast", "--yes"]).await.code, Some(0));
    for (args, told) in [
        (["profiles", "delete", "standard"], "cannot be deleted"),
        (["profiles", "reset", "fast"], "no built-in profile"),
        (["profiles", "show", "lo_memory"], "Did you mean `low_memory`?"),
    ] {
        let said = home.run(&args).await;
        assert_eq!(said.code, Some(1), "{args:?}");
        assert!(said.err.contains(told), "{args:?}: {}", said.err);
    }
    std::fs::write(&file, "gpu_memory: 7\n").expect("written");
    let said = home.run(&["profiles", "set", "fast", "low_memory.yaml"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("profiles.fast.gpu_memory, line 1"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_model_is_served_without_a_file_by_a_shortcut_or_its_id() {
    let home = Home::new();
    let file = home.0.path().join("quick.yaml");
    std::fs::write(&file, "source: org/quick\ncommand: [enginehouse, sim]\nargs: { seed: 3 }\n").expect("written");
    assert_eq!(home.run(&["shortcuts", "set", "quick", "quick.yaml"]).await.code, Some(0));
    let list = home.run(&["shortcuts", "list"]).await;
    assert!(list.out.contains("org/quick"), "{}", list.out);
    let part = home.run(&["shortcuts", "show", "quick"]).await.out;
    assert!(part.starts_with("models:\n  quick:\n    source: org/quick\n"), "{part}");

    for (args, name, model) in [
        (vec!["--shortcut", "quick"], "quick", "quick"),
        (
            vec!["--model", "Org/Model-1", "--set", "models.Org/Model-1.command=[enginehouse, sim]"],
            "model-1",
            "Org/Model-1",
        ),
    ] {
        let all: Vec<&str> = ["run"].into_iter().chain(args).chain(["--port", "0", "--detach"]).collect();
        let said = home.run(&all).await;
        assert_eq!(said.code, Some(0), "{}", said.err);
        let stop = said.out.lines().find_map(|line| line.strip_prefix("  stop it    enginehouse ")).expect("told");
        if name == "quick" {
            assert_eq!(stop, "shutdown quick");
        } else {
            assert!(stop.starts_with("shutdown --state-dir /") && stop.ends_with(name), "there are settings: {stop}");
        }
        let url = said.out.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("an address");
        eventually("the model to be served", async || {
            let reply = http().get(format!("http://{url}/models")).send().await.expect("answered");
            reply.text().await.expect("text").contains(model).then_some(())
        })
        .await;
        let again = home.run(&all).await;
        assert!(again.code == Some(1) && again.err.contains("runs already (pid "), "{}", again.err);
        let stopped = home.run(&stop.split(' ').collect::<Vec<_>>()).await;
        assert!(stopped.out.contains("has ended"), "{}{}", stopped.out, stopped.err);
        home.0.assert_empty();
    }
    assert_eq!(home.run(&["run"]).await.code, Some(2), "neither a model nor a shortcut");
    let said = home.run(&["run", "--shortcut", "quik"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("Did you mean `quick`?"), "{}", said.err);
}
