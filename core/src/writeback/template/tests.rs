//! Renderings, refusals and bounds.

use super::*;

#[test]
fn loops_and_doublings_end_in_an_error() {
    for source in [
        "{{range 1000000000}}x{{end}}",
        "{{range 1000000000}}{{end}}",
        "{{range 9999}}{{range 9999}}{{$x := print .}}{{end}}{{end}}",
        "{{$x := \"xx\"}}{{range 100}}{{$x = print $x $x}}{{end}}",
        "{{define \"a\"}}{{template \"a\" .}}{{end}}{{template \"a\" .}}",
        "{{define \"a\"}}{{template \"b\" .}}{{template \"b\" .}}{{end}}{{define \"b\"}}{{template \"a\" .}}{{end}}{{template \"a\"}}",
        "{{printf \"%999999d\" 1}}",
        "{{printf \"%.999999d\" 1}}",
        "{{printf \"%.999999f\" 1.5}}",
        "{{printf \"%*d\" 999999 1}}",
        "{{printf \"%999999s\" \"\"}}",
        "{{$x := printf \"%9999s\" \"\"}}{{range 2000}}{{$y := eq $x $x}}{{end}}",
        "{{$x := print \"%[1]\" (printf \"%9999s\" \".0s\")}}{{range 2000}}{{$y := printf $x \"\"}}{{end}}",
    ] {
        let template = Template::parse(source).expect(source);
        assert_eq!(
            template.render(&Value::Nil).map_err(|error| error.fault),
            Err(Fault::TooMuch),
            "{source}"
        );
    }
}

#[test]
fn deep_and_long_templates_are_refused() {
    for source in [
        "{{if 1}}".repeat(1_000),
        "(".repeat(9),
        alloc::format!("{{{{{}", "(".repeat(5_000)),
        alloc::format!("{{{{{}1{}}}}}", "(".repeat(5_000), ")".repeat(5_000)),
        alloc::format!("{{{{if 1}}}}{}{{{{end}}}}", "{{else if 1}}".repeat(2_000)),
        "{{$a := 1}}".repeat(200),
        "{{1}}".repeat(20_000),
    ] {
        let is_text = !source.contains("{{");
        assert_eq!(Template::parse(&source).is_ok(), is_text);
    }
}

#[test]
fn a_mistake_is_told_with_its_line() {
    let error = Template::parse("a\nb {{ .X }}\n{{ upper .X }}").expect_err("no such function");
    assert_eq!(
        alloc::string::ToString::to_string(&error),
        "line 3, column 4: a function that does not exist at \"upper\""
    );
}

#[test]
fn a_character_that_was_cut_is_replaced() {
    let template = Template::parse("{{slice \"\u{e9}\" 0 1}}").expect("a template");
    assert_eq!(template.render(&Value::Nil).as_deref(), Ok("\u{fffd}"));
}

#[test]
fn an_action_that_fails_is_told_with_its_place() {
    for (source, line, column, fault) in [
        ("a\n  {{ len 3 }}", 2, 6, Fault::Arguments),
        ("\u{e9}{{ .X }}", 1, 5, Fault::NoMember("X".into())),
        (
            "{{- if true -}}\n{{index \"\" 4}}{{end}}",
            2,
            3,
            Fault::OutOfRange,
        ),
        ("{{1 | print (len 5)}}", 1, 14, Fault::Arguments),
        (
            "{{define \"t\"}}\n{{.X}}{{end}}\n\n{{template \"t\" $}}",
            2,
            3,
            Fault::NoMember("X".into()),
        ),
        ("\n{{template \"none\"}}", 2, 12, Fault::NoDefinition),
        (
            "{{print (print 1)}}{{range true}}{{end}}",
            1,
            28,
            Fault::Range,
        ),
    ] {
        let template = Template::parse(source).expect(source);
        let data = Value::record(Vec::new());
        let error = template.render(&data).expect_err(source);
        assert_eq!(
            error,
            RenderError {
                position: Position { line, column },
                fault
            },
            "{source}"
        );
    }
}
