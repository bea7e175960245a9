//! `template [PATH]` (`ops.md` 10) and the template that `run` reads at start: the program itself.

use image_updater_core::writeback::template::SOURCE_BYTES_MAX;
use image_updater_tests::program::answer;

const OLD: &str = "sha256:01d09d19c2139a46aebfb577780d123d7396e97201bc7ead210a2ebff8239dee";
const NEW: &str = "sha256:7aa7a5359173d05b63cfd682e3c38487f3cb4f7f1d60659fe59fab1505977d4c";

#[test]
fn built_in_template_is_shown_without_a_path_and_with_too_many() {
    let expect = format!(
        "build: automatic update of example-app\n\n\
         updates image example/example tag '1.0.0' to '1.0.1'\n\
         updates image example/updater tag '{OLD}' to '{NEW}'\n\n"
    );
    for words in [&["template"][..], &["template", "no-file", "no-file"]] {
        let answered = answer(words, &[]);
        assert_eq!(
            (answered.status, &*answered.out, &*answered.err),
            (Some(0), &*expect, "")
        );
    }
    // An empty file means the same.
    check(b"", 0, &expect, "");
}

#[test]
fn file_is_rendered_with_the_sample() {
    check(
        b"{{len .AppChanges}}:\r\n{{range $i, $c := .AppChanges}}{{if $i}}, {{end}}{{$c.FullImage}}{{end}}",
        0,
        "2:\r\ngcr.io/example/example, gcr.io/example/updater\n",
        "",
    );
}

#[test]
fn template_that_cannot_be_rendered_shows_what_is_committed_and_says_why() {
    check(
        b"a\nb {{ .Nope }}",
        0,
        "build: update of application example-app\n",
        "Warning: the commit message template could not be rendered for application example-app: \
         line 2, column 6: a member does not exist: .Nope; \
         its commit says \"build: update of application example-app\"\n",
    );
    check(
        b"{{range 1000000000}}x{{end}}",
        0,
        "build: update of application example-app\n",
        "line 1, column 9: the template does more than it may",
    );
}

#[test]
fn file_that_is_no_template_is_refused_with_name_and_place() {
    check(
        b"a\n{{ upper .AppName }}",
        1,
        "",
        "Error: could not parse commit message template: \
         line 2, column 4: a function that does not exist at \"upper\" (file ",
    );
    check(b"{{if true}}", 1, "", "column ");
    check(
        b"\xff",
        1,
        "",
        "Error: could not read commit message template ",
    );
    let long = vec![b'x'; SOURCE_BYTES_MAX + 1];
    check(&long, 1, "", "more bytes than a template may have");
    let missing = answer(&["template", "no-such-file"], &[]);
    assert_eq!((missing.status, &*missing.out), (Some(1), ""));
    let expect = "Error: could not read commit message template no-such-file: \
                  No such file or directory (os error 2)\n";
    assert_eq!(missing.err, expect);
}

#[test]
fn run_starts_with_a_template_or_not_at_all() {
    let start = |path: &str| {
        let words = [
            "run",
            "--once",
            "--registries-conf-path=",
            "--kubeconfig=no-such-file",
            &format!("--git-commit-message-path={path}"),
        ];
        answer(&words, &[])
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("commit.template");
    std::fs::write(&file, "{{ upper }}").expect("a file can be written");
    let refused = start(file.to_str().expect("a path of letters"));
    assert_eq!(refused.status, Some(1), "{refused:?}");
    for part in [
        "could not parse commit message template: line 1, column 4",
        "level=fatal",
    ] {
        assert!(refused.err.contains(part), "{refused:?}");
    }
    let unreadable = start(folder.path().to_str().expect("a path of letters"));
    assert!(
        unreadable
            .err
            .contains("could not read commit message template"),
        "{unreadable:?}"
    );

    // What follows is that there is no cluster.
    std::fs::write(&file, "{{ .AppName }}").expect("a file can be written");
    for (path, is_missing) in [
        (file.to_str().expect("a path of letters"), false),
        ("", false),
        ("no-such-file", true),
    ] {
        let started = start(path);
        assert!(started.err.contains("no Kubernetes client"), "{started:?}");
        let warning =
            "commit message template no-such-file does not exist: the built-in one is used";
        let is_told = [&started.out, &started.err]
            .iter()
            .any(|text| text.contains(warning));
        assert_eq!(is_told, is_missing, "{started:?}");
    }
}

/// Shows a file with this content.
fn check(content: &[u8], status: i32, out: &str, err: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("commit.template");
    std::fs::write(&file, content).expect("a file can be written");
    let answered = answer(
        &["template", file.to_str().expect("a path of letters")],
        &[],
    );
    assert_eq!(
        (answered.status, &*answered.out),
        (Some(status), out),
        "{answered:?}"
    );
    let is_told = if err.is_empty() {
        answered.err.is_empty()
    } else {
        answered.err.contains(err)
    };
    assert!(is_told, "{answered:?}");
}
