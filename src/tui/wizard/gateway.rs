//! The page of the gateway's own settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::form::Form;
use crate::config::Answers;

/// The page with what is answered already.
pub(super) fn form(answers: &Answers) -> Form {
    let operators = if is_next(answers) { String::new() } else { answers.admin.port().to_string() };
    let form = Form::default()
        .line("port", ("Port for clients", "Clients connect to http://HOST:PORT/v1. 0: any free one."), &answers.listen.port().to_string())
        .line(
            "host",
            ("Host", "127.0.0.1: only programs of this machine; 0.0.0.0: other machines, too, and nobody needs a key unless you add callers to the file."),
            &answers.listen.ip().to_string(),
        )
        .line(
            "operators",
            ("Port for operators", "States, logs, starts and stops, the dashboard; on 127.0.0.1. Empty: the one after the port for clients."),
            &operators,
        )
        .line(
            "cors",
            ("Web pages (CORS)", "Origins of web pages that may use the gateway from a browser, with commas, such as http://localhost:3000; *: all. Empty: none."),
            &answers.cors.join(", "),
        )
        .empty("none")
        .switch("metrics", ("Metrics", "For Prometheus, at /metrics of the operators' port."), answers.metrics)
        .switch("log", ("Request log", "One line for each request."), answers.request_log);
    shown(form)
}

/// The page with the port that operators have where none is typed.
pub(super) fn shown(mut form: Form) -> Form {
    let text = match form.text("port").parse::<u16>() {
        Ok(0) => "any free one".to_owned(),
        Ok(port) => next(port).to_string(),
        Err(_) => "the one after the port for clients".to_owned(),
    };
    form.set_empty("operators", text);
    form
}

/// Whether operators have the next port.
fn is_next(answers: &Answers) -> bool {
    answers.admin == SocketAddr::from((Ipv4Addr::LOCALHOST, next(answers.listen.port())))
}

/// The port that operators have where none is typed.
pub(super) fn next(port: u16) -> u16 {
    if port == 0 { 0 } else { port.checked_add(1).unwrap_or(port - 1) }
}

/// Takes the answers of the page.
///
/// # Errors
/// The field that is wrong, and why.
pub(super) fn take(form: &Form, answers: &mut Answers) -> Result<(), (&'static str, String)> {
    let number = |id, what: &str| {
        form.text(id).parse::<u16>().map_err(|_| (id, format!("The {what} is a number from 0 to 65535.")))
    };
    let port = number("port", "port for clients")?;
    let host: IpAddr = match form.text("host") {
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        text => {
            text.parse().map_err(|_| ("host", "The host is an IP address, such as 127.0.0.1 or 0.0.0.0.".to_owned()))?
        }
    };
    let operators = match form.text("operators") {
        "" => next(port),
        _ => number("operators", "port for operators")?,
    };
    if operators == port && port != 0 {
        return Err(("operators", "Operators need another port than clients.".to_owned()));
    }
    answers.listen = (host, port).into();
    answers.admin =
        if answers.admin.port() == operators { answers.admin } else { (answers.admin.ip(), operators).into() };
    answers.cors = words(form.text("cors"));
    answers.metrics = form.is_on("metrics");
    answers.request_log = form.is_on("log");
    Ok(())
}

/// Words with commas or blanks between them.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(fields: &[(&str, &str)]) -> Result<Answers, (&'static str, String)> {
        let mut form = form(&Answers::usual());
        for (id, text) in fields {
            form.go_to(id);
            form.paste(text);
        }
        let mut answers = Answers::usual();
        take(&form, &mut answers).map(|()| answers)
    }

    #[test]
    fn the_defaults_are_what_is_usual_and_operators_follow_the_clients_port() {
        assert_eq!(with(&[]), Ok(Answers::usual()));
        let answers = with(&[("port", "9000"), ("host", "0.0.0.0"), ("cors", "http://a, http://b")]).expect("right");
        assert_eq!(answers.listen, "0.0.0.0:9000".parse().expect("an address"));
        assert_eq!(answers.admin, "127.0.0.1:9001".parse().expect("an address"));
        assert_eq!(answers.cors, ["http://a", "http://b"]);
        assert_eq!(with(&[("port", "0")]).expect("right").admin.port(), 0);
        assert_eq!(with(&[("port", "65535")]).expect("right").admin.port(), 65534);
    }

    #[test]
    fn the_operators_port_is_shown_where_none_is_typed() {
        let drawn = |port: &str| {
            let mut form = form(&Answers::usual());
            form.paste(port);
            let area = ratatui::layout::Rect::new(0, 0, 60, 12);
            let mut buffer = ratatui::buffer::Buffer::empty(area);
            shown(form).draw(area, &mut buffer, &crate::tui::frame::Theme::new(true, true));
            (0..60).map(|x| buffer[(x, 2)].symbol()).collect::<String>()
        };
        assert!(drawn("9000").contains("(9001)") && drawn("0").contains("(any free one)"));
        assert!(drawn("x").contains("(the one after the port for clients)"), "{}", drawn("x"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_field() {
        for (id, text) in [("port", "x"), ("port", "70000"), ("host", "nowhere"), ("operators", "8000")] {
            assert_eq!(with(&[(id, text)]).expect_err("wrong").0, id, "{text}");
        }
    }
}
